#include "tcp/segments.h"

#include <string.h>

#include "tcp/stream.h"
#include "util/overlap.h"

static struct range common(struct range a, struct range b)
{
	return (struct range){ a.from > b.from ? a.from : b.from, a.to < b.to ? a.to : b.to };
}

void segments_overlay(const struct ranges *segments, int policy, struct range seg, struct range part, uint8_t *at,
		      const uint8_t *data)
{
	for (const struct range *old = ranges_at(segments, part.from); old && old->from < part.to;
	     old = ranges_next(segments, old)) {
		struct range both = common(part, *old);

		if (overlap_segment_wins(policy, seg.from, seg.to, old->from, old->to))
			memcpy(at + (both.from - part.from), data + (both.from - part.from), both.to - both.from);
	}
}

void segments_add(struct ranges *segments, struct slab *slab, int policy, struct range seg)
{
	struct range left = seg; /* of the new segment: no rule lets old bytes win in its middle */
	const struct range *run;

	for (uint64_t at = seg.from; (run = ranges_at(segments, at)) && run->from < seg.to;) {
		struct range old = *run, both = common(seg, old);

		at = old.to;
		if (overlap_segment_wins(policy, seg.from, seg.to, old.from, old.to))
			ranges_cut(segments, slab, both.from, both.to, STREAM_MAX_RUNS);
		else if (old.from <= left.from)
			left.from = old.to;
		else
			left.to = old.from;
	}
	if (left.from < left.to && ranges_put(segments, slab, left.from, left.to, STREAM_MAX_RUNS) < 0)
		ranges_add(segments, slab, left.from, left.to, STREAM_MAX_RUNS);
}
