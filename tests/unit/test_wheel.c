#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/wheel.h"

enum { N = 100 };

static const uint64_t TICK = 1ull << WHEEL_TICK_SHIFT;
static const uint64_t SECOND = 1000000000;
static const uint64_t HOUR = 3600 * 1000000000ull;
static const uint64_t DAY = 24 * 3600 * 1000000000ull;
static const uint64_t START = 1700000000 * 1000000000ull;

static struct mos_conn conns[N + 1];
static struct wheel w;

/* What fired, in order. */
static uint32_t fired[1000];
static unsigned fired_n;

static void note(void *arg, uint32_t idx)
{
	(void)arg;
	assert_int_equal(conns[idx].timer_due, 0);
	fired[fired_n++] = idx;
}

/* Advance; the answer is the number of entries that fired. */
static unsigned advance(uint64_t now_ns)
{
	fired_n = 0;
	wheel_advance(&w, now_ns, note, NULL);
	return fired_n;
}

static int fresh(void **state)
{
	(void)state;
	memset(conns, 0, sizeof(conns));
	wheel_init(&w, conns);
	return 0;
}

static int started(void **state)
{
	fresh(state);
	assert_int_equal(advance(START), 0);
	return 0;
}

/* Around every power of two: where levels begin, and a tick. */
static void an_entry_fires_not_early_and_at_most_one_tick_late(void **state)
{
	for (unsigned bit = 2; bit < 54; bit++) {
		for (uint64_t after = (1ull << bit) - 1; after <= (1ull << bit) + 1; after++) {
			started(state);
			wheel_arm(&w, 1, START + after);
			assert_int_equal(advance(START + after - 1), 0);
			assert_int_equal(advance(START + after + TICK - 1), 1);
			assert_int_equal(w.armed, 0);
			assert_int_equal(advance(START + 2 * after + HOUR), 0);
		}
	}
}

static void entries_fire_in_the_order_of_their_ticks(void **state)
{
	static const uint64_t after_s[] = { 3600, 5, 86400, 60, 1, 300, 7200, 20, 100000, 10 };
	static const uint32_t order[] = { 5, 2, 10, 8, 4, 6, 1, 7, 3, 9 };

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		wheel_arm(&w, i + 1, START + after_s[i] * SECOND);
	assert_int_equal(advance(START + 2 * DAY), 10);
	assert_memory_equal(fired, order, sizeof(order));
}

static void an_entry_armed_again_moves(void **state)
{
	(void)state;
	wheel_arm(&w, 1, START + 10 * SECOND);
	wheel_arm(&w, 1, START + 30 * SECOND);
	assert_int_equal(w.armed, 1);
	assert_int_equal(advance(START + 20 * SECOND), 0);
	assert_int_equal(advance(START + 31 * SECOND), 1);
	wheel_arm(&w, 1, START + 900 * SECOND);
	wheel_arm(&w, 1, START + 40 * SECOND);
	assert_int_equal(advance(START + 41 * SECOND), 1);
	assert_int_equal(advance(START + 1000 * SECOND), 0);
}

static void a_disarmed_entry_does_not_fire(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 5; i++)
		wheel_arm(&w, i, START + 10 * SECOND);
	wheel_disarm(&w, 5);
	wheel_disarm(&w, 3);
	wheel_disarm(&w, 1);
	wheel_disarm(&w, 1);
	wheel_disarm(&w, 50);
	assert_int_equal(w.armed, 2);
	assert_int_equal(advance(START + 11 * SECOND), 2);
}

static void what_lies_in_the_past_fires_with_the_next_tick(void **state)
{
	(void)state;
	advance(START + 1000 * TICK);
	wheel_arm(&w, 1, 0);
	wheel_arm(&w, 2, START);
	wheel_arm(&w, 3, START + 1000 * TICK - 1);
	wheel_arm(&w, 4, START + 1000 * TICK);
	assert_int_equal(advance(START + 1000 * TICK), 0);
	assert_int_equal(advance(START + 1001 * TICK), 4);
}

static void time_that_goes_backwards_is_ignored(void **state)
{
	(void)state;
	advance(START + HOUR);
	wheel_arm(&w, 1, START + HOUR + SECOND);
	assert_int_equal(advance(START), 0);
	assert_int_equal(advance(0), 0);
	assert_int_equal(advance(START + HOUR + 2 * SECOND), 1);
}

