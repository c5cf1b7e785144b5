#include "lua_refs.h"

#include <stdlib.h>

static bool grow(struct lua_refs *r)
{
	uint32_t cap = r->cap ? 2 * r->cap : 64;
	void *v = realloc(r->v, cap * sizeof(*r->v));

	if (!v)
		return false;
	r->v = v;
	void *list = realloc(r->free, cap * sizeof(*r->free));
	if (!list)
		return false;
	r->free = list;
	r->cap = cap;
	return true;
}

uint32_t refs_take(struct lua_refs *r)
{
	while (r->nfree) {
		uint32_t ref = r->free[--r->nfree];

		r->v[ref].waiting = false;
		if (!r->v[ref].sets) {
			r->v[ref].name = 0;
			return ref;
		}
	}
	if (r->n == REF_NUMBER || (r->n + 1 >= r->cap && !grow(r)))
		return 0;
	r->n++;
	r->v[r->n] = (struct lua_ref){ .sets = 0 };
	return r->n;
}

void refs_hold(void *refs, uint32_t ref, int by)
{
	struct lua_refs *r = refs;

	if ((ref ^ r->epoch) & ~(uint32_t)REF_NUMBER)
		return;
	ref &= REF_NUMBER;
	r->v[ref].sets += (uint32_t)by;
	if (!r->v[ref].sets && !r->v[ref].waiting) {
		r->v[ref].waiting = true;
		r->free[r->nfree++] = ref;
	}
}

uint32_t refs_name(const struct lua_refs *r, uint32_t ref)
{
	uint32_t number = ref & REF_NUMBER;

	return (ref ^ r->epoch) & ~(uint32_t)REF_NUMBER || number > r->n ? 0 : r->v[number].name;
}

void refs_fini(struct lua_refs *r)
{
	free(r->v);
	free(r->free);
	*r = (struct lua_refs){ .v = NULL };
}
