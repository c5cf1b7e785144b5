/* What happens at each limit, and that nothing is lost in silence: a counter says it, and an event where it has a place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kit/replay.h"

static void begin(struct replay *r, struct settings *set)
{
	set->linger_ns = 0;
	replay_init(r, set);
}

static void standard(struct settings *set)
{
	settings_default(set);
	set->max_conns = 1000;
}

static void set_option(struct replay *r, int option, int value)
{
	assert_int_equal(mtcp_setsockopt(&r->w->mctx, r->sock, SOL_MONSOCKET, option, &value, sizeof(value)), 0);
}

static void open_connection(struct replay *r, uint16_t port)
{
	r->port[CLI] = port;
	replay_segment(r, CLI, "S 0:0(0)");
	replay_segment(r, SVR, "S. 0:0(0) ack 1");
	replay_segment(r, CLI, ". 1:1(0) ack 1");
}

static void says(const char *log, const char *word)
{
	if (!strstr(log, word))
		fail_msg("'%s' is not in: %s", word, log);
}

static void at_the_limit_of_connections_a_half_open_one_makes_room(void **state)
{
	struct settings set;
	struct replay r;

	(void)state;
	standard(&set);
	set.max_conns = 2;
	begin(&r, &set);
	open_connection(&r, 1);
	r.port[CLI] = 2;
	replay_segment(&r, CLI, "S 0:0(0)");
	r.port[CLI] = 3;
	says(replay_segment(&r, CLI, "S 0:0(0)"), "conn_end");
	assert_int_equal(r.w->stats.conn_limit, 1);
	assert_int_equal(r.w->stats.ended[MOS_ENDED_LIMIT], 1);
	r.port[CLI] = 1;
	says(replay_segment(&r, CLI, "P. 1:5(4) ack 1"), "conn_new_data");
	r.port[CLI] = 2;
	says(replay_segment(&r, CLI, ". 1:1(0) ack 1"), "orphan");
	assert_int_equal(r.w->stats.orphans_no_syn, 1);
	replay_fini(&r);
}

static void at_the_limit_of_connections_further_ones_may_pass(void **state)
{
	struct settings set;
	struct replay r;

	(void)state;
	standard(&set);
	set.max_conns = 1;
	set.conns_pass = true;
	begin(&r, &set);
	r.port[CLI] = 1;
	replay_segment(&r, CLI, "S 0:0(0)");
	r.port[CLI] = 2;
	assert_string_equal(replay_segment(&r, CLI, "S 0:0(0)"), "nul both: pkt_in orphan");
	assert_int_equal(r.w->stats.conn_limit, 1);
	assert_int_equal(r.w->stats.orphans_limit, 1);
	assert_int_equal(r.w->stats.connections_ended, 0);
	replay_fini(&r);
}

static void at_the_limit_of_sockets_further_ones_are_refused_and_counted(void **state)
{
	struct settings set;
	struct replay r;

	(void)state;
	standard(&set);
	set.max_conns = 1;
	begin(&r, &set);
	for (int i = 1; i < 6; i++)
		assert_true(mtcp_socket(&r.w->mctx, AF_INET, MOS_SOCK_MONITOR_STREAM, 0) > 0);
	says(replay_segment(&r, CLI, "S 0:0(0)"), "conn_start");
	assert_int_equal(r.w->stats.sockets, 4);
	assert_int_equal(r.w->stats.sock_limit, 2);
	replay_fini(&r);
}

static void holes_beyond_what_is_remembered_are_counted(void **state)
{
	struct replay r;
	char text[64];

	(void)state;
	replay_init(&r, NULL);
	r.quiet = true;
	open_connection(&r, 1);
	for (unsigned i = 1; i < TRACK_MAX_HOLES; i++) {
		snprintf(text, sizeof(text), "P. %u:%u(1) ack 1", 2 * i + 1, 2 * i + 2);
		replay_segment(&r, CLI, text);
	}
	assert_int_equal(r.w->stats.hole_limit, 0);
	for (unsigned i = TRACK_MAX_HOLES; i < TRACK_MAX_HOLES + 4; i++) {
		snprintf(text, sizeof(text), "P. %u:%u(1) ack 1", 2 * i + 1, 2 * i + 2);
		replay_segment(&r, CLI, text);
	}
	assert_int_equal(r.w->stats.hole_limit, 3);
	replay_fini(&r);
}

static void a_packet_that_no_filter_accepts_is_counted(void **state)
{
	struct replay r;
	monitor_filter_t ft = { .stream_syn_filter = "port 81" };

	(void)state;
	replay_init(&r, NULL);
	assert_int_equal(mtcp_bind_monitor_filter(&r.w->mctx, r.sock, &ft), 0);
	assert_string_equal(replay_segment(&r, CLI, "S 0:0(0)"), "nul both: pkt_in orphan");
	assert_int_equal(r.w->stats.orphans_filtered, 1);
	replay_fini(&r);
}

static void early_bytes_beyond_the_buffer_are_an_error(void **state)
{
	struct settings set;
	struct replay r;

	(void)state;
	standard(&set);
	set.default_buf = 100;
	begin(&r, &set);
	open_connection(&r, 1);
	says(replay_segment(&r, CLI, "P. 51:151(100) ack 1"), "error(buffer_full)");
	assert_int_equal(r.w->stats.buffer_lost_bytes, 50);
	assert_int_equal(r.w->stats.buffer_full, 1);
	replay_fini(&r);
}

static void more_early_runs_than_are_kept_are_an_error(void **state)
{
	struct replay r;
	char text[64];

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r, 1);
	for (unsigned i = 1; i <= STREAM_MAX_RUNS; i++) {
		snprintf(text, sizeof(text), "P. %u:%u(1) ack 1", 2 * i + 1, 2 * i + 2);
		assert_null(strstr(replay_segment(&r, CLI, text), "error"));
	}
	says(replay_segment(&r, CLI, "P. 5001:5002(1) ack 1"), "error(buffer_full)");
	assert_int_equal(r.w->stats.buffer_lost_bytes, 1);
	replay_fini(&r);
}

static void without_memory_bytes_are_lost_with_an_error_and_a_gap(void **state)
{
	struct settings set;
	struct replay r;
	char buf[8];

	(void)state;
	standard(&set);
	set.buffer_memory = 100;
	begin(&r, &set);
	open_connection(&r, 1);
	says(replay_segment(&r, CLI, "P. 1:1001(1000) ack 1"), "error(buffer_full)");
	assert_int_equal(r.w->stats.buffer_lost_bytes, 1000);
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 1, SVR, buf, sizeof(buf)), -1);
	replay_fini(&r);
}

/* Two connections fill the memory; a third wants some. */
static void without_memory_the_largest_buffer_may_be_given_up(void **state)
{
	struct settings set;
	struct replay r;
	char buf[16];

	(void)state;
	standard(&set);
	set.buffer_memory = 30000;
	set.default_buf = 8192;
	set.memory_largest = true;
	begin(&r, &set);
	open_connection(&r, 1);
	replay_segment(&r, CLI, "P. 1:8193(8192) ack 1");
	open_connection(&r, 2);
	replay_segment(&r, CLI, "P. 1:8193(8192) ack 1");
	open_connection(&r, 3);
	const char *log = replay_segment(&r, CLI, "P. 1:8193(8192) ack 1");

	says(log, "error(memory)");
	says(log, "conn_new_data");
	assert_int_equal(r.w->stats.memory_limit, 1);
	assert_int_equal(r.w->stats.buffer_lost_bytes, 0);
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 3, SVR, buf, sizeof(buf)), sizeof(buf));
	r.port[CLI] = 1;
	says(replay_segment(&r, CLI, "P. 8193:8203(10) ack 1"), "error(buffer_full)");
	assert_int_equal(r.w->stats.buffer_lost_bytes, 10);
	replay_fini(&r);
}

