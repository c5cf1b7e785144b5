#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/slab.h"

enum { KIB = 1024, MIB = 1024 * KIB, CHUNK = 2 * MIB };

static void sizes_are_rounded_up_to_a_power_of_two(void **state)
{
	static const size_t cases[][2] = {
		{ 0, 64 },
		{ 1, 64 },
		{ 64, 64 },
		{ 65, 128 },
		{ 4096, 4096 },
		{ 4097, 8192 },
		{ 512 * KIB + 1, MIB },
		{ MIB, MIB },
		{ MIB + 1, MIB + 1 }, /* malloc's */
		{ 5 * MIB, 5 * MIB },
	};
	struct slab s;

	(void)state;
	slab_init(&s, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t size = cases[i][0];
		uint8_t *buf = slab_get(&s, &size);
		assert_non_null(buf);
		assert_int_equal(size, cases[i][1]);
		assert_int_equal(s.used, size);
		memset(buf, 0xff, size);
		slab_put(&s, buf, size);
		assert_int_equal(s.used, 0);
	}
	slab_fini(&s);
}

static void a_returned_buffer_is_the_next_of_its_size(void **state)
{
	struct slab s;
	size_t size = 1000, other = 100;

	(void)state;
	slab_init(&s, 0);
	void *a = slab_get(&s, &size);
	void *b = slab_get(&s, &size);
	assert_ptr_not_equal(a, b);
	slab_put(&s, a, size);
	assert_ptr_not_equal(slab_get(&s, &other), a);
	assert_ptr_equal(slab_get(&s, &size), a);
	slab_fini(&s);
}

/* A chunk holds three of these. */
static void a_buffer_returned_to_full_memory_is_used_before_new_memory(void **state)
{
	struct slab s;
	size_t size = 512 * KIB;
	void *bufs[6];

	(void)state;
	slab_init(&s, 0);
	for (int i = 0; i < 6; i++)
		bufs[i] = slab_get(&s, &size);
	slab_put(&s, bufs[1], size);
	slab_put(&s, bufs[5], size);
	assert_ptr_equal(slab_get(&s, &size), bufs[5]);
	assert_ptr_equal(slab_get(&s, &size), bufs[1]);
	slab_fini(&s);
}

static void large_buffers_start_on_a_page_and_small_ones_on_their_size(void **state)
{
	struct slab s;

	(void)state;
	slab_init(&s, 0);
	for (size_t size = 64; size <= MIB; size *= 2)
		for (int i = 0; i < 3; i++)
			assert_int_equal((uintptr_t)slab_get(&s, &size) % (size < 4096 ? size : 4096), 0);
	slab_fini(&s);
}

static void the_limit_holds_and_a_return_makes_room(void **state)
{
	struct slab s;
	size_t size = 4096, large = 3 * MIB, small = 64;

	(void)state;
	slab_init(&s, 3 * 4096 + 100);
	void *a = slab_get(&s, &size);
	assert_non_null(slab_get(&s, &size));
	assert_non_null(slab_get(&s, &size));
	assert_null(slab_get(&s, &size));
	assert_int_equal(size, 4096);
	assert_null(slab_get(&s, &large));
	assert_int_equal(large, 3 * MIB);
	assert_non_null(slab_get(&s, &small));
	assert_null(slab_get(&s, &small));
	slab_put(&s, a, size);
	assert_ptr_equal(slab_get(&s, &size), a);
	slab_fini(&s);
}

static void sizes_that_overflow_the_count_are_refused(void **state)
{
	struct slab s;
	size_t page = 4096, huge = SIZE_MAX;

	(void)state;
	slab_init(&s, MIB);
	assert_non_null(slab_get(&s, &page));
	assert_null(slab_get(&s, &huge));
	assert_int_equal(huge, SIZE_MAX);
	assert_int_equal(s.used, 4096);
	slab_fini(&s);
}

static void buffers_larger_than_any_class_count_as_asked(void **state)
{
	struct slab s;
	size_t size = 2 * MIB + 7;

	(void)state;
	slab_init(&s, 4 * MIB);
	void *a = slab_get(&s, &size);
	assert_non_null(a);
	assert_int_equal(s.used, 2 * MIB + 7);
	assert_null(slab_get(&s, &size));
	slab_put(&s, a, size);
	assert_int_equal(s.used, 0);
	slab_fini(&s);
}

