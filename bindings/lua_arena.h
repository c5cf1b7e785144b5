/*
 * The memory of one Lua state: blocks by size class out of one reserved stretch of addresses, with a limit. A state that
 * cannot be closed, because its thread was taken out of the middle of it, goes as a whole with its arena.
 */
#ifndef MOS_BINDINGS_LUA_ARENA_H
#define MOS_BINDINGS_LUA_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct lua_arena;

/* limit in bytes; 0: as much as the reserved addresses hold. NULL when memory is out. */
struct lua_arena *lua_arena_new(size_t limit);

/* Everything in it goes. NULL is a no-op. */
void lua_arena_free(struct lua_arena *a);

/* lua_Alloc. NULL where the limit would be passed; shrinking never fails. */
void *lua_arena_alloc(void *arena, void *p, size_t old, size_t size);

/* Raise the limit by that much; negative: lower it. A collection where memory is out needs a little. */
void lua_arena_allow(struct lua_arena *a, long more);

/* Is less than an eighth of the limit free? */
bool lua_arena_is_short(const struct lua_arena *a);

/* Bytes in use, and the most there have been. */
size_t lua_arena_used(const struct lua_arena *a);
size_t lua_arena_peak(const struct lua_arena *a);

#endif
