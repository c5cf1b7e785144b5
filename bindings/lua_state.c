#include "lua_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include "embed.h"
#include "lua_error.h"
#include "lua_module.h"
#include "lua_vm.h"
#include "util/log.h"

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
	if (module_load(L, file))
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
	set_shared(L, "pairs", STACK_PAIRS);
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

static int protected_call(struct lua_dispatch *d, lua_CFunction fn, char *err, size_t errlen)
{
	lua_State *L = d->L;
	int status;

	error_push_load_handler(L);
	lua_pushcfunction(L, fn);
	status = lua_pcall(L, 0, 0, -2);
	if (status)
		error_pop_line(L, err, errlen);
	lua_pop(L, 1);
	return status ? -1 : 0;
}

static int nothing(lua_State *L)
{
	(void)L;
	return 0;
}

static int fill_stack(struct lua_dispatch *d, char *err, size_t errlen)
{
	lua_State *L = d->L;

	if (protected_call(d, vm_open_libraries, err, errlen) < 0)
		return -1;
	lua_pushnil(L);
	for (int i = STACK_ON_ERROR + 1; i <= STACK_HOST; i++)
		lua_newtable(L);
	error_push_handler(L, STACK_PLACES);
	lua_replace(L, STACK_ON_ERROR);
	lua_pushcfunction(L, nothing);
	lua_replace(L, STACK_NOTHING);
	fill_host(d);
	return protected_call(d, load_bindings, err, errlen);
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

int text_read(struct lua_text *t, const char *path, char *err, size_t errlen)
{
	FILE *f = fopen(path, "rb");
	size_t cap = 0, got = 1;

	*t = (struct lua_text){ .path = strdup(path) };
	while (f && t->path && got) {
		if (t->len == cap) {
			char *more = realloc(t->source, cap += 65536);

			if (!more)
				break;
			t->source = more;
		}
		got = fread(t->source + t->len, 1, cap - t->len, f);
		t->len += got;
	}
	bool fine = f && t->path && !got && !ferror(f);
	struct stat st;

	if (fine && (fstat(fileno(f), &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0)))
		t->foreign = true;

	if (!fine)
		snprintf(err, errlen, "cannot %s %s: %s", f ? "read" : "open", path,
			 errno ? strerror(errno) : "out of memory");
	if (f)
		fclose(f);
	return fine ? 0 : -1;
}

int text_copy(struct lua_text *to, const struct lua_text *from)
{
	*to = (struct lua_text){ strdup(from->path), malloc(from->len + 1), from->len, from->foreign };
	if (!to->path || !to->source)
		return -ENOMEM;
	memcpy(to->source, from->source, from->len);
	return 0;
}

void text_free(struct lua_text *t)
{
	free(t->path);
	free(t->source);
	*t = (struct lua_text){ .path = NULL };
}

static const char *estate_name(const struct passive *s)
{
	return !s->used ? "" : s->name[0] ? s->name : "?";
}

void estate_take(struct lua_estate *e, const struct worker *w, const struct lua_state *now)
{
	for (unsigned i = 0; i < PASSIVE_MAX; i++)
		snprintf(e->name[i], MONITOR_NAME, "%s", estate_name(&w->d.passive[i]));
	e->record = now && now->record ? strdup(now->record) : NULL;
}

bool estate_is(const struct lua_estate *e, const struct worker *w)
{
	for (unsigned i = 0; i < PASSIVE_MAX; i++)
		if (strcmp(e->name[i], estate_name(&w->d.passive[i])) != 0)
			return false;
	return true;
}

/* As luaL_loadfile does: a first line that begins with '#' is for the shell. */
static int load_chunk(lua_State *L, const struct lua_text *t, bool text_only)
{
	size_t skip = 0;
	char chunk[256];

	while (t->len && t->source[0] == '#' && skip < t->len && t->source[skip] != '\n')
		skip++;
	snprintf(chunk, sizeof(chunk), "@%s", t->path);
	return luaL_loadbufferx(L, t->source + skip, t->len - skip, chunk, text_only ? "t" : NULL);
}

static bool is_sandboxed(const struct lua_state *st)
{
	enum sandbox sandbox = st->bench->set.sandbox;

	return sandbox == SANDBOX_ALL || (sandbox == SANDBOX_FOREIGN && st->text.foreign);
}

/* The chunk at the top of the stack gets the sandbox's environment; it was made by prepare_sandbox. */
static void enter_sandbox(lua_State *L)
{
	lua_getfield(L, STACK_HOST, "globals");
	lua_setfenv(L, -2);
}

static int require_sandbox(lua_State *L)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "mos.sandbox");
	lua_call(L, 1, 0);
	return 0;
}

