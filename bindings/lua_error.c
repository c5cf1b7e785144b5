#include "lua_error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "util/log.h"

/* Chunks of the bindings are named "=(mos.conn)"; a script's error is shown at the script's lines. */
#define OWN_CHUNK "(mos"

static bool frame_is_own(const char *short_src)
{
	return strncmp(short_src, OWN_CHUNK, strlen(OWN_CHUNK)) == 0;
}

/* Push "file:line" of the innermost frame of the script, or "?". */
static void push_place(lua_State *L)
{
	lua_Debug ar;

	for (int level = 1; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline > 0 && !frame_is_own(ar.short_src)) {
			lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
			return;
		}
	}
	lua_pushliteral(L, "?");
}

/* Replace the error at the top of the stack by its text. */
static void error_to_text(lua_State *L)
{
	int at = lua_gettop(L);

	if (lua_isstring(L, at))
		return;
	if (!luaL_callmeta(L, at, "__tostring") || !lua_isstring(L, -1))
		lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, at));
	lua_replace(L, at);
	lua_settop(L, at);
}

static int handler(lua_State *L)
{
	lua_settop(L, 1);
	push_place(L);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	lua_Number seen = lua_tonumber(L, -1);
	lua_pushvalue(L, 2);
	lua_pushnumber(L, seen + 1);
	lua_rawset(L, lua_upvalueindex(1));
	if (seen > 0)
		return 0;
	lua_settop(L, 1);
	error_to_text(L);
	luaL_traceback(L, L, lua_tostring(L, -1), 1);
	return 1;
}

void error_push_handler(lua_State *L, int places)
{
	lua_pushvalue(L, places);
	lua_pushcclosure(L, handler, 1);
}

static int load_handler(lua_State *L)
{
	lua_settop(L, 1);
	error_to_text(L);
	luaL_traceback(L, L, lua_tostring(L, -1), 1);
	log_debug("%s", lua_tostring(L, -1));
	lua_pop(L, 1);
	return 1;
}

void error_push_load_handler(lua_State *L)
{
	lua_pushcfunction(L, load_handler);
}

void error_pop_line(lua_State *L, char *err, size_t errlen)
{
	const char *text = lua_tostring(L, -1);

	text = text ? text : "unknown error";
	size_t n = strcspn(text, "\n");
	/* What require says when it finds nothing: the places it looked at follow on lines of their own. */
	if (n && text[n] && text[n - 1] == ':')
		n--;
	snprintf(err, errlen, "%.*s", (int)n, text);
	lua_pop(L, 1);
}

/* One line of a traceback; those of the bindings tell the script's author nothing. */
static void log_trace_line(const char *line, size_t n)
{
	while (n && *line == '\t') {
		line++;
		n--;
	}
	if (!frame_is_own(line))
		log_error("  %.*s", (int)n, line);
}

void error_pop_log(lua_State *L, const char *where)
{
	const char *text = lua_tostring(L, -1);

	if (text) {
		size_t n = strcspn(text, "\n");

		log_error("%.*s (%s)", (int)n, text, where);
		for (text += n; *text; text += n) {
			text++;
			n = strcspn(text, "\n");
			log_trace_line(text, n);
		}
	}
	lua_pop(L, 1);
}

void error_log_counts(lua_State *L, int places)
{
	for (lua_pushnil(L); lua_next(L, places); lua_pop(L, 1)) {
		if (lua_tonumber(L, -1) > 1)
			log_error("%s: failed %.0f times in all", lua_tostring(L, -2), lua_tonumber(L, -1));
	}
}
