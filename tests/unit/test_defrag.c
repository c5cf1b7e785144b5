#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pkt/bytes.h"
#include "pkt/decode.h"
#include "pkt/defrag.h"
#include "pkt/edit.h"

enum { RAW = 12, TCP = 6, ICMP = 1, UDP = 17, LAST = 0, MORE = 1, SIZE = 1 << 17 };

#define SECOND 1000000000ull

static struct defrag d;
static struct stats st;
static struct mos_packet whole;
static uint64_t now_ns, number;
static const uint64_t seed[4] = { 0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89 };

/* How the next fragments' headers look. */
static struct {
	int version;
	uint32_t id;
	uint8_t proto;
	uint8_t source;
	uint32_t ext;     /* bytes of hop-by-hop options, of IPv4 options */
	uint32_t cut_off; /* bytes left off the capture */
	uint32_t claims;  /* bytes that the length field has too many */
} as;

static void begin(int version, const struct defrag_limits *l)
{
	struct defrag_limits standard;

	defrag_limits_default(&standard);
	memset(&st, 0, sizeof(st));
	memset(&as, 0, sizeof(as));
	as.version = version;
	as.proto = TCP;
	as.id = 77;
	now_ns = 1000 * SECOND;
	number = 0;
	assert_int_equal(defrag_init(&d, l ? l : &standard, seed, &st), 0);
}

static void end(void)
{
	defrag_fini(&d);
}

static uint32_t put_ip4(uint8_t *h, uint32_t off, int more, uint32_t len)
{
	uint32_t hlen = 20 + as.ext;

	memset(h, 1, hlen); /* options: no operation */
	h[0] = (uint8_t)(0x40 | hlen / 4);
	h[1] = 0;
	store_be16(h + 2, (uint16_t)(hlen + len + as.claims));
	store_be16(h + 4, (uint16_t)as.id);
	store_be16(h + 6, (uint16_t)(more << 13 | off / 8));
	h[8] = 64;
	h[9] = as.proto;
	store_be16(h + 10, 0);
	memcpy(h + 12, (uint8_t[]){ 10, 0, 0, as.source, 10, 0, 0, 200 }, 8);
	store_be16(h + 10, checksum_fold(checksum_add(0, h, hlen)));
	return hlen;
}

/* fragment: with a fragment header. */
static uint32_t put_ip6(uint8_t *h, bool fragment, uint32_t off, int more, uint32_t len)
{
	uint8_t next = fragment ? 44 : as.proto;
	uint32_t hlen = 40 + as.ext;

	memset(h, 0, 40 + as.ext + 8);
	h[0] = 0x60;
	store_be16(h + 4, (uint16_t)(as.ext + (fragment ? 8 : 0) + len + as.claims));
	h[6] = as.ext ? 0 : next;
	h[7] = 64;
	h[8] = h[24] = 0xfd;
	h[23] = as.source;
	h[39] = 200;
	if (as.ext) {
		h[40] = next;
		h[41] = (uint8_t)(as.ext / 8 - 1);
		h[42] = 1; /* PadN */
		h[43] = (uint8_t)(as.ext - 4);
	}
	if (!fragment)
		return hlen;
	h[hlen] = as.proto;
	store_be16(h + hlen + 2, (uint16_t)(off | more));
	store_be32(h + hlen + 4, as.id);
	return hlen + 8;
}

/* The fragment with bytes [off, off + len) of data, in memory of exactly its size. */
static bool add(const uint8_t *data, uint32_t off, uint32_t len, int more)
{
	static uint8_t frame[SIZE];
	uint32_t n = as.version == 4 ? put_ip4(frame, off, more, len) : put_ip6(frame, true, off, more, len);

	if (len)
		memcpy(frame + n, data + off, len);
	n += len;
	struct mos_packet p = { .ts_ns = now_ns, .caplen = n - as.cut_off, .len = n, .link = RAW, .port = 3 };

	p.number = ++number;
	p.data = malloc(p.caplen);
	memcpy(p.data, frame, p.caplen);
	assert_int_equal(packet_decode(&p), MOS_DECODED_FRAGMENT);
	bool done = defrag_add(&d, &p, &whole);

	free(p.data);
	return done;
}

