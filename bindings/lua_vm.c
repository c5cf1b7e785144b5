#include "lua_vm.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lua_error.h"
#include "lua_heir.h"
#include "lua_state.h"
#include "takeover.h"
#include "util/clock.h"
#include "util/log.h"

struct lua_vm {
	struct worker *w;
	struct lua_state *now; /* NULL: no script is loaded */
	struct lua_script script;
	char **argv; /* what script refers to */
	struct lua_watch watch;
	struct contain contain;
	struct lua_health health;
	uint32_t epoch;

	/* Of the thread that loads and reloads: the script that was loaded last, and the files of its modules. */
	struct lua_text text;
	char **files;
	unsigned nfiles;

	pthread_mutex_t lock;   /* of what follows */
	struct lua_state *gone; /* states that nothing refers to any more */
	uint64_t reloads;
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
	pthread_mutex_init(&vm->lock, NULL);
	return vm;
}

void vm_set_input(struct lua_vm *vm, unsigned n, const char *const *paths)
{
	vm->script.ninputs = n;
	vm->script.inputs = paths;
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

/* On the worker's thread. Closing a state takes long: that of a reload does it, or vm_free. A lost one is only unmapped. */
static void state_gone(void *owner, struct lua_state *old)
{
	struct lua_vm *vm = owner;

	if (old->d.lost) {
		state_free(old);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	old->next = vm->gone;
	vm->gone = old;
	pthread_mutex_unlock(&vm->lock);
}

static void free_gone(struct lua_vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	struct lua_state *st = vm->gone;
	vm->gone = NULL;
	pthread_mutex_unlock(&vm->lock);
	for (struct lua_state *next; st; st = next) {
		next = st->next;
		state_free(st);
	}
}

static void free_files(char **files, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(files[i]);
	free(files);
}

/* The script in text has been loaded, its modules from files, which are vm's from now on. */
static void took_over(struct lua_vm *vm, const struct lua_text *text, char **files, unsigned nfiles)
{
	struct lua_text copy;

	free_files(vm->files, vm->nfiles);
	vm->files = files;
	vm->nfiles = nfiles;
	if (text_copy(&copy, text) < 0) {
		text_free(&copy);
		return;
	}
	text_free(&vm->text);
	vm->text = copy;
}

static uint32_t next_epoch(struct lua_vm *vm)
{
	return __atomic_add_fetch(&vm->epoch, 1, __ATOMIC_RELAXED);
}

static void rest(void *arg);

static void count(void *arg, struct stats *sum)
{
	const struct lua_dispatch *d = arg;
	const struct lua_health *h = &((struct lua_vm *)state_of(arg)->owner)->health;

	sum->script_memory += lua_arena_used(d->arena);
	sum->jit_traces += h->jit_traces + d->call.jit_traces;
	sum->jit_aborts += h->jit_aborts + d->call.jit_aborts;
	sum->jit_given_up += h->jit_given_up + d->call.jit_given_up;
	sum->jit_flushes += h->jit_flushes + d->call.jit_flushes;
	sum->gc_us += h->gc_ns / 1000;
	sum->gc_longest_us = (h->gc_longest_ns + 999) / 1000;
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		sum->sampled[i] += h->sampled[i];
		sum->sampled_ns[i] += h->sampled_ns[i];
	}
}

/* What the compiler did for the state that goes. */
static void forget_jit(struct lua_vm *vm)
{
	struct lua_health *h = &vm->health;

	if (!vm->now)
		return;
	h->jit_traces += vm->now->d.call.jit_traces;
	h->jit_aborts += vm->now->d.call.jit_aborts;
	h->jit_given_up += vm->now->d.call.jit_given_up;
	h->jit_flushes += vm->now->d.call.jit_flushes;
}

static int install(struct lua_vm *vm, struct lua_state *st)
{
	st->d.rest = rest;
	st->d.count = count;
	st->bench->d.engine.rest = rest;
	st->bench->d.engine.count = count;
	forget_jit(vm);
	int rc = heir_install(vm->w, st, vm->now, state_gone, vm);

	if (rc == 0) {
		st->d.watch = &vm->watch;
		st->d.health = &vm->health;
		vm->now = st;
	}
	return rc;
}

/* Without a script the packets pass, and connections are tracked. */
static void give_up(struct lua_vm *vm, const char *reason)
{
	log_error("the script is not run any more: it cannot begin afresh: %s", reason);
	vm->w->d.engine = (struct engine){ .handle = NULL };
	vm->w->d.sets.hold = NULL;
	/* Nobody else says that the thread runs no more handlers: the timer would tick on. */
	watch_stop(&vm->watch);
	vm->w->unheard = true;
}

/* The state is lost. Its machine code stays mapped: only LuaJIT knows where it is. */
static void begin_afresh(struct lua_vm *vm)
{
	char err[512] = "out of memory";
	struct lua_estate estate;

	estate_take(&estate, vm->w, vm->now);
	struct lua_state *st = state_new(vm->w, &vm->script, &vm->now->text, &estate, next_epoch(vm), &vm->watch,
					 &vm->contain, err, sizeof(err));

	free(estate.record);
	if (!st || install(vm, st) < 0) {
		state_free(st);
		give_up(vm, err);
		return;
	}
	vm->w->stats.script_starts++;
	lua_dispatch_contain(&st->d);
}

static void rest(void *arg)
{
	struct lua_state *st = state_of(arg);

	if (st->d.lost)
		begin_afresh(st->owner);
	else
		lua_dispatch_collect(&st->d);
}

static bool keep_args(struct lua_vm *vm, int argc, char **argv)
{
	vm->argv = calloc((size_t)argc + 1, sizeof(*vm->argv));
	for (int i = 0; vm->argv && i < argc; i++) {
		vm->argv[i] = strdup(argv[i]);
		if (!vm->argv[i])
			return false;
	}
	vm->script.argc = argc;
	vm->script.argv = (const char *const *)vm->argv;
	return vm->argv;
}

/* A state that may take over, made on this thread. NULL with one line in err. */
static struct lua_state *prepare(struct lua_vm *vm, const struct lua_text *text, const struct lua_estate *estate,
				 char *err, size_t errlen)
{
	struct lua_watch watch;

	watch_start(&watch, vm->w->set.script_timeout_ns);
	struct lua_state *st = state_new(vm->w, &vm->script, text, estate, next_epoch(vm), &watch, &vm->contain, err,
					 errlen);

	if (st && lua_dispatch_settle(&st->d) < 0) {
		snprintf(err, errlen, "%s: a finalizer took too long", text->path);
		state_free(st);
		st = NULL;
	}
	watch_stop(&watch);
	if (st)
		st->d.watch = &vm->watch;
	return st;
}

static int load(struct lua_vm *vm, const struct lua_text *text, int argc, char **argv, char *err, size_t errlen)
{
	if (!keep_args(vm, argc, argv)) {
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	struct lua_state *st = prepare(vm, text, NULL, err, errlen);

	if (!st)
		return -1;
	if (install(vm, st) == 0) {
		took_over(vm, text, st->files, st->nfiles);
		st->files = NULL;
		st->nfiles = 0;
		return 0;
	}
	snprintf(err, errlen, "out of memory");
	state_free(st);
	return -1;
}

int vm_load(struct lua_vm *vm, const char *path, int argc, char **argv, char *err, size_t errlen)
{
	struct lua_text text;
	int rc = text_read(&text, path, err, errlen);

	if (rc == 0)
		rc = load(vm, &text, argc, argv, err, errlen);
	text_free(&text);
	return rc;
}

int vm_load_text(struct lua_vm *vm, const char *name, const char *text, size_t len, int argc, char **argv, char *err,
		 size_t errlen)
{
	struct lua_text t = { .path = (char *)name, .source = (char *)text, .len = len };

	return load(vm, &t, argc, argv, err, errlen);
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
	free_gone(vm);
	if (vm->now) {
		lua_dispatch_remove(&vm->now->d);
		take_context_back(&vm->w->d, vm->now);
	}
	state_free(vm->now);
	contain_fini(&vm->contain);
	text_free(&vm->text);
	free_files(vm->files, vm->nfiles);
	for (int i = 0; vm->argv && i < vm->script.argc; i++)
		free(vm->argv[i]);
	free(vm->argv);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* What a reload asks of the worker, between two bursts. */
struct reload {
	struct lua_vm *vm;
	struct lua_estate estate;
	struct lua_state *st;
	bool busy; /* connections are still following the script before */
	int rc;
	uint64_t pause_ns;
};

static void look(struct worker *w, void *arg)
{
	struct reload *r = arg;

	r->busy = w->takeover != NULL;
	estate_take(&r->estate, w, r->vm->now);
}

static void swap(struct worker *w, void *arg)
{
	struct reload *r = arg;
	uint64_t began = clock_ns();

	/* A monitor has come or gone meanwhile: its number may be taken twice. */
	if (!estate_is(&r->estate, w)) {
		r->rc = -EAGAIN;
		return;
	}
	r->rc = install(r->vm, r->st);
	if (r->rc < 0)
		return;
	contain_clear(&r->vm->contain);
	/* The one before was given up. */
	if (!r->vm->watch.on && watch_start(&r->vm->watch, w->set.script_timeout_ns) < 0)
		log_warn("--script-timeout: this thread cannot have a timer");
	w->unheard = false;
	r->vm->reloads++;
	r->pause_ns = clock_ns() - began;
}

/* Wait until the connections have followed the script that is there. 0 or -ESRCH. */
static int settle(struct reload *r, const struct vm_worker *worker)
{
	int rc;

	while ((rc = worker->call(worker->arg, look, r)) == 0 && r->busy) {
		free(r->estate.record);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return rc;
}

/* 0, -EAGAIN, or -1 with the reason in err. */
static int reload_once(struct reload *r, const struct vm_worker *worker, const struct lua_text *text, char *err,
		       size_t errlen)
{
	struct lua_vm *vm = r->vm;

	if (settle(r, worker) < 0) {
		snprintf(err, errlen, "the worker does not run");
		return -1;
	}
	r->st = prepare(vm, text, &r->estate, err, errlen);
	free(r->estate.record);
	r->estate.record = NULL;
	if (!r->st)
		return -1;
	r->rc = -ESRCH;
	char **files = r->st->files;
	unsigned nfiles = r->st->nfiles;
	r->st->files = NULL;
	r->st->nfiles = 0;
	worker->call(worker->arg, swap, r);
	if (r->rc == 0)
		took_over(vm, text, files, nfiles);
	else
		free_files(files, nfiles);
	if (r->rc < 0) {
		snprintf(err, errlen, r->rc == -ESRCH ? "the worker does not run" : "out of memory");
		state_free(r->st);
	}
	return r->rc < 0 && r->rc != -EAGAIN ? -1 : r->rc;
}

int vm_reload(struct lua_vm *vm, const struct vm_worker *worker, const struct lua_text *text, uint64_t *pause_ns,
	      char *err, size_t errlen)
{
	enum { TRIES = 10 };
	struct reload r = { .vm = vm };
	int rc = -EAGAIN;

	for (unsigned i = 0; rc == -EAGAIN && i < TRIES; i++)
		rc = reload_once(&r, worker, text, err, errlen);
	if (rc == -EAGAIN)
		snprintf(err, errlen, "the script opens and closes monitors all the time");
	*pause_ns = r.pause_ns;
	free_gone(vm);
	return rc ? -1 : 0;
}

void vm_health(const struct lua_vm *vm, struct vm_health *h)
{
	*h = (struct vm_health){
		.reloads = vm->reloads,
		.memory = vm->now ? lua_arena_used(vm->now->d.arena) : 0,
	};
}

void vm_set_max_errors(struct lua_vm *vm, unsigned most)
{
	vm->contain.most = most;
}

int vm_text(const struct lua_vm *vm, struct lua_text *text)
{
	return text_copy(text, &vm->text);
}

void vm_files(const struct lua_vm *vm, void (*fn)(void *arg, const char *path), void *arg)
{
	for (unsigned i = 0; i < vm->nfiles; i++)
		fn(arg, vm->files[i]);
}
