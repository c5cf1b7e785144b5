#include "takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api/monitor.h"
#include "util/log.h"

/* What a handler set of the old script has become for one monitor. */
struct heritage {
	uint32_t monitor; /* plus 1; 0: not known yet */
	uint32_t set;     /* referenced */
	uint32_t lost[3]; /* handlers, by enum unbound */
};

struct takeover {
	struct heir heir;
	uint32_t next, end;         /* connections that the walk has still to look at */
	uint64_t stays;             /* bit per monitor that goes on */
	uint32_t base[PASSIVE_MAX]; /* the old script's sets; referenced where stays has the bit */
	struct heritage *known;     /* by number of the old set */
	uint32_t sets;              /* there are so many */
	uint8_t *recs;              /* the old script's records; NULL: it had none */
	uint32_t rec_size;
	uint64_t lost[3]; /* handlers of single connections, by enum unbound */
};

static const struct registration *registered(const struct hset *s, const struct registration *like)
{
	for (uint32_t i = 0; i < s->nregs; i++)
		if (s->regs[i].slot == like->slot && s->regs[i].event == like->event)
			return &s->regs[i];
	return NULL;
}

/* *set with that change. Without memory it stays as it is. */
static void change(struct worker *w, uint32_t *set, const struct registration *r, struct handler h)
{
	int64_t with = hset_with(&w->d.sets, *set, r->event, slot_hook(r->slot), h);

	if (with < 0)
		return;
	hset_put(&w->d.sets, *set);
	*set = (uint32_t)with;
}

static event_t event_of(const struct heir *heir, event_t old)
{
	return heir->event ? heir->event(heir->arg, old) : old;
}

/* *r, which one connection had with the old script, as it has it with the new one. */
static enum unbound rebind(const struct heir *heir, struct registration *r)
{
	r->event = event_of(heir, r->event);
	if (!r->event)
		return UNBOUND_GONE;
	if (heir->rebind)
		return heir->rebind(heir->arg, r->event, &r->handler);
	return r->handler.fn ? BOUND : UNBOUND_GONE;
}

static bool is_same(const struct registration *a, const struct registration *b)
{
	return a && a->handler.fn == b->handler.fn && a->handler.ref == b->handler.ref;
}

/* What one connection's handlers changed against its monitor's is changed again, against the new script's. Referenced. */
static uint32_t translate(struct worker *w, const struct takeover *t, uint32_t old, uint32_t monitor, uint32_t *lost)
{
	struct hsets *sets = &w->d.sets;
	uint32_t set = w->d.passive[monitor].set, base = t->base[monitor];

	hset_get(sets, set);
	if (old == base)
		return set;
	for (uint32_t i = 0; i < hset_at(sets, old)->nregs; i++) {
		struct registration r = hset_at(sets, old)->regs[i];

		if (is_same(registered(hset_at(sets, base), &r), &r))
			continue;
		enum unbound why = rebind(&t->heir, &r);
		lost[why]++;
		if (why == BOUND)
			change(w, &set, &r, r.handler);
	}
	for (uint32_t i = 0; i < hset_at(sets, base)->nregs; i++) {
		struct registration r = hset_at(sets, base)->regs[i];

		if (!registered(hset_at(sets, old), &r) && (r.event = event_of(&t->heir, r.event)))
			change(w, &set, &r, (struct handler){ .ref = 0 });
	}
	return set;
}

static void count_lost(struct worker *w, struct takeover *t, const uint32_t *lost)
{
	w->stats.handlers_unnamed += lost[UNBOUND_UNNAMED];
	w->stats.handlers_unbound += lost[UNBOUND_GONE];
	t->lost[UNBOUND_UNNAMED] += lost[UNBOUND_UNNAMED];
	t->lost[UNBOUND_GONE] += lost[UNBOUND_GONE];
}

