#include "flow/wheel.h"

#include <string.h>

/* A slot of level L is 2^(7L) ticks wide; a turn of it is twice as much as a slot of level L + 1. */
enum { STEP_BITS = 7 };

_Static_assert(WHEEL_SLOTS == 2 << STEP_BITS, "a level holds two slots of the next one");
_Static_assert(WHEEL_SPAN >> (WHEEL_LEVELS - 1) * STEP_BITS < WHEEL_SLOTS - 1, "the last level holds the span");

static const uint64_t TICK_NS = 1ull << WHEEL_TICK_SHIFT;

/* timer_prev of a list's first entry: this bit, and the list's number, level * WHEEL_SLOTS + slot. */
static const uint32_t IS_HEAD = 1u << 31;

void wheel_init(struct wheel *w, struct mos_conn *conns)
{
	memset(w, 0, sizeof(*w));
	w->conns = conns;
}

static void start(struct wheel *w, uint64_t origin_ns)
{
	w->origin_ns = origin_ns;
	w->started = true;
}

/* Slots of this level since time began. */
static uint64_t slots_at(uint64_t tick, unsigned level)
{
	return tick >> level * STEP_BITS;
}

static void set_head(struct wheel *w, uint32_t list, uint32_t idx)
{
	unsigned level = list / WHEEL_SLOTS, slot = list % WHEEL_SLOTS;
	uint64_t bit = 1ull << slot % 64;

	w->head[level][slot] = idx;
	if (idx) {
		w->busy[level][slot / 64] |= bit;
	} else {
		w->busy[level][slot / 64] &= ~bit;
		w->most[level][slot] = 0;
	}
}

/* On the lowest level where due is less than a turn ahead, so that all entries of one slot are of the same turn. */
static void place(struct wheel *w, uint32_t idx, uint64_t due)
{
	struct mos_conn *c = &w->conns[idx];
	unsigned level = 0;

	while (slots_at(due, level) - slots_at(w->tick, level) >= WHEEL_SLOTS)
		level++;
	unsigned slot = slots_at(due, level) % WHEEL_SLOTS;
	uint32_t list = level * WHEEL_SLOTS + slot;
	c->timer_due = (uint32_t)due;
	c->timer_prev = IS_HEAD | list;
	c->timer_next = w->head[level][slot];
	if (c->timer_next)
		w->conns[c->timer_next].timer_prev = idx;
	set_head(w, list, idx);
	w->most[level][slot]++;
}

static void unlink_entry(struct wheel *w, const struct mos_conn *c)
{
	if (c->timer_prev & IS_HEAD)
		set_head(w, c->timer_prev & ~IS_HEAD, c->timer_next);
	else
		w->conns[c->timer_prev].timer_next = c->timer_next;
	if (c->timer_next)
		w->conns[c->timer_next].timer_prev = c->timer_prev;
}

/* The first tick at which at_ns has passed, within the span. Its low half is not 0: that means "not armed". */
static uint64_t due_tick(const struct wheel *w, uint64_t at_ns)
{
	uint64_t ahead_ns = at_ns > w->origin_ns ? at_ns - w->origin_ns : 0;
	uint64_t due = ahead_ns / TICK_NS + (ahead_ns % TICK_NS != 0);

	if (due <= w->tick)
		due = w->tick + 1;
	else if (due > w->tick + WHEEL_SPAN)
		due = w->tick + WHEEL_SPAN;
	return (uint32_t)due ? due : due + 1;
}

void wheel_arm(struct wheel *w, uint32_t idx, uint64_t at_ns)
{
	const uint64_t margin_ns = WHEEL_SPAN / 2 * TICK_NS;

	if (!w->started)
		start(w, at_ns > margin_ns ? at_ns - margin_ns : 0);
	wheel_disarm(w, idx);
	place(w, idx, due_tick(w, at_ns));
	w->armed++;
}

void wheel_disarm(struct wheel *w, uint32_t idx)
{
	struct mos_conn *c = &w->conns[idx];

	if (!c->timer_due)
		return;
	unlink_entry(w, c);
	c->timer_due = 0;
	w->armed--;
}

/* Steps from slot `from` to the next one that is not empty; 0 if there is none. */
static unsigned slots_ahead(const uint64_t *busy, unsigned from)
{
	for (unsigned steps = 1; steps < WHEEL_SLOTS;) {
		unsigned slot = (from + steps) % WHEEL_SLOTS;
		uint64_t bits = busy[slot / 64] >> slot % 64;
		if (bits)
			return steps + (unsigned)__builtin_ctzll(bits);
		steps += 64 - slot % 64;
	}
	return 0;
}

/* The next tick at which a list is to be fired or must have gone down; UINT64_MAX if there is none. */
static uint64_t next_tick(const struct wheel *w)
{
	uint64_t next = UINT64_MAX;

	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t current = slots_at(w->tick, level);
		unsigned ahead = slots_ahead(w->busy[level], current % WHEEL_SLOTS);
		uint64_t tick = (current + ahead) << level * STEP_BITS;
		if (ahead && tick < next)
			next = tick;
	}
	return next;
}

/* Up to n entries of this list go to where they belong now. */
static void move_down(struct wheel *w, unsigned level, unsigned slot, uint32_t n)
{
	const uint32_t *head = &w->head[level][slot];

	for (uint32_t idx; n && (idx = *head); n--) {
		struct mos_conn *c = &w->conns[idx];
		uint32_t ahead = c->timer_due - (uint32_t)w->tick;
		unlink_entry(w, c);
		place(w, idx, w->tick + ahead);
	}
}

/* The slots that begin with this tick. */
static void move_begun(struct wheel *w)
{
	for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--) {
		uint64_t current = slots_at(w->tick, level);
		if (current << level * STEP_BITS == w->tick)
			move_down(w, level, current % WHEEL_SLOTS, UINT32_MAX);
	}
}

/* This tick's share of the slots that begin next. */
static void move_ahead(struct wheel *w)
{
	for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--) {
		uint64_t next = slots_at(w->tick, level) + 1;
		uint64_t ticks_left = (next << level * STEP_BITS) - w->tick;
		unsigned slot = next % WHEEL_SLOTS;
		move_down(w, level, slot, (uint32_t)(w->most[level][slot] / ticks_left) + 1);
	}
}

/* The list is read anew after each call, which may have changed it. */
static void fire_slot(struct wheel *w, void (*fire)(void *arg, uint32_t idx), void *arg)
{
	const uint32_t *head = &w->head[0][w->tick % WHEEL_SLOTS];

	for (uint32_t idx; (idx = *head);) {
		wheel_disarm(w, idx);
		fire(arg, idx);
	}
}

void wheel_advance(struct wheel *w, uint64_t now_ns, void (*fire)(void *arg, uint32_t idx), void *arg)
{
	if (!w->started)
		start(w, now_ns);
	uint64_t now = now_ns > w->origin_ns ? (now_ns - w->origin_ns) / TICK_NS : 0;

	if (now <= w->tick)
		return;
	while (w->tick < now) {
		uint64_t next = next_tick(w);
		w->tick = next < now ? next : now;
		move_begun(w);
		fire_slot(w, fire, arg);
	}
	move_ahead(w);
}
