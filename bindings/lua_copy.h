/* Values from one Lua state to another. */
#ifndef MOS_BINDINGS_LUA_COPY_H
#define MOS_BINDINGS_LUA_COPY_H

#include <lauxlib.h>
#include <lua.h>

/*
 * Push a copy of the value at index of `from` onto `to`: nil, booleans, numbers, strings, and tables of them, without their
 * metatables. Of anything else its text, as tostring gives it.
 */
void copy_value(lua_State *from, int index, lua_State *to);

#endif
