#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "frames.h"
#include "pkt/decode.h"
#include "pkt/edit.h"

enum { ETHERNET = 1, RAW = 12 };

#define IP_GRE        "4500 0056 1234 0000 40 2f 0000 0a000001 0a000002 0000 6558 "
#define ETH_TCP4(tcp) ETH("0800") IP4("0030", "4000") TCP("60", "18") "02040218 61626364" tcp

static struct frame f;

static struct mos_packet packet_of(int link, const char *hex)
{
	f.len = 0;
	frame_hex(&f, hex);
	struct mos_packet p = frame_packet(&f, link, f.len);

	packet_decode(&p);
	return p;
}

/* RFC 1071 word by word, with the pseudo-header laid out in front. */
static uint16_t naive_checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

static uint16_t naive_tcp_checksum(const struct mos_packet *p)
{
	static uint8_t buf[1 << 17];
	unsigned n = p->ip_version == 4 ? 8 : 32, from = p->ip_version == 4 ? 12 : 8;
	uint32_t len = (uint32_t)(p->caplen - p->l4);

	memset(buf, 0, sizeof(buf));
	memcpy(buf, p->data + p->l3 + from, n);
	buf[n + 1] = (uint8_t)(len >> 16);
	buf[n + 2] = (uint8_t)(len >> 8);
	buf[n + 3] = (uint8_t)len;
	buf[n + 7] = 6;
	memcpy(buf + n + 8, p->data + p->l4, len);
	buf[n + 8 + 16] = buf[n + 8 + 17] = 0;
	return naive_checksum(buf, n + 8 + len);
}

static unsigned be16_at(const struct mos_packet *p, unsigned at)
{
	return (unsigned)p->data[at] << 8 | p->data[at + 1];
}

static void a_sum_of_pieces_is_the_sum_of_the_whole(void **state)
{
	uint8_t data[300];

	(void)state;
	srand(4);
	for (int n = 0; n < 5000; n++) {
		size_t len = (size_t)rand() % sizeof(data), cut = (size_t)rand() % (len + 1) & ~(size_t)1;

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)(rand() % 3 ? rand() : 0xff);
		uint16_t whole = checksum_fold(checksum_add(0, data, len));

		assert_int_equal(whole, naive_checksum(data, len));
		assert_int_equal(whole, checksum_fold(checksum_add(checksum_add(0, data, cut), data + cut, len - cut)));
	}
}

static void the_example_of_rfc_1071_comes_out(void **state)
{
	static const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(checksum_fold(checksum_add(0, data, sizeof(data))), 0xffff & ~0xddf2);
}

static void carries_beyond_32_bits_are_kept(void **state)
{
	static uint8_t ones[1 << 18];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(checksum_fold(checksum_add(UINT64_C(0xffff00000000), ones, sizeof(ones))), 0);
	assert_int_equal(checksum_fold(UINT64_MAX), 0);
	assert_int_equal(checksum_fold(0), 0xffff);
	assert_int_equal(checksum_fold(UINT64_C(0xffffffff00010000)), checksum_fold(1));
}

