/* What is known of a connection's two ends after a few segments: numbers, bytes, holes, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kit/replay.h"

static void open_with(struct replay *r, const char *syn, const char *synack)
{
	replay_segment(r, CLI, syn);
	replay_segment(r, SVR, synack);
	replay_segment(r, CLI, ". 1:1(0) ack 1");
}

static void open_connection(struct replay *r)
{
	open_with(r, "S 0:0(0)", "S. 0:0(0) ack 1");
}

/* The only connection there is. */
static struct mos_conn *connection(const struct replay *r)
{
	for (uint32_t i = 1; i <= r->w->conns.top; i++)
		if (worker_conn(r->w, i)->flags & MOS_CONN_LIVE)
			return worker_conn(r->w, i);
	return NULL;
}

static void peek_is(struct replay *r, int side, const char *bytes)
{
	char buf[256];
	int sock = PASSIVE_MAX + (int)connection(r)->sock;
	ssize_t n = mtcp_peek(&r->w->mctx, sock, side, buf, sizeof(buf));

	assert_int_equal(n, strlen(bytes));
	assert_memory_equal(buf, bytes, strlen(bytes));
}

static void sequence_numbers_wrap_and_offsets_do_not(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	r.isn[CLI] = 0xfffffffa;
	open_connection(&r);
	replay_segment(&r, CLI, "P. 1:5(4) ack 1 \"abcd\"");
	replay_segment(&r, CLI, "P. 8:11(3) ack 1 \"hij\"");
	replay_segment(&r, CLI, "P. 5:8(3) ack 1 \"efg\"");
	assert_string_equal(replay_segment(&r, CLI, "P. 1:5(4) ack 1 \"abcd\""),
			    "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in");
	assert_int_equal(connection(&r)->end[CLI].nxt_off, 10);
	assert_int_equal(track_bytes(&r.w->tcp, connection(&r), CLI), 10);
	peek_is(&r, SVR, "abcdefghij");
	replay_fini(&r);
}

static void a_window_is_scaled_only_if_both_offered_it(void **state)
{
	static const struct {
		const char *syn, *synack;
		uint32_t window;
	} cases[] = {
		{ "S 0:0(0) <wscale 7>", "S. 0:0(0) ack 1 <wscale 3>", 1000 << 7 },
		{ "S 0:0(0) <wscale 7>", "S. 0:0(0) ack 1", 1000 },
		{ "S 0:0(0)", "S. 0:0(0) ack 1 <wscale 3>", 1000 },
		{ "S 0:0(0) <wscale 200>", "S. 0:0(0) ack 1 <wscale 0>", 1000 << 14 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct replay r;

		replay_init(&r, NULL);
		open_with(&r, cases[i].syn, cases[i].synack);
		replay_segment(&r, CLI, ". 1:1(0) ack 1 win 1000");
		assert_int_equal(connection(&r)->end[CLI].win, cases[i].window);
		replay_fini(&r);
	}
}

static void holes_are_counted_until_they_are_filled(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r);
	replay_segment(&r, CLI, "P. 11:21(10) ack 1");
	replay_segment(&r, CLI, "P. 31:41(10) ack 1");
	assert_int_equal(track_bytes(&r.w->tcp, connection(&r), CLI), 20);
	assert_int_equal(track_missing(&r.w->tcp, connection(&r), CLI), 20);
	replay_segment(&r, CLI, "P. 21:31(10) ack 1");
	assert_int_equal(track_missing(&r.w->tcp, connection(&r), CLI), 10);
	replay_segment(&r, SVR, ". 1:1(0) ack 61");
	assert_int_equal(track_missing(&r.w->tcp, connection(&r), CLI), 30);
	replay_segment(&r, CLI, "P. 1:11(10) ack 1");
	assert_int_equal(connection(&r)->end[CLI].seen, 0);
	replay_fini(&r);
}