/* whole is the datagram that would have been sent if it had fitted. */
static void assert_whole(const uint8_t *data, uint32_t len)
{
	static uint8_t frame[SIZE];
	uint32_t n = as.version == 4 ? put_ip4(frame, 0, 0, len) : put_ip6(frame, false, 0, 0, len);

	memcpy(frame + n, data, len);
	assert_int_equal(whole.caplen, n + len);
	assert_int_equal(whole.len, n + len);
	assert_memory_equal(whole.data, frame, n + len);
	assert_int_equal(whole.link, RAW);
	assert_int_equal(whole.port, 3);
	assert_int_equal(whole.number, number);
	assert_int_equal(whole.ts_ns, now_ns);
}

static const uint8_t *letters(char first)
{
	static uint8_t text[26][SIZE];
	uint8_t *t = text[first - 'a'];

	for (uint32_t i = 0; i < SIZE; i++)
		t[i] = (uint8_t)(first + i / 8 % 20);
	return t;
}

static void each_family(void (*test)(void))
{
	for (as.version = 4; as.version <= 6; as.version += 2) {
		int version = as.version;

		begin(version, NULL);
		test();
		end();
		as.version = version;
	}
}

#define EACH_FAMILY(name)               \
	static void name##_in(void);    \
	static void name(void **state)  \
	{                               \
		(void)state;            \
		each_family(name##_in); \
	}                               \
	static void name##_in(void)

EACH_FAMILY(the_last_piece_to_come_completes_a_datagram)
{
	const uint8_t *a = letters('a');

	assert_false(add(a, 48, 5, LAST));
	assert_false(add(a, 0, 24, MORE));
	now_ns += 5;
	assert_true(add(a, 24, 24, MORE));
	assert_whole(a, 53);
	assert_int_equal(st.fragments, 3);
	assert_int_equal(st.fragments_reassembled, 1);
	assert_int_equal(d.datagrams, 0);
	assert_int_equal(d.bytes, 0);
}

EACH_FAMILY(options_of_the_first_fragment_stay)
{
	const uint8_t *a = letters('a');

	as.ext = 16;
	assert_false(add(a, 8, 8, LAST));
	assert_true(add(a, 0, 8, MORE));
	assert_whole(a, 16);
}

EACH_FAMILY(what_is_put_together_decodes_as_tcp)
{
	uint8_t a[64] = { 0x30, 0x39, 0, 80, [12] = 0x50, [13] = 0x18 };

	assert_false(add(a, 0, 8, MORE)); /* not even a TCP header in it */
	assert_true(add(a, 8, 25, LAST));
	assert_int_equal(packet_decode(&whole), MOS_DECODED_TCP);
	assert_int_equal(whole.payload_len, 13);
	assert_int_equal(whole.payload_caplen, 13);
	assert_int_equal(whole.ip_len, whole.len);
}

EACH_FAMILY(datagrams_are_told_apart_by_identification_and_address)
{
	const uint8_t *a = letters('a'), *b = letters('b');

	assert_false(add(a, 0, 8, MORE));
	as.id++;
	assert_false(add(b, 8, 8, LAST));
	as.source++;
	assert_false(add(b, 0, 8, MORE));
	as.source--;
	assert_true(add(b, 0, 8, MORE));
	assert_whole(b, 16);
	as.id--;
	assert_true(add(a, 8, 8, LAST));
	assert_whole(a, 16);
	assert_int_equal(d.datagrams, 1);
}

EACH_FAMILY(an_exact_copy_changes_nothing)
{
	const uint8_t *a = letters('a');

	assert_false(add(a, 0, 24, MORE));
	assert_false(add(a, 0, 24, MORE));
	assert_false(add(a, 32, 5, LAST));
	assert_false(add(a, 32, 5, LAST));
	assert_true(add(a, 24, 8, MORE));
	assert_whole(a, 37);
	assert_int_equal(st.fragments_duplicate, 2);
	assert_int_equal(st.fragments_overlap, 0);
}

/* What comes second, after bytes 16 to 40 of 'a'; all of it overlaps. */
static const struct {
	const char *what;
	char text;
	uint32_t off, len;
} overlaps[] = {
	{ "the same place, other bytes", 'b', 16, 24 },
	{ "over the front", 'b', 8, 16 },
	{ "over the back", 'b', 32, 16 },
	{ "inside", 'b', 24, 8 },
	{ "all around", 'b', 8, 40 },
	{ "the same bytes, cut shorter", 'a', 16, 16 },
	{ "the same bytes, and more", 'a', 16, 32 },
	{ "the same bytes, from later on", 'a', 24, 16 },
};

enum { OVERLAPS = sizeof(overlaps) / sizeof(overlaps[0]) };

static void of_overlapping_ipv4_fragments_the_first_wins(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OVERLAPS; i++) {
		const uint8_t *a = letters('a'), *b = letters(overlaps[i].text), *c = letters('c');
		uint8_t expected[64];

		begin(4, NULL);
		assert_false(add(a, 16, 24, MORE));
		assert_false(add(b, overlaps[i].off, overlaps[i].len, MORE));
		assert_false(add(c, 0, 56, MORE));
		assert_true(add(c, 56, 8, LAST));
		memcpy(expected, c, 64);
		memcpy(expected + overlaps[i].off, b + overlaps[i].off, overlaps[i].len);
		memcpy(expected + 16, a + 16, 24);
		assert_whole(expected, 64);
		assert_int_equal(st.fragments_overlap, 2);
		end();
	}
}