static const struct {
	const char *name;
	int link;
	const char *hex;
	enum edit_layer layer;
	size_t from, size; /* of the layer */
} layers[] = {
	{ "Ethernet header", ETHERNET, ETH_TCP4(), EDIT_ETH, 0, 14 },
	{ "IPv4 header", ETHERNET, ETH_TCP4(), EDIT_IP, 14, 20 },
	{ "TCP header with options", ETHERNET, ETH_TCP4(), EDIT_TCP, 34, 24 },
	{ "payload without padding", ETHERNET, ETH_TCP4("0000"), EDIT_PAYLOAD, 58, 4 },
	{ "Ethernet header with a tag", ETHERNET, ETH("8100") VLAN("0001", "0800") IP4("0028", "4000") TCP20, EDIT_ETH,
	  0, 18 },
	{ "empty payload", ETHERNET, ETH("0800") IP4("0028", "4000") TCP20 "0000", EDIT_PAYLOAD, 54, 0 },
	{ "IPv6 header with extensions", RAW, IP6("001c", "3c") "06 00 0104 00000000 " TCP20, EDIT_IP, 0, 48 },
	{ "all before a tunnel's inner IP header", ETHERNET, ETH("0800") IP_GRE ETH_TCP4(), EDIT_ETH, 0, 52 },
	{ "a tunnel's inner IP header", ETHERNET, ETH("0800") IP_GRE ETH_TCP4(), EDIT_IP, 52, 20 },
	{ "IP header of a fragment", RAW, IP4("002c", "2000") TCP20 "61626364", EDIT_IP, 0, 20 },
	{ "a frame that is not IP", ETHERNET, ETH("0806") "0001080006040001", EDIT_ETH, 0, 22 },
};

static void check_layer(size_t i, size_t off, size_t len)
{
	static const uint8_t data[64] = { 0x45, 0xa5, 0x5a };
	struct mos_packet p = packet_of(layers[i].link, layers[i].hex);
	bool inside = off + len <= layers[i].size;
	int rc = packet_overwrite(&p, layers[i].layer, off, data, len);

	if (rc != (inside ? 0 : -ERANGE))
		fail_msg("%s: %zu bytes at %zu: %d", layers[i].name, len, off, rc);
	assert_int_equal(p.changed, inside && len > 0);
	if (inside)
		memcpy(f.bytes + layers[i].from + off, data, len);
	assert_memory_equal(p.data, f.bytes, f.len);
	packet_release(&p);
}

static void only_the_captured_bytes_of_the_layer_can_be_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		for (size_t off = 0; off < layers[i].size + 2; off++)
			for (size_t len = 0; len < layers[i].size - off % 2 + 2; len++)
				check_layer(i, off, len);
}

static void an_offset_that_wraps_is_out_of_range(void **state)
{
	struct mos_packet p = packet_of(ETHERNET, ETH_TCP4());

	(void)state;
	assert_int_equal(packet_overwrite(&p, EDIT_PAYLOAD, SIZE_MAX, "x", 1), -ERANGE);
	assert_int_equal(packet_overwrite(&p, EDIT_PAYLOAD, 1, "x", SIZE_MAX), -ERANGE);
	packet_release(&p);
}

static void what_the_capture_cut_cannot_be_written(void **state)
{
	(void)state;
	f.len = 0;
	frame_hex(&f, ETH_TCP4());
	struct mos_packet p = frame_packet(&f, ETHERNET, 56);

	packet_decode(&p);
	assert_int_equal(packet_overwrite(&p, EDIT_TCP, 20, "xx", 2), 0);
	assert_int_equal(packet_overwrite(&p, EDIT_TCP, 20, "xxx", 3), -ERANGE);
	assert_int_equal(packet_overwrite(&p, EDIT_PAYLOAD, 0, "x", 1), -ERANGE);
	packet_release(&p);
}

static void a_layer_that_is_not_there_is_an_invalid_argument(void **state)
{
	struct mos_packet arp = packet_of(ETHERNET, ETH("0806") "0001080006040001");
	struct mos_packet raw = packet_of(RAW, IP4("0028", "4000") TCP20);
	struct mos_packet udp = packet_of(RAW, "4500 001c 1234 0000 40 11 0000 0a000001 0a000002 0035 0035 0008 0000");

	(void)state;
	assert_int_equal(packet_overwrite(&arp, EDIT_IP, 0, "x", 1), -EINVAL);
	assert_int_equal(packet_overwrite(&arp, EDIT_TCP, 0, "x", 1), -EINVAL);
	assert_int_equal(packet_overwrite(&arp, EDIT_PAYLOAD, 0, "x", 1), -EINVAL);
	assert_int_equal(packet_overwrite(&raw, EDIT_ETH, 0, "x", 1), -EINVAL);
	assert_int_equal(packet_overwrite(&udp, EDIT_TCP, 0, "x", 1), -EINVAL);
	assert_int_equal(packet_overwrite(&udp, EDIT_PAYLOAD, 0, "x", 1), -EINVAL);
	assert_int_equal(packet_fix_tcp_checksum(&udp), -EINVAL);
	assert_int_equal(packet_fix_ip_checksum(&arp), -EINVAL);
	packet_release(&arp);
	packet_release(&raw);
	packet_release(&udp);
}

