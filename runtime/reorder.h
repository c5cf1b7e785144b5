/*
 * Segments that come before others that they follow wait for those, so that a stream passes in order: what has left cannot
 * be edited, and with it goes all that stands before it. For connections that ask for it.
 *
 * A segment that waits has been seen by no handler and not been tracked. When what is missing has come, from its sender or,
 * as an acknowledgement says, by another way, it goes its way as if it had come just now. Meanwhile its sender is told, by
 * SACK where both ends have that (RFC 2018), what it need not repeat: the receiver, which gets nothing, says nothing.
 */
#ifndef MOS_REORDER_H
#define MOS_REORDER_H

#include "worker.h"

/* Bytes of frames, and frames, that wait of one direction; bytes of all of a worker's connections. More are dropped. */
enum { EARLY_BYTES = 1 << 20, EARLY_FRAMES = 1024, EARLY_BYTES_ALL = 64 << 20 };

struct early;

/* Those of one direction, in order. Zeroed: none. */
struct early_list {
	struct early *first;
	uint32_t n, bytes;
};

/* From here on, for what side sends. 0 or -ENOBUFS. */
int reorder_begin(struct worker *w, struct mos_conn *c, int side);

/* For connections with MOS_CONN_REWRITTEN. The packet came early, and has its verdict: it waits, or is dropped. */
bool reorder_hold(struct worker *w, struct mos_conn *c, struct mos_packet *p);

/* The same, behind a packet that passed: those for which nothing is missing any more go their way by `pass`. */
void reorder_release(struct worker *w, struct mos_conn *c,
		     void (*pass)(struct worker *w, struct mos_conn *c, struct mos_packet *p));

/* Forget them. */
void reorder_drop(struct worker *w, struct early_list *list);

#endif
