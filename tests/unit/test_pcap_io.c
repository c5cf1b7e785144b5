#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io.h"

enum { ETHERNET = 1, PPP = 9, RAW = 12, LINKTYPE_RAW = 101, SLL2 = 276 };
enum { FILE_HEADER = 24, PACKET_HEADER = 16 };

/* A capture file being put together, in either byte order. */
static struct {
	bool big_endian;
	size_t len;
	uint8_t bytes[1 << 24];
} out;

static void put(uint64_t v, int size)
{
	for (int i = 0; i < size; i++)
		out.bytes[out.len++] = (uint8_t)(v >> 8 * (out.big_endian ? size - 1 - i : i));
}

static void put16(unsigned v)
{
	put(v, 2);
}

static void put32(uint32_t v)
{
	put(v, 4);
}

static void put_fill(uint8_t byte, size_t n)
{
	memset(out.bytes + out.len, byte, n);
	out.len += n;
}

static void pcap_begin(bool big_endian, bool nanoseconds, uint32_t link)
{
	out.big_endian = big_endian;
	out.len = 0;
	put32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
	put16(2);
	put16(4);
	put32(0);
	put32(0);
	put32(262144);
	put32(link);
}

static void pcap_packet(uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen, uint32_t len)
{
	put32(sec);
	put32(fraction);
	put32(caplen);
	put32(len);
	put_fill(fill, caplen);
}

static char dir[] = "/tmp/mos-test-pcap-io-XXXXXX";

/* The path of a file in the test's directory. Good until the eighth call after this one. */
static const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static const char *save_bytes(const char *name, const void *data, size_t len)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return path;
}

static const char *save(const char *name)
{
	return save_bytes(name, out.bytes, out.len);
}

static struct io *open_one(const char *path, const char *filter, char *err)
{
	return io_pcap_open(&path, 1, filter, err, 256);
}

static struct io *open_good(const char *path)
{
	char err[256] = "";
	struct io *io = open_one(path, NULL, err);

	if (!io)
		fail_msg("%s", err);
	return io;
}

/* What opening the file answers. Good until the next call. */
static const char *refusal(const char *path, const char *filter)
{
	static char err[256];
	struct io *io = open_one(path, filter, err);

	assert_null(io);
	assert_null(strchr(err, '\n'));
	return err;
}

static char *text_of(const char *fmt, ...)
{
	static char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return text;
}

/* Read to the end; the last answer of rx_burst. */
static int drain(struct io *io, unsigned *packets)
{
	struct mos_packet p[IO_BURST];
	int n;

	*packets = 0;
	while ((n = io->ops->rx_burst(io, p, IO_BURST)) > 0) {
		*packets += (unsigned)n;
		io->ops->free_burst(io);
	}
	return n;
}

static void pcapng_block(uint32_t type, uint32_t len)
{
	put32(type);
	put32(len);
}

/* Section header, interface with resolution 10^-9 (option 9), one enhanced packet block per packet. */
static void pcapng_begin(bool big_endian)
{
	out.big_endian = big_endian;
	out.len = 0;
	pcapng_block(0x0a0d0d0a, 28);
	put32(0x1a2b3c4d);
	put16(1);
	put16(0);
	put(UINT64_MAX, 8);
	put32(28);
	pcapng_block(1, 32);
	put16(ETHERNET);
	put16(0);
	put32(262144);
	put16(9);
	put16(1);
	put_fill(9, 1);
	put_fill(0, 3);
	put32(0);
	put32(32);
}

static void pcapng_packet(uint64_t ns, uint8_t fill, uint32_t caplen, uint32_t len)
{
	uint32_t padded = (caplen + 3) & ~3U;

	pcapng_block(6, 32 + padded);
	put32(0);
	put32((uint32_t)(ns >> 32));
	put32((uint32_t)ns);
	put32(caplen);
	put32(len);
	put_fill(fill, padded);
	put32(32 + padded);
}

