#include "lua_copy.h"

#include <stdbool.h>

static void copy_at(lua_State *from, int index, lua_State *to, int memo);

/* A table that has been copied is copied once: cycles end, and what is shared stays shared. */
static bool copied(lua_State *to, int memo, const void *table)
{
	lua_pushlightuserdata(to, (void *)table);
	lua_rawget(to, memo);
	if (!lua_isnil(to, -1))
		return true;
	lua_pop(to, 1);
	return false;
}

static void copy_table(lua_State *from, int index, lua_State *to, int memo)
{
	const void *table = lua_topointer(from, index);

	if (copied(to, memo, table))
		return;
	lua_newtable(to);
	lua_pushlightuserdata(to, (void *)table);
	lua_pushvalue(to, -2);
	lua_rawset(to, memo);
	for (lua_pushnil(from); lua_next(from, index); lua_pop(from, 1)) {
		copy_at(from, lua_gettop(from) - 1, to, memo);
		copy_at(from, lua_gettop(from), to, memo);
		lua_rawset(to, -3);
	}
}

/* The text of a value that has no copy. */
static void copy_text(lua_State *from, int index, lua_State *to)
{
	lua_getglobal(from, "tostring");
	lua_pushvalue(from, index);
	bool fine = lua_pcall(from, 1, 1, 0) == 0 && lua_isstring(from, -1);
	lua_pushstring(to, fine ? lua_tostring(from, -1) : "?");
	lua_pop(from, 1);
}

static void copy_string(lua_State *from, int index, lua_State *to)
{
	size_t len;
	const char *text = lua_tolstring(from, index, &len);

	lua_pushlstring(to, text, len);
}

static void copy_at(lua_State *from, int index, lua_State *to, int memo)
{
	int type = lua_type(from, index);

	if (!lua_checkstack(from, 8) || !lua_checkstack(to, 8))
		luaL_error(from, "out of memory");
	if (type == LUA_TNIL)
		lua_pushnil(to);
	else if (type == LUA_TBOOLEAN)
		lua_pushboolean(to, lua_toboolean(from, index));
	else if (type == LUA_TNUMBER)
		lua_pushnumber(to, lua_tonumber(from, index));
	else if (type == LUA_TSTRING)
		copy_string(from, index, to);
	else if (type == LUA_TTABLE)
		copy_table(from, index, to, memo);
	else
		copy_text(from, index, to);
}

void copy_value(lua_State *from, int index, lua_State *to)
{
	lua_newtable(to);
	copy_at(from, index, to, lua_gettop(to));
	lua_remove(to, -2);
}
