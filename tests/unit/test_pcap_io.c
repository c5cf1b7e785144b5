/* Reading and writing capture files: what holds for every format, and the classic one. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <cmocka.h>

#include "captures.h"

enum { FILE_HEADER = 24, PACKET_HEADER = 16 };

/* Every way to write down the same packets. unit_ns: of the fraction of a second; 0: without time. */
struct kind {
	const char *name;
	bool big_endian;
	uint32_t unit_ns;
	void (*begin)(const struct kind *k);
	void (*packet)(const struct kind *k, uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen,
		       uint32_t len);
	uint32_t magic;
	unsigned minor;
	unsigned first; /* bytes without which it is not a capture */
};

static void begin_pcap(const struct kind *k)
{
	pcap_begin_with(k->big_endian, k->magic, k->minor, 262144, ETHERNET);
}

static void packet_pcap(const struct kind *k, uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen,
			uint32_t len)
{
	bool turned = k->minor < 3;

	put32(sec);
	put32(fraction);
	put32(turned ? len : caplen);
	put32(turned ? caplen : len);
	if (k->magic == 0xa1b2cd34)
		put(UINT64_C(0x1122334455667788), 8);
	put_fill(fill, caplen);
}

static void begin_pcapng(const struct kind *k)
{
	out.len = 0;
	section(k->big_endian);
	interface(ETHERNET, k->unit_ns == 1 ? 9 : 6);
}

static void packet_enhanced(const struct kind *k, uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen,
			    uint32_t len)
{
	enhanced_packet(0, sec * (UINT64_C(1000000000) / k->unit_ns) + fraction, fill, caplen, len);
}

static void packet_obsolete(const struct kind *k, uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen,
			    uint32_t len)
{
	obsolete_packet(0, sec * (UINT64_C(1000000000) / k->unit_ns) + fraction, fill, caplen, len);
}

static void begin_simple(const struct kind *k)
{
	out.len = 0;
	section(k->big_endian);
	interface_begin(ETHERNET, 61);
	block_end();
}

static void packet_simple(const struct kind *k, uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen,
			  uint32_t len)
{
	(void)k;
	(void)sec;
	(void)fraction;
	simple_packet(fill, caplen, len);
}

static void begin_snoop(const struct kind *k)
{
	(void)k;
	snoop_begin_with(2, 4);
}

static void packet_snoop(const struct kind *k, uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen,
			 uint32_t len)
{
	(void)k;
	snoop_packet_padded(sec, fraction, fill, caplen, len, -caplen & 3);
}

#define PCAP(big, unit, magic_, minor_)                                                                        \
	.big_endian = (big), .unit_ns = (unit), .begin = begin_pcap, .packet = packet_pcap, .magic = (magic_), \
	.minor = (minor_), .first = FILE_HEADER
#define PCAPNG(big, unit, packet_) \
	.big_endian = (big), .unit_ns = (unit), .begin = begin_pcapng, .packet = (packet_), .first = 28

static const struct kind kinds[] = {
	{ "pcap", PCAP(false, 1000, 0xa1b2c3d4, 4) },
	{ "pcap, big-endian", PCAP(true, 1000, 0xa1b2c3d4, 4) },
	{ "pcap, nanoseconds", PCAP(false, 1, 0xa1b23c4d, 4) },
	{ "pcap, nanoseconds, big-endian", PCAP(true, 1, 0xa1b23c4d, 4) },
	{ "pcap, modified", PCAP(false, 1000, 0xa1b2cd34, 4) },
	{ "pcap, modified, big-endian", PCAP(true, 1000, 0xa1b2cd34, 4) },
	{ "pcap 2.3", PCAP(false, 1000, 0xa1b2c3d4, 3) },
	{ "pcap 2.2, lengths the other way round", PCAP(true, 1000, 0xa1b2c3d4, 2) },
	{ "pcapng", PCAPNG(false, 1000, packet_enhanced) },
	{ "pcapng, big-endian", PCAPNG(true, 1000, packet_enhanced) },
	{ "pcapng, nanoseconds", PCAPNG(false, 1, packet_enhanced) },
	{ "pcapng, nanoseconds, big-endian", PCAPNG(true, 1, packet_enhanced) },
	{ "pcapng, obsolete blocks", PCAPNG(false, 1000, packet_obsolete) },
	{ "pcapng, obsolete blocks, big-endian", PCAPNG(true, 1, packet_obsolete) },
	{ "pcapng, simple blocks", .begin = begin_simple, .packet = packet_simple, .first = 28 },
	{ "pcapng, simple blocks, big-endian", true, .begin = begin_simple, .packet = packet_simple, .first = 28 },
	{ "snoop", true, .unit_ns = 1000, .begin = begin_snoop, .packet = packet_snoop, .first = 16 },
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static uint64_t expected_ns(const struct kind *k, uint32_t sec, uint32_t fraction)
{
	return k->unit_ns ? sec * UINT64_C(1000000000) + (uint64_t)fraction * k->unit_ns : 0;
}

static void check_packet(const struct kind *k, const struct mos_packet *p, uint64_t ns, uint32_t caplen, uint32_t len,
			 uint8_t fill)
{
	if (p->ts_ns != ns || p->caplen != caplen || p->len != len || p->link != ETHERNET || p->port != 0)
		fail_msg("%s: %llu ns, %u of %u bytes, link %u, port %u", k->name, (unsigned long long)p->ts_ns,
			 p->caplen, p->len, p->link, p->port);
	for (uint32_t i = 0; i < caplen; i++)
		assert_int_equal(p->data[i], fill);
}

/* Also of frames that do not fill up to a multiple of 4, of length 0, and with the highest of 32-bit seconds. */
static void every_format_order_and_resolution_is_read(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];
		struct mos_packet p[IO_BURST];

		k->begin(k);
		k->packet(k, 1700000000, 123456, 'a', 60, 60);
		k->packet(k, 1700000001, 999999, 'b', 61, 1500);
		k->packet(k, 0xffffffff, 0, 'c', 0, 0);
		struct io *io = open_good(save("kind"));

		memset(p, 0xff, sizeof(p));
		assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 3);
		check_packet(k, &p[0], expected_ns(k, 1700000000, 123456), 60, 60, 'a');
		check_packet(k, &p[1], expected_ns(k, 1700000001, 999999), 61, 1500, 'b');
		check_packet(k, &p[2], expected_ns(k, 0xffffffff, 0), 0, 0, 'c');
		for (unsigned j = 0; j < 3; j++)
			assert_int_equal(p[j].number, j + 1);
		io->ops->free_burst(io);
		assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), IO_END);
		assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), IO_END);
		assert_int_equal(io->packets, 3);
		io->ops->close(io);
	}
}

