#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "util/pool.h"

static void indices_start_at_one_and_stay_small(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 64, 3), 0);
	assert_int_equal(pool_get(&p), 1);
	assert_int_equal(pool_get(&p), 2);
	assert_int_equal(p.top, 2);
	assert_int_equal(p.used, 2);
	pool_fini(&p);
}

static void the_last_record_returned_is_the_first_handed_out(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 16, 10), 0);
	for (uint32_t i = 1; i <= 5; i++)
		assert_int_equal(pool_get(&p), i);
	pool_put(&p, 2);
	pool_put(&p, 5);
	pool_put(&p, 3);
	assert_int_equal(p.used, 2);
	assert_int_equal(pool_get(&p), 3);
	assert_int_equal(pool_get(&p), 5);
	assert_int_equal(pool_get(&p), 2);
	assert_int_equal(pool_get(&p), 6);
	pool_fini(&p);
}

static void an_exhausted_pool_answers_zero_until_a_record_returns(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 4, 2), 0);
	pool_get(&p);
	pool_get(&p);
	assert_int_equal(pool_get(&p), 0);
	assert_int_equal(p.used, 2);
	pool_put(&p, 1);
	assert_int_equal(pool_get(&p), 1);
	assert_int_equal(pool_get(&p), 0);
	pool_fini(&p);
}

static void a_pool_of_none_hands_out_none(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 64, 0), 0);
	assert_int_equal(pool_get(&p), 0);
	pool_fini(&p);
}

static void a_new_record_is_zero_and_a_returned_one_keeps_all_but_four_bytes(void **state)
{
	struct pool p;
	uint8_t zero[64] = { 0 }, kept[64];

	(void)state;
	assert_int_equal(pool_init(&p, 64, 10), 0);
	uint32_t i = pool_get(&p);
	assert_memory_equal(pool_at(&p, i), zero, 64);
	memset(kept, 0xa5, sizeof(kept));
	memcpy(pool_at(&p, i), kept, 64);
	pool_put(&p, i);
	assert_int_equal(pool_get(&p), i);
	assert_memory_equal((uint8_t *)pool_at(&p, i) + 4, kept + 4, 60);
	pool_fini(&p);
}

static void records_of_an_odd_size_work(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 7, 3), 0);
	for (uint32_t i = 1; i <= 3; i++)
		memset(pool_at(&p, pool_get(&p)), (int)i, 7);
	for (uint32_t i = 1; i <= 3; i++)
		pool_put(&p, i);
	for (uint32_t i = 3; i >= 1; i--)
		assert_int_equal(pool_get(&p), i);
	pool_fini(&p);
}

static void sixteen_million_connections_commit_only_what_is_touched(void **state)
{
	struct pool p;
	unsigned char in_core[512];

	(void)state;
	assert_int_equal(pool_init(&p, 256, 16000000), 0);
	assert_int_equal((uintptr_t)p.base % POOL_HUGE, 0);
	assert_true(p.mapped >= 16000001ul * 256);
	memset(pool_at(&p, pool_get(&p)), 1, 256);
	memset(pool_at(&p, p.cap), 1, 256);
	assert_int_equal(mincore(p.base, POOL_HUGE, in_core), 0);
	assert_int_equal(in_core[0] & 1, 1);
	for (unsigned page = 1; page < 512; page++)
		assert_int_equal(in_core[page] & 1, 0);
	pool_fini(&p);
}

static void a_small_pool_takes_no_more_than_its_pages(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 256, 100), 0);
	assert_true(p.mapped >= 101 * 256);
	assert_true(p.mapped < POOL_HUGE);
	pool_fini(&p);
}

static void impossible_sizes_are_refused(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 3, 10), -EINVAL);
	assert_int_equal(pool_init(&p, 64, UINT32_MAX), -EINVAL);
	assert_int_equal(pool_init(&p, SIZE_MAX / 2, 10), -ENOMEM);
	assert_int_equal(pool_init(&p, SIZE_MAX / 64, 63), -ENOMEM);
	assert_null(p.base);
}

static void finishing_twice_is_harmless(void **state)
{
	struct pool p;

	(void)state;
	assert_int_equal(pool_init(&p, 64, 10), 0);
	pool_fini(&p);
	pool_fini(&p);
	assert_null(p.base);
}

static void a_mapping_is_rounded_up_zero_and_writable_to_its_end(void **state)
{
	static const size_t asked[] = { 1, 4096, 5000, POOL_HUGE - 1, POOL_HUGE, POOL_HUGE + 1, 5 * POOL_HUGE };

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		size_t size = asked[i];
		uint8_t *m = pool_map(&size, 0);
		assert_non_null(m);
		assert_true(size >= asked[i]);
		if (asked[i] >= POOL_HUGE)
			assert_int_equal((uintptr_t)m % POOL_HUGE, 0);
		assert_int_equal(m[0] | m[size - 1], 0);
		m[0] = m[size - 1] = 1;
		pool_unmap(m, size);
	}
	size_t all = SIZE_MAX - 5;
	assert_null(pool_map(&all, 0));
	pool_unmap(NULL, 0);
}

/* The model: a stack of returned indices and a flag per index in use. */
static void random_use_agrees_with_a_stack(void **state)
{
	enum { CAP = 500, STEPS = 100000 };
	struct pool p;
	uint32_t stack[CAP], depth = 0, next = 1;
	bool used[CAP + 1] = { false };

	(void)state;
	srand(1);
	assert_int_equal(pool_init(&p, 32, CAP), 0);
	for (int step = 0; step < STEPS; step++) {
		uint32_t victim = 1 + (uint32_t)rand() % CAP;
		if (rand() % 1000 < 400 + 200 * (step / 10000 % 2)) {
			uint32_t expected = depth ? stack[--depth] : next <= CAP ? next++ : 0;
			assert_int_equal(pool_get(&p), expected);
			used[expected] = expected != 0;
		} else if (used[victim]) {
			used[victim] = false;
			stack[depth++] = victim;
			pool_put(&p, victim);
		}
		assert_int_equal(p.used, next - 1 - depth);
	}
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(indices_start_at_one_and_stay_small),
		cmocka_unit_test(the_last_record_returned_is_the_first_handed_out),
		cmocka_unit_test(an_exhausted_pool_answers_zero_until_a_record_returns),
		cmocka_unit_test(a_pool_of_none_hands_out_none),
		cmocka_unit_test(a_new_record_is_zero_and_a_returned_one_keeps_all_but_four_bytes),
		cmocka_unit_test(records_of_an_odd_size_work),
		cmocka_unit_test(sixteen_million_connections_commit_only_what_is_touched),
		cmocka_unit_test(a_small_pool_takes_no_more_than_its_pages),
		cmocka_unit_test(impossible_sizes_are_refused),
		cmocka_unit_test(finishing_twice_is_harmless),
		cmocka_unit_test(a_mapping_is_rounded_up_zero_and_writable_to_its_end),
		cmocka_unit_test(random_use_agrees_with_a_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
