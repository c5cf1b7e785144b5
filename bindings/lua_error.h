/* Lua errors as people read them: one line at load, a traceback once per place while packets run. */
#ifndef MOS_BINDINGS_LUA_ERROR_H
#define MOS_BINDINGS_LUA_ERROR_H

#include <stddef.h>

#include <lua.h>

/*
 * Push the message handler for lua_pcall. It turns an error into its message and traceback the first time that it happens
 * at a place (file and line), and into nil later. The places it has seen are counted in the table at index places.
 */
void error_push_handler(lua_State *L, int places);

/* Push the message handler for a load: the message alone; the traceback goes to the log's debug level. */
void error_push_load_handler(lua_State *L);

/* The error at the top of the stack as one line in err, popped. */
void error_pop_line(lua_State *L, char *err, size_t errlen);

/* Log what the message handler left at the top of the stack, with where it happened added to the first line; popped. */
void error_pop_log(lua_State *L, const char *where);

/* Say for each place that failed more than once how often. */
void error_log_counts(lua_State *L, int places);

#endif
