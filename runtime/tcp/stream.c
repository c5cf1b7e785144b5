#include "tcp/stream.h"

#include <errno.h>

#include "mos_ffi.h"
#include "tcp/segments.h"
#include "util/overlap.h"

enum { FIRST_SIZE = 2048 };

/* No sum of an offset and a limit may wrap. */
static const size_t MAX_LIMIT = (size_t)1 << 48;

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t greater(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void stream_init(struct stream *s, size_t limit, int policy, uint64_t start)
{
	/* In pieces: of all of it at once the compiler makes a string instruction, which takes long to begin. */
	memset(s, 0, 64);
	__asm__("" ::: "memory");
	memset((char *)s + 64, 0, sizeof(*s) - 64);
	s->base = s->cont = s->max = start;
	s->limit = lesser(limit, MAX_LIMIT);
	s->policy = (uint8_t)policy;
}

static void release(struct stream *s, struct slab *slab)
{
	slab_put(slab, s->mem, s->cap);
	s->buf = s->mem = NULL;
	s->cap = s->room = 0;
}

void stream_fini(struct stream *s, struct slab *slab)
{
	/* The streams of most connections have none of it. */
	if (s->mem)
		release(s, slab);
	if (s->early.v)
		ranges_fini(&s->early, slab);
	if (s->holes.v)
		ranges_fini(&s->holes, slab);
	if (s->segs.v)
		ranges_fini(&s->segs, slab);
}

/* Bytes of memory from buf on. */
static size_t mem_ahead(const struct stream *s)
{
	return s->cap - (size_t)(s->buf - s->mem);
}

static void set_buf(struct stream *s, uint8_t *buf)
{
	s->buf = buf;
	s->room = lesser(s->limit, mem_ahead(s));
}

/*
 * Raise base to `to`, or to the end of the gap that `to` lies in. May pass cont, for a caller that then raises cont.
 * No byte moves: buf follows base through the memory.
 */
static void raise_base(struct stream *s, uint64_t to)
{
	ranges_trim(&s->holes, to);
	if (s->holes.n && s->holes.v[0].from == to) {
		to = s->holes.v[0].to;
		ranges_trim(&s->holes, to);
	}

	uint64_t n = to - s->base;

	s->base = to;
	set_buf(s, n < mem_ahead(s) ? s->buf + n : s->mem);
}

/* Let the window end at end, whatever has to go for it. */
static void raise_window(struct stream *s, uint64_t end)
{
	if (end - s->base > s->limit)
		raise_base(s, end - s->limit);
}

/* Move what is there to the start of mem. */
static void move_to(struct stream *s, uint8_t *mem, size_t cap)
{
	size_t n = s->max > s->base ? lesser(s->max - s->base, mem_ahead(s)) : 0;

	if (n)
		memmove(mem, s->buf, n);
	s->mem = mem;
	s->cap = cap;
	set_buf(s, mem);
}

static bool change_mem(struct stream *s, struct slab *slab, size_t size)
{
	uint8_t *old = s->mem, *mem = slab_get(slab, &size);
	size_t old_cap = s->cap;

	if (!mem)
		return false;
	move_to(s, mem, size);
	slab_put(slab, old, old_cap);
	return true;
}

static size_t next_cap(const struct stream *s, size_t need)
{
	if (s->cap >= s->limit)
		return s->limit * 2;
	return lesser(s->limit, greater(greater(s->cap * 2, need), FIRST_SIZE));
}

/*
 * Have memory for [base, end), which is within limit, as far as that is possible; room tells. Bytes below floor may go.
 * Moving at most half of the memory, so that half is free afterwards, is paid for by as many bytes appended.
 */
static void make_room(struct stream *s, struct slab *slab, uint64_t end, uint64_t floor)
{
	uint64_t need = end - s->base;

	if (need <= s->room)
		return;

	bool lags = s->max > floor + s->cap / 2;

	if ((s->cap < s->limit || lags) && change_mem(s, slab, next_cap(s, need)))
		return;

	uint64_t base = lesser(end - lesser(need, s->cap / 2), floor);

	if (base > s->base)
		raise_base(s, base);
	if (s->buf != s->mem)
		move_to(s, s->mem, s->cap);
}

static void lose(struct stream *s, struct stream_write *w, uint64_t n)
{
	w->dropped += n;
	s->lost += n;
}

/*
 * Remember [from, to) as a gap. Where the list is full or cannot grow, the oldest gap and all below it go; that leaves
 * a free place in the list.
 */
static void add_gap(struct stream *s, struct slab *slab, uint64_t from, uint64_t to)
{
	while (ranges_add(&s->holes, slab, greater(from, s->base), to, STREAM_MAX_RUNS) < 0)
		raise_base(s, s->holes.n ? s->holes.v[0].to : to);
}

/* Everything below `to` is there or a gap: raise cont to it, and over the early run that it meets. */
static void raise_cont(struct stream *s, uint64_t to)
{
	const struct range *run = ranges_at(&s->early, to);

	if (run && run->from <= to)
		to = run->to;
	ranges_trim(&s->early, to);
	ranges_trim(&s->segs, to);
	s->cont = to;
	s->max = greater(s->max, to);
}

/* Bytes of the segment seg over bytes that are there, at [part.from, part.to). Returns whether they differ. */
static bool overlay(const struct stream *s, struct range seg, struct range part, const uint8_t *data)
{
	uint8_t *at = s->buf + (part.from - s->base);
	size_t n = part.to - part.from;

	if (memcmp(at, data, n) == 0)
		return false;
	if (s->policy == MOS_OVERLAP_POLICY_LAST)
		memcpy(at, data, n);
	else
		segments_overlay(&s->segs, s->policy, seg, part, at, data);
	return true;
}

/*
 * Put bytes at [from, to), for which there is memory. What lies in `set` is there already (present) or is what is not;
 * the rest is the opposite. Returns how many were not there.
 */
static uint64_t place(const struct stream *s, uint64_t from, uint64_t to, const uint8_t *data, const struct ranges *set,
		      bool present, bool *conflict)
{
	const struct range seg = { from, to };
	const struct range *run = ranges_at(set, from);
	uint64_t absent = 0;

	while (from < to) {
		bool inside = run && run->from <= from;
		uint64_t stop = run ? lesser(to, inside ? run->to : run->from) : to;
		size_t n = stop - from;

		if (inside == present) {
			*conflict |= overlay(s, seg, (struct range){ from, stop }, data);
		} else {
			memcpy(s->buf + (from - s->base), data, n);
			absent += n;
		}
		data += n;
		from = stop;
		if (inside && from == run->to)
			run = ranges_next(set, run);
	}
	return absent;
}

/* Bytes of [base, cont): seen before, or late for a gap. Nothing goes for them. */
static void write_old(struct stream *s, struct slab *slab, uint64_t from, uint64_t end, const uint8_t *data,
		      struct stream_write *w)
{
	make_room(s, slab, end, s->base);

	uint64_t to = greater(from, lesser(end, s->base + s->room));
	uint64_t added = place(s, from, to, data, &s->holes, false, &w->conflict);

	lose(s, w, end - to);
	if (ranges_cut(&s->holes, slab, from, to, STREAM_MAX_RUNS) < 0) {
		lose(s, w, added);
		added = 0;
	}
	w->added += added;
}

/* Bytes from cont on. */
static void write_next(struct stream *s, struct slab *slab, uint64_t end, const uint8_t *data, uint64_t keep,
		       struct stream_write *w)
{
	uint64_t cont = s->cont;

	raise_window(s, end);
	make_room(s, slab, end, greater(s->base, lesser(keep, cont)));

	uint64_t from = greater(cont, s->base);
	uint64_t to = greater(from, lesser(end, s->base + s->room));

	w->added += place(s, from, to, data + (from - cont), &s->early, true, &w->conflict);
	lose(s, w, from - cont + end - to);
	raise_cont(s, end);
	if (to == s->base)
		raise_base(s, end);
	else if (to < end)
		add_gap(s, slab, to, end);
}

/* Bytes above cont. */
static void write_early(struct stream *s, struct slab *slab, uint64_t off, uint64_t end, const uint8_t *data,
			uint64_t keep, struct stream_write *w)
{
	uint64_t read = greater(s->base, lesser(keep, s->cont));

	raise_window(s, lesser(end, read + s->limit));
	read = greater(s->base, read);
	make_room(s, slab, lesser(end, s->base + s->limit), read);

	uint64_t to = greater(off, lesser(end, s->base + s->room));
	uint64_t added = place(s, off, to, data, &s->early, true, &w->conflict);

	lose(s, w, end - to);
	if (to == off)
		return;
	if (ranges_add(&s->early, slab, off, to, STREAM_MAX_RUNS) < 0) {
		lose(s, w, added);
		return;
	}
	w->added += added;
	s->max = greater(s->max, to);
	if (overlap_needs_bounds(s->policy))
		segments_add(&s->segs, slab, s->policy, (struct range){ off, to });
}

bool stream_hold(struct stream *s, struct slab *slab, struct stream_piece *piece, uint64_t keep)
{
	if (keep < s->cont - s->held || s->early.n || piece->len > s->limit - s->held)
		return false;
	piece->next = NULL;
	if (s->held) {
		s->last->next = piece;
	} else {
		if (s->base < s->cont) {
			raise_base(s, s->cont);
			release(s, slab);
		}
		s->first = piece;
	}
	s->last = piece;
	s->held += piece->len;
	s->cont = s->max = s->cont + piece->len;
	return true;
}

void stream_gather(struct stream *s, struct slab *slab, uint64_t keep)
{
	const struct stream_piece *piece = s->first;
	uint64_t off = s->cont - s->held, from = lesser(greater(keep, off), s->cont);

	if (!s->held)
		return;
	s->held = 0;
	s->base = s->cont = s->max = from;
	for (; piece; off += piece->len, piece = piece->next) {
		size_t read = lesser(greater(from, off) - off, piece->len);

		if (read < piece->len)
			stream_write(s, slab, off + read, piece->bytes + read, piece->len - read, from);
	}
}

struct stream_write stream_merge(struct stream *s, struct slab *slab, uint64_t off, const void *data, size_t len,
				 uint64_t keep)
{
	struct stream_write w = { 0 };
	const uint8_t *bytes = data;

	stream_settle(s, slab, keep);

	uint64_t end = off + len, cont = s->cont;

	if (off < s->base) {
		w.dropped = lesser(end, s->base) - off;
		bytes += w.dropped;
		off += w.dropped;
	}
	if (off < lesser(end, cont)) {
		uint64_t to = lesser(end, cont);

		write_old(s, slab, off, to, bytes, &w);
		bytes += to - off;
		off = to;
	}
	if (off < end && off == cont)
		write_next(s, slab, end, bytes, keep, &w);
	else if (off < end)
		write_early(s, slab, off, end, bytes, keep, &w);
	w.grown = s->cont - cont;
	return w;
}

size_t stream_excess(const struct stream *s, uint64_t off, size_t len, uint64_t keep)
{
	uint64_t end = off + len;

	if (off > s->cont || end <= s->cont || end - s->base <= s->limit)
		return 0;

	uint64_t from = greater(keep, s->base), to = lesser(end - s->limit, s->cont);

	return from < to ? to - from - ranges_covered(&s->holes, from, to) : 0;
}

uint64_t stream_skip(struct stream *s, struct slab *slab, uint64_t to)
{
	if (to <= s->cont)
		return 0;
	stream_gather(s, slab, s->base);

	uint64_t missing = to - s->cont - ranges_covered(&s->early, s->cont, to);
	uint64_t old_base = s->base;

	raise_window(s, to);
	s->lost += ranges_covered(&s->early, s->cont, s->base);

	uint64_t from = greater(s->cont, s->base);

	for (const struct range *run = ranges_at(&s->early, from); from < to; run = ranges_next(&s->early, run)) {
		if (run == NULL || run->from > from)
			add_gap(s, slab, from, run ? lesser(to, run->from) : to);
		if (run == NULL)
			break;
		from = run->to;
	}
	raise_cont(s, to);
	if (s->base > old_base)
		raise_base(s, s->base);
	return missing;
}

/* Early bytes beyond the window go. */
static void cut_early(struct stream *s, struct slab *slab)
{
	s->lost += (uint64_t)ranges_cut(&s->early, slab, s->base + s->limit, UINT64_MAX, STREAM_MAX_RUNS);
	ranges_cut(&s->segs, slab, s->base + s->limit, UINT64_MAX, STREAM_MAX_RUNS);
	s->max = s->early.n ? s->early.v[s->early.n - 1].to : s->cont;
}

void stream_resize(struct stream *s, struct slab *slab, size_t limit)
{
	stream_gather(s, slab, s->base);
	s->limit = limit = lesser(limit, MAX_LIMIT);
	if (s->max - s->base > limit)
		raise_base(s, lesser(s->cont, s->max - limit));
	if (s->max - s->base > limit)
		cut_early(s, slab);
	if (s->max == s->base)
		release(s, slab);
	else if (s->cap / 2 >= limit)
		change_mem(s, slab, limit);
	set_buf(s, s->buf);
}

/* Bytes there from off on, without a break; 0: off is absent. off is at or above base. */
static size_t contiguous(const struct stream *s, uint64_t off)
{
	bool old = off < s->cont;
	const struct range *run = ranges_at(old ? &s->holes : &s->early, off);

	if (old)
		return run == NULL ? s->cont - off : run->from > off ? run->from - off : 0;
	return run && run->from <= off ? run->to - off : 0;
}

/* The held piece that off lies in, and how far. */
static const struct stream_piece *piece_at(const struct stream *s, uint64_t off, size_t *into)
{
	const struct stream_piece *piece = s->first;

	for (*into = off - s->base; *into >= piece->len; piece = piece->next)
		*into -= piece->len;
	return piece;
}

static void copy_held(const struct stream *s, uint64_t off, uint8_t *buf, size_t n)
{
	size_t into, part;

	for (const struct stream_piece *piece = piece_at(s, off, &into); n; piece = piece->next, into = 0) {
		part = lesser(n, piece->len - into);
		memcpy(buf, piece->bytes + into, part);
		buf += part;
		n -= part;
	}
}

ssize_t stream_ppeek(const struct stream *s, uint64_t off, void *buf, size_t len)
{
	if (off < s->base)
		return -ERANGE;
	if (off == s->max)
		return 0;

	size_t there = contiguous(s, off), n = lesser(there, len);

	if (there == 0)
		return -ENODATA;
	if (s->held)
		copy_held(s, off, buf, n);
	else if (n)
		memcpy(buf, s->buf + (off - s->base), n);
	return (ssize_t)n;
}

static const uint8_t *view_held(const struct stream *s, uint64_t off, size_t *len)
{
	size_t into;
	const struct stream_piece *piece = piece_at(s, off, &into);

	*len = piece->len - into;
	return piece->bytes + into;
}

const uint8_t *stream_view(const struct stream *s, uint64_t off, size_t *len, uint64_t *gap)
{
	uint64_t at = greater(off, s->base);
	const struct range *hole = s->holes.n ? ranges_at(&s->holes, at) : NULL;

	if (hole && hole->from <= at)
		at = hole->to;
	*gap = at - off;
	if (at == off && s->held && off < s->cont)
		return view_held(s, off, len);
	*len = at == off && off < s->cont ? contiguous(s, off) : 0;
	return *len ? s->buf + (off - s->base) : NULL;
}

uint32_t stream_runs(const struct stream *s, struct range *out, uint32_t n)
{
	const struct range *run;
	uint32_t count = 0;

	for (uint64_t off = s->base; off < s->cont;) {
		size_t len = contiguous(s, off);
		uint64_t end = off + len;

		if (len) {
			if (count < n)
				out[count] = (struct range){ off, end };
			count++;
		}
		run = ranges_at(&s->holes, end);
		off = run ? run->to : s->cont;
	}
	for (run = ranges_at(&s->early, s->cont); run; run = ranges_next(&s->early, run), count++)
		if (count < n)
			out[count] = *run;
	return count;
}
