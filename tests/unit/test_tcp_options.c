#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "frames.h"
#include "pkt/decode.h"

enum { RAW = 12, OPTIONS_AT = 40 };

static struct frame f;

/* A segment whose options are the bytes of hex, a multiple of four. */
static struct mos_packet segment(const char *hex)
{
	f.len = 0;
	frame_hex(&f, IP4("0000", "4000") TCP20);
	frame_hex(&f, hex);
	f.bytes[32] = (uint8_t)((f.len - 20) / 4 << 4);
	struct mos_packet p = frame_packet(&f, RAW, f.len);

	assert_int_equal(f.len % 4, 0);
	assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
	return p;
}

static struct tcp_options options_of(const char *hex)
{
	struct tcp_options o;
	struct mos_packet p = segment(hex);

	memset(&o, 0xff, sizeof(o));
	packet_options(&p, &o);
	packet_release(&p);
	return o;
}

static bool same(const struct tcp_options *a, const struct tcp_options *b)
{
	for (int i = 0; i < a->sack_blocks; i++)
		if (a->sack[i][0] != b->sack[i][0] || a->sack[i][1] != b->sack[i][1])
			return false;
	return a->tsval == b->tsval && a->tsecr == b->tsecr && a->mss == b->mss && a->wscale == b->wscale &&
	       a->sack_blocks == b->sack_blocks && a->has_ts == b->has_ts && a->has_wscale == b->has_wscale &&
	       a->sack_ok == b->sack_ok && a->malformed == b->malformed && a->cut == b->cut;
}

#define TS .has_ts = true, .tsval = 1, .tsecr = 2

static const struct {
	const char *name, *hex;
	struct tcp_options want;
} table[] = {
	{ "none", "", { 0 } },
	{ "maximum segment size", "020405b4", { .mss = 1460 } },
	{ "a SYN of Linux",
	  "020405b4 0402 080a 00000001 00000000 01 030307",
	  { .mss = 1460, .sack_ok = true, .has_ts = true, .tsval = 1, .has_wscale = true, .wscale = 7 } },
	{ "timestamps", "0101 080a 00000001 00000002", { TS } },
	{ "timestamps at the front", "080a 00000001 00000002 0000", { TS } },
	{ "window scale of 0 is one", "01 030300", { .has_wscale = true } },
	{ "window scale 14", "01 03030e", { .has_wscale = true, .wscale = 14 } },
	{ "window scale above 14 is 14", "01 0303ff", { .has_wscale = true, .wscale = 14 } },
	{ "one SACK block", "0101 050a 0000000a 00000014", { .sack_blocks = 1, .sack = { { 10, 20 } } } },
	{ "timestamps and three SACK blocks",
	  "0101 080a 00000001 00000002 0101 051a 00000001 00000002 00000003 00000004 00000005 00000006",
	  { TS, .sack_blocks = 3, .sack = { { 1, 2 }, { 3, 4 }, { 5, 6 } } } },
	{ "four SACK blocks",
	  "0101 0522 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008",
	  { .sack_blocks = 4, .sack = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } } } },
	{ "nothing counts after the end of options", "00 020405b4 000000", { 0 } },
	{ "an unknown option is stepped over", "fe04aabb 020405b4", { .mss = 1460 } },
	{ "a length of 0 ends the parsing", "020405b4 fe00 0402", { .mss = 1460, .malformed = true } },
	{ "a length of 1 ends the parsing", "020405b4 0201 0402", { .mss = 1460, .malformed = true } },
	{ "an option past the header's end", "020405b4 01 01 0303", { .mss = 1460, .malformed = true } },
	{ "a kind without a length", "020405b4 010101 02", { .mss = 1460, .malformed = true } },
	{ "an MSS of 3 bytes is none", "020301 00", { 0 } },
	{ "timestamps of 9 bytes are none", "0809 00000001 000000 020405b4 000000", { .mss = 1460 } },
	{ "SACK with half a block is none", "0506 00000001 0101", { 0 } },
	{ "SACK without a block is none", "0502 0101", { 0 } },
	{ "SACK of a wrong length leaves the blocks before",
	  "050a 00000005 00000006 0506 00000001",
	  { .sack_blocks = 1, .sack = { { 5, 6 } } } },
	{ "SACK without a block leaves the blocks before",
	  "050a 00000005 00000006 0502 01010101",
	  { .sack_blocks = 1, .sack = { { 5, 6 } } } },
	{ "window scale of 4 bytes is none", "03040700", { 0 } },
	{ "SACK-permitted of 3 bytes is none", "040300 01", { 0 } },
	{ "of two the last counts", "020405b4 02040218", { .mss = 536 } },
	{ "of two lists of SACK blocks the last counts",
	  "0512 00000001 00000002 00000003 00000004 050a 00000005 00000006",
	  { .sack_blocks = 1, .sack = { { 5, 6 } } } },
};

