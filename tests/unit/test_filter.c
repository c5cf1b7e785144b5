/* Packet filters: which packets an expression matches, on every link type, and what is said of a wrong one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/filter.h"
#include "frames.h"
#include "pkt/decode.h"

/* Ports are 12345 to 80, addresses 10.0.0.1 to 10.0.0.2 and 2001:db8::1 to ::2. */
#define TCP4 IP4("0028", "0000") TCP20
#define TCP6 IP6("0014", "06") TCP20
#define UDP4 "4500 001c 1234 0000 40 11 0000 0a000001 0a000002 3039 0035 0008 0000"
#define ARP  "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002"
#define SLL  "0000 0001 0006 020000000001 0000 "

enum kind {
	ETHER_TCP4,
	ETHER_TCP6,
	VLAN_TCP4,
	QINQ_TCP6,
	ETHER_UDP4,
	ETHER_ARP,
	RAW_TCP4,
	RAW_TCP6,
	FILE_RAW_TCP4,
	NULL_TCP4,
	LOOP_TCP4,
	SLL_TCP4,
	SLL_ARP,
	SLL2_TCP4,
	ETHER_IPIP,
	ETHER_CUT,
	KINDS
};

static const struct {
	int link;
	const char *hex;
	unsigned cut; /* bytes that the capture left away */
} frames[KINDS] = {
	[ETHER_TCP4] = { 1, ETH("0800") TCP4, 0 },
	[ETHER_TCP6] = { 1, ETH("86dd") TCP6, 0 },
	[VLAN_TCP4] = { 1, ETH("8100") VLAN("0005", "0800") TCP4, 0 },
	[QINQ_TCP6] = { 1, ETH("88a8") VLAN("0005", "8100") VLAN("0007", "86dd") TCP6, 0 },
	[ETHER_UDP4] = { 1, ETH("0800") UDP4, 0 },
	[ETHER_ARP] = { 1, ETH("0806") ARP, 0 },
	[RAW_TCP4] = { 12, TCP4, 0 },
	[RAW_TCP6] = { 12, TCP6, 0 },
	[FILE_RAW_TCP4] = { 101, TCP4, 0 },
	[NULL_TCP4] = { 0, "02000000" TCP4, 0 },
	[LOOP_TCP4] = { 108, "00000002" TCP4, 0 },
	[SLL_TCP4] = { 113, SLL "0800" TCP4, 0 },
	[SLL_ARP] = { 113, SLL "0806" ARP, 0 },
	[SLL2_TCP4] = { 276, "0800 0000 00000001 0001 00 06 0200000000010000" TCP4, 0 },
	[ETHER_IPIP] = { 1, ETH("0800") "4500 003c 1234 0000 40 04 0000 0a000009 0a00000a" TCP4, 0 },
	[ETHER_CUT] = { 1, ETH("0800") TCP4, 30 },
};

static const uint32_t all = (1u << KINDS) - 1;

#define K(kind) (1u << (kind))
#define TCP4S                                                                                                        \
	(K(ETHER_TCP4) | K(VLAN_TCP4) | K(RAW_TCP4) | K(FILE_RAW_TCP4) | K(NULL_TCP4) | K(LOOP_TCP4) | K(SLL_TCP4) | \
	 K(SLL2_TCP4))
#define TCP6S (K(ETHER_TCP6) | K(QINQ_TCP6) | K(RAW_TCP6))
#define ARPS  (K(ETHER_ARP) | K(SLL_ARP))

/* The decoder may or may not look into a tunnel; a filter follows it either way. */
static bool looks_into_tunnels(void)
{
	static struct frame f;

	f.len = 0;
	frame_hex(&f, frames[ETHER_IPIP].hex);
	struct mos_packet p = frame_packet(&f, 1, f.len);
	bool inner = packet_decode(&p) == MOS_DECODED_TCP;

	packet_release(&p);
	return inner;
}

