/*
 * Memory that is given out in pieces and taken back all at once. It keeps what it has, so that a worker's arena does not
 * reach malloc once it is warm.
 */
#ifndef MOS_UTIL_ARENA_H
#define MOS_UTIL_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Zeroed: empty. */
struct arena {
	struct arena_chunk *first;
	struct arena_chunk *now; /* pieces come from this one; NULL: nothing is given out */
	size_t used;             /* bytes of it */
};

/* n bytes, aligned for anything, or NULL when memory is out. Good until arena_reset. */
void *arena_get(struct arena *a, size_t n);

/* Take everything back. */
void arena_reset(struct arena *a);

void arena_fini(struct arena *a);

#endif
