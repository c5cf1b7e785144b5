/*
 * A worker's script: its Lua state, and those that take its place. A state that is lost (a handler could not be stopped,
 * or needed too much memory) gives way to a fresh one with the same script.
 */
#ifndef MOS_BINDINGS_LUA_VM_H
#define MOS_BINDINGS_LUA_VM_H

#include <stddef.h>
#include <stdint.h>

struct lua_State;
struct lua_vm;
struct worker;

/* NULL on failure, with one line in err. The worker is initialised and outlives the script. */
struct lua_vm *vm_new(struct worker *w, char *err, size_t errlen);

/* The capture files that mos.input lists; before vm_load. The strings are borrowed. */
void vm_set_input(struct lua_vm *vm, unsigned n, const char *const *paths);

/*
 * Run the script at path with argv[0..argc) as mos.args, and make its state the worker's script engine. `require` finds
 * modules next to the script. The strings are copied: a fresh state is loaded from them. Returns 0, or -1 with one line
 * in err: "script.lua:3: what is wrong". Once.
 */
int vm_load(struct lua_vm *vm, const char *path, int argc, char **argv, char *err, size_t errlen);

/* The same with a script's source (or bytecode) in memory; name is what messages call it, and where `require` looks. */
int vm_load_text(struct lua_vm *vm, const char *name, const char *text, size_t len, int argc, char **argv, char *err,
		 size_t errlen);

/* Give a state LuaJIT's libraries, and the modules in the executable to `require`. No results; it may raise an error. */
int vm_open_libraries(struct lua_State *L);

/*
 * Before vm_load: have fn called with each state that is made, after `require "mos"` works and before the script is
 * loaded. It returns 0, or -1 with one line in err.
 */
void vm_prepare(struct lua_vm *vm, int (*fn)(void *arg, struct lua_State *L, char *err, size_t errlen), void *arg);

/* Borrowed. Not to be entered while it is running. NULL: there is none, or it is lost. */
struct lua_State *vm_state(struct lua_vm *vm);

/* Run what mos.at_exit was given, in that order, say which places failed how often, and flush standard output. */
void vm_exit(struct lua_vm *vm);

/* How another thread has fn run by the worker, between two bursts. 0, or -ESRCH when the worker does not run. */
struct vm_worker {
	int (*call)(void *arg, void (*fn)(struct worker *w, void *arg), void *fn_arg);
	void *arg;
};

struct lua_text;

/*
 * On any thread but the worker's, and one at a time: have the script in text take over while packets go on. 0, with what
 * it cost the worker in pause_ns, or -1 with one line in err and nothing changed.
 */
int vm_reload(struct lua_vm *vm, const struct vm_worker *worker, const struct lua_text *text, uint64_t *pause_ns,
	      char *err, size_t errlen);

/* How a worker's script is. */
struct vm_health {
	uint64_t reloads;
	size_t memory; /* of its Lua state, bytes */
};

/* On the worker's thread, or while it does not run. */
void vm_health(const struct lua_vm *vm, struct vm_health *h);
void vm_set_max_errors(struct lua_vm *vm, unsigned most);

/* A copy of the script that was loaded last, for text_free. On the thread that reloads. 0 or -ENOMEM. */
int vm_text(const struct lua_vm *vm, struct lua_text *text);

/* The files of modules that it has required. On the thread that reloads. */
void vm_files(const struct lua_vm *vm, void (*fn)(void *arg, const char *path), void *arg);

/* NULL is a no-op. */
void vm_free(struct lua_vm *vm);

#endif
