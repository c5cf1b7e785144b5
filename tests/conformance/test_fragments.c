/*
 * A TCP segment that comes in IP fragments: the fragment that completes it stands for it, the others belong to no
 * connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kit/replay.h"
#include "path.h"
#include "pkt/bytes.h"
#include "pkt/decode.h"
#include "pkt/edit.h"

enum { L3 = 14, FIRST = 24, LEN = 40 };

static uint8_t frame[2][256];

static void open_connection(struct replay *r)
{
	replay_segment(r, CLI, "S 0:0(0)");
	replay_segment(r, SVR, "S. 0:0(0) ack 1");
	replay_segment(r, CLI, ". 1:1(0) ack 1");
	replay_segment(r, CLI, "P. 1:41(40) ack 1");
}

/* The segment played last, moved on by its length, as two fragments in the worker's burst. */
static void split(struct replay *r)
{
	const struct mos_packet last = r->packet;
	unsigned hlen = r->ipv6 ? 40 : 20, head = L3 + hlen, fragment = r->ipv6 ? 8 : 0;
	uint8_t tcp[20 + LEN];

	memcpy(tcp, last.data + head, sizeof(tcp));
	store_be32(tcp + 4, last.seq + LEN);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *f = frame[i];
		unsigned off = i * FIRST, len = i ? sizeof(tcp) - FIRST : FIRST;

		memcpy(f, last.data, head);
		memcpy(f + head + fragment, tcp + off, len);
		if (r->ipv6) {
			store_be16(f + L3 + 4, (uint16_t)(fragment + len));
			f[L3 + 6] = 44;
			memset(f + head, 0, fragment);
			f[head] = 6;
			store_be16(f + head + 2, (uint16_t)(off | !i));
		} else {
			store_be16(f + L3 + 2, (uint16_t)(hlen + len));
			store_be16(f + L3 + 6, (uint16_t)(!i << 13 | off / 8));
		}
		r->w->burst[i] = (struct mos_packet){ .data = f, .ts_ns = r->now_ns += 1000000, .link = 1 };
		r->w->burst[i].caplen = r->w->burst[i].len = head + fragment + len;
	}
}

static void a_segment_in_fragments_is_heard_as_a_whole_segment_is(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct replay r;
		char heard[sizeof(r.log)];

		replay_init(&r, NULL);
		r.ipv6 = ipv6;
		r.w->d.passive[r.sock].family = 0; /* both */
		open_connection(&r);
		strcpy(heard, replay_segment(&r, CLI, "P. 41:81(40) ack 1"));
		struct stats before = r.w->stats;

		assert_int_equal(before.connections, 1);
		split(&r);
		r.quiet = true;
		assert_int_equal(path_burst(r.w, 1), 1);
		assert_int_equal(r.w->stats.orphans, before.orphans + 1);
		r.quiet = false;
		r.log[0] = r.hook[0] = r.who[0] = '\0';
		r.w->burst[0] = r.w->burst[1];
		assert_int_equal(path_burst(r.w, 1), 1);
		assert_string_equal(r.log, heard);
		assert_int_equal(r.w->stats.orphans, before.orphans + 1);
		assert_int_equal(r.w->stats.tcp_packets, before.tcp_packets + 1);
		assert_int_equal(r.w->stats.packets, before.packets + 2);
		assert_int_equal(r.w->stats.out_of_order_packets + r.w->stats.rexmit_packets, 0);
		replay_fini(&r);
	}
}

static uint32_t seen_len;

static void drop(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	struct mos_packet *p = worker_of(m)->d.ctx->pkt;

	(void)sock, (void)side, (void)event, (void)arg;
	seen_len = p->payload_len;
	p->verdict = MOS_DROPPED;
}

static void a_dropped_segment_loses_the_fragment_that_completes_it(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, NULL);
	assert_int_equal(mtcp_register_callback(&r.w->mctx, r.sock, MOS_ON_PKT_IN, MOS_HK_SND, drop), 0);
	open_connection(&r);
	uint64_t dropped = r.w->stats.dropped;

	split(&r);
	seen_len = 0;
	assert_int_equal(path_burst(r.w, 2), 2);
	assert_int_equal(seen_len, LEN);
	assert_int_equal(r.w->burst[0].verdict, MOS_PASS);
	assert_int_equal(r.w->burst[1].verdict, MOS_DROPPED);
	assert_int_equal(r.w->stats.dropped, dropped + 1);
	replay_fini(&r);
}

static void overwrite(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	struct mos_packet *p = worker_of(m)->d.ctx->pkt;

	(void)sock, (void)side, (void)event, (void)arg;
	if (p->payload_len)
		assert_int_equal(packet_overwrite(p, EDIT_PAYLOAD, 1, "XY", 2), 0);
}

static void a_segment_that_is_written_to_leaves_whole(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct replay r;

		replay_init(&r, NULL);
		r.ipv6 = ipv6;
		r.w->d.passive[r.sock].family = 0; /* both */
		assert_int_equal(mtcp_register_callback(&r.w->mctx, r.sock, MOS_ON_PKT_IN, MOS_HK_SND, overwrite), 0);
		open_connection(&r);
		split(&r);
		assert_int_equal(path_burst(r.w, 2), 2);
		struct mos_packet p = r.w->burst[1];

		assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
		assert_int_equal(p.link, 1);
		assert_int_equal(p.payload_len, LEN);
		assert_int_equal(p.caplen, p.payload + LEN);
		assert_memory_equal(p.data + p.payload + 1, "XY", 2);
		assert_true(packet_checksums_ok(&p));
		replay_fini(&r);
	}
}

static void with_checksums_verified_a_damaged_fragment_completes_nothing(void **state)
{
	(void)state;
	for (uint8_t damage = 0; damage < 2; damage++) {
		struct replay r;

		replay_init(&r, NULL);
		open_connection(&r);
		r.w->set.verify_checksums = true;
		split(&r);
		for (unsigned i = 0; i < 2; i++) {
			packet_decode(&r.w->burst[i]);
			packet_fix_ip_checksum(&r.w->burst[i]);
		}
		frame[1][L3 + 10] ^= damage;
		assert_int_equal(path_burst(r.w, 2), 2);
		assert_int_equal(r.w->stats.fragments_reassembled, !damage);
		assert_int_equal(r.w->stats.bad_checksum, 1); /* replayed segments have none */
		replay_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_in_fragments_is_heard_as_a_whole_segment_is),
		cmocka_unit_test(a_dropped_segment_loses_the_fragment_that_completes_it),
		cmocka_unit_test(a_segment_that_is_written_to_leaves_whole),
		cmocka_unit_test(with_checksums_verified_a_damaged_fragment_completes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
