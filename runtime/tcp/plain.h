/*
 * The common packet: data in order, or an acknowledgement, on an established connection. Nothing that it can bring changes
 * a state, so one look at a flag and a few comparisons stand for track_sender and track_receiver (Jacobson's header
 * prediction, from the middle). Same results, in a fifth of the instructions; tests/conformance/test_plain.c compares.
 */
#ifndef MOS_TCP_PLAIN_H
#define MOS_TCP_PLAIN_H

#include "pkt/bytes.h"
#include "tcp/end.h"
#include "tcp/fsm.h"
#include "tcp/track.h"

/* An acknowledgement ahead of all that was sent, or this far below it, is none of the common ones. */
enum { TIMESTAMP_HLEN = 32, TIMESTAMP_WORD = 0x0101080a, ACK_BELOW_MAX = 1 << 30 };

/* Bytes that may be on the way at once, besides a window of them. */
enum { UNDER_WAY = 1 << 24 };

/* In mos_conn.pending_side: pending_isn is that of an earlier SYN-ACK of this side, plus 3. */
enum { PENDING_ISN = 3 };

/*
 * RFC 7323 appendix A: almost every segment carries NOP, NOP, TS and nothing else. Is it so here, captured whole? Then its
 * TSval is in *tsval.
 */
static inline bool plain_timestamp(const struct mos_packet *p, uint32_t *tsval)
{
	const uint8_t *opt = p->data + p->payload - (TIMESTAMP_HLEN - 20);

	if (p->tcp_hlen != TIMESTAMP_HLEN || p->payload > p->caplen)
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
	struct mos_end *e = end_of(c, (unsigned)side), *peer = end_of(c, (unsigned)side ^ 1);
	uint16_t both = e->flags & peer->flags;
	uint64_t nxt_off = e->nxt_off;
	uint32_t seq = p->seq, ack = p->ack, tsval;

	if ((p->tcp_flags & ~MOS_TH_PSH) != MOS_TH_ACK || seq != e->isn + 1 + (uint32_t)nxt_off ||
	    end_next(peer) - ack > ACK_BELOW_MAX)
		return false;
	if (both & MOS_END_TS) {
		if (plain_timestamp(p, &tsval)) {
			if (seq_lt(tsval, e->ts_recent))
				return false;
			e->ts_recent = seq_leq(seq, peer->ack) ? tsval : e->ts_recent;
		} else if (p->tcp_hlen > 20) {
			return false;
		}
	}
	uint32_t len = p->payload_len, none = -(uint32_t)!len;

	/* Data or not, news or not: a branch on either is one that goes wrong. */
	*off = nxt_off;
	e->nxt_off = nxt_off + len;
	e->flags |= (uint16_t)(MOS_END_DATA & ~none);
	e->strays &= (uint16_t)none;
	e->ack = seq_gt(ack, e->ack) ? ack : e->ack;
	e->win = (uint32_t)p->window << (both & MOS_END_WSCALE ? e->wscale : 0);
	e->pkts++;
	e->ip_bytes += p->ip_len;
	c->last_side = (uint8_t)side;
	return true;
}

/*
 * track_sender for what connections begin and end with as a rule: the acknowledgement of a handshake, FINs and their
 * acknowledgements, in order: nothing is missing before it, it acknowledges no less than the one before it, and its
 * timestamp has the usual form. False: it is something else, and nothing has changed. *changed: its sender's state did.
 */
static inline bool track_ordered(struct mos_conn *c, const struct mos_packet *p, int side, struct segment *s,
				 bool *changed)
{
	struct mos_end *e = end_of(c, (unsigned)side), *peer = end_of(c, (unsigned)side ^ 1);
	uint16_t ef = e->flags, pf = peer->flags, both = ef & pf;
	uint32_t len = p->payload_len, seq = p->seq, ack = p->ack, ts = e->ts_recent;
	bool fin = p->tcp_flags & MOS_TH_FIN;
	uint8_t old = e->state;

	if ((p->tcp_flags & ~(MOS_TH_PSH | MOS_TH_FIN)) != MOS_TH_ACK || !(both & MOS_END_BASE) || e->seen ||
	    (c->flags & MOS_CONN_CLOSED) || seq != end_max(e) || end_max(peer) - ack > ACK_BELOW_MAX)
		return false;
	/* Behind a FIN, even one whose place is not known, come only acknowledgements. */
	if ((ef & MOS_END_FIN) && (len || fin))
		return false;
	if ((ef & MOS_END_ACK) && seq_lt(ack, e->ack))
		return false;
	if (peer->state <= TCP_SYN_RCVD && c->pending_side >= PENDING_ISN)
		return false;
	if (len && (pf & MOS_END_ACK) && seq_lt(seq, peer->ack - UNDER_WAY))
		return false;
	if ((both & MOS_END_TS) && p->tcp_hlen > 20) {
		if (!plain_timestamp(p, &ts) || seq_lt(ts, e->ts_recent))
			return false;
		if ((pf & MOS_END_ACK) && seq_gt(seq, peer->ack))
			ts = e->ts_recent;
	}
	*s = (struct segment){
		.side = side,
		.flags = p->tcp_flags,
		.ack = ack,
		.off = e->nxt_off,
		.top = e->nxt_off,
		.len = len,
	};
	ef |= MOS_END_ACK;
	if (len) {
		ef |= MOS_END_DATA;
		e->strays = 0;
	}
	if (fin) {
		ef |= MOS_END_FIN;
		e->fin_seq = seq + len;
	}
	if ((pf & MOS_END_FIN) && seq_gt(ack, peer->fin_seq)) {
		peer->flags = pf |= MOS_END_FIN_ACKED;
		if (!(ef & MOS_END_FIN_RCVD)) {
			ef |= MOS_END_FIN_RCVD;
			e->state = fsm_sent(e->state, SENT_FIN_RCVD);
		}
	}
	e->flags = ef;
	e->ts_recent = ts;
	e->nxt_off += len;
	e->ack = ack;
	e->win = (uint32_t)p->window << (both & MOS_END_WSCALE ? e->wscale : 0);
	e->pkts++;
	e->ip_bytes += p->ip_len;
	e->state = fsm_sent(e->state, fin ? SENT_FIN : SENT_OTHER);
	c->last_side = (uint8_t)side;
	*changed = e->state != old;
	return true;
}

#endif
