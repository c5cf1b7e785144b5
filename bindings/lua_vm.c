#include "lua_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_error.h"
#include "lua_names.h"
#include "lua_state.h"
#include "takeover.h"
#include "util/log.h"

struct lua_vm {
	struct worker *w;
	struct lua_state *now; /* NULL: no script is loaded */
	struct lua_script script;
	struct lua_watch watch;
	struct contain contain;
	uint32_t epoch;
	char *path, *text, **argv; /* what script refers to */
};

struct lua_vm *vm_new(struct worker *w, char *err, size_t errlen)
{
	struct lua_vm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		snprintf(err, errlen, "cannot make a Lua state: out of memory");
		return NULL;
	}
	vm->w = w;
	vm->contain.most = w->set.max_errors;
	return vm;
}

void vm_set_input(struct lua_vm *vm, unsigned n, const char *const *paths)
{
	vm->script.ninputs = n;
	vm->script.inputs = paths;
}

static void copy_record(void *arg, uint8_t *to, const uint8_t *from)
{
	const struct lua_state *st = arg;

	for (uint32_t i = 0; i < st->nparts; i++)
		memcpy(to + st->parts[i].to, from + st->parts[i].from, st->parts[i].len);
}

/* bindings/mos/handler.lua looks the name up among the new script's functions. */
static uint32_t rebind(void *arg, event_t event, uint32_t ref)
{
	struct lua_state *st = arg;
	uint32_t name = refs_name(&st->old->d.refs, ref);

	if (!name || st->d.lost)
		return 0;
	st->d.call.event = event;
	st->d.call.name = name_text(name);
	st->d.call.ref = 0;
	lua_getfield(st->d.L, STACK_HOST, "rebind");
	lua_dispatch_call(&st->d, WATCH_HANDLER);
	return st->d.call.ref ? st->d.call.ref | st->d.refs.epoch : 0;
}

static void all_followed(void *arg)
{
	struct lua_state *st = arg;

	state_free(st->old);
	st->old = NULL;
}

static void rest(void *arg);

/* st in the place of the state that the worker has. The new one's `rest` is called from now on. */
static int install(struct lua_vm *vm, struct lua_state *st)
{
	struct heir heir = { .record = copy_record, .rebind = rebind, .done = all_followed, .arg = st };

	st->owner = vm;
	st->d.rest = rest;
	st->bench->d.engine.rest = rest;
	st->old = vm->now;
	st->d.watch = &vm->watch;
	if (takeover_begin(vm->w, st->bench, &heir) < 0) {
		st->old = NULL;
		return -1;
	}
	st->d.w = vm->w;
	vm->now = st;
	return 0;
}

static struct lua_state *build(struct lua_vm *vm, struct lua_watch *watch, char *err, size_t errlen)
{
	return state_new(vm->w, &vm->script, vm->now, ++vm->epoch, watch, &vm->contain, err, errlen);
}

/* Connections that a script saw last cannot be told apart from those that it never saw: the worker goes on without. */
static void give_up(struct lua_vm *vm, const char *reason)
{
	log_error("the script is not run any more: it cannot begin afresh: %s", reason);
	vm->w->d.engine = (struct engine){ .handle = NULL };
	vm->w->d.sets.hold = NULL;
}

/* The state is lost. Its machine code stays mapped: only LuaJIT knows where it is. */
static void begin_afresh(struct lua_vm *vm)
{
	char err[512];
	struct lua_state *st = build(vm, &vm->watch, err, sizeof(err));

	if (!st) {
		give_up(vm, err);
		return;
	}
	vm->w->stats.script_starts++;
	if (install(vm, st) < 0)
		state_free(st);
	else
		lua_dispatch_contain(&st->d);
}

static void rest(void *arg)
{
	struct lua_state *st = state_of(arg);

	if (st->d.lost)
		begin_afresh(st->owner);
}

void vm_prepare(struct lua_vm *vm, int (*fn)(void *arg, lua_State *L, char *err, size_t errlen), void *arg)
{
	vm->script.prepare = fn;
	vm->script.prepare_arg = arg;
}

lua_State *vm_state(struct lua_vm *vm)
{
	return vm->now && !vm->now->d.lost ? vm->now->d.L : NULL;
}

int vm_load(struct lua_vm *vm, const char *path, int argc, char **argv, char *err, size_t errlen)
{
	return vm_load_text(vm, path, NULL, 0, argc, argv, err, errlen);
}

/* path, argv and, where it is not NULL, text as vm's own. */
static bool keep_script(struct lua_vm *vm, const char *path, const char *text, size_t len, int argc, char **argv)
{
	vm->script.path = vm->path = strdup(path);
	vm->argv = calloc((size_t)argc + 1, sizeof(*vm->argv));
	for (int i = 0; vm->argv && i < argc; i++)
		vm->argv[i] = strdup(argv[i]);
	vm->script.argc = argc;
	vm->script.argv = (const char *const *)vm->argv;
	if (text && (vm->text = malloc(len + 1)))
		memcpy(vm->text, text, len);
	vm->script.text = vm->text;
	vm->script.len = len;
	for (int i = 0; vm->argv && i < argc; i++)
		if (!vm->argv[i])
			return false;
	return vm->path && vm->argv && (!text || vm->text);
}

int vm_load_text(struct lua_vm *vm, const char *path, const char *text, size_t len, int argc, char **argv, char *err,
		 size_t errlen)
{
	if (!keep_script(vm, path, text, len, argc, argv)) {
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	watch_start(&vm->watch, vm->w->set.script_timeout_ns);
	struct lua_state *st = build(vm, &vm->watch, err, errlen);

	watch_stop(&vm->watch);
	if (!st)
		return -1;
	if (install(vm, st) == 0)
		return 0;
	snprintf(err, errlen, "out of memory");
	state_free(st);
	return -1;
}

/* A function that has to be stopped takes the rest of them with it: the state is lost. */
void vm_exit(struct lua_vm *vm)
{
	struct lua_state *st = vm->now;

	if (st && !st->d.lost) {
		lua_State *L = st->d.L;

		worker_thread(vm->w, true);
		lua_getfield(L, STACK_HOST, "at_exit");
		int list = lua_gettop(L), n = (int)lua_objlen(L, list);
		for (int i = 1; i <= n && !st->d.lost; i++) {
			lua_rawgeti(L, list, i);
			lua_dispatch_call(&st->d, WATCH_MAIN);
		}
		worker_thread(vm->w, false);
	}
	if (st && !st->d.lost) {
		lua_pop(st->d.L, 1);
		error_log_counts(st->d.L, STACK_PLACES);
	}
	fflush(stdout);
}

/* What is in dispatch lies with the state that goes; the worker stays. */
static void take_context_back(struct dispatch *d, const struct lua_state *st)
{
	if (d->ctx != &st->ctx)
		return;
	d->own = st->ctx;
	d->ctx = &d->own;
}

void vm_free(struct lua_vm *vm)
{
	if (!vm)
		return;
	takeover_walk(vm->w, UINT32_MAX);
	if (vm->now) {
		lua_dispatch_remove(&vm->now->d);
		take_context_back(&vm->w->d, vm->now);
	}
	state_free(vm->now);
	contain_fini(&vm->contain);
	for (int i = 0; vm->argv && i < vm->script.argc; i++)
		free(vm->argv[i]);
	free(vm->argv);
	free(vm->path);
	free(vm->text);
	free(vm);
}
