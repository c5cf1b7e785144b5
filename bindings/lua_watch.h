/*
 * The watchdog of the thread that runs Lua: a call that takes too long is ended.
 *
 * A timer of the thread's own processor time ticks a few times per timeout, whatever is called: a call costs no system
 * call. When one call has lasted for longer, first a hook raises an error in it, which interpreted code notices. If it
 * goes on (compiled code has no hooks, a pcall swallowed the error, or it is inside of string.find), the signal handler
 * jumps back to where the call was made. What the state was doing is then unknown: nothing may touch it any more but
 * lua_arena_free. The jump is taken only from LuaJIT's own code or code that it has compiled, never out of another library
 * or the runtime, where a lock could be held; until then the timer ticks on. A call that sleeps is not noticed.
 */
#ifndef MOS_BINDINGS_LUA_WATCH_H
#define MOS_BINDINGS_LUA_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <lua.h>

/* lua_pcall's answers are below. */
enum { WATCH_KILLED = 100 };

/* What a call may take, in timeouts: handlers one, a script's main part and what runs at its end many. */
enum { WATCH_HANDLER = 1, WATCH_MAIN = 100 };

struct lua_watch {
	volatile sig_atomic_t in_call;
	volatile uint32_t calls; /* made so far: what a tick tells one call from the next by */
	uint32_t seen;           /* the call at the last tick */
	uint32_t ticks;          /* that it has lasted for */
	uint32_t most;           /* ticks that it may last for */
	volatile sig_atomic_t stage;
	lua_State *L; /* of the call */
	uint64_t timeout_ns;
	bool on;
	struct lua_watch *older; /* on, on the same thread */
	timer_t timer;
	void *back[5]; /* where to jump */
};

/* Watch the calling thread's calls from now on; timeout_ns 0: no. -errno if the thread cannot have a timer. */
int watch_start(struct lua_watch *w, uint64_t timeout_ns);

/* On the same thread. No-op if it was not started. */
void watch_stop(struct lua_watch *w);

/*
 * lua_pcall(L, 0, 0, on_error), ended when it takes longer than `allowed` timeouts. WATCH_KILLED: the state is lost.
 */
int watch_call(struct lua_watch *w, lua_State *L, int on_error, unsigned allowed);

/* lua_cpcall(L, fn, ud), under the same guard. An error message is popped. */
int watch_run(struct lua_watch *w, lua_State *L, lua_CFunction fn, void *ud, unsigned allowed);

/* For lua_atpanic: a call that had no lua_pcall around it failed. Comes back as WATCH_KILLED if it was inside of one. */
int watch_panic(lua_State *L);

#endif