/* Three packets; ends[0] is where their file header ends, ends[i] packet i. */
static void three_packets(const struct kind *k, size_t ends[4])
{
	k->begin(k);
	ends[0] = out.len;
	for (uint8_t i = 1; i <= 3; i++) {
		k->packet(k, i, 0, i, 40U + 4U * i, 60);
		ends[i] = out.len;
	}
}

static bool is_boundary(const size_t ends[4], const struct kind *k, size_t len)
{
	for (int i = 0; i < 4; i++)
		if (len == ends[i])
			return true;
	return len == k->first; /* pcapng: a section without interfaces */
}

static void check_cut(const struct kind *k, const size_t ends[4], size_t len)
{
	const char *path = save_bytes("cut", out.bytes, len);
	struct reading r = read_file(path, NULL);
	unsigned whole = (len >= ends[1]) + (len >= ends[2]) + (len >= ends[3]);

	if (r.packets != whole || r.last != (is_boundary(ends, k, len) ? IO_END : IO_FAILED))
		fail_msg("%s, cut to %zu: %u packets, then %d: %s", k->name, len, r.packets, r.last, r.error);
	assert_int_equal(r.damaged, r.last == IO_FAILED);
	assert_string_equal(r.warnings, "");
	if (r.damaged)
		assert_string_equal(r.error, text_of("%s: truncated: the last record is cut short (after %u packets)",
						     path, whole));
}

static void what_a_truncated_file_holds_is_delivered_before_the_failure(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		size_t ends[4];

		three_packets(&kinds[i], ends);
		for (size_t len = kinds[i].first; len <= out.len; len++)
			check_cut(&kinds[i], ends, len);
	}
}

static void a_failure_stays_one(void **state)
{
	unsigned packets;
	size_t ends[4];

	(void)state;
	three_packets(&kinds[0], ends);
	struct io *io = open_good(save_bytes("cut", out.bytes, out.len - 1));

	assert_int_equal(drain(io, &packets), IO_FAILED);
	assert_int_equal(packets, 2);
	assert_int_equal(drain(io, &packets), IO_FAILED);
	assert_int_equal(packets, 0);
	io->ops->close(io);
}

static void a_file_without_a_whole_header_is_not_a_capture(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		kinds[i].begin(&kinds[i]);
		for (size_t len = 1; len < kinds[i].first; len++) {
			const char *path = save_bytes("stub", out.bytes, len);

			assert_string_equal(refusal(path, NULL),
					    text_of("%s: not a capture: %s", path,
						    len < 8 ? "unknown file format" : "its header is cut short"));
		}
	}
}

/* Each packet goes into the pipe with the beginning of the next one. */
static void a_pipe_delivers_what_has_arrived(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		size_t ends[4], written = 0;
		int pipe_ends[2];
		unsigned packets;

		three_packets(&kinds[i], ends);
		assert_int_equal(pipe(pipe_ends), 0);
		assert_int_equal(write(pipe_ends[1], out.bytes, ends[0]), ends[0]);
		written = ends[0];
		int saved = redirect(STDIN_FILENO, pipe_ends[0]);
		struct io *io = open_good("-");

		for (int j = 1; j <= 3; j++) {
			size_t upto = j < 3 ? ends[j] + 9U * (unsigned)j : ends[3];

			assert_int_equal(write(pipe_ends[1], out.bytes + written, upto - written), upto - written);
			written = upto;
			check_packet(&kinds[i], (struct mos_packet[]){ only_packet(io) },
				     expected_ns(&kinds[i], (uint32_t)j, 0), 40U + 4U * (unsigned)j, 60, (uint8_t)j);
			io->ops->free_burst(io);
		}
		close(pipe_ends[1]);
		assert_int_equal(drain(io, &packets), IO_END);
		assert_true(io->ops->progress(io) < 0);
		io->ops->close(io);
		restore(STDIN_FILENO, saved);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A handler that has system calls restarted, again and again, so that one signal comes while the reader waits. */
static void alarm_every_millisecond(bool on)
{
	struct itimerval every = { { 0, on ? 1000 : 0 }, { 0, on ? 1000 : 0 } };

	signal(SIGALRM, on_alarm);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static void a_signal_ends_the_wait_for_a_pipe(void **state)
{
	struct mos_packet p[IO_BURST];
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	int saved = redirect(STDIN_FILENO, ends[0]);

	alarm_every_millisecond(true);
	const char *why = refusal("-", NULL);

	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 1, 60, 60);
	assert_int_equal(write(ends[1], out.bytes, out.len - 1), out.len - 1);
	struct io *io = open_good("-");
	int n = io->ops->rx_burst(io, p, IO_BURST);

	alarm_every_millisecond(false);
	restore(STDIN_FILENO, saved);
	assert_string_equal(why, "standard input: Interrupted system call");
	assert_int_equal(n, 0);
	assert_int_equal(write(ends[1], out.bytes + out.len - 1, 1), 1);
	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 1);
	io->ops->close(io);
	close(ends[1]);
}

