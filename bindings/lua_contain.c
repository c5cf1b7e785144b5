#include "lua_contain.h"

#include <stdlib.h>

#define SECOND 1000000000ull

/* Places beyond are not told apart from each other: the last one stands for them. */
enum { PLACES_MAX = 4096 };

void contain_fini(struct contain *c)
{
	free(c->v);
	*c = (struct contain){ .most = c->most };
}

void contain_clear(struct contain *c)
{
	c->n = 0;
}

static bool same(const struct place *a, const struct place *b)
{
	return a->kind == b->kind && a->number == b->number && a->hook == b->hook && a->event == b->event;
}

/* NULL when memory is out. */
static struct contained *entry(struct contain *c, const struct place *p)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (same(&c->v[i].place, p))
			return &c->v[i];
	if (c->n == PLACES_MAX)
		return &c->v[c->n - 1];
	if (c->n == c->cap) {
		uint32_t cap = c->cap ? 2 * c->cap : 16;
		struct contained *v = realloc(c->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n] = (struct contained){ .place = *p };
	return &c->v[c->n++];
}

static enum contain_answer judge(struct contained *e, bool too_much)
{
	if (e->out)
		return CONTAIN_ALREADY;
	e->out = too_much;
	return too_much ? CONTAIN_NOW : CONTAIN_NO;
}

enum contain_answer contain_error(struct contain *c, const struct place *p, uint64_t now_ns)
{
	struct contained *e = c->most ? entry(c, p) : NULL;

	if (!e)
		return CONTAIN_NO;
	if (now_ns - e->since_ns >= SECOND) {
		e->since_ns = now_ns;
		e->errors = 0;
	}
	return judge(e, ++e->errors > c->most);
}

enum contain_answer contain_strike(struct contain *c, const struct place *p)
{
	struct contained *e = entry(c, p);

	return e ? judge(e, ++e->strikes >= STRIKES) : CONTAIN_NO;
}