/*
 * The published case of "Target-Based Fragmentation Reassembly", in units of 8 bytes: fragments, then others over them,
 * and what each policy makes of it.
 */
static const struct {
	uint32_t off;
	const char *units;
} published[] = {
	{ 0, "AAA" },  { 4, "BB" },  { 6, "CCC" }, { 10, "D" },   { 13, "EE" }, { 15, "FFF" },
	{ 18, "GG" },  { 20, "HH" }, { 22, "I" },  { 1, "JJJJ" }, { 6, "KKK" }, { 9, "LLL" },
	{ 12, "MMM" }, { 16, "N" },  { 19, "O" },  { 20, "P" },   { 22, "QQ" },
};

static const struct {
	int policy;
	const char *units;
} kept[] = {
	{ MOS_OVERLAP_POLICY_FIRST, "AAAJBBCCCLDLMEEFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_LAST, "AJJJJBKKKLLLMMMFNFGOPHQQ" },
	{ MOS_OVERLAP_POLICY_BSD, "AAAJJBCCCLLLMMMFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_LINUX, "AAAJJBKKKLLLMMMFFFGGPHQQ" },
	{ MOS_OVERLAP_POLICY_OLD_LINUX, "AAAJJBKKKLLLMMMFFFGGPHQQ" },
	{ MOS_OVERLAP_POLICY_WINDOWS, "AAAJBBCCCLLLMEEFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_VISTA, "AAAJBBCCCLLLMEEFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_SOLARIS, "AAAJBBCCCLLLMMMFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_HPUX, "AAAJBBCCCLDLMEEFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_MACOS, "AAAJBBCCCLDLMEEFFFGGHHIQ" },
};

static void widen(uint8_t *bytes, const char *units)
{
	for (size_t i = 0; units[i]; i++)
		memset(bytes + i * 8, units[i], 8);
}

static void each_policy_decides_the_published_overlaps_as_published(void **state)
{
	enum { N = sizeof(published) / sizeof(published[0]) };

	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		uint8_t want[24 * 8];

		begin(4, NULL);
		d.limits.overlap = kept[i].policy;
		for (size_t k = 0; k < N; k++) {
			uint8_t bytes[sizeof(want)];
			const char *units = published[k].units;

			widen(bytes + published[k].off * 8, units);
			bool done = add(bytes, published[k].off * 8, (uint32_t)strlen(units) * 8, k + 1 < N);
			assert_int_equal(done, k + 1 == N);
		}
		widen(want, kept[i].units);
		assert_whole(want, sizeof(want));
		end();
	}
}

static void an_overlap_drops_an_ipv6_datagram_and_what_still_comes_of_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OVERLAPS; i++) {
		const uint8_t *a = letters('a');

		begin(6, NULL);
		assert_false(add(a, 16, 24, MORE));
		assert_false(add(letters(overlaps[i].text), overlaps[i].off, overlaps[i].len, MORE));
		assert_int_equal(st.fragments_overlap, 1);
		for (uint32_t off = 0; off < 64; off += 8)
			assert_false(add(a, off, 8, off == 56 ? LAST : MORE));
		assert_int_equal(d.datagrams, 1);
		now_ns += 61 * SECOND;
		assert_false(add(a, 0, 8, MORE));
		assert_true(add(a, 8, 8, LAST));
		assert_int_equal(st.fragments_timeout, 0);
		end();
	}
}