static void entries_armed_before_the_first_advance_fire_in_order(void **state)
{
	(void)state;
	wheel_arm(&w, 1, START + 10 * SECOND);
	wheel_arm(&w, 2, START - DAY);
	wheel_arm(&w, 3, START + DAY);
	assert_int_equal(advance(START - DAY - 1), 0);
	assert_int_equal(advance(START - DAY + SECOND), 1);
	assert_int_equal(fired[0], 2);
	assert_int_equal(advance(START + 11 * SECOND), 1);
	assert_int_equal(fired[0], 1);
	assert_int_equal(advance(START + 2 * DAY), 1);
	assert_int_equal(fired[0], 3);
}

static void time_may_begin_at_zero(void **state)
{
	(void)state;
	wheel_arm(&w, 1, 10 * SECOND);
	assert_int_equal(advance(0), 0);
	assert_int_equal(advance(9 * SECOND), 0);
	assert_int_equal(advance(11 * SECOND), 1);
}

/* Three centuries are 2^37 ticks: counted one by one they would not end. */
static void a_jump_of_centuries_costs_only_its_entries(void **state)
{
	(void)state;
	wheel_arm(&w, 1, START + HOUR);
	wheel_arm(&w, 2, START + 3 * 365 * DAY);
	assert_int_equal(advance(START + 300 * 365 * DAY), 2);
	wheel_arm(&w, 3, START + 301 * 365 * DAY);
	assert_int_equal(advance(START + 300 * 365 * DAY + HOUR), 0);
	assert_int_equal(advance(UINT64_MAX), 1);
}

static unsigned above_ground(void)
{
	unsigned n = 0;

	for (unsigned level = 1; level < WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			for (uint32_t idx = w.head[level][slot]; idx; idx = conns[idx].timer_next)
				n++;
	return n;
}

/* With 100 entries in one slot of 128 ticks no tick has reason to move more than two. */
static void entries_go_down_a_few_per_tick(void **state)
{
	unsigned before = N;

	(void)state;
	for (uint32_t i = 1; i <= N; i++)
		wheel_arm(&w, i, START + (1280 + i) * TICK);
	assert_int_equal(above_ground(), N);
	for (uint64_t tick = 1; tick < 1280; tick++) {
		assert_int_equal(advance(START + tick * TICK), 0);
		unsigned left = above_ground();
		assert_in_range(before - left, 0, 2);
		before = left;
	}
	assert_int_equal(before, 0);
	assert_int_equal(advance(START + 1400 * TICK), N);
}

static void what_lies_beyond_the_span_fires_at_its_end(void **state)
{
	const uint64_t span = WHEEL_SPAN * TICK;

	(void)state;
	wheel_arm(&w, 1, UINT64_MAX);
	wheel_arm(&w, 2, START + span);
	assert_int_equal(advance(START + span - 1), 0);
	assert_int_equal(advance(START + span), 2);
}

/* A due tick whose low half is 0 would read as "not armed". */
static void ticks_may_outgrow_their_32_bits(void **state)
{
	const uint64_t turn = START + (1ull << (32 + WHEEL_TICK_SHIFT));

	(void)state;
	assert_int_equal(advance(turn - 10 * TICK), 0);
	for (uint32_t i = 1; i <= 20; i++)
		wheel_arm(&w, i, turn + (i - 10ull) * TICK);
	assert_int_equal(advance(turn - TICK), 9);
	assert_int_equal(advance(turn + TICK), 2);
	assert_int_equal(advance(turn + 10 * TICK), 9);
	assert_int_equal(w.armed, 0);
}

static void arm_again(void *arg, uint32_t idx)
{
	const uint64_t *at_ns = arg;

	note(NULL, idx);
	if (fired_n < 5)
		wheel_arm(&w, idx, *at_ns + fired_n * SECOND);
}

static void an_entry_may_arm_itself_again_when_it_fires(void **state)
{
	uint64_t base = START + 10 * SECOND;

	(void)state;
	fired_n = 0;
	wheel_arm(&w, 1, base);
	wheel_advance(&w, base + 2 * SECOND + TICK, arm_again, &base);
	assert_int_equal(fired_n, 3);
	assert_int_equal(w.armed, 1);
	wheel_advance(&w, base + HOUR, arm_again, &base);
	assert_int_equal(fired_n, 5);
	assert_int_equal(w.armed, 0);
}

static void disarm_all(void *arg, uint32_t idx)
{
	note(arg, idx);
	for (uint32_t i = 1; i <= N; i++)
		wheel_disarm(&w, i);
}

static void one_that_fires_may_disarm_all_others_of_its_tick(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= N; i++)
		wheel_arm(&w, i, START + SECOND);
	fired_n = 0;
	wheel_advance(&w, START + HOUR, disarm_all, NULL);
	assert_int_equal(fired_n, 1);
	assert_int_equal(w.armed, 0);
}

