#include "delivery.h"

#include "api/reader.h"
#include "connection.h"
#include "takeover.h"

enum {
	GAP_WAIT_NS = 200 * 1000 * 1000,
	STARVE_PROBES = 64,
	STARVE_MAX = 8,           /* buffers given up for one packet */
	SLAB_PIECE = 1024 * 1024, /* that a buffer may need at once */
	WARM_MOST = 16 * 1024 /* bytes of payload prefetched before their readers run: half of a first-level cache */
};

static void raise_all(struct worker *w, bool between);

static void mark_dirty(struct worker *w, struct mos_conn *c, int side)
{
	struct mos_end *r = &c->end[side];

	if (r->flags & MOS_END_DIRTY)
		return;
	if (w->dirty_n == sizeof(w->dirty) / sizeof(w->dirty[0]))
		raise_all(w, false);
	r->flags |= MOS_END_DIRTY;
	w->dirty[w->dirty_n++] = worker_conn_index(w, c) << 1 | (uint32_t)side;
}

static void raise_new_data(struct worker *w, struct mos_conn *c, int side)
{
	struct mos_end *r = &c->end[side];

	if (!(r->flags & MOS_END_DIRTY))
		return;
	r->flags &= (uint16_t)~MOS_END_DIRTY;
	takeover_check(w, c);
	dispatch_conn(&w->d, c, BIT_CONN_NEW_DATA_NUL, side, NULL);
}

/* The packets of the burst are about to go: unread bytes must not stay in them. */
static void settle(struct worker *w, const struct mos_conn *c, int side)
{
	struct stream *st = track_stream(&w->tcp, c, side);

	if (st && st->held)
		stream_settle(st, &w->tcp.slab, reader_keep(w, c, side));
}

static inline void prefetch_piece(const struct stream_piece *piece)
{
	for (size_t at = 0; at < piece->len; at += 64)
		__builtin_prefetch(piece->bytes + at);
}

/*
 * Memory is to be busy all the time: while packets go their way it brings the payload of the first of them, and while that
 * is read, the payload of the next.
 */
static inline void prefetch_next_piece(struct worker *w)
{
	if (!w->cold)
		return;
	prefetch_piece(&w->pieces[__builtin_ctz(w->cold)]);
	w->cold &= w->cold - 1;
}

/* between: no packet is under way, so a halt can be seen to. Whether or not handlers still run, nothing stays held. */
static void raise_all(struct worker *w, bool between)
{
	bool go_on = true;

	for (uint32_t i = 0; i < w->dirty_n; i++) {
		struct mos_conn *c = worker_conn(w, w->dirty[i] >> 1);
		int side = w->dirty[i] & 1;

		prefetch_next_piece(w);
		if (go_on && between && __builtin_expect(w->halted, 0))
			go_on = worker_go_on(w);
		if (!(c->flags & MOS_CONN_LIVE))
			continue;
		if (go_on)
			raise_new_data(w, c, side);
		settle(w, c, side);
	}
	w->dirty_n = 0;
	w->cold = w->warm = 0;
}

void delivery_new_data(struct worker *w)
{
	raise_all(w, true);
}

/* The largest buffer that one of the connection's sockets wants, and that socket's way with overlaps. */
static struct stream *make_stream(struct worker *w, struct mos_conn *c, int side, uint64_t start)
{
	uint64_t limit = 0;
	uint8_t policy = MOS_OVERLAP_POLICY_FIRST;

	for (uint32_t i = c->sock; i;) {
		const struct mos_sock *s = pool_at(&w->d.socks, i);
		const struct passive *ps = &w->d.passive[s->passive];

		if (ps->buf[side] > limit) {
			limit = ps->buf[side];
			policy = ps->overlap[side];
		}
		i = s->next;
	}
	return limit ? track_stream_make(&w->tcp, c, side, limit, policy, start) : NULL;
}

/* Bytes that are going to be lost for want of room, n of them. */
static void lose(struct worker *w, struct mos_conn *c, int side, uint64_t n, struct mos_packet *p)
{
	w->stats.buffer_full++;
	w->stats.buffer_lost_bytes += n;
	connection_error(w, c, side, MOS_ERR_BUFFER_FULL, p);
}

