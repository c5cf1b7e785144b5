#include "copy.h"

#include <stdbool.h>

enum { DEPTH_MAX = 16 };

static void copy_at(lua_State *from, int index, lua_State *to, int depth);

static void copy_table(lua_State *from, int index, lua_State *to, int depth)
{
	lua_newtable(to);
	for (lua_pushnil(from); lua_next(from, index); lua_pop(from, 1)) {
		copy_at(from, lua_gettop(from) - 1, to, depth + 1);
		copy_at(from, lua_gettop(from), to, depth + 1);
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

static void copy_at(lua_State *from, int index, lua_State *to, int depth)
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
	else if (type == LUA_TTABLE && depth < DEPTH_MAX)
		copy_table(from, index, to, depth);
	else
		copy_text(from, index, to);
}

void copy_value(lua_State *from, int index, lua_State *to)
{
	copy_at(from, index, to, 0);
}
