#include "flow/table.h"

#include <errno.h>
#include <string.h>

enum { BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 28, OVERFLOW_MAX = 1 << 22 };

/* At 7 of 10 slots one bucket in nine overflows; half of that is what a doubled table starts with. */
static uint64_t grow_limit(uint64_t buckets)
{
	return buckets * TABLE_SLOTS * 7 / 10;
}

static size_t buckets_size(uint64_t mask)
{
	return (mask + 1) * sizeof(struct table_bucket);
}

static struct table_bucket *buckets_map(uint64_t mask)
{
	size_t size = buckets_size(mask);

	return pool_map(&size, 0);
}

static void use_buckets(struct table *t, struct table_bucket *buckets, uint64_t mask)
{
	t->buckets = buckets;
	t->mask = mask;
	t->grow_at = grow_limit(mask + 1);
}

static void drop_old(struct table *t)
{
	pool_unmap(t->old, buckets_size(t->old_mask));
	t->old = NULL;
	t->old_mask = 0;
	t->moved = 1;
}

int table_init(struct table *t, uint32_t expect, const struct mos_conn *conns)
{
	uint64_t n = BUCKETS_MIN;

	memset(t, 0, sizeof(*t));
	while (n < BUCKETS_MAX && grow_limit(n) < expect)
		n *= 2;
	t->conns = conns;
	drop_old(t);
	int err = pool_init(&t->overflow, sizeof(struct table_bucket), OVERFLOW_MAX);
	if (err)
		return err;
	struct table_bucket *buckets = buckets_map(n - 1);
	if (!buckets) {
		pool_fini(&t->overflow);
		return -ENOMEM;
	}
	use_buckets(t, buckets, n - 1);
	return 0;
}

void table_fini(struct table *t)
{
	pool_unmap(t->buckets, buckets_size(t->mask));
	pool_unmap(t->old, buckets_size(t->old_mask));
	pool_fini(&t->overflow);
	memset(t, 0, sizeof(*t));
}

static unsigned bucket_used(const struct table_bucket *b)
{
	uint32_t room = table_match(b, 0);

	return room ? (unsigned)__builtin_ctz(room) : TABLE_SLOTS;
}

static struct table_bucket *bucket_next(const struct table *t, const struct table_bucket *b)
{
	return b->next ? pool_at(&t->overflow, b->next) : NULL;
}

static struct table_bucket *bucket_extend(struct table *t, struct table_bucket *b)
{
	uint32_t i = pool_get(&t->overflow);

	if (!i)
		return NULL;
	b->next = i;
	b = pool_at(&t->overflow, i);
	memset(b, 0, sizeof(*b));
	return b;
}

static int chain_add(struct table *t, struct table_bucket *b, uint16_t tag, uint32_t idx)
{
	for (struct table_bucket *next; (next = bucket_next(t, b));)
		b = next;
	unsigned n = bucket_used(b);
	if (n == TABLE_SLOTS) {
		b = bucket_extend(t, b);
		if (!b)
			return -ENOMEM;
		n = 0;
	}
	b->tag[n] = tag;
	b->idx[n] = idx;
	return 0;
}

/*
 * Move the next old bucket's chain. This cannot run out of overflow buckets: the chain's own are returned, one for
 * every eight entries, before their entries need a place in the new table.
 */
static void move_bucket(struct table *t)
{
	struct table_bucket b = t->old[t->moved++];

	for (;;) {
		uint32_t next = b.next;
		for (unsigned i = 0; i < TABLE_SLOTS && b.tag[i]; i++)
			chain_add(t, &t->buckets[t->conns[b.idx[i]].hash & t->mask], b.tag[i], b.idx[i]);
		if (!next)
			break;
		b = *(struct table_bucket *)pool_at(&t->overflow, next);
		pool_put(&t->overflow, next);
	}
	if (t->moved > t->old_mask)
		drop_old(t);
}

/* Begin to double. Without memory for it chains grow instead, and it is tried again later. */
static void table_grow(struct table *t)
{
	uint64_t mask = t->mask * 2 + 1;
	struct table_bucket *buckets = mask < BUCKETS_MAX ? buckets_map(mask) : NULL;

	if (!buckets) {
		t->grow_at += t->grow_at / 8;
		return;
	}
	t->old = t->buckets;
	t->old_mask = t->mask;
	t->moved = 0;
	use_buckets(t, buckets, mask);
}

int table_insert(struct table *t, uint64_t hash, uint32_t idx)
{
	if (t->used >= t->grow_at && !t->old)
		table_grow(t);
	if (t->old)
		move_bucket(t);
	int err = chain_add(t, table_home(t, hash), table_tag(hash), idx);
	if (!err)
		t->used++;
	return err;
}

static bool bucket_find(const struct table_bucket *b, uint32_t idx, unsigned *slot)
{
	for (*slot = 0; *slot < TABLE_SLOTS; ++*slot)
		if (b->idx[*slot] == idx)
			return true;
	return false;
}

/* The last entry of home's chain takes the place of the removed one; an overflow bucket left empty goes back. */
static void chain_close(struct table *t, struct table_bucket *home, struct table_bucket *hole, unsigned slot)
{
	struct table_bucket *last = home, *before = NULL;

	for (struct table_bucket *next; (next = bucket_next(t, last));) {
		before = last;
		last = next;
	}
	unsigned top = bucket_used(last) - 1;
	hole->tag[slot] = last->tag[top];
	hole->idx[slot] = last->idx[top];
	last->tag[top] = 0;
	last->idx[top] = 0;
	if (!top && before) {
		pool_put(&t->overflow, before->next);
		before->next = 0;
	}
}

bool table_remove(struct table *t, uint64_t hash, uint32_t idx)
{
	struct table_bucket *home = table_home(t, hash);
	unsigned slot;

	for (struct table_bucket *b = home; b; b = bucket_next(t, b)) {
		if (!bucket_find(b, idx, &slot))
			continue;
		chain_close(t, home, b, slot);
		t->used--;
		return true;
	}
	return false;
}

uint64_t table_bytes(const struct table *t)
{
	uint64_t bytes = buckets_size(t->mask) + (uint64_t)t->overflow.top * sizeof(struct table_bucket);

	return t->old ? bytes + buckets_size(t->old_mask) : bytes;
}
