#include "lua_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include "embed.h"
#include "lua_dispatch.h"
#include "lua_error.h"
#include "util/log.h"

struct lua_vm {
	struct lua_dispatch d;
	bool loaded;
};

/*
 * The limits of the JIT compiler. LuaJIT's defaults fit one program; here each handler is the root of its own traces, and
 * when the limit is reached all of them are thrown away.
 */
static const char jit_limits[] = "require('jit.opt').start('maxtrace=16000', 'maxside=4000', 'maxrecord=8000', "
				 "'sizemcode=1024', 'maxmcode=65536')";

static const struct embed *embed_find(const char *name)
{
	for (size_t i = 0; i < embed_count; i++) {
		if (!strcmp(embed_files[i].name, name))
			return &embed_files[i];
	}
	return NULL;
}

/* package.loaders: the modules that are part of the executable. */
static int find_module(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	const struct embed *file = embed_find(name);

	if (!file || strcmp(name, "mos_ffi.h") == 0) {
		lua_pushfstring(L, "\n\tno module '%s' in mos-run", name);
		return 1;
	}
	lua_pushfstring(L, "=(%s)", name);
	if (luaL_loadbuffer(L, (const char *)file->data, file->len, lua_tostring(L, -1)))
		return lua_error(L);
	return 1;
}

/* After package.preload, before the file system. */
static void add_module_finder(lua_State *L)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "loaders");
	for (int i = (int)lua_objlen(L, -1); i >= 2; i--) {
		lua_rawgeti(L, -1, i);
		lua_rawseti(L, -2, i + 1);
	}
	lua_pushcfunction(L, find_module);
	lua_rawseti(L, -2, 2);
	lua_pop(L, 2);
}

static void set_shared(lua_State *L, const char *name, int table)
{
	lua_pushvalue(L, table);
	lua_setfield(L, STACK_HOST, name);
}

/*
 * require "mos.host": what C gives to bindings/mos (addresses, the text of mos_ffi.h, the shared tables), and
 * where bindings/mos leaves what C calls: at_exit.
 */
static void fill_host(struct lua_dispatch *d)
{
	lua_State *L = d->L;
	const struct embed *header = embed_find("mos_ffi.h");

	lua_pushlightuserdata(L, d->w->d.ctx);
	lua_setfield(L, STACK_HOST, "ctx");
	lua_pushlightuserdata(L, &d->call);
	lua_setfield(L, STACK_HOST, "call");
	lua_pushlstring(L, header ? (const char *)header->data : "", header ? header->len : 0);
	lua_setfield(L, STACK_HOST, "header");
	set_shared(L, "handlers", STACK_HANDLERS);
	set_shared(L, "filters", STACK_FILTERS);
	set_shared(L, "data", STACK_DATA);
	lua_newtable(L);
	lua_setfield(L, STACK_HOST, "args");
	lua_newtable(L);
	lua_setfield(L, STACK_HOST, "input");

	lua_getglobal(L, "package");
	lua_getfield(L, -1, "loaded");
	lua_pushvalue(L, STACK_HOST);
	lua_setfield(L, -2, "mos.host");
	lua_pop(L, 2);
}

/* Runs protected: everything that may fail for want of memory, or because a module of the bindings is broken. */
int vm_open_libraries(lua_State *L)
{
	luaL_openlibs(L);
	luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
	if (luaL_dostring(L, jit_limits))
		return lua_error(L);
	add_module_finder(L);
	return 0;
}

static int load_bindings(lua_State *L)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "mos");
	lua_call(L, 1, 0);
	return 0;
}

static int protected_call(lua_State *L, lua_CFunction fn, char *err, size_t errlen)
{
	int status;

	error_push_load_handler(L);
	lua_pushcfunction(L, fn);
	status = lua_pcall(L, 0, 0, -2);
	if (status)
		error_pop_line(L, err, errlen);
	lua_pop(L, 1);
	return status ? -1 : 0;
}

static int fill_stack(struct lua_vm *vm, char *err, size_t errlen)
{
	lua_State *L = vm->d.L;

	if (protected_call(L, vm_open_libraries, err, errlen) < 0)
		return -1;
	lua_pushnil(L);
	for (int i = STACK_ON_ERROR + 1; i <= STACK_HOST; i++)
		lua_newtable(L);
	error_push_handler(L, STACK_PLACES);
	lua_replace(L, STACK_ON_ERROR);
	fill_host(&vm->d);
	return protected_call(L, load_bindings, err, errlen);
}

