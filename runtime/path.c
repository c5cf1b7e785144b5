/*
 * Every stage of a packet's way, in order. A burst is decoded, then looked up, so that the memory of the later stages is
 * under way while the earlier ones work; then each packet goes through alone.
 */
#include "path.h"

#include <netinet/in.h>

#include "api/filter.h"
#include "connection.h"
#include "delivery.h"
#include "pkt/decode.h"
#include "pkt/decode_plain.h"
#include "pkt/defrag.h"
#include "pkt/edit.h"
#include "rewrite.h"
#include "tcp/plain.h"

/*
 * A burst goes through four stages in steps of a few packets: it is decoded, its connections are looked for, what they lead
 * to is asked for, and each packet goes its way. While one step waits for what the one before has asked the cache for, there
 * is work on the others.
 */
enum { STEP = 8, FRAMES_AHEAD = 8, KEPT_AHEAD = 4 };

/* GCC takes a function that only asks for cache lines for one without effect, and drops the calls, unless it is inlined early. */
#define PREFETCHES static inline __attribute__((always_inline)) void

PREFETCHES prefetch_frame(const struct worker *w, const struct mos_packet *p)
{
	__builtin_prefetch(p->data);
	__builtin_prefetch(p->data + w->headers_ahead);
}

/* Not the most common frame. Where it is not TCP its key is no connection's. */
__attribute__((noinline)) static uint64_t step_walk(struct worker *w, struct mos_packet *p)
{
	w->stats.decode[packet_decode_plain6(p) ? MOS_DECODED_TCP : packet_walk(p)]++;
	w->walked = true;
	if (p->decoded != MOS_DECODED_TCP)
		memset(&p->key, 0, sizeof(p->key));
	return key_hash(&p->key, &w->seed);
}

/* Of the packets p to end, in a burst that ends at last: where their connections are looked for. */
static inline void step_decode(struct worker *w, struct mos_packet *p, const struct mos_packet *end,
			       const struct mos_packet *last, const struct table_bucket **home)
{
	uint64_t bytes = 0, ends[2];

	w->stats.packets += (size_t)(end - p);
	for (; p < end; p++) {
		if (p + FRAMES_AHEAD < last)
			prefetch_frame(w, p + FRAMES_AHEAD);
		bytes += p->len;
		if (__builtin_expect(packet_decode_plain(p, ends), 1)) {
			w->stats.decode[MOS_DECODED_TCP]++;
			p->hash = key_hash_ip4(ends[0], ends[1], &w->seed);
		} else {
			p->hash = step_walk(w, p);
		}
		/* Of a common frame's 66 bytes of headers the last two are the end of TSecr, which nobody asks for. */
		__builtin_prefetch(p->data + p->payload - 4);
		*home++ = table_prefetch(&w->table, p->hash);
	}
	w->stats.bytes += bytes;
}

static inline void step_find(const struct worker *w, struct mos_packet *p, const struct mos_packet *end,
			     const struct table_bucket *const *home)
{
	for (; p < end; p++) {
		p->slot = table_candidate(*home++, p->hash);
		const char *c = (const char *)worker_conn(w, p->slot);
		__builtin_prefetch(c, 1);
		__builtin_prefetch(c + 64, 1);
		__builtin_prefetch(c + 128, 1);
	}
}

/*
 * What a connection leads to: its socket, unless nobody hears of plain packets, and while it begins or ends the line that
 * timers are linked through. Where one is not needed its first line, which is there, is asked for again: no branch.
 */