static void a_dash_is_standard_input_be_it_a_file_or_a_pipe(void **state)
{
	int ends[2];
	unsigned packets;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (int i = 0; i < 3; i++)
		pcap_packet(1, 0, 1, 60, 60);
	int saved = redirect(STDIN_FILENO, open(save("stdin.pcap"), O_RDONLY));
	struct io *io = open_good("-");

	assert_int_equal(drain(io, &packets), IO_END);
	assert_int_equal(packets, 3);
	assert_true(io->ops->progress(io) == 1);
	io->ops->close(io);
	restore(STDIN_FILENO, saved);

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], out.bytes, out.len - 1), out.len - 1);
	close(ends[1]);
	saved = redirect(STDIN_FILENO, ends[0]);
	io = open_good("-");
	assert_int_equal(drain(io, &packets), IO_FAILED);
	assert_int_equal(packets, 2);
	assert_ptr_equal(strstr(io->error, "standard input: truncated"), io->error);
	io->ops->close(io);
	restore(STDIN_FILENO, saved);
}

static void mutate(void)
{
	for (int i = rand() % 5; i > 0; i--)
		out.bytes[(size_t)rand() % out.len] = (uint8_t)(rand() % 3 ? rand() : 0xff);
	if (rand() % 4 == 0)
		out.len = (size_t)rand() % out.len;
}

static void any_bytes_are_read_or_refused(void **state)
{
	(void)state;
	srand(6);
	for (int n = 0; n < 300 * KINDS; n++) {
		const struct kind *k = &kinds[n % KINDS];

		k->begin(k);
		for (uint8_t i = 0; i < 4; i++)
			k->packet(k, i, 0, i, 30, 60);
		mutate();
		read_file(save("mutated"), n % 3 ? NULL : "tcp");
	}
}

/* Pseudo-random sizes over several times the reader's buffer: many frames begin in one buffer and end in the next. */
static void a_frame_is_whole_wherever_the_buffer_ends(void **state)
{
	enum { FRAMES = 40000 };
	struct mos_packet p[IO_BURST];
	uint32_t seen = 0;
	int n;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (uint32_t i = 0; i < FRAMES; i++)
		pcap_packet(i, 0, (uint8_t)i, i * 7919 % 300, 300);
	struct io *io = open_good(save("straddle.pcap"));

	while ((n = io->ops->rx_burst(io, p, IO_BURST)) > 0) {
		for (int i = 0; i < n; i++, seen++)
			check_packet(&kinds[0], &p[i], seen * UINT64_C(1000000000), seen * 7919 % 300, 300,
				     (uint8_t)seen);
		io->ops->free_burst(io);
	}
	assert_int_equal(n, IO_END);
	assert_int_equal(seen, FRAMES);
	io->ops->close(io);
}

/* Frames far larger than the memory that the reader begins with; each writable, and there until the burst is freed. */
static void every_frame_of_a_burst_is_there_until_it_is_freed(void **state)
{
	enum { LARGE = 3000000 };
	struct mos_packet p[IO_BURST];
	unsigned seen = 0;
	int n;

	(void)state;
	pcap_begin_with(false, 0xa1b2c3d4, 4, LARGE, ETHERNET);
	for (unsigned i = 0; i < IO_BURST; i++)
		pcap_packet(1, 0, (uint8_t)i, i % 8 ? 262144 : i ? LARGE : 60, LARGE);
	struct io *io = open_good(save("large.pcap"));

	while ((n = io->ops->rx_burst(io, p, IO_BURST)) >= 0) {
		for (int i = 0; i < n; i++)
			memset(p[i].data, p[i].data[0] ^ 0x80, p[i].caplen);
		for (int i = 0; i < n; i++, seen++)
			for (unsigned j = 0; j < p[i].caplen; j += 59)
				assert_int_equal(p[i].data[j], seen ^ 0x80);
		io->ops->free_burst(io);
	}
	assert_int_equal(n, IO_END);
	assert_int_equal(seen, IO_BURST);
	io->ops->close(io);
}

static void a_burst_is_as_short_as_asked(void **state)
{
	struct mos_packet p[3];

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (int i = 0; i < 5; i++)
		pcap_packet(1, 0, 1, 60, 60);
	struct io *io = open_good(save("five.pcap"));

	assert_int_equal(io->ops->rx_burst(io, p, 0), 0);
	assert_int_equal(io->ops->rx_burst(io, p, 3), 3);
	assert_int_equal(io->ops->rx_burst(io, p, 3), 2);
	assert_int_equal(io->ops->rx_burst(io, p, 3), IO_END);
	io->ops->close(io);
}

static void a_wire_length_below_the_captured_one_is_raised_to_it(void **state)
{
	(void)state;
	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 'a', 60, 10);
	struct io *io = open_good(save("short.pcap"));

	assert_int_equal(only_packet(io).len, 60);
	io->ops->close(io);
}

