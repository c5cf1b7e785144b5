/*
 * The scripts of all workers, or their programs in C, while they run: the control thread, which reloads them and answers `mos-run ctl`.
 */
#ifndef MOS_BINDINGS_FLEET_H
#define MOS_BINDINGS_FLEET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/answer.h"
#include "control/request.h"
#include "crew.h"

struct lua_vm;
struct native;
struct server;

/* A file that the scripts were loaded from, as it was when they were. */
struct watched {
	char *path;
	uint64_t state[4]; /* modification time, size, inode, device; 0: it is not there */
};

/* A reload, on a thread of its own: the control thread goes on answering. */
struct reload_job {
	pthread_t thread;
	bool running, done; /* running: from its begin until the control thread has seen that it is done */
	bool answers;       /* it is over, and whoever asked for it has still to be told */
	char *path;         /* owned; NULL: what runs, again */
	int worker;         /* from 0; -1: all */
	const char *why;    /* who asked for it */
	uint64_t began_ns;
	int rc; /* 0, or -1 with one line in err */
	uint64_t pause_ns[2];
	char err[512];
};

/* A reload's why: the control socket. */
extern const char by_request[];

struct fleet {
	struct crew *crew;
	struct lua_vm *vm[WORKERS_MAX];     /* NULL: the program is a shared object, or there is none */
	struct native *native[WORKERS_MAX]; /* NULL: it is a script, or there is none */
	const char *version;
	char *script;       /* the file that they are loaded from; owned; NULL: none */
	bool watch;         /* reload when a file has changed */
	uint64_t canary_ns; /* how long a new script runs on the first worker alone */

	struct server *server;
	bool ending;
	int hangup; /* SIGHUP has come */
	uint64_t began_ns;
	struct reload_job job;
	uint64_t reloads, refused; /* since the start */
	char fault[512];           /* why the last one was refused; "": it was not */
	struct watched *file;
	unsigned files;
	unsigned old_copies; /* of shared objects, that connections refer to; all workers */
	unsigned changed;    /* ticks since a file has changed: 0: none has */
};

/* The run ends: nobody waits for anything. */
static inline bool fleet_is_ending(const struct fleet *f)
{
	return __atomic_load_n(&f->ending, __ATOMIC_RELAXED);
}

/* Begin, with a control socket at path if it is not NULL. fleet_stop either way. -1 with one line in err. */
int fleet_start(struct fleet *f, const char *path, char *err, size_t errlen);

/* Before the workers' scripts and the crew go. */
void fleet_stop(struct fleet *f);

/* A signal handler's: reload soon. */
void fleet_hangup(struct fleet *f);

/*
 * On the control thread: begin to have the script, or object, in the file at path (NULL: the one that runs) take over, worker
 * after worker, or on one (from 0; -1: on all). With a canary on the first alone for a while, and back again if it fails
 * more often than the old one did. 0, or -1 with one line in err: then it has not begun, for one at a time is under way.
 */
int fleet_reload(struct fleet *f, const char *path, int worker, const char *why, char *err, size_t errlen);

/* Is one under way? */
bool fleet_reloads(const struct fleet *f);

/* Do what j says, and fill in its rc (with -1, no worker has the new one), err, and the median and longest pause. */
void fleet_exchange(struct fleet *f, struct reload_job *j);

/* Answer a request of the control socket: server_ops.answer and later. */
bool fleet_answer(void *fleet, const struct request *r, struct answer *a);
bool fleet_answer_later(void *fleet, struct answer *a);

#endif