static void unread_bytes_that_make_room_are_an_error_before_they_go(void **state)
{
	struct replay r;
	char buf[8];

	(void)state;
	replay_init(&r, NULL);
	set_option(&r, MOS_SVRBUF, 64);
	open_connection(&r, 1);
	replay_segment(&r, CLI, "P. 1:61(60) ack 1");
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 1, SVR, buf, 8), 8);
	says(replay_segment(&r, CLI, "P. 61:121(60) ack 1"), "error(buffer_full)");
	assert_int_equal(r.w->stats.buffer_full, 1);
	replay_fini(&r);
}

static void a_buffer_made_smaller_counts_what_it_loses(void **state)
{
	struct replay r;
	int small = 10;

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r, 1);
	replay_segment(&r, CLI, "P. 51:151(100) ack 1");
	assert_int_equal(mtcp_setsockopt(&r.w->mctx, PASSIVE_MAX + 1, SOL_MONSOCKET, MOS_SVRBUF, &small, sizeof(small)),
			 0);
	assert_int_equal(r.w->stats.buffer_lost_bytes, 100);
	replay_fini(&r);
}

static void payload_that_is_refused_is_counted_by_reason(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r, 1);
	says(replay_segment(&r, CLI, "P. 1000001:1000011(10) ack 1"), "error(out_of_window)");
	assert_int_equal(r.w->stats.refused_bytes, 10);
	says(replay_segment(&r, CLI, "P. 1:11(10) ack 1 snap 4"), "error(gap)");
	assert_int_equal(r.w->stats.cut_bytes, 6);
	replay_segment(&r, CLI, "F. 11:11(0) ack 1");
	says(replay_segment(&r, CLI, "P. 11:31(20) ack 1"), "error(out_of_window)");
	assert_int_equal(r.w->stats.outside_bytes, 20);
	replay_segment(&r, SVR, "R. 1:8(7) ack 12");
	assert_int_equal(r.w->stats.rst_bytes, 7);
	replay_fini(&r);
}

