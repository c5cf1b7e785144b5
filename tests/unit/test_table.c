#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/table.h"

enum { CONNS_MAX = 200000 };

/* Connection i has a key made of i; its whole hash is kept here, as a packet would bring it. */
static struct pool conns;
static uint64_t hashes[CONNS_MAX + 1];
static struct table t;

static uint64_t random64(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * 0x2545f4914f6cdd1d;
}

static struct mos_key key_of(uint32_t i)
{
	return (struct mos_key){ .addr_be = { { i }, { ~i } }, .port = { 80, (uint16_t)i }, .family = 4 };
}

static struct mos_conn *conn(uint32_t i)
{
	return pool_at(&conns, i);
}

static int insert(uint32_t i, uint64_t hash)
{
	conn(i)->key = key_of(i);
	conn(i)->hash = (uint32_t)hash;
	hashes[i] = hash;
	return table_insert(&t, hash, i);
}

static bool take_out(uint32_t i)
{
	return table_remove(&t, conn(i)->hash, i);
}

static uint32_t find(uint32_t i)
{
	struct mos_key k = key_of(i);

	return table_find(&t, hashes[i], &k);
}

static int setup(void **state)
{
	(void)state;
	return pool_init(&conns, sizeof(struct mos_conn), CONNS_MAX) || table_init(&t, 0, pool_at(&conns, 0));
}

static int teardown(void **state)
{
	(void)state;
	table_fini(&t);
	pool_fini(&conns);
	return 0;
}

static uint32_t candidate(uint64_t hash)
{
	return table_candidate(table_prefetch(&t, hash), hash);
}

static void an_entry_is_candidate_and_found_until_it_is_removed(void **state)
{
	(void)state;
	hashes[7] = 0x1234000000000005;
	assert_int_equal(candidate(hashes[7]), 0);
	assert_int_equal(find(7), 0);
	assert_int_equal(insert(7, hashes[7]), 0);
	assert_int_equal(candidate(hashes[7]), 7);
	assert_int_equal(find(7), 7);
	assert_int_equal(t.used, 1);
	assert_true(take_out(7));
	assert_int_equal(candidate(hashes[7]), 0);
	assert_int_equal(find(7), 0);
	assert_int_equal(t.used, 0);
}

static void an_entry_whose_tag_would_be_zero_is_found(void **state)
{
	(void)state;
	assert_int_equal(insert(1, 5), 0);
	assert_int_equal(find(1), 1);
	assert_int_equal(insert(2, 1ull << 48 | 5), 0);
	assert_int_equal(find(2), 2);
	assert_int_equal(find(1), 1);
}

static void another_key_with_the_same_hash_is_not_found(void **state)
{
	(void)state;
	insert(1, 0xabcd000000000001);
	hashes[2] = hashes[1];
	assert_int_equal(candidate(hashes[2]), 1);
	assert_int_equal(find(2), 0);
}

static void what_is_not_there_cannot_be_removed(void **state)
{
	(void)state;
	insert(1, 0xabcd000000000001);
	assert_false(table_remove(&t, 1, 2));
	assert_false(table_remove(&t, 2, 1));
	assert_true(table_remove(&t, 1, 1));
	assert_false(table_remove(&t, 1, 1));
	assert_int_equal(t.used, 0);
}

static void entries_of_one_hash_are_told_apart_by_their_keys(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(insert(i, 0xabcd000000000003), 0);
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(find(i), i);
	assert_int_equal(t.overflow.used, 12);
}