static void retransmission_is_told_with_buffers_off(void **state)
{
	struct replay r;
	int off = 0;

	(void)state;
	replay_init(&r, NULL);
	mtcp_setsockopt(&r.w->mctx, r.sock, SOL_MONSOCKET, MOS_CLIBUF, &off, sizeof(off));
	mtcp_setsockopt(&r.w->mctx, r.sock, SOL_MONSOCKET, MOS_SVRBUF, &off, sizeof(off));
	open_connection(&r);
	assert_string_equal(replay_segment(&r, CLI, "P. 1:11(10) ack 1"), "snd cli: pkt_in; rcv svr: pkt_in");
	replay_segment(&r, CLI, "P. 21:31(10) ack 1");
	assert_string_equal(replay_segment(&r, CLI, "P. 11:21(10) ack 1"), "snd cli: pkt_in; rcv svr: pkt_in");
	assert_string_equal(replay_segment(&r, CLI, "P. 25:35(10) ack 1"),
			    "snd cli: pkt_in rexmit; rcv svr: rexmit pkt_in");
	assert_int_equal(connection(&r)->end[CLI].rexmits, 1);
	assert_int_equal(r.w->tcp.streams.used, 0);
	replay_fini(&r);
}

static void whoever_was_first_or_last_wins_an_overlap(void **state)
{
	static const struct {
		int policy;
		const char *bytes;
	} cases[] = {
		{ MOS_OVERLAP_POLICY_FIRST, "AAAAbbBBBB" },
		{ MOS_OVERLAP_POLICY_LAST, "AAAbbbbBBB" },
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct replay r;

		replay_init(&r, NULL);
		mtcp_setsockopt(&r.w->mctx, r.sock, SOL_MONSOCKET, MOS_SVROVERLAP, &cases[i].policy, sizeof(int));
		open_connection(&r);
		replay_segment(&r, CLI, "P. 1:5(4) ack 1 \"AAAA\"");
		replay_segment(&r, CLI, "P. 7:11(4) ack 1 \"BBBB\"");
		replay_segment(&r, CLI, "P. 4:8(4) ack 1 \"bbbb\"");
		peek_is(&r, SVR, cases[i].bytes);
		replay_fini(&r);
	}
}

static void a_gap_is_reported_once_and_the_stream_goes_on_after_it(void **state)
{
	struct replay r;
	char buf[64];

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r);
	replay_segment(&r, CLI, "P. 1:4(3) ack 1 \"abc\"");
	replay_segment(&r, CLI, "P. 9:12(3) ack 1 \"xyz\"");
	replay_segment(&r, SVR, ". 1:1(0) ack 12");
	replay_wait(&r, 1);
	replay_segment(&r, SVR, ". 1:1(0) ack 12");
	int sock = PASSIVE_MAX + (int)connection(&r)->sock;
	peek_is(&r, SVR, "abc");
	assert_int_equal(mtcp_peek(&r.w->mctx, sock, SVR, buf, sizeof(buf)), -1);
	assert_int_equal(r.w->stats.gap_bytes, 5);
	peek_is(&r, SVR, "xyz");
	assert_int_equal(mtcp_peek(&r.w->mctx, sock, SVR, buf, sizeof(buf)), 0);
	replay_fini(&r);
}

static void at_the_limit_half_open_connections_go_first(void **state)
{
	struct replay r;
	struct settings set;

	(void)state;
	settings_default(&set);
	set.max_conns = 2;
	replay_init(&r, &set);
	open_connection(&r);
	r.port[CLI] = 40001;
	replay_segment(&r, CLI, "S 0:0(0)");
	r.port[CLI] = 40002;
	replay_segment(&r, CLI, "S 0:0(0)");
	assert_int_equal(r.w->stats.conn_limit, 1);
	assert_int_equal(r.w->stats.ended[MOS_ENDED_LIMIT], 1);
	r.port[CLI] = 40000;
	assert_string_equal(replay_segment(&r, CLI, "P. 1:4(3) ack 1"),
			    "snd cli: pkt_in; rcv svr: pkt_in; nul svr: conn_new_data");
	replay_fini(&r);
}

static void late_segments_belong_to_a_closed_connection_while_it_lingers(void **state)
{
	struct replay r;
	struct settings set;

	(void)state;
	settings_default(&set);
	set.max_conns = 10;
	replay_init(&r, &set);
	open_connection(&r);
	replay_segment(&r, CLI, "R. 1:1(0) ack 1");
	assert_string_equal(replay_segment(&r, SVR, "P. 1:4(3) ack 1"),
			    "snd svr: pkt_in; rcv cli: pkt_in; nul cli: conn_new_data");
	assert_int_equal(r.w->stats.after_close_packets, 1);
	assert_string_equal(replay_wait(&r, 4), "");
	assert_non_null(strstr(replay_wait(&r, 2), "conn_end"));
	replay_fini(&r);
}

