#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"

/* The largest frame that libpcap reads back. */
enum { SNAPLEN = 262144, FILE_BUFFER = 1 << 18 };

struct io_writer {
	FILE *file;
	char *buffer;
	pcap_t *pcap; /* NULL until the link type is known */
	pcap_dumper_t *dumper;
	int link;
	int error; /* the first one, as errno */
};

struct io_writer *io_writer_open(const char *path, char *err, size_t errlen)
{
	bool to_stdout = strcmp(path, "-") == 0;
	struct io_writer *w = calloc(1, sizeof(*w));
	char *buffer = malloc(FILE_BUFFER);

	if (w && buffer) {
		w->buffer = buffer;
		w->file = to_stdout ? fdopen(dup(STDOUT_FILENO), "wb") : fopen(path, "wb");
	}
	if (w && w->file) {
		setvbuf(w->file, buffer, _IOFBF, FILE_BUFFER);
		return w;
	}
	snprintf(err, errlen, "%s: %s", to_stdout ? "standard output" : path, strerror(errno));
	free(buffer);
	free(w);
	return NULL;
}

/* Raw IP has had several numbers; libpcap writes the one of this system. */
static int link_canonical(int link)
{
	return link == 14 || link == 101 ? DLT_RAW : link;
}

/* The file header, which holds the link type. It fits into the file's buffer, so writing it cannot fail yet. */
static int writer_begin(struct io_writer *w, int link)
{
	w->link = link;
	w->pcap = pcap_open_dead_with_tstamp_precision(link, SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
	if (!w->pcap)
		return ENOMEM;
	w->dumper = pcap_dump_fopen(w->pcap, w->file);
	return w->dumper ? 0 : EPROTONOSUPPORT; /* files have no number for this link type */
}

/* pcap_dump tells nobody; the stream remembers. */
static int stream_error(FILE *f)
{
	return ferror(f) ? (errno ? errno : EIO) : 0;
}

int io_writer_put(struct io_writer *w, const struct mos_packet *p)
{
	int link = link_canonical(p->link);

	if (w->error)
		return -w->error;
	if (!w->dumper)
		w->error = writer_begin(w, link);
	if (w->error)
		return -w->error;
	if (link != w->link)
		return -EPROTOTYPE;
	struct pcap_pkthdr h = {
		.ts = { .tv_sec = (time_t)(p->ts_ns / 1000000000), .tv_usec = (suseconds_t)(p->ts_ns % 1000000000) },
		.caplen = p->caplen < SNAPLEN ? p->caplen : SNAPLEN,
		.len = p->len,
	};

	errno = 0;
	pcap_dump((u_char *)w->dumper, &h, p->data);
	w->error = stream_error(w->file);
	return -w->error;
}

int io_writer_close(struct io_writer *w)
{
	if (!w)
		return 0;
	if (!w->dumper && !w->error)
		w->error = writer_begin(w, DLT_EN10MB);
	errno = 0;
	if (fflush(w->file) != 0 && !w->error)
		w->error = errno ? errno : EIO;
	if (w->dumper)
		pcap_dump_close(w->dumper); /* and file with it */
	else
		fclose(w->file);
	if (w->pcap)
		pcap_close(w->pcap);
	int error = w->error;

	free(w->buffer);
	free(w);
	return -error;
}