static void a_chain_has_no_more_buckets_than_its_entries_need(void **state)
{
	enum { N = 60 };
	bool there[N + 1] = { false };

	(void)state;
	srand(4);
	for (uint32_t i = 1; i <= N; i++)
		there[i] = !insert(i, random64() << 32 | 9);
	for (uint32_t left = N; left > 0;) {
		uint32_t victim = 1 + (uint32_t)rand() % N;
		if (!there[victim])
			continue;
		assert_true(take_out(victim));
		there[victim] = false;
		left--;
		assert_int_equal(t.overflow.used, left > 8 ? (left - 1) / 8 : 0);
		for (uint32_t i = 1; i <= N; i++)
			assert_int_equal(find(i), there[i] ? i : 0);
	}
	assert_int_equal(insert(1, 9), 0);
	assert_int_equal(t.overflow.used, 0);
}

static void the_table_doubles_and_every_entry_stays_found(void **state)
{
	enum { N = 3000 };
	uint64_t mask = t.mask;
	bool grew = false, settled = false;

	(void)state;
	for (uint32_t i = 1; i <= N; i++) {
		assert_int_equal(insert(i, random64()), 0);
		for (uint32_t j = 1; j <= i; j++)
			assert_int_equal(find(j), j);
		assert_true(t.used <= (t.mask + 1) * TABLE_SLOTS * 7 / 10 + 1);
		grew |= t.old != NULL;
		settled |= grew && !t.old;
	}
	assert_true(grew && settled);
	assert_true(t.mask >= 8 * mask);
}

static void candidates_are_seen_on_both_sides_of_a_growing_table(void **state)
{
	uint32_t n = 0, missing = 0;

	(void)state;
	while (!t.old || t.moved < t.old_mask / 2)
		insert(++n, random64());
	for (uint32_t i = 1; i <= n; i++)
		missing += candidate(hashes[i]) == 0;
	/* Those alone whose bucket overflowed. */
	assert_true(missing <= t.overflow.used * TABLE_SLOTS);
	assert_true(missing < n / 10);
}

static void entries_removed_while_the_table_grows_are_gone_from_either_half(void **state)
{
	uint32_t n = 0;

	(void)state;
	while (!t.old || t.moved < t.old_mask / 2)
		insert(++n, random64());
	for (uint32_t i = 1; i <= n; i++) {
		assert_true(take_out(i));
		assert_int_equal(find(i), 0);
	}
	assert_int_equal(t.used, 0);
	assert_int_equal(t.overflow.used, 0);
}

/* The worst case for a move: all in one chain before and after, with not one overflow bucket to spare. */
static void a_chain_moves_whole_without_spare_overflow_buckets(void **state)
{
	enum { CHAIN = 200 };
	uint32_t n = 0;

	(void)state;
	for (; n < CHAIN; n++)
		insert(n + 1, random64() << 32 | 17);
	for (; !t.old; n++)
		insert(n + 1, random64() << 32 | n % 64);
	uint32_t cap = t.overflow.cap;
	assert_int_equal(t.overflow.used, t.overflow.top);
	t.overflow.cap = t.overflow.top;
	while (t.old)
		n += !insert(n + 1, random64());
	t.overflow.cap = cap;
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(find(i), i);
}

static void without_memory_for_an_overflow_bucket_nothing_is_added(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 8; i++)
		insert(i, 3);
	t.overflow.cap = t.overflow.top;
	assert_int_equal(insert(9, 3), -ENOMEM);
	assert_int_equal(t.used, 8);
	assert_int_equal(find(9), 0);
	for (uint32_t i = 1; i <= 8; i++)
		assert_int_equal(find(i), i);
	take_out(4);
	assert_int_equal(insert(9, 3), 0);
	assert_int_equal(find(9), 9);
}

static void a_table_made_for_many_does_not_grow_before_them(void **state)
{
	struct table large;

	(void)state;
	assert_int_equal(table_init(&large, 10000, pool_at(&conns, 0)), 0);
	uint64_t mask = large.mask, bytes = table_bytes(&large);
	for (uint32_t i = 1; i <= 10000; i++)
		assert_int_equal(table_insert(&large, random64(), i), 0);
	assert_true(large.mask == mask);
	assert_true(table_bytes(&large) >= bytes);
	assert_true(table_bytes(&large) < 2 * bytes);
	table_fini(&large);
	table_fini(&large);
	assert_null(large.buckets);
}

