#include "event/timers.h"

#include <errno.h>
#include <stdlib.h>

static bool before(const struct timer *a, const struct timer *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static uint32_t parent_of(uint32_t i)
{
	return (i - 1) / 2;
}

static void sift_up(struct timer *heap, uint32_t i)
{
	struct timer x = heap[i];

	for (; i && before(&x, &heap[parent_of(i)]); i = parent_of(i))
		heap[i] = heap[parent_of(i)];
	heap[i] = x;
}

static void sift_down(struct timer *heap, uint32_t n, uint32_t i)
{
	struct timer x = heap[i];

	for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &x))
			break;
		heap[i] = heap[child];
	}
	heap[i] = x;
}

static struct timer take(struct timers *t, uint32_t i)
{
	struct timer x = t->heap[i];

	t->waiting -= x.waits;
	t->heap[i] = t->heap[--t->n];
	if (i < t->n) {
		sift_down(t->heap, t->n, i);
		sift_up(t->heap, i);
	}
	return x;
}

void timers_fini(struct timers *t)
{
	free(t->heap);
	*t = (struct timers){ 0 };
}

int timers_reserve(struct timers *t, uint32_t n)
{
	uint32_t cap = t->cap ? t->cap : 16;
	struct timer *heap;

	if (t->n + n <= t->cap)
		return 0;
	while (cap < t->n + n)
		cap *= 2;
	heap = realloc(t->heap, cap * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	t->heap = heap;
	t->cap = cap;
	return 0;
}

uint64_t timers_add(struct timers *t, uint64_t now_ns, uint64_t delay_ns, struct handler h, int32_t id)
{
	uint64_t due;

	if (timers_reserve(t, 1) < 0)
		return 0;
	if (__builtin_add_overflow(now_ns, delay_ns, &due))
		due = UINT64_MAX - 1;
	if (due < t->floor_ns)
		due = t->floor_ns;
	t->heap[t->n] = (struct timer){ due, ++t->count, h, id, 0, !now_ns };
	t->waiting += !now_ns;
	sift_up(t->heap, t->n++);
	return t->count;
}

bool timers_cancel(struct timers *t, uint64_t key)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->heap[i].order == key) {
			take(t, i);
			return true;
		}
	}
	return false;
}

/* Time begins: what was set before it counts from here. */
static void start_waiting(struct timers *t, uint64_t now_ns)
{
	for (uint32_t i = 0; i < t->n; i++) {
		struct timer *x = &t->heap[i];

		if (x->waits && __builtin_add_overflow(x->due_ns, now_ns, &x->due_ns))
			x->due_ns = UINT64_MAX - 1;
		x->waits = false;
	}
	for (uint32_t i = t->n / 2; i-- > 0;)
		sift_down(t->heap, t->n, i);
	t->waiting = 0;
}

void timers_name(struct timers *t, uint64_t key, uint32_t name)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->heap[i].order == key)
			t->heap[i].name = name;
}

void timers_drop(struct timers *t, int32_t id)
{
	for (uint32_t i = t->n; i-- > 0;)
		if (t->heap[i].id == id && !t->heap[i].handler.fn)
			take(t, i);
}

static bool same_name(const struct timer *a, const struct timer *b)
{
	if (a->handler.fn || b->handler.fn)
		return a->handler.fn == b->handler.fn && a->id == b->id;
	return a->name && a->name == b->name;
}

/* When x is due by t's clock. One that has to wait for the time to be known keeps its delay. */
static void translate(struct timer *x, const struct timers *t, uint64_t now_ns)
{
	if (x->waits && now_ns) {
		x->waits = false;
		if (__builtin_add_overflow(x->due_ns, now_ns, &x->due_ns))
			x->due_ns = UINT64_MAX - 1;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		const struct timer *old = &t->heap[i];

		if (same_name(old, x)) {
			x->due_ns = old->due_ns;
			x->waits = old->waits;
		}
	}
}

static bool is_renewed(const struct timer *x, const struct timers *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		if (same_name(&from->heap[i], x))
			return true;
	return false;
}

/* What stays of t's own timers. */
static uint32_t keep_timers(struct timers *t, const struct timers *from, bool renew)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		if (t->heap[i].handler.fn && !(renew && is_renewed(&t->heap[i], from)))
			t->heap[n++] = t->heap[i];
	return n;
}

static void become(struct timers *t, callback_t (*heir)(void *arg, callback_t old), void *arg)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		struct timer x = t->heap[i];

		if (x.handler.fn && !(x.handler.fn = heir(arg, x.handler.fn)))
			continue;
		t->heap[n++] = x;
	}
	t->n = n;
}

void timers_take_over(struct timers *t, struct timers *from, uint64_t now_ns,
		      callback_t (*heir)(void *arg, callback_t old), void *arg)
{
	if (heir)
		become(t, heir, arg);
	for (uint32_t i = 0; i < from->n; i++)
		translate(&from->heap[i], t, now_ns);
	uint32_t n = keep_timers(t, from, heir);

	for (uint32_t i = 0; i < from->n; i++)
		t->heap[n++] = from->heap[i];
	t->n = n;
	t->waiting = 0;
	for (uint32_t i = 0; i < n; i++)
		t->waiting += t->heap[i].waits;
	for (uint32_t i = n / 2; i-- > 0;)
		sift_down(t->heap, n, i);
	if (from->count > t->count)
		t->count = from->count;
	from->n = 0;
}

void timers_run(struct timers *t, struct dispatch *d, uint64_t now_ns)
{
	uint64_t old = t->count;

	if (!now_ns)
		return;
	if (t->waiting)
		start_waiting(t, now_ns);
	while (t->n && t->heap[0].due_ns <= now_ns) {
		struct timer x = take(t, 0);

		t->floor_ns = x.order <= old ? 0 : now_ns + 1;
		dispatch_timer(d, x.handler, x.id, (uint32_t)x.order);
	}
	t->floor_ns = 0;
}

uint64_t timers_next(const struct timers *t)
{
	if (t->waiting)
		return 0;
	return t->n ? t->heap[0].due_ns : UINT64_MAX;
}
