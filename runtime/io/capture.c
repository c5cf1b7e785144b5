/* Capture files in a row, as one source of packets. */
#include "io/capture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "io/link_table.h"
#include "util/log.h"

/* So many reads may go by without a packet that passes the filter, before the caller gets to look at its stop flag. */
enum { READS_MAX = 8 };

struct reader {
	struct io io;
	const char *const *paths; /* the next file comes first */
	unsigned left;            /* files not yet opened */
	bool failed;
	struct capture file;
	struct link_table links;
	double bytes_total; /* of all files; 0: not known */
	double bytes_done;  /* of the files already closed */
};

/* How messages call the file. Of a long path the end is kept, so that the cause is not cut off. */
static const char *place(const struct reader *r)
{
	const char *path = input_is_standard(r->io.path) ? "standard input" : r->io.path;
	size_t len = strlen(path);

	return len <= 100 ? path : path + len - 100;
}

/* The run ends here: "FILE: cause". False, for the caller to return. */
__attribute__((format(printf, 2, 3))) static bool fail(struct reader *r, const char *fmt, ...)
{
	size_t size = sizeof(r->io.error);
	int len = snprintf(r->io.error, size, "%s: ", place(r));
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->io.error + len, size - (size_t)len, fmt, args);
	va_end(args);
	r->failed = true;
	return false;
}

enum take capture_damaged(struct capture *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->fault, sizeof(c->fault), fmt, args);
	va_end(args);
	return TAKE_DAMAGED;
}

static bool file_is_open(const struct reader *r)
{
	return r->file.in.fd >= 0;
}

static bool file_open(struct reader *r)
{
	r->io.path = *r->paths++;
	r->left--;
	r->file.format = NULL;
	r->file.packets = 0;
	int rc = input_open(&r->file.in, r->io.path);

	return rc == 0 || fail(r, "%s", strerror(-rc));
}

static void file_close(struct reader *r)
{
	r->bytes_done += (double)r->file.in.bytes;
	input_close(&r->file.in);
}

static void not_a_capture(struct reader *r, const char *cause)
{
	fail(r, "not a capture: %s", cause);
	file_close(r);
}

/* What could be read of the file has been delivered. The files behind it are not to blame. */
static void file_damaged(struct reader *r, const char *cause)
{
	fail(r, "%s (after %llu packets)", cause, (unsigned long long)r->file.packets);
	if (r->left) {
		log_warn("%s", r->io.error);
		r->failed = false;
	}
	r->io.damaged = r->failed;
	file_close(r);
}

static void file_unreadable(struct reader *r, const char *cause)
{
	if (r->file.format)
		fail(r, "%s (after %llu packets)", cause, (unsigned long long)r->file.packets);
	else
		fail(r, "%s", cause);
	file_close(r);
}

/* No more bytes; some may be left that make no record. */
static void file_end(struct reader *r)
{
	const struct input *in = &r->file.in;

	if (r->file.format && input_room(in) == 0)
		file_close(r);
	else if (r->file.format)
		file_damaged(r, "truncated: the last record is cut short");
	else if (in->bytes < MAGIC_LEN)
		not_a_capture(r, in->bytes ? "unknown file format" : "the file is empty");
	else
		not_a_capture(r, "its header is cut short");
}

static enum take capture_begin(struct capture *c)
{
	static const struct capture_format *const formats[] = { &pcap_format, &pcapng_format, &snoop_format };

	if (input_room(&c->in) < MAGIC_LEN)
		return TAKE_MORE;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!formats[i]->matches(c->in.at))
			continue;
		enum take taken = formats[i]->begin(c);

		if (taken == TAKE_NOTHING)
			c->format = formats[i];
		return taken;
	}
	return capture_damaged(c, "unknown file format");
}

/*
 * Nothing more can be taken, for this reason: read on, or end the file. 0, or what input_fill answers while there is
 * nothing to read.
 */
static int file_go_on(struct reader *r, enum take why)
{
	if (why == TAKE_DAMAGED) {
		if (r->file.format)
			file_damaged(r, r->file.fault);
		else
			not_a_capture(r, r->file.fault);
		return 0;
	}
	int rc = input_fill(&r->file.in);

	if (rc == -EAGAIN || rc == -EINTR)
		return rc;
	if (rc == 0)
		file_end(r);
	if (rc < 0)
		file_unreadable(r, strerror(-rc));
	return 0;
}

