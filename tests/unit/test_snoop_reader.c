/* snoop (RFC 1761): link types, padding, and lengths that cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "captures.h"

static void its_numbers_of_link_types_are_translated(void **state)
{
	static const struct {
		uint32_t type;
		uint16_t link;
	} rows[] = { { 0, ETHERNET }, { 4, ETHERNET }, { 2, 6 }, { 8, FDDI } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snoop_begin_with(2, rows[i].type);
		snoop_packet_padded(1, 2, 'a', 60, 60, 0);
		struct io *io = open_good(save("types.snoop"));
		int saved = redirect(STDERR_FILENO, open("/dev/null", O_WRONLY));
		struct mos_packet p = only_packet(io);

		restore(STDERR_FILENO, saved);
		assert_int_equal(p.link, rows[i].link);
		io->ops->close(io);
	}
}

static void link_types_without_a_translation_are_not_supported(void **state)
{
	(void)state;
	snoop_begin_with(2, 5);
	snoop_packet_padded(1, 2, 'a', 60, 60, 0);
	struct reading r = read_file(save("hdlc.snoop"), NULL);

	assert_int_equal(r.packets, 1);
	assert_string_equal(r.warnings, text_of("mos-run: warning: %s: link type unknown is not supported: "
						"its packets are counted, not decoded\n",
						path_of("hdlc.snoop")));
}

static void padding_of_any_length_is_passed_over(void **state)
{
	struct mos_packet p[IO_BURST];

	(void)state;
	snoop_begin_with(2, 4);
	for (uint32_t i = 0; i < IO_BURST; i++)
		snoop_packet_padded(i, 0, (uint8_t)i, 60, 1500, i);
	struct io *io = open_good(save("padded.snoop"));

	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), IO_BURST);
	for (unsigned i = 0; i < IO_BURST; i++) {
		assert_int_equal(p[i].ts_ns, i * UINT64_C(1000000000));
		assert_true(p[i].caplen == 60 && p[i].len == 1500 && p[i].data[0] == i && p[i].data[59] == i);
	}
	io->ops->close(io);
}

static void a_record_too_short_for_its_frame_or_too_long_is_damage(void **state)
{
	static const uint32_t lengths[] = { 0, 23, 83, 262144 + 4097, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		snoop_begin_with(2, 4);
		snoop_packet_padded(1, 0, 'a', 60, 60, 0);
		size_t second = out.len;

		snoop_packet_padded(1, 0, 'a', 60, 60, 0);
		out.len = second + 8;
		put32(lengths[i]);
		out.len = second + 84;
		const char *path = save("lengths.snoop");
		struct reading r = read_file(path, NULL);

		assert_int_equal(r.packets, 1);
		assert_true(r.damaged);
		assert_string_equal(
			r.error, text_of("%s: record length %u is not plausible (after 1 packets)", path, lengths[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_numbers_of_link_types_are_translated),
		cmocka_unit_test(link_types_without_a_translation_are_not_supported),
		cmocka_unit_test(padding_of_any_length_is_passed_over),
		cmocka_unit_test(a_record_too_short_for_its_frame_or_too_long_is_damage),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
