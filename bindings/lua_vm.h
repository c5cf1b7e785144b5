/*
 * A worker's Lua state: its making, its script, its end.
 *
 * The state has LuaJIT's libraries, `require "mos"` (and every file of bindings/mos) from inside the executable, and the
 * JIT compiler's limits raised: with the default ones a few branchy handlers flush each other's code for ever.
 */
#ifndef MOS_BINDINGS_LUA_VM_H
#define MOS_BINDINGS_LUA_VM_H

#include <stddef.h>

struct lua_State;
struct lua_vm;
struct worker;

/* NULL on failure, with one line in err. The worker is initialised and outlives the state. */
struct lua_vm *vm_new(struct worker *w, char *err, size_t errlen);

/* The capture files that mos.input lists; before vm_load. The strings are copied. */
void vm_set_input(struct lua_vm *vm, unsigned n, const char *const *paths);

/*
 * Run the script at path with argv[0..argc) as mos.args, and make the state the worker's script engine. `require` finds
 * modules next to the script. Returns 0, or -1 with one line in err: "script.lua:3: what is wrong".
 */
int vm_load(struct lua_vm *vm, const char *path, int argc, char **argv, char *err, size_t errlen);

/* The same with a script's source (or bytecode) in memory; name is what messages call it, and where `require` looks. */
int vm_load_text(struct lua_vm *vm, const char *name, const char *text, size_t len, int argc, char **argv, char *err,
		 size_t errlen);

/* Give a state LuaJIT's libraries, and the modules in the executable to `require`. No results; it may raise an error. */
int vm_open_libraries(struct lua_State *L);

/* Borrowed. Not to be entered while it is running. */
struct lua_State *vm_state(struct lua_vm *vm);

/* Run what mos.at_exit was given, in that order, say which places failed how often, and flush standard output. */
void vm_exit(struct lua_vm *vm);

/* NULL is a no-op. */
void vm_free(struct lua_vm *vm);

#endif
