/*
 * Arithmetic on one end: sequence numbers to stream offsets and back. Offset 0 is the byte after the SYN; offsets do not
 * wrap, sequence numbers do, and are unfolded against the highest one seen.
 */
#ifndef MOS_TCP_END_H
#define MOS_TCP_END_H

#include "mos_ffi.h"
#include "tcp/seq.h"

/* &c->end[side], by bytes: GCC computes the address of one of two anew at each use, but for what it cannot see through. */
static inline struct mos_end *end_of(struct mos_conn *c, unsigned side)
{
	_Static_assert(sizeof(struct mos_end) == 64, "a cache line");
	char *e = (char *)c->end + side * sizeof(struct mos_end);

	__asm__("" : "+r"(e));
	return (struct mos_end *)(void *)e;
}

/* Sequence number one past the highest payload byte sent. */
static inline uint32_t end_next(const struct mos_end *e)
{
	return e->isn + 1 + (uint32_t)e->nxt_off;
}

/* Stream offset of seq; negative below the stream's start. */
static inline int64_t end_offset(const struct mos_end *e, uint32_t seq)
{
	return (int64_t)e->nxt_off + seq_diff(seq, end_next(e));
}

static inline uint32_t end_seq(const struct mos_end *e, uint64_t off)
{
	return e->isn + 1 + (uint32_t)off;
}

/* Sequence number one past everything sent, the FIN included. */
static inline uint32_t end_max(const struct mos_end *e)
{
	uint32_t next = end_next(e);

	return (e->flags & MOS_END_FIN) && seq_geq(e->fin_seq, next) ? e->fin_seq + 1 : next;
}

#endif
