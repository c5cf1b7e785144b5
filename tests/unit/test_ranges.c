/*
 * Sets of stream offsets. The tables write a set as its runs: "0-10 20-30" is [0, 10) and [20, 30).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/ranges.h"

enum op { ADD, CUT, TRIM };

struct step {
	enum op op;
	uint64_t from, to;
	int64_t ret;
	const char *set;
};

static struct slab slab;

static void set_text(const struct ranges *r, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < r->n && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%llu-%llu", i ? " " : "", (unsigned long long)r->v[i].from,
				      (unsigned long long)r->v[i].to);
}

static int64_t apply(struct ranges *r, enum op op, uint64_t from, uint64_t to, uint32_t max)
{
	if (op == ADD)
		return ranges_add(r, &slab, from, to, max);
	if (op == CUT)
		return ranges_cut(r, &slab, from, to, max);
	ranges_trim(r, to);
	return 0;
}

static void run_steps(const struct step *steps, size_t n, uint32_t max)
{
	struct ranges r;
	char text[512];

	slab_init(&slab, 0);
	ranges_init(&r);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(apply(&r, steps[i].op, steps[i].from, steps[i].to, max), steps[i].ret);
		set_text(&r, text, sizeof(text));
		assert_string_equal(text, steps[i].set);
	}
	assert_int_equal(ranges_covered(&r, 20, 10), 0);
	ranges_fini(&r, &slab);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

#define RUN(steps, max) run_steps(steps, sizeof(steps) / sizeof((steps)[0]), max)

static void runs_that_touch_or_overlap_become_one(void **state)
{
	static const struct step steps[] = {
		{ ADD, 10, 20, 10, "10-20" },      { ADD, 20, 30, 10, "10-30" },           { ADD, 5, 10, 5, "5-30" },
		{ ADD, 40, 50, 10, "5-30 40-50" }, { ADD, 31, 39, 8, "5-30 31-39 40-50" }, { ADD, 25, 45, 2, "5-50" },
		{ ADD, 0, 2, 2, "0-2 5-50" },      { ADD, 0, 100, 53, "0-100" },
	};

	(void)state;
	RUN(steps, 8);
}

static void bytes_already_there_are_not_counted_again(void **state)
{
	static const struct step steps[] = {
		{ ADD, 10, 20, 10, "10-20" }, { ADD, 10, 20, 0, "10-20" }, { ADD, 12, 15, 0, "10-20" },
		{ ADD, 8, 12, 2, "8-20" },    { ADD, 18, 22, 2, "8-22" },  { ADD, 30, 30, 0, "8-22" },
		{ ADD, 40, 35, 0, "8-22" },
	};

	(void)state;
	RUN(steps, 8);
}

static void one_run_more_than_the_bound_is_refused_and_changes_nothing(void **state)
{
	static const struct step steps[] = {
		{ ADD, 10, 20, 10, "10-20" },
		{ ADD, 30, 40, 10, "10-20 30-40" },
		{ ADD, 50, 60, -ENOSPC, "10-20 30-40" },
		{ ADD, 0, 5, -ENOSPC, "10-20 30-40" },
		{ ADD, 22, 28, -ENOSPC, "10-20 30-40" },
		{ ADD, 40, 60, 20, "10-20 30-60" },
		{ CUT, 35, 36, -ENOSPC, "10-20 30-60" },
		{ CUT, 30, 36, 6, "10-20 36-60" },
		{ ADD, 20, 36, 16, "10-60" },
		{ ADD, 0, 5, 5, "0-5 10-60" },
	};

	(void)state;
	RUN(steps, 2);
}

static void cutting_shortens_splits_and_removes_runs(void **state)
{
	static const struct step steps[] = {
		{ ADD, 10, 20, 10, "10-20" },
		{ ADD, 30, 40, 10, "10-20 30-40" },
		{ ADD, 50, 60, 10, "10-20 30-40 50-60" },
		{ CUT, 20, 30, 0, "10-20 30-40 50-60" },
		{ CUT, 0, 12, 2, "12-20 30-40 50-60" },
		{ CUT, 33, 35, 2, "12-20 30-33 35-40 50-60" },
		{ CUT, 18, 52, 12, "12-18 52-60" },
		{ CUT, 58, UINT64_MAX, 2, "12-18 52-58" },
		{ CUT, 14, 14, 0, "12-18 52-58" },
		{ CUT, 0, 100, 12, "" },
	};

	(void)state;
	RUN(steps, 8);
}

static void trimming_removes_everything_below(void **state)
{
	static const struct step steps[] = {
		{ TRIM, 0, 5, 0, "" },
		{ ADD, 10, 20, 10, "10-20" },
		{ ADD, 30, 40, 10, "10-20 30-40" },
		{ TRIM, 0, 10, 0, "10-20 30-40" },
		{ TRIM, 0, 15, 0, "15-20 30-40" },
		{ TRIM, 0, 20, 0, "30-40" },
		{ TRIM, 0, 39, 0, "39-40" },
		{ TRIM, 0, 40, 0, "" },
	};

	(void)state;
	RUN(steps, 8);
}

static void offsets_beyond_32_bits_are_plain_numbers(void **state)
{
	static const struct step steps[] = {
		{ ADD, 0, 5000000000, 5000000000, "0-5000000000" },
		{ ADD, 6000000000, 6000000001, 1, "0-5000000000 6000000000-6000000001" },
		{ CUT, 1, 4999999999, 4999999998, "0-1 4999999999-5000000000 6000000000-6000000001" },
	};

	(void)state;
	RUN(steps, 8);
}

static void a_set_that_finds_no_memory_stays_as_it_is(void **state)
{
	struct ranges r;
	uint64_t i = 0;

	(void)state;
	slab_init(&slab, 256);
	ranges_init(&r);
	while (ranges_add(&r, &slab, i * 10, i * 10 + 5, 1000) == 5)
		i++;
	assert_in_range(i, 4, 16);
	assert_int_equal(r.n, i);
	assert_int_equal(ranges_total(&r), i * 5);
	assert_int_equal(ranges_cut(&r, &slab, 12, 13, 1000), -ENOSPC);
	assert_int_equal(ranges_total(&r), i * 5);
	assert_int_equal(ranges_add(&r, &slab, 5, 10, 1000), 5);
	assert_int_equal(r.n, i - 1);
	ranges_fini(&r, &slab);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

/* The naive model: one flag per offset. */
enum { SPAN = 256, ROUNDS = 40, OPS = 1000 };