static uint32_t matching(const char *expr, enum filter_scope scope)
{
	char err[300] = "";
	struct pkt_filter *f = filter_compile(expr, scope, err, sizeof(err));
	uint32_t set = 0;

	assert_string_equal(err, "");
	assert_non_null(f);
	assert_string_equal(filter_text(f), expr);
	for (int round = 0; round < 2; round++) {
		for (int k = 0; k < KINDS; k++) {
			static struct frame frame;

			frame.len = 0;
			frame_hex(&frame, frames[k].hex);
			struct mos_packet p = frame_packet(&frame, frames[k].link, frame.len - frames[k].cut);

			packet_decode(&p);
			bool yes = filter_match(f, &p);

			if (round)
				assert_int_equal(yes, set >> k & 1);
			set |= (uint32_t)yes << k;
			packet_release(&p);
		}
	}
	filter_free(f);
	return set;
}

static void an_inner_filter_means_the_same_on_every_link(void **state)
{
	const uint32_t tunnel = looks_into_tunnels() ? K(ETHER_IPIP) : 0;

	const struct {
		const char *expr;
		uint32_t want;
	} cases[] = {
		{ "tcp port 80", TCP4S | TCP6S | tunnel },
		{ "tcp", TCP4S | TCP6S | tunnel | K(ETHER_CUT) },
		{ "tcp port 81", 0 },
		{ "ip and tcp", TCP4S | tunnel | K(ETHER_CUT) },
		{ "ip6", TCP6S },
		{ "udp port 53", K(ETHER_UDP4) },
		{ "dst net 10.0.0.0/24 and dst port 80", TCP4S | tunnel },
		{ "src host 10.0.0.2", 0 },
		{ "host 2001:db8::2", TCP6S },
		{ "not (tcp or udp)", ARPS | (tunnel ? 0 : K(ETHER_IPIP)) },
		{ "tcp[tcpflags] & tcp-ack != 0", TCP4S | tunnel },
		{ "portrange 70-90 and not src port 12345", 0 },
		{ "", all },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t got = matching(cases[i].expr, FILTER_INNER);

		if (got != cases[i].want)
			fail_msg("\"%s\" matches %05x, not %05x", cases[i].expr, got, cases[i].want);
	}
}

static void an_inner_filter_that_speaks_of_the_link_layer_looks_at_the_frame(void **state)
{
	static const struct {
		const char *expr;
		uint32_t want;
	} cases[] = {
		{ "arp", ARPS },
		{ "arp or tcp port 80", ARPS | ((TCP4S | TCP6S) & ~(K(VLAN_TCP4) | K(QINQ_TCP6))) },
		{ "ether src 02:00:00:00:00:01", K(ETHER_TCP4) | K(ETHER_TCP6) | K(VLAN_TCP4) | K(QINQ_TCP6) |
							 K(ETHER_UDP4) | K(ETHER_ARP) | K(ETHER_IPIP) | K(ETHER_CUT) },
		{ "ether proto 0x0806", ARPS },
		{ "vlan 5 and tcp port 80", K(VLAN_TCP4) },
		{ "vlan 5 and vlan 7 and ip6", K(QINQ_TCP6) },
		{ "link[0] = 2 and link[12:2] = 0x0806", K(ETHER_ARP) },
		{ "ether broadcast", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t got = matching(cases[i].expr, FILTER_INNER);

		if (got != cases[i].want)
			fail_msg("\"%s\" matches %05x, not %05x", cases[i].expr, got, cases[i].want);
	}
}

static void an_inner_filter_sees_ports_behind_ipv6_extension_headers(void **state)
{
	static struct frame f;
	static const struct {
		const char *expr;
		bool matches;
	} cases[] = {
		{ "tcp port 80", true },
		{ "tcp dst port 80", true },
		{ "tcp src port 80", false },
		{ "ip6 and tcp", true },
		{ "udp", false },
		{ "dst host fd00::2", true },
		{ "tcp port 81", false },
	};

	(void)state;
	f.len = 0;
	/* Destination options, then TCP 1234 > 80. */
	frame_hex(&f,
		  "6000 0000 001c 3c40 fd00 0000 0000 0000 0000 0000 0000 0001 fd00 0000 0000 0000 0000 0000 0000 0002"
		  "0600 0104 0000 0000"
		  "04d2 0050 0000 0001 0000 0000 5002 ffff 0000 0000");
	struct mos_packet p = frame_packet(&f, 12, f.len);
	assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char err[256];
		struct pkt_filter *filter = filter_compile(cases[i].expr, FILTER_INNER, err, sizeof(err));

		assert_non_null(filter);
		if (filter_match(filter, &p) != cases[i].matches)
			fail_msg("%s", cases[i].expr);
		filter_free(filter);
	}
	free(p.data);
}

