/* track_plain and track_ordered against track_sender and track_receiver: where they take a packet, both ends look the same after it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mos_api.h"
#include "tcp/plain.h"

enum { FRAME = 128, L4 = 34, PACKETS = 300000 };

static struct tracker tracker;
static struct mos_conn conn;
static uint8_t frame[FRAME];
static uint32_t next_seq[2], clock_ms;
static uint64_t rng = 88172645463325252;

static uint32_t roll(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 32) % n;
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

/* A packet of the end `side`, with timestamps unless told otherwise. */
static struct mos_packet packet(int side, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len, bool timestamps)
{
	static const uint8_t syn_options[] = { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7 };
	struct mos_packet p = {
		.data = frame,
		.l4 = L4,
		.tcp_flags = flags,
		.dir = (uint8_t)side,
		.seq = seq,
		.ack = ack,
		.window = (uint16_t)roll(65536),
		.payload_len = len,
		.ip_len = 40 + len,
		.tcp_hlen = 20,
		.caplen = FRAME,
	};

	if (flags & MOS_TH_SYN) {
		memcpy(frame + L4 + 20, syn_options, sizeof(syn_options));
		put32(frame + L4 + 20 + 8, clock_ms);
		p.tcp_hlen = 20 + sizeof(syn_options);
	} else if (timestamps) {
		put32(frame + L4 + 20, 0x0101080a);
		put32(frame + L4 + 24, clock_ms - (roll(20) ? 0 : roll(50)));
		p.tcp_hlen = 32;
	}
	p.payload = L4 + p.tcp_hlen;
	return p;
}

static void take_slowly(struct mos_conn *c, const struct mos_packet *p)
{
	struct segment s;

	track_sender(&tracker, c, p, &s);
	track_receiver(c, &s);
}

static unsigned ordered;

/* As take_slowly, and track_ordered does the same if it does anything. */
static void take_both_ways(struct mos_conn *c, const struct mos_packet *p)
{
	struct mos_conn fast = *c;
	struct segment s, want;
	bool changed, taken = track_ordered(&fast, p, p->dir ^ c->cli, &s, &changed);

	if (!taken)
		assert_memory_equal(&fast, c, sizeof(fast));
	bool want_changed = track_sender(&tracker, c, p, &want);
	if (taken) {
		assert_memory_equal(&fast, c, sizeof(fast));
		assert_memory_equal(&s, &want, sizeof(s));
		assert_int_equal(changed, want_changed);
		ordered++;
	}
	track_receiver(c, &want);
}

static void handshake(bool timestamps)
{
	uint32_t isn[2] = { roll(UINT32_MAX), roll(UINT32_MAX) };
	struct mos_packet p = packet(0, MOS_TH_SYN, isn[0], 0, 0, timestamps);

	track_end(&tracker, &conn);
	memset(&conn, 0, sizeof(conn));
	track_start(&conn, &p);
	take_both_ways(&conn, &p);
	p = packet(1, MOS_TH_SYN | MOS_TH_ACK, isn[1], isn[0] + 1, 0, timestamps);
	if (!timestamps)
		p.tcp_hlen = 20;
	take_both_ways(&conn, &p);
	next_seq[0] = isn[0] + 1;
	next_seq[1] = isn[1] + 1;
	p = packet(0, MOS_TH_ACK, next_seq[0], next_seq[1], 0, timestamps);
	take_both_ways(&conn, &p);
}

static uint32_t around(uint32_t n)
{
	return roll(60) ? n : n + roll(400) - 200;
}