static void a_written_header_is_decoded_again_and_the_verdict_stays(void **state)
{
	static const uint8_t seq[] = { 0x01, 0x02, 0x03, 0x04 }, port[] = { 0xff, 0xff };
	struct mos_packet p = packet_of(ETHERNET, ETH_TCP4());

	(void)state;
	p.verdict = MOS_DROPPED;
	p.hash = 7;
	assert_int_equal(packet_overwrite(&p, EDIT_TCP, 4, seq, 4), 0);
	assert_int_equal(p.seq, 0x01020304);
	assert_int_equal(packet_overwrite(&p, EDIT_TCP, 0, port, 2), 0);
	assert_int_equal(p.key.port[p.dir], 65535);
	assert_int_equal(p.verdict, MOS_DROPPED);
	assert_int_equal(p.hash, 7);
	assert_int_equal(p.changed, 1);
	packet_release(&p);
}

static void bytes_may_come_from_the_frame_itself(void **state)
{
	struct mos_packet p = packet_of(ETHERNET, ETH_TCP4());

	(void)state;
	assert_int_equal(packet_overwrite(&p, EDIT_PAYLOAD, 1, p.data + p.payload, 3), 0);
	assert_memory_equal(p.data + p.payload, "aabc", 4);
	packet_release(&p);
}

static void check_fixed(struct mos_packet *p)
{
	uint16_t want = naive_tcp_checksum(p);

	p->changed = 0;
	assert_int_equal(packet_fix_tcp_checksum(p), 0);
	assert_int_equal(p->changed, 1);
	assert_int_equal(be16_at(p, p->l4 + 16U), want);
	if (p->ip_version == 4)
		assert_int_equal(packet_fix_ip_checksum(p), 0);
	assert_true(packet_checksums_ok(p));
}

/* Payloads of all lengths, odd ones included; every single bit counts. */
static void checksums_are_right_for_every_length(void **state)
{
	static const char *const heads[] = { IP4("0000", "4000") TCP("50", "38"), IP6("0000", "06") TCP("50", "38"),
					     "4600 0000 1234 4000 40 06 abcd 0a000001 0a000002 94040000 " TCP20,
					     IP6("0000", "00") "06 00 0104 00000000 " TCP20 };

	(void)state;
	srand(5);
	for (unsigned i = 0; i < 4 * 200; i++) {
		f.len = 0;
		frame_hex(&f, heads[i % 4]);
		for (unsigned n = 0; n < i / 4; n++)
			frame_fill(&f, (uint8_t)rand(), 1);
		struct mos_packet p = frame_packet(&f, RAW, f.len);

		assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
		check_fixed(&p);
		unsigned at = p.l4 + (unsigned)rand() % (p.caplen - p.l4);

		p.data[at] ^= (uint8_t)(1 << rand() % 8);
		assert_false(packet_checksums_ok(&p));
		packet_release(&p);
	}
}

static void a_segment_beyond_64k_has_a_checksum_too(void **state)
{
	(void)state;
	f.len = 0;
	frame_hex(&f, IP6("0000", "06") TCP20);
	frame_fill(&f, 'x', 70001);
	struct mos_packet p = frame_packet(&f, RAW, f.len);

	packet_decode(&p);
	check_fixed(&p);
	packet_release(&p);
}

