/*
 * A pool of equal records addressed by index, in one mapping that commits memory as it is touched.
 *
 * Index 0 is never handed out, so that 0 can mean "none". Free records form a list through their first four
 * bytes, last freed first, so that indices stay small and memory warm. A record's other bytes survive pool_put:
 * a generation kept in the record can outlive its use, and its first member must not be what tells a live record
 * from a free one.
 */
#ifndef MOS_UTIL_POOL_H
#define MOS_UTIL_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pool {
	uint8_t *base; /* record i is at base + i * stride */
	size_t stride; /* bytes */
	uint32_t cap;  /* highest index that may be handed out */
	uint32_t top;  /* highest index handed out so far */
	uint32_t free; /* head of the free list; 0: empty */
	uint32_t used; /* records handed out */
	size_t mapped; /* bytes of address space */
};

/* What a huge page covers, and the alignment of every mapping that is not smaller. */
enum { POOL_HUGE = 2 << 20 };

/*
 * Reserve address space for cap records of stride bytes (at least 4), zero-filled, backed by huge pages where the
 * kernel has them, but for the first 2 MiB: a short run must not wait for a huge page to be zeroed. Memory is
 * committed when touched. Returns 0 or -errno.
 */
int pool_init(struct pool *p, size_t stride, uint32_t cap);

/* Give the mapping back. A zeroed or already finished pool is fine. */
void pool_fini(struct pool *p);

/*
 * A free record's index, or 0 when all cap are in use. Never allocates. The record is zero if it was never used, else
 * as it was returned, but for its first four bytes.
 */
uint32_t pool_get(struct pool *p);

/* Return record i, which must be in use. */
void pool_put(struct pool *p, uint32_t i);

/* The address of record i. Borrowed. */
static inline void *pool_at(const struct pool *p, uint32_t i)
{
	return p->base + (size_t)i * p->stride;
}

/*
 * The mapping beneath, for other large memory: *size bytes, zero-filled, committed when touched; *size becomes what
 * was mapped. The first `small` bytes (a multiple of POOL_HUGE) stay on small pages, the rest goes to huge ones. Less
 * than POOL_HUGE is never huge. NULL and errno on failure. Give it back with pool_unmap; NULL is a no-op there.
 */
void *pool_map(size_t *size, size_t small);
void pool_unmap(void *base, size_t size);

#endif
