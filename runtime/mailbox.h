/*
 * Work for a worker from other threads: functions that it runs between two bursts. It looks at one flag per burst; what
 * waits wakes it where it has no packets.
 */
#ifndef MOS_MAILBOX_H
#define MOS_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct worker;
struct mail;

struct mailbox {
	atomic_bool pending;
	bool closed;
	int wake_fd; /* an eventfd that ends the worker's sleep */
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct mail *first, *last;
};

/* 0 or -errno. The mailbox starts closed. */
int mailbox_init(struct mailbox *m);
void mailbox_fini(struct mailbox *m);

/* The worker runs from here on; before it stops it closes, and what has not run by then is refused. */
void mailbox_open(struct mailbox *m);
void mailbox_close(struct mailbox *m);

/*
 * Any thread but the worker's: have fn(w, arg) run by the worker and wait until it has returned. 0, or -ESRCH when the
 * worker does not run (any more): then fn was not called.
 */
int mailbox_call(struct mailbox *m, void (*fn)(struct worker *w, void *arg), void *arg);

/* The worker: run what waits. */
void mailbox_run(struct mailbox *m, struct worker *w);

static inline bool mailbox_has_mail(const struct mailbox *m)
{
	return atomic_load_explicit(&m->pending, memory_order_relaxed);
}

#endif
