/* Counters and tables that workers share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/shared.h"

enum { THREADS = 4, ROUNDS = 4000, KEYS = 7 };

static int tear_down(void **state)
{
	(void)state;
	shared_reset();
	return 0;
}

static int set(struct shared_table *t, const char *key, double n)
{
	return shared_set(t, key, strlen(key), n);
}

static double get(struct shared_table *t, const char *key)
{
	double n = -1;

	return shared_get(t, key, strlen(key), &n) < 0 ? -1 : n;
}

static void a_name_means_the_same_thing_everywhere(void **state)
{
	(void)state;
	assert_ptr_equal(shared_counter("a"), shared_counter("a"));
	assert_ptr_not_equal(shared_counter("a"), shared_counter("b"));
	struct shared_table *t = shared_table("a", 1);

	assert_ptr_equal(shared_table("a", 9), t);
	assert_int_equal(set(t, "x", 1), 0);
	assert_int_equal(set(t, "y", 1), -ENOSPC);
}

static void *contend(void *arg)
{
	struct shared_table *t = shared_table("t", 100);
	struct mos_counter *c = shared_counter("c");
	unsigned self = (unsigned)(uintptr_t)arg;
	double now;

	for (unsigned i = 0; i < ROUNDS; i++) {
		char key[16];
		int len = snprintf(key, sizeof(key), "key%u", i % KEYS);

		c->worker[self].n++;
		if (shared_add(t, key, (size_t)len, 1, &now) < 0)
			return "add";
		/* "lock" is there while one thread is between these two. */
		const double mine = self;

		if (shared_swap(t, "lock", 4, NULL, &mine) == 0 && shared_swap(t, "lock", 4, &mine, NULL) != 0)
			return "swap";
	}
	return NULL;
}

static void no_addition_is_lost_when_threads_contend(void **state)
{
	pthread_t thread[THREADS];
	double sum = 0;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, contend, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(thread[i], &failed);
		assert_null(failed);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_true(shared_counter("c")->worker[i].n == ROUNDS);
	struct mos_shared_entry *all = shared_entries(shared_table("t", 100), &n);

	assert_int_equal(n, KEYS);
	for (size_t i = 0; i < n; i++)
		sum += all[i].value;
	assert_true(sum == THREADS * ROUNDS);
	free(all);
}

static void keys_come_and_go(void **state)
{
	struct shared_table *t = shared_table("t", 5000);
	char key[16];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(set(t, key, i), 0);
	}
	assert_int_equal(set(t, "more", 1), -ENOSPC);
	for (unsigned i = 0; i < 5000; i += 2) {
		snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(shared_delete(t, key, strlen(key)), 0);
		assert_int_equal(shared_delete(t, key, strlen(key)), -ENOENT);
	}
	assert_int_equal(shared_count(t), 2500);
	assert_true(get(t, "4998") == -1);
	assert_true(get(t, "4999") == 4999);
	assert_int_equal(set(t, "more", 1), 0);
}

static void a_swap_takes_place_only_from_what_is_expected(void **state)
{
	struct shared_table *t = shared_table("t", 1);
	const double one = 1, two = 2;

	(void)state;
	assert_int_equal(shared_swap(t, "k", 1, &one, &two), -EAGAIN);
	assert_int_equal(shared_swap(t, "k", 1, NULL, &one), 0);
	assert_int_equal(shared_swap(t, "k", 1, NULL, &two), -EAGAIN);
	assert_int_equal(shared_swap(t, "j", 1, NULL, &two), -ENOSPC);
	assert_int_equal(shared_swap(t, "k", 1, &one, &two), 0);
	assert_true(get(t, "k") == 2);
	assert_int_equal(shared_swap(t, "k", 1, &two, NULL), 0);
	assert_int_equal(shared_swap(t, "k", 1, NULL, NULL), 0);
	assert_int_equal(shared_count(t), 0);
}

static void keys_are_bytes_up_to_a_length(void **state)
{
	struct shared_table *t = shared_table("t", 9);
	char key[SHARED_KEY_MAX + 1] = { 0 };
	double n;
	size_t count;

	(void)state;
	assert_int_equal(shared_add(t, key, sizeof(key), 1, &n), -ERANGE);
	assert_int_equal(shared_add(t, key, SHARED_KEY_MAX, 1, &n), 0);
	assert_int_equal(shared_add(t, key, 0, 1, &n), 0);
	assert_int_equal(shared_count(t), 2);
	free(shared_entries(t, &count));
	assert_int_equal(count, 2);
	assert_null(shared_entries(shared_table("none", 1), &count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_teardown(f, tear_down)
		TEST(a_name_means_the_same_thing_everywhere),
		TEST(no_addition_is_lost_when_threads_contend),
		TEST(keys_come_and_go),
		TEST(a_swap_takes_place_only_from_what_is_expected),
		TEST(keys_are_bytes_up_to_a_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
