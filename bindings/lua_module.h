/* The Lua files that are part of the executable, as functions. */
#ifndef MOS_BINDINGS_LUA_MODULE_H
#define MOS_BINDINGS_LUA_MODULE_H

#include <lua.h>

#include "embed.h"

/*
 * Push the file's main function; its chunk is named "(name)". What was compiled for one state is kept for the next, which
 * then takes a tenth of the time. Any thread. Returns what lua_load does; on failure the message is pushed.
 */
int module_load(lua_State *L, const struct embed *file);

#endif