static void check_two_packets(const char *path, uint64_t unit)
{
	struct io *io = open_good(path);
	struct mos_packet p[IO_BURST];

	memset(p, 0xff, sizeof(p));
	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 2);
	assert_int_equal(p[0].ts_ns, 1000000000 * UINT64_C(1700000000) + 123456 * unit);
	assert_int_equal(p[1].ts_ns, 1000000000 * UINT64_C(1700000001) + 999999 * unit);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(p[i].caplen, 60 + i);
		assert_int_equal(p[i].len, i == 0 ? 60 : 1500);
		assert_int_equal(p[i].link, ETHERNET);
		assert_int_equal(p[i].port, 0);
		assert_int_equal(p[i].number, i + 1);
		for (unsigned j = 0; j < p[i].caplen; j++)
			assert_int_equal(p[i].data[j], 'a' + i);
	}
	io->ops->free_burst(io);
	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), IO_END);
	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), IO_END);
	assert_int_equal(io->packets, 2);
	io->ops->close(io);
}

static void either_byte_order_and_resolution_is_read(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		bool big_endian = i & 1, nanoseconds = i & 2;

		pcap_begin(big_endian, nanoseconds, ETHERNET);
		pcap_packet(1700000000, 123456, 'a', 60, 60);
		pcap_packet(1700000001, 999999, 'b', 61, 1500);
		check_two_packets(save("orders.pcap"), nanoseconds ? 1 : 1000);
	}
}

static void pcapng_is_read(void **state)
{
	(void)state;
	for (int big_endian = 0; big_endian < 2; big_endian++) {
		pcapng_begin(big_endian);
		pcapng_packet(UINT64_C(1700000000000123456), 'a', 60, 60);
		pcapng_packet(UINT64_C(1700000001000999999), 'b', 61, 1500);
		check_two_packets(save("ng.pcapng"), 1);
	}
}

/* 32 bits of seconds last until 2106. */
static void time_goes_on_after_2038(void **state)
{
	struct mos_packet p[1];

	(void)state;
	pcap_begin(false, false, ETHERNET);
	pcap_packet(0xf0000000, 5, 'a', 60, 60);
	struct io *io = open_good(save("late.pcap"));

	assert_int_equal(io->ops->rx_burst(io, p, 1), 1);
	assert_int_equal(p[0].ts_ns, UINT64_C(0xf0000000) * 1000000000 + 5000);
	io->ops->close(io);
}

static void a_wire_length_below_the_captured_one_is_raised_to_it(void **state)
{
	struct mos_packet p[1];

	(void)state;
	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 'a', 60, 10);
	struct io *io = open_good(save("short.pcap"));

	assert_int_equal(io->ops->rx_burst(io, p, 1), 1);
	assert_int_equal(p[0].len, 60);
	io->ops->close(io);
}

static void files_are_read_one_after_the_other_and_numbered_on(void **state)
{
	const char *paths[3];
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
	struct io *io = io_pcap_open(paths, 3, NULL, err, sizeof(err));

	assert_non_null(io);
	while ((n = io->ops->rx_burst(io, p, IO_BURST)) > 0) {
		for (int i = 0; i < n; i++) {
			assert_int_equal(p[i].number, ++seen);
			assert_int_equal(p[i].link, seen <= 40 ? ETHERNET : RAW);
			assert_int_equal(p[i].data[0], seen <= 40 ? 1 : 2);
		}
		io->ops->free_burst(io);
	}
	assert_int_equal(n, IO_END);
	assert_int_equal(seen, 43);
	io->ops->close(io);
}