static uint32_t rng_state;

static uint32_t rng(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 17;
	rng_state ^= rng_state << 5;
	return rng_state % below;
}

static uint32_t model_runs(const bool *there)
{
	uint32_t n = 0;

	for (int i = 0; i < SPAN; i++)
		n += there[i] && (i == 0 || !there[i - 1]);
	return n;
}

static int64_t model_set(bool *there, uint64_t from, uint64_t to, bool value)
{
	int64_t changed = 0;

	for (uint64_t i = from; i < to; i++) {
		changed += there[i] != value;
		there[i] = value;
	}
	return changed;
}

static int64_t model_apply(bool *there, enum op op, uint64_t from, uint64_t to, uint32_t max)
{
	bool after[SPAN];
	int64_t changed;

	memcpy(after, there, sizeof(after));
	changed = model_set(after, op == TRIM ? 0 : from, to, op == ADD);
	if (op != TRIM && model_runs(after) > max)
		return -ENOSPC;
	memcpy(there, after, sizeof(after));
	return op == TRIM ? 0 : changed;
}

static void assert_same(const struct ranges *r, const bool *there)
{
	uint64_t off = 0, total = 0;

	assert_int_equal(r->n, model_runs(there));
	for (uint32_t i = 0; i < r->n; i++) {
		assert_true(r->v[i].from < r->v[i].to);
		for (; off < r->v[i].from; off++)
			assert_false(there[off]);
		for (; off < r->v[i].to; off++, total++)
			assert_true(there[off]);
	}
	for (; off < SPAN; off++)
		assert_false(there[off]);
	assert_int_equal(ranges_total(r), total);
}

static void assert_same_answers(const struct ranges *r, const bool *there, uint64_t from, uint64_t to)
{
	const struct range *run = ranges_at(r, from);
	uint64_t covered = 0, at = from;

	for (uint64_t i = from; i < to; i++)
		covered += there[i];
	assert_int_equal(ranges_covered(r, from, to), covered);

	while (at < SPAN && !there[at])
		at++;
	assert_true((run != NULL) == (at < SPAN));
	if (run) {
		assert_true(run->from <= at && at < run->to);
		assert_ptr_equal(ranges_next(r, run), run + 1 < r->v + r->n ? run + 1 : NULL);
	}
}

static void a_long_random_life_agrees_with_a_flag_per_offset(void **state)
{
	(void)state;
	rng_state = 20260101;
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t max = 1 + rng(round % 2 ? 64 : 6), longest = 1 + rng(40);
		bool there[SPAN] = { false };
		struct ranges r;

		slab_init(&slab, 0);
		ranges_init(&r);
		for (int i = 0; i < OPS; i++) {
			enum op op = rng(20) == 0 ? TRIM : rng(3) == 0 ? CUT : ADD;
			uint64_t from = rng(SPAN), to = from + rng(longest);

			if (to > SPAN)
				to = SPAN;
			if (op == TRIM)
				to /= 4;
			assert_int_equal(apply(&r, op, from, to, max), model_apply(there, op, from, to, max));
			assert_same(&r, there);
			assert_same_answers(&r, there, from, to);
		}
		ranges_fini(&r, &slab);
		slab_fini(&slab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_that_touch_or_overlap_become_one),
		cmocka_unit_test(bytes_already_there_are_not_counted_again),
		cmocka_unit_test(one_run_more_than_the_bound_is_refused_and_changes_nothing),
		cmocka_unit_test(cutting_shortens_splits_and_removes_runs),
		cmocka_unit_test(trimming_removes_everything_below),
		cmocka_unit_test(offsets_beyond_32_bits_are_plain_numbers),
		cmocka_unit_test(a_set_that_finds_no_memory_stays_as_it_is),
		cmocka_unit_test(a_long_random_life_agrees_with_a_flag_per_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
