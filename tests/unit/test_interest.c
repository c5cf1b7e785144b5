/* What a worker's handlers can see, as a filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "api/interest.h"
#include "io/pcap_link.h"
#include "pkt/bytes.h"
#include "pkt/layer.h"
#include "unit/fake_worker.h"
#include "unit/frames.h"

static struct worker *w;
static char text[2048];

static int set_up(void **state)
{
	(void)state;
	w = fake_worker_new();
	return w ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	fake_worker_free(w);
	return 0;
}

static void nothing(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
}

static int monitor(const char *filter, event_t event, uint32_t hook)
{
	char err[256];
	int sock = monitor_open(w, 0, false);

	assert_int_equal(monitor_bind(w, sock, filter, NULL, err, sizeof(err)), 0);
	assert_int_equal(dispatch_register(&w->d, sock, event, hook, (struct handler){ .fn = nothing }), 0);
	return sock;
}

static bool lets_pass(const char *hex)
{
	char why[256];
	struct frame f = { .len = 0 };
	struct link_filter *filter = link_filter_new(text, 1, why, sizeof(why));

	assert_non_null(filter);
	frame_hex(&f, hex);
	struct mos_packet p = frame_packet(&f, 1, f.len);
	bool match = link_filter_match(filter, &p, 0);

	packet_release(&p);
	link_filter_free(filter);
	return match;
}

#define TCP_80 ETH("0800") IP4("0028", "4000") TCP20 "0000"
#define TCP_81 ETH("0800") IP4("0028", "4000") "3039 0051 000003e8 000007d0 50 18 2000 abcd 0000"
#define ARP    ETH("0806") "0001 0800 06 04 0001"
#define UDP(port, frag) \
	ETH("0800") "4500 0020 1234 " frag " 40 11 0000 0a000001 0a000002 3039 " port " 000c 0000 00000000"

static void other_protocols_are_left_out_but_tunnels_tags_and_fragments(void **state)
{
	(void)state;
	monitor(NULL, MOS_ON_CONN_START, MOS_HK_SND);
	assert_true(interest_filter(w, text, sizeof(text)));
	assert_true(lets_pass(TCP_80));
	assert_false(lets_pass(ARP));
	assert_false(lets_pass(UDP("0035", "0000")));
	assert_true(lets_pass(UDP("12b5", "0000"))); /* VXLAN */
	assert_true(lets_pass(UDP("0035", "2000")));
	assert_true(lets_pass(UDP("0035", "0003")));
	assert_true(lets_pass(ETH("8100") VLAN("0005", "0800") "4500"));
	assert_true(lets_pass(ETH("0800") "4500 0028 1234 0000 40 2f 0000 0a000001 0a000002 00000800 4500"));
}

static void no_port_of_a_tunnel_is_left_out(void **state)
{
	char why[256];
	struct frame f = { .len = 0 };

	(void)state;
	monitor(NULL, MOS_ON_CONN_START, MOS_HK_SND);
	assert_true(interest_filter(w, text, sizeof(text)));
	assert_true(lets_pass(
		ETH("0800") "4500 0021 1234 0000 40 11 0000 0a000001 0a000002 3039 1234 000d 0000 60000000 00"));
	struct link_filter *filter = link_filter_new(text, 1, why, sizeof(why));

	assert_non_null(filter);
	frame_hex(&f, UDP("0035", "0000"));
	struct mos_packet p = frame_packet(&f, 1, f.len);

	for (unsigned port = 0; port <= UINT16_MAX; port++)
		for (unsigned at = 34; at <= 36; at += 2) {
			store_be16(p.data + 34, 53);
			store_be16(p.data + 36, 53);
			store_be16(p.data + at, (uint16_t)port);
			assert_int_equal(link_filter_match(filter, &p, 0), carries_packets(17, p.data + 34));
		}
	packet_release(&p);
	link_filter_free(filter);
}

static void tcp_is_left_out_by_filters_that_know_no_direction(void **state)
{
	(void)state;
	monitor("tcp port 80", MOS_ON_CONN_START, MOS_HK_SND);
	assert_true(interest_filter(w, text, sizeof(text)));
	assert_true(lets_pass(TCP_80));
	assert_false(lets_pass(TCP_81));
	monitor("not (host 10.0.0.9 or ip6) and port 81", MOS_ON_CONN_START, MOS_HK_SND);
	assert_true(interest_filter(w, text, sizeof(text)));
	assert_true(lets_pass(TCP_81));
}

static void filters_that_know_directions_leave_all_tcp_in(void **state)
{
	static const char *const filters[] = { "tcp dst port 80", "src host 10.0.0.1", "tcp[13] & 2 != 0", "less 60" };

	(void)state;
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		int sock = monitor(filters[i], MOS_ON_CONN_START, MOS_HK_SND);

		assert_true(interest_filter(w, text, sizeof(text)));
		assert_true(lets_pass(TCP_81));
		assert_false(lets_pass(ARP));
		monitor_close(w, sock);
	}
}

static void who_listens_without_a_connection_sees_everything(void **state)
{
	static const event_t events[] = { MOS_ON_ORPHAN, MOS_ON_ERROR, MOS_ON_PKT_IN };

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		int sock = monitor("tcp port 80", events[i], MOS_NULL);

		assert_false(interest_filter(w, text, sizeof(text)));
		monitor_close(w, sock);
	}
	assert_false(interest_filter(w, text, sizeof(text))); /* nobody is there */
	monitor_open(w, 0, true);
	assert_false(interest_filter(w, text, sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(other_protocols_are_left_out_but_tunnels_tags_and_fragments),
		TEST(no_port_of_a_tunnel_is_left_out),
		TEST(tcp_is_left_out_by_filters_that_know_no_direction),
		TEST(filters_that_know_directions_leave_all_tcp_in),
		TEST(who_listens_without_a_connection_sees_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
