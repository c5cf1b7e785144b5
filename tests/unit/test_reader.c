/* Reading an end's bytes through a socket's own cursor. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/reader.h"
#include "fake_worker.h"

static struct worker *w;
static struct mos_conn *c;
static int sock, other;

static int setup(void **state)
{
	(void)state;
	w = fake_worker_new();
	monitor_open(w, 4, false);
	monitor_open(w, 4, false);
	c = fake_conn(w, 2);
	sock = fake_sock(w, c, 0);
	other = fake_sock(w, c, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_worker_free(w);
	return 0;
}

/* What up to len bytes say; "-" and the error's number on failure. */
static const char *peek(int s, size_t len)
{
	static char text[64];
	ssize_t n = reader_peek(w, s, MOS_SIDE_SVR, text, len);

	if (n < 0)
		snprintf(text, sizeof(text), "-%d", (int)-n);
	else
		text[n] = '\0';
	return text;
}

static const char *failure(int err)
{
	static char text[16];

	snprintf(text, sizeof(text), "-%d", err);
	return text;
}

static void each_socket_reads_from_its_own_cursor(void **state)
{
	(void)state;
	assert_string_equal(peek(sock, 10), "");
	fake_data(w, c, MOS_SIDE_SVR, 0, "abcdef");
	assert_string_equal(peek(sock, 2), "ab");
	assert_string_equal(peek(other, 4), "abcd");
	assert_string_equal(peek(sock, 10), "cdef");
	assert_string_equal(peek(sock, 10), "");
	fake_data(w, c, MOS_SIDE_SVR, 6, "gh");
	assert_string_equal(peek(sock, 10), "gh");
	assert_string_equal(peek(other, 10), "efgh");
	assert_int_equal(reader_peek(w, sock, MOS_SIDE_CLI, NULL, 0), 0);
}

static void a_view_needs_no_copy_and_moves_nothing_until_consumed(void **state)
{
	const uint8_t *bytes;
	uint64_t gap = 7;

	(void)state;
	fake_data(w, c, MOS_SIDE_SVR, 0, "abcdef");
	assert_int_equal(reader_view(w, sock, MOS_SIDE_SVR, &bytes, &gap), 6);
	assert_int_equal(gap, 0);
	assert_memory_equal(bytes, "abcdef", 6);
	assert_int_equal(reader_consume(w, sock, MOS_SIDE_SVR, 4), 4);
	assert_int_equal(reader_view(w, sock, MOS_SIDE_SVR, &bytes, NULL), 2);
	assert_memory_equal(bytes, "ef", 2);
	assert_int_equal(reader_consume(w, sock, MOS_SIDE_SVR, 100), 2);
	assert_int_equal(reader_view(w, sock, MOS_SIDE_SVR, &bytes, &gap), 0);
}

static void overwritten_bytes_are_reported_once_with_their_number(void **state)
{
	const uint8_t *bytes;
	uint64_t gap;

	(void)state;
	fake_data(w, c, MOS_SIDE_SVR, 0, "0123456789abcdef");
	assert_string_equal(peek(sock, 2), "01");
	fake_data(w, c, MOS_SIDE_SVR, 16, "ghij");
	assert_int_equal(reader_view(w, sock, MOS_SIDE_SVR, &bytes, &gap), -ENODATA);
	assert_int_equal(gap, 2);
	assert_string_equal(peek(sock, 3), "456");
	assert_string_equal(peek(other, 3), failure(ENODATA));
	assert_string_equal(peek(other, 30), "456789abcdefghij");
}

static void a_gap_is_reported_between_the_bytes_around_it(void **state)
{
	(void)state;
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	fake_data(w, c, MOS_SIDE_SVR, 6, "ghi");
	assert_string_equal(peek(sock, 10), "abc");
	assert_string_equal(peek(sock, 10), "");
	stream_skip(track_stream(&w->tcp, c, MOS_SIDE_SVR), &w->tcp.slab, 6);
	assert_string_equal(peek(sock, 10), failure(ENODATA));
	assert_string_equal(peek(sock, 10), "ghi");
	assert_string_equal(peek(other, 10), "abc");
	assert_string_equal(peek(other, 10), failure(ENODATA));
}

