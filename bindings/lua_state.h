/*
 * One Lua state with a script in it: made and loaded on a bench of its own, on any thread, while the worker goes on with
 * another; then it takes over (takeover.h).
 *
 * The state has LuaJIT's libraries, `require "mos"` (and every file of bindings/mos) from inside the executable, and the
 * JIT compiler's limits raised: with the default ones a few branchy handlers flush each other's code for ever.
 */
#ifndef MOS_BINDINGS_LUA_STATE_H
#define MOS_BINDINGS_LUA_STATE_H

#include "lua_dispatch.h"

/* What to run. Borrowed. */
struct lua_script {
	const char *path;
	const char *text; /* its source, len bytes; NULL: it is in the file */
	size_t len;
	int argc;
	const char *const *argv; /* mos.args */
	unsigned ninputs;
	const char *const *inputs;                                         /* mos.input */
	int (*prepare)(void *arg, lua_State *L, char *err, size_t errlen); /* see vm_prepare; NULL: nothing to do */
	void *prepare_arg;
};

/* A part of a connection's record that the next script's record has too. */
struct rec_part {
	uint32_t to, from, len;
};

struct lua_state {
	struct lua_dispatch d; /* first: what the engine's arg points to */
	struct mos_ctx ctx;
	struct worker *bench;        /* where it was loaded; after it has taken over, what the script before left */
	const struct worker *before; /* while it is loaded: whose monitors' names it finds again */
	char *record;                /* what mos.record was given; NULL: nothing */
	const char *record_before;   /* the same of the script before it; NULL: there was none */
	struct rec_part *parts;      /* of its record that the old one had too */
	uint32_t nparts;
	struct lua_state *old; /* whose place it takes; NULL when all connections have followed */
	uint32_t epoch;        /* differs from every other state's of this worker */
	void *owner;           /* struct lua_vm */
};

/*
 * A state with the script loaded, for worker w, which may be running. epoch is that of the state before plus 1. NULL
 * with one line in err: "script.lua:3: what is wrong". watch is the calling thread's.
 */
struct lua_state *state_new(const struct worker *w, const struct lua_script *script, const struct lua_state *before,
			    uint32_t epoch, struct lua_watch *watch, struct contain *contain, char *err, size_t errlen);

/* Any thread, once nothing refers to it. NULL is a no-op. */
void state_free(struct lua_state *st);

/* The state that an engine's arg or a worker's engine means. */
static inline struct lua_state *state_of(void *engine_arg)
{
	return engine_arg;
}

#endif