PREFETCHES step_reach(const struct worker *w, const struct mos_packet *p, const struct mos_packet *end)
{
	const uint32_t often = BIT_PKT_IN_SND | BIT_PKT_IN_RCV | BIT_CONN_NEW_DATA_NUL;
	const struct mos_sock *socks = w->d.ctx->socks;

	for (; p < end; p++) {
		const struct mos_conn *c = worker_conn(w, p->slot);
		uint32_t turns = ~c->flags & MOS_CONN_PLAIN;
		const struct mos_sock *sock = &socks[c->sock];

		__builtin_prefetch(turns | (c->mask & often) ? (const char *)sock : (const char *)c, 1);
		__builtin_prefetch((const char *)c + (turns ? offsetof(struct mos_conn, timer_next) : 0), 1);
	}
}

/*
 * The bytes that the packet's receiver has, and the script's record, where there are any: a little ahead of the packet, when
 * both ends are there to ask.
 */
PREFETCHES prefetch_kept(const struct worker *w, const struct mos_packet *p)
{
	const struct mos_conn *c = worker_conn(w, p->slot);
	const struct mos_ctx *x = w->d.ctx;

	if (w->tcp.streams.used) {
		const char *stream = pool_at(&w->tcp.streams, c->end[!(p->dir ^ c->cli)].stream);

		__builtin_prefetch(stream, 1);
		__builtin_prefetch(stream + 64, 1);
	}
	if (x->rec_size)
		__builtin_prefetch(x->recs + (size_t)p->slot * x->rec_size, 1);
}

static bool sees(const struct passive *s, const struct mos_packet *p)
{
	return s->used && (!s->family || s->family == p->ip_version);
}

__attribute__((noinline)) static void raw_packet(struct worker *w, struct mos_packet *p)
{
	for (uint32_t i = 0; i < w->d.passives; i++) {
		struct passive *s = &w->d.passive[i];

		if (sees(s, p) && s->raw && filter_match(s->raw_filter, p))
			dispatch_passive(&w->d, i, BIT_PKT_IN_NUL, p);
	}
}

/* No connection claims it: every stream socket that sees its kind hears of it. */
__attribute__((noinline)) static void orphan_packet(struct worker *w, struct mos_packet *p)
{
	w->stats.orphans++;
	w->stats.orphans_compressed += p->decoded == MOS_DECODED_IP && p->ip_proto == IPPROTO_COMP;
	w->stats.orphans_encrypted += p->decoded == MOS_DECODED_IP && p->ip_proto == IPPROTO_ESP;
	for (uint32_t i = 0; i < w->d.passives; i++) {
		struct passive *s = &w->d.passive[i];

		if (!sees(s, p) || s->raw || !filter_match(s->orphan, p))
			continue;
		if (p->decoded == MOS_DECODED_TCP)
			dispatch_passive(&w->d, i, BIT_PKT_IN_NUL, p);
		else if (p->decoded >= MOS_DECODE_BAD)
			dispatch_passive(&w->d, i, BIT_ERROR_NUL, p);
		dispatch_passive(&w->d, i, BIT_ORPHAN_NUL, p);
	}
}

/* Payload that is not going to reach a stream. */
static void count_lost_payload(struct stats *st, const struct mos_packet *p, const struct segment *s)
{
	if (s->ignored)
		st->refused_bytes += p->payload_len;
	else if (s->flags & MOS_TH_RST)
		st->rst_bytes += p->payload_len;
	else
		st->outside_bytes += s->skip + s->beyond;
}

static void count_segment(struct stats *st, const struct mos_conn *c, const struct mos_packet *p,
			  const struct segment *s)
{
	bool closed = c->flags & MOS_CONN_CLOSED, rst = s->flags & MOS_TH_RST;

	if (__builtin_expect(!(s->rexmit | s->keepalive | s->out_of_order | s->forgot | s->error | closed | rst), 1))
		return;
	count_lost_payload(st, p, s);
	st->rexmit_packets += s->rexmit;
	st->keepalives += s->keepalive;
	st->out_of_order_packets += s->out_of_order;
	st->paws_rejected += s->paws;
	st->hole_limit += s->forgot;
	st->after_close_packets += closed;
	if (s->error == MOS_ERR_OUT_OF_WINDOW && !s->paws) {
		st->rst_ignored += !!(s->flags & MOS_TH_RST);
		st->out_of_window += !(s->flags & MOS_TH_RST);
	}
}