static void ppeek_reads_anywhere_and_early_bytes_too(void **state)
{
	char buf[8] = "";

	(void)state;
	assert_int_equal(reader_ppeek(w, sock, MOS_SIDE_SVR, buf, 3, 0), -ENODATA);
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	fake_data(w, c, MOS_SIDE_SVR, 6, "ghi");
	assert_int_equal(reader_ppeek(w, sock, MOS_SIDE_SVR, buf, 8, 1), 2);
	assert_memory_equal(buf, "bc", 2);
	assert_int_equal(reader_ppeek(w, sock, MOS_SIDE_SVR, buf, 2, 6), 2);
	assert_memory_equal(buf, "gh", 2);
	assert_int_equal(reader_ppeek(w, sock, MOS_SIDE_SVR, buf, 2, 4), -ENODATA);
	assert_int_equal(reader_ppeek(w, sock, MOS_SIDE_SVR, buf, 2, 9), -ENODATA);
	assert_int_equal(reader_ppeek(w, sock, MOS_SIDE_SVR, buf, 2, 1ull << 40), -ENODATA);
	assert_int_equal(dispatch_sock(&w->d, sock)->cursor[MOS_SIDE_SVR], 0);
	assert_int_equal(dispatch_sock(&w->d, sock)->flags & MOS_SOCK_READS_SVR, 0);
}

static void searching_looks_at_unread_bytes_in_order(void **state)
{
	(void)state;
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "x", 1), -ENOENT);
	assert_int_equal(reader_starts_with(w, sock, MOS_SIDE_SVR, "G", 1), 0);
	fake_data(w, c, MOS_SIDE_SVR, 0, "GET /x");
	fake_data(w, c, MOS_SIDE_SVR, 8, "zz");
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "/x", 2), 4);
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "z", 1), -ENOENT);
	assert_int_equal(reader_starts_with(w, sock, MOS_SIDE_SVR, "GET ", 4), 1);
	assert_int_equal(reader_starts_with(w, sock, MOS_SIDE_SVR, "GET /xy", 7), 0);
	assert_int_equal(reader_starts_with(w, sock, MOS_SIDE_SVR, "", 0), 1);
	reader_consume(w, sock, MOS_SIDE_SVR, 4);
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "/x", 2), 0);
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "GET", 3), -ENOENT);
	assert_int_equal(reader_starts_with(w, other, MOS_SIDE_SVR, "GET ", 4), 1);
}

static void searching_at_a_gap_finds_nothing_and_leaves_it_to_be_seen(void **state)
{
	(void)state;
	fake_data(w, c, MOS_SIDE_SVR, 3, "def");
	stream_skip(track_stream(&w->tcp, c, MOS_SIDE_SVR), &w->tcp.slab, 3);
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "d", 1), -ENOENT);
	assert_int_equal(reader_starts_with(w, sock, MOS_SIDE_SVR, "d", 1), 0);
	assert_string_equal(peek(sock, 10), failure(ENODATA));
	assert_int_equal(reader_find(w, sock, MOS_SIDE_SVR, "e", 1), 1);
}

static void runs_are_what_is_buffered(void **state)
{
	struct range runs[3];

	(void)state;
	assert_int_equal(reader_runs(w, sock, MOS_SIDE_SVR, runs, 3), -ENODATA);
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	fake_data(w, c, MOS_SIDE_SVR, 6, "ghi");
	fake_data(w, c, MOS_SIDE_SVR, 12, "m");
	assert_int_equal(reader_runs(w, sock, MOS_SIDE_SVR, runs, 3), 3);
	assert_int_equal(runs[0].from, 0);
	assert_int_equal(runs[0].to, 3);
	assert_int_equal(runs[1].from, 6);
	assert_int_equal(runs[2].to, 13);
	assert_int_equal(reader_runs(w, sock, MOS_SIDE_SVR, runs, 2), 2);
	assert_int_equal(reader_runs(w, sock, MOS_SIDE_SVR, runs, 0), 0);
}