static struct mos_packet any_packet(bool timestamps)
{
	static const uint8_t kinds[] = { MOS_TH_ACK,
					 MOS_TH_ACK,
					 MOS_TH_ACK | MOS_TH_PSH,
					 MOS_TH_ACK,
					 MOS_TH_ACK | MOS_TH_URG,
					 MOS_TH_ACK | MOS_TH_PSH,
					 0,
					 MOS_TH_ACK | MOS_TH_ECE };
	int side = (int)roll(2);
	uint8_t flags = roll(2000) ? kinds[roll(sizeof(kinds))] : roll(2) ? MOS_TH_ACK | MOS_TH_FIN : MOS_TH_RST;
	uint32_t len = roll(3) ? roll(200) : roll(2);
	struct mos_packet p = packet(side, flags, around(next_seq[side]), around(next_seq[!side]), len, timestamps);

	clock_ms += roll(3);
	if (!roll(50))
		p.caplen = L4 + 20 + roll(12);
	if ((int32_t)(p.seq + len - next_seq[side]) > 0 && !(flags & MOS_TH_RST))
		next_seq[side] = p.seq + len;
	return p;
}

static void a_plain_packet_leaves_both_ends_as_the_long_way_does(void **state)
{
	unsigned taken = 0, left = 0;

	(void)state;
	assert_int_equal(track_init(&tracker, 16, 1 << 20), 0);
	for (unsigned i = 0, timestamps = 0; i < PACKETS; i++) {
		if (i % 100 == 0 || (conn.flags & MOS_CONN_CLOSED))
			handshake((timestamps = roll(2)));
		struct mos_packet p = any_packet(timestamps);
		struct mos_conn before = conn, slow = conn;
		uint64_t off;

		if (!(conn.flags & MOS_CONN_PLAIN) || !track_plain(&conn, &p, p.dir, &off)) {
			assert_memory_equal(&conn, &before, sizeof(conn));
			take_slowly(&conn, &p);
			left++;
			continue;
		}
		take_slowly(&slow, &p);
		assert_memory_equal(&conn, &slow, sizeof(conn));
		assert_int_equal(off, before.end[p.dir].nxt_off);
		taken++;
	}
	track_end(&tracker, &conn);
	track_fini(&tracker);
	assert_true(taken > PACKETS / 8);
	assert_true(left > PACKETS / 8);
}

/* The next packet of a side, as a rule; one in eight closes it. */
static struct mos_packet closing_packet(bool timestamps)
{
	int side = (int)roll(2);
	const struct mos_end *e = &conn.end[side];
	bool over = e->flags & MOS_END_FIN;
	uint32_t len = over || roll(2) ? 0 : roll(200);
	uint8_t flags = over ? MOS_TH_ACK | (roll(16) ? 0 : MOS_TH_FIN)
			     : (roll(8) ? MOS_TH_ACK : MOS_TH_ACK | MOS_TH_FIN | (roll(2) ? MOS_TH_PSH : 0));
	uint32_t seq = e->isn + 1 + (uint32_t)e->nxt_off + over, ack = next_seq[!side];

	clock_ms += roll(3);
	if (conn.end[!side].flags & MOS_END_FIN)
		ack += roll(4) ? 1 : 0;
	if (seq + len - next_seq[side] < 1 << 30)
		next_seq[side] = seq + len - over;
	return packet(side, flags, around(seq), around(ack), len, timestamps && roll(20));
}

static void what_begins_and_ends_a_connection_in_order_is_taken_as_the_long_way_does(void **state)
{
	(void)state;
	assert_int_equal(track_init(&tracker, 16, 1 << 20), 0);
	ordered = 0;
	for (unsigned i = 0, timestamps = 0; i < PACKETS; i++) {
		if (i % 100 == 0 || (conn.flags & MOS_CONN_CLOSED))
			handshake((timestamps = roll(2)));
		struct mos_packet p = closing_packet(timestamps);

		take_both_ways(&conn, &p);
	}
	track_end(&tracker, &conn);
	track_fini(&tracker);
	assert_true(ordered > PACKETS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_begins_and_ends_a_connection_in_order_is_taken_as_the_long_way_does),
		cmocka_unit_test(a_plain_packet_leaves_both_ends_as_the_long_way_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