/*
 * A wrong checksum: the receiver's stack will not see the packet, so nothing follows from it, nor does it begin anything.
 * False if no connection claims it.
 */
static bool damaged_packet(struct worker *w, struct mos_packet *p)
{
	struct mos_conn *c = connection_find(w, p);

	w->stats.bad_checksum++;
	if (!c)
		return false;
	c->last_ns = w->now_ns;
	w->seg = &(const struct segment){ .ignored = true };
	connection_error(w, c, p->dir == c->cli ? MOS_SIDE_SVR : MOS_SIDE_CLI, MOS_ERR_CHECKSUM, p);
	w->seg = NULL;
	return true;
}

/* The common packet of an established connection: no state changes, nothing repeats, nothing is refused. */
static inline __attribute__((always_inline)) void plain_packet(struct worker *w, struct mos_conn *c,
							       struct mos_packet *p, int side, uint64_t off)
{
	if (!(c->mask & (BIT_PKT_IN_SND | BIT_PKT_IN_RCV)) && p->verdict != MOS_DROPPED &&
	    !delivery_plain_due(c, p, side))
		return;
	dispatch_conn(&w->d, c, BIT_PKT_IN_SND, side, p);
	if (delivery_plain_due(c, p, side))
		delivery_plain(w, c, p, side, off);
	dispatch_conn(&w->d, c, BIT_PKT_IN_RCV, !side, p);
	if (__builtin_expect((c->flags & MOS_CONN_REWRITTEN) || p->verdict == MOS_DROPPED, 0))
		rewrite_packet(w, c, p,
			       &(const struct segment){ .side = side, .off = off, .top = off, .len = p->payload_len });
}

static void late_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p);

/* Both ends know of the packet, and handlers have heard of it. */
static inline void packet_over(struct worker *w, struct mos_conn *c, struct mos_packet *p, const struct segment *s,
			       bool was_closed)
{
	w->seg = NULL;
	if (__builtin_expect((c->flags & MOS_CONN_REWRITTEN) || p->verdict == MOS_DROPPED, 0))
		rewrite_packet(w, c, p, s);
	if (__builtin_expect(w->gave_up, 0))
		delivery_pass_gaps(w, c);
	if (!was_closed && (c->flags & MOS_CONN_CLOSED))
		connection_closed(w, c);
	if (__builtin_expect(c->flags & MOS_CONN_REWRITTEN, 0))
		reorder_release(w, c, late_packet);
}

/* A packet that track_ordered took, in the same order as any. */
static inline void ordered_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p, struct segment *s,
				  bool changed)
{
	uint32_t news = BIT_PKT_IN_SND | (changed ? BIT_TCP_STATE_CHANGE_SND : 0);

	w->seg = s;
	dispatch_conn(&w->d, c, news, s->side, p);
	bool was_closed = c->flags & MOS_CONN_CLOSED;
	changed = track_receiver(c, s);
	if (s->len || ((c->end[0].flags | c->end[1].flags) & MOS_END_EARLY))
		delivery_packet(w, c, p, s);
	news = BIT_PKT_IN_RCV | (changed ? BIT_TCP_STATE_CHANGE_RCV : 0);
	dispatch_conn(&w->d, c, news, !s->side, p);
	packet_over(w, c, p, s, was_closed);
}

/*
 * Any packet: its sender's side, the retransmission check, its receiver's side. c NULL: its connection is to be found. False if
 * none claims it.
 */
