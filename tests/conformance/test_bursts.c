/*
 * How packets are cut into bursts is nobody's business: the same connections, states, bytes and events come out for any
 * size. Only CONN_NEW_DATA, which is raised once per burst, comes more or less often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connection.h"
#include "kit/replay.h"
#include "path.h"

enum { PACKETS = 3000, TUPLES = 8, LEN_MAX = 600 };

/* A packet as it was made, in memory of its own. */
static struct mos_packet packets[PACKETS];

/* What a run was like. */
struct account {
	uint64_t events; /* a hash of all but CONN_NEW_DATA, in their order */
	uint64_t bytes;  /* a sum of hashes of what each side of each connection received */
	struct stats stats;
};

/* Of each connection in the pool, by side. */
static uint64_t received[1001][2];

static struct account *account;
static uint64_t rng;

static uint32_t roll(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

/* Each byte with its place: a gap that two packets made may be found as one or as two. */
static void read_all(mctx_t m, int sock, int side, uint32_t conn)
{
	char buf[1024];
	ssize_t n;

	while ((n = mtcp_peek(m, sock, side, buf, sizeof(buf))) != 0) {
		uint64_t end = dispatch_sock(&worker_of(m)->d, sock)->cursor[side];

		for (ssize_t i = 0; i < n; i++)
			received[conn][side] = mix(received[conn][side],
						   (end - (uint64_t)(n - i)) << 8 | (uint8_t)buf[i]);
	}
}

static void on_event(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	const struct mos_ctx *ctx = worker_of(m)->d.ctx;
	const struct mos_conn *c = ctx->conn;

	(void)arg;
	if (c && (event == MOS_ON_CONN_NEW_DATA || event == MOS_ON_CONN_END))
		read_all(m, sock, side, (uint32_t)(c - ctx->conns));
	if (event == MOS_ON_CONN_NEW_DATA)
		return;
	account->events = mix(account->events, event << 8 | (uint64_t)side << 4 | ctx->hook >> 29);
	if (!c)
		return;
	account->events = mix(account->events, connection_uid(c) ^ c->end[0].state << 4 ^ c->end[1].state);
	account->events = mix(account->events, event == MOS_ON_ERROR ? c->err_reason : c->end[side & 1].nxt_off);
	if (event != MOS_ON_CONN_END || ctx->hook != MOS_HK_RCV)
		return;
	account->bytes += mix(received[c - ctx->conns][side], connection_uid(c) + (uint64_t)side);
	received[c - ctx->conns][side] = 0;
}

static void make_text(char *text, uint32_t at, uint32_t peer, int side)
{
	static const char *const flags[] = { "P.", ".", ".", "P.", "F.", "R." };
	uint32_t len = roll(3) ? roll(LEN_MAX) : 0, kind = roll(60), from = at;

	if (kind >= 40 && kind < 52)
		from = at + roll(900) - 300;
	kind = kind < 40 ? 0 : kind < 56 ? 1 : kind < 59 ? 4 : 5;
	if (!at)
		sprintf(text, "%s 0:0(0)%s", side ? "S." : "S", side ? " ack 1" : "");
	else
		sprintf(text, "%s %u:%u(%u) ack %u", flags[kind], from, from + len, len, peer);
}

static void record(void)
{
	static uint32_t at[TUPLES][2];
	struct replay r;

	memset(at, 0, sizeof(at));
	replay_init(&r, NULL);
	r.quiet = true;
	for (unsigned n = 0; n < PACKETS; n++) {
		unsigned t = roll(TUPLES);
		int side = (int)roll(2);
		char text[128];

		if (!roll(200))
			at[t][0] = at[t][1] = 0;
		if (!roll(150))
			r.now_ns += 70000000000;
		make_text(text, at[t][side], at[t][!side], side);
		r.port[CLI] = (uint16_t)(40000 + t);
		replay_segment(&r, side, text);
		packets[n] = r.packet;
		packets[n].data = malloc(r.packet.caplen);
		memcpy(packets[n].data, r.packet.data, r.packet.caplen);
		uint32_t from = 0, to = 0;

		sscanf(strchr(text, ' '), " %u:%u", &from, &to);
		at[t][side] = !at[t][side] ? 1 : to > at[t][side] && to < at[t][side] + 1000 ? to : at[t][side];
	}
	replay_fini(&r);
}

static void play(unsigned size, bool midstream, struct account *a)
{
	struct settings set;
	struct replay r;

	memset(a, 0, sizeof(*a));
	memset(received, 0, sizeof(received));
	account = a;
	settings_default(&set);
	set.max_conns = 1000;
	set.midstream = midstream;
	replay_init(&r, &set);
	replay_listen(&r, on_event);
	for (unsigned n = 0; n < PACKETS; n += size) {
		unsigned count = n + size < PACKETS ? size : PACKETS - n;

		for (unsigned i = 0; i < count; i++)
			r.w->burst[i] = packets[n + i];
		assert_int_equal(path_burst(r.w, count), count);
	}
	worker_finish(r.w);
	a->stats = r.w->stats;
	replay_fini(&r);
}

/* Handlers run as often as there are CONN_NEW_DATA. */
static void assert_same(const struct account *one, const struct account *many)
{
	struct stats a = one->stats, b = many->stats;

	assert_int_equal(one->events, many->events);
	assert_int_equal(one->bytes, many->bytes);
	a.handler_calls = b.handler_calls = 0;
	memset(a.events, 0, sizeof(a.events));
	memset(b.events, 0, sizeof(b.events));
	assert_memory_equal(&a, &b, sizeof(a));
}

static void any_size_of_bursts_gives_the_same(void **state)
{
	static const unsigned sizes[] = { 2, 3, 7, 16, 31, 32, 33, 64, 100, 255, WORKER_BURST };

	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct account one, many;

		rng = seed * 0x9e3779b97f4a7c15;
		record();
		play(1, seed & 1, &one);
		assert_true(one.stats.connections >= TUPLES);
		assert_true(one.stats.gaps > 0 && one.stats.rexmit_packets > 10);
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			play(sizes[i], seed & 1, &many);
			assert_same(&one, &many);
		}
		for (unsigned n = 0; n < PACKETS; n++)
			free(packets[n].data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_of_bursts_gives_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