/* Frames far larger than the memory that the reader begins with, in one burst, each writable. */
static void every_frame_of_a_burst_is_there_until_it_is_freed(void **state)
{
	struct mos_packet p[IO_BURST];

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (unsigned i = 0; i < IO_BURST; i++)
		pcap_packet(1, 0, (uint8_t)i, i == 0 ? 60 : 262144, 262144);
	struct io *io = open_good(save("large.pcap"));

	assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), IO_BURST);
	for (unsigned i = 0; i < IO_BURST; i++)
		memset(p[i].data, p[i].data[0] ^ 0x80, p[i].caplen);
	for (unsigned i = 0; i < IO_BURST; i++)
		for (unsigned j = 0; j < p[i].caplen; j += 59)
			assert_int_equal(p[i].data[j], i ^ 0x80);
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

/* Three packets of 60 bytes, the file cut at every length. */
static void what_a_truncated_file_holds_is_delivered_before_the_failure(void **state)
{
	enum { PACKET = PACKET_HEADER + 60 };

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (int i = 0; i < 3; i++)
		pcap_packet(1, 0, 1, 60, 60);
	for (size_t len = FILE_HEADER; len <= out.len; len++) {
		const char *path = save_bytes("cut.pcap", out.bytes, len);
		struct io *io = open_good(path);
		unsigned packets, whole = (unsigned)(len - FILE_HEADER) / PACKET;
		int last = drain(io, &packets);

		assert_int_equal(packets, whole);
		assert_int_equal(last, (len - FILE_HEADER) % PACKET ? IO_FAILED : IO_END);
		if (last == IO_FAILED) {
			assert_ptr_equal(strstr(io->error, text_of("%s: truncated ", path)), io->error);
			assert_non_null(strstr(io->error, text_of(" (after %u packets)", whole)));
			assert_int_equal(drain(io, &packets), IO_FAILED);
		}
		io->ops->close(io);
	}
}

static void a_file_without_a_whole_header_is_not_a_capture(void **state)
{
	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (size_t len = 1; len < FILE_HEADER; len++) {
		const char *path = save_bytes("stub.pcap", out.bytes, len);

		assert_non_null(strstr(refusal(path, NULL), text_of("%s: not a capture: ", path)));
	}
}

static void each_reason_not_to_open_is_one_clear_line(void **state)
{
	const char *path = path_of("missing.pcap");

	(void)state;
	assert_string_equal(refusal(path, NULL), text_of("%s: No such file or directory", path));
	assert_string_equal(refusal(dir, NULL), text_of("%s: Is a directory", dir));
	path = save_bytes("empty.pcap", "", 0);
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: the file is empty", path));
	path = save_bytes("text.pcap", "This is a line of text, not a capture.\n", 39);
	assert_string_equal(refusal(path, NULL), text_of("%s: not a capture: unknown file format", path));
	pcap_begin(false, false, PPP);
	path = save("ppp.pcap");
	assert_string_equal(refusal(path, NULL), text_of("%s: link type PPP (PPP, 9) is not supported", path));
	pcap_begin(false, false, 3333);
	path = save("unknown.pcap");
	assert_string_equal(refusal(path, NULL), text_of("%s: link type 3333 is not supported", path));
	char err[256];

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
	pcap_begin(false, false, PPP);
	refusal(save("ppp.pcap"), NULL);
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
	char err[256];
	unsigned packets;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	pcap_packet(1, 0, 1, 60, 60);
	const char *paths[2] = { save("first.pcap"), path_of("missing.pcap") };
	struct io *io = io_pcap_open(paths, 2, NULL, err, sizeof(err));

	assert_non_null(io);
	assert_int_equal(drain(io, &packets), IO_FAILED);
	assert_int_equal(packets, 1);
	assert_string_equal(io->error, text_of("%s: No such file or directory", paths[1]));
	assert_int_equal(drain(io, &packets), IO_FAILED);
	io->ops->close(io);
}