static int prepare_sandbox(struct lua_state *st, char *err, size_t errlen)
{
	if (!is_sandboxed(st))
		return 0;
	if (st->bench->set.data_dir) {
		lua_pushstring(st->d.L, st->bench->set.data_dir);
		lua_setfield(st->d.L, STACK_HOST, "data_dir");
	}
	return protected_call(&st->d, require_sandbox, err, errlen);
}

/* "script.lua: took longer ...": it was stopped, and nobody knows where. */
static int load(struct lua_state *st, const struct lua_script *s, char *err, size_t errlen)
{
	lua_State *L = st->d.L;

	set_strings(L, "args", (unsigned)s->argc, s->argv);
	set_strings(L, "input", s->ninputs, s->inputs);
	set_module_path(L, st->text.path);
	if (prepare_sandbox(st, err, errlen) < 0)
		return -1;
	error_push_load_handler(L);
	bool sandboxed = is_sandboxed(st);
	int at = lua_gettop(L), status = load_chunk(L, &st->text, sandboxed);
	if (status == 0) {
		look_at(L);
		if (sandboxed)
			enter_sandbox(L);
		status = watch_call(st->d.watch, L, at, WATCH_MAIN);
	}
	if (status == 0) {
		lua_getfield(L, STACK_HOST, "loaded");
		status = watch_call(st->d.watch, L, at, WATCH_MAIN);
	}
	if (status == WATCH_KILLED) {
		st->d.lost = true;
		snprintf(err, errlen, "%s: its main part took too long", st->text.path);
		return -1;
	}
	if (status)
		error_pop_line(L, err, errlen);
	lua_pop(L, 1);
	return status ? -1 : 0;
}

static void bench_free(struct worker *w)
{
	if (!w)
		return;
	worker_fini(w);
	free(w);
}

/* A worker like w, but without traffic, whose context is the state's. */
static struct worker *bench_new(const struct worker *w, struct lua_state *st)
{
	struct worker *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);

	if (!b || worker_init(b, w->mctx.cpu, &w->set) < 0) {
		free(b);
		return NULL;
	}
	st->ctx = (struct mos_ctx){
		.conns = b->d.ctx->conns,
		.socks = b->d.ctx->socks,
		.worker = w->d.own.worker,
		.workers = w->d.own.workers,
		.owner = b,
	};
	b->d.ctx = &st->ctx;
	b->looks_back = false;
	/* Timers keep their keys when they move, and none may be taken for another's. */
	b->timers.count = (uint64_t)st->epoch << 32;
	return b;
}

static int fill(struct lua_state *st, const struct worker *w, const struct lua_script *script, char *err, size_t errlen)
{
	st->d.arena = lua_arena_new(w->set.script_memory);
	if (st->d.arena)
		st->d.L = lua_newstate(lua_arena_alloc, st->d.arena);
	if (!st->d.L || !(st->bench = bench_new(w, st))) {
		snprintf(err, errlen, "cannot make a Lua state: out of memory");
		return -1;
	}
	st->d.w = st->bench;
	lua_atpanic(st->d.L, watch_panic);
	lua_dispatch_install(&st->d);
	if (fill_stack(&st->d, err, errlen) < 0)
		return -1;
	if (script->prepare && script->prepare(script->prepare_arg, st->d.L, err, errlen) < 0)
		return -1;
	events_note(&st->notes);
	int rc = load(st, script, err, errlen);
	events_note(NULL);
	if (rc < 0)
		return -1;
	/* Sets on the way to those that stay: their handlers must not be counted down on another thread later. */
	hsets_trim(&st->bench->d.sets);
	return 0;
}

struct lua_state *state_new(const struct worker *w, const struct lua_script *script, const struct lua_text *text,
			    const struct lua_estate *estate, uint32_t epoch, struct lua_watch *watch,
			    struct contain *contain, char *err, size_t errlen)
{
	struct lua_state *st = calloc(1, sizeof(*st));

	if (!st || text_copy(&st->text, text) < 0) {
		snprintf(err, errlen, "cannot make a Lua state: out of memory");
		state_free(st);
		return NULL;
	}
	st->d.watch = watch;
	st->d.contain = contain;
	st->epoch = epoch;
	st->d.refs.epoch = epoch << REF_EPOCH;
	st->estate = estate;
	if (fill(st, w, script, err, errlen) < 0) {
		state_free(st);
		return NULL;
	}
	st->estate = NULL;
	return st;
}

void state_free(struct lua_state *st)
{
	if (!st)
		return;
	if (st->bench && st->bench->d.engine.arg == st)
		lua_dispatch_remove(&st->d);
	if (st->d.L && !st->d.lost)
		lua_close(st->d.L);
	lua_arena_free(st->d.arena);
	bench_free(st->bench);
	events_forget(&st->notes);
	refs_fini(&st->d.refs);
	text_free(&st->text);
	for (unsigned i = 0; i < st->nfiles; i++)
		free(st->files[i]);
	free(st->files);
	free(st->record);
	free(st->parts);
	free(st);
}
