#include "tcp/ranges.h"

#include <errno.h>
#include <string.h>

enum { FIRST_CAP = 4 };

void ranges_init(struct ranges *r)
{
	*r = (struct ranges){ 0 };
}

void ranges_fini(struct ranges *r, struct slab *slab)
{
	slab_put(slab, r->v, r->cap * sizeof(*r->v));
	ranges_init(r);
}

/* Index of the first run that ends above off. */
static uint32_t first_above(const struct ranges *r, uint64_t off)
{
	uint32_t lo = 0, hi = r->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].to <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool grow(struct ranges *r, struct slab *slab)
{
	size_t size = (r->cap ? (size_t)r->cap * 2 : FIRST_CAP) * sizeof(*r->v);
	struct range *v = slab_get(slab, &size);

	if (!v)
		return false;
	if (r->n)
		memcpy(v, r->v, r->n * sizeof(*v));
	slab_put(slab, r->v, r->cap * sizeof(*v));
	r->v = v;
	r->cap = (uint32_t)(size / sizeof(*v));
	return true;
}

/* Make room for one more run at index i. */
static bool open_slot(struct ranges *r, struct slab *slab, uint32_t i, uint32_t max)
{
	if (r->n >= max || (r->n == r->cap && !grow(r, slab)))
		return false;
	memmove(r->v + i + 1, r->v + i, (r->n - i) * sizeof(*r->v));
	r->n++;
	return true;
}

/* Remove the runs with index i up to, not including, j. */
static void close_slots(struct ranges *r, uint32_t i, uint32_t j)
{
	if (i == j)
		return;
	memmove(r->v + i, r->v + j, (r->n - j) * sizeof(*r->v));
	r->n -= j - i;
}

static int64_t insert(struct ranges *r, struct slab *slab, uint32_t i, struct range run, uint32_t max)
{
	if (!open_slot(r, slab, i, max))
		return -ENOSPC;
	r->v[i] = run;
	return (int64_t)(run.to - run.from);
}

int ranges_put(struct ranges *r, struct slab *slab, uint64_t from, uint64_t to, uint32_t max)
{
	return insert(r, slab, first_above(r, from), (struct range){ from, to }, max) < 0 ? -ENOSPC : 0;
}

/*
 * Index of the first run that ends at or above from, so that runs that touch become one. Bytes arrive in order far
 * more often than not, at the end of the last run or above it: no search there.
 */
static uint32_t first_touching(const struct ranges *r, uint64_t from)
{
	if (r->n == 0 || from > r->v[r->n - 1].to)
		return r->n;
	if (from >= r->v[r->n - 1].from)
		return r->n - 1;
	return from ? first_above(r, from - 1) : 0;
}

int64_t ranges_add(struct ranges *r, struct slab *slab, uint64_t from, uint64_t to, uint32_t max)
{
	if (to <= from)
		return 0;

	uint32_t i = first_touching(r, from), j = i;
	struct range merged = { from, to };
	uint64_t had = 0;

	for (; j < r->n && r->v[j].from <= to; j++)
		had += r->v[j].to - r->v[j].from;
	if (i == j)
		return insert(r, slab, i, merged, max);

	if (r->v[i].from < from)
		merged.from = r->v[i].from;
	if (r->v[j - 1].to > to)
		merged.to = r->v[j - 1].to;
	r->v[i] = merged;
	close_slots(r, i + 1, j);
	return (int64_t)(merged.to - merged.from - had);
}

int64_t ranges_cut(struct ranges *r, struct slab *slab, uint64_t from, uint64_t to, uint32_t max)
{
	if (to <= from)
		return 0;

	uint32_t i = first_above(r, from), j;
	int64_t cut = (int64_t)ranges_covered(r, from, to);

	if (i < r->n && r->v[i].from < from) {
		uint64_t end = r->v[i].to;

		if (end > to && insert(r, slab, i + 1, (struct range){ to, end }, max) < 0)
			return -ENOSPC;
		r->v[i++].to = from;
	}
	for (j = i; j < r->n && r->v[j].to <= to;)
		j++;
	if (j < r->n && r->v[j].from < to)
		r->v[j].from = to;
	close_slots(r, i, j);
	return cut;
}

void ranges_trim(struct ranges *r, uint64_t to)
{
	if (r->n == 0 || r->v[0].from >= to)
		return;
	close_slots(r, 0, first_above(r, to));
	if (r->n && r->v[0].from < to)
		r->v[0].from = to;
}

uint64_t ranges_covered(const struct ranges *r, uint64_t from, uint64_t to)
{
	uint64_t sum = 0;

	if (to <= from)
		return 0;
	for (uint32_t i = first_above(r, from); i < r->n && r->v[i].from < to; i++) {
		uint64_t a = r->v[i].from > from ? r->v[i].from : from;
		uint64_t b = r->v[i].to < to ? r->v[i].to : to;

		sum += b - a;
	}
	return sum;
}

const struct range *ranges_at(const struct ranges *r, uint64_t off)
{
	uint32_t i = first_above(r, off);

	return i < r->n ? &r->v[i] : NULL;
}

const struct range *ranges_next(const struct ranges *r, const struct range *run)
{
	return run + 1 < r->v + r->n ? run + 1 : NULL;
}

uint64_t ranges_total(const struct ranges *r)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->n; i++)
		sum += r->v[i].to - r->v[i].from;
	return sum;
}
