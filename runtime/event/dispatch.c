#include "event/dispatch.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* What is in dispatch, to be put back when a hook is over: ctx as far as its handlers' answers. */
struct saved {
	char ctx[offsetof(struct mos_ctx, result)];
	struct pin *pins;
	unsigned pins_n;
};

static inline void enter(struct dispatch *d, struct saved *s, struct pin *pins, unsigned n)
{
	memcpy(s->ctx, d->ctx, sizeof(s->ctx));
	s->pins = d->pins;
	s->pins_n = d->pins_n;
	d->pins = pins;
	d->pins_n = n;
}

static inline void leave(struct dispatch *d, const struct saved *s)
{
	memcpy(d->ctx, s->ctx, sizeof(s->ctx));
	d->pins = s->pins;
	d->pins_n = s->pins_n;
}

static inline void call(struct dispatch *d, struct handler h, struct filter_arg *arg)
{
	struct mos_ctx *x = d->ctx;
	uint32_t was = x->in_handler;

	if (__builtin_expect(d->watcher != NULL, 0))
		d->watcher->called(d->watcher->arg, x, h);
	d->calls++;
	x->in_handler = 1;
	if (h.fn)
		h.fn(d->mctx, x->sock, x->side, x->event, arg);
	else if (d->engine.handle)
		d->engine.handle(d->engine.arg, h.ref);
	x->in_handler = was;
}

static enum engine_answer ask(struct dispatch *d, const struct step *s)
{
	struct mos_ctx *x = d->ctx;
	uint32_t was = x->in_handler;
	enum engine_answer answer = ENGINE_NO;

	x->in_handler = 1;
	if (s->kind == EVENT_C) {
		if (event_filter(s->def)(d->mctx, x->sock, x->side, x->event, (struct filter_arg *)&s->def->arg))
			answer = ENGINE_YES;
	} else if (d->engine.filter) {
		answer = d->engine.filter(d->engine.arg, s->def->index,
					  s->handler.fn || d->watcher ? 0 : s->handler.ref);
	}
	x->in_handler = was;
	if (__builtin_expect(d->watcher != NULL, 0))
		d->watcher->asked(d->watcher->arg, x, s->def, answer != ENGINE_NO);
	return answer;
}

/* Handlers and filters may stop a side or close a socket; nothing runs for it after that. */
static inline bool is_silent(const struct dispatch *d, const struct pin *pin)
{
	const struct mos_ctx *x = d->ctx;

	if (!pin->flags)
		return !d->passive[pin->sock].used;
	return (*pin->flags & (MOS_SOCK_CLOSED | MOS_SOCK_STOPPED_CLI << x->side)) ||
	       (x->conn->flags & MOS_CONN_STOPPED) || (x->conn->end[x->side].flags & MOS_END_STOPPED);
}

/* Apart, so that the common way needs few registers. */
static void drain(struct dispatch *d) __attribute__((noinline, cold));

/* One program of a socket that is not silent. */
static void run(struct dispatch *d, const struct pin *pin, const struct program *program)
{
	const struct step *s = pin->set->steps + program->first;
	const struct step *end = s + program->count;

	do {
		const struct step *here = s;
		bool filtered = s->kind == EVENT_C || s->kind == EVENT_LUA;

		d->ctx->event = s->event;
		enum engine_answer answer = filtered ? ask(d, s) : ENGINE_YES;
		if (answer == ENGINE_NO)
			s += s->skip;
		else if (answer == ENGINE_CALLED)
			d->calls++;
		else if (handler_is_set(s->handler) && !(filtered && is_silent(d, pin)))
			call(d, s->handler, (struct filter_arg *)&s->def->arg);
		if (__builtin_expect(d->raised_n && !d->draining, 0)) {
			drain(d);
			if (d->ask_again)
				s = here - 1;
			d->ask_again = false;
		}
	} while (++s < end && !is_silent(d, pin));
}

/* A program of one step, which is a built-in event's and so has no filter. */
static inline void run_root(struct dispatch *d, const struct step *s)
{
	d->ctx->event = s->event;
	call(d, s->handler, (struct filter_arg *)&s->def->arg);
	if (__builtin_expect(d->raised_n, 0))
		drain(d);
}

static void run_raised(struct dispatch *d, event_t event)
{
	int slot = event_slot(event_find(event)->root, d->ctx->hook);

	for (unsigned i = 0; i < d->pins_n; i++) {
		const struct pin *pin = &d->pins[i];
		const struct program *p = hset_raised(pin->set, event, (uint32_t)slot);

		if (!p || is_silent(d, pin))
			continue;
		d->ctx->sock = pin->sock;
		run(d, pin, p);
	}
}

/* What these handlers raise joins the queue, whose length bounds the whole. */
static void drain(struct dispatch *d)
{
	int32_t sock = d->ctx->sock;
	int32_t side = d->ctx->side;
	uint32_t ref = d->ctx->ref;

	d->draining = true;
	for (unsigned i = 0; i < d->raised_n; i++) {
		d->ctx->ref = i;
		d->ctx->side = d->raised_side[i];
		run_raised(d, d->raised[i]);
	}
	d->raised_n = 0;
	d->draining = false;
	d->ctx->sock = sock;
	d->ctx->side = side;
	d->ctx->ref = ref;
}

/* Returns those of bits that the socket listens to. */
static uint32_t serve(struct dispatch *d, const struct pin *pin, uint32_t bits)
{
	uint32_t heard = 0;

	d->ctx->sock = pin->sock;
	for (bits &= pin->set->mask; bits && !is_silent(d, pin); bits &= bits - 1) {
		heard |= bits & -bits;
		run(d, pin, &pin->set->programs[__builtin_ctz(bits)]);
	}
	return heard;
}