static void a_frame_filter_means_what_tcpdump_means(void **state)
{
	static const struct {
		const char *expr;
		uint32_t want;
	} cases[] = {
		{ "tcp port 80", (TCP4S | TCP6S) & ~(K(VLAN_TCP4) | K(QINQ_TCP6)) },
		{ "vlan", K(VLAN_TCP4) | K(QINQ_TCP6) },
		{ "arp", ARPS },
		{ "host 10.0.0.9", K(ETHER_IPIP) },
		{ "not ip and not ip6 and not arp", K(VLAN_TCP4) | K(QINQ_TCP6) },
		{ "", all },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t got = matching(cases[i].expr, FILTER_FRAME);

		if (got != cases[i].want)
			fail_msg("\"%s\" matches %05x, not %05x", cases[i].expr, got, cases[i].want);
	}
}

static void a_wrong_expression_is_named_with_the_reason(void **state)
{
	static const struct {
		const char *expr, *err;
	} cases[] = {
		{ "tcp prt 80", "filter \"tcp prt 80\": syntax error" },
		{ "(tcp", "filter \"(tcp\": syntax error" },
		{ "port 99999", "filter \"port 99999\": illegal port number 99999 > 65535" },
		{ "tcp and udp", "filter \"tcp and udp\": expression rejects all packets" },
		{ "vlan prt 80", "filter \"vlan prt 80\": syntax error" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int scope = FILTER_INNER; scope <= FILTER_FRAME; scope++) {
			char err[300] = "";

			assert_null(filter_compile(cases[i].expr, (enum filter_scope)scope, err, sizeof(err)));
			assert_memory_equal(err, cases[i].err, strlen(cases[i].err));
		}
	}
}

static void the_message_fits_the_room_that_it_is_given(void **state)
{
	char err[16];

	(void)state;
	assert_null(filter_compile("a very long expression indeed", FILTER_INNER, err, sizeof(err)));
	assert_int_equal(strlen(err), sizeof(err) - 1);
}

static void no_filter_matches_everything(void **state)
{
	struct mos_packet p = { 0 };

	(void)state;
	assert_true(filter_match(NULL, &p));
	filter_free(NULL);
}

static void a_capture_with_too_many_link_types_matches_nothing_beyond(void **state)
{
	struct frame *frame = calloc(1, sizeof(*frame));
	struct pkt_filter *f = filter_compile("ether[0] = 2", FILTER_FRAME, (char[1]){ 0 }, 1);

	(void)state;
	frame_hex(frame, frames[ETHER_TCP4].hex);
	for (int link = 1000; link < 1100; link++) {
		struct mos_packet p = frame_packet(frame, link, frame->len);

		assert_false(filter_match(f, &p));
		packet_release(&p);
	}
	filter_free(f);
	free(frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_inner_filter_means_the_same_on_every_link),
		cmocka_unit_test(an_inner_filter_that_speaks_of_the_link_layer_looks_at_the_frame),
		cmocka_unit_test(an_inner_filter_sees_ports_behind_ipv6_extension_headers),
		cmocka_unit_test(a_frame_filter_means_what_tcpdump_means),
		cmocka_unit_test(a_wrong_expression_is_named_with_the_reason),
		cmocka_unit_test(the_message_fits_the_room_that_it_is_given),
		cmocka_unit_test(no_filter_matches_everything),
		cmocka_unit_test(a_capture_with_too_many_link_types_matches_nothing_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
