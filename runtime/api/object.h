/*
 * A shared object of handlers: `mos-run app.so`, or mos.load "app.so" from Lua.
 *
 * What is loaded is a private copy of the file, in memory: the file may be written over, or loaded again as it is then,
 * beside the copy that runs. An object that names $ORIGIN, where other libraries lie next to it, is the exception: the
 * first time it is loaded in its place.
 */
#ifndef MOS_API_OBJECT_H
#define MOS_API_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "event/events.h"
#include "mos_api.h"

struct object {
	void *handle;
	char *file;               /* what the linker knows it by; owned */
	int fd;                   /* its bytes, as they were when it was opened */
	unsigned refs;            /* see object_put */
	struct event_notes notes; /* of the events that object_start defined */
};

/*
 * Load a copy of path; a name without a slash is a file in the working directory, not a library of the system. NULL on
 * failure, with path and reason in err.
 */
struct object *object_open(const char *path, char *err, size_t errlen);

/* The same again from its bytes, with fresh variables; path is what messages call it. */
struct object *object_again(const struct object *o, const char *path, char *err, size_t errlen);

/*
 * Load path itself, or have it as it was loaded before, for the process's life: a handle for dlsym. Whoever has functions of
 * it need not say, and what else loads it by that path has the same variables. NULL as object_open.
 */
void *object_stay(const char *path, char *err, size_t errlen);

/* Its symbol of that name, or NULL. Valid until it is closed. */
void *object_symbol(const struct object *o, const char *name);

/* May it call the function? True if its bytes cannot be read, or load other objects. */
bool object_may_call(const struct object *o, const char *name);

/*
 * Have it set up a worker: mos_app_init. Unnamed events that it defines go with it. -1 with path and reason in err where
 * it has no such function.
 */
int object_start(struct object *o, mctx_t mctx, const char *path, char *err, size_t errlen);

/* mos_app_exit, where there is one. */
void object_exit(const struct object *o, mctx_t mctx);

static inline struct object *object_get(struct object *o)
{
	o->refs++;
	return o;
}

/* The last one closes it. NULL is a no-op. */
void object_put(struct object *o);

#endif