/* More is missing than the buffer spans: the stream goes on as soon as that much was acknowledged. */
static void a_hole_wider_than_the_buffer_does_not_wedge_the_stream(void **state)
{
	struct settings set;
	struct replay r;
	char buf[16];

	(void)state;
	standard(&set);
	set.default_buf = 100;
	begin(&r, &set);
	open_connection(&r, 1);
	says(replay_segment(&r, CLI, "P. 1001:1005(4) ack 1"), "error(buffer_full)");
	replay_segment(&r, SVR, ". 1:1(0) ack 1005");
	says(replay_segment(&r, CLI, "P. 1005:1009(4) ack 1 \"abcd\""), "error(gap)");
	assert_int_equal(r.w->stats.gap_bytes, 1004);
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 1, SVR, buf, sizeof(buf)), -1);
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 1, SVR, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "abcd", 4);
	replay_fini(&r);
}

/* The capture misses the last segment, or all of one direction: what was acknowledged tells. */
static void what_was_acknowledged_and_never_came_is_a_gap_at_the_end(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r, 1);
	replay_segment(&r, CLI, "P. 1:5(4) ack 1");
	assert_null(strstr(replay_segment(&r, SVR, ". 1:1(0) ack 30"), "error"));
	says(replay_end(&r), "error(gap)");
	assert_int_equal(r.w->stats.gap_bytes, 25);
	replay_fini(&r);

	replay_init(&r, NULL);
	open_connection(&r, 1);
	replay_segment(&r, SVR, ". 1:1(0) ack 30");
	says(replay_end(&r), "nul svr: error(gap) conn_new_data");
	assert_int_equal(r.w->stats.gap_bytes, 29);
	replay_fini(&r);
}

static void one_byte_more_than_was_seen_is_taken_for_a_fin_that_was_not(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r, 1);
	replay_segment(&r, CLI, "P. 1:5(4) ack 1");
	replay_segment(&r, SVR, ". 1:1(0) ack 6");
	assert_null(strstr(replay_end(&r), "error"));
	assert_int_equal(r.w->stats.gaps, 0);
	replay_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_the_limit_of_connections_a_half_open_one_makes_room),
		cmocka_unit_test(at_the_limit_of_connections_further_ones_may_pass),
		cmocka_unit_test(at_the_limit_of_sockets_further_ones_are_refused_and_counted),
		cmocka_unit_test(holes_beyond_what_is_remembered_are_counted),
		cmocka_unit_test(a_packet_that_no_filter_accepts_is_counted),
		cmocka_unit_test(early_bytes_beyond_the_buffer_are_an_error),
		cmocka_unit_test(more_early_runs_than_are_kept_are_an_error),
		cmocka_unit_test(without_memory_bytes_are_lost_with_an_error_and_a_gap),
		cmocka_unit_test(without_memory_the_largest_buffer_may_be_given_up),
		cmocka_unit_test(unread_bytes_that_make_room_are_an_error_before_they_go),
		cmocka_unit_test(a_buffer_made_smaller_counts_what_it_loses),
		cmocka_unit_test(payload_that_is_refused_is_counted_by_reason),
		cmocka_unit_test(a_hole_wider_than_the_buffer_does_not_wedge_the_stream),
		cmocka_unit_test(what_was_acknowledged_and_never_came_is_a_gap_at_the_end),
		cmocka_unit_test(one_byte_more_than_was_seen_is_taken_for_a_fin_that_was_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
