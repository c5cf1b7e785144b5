/*
 * The common packet: data in order, or an acknowledgement, on an established connection. Nothing that it can bring changes
 * a state, so one look at a flag and a few comparisons stand for track_sender and track_receiver (Jacobson's header
 * prediction, from the middle). Same results, in a fifth of the instructions; tests/conformance/test_plain.c compares.
 */
#ifndef MOS_TCP_PLAIN_H
#define MOS_TCP_PLAIN_H

#include "pkt/bytes.h"
#include "tcp/end.h"
#include "tcp/track.h"

/* An acknowledgement ahead of all that was sent, or this far below it, is none of the common ones. */
enum { TIMESTAMP_HLEN = 32, TIMESTAMP_WORD = 0x0101080a, ACK_BELOW_MAX = 1 << 30 };

/*
 * RFC 7323 appendix A: almost every segment carries NOP, NOP, TS and nothing else. Is it so here, captured whole? Then its
 * TSval is in *tsval.
 */
static inline bool plain_timestamp(const struct mos_packet *p, uint32_t *tsval)
{
	const uint8_t *opt = p->data + p->l4 + 20;

	if (p->tcp_hlen != TIMESTAMP_HLEN || p->l4 + (uint32_t)TIMESTAMP_HLEN > p->caplen)
		return false;
	if (load_be32(opt) != TIMESTAMP_WORD)
		return false;
	*tsval = load_be32(opt + 4);
	return true;
}

/* What MOS_CONN_PLAIN says of c, from its ends. */
static inline void plain_note(struct mos_conn *c)
{
	const struct mos_end *a = &c->end[0], *b = &c->end[1];
	const uint16_t known = MOS_END_BASE | MOS_END_ACK;
	bool plain = a->state == TCP_ESTABLISHED && b->state == TCP_ESTABLISHED && !a->seen && !b->seen &&
		     (a->flags & b->flags & known) == known && !((a->flags | b->flags) & MOS_END_FIN) &&
		     !(c->flags & (MOS_CONN_CLOSED | MOS_CONN_REWRITTEN));

	c->flags = (uint16_t)(plain ? c->flags | MOS_CONN_PLAIN : c->flags & ~MOS_CONN_PLAIN);
}

/*
 * Update both ends with p if it is a common packet on a connection where MOS_CONN_PLAIN is set; the side that sent it is
 * `side`. False: it is not, and nothing has changed. *off becomes the stream offset of its first byte.
 */
static inline __attribute__((always_inline)) bool track_plain(struct mos_conn *c, const struct mos_packet *p, int side,
							      uint64_t *off)
{
	struct mos_end *e = &c->end[side], *peer = &c->end[!side];
	uint16_t both = e->flags & peer->flags;
	uint64_t nxt_off = e->nxt_off;
	uint32_t seq = p->seq, ack = p->ack, tsval;

	if ((p->tcp_flags & ~MOS_TH_PSH) != MOS_TH_ACK || seq != e->isn + 1 + (uint32_t)nxt_off ||
	    end_next(peer) - ack > ACK_BELOW_MAX)
		return false;
	if ((both & MOS_END_TS) && p->tcp_hlen > 20) {
		if (!plain_timestamp(p, &tsval) || seq_lt(tsval, e->ts_recent))
			return false;
		e->ts_recent = seq_leq(seq, peer->ack) ? tsval : e->ts_recent;
	}
	uint32_t len = p->payload_len;

	/* Data or not, news or not: a branch on either is one that goes wrong. */
	*off = nxt_off;
	e->nxt_off = nxt_off + len;
	e->flags |= len ? MOS_END_DATA : 0;
	e->strays = len ? 0 : e->strays;
	e->ack = seq_gt(ack, e->ack) ? ack : e->ack;
	e->win = (uint32_t)p->window << (both & MOS_END_WSCALE ? e->wscale : 0);
	e->pkts++;
	e->ip_bytes += p->ip_len;
	c->last_side = (uint8_t)side;
	return true;
}

#endif
