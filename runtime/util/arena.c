#include "util/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK = 256 << 10 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t room;
	alignas(max_align_t) unsigned char bytes[];
};

/* A chunk with room for n bytes behind the one in use: the next one, if it will do, else a new one. */
static struct arena_chunk *next_chunk(struct arena *a, size_t n)
{
	struct arena_chunk **link = a->now ? &a->now->next : &a->first, *c = *link;

	if (c && c->room >= n)
		return c;
	size_t room = n > CHUNK ? n : CHUNK;

	c = malloc(sizeof(*c) + room);
	if (!c)
		return NULL;
	c->room = room;
	c->next = *link;
	*link = c;
	return c;
}

void *arena_get(struct arena *a, size_t n)
{
	n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!a->now || a->now->room - a->used < n) {
		struct arena_chunk *c = next_chunk(a, n);

		if (!c)
			return NULL;
		a->now = c;
		a->used = 0;
	}
	void *p = a->now->bytes + a->used;

	a->used += n;
	return p;
}

void arena_reset(struct arena *a)
{
	a->now = NULL;
	a->used = 0;
}

void arena_fini(struct arena *a)
{
	while (a->first) {
		struct arena_chunk *next = a->first->next;

		free(a->first);
		a->first = next;
	}
	arena_reset(a);
}
