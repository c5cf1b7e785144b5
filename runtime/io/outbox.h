/*
 * Packets made here, which leave between those of the burst that is being handled. Emptied when the burst has been
 * written.
 */
#ifndef MOS_IO_OUTBOX_H
#define MOS_IO_OUTBOX_H

#include <stdint.h>

#include "mos_ffi.h"
#include "util/arena.h"

/* More per burst are refused. */
enum { OUTBOX_MAX = 4096 };

/* One of them. packet.port is the port that it would have come in at: it leaves where packets from there go. */
struct outgoing {
	struct mos_packet packet;
	uint32_t before; /* it leaves before the burst's packet of that index; the burst's length: after all */
	uint8_t reverse; /* packet.port is where it leaves instead */
};

/* Zeroed: empty. */
struct outbox {
	struct arena arena; /* frames: those made here, and those of the burst's packets that have grown */
	struct outgoing *v; /* in the order of before */
	uint32_t n, room;
};

/*
 * Room for one more, behind those that are there; the caller fills in the packet. Good until the next call. NULL at
 * OUTBOX_MAX, or when memory is out.
 */
struct outgoing *outbox_add(struct outbox *o, uint32_t before);

void outbox_reset(struct outbox *o);
void outbox_fini(struct outbox *o);

#endif
