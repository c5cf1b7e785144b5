/*
 * Which events are raised, at which hook, for which side and in which order: tables of segments beside what a socket that
 * listens to everything hears.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kit/replay.h"

enum { END = -1, WAIT = -2, INPUT_ENDS = -3 };

struct line {
	int side; /* CLI, SVR; WAIT: text is seconds; INPUT_ENDS */
	const char *text;
	const char *heard;
};

static void check(struct replay *r, const struct line *steps)
{
	for (unsigned i = 0; steps[i].side != END; i++) {
		const struct line *s = &steps[i];
		const char *heard = s->side == WAIT         ? replay_wait(r, atof(s->text))
				    : s->side == INPUT_ENDS ? replay_end(r)
							    : replay_segment(r, s->side, s->text);

		if (strcmp(heard, s->heard) != 0)
			fail_msg("step %u, %s: heard\n  %s\nnot\n  %s", i + 1, s->text, heard, s->heard);
	}
}

static void run(const struct line *steps)
{
	struct replay r;

	replay_init(&r, NULL);
	check(&r, steps);
	replay_fini(&r);
}

static void run_midstream(const struct line *steps)
{
	struct replay r;
	struct settings set;

	settings_default(&set);
	set.max_conns = 100;
	set.midstream = true;
	replay_init(&r, &set);
	check(&r, steps);
	replay_fini(&r);
}

#define HANDSHAKE                                                                                                      \
	{ CLI, "S 0:0(0)", "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)" }, \
		{ SVR, "S. 0:0(0) ack 1", "snd svr: pkt_in; rcv cli: pkt_in state(established)" },                     \
	{                                                                                                              \
		CLI, ". 1:1(0) ack 1", "snd cli: pkt_in; rcv svr: pkt_in state(established)"                           \
	}

#define DATA_CLI      "snd cli: pkt_in; rcv svr: pkt_in; nul svr: conn_new_data"
#define ACK_SVR       "snd svr: pkt_in; rcv cli: pkt_in"
#define ACK_CLI       "snd cli: pkt_in; rcv svr: pkt_in"
#define OVER_SVR_LAST "snd svr: conn_end; rcv svr: conn_end; snd cli: conn_end; rcv cli: conn_end"
#define OVER_CLI_LAST "snd cli: conn_end; rcv cli: conn_end; snd svr: conn_end; rcv svr: conn_end"

