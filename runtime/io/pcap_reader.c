#include <errno.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"
#include "pkt/decode.h"

enum { FILE_BUFFER = 1 << 20, BURST_MEMORY = IO_BURST * 2048 };

/* One capture file after the other. libpcap reuses its packet buffer, so a burst is copied into memory of its own. */
struct pcap_reader {
	struct io io;
	const char *const *paths; /* the next file comes first */
	unsigned left;            /* files not yet opened */
	bool failed;
	char *filter; /* NULL: none */
	pcap_t *pcap; /* NULL between files */
	FILE *file;   /* pcap's */
	char *buffer; /* file's */
	uint16_t link;
	uint64_t file_packets; /* delivered from this file */
	double bytes_total;    /* of all files; 0: not known */
	double bytes_done;     /* of the files already closed */

	struct mos_packet *burst; /* being filled */
	unsigned count;
	uint8_t *mem; /* the burst's frames */
	size_t mem_size, mem_used;
	bool out_of_memory;
};

static bool is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* "FILE: cause". Of a long path the end is kept, so that the cause is not cut off. */
__attribute__((format(printf, 2, 3))) static void fail(struct pcap_reader *r, const char *fmt, ...)
{
	const char *path = is_stdin(r->io.path) ? "standard input" : r->io.path;
	size_t size = sizeof(r->io.error), path_len = strlen(path);
	int len = snprintf(r->io.error, size, "%s: ", path_len <= 100 ? path : path + path_len - 100);
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->io.error + len, size - (size_t)len, fmt, args);
	va_end(args);
}

static FILE *file_open(struct pcap_reader *r)
{
	/* A descriptor of our own can be closed like any other. */
	FILE *f = is_stdin(r->io.path) ? fdopen(dup(STDIN_FILENO), "rb") : fopen(r->io.path, "rb");

	if (!f) {
		fail(r, "%s", strerror(errno));
		return NULL;
	}
	setvbuf(f, r->buffer, _IOFBF, FILE_BUFFER);
	errno = 0;
	int c = getc(f);

	if (c != EOF) {
		ungetc(c, f);
		return f;
	}
	if (ferror(f)) /* a directory, for one */
		fail(r, "%s", strerror(errno));
	else
		fail(r, "not a capture: the file is empty");
	fclose(f);
	return NULL;
}

static bool link_check(struct pcap_reader *r)
{
	int link = pcap_datalink(r->pcap);
	const char *name = pcap_datalink_val_to_name(link);
	const char *description = pcap_datalink_val_to_description(link);

	if (packet_link_known(link)) {
		r->link = (uint16_t)link;
		return true;
	}
	if (name && description)
		fail(r, "link type %s (%s, %d) is not supported", name, description, link);
	else
		fail(r, "link type %d is not supported", link);
	return false;
}

static bool filter_set(struct pcap_reader *r)
{
	struct bpf_program program;

	if (!r->filter)
		return true;
	int rc = pcap_compile(r->pcap, &program, r->filter, 1, PCAP_NETMASK_UNKNOWN);

	if (rc == 0) {
		rc = pcap_setfilter(r->pcap, &program);
		pcap_freecode(&program);
	}
	if (rc != 0)
		snprintf(r->io.error, sizeof(r->io.error), "filter \"%.120s\": %s", r->filter, pcap_geterr(r->pcap));
	return rc == 0;
}

static void file_close(struct pcap_reader *r)
{
	if (!r->pcap)
		return;
	off_t at = ftello(r->file);

	if (at > 0)
		r->bytes_done += (double)at;
	pcap_close(r->pcap);
	r->pcap = NULL;
}

static bool file_next(struct pcap_reader *r)
{
	char reason[PCAP_ERRBUF_SIZE] = "";

	r->io.path = *r->paths++;
	r->left--;
	r->file_packets = 0;
	r->file = file_open(r);
	if (!r->file)
		return false;
	r->pcap = pcap_fopen_offline_with_tstamp_precision(r->file, PCAP_TSTAMP_PRECISION_NANO, reason);
	if (!r->pcap) {
		fail(r, "not a capture: %s", reason);
		fclose(r->file);
		return false;
	}
	if (link_check(r) && filter_set(r))
		return true;
	file_close(r);
	return false;
}

/* More room, with the frames of the burst moved along. */
static bool burst_grow(struct pcap_reader *r, size_t size)
{
	uint8_t *mem = malloc(size);

	if (!mem)
		return false;
	memcpy(mem, r->mem, r->mem_used);
	for (unsigned i = 0; i < r->count; i++)
		r->burst[i].data = mem + (r->burst[i].data - r->mem);
	free(r->mem);
	r->mem = mem;
	r->mem_size = size;
	return true;
}

