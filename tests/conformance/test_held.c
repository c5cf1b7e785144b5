/* Bytes that stay in their packets until the burst is over are read like bytes that were copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kit/replay.h"

enum { BURSTS = 3000, BURST_MAX = 6, TEXT_MAX = 64, LOG = 1 << 20 };

static struct replay replay;
static char logs[2][LOG];
static size_t used;
static char *reading;
static uint64_t rng, held, calls;

static uint32_t roll(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

/* Some handlers read all, some a part, some nothing; what they find is noted. */
static void read_some(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	char bytes[256];
	size_t want = ++calls % 7 ? sizeof(bytes) : calls % 2 ? 0 : 1 + (size_t)(calls % 11);
	ssize_t n = mtcp_peek(m, sock, side, bytes, want);

	(void)event, (void)arg;
	used += (size_t)snprintf(reading + used, LOG - used, "%d:%d %.*s\n", side, (int)n, n > 0 ? (int)n : 0, bytes);
	assert_true(used < LOG - 512);
	const struct mos_conn *c = replay.w->d.ctx->conn;
	const struct stream *st = track_stream(&replay.w->tcp, c, side);
	held += st && st->held;
}

static void listen_for_data(callback_t handler)
{
	int sock = mtcp_socket(&replay.w->mctx, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

	mtcp_close(&replay.w->mctx, replay.sock);
	assert_true(sock >= 0);
	assert_int_equal(mtcp_register_callback(&replay.w->mctx, sock, MOS_ON_CONN_NEW_DATA, MOS_NULL, handler), 0);
}

static uint32_t next[2];

/* The next bytes of a side, sometimes behind a hole that the next segment fills, sometimes old ones. */
static void segment(char *text, int side)
{
	uint32_t len = 1 + roll(40), from = next[side];

	if (!roll(60))
		from += 10;
	else if (!roll(30) && from > 30)
		from -= roll(30);
	snprintf(text, TEXT_MAX, ". %u:%u(%u) ack %u", from, from + len, len, next[!side]);
	if (from <= next[side] && from + len > next[side])
		next[side] = from + len;
}

static void conversation(bool looks_back)
{
	struct said said[BURST_MAX + 1];
	char text[BURST_MAX][TEXT_MAX];

	reading = logs[looks_back];
	used = 0;
	held = calls = 0;
	rng = 88172645463325252;
	replay_init(&replay, NULL);
	replay.w->looks_back = looks_back;
	listen_for_data(read_some);
	replay_segment(&replay, CLI, "S 0:0(0)");
	replay_segment(&replay, SVR, "S. 0:0(0) ack 1");
	replay_segment(&replay, CLI, ". 1:1(0) ack 1");
	next[0] = next[1] = 1;
	for (unsigned i = 0; i < BURSTS; i++) {
		unsigned n = 1 + roll(BURST_MAX);

		for (unsigned k = 0; k < n; k++) {
			int side = roll(3) ? (int)(i / 4 % 2) : (int)roll(2);

			segment(text[k], side);
			said[k] = (struct said){ side, text[k] };
		}
		said[n] = (struct said){ -1, NULL };
		replay_burst(&replay, said);
	}
	replay_end(&replay);
	replay_fini(&replay);
}

static void what_is_read_does_not_depend_on_where_the_bytes_lie(void **state)
{
	(void)state;
	conversation(true);
	assert_int_equal(held, 0);
	conversation(false);
	assert_true(held > BURSTS / 4);
	assert_string_equal(logs[false], logs[true]);
	assert_true(used > BURSTS * 10);
}

/* The first handler that gets data fails, and the run is to stop. */
static void fail_once(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)sock, (void)side, (void)event, (void)arg;
	worker_handler_failed(worker_of(m));
}

static void a_burst_that_is_given_up_leaves_nothing_in_its_packets(void **state)
{
	struct settings set;
	const struct said both[] = {
		{ CLI, "P. 1:6(5) ack 1" },
		{ SVR, "P. 1:6(5) ack 6" },
		{ -1, NULL },
	};

	(void)state;
	settings_default(&set);
	set.on_error = ON_ERROR_STOP;
	replay_init(&replay, &set);
	replay.w->looks_back = false;
	listen_for_data(fail_once);
	replay_segment(&replay, CLI, "S 0:0(0)");
	replay_segment(&replay, SVR, "S. 0:0(0) ack 1");
	replay_segment(&replay, CLI, ". 1:1(0) ack 1");
	replay_burst(&replay, both);
	assert_true(replay.w->failed);
	for (int side = 0; side < 2; side++) {
		const struct stream *st = track_stream(&replay.w->tcp, worker_conn(replay.w, 1), side);
		char bytes[5];

		assert_non_null(st);
		assert_int_equal(st->held, 0);
		assert_int_equal(stream_ppeek(st, 0, bytes, sizeof(bytes)), sizeof(bytes));
		assert_memory_equal(bytes, "abcde", sizeof(bytes));
	}
	replay_end(&replay);
	replay_fini(&replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_does_not_depend_on_where_the_bytes_lie),
		cmocka_unit_test(a_burst_that_is_given_up_leaves_nothing_in_its_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
