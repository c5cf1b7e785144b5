#include "event/hset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event/hset_parts.h"

/* What is to become of a set: at position `at`, old registrations (0 or 1) give way to added (0 or 1). */
struct change {
	const struct hset *from;
	struct registration reg;
	uint32_t at, old, added;
};

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

static uint64_t reg_hash(const struct registration *r)
{
	uint64_t h = mix(r->event + 1);

	h = mix(h ^ r->slot);
	h = mix(h ^ (uintptr_t)r->handler.fn);
	return mix(h ^ r->handler.ref);
}

static bool handler_equal(struct handler a, struct handler b)
{
	return a.fn == b.fn && a.ref == b.ref;
}

static bool regs_equal(const struct registration *a, const struct registration *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (a[i].event != b[i].event || a[i].slot != b[i].slot || !handler_equal(a[i].handler, b[i].handler))
			return false;
	return true;
}

/* The place of (slot, event) among s's registrations. */
static uint32_t reg_position(const struct hset *s, uint32_t slot, event_t event)
{
	uint32_t lo = 0, hi = s->nregs;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct registration *r = &s->regs[mid];

		if (r->slot < slot || (r->slot == slot && r->event < event))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t change_count(const struct change *ch)
{
	return ch->from->nregs - ch->old + ch->added;
}

/* The hash of a set is the exclusive or over its registrations, so a change costs no walk over them. */
static uint64_t change_hash(const struct change *ch)
{
	uint64_t h = ch->from->hash;

	if (ch->old)
		h ^= reg_hash(&ch->from->regs[ch->at]);
	if (ch->added)
		h ^= reg_hash(&ch->reg);
	return h;
}

static bool change_gives(const struct change *ch, const struct hset *s)
{
	uint32_t rest = ch->from->nregs - ch->at - ch->old;

	return s->nregs == change_count(ch) && regs_equal(s->regs, ch->from->regs, ch->at) &&
	       regs_equal(s->regs + ch->at, &ch->reg, ch->added) &&
	       regs_equal(s->regs + ch->at + ch->added, ch->from->regs + ch->at + ch->old, rest);
}

static uint32_t find(const struct hsets *hs, const struct change *ch, uint64_t hash)
{
	uint32_t i = hsets_chain(hs, hash);

	while (i && !(hs->v[i]->hash == hash && change_gives(ch, hs->v[i])))
		i = hs->v[i]->next;
	return i;
}

static struct registration *change_apply(const struct change *ch)
{
	const struct hset *from = ch->from;
	struct registration *regs = calloc(change_count(ch), sizeof(*regs));
	uint32_t rest = from->nregs - ch->at - ch->old;

	if (!regs)
		return NULL;
	if (ch->at)
		memcpy(regs, from->regs, ch->at * sizeof(*regs));
	if (ch->added)
		regs[ch->at] = ch->reg;
	if (rest)
		memcpy(regs + ch->at + ch->added, from->regs + ch->at + ch->old, rest * sizeof(*regs));
	return regs;
}

static struct hset *hset_make(struct hsets *hs, const struct change *ch, uint64_t hash)
{
	struct hset *s = hsets_new(hs);

	if (!s)
		return NULL;
	s->regs = change_apply(ch);
	s->nregs = change_count(ch);
	s->hash = hash;
	if (!s->regs || hset_compile(s) < 0) {
		hsets_discard(hs, s);
		return NULL;
	}
	hsets_publish(hs, s);
	return s;
}

int64_t hset_with(struct hsets *hs, uint32_t from, event_t event, uint32_t hook, struct handler handler)
{
	const struct event *e = event_find(event);
	int slot = e ? event_slot(e->root, hook) : -1;

	if (slot < 0)
		return -EINVAL;
	struct change ch = {
		.from = hs->v[from],
		.reg = { event, (uint32_t)slot, handler },
		.at = reg_position(hs->v[from], (uint32_t)slot, event),
		.added = handler_is_set(handler),
	};
	const struct registration *old = &ch.from->regs[ch.at];

	ch.old = ch.at < ch.from->nregs && old->slot == ch.reg.slot && old->event == event;
	if (ch.old == ch.added && (!ch.old || handler_equal(old->handler, handler))) {
		hset_get(hs, from);
		return from;
	}
	uint64_t hash = change_hash(&ch);
	uint32_t i = change_count(&ch) ? find(hs, &ch, hash) : 0;

	if (!i && change_count(&ch)) {
		struct hset *s = hset_make(hs, &ch, hash);

		if (!s)
			return -ENOMEM;
		i = s->index;
	}
	hset_get(hs, i);
	return i;
}

bool hset_listens(const struct hset *s, event_t event)
{
	for (uint32_t i = 0; i < s->nregs; i++)
		if (event_descends(s->regs[i].event, event))
			return true;
	return false;
}

const struct program *hset_raised(const struct hset *s, event_t event, uint32_t slot)
{
	uint32_t lo = 0, hi = s->nraised;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct raised_program *r = &s->raised[mid];

		if (r->slot == slot && r->event == event)
			return &r->program;
		if (r->slot < slot || (r->slot == slot && r->event < event))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