static void a_right_ip_checksum_stays_as_it_is(void **state)
{
	static const char syn[] = "4510 003c ce1f 4000 40 06 6e8a 7f000001 7f000001"
				  "9c40 0016 a3b1c5d7 00000000 a0 02 aaaa fe30 0000"
				  "0204 ffd7 0402 080a 12345678 00000000 0103 0307";
	struct mos_packet p = packet_of(RAW, syn);

	(void)state;
	check_fixed(&p);
	assert_int_equal(be16_at(&p, 10), 0x6e8a);
	packet_release(&p);
}

static void an_authentication_header_is_not_part_of_the_ip_checksum(void **state)
{
	(void)state;
	struct mos_packet p = packet_of(RAW, "4500 0040 1234 4000 40 33 0000 0a000001 0a000002 "
					     "06 04 0000 00000001 00000001 000102030405060708090a0b " TCP20);

	assert_int_equal(p.decoded, MOS_DECODED_TCP);
	assert_int_equal(packet_fix_ip_checksum(&p), 0);
	assert_int_equal(naive_checksum(p.data, 20), 0);
	assert_int_equal(packet_fix_tcp_checksum(&p), 0);
	assert_true(packet_checksums_ok(&p));
	packet_release(&p);
}

static void padding_is_not_part_of_the_checksum(void **state)
{
	struct mos_packet p = packet_of(ETHERNET, ETH_TCP4()), padded = packet_of(ETHERNET, ETH_TCP4("ffffffff"));

	(void)state;
	packet_fix_tcp_checksum(&p);
	packet_fix_tcp_checksum(&padded);
	assert_memory_equal(p.data, padded.data, p.caplen);
	packet_release(&p);
	packet_release(&padded);
}

/* RFC 8200 8.1: with segments left, the destination is the last address of the routing header. */
static void a_routing_header_under_way_names_the_destination(void **state)
{
	static const struct {
		const char *hex;
		bool final_is_header;
	} rows[] = {
		{ IP6("002c", "2b") "06 02 00 00 00000000 " IP6_A TCP20, true },
		{ "60000000 002c 2b 40 " IP6_A IP6_A "06 02 00 01 00000000 " IP6_B TCP20, false },
		{ "60000000 003c 2b 40 " IP6_A IP6_A "06 04 00 01 00000000 " IP6_A IP6_B TCP20, false },
		{ "60000000 002c 2b 40 " IP6_A IP6_A "06 02 02 01 00000000 " IP6_B TCP20, false },
		{ "60000000 003c 2b 40 " IP6_A IP6_A "06 04 04 01 01000000 " IP6_B IP6_A TCP20, false },
		{ "60000000 0034 3c 40 " IP6_A IP6_A "2b 00 0104 00000000 06 02 02 01 00000000 " IP6_B TCP20, false },
		{ IP6("002c", "2b") "06 02 fe 01 00000000 " IP6_A TCP20, true },
		{ IP6("001c", "2b") "06 00 00 01 00000000 " TCP20, true },
	};
	struct mos_packet plain = packet_of(RAW, IP6("0014", "06") TCP20);

	(void)state;
	packet_fix_tcp_checksum(&plain);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mos_packet p = packet_of(RAW, rows[i].hex);

		assert_int_equal(p.decoded, MOS_DECODED_TCP);
		assert_int_equal(packet_fix_tcp_checksum(&p), 0);
		assert_int_equal(be16_at(&p, p.l4 + 16U), be16_at(&plain, plain.l4 + 16U));
		assert_true(packet_checksums_ok(&p));
		packet_release(&p);
	}
	packet_release(&plain);
}

/* Handlers have a pointer to the frame. */
static void extension_headers_changed_since_they_were_decoded_are_not_trusted(void **state)
{
	struct mos_packet p = packet_of(RAW, IP6("002c", "2b") "06 02 02 01 00000000 " IP6_A TCP20);

	(void)state;
	for (unsigned len = 0; len < 256; len++) {
		p.data[41] = (uint8_t)len;
		assert_int_equal(packet_fix_tcp_checksum(&p), 0);
	}
	packet_release(&p);
}