/* Version 2.3 was written with the lengths either way round; the captured one is the smaller. */
static void of_version_2_3_the_smaller_length_is_the_captured_one(void **state)
{
	(void)state;
	pcap_begin_with(false, 0xa1b2c3d4, 3, 262144, ETHERNET);
	put32(1);
	put32(0);
	put32(1500);
	put32(60);
	put_fill('a', 60);
	struct io *io = open_good(save("2.3.pcap"));
	struct mos_packet p = only_packet(io);

	assert_int_equal(p.caplen, 60);
	assert_int_equal(p.len, 1500);
	io->ops->close(io);
}

/* The length of a checksum behind each frame, and bits without a meaning. */
static void only_the_lower_half_of_the_network_field_is_the_link_type(void **state)
{
	(void)state;
	pcap_begin(true, false, 0x24000000 | 0x00010000 | LINKTYPE_RAW);
	pcap_packet(1, 0, 'a', 60, 60);
	struct io *io = open_good(save("fcs.pcap"));

	assert_int_equal(only_packet(io).link, RAW);
	io->ops->close(io);
}

static void a_frame_may_exceed_the_snap_length_but_not_all_reason(void **state)
{
	static const struct {
		uint32_t snaplen, caplen;
		bool good;
	} rows[] = {
		{ 96, 1500, true },        { 96, 262144, true },          { 96, 262145, false },
		{ 0, 262144, true },       { 0, 262145, false },          { 300000, 300000, true },
		{ 300000, 300001, false }, { 0xffffffff, 262145, false }, { 0x7fffffff, 0x7fffffff, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pcap_begin_with(false, 0xa1b2c3d4, 4, rows[i].snaplen, ETHERNET);
		pcap_packet(1, 0, 'a', 60, 60);
		put32(1);
		put32(0);
		put32(rows[i].caplen);
		put32(rows[i].caplen);
		put_fill('b', rows[i].caplen < 400000 ? rows[i].caplen : 0);
		const char *path = save("snap.pcap");
		struct reading r = read_file(path, NULL);

		assert_int_equal(r.packets, rows[i].good ? 2 : 1);
		assert_int_equal(r.damaged, !rows[i].good);
		if (!rows[i].good)
			assert_string_equal(r.error, text_of("%s: record length %u is not plausible (after 1 packets)",
							     path, rows[i].caplen));
	}
}

static void files_of_any_format_are_read_one_after_the_other_and_numbered_on(void **state)
{
	const char *paths[4];
	struct mos_packet p[IO_BURST];
	unsigned seen = 0;
	char err[256];
	int n;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (int i = 0; i < 40; i++)
		pcap_packet(1, 0, 1, 60, 60);
	paths[0] = save("one.pcap");
	pcap_begin(true, true, LINKTYPE_RAW);
	paths[1] = save("none.pcap");
	for (int i = 0; i < 3; i++)
		pcap_packet(1, 0, 2, 40, 40);
	paths[2] = save("two.pcap");
	snoop_begin_with(2, 0);
	snoop_packet_padded(1, 0, 3, 60, 60, 0);
	paths[3] = save("three.snoop");
	struct io *io = io_pcap_open(paths, 4, NULL, err, sizeof(err));

	assert_non_null(io);
	while ((n = io->ops->rx_burst(io, p, IO_BURST)) > 0) {
		for (int i = 0; i < n; i++) {
			assert_int_equal(p[i].number, ++seen);
			assert_int_equal(p[i].link, seen <= 40 || seen == 44 ? ETHERNET : RAW);
			assert_int_equal(p[i].data[0], seen <= 40 ? 1 : seen <= 43 ? 2 : 3);
		}
		io->ops->free_burst(io);
	}
	assert_int_equal(n, IO_END);
	assert_int_equal(seen, 44);
	io->ops->close(io);
}

static void each_reason_not_to_open_is_one_clear_line(void **state)
{
	const char *path = path_of("missing.pcap");
	char err[256];

	(void)state;
	assert_string_equal(refusal(path, NULL), text_of("%s: No such file or directory", path));
	assert_string_equal(refusal(dir, NULL), text_of("%s: Is a directory", dir));
	path = save_bytes("empty.pcap", "", 0);
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: the file is empty", path));
	path = save_bytes("text.pcap", "This is a line of text, not a capture.\n", 39);
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: unknown file format", path));
	pcap_begin(false, false, ETHERNET);
	out.bytes[4] = 3;
	path = save("version.pcap");
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: pcap version 3.4 is not supported", path));
	pcap_begin_with(true, 0xa1b2c3d4, 5, 262144, ETHERNET);
	path = save("version.pcap");
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: pcap version 2.5 is not supported", path));
	snoop_begin_with(9, 4);
	path = save("version.snoop");
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: snoop version 9 is not supported", path));
	assert_null(io_pcap_open(NULL, 0, NULL, err, sizeof(err)));
	assert_string_equal(err, "no capture file given");
}

static int lowest_free_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

static void a_refused_file_is_closed(void **state)
{
	int before = lowest_free_descriptor();

	(void)state;
	refusal(save_bytes("empty.pcap", "", 0), NULL);
	refusal(save_bytes("text.pcap", "This is a line of text, not a capture.\n", 39), NULL);
	refusal(dir, NULL);
	pcap_begin(false, false, ETHERNET);
	refusal(save("filter.pcap"), "tcp port");
	assert_int_equal(lowest_free_descriptor(), before);
}

static void a_long_path_does_not_hide_the_reason(void **state)
{
	char path[3000];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	for (size_t i = 0; i < sizeof(path) - 1; i += 100)
		path[i] = '/';
	assert_non_null(strstr(refusal(path, NULL), ": No such file or directory"));
}

static void a_later_file_that_cannot_be_opened_fails_when_its_turn_comes(void **state)
{
	(void)state;
	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 1, 60, 60);
	const char *paths[3] = { save("first.pcap"), path_of("missing.pcap"), path_of("first.pcap") };
	struct reading r = read_files(paths, 3, NULL);

	assert_int_equal(r.last, IO_FAILED);
	assert_int_equal(r.packets, 1);
	assert_string_equal(r.error, text_of("%s: No such file or directory", paths[1]));
	assert_false(r.damaged);
}

