/*
 * Editing streams in flight. A handler asks for other bytes in the packet's payload; they are put in as it leaves, and
 * from then on the connection's sequence, acknowledgement and SACK numbers are translated both ways (tcp/edits.h).
 *
 * Everything else here goes on seeing a stream as its sender numbers it: acknowledgements are translated before the
 * tracker sees them, sequence numbers and payload when the packet leaves. A connection that nobody edited has no record
 * and costs one test of MOS_CONN_REWRITTEN.
 */
#ifndef MOS_REWRITE_H
#define MOS_REWRITE_H

#include "reorder.h"
#include "tcp/edits.h"
#include "worker.h"

/* A connection's edits, by the sender's side. */
struct rewrite {
	struct edits dir[2];
	uint64_t left[2]; /* stream offset one past the highest byte that has left */
	bool fin_left[2]; /* so has the FIN */
	bool ordered[2];  /* what comes early waits: here */
	struct early_list early[2];
	int64_t acked; /* of the packet in dispatch: what it acknowledges (out) */
};

/*
 * In the packet in dispatch, put bytes in place of cut bytes of the payload from off on. Offsets count in the payload as
 * it came, which handlers go on seeing. If the packet is dropped nothing has happened. Other copies of the segment are
 * edited the same without being asked: asking again for an edit that has left changes nothing and returns 0.
 *
 * A FIN alone counts as an empty payload, into which bytes can be put: they leave with it.
 *
 * -EACCES: no packet in dispatch. -ENOTCONN: it has no connection. -EINVAL: no payload, or one that its receiver will not
 * accept. -ERANGE: beyond the payload, or not all of it was captured. -EALREADY: these bytes have left before, or later
 * ones have. -EOPNOTSUPP: in a SYN, or inside an encapsulation whose lengths would have to follow. -ENOBUFS: EDITS_MAX
 * edits wait for an acknowledgement, or the memory of stream buffers is used up.
 */
int rewrite_payload(struct worker *w, size_t off, size_t cut, const void *bytes, size_t put);

/* The connection's record, made if there is none: side's stream may be edited from what comes next on. NULL: no memory. */
struct rewrite *rewrite_begin(struct worker *w, struct mos_conn *c, int side);

/* The packet comes in: its acknowledgements in the numbers of the end that they go to. */
void rewrite_acks(struct worker *w, struct mos_conn *c, struct mos_packet *p);

/*
 * To be called for packets of rewritten connections, and for all that are dropped: of bytes that were dropped it is kept
 * in mind that they have not left.
 *
 * The packet leaves, unless it is dropped: its payload as edited, its numbers as its receiver knows them. What is too
 * long for one packet goes on in others in w->outbox. A packet that cannot be edited (cut short by the capture, no
 * memory) is dropped, for its sender to repeat.
 */
void rewrite_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p, const struct segment *s);

/* Bytes of a segment of side's, options included, as its receiver announced. */
uint32_t rewrite_mss(const struct mos_conn *c, int side);

/* The same of a packet's connection, if it has one. */
uint32_t rewrite_mss_of(const struct worker *w, const struct mos_packet *p);

/*
 * A segment that came in fragments and was written to leaves as one segment, or as several of what its receiver takes: it
 * becomes the first, with the link-layer header of the fragment that completed it. False if it cannot: in a tunnel.
 */
bool rewrite_whole(struct worker *w, struct mos_packet *whole, uint32_t mss);

/* The connection goes. */
void rewrite_end(struct worker *w, struct mos_conn *c);

/*
 * Bytes that side did not send go before its next ones: the stream is edited, and *seq becomes the number that they are to
 * be sent with, now and by the caller. Later they are sent again with side's next bytes until they are acknowledged. No
 * packet of side may be in dispatch. -ENOBUFS as above.
 */
int rewrite_insert(struct worker *w, struct mos_conn *c, int side, const void *bytes, size_t len, uint32_t *seq);

/*
 * The n-th edit that puts bytes behind all that side has sent, and that is not acknowledged; *seq: the number of its first
 * byte as it leaves. NULL: there is none.
 */
const struct edit *rewrite_waiting(const struct worker *w, const struct mos_conn *c, int side, uint32_t n,
				   uint32_t *seq);

/* The number that what side sends next will leave with: behind the packet in dispatch, unless that is dropped. */
uint32_t rewrite_next(const struct worker *w, const struct mos_conn *c, int side);

/* A sequence number of side's stream as it leaves. seq as side numbers it. */
uint32_t rewrite_seq(const struct worker *w, const struct mos_conn *c, int side, uint32_t seq);

#endif