static void only_packets_that_the_filter_accepts_are_delivered(void **state)
{
	char err[256];
	unsigned packets;

	(void)state;
	pcap_begin(false, false, ETHERNET);
	for (unsigned i = 0; i < 100; i++)
		pcap_packet(1, 0, (uint8_t)i, 60, i % 10 ? 60 : 600);
	const char *paths[2] = { save("filtered.pcap"), path_of("filtered.pcap") };
	struct io *io = io_pcap_open(paths, 2, "greater 100 and ether[0] > 49", err, sizeof(err));

	assert_non_null(io);
	assert_int_equal(drain(io, &packets), IO_END);
	assert_int_equal(packets, 10);
	assert_int_equal(io->packets, 10);
	io->ops->close(io);
}

static void a_wrong_filter_is_quoted_with_its_reason(void **state)
{
	(void)state;
	pcap_begin(false, false, ETHERNET);
	const char *path = save("filter.pcap");

	assert_ptr_equal(strstr(refusal(path, "tcp port"), "filter \"tcp port\": "), refusal(path, "tcp port"));
	assert_true(strlen(refusal(path, "nonsense")) > strlen("filter \"nonsense\": "));
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

/* Have fd stand for file while body runs; fd is put back by restore. */
static int redirect(int fd, int file)
{
	int saved = dup(fd);

	assert_true(saved >= 0 && file >= 0);
	assert_int_equal(dup2(file, fd), fd);
	close(file);
	return saved;
}

static void restore(int fd, int saved)
{
	dup2(saved, fd);
	close(saved);
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
	assert_true(io->ops->progress(io) < 0);
	assert_ptr_equal(strstr(io->error, "standard input: truncated "), io->error);
	io->ops->close(io);
	restore(STDIN_FILENO, saved);
}

static void any_bytes_are_read_or_refused(void **state)
{
	(void)state;
	srand(6);
	for (int n = 0; n < 600; n++) {
		unsigned packets;
		char err[256];

		if (n % 2) {
			pcapng_begin(n & 2);
			for (uint8_t i = 0; i < 4; i++)
				pcapng_packet(i, i, 30, 60);
		} else {
			pcap_begin(n & 2, n & 4, ETHERNET);
			for (uint8_t i = 0; i < 4; i++)
				pcap_packet(i, 0, i, 30, 60);
		}
		for (int i = rand() % 5; i > 0; i--)
			out.bytes[(size_t)rand() % out.len] = (uint8_t)(rand() % 3 ? rand() : 0xff);
		struct io *io = open_one(save("mutated"), n % 3 ? NULL : "tcp", err);

		if (io) {
			drain(io, &packets);
			io->ops->close(io);
		}
	}
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
	static const uint16_t links[][2] = { { 0, 0 },      { ETHERNET, ETHERNET }, { RAW, RAW },
					     { 14, RAW },   { LINKTYPE_RAW, RAW },  { 108, 108 },
					     { 113, 113 },  { 228, 228 },           { 229, 229 },
					     { SLL2, SLL2 } };
	static uint8_t data[262144];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const uint32_t sizes[] = { 60, 0, 65536, sizeof(data), 1 };
		struct io_writer *w = writer_good(path_of("written.pcap"));
		struct mos_packet p[IO_BURST];

		for (int j = 0; j < 5; j++) {
			struct mos_packet q = packet_to_write(data, sizes[j], links[i][0]);

			assert_int_equal(io_writer_put(w, &q), 0);
		}
		assert_int_equal(io_writer_close(w), 0);
		struct io *io = open_good(path_of("written.pcap"));

		assert_int_equal(io->ops->rx_burst(io, p, IO_BURST), 5);
		for (int j = 0; j < 5; j++) {
			assert_int_equal(p[j].ts_ns, UINT64_C(4000000000123456789));
			assert_int_equal(p[j].link, links[i][1]);
			assert_int_equal(p[j].len, sizes[j] + 7);
			assert_int_equal(p[j].caplen, sizes[j]);
			assert_memory_equal(p[j].data, data, sizes[j]);
		}
		io->ops->close(io);
	}
}

