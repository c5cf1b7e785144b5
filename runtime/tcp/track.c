#include "tcp/track.h"

#include <errno.h>

#include "mos_api.h"
#include "tcp/end.h"

int track_init(struct tracker *t, uint32_t max_conns, size_t memory)
{
	uint32_t ends = max_conns < UINT32_MAX / 2 ? 2 * max_conns : UINT32_MAX;
	int rc = pool_init(&t->streams, sizeof(struct stream), ends);

	if (rc == 0)
		rc = pool_init(&t->seen, sizeof(struct ranges), ends);
	slab_init(&t->slab, memory);
	return rc;
}

void track_fini(struct tracker *t)
{
	slab_fini(&t->slab);
	pool_fini(&t->seen);
	pool_fini(&t->streams);
}

/* Without a handshake to tell, well-known and lower ports are servers'. Returns which key end is the client. */
static uint8_t guess_client(const struct mos_packet *p)
{
	uint16_t from = p->key.port[p->dir], to = p->key.port[!p->dir];
	bool from_server = from != to && (from < 1024) != (to < 1024) ? from < 1024 : from < to;

	return from_server ? !p->dir : p->dir;
}

static void base_set(struct mos_end *e, uint32_t isn)
{
	e->isn = isn;
	e->flags |= MOS_END_BASE;
}

static void start_midstream(struct mos_conn *c, const struct mos_packet *p)
{
	c->flags |= MOS_CONN_MIDSTREAM | MOS_CONN_ROLE_GUESSED;
	c->cli = guess_client(p);
	c->end[MOS_SIDE_CLI].state = c->end[MOS_SIDE_SVR].state = TCP_ESTABLISHED;
}

void track_start(struct mos_conn *c, const struct mos_packet *p)
{
	c->end[MOS_SIDE_CLI].state = TCP_CLOSED;
	c->end[MOS_SIDE_SVR].state = TCP_LISTEN;
	if (!(p->tcp_flags & MOS_TH_SYN)) {
		start_midstream(c, p);
	} else if (p->tcp_flags & MOS_TH_ACK) {
		c->flags |= MOS_CONN_MIDSTREAM;
		c->cli = !p->dir;
		c->end[MOS_SIDE_CLI].state = TCP_SYN_SENT;
		base_set(&c->end[MOS_SIDE_CLI], p->ack - 1);
	} else {
		c->cli = p->dir;
	}
}

void track_end(struct tracker *t, struct mos_conn *c)
{
	for (int side = 0; side < 2; side++) {
		struct mos_end *e = &c->end[side];

		track_stream_drop(t, c, side);
		if (e->seen) {
			ranges_fini(pool_at(&t->seen, e->seen), &t->slab);
			pool_put(&t->seen, e->seen);
			e->seen = 0;
		}
	}
}

/* A SYN from `side` while both ends are still opening: another attempt, unless it is the first of a simultaneous open. */
static bool handshake_restarts(const struct mos_end *e, uint32_t seq)
{
	return (e->flags & MOS_END_BASE) && seq != e->isn;
}

static bool is_opening(const struct mos_conn *c)
{
	return c->end[0].state <= TCP_SYN_RCVD && c->end[1].state <= TCP_SYN_RCVD;
}

static bool syn_reuses(struct mos_conn *c, const struct mos_packet *p, int side)
{
	const struct mos_end *e = &c->end[side];
	bool same = (e->flags & MOS_END_BASE) && p->seq == e->isn;

	if (c->flags & MOS_CONN_CLOSED)
		return true;
	if (same)
		return false;
	if ((c->end[0].flags | c->end[1].flags) & MOS_END_FIN)
		return true;
	if (is_opening(c))
		return handshake_restarts(e, p->seq);
	if (c->flags & MOS_CONN_MIDSTREAM)
		return true;
	c->pending_isn = p->seq;
	c->pending_side = (uint8_t)(side + 1);
	return false;
}

/*
 * The answer to a SYN that a reset had answered already: that reset was not the server's, or did not reach the client.
 */
static bool opens_after_reset(const struct mos_conn *c, const struct mos_packet *p, int side)
{
	const struct mos_end *e = &c->end[side], *peer = &c->end[!side];

	return c->flags & MOS_CONN_CLOSED && (e->flags & (MOS_END_RST | MOS_END_SYN)) == MOS_END_RST &&
	       peer->flags & MOS_END_SYN && p->ack == peer->isn + 1;
}

bool track_reuses(struct mos_conn *c, const struct mos_packet *p)
{
	int side = p->dir == c->cli ? MOS_SIDE_CLI : MOS_SIDE_SVR;

	if (!(p->tcp_flags & MOS_TH_SYN) || (p->tcp_flags & MOS_TH_RST))
		return false;
	if (!(p->tcp_flags & MOS_TH_ACK))
		return syn_reuses(c, p, side);
	return (c->pending_side == !side + 1 && p->ack == c->pending_isn + 1) || opens_after_reset(c, p, side);
}

struct stream *track_stream_make(struct tracker *t, struct mos_conn *c, int side, size_t limit, int policy,
				 uint64_t start)
{
	struct stream *s = track_stream(t, c, side);

	if (s)
		return s;
	uint32_t i = pool_get(&t->streams);
	if (!i)
		return NULL;
	s = pool_at(&t->streams, i);
	stream_init(s, limit, policy, start);
	c->end[side].stream = i;
	return s;
}

void track_stream_drop(struct tracker *t, struct mos_conn *c, int side)
{
	struct mos_end *e = &c->end[side];

	if (!e->stream)
		return;
	stream_fini(pool_at(&t->streams, e->stream), &t->slab);
	pool_put(&t->streams, e->stream);
	e->stream = 0;
	e->flags &= (uint16_t)~MOS_END_EARLY;
}

uint64_t track_acked(const struct mos_conn *c, int side)
{
	const struct mos_end *e = &c->end[side], *peer = &c->end[!side];

	if (!(peer->flags & MOS_END_ACK) || !(e->flags & MOS_END_BASE))
		return 0;
	int64_t off = end_offset(e, peer->ack);
	if ((e->flags & MOS_END_FIN) && seq_gt(peer->ack, e->fin_seq))
		off = end_offset(e, e->fin_seq);
	return off > 0 ? (uint64_t)off : 0;
}

static uint64_t seen_total(const struct tracker *t, const struct mos_end *e)
{
	return e->seen ? ranges_total(pool_at(&t->seen, e->seen)) : e->nxt_off;
}

uint64_t track_bytes(const struct tracker *t, const struct mos_conn *c, int side)
{
	return seen_total(t, &c->end[side]);
}

uint64_t track_acked_bytes(const struct mos_conn *c, int side)
{
	const struct mos_end *e = &c->end[side];
	uint64_t acked = track_acked(c, side);

	return acked == e->nxt_off + 1 && !(e->flags & MOS_END_FIN) ? e->nxt_off : acked;
}

uint64_t track_missing(const struct tracker *t, const struct mos_conn *c, int side)
{
	const struct mos_end *e = &c->end[side];
	uint64_t acked = track_acked_bytes(c, side);
	uint64_t sent = acked > e->nxt_off ? acked : e->nxt_off;

	return sent - seen_total(t, e);
}