/* Only where a call outside lua_pcall runs out of memory. */
static int panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	log_error("Lua: %s", text ? text : "unknown error");
	return 0;
}

struct lua_vm *vm_new(struct worker *w, char *err, size_t errlen)
{
	struct lua_vm *vm = calloc(1, sizeof(*vm));

	if (vm)
		vm->d.L = luaL_newstate();
	if (!vm || !vm->d.L) {
		snprintf(err, errlen, "cannot make a Lua state: out of memory");
		free(vm);
		return NULL;
	}
	vm->d.w = w;
	/* A state that takes over from another finds connections of scripts that may have looked back. */
	if (!w->d.engine.handle)
		w->looks_back = false;
	lua_atpanic(vm->d.L, panic);
	if (fill_stack(vm, err, errlen) < 0) {
		vm_free(vm);
		return NULL;
	}
	return vm;
}

static void set_strings(lua_State *L, const char *field, unsigned n, const char *const *strings)
{
	lua_getfield(L, STACK_HOST, field);
	for (unsigned i = 0; i < n; i++) {
		lua_pushstring(L, strings[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_pop(L, 1);
}

void vm_set_input(struct lua_vm *vm, unsigned n, const char *const *paths)
{
	set_strings(vm->d.L, "input", n, paths);
}

/* `require` looks next to the script first, wherever it is run from. */
static void set_module_path(lua_State *L, const char *script)
{
	const char *slash = strrchr(script, '/');
	int n = slash ? (int)(slash - script) : 1;

	lua_getglobal(L, "package");
	lua_getfield(L, -1, "path");
	lua_pushlstring(L, slash ? script : ".", n ? (size_t)n : 1);
	lua_pushvalue(L, -1);
	lua_setfield(L, STACK_HOST, "script_dir");
	lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", lua_tostring(L, -1), lua_tostring(L, -1), lua_tostring(L, -2));
	lua_setfield(L, -4, "path");
	lua_pop(L, 3);
}

/* See bindings/mos/history.lua. */
static void look_at(lua_State *L)
{
	lua_getfield(L, STACK_HOST, "look");
	lua_pushvalue(L, -2);
	lua_call(L, 1, 0);
}

/* Run the script that was loaded, or fail with what loading it said. */
static int run_loaded(struct lua_vm *vm, int status, char *err, size_t errlen)
{
	lua_State *L = vm->d.L;

	if (status == 0) {
		look_at(L);
		lua_dispatch_install(&vm->d);
		status = lua_pcall(L, 0, 0, -2);
	}
	if (status) {
		error_pop_line(L, err, errlen);
		lua_dispatch_remove(&vm->d);
	}
	lua_pop(L, 1);
	vm->loaded = status == 0;
	return status ? -1 : 0;
}

static void before_load(lua_State *L, const char *path, int argc, char **argv)
{
	set_strings(L, "args", (unsigned)argc, (const char *const *)argv);
	set_module_path(L, path);
	error_push_load_handler(L);
}

int vm_load(struct lua_vm *vm, const char *path, int argc, char **argv, char *err, size_t errlen)
{
	before_load(vm->d.L, path, argc, argv);
	return run_loaded(vm, luaL_loadfile(vm->d.L, path), err, errlen);
}

int vm_load_text(struct lua_vm *vm, const char *name, const char *text, size_t len, int argc, char **argv, char *err,
		 size_t errlen)
{
	char chunk[256];

	snprintf(chunk, sizeof(chunk), "@%s", name);
	before_load(vm->d.L, name, argc, argv);
	return run_loaded(vm, luaL_loadbuffer(vm->d.L, text, len, chunk), err, errlen);
}

lua_State *vm_state(struct lua_vm *vm)
{
	return vm->d.L;
}

void vm_exit(struct lua_vm *vm)
{
	lua_State *L = vm->d.L;

	if (vm->loaded) {
		lua_getfield(L, STACK_HOST, "at_exit");
		int list = lua_gettop(L);
		for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
			lua_rawgeti(L, list, i);
			lua_dispatch_call(&vm->d);
		}
		lua_pop(L, 1);
		error_log_counts(L, STACK_PLACES);
	}
	fflush(stdout);
}

void vm_free(struct lua_vm *vm)
{
	if (!vm)
		return;
	lua_dispatch_remove(&vm->d);
	lua_close(vm->d.L);
	refs_fini(&vm->d.refs);
	free(vm);
}
