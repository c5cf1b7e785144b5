/*
 * Timers of programs and scripts (mtcp_settimer, mos.timer): a binary heap by due time. Each fires once, in order of
 * due time, equal ones in order of creation. Driven by packet time in captures, by the clock on live ports.
 */
#ifndef MOS_EVENT_TIMERS_H
#define MOS_EVENT_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "event/dispatch.h"

struct timer {
	uint64_t due_ns;
	uint64_t order; /* of creation, from 1; what timers_cancel knows it by */
	struct handler handler;
	int32_t id;    /* comes back as sock */
	uint32_t name; /* see timers_take_over; 0: none */
	bool waits;    /* due_ns is a delay: no time is known to count from */
};

struct timers {
	struct timer *heap;
	uint32_t n, cap;
	uint32_t waiting;  /* of them, those that count from the first timers_run */
	uint64_t count;    /* timers ever made */
	uint64_t floor_ns; /* nothing new is due before this; see timers_run */
};

void timers_fini(struct timers *t);

/*
 * Fire h once, delay_ns after now_ns. A now_ns of 0 means that no packet has told the time yet: the delay counts from
 * the first timers_run. Returns a key for timers_cancel (never 0), 0 when memory is out.
 */
uint64_t timers_add(struct timers *t, uint64_t now_ns, uint64_t delay_ns, struct handler h, int32_t id);

/* False if it has fired. */
bool timers_cancel(struct timers *t, uint64_t key);

/*
 * Run what is due at now_ns. A timer that a handler sets for now fires in this call too; one that such a timer's
 * handler sets waits for the next call, so that no chain of timers holds up the packets. ctx.ref is the low half of
 * the key.
 */
void timers_run(struct timers *t, struct dispatch *d, uint64_t now_ns);

/* Give a timer that waits a name: a number that the engine has for it. */
void timers_name(struct timers *t, uint64_t key, uint32_t name);

/* Forget the engine's timers with that id. */
void timers_drop(struct timers *t, int32_t id);

/* Room for n more. 0 or -ENOMEM. */
int timers_reserve(struct timers *t, uint32_t n);

/*
 * The engine's timers give way to those of from, which it has set in a time of its own: they count from now_ns, but one
 * with the name of an old one is due when that was. Keys of from stay good: their numbers are higher.
 *
 * Timers of C stay; where heir is given, with the function that it has in the place of theirs, or not at all where it has
 * none. There, the name of a timer is its function and id.
 */
void timers_take_over(struct timers *t, struct timers *from, uint64_t now_ns,
		      callback_t (*heir)(void *arg, callback_t old), void *arg);

/* Earliest due time, 0 while one waits to know the time, UINT64_MAX when there is none. */
uint64_t timers_next(const struct timers *t);

#endif
