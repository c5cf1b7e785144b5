/* Packets of another input, held in memory and given again and again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "util/log.h"

/* Frames begin where a network card's would. */
enum { FRAME_ALIGN = 64 };

struct kept {
	uint64_t at; /* in bytes */
	uint64_t ts_ns;
	uint32_t caplen, len;
	uint16_t link, port;
};

struct preload {
	struct io io;
	struct kept *kept;
	size_t n, room;
	uint8_t *bytes;
	size_t used, size;
	uint64_t first_ns, last_ns; /* lowest and highest time stamp */
	size_t next;                /* packet of this replay */
	uint64_t shift_ns;          /* of its time stamps */
	unsigned left;              /* replays, this one included */
	unsigned repeat;
	uint64_t pause_ns;
};

/* Room for need elements of that size; it grows by half. */
static bool reserve(void **p, size_t *room, size_t need, size_t size)
{
	if (need <= *room)
		return true;
	size_t more = need + need / 2 + 1024;
	void *bigger = more > need ? reallocarray(*p, more, size) : NULL;

	if (!bigger)
		return false;
	*p = bigger;
	*room = more;
	return true;
}

static bool keep(struct preload *r, const struct mos_packet *p)
{
	if (!reserve((void **)&r->kept, &r->room, r->n + 1, sizeof(*r->kept)) ||
	    !reserve((void **)&r->bytes, &r->size, r->used + p->caplen + FRAME_ALIGN, 1))
		return false;
	memcpy(r->bytes + r->used, p->data, p->caplen);
	r->kept[r->n++] = (struct kept){ r->used, p->ts_ns, p->caplen, p->len, p->link, p->port };
	r->used = (r->used + p->caplen + FRAME_ALIGN - 1) & ~(size_t)(FRAME_ALIGN - 1);
	if (r->n == 1 || p->ts_ns < r->first_ns)
		r->first_ns = p->ts_ns;
	if (p->ts_ns > r->last_ns)
		r->last_ns = p->ts_ns;
	return true;
}

static bool is_stopped(const int *stop)
{
	return stop && __atomic_load_n(stop, __ATOMIC_RELAXED);
}

/* All packets of in. IO_END, or IO_FAILED with the reason in in->error. */
static int keep_all(struct preload *r, struct io *in, const int *stop)
{
	static struct mos_packet burst[IO_BURST];
	int n;

	while (!is_stopped(stop) && (n = in->ops->rx_burst(in, burst, IO_BURST)) >= 0) {
		for (int i = 0; i < n; i++) {
			if (!keep(r, &burst[i])) {
				snprintf(in->error, sizeof(in->error), "%s: too large to be held in memory", in->path);
				in->damaged = false;
				return IO_FAILED;
			}
		}
		if (n)
			in->ops->free_burst(in);
	}
	return is_stopped(stop) ? IO_END : n;
}

static void prefetch(const struct preload *r, size_t from)
{
	for (size_t i = from; i < r->n && i < from + IO_BURST; i++) {
		__builtin_prefetch(r->bytes + r->kept[i].at);
		__builtin_prefetch(r->bytes + r->kept[i].at + FRAME_ALIGN);
	}
}

static int preload_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct preload *r = (struct preload *)io;
	unsigned count = 0;

	if (r->next == r->n && r->left) {
		r->left--;
		r->next = 0;
		r->shift_ns += r->last_ns - r->first_ns + r->pause_ns;
	}
	if (!r->left || !r->n)
		return IO_END;
	for (; count < n && r->next < r->n; count++, r->next++) {
		const struct kept *k = &r->kept[r->next];
		struct mos_packet *p = &pkts[count];

		p->data = r->bytes + k->at;
		p->ts_ns = k->ts_ns + r->shift_ns;
		p->caplen = k->caplen;
		p->len = k->len;
		p->link = k->link;
		p->port = k->port;
		p->number = ++io->packets;
	}
	/* As a network card's driver does with what comes next. */
	prefetch(r, r->next);
	return (int)count;
}

static void preload_free_burst(struct io *io)
{
	(void)io;
}

static double preload_progress(struct io *io)
{
	const struct preload *r = (const struct preload *)io;
	double all = (double)r->n * r->repeat;

	return all > 0 ? (double)io->packets / all : 1;
}

static void preload_close(struct io *io)
{
	struct preload *r = (struct preload *)io;

	free(r->kept);
	free(r->bytes);
	free(r);
}

struct io *io_preload(struct io *in, unsigned repeat, uint64_t pause_ns, const int *stop, char *err, size_t errlen)
{
	static const struct io_ops ops = {
		.name = "preload",
		.rx_burst = preload_rx_burst,
		.free_burst = preload_free_burst,
		.progress = preload_progress,
		.close = preload_close,
	};
	struct preload *r = calloc(1, sizeof(*r));
	int rc = IO_FAILED;

	snprintf(err, errlen, "%s", strerror(ENOMEM));
	if (r) {
		r->io.ops = &ops;
		r->io.path = in->path;
		r->repeat = r->left = repeat;
		r->pause_ns = pause_ns;
		rc = keep_all(r, in, stop);
	}
	if (rc == IO_FAILED && r)
		snprintf(err, errlen, "%s", in->error);
	if (rc == IO_FAILED && in->damaged) {
		log_warn("%s", in->error);
		rc = IO_END;
	}
	in->ops->close(in);
	if (rc != IO_FAILED)
		return &r->io;
	if (r)
		preload_close(&r->io);
	return NULL;
}
