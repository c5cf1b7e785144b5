/* pcapng: sections, interfaces, times, blocks; and what of it is damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "captures.h"

/* A section with one Ethernet interface in microseconds. */
static void begin(bool big_endian)
{
	out.len = 0;
	section(big_endian);
	interface(ETHERNET, 6);
}

static struct mos_packet first_packet(const char *path)
{
	struct io *io = open_good(path);
	struct mos_packet p = only_packet(io);

	io->ops->close(io);
	return p; /* its frame is gone */
}

static void each_packet_has_the_link_type_and_number_of_its_interface(void **state)
{
	static const uint16_t links[] = { ETHERNET, RAW, SLL, ETHERNET };
	struct mos_packet p[IO_BURST];

	(void)state;
	out.len = 0;
	section(false);
	interface(ETHERNET, 6);
	interface(LINKTYPE_RAW, 6);
	enhanced_packet(1, 0, 1, 60, 60);
	interface(SLL, 6);
	interface(ETHERNET, 6);
	for (uint32_t i = 0; i < 4; i++)
		enhanced_packet(3 - i, 0, 1, 60, 60);
	struct io *io = open_good(save("links.pcapng"));

	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 5);
	assert_int_equal(p[0].link, RAW);
	assert_int_equal(p[0].port, 1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(p[1 + i].link, links[3 - i]);
		assert_int_equal(p[1 + i].port, 3 - i);
	}
	io->ops->close(io);
}

static void a_section_starts_anew_in_its_own_byte_order(void **state)
{
	struct mos_packet p[IO_BURST];

	(void)state;
	begin(false);
	enhanced_packet(0, 1, 'a', 60, 60);
	section(true);
	interface(LINKTYPE_RAW, 9);
	enhanced_packet(0, 2, 'b', 40, 40);
	section(true);
	section(false);
	interface(SLL, 3);
	enhanced_packet(0, 3, 'c', 50, 50);
	struct io *io = open_good(save("sections.pcapng"));

	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 3);
	assert_true(p[0].link == ETHERNET && p[0].ts_ns == 1000 && p[0].caplen == 60 && p[0].data[59] == 'a');
	assert_true(p[1].link == RAW && p[1].ts_ns == 2 && p[1].caplen == 40 && p[1].data[39] == 'b');
	assert_true(p[2].link == SLL && p[2].ts_ns == 3000000 && p[2].caplen == 50 && p[2].data[49] == 'c');
	io->ops->close(io);
}

/* Ticks times 10^9, divided by the ticks of a second, rounded down; in the low 64 bits. */
static uint64_t naive_ns(uint64_t ticks, uint8_t resolution)
{
	unsigned __int128 ns = (unsigned __int128)ticks * 1000000000;

	for (int i = 0; i < (resolution & 0x7f); i++)
		ns /= resolution & 0x80 ? 2 : 10;
	return (uint64_t)ns;
}

static void time_is_right_in_every_resolution(void **state)
{
	static const uint64_t ticks[] = { 0, 1, 999, 1700000000, UINT64_C(1700000000123456789), UINT64_MAX };

	(void)state;
	for (unsigned resolution = 0; resolution < 256; resolution++) {
		if (resolution > 19 && resolution < 128)
			continue;
		out.len = 0;
		section(resolution & 1);
		interface(ETHERNET, (uint8_t)resolution);
		for (size_t i = 0; i < 6; i++)
			enhanced_packet(0, ticks[i], 1, 60, 60);
		struct io *io = open_good(save("ticks.pcapng"));
		struct mos_packet p[IO_BURST];

		assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 6);
		for (size_t i = 0; i < 6; i++)
			assert_int_equal(p[i].ts_ns, naive_ns(ticks[i], (uint8_t)resolution));
		io->ops->close(io);
	}
}

static void an_interface_without_a_resolution_counts_microseconds(void **state)
{
	(void)state;
	out.len = 0;
	section(false);
	interface_begin(ETHERNET, 0);
	block_end();
	enhanced_packet(0, 5, 1, 60, 60);
	assert_int_equal(first_packet(save("plain.pcapng")).ts_ns, 5000);
}

static void an_offset_in_seconds_is_added(void **state)
{
	static const struct {
		int64_t offset;
		uint64_t ticks, ns;
	} rows[] = {
		{ 1700000000, 5, UINT64_C(1700000000000005000) },
		{ -1, 3000000, 2000000000 },
		{ 0, 7, 7000 },
	};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		out.len = 0;
		section(i % 2);
		interface_begin(ETHERNET, 0);
		option(14, (uint64_t)rows[i / 2].offset, 8);
		block_end();
		enhanced_packet(0, rows[i / 2].ticks, 1, 60, 60);
		assert_int_equal(first_packet(save("offset.pcapng")).ts_ns, rows[i / 2].ns);
	}
}

