/*
 * How a worker's script is doing: what its collections cost, how long its handlers take. Over all states of the script.
 */
#ifndef MOS_BINDINGS_LUA_HEALTH_H
#define MOS_BINDINGS_LUA_HEALTH_H

#include <stdint.h>

#include "control/stats.h"

/* One handler in so many has its time taken. */
enum { SAMPLE_ONE_IN = 64 };

struct lua_health {
	uint64_t gc_ns, gc_longest_ns;
	uint64_t sampled[SLOT_COUNT], sampled_ns[SLOT_COUNT];       /* by the slot of the event's root */
	uint64_t jit_traces, jit_aborts, jit_given_up, jit_flushes; /* of states that are gone */
};

#endif
