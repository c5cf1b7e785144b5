#include "fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "control/server.h"
#include "lua_state.h"
#include "lua_vm.h"
#include "native.h"
#include "util/log.h"

/* A file has not changed for so many ticks: whoever writes it is done. */
enum { QUIET_TICKS = 2 };

#define MS 1000000ull

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool is_ending(const struct fleet *f)
{
	return __atomic_load_n(&f->ending, __ATOMIC_RELAXED);
}

/* A lane of the crew, for vm_worker. */
struct lane_of {
	struct crew *crew;
	unsigned worker;
};

static int call_worker(void *arg, void (*fn)(struct worker *w, void *arg), void *fn_arg)
{
	const struct lane_of *l = arg;

	return crew_call(l->crew, l->worker, fn, fn_arg);
}

/* What workers are to run: a script's text, or a copy of an object. */
struct version {
	struct lua_text text;
	struct object *object; /* NULL: a script */
	const char *path;      /* what messages call the object; borrowed */
};

static void version_free(struct version *v)
{
	text_free(&v->text);
	object_put(v->object);
	v->object = NULL;
}

/* What is in the file. 0, or -1 with one line in err; version_free either way. */
static int version_read(const struct fleet *f, struct version *v, const char *path, char *err, size_t errlen)
{
	*v = (struct version){ .path = path };
	if (!f->native[0])
		return text_read(&v->text, path, err, errlen);
	v->object = object_open(path, err, errlen);
	return v->object ? 0 : -1;
}

/* What worker i runs. 0, or -1 with one line in err. */
static int version_now(const struct fleet *f, unsigned i, struct version *v, char *err, size_t errlen)
{
	*v = (struct version){ .path = f->script };
	if (f->native[i])
		v->object = object_get(native_object(f->native[i]));
	if (f->native[i] || vm_text(f->vm[i], &v->text) == 0)
		return 0;
	snprintf(err, errlen, "out of memory");
	return -1;
}

/* To go back to it: an object with fresh variables, from the same bytes. */
static int version_renew(struct version *v, char *err, size_t errlen)
{
	struct object *old = v->object;

	if (!old)
		return 0;
	v->object = object_again(old, v->path, err, errlen);
	object_put(old);
	return v->object ? 0 : -1;
}

static int reload_one(struct fleet *f, unsigned i, const struct version *v, uint64_t *pause_ns, char *err,
		      size_t errlen)
{
	struct lane_of lane = { f->crew, i };
	struct vm_worker worker = { call_worker, &lane };

	if (f->native[i])
		return native_reload(f->native[i], f->crew, i, v->object, v->path, pause_ns, err, errlen);
	return vm_reload(f->vm[i], &worker, &v->text, pause_ns, err, errlen);
}

/* How often handlers failed, of so many calls. */
struct rate {
	uint64_t errors, calls;
};

static void take_rate(struct worker *w, void *arg)
{
	*(struct rate *)arg = (struct rate){ w->stats.handler_errors + w->stats.handlers_stopped, w->d.calls };
}

/* Wait, unless the run ends. */
static void wait_ns(const struct fleet *f, uint64_t ns)
{
	uint64_t until = clock_ns() + ns;

	while (!is_ending(f) && clock_ns() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20 * MS }, NULL);
}

/*
 * The new script has run on worker i since `before`; `old` is the old one's whole life. As many errors per call are
 * allowed as the old one had.
 */
static bool canary_lives(struct fleet *f, unsigned i, const struct rate *old, char *err, size_t errlen)
{
	struct rate now = { 0, 0 };

	wait_ns(f, f->canary_ns);
	if (is_ending(f) || crew_call(f->crew, i, take_rate, &now) < 0)
		return true;
	uint64_t errors = now.errors - old->errors, calls = now.calls - old->calls;

	uint64_t old_calls = old->calls ? old->calls : 1;

	if (!errors || (double)errors * (double)old_calls <= (double)old->errors * (double)calls)
		return true;
	snprintf(err, errlen, "worker %u has gone back to the old script: the new one failed %llu times in %llu calls",
		 i + 1, (unsigned long long)errors, (unsigned long long)calls);
	return false;
}