static void a_bucket_shows_all_its_slots_with_a_tag(void **state)
{
	static const uint16_t tags[] = { 0, 1, 2, 0x7fff, 0x8000, 0xff00, 0x00ff, 0xffff };

	(void)state;
	for (int round = 0; round < 10000; round++) {
		struct table_bucket b = { .next = 0 };
		for (int i = 0; i < TABLE_SLOTS; i++)
			b.tag[i] = tags[random64() >> 61];
		for (int i = 0; i < 8; i++) {
			uint32_t expected = 0;
			for (int slot = 0; slot < TABLE_SLOTS; slot++)
				expected |= (uint32_t)(b.tag[slot] == tags[i]) << slot;
			assert_int_equal(table_match(&b, tags[i]), expected);
			assert_int_equal(table_match_portable(&b, tags[i]), expected);
			for (int slot = 0; slot < TABLE_SLOTS; slot++)
				b.idx[slot] = (uint32_t)(round + slot + 1);
			uint32_t first = expected ? b.idx[__builtin_ctz(expected)] : 0;
			assert_int_equal(table_first(&b, tags[i]), first);
		}
	}
}

/* Hashes with few different tags and buckets, so that chains and false candidates are frequent. */
static uint64_t crowded_hash(void)
{
	return (random64() & 3) << 48 | (random64() & 0x3fff) * (random64() & 15 ? 1 : 64);
}

/* The model: a flag per connection. The population waxes and wanes, through several doublings. */
static void check_against_flags(uint64_t (*hash)(void), uint32_t n, uint32_t steps)
{
	bool *there = calloc(n + 1, sizeof(*there));
	uint32_t used = 0;

	assert_non_null(there);
	for (uint32_t step = 0; step < steps; step++) {
		uint32_t i = 1 + (uint32_t)random64() % n;
		bool shrinking = step / (steps / 5) % 2;
		if (!there[i] && random64() % 4 >= (shrinking ? 3 : 1)) {
			assert_int_equal(insert(i, hash()), 0);
			there[i] = true;
			used++;
		} else if (there[i] && random64() % 4 >= (shrinking ? 1 : 3)) {
			assert_true(take_out(i));
			there[i] = false;
			used--;
		}
		uint32_t asked = 1 + (uint32_t)random64() % n;
		assert_int_equal(find(asked), there[asked] ? asked : 0);
		assert_int_equal(t.used, used);
	}
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(find(i), there[i] ? i : 0);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(take_out(i), there[i]);
	assert_int_equal(t.used, 0);
	assert_int_equal(t.overflow.used, 0);
	free(there);
}

static void random_use_agrees_with_flags(void **state)
{
	(void)state;
	check_against_flags(random64, CONNS_MAX, 1500000);
}

static void crowded_use_agrees_with_flags(void **state)
{
	(void)state;
	check_against_flags(crowded_hash, CONNS_MAX / 4, 500000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_entry_is_candidate_and_found_until_it_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(an_entry_whose_tag_would_be_zero_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(another_key_with_the_same_hash_is_not_found, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_there_cannot_be_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_of_one_hash_are_told_apart_by_their_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chain_has_no_more_buckets_than_its_entries_need, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_doubles_and_every_entry_stays_found, setup, teardown),
		cmocka_unit_test_setup_teardown(candidates_are_seen_on_both_sides_of_a_growing_table, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_removed_while_the_table_grows_are_gone_from_either_half, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_chain_moves_whole_without_spare_overflow_buckets, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory_for_an_overflow_bucket_nothing_is_added, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_table_made_for_many_does_not_grow_before_them, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bucket_shows_all_its_slots_with_a_tag, setup, teardown),
		cmocka_unit_test_setup_teardown(random_use_agrees_with_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(crowded_use_agrees_with_flags, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
