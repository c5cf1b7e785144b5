/*
 * A worker's program in C: a shared object, and those that take its place while packets go on.
 *
 * The new one is loaded from a copy of its own and set up on a bench, a worker without traffic, on the calling thread;
 * then it takes over (takeover.h). Its functions take the place of those of the same name: handlers of single
 * connections, and timers that are set. The old one is closed once no connection refers to it: all have followed, and none
 * has a context (mtcp_set_uctx) any more that was set while it ran, which may lead to anything that is its own.
 */
#ifndef MOS_NATIVE_H
#define MOS_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "api/object.h"
#include "crew.h"

struct native;

/* NULL when memory is out. The worker outlives it. */
struct native *native_new(struct worker *w);

/* The worker's first program, before its first packet; path is what messages call it. 0, or -1 with one line in err. */
int native_load(struct native *p, struct object *o, const char *path, char *err, size_t errlen);

/*
 * On one thread, which is not the worker's: have o take over in worker i of the crew, which is p's. 0, with what it cost
 * the worker in pause_ns, or -1 with one line in err and nothing changed.
 */
int native_reload(struct native *p, struct crew *e, unsigned i, struct object *o, const char *path, uint64_t *pause_ns,
		  char *err, size_t errlen);

/* On the same thread: close what nothing refers to any more. How many old copies are left. */
unsigned native_tend(struct native *p, struct crew *e, unsigned i);

/* The copy that runs. Borrowed. On the same thread. */
struct object *native_object(const struct native *p);

/* How often it was reloaded. On the worker's thread, or while it does not run. */
uint64_t native_reloads(const struct native *p);

/* The run is over: what all copies have to say at the end, the old ones first. */
void native_exit(struct native *p);

/* NULL is a no-op. */
void native_free(struct native *p);

#endif
