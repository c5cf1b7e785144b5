#include "connection.h"

#include <string.h>

#include "api/filter.h"
#include "delivery.h"
#include "rewrite.h"
#include "takeover.h"

enum { EVICT_PROBES = 64 };

static bool is_half_open(const struct mos_conn *c)
{
	return c->end[0].state <= TCP_SYN_RCVD || c->end[1].state <= TCP_SYN_RCVD;
}

/* When an idle connection in its present state ends. */
static uint64_t deadline(const struct worker *w, const struct mos_conn *c)
{
	uint64_t idle;

	if (c->flags & MOS_CONN_CLOSED)
		idle = w->set.linger_ns;
	else if ((c->end[0].flags | c->end[1].flags) & MOS_END_FIN)
		idle = w->set.closing_ns;
	else
		idle = is_half_open(c) ? w->set.half_open_ns : w->set.established_ns;
	return c->last_ns + idle;
}

/* The stream sockets whose filters accept p, as a bit set. */
static uint64_t acceptors(const struct worker *w, const struct mos_packet *p)
{
	uint64_t set = 0;

	for (uint32_t i = 0; i < w->d.passives; i++) {
		const struct passive *s = &w->d.passive[i];

		if (s->used && !s->raw && (!s->family || s->family == p->ip_version) && filter_match(s->syn, p))
			set |= 1ull << i;
	}
	return set;
}

/*
 * Over the limit: give up a half-open connection, else the one idle for longest, among the next few of the pool. Looking at
 * a few keeps the cost of a flood constant.
 */
static void evict(struct worker *w)
{
	struct mos_conn *best = NULL;

	for (unsigned i = 0; i < EVICT_PROBES; i++) {
		w->probe = w->probe % w->conns.top + 1;
		struct mos_conn *c = worker_conn(w, w->probe);

		if (!(c->flags & MOS_CONN_LIVE) || (c->flags & MOS_CONN_ENDING))
			continue;
		if (!best || is_half_open(c) > is_half_open(best) ||
		    (is_half_open(c) == is_half_open(best) && c->last_ns < best->last_ns))
			best = c;
	}
	if (best)
		connection_end(w, best, MOS_ENDED_LIMIT);
}

/* splitmix64's finaliser. */
uint64_t connection_uid(const struct mos_conn *c)
{
	uint64_t x = c->first_ns, word[5];

	memcpy(word, &c->key, sizeof(word));
	for (unsigned i = 0; i < 5; i++) {
		x = (x ^ word[i]) + 0x9e3779b97f4a7c15;
		x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
		x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
		x ^= x >> 31;
	}
	return x;
}

/* NULL: no more connections. */
static struct mos_conn *record_get(struct worker *w, uint32_t *idx)
{
	if (w->conns.used >= w->set.max_conns) {
		w->stats.conn_limit++;
		if (!w->set.conns_pass)
			evict(w);
	}
	*idx = pool_get(&w->conns);
	if (!*idx)
		return NULL;
	struct mos_conn *c = worker_conn(w, *idx);
	uint32_t gen = c->gen + 1;
	for (size_t at = 64; at < sizeof(*c); at += 64)
		__builtin_prefetch((const char *)worker_conn(w, w->conns.free) + at, 1);
	/* Line by line: of all of it at once the compiler makes a string instruction, which takes long to begin. */
	for (size_t at = 0; at < sizeof(*c); at += 64) {
		memset((char *)c + at, 0, 64);
		__asm__("" ::: "memory");
	}
	c->gen = gen;
	if (w->d.ctx->rec_size)
		memset(w->d.ctx->recs + (size_t)*idx * w->d.ctx->rec_size, 0, w->d.ctx->rec_size);
	return c;
}

static void open_sockets(struct worker *w, struct mos_conn *c, uint32_t idx, uint64_t accepted)
{
	uint64_t limit[2] = { 0, 0 };

	while (accepted) {
		uint32_t i = (uint32_t)__builtin_ctzll(accepted);

		accepted &= accepted - 1;
		if (dispatch_open(&w->d, c, idx, i) < 0) {
			w->stats.sock_limit++;
			continue;
		}
		w->stats.sockets++;
		limit[0] |= w->d.passive[i].buf[0];
		limit[1] |= w->d.passive[i].buf[1];
	}
	for (int side = 0; side < 2; side++)
		if (!limit[side])
			c->flags |= (uint16_t)(MOS_CONN_NOBUF << side);
}

static struct mos_conn *open_connection(struct worker *w, const struct mos_packet *p, bool pending)
{
	bool syn = (p->tcp_flags & (MOS_TH_SYN | MOS_TH_ACK | MOS_TH_RST)) == MOS_TH_SYN;
	uint64_t accepted;
	uint32_t idx;