static void each_list_of_options_is_read_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tcp_options o = options_of(table[i].hex);

		if (!same(&o, &table[i].want))
			fail_msg("%s: mss %u, wscale %u, ts %u, %u SACK blocks, malformed %d", table[i].name, o.mss,
				 o.wscale, o.tsval, o.sack_blocks, o.malformed);
	}
}

static void options_that_the_capture_cut_are_absent_and_it_says_so(void **state)
{
	static const char syn[] = "020405b4 0402 080a 00000001 00000002 01 030307";
	struct mos_packet whole = segment(syn);

	(void)state;
	for (uint32_t there = 0; there <= 20; there++) {
		struct mos_packet p = frame_packet(&f, RAW, OPTIONS_AT + there);
		struct tcp_options o, want = { .cut = there < 20 };

		if (there >= 4)
			want.mss = 1460;
		want.sack_ok = there >= 6;
		if (there >= 16) {
			want.has_ts = true;
			want.tsval = 1;
			want.tsecr = 2;
		}
		want.has_wscale = there >= 20;
		want.wscale = there >= 20 ? 7 : 0;
		assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
		packet_options(&p, &o);
		assert_true(same(&o, &want));
		packet_release(&p);
	}
	packet_release(&whole);
}

static void payload_is_never_read_as_an_option(void **state)
{
	struct mos_packet p;
	struct tcp_options o;

	(void)state;
	f.len = 0;
	frame_hex(&f, IP4("0000", "4000") TCP("60", "10") "01010102 0405b400");
	p = frame_packet(&f, RAW, f.len);
	packet_decode(&p);
	packet_options(&p, &o);
	assert_true(o.malformed);
	assert_int_equal(o.mss, 0);
	packet_release(&p);
}

/* RFC 9293 3.1 once more, without looking ahead: split into options first, then look at the one asked for. */
static int find_option(const uint8_t *opt, int size, uint8_t kind, uint8_t len, const uint8_t **found)
{
	int i = 0;

	*found = NULL;
	while (i < size && opt[i] != 0) {
		int n = opt[i] == 1 ? 1 : i + 1 < size ? opt[i + 1] : 0;

		if (n == 0 || (opt[i] != 1 && n < 2) || i + n > size)
			return -1;
		if (opt[i] == kind && n == len)
			*found = opt + i;
		i += n;
	}
	return 0;
}

static void random_options_are_read_as_by_a_plain_parser(void **state)
{
	static const uint8_t bytes[] = { 0, 1, 2, 3, 4, 5, 8, 10, 18, 4, 3, 2, 1, 1 };
	static const uint8_t linux_syn[] = { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 3, 3, 13 };

	(void)state;
	srand(3);
	for (int n = 0; n < 50000; n++) {
		int size = rand() % 11 * 4;

		f.len = 0;
		frame_hex(&f, IP4("0000", "4000") TCP20);
		for (int i = 0; i < size; i++)
			frame_fill(&f, rand() % 8 ? bytes[(size_t)rand() % sizeof(bytes)] : (uint8_t)rand(), 1);
		/* Near what Linux sends, too. */
		if (size >= (int)sizeof(linux_syn) && n % 3 == 0) {
			memcpy(f.bytes + f.len - size, linux_syn, sizeof(linux_syn));
			f.bytes[(int)f.len - size + rand() % 20] += (uint8_t)(rand() % 3);
		}
		f.bytes[32] = (uint8_t)((20 + size) / 4 << 4);
		struct mos_packet p = frame_packet(&f, RAW, f.len);
		const uint8_t *opt = p.data + OPTIONS_AT, *mss, *wscale, *ts;
		struct tcp_options o;

		assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
		packet_options(&p, &o);
		assert_int_equal(o.malformed, find_option(opt, size, 2, 4, &mss) < 0);
		find_option(opt, size, 3, 3, &wscale);
		find_option(opt, size, 8, 10, &ts);
		assert_int_equal(o.mss, mss ? mss[2] << 8 | mss[3] : 0);
		assert_int_equal(o.has_wscale, wscale != NULL);
		assert_int_equal(o.wscale, !wscale ? 0 : wscale[2] > 14 ? 14 : wscale[2]);
		assert_int_equal(o.has_ts, ts != NULL);
		assert_false(o.cut);
		packet_release(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_list_of_options_is_read_as_the_table_says),
		cmocka_unit_test(options_that_the_capture_cut_are_absent_and_it_says_so),
		cmocka_unit_test(payload_is_never_read_as_an_option),
		cmocka_unit_test(random_options_are_read_as_by_a_plain_parser),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
