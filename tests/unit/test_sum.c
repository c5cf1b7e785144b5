/* The benchmark's checksum of what handlers saw: it must notice wrong bytes, and nothing but them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/sum.h"

enum { SIZE = 1000 };

static _Alignas(SUM_ALIGN) uint8_t text[SIZE], copy[SIZE + SUM_ALIGN];

static int make_text(void **state)
{
	uint32_t x = 1;

	(void)state;
	for (int i = 0; i < SIZE; i++)
		text[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	return 0;
}

/* As the comment in sum.h says it. */
static uint64_t definition(const uint8_t *bytes, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ((uint64_t)bytes[i] << 8 * (i % 8)) * (2 * (i / 8) + 1);
	return sum;
}

static void it_is_the_sum_of_words_times_their_places(void **state)
{
	(void)state;
	for (size_t n = 0; n <= SIZE; n++)
		assert_int_equal(sum_bytes(0, text, n), definition(text, n));
}

static void any_cut_gives_the_same_sum(void **state)
{
	uint64_t whole = sum_bytes(0, text, SIZE);

	(void)state;
	for (size_t at = 0; at <= SIZE; at++)
		assert_int_equal(sum_bytes(0, text, at) + sum_bytes(at, text + at, SIZE - at), whole);
}

static void pieces_of_any_length_give_the_same_sum(void **state)
{
	uint64_t whole = sum_bytes(0, text, SIZE);

	(void)state;
	for (size_t piece = 1; piece <= SIZE; piece++) {
		uint64_t sum = 0;

		for (size_t at = 0; at < SIZE; at += piece)
			sum += sum_bytes(at, text + at, SIZE - at < piece ? SIZE - at : piece);
		assert_int_equal(sum, whole);
	}
}

static void the_address_does_not_matter(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < SUM_ALIGN; shift++) {
		memcpy(copy + shift, text, SIZE);
		assert_int_equal(sum_bytes(3, copy + shift, SIZE), sum_bytes(3, text, SIZE));
	}
}

static void swapped_words_give_another_sum(void **state)
{
	uint64_t whole = sum_bytes(0, text, SIZE);

	(void)state;
	for (size_t a = 0; a + 8 <= SIZE; a += 8) {
		for (size_t b = a + 8; b + 8 <= SIZE; b += 8) {
			memcpy(copy, text, SIZE);
			memcpy(copy + a, text + b, 8);
			memcpy(copy + b, text + a, 8);
			assert_int_not_equal(sum_bytes(0, copy, SIZE), whole);
		}
	}
}

static void a_changed_bit_gives_another_sum(void **state)
{
	uint64_t whole = sum_bytes(0, text, SIZE);

	(void)state;
	memcpy(copy, text, SIZE);
	for (size_t bit = 0; bit < 8 * SIZE; bit++) {
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(sum_bytes(0, copy, SIZE), whole);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_sum_of_words_times_their_places),
		cmocka_unit_test(any_cut_gives_the_same_sum),
		cmocka_unit_test(pieces_of_any_length_give_the_same_sum),
		cmocka_unit_test(the_address_does_not_matter),
		cmocka_unit_test(swapped_words_give_another_sum),
		cmocka_unit_test(a_changed_bit_gives_another_sum),
	};

	return cmocka_run_group_tests_name("sum", tests, make_text, NULL);
}