/* Teardrop: the last fragment lies inside the first. */
EACH_FAMILY(a_last_fragment_that_ends_before_another_drops_the_datagram)
{
	const uint8_t *a = letters('a');

	assert_false(add(a, 0, 40, MORE));
	assert_false(add(a, 24, 4, LAST));
	assert_int_equal(st.fragments_bad, 1);
	assert_int_equal(d.bytes == 0, as.version == 4);
	assert_false(add(a, 40, 8, LAST));
	assert_int_equal(st.fragments_reassembled, 0);
}

EACH_FAMILY(a_last_fragment_that_moves_drops_the_datagram)
{
	const uint8_t *a = letters('a');

	assert_false(add(a, 16, 8, LAST));
	assert_false(add(a, 24, 8, LAST));
	assert_int_equal(st.fragments_bad, 1);
	assert_false(add(a, 0, 16, MORE));
	assert_int_equal(st.fragments_reassembled, 0);
}

EACH_FAMILY(a_fragment_behind_the_last_one_drops_the_datagram)
{
	const uint8_t *a = letters('a');

	assert_false(add(a, 16, 8, LAST));
	assert_false(add(a, 24, 8, MORE));
	assert_int_equal(st.fragments_bad, 1);
	assert_false(add(a, 0, 16, MORE));
	assert_int_equal(st.fragments_reassembled, 0);
}

EACH_FAMILY(empty_odd_and_overlong_fragments_are_refused)
{
	const uint8_t *a = letters('a');

	assert_false(add(a, 8, 0, LAST));
	assert_false(add(a, 8, 0, MORE));
	assert_false(add(a, 8, 12, MORE));
	assert_false(add(a, 65528, 8, LAST));
	assert_false(add(a, 60000, 8000, LAST));
	assert_int_equal(st.fragments_bad, 5);
	assert_int_equal(d.datagrams, 0);
	assert_false(add(a, 0, 8, MORE));
	assert_true(add(a, 8, 3, LAST));
	assert_whole(a, 11);
}

EACH_FAMILY(the_smallest_fragments_make_the_longest_datagram)
{
	const uint8_t *a = letters('a');
	uint32_t len = as.version == 4 ? 65515 : 65535, last = len / 8 * 8;

	assert_false(add(a, last, len - last, LAST));
	for (uint32_t off = 8; off < last; off += 8)
		assert_false(add(a, off, 8, MORE));
	assert_true(add(a, 0, 8, MORE));
	assert_whole(a, len);
}

EACH_FAMILY(a_datagram_longer_than_its_length_field_can_say_is_dropped)
{
	const uint8_t *a = letters('a');

	as.ext = 8;
	assert_false(add(a, 0, 40000, MORE));
	assert_false(add(a, 40000, 25530, LAST));
	assert_int_equal(st.fragments_bad, 1);
	assert_int_equal(d.datagrams, 0);
}

EACH_FAMILY(a_fragment_that_the_capture_cut_is_not_used)
{
	const uint8_t *a = letters('a');

	as.cut_off = 1;
	assert_false(add(a, 0, 16, MORE));
	as.cut_off = 0;
	as.claims = 8;
	assert_false(add(a, 0, 16, MORE));
	as.claims = 0;
	assert_int_equal(st.fragments_cut, 2);
	assert_int_equal(d.datagrams, 0);
}

EACH_FAMILY(a_datagram_is_given_up_when_its_time_is_over)
{
	const uint8_t *a = letters('a');
	uint64_t age = (as.version == 4 ? 30 : 60) * SECOND;

	assert_false(add(a, 0, 8, MORE));
	now_ns += age;
	assert_true(add(a, 8, 8, LAST));
	assert_false(add(a, 0, 8, MORE));
	now_ns += age + 1;
	assert_false(add(a, 8, 8, LAST));
	assert_int_equal(st.fragments_timeout, 1);
	now_ns -= 500 * SECOND;
	assert_true(add(a, 0, 8, MORE));
	assert_int_equal(st.fragments_timeout, 1);
}