/* The buffer of `side` is given up: what it holds is announced before it goes. */
static void starve(struct worker *w, struct mos_conn *c, int side)
{
	raise_new_data(w, c, side);
	track_stream_drop(&w->tcp, c, side);
	c->flags |= (uint16_t)(MOS_CONN_STARVED << side);
	w->stats.memory_limit++;
	connection_error(w, c, side, MOS_ERR_MEMORY, NULL);
}

/*
 * Give up the largest buffer among those of the next few connections of the pool: looking at a few keeps the cost of a
 * flood constant. False if none of them has any.
 */
static bool starve_largest(struct worker *w)
{
	struct mos_conn *best = NULL;
	size_t most = 0;
	int best_side = 0;

	for (unsigned i = 0; i < STARVE_PROBES; i++) {
		w->probe = w->probe % w->conns.top + 1;
		struct mos_conn *c = worker_conn(w, w->probe);

		for (int side = 0; side < 2 && (c->flags & MOS_CONN_LIVE); side++) {
			const struct stream *st = track_stream(&w->tcp, c, side);

			if (!st || st->cap <= most)
				continue;
			best = c;
			best_side = side;
			most = st->cap;
		}
	}
	if (best)
		starve(w, best, best_side);
	return best != NULL;
}

/* With settings.memory_largest: room in the worker's memory for st to take bytes up to offset `end`. */
static void make_memory(struct worker *w, const struct stream *st, uint64_t end)
{
	const struct slab *slab = &w->tcp.slab;
	size_t more = end - st->base > st->room ? 2 * (size_t)(st->limit < SLAB_PIECE ? st->limit : SLAB_PIECE) : 0;

	for (unsigned i = 0; i < STARVE_MAX && slab->limit && slab->used + more > slab->limit; i++)
		if (!starve_largest(w))
			break;
}

static void note_early(struct mos_end *r, const struct stream *st)
{
	if (st->early.n)
		r->flags |= MOS_END_EARLY;
	else
		r->flags &= (uint16_t)~MOS_END_EARLY;
}

/*
 * [off, off + len) needs the room of unread bytes. They are not lost in silence: what the burst has brought so far is
 * announced, then ERROR is raised, and a handler of either may read them. Returns the lowest offset still unread.
 */
static uint64_t make_room(struct worker *w, struct mos_conn *c, int side, uint64_t off, uint64_t len,
			  struct mos_packet *p)
{
	const struct stream *st = track_stream(&w->tcp, c, side);
	uint64_t keep = reader_keep(w, c, side);

	if (__builtin_expect(!stream_excess(st, off, len, keep), 1))
		return keep;
	raise_new_data(w, c, side);
	st = track_stream(&w->tcp, c, side);
	keep = reader_keep(w, c, side);
	if (!st || !stream_excess(st, off, len, keep))
		return keep;
	w->stats.buffer_full++;
	connection_error(w, c, side, MOS_ERR_BUFFER_FULL, p);
	return reader_keep(w, c, side);
}

/* Give up what is missing below offset `to` in the stream that `side` receives. */
static void give_up(struct worker *w, struct mos_conn *c, int side, uint64_t to, struct mos_packet *p)
{
	struct stream *st = track_stream(&w->tcp, c, side);

	if (to <= st->cont)
		return;
	make_room(w, c, side, st->cont, to - st->cont, p);
	if (!(st = track_stream(&w->tcp, c, side)))
		return;
	uint64_t lost = st->lost;
	uint64_t missing = stream_skip(st, &w->tcp.slab, to);
	w->stats.buffer_lost_bytes += st->lost - lost;

	w->stats.gaps++;
	w->stats.gap_bytes += missing;
	note_early(&c->end[side], st);
	mark_dirty(w, c, side);
	w->gave_up = true;
	connection_error(w, c, side, MOS_ERR_GAP, p);
}