__attribute__((noinline)) static bool any_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p)
{
	struct segment s;
	struct dispatch *d = &w->d;
	bool changed, opened = false;

	if (!c) {
		c = connection_of(w, p, &opened);
		if (!c)
			return false;
		c->last_ns = w->now_ns;
	}
	if (__builtin_expect(c->flags & MOS_CONN_REWRITTEN, 0)) {
		if (reorder_hold(w, c, p))
			return true;
		rewrite_acks(w, c, p);
	}
	if (track_ordered(c, p, p->dir ^ c->cli, &s, &changed)) {
		ordered_packet(w, c, p, &s, changed);
		return true;
	}
	w->seg = &s;
	changed = track_sender(&w->tcp, c, p, &s);
	uint32_t start = opened ? BIT_CONN_START_SND : 0;

	dispatch_conn(d, c, BIT_PKT_IN_SND | start | (changed ? BIT_TCP_STATE_CHANGE_SND : 0), s.side, p);

	if (s.rexmit) {
		dispatch_conn(d, c, BIT_REXMIT_SND, s.side, p);
		dispatch_conn(d, c, BIT_REXMIT_RCV, !s.side, p);
	}
	bool was_closed = c->flags & MOS_CONN_CLOSED;
	count_segment(&w->stats, c, p, &s);
	changed = track_receiver(c, &s);
	if (s.error)
		connection_error(w, c, !s.side, s.error, p);
	delivery_packet(w, c, p, &s);
	start = opened ? BIT_CONN_START_RCV : 0;
	dispatch_conn(d, c, BIT_PKT_IN_RCV | start | (changed ? BIT_TCP_STATE_CHANGE_RCV : 0), !s.side, p);
	packet_over(w, c, p, &s, was_closed);
	return true;
}

/* One that waited for others before it. */
static void late_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p)
{
	any_packet(w, c, p);
}

/* False, and nothing has happened, if p is not a common packet of the connection that the look-up found for it. */
static inline __attribute__((always_inline)) bool plain_claimed(struct worker *w, struct mos_packet *p)
{
	struct mos_conn *c = worker_conn(w, p->slot);
	int side = p->dir ^ c->cli;
	uint64_t off;

	if (((c->flags ^ w->live) & (MOS_CONN_LIVE | MOS_CONN_EPOCH | MOS_CONN_PLAIN)) != MOS_CONN_PLAIN ||
	    !key_equal(&c->key, &p->key) || !track_plain(c, p, side, &off))
		return false;
	c->last_ns = w->now_ns;
	plain_packet(w, c, p, side, off);
	return true;
}

/* False if no connection claims it. */
static inline __attribute__((always_inline)) bool segment_packet(struct worker *w, struct mos_packet *p)
{
	w->stats.tcp_packets++;
	if (__builtin_expect(w->set.verify_checksums, 0) && !packet_checksums_ok(p))
		return damaged_packet(w, p);
	return plain_claimed(w, p) || any_packet(w, NULL, p);
}

/*
 * Fragments pass one by one. The one that completes a TCP segment stands for all of it: the segment goes its way here,
 * as a packet of its own, and its verdict is the verdict of this fragment. Without this one no receiver puts the others
 * together. If the segment was edited, it leaves in this fragment's place. False if no connection claims what p completes,
 * or it completes nothing.
 */
__attribute__((noinline)) static bool fragment_packet(struct worker *w, struct mos_packet *p)
{
	struct mos_packet *whole = &w->whole;

	if (w->set.verify_checksums && !packet_checksums_ok(p)) {
		w->stats.bad_checksum++;
		return false;
	}
	if (!defrag_add(&w->defrag, p, whole) || packet_decode(whole) != MOS_DECODED_TCP)
		return false;
	whole->hash = key_hash(&whole->key, &w->seed);
	w->fragment = p;
	uint32_t mss = rewrite_mss_of(w, whole);

	if (!segment_packet(w, whole))
		return false;
	if (whole->verdict == MOS_DROPPED)
		p->verdict = MOS_DROPPED;
	else if (whole->data != w->defrag.whole || (whole->changed && rewrite_whole(w, whole, mss)))
		*p = *whole;
	return true;
}

