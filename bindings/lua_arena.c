#include "lua_arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Classes: every 16 bytes up to 1 KiB, then four to a doubling. A block keeps its class until it is freed, so addresses
 * are reserved for several times the limit; only what was written to costs memory.
 */
enum {
	SMALL_STEP = 16,
	SMALL_MAX = 1024,
	SMALL_CLASSES = SMALL_MAX / SMALL_STEP,
	LARGE_CLASSES = 4 * 30,
	GIVE_BACK = 64 << 10, /* free blocks from this size on give their pages back */
	PAGE = 4096
};

static const size_t reserve_least = (size_t)1 << 30, reserve_most = (size_t)64 << 30;

struct lua_arena {
	uint8_t *next, *end;
	size_t reserved, used, peak, limit;
	void *free[SMALL_CLASSES + LARGE_CLASSES]; /* chains through the blocks' first word */
};

static size_t reserve_for(size_t limit)
{
	size_t size = limit > reserve_most / 8 || !limit ? reserve_most : 8 * limit;

	return size < reserve_least ? reserve_least : size;
}

struct lua_arena *lua_arena_new(size_t limit)
{
	size_t size = reserve_for(limit);
	struct lua_arena *a = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				   0);

	if (a == MAP_FAILED)
		return NULL;
	a->next = (uint8_t *)a + (sizeof(*a) + PAGE - 1) / PAGE * PAGE;
	a->end = (uint8_t *)a + size;
	a->reserved = size;
	a->limit = limit ? limit : SIZE_MAX;
	return a;
}

void lua_arena_free(struct lua_arena *a)
{
	if (a)
		munmap(a, a->reserved);
}

/* The class of a size, which is rounded up to that of its blocks. */
static unsigned class_of(size_t *size)
{
	if (*size <= SMALL_MAX) {
		unsigned c = (unsigned)((*size - 1) / SMALL_STEP);

		*size = (c + 1) * SMALL_STEP;
		return c;
	}
	unsigned top = 63 - (unsigned)__builtin_clzll(*size - 1), shift = top - 2;
	size_t quarters = (*size + ((size_t)1 << shift) - 1) >> shift; /* 5, 6, 7 or 8 */

	*size = quarters << shift;
	return SMALL_CLASSES + 4 * (top - 10) + (unsigned)quarters - 5;
}

static bool fits(const struct lua_arena *a, size_t size)
{
	return a->used <= a->limit && size <= a->limit - a->used;
}

static void count(struct lua_arena *a, size_t size)
{
	a->used += size;
	if (a->used > a->peak)
		a->peak = a->used;
}

static void *take(struct lua_arena *a, size_t size)
{
	if (size > reserve_most || !fits(a, size))
		return NULL;
	size_t rounded = size;
	unsigned c = class_of(&rounded);
	uint8_t *p = a->free[c];

	if (p) {
		memcpy(&a->free[c], p, sizeof(a->free[c]));
	} else if (rounded <= (size_t)(a->end - a->next)) {
		p = a->next;
		a->next += rounded;
	} else {
		return NULL;
	}
	count(a, size);
	return p;
}

static void give(struct lua_arena *a, uint8_t *p, size_t size)
{
	size_t rounded = size;
	unsigned c = class_of(&rounded);

	a->used -= size;
	if (rounded >= GIVE_BACK) {
		uintptr_t from = ((uintptr_t)p + PAGE + sizeof(void *)) & ~(uintptr_t)(PAGE - 1);

		madvise((void *)from, ((uintptr_t)p + rounded - from) & ~(uintptr_t)(PAGE - 1), MADV_DONTNEED);
	}
	memcpy(p, &a->free[c], sizeof(a->free[c]));
	a->free[c] = p;
}

/* A block that cannot move to shrink stays; freed, it joins the class of the smaller size. */
static void *resize(struct lua_arena *a, void *p, size_t old, size_t size)
{
	size_t was = old, is = size;
	bool stays = size <= reserve_most && class_of(&was) == class_of(&is);

	a->used -= old;
	if (stays && (size <= old || fits(a, size))) {
		count(a, size);
		return p;
	}
	void *q = stays ? NULL : take(a, size);
	if (!q) {
		a->used += size < old ? size : old;
		return size < old ? p : NULL;
	}
	memcpy(q, p, old < size ? old : size);
	a->used += old;
	give(a, p, old);
	return q;
}

void *lua_arena_alloc(void *arena, void *p, size_t old, size_t size)
{
	struct lua_arena *a = arena;

	if (!p)
		return size ? take(a, size) : NULL;
	if (size)
		return resize(a, p, old, size);
	give(a, p, old);
	return NULL;
}

void lua_arena_allow(struct lua_arena *a, long more)
{
	if (a->limit != SIZE_MAX)
		a->limit += (size_t)more;
}

bool lua_arena_is_short(const struct lua_arena *a)
{
	return a->used > a->limit - a->limit / 8;
}

size_t lua_arena_used(const struct lua_arena *a)
{
	return a->used;
}

size_t lua_arena_peak(const struct lua_arena *a)
{
	return a->peak;
}
