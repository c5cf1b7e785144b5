/*
 * The bytes that one end received, in order: a linear buffer over a window of stream offsets, with out-of-order bytes
 * in their place and a set of runs that says which are there.
 *
 *      base            cont                     max         base + limit
 *       |---------------|-----[####]----[##]-----|- - - - - - - -|
 *        history, whole   holes and early bytes
 *        but for gaps
 *
 * Offsets are uint64_t, 0 is the first byte after the SYN. Bytes are contiguous in memory, so that a view needs no
 * copy. Capacity grows by doubling up to limit. Nothing is lost in silence: what a write cannot keep it reports.
 *
 * Everything kept lies in a window of limit offsets from base. base rises, and the oldest bytes go, only when
 * - in-order bytes need the room: the window follows them, over read and unread bytes alike (stream_excess tells);
 * - early bytes need it: over bytes already read, never over others;
 * - bytes have to move in memory: over bytes already read, so that half of it is free for what comes;
 * - a gap is declared that the window cannot span, or the limit is lowered.
 * Between those, history stays. When half the memory cannot be freed because a reader lags, it grows to twice the
 * limit, still holding no more than limit bytes: so moving costs about one byte per byte appended, whoever lags.
 *
 * A gap is a range below cont that nobody waits for any longer. Its bytes may still come while it is above base: they
 * are stored, the gap shrinks, and they count as added, not as grown; a reader whose cursor has passed does not see
 * them. base never comes to rest inside a gap: when it rises into one it moves on to its end.
 *
 * Bytes that come in order when all before them has been read may be held where they lie, in the packets of the burst,
 * until it is over: nothing is copied if they are read by then, and nothing of them is kept. Every function below knows.
 *
 * When memory is out, in-order bytes that find no room become a gap: cont goes on, so that the stream does not wedge,
 * and unread bytes stay. Early bytes that find none are dropped. Where a gap cannot be remembered, the bytes below it
 * go instead, oldest first, so that a reader finds one larger gap there. The next write tries again.
 */
#ifndef MOS_TCP_STREAM_H
#define MOS_TCP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "tcp/ranges.h"
#include "util/slab.h"

/* Early runs at most, gaps and early segments. A write that would make one more early run is dropped, counted. */
enum { STREAM_MAX_RUNS = 1024 };

/* Bytes that lie in a packet. */
struct stream_piece {
	const uint8_t *bytes;
	size_t len;
	struct stream_piece *next;
};

/* What bytes in order need comes first, so that it is in two cache lines at most. */
struct stream {
	uint64_t base; /* lowest offset kept */
	uint64_t cont; /* everything in [base, cont) is there or a declared gap */
	uint64_t max;  /* end of the last early run, or cont: one past the highest offset there */

	/* [cont - held, cont), which is then all there is: base is cont - held, and there is no memory. */
	size_t held;
	struct stream_piece *first, *last;

	size_t limit;        /* bytes kept at most */
	struct ranges early; /* runs above cont */
	struct ranges holes; /* declared gaps in [base, cont) */

	uint8_t *buf;       /* byte at offset base */
	size_t room;        /* bytes from buf on that may be written: the lesser of limit and the memory left */
	uint8_t *mem;       /* what slab_get gave, NULL before the first byte; buf lies in it */
	size_t cap;         /* bytes at mem */
	uint64_t lost;      /* new bytes that could not be kept; stale ones, below base, are not among them */
	struct ranges segs; /* early segments, where the policy depends on them (tcp/segments.h) */
	uint8_t policy;     /* MOS_OVERLAP_POLICY_: who wins where bytes overlap */
};

/* What a write did: len = added + dropped + bytes that were there before. */
struct stream_write {
	uint64_t grown;   /* bytes by which cont advanced, kept or not */
	uint64_t added;   /* bytes that were not there before */
	uint64_t dropped; /* bytes that could not be kept: below base, beyond the limit, or for want of memory */
	bool conflict;    /* an overlap with other bytes; the policy decided */
};

/* An empty stream whose first byte has offset start: bytes below start are below base. Allocates nothing. */
void stream_init(struct stream *s, size_t limit, int policy, uint64_t start);
void stream_fini(struct stream *s, struct slab *slab);