EACH_FAMILY(too_many_datagrams_drop_the_one_begun_first)
{
	struct defrag_limits l;
	const uint8_t *a = letters('a');
	int version = as.version;

	defrag_limits_default(&l);
	l.datagrams = 3;
	end();
	begin(version, &l);
	for (as.id = 1; as.id <= 4; as.id++)
		assert_false(add(a, 0, 8, MORE));
	assert_int_equal(st.fragments_limit, 1);
	assert_int_equal(d.datagrams, 3);
	for (as.id = 2; as.id <= 4; as.id++)
		assert_true(add(a, 8, 8, LAST));
}

/* But never from the datagram that grows. */
static void bytes_are_taken_from_the_oldest_of_both_families(void **state)
{
	struct defrag_limits l;
	const uint8_t *a = letters('a');

	(void)state;
	defrag_limits_default(&l);
	l.bytes = 20000;
	begin(6, &l);
	for (as.version = 6; as.version >= 4; as.version -= 2, now_ns++)
		assert_false(add(a, 0, 4000, MORE));
	as.version = 6; /* the oldest grows: the other goes */
	assert_false(add(a, 4000, 8000, MORE));
	assert_int_equal(st.fragments_limit, 0);
	assert_false(add(a, 12000, 4000, MORE));
	assert_int_equal(st.fragments_limit, 1);
	assert_true(d.bytes <= l.bytes);
	assert_int_equal(d.datagrams, 1);
	assert_true(add(a, 16000, 8, LAST));
	assert_whole(a, 16008);
	end();
}

EACH_FAMILY(a_datagram_that_alone_exceeds_the_limit_is_dropped)
{
	struct defrag_limits l;
	const uint8_t *a = letters('a');
	int version = as.version;

	defrag_limits_default(&l);
	l.bytes = 8000;
	end();
	begin(version, &l);
	assert_false(add(a, 0, 20000, MORE));
	assert_int_equal(st.fragments_limit, 1);
	assert_int_equal(d.bytes, 0);
}

static void a_flood_stays_within_the_limits(void **state)
{
	struct defrag_limits l;
	const uint8_t *a = letters('a');

	(void)state;
	defrag_limits_default(&l);
	l.datagrams = 64;
	l.bytes = 100000;
	begin(4, &l);
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		as.version = rand() % 2 ? 4 : 6;
		as.id = (uint32_t)rand() % 1000;
		add(a, (uint32_t)rand() % 8000 * 8, (uint32_t)rand() % 100 * 8, MORE);
		now_ns += SECOND / 100;
		assert_true(d.datagrams <= l.datagrams);
		assert_true(d.bytes <= l.bytes);
	}
	assert_true(st.fragments_limit > 0);
	end();
}

static void ipv4_fragments_of_another_protocol_are_not_collected(void **state)
{
	(void)state;
	begin(4, NULL);
	as.proto = ICMP;
	assert_false(add(letters('a'), 0, 8, MORE));
	assert_int_equal(st.fragments_other, 1);
	assert_int_equal(d.datagrams, 0);
	end();
}

/* GTP-U's port is 2152. What has no tunnel's port is dropped when its first fragment says so, be it the last to come. */
static void udp_fragments_are_collected_for_the_tunnels_ports(void **state)
{
	static const uint16_t ports[] = { 2152, 53 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint8_t bytes[16] = { 0 };
		bool tunnel = i < 2, first_comes_first = i % 2;

		store_be16(bytes + 2, ports[!tunnel]);
		begin(4, NULL);
		as.proto = UDP;
		bool done = first_comes_first ? add(bytes, 0, 8, MORE) : add(bytes, 8, 8, LAST);
		assert_false(done);
		done = first_comes_first ? add(bytes, 8, 8, LAST) : add(bytes, 0, 8, MORE);
		assert_int_equal(done, tunnel);
		if (tunnel)
			assert_whole(bytes, 16);
		else
			assert_true(st.fragments_other > 0 && d.bytes < 2048);
		end();
	}
}

/* RFC 8200 4.5: "Only the value from the Offset zero fragment packet is used". */
static void the_first_ipv6_fragment_says_what_follows(void **state)
{
	const uint8_t *a = letters('a');

	(void)state;
	begin(6, NULL);
	as.proto = UDP;
	assert_false(add(a, 8, 8, LAST));
	as.proto = TCP;
	assert_true(add(a, 0, 8, MORE));
	assert_whole(a, 16);
	end();
}