static void a_plain_connection(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ SVR, ". 1:1(0) ack 11", ACK_SVR },
		{ SVR, "P. 1:6(5) ack 11", "snd svr: pkt_in; rcv cli: pkt_in; nul cli: conn_new_data" },
		{ CLI, "F. 11:11(0) ack 6", "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in state(close_wait)" },
		{ SVR, ". 6:6(0) ack 12", "snd svr: pkt_in; rcv cli: pkt_in state(fin_wait_2)" },
		{ SVR, "F. 6:6(0) ack 12", "snd svr: pkt_in state(last_ack); rcv cli: pkt_in state(time_wait)" },
		{ CLI, ". 12:12(0) ack 7", "snd cli: pkt_in; rcv svr: pkt_in state(closed); " OVER_CLI_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_repeated_syn_is_a_retransmission_and_no_second_start(void **state)
{
	static const struct line steps[] = {
		{ CLI, "S 0:0(0)",
		  "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)" },
		{ CLI, "S 0:0(0)", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in" },
		{ SVR, "S. 0:0(0) ack 1", "snd svr: pkt_in; rcv cli: pkt_in state(established)" },
		{ SVR, "S. 0:0(0) ack 1", "snd svr: pkt_in rexmit; rcv cli: rexmit pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_retransmission_is_raised_at_both_hooks_before_the_receivers_update(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ CLI, "P. 1:11(10) ack 1", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_segment_that_repeats_and_adds_is_both(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ CLI, "P. 6:16(10) ack 1", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in; nul svr: conn_new_data" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_segment_that_fills_a_hole_is_new_data(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 11:21(10) ack 1", "snd cli: pkt_in; rcv svr: pkt_in" },
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ CLI, "P. 5:8(3) ack 1", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_keepalive_probe_is_no_retransmission(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ SVR, ". 1:1(0) ack 11", ACK_SVR },
		{ CLI, ". 10:10(0) ack 1", ACK_CLI },
		{ CLI, ". 10:11(1) ack 1", ACK_CLI },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_single_byte_sent_again_before_its_acknowledgement_is_one(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:2(1) ack 1", DATA_CLI },
		{ CLI, "P. 1:2(1) ack 1", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_fin_sent_again_is_a_retransmission(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "F. 1:1(0) ack 1", "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in state(close_wait)" },
		{ CLI, "F. 1:1(0) ack 1", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void data_with_fin_is_delivered_before_the_end(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "FP. 1:4(3) ack 1",
		  "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in state(close_wait); nul svr: conn_new_data" },
		{ SVR, "FP. 1:4(3) ack 5",
		  "snd svr: pkt_in state(last_ack); rcv cli: pkt_in state(time_wait); nul cli: conn_new_data" },
		{ CLI, ". 5:5(0) ack 5", "snd cli: pkt_in; rcv svr: pkt_in state(closed); " OVER_CLI_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_whole_connection_in_one_burst_still_gets_its_data_before_its_end(void **state)
{
	static const struct said all[] = {
		{ CLI, "S 0:0(0)" },
		{ SVR, "S. 0:0(0) ack 1" },
		{ CLI, ". 1:1(0) ack 1" },
		{ CLI, "P. 1:4(3) ack 1" },
		{ CLI, "P. 4:9(5) ack 1" },
		{ SVR, "R. 1:1(0) ack 9" },
		{ -1, NULL },
	};
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	const char *heard = replay_burst(&r, all);
	const char *data = strstr(heard, "conn_new_data"), *over = strstr(heard, "conn_end");
	assert_non_null(data);
	assert_non_null(over);
	assert_true(data < over);
	assert_null(strstr(data + 1, "conn_new_data"));
	replay_fini(&r);
}

static void several_packets_of_a_burst_raise_new_data_once(void **state)
{
	static const struct line open[] = { HANDSHAKE, { END, NULL, NULL } };
	static const struct said data[] = {
		{ CLI, "P. 1:4(3) ack 1" },
		{ CLI, "P. 4:9(5) ack 1" },
		{ SVR, "P. 1:3(2) ack 9" },
		{ -1, NULL },
	};
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	check(&r, open);
	assert_string_equal(replay_burst(&r, data),
			    "snd cli: pkt_in; rcv svr: pkt_in; snd cli: pkt_in; rcv svr: pkt_in; "
			    "snd svr: pkt_in; rcv cli: pkt_in; nul svr: conn_new_data; nul cli: conn_new_data");
	replay_fini(&r);
}

static void a_simultaneous_open(void **state)
{
	static const struct line steps[] = {
		{ CLI, "S 0:0(0)",
		  "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)" },
		{ SVR, "S 0:0(0)", "snd svr: pkt_in; rcv cli: pkt_in state(syn_rcvd)" },
		{ CLI, "S. 0:0(0) ack 1", "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in state(established)" },
		{ SVR, "S. 0:0(0) ack 1", "snd svr: pkt_in rexmit; rcv cli: rexmit pkt_in state(established)" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_simultaneous_close(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "F. 1:1(0) ack 1", "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in state(close_wait)" },
		{ SVR, "F. 1:1(0) ack 1", "snd svr: pkt_in state(last_ack); rcv cli: pkt_in state(closing)" },
		{ CLI, ". 2:2(0) ack 2", "snd cli: pkt_in; rcv svr: pkt_in state(closed)" },
		{ SVR, ". 2:2(0) ack 2", "snd svr: pkt_in; rcv cli: pkt_in state(time_wait); " OVER_SVR_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_half_closed_connection_goes_on(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "F. 1:1(0) ack 1", "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in state(close_wait)" },
		{ SVR, "P. 1:6(5) ack 2",
		  "snd svr: pkt_in; rcv cli: pkt_in state(fin_wait_2); nul cli: conn_new_data" },
		{ CLI, ". 2:2(0) ack 6", ACK_CLI },
		{ SVR, "F. 6:6(0) ack 2", "snd svr: pkt_in state(last_ack); rcv cli: pkt_in state(time_wait)" },
		{ CLI, ". 2:2(0) ack 7", "snd cli: pkt_in; rcv svr: pkt_in state(closed); " OVER_CLI_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void data_in_the_syn_is_delivered(void **state)
{
	static const struct line steps[] = {
		{ CLI, "S 0:5(5)",
		  "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd); "
		  "nul svr: conn_new_data" },
		{ SVR, "S. 0:0(0) ack 6", "snd svr: pkt_in; rcv cli: pkt_in state(established)" },
		{ CLI, "P. 6:9(3) ack 1",
		  "snd cli: pkt_in; rcv svr: pkt_in state(established); nul svr: conn_new_data" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_refused_connection(void **state)
{
	static const struct line steps[] = {
		{ CLI, "S 0:0(0)",
		  "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)" },
		{ SVR, "R. 0:0(0) ack 1",
		  "snd svr: pkt_in state(closed); rcv cli: pkt_in state(closed); " OVER_SVR_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_reset_inside_the_window_ends_it(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "R. 1:1(0) ack 1",
		  "snd cli: pkt_in state(closed); rcv svr: pkt_in state(closed); " OVER_CLI_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_blind_reset_is_an_error_and_no_end(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "R 900000:900000(0)", "snd cli: pkt_in; nul svr: error(out_of_window); rcv svr: pkt_in" },
		{ SVR, "R. 0:0(0) ack 1", "snd svr: pkt_in; nul cli: error(out_of_window); rcv cli: pkt_in" },
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_new_syn_on_a_closing_4_tuple_ends_the_old_connection_first(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "F. 1:1(0) ack 1", "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in state(close_wait)" },
		{ CLI, "S 70000:70000(0)",
		  OVER_CLI_LAST "; snd cli: pkt_in conn_start state(syn_sent); "
				"rcv svr: pkt_in conn_start state(syn_rcvd)" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_syn_on_an_open_connection_counts_when_it_is_answered(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "S 70000:70000(0)", "snd cli: pkt_in; nul svr: error(out_of_window); rcv svr: pkt_in" },
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ CLI, "S 70000:70000(0)", "snd cli: pkt_in; nul svr: error(out_of_window); rcv svr: pkt_in" },
		{ SVR, "S. 90000:90000(0) ack 70001",
		  OVER_CLI_LAST "; snd svr: pkt_in conn_start state(syn_rcvd); "
				"rcv cli: pkt_in conn_start state(established)" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_connection_without_an_end_ends_with_the_input(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 11:21(10) ack 1", "snd cli: pkt_in; rcv svr: pkt_in" },
		{ INPUT_ENDS, "", "nul svr: error(gap) conn_new_data; " OVER_CLI_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_half_open_connection_times_out(void **state)
{
	static const struct line steps[] = {
		{ CLI, "S 0:0(0)",
		  "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)" },
		{ WAIT, "59", "" },
		{ WAIT, "2", OVER_CLI_LAST },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void an_acknowledged_hole_is_given_up_after_a_moment(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 11:21(10) ack 1", "snd cli: pkt_in; rcv svr: pkt_in" },
		{ SVR, ". 1:1(0) ack 21", ACK_SVR },
		{ WAIT, "0.3", "" },
		{ SVR, ". 1:1(0) ack 21",
		  "snd svr: pkt_in; nul svr: error(gap); rcv cli: pkt_in; nul svr: conn_new_data" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void bytes_that_the_snap_length_cut_off_are_not_waited_for(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:11(10) ack 1 snap 4",
		  "snd cli: pkt_in; nul svr: error(gap); rcv svr: pkt_in; nul svr: conn_new_data" },
		{ CLI, "P. 11:21(10) ack 1", DATA_CLI },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void an_acknowledged_hole_before_a_full_buffer_is_given_up_at_once(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 11:60011(60000) ack 1", "snd cli: pkt_in; rcv svr: pkt_in" },
		{ SVR, ". 1:1(0) ack 60011", ACK_SVR },
		{ CLI, "P. 60011:70011(10000) ack 1",
		  "snd cli: pkt_in; nul svr: error(gap) conn_new_data error(buffer_full); rcv svr: pkt_in; nul svr: conn_new_data" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

/* A handler that reads in time keeps up with any burst; one that does not is told before bytes go. */
static void a_full_buffer_is_announced_before_it_is_an_error(void **state)
{
	static const struct line open[] = { HANDSHAKE, { END, NULL, NULL } };
	static const struct said data[] = {
		{ CLI, "P. 1:40001(40000) ack 1" },
		{ CLI, "P. 40001:80001(40000) ack 1" },
		{ -1, NULL },
	};
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	check(&r, open);
	assert_string_equal(replay_burst(&r, data),
			    "snd cli: pkt_in; rcv svr: pkt_in; snd cli: pkt_in; "
			    "nul svr: conn_new_data error(buffer_full); rcv svr: pkt_in; nul svr: conn_new_data");
	assert_int_equal(r.w->stats.buffer_full, 1);
	replay_fini(&r);
}

static void a_fin_that_waits_behind_a_hole_is_received_when_the_hole_is_filled(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "F. 11:11(0) ack 1", "snd cli: pkt_in state(fin_wait_1); rcv svr: pkt_in" },
		{ CLI, "P. 1:11(10) ack 1",
		  "snd cli: pkt_in; rcv svr: pkt_in state(close_wait); nul svr: conn_new_data" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void tcp_without_a_connection_is_pkt_in_and_orphan(void **state)
{
	static const struct line steps[] = {
		{ CLI, "P. 1:11(10) ack 1", "nul both: pkt_in orphan" },
		{ SVR, "S. 0:0(0) ack 1", "nul both: pkt_in orphan" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void data_below_the_streams_start_is_an_error(void **state)
{
	static const struct line steps[] = {
		{ CLI, "P. 100:110(10) ack 1",
		  "snd cli: pkt_in conn_start; rcv svr: pkt_in conn_start; nul svr: conn_new_data" },
		{ CLI, "P. 50:60(10) ack 1", "snd cli: pkt_in; nul svr: error(out_of_window); rcv svr: pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run_midstream(steps);
}

static void a_syn_ack_after_a_reset_changes_nothing(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "R. 1:1(0) ack 1", "snd cli: pkt_in state(closed); rcv svr: pkt_in state(closed)" },
		{ SVR, "S. 7000:7000(0) ack 1", "snd svr: pkt_in; nul cli: error(out_of_window); rcv cli: pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run_midstream(steps);
}

static void midstream_pickup_starts_with_the_first_packet(void **state)
{
	static const struct line steps[] = {
		{ CLI, "P. 1:11(10) ack 1",
		  "snd cli: pkt_in conn_start; rcv svr: pkt_in conn_start; nul svr: conn_new_data" },
		{ SVR, "P. 1:6(5) ack 11", "snd svr: pkt_in; rcv cli: pkt_in; nul cli: conn_new_data" },
		{ END, NULL, NULL },
	};
	(void)state;
	run_midstream(steps);
}

static void midstream_the_lower_port_is_the_server_whoever_sends_first(void **state)
{
	static const struct line steps[] = {
		{ SVR, ". 1:1(0) ack 1", "snd svr: pkt_in conn_start; rcv cli: pkt_in conn_start" },
		{ END, NULL, NULL },
	};
	(void)state;
	run_midstream(steps);
}

static void an_old_timestamp_is_not_accepted(void **state)
{
	static const struct line steps[] = {
		{ CLI, "S 0:0(0) <TS val 100 ecr 0>",
		  "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)" },
		{ SVR, "S. 0:0(0) ack 1 <TS val 900 ecr 100>", "snd svr: pkt_in; rcv cli: pkt_in state(established)" },
		{ CLI, ". 1:1(0) ack 1 <TS val 101 ecr 900>", "snd cli: pkt_in; rcv svr: pkt_in state(established)" },
		{ CLI, "P. 1:11(10) ack 1 <TS val 50 ecr 900>",
		  "snd cli: pkt_in; nul svr: error(out_of_window); rcv svr: pkt_in" },
		{ CLI, "P. 1:11(10) ack 1 <TS val 102 ecr 900>", DATA_CLI },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void a_retransmission_with_other_bytes_is_an_error(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 1:6(5) ack 1 \"hello\"", DATA_CLI },
		{ CLI, "P. 1:6(5) ack 1 \"jello\"",
		  "snd cli: pkt_in rexmit; rcv svr: rexmit; nul svr: error(conflict); rcv svr: pkt_in" },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

static void data_beyond_any_window_is_an_error_until_it_goes_on(void **state)
{
	static const struct line steps[] = {
		HANDSHAKE,
		{ CLI, "P. 900000:900010(10) ack 1",
		  "snd cli: pkt_in; nul svr: error(out_of_window); rcv svr: pkt_in" },
		{ CLI, "P. 1:11(10) ack 1", DATA_CLI },
		{ END, NULL, NULL },
	};
	(void)state;
	run(steps);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_connection),
		cmocka_unit_test(a_repeated_syn_is_a_retransmission_and_no_second_start),
		cmocka_unit_test(a_retransmission_is_raised_at_both_hooks_before_the_receivers_update),
		cmocka_unit_test(a_segment_that_repeats_and_adds_is_both),
		cmocka_unit_test(a_segment_that_fills_a_hole_is_new_data),
		cmocka_unit_test(a_keepalive_probe_is_no_retransmission),
		cmocka_unit_test(a_single_byte_sent_again_before_its_acknowledgement_is_one),
		cmocka_unit_test(a_fin_sent_again_is_a_retransmission),
		cmocka_unit_test(data_with_fin_is_delivered_before_the_end),
		cmocka_unit_test(a_whole_connection_in_one_burst_still_gets_its_data_before_its_end),
		cmocka_unit_test(several_packets_of_a_burst_raise_new_data_once),
		cmocka_unit_test(a_simultaneous_open),
		cmocka_unit_test(a_simultaneous_close),
		cmocka_unit_test(a_half_closed_connection_goes_on),
		cmocka_unit_test(data_in_the_syn_is_delivered),
		cmocka_unit_test(a_refused_connection),
		cmocka_unit_test(a_reset_inside_the_window_ends_it),
		cmocka_unit_test(a_blind_reset_is_an_error_and_no_end),
		cmocka_unit_test(a_new_syn_on_a_closing_4_tuple_ends_the_old_connection_first),
		cmocka_unit_test(a_syn_on_an_open_connection_counts_when_it_is_answered),
		cmocka_unit_test(a_connection_without_an_end_ends_with_the_input),
		cmocka_unit_test(a_half_open_connection_times_out),
		cmocka_unit_test(an_acknowledged_hole_is_given_up_after_a_moment),
		cmocka_unit_test(bytes_that_the_snap_length_cut_off_are_not_waited_for),
		cmocka_unit_test(an_acknowledged_hole_before_a_full_buffer_is_given_up_at_once),
		cmocka_unit_test(a_full_buffer_is_announced_before_it_is_an_error),
		cmocka_unit_test(a_fin_that_waits_behind_a_hole_is_received_when_the_hole_is_filled),
		cmocka_unit_test(tcp_without_a_connection_is_pkt_in_and_orphan),
		cmocka_unit_test(data_below_the_streams_start_is_an_error),
		cmocka_unit_test(a_syn_ack_after_a_reset_changes_nothing),
		cmocka_unit_test(midstream_pickup_starts_with_the_first_packet),
		cmocka_unit_test(midstream_the_lower_port_is_the_server_whoever_sends_first),
		cmocka_unit_test(an_old_timestamp_is_not_accepted),
		cmocka_unit_test(a_retransmission_with_other_bytes_is_an_error),
		cmocka_unit_test(data_beyond_any_window_is_an_error_until_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
