/*
 * From C into Lua, in one place. The engine of event/dispatch.h: a handler or filter is a Lua function without arguments
 * and results, kept in a table at a fixed stack slot, and reads what is in dispatch from struct mos_ctx.
 *
 * FFI functions must never come back here: a state that compiled code is running in cannot be entered again. What they
 * would raise is queued by event/dispatch.h.
 */
#ifndef MOS_BINDINGS_LUA_DISPATCH_H
#define MOS_BINDINGS_LUA_DISPATCH_H

#include <lua.h>

#include "lua_arena.h"
#include "lua_contain.h"
#include "lua_health.h"
#include "lua_refs.h"
#include "lua_watch.h"
#include "worker.h"

/*
 * What the bottom of a state's stack holds for as long as the state lives, so that nothing is pushed that could fail when
 * memory is short. The tables are shared with bindings/mos, which fills them.
 */
enum lua_stack {
	STACK_ON_ERROR = 1, /* message handler */
	STACK_HANDLERS,     /* [ref] = function */
	STACK_FILTERS,      /* [event index] = function that sets ctx.result */
	STACK_PAIRS, /* [ref] = function that asks the filter of the handler's event and calls it where that says yes */
	STACK_DATA,  /* [connection index] = conn.data */
	STACK_PLACES,  /* ["file:line"] = errors there */
	STACK_NOTHING, /* a function that does nothing: what stands in the place of a handler that was taken out */
	STACK_HOST     /* what C and bindings/mos tell each other; see lua_vm.c */
};

struct lua_dispatch {
	lua_State *L;
	struct worker *w;
	struct lua_refs refs;
	struct mos_call call;      /* for bindings/mos */
	unsigned said;             /* bit per status that has been logged and that the message handler does not see */
	bool lost;                 /* nothing may touch the state any more */
	struct lua_watch *watch;   /* of the thread that runs it */
	struct contain *contain;   /* of its script */
	struct lua_health *health; /* of its script; NULL: it has not taken over yet */
	size_t gc_due;             /* bytes at which a collection is begun, in small steps */
	void (*rest)(void *arg);   /* engine.rest and engine.count; arg is this structure */
	void (*count)(void *arg, struct stats *sum);
	uint64_t full_ns; /* when memory was last out, in the packets' time */
	uint32_t ref;     /* of the handler that was called last */
	struct lua_arena *arena;
};

/* Make d the worker's engine, before any handler is registered. The state's stack is filled. */
void lua_dispatch_install(struct lua_dispatch *d);

/* No-op if another is the engine. */
void lua_dispatch_remove(struct lua_dispatch *d);

/*
 * Before it takes over, on the thread that loads: a whole collection of what loading has left, so that the first bursts need
 * not do it. -1: a finalizer did not return, the state is lost.
 */
int lua_dispatch_settle(struct lua_dispatch *d);

/* Between two bursts: some of a collection, if one is due. */
void lua_dispatch_collect(struct lua_dispatch *d);

/* The worker's engine. */
struct lua_dispatch *lua_dispatch_of(struct worker *w);

/*
 * Call the function at the top of the stack, without arguments and results, for at most `allowed` timeouts
 * (lua_watch.h). A failure is logged and counted, and the worker's on_error decides the packet. False if it failed.
 */
bool lua_dispatch_call(struct lua_dispatch *d, unsigned allowed);

/* Take out what the script has at the places that are out: it is a new state of the same script. */
void lua_dispatch_contain(struct lua_dispatch *d);

/* Have the connection's end told to the state from now on: what it keeps per connection goes then. */
void lua_dispatch_watch_ends(struct worker *w);

#endif