static void info_counts_in_the_senders_sequence_numbers(void **state)
{
	struct tcp_buf_info info;

	(void)state;
	assert_int_equal(reader_info(w, sock, MOS_SIDE_SVR, &info), -ENODATA);
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	fake_data(w, c, MOS_SIDE_SVR, 6, "ghi");
	peek(sock, 2);
	assert_int_equal(reader_info(w, sock, MOS_SIDE_SVR, &info), 0);
	assert_int_equal(info.tcpbi_init_seq, 1000);
	assert_int_equal(info.tcpbi_last_byte_read, 1002);
	assert_int_equal(info.tcpbi_next_byte_expected, 1003);
	assert_int_equal(info.tcpbi_last_byte_received, 1009);
}

static void the_slowest_reader_says_what_is_kept(void **state)
{
	(void)state;
	fake_data(w, c, MOS_SIDE_SVR, 0, "abcdef");
	assert_int_equal(reader_keep(w, c, MOS_SIDE_SVR), UINT64_MAX);
	peek(sock, 4);
	assert_int_equal(reader_keep(w, c, MOS_SIDE_SVR), 4);
	assert_int_equal(reader_keep(w, c, MOS_SIDE_CLI), UINT64_MAX);
	reader_starts_with(w, other, MOS_SIDE_SVR, "a", 1);
	assert_int_equal(reader_keep(w, c, MOS_SIDE_SVR), 0);
	peek(other, 5);
	assert_int_equal(reader_keep(w, c, MOS_SIDE_SVR), 4);
	monitor_stop(w, sock, MOS_SIDE_SVR);
	assert_int_equal(reader_keep(w, c, MOS_SIDE_SVR), 5);
	monitor_close(w, other);
	assert_int_equal(reader_keep(w, c, MOS_SIDE_SVR), UINT64_MAX);
}

static void a_wrong_socket_or_side_is_refused(void **state)
{
	static const uint8_t *bytes;
	struct tcp_buf_info info;
	struct range run;

	(void)state;
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	monitor_close(w, other);

	const struct {
		int sock, side, err;
	} cases[] = {
		{ 0, MOS_SIDE_SVR, -ENOTSOCK },  { 2, MOS_SIDE_SVR, -EBADF },          { -1, MOS_SIDE_SVR, -EBADF },
		{ other, MOS_SIDE_SVR, -EBADF }, { sock, MOS_SIDE_BOTH, -EINVAL },     { sock, -1, -EINVAL },
		{ sock, 0x7fffffff, -EINVAL },   { 0x7fffffff, MOS_SIDE_SVR, -EBADF },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int s = cases[i].sock, side = cases[i].side, err = cases[i].err;

		assert_int_equal(reader_view(w, s, side, &bytes, NULL), err);
		assert_int_equal(reader_consume(w, s, side, 1), err);
		assert_int_equal(reader_peek(w, s, side, &info, 1), err);
		assert_int_equal(reader_ppeek(w, s, side, &info, 1, 0), err);
		assert_int_equal(reader_find(w, s, side, "a", 1), err);
		assert_int_equal(reader_starts_with(w, s, side, "a", 1), err);
		assert_int_equal(reader_runs(w, s, side, &run, 1), err);
		assert_int_equal(reader_info(w, s, side, &info), err);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_socket_reads_from_its_own_cursor),
		TEST(a_view_needs_no_copy_and_moves_nothing_until_consumed),
		TEST(overwritten_bytes_are_reported_once_with_their_number),
		TEST(a_gap_is_reported_between_the_bytes_around_it),
		TEST(ppeek_reads_anywhere_and_early_bytes_too),
		TEST(searching_looks_at_unread_bytes_in_order),
		TEST(searching_at_a_gap_finds_nothing_and_leaves_it_to_be_seen),
		TEST(runs_are_what_is_buffered),
		TEST(info_counts_in_the_senders_sequence_numbers),
		TEST(the_slowest_reader_says_what_is_kept),
		TEST(a_wrong_socket_or_side_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