static void returning_nothing_is_harmless(void **state)
{
	struct slab s;

	(void)state;
	slab_init(&s, 0);
	slab_put(&s, NULL, 64);
	assert_int_equal(s.used, 0);
	slab_fini(&s);
	slab_fini(&s);
}

static uintptr_t chunk_number(const void *buf)
{
	return (uintptr_t)buf / CHUNK;
}

/* A wave of small buffers, all returned, leaves its memory to large ones. */
static void memory_without_a_buffer_in_use_serves_any_size(void **state)
{
	enum { N = 3 * CHUNK / 4096 };
	static void *bufs[N];
	struct slab s;
	size_t page = 4096, large = 512 * KIB;

	(void)state;
	slab_init(&s, 0);
	for (int i = 0; i < N; i++)
		bufs[i] = slab_get(&s, &page);
	for (int i = 0; i < N; i++)
		slab_put(&s, bufs[i], page);
	for (int i = 0; i < 9; i++) {
		uintptr_t chunk = chunk_number(slab_get(&s, &large));
		bool known = false;
		for (int j = 0; j < N && !known; j++)
			known = chunk_number(bufs[j]) == chunk;
		assert_true(known);
	}
	slab_fini(&s);
}

static void memory_with_one_buffer_in_use_keeps_its_size(void **state)
{
	struct slab s;
	size_t small = 64, large = 512 * KIB;

	(void)state;
	slab_init(&s, 0);
	void *kept = slab_get(&s, &small);
	void *other = slab_get(&s, &small);
	slab_put(&s, other, small);
	assert_int_not_equal(chunk_number(slab_get(&s, &large)), chunk_number(kept));
	slab_fini(&s);
}

struct held {
	uint8_t *buf;
	size_t size;
	uint8_t mark;
};

static void check_mark(const struct held *h)
{
	for (size_t i = 0; i < h->size; i += h->size / 64)
		assert_int_equal(h->buf[i], h->mark);
	assert_int_equal(h->buf[h->size - 1], h->mark);
}

/* Every buffer is filled with its own mark: two that overlap would spoil one another. */
static void random_use_never_hands_out_a_byte_twice(void **state)
{
	enum { HELD = 400, STEPS = 30000 };
	static struct held held[HELD];
	struct slab s;
	size_t total = 0;

	(void)state;
	srand(2);
	slab_init(&s, 20 * MIB);
	for (int step = 0; step < STEPS; step++) {
		struct held *h = &held[rand() % HELD];
		if (h->buf) {
			check_mark(h);
			slab_put(&s, h->buf, h->size);
			total -= h->size;
			h->buf = NULL;
			continue;
		}
		size_t asked = (size_t)rand() % (64u << rand() % 13) + 1;
		h->size = asked;
		h->mark = (uint8_t)step;
		h->buf = slab_get(&s, &h->size);
		if (!h->buf) {
			assert_true(total + 2 * asked > 20 * MIB);
			continue;
		}
		assert_true(h->size >= asked);
		memset(h->buf, h->mark, h->size);
		total += h->size;
		assert_int_equal(s.used, total);
	}
	for (int i = 0; i < HELD; i++)
		slab_put(&s, held[i].buf, held[i].size);
	assert_int_equal(s.used, 0);
	slab_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_rounded_up_to_a_power_of_two),
		cmocka_unit_test(a_returned_buffer_is_the_next_of_its_size),
		cmocka_unit_test(a_buffer_returned_to_full_memory_is_used_before_new_memory),
		cmocka_unit_test(large_buffers_start_on_a_page_and_small_ones_on_their_size),
		cmocka_unit_test(the_limit_holds_and_a_return_makes_room),
		cmocka_unit_test(sizes_that_overflow_the_count_are_refused),
		cmocka_unit_test(buffers_larger_than_any_class_count_as_asked),
		cmocka_unit_test(returning_nothing_is_harmless),
		cmocka_unit_test(memory_without_a_buffer_in_use_serves_any_size),
		cmocka_unit_test(memory_with_one_buffer_in_use_keeps_its_size),
		cmocka_unit_test(random_use_never_hands_out_a_byte_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
