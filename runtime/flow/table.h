/*
 * From key hash to connection index: buckets of one cache line, eight slots each, a 16-bit tag and a 32-bit index per
 * slot. A bucket that overflows chains to another. The table doubles as it fills, one old bucket moved per insertion,
 * so that no packet pays for a whole rehash.
 *
 * The table stores no keys: a tag match is a candidate, and the key in the connection decides.
 *
 * The way of a burst: table_prefetch for all its packets; then table_candidate for each, and a prefetch of that
 * connection; then each candidate's key is compared, and table_find asked where it is another's or there was none. A
 * candidate may be gone, and its record with another, by the time that it is compared: check that the connection lives.
 */
#ifndef MOS_FLOW_TABLE_H
#define MOS_FLOW_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "flow/key.h"
#include "mos_ffi.h"
#include "util/pool.h"

enum { TABLE_SLOTS = 8 };

/* Used slots come first, and only the last bucket of a chain has free ones. */
struct table_bucket {
	uint16_t tag[TABLE_SLOTS]; /* high bits of the hash; 0: free slot */
	uint32_t idx[TABLE_SLOTS]; /* 0 where the slot is free */
	uint32_t next;             /* overflow bucket; 0: none */
	uint32_t pad[3];
} __attribute__((aligned(64)));

struct table {
	struct table_bucket *buckets; /* mask + 1 of them */
	uint64_t mask;
	struct table_bucket *old; /* while growing: half the size, buckets below moved are empty; else NULL */
	uint64_t old_mask;        /* 0 where there is no old */
	uint64_t moved;           /* 1 where there is no old, so that no hash belongs there */
	const struct mos_conn *conns;
	uint64_t grow_at;     /* entries at which it doubles */
	uint32_t used;        /* entries */
	struct pool overflow; /* struct table_bucket */
};

/*
 * Room for about `expect` entries before the first doubling; a small number starts faster, and growing costs little.
 * conns is where the indices lead: the table reads key and hash (the low half) of the entries in it. 0 or -errno.
 */
int table_init(struct table *t, uint32_t expect, const struct mos_conn *conns);

/* A zeroed or already finished table is fine. */
void table_fini(struct table *t);

/* Bits 49..63 of the hash, and never 0; the bucket is in bits 0..31. */
static inline uint16_t table_tag(uint64_t hash)
{
	return (uint16_t)(hash >> 48) | 1;
}

/* Where the chain of hash begins. Only the low 32 bits of the hash count. */
static inline struct table_bucket *table_home(const struct table *t, uint64_t hash)
{
	if (__builtin_expect((hash & t->old_mask) >= t->moved, 0))
		return &t->old[hash & t->old_mask];
	return &t->buckets[hash & t->mask];
}

/* The slots of b that hold tag, a bit each. */
static inline uint32_t table_match_portable(const struct table_bucket *b, uint16_t tag)
{
	uint32_t match = 0;

	for (unsigned i = 0; i < TABLE_SLOTS; i++)
		match |= (uint32_t)(b->tag[i] == tag) << i;
	return match;
}

#ifdef __SSE2__
static inline __m128i table_same(const struct table_bucket *b, uint16_t tag)
{
	return _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)b->tag), _mm_set1_epi16((short)tag));
}
#endif

static inline uint32_t table_match(const struct table_bucket *b, uint16_t tag)
{
#ifdef __SSE2__
	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(table_same(b, tag), _mm_setzero_si128()));
#else
	return table_match_portable(b, tag);
#endif
}

/* The index in the first slot of b that holds tag, 0 if there is none. */
static inline uint32_t table_first(const struct table_bucket *b, uint16_t tag)
{
#ifdef __SSE2__
	uint32_t bytes = (uint32_t)_mm_movemask_epi8(table_same(b, tag)); /* two bits a slot */

	return bytes ? b->idx[(unsigned)__builtin_ctz(bytes) / 2] : 0;
#else
	uint32_t match = table_match_portable(b, tag);

	return match ? b->idx[__builtin_ctz(match)] : 0;
#endif
}

/* Ask the cache for the bucket of hash: table_home's, for table_candidate. */
static inline const struct table_bucket *table_prefetch(const struct table *t, uint64_t hash)
{
	const struct table_bucket *b = table_home(t, hash);

	__builtin_prefetch(b);
	return b;
}

/*
 * The first candidate in hash's home bucket b, or 0 when there is none there (which proves nothing: ask table_find).
 * One cache line, no chain; for the prefetch stage.
 */
static inline uint32_t table_candidate(const struct table_bucket *b, uint64_t hash)
{
	return table_first(b, table_tag(hash));
}

/* The index of the connection with that key; 0 if there is none. */
static inline uint32_t table_find(const struct table *t, uint64_t hash, const struct mos_key *key)
{
	const struct table_bucket *b = table_home(t, hash);
	uint16_t tag = table_tag(hash);

	for (;;) {
		for (uint32_t match = table_match(b, tag); match; match &= match - 1) {
			uint32_t idx = b->idx[__builtin_ctz(match)];
			if (key_equal(&t->conns[idx].key, key))
				return idx;
		}
		if (!b->next)
			return 0;
		b = pool_at(&t->overflow, b->next);
	}
}

/*
 * Add idx (not 0) under hash. The caller knows that its key is not there, and has set conns[idx].hash to the low half
 * of hash, for as long as the entry stays. 0 or -ENOMEM, with no entry added.
 */
int table_insert(struct table *t, uint64_t hash, uint32_t idx);

/* Remove idx. Only the low 32 bits of hash count: conns[idx].hash will do. False if it is not there. */
bool table_remove(struct table *t, uint64_t hash, uint32_t idx);

/* Bytes of memory in use. */
uint64_t table_bytes(const struct table *t);

#endif