static void other_options_and_what_follows_their_end_are_passed_over(void **state)
{
	(void)state;
	out.len = 0;
	section(true);
	interface_begin(ETHERNET, 0);
	option(2, 0x65746830, 4); /* name */
	option(3, 0x616263, 3);   /* description */
	option(9, 9, 1);
	option(1, 0, 0); /* comment */
	option(0, 0, 0);
	option(9, 3, 1);
	block_end();
	enhanced_packet(0, 5, 1, 60, 60);
	assert_int_equal(first_packet(save("options.pcapng")).ts_ns, 5);
}

static void other_blocks_are_passed_over(void **state)
{
	static const uint32_t types[] = { 4, 5, 10, 0xbad, 0x80000001, 0 };

	(void)state;
	begin(true);
	for (size_t i = 0; i < 6; i++) {
		block_begin(types[i]);
		put_fill(0x5a, i * 1000);
		block_end();
	}
	block_begin(6);
	put32(0);
	put(7, 8);
	put32(3);
	put32(60);
	put(0x61626300, 4);
	option(2, 1, 4); /* flags */
	option(1, 0x616263, 3);
	block_end();
	struct io *io = open_good(save("blocks.pcapng"));
	struct mos_packet p = only_packet(io);

	assert_int_equal(p.caplen, 3);
	assert_memory_equal(p.data, "abc", 3);
	io->ops->close(io);
}

/* Such a block has no captured length, so the snap length of the first interface counts, and what is there. */
static void a_simple_block_is_of_the_first_interface(void **state)
{
	static const struct {
		uint32_t snaplen, bytes, len, caplen;
	} rows[] = { { 0, 60, 60, 60 }, { 40, 40, 60, 40 }, { 40, 60, 60, 40 }, { 96, 60, 58, 58 }, { 0, 40, 60, 40 } };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		out.len = 0;
		section(false);
		interface_begin(LINKTYPE_RAW, rows[i].snaplen);
		block_end();
		interface(ETHERNET, 6);
		simple_packet(1, rows[i].bytes, rows[i].len);
		struct mos_packet p = first_packet(save("simple.pcapng"));

		assert_true(p.link == RAW && p.port == 0 && p.ts_ns == 0);
		assert_true(p.caplen == rows[i].caplen && p.len == rows[i].len);
	}
}

static void an_obsolete_block_counts_drops_beside_its_interface(void **state)
{
	(void)state;
	begin(true);
	interface(LINKTYPE_RAW, 6);
	obsolete_packet(1, UINT64_C(0x123456789), 1, 60, 1500);
	struct mos_packet p = first_packet(save("obsolete.pcapng"));

	assert_true(p.link == RAW && p.port == 1 && p.caplen == 60 && p.len == 1500);
	assert_int_equal(p.ts_ns, UINT64_C(0x123456789) * 1000);
}

/* What stands behind a good packet, and why no more is read. */
static void check_fault(const char *fault)
{
	struct reading r = read_file(save("damaged.pcapng"), NULL);

	assert_int_equal(r.last, IO_FAILED);
	assert_true(r.damaged);
	assert_int_equal(r.packets, 1);
	assert_string_equal(r.error, text_of("%s: %s (after 1 packets)", path_of("damaged.pcapng"), fault));
}

static void begin_with_packet(void)
{
	begin(false);
	enhanced_packet(0, 0, 1, 60, 60);
}

static void a_block_that_contradicts_itself_is_damage(void **state)
{
	static const uint32_t lengths[] = { 0, 4, 8, 11, 13, 14, 15, 61, (16 << 20) + 4, 0xfffffffc };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char fault[64];

		begin_with_packet();
		put32(5);
		put32(lengths[i]);
		put_fill(0, 100);
		snprintf(fault, sizeof(fault), "record length %u is not plausible", lengths[i]);
		check_fault(fault);
	}
	begin_with_packet();
	enhanced_packet(0, 0, 1, 60, 60);
	out.bytes[out.len - 4]++;
	check_fault("a block of 92 bytes ends with the length 93");
}

