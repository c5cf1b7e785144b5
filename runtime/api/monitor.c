#include "api/monitor.h"

#include <errno.h>

#include "api/filter.h"

/* An active socket that its program has not closed. */
static struct mos_sock *active(const struct worker *w, int sock)
{
	struct mos_sock *s = dispatch_sock(&w->d, sock);

	return s && !(s->flags & MOS_SOCK_CLOSED) ? s : NULL;
}

int monitor_open_at(struct worker *w, int number, uint8_t family, bool raw)
{
	struct passive *s = &w->d.passive[number];

	*s = (struct passive){
		.used = true,
		.raw = raw,
		.family = family,
		.buf = { w->set.default_buf, w->set.default_buf },
	};
	hset_get(&w->d.sets, s->set);
	dispatch_refresh_passive(&w->d);
	return number;
}

int monitor_open(struct worker *w, uint8_t family, bool raw)
{
	for (int i = 0; i < PASSIVE_MAX; i++)
		if (!w->d.passive[i].used)
			return monitor_open_at(w, i, family, raw);
	return -EMFILE;
}

/* Its buffer sizes stay until the number is used again: connections that have yet to buffer something ask for them. */
static void close_passive(struct worker *w, struct passive *s)
{
	filter_free(s->syn);
	filter_free(s->orphan);
	filter_free(s->raw_filter);
	s->syn = s->orphan = s->raw_filter = NULL;
	hset_put(&w->d.sets, s->set);
	s->set = 0;
	s->used = false;
	dispatch_refresh_passive(&w->d);
}

/* Has every socket of the connection stopped side? */
static bool all_stopped(const struct worker *w, const struct mos_conn *c, int side)
{
	for (uint32_t i = c->sock; i;) {
		const struct mos_sock *s = pool_at(&w->d.socks, i);

		if (!(s->flags & (MOS_SOCK_CLOSED | MOS_SOCK_STOPPED_CLI << side)))
			return false;
		i = s->next;
	}
	return true;
}

void monitor_settle(struct worker *w, struct mos_conn *c)
{
	for (int side = 0; side < 2; side++)
		if (!(c->end[side].flags & MOS_END_STOPPED) && all_stopped(w, c, side))
			worker_stop(w, c, side);
	dispatch_refresh(&w->d, c);
}

int monitor_close(struct worker *w, int sock)
{
	struct passive *p = dispatch_passive_at(&w->d, sock);
	struct mos_sock *s = active(w, sock);

	if (p) {
		close_passive(w, p);
	} else if (s) {
		s->flags |= MOS_SOCK_CLOSED;
		monitor_settle(w, worker_conn(w, s->conn));
	} else {
		return -EBADF;
	}
	return 0;
}

void monitors_fini(struct worker *w)
{
	for (int i = 0; i < PASSIVE_MAX; i++)
		if (w->d.passive[i].used)
			close_passive(w, &w->d.passive[i]);
}

static void replace(struct pkt_filter **old, struct pkt_filter *f)
{
	filter_free(*old);
	*old = f;
}

int monitor_bind(struct worker *w, int sock, const char *filter, const char *orphan, char *err, size_t errlen)
{
	struct passive *s = dispatch_passive_at(&w->d, sock);
	struct pkt_filter *first = NULL, *second = NULL;

	if (!s)
		return active(w, sock) ? -ENOPROTOOPT : -EBADF;
	if (filter && !(first = filter_compile(filter, s->raw ? FILTER_FRAME : FILTER_INNER, err, errlen)))
		return -EINVAL;
	if (orphan && !s->raw && !(second = filter_compile(orphan, FILTER_INNER, err, errlen))) {
		filter_free(first);
		return -EINVAL;
	}
	replace(s->raw ? &s->raw_filter : &s->syn, first);
	replace(&s->orphan, second);
	return 0;
}

static bool is_end(int side)
{
	return side == MOS_SIDE_CLI || side == MOS_SIDE_SVR;
}

int monitor_buffer(struct worker *w, int sock, int side, uint64_t limit)
{
	struct passive *p = dispatch_passive_at(&w->d, sock);
	struct mos_sock *s = active(w, sock);

	if (!p && !s)
		return -EBADF;
	if (!is_end(side))
		return -EINVAL;
	if (p)
		p->buf[side] = limit;
	else
		worker_set_buffer(w, worker_conn(w, s->conn), side, limit);
	return 0;
}

/* Nothing has come yet: make the stream, because the policy is kept in it. */
static int make_stream(struct worker *w, struct mos_conn *c, int side, int policy)
{
	uint64_t limit = 0;

	if ((c->flags & MOS_CONN_NOBUF << side) || (c->end[side].flags & MOS_END_STOPPED))
		return 0;
	for (uint32_t i = c->sock; i;) {
		const struct mos_sock *s = pool_at(&w->d.socks, i);
		uint64_t wanted = w->d.passive[s->passive].buf[side];

		limit = wanted > limit ? wanted : limit;
		i = s->next;
	}
	return !limit || track_stream_make(&w->tcp, c, side, limit, policy, 0) ? 0 : -ENOMEM;
}

int monitor_overlap(struct worker *w, int sock, int side, int policy)
{
	struct passive *p = dispatch_passive_at(&w->d, sock);
	struct mos_sock *s = active(w, sock);

	if (!p && !s)
		return -EBADF;
	if (!is_end(side) || policy < 0 || policy >= MOS_OVERLAP_POLICIES)
		return -EINVAL;
	if (p) {
		p->overlap[side] = (uint8_t)policy;
		return 0;
	}
	struct mos_conn *c = worker_conn(w, s->conn);
	struct stream *st = track_stream(&w->tcp, c, side);

	if (!st)
		return make_stream(w, c, side, policy);
	st->policy = (uint8_t)policy;
	return 0;
}

int monitor_stop(struct worker *w, int sock, int side)
{
	struct mos_sock *s = active(w, sock);

	if (!s)
		return dispatch_passive_at(&w->d, sock) ? -ENOTSOCK : -EBADF;
	if (!is_end(side) && side != MOS_SIDE_BOTH)
		return -EINVAL;
	if (side != MOS_SIDE_SVR)
		s->flags |= MOS_SOCK_STOPPED_CLI;
	if (side != MOS_SIDE_CLI)
		s->flags |= MOS_SOCK_STOPPED_SVR;
	monitor_settle(w, worker_conn(w, s->conn));
	return 0;
}

uint64_t monitor_timer(struct worker *w, uint64_t delay_ns, struct handler h, int32_t id)
{
	uint64_t key = timers_add(&w->timers, w->now_ns, delay_ns, h, id), next = timers_next(&w->timers);

	if (next < w->wake_ns)
		w->wake_ns = next;
	return key;
}