static void ipv6_is_tracked_like_ipv4_by_a_socket_of_its_family(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	r.ipv6 = true;
	assert_string_equal(replay_segment(&r, CLI, "S 0:0(0)"), "");
	mtcp_close(&r.w->mctx, r.sock);
	r.sock = mtcp_socket(&r.w->mctx, AF_INET6, MOS_SOCK_MONITOR_STREAM, 0);
	assert_true(r.sock >= 0);
	open_connection(&r);
	assert_int_equal(connection(&r)->key.family, 6);
	assert_int_equal(connection(&r)->end[SVR].state, TCP_ESTABLISHED);
	replay_fini(&r);
}

/* 2.5 GB were missed: the next numbers lie below the last ones, as far as 32 bits can tell. */
static void a_stream_goes_on_after_an_outage_that_moves_its_numbers_back(void **state)
{
	struct replay r;
	char buf[16];

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r);
	replay_segment(&r, CLI, "P. 1:5(4) ack 1");
	replay_segment(&r, SVR, ". 1:1(0) ack 5");
	replay_segment(&r, CLI, "P. 2500000000:2500000004(4) ack 1");
	replay_segment(&r, SVR, ". 1:1(0) ack 2500000004");
	replay_segment(&r, CLI, "P. 2500000004:2500000008(4) ack 1");
	assert_int_equal(connection(&r)->end[CLI].nxt_off, 4);
	replay_segment(&r, CLI, "P. 2500000008:2500000012(4) ack 1 \"wxyz\"");
	assert_int_equal(connection(&r)->end[CLI].nxt_off, 2500000011);
	replay_segment(&r, SVR, ". 1:1(0) ack 2500000012");
	assert_int_equal(track_acked(connection(&r), CLI), 2500000011);
	replay_segment(&r, CLI, "P. 2500000012:2500000016(4) ack 1 \"ABCD\"");
	assert_int_equal(r.w->stats.gap_bytes, 2500000011 - 4);
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 1, SVR, buf, 16), -1);
	assert_int_equal(mtcp_peek(&r.w->mctx, PASSIVE_MAX + 1, SVR, buf, 16), 4);
	assert_memory_equal(buf, "ABCD", 4);
	replay_fini(&r);
}

/* Two old duplicates from far below change nothing. */
static void old_duplicates_from_far_below_are_no_outage(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	open_connection(&r);
	for (unsigned i = 0; i < 3; i++) {
		replay_segment(&r, CLI, "P. 1:5(4) ack 1");
		replay_segment(&r, SVR, ". 1:1(0) ack 60000005");
		replay_segment(&r, CLI, "P. 60000005:60000009(4) ack 1");
	}
	assert_int_equal(connection(&r)->end[CLI].nxt_off, 60000008);
	replay_fini(&r);
}

/* Replayed segments have a checksum of 0, which is wrong. */
static void with_checksums_verified_a_damaged_syn_begins_nothing(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	r.w->set.verify_checksums = true;
	assert_string_equal(replay_segment(&r, CLI, "S 0:0(0)"), "nul both: pkt_in orphan");
	assert_null(connection(&r));
	assert_int_equal(r.w->stats.bad_checksum, 1);
	r.w->set.verify_checksums = false;
	open_connection(&r);
	r.w->set.verify_checksums = true;
	assert_string_equal(replay_segment(&r, CLI, "P. 1:5(4) ack 1"), "nul svr: error(checksum)");
	assert_int_equal(connection(&r)->end[CLI].nxt_off, 0);
	replay_fini(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_numbers_wrap_and_offsets_do_not),
		cmocka_unit_test(a_window_is_scaled_only_if_both_offered_it),
		cmocka_unit_test(holes_are_counted_until_they_are_filled),
		cmocka_unit_test(retransmission_is_told_with_buffers_off),
		cmocka_unit_test(whoever_was_first_or_last_wins_an_overlap),
		cmocka_unit_test(a_gap_is_reported_once_and_the_stream_goes_on_after_it),
		cmocka_unit_test(at_the_limit_half_open_connections_go_first),
		cmocka_unit_test(late_segments_belong_to_a_closed_connection_while_it_lingers),
		cmocka_unit_test(ipv6_is_tracked_like_ipv4_by_a_socket_of_its_family),
		cmocka_unit_test(a_stream_goes_on_after_an_outage_that_moves_its_numbers_back),
		cmocka_unit_test(old_duplicates_from_far_below_are_no_outage),
		cmocka_unit_test(with_checksums_verified_a_damaged_syn_begins_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