static void give_up_acked(struct worker *w, struct mos_conn *c, int side, struct mos_packet *p)
{
	uint64_t acked = track_acked(c, !side);
	struct stream *st;

	while ((st = track_stream(&w->tcp, c, side)) && st->early.n && st->early.v[0].from <= acked)
		give_up(w, c, side, st->early.v[0].from, p);
}

/*
 * A hole that its receiver has acknowledged will not be filled by a retransmission: the capture lost it. It may still be
 * filled by a packet that the capture has in another order, so it gets a moment, in packet time.
 */
static void check_holes(struct worker *w, struct mos_conn *c, int side, struct mos_packet *p)
{
	struct stream *st = track_stream(&w->tcp, c, side);

	if (!st || !st->early.n || track_acked(c, !side) < st->early.v[0].from)
		return;
	if (!c->gap_ns)
		c->gap_ns = w->now_ns;
	if (w->now_ns - c->gap_ns < GAP_WAIT_NS)
		return;
	give_up_acked(w, c, side, p);
	c->gap_ns = 0;
}

/* Early bytes that the buffer has no room for, behind what was acknowledged and is not there: no use in waiting for it. */
static void make_way(struct worker *w, struct mos_conn *c, int side, const struct segment *s, uint32_t have,
		     struct mos_packet *p)
{
	const struct stream *st = track_stream(&w->tcp, c, side);
	uint64_t keep = reader_keep(w, c, side), low = keep < st->cont ? keep : st->cont;
	uint64_t acked = track_acked(c, !side);

	if (s->off + have - low <= st->limit)
		return;
	give_up_acked(w, c, side, p);
	if (track_stream(&w->tcp, c, side))
		give_up(w, c, side, acked < s->off ? acked : s->off, p);
}

/* The segment's last bytes were not captured, nor will another copy of them be. */
static void skip_cut(struct worker *w, struct mos_conn *c, int side, const struct segment *s, uint32_t have,
		     struct mos_packet *p)
{
	struct stream *st = track_stream(&w->tcp, c, side);

	w->stats.cut_bytes += s->len - have;
	if (st && st->cont >= s->off + have)
		give_up(w, c, side, s->off + s->len, p);
}

/* NULL: there is none, and what is lost for it is counted. */
static struct stream *stream_for(struct worker *w, struct mos_conn *c, int side, uint64_t end, struct mos_packet *p)
{
	struct stream *st = track_stream(&w->tcp, c, side);

	if (!st && !(c->flags & MOS_CONN_STARVED << side))
		st = make_stream(w, c, side, 0);
	if (st && __builtin_expect(w->set.memory_largest, 0)) {
		make_memory(w, st, end);
		st = track_stream(&w->tcp, c, side);
	}
	if (!st)
		lose(w, c, side, p->payload_caplen, p);
	return st;
}

static void write_bytes(struct worker *w, struct mos_conn *c, int side, const struct segment *s, uint32_t have,
			struct mos_packet *p)
{
	struct stream *st = stream_for(w, c, side, s->off + have, p);
	uint64_t full = w->stats.buffer_full;

	if (!st)
		return;
	if (s->off > st->cont)
		make_way(w, c, side, s, have, p);
	else if (st->policy == MOS_OVERLAP_POLICY_LAST && s->off < st->cont)
		raise_new_data(w, c, side); /* read, whatever the size of bursts is, before they change */
	if (!(st = track_stream(&w->tcp, c, side)))
		return;
	uint64_t keep = make_room(w, c, side, s->off, have, p);
	if (!(st = track_stream(&w->tcp, c, side)))
		return;
	uint64_t lost = st->lost;
	struct stream_write out = stream_write(st, &w->tcp.slab, s->off, p->data + p->payload + s->skip, have, keep);
	lost = st->lost - lost;
	note_early(&c->end[side], st);
	if (lost && full == w->stats.buffer_full)
		lose(w, c, side, lost, p);
	else
		w->stats.buffer_lost_bytes += lost;
	if (out.grown)
		mark_dirty(w, c, side);
	if (out.conflict) {
		w->stats.conflicts++;
		connection_error(w, c, side, MOS_ERR_CONFLICT, p);
	}
	if (have < s->len)
		skip_cut(w, c, side, s, have, p);
}