/* The first worker's new script, tried. -1: it has its old one again. */
static int try_canary(struct fleet *f, unsigned i, const struct version *v, uint64_t *pause_ns, char *err,
		      size_t errlen)
{
	struct version old;
	struct rate before = { 0, 0 };
	char again[256];
	uint64_t unused;

	if (version_now(f, i, &old, err, errlen) < 0) {
		version_free(&old);
		return -1;
	}
	crew_call(f->crew, i, take_rate, &before);
	int rc = reload_one(f, i, v, pause_ns, err, errlen);

	if (rc == 0 && !canary_lives(f, i, &before, err, errlen)) {
		rc = -1;
		if (version_renew(&old, again, sizeof(again)) < 0 ||
		    reload_one(f, i, &old, &unused, again, sizeof(again)) < 0)
			snprintf(err, errlen, "the new script fails, and the old one does not load: %s", again);
	}
	version_free(&old);
	return rc;
}

/* Workers that have the new script give it back: all or none. */
static void take_back(struct fleet *f, unsigned n, struct version *old)
{
	char err[256];
	uint64_t unused;
	int rc = version_renew(old, err, sizeof(err));

	for (unsigned i = 0; i < n; i++)
		if (rc < 0 || reload_one(f, i, old, &unused, err, sizeof(err)) < 0)
			log_error("reload: worker %u keeps the new script: %s", i + 1, err);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int reload_each(struct fleet *f, const struct version *v, struct version *old, uint64_t *pause, char *err,
		       size_t errlen)
{
	unsigned i = 0;
	int rc = 0;

	for (; rc == 0 && i < f->crew->n; i++)
		rc = i == 0 && f->canary_ns ? try_canary(f, i, v, &pause[i], err, errlen)
					    : reload_one(f, i, v, &pause[i], err, errlen);
	if (rc < 0 && i > 1)
		take_back(f, i - 1, old);
	return rc;
}

static int reload_all(struct fleet *f, const struct version *v, uint64_t *pause, char *err, size_t errlen)
{
	struct version old;
	int rc = version_now(f, 0, &old, err, errlen);

	if (rc == 0)
		rc = reload_each(f, v, &old, pause, err, errlen);
	version_free(&old);
	qsort(pause, f->crew->n, sizeof(*pause), by_value);
	return rc;
}

static int reload_version(struct fleet *f, const struct version *v, int worker, uint64_t pause_ns[2], char *err,
			  size_t errlen)
{
	uint64_t pause[WORKERS_MAX] = { 0 };

	if (worker >= 0) {
		int rc = f->canary_ns ? try_canary(f, (unsigned)worker, v, &pause[0], err, errlen)
				      : reload_one(f, (unsigned)worker, v, &pause[0], err, errlen);

		pause_ns[0] = pause_ns[1] = pause[0];
		return rc;
	}
	int rc = reload_all(f, v, pause, err, errlen);
	pause_ns[0] = pause[f->crew->n / 2];
	pause_ns[1] = pause[f->crew->n - 1];
	return rc;
}

static void file_state(const char *path, uint64_t state[4])
{
	struct stat st;

	memset(state, 0, 4 * sizeof(*state));
	if (stat(path, &st) < 0)
		return;
	state[0] = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	state[1] = (uint64_t)st.st_size;
	state[2] = st.st_ino;
	state[3] = st.st_dev;
}

static void forget_files(struct fleet *f)
{
	for (unsigned i = 0; i < f->files; i++)
		free(f->file[i].path);
	free(f->file);
	f->file = NULL;
	f->files = 0;
}

static void watch_file(void *fleet, const char *path)
{
	struct fleet *f = fleet;
	struct watched *file = realloc(f->file, (f->files + 1) * sizeof(*file));

	if (!file)
		return;
	f->file = file;
	file[f->files] = (struct watched){ .path = strdup(path) };
	if (!file[f->files].path)
		return;
	file_state(path, file[f->files].state);
	f->files++;
}

/* What the first worker's script was loaded from is what the others' were. */
static void watch_files(struct fleet *f)
{
	if (!f->watch || !f->script)
		return;
	forget_files(f);
	watch_file(f, f->script);
	if (f->vm[0])
		vm_files(f->vm[0], watch_file, f);
	f->changed = 0;
}

/* Old copies of objects are closed when nothing refers to them. */
static void tend(struct fleet *f)
{
	f->old_copies = 0;
	for (unsigned i = 0; i < f->crew->n; i++)
		if (f->native[i])
			f->old_copies += native_tend(f->native[i], f->crew, i);
}

static bool is_object(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && strcmp(path + len - 3, ".so") == 0;
}

/* Can the file at path take the place of what runs? */
static bool may_take_over(const struct fleet *f, const char *path, char *err, size_t errlen)
{
	if (!f->script)
		snprintf(err, errlen, "nothing runs that could be reloaded: mos-run was started without a script");
	else if (f->native[0] && !is_object(path))
		snprintf(err, errlen, "%s: a shared object runs, which only another one can replace (FILE.so)", path);
	else if (!f->native[0] && is_object(path))
		snprintf(err, errlen, "%s: a script runs, which only another script can replace", path);
	else
		return true;
	return false;
}

int fleet_reload(struct fleet *f, const char *path, int worker, uint64_t pause_ns[2], char *err, size_t errlen)
{
	struct version v = { .object = NULL };
	const char *from = path ? path : f->script;
	int rc = -1;

	pause_ns[0] = pause_ns[1] = 0;
	if (may_take_over(f, from, err, errlen) && version_read(f, &v, from, err, errlen) == 0)
		rc = reload_version(f, &v, worker, pause_ns, err, errlen);
	version_free(&v);
	tend(f);
	f->reloads += rc == 0;
	f->refused += rc < 0;
	snprintf(f->fault, sizeof(f->fault), "%s", rc < 0 ? err : "");
	if (rc == 0 && path && worker < 0) {
		char *copy = strdup(path);

		if (copy) {
			free(f->script);
			f->script = copy;
		}
	}
	watch_files(f);
	return rc;
}

static void reload_and_say(struct fleet *f, const char *why)
{
	uint64_t pause[2];
	char err[512];

	if (fleet_reload(f, NULL, -1, pause, err, sizeof(err)) < 0)
		log_error("%s: the old script stays: %s", why, err);
	else
		log_info("%s: %s is loaded again", why, f->script);
}

/* Has a file changed, and is whoever wrote it done? */
static bool files_changed(struct fleet *f)
{
	bool moved = false;

	for (unsigned i = 0; i < f->files; i++) {
		uint64_t now[4];

		file_state(f->file[i].path, now);
		if (!memcmp(now, f->file[i].state, sizeof(now)))
			continue;
		memcpy(f->file[i].state, now, sizeof(now));
		moved = true;
	}
	if (moved)
		f->changed = 1;
	else if (f->changed)
		f->changed++;
	return f->changed > QUIET_TICKS;
}

static void tick(void *arg)
{
	struct fleet *f = arg;

	if (is_ending(f))
		return;
	tend(f);
	if (__atomic_exchange_n(&f->hangup, 0, __ATOMIC_ACQ_REL))
		reload_and_say(f, "SIGHUP");
	else if (files_changed(f))
		reload_and_say(f, "--watch");
}

int fleet_start(struct fleet *f, const char *path, char *err, size_t errlen)
{
	struct server_ops ops = { .answer = fleet_answer, .tick = tick, .arg = f };

	f->began_ns = clock_ns();
	watch_files(f);
	struct server *s = server_start(path, &ops, err, errlen);

	__atomic_store_n(&f->server, s, __ATOMIC_RELEASE);
	return s ? 0 : -1;
}

void fleet_stop(struct fleet *f)
{
	__atomic_store_n(&f->ending, true, __ATOMIC_RELAXED);
	server_stop(__atomic_exchange_n(&f->server, NULL, __ATOMIC_ACQ_REL));
	forget_files(f);
	free(f->script);
	f->script = NULL;
}

void fleet_hangup(struct fleet *f)
{
	struct server *s = __atomic_load_n(&f->server, __ATOMIC_ACQUIRE);

	__atomic_store_n(&f->hangup, 1, __ATOMIC_RELEASE);
	if (s)
		server_wake(s);
}
