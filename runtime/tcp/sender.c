/* What a packet says about the end that sent it. */
#include <errno.h>

#include "mos_api.h"
#include "tcp/end.h"
#include "tcp/fsm.h"
#include "tcp/plain.h"
#include "tcp/track.h"

enum {
	FAR = 1 << 30,        /* an acknowledgement this far ahead of everything sent is noise */
	WINDOW_SLACK = 65536, /* the window offered last may not have been captured */
	PATCHY = 1 << 20,     /* bytes of one end that a capture has lost at least, if it is not whole */
	ACKS_BELOW = 1 << 15, /* in mos_end.strays: it acknowledges numbers far below those that it has acknowledged */
	STRAYS_MAX = 3        /* so many segments beyond the window in a row are believed: the capture lost the rest */
};

static bool timestamp_of(const struct mos_packet *p, uint32_t *tsval)
{
	struct tcp_options o;

	if (plain_timestamp(p, tsval))
		return true;
	packet_options(p, &o);
	*tsval = o.tsval;
	return o.has_ts;
}

/*
 * PAWS (RFC 7323 5.3 R1): a segment older than the last one accepted is not acceptable. ts_recent follows
 * only segments at or below what the receiver acknowledged (4.3), so that reordering is no offence.
 */
static bool paws_rejects(struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	uint32_t tsval;

	if (p->tcp_hlen <= 20 || !timestamp_of(p, &tsval))
		return false;
	if (seq_lt(tsval, e->ts_recent) && !(p->tcp_flags & MOS_TH_RST))
		return true;
	if (!(peer->flags & MOS_END_ACK) || seq_leq(p->seq, peer->ack))
		e->ts_recent = tsval;
	return false;
}

static void note_syn_options(struct mos_end *e, const struct mos_packet *p)
{
	struct tcp_options o;

	packet_options(p, &o);
	e->mss = o.mss;
	if (o.has_wscale) {
		e->wscale = o.wscale;
		e->flags |= MOS_END_WSCALE;
	}
	if (o.sack_ok)
		e->flags |= MOS_END_SACK;
	if (o.has_ts) {
		e->ts_recent = o.tsval;
		e->flags |= MOS_END_TS;
	}
}

/* Its numbers are not settled: it has sent nothing yet, or no more than SYNs that the other end has not answered for good. */
static bool is_opening(const struct mos_end *e)
{
	if (!(e->flags & MOS_END_BASE))
		return true;
	return e->state >= TCP_LISTEN && e->state <= TCP_SYN_RCVD && !(e->flags & MOS_END_DATA);
}

/* SYN and SYN-ACK. The first fixes the end's numbers; another of the same number is a retransmission. */
static void note_syn(struct mos_end *e, const struct mos_packet *p, struct segment *s)
{
	if ((e->flags & MOS_END_SYN) && p->seq == e->isn) {
		s->rexmit = true;
	} else if (is_opening(e)) {
		e->isn = p->seq;
		e->nxt_off = 0;
		e->flags |= MOS_END_SYN | MOS_END_BASE;
		note_syn_options(e, p);
	} else if (p->seq == e->isn) {
		e->flags |= MOS_END_SYN;
	} else {
		s->error = MOS_ERR_OUT_OF_WINDOW;
		s->ignored = true;
	}
	if (p->tcp_flags & MOS_TH_ACK)
		e->flags |= MOS_END_SYNACK;
}

/*
 * A second SYN-ACK with another number takes the first one's place until the client's acknowledgement tells which of them
 * reached it first. The other number is kept where that of a SYN on an open connection is.
 */
static void keep_isn(struct mos_conn *c, int side, const struct mos_packet *p)
{
	const struct mos_end *e = &c->end[side];

	if (!(p->tcp_flags & MOS_TH_ACK) || !(e->flags & MOS_END_SYNACK) || p->seq == e->isn || !is_opening(e))
		return;
	c->pending_isn = e->isn;
	c->pending_side = PENDING_ISN + (uint8_t)side;
}

static void settle_isn(struct mos_conn *c, int side, const struct mos_packet *p)
{
	struct mos_end *e = &c->end[side];

	if (c->pending_side == PENDING_ISN + side && p->ack == c->pending_isn + 1 && is_opening(e))
		e->isn = c->pending_isn;
}

/*
 * A RST counts when it lies between what the receiver has acknowledged and the end of its window, or at the end of all
 * that its sender has sent (RFC 9293 3.10.7.4, RFC 5961 3.2 seen from the middle, where the last acknowledgement may still be under way).
 * In answer to a SYN it counts when it acknowledges it (RFC 9293 3.10.7.3).
 */