struct cut {
	uint32_t off, len;
};

static unsigned cut_at_random(struct cut *cuts, uint32_t len)
{
	unsigned n = 0;

	for (uint32_t off = 0, step; off < len; off += step, n++) {
		step = (1 + (uint32_t)rand() % (rand() % 4 ? 200 : 4)) * 8;
		cuts[n] = (struct cut){ off, step < len - off ? step : len - off };
	}
	return n;
}

static void shuffle(struct cut *cuts, unsigned n)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned k = (unsigned)rand() % i;
		struct cut c = cuts[k];

		cuts[k] = cuts[i - 1];
		cuts[i - 1] = c;
	}
}

static void any_split_in_any_order_with_copies_gives_the_same_bytes(void **state)
{
	static uint8_t data[65536];
	static struct cut cuts[8192];

	(void)state;
	srand(5722);
	for (unsigned round = 0; round < 600; round++) {
		uint32_t len = 9 + (uint32_t)rand() % (round % 10 ? 3000 : 65000);

		unsigned n = cut_at_random(cuts, len), copies = 0;

		if (n == 1)
			continue;
		begin(round % 2 ? 4 : 6, NULL);
		as.ext = (uint32_t)rand() % 4 * 8;
		for (uint32_t i = 0; i < len; i++)
			data[i] = (uint8_t)rand();
		shuffle(cuts, n);
		for (unsigned i = 0; i + 1 < n; i++) {
			assert_false(add(data, cuts[i].off, cuts[i].len, cuts[i].off + cuts[i].len < len));
			if (rand() % 4)
				continue;
			struct cut *c = &cuts[(unsigned)rand() % (i + 1)];

			copies++;
			assert_false(add(data, c->off, c->len, c->off + c->len < len));
		}
		assert_true(add(data, cuts[n - 1].off, cuts[n - 1].len, cuts[n - 1].off + cuts[n - 1].len < len));
		assert_whole(data, len);
		assert_int_equal(st.fragments_duplicate, copies);
		assert_int_equal(st.fragments_overlap + st.fragments_bad + st.fragments_limit, 0);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_piece_to_come_completes_a_datagram),
		cmocka_unit_test(options_of_the_first_fragment_stay),
		cmocka_unit_test(what_is_put_together_decodes_as_tcp),
		cmocka_unit_test(datagrams_are_told_apart_by_identification_and_address),
		cmocka_unit_test(an_exact_copy_changes_nothing),
		cmocka_unit_test(of_overlapping_ipv4_fragments_the_first_wins),
		cmocka_unit_test(each_policy_decides_the_published_overlaps_as_published),
		cmocka_unit_test(an_overlap_drops_an_ipv6_datagram_and_what_still_comes_of_it),
		cmocka_unit_test(a_last_fragment_that_ends_before_another_drops_the_datagram),
		cmocka_unit_test(a_last_fragment_that_moves_drops_the_datagram),
		cmocka_unit_test(a_fragment_behind_the_last_one_drops_the_datagram),
		cmocka_unit_test(empty_odd_and_overlong_fragments_are_refused),
		cmocka_unit_test(the_smallest_fragments_make_the_longest_datagram),
		cmocka_unit_test(a_datagram_longer_than_its_length_field_can_say_is_dropped),
		cmocka_unit_test(a_fragment_that_the_capture_cut_is_not_used),
		cmocka_unit_test(a_datagram_is_given_up_when_its_time_is_over),
		cmocka_unit_test(too_many_datagrams_drop_the_one_begun_first),
		cmocka_unit_test(bytes_are_taken_from_the_oldest_of_both_families),
		cmocka_unit_test(a_datagram_that_alone_exceeds_the_limit_is_dropped),
		cmocka_unit_test(a_flood_stays_within_the_limits),
		cmocka_unit_test(ipv4_fragments_of_another_protocol_are_not_collected),
		cmocka_unit_test(udp_fragments_are_collected_for_the_tunnels_ports),
		cmocka_unit_test(the_first_ipv6_fragment_says_what_follows),
		cmocka_unit_test(any_split_in_any_order_with_copies_gives_the_same_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
