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

/* Is p the next that e sends, with nothing missing before it? Behind its FIN only acknowledgements are. */
static inline bool is_next(const struct mos_end *e, const struct mos_packet *p)
{
	if (e->seen)
		return false;
	if (!(e->flags & MOS_END_FIN))
		return p->seq == end_next(e);
	return p->seq == end_max(e) && !p->payload_len && !(p->tcp_flags & MOS_TH_FIN);
}

/* Does e, which sends p, acknowledge what its peer has sent, and no less than before? */
static inline bool acks_in_order(const struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	return end_max(peer) - p->ack <= ACK_BELOW_MAX && (!(e->flags & MOS_END_ACK) || seq_geq(p->ack, e->ack));
}

/* With timestamps none but the usual form is in order. ts_recent follows as RFC 7323 4.3 has it. */
static inline bool timestamp_in_order(struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	uint32_t tsval;

	if (!(e->flags & peer->flags & MOS_END_TS) || p->tcp_hlen <= 20)
		return true;
	if (!plain_timestamp(p, &tsval) || seq_lt(tsval, e->ts_recent))
		return false;
	if (!(peer->flags & MOS_END_ACK) || seq_leq(p->seq, peer->ack))
		e->ts_recent = tsval;
	return true;
}

/* The flags of the ends after e sent p, which is in order. */
static inline void note_flags(struct mos_end *e, struct mos_end *peer, const struct mos_packet *p)
{
	if (p->payload_len) {
		e->flags |= MOS_END_DATA;
		e->strays = 0;
	}
	if (p->tcp_flags & MOS_TH_FIN) {
		e->fin_seq = p->seq + p->payload_len;
		e->flags |= MOS_END_FIN;
	}
	e->flags |= MOS_END_ACK;
	if ((peer->flags & MOS_END_FIN) && seq_gt(p->ack, peer->fin_seq))
		peer->flags |= MOS_END_FIN_ACKED;
}

/*
 * track_sender for what connections begin and end with as a rule: the acknowledgement of a handshake, FINs and their
 * acknowledgements, in order. False: it is something else, and nothing has changed. *changed: its sender's state did.
 */
static inline bool track_ordered(struct mos_conn *c, const struct mos_packet *p, int side, struct segment *s,
				 bool *changed)
{
	struct mos_end *e = &c->end[side], *peer = &c->end[!side];
	uint8_t kind = p->tcp_flags & (uint8_t)~MOS_TH_PSH, old = e->state;

	if ((kind | MOS_TH_FIN) != (MOS_TH_ACK | MOS_TH_FIN) || !(e->flags & peer->flags & MOS_END_BASE) ||
	    (c->flags & MOS_CONN_CLOSED) || (peer->state <= TCP_SYN_RCVD && c->pending_side >= PENDING_ISN) ||
	    !is_next(e, p) || !acks_in_order(e, peer, p))
		return false;
	if (p->payload_len && (peer->flags & MOS_END_ACK) && seq_lt(p->seq, peer->ack - UNDER_WAY))
		return false;
	if (!timestamp_in_order(e, peer, p))
		return false;
	*s = (struct segment){
		.side = side,
		.flags = p->tcp_flags,
		.ack = p->ack,
		.off = e->nxt_off,
		.top = e->nxt_off,
		.len = p->payload_len,
	};
	e->nxt_off += p->payload_len;
	note_flags(e, peer, p);
	e->ack = p->ack;
	e->win = (uint32_t)p->window << (e->flags & peer->flags & MOS_END_WSCALE ? e->wscale : 0);
	e->pkts++;
	e->ip_bytes += p->ip_len;
	c->last_side = (uint8_t)side;
	if ((peer->flags & MOS_END_FIN_ACKED) && !(e->flags & MOS_END_FIN_RCVD)) {
		e->flags |= MOS_END_FIN_RCVD;
		e->state = fsm_sent(e->state, SENT_FIN_RCVD);
	}
	e->state = fsm_sent(e->state, kind & MOS_TH_FIN ? SENT_FIN : SENT_OTHER);
	*changed = e->state != old;
	return true;
}

#endif