static void behind_a_damaged_file_the_next_one_is_read(void **state)
{
	(void)state;
	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 1, 60, 60);
	const char *whole = save("whole.pcap"), *cut = save_bytes("cut.pcap", out.bytes, out.len - 1);
	struct reading r = read_files((const char *const[]){ whole, cut, whole }, 3, NULL);

	assert_int_equal(r.last, IO_END);
	assert_int_equal(r.packets, 2);
	assert_false(r.damaged);
	assert_non_null(
		strstr(r.warnings, text_of("%s: truncated: the last record is cut short (after 0 packets)\n", cut)));
	r = read_files((const char *const[]){ cut, whole, cut }, 3, NULL);
	assert_int_equal(r.last, IO_FAILED);
	assert_int_equal(r.packets, 1);
	assert_true(r.damaged);
}

static void an_unsupported_link_type_is_named_once_and_its_packets_are_delivered(void **state)
{
	(void)state;
	pcap_begin(false, false, USB);
	for (int i = 0; i < 40; i++)
		pcap_packet(1, 0, 1, 60, 60);
	const char *user = save("user.pcap");

	pcap_begin(false, false, 3333);
	const char *without_packets = save("none.pcap");

	pcap_packet(1, 0, 1, 60, 60);
	const char *unnamed = save("unnamed.pcap");

	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 1, 60, 60);
	const char *ethernet = save("ethernet.pcap");
	struct reading r = read_files((const char *const[]){ without_packets, user, ethernet, user, unnamed, unnamed },
				      6, NULL);
	char want[1024];

	snprintf(
		want, sizeof(want),
		"mos-run: warning: %s: link type USB_LINUX (189) is not supported: its packets are counted, not decoded\n"
		"mos-run: warning: %s: link type 3333 is not supported: its packets are counted, not decoded\n",
		user, unnamed);
	assert_int_equal(r.last, IO_END);
	assert_int_equal(r.packets, 40 + 1 + 40 + 1 + 1);
	assert_string_equal(r.warnings, want);
}

