/* Capture files of every format, put together byte by byte, for tests; and what is needed to have them read. */
#ifndef MOS_TESTS_CAPTURES_H
#define MOS_TESTS_CAPTURES_H

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io.h"

enum { ETHERNET = 1, FDDI = 10, RAW = 12, LINKTYPE_RAW = 101, SLL = 113, USB = 189, SLL2 = 276 };

/* The file so far, in either byte order. */
static struct {
	bool big_endian;
	size_t len;
	uint8_t bytes[1 << 25];
} out;

static inline void out_begin(bool big_endian)
{
	out.big_endian = big_endian;
	out.len = 0;
}

static inline void put(uint64_t v, int size)
{
	for (int i = 0; i < size; i++)
		out.bytes[out.len++] = (uint8_t)(v >> 8 * (out.big_endian ? size - 1 - i : i));
}

static inline void put16(unsigned v)
{
	put(v, 2);
}

static inline void put32(uint32_t v)
{
	put(v, 4);
}

static inline void put_fill(uint8_t byte, size_t n)
{
	memset(out.bytes + out.len, byte, n);
	out.len += n;
}

/* The classic format. */
static inline void pcap_begin_with(bool big_endian, uint32_t magic, unsigned minor, uint32_t snaplen, uint32_t link)
{
	out_begin(big_endian);
	put32(magic);
	put16(2);
	put16(minor);
	put32(0);
	put32(0);
	put32(snaplen);
	put32(link);
}

static inline void pcap_begin(bool big_endian, bool nanoseconds, uint32_t link)
{
	pcap_begin_with(big_endian, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 4, 262144, link);
}

static inline void pcap_packet(uint32_t sec, uint32_t fraction, uint8_t fill, uint32_t caplen, uint32_t len)
{
	put32(sec);
	put32(fraction);
	put32(caplen);
	put32(len);
	put_fill(fill, caplen);
}

/* pcapng: body is put between these two. */
static size_t block_at;

static inline void block_begin(uint32_t type)
{
	block_at = out.len;
	put32(type);
	put32(0);
}

static inline void block_end(void)
{
	put_fill(0, (block_at - out.len) & 3);
	uint32_t len = (uint32_t)(out.len - block_at) + 4;

	put32(len);
	out.len = block_at + 4;
	put32(len);
	out.len = block_at + len;
}

static inline void section(bool big_endian)
{
	out.big_endian = big_endian;
	block_begin(0x0a0d0d0a);
	put32(0x1a2b3c4d);
	put16(1);
	put16(0);
	put(UINT64_MAX, 8);
	block_end();
}

static inline void interface_begin(unsigned link, uint32_t snaplen)
{
	block_begin(1);
	put16(link);
	put16(0);
	put32(snaplen);
}

static inline void option(unsigned code, uint64_t value, unsigned len)
{
	put16(code);
	put16(len);
	put(value, (int)len);
	put_fill(0, -len & 3);
}

/* Resolution as in if_tsresol: 6 is microseconds, 0x80 + n units of 2^-n seconds. */
static inline void interface(unsigned link, uint8_t resolution)
{
	interface_begin(link, 262144);
	option(9, resolution, 1);
	put32(0);
	block_end();
}

static inline void enhanced_packet(uint32_t number, uint64_t ticks, uint8_t fill, uint32_t caplen, uint32_t len)
{
	block_begin(6);
	put32(number);
	put32((uint32_t)(ticks >> 32));
	put32((uint32_t)ticks);
	put32(caplen);
	put32(len);
	put_fill(fill, caplen);
	block_end();
}

static inline void obsolete_packet(unsigned number, uint64_t ticks, uint8_t fill, uint32_t caplen, uint32_t len)
{
	block_begin(2);
	put16(number);
	put16(0xabcd);
	put32((uint32_t)(ticks >> 32));
	put32((uint32_t)ticks);
	put32(caplen);
	put32(len);
	put_fill(fill, caplen);
	block_end();
}

