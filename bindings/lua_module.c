#include "lua_module.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

enum { MODULES_MAX = 256 };

/* Bytecode of embed_files[i], for the LuaJIT of this process; empty: not compiled yet. */
static struct code {
	char *data;
	size_t len;
} codes[MODULES_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int collect(lua_State *L, const void *data, size_t len, void *arg)
{
	struct code *code = arg;
	char *grown = realloc(code->data, code->len + len);

	(void)L;
	if (!grown)
		return 1;
	memcpy(grown + code->len, data, len);
	code->data = grown;
	code->len += len;
	return 0;
}

/* Keep the function at the top. Where memory is short the next state compiles it again. */
static void keep(lua_State *L, struct code *to)
{
	struct code code = { NULL, 0 };

	if (lua_dump(L, collect, &code) != 0) {
		free(code.data);
		return;
	}
	pthread_mutex_lock(&lock);
	if (!to->data)
		*to = code;
	else
		free(code.data);
	pthread_mutex_unlock(&lock);
}

int module_load(lua_State *L, const struct embed *file)
{
	size_t i = (size_t)(file - embed_files);
	struct code code = { NULL, 0 };

	pthread_mutex_lock(&lock);
	if (i < MODULES_MAX)
		code = codes[i];
	pthread_mutex_unlock(&lock);
	lua_pushfstring(L, "=(%s)", file->name);
	const char *name = lua_tostring(L, -1);
	int status = code.data ? luaL_loadbuffer(L, code.data, code.len, name)
			       : luaL_loadbuffer(L, (const char *)file->data, file->len, name);

	lua_remove(L, -2);
	if (status == 0 && !code.data && i < MODULES_MAX)
		keep(L, &codes[i]);
	return status;
}
