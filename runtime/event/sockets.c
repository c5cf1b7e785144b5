#include <errno.h>
#include <stdlib.h>

#include "event/dispatch.h"

int dispatch_init(struct dispatch *d, mctx_t mctx, uint32_t max_socks)
{
	int err;

	*d = (struct dispatch){ .mctx = mctx, .ctx = &d->own };
	if ((err = pool_init(&d->socks, sizeof(struct mos_sock), max_socks)) < 0 ||
	    (err = pool_init(&d->more, sizeof(struct mos_sock_more), max_socks)) < 0 ||
	    (err = hsets_init(&d->sets)) < 0) {
		pool_fini(&d->more);
		pool_fini(&d->socks);
		return err;
	}
	d->ctx->socks = pool_at(&d->socks, 0);
	return 0;
}

void dispatch_fini(struct dispatch *d)
{
	hsets_fini(&d->sets);
	pool_fini(&d->more);
	pool_fini(&d->socks);
	free(d->frame);
	*d = (struct dispatch){ 0 };
}

static bool listens_to_data(const struct hset *set)
{
	return set->slots & BIT_CONN_NEW_DATA_NUL;
}

int dispatch_open(struct dispatch *d, struct mos_conn *c, uint32_t conn_index, uint32_t passive)
{
	uint32_t i = pool_get(&d->socks);
	uint32_t set = d->passive[passive].set;
	uint32_t *link = &c->sock;

	if (!i)
		return -1;
	struct mos_sock *s = pool_at(&d->socks, i);

	*s = (struct mos_sock){
		.conn = conn_index,
		.passive = (uint16_t)passive,
		.flags = MOS_SOCK_LIVE,
		.set = set,
	};
	if (listens_to_data(hset_at(&d->sets, set)))
		s->flags |= MOS_SOCK_READS_CLI | MOS_SOCK_READS_SVR;
	hset_get(&d->sets, set);
	while (*link)
		link = &((struct mos_sock *)pool_at(&d->socks, *link))->next;
	*link = i;
	c->mask |= hset_at(&d->sets, set)->mask | d->watched;
	return PASSIVE_MAX + (int)i;
}

struct mos_sock_more *dispatch_more_make(struct dispatch *d, struct mos_sock *s)
{
	struct mos_sock_more *m = dispatch_more(d, s);
	uint32_t i = m ? 0 : pool_get(&d->more);

	if (!i)
		return m;
	s->more = i;
	m = pool_at(&d->more, i);
	*m = (struct mos_sock_more){ 0 };
	return m;
}

void dispatch_close(struct dispatch *d, struct mos_conn *c)
{
	for (uint32_t i = c->sock, next; i; i = next) {
		struct mos_sock *s = pool_at(&d->socks, i);

		next = s->next;
		hset_put(&d->sets, s->set);
		if (s->more)
			pool_put(&d->more, s->more);
		s->flags = 0;
		pool_put(&d->socks, i);
	}
	c->sock = 0;
	c->mask = 0;
	if (d->engine.ended)
		d->engine.ended(d->engine.arg, (uint32_t)(c - d->ctx->conns));
}

void dispatch_refresh(struct dispatch *d, struct mos_conn *c)
{
	const int stopped = MOS_SOCK_STOPPED_CLI | MOS_SOCK_STOPPED_SVR;
	uint32_t mask = c->flags & MOS_CONN_STOPPED ? 0 : d->watched;

	for (uint32_t i = c->flags & MOS_CONN_STOPPED ? 0 : c->sock; i;) {
		const struct mos_sock *s = pool_at(&d->socks, i);

		if (!(s->flags & MOS_SOCK_CLOSED) && (s->flags & stopped) != stopped)
			mask |= hset_at(&d->sets, s->set)->mask;
		i = s->next;
	}
	c->mask = mask;
}

void dispatch_watch(struct dispatch *d, const struct watcher *watcher)
{
	d->watcher = watcher;
	d->watched = (1u << SLOT_COUNT) - 1;
}

void dispatch_refresh_passive(struct dispatch *d)
{
	d->passives = 0;
	d->null_mask = 0;
	for (uint32_t i = 0; i < PASSIVE_MAX; i++) {
		if (!d->passive[i].used)
			continue;
		d->passives = i + 1;
		d->null_mask |= hset_at(&d->sets, d->passive[i].set)->mask;
	}
}

/* Put *set in the place of "*set with that change". */
static int change_set(struct dispatch *d, uint32_t *set, event_t event, uint32_t hook, struct handler h)
{
	int64_t with = hset_with(&d->sets, *set, event, hook, h);

	if (with < 0)
		return (int)with;
	hset_put(&d->sets, *set);
	*set = (uint32_t)with;
	return 0;
}

static int register_active(struct dispatch *d, struct mos_sock *s, event_t event, uint32_t hook, struct handler h)
{
	const uint16_t reads = MOS_SOCK_READS_CLI | MOS_SOCK_READS_SVR;
	bool before = listens_to_data(hset_at(&d->sets, s->set));
	int err;

	if (s->flags & MOS_SOCK_CLOSED)
		return -EBADF;
	err = change_set(d, &s->set, event, hook, h);
	if (err)
		return err;
	if (listens_to_data(hset_at(&d->sets, s->set)))
		s->flags |= reads;
	else if (before)
		s->flags &= (uint16_t)~reads;
	dispatch_refresh(d, &d->ctx->conns[s->conn]);
	return 0;
}

int dispatch_register(struct dispatch *d, int sock, event_t event, uint32_t hook, struct handler h)
{
	struct mos_sock *active = dispatch_sock(d, sock);
	struct passive *passive = dispatch_passive_at(d, sock);
	int err;

	if (active)
		return register_active(d, active, event, hook, h);
	if (!passive)
		return -EBADF;
	if (passive->raw && hook != MOS_NULL)
		return -EINVAL;
	err = change_set(d, &passive->set, event, hook, h);
	if (!err)
		dispatch_refresh_passive(d);
	return err;
}
