/*
 * Random conversations: whatever is sent, connections begin and end once, handlers read what was sent first, and
 * nothing stays behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kit/replay.h"
#include "tcp/end.h"

enum {
	TUPLES = 6,
	MAX_CONNS = 4, /* fewer than tuples, so that the limit is reached */
	SLOTS = 1 << 15,
	SEGMENTS = 20000,
	BURST_MAX = 8,
	LEN_MAX = 1400,
	TEXT_MAX = LEN_MAX + 128
};

/* The first byte that an end sent at a stream offset, in a slot that offsets 2^15 apart share. */
struct slot {
	uint32_t conn; /* the connection it belongs to: older ones are free */
	uint64_t off;
	uint8_t byte;
	bool sure; /* the receiver took it, and no other offset shares the slot */
};

/* What a connection in the runtime's pool has been through. */
struct life {
	uint32_t number;     /* 0: none is alive */
	unsigned starts[2];  /* at MOS_HK_SND, MOS_HK_RCV */
	unsigned ends[2][2]; /* the same, by side */
	bool refused;        /* the packet in dispatch was, wholly or in part */
	uint64_t lost;       /* bytes that no buffer could keep, before it */
	struct slot sent[2][SLOTS];
};

static struct life lives[MAX_CONNS + 1];
static struct replay replay;
static uint32_t lives_n;
static uint64_t checked, read_bytes, gaps;

struct tuple {
	uint32_t isn[2], at[2];
};

static struct tuple tuples[TUPLES];
static uint64_t rng;

static uint32_t roll(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static bool one_in(uint32_t n)
{
	return roll(n) == 0;
}

static void remember(struct life *l, int side, uint64_t off, uint8_t value, bool sure)
{
	struct slot *s = &l->sent[side][off % SLOTS];

	if (s->conn != l->number)
		*s = (struct slot){ l->number, off, value, sure };
	else if (s->off != off)
		s->sure = false;
}

static void remember_packet(struct life *l, const struct mos_conn *c, const struct mos_packet *p)
{
	int side = p->dir == c->cli ? MOS_SIDE_CLI : MOS_SIDE_SVR;
	uint32_t seq = p->seq + !!(p->tcp_flags & MOS_TH_SYN);
	bool probe = p->payload_len == 1, lost = l->lost != replay.w->stats.buffer_lost_bytes;
	bool sure = !l->refused && !probe && !lost;

	if (p->tcp_flags & MOS_TH_RST)
		return;
	/* Bytes below the stream's start are no part of it, though a later SYN may move the start below them. */
	for (uint32_t i = 0; i < p->payload_caplen; i++) {
		int64_t off = end_offset(&c->end[side], seq + i);

		if (off >= 0)
			remember(l, side, (uint64_t)off, p->data[p->payload + i], sure);
	}
}

static void check_bytes(const struct life *l, int sender, uint64_t off, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++, off++) {
		const struct slot *s = &l->sent[sender][off % SLOTS];

		if (s->conn != l->number)
			fail_msg("connection %u: nobody sent what was read at %llu", l->number,
				 (unsigned long long)off);
		if (!s->sure || s->off != off)
			continue;
		if (s->byte != bytes[i])
			fail_msg("connection %u: read %c at %llu, not %c", l->number, bytes[i], (unsigned long long)off,
				 s->byte);
		checked++;
	}
}

static void read_everything(mctx_t m, int sock, int side, const struct life *l)
{
	uint8_t bytes[8192];
	ssize_t n;

	while ((n = mtcp_peek(m, sock, side, (char *)bytes, sizeof(bytes))) != 0) {
		uint64_t end = dispatch_sock(&replay.w->d, sock)->cursor[side];

		if (n < 0) {
			assert_int_equal(errno, ENODATA);
			gaps++;
			continue;
		}
		read_bytes += (uint64_t)n;
		check_bytes(l, !side, end - (uint64_t)n, bytes, (size_t)n);
	}
}

static void be_born(struct life *l)
{
	l->number = ++lives_n;
	memset(l->starts, 0, sizeof(l->starts));
	memset(l->ends, 0, sizeof(l->ends));
}

static void begin(struct life *l, unsigned hook)
{
	if (++l->starts[hook] > 1)
		fail_msg("connection %u: begins twice", l->number);
}