static bool is_claimed(struct worker *w, struct mos_packet *p)
{
	if (p->decoded == MOS_DECODED_TCP)
		return segment_packet(w, p);
	return p->decoded == MOS_DECODED_FRAGMENT && fragment_packet(w, p);
}

static void one_packet(struct worker *w, struct mos_packet *p)
{
	if (w->d.null_mask & BIT_PKT_IN_NUL)
		raw_packet(w, p);
	if (!is_claimed(w, p))
		orphan_packet(w, p);
	if (__builtin_expect(p->verdict == MOS_DROPPED, 0))
		w->stats.dropped++;
}

/* Apart, so that packets at the same moment, and those before anything is due, pay a comparison each. */
__attribute__((noinline)) static void time_passes(struct worker *w, uint64_t now_ns)
{
	if (w->failed)
		return;
	timers_run(&w->timers, &w->d, now_ns);
	if (w->halted && !worker_go_on(w))
		return;
	wheel_advance(&w->wheel, now_ns, connection_timeout, w);
	uint64_t tick = 1ull << WHEEL_TICK_SHIFT, next = timers_next(&w->timers);
	w->wake_ns = next < now_ns + tick ? next : now_ns + tick;
}

static inline void advance(struct worker *w, uint64_t now_ns)
{
	if (now_ns <= w->now_ns)
		return;
	w->now_ns = w->d.ctx->now_ns = now_ns;
	if (now_ns >= w->wake_ns)
		time_passes(w, now_ns);
}

void path_advance(struct worker *w, uint64_t now_ns)
{
	advance(w, now_ns);
}

static inline void tell_watcher(const struct worker *w, unsigned n)
{
	if (__builtin_expect(w->d.watcher && w->d.watcher->burst, 0))
		w->d.watcher->burst(w->d.watcher->arg, n);
}

/* Returns where it stopped: `to`, or the first packet that is not to be handled. */
static inline unsigned step_handle(struct worker *w, unsigned from, unsigned to, unsigned n)
{
	unsigned i;
	bool kept = w->tcp.streams.used || w->d.ctx->rec_size;

	for (i = from; i < to && (__builtin_expect(!w->halted, 1) || worker_go_on(w)); i++) {
		w->at = i;
		if (kept && i + KEPT_AHEAD < n)
			prefetch_kept(w, &w->burst[i + KEPT_AHEAD]);
		advance(w, w->burst[i].ts_ns);
		one_packet(w, &w->burst[i]);
	}
	return i;
}

static inline unsigned at_most(unsigned i, unsigned n)
{
	return i < n ? i : n;
}

/* Returns how many were handled. All are decoded. */
static unsigned burst_pass(struct worker *w, unsigned n)
{
	const struct table_bucket *home[STEP];
	struct mos_packet *p = w->burst;
	unsigned done = 0;

	for (unsigned i = 0; i < n + 3 * STEP; i += STEP) {
		unsigned from = at_most(i, n), to = at_most(i + STEP, n);

		if (i >= STEP)
			step_find(w, p + at_most(i - STEP, n), p + from, home);
		step_decode(w, p + from, p + to, p + n, home);
		if (i >= 2 * STEP)
			step_reach(w, p + at_most(i - 2 * STEP, n), p + at_most(i - STEP, n));
		if (i >= 3 * STEP && done == i - 3 * STEP)
			done = step_handle(w, done, at_most(i - 2 * STEP, n), n);
	}
	return done;
}

unsigned path_burst(struct worker *w, unsigned n)
{
	tell_watcher(w, n);
	w->headers_ahead = w->walked ? 64 : 0;
	w->walked = false;
	for (unsigned i = 0; i < n && i < FRAMES_AHEAD; i++)
		prefetch_frame(w, &w->burst[i]);
	unsigned done = burst_pass(w, n);

	w->at = done;
	delivery_new_data(w);
	tell_watcher(w, 0);
	return done;
}