/* Classic files have 32 bits of seconds, which libpcap takes as signed. */
static uint64_t seconds(time_t s)
{
	return s < 0 ? (uint32_t)s : (uint64_t)s;
}

static void burst_add(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
	struct pcap_reader *r = (struct pcap_reader *)user;

	if (h->caplen > r->mem_size - r->mem_used && !burst_grow(r, 2 * r->mem_size + h->caplen)) {
		r->out_of_memory = true;
		pcap_breakloop(r->pcap);
		return;
	}
	struct mos_packet *p = &r->burst[r->count++];

	p->data = r->mem + r->mem_used;
	memcpy(p->data, data, h->caplen);
	r->mem_used += h->caplen;
	p->ts_ns = seconds(h->ts.tv_sec) * 1000000000 + (uint64_t)h->ts.tv_usec;
	p->caplen = h->caplen;
	p->len = h->len > h->caplen ? h->len : h->caplen;
	p->link = r->link;
	p->port = 0;
	p->number = ++r->io.packets;
	r->file_packets++;
}

/* The file ends, or cannot be read on. */
static void file_end(struct pcap_reader *r, int status)
{
	r->failed = status < 0;
	if (r->out_of_memory)
		fail(r, "%s", strerror(ENOMEM));
	else if (r->failed)
		fail(r, "%s (after %llu packets)", pcap_geterr(r->pcap), (unsigned long long)r->file_packets);
	file_close(r);
}

static int reader_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct pcap_reader *r = (struct pcap_reader *)io;

	if (n == 0) /* to libpcap it means without limit */
		return 0;
	r->burst = pkts;
	r->count = 0;
	r->mem_used = 0;
	while (r->count == 0) {
		if (r->failed)
			return IO_FAILED;
		if (!r->pcap && r->left == 0)
			return IO_END;
		if (!r->pcap && !file_next(r)) {
			r->failed = true;
			return IO_FAILED;
		}
		int status = pcap_dispatch(r->pcap, (int)n, burst_add, (u_char *)r);

		if (status < 0 || r->count == 0)
			file_end(r, status);
	}
	return (int)r->count;
}

static void reader_free_burst(struct io *io)
{
	(void)io; /* the next burst takes its place */
}

static double reader_progress(struct io *io)
{
	struct pcap_reader *r = (struct pcap_reader *)io;

	if (r->bytes_total == 0)
		return -1;
	double done = r->bytes_done + (r->pcap ? (double)ftello(r->file) : 0);

	return done < r->bytes_total ? done / r->bytes_total : 1;
}

static void reader_close(struct io *io)
{
	struct pcap_reader *r = (struct pcap_reader *)io;

	file_close(r);
	free(r->filter);
	free(r->buffer);
	free(r->mem);
	free(r);
}

/* Bytes of all files; 0 if one of them is a pipe or cannot be seen. */
static double total_size(const char *const *paths, unsigned n)
{
	double total = 0;

	for (unsigned i = 0; i < n; i++) {
		struct stat st;
		int rc = is_stdin(paths[i]) ? fstat(STDIN_FILENO, &st) : stat(paths[i], &st);

		if (rc != 0 || !S_ISREG(st.st_mode))
			return 0;
		total += (double)st.st_size;
	}
	return total;
}

struct io *io_pcap_open(const char *const *paths, unsigned n, const char *filter, char *err, size_t errlen)
{
	static const struct io_ops ops = {
		.name = "pcap",
		.rx_burst = reader_rx_burst,
		.free_burst = reader_free_burst,
		.progress = reader_progress,
		.close = reader_close,
	};
	struct pcap_reader *r = calloc(1, sizeof(*r));

	if (!r || n == 0) {
		snprintf(err, errlen, "%s", n == 0 ? "no capture file given" : strerror(ENOMEM));
		free(r);
		return NULL;
	}
	r->io.ops = &ops;
	r->paths = paths;
	r->left = n;
	r->filter = filter ? strdup(filter) : NULL;
	r->bytes_total = total_size(paths, n);
	r->mem_size = BURST_MEMORY;
	r->mem = malloc(r->mem_size);
	r->buffer = malloc(FILE_BUFFER);
	if (!r->mem || !r->buffer || (filter && !r->filter))
		snprintf(err, errlen, "%s", strerror(ENOMEM));
	else if (file_next(r))
		return &r->io;
	else
		snprintf(err, errlen, "%s", r->io.error);
	reader_close(&r->io);
	return NULL;
}
