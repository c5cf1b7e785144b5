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

/* A script: the name that messages call it, next to which `require` looks, and its source (or bytecode). */
struct lua_text {
	char *path, *source;
	size_t len;
	bool foreign; /* its file belongs neither to the running user nor to root */
};

/* A script in a file. 0, or -1 with one line in err; text_free either way. */
int text_read(struct lua_text *t, const char *path, char *err, size_t errlen);

/* 0 or -ENOMEM. */
int text_copy(struct lua_text *to, const struct lua_text *from);
void text_free(struct lua_text *t);

/* What each state of a worker is made with. Borrowed. */
struct lua_script {
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
	struct worker *bench;            /* where it was loaded; after it has taken over, what the script before left */
	const struct lua_estate *estate; /* while it is loaded: what it finds */
	struct lua_text text;            /* owned */
	struct event_notes notes;        /* of the events that it defined as it was loaded */
	char **files;                    /* modules that it has required; owned */
	unsigned nfiles;
	char *record;           /* what mos.record was given; owned; NULL: nothing */
	struct rec_part *parts; /* of its record that the old one had too */
	uint32_t nparts;
	bool carries;          /* it looks at the conn.data that the script before it left */
	struct lua_state *old; /* whose place it takes; NULL when all connections have followed */
	uint32_t epoch;        /* differs from every other state's of this worker */
	void (*gone)(void *owner, struct lua_state *old); /* see heir_install */
	void *owner;
	struct lua_state *next; /* in a list of its owner's */
};

/* The names of a worker's monitors and its script's record, at one moment: what the next script finds. */
struct lua_estate {
	char name[PASSIVE_MAX][MONITOR_NAME]; /* "": that number is free; "?": it is taken, by one without a name */
	char *record;                         /* owned; NULL: none */
};

void estate_take(struct lua_estate *e, const struct worker *w, const struct lua_state *now);

/* Are the monitors still the same? */
bool estate_is(const struct lua_estate *e, const struct worker *w);

/*
 * A state with the script loaded, for worker w, which may be running; estate is what is there for it to find. epoch is
 * greater than that of any state before. NULL with one line in err: "script.lua:3: what is wrong". watch is the calling
 * thread's.
 */
struct lua_state *state_new(const struct worker *w, const struct lua_script *script, const struct lua_text *text,
			    const struct lua_estate *estate, uint32_t epoch, struct lua_watch *watch,
			    struct contain *contain, char *err, size_t errlen);

/* Any thread, once nothing refers to it. NULL is a no-op. */
void state_free(struct lua_state *st);

/* The state that an engine's arg or a worker's engine means. */
static inline struct lua_state *state_of(void *engine_arg)
{
	return engine_arg;
}

#endif
