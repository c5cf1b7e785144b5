#include "control/shared.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * A stripe is a table of its own with a lock of its own: workers meet only where their keys do. A critical section is a
 * look-up.
 */
enum { STRIPES = 64, FIRST_BUCKETS = 16, LINE = 64 };

struct entry {
	struct entry *next;
	uint64_t hash;
	double value;
	uint8_t len;
	char key[];
};

struct stripe {
	_Alignas(LINE) pthread_mutex_t lock;
	struct entry **bucket;
	size_t buckets; /* a power of two, or 0 */
	size_t n;
};

struct shared_table {
	struct stripe stripe[STRIPES];
	size_t max;
	atomic_size_t n;
};

/* Counters and tables by name. */
struct named {
	struct named *next;
	bool is_table;
	void *thing;
	char name[];
};

static struct named *all;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;

static void *named_find(const char *name, bool is_table)
{
	for (struct named *x = all; x; x = x->next)
		if (x->is_table == is_table && strcmp(x->name, name) == 0)
			return x->thing;
	return NULL;
}

static void *zeroed(size_t size)
{
	void *p = aligned_alloc(LINE, (size + LINE - 1) & ~(size_t)(LINE - 1));

	return p ? memset(p, 0, size) : NULL;
}

static void *table_new(size_t max)
{
	struct shared_table *t = zeroed(sizeof(*t));

	for (unsigned i = 0; t && i < STRIPES; i++)
		pthread_mutex_init(&t->stripe[i].lock, NULL);
	if (t)
		t->max = max;
	return t;
}

/* With the lock held. */
static void *named_new(const char *name, bool is_table, size_t max)
{
	size_t len = strlen(name);
	struct named *x = len <= SHARED_NAME_MAX ? malloc(sizeof(*x) + len + 1) : NULL;

	if (!x)
		return NULL;
	x->thing = is_table ? table_new(max) : zeroed(sizeof(struct mos_counter));
	if (!x->thing) {
		free(x);
		return NULL;
	}
	x->is_table = is_table;
	memcpy(x->name, name, len + 1);
	x->next = all;
	all = x;
	return x->thing;
}

static void *named_get(const char *name, bool is_table, size_t max)
{
	pthread_mutex_lock(&all_lock);
	void *thing = named_find(name, is_table);

	if (!thing)
		thing = named_new(name, is_table, max);
	pthread_mutex_unlock(&all_lock);
	return thing;
}

struct mos_counter *shared_counter(const char *name)
{
	return named_get(name, false, 0);
}

struct shared_table *shared_table(const char *name, size_t max)
{
	return named_get(name, true, max);
}

/* FNV-1a, mixed. Keys that collide cost time in one table of one script, so no secret is needed. */
static uint64_t hash_of(const char *key, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * 0x100000001b3;
	return (h ^ h >> 32) * 0x9e3779b97f4a7c15;
}

static struct stripe *stripe_lock(struct shared_table *t, uint64_t hash)
{
	struct stripe *s = &t->stripe[hash >> 58];

	pthread_mutex_lock(&s->lock);
	return s;
}

/* Where the entry hangs, or would. NULL: the stripe has no buckets yet. */
static struct entry **find(const struct stripe *s, uint64_t hash, const char *key, size_t len)
{
	if (!s->buckets)
		return NULL;
	struct entry **at = &s->bucket[hash & (s->buckets - 1)];

	while (*at && ((*at)->hash != hash || (*at)->len != len || memcmp((*at)->key, key, len) != 0))
		at = &(*at)->next;
	return at;
}

static bool grow(struct stripe *s)
{
	size_t buckets = s->buckets ? 2 * s->buckets : FIRST_BUCKETS;
	struct entry **bucket = calloc(buckets, sizeof(struct entry *));

	if (!bucket)
		return s->buckets > 0;
	for (size_t i = 0; i < s->buckets; i++) {
		for (struct entry *e = s->bucket[i], *next; e; e = next) {
			struct entry **to = &bucket[e->hash & (buckets - 1)];

			next = e->next;
			e->next = *to;
			*to = e;
		}
	}
	free(s->bucket);
	s->bucket = bucket;
	s->buckets = buckets;
	return true;
}

/* The entry, made with value 0 if it is not there. NULL with -errno in *rc. */
static struct entry *obtain(struct shared_table *t, struct stripe *s, uint64_t hash, const char *key, size_t len,
			    int *rc)
{
	struct entry **at = find(s, hash, key, len);

	if (at && *at)
		return *at;
	*rc = -ENOSPC;
	if (atomic_fetch_add(&t->n, 1) >= t->max) {
		atomic_fetch_sub(&t->n, 1);
		return NULL;
	}
	struct entry *e = s->n < s->buckets || grow(s) ? malloc(sizeof(*e) + len) : NULL;

	if (!e) {
		atomic_fetch_sub(&t->n, 1);
		*rc = -ENOMEM;
		return NULL;
	}
	struct entry **to = &s->bucket[hash & (s->buckets - 1)];

	*e = (struct entry){ .next = *to, .hash = hash, .len = (uint8_t)len };
	memcpy(e->key, key, len);
	*to = e;
	s->n++;
	return e;
}