static void a_packet_that_contradicts_its_block_or_interface_is_damage(void **state)
{
	(void)state;
	begin_with_packet();
	enhanced_packet(1, 0, 1, 60, 60);
	check_fault("a packet of interface 1, which is not described");
	begin_with_packet();
	section(false);
	enhanced_packet(0, 0, 1, 60, 60);
	check_fault("a packet of interface 0, which is not described");
	begin_with_packet();
	section(false);
	simple_packet(1, 60, 60);
	check_fault("a packet of interface 0, which is not described");
	begin_with_packet();
	enhanced_packet(0, 0, 1, 60, 60);
	out.bytes[block_at + 20]++;
	check_fault("a packet of 61 bytes in a block that holds 60");
	begin_with_packet();
	obsolete_packet(0, 0, 1, 60, 60);
	out.bytes[block_at + 23] = 0xff;
	check_fault("a packet of 4278190140 bytes in a block that holds 60");
}

static void a_block_too_short_for_its_fields_is_damage(void **state)
{
	static const struct {
		uint32_t type, needs;
	} rows[] = { { 1, 8 }, { 2, 20 }, { 3, 4 }, { 6, 20 } };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (uint32_t len = 0; len < rows[i].needs; len += 4) {
			begin_with_packet();
			block_begin(rows[i].type);
			put_fill(0, len);
			block_end();
			check_fault("a block is too short for what it holds");
		}
	}
}

static void a_malformed_option_of_an_interface_is_damage(void **state)
{
	static const struct {
		unsigned code, len;
		uint64_t value;
	} rows[] = { { 9, 2, 6 }, { 9, 0, 6 }, { 9, 1, 20 }, { 9, 1, 127 }, { 14, 4, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_with_packet();
		interface_begin(ETHERNET, 0);
		option(rows[i].code, rows[i].value, rows[i].len);
		block_end();
		check_fault("an option of interface 1 is malformed");
	}
	begin_with_packet();
	interface_begin(ETHERNET, 0);
	put16(2);
	put16(5);
	put_fill(0, 4);
	block_end();
	check_fault("an option of interface 1 is malformed");
}

static void a_section_that_cannot_be_read_is_damage(void **state)
{
	(void)state;
	begin_with_packet();
	section(false);
	out.bytes[block_at + 8]++;
	check_fault("a section in no known byte order");
	begin_with_packet();
	section(true);
	out.bytes[block_at + 13]++;
	check_fault("pcapng version 2 is not supported");
	begin_with_packet();
	block_begin(0x0a0d0d0a);
	put32(0x1a2b3c4d);
	put_fill(0, 8);
	block_end();
	check_fault("a block is too short for what it holds");
}

static void as_the_first_section_it_is_not_a_capture(void **state)
{
	(void)state;
	begin(false);
	out.bytes[8]++;
	const char *path = save("first.pcapng");

	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: a section in no known byte order", path));
	begin(false);
	out.bytes[12]++;
	path = save("first.pcapng");
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: pcapng version 2 is not supported", path));
	begin(false);
	out.bytes[4] = 3;
	path = save("first.pcapng");
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: record length 3 is not plausible", path));
}

static void sixty_five_thousand_interfaces_are_enough(void **state)
{
	(void)state;
	out.len = 0;
	section(false);
	for (int i = 0; i <= UINT16_MAX; i++) {
		interface_begin(ETHERNET, 0);
		block_end();
	}
	enhanced_packet(UINT16_MAX, 0, 1, 60, 60);
	assert_int_equal(first_packet(save("many.pcapng")).port, UINT16_MAX);
	interface(ETHERNET, 6);
	struct reading r = read_file(save("many.pcapng"), NULL);

	assert_true(r.damaged);
	assert_non_null(strstr(r.error, "more than 65536 interfaces"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_packet_has_the_link_type_and_number_of_its_interface),
		cmocka_unit_test(a_section_starts_anew_in_its_own_byte_order),
		cmocka_unit_test(time_is_right_in_every_resolution),
		cmocka_unit_test(an_interface_without_a_resolution_counts_microseconds),
		cmocka_unit_test(an_offset_in_seconds_is_added),
		cmocka_unit_test(other_options_and_what_follows_their_end_are_passed_over),
		cmocka_unit_test(other_blocks_are_passed_over),
		cmocka_unit_test(a_simple_block_is_of_the_first_interface),
		cmocka_unit_test(an_obsolete_block_counts_drops_beside_its_interface),
		cmocka_unit_test(a_block_that_contradicts_itself_is_damage),
		cmocka_unit_test(a_packet_that_contradicts_its_block_or_interface_is_damage),
		cmocka_unit_test(a_block_too_short_for_its_fields_is_damage),
		cmocka_unit_test(a_malformed_option_of_an_interface_is_damage),
		cmocka_unit_test(a_section_that_cannot_be_read_is_damage),
		cmocka_unit_test(as_the_first_section_it_is_not_a_capture),
		cmocka_unit_test(sixty_five_thousand_interfaces_are_enough),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