static bool is_ending(const struct life *l)
{
	return l->ends[0][0] || l->ends[0][1] || l->ends[1][0] || l->ends[1][1];
}

static bool has_ended(const struct life *l)
{
	return l->ends[0][0] && l->ends[0][1] && l->ends[1][0] && l->ends[1][1];
}

/* Every byte was announced before the end. */
static void check_all_read(mctx_t m, int sock)
{
	char byte_left;

	for (int side = 0; side < 2; side++)
		assert_int_equal(mtcp_peek(m, sock, side, &byte_left, 1), 0);
}

static void end(struct life *l, const struct mos_conn *c, unsigned hook, int side)
{
	if (!is_ending(l))
		assert_int_equal(side, c->last_side);
	if (++l->ends[hook][side] > 1)
		fail_msg("connection %u: ends twice", l->number);
	if (!has_ended(l))
		return;
	if (!l->starts[0] || !l->starts[1])
		fail_msg("connection %u: ends without a start", l->number);
	l->number = 0;
}

static void on_event(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	const struct mos_ctx *ctx = worker_of(m)->d.ctx;
	const struct mos_conn *c = ctx->conn;
	unsigned hook = ctx->hook == MOS_HK_RCV;

	(void)arg;
	if (!c)
		return;
	struct life *l = &lives[c - ctx->conns];

	/* A first packet is heard of before the start that it is. */
	if (!l->number && event == MOS_ON_PKT_IN && !hook)
		be_born(l);
	if (!l->number)
		fail_msg("event %s of a connection that has ended or not begun", event_find(event)->name);
	if (event != MOS_ON_CONN_END && is_ending(l))
		fail_msg("connection %u: %s after its end", l->number, event_find(event)->name);

	if (event == MOS_ON_PKT_IN && !hook) {
		l->refused = false;
		l->lost = worker_of(m)->stats.buffer_lost_bytes;
	} else if (event == MOS_ON_PKT_IN) {
		remember_packet(l, c, ctx->pkt);
	} else if (event == MOS_ON_ERROR) {
		l->refused |= c->err_reason == MOS_ERR_OUT_OF_WINDOW;
	} else if (event == MOS_ON_CONN_START) {
		begin(l, hook);
	} else if (event == MOS_ON_CONN_NEW_DATA) {
		read_everything(m, sock, side, l);
	} else if (event == MOS_ON_CONN_END) {
		check_all_read(m, sock);
		end(l, c, hook, side);
	}
}

static void new_tuple(struct tuple *t)
{
	static const uint32_t isns[] = { 0, 1000, 0x7fffff00, 0x80000000, 0xfffff000, 0xffffffff };

	for (int side = 0; side < 2; side++) {
		t->isn[side] = isns[roll(sizeof(isns) / sizeof(isns[0]))];
		t->at[side] = 0;
	}
}

/* Usually those that the place in the stream asks for, sometimes any. */
static const char *flags_for(uint32_t at, int side)
{
	static char any[9];
	unsigned n = 0;

	if (one_in(30)) {
		for (unsigned i = 0; i < 8; i++)
			if (one_in(2))
				any[n++] = "FSRP.UEW"[i];
		any[n] = '\0';
		return any;
	}
	if (!at || one_in(40))
		return side == CLI ? "S" : "S.";
	return one_in(60) ? "F." : one_in(120) ? "R" : one_in(120) ? "R." : one_in(3) ? "P." : ".";
}

/* A sequence number at, near, or far from the place where the end is. */
static uint32_t near(uint32_t at)
{
	switch (roll(24)) {
	case 0:
		return roll(UINT32_MAX);
	case 1:
		return at + 60000 + roll(10000);
	case 2:
		return at + (1u << 31) - roll(3);
	case 3:
	case 4:
	case 5:
	case 6:
		return at - roll(2000);
	case 7:
	case 8:
	case 9:
		return at + roll(3000);
	default:
		return at;
	}
}

/* A few words more for some: a small window, a part not captured, timestamps, other bytes. */
static void decorate(char *text, size_t n, uint32_t len)
{
	if (one_in(10))
		n += (size_t)sprintf(text + n, " win %u", one_in(3) ? 0 : roll(65536));
	if (one_in(8))
		n += (size_t)sprintf(text + n, " <TS val %u ecr 0>", roll(1000));
	if (len && one_in(25))
		n += (size_t)sprintf(text + n, " snap %u", roll(len));
	if (!len || !one_in(6))
		return;
	n += (size_t)sprintf(text + n, " \"");
	for (uint32_t i = 0; i < len; i++)
		text[n++] = (char)('A' + roll(26));
	text[n++] = '"';
	text[n] = '\0';
}