/*
 * Change the limit. Bytes beyond a smaller one go, the oldest first, then early ones beyond base + limit (counted in
 * lost); bytes still missing stay awaited.
 */
void stream_resize(struct stream *s, struct slab *slab, size_t limit);

/*
 * Would a write of [off, off + len) overwrite bytes at or above keep (the lowest unread offset)? Returns how many
 * unread bytes would go; 0 when there is room. The write's own bytes do not count: see stream_write.dropped. The same
 * question before stream_skip: ask with the range from cont to its `to`.
 */
size_t stream_excess(const struct stream *s, uint64_t off, size_t len, uint64_t keep);

/* stream_write, off its shortest way. */
struct stream_write stream_merge(struct stream *s, struct slab *slab, uint64_t off, const void *data, size_t len,
				 uint64_t keep);

/*
 * Write len bytes at offset off. In-order bytes always fit: the oldest bytes, read or not, make room (keep tells where
 * unread bytes start, so that the oldest read ones go first; UINT64_MAX: nobody reads). Of more than limit of them at
 * once the last limit stay. Early bytes beyond base + limit are dropped.
 * Bytes that are still there, early ones too, are compared: a difference is a conflict, and the policy says which bytes
 * stay. In order, only MOS_OVERLAP_POLICY_LAST overwrites: a receiver has taken what is in order.
 */
static inline struct stream_write stream_write(struct stream *s, struct slab *slab, uint64_t off, const void *data,
					       size_t len, uint64_t keep)
{
	/* In order, nothing early, and it fits. */
	if (__builtin_expect(off == s->cont && off == s->max && len && off + len - s->base <= s->room, 1)) {
		memcpy(s->buf + (off - s->base), data, len);
		s->cont = s->max = off + len;
		return (struct stream_write){ .grown = len, .added = len };
	}
	return stream_merge(s, slab, off, data, len, keep);
}

/*
 * Take the piece, whose bytes are the next ones, as held; piece->bytes and piece->len are set. It stays the caller's, and
 * good until stream_settle. False, and nothing has changed, if bytes below the held ones are unread (below keep), bytes
 * are early, or the limit would be passed: write them.
 */
bool stream_hold(struct stream *s, struct slab *slab, struct stream_piece *piece, uint64_t keep);

/* Copy what is held and not below keep into the buffer. */
void stream_gather(struct stream *s, struct slab *slab, uint64_t keep);

/* Have what is there in one piece, for who wants to see all of it. */
static inline void stream_unite(struct stream *s, struct slab *slab)
{
	if (s->held && s->first != s->last)
		stream_gather(s, slab, s->base);
}

/* The burst is over, or something else comes that is not held. */
static inline void stream_settle(struct stream *s, struct slab *slab, uint64_t keep)
{
	if (!s->held)
		return;
	if (keep < s->cont) {
		stream_gather(s, slab, keep);
		return;
	}
	s->base = s->cont;
	s->held = 0;
}

/*
 * Give up waiting for the hole at cont: everything up to `to` that is not there is a gap. Advances cont to `to`, or to
 * the end of the early run that contains or begins at it. Returns the number of bytes missing. Nothing happens when
 * `to` is not above cont. A gap's length costs neither memory nor time; one that the window cannot span takes along the
 * bytes below it, early ones too (counted in lost).
 */
uint64_t stream_skip(struct stream *s, struct slab *slab, uint64_t to);

/*
 * Copy up to len bytes from offset off into buf, early bytes included, as far as the first gap or hole. Nothing is
 * consumed. Returns the bytes copied (0: off is max, the end of what is there); -ENODATA if off lies in a hole or gap
 * or was never received; -ERANGE if it is below base.
 */
ssize_t stream_ppeek(const struct stream *s, uint64_t off, void *buf, size_t len);

/*
 * The contiguous bytes at off without a copy: *len of them, at the address returned, valid until the next write. Stops
 * at cont, at a gap, at the end of a held piece. NULL with *len 0 when there are none; *gap is then the number of bytes to skip when off lies in a
 * gap or below base, else 0.
 */
const uint8_t *stream_view(const struct stream *s, uint64_t off, size_t *len, uint64_t *gap);

/* Write the runs of bytes that are there, from base up, into out[0..n); returns how many there are in all. */
uint32_t stream_runs(const struct stream *s, struct range *out, uint32_t n);

#endif
