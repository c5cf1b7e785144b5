/*
 * One connection's TCP, seen from the middle: each packet updates its sender's end, then its receiver's. The answers say
 * what happened; this side knows nothing of events and handlers.
 */
#ifndef MOS_TCP_TRACK_H
#define MOS_TCP_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "mos_ffi.h"
#include "pkt/decode.h"
#include "tcp/ranges.h"
#include "tcp/stream.h"
#include "util/pool.h"
#include "util/slab.h"

/* Holes remembered per end; beyond it the oldest counts as filled, so a late fill of it looks like a retransmission. */
enum { TRACK_MAX_HOLES = 4096 };

struct tracker {
	struct pool streams; /* struct stream */
	struct pool seen;    /* struct ranges */
	struct slab slab;    /* their bytes and runs */
};

/* Room for max_conns connections, whose buffers together stay below memory bytes. 0 or -errno. */
int track_init(struct tracker *t, uint32_t max_conns, size_t memory);
void track_fini(struct tracker *t);

/* What one packet means: worked out by the sender's update, handed on to the receiver's and to delivery. */
struct segment {
	int side;          /* the sender: MOS_SIDE_CLI or MOS_SIDE_SVR */
	uint32_t ack;      /* acknowledgement number, where flags say so */
	uint8_t flags;     /* TCP flags */
	uint8_t error;     /* enum mos_error_reason: why ERROR is raised at the receiver's side */
	bool rexmit;       /* repeats a byte, SYN or FIN */
	bool keepalive;    /* a probe: one byte or none, below what was acknowledged */
	bool ignored;      /* the receiver will not accept it: no state and no bytes follow */
	bool out_of_order; /* starts beyond the highest byte seen */
	bool paws;         /* ignored for an old timestamp */
	bool forgot;       /* a hole counts as filled, for want of room to remember it */
	uint64_t off;      /* stream offset of its first byte that counts */
	uint64_t top;      /* one past the highest offset that its sender had sent before */
	uint32_t skip;     /* leading payload bytes below offset 0 */
	uint32_t len;      /* payload bytes that count for the stream, skip excluded */
	uint32_t beyond;   /* payload bytes past the FIN, not counted in len */
};

/*
 * Begin a connection with its first packet. c is zeroed but for its key: roles, first states and sequence numbers are set,
 * the packet itself is still to be passed to track_sender.
 *
 * The client is the sender of a SYN, or the receiver of a SYN-ACK. Without either it is guessed: a port below 1024 is the
 * server's, else the lower port, else the receiver.
 */
void track_start(struct mos_conn *c, const struct mos_packet *p);

/* Free what hangs on c. */
void track_end(struct tracker *t, struct mos_conn *c);

/*
 * Does p begin another connection on c's 4-tuple? A SYN does on a closed or closing connection, and with another sequence
 * number during the handshake or on a connection picked up midstream. In the established state it is remembered, and counts
 * when the other end answers it: so a blind SYN ends nothing (RFC 5961 4.2).
 */
bool track_reuses(struct mos_conn *c, const struct mos_packet *p);

/* The sender's update, which also tells retransmission from new data. Returns whether its state changed. */
bool track_sender(struct tracker *t, struct mos_conn *c, const struct mos_packet *p, struct segment *s);

/*
 * The receiver's update, its bytes excepted. Returns whether its state changed. Sets MOS_CONN_CLOSED and c->end_reason when
 * the connection is over.
 */
bool track_receiver(struct mos_conn *c, const struct segment *s);

/* The bytes that `side` received, or NULL when none are buffered. Borrowed. */
static inline struct stream *track_stream(const struct tracker *t, const struct mos_conn *c, int side)
{
	uint32_t i = c->end[side].stream;

	return i ? (struct stream *)pool_at(&t->streams, i) : NULL;
}

/*
 * The same, made if there is none yet: it starts at offset start and holds up to limit bytes. NULL when the pool is empty.
 */
struct stream *track_stream_make(struct tracker *t, struct mos_conn *c, int side, size_t limit, int policy,
				 uint64_t start);

/* Drop what `side` has buffered. */
void track_stream_drop(struct tracker *t, struct mos_conn *c, int side);

/* Stream offset up to which `side`'s bytes were acknowledged by the other end; 0 when nothing was. */
uint64_t track_acked(const struct mos_conn *c, int side);

/*
 * The same, but of bytes alone: one more than was seen, without a FIN, is the FIN's place, and the FIN was not captured.
 */
uint64_t track_acked_bytes(const struct mos_conn *c, int side);

/* Distinct payload bytes that `side` sent and that passed here. */
uint64_t track_bytes(const struct tracker *t, const struct mos_conn *c, int side);

/* Bytes that `side` sent, as later bytes or the other end's acknowledgements show, and that did not pass here. */
uint64_t track_missing(const struct tracker *t, const struct mos_conn *c, int side);

#endif