static void say_lost(const struct takeover *t)
{
	uint64_t unnamed = t->lost[UNBOUND_UNNAMED], gone = t->lost[UNBOUND_GONE];

	if (unnamed + gone)
		log_warn("reload: %" PRIu64 " handlers of single connections are lost: %" PRIu64
			 " have no name, %" PRIu64 " have one that the new program lacks",
			 unnamed + gone, unnamed, gone);
}

static uint32_t inherit(struct worker *w, struct takeover *t, uint32_t old, uint32_t monitor)
{
	struct heritage *k = old < t->sets ? &t->known[old] : NULL, one = { .monitor = 0 };

	if (!k || (k->monitor && k->monitor != monitor + 1))
		k = &one;
	if (!k->monitor) {
		k->monitor = monitor + 1;
		k->set = translate(w, t, old, monitor, k->lost);
	}
	count_lost(w, t, k->lost);
	if (k != &one)
		hset_get(&w->d.sets, k->set);
	return k->set;
}

/* False if the socket's monitor has gone. */
static bool follow_socket(struct worker *w, struct takeover *t, struct mos_sock *s)
{
	uint32_t old = s->set;

	if (!(t->stays >> s->passive & 1)) {
		s->flags |= MOS_SOCK_CLOSED;
		s->set = 0;
		hset_get(&w->d.sets, 0);
	} else {
		s->set = inherit(w, t, old, s->passive);
		if (hset_at(&w->d.sets, s->set)->slots & BIT_CONN_NEW_DATA_NUL)
			s->flags |= MOS_SOCK_READS_CLI | MOS_SOCK_READS_SVR;
	}
	hset_put(&w->d.sets, old);
	return !(s->flags & MOS_SOCK_CLOSED);
}

static void follow_record(struct worker *w, const struct takeover *t, uint32_t index)
{
	struct mos_ctx *x = w->d.ctx;

	if (!x->rec_size)
		return;
	uint8_t *to = x->recs + (size_t)index * x->rec_size;
	memset(to, 0, x->rec_size);
	if (t->recs && t->heir.record)
		t->heir.record(t->heir.arg, to, t->recs + (size_t)index * t->rec_size);
}

void takeover_conn(struct worker *w, struct mos_conn *c)
{
	struct takeover *t = w->takeover;
	bool all = true;

	c->flags ^= MOS_CONN_EPOCH;
	if (!t)
		return;
	for (uint32_t i = c->sock; i;) {
		struct mos_sock *s = pool_at(&w->d.socks, i);

		all &= follow_socket(w, t, s);
		i = s->next;
	}
	follow_record(w, t, worker_conn_index(w, c));
	if (!all)
		monitor_settle(w, c);
	else
		dispatch_refresh(&w->d, c);
	if (t->heir.follow)
		t->heir.follow(t->heir.arg, c);
}

static void takeover_end(struct worker *w)
{
	struct takeover *t = w->takeover;

	for (uint32_t i = 0; i < PASSIVE_MAX; i++)
		if (t->stays >> i & 1)
			hset_put(&w->d.sets, t->base[i]);
	for (uint32_t i = 0; i < t->sets; i++)
		if (t->known[i].monitor)
			hset_put(&w->d.sets, t->known[i].set);
	/* Nobody asks for the old script's sets again. */
	hsets_trim(&w->d.sets);
	if (t->recs)
		munmap(t->recs, ((size_t)w->set.max_conns + 1) * t->rec_size);
	w->takeover = NULL;
	say_lost(t);
	if (t->heir.done)
		t->heir.done(t->heir.arg);
	free(t->known);
	free(t);
}

bool takeover_walk(struct worker *w, uint32_t n)
{
	struct takeover *t = w->takeover;

	for (; t && n && t->next <= t->end; n--) {
		struct mos_conn *c = worker_conn(w, t->next++);

		if (c->flags & MOS_CONN_LIVE)
			takeover_check(w, c);
	}
	if (t && t->next > t->end)
		takeover_end(w);
	return !w->takeover;
}

