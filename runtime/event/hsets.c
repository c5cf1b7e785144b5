#include <errno.h>
#include <stdlib.h>

#include "event/hset_parts.h"

static void chain_add(struct hsets *hs, struct hset *s)
{
	uint32_t *head = &hs->chain[s->hash & hs->chain_mask];

	s->next = *head;
	*head = s->index;
}

static void chain_remove(struct hsets *hs, struct hset *s)
{
	uint32_t *link = &hs->chain[s->hash & hs->chain_mask];

	while (*link != s->index)
		link = &hs->v[*link]->next;
	*link = s->next;
}

/* Without memory the chains only get longer. */
static void chain_grow(struct hsets *hs)
{
	uint32_t size = 2 * (hs->chain_mask + 1);
	uint32_t *chain = calloc(size, sizeof(*chain));

	if (!chain)
		return;
	free(hs->chain);
	hs->chain = chain;
	hs->chain_mask = size - 1;
	for (uint32_t i = 1; i < hs->n; i++)
		if (hs->v[i]->nregs)
			chain_add(hs, hs->v[i]);
}

/* Another set, unused. */
static bool add(struct hsets *hs)
{
	if (hs->n == hs->cap) {
		uint32_t cap = hs->cap ? 2 * hs->cap : 16;
		struct hset **v = realloc(hs->v, cap * sizeof(struct hset *));

		if (!v)
			return false;
		hs->v = v;
		hs->cap = cap;
	}
	struct hset *s = calloc(1, sizeof(*s));

	if (!s)
		return false;
	s->index = hs->n;
	hs->v[hs->n++] = s;
	return true;
}

struct hset *hsets_new(struct hsets *hs)
{
	if (!hs->free)
		return add(hs) ? hs->v[hs->n - 1] : NULL;
	struct hset *s = hs->v[hs->free];

	hs->free = s->next;
	return s;
}

int hsets_reserve(struct hsets *hs, uint32_t n)
{
	uint32_t i = hs->free;

	for (; i && n; i = hs->v[i]->next)
		n--;
	for (; n; n--) {
		if (!add(hs))
			return -ENOMEM;
		hs->v[hs->n - 1]->next = hs->free;
		hs->free = hs->n - 1;
	}
	return 0;
}

void hsets_discard(struct hsets *hs, struct hset *s)
{
	uint32_t index = s->index;

	free(s->regs);
	free(s->raised);
	free(s->steps);
	*s = (struct hset){ .index = index, .next = hs->free };
	hs->free = index;
}

static void hold(struct hsets *hs, const struct hset *s, int by)
{
	for (uint32_t i = 0; hs->hold && i < s->nregs; i++)
		if (s->regs[i].handler.ref)
			hs->hold(hs->hold_arg, s->regs[i].handler.ref, by);
}

static void publish(struct hsets *hs, struct hset *s)
{
	hs->compiled++;
	chain_add(hs, s);
	if (++hs->used > hs->chain_mask)
		chain_grow(hs);
}

void hsets_publish(struct hsets *hs, struct hset *s)
{
	publish(hs, s);
	hold(hs, s, 1);
}

uint32_t hsets_move(struct hsets *hs, struct hsets *from, uint32_t i)
{
	struct hset *old = from->v[i];

	if (!old->nregs) {
		hset_get(hs, 0);
		return 0;
	}
	struct hset *s = hsets_new(hs);
	uint32_t index = s->index;

	*s = *old;
	s->index = index;
	s->refs = 1;
	s->kept = false;
	publish(hs, s);
	old->regs = NULL;
	old->raised = NULL;
	old->steps = NULL;
	old->nregs = old->nraised = old->mask = old->slots = 0;
	return index;
}

static void hset_destroy(struct hsets *hs, struct hset *s)
{
	chain_remove(hs, s);
	hold(hs, s, -1);
	hs->used--;
	hsets_discard(hs, s);
}

/* The empty set has no registrations, but an address for them: arithmetic on NULL is undefined. */
static int empty_set(struct hsets *hs)
{
	struct hset *s = hsets_new(hs);

	if (!s)
		return -ENOMEM;
	s->refs = 1;
	s->regs = calloc(1, sizeof(*s->regs));
	return s->regs ? 0 : -ENOMEM;
}

int hsets_init(struct hsets *hs)
{
	*hs = (struct hsets){ .chain_mask = 63 };
	hs->chain = calloc(hs->chain_mask + 1, sizeof(*hs->chain));
	if (!hs->chain || empty_set(hs) < 0) {
		hsets_fini(hs);
		return -ENOMEM;
	}
	return 0;
}

void hsets_fini(struct hsets *hs)
{
	for (uint32_t i = 0; i < hs->n; i++) {
		hold(hs, hs->v[i], -1);
		free(hs->v[i]->regs);
		free(hs->v[i]->raised);
		free(hs->v[i]->steps);
		free(hs->v[i]);
	}
	free(hs->v);
	free(hs->chain);
	*hs = (struct hsets){ 0 };
}

/* Empty the place that is next to go. */
static void unkeep_next(struct hsets *hs)
{
	uint32_t i = hs->kept[hs->kept_next];

	hs->kept[hs->kept_next] = 0;
	if (!i)
		return;
	hs->v[i]->kept = false;
	if (!hs->v[i]->refs)
		hset_destroy(hs, hs->v[i]);
}

void hset_release(struct hsets *hs, struct hset *s)
{
	if (s->kept)
		return;
	unkeep_next(hs);
	hs->kept[hs->kept_next] = s->index;
	s->kept = true;
	hs->kept_next = (hs->kept_next + 1) % HSETS_KEPT;
}

void hsets_trim(struct hsets *hs)
{
	for (unsigned k = 0; k < HSETS_KEPT; k++) {
		unkeep_next(hs);
		hs->kept_next = (hs->kept_next + 1) % HSETS_KEPT;
	}
}