static void count(struct dispatch *d, uint32_t bits)
{
	for (; bits; bits &= bits - 1)
		d->counts[__builtin_ctz(bits)]++;
}

static unsigned pin_sockets(struct dispatch *d, const struct mos_conn *c, struct pin *pins)
{
	unsigned n = 0;

	for (uint32_t i = c->sock; i && n < PASSIVE_MAX;) {
		const struct mos_sock *s = pool_at(&d->socks, i);

		pins[n] = (struct pin){ PASSIVE_MAX + (int32_t)i, &s->flags, hset_at(&d->sets, s->set) };
		pins[n++].set->refs++;
		i = s->next;
	}
	return n;
}

/* Several sockets or events, or a handler that is itself running. */
__attribute__((noinline)) static void serve_all(struct dispatch *d, struct mos_conn *c, uint32_t bits, int side,
						struct mos_packet *p)
{
	struct pin pins[PASSIVE_MAX];
	unsigned n = pin_sockets(d, c, pins);
	struct saved saved;
	uint32_t heard = 0;

	enter(d, &saved, pins, n);
	d->ctx->pkt = p;
	d->ctx->conn = c;
	d->ctx->side = side;
	d->ctx->hook = slot_hook((unsigned)__builtin_ctz(bits));
	if (__builtin_expect(d->watcher != NULL, 0))
		d->watcher->raised(d->watcher->arg, d->ctx, bits);
	for (unsigned i = 0; i < n; i++)
		heard |= serve(d, &pins[i], bits);
	count(d, heard);
	leave(d, &saved);
	for (unsigned i = 0; i < n; i++)
		hset_put(&d->sets, pins[i].set->index);
}

/* Nothing is in dispatch. */
static inline void rest(struct mos_ctx *x)
{
	x->pkt = NULL;
	x->conn = NULL;
	x->event = MOS_NULL_EVENT;
	x->sock = x->side = 0;
	x->hook = 0;
}

/* One event for one socket, with nothing to go back to. */
static inline void serve_one(struct dispatch *d, struct mos_conn *c, unsigned slot, int side, struct mos_packet *p)
{
	const struct mos_sock *s = &d->ctx->socks[c->sock];
	struct hset *set = hset_at(&d->sets, s->set);
	struct pin pin = { PASSIVE_MAX + (int32_t)c->sock, &s->flags, set };
	struct mos_ctx *x = d->ctx;

	x->conn = c;
	x->side = side;
	if (is_silent(d, &pin)) {
		rest(x);
		return;
	}
	set->refs++;
	d->pins = &pin;
	d->pins_n = 1;
	x->pkt = p;
	x->hook = slot_hook(slot);
	x->sock = pin.sock;
	if (set->programs[slot].count == 1)
		run_root(d, set->steps + set->programs[slot].first);
	else
		run(d, &pin, &set->programs[slot]);
	d->counts[slot]++;
	rest(x);
	d->pins = NULL;
	d->pins_n = 0;
	if (!--set->refs)
		hset_release(&d->sets, set);
}

void dispatch_conn_slow(struct dispatch *d, struct mos_conn *c, uint32_t bits, int side, struct mos_packet *p)
{
	if ((bits & (bits - 1)) || d->ctx->in_handler || d->watcher || d->ctx->socks[c->sock].next)
		serve_all(d, c, bits, side, p);
	else
		serve_one(d, c, (unsigned)__builtin_ctz(bits), side, p);
}

void dispatch_passive(struct dispatch *d, uint32_t passive, uint32_t bit, struct mos_packet *p)
{
	struct hset *set = hset_at(&d->sets, d->passive[passive].set);
	struct pin pin = { (int32_t)passive, NULL, set };

	if (!(bit & set->mask))
		return;
	struct saved saved;

	enter(d, &saved, &pin, 1);
	set->refs++;
	d->ctx->pkt = p;
	d->ctx->conn = NULL;
	d->ctx->side = MOS_SIDE_BOTH;
	d->ctx->hook = MOS_NULL;
	if (__builtin_expect(d->watcher != NULL, 0))
		d->watcher->raised(d->watcher->arg, d->ctx, bit);
	count(d, serve(d, &pin, bit));
	leave(d, &saved);
	hset_put(&d->sets, set->index);
}

void dispatch_timer(struct dispatch *d, struct handler h, int32_t id, uint32_t ref)
{
	struct saved saved;

	enter(d, &saved, NULL, 0);
	d->ctx->pkt = NULL;
	d->ctx->conn = NULL;
	d->ctx->event = MOS_NULL_EVENT;
	d->ctx->sock = id;
	d->ctx->side = 0;
	d->ctx->hook = 0;
	d->ctx->ref = ref;
	call(d, h, NULL);
	leave(d, &saved);
}

bool dispatch_wanted(const struct dispatch *d, event_t event)
{
	const struct event *e = event_find(event);
	int slot = e ? event_slot(e->root, d->ctx->hook) : -1;

	for (unsigned i = 0; slot >= 0 && i < d->pins_n; i++) {
		if (hset_raised(d->pins[i].set, event, (uint32_t)slot))
			return true;
	}
	return false;
}

/* A timer has no hook, so nothing stands there. */
int dispatch_raise(struct dispatch *d, event_t event, int side)
{
	const struct event *e = event_find(event);

	if (!e || e->kind != EVENT_RAISED || !d->ctx->in_handler || event_slot(e->root, d->ctx->hook) < 0)
		return -EINVAL;
	if (d->raised_n == RAISE_MAX)
		return -ENOSPC;
	d->raised_side[d->raised_n] = (uint8_t)side;
	d->raised[d->raised_n++] = event;
	return 0;
}
