/* What a script leaves to the one that takes its place, and how that finds it. */
#ifndef MOS_BINDINGS_LUA_HEIR_H
#define MOS_BINDINGS_LUA_HEIR_H

#include "lua_state.h"

/*
 * Have st take the place of old (NULL: there is none) in w, on the worker's thread between two packets. What old's
 * on_unload functions save goes to st's on_load functions; connections follow later, with their records, the handlers of
 * their own that have names, and what st's monitor:carry functions make of their conn.data. When all have followed,
 * gone(owner, old) is called. 0 or -ENOMEM, with nothing changed.
 */
int heir_install(struct worker *w, struct lua_state *st, struct lua_state *old,
		 void (*gone)(void *owner, struct lua_state *old), void *owner);

#endif
