#include "fleet.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "control/server.h"
#include "lua_vm.h"
#include "native.h"
#include "util/clock.h"
#include "util/log.h"

/* A file has not changed for so many ticks: whoever writes it is done. */
enum { QUIET_TICKS = 2 };

#define MS 1000000ull

const char by_request[] = "mos-run ctl";

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

/* The control thread may have begun before its owner knows it: then it looks by itself, a moment later. */
static void wake(const struct fleet *f)
{
	struct server *s = __atomic_load_n(&f->server, __ATOMIC_ACQUIRE);

	if (s)
		server_wake(s);
}

/* Its answer is the control thread's, which is woken for it. */
static void *reload_main(void *arg)
{
	struct fleet *f = arg;

	fleet_exchange(f, &f->job);
	__atomic_store_n(&f->job.done, true, __ATOMIC_RELEASE);
	wake(f);
	return NULL;
}

int fleet_reload(struct fleet *f, const char *path, int worker, const char *why, char *err, size_t errlen)
{
	struct reload_job *j = &f->job;

	if (fleet_reloads(f)) {
		snprintf(err, errlen, "a reload is under way: %s, by %s, for %.1f s", j->path ? j->path : f->script,
			 j->why, (double)(clock_ns() - j->began_ns) / 1e9);
		return -1;
	}
	*j = (struct reload_job){ .worker = worker, .why = why, .began_ns = clock_ns() };
	j->path = path ? strdup(path) : NULL;
	int rc = path && !j->path ? ENOMEM : pthread_create(&j->thread, NULL, reload_main, f);

	if (rc) {
		snprintf(err, errlen, "%s", strerror(rc));
		free(j->path);
		j->path = NULL;
		return -1;
	}
	__atomic_store_n(&j->running, true, __ATOMIC_RELEASE);
	return 0;
}

bool fleet_reloads(const struct fleet *f)
{
	return __atomic_load_n(&f->job.running, __ATOMIC_ACQUIRE);
}

/* What every worker runs now is what is watched, and loaded the next time. */
static void adopt(struct fleet *f, struct reload_job *j)
{
	if (j->rc == 0 && j->path && j->worker < 0) {
		free(f->script);
		f->script = j->path;
	} else {
		free(j->path);
	}
	j->path = NULL;
	watch_files(f);
}

static void reload_end(struct fleet *f)
{
	struct reload_job *j = &f->job;

	pthread_join(j->thread, NULL);
	tend(f);
	f->reloads += j->rc == 0;
	f->refused += j->rc < 0;
	snprintf(f->fault, sizeof(f->fault), "%s", j->rc < 0 ? j->err : "");
	adopt(f, j);
	if (j->why == by_request)
		j->answers = true;
	else if (j->rc < 0)
		log_error("%s: the old script stays: %s", j->why, j->err);
	else
		log_info("%s: %s is loaded again", j->why, f->script);
	__atomic_store_n(&j->running, false, __ATOMIC_RELEASE);
}

static void reload_because(struct fleet *f, const char *why)
{
	char err[512];

	if (fleet_reload(f, NULL, -1, why, err, sizeof(err)) < 0)
		log_error("%s: the old script stays: %s", why, err);
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

/* While a reload runs, what it uses is its thread's. */
static void tick(void *arg)
{
	struct fleet *f = arg;

	if (fleet_reloads(f)) {
		if (__atomic_load_n(&f->job.done, __ATOMIC_ACQUIRE))
			reload_end(f);
		return;
	}
	if (fleet_is_ending(f))
		return;
	tend(f);
	if (__atomic_exchange_n(&f->hangup, 0, __ATOMIC_ACQ_REL))
		reload_because(f, "SIGHUP");
	else if (files_changed(f))
		reload_because(f, "--watch");
}

int fleet_start(struct fleet *f, const char *path, char *err, size_t errlen)
{
	struct server_ops ops = { .answer = fleet_answer, .later = fleet_answer_later, .tick = tick, .arg = f };

	f->began_ns = clock_ns();
	watch_files(f);
	struct server *s = server_start(path, &ops, err, errlen);

	__atomic_store_n(&f->server, s, __ATOMIC_RELEASE);
	return s ? 0 : -1;
}

/* A reload is over soon: workers that have ended call nothing, and a canary waits no longer. */
void fleet_stop(struct fleet *f)
{
	__atomic_store_n(&f->ending, true, __ATOMIC_RELAXED);
	while (fleet_reloads(f))
		nanosleep(&(struct timespec){ .tv_nsec = MS }, NULL);
	server_stop(__atomic_exchange_n(&f->server, NULL, __ATOMIC_ACQ_REL));
	forget_files(f);
	free(f->script);
	f->script = NULL;
}

void fleet_hangup(struct fleet *f)
{
	__atomic_store_n(&f->hangup, 1, __ATOMIC_RELEASE);
	wake(f);
}
