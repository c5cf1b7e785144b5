/*
 * Numbers of Lua handlers. A number is free again when no handler set has it any more (hsets.hold), so that a script may
 * give each connection closures of its own. Nothing here touches a Lua state: it is called while compiled code runs.
 *
 * What handler sets and timers keep (struct handler.ref) is a number and, above it, the epoch of its state: another
 * state's numbers are not mistaken for one's own.
 */
#ifndef MOS_BINDINGS_LUA_REFS_H
#define MOS_BINDINGS_LUA_REFS_H

#include <stdbool.h>
#include <stdint.h>

enum { REF_NUMBER = (1 << 24) - 1, REF_EPOCH = 24 };

struct lua_ref {
	uint32_t sets; /* that have it */
	uint32_t name; /* of its function (lua_names.h) */
	bool waiting;  /* it is in lua_refs.free */
};

struct lua_refs {
	struct lua_ref *v; /* by number; 0 is none */
	uint32_t *free;    /* numbers that lost their last set; some may have found a new one */
	uint32_t n, cap, nfree;
	uint32_t epoch; /* in place: epoch << REF_EPOCH */
};

/* A number that nobody has, from 1 on; 0 when memory is out. */
uint32_t refs_take(struct lua_refs *r);

/* hsets.hold: one set more or less has it. */
void refs_hold(void *refs, uint32_t ref, int by);

/* The name of a ref's function; 0 if it has none, or the ref is another state's. */
uint32_t refs_name(const struct lua_refs *r, uint32_t ref);

void refs_fini(struct lua_refs *r);

#endif
