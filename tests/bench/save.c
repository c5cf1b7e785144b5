#include "save.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/io.h"
#include "pkt/decode.h"
#include "pkt/edit.h"

static int put(struct io_writer *out, const struct trace *t, const struct frame *f)
{
	/* Some time in 2023; readers take a capture of 1970 for a mistake. */
	struct mos_packet p = { .data = t->arena + f->at, .ts_ns = 1700000000000000000 + f->ts_ns };

	p.caplen = p.len = f->len;
	p.link = 1;
	if (packet_decode(&p) != MOS_DECODED_TCP)
		return -1;
	if (p.ip_version == 4)
		packet_fix_ip_checksum(&p);
	packet_fix_tcp_checksum(&p);
	return io_writer_put(out, &p);
}

static int put_all(struct io_writer *out, struct trace *t)
{
	while (trace_next(t))
		for (size_t i = 0; i < t->frames_n; i++)
			if (put(out, t, &t->frames[i]) < 0)
				return -1;
	return 0;
}

int save(const struct trace_params *p, const char *path, char *err, size_t errlen)
{
	struct io_writer *out = io_writer_open(path, err, errlen);
	struct trace t;

	if (!out)
		return -1;
	int rc = trace_init(&t, p);

	if (rc == 0)
		rc = put_all(out, &t);
	if (io_writer_close(out) < 0 || rc < 0) {
		snprintf(err, errlen, "%s: cannot be written", path);
		rc = -1;
	} else {
		printf("packets=%" PRIu64 " wire_bytes=%" PRIu64 " connections=%" PRIu64 " bytes=%" PRIu64
		       " sum=%" PRIu64 "\n",
		       t.totals.packets, t.totals.wire_bytes, t.totals.connections,
		       t.totals.request_bytes + t.totals.response_bytes, t.totals.request_sum + t.totals.response_sum);
	}
	trace_fini(&t);
	return rc;
}
