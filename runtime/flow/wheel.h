/*
 * Connection timeouts: a hierarchical timing wheel (Varghese and Lauck 1987) of intrusive doubly linked lists by
 * connection index. Arming, moving and firing are O(1); nothing is scanned. The packet path never touches it: a packet
 * only writes last_ns, and an entry that fires too early is armed again by the owner for the remaining time.
 *
 * A slot of one level is as wide as half a turn of the level below, which so has room for the next one's entries before
 * their time begins: they go down a few per tick, and no packet waits for all at once.
 *
 * Time is counted from the first advance, so that the same packets with other dates time out alike.
 */
#ifndef MOS_FLOW_WHEEL_H
#define MOS_FLOW_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "mos_ffi.h"

/* A tick is 2^26 ns, about 67 ms: fine enough for seconds, coarse enough to be cheap. */
enum { WHEEL_TICK_SHIFT = 26, WHEEL_LEVELS = 4, WHEEL_SLOTS = 256 };

/* What can be armed ahead, in ticks: 208 days. */
enum { WHEEL_SPAN = 1 << 28 };

struct wheel {
	uint32_t head[WHEEL_LEVELS][WHEEL_SLOTS];
	uint32_t most[WHEEL_LEVELS][WHEEL_SLOTS];      /* no list is longer than this; 0 where it is empty */
	uint64_t busy[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* bit per slot whose list is not empty */
	uint64_t origin_ns;                            /* time of tick 0, set by the first advance */
	uint64_t tick;                                 /* ticks passed */
	struct mos_conn *conns;                        /* links are timer_next, timer_prev, timer_due in here */
	uint32_t armed;                                /* entries in the wheel */
	bool started;                                  /* origin_ns is set */
};

void wheel_init(struct wheel *w, struct mos_conn *conns);

/*
 * Fire connection idx (below 2^31) not before at_ns (and at most one tick late). Moves it if it is armed already. What
 * lies in the past fires with the next tick, what lies more than WHEEL_SPAN ahead fires when that has passed. Where
 * nothing has told the time yet, the wheel starts half that span before at_ns, or at 0.
 */
void wheel_arm(struct wheel *w, uint32_t idx, uint64_t at_ns);

/* No-op when it is not armed. */
void wheel_disarm(struct wheel *w, uint32_t idx);

/*
 * Let time reach now_ns and call fire for each entry that is due, in order of due tick, disarmed. fire may arm and
 * disarm any entry, but not advance; what it arms for a time up to now_ns fires in the same call, so it must not arm
 * for the past again and again. Time that goes backwards is ignored; a jump of hours costs no more than its entries
 * and levels.
 */
void wheel_advance(struct wheel *w, uint64_t now_ns, void (*fire)(void *arg, uint32_t idx), void *arg);

#endif