static int make_segment(struct tuple *t, char *text)
{
	int side = (int)roll(2);
	uint32_t at = t->at[side], from, len = one_in(3) ? 0 : roll(one_in(4) ? LEN_MAX : 60);
	const char *flags = flags_for(at, side);

	if (!at && !one_in(8))
		len = 0;
	from = at ? near(at) : 0;
	size_t n = (size_t)sprintf(text, "%s %u:%u(%u)", flags, from, from + len, len);
	if (strchr(flags, '.'))
		n += (size_t)sprintf(text + n, " ack %u", one_in(4) ? near(t->at[!side]) : t->at[!side]);
	decorate(text, n, len);
	if (!at)
		t->at[side] = 1;
	else if (from - at < 4000)
		t->at[side] = from + len;
	return side;
}

static unsigned play_burst(struct replay *r)
{
	static char texts[BURST_MAX][TEXT_MAX];
	struct said said[BURST_MAX + 1];
	unsigned i = roll(TUPLES), n = one_in(2) ? 1 : 1 + roll(BURST_MAX);
	struct tuple *t = &tuples[i];

	if (one_in(60))
		new_tuple(t);
	r->port[CLI] = (uint16_t)(40000 + i);
	memcpy(r->isn, t->isn, sizeof(t->isn));
	for (unsigned k = 0; k < n; k++) {
		int side = make_segment(t, texts[k]);
		said[k] = (struct said){ side, texts[k] };
	}
	said[n] = (struct said){ -1, NULL };
	replay_burst(r, said);
	return n;
}

static void assert_nothing_left(const struct worker *w)
{
	for (unsigned i = 0; i <= MAX_CONNS; i++)
		assert_int_equal(lives[i].number, 0);
	assert_int_equal(w->conns.used, 0);
	assert_int_equal(w->d.socks.used, 0);
	assert_int_equal(w->tcp.streams.used, 0);
	assert_int_equal(w->tcp.seen.used, 0);
	assert_int_equal(w->tcp.slab.used, 0);
}

static void stress(uint64_t seed, bool midstream, bool lingering, size_t memory)
{
	static const double seconds[] = { 0.1, 0.5, 3, 6, 70, 130, 4000 };
	struct settings set;

	settings_default(&set);
	set.max_conns = MAX_CONNS;
	set.midstream = midstream;
	set.linger_ns = lingering ? 5000000000ull : 0;
	set.buffer_memory = memory;
	rng = seed;
	lives_n = 0;
	checked = read_bytes = gaps = 0;
	memset(lives, 0, sizeof(lives));
	for (unsigned i = 0; i < TUPLES; i++)
		new_tuple(&tuples[i]);
	replay_init(&replay, &set);
	replay_listen(&replay, on_event);
	for (unsigned n = 0; n < SEGMENTS; n += play_burst(&replay))
		if (one_in(200))
			replay_wait(&replay, seconds[roll(sizeof(seconds) / sizeof(seconds[0]))]);
	worker_finish(replay.w);
	assert_nothing_left(replay.w);

	/* Not vacuous. */
	assert_true(lives_n > 100);
	assert_true(gaps > 10);
	assert_true(checked > 10000);
	assert_true(checked > read_bytes / 2);
	replay_fini(&replay);
}

static void random_segments_keep_every_promise(void **state)
{
	(void)state;
	stress(1, false, false, 1 << 30);
	stress(2, false, true, 1 << 30);
}

static void random_segments_midstream_keep_every_promise(void **state)
{
	(void)state;
	stress(3, true, false, 1 << 30);
	stress(4, true, true, 1 << 30);
}

static void random_segments_with_little_memory_keep_every_promise(void **state)
{
	(void)state;
	stress(5, false, true, 6000);
	stress(6, true, false, 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_segments_keep_every_promise),
		cmocka_unit_test(random_segments_midstream_keep_every_promise),
		cmocka_unit_test(random_segments_with_little_memory_keep_every_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