static void discard(struct shared_table *t, struct stripe *s, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	s->n--;
	atomic_fetch_sub(&t->n, 1);
	free(e);
}

int shared_get(struct shared_table *t, const char *key, size_t len, double *value)
{
	uint64_t hash = hash_of(key, len);
	struct stripe *s = stripe_lock(t, hash);
	struct entry **at = find(s, hash, key, len);
	int rc = at && *at ? 0 : -ENOENT;

	if (!rc)
		*value = (*at)->value;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Add by to the value, or put it in its place. */
static int change(struct shared_table *t, const char *key, size_t len, bool keep, double by, double *value)
{
	if (len > SHARED_KEY_MAX)
		return -ERANGE;
	uint64_t hash = hash_of(key, len);
	struct stripe *s = stripe_lock(t, hash);
	int rc = 0;
	struct entry *e = obtain(t, s, hash, key, len, &rc);

	if (e) {
		rc = 0;
		e->value = keep ? e->value + by : by;
		*value = e->value;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int shared_add(struct shared_table *t, const char *key, size_t len, double by, double *value)
{
	return change(t, key, len, true, by, value);
}

int shared_set(struct shared_table *t, const char *key, size_t len, double value)
{
	double now;

	return change(t, key, len, false, value, &now);
}

int shared_delete(struct shared_table *t, const char *key, size_t len)
{
	uint64_t hash = hash_of(key, len);
	struct stripe *s = stripe_lock(t, hash);
	struct entry **at = find(s, hash, key, len);
	int rc = at && *at ? 0 : -ENOENT;

	if (!rc)
		discard(t, s, at);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* With the stripe locked. */
static int swap(struct shared_table *t, struct stripe *s, uint64_t hash, const char *key, size_t len,
		const double *expected, const double *next)
{
	struct entry **at = find(s, hash, key, len), *e = at ? *at : NULL;
	int rc = 0;

	if (!e != !expected || (e && e->value != *expected))
		return -EAGAIN;
	if (!next) {
		if (e)
			discard(t, s, at);
		return 0;
	}
	e = obtain(t, s, hash, key, len, &rc);
	if (!e)
		return rc;
	e->value = *next;
	return 0;
}

int shared_swap(struct shared_table *t, const char *key, size_t len, const double *expected, const double *next)
{
	if (len > SHARED_KEY_MAX)
		return -ERANGE;
	uint64_t hash = hash_of(key, len);
	struct stripe *s = stripe_lock(t, hash);
	int rc = swap(t, s, hash, key, len, expected, next);

	pthread_mutex_unlock(&s->lock);
	return rc;
}

size_t shared_count(const struct shared_table *t)
{
	return atomic_load(&t->n);
}

/* Append a stripe's entries to *list, which has room for *cap. False when memory is out. */
static bool stripe_copy(const struct stripe *s, struct mos_shared_entry **list, size_t *n, size_t *cap)
{
	if (*n + s->n > *cap) {
		size_t need = 2 * (*n + s->n);
		void *more = realloc(*list, need * sizeof(**list));

		if (!more)
			return false;
		*list = more;
		*cap = need;
	}
	for (size_t i = 0; i < s->buckets; i++) {
		for (const struct entry *e = s->bucket[i]; e; e = e->next) {
			struct mos_shared_entry *to = &(*list)[(*n)++];

			to->value = e->value;
			to->len = e->len;
			memcpy(to->key, e->key, e->len);
		}
	}
	return true;
}

struct mos_shared_entry *shared_entries(struct shared_table *t, size_t *n)
{
	struct mos_shared_entry *list = NULL;
	size_t cap = 0;
	bool ok = true;

	*n = 0;
	for (unsigned i = 0; ok && i < STRIPES; i++) {
		struct stripe *s = &t->stripe[i];

		pthread_mutex_lock(&s->lock);
		ok = stripe_copy(s, &list, n, &cap);
		pthread_mutex_unlock(&s->lock);
	}
	if (!ok || !*n) {
		free(list);
		*n = 0;
		return NULL;
	}
	return list;
}

static void stripe_fini(struct stripe *s)
{
	for (size_t i = 0; i < s->buckets; i++) {
		for (struct entry *e = s->bucket[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(s->bucket);
	pthread_mutex_destroy(&s->lock);
}

void shared_reset(void)
{
	while (all) {
		struct named *x = all;
		struct shared_table *t = x->is_table ? x->thing : NULL;

		all = x->next;
		for (unsigned i = 0; t && i < STRIPES; i++)
			stripe_fini(&t->stripe[i]);
		free(x->thing);
		free(x);
	}
}
