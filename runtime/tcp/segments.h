/*
 * Where early segments begin and end, so that an overlap can be decided as a policy says that depends on it
 * (util/overlap.h). The segments are a set of runs that may touch: what earlier overlaps have left of each. At most
 * STREAM_MAX_RUNS of them; beyond that, and when memory is out, a new one becomes part of its neighbour.
 */
#ifndef MOS_TCP_SEGMENTS_H
#define MOS_TCP_SEGMENTS_H

#include "tcp/ranges.h"

/* Of the bytes at [from, to) of a new segment seg, copy those that win from data to `at`; both begin at from. */
void segments_overlay(const struct ranges *segments, int policy, struct range seg, struct range part, uint8_t *at,
		      const uint8_t *data);

/* Note the new segment, and what it takes from old ones. */
void segments_add(struct ranges *segments, struct slab *slab, int policy, struct range seg);

#endif