/* pcapng interfaces of link types from base on, a packet of each, alternately twice. */
static const char *many_links(unsigned base, unsigned n)
{
	out.len = 0;
	section(false);
	for (unsigned i = 0; i < n; i++)
		interface(base + i, 6);
	for (unsigned i = 0; i < 2 * n; i++)
		enhanced_packet(i % n, 0, 1, 60, 60);
	return save("links.pcapng");
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void warnings_on_link_types_have_an_end(void **state)
{
	(void)state;
	static char log[1 << 16];
	int saved = redirect(STDERR_FILENO, open(path_of("log"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	struct io *io = open_good(many_links(1000, 200));
	unsigned packets;
	int last = drain(io, &packets);

	io->ops->close(io);
	ssize_t len = pread(STDERR_FILENO, log, sizeof(log) - 1, 0);

	restore(STDERR_FILENO, saved);
	assert_true(len > 0);
	assert_int_equal(last, IO_END);
	assert_int_equal(packets, 400);
	assert_int_equal(count_lines(log), 65);
	assert_non_null(strstr(log, "more than 64 link types\n"));
}

static void only_packets_that_the_filter_accepts_are_delivered(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		kinds[i].begin(&kinds[i]);
		for (uint8_t j = 0; j < 100; j++)
			kinds[i].packet(&kinds[i], 1, 0, j, 40, j % 10 ? 60 : 600);
		const char *path = save("filtered");
		struct reading r = read_files((const char *const[]){ path, path }, 2,
					      "greater 100 and ether[0] > 49 or ether[0] = 31");

		assert_int_equal(r.last, IO_END);
		assert_int_equal(r.packets, 12);
	}
}

/* A worker looks at its stop flag between bursts. The file is mostly a hole: a million packets of no bytes. */
static void a_filter_that_accepts_nothing_lets_the_caller_breathe(void **state)
{
	struct mos_packet p[IO_BURST];
	char err[256];
	unsigned packets;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	const char *path = save("hole.pcap");

	assert_int_equal(truncate(path, FILE_HEADER + 1000000 * PACKET_HEADER), 0);
	struct io *io = open_one(path, "udp", err);

	assert_non_null(io);
	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 0);
	assert_true(io->ops->progress(io) < 0.9);
	assert_int_equal(drain(io, &packets), IO_END);
	assert_int_equal(packets, 0);
	io->ops->close(io);
}

static void a_filter_is_compiled_for_each_link_type(void **state)
{
	/* An ICMP packet from 10.0.0.1, behind an Ethernet header and without one. */
	static const uint8_t frame[] = { 2, 0,  0, 0, 0, 2,  2, 0, 0, 0,  0, 1, 8, 0, 0x45, 0,    0,    28, 0, 0, 0,
					 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0,    0xf7, 0xff, 0,  0, 0, 0 };
	static const char *const filters[] = { "icmp and src 10.0.0.1", "icmp and src 10.0.0.2" };

	(void)state;
	out.len = 0;
	section(false);
	interface(ETHERNET, 6);
	interface(LINKTYPE_RAW, 6);
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t from = i % 2 ? 14 : 0, len = sizeof(frame) - from;

		enhanced_packet(i % 2, i, 0, len, len);
		memcpy(out.bytes + block_at + 28, frame + from, len);
	}
	const char *path = save("filters.pcapng");

	assert_int_equal(read_file(path, filters[0]).packets, 6);
	assert_int_equal(read_file(path, filters[1]).packets, 0);
}

static void a_wrong_filter_is_quoted_with_its_reason(void **state)
{
	(void)state;
	pcap_begin(false, false, ETHERNET);
	const char *path = save("filter.pcap");

	assert_string_equal(refusal(path, "tcp port"), "filter \"tcp port\": syntax error");
	assert_string_equal(refusal(path, "tcp and udp"), "filter \"tcp and udp\": expression rejects all packets");
	assert_true(strlen(refusal(path, "nonsense")) > strlen("filter \"nonsense\": "));
	assert_string_equal(refusal(path_of("missing.pcap"), "tcp port"), "filter \"tcp port\": syntax error");
}

static void a_filter_may_speak_of_any_link_layer(void **state)
{
	static const struct {
		const char *filter;
		uint32_t link;
	} rows[] = { { "ether host 02:00:00:00:00:01", ETHERNET }, { "inbound", SLL }, { "wlan type data", 105 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		pcap_begin(false, false, rows[i].link);
		pcap_packet(1, 0, 0, 60, 60);
		struct reading r = read_file(save("link.pcap"), rows[i].filter);

		if (r.last != IO_END)
			fail_msg("%s: %s", rows[i].filter, r.error);
	}
}

static void a_filter_that_does_not_fit_the_link_type_is_a_failure(void **state)
{
	static const char ether[] = "ether host 02:00:00:00:00:01";

	(void)state;
	pcap_begin(false, false, LINKTYPE_RAW);
	pcap_packet(1, 0, 1, 60, 60);
	struct reading r = read_file(save("raw.pcap"), ether);

	assert_int_equal(r.last, IO_FAILED);
	assert_int_equal(r.packets, 0);
	assert_false(r.damaged);
	assert_ptr_equal(strstr(r.error, text_of("filter \"%s\" does not fit link type RAW (12): ", ether)), r.error);
}

static void where_it_fits_another_link_type_packets_are_left_out_with_a_warning(void **state)
{
	(void)state;
	pcap_begin(false, false, LINKTYPE_RAW);
	pcap_packet(1, 0, 1, 60, 60);
	const char *raw = save("raw.pcap");

	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 1, 60, 60);
	const char *ethernet = save("ethernet.pcap");
	struct reading r = read_files((const char *const[]){ ethernet, raw, ethernet, raw }, 4,
				      "not ether host 02:00:00:00:00:01");

	assert_int_equal(r.last, IO_END);
	assert_int_equal(r.packets, 2);
	assert_int_equal(count_lines(r.warnings), 1);
	assert_non_null(strstr(r.warnings, text_of("%s: filter \"not ether", raw)));
	assert_non_null(strstr(r.warnings, " does not fit link type RAW (12): its packets are left out ("));
}

static void a_link_type_that_is_not_decoded_is_left_out_by_a_filter_that_does_not_fit_it(void **state)
{
	(void)state;
	pcap_begin(false, false, USB);
	pcap_packet(1, 0, 1, 60, 60);
	struct reading r = read_file(save("usb.pcap"), "not ether host 02:00:00:00:00:01");

	assert_int_equal(r.last, IO_END);
	assert_int_equal(r.packets, 0);
	assert_int_equal(count_lines(r.warnings), 1);
	assert_non_null(strstr(r.warnings, " does not fit link type USB_LINUX (189): its packets are left out ("));
}

static void progress_runs_from_0_to_1_over_all_files(void **state)
{
	struct mos_packet p[1];
	char err[256];
	double before = 0;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (int i = 0; i < 10; i++)
		pcap_packet(1, 0, 1, 60, 60);
	const char *paths[2] = { save("progress.pcap"), path_of("progress.pcap") };
	struct io *io = io_pcap_open(paths, 2, NULL, err, sizeof(err));

	assert_non_null(io);
	for (int i = 0; io->ops->rx_burst(io, p, 1) > 0; i++) {
		double now = io->ops->progress(io);

		assert_true(now > before && now <= 1);
		assert_true(i < 10 ? now <= 0.5 : now > 0.5);
		before = now;
	}
	assert_true(io->ops->progress(io) == 1);
	io->ops->close(io);
}

static struct io_writer *writer_good(const char *path)
{
	char err[256] = "";
	struct io_writer *w = io_writer_open(path, err, sizeof(err));

	if (!w)
		fail_msg("%s", err);
	return w;
}

static struct mos_packet packet_to_write(uint8_t *data, uint32_t caplen, uint16_t link)
{
	struct mos_packet p = { .data = data, .caplen = caplen, .len = caplen + 7, .link = link };

	p.ts_ns = UINT64_C(4000000000123456789);
	return p;
}

static void what_is_written_is_read_back(void **state)
{
	static const uint16_t links[][2] = {
		{ 0, 0 },      { ETHERNET, ETHERNET }, { 9, 9 },     { FDDI, FDDI }, { RAW, RAW }, { 14, RAW },
		{ 50, 50 },    { LINKTYPE_RAW, RAW },  { 104, 104 }, { 105, 105 },   { 108, 108 }, { 113, 113 },
		{ 119, 119 },  { 127, 127 },           { 163, 163 }, { 192, 192 },   { 228, 228 }, { 229, 229 },
		{ SLL2, SLL2 }
	};
	static uint8_t data[262144];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const uint32_t sizes[] = { 60, 0, 65536, sizeof(data), 1 };
		struct io_writer *w = writer_good(path_of("written.pcap"));

		for (int j = 0; j < 5; j++) {
			struct mos_packet q = packet_to_write(data, sizes[j], links[i][0]);

			assert_int_equal(io_writer_put(w, &q), 0);
		}
		assert_int_equal(io_writer_close(w), 0);
		struct io *io = open_good(path_of("written.pcap"));

		for (int j = 0; j < 5; j++) {
			struct mos_packet p;

			assert_int_equal(io->ops->rx_burst(io, &p, 1), 1);
			assert_int_equal(p.ts_ns, UINT64_C(4000000000123456789));
			assert_int_equal(p.link, links[i][1]);
			assert_int_equal(p.len, sizes[j] + 7);
			assert_int_equal(p.caplen, sizes[j]);
			assert_memory_equal(p.data, data, sizes[j]);
		}
		io->ops->close(io);
	}
}

