/*
 * One script takes another's place in a worker that goes on.
 *
 * The new script is loaded into a worker of its own, which sees no traffic (the bench). takeover_begin, between two
 * packets, puts its monitors, handlers and timers in the place of the old ones: a monitor that has the name of an old one
 * has its number too, and goes on with its connections. The connections themselves follow one by one, each before its
 * next packet, timeout or end, or when takeover_walk comes to it; so nothing waits for a million of them. A bit of
 * mos_conn.flags tells those that have followed: settled ones have the worker's value of it, worker.live.
 */
#ifndef MOS_TAKEOVER_H
#define MOS_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "worker.h"

/* Why a handler of one connection is not there any more. */
enum unbound { BOUND, UNBOUND_UNNAMED, UNBOUND_GONE };

/* What the script engine says, or a program in C, while connections follow. Any may be NULL. */
struct heir {
	/* Copy what fits of a connection's record. */
	void (*record)(void *arg, uint8_t *to, const uint8_t *from);
	/*
	 * The new script's handler in the place of the old one's h, which was registered on one connection for event (of
	 * the new script). NULL: functions in C stay, others are gone.
	 */
	enum unbound (*rebind)(void *arg, event_t event, struct handler *h);
	/* The new script's event in the place of an old one; MOS_NULL_EVENT: there is none. NULL: they are the same. */
	event_t (*event)(void *arg, event_t old);
	/* The new program's function in the place of an old timer's; NULL: none. NULL: they are the same. */
	callback_t (*timer)(void *arg, callback_t old);
	/* c has followed. */
	void (*follow)(void *arg, struct mos_conn *c);
	/* All have; nothing refers to the old script any more. */
	void (*done)(void *arg);
	void *arg;
};

struct takeover;

/*
 * Have the script that was loaded into bench take over. What was the old script's (filters) is bench's afterwards, for
 * worker_fini. A takeover that is not over yet is finished first. 0, or -ENOMEM with nothing changed.
 */
int takeover_begin(struct worker *w, struct worker *bench, const struct heir *heir);

/* c has not followed yet: now it does. */
void takeover_conn(struct worker *w, struct mos_conn *c);

static inline void takeover_check(struct worker *w, struct mos_conn *c)
{
	if (__builtin_expect((c->flags ^ w->live) & MOS_CONN_EPOCH, 0))
		takeover_conn(w, c);
}

/* Have the next n connections follow. True when none is left. */
bool takeover_walk(struct worker *w, uint32_t n);

#endif
