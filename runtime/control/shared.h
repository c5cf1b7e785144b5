/*
 * What the workers of a run share: counters, each worker with a slot of its own, and tables of numbers by key. Both have
 * names and live as long as the process, so that a worker's next script finds them again. Any thread may call any of
 * these at any time.
 */
#ifndef MOS_CONTROL_SHARED_H
#define MOS_CONTROL_SHARED_H

#include <stdbool.h>
#include <stddef.h>

#include "mos_ffi.h"

enum { SHARED_KEY_MAX = 255, SHARED_NAME_MAX = 255 };

/* The counter of that name, made at the first call, all slots 0. NULL when memory is out or the name is too long. */
struct mos_counter *shared_counter(const char *name);

/*
 * The table of that name, for at most max keys: made at the first call, whose max counts. An operation on a key is
 * atomic. NULL when memory is out or the name is too long.
 */
struct shared_table;
struct shared_table *shared_table(const char *name, size_t max);

/* Operations answer 0, -ENOENT (no such key), -ENOSPC (max keys are there), -ENOMEM, -ERANGE (key too long). */
int shared_get(struct shared_table *t, const char *key, size_t len, double *value);
int shared_set(struct shared_table *t, const char *key, size_t len, double value);
int shared_delete(struct shared_table *t, const char *key, size_t len);

/* Add by to the value, 0 where there is none yet; the sum is left in *value. */
int shared_add(struct shared_table *t, const char *key, size_t len, double by, double *value);

/*
 * If the value is *expected (NULL: there is none), let it be next (NULL: none). Else -EAGAIN: someone was quicker.
 */
int shared_swap(struct shared_table *t, const char *key, size_t len, const double *expected, const double *next);

/* Keys there. */
size_t shared_count(const struct shared_table *t);

/*
 * A copy of all entries, each as it was at some moment of the call, in no order: *n of them, to be freed by the caller.
 * NULL when memory is out, or when there are none.
 */
struct mos_shared_entry *shared_entries(struct shared_table *t, size_t *n);

/* Forget all counters and tables. For tests only: nothing may refer to them. */
void shared_reset(void);

#endif