	if (!syn && !pending && !w->set.midstream) {
		w->stats.orphans_no_syn++;
		return NULL;
	}
	if (!(accepted = acceptors(w, p))) {
		w->stats.orphans_filtered++;
		return NULL;
	}
	struct mos_conn *c = record_get(w, &idx);
	if (!c) {
		w->stats.orphans_limit++;
		return NULL;
	}
	c->key = p->key;
	c->hash = (uint32_t)p->hash;
	c->flags = w->live;
	c->start_ns = c->last_ns = w->now_ns;
	c->first_ns = p->ts_ns;
	if (table_insert(&w->table, p->hash, idx) < 0) {
		c->flags = 0;
		pool_put(&w->conns, idx);
		w->stats.orphans_limit++;
		return NULL;
	}
	track_start(c, p);
	c->port = (uint8_t)p->port;
	c->framing = framing_of(&w->framings, p, p->dir != c->cli);
	if (pending) {
		c->flags &= (uint16_t)~MOS_CONN_MIDSTREAM;
		c->end[MOS_SIDE_CLI].flags |= MOS_END_SYN;
	}
	open_sockets(w, c, idx, accepted);
	w->stats.connections++;
	w->stats.connections_midstream += !!(c->flags & MOS_CONN_MIDSTREAM);
	wheel_arm(&w->wheel, idx, deadline(w, c));
	return c;
}

struct mos_conn *connection_find(const struct worker *w, const struct mos_packet *p)
{
	uint32_t i = table_find(&w->table, p->hash, &p->key);

	return i ? worker_conn(w, i) : NULL;
}

struct mos_conn *connection_of_slow(struct worker *w, struct mos_packet *p, bool *opened)
{
	struct mos_conn *c = connection_find(w, p);
	bool pending = false;

	if (c) {
		takeover_check(w, c);
		if (__builtin_expect(!(p->tcp_flags & MOS_TH_SYN), 1) || !track_reuses(c, p))
			return c;
		pending = p->tcp_flags & MOS_TH_ACK;
		connection_end(w, c, MOS_ENDED_REUSED);
	}
	c = open_connection(w, p, pending);
	*opened = c != NULL;
	return c;
}

void connection_error(struct worker *w, struct mos_conn *c, int side, enum mos_error_reason reason,
		      struct mos_packet *p)
{
	takeover_check(w, c);
	c->err_reason = (uint8_t)reason;
	dispatch_conn(&w->d, c, BIT_ERROR_NUL, side, p);
}

void connection_closed(struct worker *w, struct mos_conn *c)
{
	if (w->set.linger_ns)
		wheel_arm(&w->wheel, worker_conn_index(w, c), deadline(w, c));
	else
		connection_end(w, c, c->end_reason);
}

void connection_settle(struct worker *w, struct mos_conn *c)
{
	wheel_arm(&w->wheel, worker_conn_index(w, c), deadline(w, c));
}

void connection_timeout(void *arg, uint32_t idx)
{
	struct worker *w = arg;
	struct mos_conn *c = worker_conn(w, idx);
	uint64_t due = deadline(w, c);

	if (w->halted && !worker_go_on(w))
		return;
	if (due > w->now_ns)
		wheel_arm(&w->wheel, idx, due);
	else
		connection_end(w, c, MOS_ENDED_TIMEOUT);
}

void connection_end(struct worker *w, struct mos_conn *c, enum mos_end_reason reason)
{
	uint32_t idx = worker_conn_index(w, c);
	int side = c->last_side;

	if (c->flags & MOS_CONN_ENDING)
		return;
	takeover_check(w, c);
	c->flags |= MOS_CONN_ENDING;
	if (!(c->flags & MOS_CONN_CLOSED))
		c->end_reason = (uint8_t)reason;
	delivery_finish(w, c);
	for (int i = 0; i < 2; i++, side = !side) {
		dispatch_conn(&w->d, c, BIT_CONN_END_SND, side, NULL);
		dispatch_conn(&w->d, c, BIT_CONN_END_RCV, side, NULL);
	}
	w->stats.ended[c->end_reason]++;
	w->stats.connections_ended++;
	wheel_disarm(&w->wheel, idx);
	table_remove(&w->table, c->hash, idx);
	dispatch_close(&w->d, c);
	if (c->flags & MOS_CONN_REWRITTEN)
		rewrite_end(w, c);
	track_end(&w->tcp, c);
	c->flags = 0;
	pool_put(&w->conns, idx);
}
