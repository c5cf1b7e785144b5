/*
 * A script in a worker of its own, inside a test's process: the core of `require "mos.test"`. Two Lua states meet here.
 * The test's calls, as an ordinary Lua module; the script's is a whole vm, made and loaded as mos-run does it, so its
 * handlers are the real ones. Nothing but strings, numbers and tables of them passes from one to the other.
 */
#ifndef MOS_BINDINGS_TEST_SESSION_H
#define MOS_BINDINGS_TEST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "lua_vm.h"
#include "redirect.h"
#include "worker.h"

/* What CONN_NEW_DATA has told so far of the streams of a connection. */
struct told {
	uint32_t gen;
	uint64_t off[2];
};

struct session {
	struct worker *w;
	struct lua_vm *vm;
	struct object *object; /* a program in C in its place; NULL: none */
	struct watcher watcher;
	struct redirect out, err;
	int probe;         /* registry reference in the script's state: what tells the fields of an event */
	struct told *told; /* by connection index */
	uint64_t packets;  /* fed so far */
	bool finished;

	/* While a call is running: the test's state, and where in its stack the list of events stands. */
	lua_State *L;
	int events;
};

/*
 * Make the session's worker and load its script, as the table of options at index says: path, or text and name; args; and
 * settings as mos-run has them (midstream, verify_checksums, linger, max_conns, buffer_memory, on_error). 0, or -1 with
 * one line in err.
 */
int session_open(struct session *s, lua_State *L, int index, char *err, size_t errlen);

/* No-op on one that is closed, or was never opened. */
void session_close(struct session *s);

/*
 * Feed the packets of the list at index, from first to last, in bursts of at most n: tables with sec, nsec, data, len and
 * link. What became of each is appended to the list at results: number, ts, verdict, changed, and data, len and link as
 * they are afterwards. What leaves is appended to the list at left: those that pass and, with made, those made meanwhile.
 */
void session_play(struct session *s, lua_State *L, int index, int first, int last, unsigned n, int results, int left);

/* Let time reach now_ns. */
void session_advance(struct session *s, lua_State *L, uint64_t now_ns, int left);

/* The end of the input: connections end, mos.at_exit functions run. */
void session_finish(struct session *s, lua_State *L, int left);

/* Have what is raised appended to the list of events from now on. Before the script is loaded. */
void recorder_install(struct session *s);

#endif
