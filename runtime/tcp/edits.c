#include "tcp/edits.h"

#include <errno.h>
#include <string.h>

static int64_t start_of(const struct edit *x)
{
	return (int64_t)x->at + x->shift;
}

static int64_t shift_after(const struct edit *x)
{
	return x->shift + (int64_t)x->put - (int64_t)x->cut;
}

static uint64_t end_of(const struct edit *x)
{
	return x->at + x->cut;
}

static void edit_free(struct edit *x, struct slab *slab)
{
	slab_put(slab, x->bytes, x->room);
}

void edits_fini(struct edits *e, struct slab *slab)
{
	for (uint32_t i = 0; i < e->n; i++)
		edit_free(&e->v[i], slab);
	slab_put(slab, e->v, e->room);
	*e = (struct edits){ 0 };
}

/* How many edits stand before the sender's byte at off: belong to bytes below it. */
static uint32_t count_before(const struct edits *e, int64_t off)
{
	uint32_t low = 0, high = e->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct edit *x = &e->v[mid];

		if ((int64_t)x->at < off || ((int64_t)x->at == off && x->back))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* How many edits begin below pos (out). */
static uint32_t count_below(const struct edits *e, int64_t pos)
{
	uint32_t low = 0, high = e->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (start_of(&e->v[mid]) < pos)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void renumber(struct edits *e, uint32_t from)
{
	for (uint32_t i = from; i < e->n; i++)
		e->v[i].shift = i ? shift_after(&e->v[i - 1]) : e->shift;
}

static void remove_at(struct edits *e, struct slab *slab, uint32_t i)
{
	edit_free(&e->v[i], slab);
	memmove(&e->v[i], &e->v[i + 1], (--e->n - i) * sizeof(e->v[0]));
}

static int make_room(struct edits *e, struct slab *slab)
{
	size_t need = (e->n + 1) * sizeof(e->v[0]);

	if (e->n == EDITS_MAX)
		return -ENOBUFS;
	if (need <= e->room)
		return 0;
	size_t room = need < 2 * e->room ? 2 * e->room : need;
	struct edit *v = slab_get(slab, &room);

	if (!v)
		return -ENOBUFS;
	if (e->n)
		memcpy(v, e->v, e->n * sizeof(v[0]));
	slab_put(slab, e->v, e->room);
	e->v = v;
	e->room = room;
	return 0;
}

/* A new edit and one that has not left: do they want the same bytes, or the same place? */
static bool meets(const struct edit *x, const struct edit *y)
{
	if (x->sent || x->back != y->back)
		return false;
	return x->at == y->at || (x->at < end_of(y) && y->at < end_of(x));
}

/* The first edit that has not left. They stand behind all that has. */
static uint32_t first_unsent(const struct edits *e)
{
	uint32_t i = e->n;

	while (i && !e->v[i - 1].sent)
		i--;
	return i;
}

static size_t append(struct edit *y, const void *bytes, size_t at, size_t n)
{
	if (n)
		memcpy(y->bytes + at, bytes, n);
	return at + n;
}

/* Fill y's bytes, in the order of places, then of calls: of the edits that it meets, and its own. */
static void compose(const struct edits *e, struct edit *y, const void *bytes, uint32_t put)
{
	uint32_t from = first_unsent(e), i;
	const struct edit own = *y;
	size_t n = 0;

	for (i = from; i < e->n && e->v[i].at <= own.at; i++)
		if (meets(&e->v[i], &own))
			n = append(y, e->v[i].bytes, n, e->v[i].put);
	n = append(y, bytes, n, put);
	for (; i < e->n; i++)
		if (meets(&e->v[i], &own))
			n = append(y, e->v[i].bytes, n, e->v[i].put);
	y->put = (uint32_t)n;
}

/* Widen y over the edits that it meets, which go. Edits do not overlap, so widening makes it meet no others. */
static void absorb(struct edits *e, struct edit *y, struct slab *slab)
{
	uint64_t from = y->at, to = end_of(y);
	uint32_t first = first_unsent(e);

	for (uint32_t i = e->n; i-- > first;) {
		if (!meets(&e->v[i], y))
			continue;
		from = e->v[i].at < from ? e->v[i].at : from;
		to = end_of(&e->v[i]) > to ? end_of(&e->v[i]) : to;
		remove_at(e, slab, i);
	}
	y->at = from;
	y->cut = (uint32_t)(to - from);
}

static size_t composed_len(const struct edits *e, const struct edit *y)
{
	size_t n = y->put;

	for (uint32_t i = first_unsent(e); i < e->n; i++)
		n += meets(&e->v[i], y) ? e->v[i].put : 0;
	return n;
}

/* Where an edit goes: behind all at lower places, and behind those at its own that are of its kind or sent. */
static uint32_t place_of(const struct edits *e, const struct edit *x)
{
	uint32_t i = count_before(e, (int64_t)x->at);

	while (!x->back && i < e->n && e->v[i].at == x->at)
		i++;
	return i;
}

int edits_add(struct edits *e, struct slab *slab, uint64_t at, uint32_t cut, const void *bytes, uint32_t put, bool back)
{
	struct edit y = { .at = at, .cut = cut, .put = put, .back = back };

	if (make_room(e, slab) < 0)
		return -ENOBUFS;
	y.room = composed_len(e, &y);
	if (y.room > INT32_MAX || (y.room && !(y.bytes = slab_get(slab, &y.room))))
		return -ENOBUFS;
	compose(e, &y, bytes, put);
	absorb(e, &y, slab);
	uint32_t i = place_of(e, &y);

	memmove(&e->v[i + 1], &e->v[i], (e->n++ - i) * sizeof(y));
	e->v[i] = y;
	renumber(e, i);
	return 0;
}

bool edits_has_left(const struct edits *e, uint64_t at, uint32_t cut)
{
	uint32_t i = count_before(e, (int64_t)at);
	const struct edit *before = i ? &e->v[i - 1] : NULL;

	if (before && before->sent && at < end_of(before))
		return at + cut <= end_of(before);
	if (before && before->sent && before->back && before->at == at && !cut)
		return true;
	return i < e->n && e->v[i].at == at && e->v[i].sent && cut <= e->v[i].cut;
}

bool edits_has_appended(const struct edits *e, uint64_t at, const void *bytes, uint32_t put)
{
	uint32_t i = count_before(e, (int64_t)at);
	const struct edit *x = i ? &e->v[i - 1] : NULL;

	return x && x->back && x->sent && x->at == at && x->put == put && memcmp(x->bytes, bytes, put) == 0;
}

void edits_pass(struct edits *e)
{
	for (uint32_t i = e->n; i-- > 0 && !e->v[i].sent;)
		e->v[i].sent = true;
}

void edits_undo(struct edits *e, struct slab *slab)
{
	while (e->n && !e->v[e->n - 1].sent)
		edit_free(&e->v[--e->n], slab);
}

void edits_settle(struct edits *e, struct slab *slab, int64_t pos)
{
	uint32_t n = 0;

	while (n < e->n && e->v[n].sent && start_of(&e->v[n]) + (int64_t)e->v[n].put <= pos) {
		e->shift = shift_after(&e->v[n]);
		e->base = end_of(&e->v[n]);
		edit_free(&e->v[n++], slab);
	}
	if (!n)
		return;
	e->n -= n;
	memmove(e->v, e->v + n, e->n * sizeof(e->v[0]));
}

int64_t edits_out(const struct edits *e, int64_t off, bool behind)
{
	uint32_t i = count_before(e, off);

	while (behind && i < e->n && (int64_t)e->v[i].at == off && e->v[i].sent && !e->v[i].cut)
		i++;
	if (!i)
		return off + e->shift;
	const struct edit *x = &e->v[i - 1];

	return off < (int64_t)end_of(x) ? start_of(x) + (int64_t)x->put : off + shift_after(x);
}

int64_t edits_in(const struct edits *e, int64_t pos)
{
	uint32_t i = count_below(e, pos + 1);

	if (!i)
		return pos - e->shift;
	const struct edit *x = &e->v[i - 1];

	if (pos >= start_of(x) + (int64_t)x->put)
		return pos - shift_after(x);
	return (int64_t)x->at - x->back;
}

int64_t edits_in_from(const struct edits *e, int64_t pos)
{
	uint32_t i = count_below(e, pos);

	if (!i)
		return pos - e->shift;
	const struct edit *x = &e->v[i - 1];
	int64_t end = start_of(x) + (int64_t)x->put;

	if (x->back)
		return pos <= end ? (int64_t)x->at : pos - shift_after(x);
	if (!x->cut)
		return pos <= end ? (int64_t)x->at + 1 : pos - shift_after(x);
	return pos < end ? (int64_t)end_of(x) : pos - shift_after(x);
}

/* The first edit that may concern [off, ...). */
static uint32_t first_at(const struct edits *e, int64_t off)
{
	uint32_t i = count_before(e, off);

	return i && off < (int64_t)end_of(&e->v[i - 1]) ? i - 1 : i;
}

/* Does x concern bytes below end, or the FIN that stands there? */
static bool is_below(const struct edit *x, int64_t end, bool fin)
{
	return (int64_t)x->at < end || ((int64_t)x->at == end && (x->back || fin));
}

bool edits_touch(const struct edits *e, int64_t off, uint32_t len, bool fin)
{
	uint32_t i = first_at(e, off);

	return (len || fin) && i < e->n && is_below(&e->v[i], off + len, fin);
}

/* A walk over what becomes of [off, end): runs of the sender's bytes, and what was put in. */
struct walk {
	int64_t off, end;
	const uint8_t *src; /* NULL: only count */
	uint8_t *out;
	size_t len;
};

static void walk_copy(struct walk *w, const uint8_t *bytes, size_t n)
{
	if (w->src && n)
		memcpy(w->out + w->len, bytes, n);
	w->len += n;
}

static void walk_edit(struct walk *w, const struct edit *x, int64_t first)
{
	if ((int64_t)x->at > w->off) {
		walk_copy(w, w->src ? w->src + (w->off - first) : NULL, (size_t)((int64_t)x->at - w->off));
		w->off = (int64_t)x->at;
	}
	if ((int64_t)x->at >= first)
		walk_copy(w, x->bytes, x->put);
	if ((int64_t)end_of(x) > w->off)
		w->off = (int64_t)end_of(x) < w->end ? (int64_t)end_of(x) : w->end;
}

static size_t image(const struct edits *e, int64_t off, uint32_t len, bool fin, const uint8_t *src, uint8_t *out)
{
	struct walk w = { .off = off, .end = off + len, .src = src, .out = out };

	for (uint32_t i = first_at(e, off); i < e->n && is_below(&e->v[i], w.end, fin); i++)
		walk_edit(&w, &e->v[i], off);
	walk_copy(&w, src ? src + (w.off - off) : NULL, (size_t)(w.end - w.off));
	return w.len;
}

size_t edits_image_len(const struct edits *e, int64_t off, uint32_t len, bool fin)
{
	return image(e, off, len, fin, NULL, NULL);
}

void edits_image(const struct edits *e, int64_t off, uint32_t len, bool fin, const uint8_t *src, uint8_t *out)
{
	image(e, off, len, fin, src, out);
}