void delivery_pass_gaps(struct worker *w, struct mos_conn *c)
{
	w->gave_up = false;
	raise_new_data(w, c, MOS_SIDE_CLI);
	raise_new_data(w, c, MOS_SIDE_SVR);
}

static void check_early(struct worker *w, struct mos_conn *c, struct mos_packet *p)
{
	if (__builtin_expect(!((c->end[0].flags | c->end[1].flags) & MOS_END_EARLY), 1))
		return;
	check_holes(w, c, MOS_SIDE_CLI, p);
	check_holes(w, c, MOS_SIDE_SVR, p);
}

void delivery_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p, const struct segment *s)
{
	int side = !s->side;

	if (s->len && !s->ignored && delivery_wanted(c, side)) {
		uint32_t have = p->payload_caplen > s->skip ? p->payload_caplen - s->skip : 0;

		write_bytes(w, c, side, s, have < s->len ? have : s->len, p);
	}
	check_early(w, c, p);
}

/*
 * Does each socket of the connection read what side receives, and none come back to what it has read: to look behind its
 * cursor, to compare a retransmission?
 */
static bool reads_once(const struct worker *w, const struct mos_conn *c, int side)
{
	const int reads = (MOS_SOCK_READS_CLI | MOS_SOCK_PARSES_CLI) << side;
	const uint32_t compares = BIT_REXMIT_SND | BIT_REXMIT_RCV | BIT_ERROR_NUL;

	if (w->looks_back || (c->mask & compares))
		return false;
	for (uint32_t i = c->sock; i;) {
		const struct mos_sock *s = pool_at(&w->d.socks, i);

		if (!(s->flags & reads))
			return false;
		i = s->next;
	}
	return true;
}

/* The packet's payload stays where it is until the burst is over, unless somebody may write into it. */
static bool hold(struct worker *w, struct mos_conn *c, const struct mos_packet *p, int side, struct stream *st)
{
	size_t i = (size_t)(p - w->burst);

	if (i >= IO_BURST || p->payload_caplen < p->payload_len || (c->mask & BIT_PKT_IN_RCV) ||
	    (c->flags & MOS_CONN_REWRITTEN) || !reads_once(w, c, side))
		return false;
	w->pieces[i].bytes = p->data + p->payload;
	w->pieces[i].len = p->payload_len;
	if (w->warm < WARM_MOST)
		prefetch_piece(&w->pieces[i]);
	else
		w->cold |= 1u << i;
	w->warm += p->payload_len;
	return stream_hold(st, &w->tcp.slab, &w->pieces[i], reader_keep(w, c, side));
}

void delivery_plain(struct worker *w, struct mos_conn *c, struct mos_packet *p, int sender, uint64_t off)
{
	struct segment s = { .side = sender, .off = off, .len = p->payload_len };
	int side = !sender;
	struct stream *st = track_stream(&w->tcp, c, side);

	if (!st && s.len && delivery_wanted(c, side))
		st = make_stream(w, c, side, 0);
	if (st && off == st->cont && s.len && delivery_wanted(c, side) && hold(w, c, p, side, st))
		mark_dirty(w, c, side);
	else
		delivery_packet(w, c, p, &s);
}

/* Holes, and what was acknowledged behind the last byte that came or instead of any. */
static void finish_side(struct worker *w, struct mos_conn *c, int side)
{
	uint64_t to = delivery_wanted(c, side) && !(c->flags & MOS_CONN_STARVED << side) ? track_acked_bytes(c, !side)
											 : 0;
	struct stream *st = track_stream(&w->tcp, c, side);

	while (st && st->early.n) {
		give_up(w, c, side, st->early.v[0].from, NULL);
		st = track_stream(&w->tcp, c, side);
	}
	if (!st && to)
		st = make_stream(w, c, side, 0);
	if (st && to > st->cont)
		give_up(w, c, side, to, NULL);
	raise_new_data(w, c, side);
}

void delivery_finish(struct worker *w, struct mos_conn *c)
{
	finish_side(w, c, MOS_SIDE_CLI);
	finish_side(w, c, MOS_SIDE_SVR);
}