static bool reset_counts(const struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	if (peer->state == TCP_SYN_SENT && !(e->flags & MOS_END_SYN))
		return (p->tcp_flags & MOS_TH_ACK) && seq_gt(p->ack, peer->isn) && seq_leq(p->ack, end_max(peer));
	if (!(e->flags & MOS_END_BASE))
		return true;
	uint32_t left = peer->flags & MOS_END_ACK ? peer->ack : e->isn;
	uint32_t right = left + (peer->win ? peer->win - 1 : 0);
	if (seq_lt(right, end_max(e) + 1))
		right = end_max(e) + 1;
	return seq_leq(left, p->seq) && seq_leq(p->seq, right);
}

/*
 * Zero or one byte just below what was acknowledged (RFC 9293 3.8.4). A single byte that was not acknowledged yet is a
 * retransmission of it.
 */
static bool is_keepalive(const struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	if (p->payload_len > 1 || (p->tcp_flags & (MOS_TH_SYN | MOS_TH_FIN | MOS_TH_RST)) || p->seq != end_max(e) - 1 ||
	    !(e->flags & MOS_END_BASE))
		return false;
	return p->payload_len == 0 || ((peer->flags & MOS_END_ACK) && seq_gt(peer->ack, p->seq));
}

/* A capture that lacks the handshake, or has lost a stretch of e before, lacks more: somebody filtered or sampled it. */
static bool is_patchy(const struct tracker *t, const struct mos_end *e, const struct mos_end *peer)
{
	if (!((e->flags | peer->flags) & MOS_END_SYN))
		return true;
	return e->seen && e->nxt_off - ranges_total(pool_at(&t->seen, e->seen)) > PATCHY;
}

/*
 * Does p, far ahead in a patchy capture, acknowledge what its receiver may have sent by now? Who is not on the way can only
 * guess that (RFC 5961 5.2).
 */
static bool skips(const struct tracker *t, const struct mos_end *e, const struct mos_end *peer,
		  const struct mos_packet *p)
{
	if (!(p->tcp_flags & MOS_TH_ACK) || !(e->flags & MOS_END_ACK) || !is_patchy(t, e, peer))
		return false;
	if (!(peer->flags & MOS_END_BASE))
		return true;
	return seq_leq(e->ack - WINDOW_SLACK, p->ack) && seq_leq(p->ack, end_max(peer) + WINDOW_SLACK);
}

/*
 * Data that starts further beyond everything sent than any window reaches. One such segment is noise or an attack; a few in
 * a row mean that the capture missed a stretch.
 */
static bool strays(const struct tracker *t, struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	uint32_t from = end_next(e);

	if (peer->flags & MOS_END_ACK && seq_gt(peer->ack, from))
		from = peer->ack;
	if (seq_leq(p->seq, from + (peer->win > WINDOW_SLACK ? peer->win : WINDOW_SLACK)) || skips(t, e, peer, p)) {
		e->strays = 0;
		return false;
	}
	return ++e->strays % ACKS_BELOW < STRAYS_MAX;
}

/* The set of offsets that e has sent, made when the first hole appears. NULL when memory is out. */
static struct ranges *seen_make(struct tracker *t, struct mos_end *e)
{
	struct ranges *r;

	if (!e->seen) {
		uint32_t i = pool_get(&t->seen);

		if (!i)
			return NULL;
		r = pool_at(&t->seen, i);
		ranges_init(r);
		if (e->nxt_off && ranges_add(r, &t->slab, 0, e->nxt_off, 1) < 0) {
			pool_put(&t->seen, i);
			return NULL;
		}
		e->seen = i;
	}
	return pool_at(&t->seen, e->seen);
}

static void seen_settle(struct tracker *t, struct mos_end *e, struct ranges *r)
{
	if (r->n == 1 && r->v[0].from == 0) {
		ranges_fini(r, &t->slab);
		pool_put(&t->seen, e->seen);
		e->seen = 0;
	}
}

/* Add [off, off + len) to a set that has holes. Returns the bytes that are new. */
static uint64_t seen_add(struct tracker *t, struct mos_end *e, uint64_t off, uint32_t len, struct segment *s)
{
	struct ranges *r = seen_make(t, e);

	if (!r) {
		s->forgot = true;
		return len;
	}
	int64_t fresh = ranges_add(r, &t->slab, off, off + len, TRACK_MAX_HOLES);
	s->forgot = fresh < 0;
	if (fresh == -ENOSPC && r->n >= 2) {
		ranges_add(r, &t->slab, r->v[0].to, r->v[1].from, TRACK_MAX_HOLES);
		fresh = ranges_add(r, &t->slab, off, off + len, TRACK_MAX_HOLES);
	}
	seen_settle(t, e, r);
	return fresh < 0 ? len : (uint64_t)fresh;
}

