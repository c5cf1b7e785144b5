/* How a script or a program in C is exchanged, on the thread of its reload. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fleet.h"
#include "lua_state.h"
#include "lua_vm.h"
#include "native.h"
#include "util/clock.h"
#include "util/log.h"

#define MS 1000000ull

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

	while (!fleet_is_ending(f) && clock_ns() < until)
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
	if (fleet_is_ending(f) || crew_call(f->crew, i, take_rate, &now) < 0)
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
	/* At the end of the run there is nothing to go back to. */
	if (rc < 0 && i > 1 && !fleet_is_ending(f))
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

void fleet_exchange(struct fleet *f, struct reload_job *j)
{
	struct version v = { .object = NULL };
	const char *from = j->path ? j->path : f->script;

	j->rc = -1;
	j->pause_ns[0] = j->pause_ns[1] = 0;
	if (may_take_over(f, from, j->err, sizeof(j->err)) && version_read(f, &v, from, j->err, sizeof(j->err)) == 0)
		j->rc = reload_version(f, &v, j->worker, j->pause_ns, j->err, sizeof(j->err));
	version_free(&v);
}
