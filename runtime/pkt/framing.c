#include "pkt/framing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkt/edit.h"

enum { SLOTS = 2 * (FRAMINGS_MAX + 1), LINK_ETHERNET = 1, MAC = 6, ETHERNET_BYTES = 14 };

int framings_init(struct framings *f)
{
	f->v = calloc(FRAMINGS_MAX + 1, sizeof(*f->v));
	f->slots = calloc(SLOTS, sizeof(*f->slots));
	return f->v && f->slots ? 0 : -ENOMEM;
}

void framings_fini(struct framings *f)
{
	free(f->v);
	free(f->slots);
	*f = (struct framings){ 0 };
}

void framing_reverse(struct framing *f)
{
	uint8_t to[MAC];

	if (f->link != LINK_ETHERNET)
		return;
	memcpy(to, f->bytes, MAC);
	memcpy(f->bytes, f->bytes + MAC, MAC);
	memcpy(f->bytes + MAC, to, MAC);
}

static bool equal(const struct framing *a, const struct framing *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* FNV-1a. Whoever makes them collide makes his own connections slow to open, by 4095 comparisons at most. */
static uint32_t hash(const struct framing *f)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < f->len; i++)
		h = (h ^ f->bytes[i]) * 16777619u;
	return h;
}

static uint32_t find_or_add(struct framings *f, const struct framing *key)
{
	uint32_t i = hash(key) % SLOTS;

	for (; f->slots[i]; i = (i + 1) % SLOTS)
		if (equal(&f->v[f->slots[i]], key))
			return f->slots[i];
	if (f->n == FRAMINGS_MAX)
		return 0;
	f->v[++f->n] = *key;
	f->slots[i] = (uint16_t)f->n;
	return f->n;
}

/* The common case, that of the connection before: whether p is encapsulated depends on nothing else. */
static inline bool is_last(const struct framings *f, const struct mos_packet *p)
{
	const struct framing *last = &f->v[f->last];

	return last->len == ETHERNET_BYTES && p->l3 == ETHERNET_BYTES && last->link == p->link &&
	       memcmp(last->bytes, p->data, ETHERNET_BYTES) == 0;
}

uint32_t framing_of(struct framings *f, const struct mos_packet *p, bool reverse)
{
	if (!reverse && is_last(f, p))
		return f->last;
	struct framing key = { .link = p->link, .len = (uint8_t)p->l3 };

	if (p->l3 > FRAMING_BYTES || packet_is_encapsulated(p))
		return 0;
	memcpy(key.bytes, p->data, p->l3);
	if (reverse)
		framing_reverse(&key);
	if (!equal(&f->v[f->last], &key))
		f->last = find_or_add(f, &key);
	return f->last;
}
