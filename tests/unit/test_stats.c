#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/stats.h"

enum { COUNTERS = sizeof(struct stats) / sizeof(uint64_t) };

static char *printed(const struct stats *s)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	stats_print(s, f);
	fclose(f);
	return text;
}

/* Every counter is a uint64_t and there is nothing else, so the structure reads as an array. */
static void a_sum_has_every_counter(void **state)
{
	union {
		struct stats s;
		uint64_t v[COUNTERS];
	} sum, add;

	(void)state;
	assert_int_equal(sizeof(struct stats) % sizeof(uint64_t), 0);
	for (unsigned i = 0; i < COUNTERS; i++) {
		sum.v[i] = 1000 * i;
		add.v[i] = i + 1;
	}
	stats_add(&sum.s, &add.s);
	/* But the longest of all is the longest of both. */
	assert_int_equal(sum.s.gc_longest_us, 1000 * (offsetof(struct stats, gc_longest_us) / sizeof(uint64_t)));
	sum.s.gc_longest_us += add.s.gc_longest_us;
	for (unsigned i = 0; i < COUNTERS; i++) {
		assert_int_equal(sum.v[i], 1000 * i + i + 1);
		assert_int_equal(add.v[i], i + 1);
	}
}

static void counters_print_with_name_count_and_meaning(void **state)
{
	static struct stats s;
	char *text;

	(void)state;
	s.packets = 3;
	s.gap_bytes = 1234567890123456;
	text = printed(&s);
	assert_non_null(strstr(text, "Packets\n  packets                               3  packets read\n"));
	assert_non_null(strstr(text, "  gap_bytes              1234567890123456  bytes missing in them\n"));
	assert_non_null(strstr(text, "  conflicts                             0  retransmissions with other bytes\n"));
	free(text);
}

static void every_counter_of_the_list_is_printed(void **state)
{
	static const char *const names[] = {
#define X(field, meaning) "\n  " #field " ",
		STATS_LIST(X)
#undef X
	};
	static struct stats s;

	(void)state;
	memset(&s, 1, sizeof(s));
	char *text = printed(&s);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strstr(text, names[i]))
			fail_msg("%s is not printed", names[i] + 3);
	}
	free(text);
}

static void reasons_and_events_print_only_where_they_occurred(void **state)
{
	static struct stats none, some;
	char *text = printed(&none);

	(void)state;
	assert_null(strstr(text, "Decoded as"));
	assert_null(strstr(text, "Fragments"));
	assert_null(strstr(text, "Connections ended by"));
	assert_null(strstr(text, "Events raised"));
	free(text);

	some.ended[MOS_ENDED_TIMEOUT] = 2;
	some.ended[MOS_ENDED_INPUT] = 1;
	some.fragments_cut = 3;
	some.decode[MOS_DECODE_CUT_TCP] = 4;
	some.events[SLOT_TCP_STATE_CHANGE_RCV] = 5;
	some.events[SLOT_ORPHAN_NUL] = 6;
	text = printed(&some);
	assert_non_null(strstr(text, "Connections ended by\n"
				     "  timeout                               2  idle for too long\n"
				     "  input                                 1  open when the input ended\n"
				     "TCP\n"));
	assert_non_null(strstr(text, "Decoded as\n  cut_tcp                               4  "));
	assert_non_null(strstr(text, "Fragments\n"
				     "  fragments_cut                         3  not captured whole\n"
				     "Connections\n"));
	assert_non_null(strstr(text, "Events raised\n"
				     "  tcp_state_change                      5  at rcv\n"
				     "  orphan                                6  at no hook\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_has_every_counter),
		cmocka_unit_test(counters_print_with_name_count_and_meaning),
		cmocka_unit_test(every_counter_of_the_list_is_printed),
		cmocka_unit_test(reasons_and_events_print_only_where_they_occurred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