static void link_types_that_are_not_decoded_are_written_as_long_as_files_have_a_number_for_them(void **state)
{
	uint8_t data[60] = { 0 };
	struct mos_packet user = packet_to_write(data, 60, USB), none = packet_to_write(data, 60, 57845);
	struct io_writer *w = writer_good(path_of("user.pcap"));

	(void)state;
	assert_int_equal(io_writer_put(w, &user), 0);
	assert_int_equal(io_writer_close(w), 0);
	assert_int_equal(read_file(path_of("user.pcap"), NULL).packets, 1);
	w = writer_good(path_of("none.pcap"));
	assert_int_equal(io_writer_put(w, &none), -EPROTONOSUPPORT);
	assert_int_equal(io_writer_close(w), -EPROTONOSUPPORT);
}

static void a_frame_too_large_to_be_read_back_is_cut(void **state)
{
	static uint8_t data[300000];
	struct mos_packet q = packet_to_write(data, sizeof(data), ETHERNET);
	struct io_writer *w = writer_good(path_of("cut.pcap"));

	(void)state;
	assert_int_equal(io_writer_put(w, &q), 0);
	assert_int_equal(io_writer_close(w), 0);
	struct io *io = open_good(path_of("cut.pcap"));
	struct mos_packet p = only_packet(io);

	assert_int_equal(p.caplen, 262144);
	assert_int_equal(p.len, sizeof(data) + 7);
	io->ops->close(io);
}

static void a_capture_of_nothing_is_a_capture(void **state)
{
	unsigned packets;

	(void)state;
	assert_int_equal(io_writer_close(writer_good(path_of("nothing.pcap"))), 0);
	struct io *io = open_good(path_of("nothing.pcap"));

	assert_int_equal(drain(io, &packets), IO_END);
	assert_int_equal(packets, 0);
	io->ops->close(io);
	assert_int_equal(io_writer_close(NULL), 0);
}

static void another_link_type_than_the_first_is_refused_and_the_file_goes_on(void **state)
{
	uint8_t data[60] = { 0 };
	struct mos_packet ethernet = packet_to_write(data, 60, ETHERNET), raw = packet_to_write(data, 40, RAW);
	struct io_writer *w = writer_good(path_of("mixed.pcap"));

	(void)state;
	assert_int_equal(io_writer_put(w, &ethernet), 0);
	assert_int_equal(io_writer_put(w, &raw), -EPROTOTYPE);
	assert_int_equal(io_writer_put(w, &ethernet), 0);
	assert_int_equal(io_writer_close(w), 0);
	assert_int_equal(read_file(path_of("mixed.pcap"), NULL).packets, 2);
}

static void raw_ip_by_any_of_its_numbers_is_one_link_type(void **state)
{
	uint8_t data[60] = { 0 };
	struct mos_packet a = packet_to_write(data, 60, RAW), b = packet_to_write(data, 60, LINKTYPE_RAW);
	struct io_writer *w = writer_good(path_of("raws.pcap"));

	(void)state;
	assert_int_equal(io_writer_put(w, &a), 0);
	assert_int_equal(io_writer_put(w, &b), 0);
	assert_int_equal(io_writer_close(w), 0);
}

static void a_file_that_cannot_be_created_is_named_with_the_reason(void **state)
{
	char err[256];

	(void)state;
	assert_null(io_writer_open(path_of("no/such/dir.pcap"), err, sizeof(err)));
	assert_string_equal(err, text_of("%s: No such file or directory", path_of("no/such/dir.pcap")));
}

static void a_full_disk_is_not_passed_over(void **state)
{
	static uint8_t data[262144];
	struct mos_packet p = packet_to_write(data, sizeof(data), ETHERNET);
	struct io_writer *w = writer_good("/dev/full");

	(void)state;
	io_writer_put(w, &p);
	assert_int_equal(io_writer_put(w, &p), -ENOSPC);
	assert_int_equal(io_writer_close(w), -ENOSPC);
	w = writer_good("/dev/full");
	assert_int_equal(io_writer_close(w), -ENOSPC);
}