/* Note that e sent [off, off + len). Returns how many of these bytes are new. */
static uint64_t note_bytes(struct tracker *t, struct mos_end *e, uint64_t off, uint32_t len, struct segment *s)
{
	uint64_t end = off + len, fresh;

	if (!e->seen && off <= e->nxt_off) {
		fresh = end > e->nxt_off ? end - e->nxt_off : 0;
	} else {
		s->out_of_order = off > e->nxt_off;
		fresh = seen_add(t, e, off, len, s);
	}
	if (end > e->nxt_off)
		e->nxt_off = end;
	return fresh < len ? fresh : len;
}

/* Cut what lies past an earlier FIN: a connection ends where it said it ends. */
static void cut_at_fin(const struct mos_end *e, struct segment *s)
{
	uint64_t fin = (uint64_t)end_offset(e, e->fin_seq);

	if (s->off + s->len <= fin)
		return;
	s->beyond = s->off >= fin ? s->len : (uint32_t)(s->off + s->len - fin);
	s->len -= s->beyond;
	s->error = MOS_ERR_OUT_OF_WINDOW;
}

/* Data that ends further below what was acknowledged than anything that may still be under way. */
static bool is_far_below(const struct mos_end *e, const struct mos_end *peer, uint32_t end)
{
	return (peer->flags & MOS_END_ACK) && !(e->flags & MOS_END_FIN) &&
	       seq_lt(end, peer->ack - peer->win - UNDER_WAY);
}

/*
 * One such segment is an old duplicate or an attack. A few in a row, while the other end acknowledges such numbers too, mean
 * that the capture missed so much, half the space of numbers or more, that they seem to go back. The stream then goes on
 * ahead of where it was.
 */
static bool goes_on_ahead(struct mos_end *e, struct mos_end *peer)
{
	if (++e->strays % ACKS_BELOW < STRAYS_MAX || peer->strays < ACKS_BELOW)
		return false;
	e->strays = peer->strays = 0;
	peer->flags &= (uint16_t)~MOS_END_ACK; /* what it acknowledged lies behind */
	return true;
}

static void note_payload(struct tracker *t, struct mos_end *e, struct mos_end *peer, const struct mos_packet *p,
			 struct segment *s)
{
	uint32_t seq = p->seq + !!(p->tcp_flags & MOS_TH_SYN);
	int64_t off = end_offset(e, seq);

	if (is_far_below(e, peer, seq + p->payload_len)) {
		if (goes_on_ahead(e, peer))
			off = (int64_t)(e->nxt_off + (seq - end_next(e)));
	} else if (strays(t, e, peer, p)) {
		s->error = MOS_ERR_OUT_OF_WINDOW;
		s->ignored = true;
		return;
	}
	s->len = p->payload_len;
	if (off < 0) {
		s->skip = -off < s->len ? (uint32_t)-off : s->len;
		s->len -= s->skip;
		s->error = MOS_ERR_OUT_OF_WINDOW;
		off = 0;
	}
	s->off = (uint64_t)off;
	if (e->flags & MOS_END_FIN)
		cut_at_fin(e, s);
	if (!s->len)
		return;
	e->flags |= MOS_END_DATA;
	if (note_bytes(t, e, s->off, s->len, s) < s->len)
		s->rexmit = true;
}

static void note_fin(struct mos_end *e, const struct mos_packet *p, struct segment *s)
{
	uint32_t seq = p->seq + !!(p->tcp_flags & MOS_TH_SYN) + p->payload_len;

	if (!(e->flags & MOS_END_FIN)) {
		e->fin_seq = seq;
		e->flags |= MOS_END_FIN;
	} else if (seq == e->fin_seq) {
		s->rexmit = true;
	}
}

static void note_ack(struct mos_end *e, struct mos_end *peer, const struct mos_packet *p)
{
	int32_t ahead = peer->flags & MOS_END_BASE ? seq_diff(p->ack, end_max(peer)) : 0;

	if (ahead > FAR)
		return;
	if ((e->flags & MOS_END_ACK) && seq_lt(p->ack, e->ack - e->win - UNDER_WAY))
		e->strays |= ACKS_BELOW;
	if (!(e->flags & MOS_END_ACK) || seq_gt(p->ack, e->ack))
		e->ack = p->ack;
	e->flags |= MOS_END_ACK;
	if ((peer->flags & MOS_END_FIN) && seq_gt(e->ack, peer->fin_seq))
		peer->flags |= MOS_END_FIN_ACKED;
}