static inline void simple_packet(uint8_t fill, uint32_t caplen, uint32_t len)
{
	block_begin(3);
	put32(len);
	put_fill(fill, caplen);
	block_end();
}

static inline void snoop_begin_with(uint32_t version, uint32_t type)
{
	out_begin(true);
	put(UINT64_C(0x736e6f6f70000000), 8);
	put32(version);
	put32(type);
}

static inline void snoop_packet_padded(uint32_t sec, uint32_t usec, uint8_t fill, uint32_t caplen, uint32_t len,
				       uint32_t padding)
{
	put32(len);
	put32(caplen);
	put32(24 + caplen + padding);
	put32(0);
	put32(sec);
	put32(usec);
	put_fill(fill, caplen);
	put_fill(0, padding);
}

/* Files: in a directory of the test's own. */
static char dir[] = "/tmp/mos-test-io-XXXXXX";

static inline int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_dir(void **state)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	(void)state;
	while (d && (entry = readdir(d)))
		unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

/* The path of a file in the test's directory. Good until the eighth call after this one. */
static inline const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static inline const char *save_bytes(const char *name, const void *data, size_t len)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	return path;
}

static inline const char *save(const char *name)
{
	return save_bytes(name, out.bytes, out.len);
}

static inline struct io *open_one(const char *path, const char *filter, char *err)
{
	return io_pcap_open(&path, 1, filter, err, 256);
}

static inline struct io *open_good(const char *path)
{
	char err[256] = "";
	struct io *io = open_one(path, NULL, err);

	if (!io)
		fail_msg("%s", err);
	return io;
}

/* What opening the file answers. Good until the next call. */
static inline const char *refusal(const char *path, const char *filter)
{
	static char err[256];
	struct io *io = open_one(path, filter, err);

	assert_null(io);
	assert_null(strchr(err, '\n'));
	return err;
}

static inline char *text_of(const char *fmt, ...)
{
	static char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return text;
}

/* Read to the end; the last answer of rx_burst. */
static inline int drain(struct io *io, unsigned *packets)
{
	struct mos_packet p[IO_BURST];
	int n;

	*packets = 0;
	while ((n = io->ops->rx_burst(io, p, IO_BURST)) >= 0) {
		*packets += (unsigned)n;
		io->ops->free_burst(io);
	}
	return n;
}

/* The one packet that is left in the file. */
static inline struct mos_packet only_packet(struct io *io)
{
	struct mos_packet p[2];

	memset(p, 0xff, sizeof(p));
	assert_int_equal(io->ops->rx_burst(io, p, 2), 1);
	return p[0];
}

/* Have fd stand for file until restore. */
static inline int redirect(int fd, int file)
{
	int saved = dup(fd);

	assert_true(saved >= 0 && file >= 0);
	assert_int_equal(dup2(file, fd), fd);
	close(file);
	return saved;
}

static inline void restore(int fd, int saved)
{
	dup2(saved, fd);
	close(saved);
}

/* What the file at path says when it is read to its end: packets, last answer, warnings. */
struct reading {
	unsigned packets;
	int last;
	bool damaged;
	char error[256];
	char warnings[2048];
};

static inline struct reading read_files(const char *const *paths, unsigned n, const char *filter)
{
	static const char log[] = "warnings";
	struct reading r = { .last = 0 };
	int saved = redirect(STDERR_FILENO, open(path_of(log), O_RDWR | O_CREAT | O_TRUNC, 0600));
	struct io *io = io_pcap_open(paths, n, filter, r.error, sizeof(r.error));

	if (io) {
		r.last = drain(io, &r.packets);
		r.damaged = io->damaged;
		memcpy(r.error, io->error, sizeof(r.error));
		io->ops->close(io);
	}
	ssize_t len = pread(STDERR_FILENO, r.warnings, sizeof(r.warnings) - 1, 0);

	restore(STDERR_FILENO, saved);
	assert_true(len >= 0);
	return r;
}

static inline struct reading read_file(const char *path, const char *filter)
{
	return read_files(&path, 1, filter);
}

#endif
