/* Timers: when they fire, in which order, and that they never hold up the packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/timers.h"

static struct mtcp_context context;
static struct dispatch d;
static struct timers t;
static char record[4096];
static uint64_t now;
static uint64_t again_ns; /* a handler sets its timer again after this; 0: it does not */
static int again_left;

static void fired(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg);

static const struct handler on = { fired, 0 };

static uint64_t add(uint64_t delay_ns, int id)
{
	return timers_add(&t, now, delay_ns, on, id);
}

static void fired(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	size_t n = strlen(record);

	assert_ptr_equal(m, &context);
	assert_int_equal(side, 0);
	assert_int_equal(event, 0);
	assert_null(arg);
	assert_int_equal(d.ctx->sock, sock);
	assert_null(d.ctx->pkt);
	assert_null(d.ctx->conn);
	assert_int_equal(d.ctx->in_handler, 1);
	snprintf(record + n, sizeof(record) - n, "%s%d", n ? " " : "", sock);
	if (again_left && again_left--)
		add(again_ns, sock + 1);
}

static const char *run(uint64_t now_ns)
{
	record[0] = '\0';
	now = now_ns;
	timers_run(&t, &d, now_ns);
	return record;
}

static int setup(void **state)
{
	(void)state;
	now = 1000;
	again_left = 0;
	assert_int_equal(dispatch_init(&d, &context, 10), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	timers_fini(&t);
	dispatch_fini(&d);
	return 0;
}

static void a_timer_fires_once_when_its_time_has_come(void **state)
{
	(void)state;
	assert_int_equal(timers_next(&t), UINT64_MAX);
	add(50, 7);
	assert_int_equal(timers_next(&t), 1050);
	assert_string_equal(run(1049), "");
	assert_string_equal(run(1050), "7");
	assert_string_equal(run(2000), "");
	assert_int_equal(d.calls, 1);
}

static void timers_fire_in_order_of_due_time_and_equal_ones_in_order_of_creation(void **state)
{
	(void)state;
	add(30, 1);
	add(10, 2);
	add(20, 3);
	add(10, 4);
	add(30, 5);
	add(10, 6);
	assert_string_equal(run(1020), "2 4 6 3");
	assert_string_equal(run(5000), "1 5");
}

static void a_timer_set_before_the_time_is_known_counts_from_the_first_packet(void **state)
{
	(void)state;
	now = 0;
	add(3000, 1);
	add(1000, 2);
	assert_int_equal(timers_next(&t), 0);
	now = 500;
	add(100, 3);
	assert_string_equal(run(0), "");
	assert_string_equal(run(500), "");
	assert_int_equal(timers_next(&t), 600);
	assert_string_equal(run(1499), "3");
	assert_string_equal(run(1500), "2");
	assert_string_equal(run(3499), "");
	assert_string_equal(run(3500), "1");
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	uint64_t a = add(10, 1), b = add(20, 2), c = add(30, 3);

	(void)state;
	assert_true(a && b && c);
	assert_true(timers_cancel(&t, b));
	assert_false(timers_cancel(&t, b));
	assert_false(timers_cancel(&t, 0));
	assert_string_equal(run(1010), "1");
	assert_false(timers_cancel(&t, a));
	assert_string_equal(run(1100), "3");
	now = 0;
	a = add(5, 9);
	assert_true(timers_cancel(&t, a));
	assert_int_equal(timers_next(&t), UINT64_MAX);
}

static void a_timer_set_for_now_fires_in_this_call_and_those_it_sets_in_the_next(void **state)
{
	(void)state;
	again_ns = 0;
	again_left = 1000;
	add(10, 1);
	assert_string_equal(run(1010), "1 2");
	assert_int_equal(timers_next(&t), 1011);
	assert_string_equal(run(1010), "");
	assert_string_equal(run(1011), "3 4");
}

static void a_periodic_timer_fires_once_however_late_the_packet(void **state)
{
	(void)state;
	again_ns = 100;
	again_left = 1000;
	add(100, 1);
	assert_string_equal(run(1000000), "1");
	assert_string_equal(run(1000099), "");
	assert_string_equal(run(1000100), "2");
}

static void a_delay_beyond_all_time_never_comes(void **state)
{
	(void)state;
	add(UINT64_MAX, 1);
	now = 0;
	add(UINT64_MAX, 2);
	assert_string_equal(run(1ull << 62), "");
	assert_int_equal(timers_next(&t), UINT64_MAX - 1);
}

static uint32_t lua_ref, ctx_ref;

static void engine_handle(void *arg, uint32_t ref)
{
	(void)arg;
	lua_ref = ref;
	ctx_ref = d.ctx->ref;
}

static void a_lua_timer_carries_its_key(void **state)
{
	(void)state;
	d.engine.handle = engine_handle;
	timers_add(&t, now, 1, on, 1);
	uint64_t key = timers_add(&t, now, 5, (struct handler){ NULL, 33 }, 2);

	run(1005);
	assert_int_equal(lua_ref, 33);
	assert_int_equal(ctx_ref, key);
	assert_int_equal(d.ctx->ref, 0);
}

/* Random additions, cancellations and steps in time against a plain list. */
enum { MANY = 1500 };

static void the_heap_agrees_with_a_list(void **state)
{
	static struct {
		uint64_t due, key;
		bool set;
	} list[MANY];
	unsigned seed = 3;
	int n = 0;

	(void)state;
	for (int step = 0; step < 1000; step++) {
		char want[sizeof(record)] = "";

		for (int i = rand_r(&seed) % 3; i > 0 && n < MANY; i--, n++) {
			uint64_t delay = (uint64_t)rand_r(&seed) % 3000;

			list[n].due = now + delay;
			list[n].key = add(delay, n);
			list[n].set = true;
		}
		if (n && rand_r(&seed) % 3 == 0) {
			int k = n > 60 ? n - 1 - rand_r(&seed) % 60 : rand_r(&seed) % n;

			assert_int_equal(timers_cancel(&t, list[k].key), list[k].set);
			list[k].set = false;
		}
		uint64_t to = now + (uint64_t)rand_r(&seed) % 60;

		for (;;) {
			int best = -1;

			for (int k = 0; k < n; k++)
				if (list[k].set && list[k].due <= to && (best < 0 || list[k].due < list[best].due))
					best = k;
			if (best < 0)
				break;
			list[best].set = false;
			size_t len = strlen(want);
			snprintf(want + len, sizeof(want) - len, "%s%d", len ? " " : "", best);
		}
		assert_string_equal(run(to), want);
	}
}

static void other(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
}

/* `fired` has become `other`, and nothing has become of anything else. */
static callback_t other_of(void *arg, callback_t old)
{
	(void)arg;
	return old == fired ? other : NULL;
}

static void timers_of_c_go_on_with_what_has_become_of_their_functions(void **state)
{
	struct timers old = { 0 }, new = { 0 };

	(void)state;
	timers_add(&old, 100, 50, (struct handler){ .fn = fired }, 1);
	timers_add(&old, 100, 60, (struct handler){ .fn = fired }, 2);
	timers_add(&old, 100, 10, (struct handler){ .fn = other }, 3);
	timers_add(&new, 0, 1000, (struct handler){ .fn = other }, 2);
	timers_add(&new, 0, 1000, (struct handler){ .fn = other }, 4);
	timers_take_over(&old, &new, 110, other_of, NULL);
	static const struct {
		uint64_t due_ns;
		int32_t id;
	} want[] = { { 150, 1 }, { 160, 2 }, { 1110, 4 } };

	assert_int_equal(old.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(old.heap[i].due_ns, want[i].due_ns);
		assert_int_equal(old.heap[i].id, want[i].id);
		assert_ptr_equal(old.heap[i].handler.fn, other);
	}
	timers_fini(&old);
	timers_fini(&new);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_timer_fires_once_when_its_time_has_come),
		TEST(timers_fire_in_order_of_due_time_and_equal_ones_in_order_of_creation),
		TEST(a_timer_set_before_the_time_is_known_counts_from_the_first_packet),
		TEST(a_cancelled_timer_does_not_fire),
		TEST(a_timer_set_for_now_fires_in_this_call_and_those_it_sets_in_the_next),
		TEST(a_periodic_timer_fires_once_however_late_the_packet),
		TEST(a_delay_beyond_all_time_never_comes),
		TEST(a_lua_timer_carries_its_key),
		TEST(the_heap_agrees_with_a_list),
		TEST(timers_of_c_go_on_with_what_has_become_of_their_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
