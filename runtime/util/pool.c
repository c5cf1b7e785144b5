#include "util/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool round_up(size_t *size, size_t unit)
{
	size_t padded;

	if (__builtin_add_overflow(*size, unit - 1, &padded))
		return false;
	*size = padded & ~(unit - 1);
	return true;
}

static void *map_pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The kernel aligns to small pages only: map one huge page more than needed and cut both ends. */
static uint8_t *map_aligned(size_t size)
{
	size_t room;

	if (__builtin_add_overflow(size, POOL_HUGE, &room)) {
		errno = ENOMEM;
		return NULL;
	}
	uint8_t *p = map_pages(room);
	if (!p)
		return NULL;
	size_t head = -(uintptr_t)p & (POOL_HUGE - 1);
	if (head)
		munmap(p, head);
	if (head < POOL_HUGE)
		munmap(p + head + size, POOL_HUGE - head);
	return p + head;
}

void *pool_map(size_t *size, size_t small)
{
	size_t unit = *size < POOL_HUGE ? (size_t)sysconf(_SC_PAGESIZE) : POOL_HUGE;

	if (!round_up(size, unit)) {
		errno = ENOMEM;
		return NULL;
	}
	if (*size < POOL_HUGE)
		return map_pages(*size);

	uint8_t *p = map_aligned(*size);
	if (!p)
		return NULL;
	if (small > *size)
		small = *size;
	/* Advice: a kernel without huge pages refuses it, and nothing is lost. */
	if (small)
		madvise(p, small, MADV_NOHUGEPAGE);
	if (small < *size)
		madvise(p + small, *size - small, MADV_HUGEPAGE);
	return p;
}

void pool_unmap(void *base, size_t size)
{
	if (base)
		munmap(base, size);
}

int pool_init(struct pool *p, size_t stride, uint32_t cap)
{
	size_t size;

	memset(p, 0, sizeof(*p));
	if (stride < sizeof(p->free) || cap == UINT32_MAX)
		return -EINVAL;
	if (__builtin_mul_overflow(stride, (size_t)cap + 1, &size))
		return -ENOMEM;
	p->base = pool_map(&size, POOL_HUGE);
	if (!p->base)
		return -errno;
	p->stride = stride;
	p->cap = cap;
	p->mapped = size;
	return 0;
}

void pool_fini(struct pool *p)
{
	pool_unmap(p->base, p->mapped);
	memset(p, 0, sizeof(*p));
}

uint32_t pool_get(struct pool *p)
{
	uint32_t i = p->free;

	if (i) {
		memcpy(&p->free, pool_at(p, i), sizeof(p->free));
		__builtin_prefetch(pool_at(p, p->free), 1);
	} else if (p->top < p->cap) {
		i = ++p->top;
	} else {
		return 0;
	}
	p->used++;
	return i;
}

void pool_put(struct pool *p, uint32_t i)
{
	memcpy(pool_at(p, i), &p->free, sizeof(p->free));
	p->free = i;
	p->used--;
}
