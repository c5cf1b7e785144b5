/* The canonical key of a connection and its seeded hash. */
#ifndef MOS_FLOW_KEY_H
#define MOS_FLOW_KEY_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "mos_ffi.h"

/*
 * The seed must be secret: an attacker who does not know it cannot choose keys that collide. 32 bytes from the
 * kernel's random source.
 */
struct key_seed {
	uint64_t s[4];
};

void key_seed_init(struct key_seed *seed);

/* The 128-bit product of two words, as its halves. */
static inline void key_multiply(uint64_t *a, uint64_t *b)
{
	unsigned __int128 product = (unsigned __int128)*a * *b;

	*a = (uint64_t)product;
	*b = (uint64_t)(product >> 64);
}

static inline uint64_t key_fold(uint64_t a, uint64_t b)
{
	key_multiply(&a, &b);
	return a ^ b;
}

/* Of two words, masked by the first half of the seed. */
static inline uint64_t key_hash_words(uint64_t a, uint64_t b, const struct key_seed *seed)
{
	key_multiply(&a, &b);
	return key_fold(a ^ seed->s[2], b ^ seed->s[3]);
}

/* key_hash of an IPv4 key from its ends, low one first: address << 32 | port, as numbers. */
static inline uint64_t key_hash_ip4(uint64_t low, uint64_t high, const struct key_seed *seed)
{
	return key_hash_words(low ^ seed->s[0], high ^ seed->s[1], seed);
}

/*
 * 64 bits over the whole key. Different families never meet by construction of the key, not of the hash.
 *
 * Each word is masked by a secret before a multiplication, and the whole product enters a second one under other
 * secrets: unlike a CRC or Toeplitz hash, it has no difference of keys that leaves the hash alone whatever the seed is.
 */
static inline uint64_t key_hash(const struct mos_key *k, const struct key_seed *seed)
{
	const uint64_t *s = seed->s;
	uint64_t w[4], ports = (uint64_t)k->port[0] << 32 | k->port[1];

	if (k->family == 4)
		return key_hash_ip4((uint64_t)be32toh(k->addr_be[0][0]) << 32 | k->port[0],
				    (uint64_t)be32toh(k->addr_be[1][0]) << 32 | k->port[1], seed);
	memcpy(w, k->addr_be, sizeof(w));
	uint64_t a = key_fold(w[0] ^ s[2], w[1] ^ s[3]) ^ ports, b = key_fold(w[2] ^ s[0], w[3] ^ s[1]);

	return key_hash_words(a ^ s[0], b ^ s[1], seed);
}

/* The difference of the words i of two keys. */
static inline uint64_t key_differs(const struct mos_key *a, const struct mos_key *b, unsigned i)
{
	uint64_t x, y;

	memcpy(&x, (const char *)a + i * sizeof(x), sizeof(x));
	memcpy(&y, (const char *)b + i * sizeof(y), sizeof(y));
	return x ^ y;
}

static inline bool key_equal(const struct mos_key *a, const struct mos_key *b)
{
	_Static_assert(sizeof(struct mos_key) == 5 * sizeof(uint64_t), "five words");
#ifdef __SSE2__
	const __m128i *x = (const __m128i *)(const void *)a, *y = (const __m128i *)(const void *)b;
	__m128i same = _mm_and_si128(_mm_cmpeq_epi32(_mm_loadu_si128(x), _mm_loadu_si128(y)),
				     _mm_cmpeq_epi32(_mm_loadu_si128(x + 1), _mm_loadu_si128(y + 1)));

	return key_differs(a, b, 4) == 0 && _mm_movemask_epi8(same) == 0xffff;
#else
	return (key_differs(a, b, 0) | key_differs(a, b, 1) | key_differs(a, b, 2) | key_differs(a, b, 3) |
		key_differs(a, b, 4)) == 0;
#endif
}

#endif