static void what_cannot_be_checked_counts_as_right(void **state)
{
	(void)state;
	f.len = 0;
	frame_hex(&f, ETH_TCP4());
	for (uint32_t cut = 54; cut < f.len; cut++) {
		struct mos_packet p = frame_packet(&f, ETHERNET, cut);

		packet_decode(&p);
		assert_int_equal(packet_fix_tcp_checksum(&p), -ERANGE);
		assert_int_equal(packet_fix_ip_checksum(&p), 0);
		assert_true(packet_checksums_ok(&p));
		p.data[20] ^= 1;
		assert_false(packet_checksums_ok(&p));
		packet_release(&p);
	}
	f.len = 0;
	frame_hex(&f, IP4("002c", "4000") TCP("60", "10") "02040218");
	struct mos_packet no_options = frame_packet(&f, RAW, 40);

	packet_decode(&no_options);
	assert_int_equal(packet_fix_tcp_checksum(&no_options), -ERANGE);
	packet_release(&no_options);
	struct mos_packet arp = packet_of(ETHERNET, ETH("0806") "0001080006040001");

	assert_true(packet_checksums_ok(&arp));
	packet_release(&arp);
}

static void what_the_port_has_verified_is_not_summed_again_unless_in_a_tunnel(void **state)
{
	struct mos_packet p = packet_of(ETHERNET, ETH_TCP4("0000"));
	struct mos_packet inner = packet_of(
		ETHERNET, ETH("0800") "4500 003c 1234 4000 40 04 0000 0a000001 0a000002 " IP4("0028", "4000") TCP20);

	(void)state;
	assert_int_equal(inner.decoded, MOS_DECODED_TCP);
	assert_false(packet_checksums_ok(&p));
	p.checks = MOS_CHECKS_TCP;
	assert_false(packet_checksums_ok(&p));
	p.checks = MOS_CHECKS_IP;
	assert_false(packet_checksums_ok(&p));
	p.checks = inner.checks = MOS_CHECKS_IP | MOS_CHECKS_TCP;
	assert_true(packet_checksums_ok(&p));
	assert_false(packet_checksums_ok(&inner));
	packet_release(&p);
	packet_release(&inner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_of_pieces_is_the_sum_of_the_whole),
		cmocka_unit_test(the_example_of_rfc_1071_comes_out),
		cmocka_unit_test(carries_beyond_32_bits_are_kept),
		cmocka_unit_test(only_the_captured_bytes_of_the_layer_can_be_written),
		cmocka_unit_test(an_offset_that_wraps_is_out_of_range),
		cmocka_unit_test(what_the_capture_cut_cannot_be_written),
		cmocka_unit_test(a_layer_that_is_not_there_is_an_invalid_argument),
		cmocka_unit_test(a_written_header_is_decoded_again_and_the_verdict_stays),
		cmocka_unit_test(bytes_may_come_from_the_frame_itself),
		cmocka_unit_test(checksums_are_right_for_every_length),
		cmocka_unit_test(a_segment_beyond_64k_has_a_checksum_too),
		cmocka_unit_test(a_right_ip_checksum_stays_as_it_is),
		cmocka_unit_test(an_authentication_header_is_not_part_of_the_ip_checksum),
		cmocka_unit_test(padding_is_not_part_of_the_checksum),
		cmocka_unit_test(a_routing_header_under_way_names_the_destination),
		cmocka_unit_test(extension_headers_changed_since_they_were_decoded_are_not_trusted),
		cmocka_unit_test(what_cannot_be_checked_counts_as_right),
		cmocka_unit_test(what_the_port_has_verified_is_not_summed_again_unless_in_a_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