static void a_dash_is_standard_output(void **state)
{
	uint8_t data[60] = { 0 };
	struct mos_packet p = packet_to_write(data, 60, ETHERNET);

	(void)state;
	fflush(stdout);
	int saved = redirect(STDOUT_FILENO, open(path_of("stdout.pcap"), O_WRONLY | O_CREAT | O_TRUNC, 0600));
	struct io_writer *w = writer_good("-");
	int put_rc = io_writer_put(w, &p), close_rc = io_writer_close(w);

	restore(STDOUT_FILENO, saved);
	assert_int_equal(put_rc, 0);
	assert_int_equal(close_rc, 0);
	assert_int_equal(read_file(path_of("stdout.pcap"), NULL).packets, 1);
}

static void an_input_and_an_output_are_one_file_by_any_name(void **state)
{
	const char *a = save_bytes("a", "a", 1), *b = save_bytes("b", "a", 1), *link = path_of("link");
	const char *symbolic = path_of("symbolic"), *missing = path_of("missing");

	(void)state;
	assert_int_equal(linkat(AT_FDCWD, a, AT_FDCWD, link, 0), 0);
	assert_int_equal(symlink(a, symbolic), 0);
	assert_true(io_same_file(a, a));
	assert_true(io_same_file(a, link));
	assert_true(io_same_file(symbolic, a));
	assert_false(io_same_file(a, b));
	assert_false(io_same_file(a, missing));
	assert_false(io_same_file(missing, missing));
	assert_false(io_same_file("/dev/null", "/dev/null"));
	assert_false(io_same_file("-", "-"));
}

static void standard_input_and_output_may_be_one_file_too(void **state)
{
	const char *a = save_bytes("a", "a", 1);
	int in = redirect(STDIN_FILENO, open(a, O_RDONLY));

	(void)state;
	fflush(stdout);
	int so = redirect(STDOUT_FILENO, open(a, O_WRONLY | O_APPEND));
	bool both = io_same_file("-", "-"), input = io_same_file("-", a), output = io_same_file(a, "-");

	restore(STDOUT_FILENO, so);
	restore(STDIN_FILENO, in);
	assert_true(both && input && output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_order_and_resolution_is_read),
		cmocka_unit_test(what_a_truncated_file_holds_is_delivered_before_the_failure),
		cmocka_unit_test(a_failure_stays_one),
		cmocka_unit_test(a_file_without_a_whole_header_is_not_a_capture),
		cmocka_unit_test(a_pipe_delivers_what_has_arrived),
		cmocka_unit_test(a_signal_ends_the_wait_for_a_pipe),
		cmocka_unit_test(a_dash_is_standard_input_be_it_a_file_or_a_pipe),
		cmocka_unit_test(any_bytes_are_read_or_refused),
		cmocka_unit_test(a_frame_is_whole_wherever_the_buffer_ends),
		cmocka_unit_test(every_frame_of_a_burst_is_there_until_it_is_freed),
		cmocka_unit_test(a_burst_is_as_short_as_asked),
		cmocka_unit_test(a_wire_length_below_the_captured_one_is_raised_to_it),
		cmocka_unit_test(of_version_2_3_the_smaller_length_is_the_captured_one),
		cmocka_unit_test(only_the_lower_half_of_the_network_field_is_the_link_type),
		cmocka_unit_test(a_frame_may_exceed_the_snap_length_but_not_all_reason),
		cmocka_unit_test(files_of_any_format_are_read_one_after_the_other_and_numbered_on),
		cmocka_unit_test(each_reason_not_to_open_is_one_clear_line),
		cmocka_unit_test(a_refused_file_is_closed),
		cmocka_unit_test(a_long_path_does_not_hide_the_reason),
		cmocka_unit_test(a_later_file_that_cannot_be_opened_fails_when_its_turn_comes),
		cmocka_unit_test(behind_a_damaged_file_the_next_one_is_read),
		cmocka_unit_test(an_unsupported_link_type_is_named_once_and_its_packets_are_delivered),
		cmocka_unit_test(warnings_on_link_types_have_an_end),
		cmocka_unit_test(only_packets_that_the_filter_accepts_are_delivered),
		cmocka_unit_test(a_filter_that_accepts_nothing_lets_the_caller_breathe),
		cmocka_unit_test(a_filter_is_compiled_for_each_link_type),
		cmocka_unit_test(a_wrong_filter_is_quoted_with_its_reason),
		cmocka_unit_test(a_filter_may_speak_of_any_link_layer),
		cmocka_unit_test(a_filter_that_does_not_fit_the_link_type_is_a_failure),
		cmocka_unit_test(where_it_fits_another_link_type_packets_are_left_out_with_a_warning),
		cmocka_unit_test(a_link_type_that_is_not_decoded_is_left_out_by_a_filter_that_does_not_fit_it),
		cmocka_unit_test(progress_runs_from_0_to_1_over_all_files),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(link_types_that_are_not_decoded_are_written_as_long_as_files_have_a_number_for_them),
		cmocka_unit_test(a_frame_too_large_to_be_read_back_is_cut),
		cmocka_unit_test(a_capture_of_nothing_is_a_capture),
		cmocka_unit_test(another_link_type_than_the_first_is_refused_and_the_file_goes_on),
		cmocka_unit_test(raw_ip_by_any_of_its_numbers_is_one_link_type),
		cmocka_unit_test(a_file_that_cannot_be_created_is_named_with_the_reason),
		cmocka_unit_test(a_full_disk_is_not_passed_over),
		cmocka_unit_test(a_dash_is_standard_output),
		cmocka_unit_test(an_input_and_an_output_are_one_file_by_any_name),
		cmocka_unit_test(standard_input_and_output_may_be_one_file_too),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
