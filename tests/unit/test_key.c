#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/key.h"

static const struct key_seed pi = { { 0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
				      0x082efa98ec4e6c89 } };

static const uint32_t families[] = { 4, 6 };

static uint64_t random64(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * 0x2545f4914f6cdd1d;
}

static struct mos_key random_key(uint32_t family)
{
	struct mos_key k = { .family = family };

	for (int end = 0; end < 2; end++) {
		for (int word = 0; word < (family == 4 ? 1 : 4); word++)
			k.addr_be[end][word] = (uint32_t)(random64() >> 32);
		k.port[end] = (uint16_t)(random64() >> 48);
	}
	return k;
}

/* The bits of a key that a packet decides: both addresses, then both ports. */
static unsigned key_bits(uint32_t family)
{
	return family == 4 ? 2 * 32 + 2 * 16 : 2 * 128 + 2 * 16;
}

static struct mos_key flipped(struct mos_key k, unsigned bit)
{
	unsigned addr = k.family == 4 ? 32 : 128, end = bit / addr;

	if (bit < 2 * addr)
		k.addr_be[end][bit % addr / 32] ^= 1u << bit % 32;
	else
		k.port[(bit - 2 * addr) / 16] ^= (uint16_t)(1u << bit % 16);
	return k;
}

static void keys_are_equal_only_in_every_byte(void **state)
{
	struct mos_key a = random_key(6), b = a;

	(void)state;
	assert_true(key_equal(&a, &b));
	for (unsigned i = 0; i < sizeof(a); i++) {
		((uint8_t *)&b)[i] ^= 1;
		assert_false(key_equal(&a, &b));
		((uint8_t *)&b)[i] ^= 1;
	}
}

static void equal_keys_have_one_hash_under_one_seed_and_another_under_another(void **state)
{
	struct key_seed other = pi;

	(void)state;
	other.s[3]++;
	for (size_t f = 0; f < 2; f++) {
		struct mos_key a = random_key(families[f]), b = a;
		assert_true(key_hash(&a, &pi) == key_hash(&b, &pi));
		assert_true(key_hash(&a, &pi) != key_hash(&a, &other));
	}
}

static void each_process_draws_its_own_seed(void **state)
{
	struct key_seed a, b;

	(void)state;
	key_seed_init(&a);
	key_seed_init(&b);
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++)
			assert_true(a.s[i] != b.s[j]);
}

static void every_word_of_the_seed_matters(void **state)
{
	(void)state;
	for (size_t f = 0; f < 2; f++) {
		struct mos_key k = random_key(families[f]);
		for (int bit = 0; bit < 256; bit++) {
			struct key_seed other = pi;
			other.s[bit / 64] ^= 1ull << bit % 64;
			assert_true(key_hash(&k, &pi) != key_hash(&k, &other));
		}
	}
}

/* Each bit of the key flips each bit of the hash in about half of all keys. With 4,096 keys 5 sigma are 160. */
static void one_bit_of_the_key_flips_half_of_the_hash(void **state)
{
	enum { KEYS = 4096, SLACK = 200 };

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		for (unsigned in = 0; in < key_bits(families[f]); in++) {
			unsigned flips[64] = { 0 };
			for (int i = 0; i < KEYS; i++) {
				struct mos_key a = random_key(families[f]), b = flipped(a, in);
				uint64_t diff = key_hash(&a, &pi) ^ key_hash(&b, &pi);
				for (int out = 0; out < 64; out++)
					flips[out] += (unsigned)(diff >> out) & 1;
			}
			for (int out = 0; out < 64; out++)
				assert_in_range(flips[out], KEYS / 2 - SLACK, KEYS / 2 + SLACK);
		}
	}
}

/* What holds for a CRC or a Toeplitz hash: differences of hashes depend on the differences of keys alone. */
static void the_hash_is_not_linear(void **state)
{
	(void)state;
	for (size_t f = 0; f < 2; f++) {
		for (int i = 0; i < 1000; i++) {
			unsigned x = (unsigned)random64() % key_bits(families[f]);
			unsigned y = (x + 1 + (unsigned)random64() % 50) % key_bits(families[f]);
			struct mos_key k = random_key(families[f]);
			struct mos_key kx = flipped(k, x), ky = flipped(k, y), kxy = flipped(kx, y);
			assert_true((key_hash(&k, &pi) ^ key_hash(&kx, &pi)) !=
				    (key_hash(&ky, &pi) ^ key_hash(&kxy, &pi)));
		}
	}
}

/* 2^18 keys on 2^16 values, four each on average: the sum of (n - 4)^2 / 4 is 65,535 with a deviation of 362. */
static void check_spread(uint32_t family, struct mos_key (*key)(uint32_t family, uint32_t i), unsigned shift)
{
	static uint32_t count[1 << 16];
	uint64_t squares = 0;

	memset(count, 0, sizeof(count));
	for (uint32_t i = 0; i < 1 << 18; i++) {
		struct mos_key k = key(family, i);
		count[key_hash(&k, &pi) >> shift & 0xffff]++;
	}
	for (int i = 0; i < 1 << 16; i++)
		squares += (count[i] - 4ull) * (count[i] - 4ull);
	assert_in_range(squares / 4, 65535 - 6 * 362, 65535 + 6 * 362);
}

static struct mos_key by_ports(uint32_t family, uint32_t i)
{
	struct mos_key k = { .addr_be = { { 0x0100000a }, { 0x0200000a } }, .family = family };

	k.port[0] = (uint16_t)(i >> 16);
	k.port[1] = (uint16_t)i;
	return k;
}

static struct mos_key by_address(uint32_t family, uint32_t i)
{
	struct mos_key k = { .port = { 80, 1024 }, .family = family };

	k.addr_be[0][family == 4 ? 0 : 3] = __builtin_bswap32(0x0a000000 + i);
	k.addr_be[1][0] = 0x0101a8c0;
	return k;
}

/* Each of 512 hosts with each of 512: a hash that adds or XORs the ends would fold them. */
static struct mos_key by_both_ends(uint32_t family, uint32_t i)
{
	struct mos_key k = { .port = { 80, 80 }, .family = family };

	k.addr_be[0][0] = (i & 511) << 16;
	k.addr_be[1][0] = i >> 9 << 16;
	return k;
}

static void keys_that_count_up_spread_like_random_ones(void **state)
{
	static struct mos_key (*const ways[])(uint32_t family, uint32_t i) = { by_ports, by_address, by_both_ends };

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		for (size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
			check_spread(families[f], ways[way], 0);
			check_spread(families[f], ways[way], 16);
			check_spread(families[f], ways[way], 48);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_equal_only_in_every_byte),
		cmocka_unit_test(equal_keys_have_one_hash_under_one_seed_and_another_under_another),
		cmocka_unit_test(each_process_draws_its_own_seed),
		cmocka_unit_test(every_word_of_the_seed_matters),
		cmocka_unit_test(one_bit_of_the_key_flips_half_of_the_hash),
		cmocka_unit_test(the_hash_is_not_linear),
		cmocka_unit_test(keys_that_count_up_spread_like_random_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