/* Does the packet go into the burst? The run may have failed. */
static inline bool packet_passes(struct reader *r, const struct mos_packet *p)
{
	struct link_table *t = &r->links;

	if ((!t->last || t->last->link != p->link) && !link_table_use(t, p->link, place(r))) {
		snprintf(r->io.error, sizeof(r->io.error), "%s", t->error);
		r->failed = true;
		return false;
	}
	return link_table_pass(t, p);
}

/* Up to n packets, from what has been read; why there are not more of them is left in why. */
static unsigned burst_take(struct reader *r, struct mos_packet *pkts, unsigned n, enum take *why)
{
	struct capture *c = &r->file;
	unsigned count = 0;

	while (count < n) {
		struct mos_packet *p = &pkts[count];
		enum take taken = c->format ? c->format->next(c, p) : capture_begin(c);

		if (taken == TAKE_PACKET) {
			c->packets++;
			if (p->len < p->caplen)
				p->len = p->caplen;
			if (packet_passes(r, p)) {
				p->number = ++r->io.packets;
				count++;
			} else if (r->failed) {
				break;
			}
		} else if (taken != TAKE_NOTHING) {
			*why = taken;
			break;
		}
	}
	return count;
}

static int reader_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct reader *r = (struct reader *)io;

	for (unsigned reads = 0; n > 0 && reads < READS_MAX; reads++) {
		enum take why = TAKE_NOTHING;

		if (!r->failed && !file_is_open(r)) {
			if (r->left == 0)
				return IO_END;
			file_open(r);
		}
		unsigned count = burst_take(r, pkts, n, &why);

		if (count > 0)
			return (int)count;
		if (r->failed)
			return IO_FAILED;
		if (file_go_on(r, why) < 0)
			return 0;
	}
	return 0;
}

static void reader_free_burst(struct io *io)
{
	(void)io; /* the next burst takes its place */
}

static double reader_progress(struct io *io)
{
	struct reader *r = (struct reader *)io;

	if (r->bytes_total == 0)
		return -1;
	const struct input *in = &r->file.in;
	double done = r->bytes_done + (file_is_open(r) ? (double)(in->bytes - input_room(in)) : 0);

	return done < r->bytes_total ? done / r->bytes_total : 1;
}

static void reader_close(struct io *io)
{
	struct reader *r = (struct reader *)io;

	link_table_fini(&r->links);
	input_fini(&r->file.in);
	free(r->file.section.interfaces);
	free(r);
}

/* Bytes of all files; 0 if one of them is a pipe or cannot be seen. */
static double total_size(const char *const *paths, unsigned n)
{
	double total = 0;

	for (unsigned i = 0; i < n; i++) {
		off_t size = input_size(paths[i]);

		if (size < 0)
			return 0;
		total += (double)size;
	}
	return total;
}

/* Open the first file and read its header, however long that takes. */
static bool first_file(struct reader *r)
{
	if (!file_open(r))
		return false;
	while (!r->failed) {
		enum take taken = capture_begin(&r->file);

		if (taken == TAKE_NOTHING)
			return true;
		if (file_go_on(r, taken) == -EINTR)
			fail(r, "%s", strerror(EINTR));
	}
	return false;
}

struct io *io_pcap_open(const char *const *paths, unsigned n, const char *filter, char *err, size_t errlen)
{
	static const struct io_ops ops = {
		.name = "capture",
		.rx_burst = reader_rx_burst,
		.free_burst = reader_free_burst,
		.progress = reader_progress,
		.close = reader_close,
	};
	struct reader *r = calloc(1, sizeof(*r));

	if (!r || n == 0) {
		snprintf(err, errlen, "%s", n == 0 ? "no capture file given" : strerror(ENOMEM));
		free(r);
		return NULL;
	}
	r->io.ops = &ops;
	r->paths = paths;
	r->left = n;
	r->bytes_total = total_size(paths, n);
	input_init(&r->file.in);
	bool filter_ok = link_table_init(&r->links, filter);

	if (filter_ok && first_file(r))
		return &r->io;
	snprintf(err, errlen, "%s", filter_ok ? r->io.error : r->links.error);
	reader_close(&r->io);
	return NULL;
}