/* RFC 7323 2.2: scaled only if both SYNs offered it, and never in a SYN itself. */
static void note_window(struct mos_end *e, const struct mos_end *peer, const struct mos_packet *p)
{
	bool scaled = (e->flags & peer->flags & MOS_END_WSCALE) && !(p->tcp_flags & MOS_TH_SYN);

	e->win = (uint32_t)p->window << (scaled ? e->wscale : 0);
}

static uint8_t state_after(struct mos_end *e, const struct mos_end *peer, const struct segment *s)
{
	uint8_t state = e->state;

	if (s->flags & MOS_TH_RST)
		return fsm_sent(state, SENT_RST);
	if ((peer->flags & MOS_END_FIN_ACKED) && !(e->flags & MOS_END_FIN_RCVD)) {
		e->flags |= MOS_END_FIN_RCVD;
		state = fsm_sent(state, SENT_FIN_RCVD);
	}
	if (s->flags & MOS_TH_SYN)
		state = fsm_sent(state, s->flags & MOS_TH_ACK ? SENT_SYNACK : SENT_SYN);
	else if (!(s->flags & MOS_TH_FIN))
		state = fsm_sent(state, SENT_OTHER);
	if (s->flags & MOS_TH_FIN)
		state = fsm_sent(state, SENT_FIN);
	return state;
}

/*
 * Where the stream of an end begins that is first heard midstream: where the other end waits for it, if that is no more than
 * a window below its first segment, which others may have overtaken.
 */
static uint32_t first_seq(const struct mos_end *peer, uint32_t seq)
{
	bool waiting = (peer->flags & MOS_END_ACK) && seq_gt(seq, peer->ack) && seq - peer->ack <= WINDOW_SLACK;

	return waiting ? peer->ack : seq;
}

/* SYN, payload, FIN and acknowledgement of a segment that its receiver will accept. */
static void note_segment(struct tracker *t, struct mos_end *e, struct mos_end *peer, const struct mos_packet *p,
			 struct segment *s)
{
	if (s->flags & MOS_TH_SYN)
		note_syn(e, p, s);
	if (s->ignored)
		return;
	if (!(e->flags & MOS_END_BASE)) {
		e->isn = first_seq(peer, p->seq) - 1;
		e->flags |= MOS_END_BASE;
	}
	s->keepalive = is_keepalive(e, peer, p);
	s->off = s->top = e->nxt_off;
	if (p->payload_len && !s->keepalive && !(s->flags & MOS_TH_RST))
		note_payload(t, e, peer, p, s);
	if (s->ignored)
		return;
	if (s->flags & MOS_TH_FIN)
		note_fin(e, p, s);
	if (s->flags & MOS_TH_ACK)
		note_ack(e, peer, p);
	note_window(e, peer, p);
}

bool track_sender(struct tracker *t, struct mos_conn *c, const struct mos_packet *p, struct segment *s)
{
	int side = p->dir ^ c->cli;
	struct mos_end *e = end_of(c, (unsigned)side), *peer = end_of(c, (unsigned)side ^ 1);

	*s = (struct segment){ .side = side, .flags = p->tcp_flags, .ack = p->ack };
	e->pkts++;
	e->ip_bytes += p->ip_len;
	c->last_side = (uint8_t)side;

	if ((s->flags & MOS_TH_RST) && !(c->flags & MOS_CONN_CLOSED) && !reset_counts(e, peer, p)) {
		s->ignored = true;
		s->error = MOS_ERR_OUT_OF_WINDOW;
	} else if ((e->flags & peer->flags & MOS_END_TS) && paws_rejects(e, peer, p)) {
		s->ignored = s->paws = true;
		s->error = MOS_ERR_OUT_OF_WINDOW;
	} else {
		if (s->flags & MOS_TH_SYN)
			keep_isn(c, side, p);
		else if (c->pending_side >= PENDING_ISN)
			settle_isn(c, !side, p);
		note_segment(t, e, peer, p, s);
	}
	e->rexmits += s->rexmit;
	if (s->ignored || (c->flags & MOS_CONN_CLOSED))
		return false;
	if (s->flags & MOS_TH_RST)
		e->flags |= MOS_END_RST;
	uint8_t old = e->state;
	e->state = state_after(e, peer, s);
	return e->state != old;
}