/* A monitor of the bench in the worker; what was there goes to the bench, whose set 0 everyone may have. */
static void swap_monitor(struct worker *w, struct worker *bench, struct takeover *t, uint32_t i, uint32_t set)
{
	struct passive old = w->d.passive[i], *now = &w->d.passive[i];

	t->base[i] = old.set;
	if (old.used && bench->d.passive[i].used)
		t->stays |= 1ull << i;
	else if (old.used)
		hset_put(&w->d.sets, old.set);
	/* What a program in C kept there lies in the copy of it that goes. */
	if (old.used && bench->d.passive[i].used && !t->heir.timer)
		bench->d.passive[i].uctx = old.uctx;
	*now = bench->d.passive[i];
	now->set = now->used ? set : 0;
	bench->d.passive[i] = old;
	bench->d.passive[i].set = 0;
	if (old.used)
		hset_get(&bench->d.sets, 0);
}

/* Only a script engine has a context of its own. */
static void swap_context(struct worker *w, struct worker *bench)
{
	struct mos_ctx *old = w->d.ctx, *now = bench->d.ctx;

	if (now == &bench->d.own)
		return;
	now->now_ns = old->now_ns;
	now->conns = old->conns;
	now->socks = old->socks;
	now->owner = w;
	old->recs = NULL;
	old->rec_size = 0;
	w->d.ctx = now;
	bench->d.ctx = &bench->d.own;
	w->d.engine = bench->d.engine;
	w->d.sets.hold = bench->d.sets.hold;
	w->d.sets.hold_arg = bench->d.sets.hold_arg;
	bench->d.engine = (struct engine){ .handle = NULL };
	bench->d.sets.hold = NULL;
}

static struct takeover *takeover_new(struct worker *w, const struct heir *heir)
{
	struct takeover *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct takeover){
		.heir = *heir,
		.next = 1,
		.end = w->conns.top,
		.sets = w->d.sets.n,
		.known = calloc(w->d.sets.n, sizeof(*t->known)),
		.recs = w->d.ctx->recs,
		.rec_size = w->d.ctx->rec_size,
	};
	if (t->known)
		return t;
	free(t);
	return NULL;
}

/* sets[i] becomes the worker's number of the set that monitor i has on the bench. Monitors may share one. */
static void move_sets(struct worker *w, struct worker *bench, uint32_t *sets)
{
	const struct passive *s = bench->d.passive;

	for (uint32_t i = 0; i < PASSIVE_MAX; i++) {
		uint32_t same = 0;

		if (!s[i].used)
			continue;
		while (same < i && !(s[same].used && s[same].set == s[i].set))
			same++;
		if (same < i)
			hset_get(&w->d.sets, sets[i] = sets[same]);
		else
			sets[i] = hsets_move(&w->d.sets, &bench->d.sets, s[i].set);
	}
}

int takeover_begin(struct worker *w, struct worker *bench, const struct heir *heir)
{
	uint32_t sets[PASSIVE_MAX] = { 0 }, monitors = 0;

	for (uint32_t i = 0; i < PASSIVE_MAX; i++)
		monitors += bench->d.passive[i].used;
	takeover_walk(w, UINT32_MAX);
	struct takeover *t = takeover_new(w, heir);
	if (!t || timers_reserve(&w->timers, bench->timers.n) < 0 || hsets_reserve(&w->d.sets, monitors) < 0) {
		if (t)
			free(t->known);
		free(t);
		return -ENOMEM;
	}
	move_sets(w, bench, sets);
	for (uint32_t i = 0; i < PASSIVE_MAX; i++)
		swap_monitor(w, bench, t, i, sets[i]);
	swap_context(w, bench);
	timers_take_over(&w->timers, &bench->timers, w->now_ns, heir->timer, heir->arg);
	w->wake_ns = 0;
	/* Connections may have bytes that a script before this one looks back for. */
	w->looks_back = bench->looks_back || (w->looks_back && w->conns.top);
	dispatch_refresh_passive(&w->d);
	w->live ^= MOS_CONN_EPOCH;
	w->takeover = t;
	takeover_walk(w, 0);
	return 0;
}
