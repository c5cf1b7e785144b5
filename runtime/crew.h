/*
 * The workers of a run, and the threads that they run on.
 *
 * With one source and one worker, the caller's thread does everything: no thread is made, no packet is copied. With one
 * source and several workers the caller's thread reads and spreads the packets (spread.h) over rings (io/ring.h), and
 * each worker runs on a thread of its own. With a source per worker (the queues of a port) each reads its own.
 *
 * In this order: crew_init; for each worker: the program's own set-up (a script, mtcp_socket ... on &worker->mctx), on
 * any one thread at a time; crew_source; crew_run; what a program says at its end; crew_fini.
 *
 * Another thread reaches into a running worker by crew_call alone: for a reload, a look at its connections, a setting.
 */
#ifndef MOS_CREW_H
#define MOS_CREW_H

#include "mailbox.h"
#include "worker.h"

enum { WORKERS_MAX = 64 };

struct lane;

struct crew {
	unsigned n; /* workers */
	struct lane *lanes;
	struct io *source[WORKERS_MAX]; /* owned; [1] and up only where each worker has its own */
	struct io_writer *out;          /* owned; what passes is written here; NULL: nowhere */
	struct io *fault;               /* after IO_FAILED: whose error says why; borrowed */
	void (*tick)(void *arg);        /* the caller's thread, now and then while it runs; NULL: nothing */
	void *tick_arg;
	struct stats reader;  /* what the reader has counted */
	struct key_seed seed; /* by which connections are spread over the workers */
	int stop;             /* see crew_stop */
	int broken;
	atomic_bool narrow; /* the source leaves out what nobody needs */
	int done_fd;        /* an eventfd: a worker has finished */
	pthread_mutex_t out_lock;
};

/*
 * n workers, 1 to WORKERS_MAX. The limits of set (connections, memory) are the run's and divided among them. 0 or
 * -errno; either way crew_fini releases e.
 */
int crew_init(struct crew *e, unsigned n, const struct settings *set);

/* Workers, sources, writer. */
void crew_fini(struct crew *e);

/* Valid until crew_fini. */
struct worker *crew_worker(const struct crew *e, unsigned i);

/*
 * Where the packets come from: one source for all workers, or as many as there are workers, the i-th for the i-th. Owned
 * from here on. 0 or -ENOMEM.
 */
int crew_source(struct crew *e, struct io *const *source, unsigned n);

/*
 * Run until the input ends, crew_stop is called, or a worker has failed (worker->failed: a handler did, and on_error
 * says stop). All connections have ended when it returns. IO_END, or IO_FAILED with fault set.
 */
int crew_run(struct crew *e);

/* End the run as at the end of the input. Any thread, and signal handlers. */
void crew_stop(struct crew *e);

/*
 * Have worker i run fn(worker, arg) between two bursts, soon also when it sees no packets, and wait until it has. Any
 * thread but a worker's own. 0, or -ESRCH if the worker does not run (yet, or any more): then fn was not called.
 */
int crew_call(struct crew *e, unsigned i, void (*fn)(struct worker *w, void *arg), void *arg);

/* The sum of what the workers have counted. While they run, the counts are a little old. */
void crew_stats(const struct crew *e, struct stats *sum);

#endif
