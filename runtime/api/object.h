/* A shared object of handlers: `mos-run app.so`, or mos.load "app.so" from Lua. */
#ifndef MOS_API_OBJECT_H
#define MOS_API_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "mos_api.h"

struct object;

/*
 * Load path; a name without a slash is a file in the working directory, not a library of the system. NULL on failure, with
 * path and reason in err.
 */
struct object *object_open(const char *path, char *err, size_t errlen);

/* Its symbol of that name, or NULL. Valid until object_close. */
void *object_symbol(const struct object *o, const char *name);

/* May the object of that file call the function? True if the file cannot be read, or loads others. */
bool object_may_call(const char *path, const char *name);

/* NULL is a no-op. */
void object_close(struct object *o);

#endif