/* The model: the due tick of every entry, in no order. */
static struct {
	uint64_t due[N + 1];
	uint64_t tick, now;
	unsigned armed;
} model;

static uint64_t random64(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * 0x2545f4914f6cdd1d;
}

/* Mostly short, sometimes days, seldom years. */
static uint64_t random_span(void)
{
	return random64() >> (8 + random64() % 32);
}

static void arm_both(uint32_t idx, uint64_t at_ns)
{
	uint64_t due = at_ns > START ? (at_ns - START + TICK - 1) / TICK : 0;

	due = due > model.tick ? due : model.tick + 1;
	due = due < model.tick + WHEEL_SPAN ? due : model.tick + WHEEL_SPAN;
	model.armed += !model.due[idx];
	model.due[idx] = (uint32_t)due ? due : due + 1;
	wheel_arm(&w, idx, at_ns);
}

static void disarm_both(uint32_t idx)
{
	model.armed -= model.due[idx] != 0;
	model.due[idx] = 0;
	wheel_disarm(&w, idx);
}

static uint64_t earliest(void)
{
	uint64_t due = UINT64_MAX;

	for (uint32_t i = 1; i <= N; i++)
		if (model.due[i] && model.due[i] < due)
			due = model.due[i];
	return due;
}

static void fire_both(void *arg, uint32_t idx)
{
	uint32_t other = 1 + (uint32_t)random64() % N;

	(void)arg;
	assert_true(model.due[idx] == earliest());
	assert_true(model.due[idx] <= model.now);
	assert_int_equal(conns[idx].timer_due, 0);
	model.tick = model.due[idx];
	model.due[idx] = 0;
	model.armed--;
	if (random64() % 4 == 0)
		disarm_both(other);
	if (random64() % 4 == 0)
		arm_both(other, START + model.tick * TICK + random_span());
	if (random64() % 4 == 0)
		arm_both(idx, START + model.tick * TICK + random_span());
}

static void random_use_agrees_with_a_list_of_due_ticks(void **state)
{
	uint64_t now_ns = START;

	(void)state;
	memset(&model, 0, sizeof(model));
	for (int step = 0; step < 200000; step++) {
		if (now_ns > UINT64_MAX / 2) {
			started(state);
			memset(&model, 0, sizeof(model));
			now_ns = START;
		}
		uint32_t idx = 1 + (uint32_t)random64() % N;
		if (random64() % 3)
			arm_both(idx, now_ns + random_span() - TICK);
		else if (random64() % 2)
			disarm_both(idx);
		if (random64() % 2)
			now_ns += random_span() / 4;
		model.now = (now_ns - START) / TICK;
		wheel_advance(&w, now_ns, fire_both, NULL);
		model.tick = model.now;
		assert_true(earliest() > model.now);
		assert_int_equal(w.armed, model.armed);
		assert_int_equal(w.tick, model.tick);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_entry_fires_not_early_and_at_most_one_tick_late, started),
		cmocka_unit_test_setup(entries_fire_in_the_order_of_their_ticks, started),
		cmocka_unit_test_setup(an_entry_armed_again_moves, started),
		cmocka_unit_test_setup(a_disarmed_entry_does_not_fire, started),
		cmocka_unit_test_setup(what_lies_in_the_past_fires_with_the_next_tick, started),
		cmocka_unit_test_setup(time_that_goes_backwards_is_ignored, started),
		cmocka_unit_test_setup(entries_armed_before_the_first_advance_fire_in_order, fresh),
		cmocka_unit_test_setup(time_may_begin_at_zero, fresh),
		cmocka_unit_test_setup(a_jump_of_centuries_costs_only_its_entries, started),
		cmocka_unit_test_setup(entries_go_down_a_few_per_tick, started),
		cmocka_unit_test_setup(what_lies_beyond_the_span_fires_at_its_end, started),
		cmocka_unit_test_setup(ticks_may_outgrow_their_32_bits, started),
		cmocka_unit_test_setup(an_entry_may_arm_itself_again_when_it_fires, started),
		cmocka_unit_test_setup(one_that_fires_may_disarm_all_others_of_its_tick, started),
		cmocka_unit_test_setup(random_use_agrees_with_a_list_of_due_ticks, started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
