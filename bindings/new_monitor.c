#include "new_monitor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

#include "lua_error.h"
#include "lua_vm.h"

/* Nothing, or why there is no such folder now. */
static int make_folder(lua_State *L)
{
	if (mkdir(luaL_checkstring(L, 1), 0777) == 0)
		return 0;
	lua_pushstring(L, strerror(errno));
	return 1;
}

/* The folder of this executable. */
static void push_own_folder(lua_State *L)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(path, '/');
	lua_pushlstring(L, path, slash ? (size_t)(slash - path) : 0);
}

static int write_all(lua_State *L)
{
	const char *name = lua_touserdata(L, 1);

	vm_open_libraries(L);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "mos.new_monitor");
	lua_call(L, 1, 1);
	lua_pushstring(L, name);
	push_own_folder(L);
	lua_pushcfunction(L, make_folder);
	lua_call(L, 3, 0);
	return 0;
}

int new_monitor(const char *name, char *err, size_t errlen)
{
	lua_State *L = luaL_newstate();

	if (!L) {
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	int status = lua_cpcall(L, write_all, (void *)name);
	if (status)
		error_pop_line(L, err, errlen);
	lua_close(L);
	return status ? -1 : 0;
}
