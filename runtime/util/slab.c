#include "util/slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/pool.h"

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

/* A chunk is aligned to its size, so a buffer's address leads to it. The first page is the header's. */
enum { CHUNK_SIZE = POOL_HUGE, CHUNK_HEAD = 4096 };

/* While it has room it is in the list of its size, without a buffer in use in the list of empty ones (by next only). */
struct slab_chunk {
	struct slab_chunk *prev, *next;
	struct slab_chunk *all; /* next in the list of all */
	void *free;             /* returned buffers, last returned first, linked through their first bytes */
	uint32_t cut;           /* buffers ever cut; memory beyond is untouched */
	uint32_t max;           /* buffers that fit */
	uint32_t used;          /* buffers handed out */
	uint32_t class;
};

static unsigned class_of(size_t size)
{
	if (size <= (size_t)1 << SLAB_MIN_SHIFT)
		return 0;
	return 64 - SLAB_MIN_SHIFT - (unsigned)__builtin_clzll(size - 1);
}

static size_t class_size(unsigned class)
{
	return (size_t)1 << (class + SLAB_MIN_SHIFT);
}

static struct slab_chunk *chunk_of(void *buf)
{
	return (struct slab_chunk *)((uintptr_t)buf & ~(uintptr_t)(CHUNK_SIZE - 1));
}

static uint8_t *chunk_data(struct slab_chunk *c)
{
	return (uint8_t *)c + CHUNK_HEAD;
}

static bool chunk_is_full(const struct slab_chunk *c)
{
	return c->used == c->max;
}

static void chunk_link(struct slab *s, struct slab_chunk *c)
{
	struct slab_chunk **head = &s->room[c->class];

	c->prev = NULL;
	c->next = *head;
	if (c->next)
		c->next->prev = c;
	*head = c;
}

static void chunk_unlink(struct slab *s, struct slab_chunk *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		s->room[c->class] = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

static struct slab_chunk *chunk_new(struct slab *s)
{
	size_t size = CHUNK_SIZE;
	struct slab_chunk *c = pool_map(&size, CHUNK_SIZE);

	if (!c)
		return NULL;
	ASAN_POISON_MEMORY_REGION(chunk_data(c), CHUNK_SIZE - CHUNK_HEAD);
	c->all = s->chunks;
	s->chunks = c;
	return c;
}

/* A chunk with nothing in it, from now on of this size, in its list. */
static struct slab_chunk *chunk_take(struct slab *s, unsigned class)
{
	struct slab_chunk *c = s->empty;

	if (c)
		s->empty = c->next;
	else
		c = chunk_new(s);
	if (!c)
		return NULL;
	c->free = NULL;
	c->cut = 0;
	c->max = (uint32_t)((CHUNK_SIZE - CHUNK_HEAD) / class_size(class));
	c->class = class;
	chunk_link(s, c);
	return c;
}

static void *chunk_get(struct slab_chunk *c)
{
	void *buf = c->free;

	if (!buf)
		buf = chunk_data(c) + c->cut++ * class_size(c->class);
	ASAN_UNPOISON_MEMORY_REGION(buf, class_size(c->class));
	if (c->free)
		memcpy(&c->free, buf, sizeof(c->free));
	c->used++;
	return buf;
}

static void chunk_put(struct slab_chunk *c, void *buf)
{
	memcpy(buf, &c->free, sizeof(c->free));
	ASAN_POISON_MEMORY_REGION(buf, class_size(c->class));
	c->free = buf;
	c->used--;
}

void slab_init(struct slab *s, size_t limit)
{
	memset(s, 0, sizeof(*s));
	s->limit = limit;
}

void slab_fini(struct slab *s)
{
	for (struct slab_chunk *c = s->chunks, *next; c; c = next) {
		next = c->all;
		ASAN_UNPOISON_MEMORY_REGION(chunk_data(c), CHUNK_SIZE - CHUNK_HEAD);
		pool_unmap(c, CHUNK_SIZE);
	}
	memset(s, 0, sizeof(*s));
}

static void *get_class(struct slab *s, unsigned class)
{
	struct slab_chunk *c = s->room[class];

	if (!c)
		c = chunk_take(s, class);
	if (!c)
		return NULL;
	void *buf = chunk_get(c);
	if (chunk_is_full(c))
		chunk_unlink(s, c);
	return buf;
}

void *slab_get(struct slab *s, size_t *size)
{
	unsigned class = class_of(*size);
	bool large = class >= SLAB_CLASSES;
	size_t true_size = large ? *size : class_size(class);

	if (s->limit && true_size > s->limit - s->used)
		return NULL;
	void *buf = large ? malloc(true_size) : get_class(s, class);
	if (!buf)
		return NULL;
	s->used += true_size;
	*size = true_size;
	return buf;
}

static void put_class(struct slab *s, void *buf)
{
	struct slab_chunk *c = chunk_of(buf);

	if (chunk_is_full(c))
		chunk_link(s, c);
	chunk_put(c, buf);
	if (c->used)
		return;
	chunk_unlink(s, c);
	c->next = s->empty;
	s->empty = c;
}

void slab_put(struct slab *s, void *buf, size_t size)
{
	if (!buf)
		return;
	s->used -= size;
	if (size > class_size(SLAB_CLASSES - 1))
		free(buf);
	else
		put_class(s, buf);
}