static void a_frame_too_large_to_be_read_back_is_cut(void **state)
{
	static uint8_t data[300000];
	struct mos_packet q = packet_to_write(data, sizeof(data), ETHERNET), p[1];
	struct io_writer *w = writer_good(path_of("cut.pcap"));

	(void)state;
	assert_int_equal(io_writer_put(w, &q), 0);
	assert_int_equal(io_writer_close(w), 0);
	struct io *io = open_good(path_of("cut.pcap"));

	assert_int_equal(io->ops->rx_burst(io, p, 1), 1);
	assert_int_equal(p[0].caplen, 262144);
	assert_int_equal(p[0].len, sizeof(data) + 7);
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
	unsigned packets;

	(void)state;
	assert_int_equal(io_writer_put(w, &ethernet), 0);
	assert_int_equal(io_writer_put(w, &raw), -EPROTOTYPE);
	assert_int_equal(io_writer_put(w, &ethernet), 0);
	assert_int_equal(io_writer_close(w), 0);
	struct io *io = open_good(path_of("mixed.pcap"));

	assert_int_equal(drain(io, &packets), IO_END);
	assert_int_equal(packets, 2);
	io->ops->close(io);
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
	unsigned packets;

	(void)state;
	fflush(stdout);
	int saved = redirect(STDOUT_FILENO, open(path_of("stdout.pcap"), O_WRONLY | O_CREAT | O_TRUNC, 0600));
	struct io_writer *w = writer_good("-");
	int put_rc = io_writer_put(w, &p), close_rc = io_writer_close(w);

	restore(STDOUT_FILENO, saved);
	assert_int_equal(put_rc, 0);
	assert_int_equal(close_rc, 0);
	struct io *io = open_good(path_of("stdout.pcap"));

	assert_int_equal(drain(io, &packets), IO_END);
	assert_int_equal(packets, 1);
	io->ops->close(io);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	(void)state;
	while (d && (entry = readdir(d)))
		unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(either_byte_order_and_resolution_is_read),
		cmocka_unit_test(pcapng_is_read),
		cmocka_unit_test(time_goes_on_after_2038),
		cmocka_unit_test(a_wire_length_below_the_captured_one_is_raised_to_it),
		cmocka_unit_test(files_are_read_one_after_the_other_and_numbered_on),
		cmocka_unit_test(every_frame_of_a_burst_is_there_until_it_is_freed),
		cmocka_unit_test(a_burst_is_as_short_as_asked),
		cmocka_unit_test(what_a_truncated_file_holds_is_delivered_before_the_failure),
		cmocka_unit_test(a_file_without_a_whole_header_is_not_a_capture),
		cmocka_unit_test(each_reason_not_to_open_is_one_clear_line),
		cmocka_unit_test(a_refused_file_is_closed),
		cmocka_unit_test(a_long_path_does_not_hide_the_reason),
		cmocka_unit_test(a_later_file_that_cannot_be_opened_fails_when_its_turn_comes),
		cmocka_unit_test(only_packets_that_the_filter_accepts_are_delivered),
		cmocka_unit_test(a_wrong_filter_is_quoted_with_its_reason),
		cmocka_unit_test(progress_runs_from_0_to_1_over_all_files),
		cmocka_unit_test(a_dash_is_standard_input_be_it_a_file_or_a_pipe),
		cmocka_unit_test(any_bytes_are_read_or_refused),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(a_frame_too_large_to_be_read_back_is_cut),
		cmocka_unit_test(a_capture_of_nothing_is_a_capture),
		cmocka_unit_test(another_link_type_than_the_first_is_refused_and_the_file_goes_on),
		cmocka_unit_test(raw_ip_by_any_of_its_numbers_is_one_link_type),
		cmocka_unit_test(a_file_that_cannot_be_created_is_named_with_the_reason),
		cmocka_unit_test(a_full_disk_is_not_passed_over),
		cmocka_unit_test(a_dash_is_standard_output),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
