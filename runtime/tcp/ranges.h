/*
 * A set of stream offsets as sorted, disjoint, non-touching runs [from, to). Small, bounded, and the common case (one
 * run) costs no allocation in its users: they keep one run themselves and ask for a set only when there is a hole.
 *
 * An empty range (to <= from) is nothing: adding or removing it changes nothing.
 */
#ifndef MOS_TCP_RANGES_H
#define MOS_TCP_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "util/slab.h"

struct range {
	uint64_t from, to;
};

struct ranges {
	struct range *v; /* sorted */
	uint32_t n;
	uint32_t cap; /* runs that fit at v */
};

void ranges_init(struct ranges *r);
void ranges_fini(struct ranges *r, struct slab *slab);

/*
 * Add [from, to). Returns the number of bytes of it that were not in the set before, or -ENOSPC when the set would need
 * more than max runs, or memory; the set is then unchanged, and nothing of [from, to) was in it or touched it.
 */
int64_t ranges_add(struct ranges *r, struct slab *slab, uint64_t from, uint64_t to, uint32_t max);

/*
 * The same as a run of its own, though it may touch others; nothing of it may be in the set. Where runs touch, ranges_at
 * and ranges_next still tell them apart. 0 or -ENOSPC.
 */
int ranges_put(struct ranges *r, struct slab *slab, uint64_t from, uint64_t to, uint32_t max);

/*
 * Remove [from, to). Returns the number of bytes removed, or -ENOSPC when a run has to be split and the set would need
 * more than max runs, or memory; the set is then unchanged, and all of [from, to) is in it.
 */
int64_t ranges_cut(struct ranges *r, struct slab *slab, uint64_t from, uint64_t to, uint32_t max);

/* Remove everything below `to`. */
void ranges_trim(struct ranges *r, uint64_t to);

/* Bytes of [from, to) that are in the set. */
uint64_t ranges_covered(const struct ranges *r, uint64_t from, uint64_t to);

/* The run that contains off, or the next one above it; NULL when there is none. Borrowed until the next change. */
const struct range *ranges_at(const struct ranges *r, uint64_t off);

/* The run after one that ranges_at returned; NULL when there is none. */
const struct range *ranges_next(const struct ranges *r, const struct range *run);

/* Bytes in the set. */
uint64_t ranges_total(const struct ranges *r);

#endif
