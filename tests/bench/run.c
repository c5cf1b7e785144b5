#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lua_vm.h"
#include "path.h"

enum { ROUNDS_MAX = 1000 };

struct bench {
	const struct run_params *p;
	struct trace t;
	struct worker *w;
	struct lua_vm *vm;
	uint64_t base_ns; /* packet time of the round's first packet */
	uint32_t peak;
	uint64_t slab_peak;
};

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * The next burst, as a network card's driver hands it over: the first bytes of the frames of the one after it are on their
 * way into the cache.
 */
static unsigned fill(struct bench *b, size_t from)
{
	size_t left = b->t.frames_n - from;
	unsigned n = left < IO_BURST ? (unsigned)left : IO_BURST,
		 ahead = left < 2 * IO_BURST ? (unsigned)left - n : IO_BURST;

	for (unsigned i = 0; i < ahead; i++) {
		const uint8_t *next = b->t.arena + b->t.frames[from + IO_BURST + i].at;

		__builtin_prefetch(next);
		__builtin_prefetch(next + 64);
	}

	for (unsigned i = 0; i < n; i++) {
		const struct frame *f = &b->t.frames[from + i];
		struct mos_packet *p = &b->w->burst[i];

		p->data = b->t.arena + f->at;
		p->ts_ns = b->base_ns + f->ts_ns;
		p->caplen = p->len = f->len;
		p->link = 1;
		p->port = 0;
	}
	return n;
}

/* What is timed. */
static bool play(struct bench *b)
{
	struct worker *w = b->w;

	for (size_t i = 0; i < b->t.frames_n; i += IO_BURST) {
		unsigned n = fill(b, i);

		if (path_burst(w, n) != n)
			return false;
		if (w->conns.used > b->peak)
			b->peak = w->conns.used;
		if (w->tcp.slab.used > b->slab_peak)
			b->slab_peak = w->tcp.slab.used;
	}
	return true;
}

/* All packets once. The CPU time that they took, or a negative number. */
static double round_once(struct bench *b)
{
	double seconds = 0;

	if (!b->t.whole)
		trace_rewind(&b->t);
	while (b->t.whole || trace_next(&b->t)) {
		double start = cpu_s();
		bool ok = play(b);

		seconds += cpu_s() - start;
		if (!ok)
			return -1;
		if (b->t.whole)
			break;
	}
	worker_finish(b->w);
	b->base_ns += trace_duration_ns(&b->t);
	return seconds;
}

static int wrong(char *err, size_t errlen, const char *what, uint64_t got, uint64_t want)
{
	snprintf(err, errlen, "%s: %" PRIu64 ", not %" PRIu64, what, got, want);
	return -1;
}

/* Did the tracker see the connections that were made, and the handlers what was sent? */
static int check(const struct bench *b, const struct stats *before, char *err, size_t errlen)
{
	const struct trace_totals *t = &b->t.totals;
	const struct work_seen *seen = work_seen();
	const struct stats *st = &b->w->stats;

#define CHECK(what, got, want) \
	if ((got) != (want))   \
	return wrong(err, errlen, what, (uint64_t)(got), (uint64_t)(want))
	CHECK("connections", st->connections - before->connections, t->connections);
	CHECK("connections ended", st->connections_ended - before->connections_ended, t->connections);
	CHECK("packets without a connection", st->orphans, 0);
	CHECK("segments out of the window", st->out_of_window + st->paws_rejected, 0);
	CHECK("gaps", st->gaps, 0);
	CHECK("bytes lost", st->buffer_lost_bytes + st->memory_limit, 0);
	CHECK("handlers that failed", st->handler_errors, 0);
	if (b->vm)
		return 0;
	CHECK("CONN_START events", seen->starts, t->connections);
	CHECK("CONN_END events", seen->ends, 2 * t->connections);
	if (b->p->work == WORK_PACKET)
		CHECK("PKT_IN events", seen->packets, t->packets);
	if (b->p->work == WORK_STREAM) {
		CHECK("reads that found a hole", seen->lost, 0);
		CHECK("bytes read", seen->bytes, t->stream_bytes);
		CHECK("checksum of the bytes read", seen->sum, t->sum);
	}
#undef CHECK
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void memory(const struct bench *b, struct run_result *r)
{
	const struct worker *w = b->w;

	r->peak = b->peak;
	r->record_bytes = (uint64_t)w->conns.top * w->conns.stride + (uint64_t)w->d.socks.top * w->d.socks.stride +
			  table_bytes(&w->table);
	r->stream_bytes = (uint64_t)w->tcp.streams.top * w->tcp.streams.stride +
			  (uint64_t)w->tcp.seen.top * w->tcp.seen.stride + b->slab_peak;
}

static int rounds(struct bench *b, struct run_result *r, char *err, size_t errlen)
{
	double s[ROUNDS_MAX];
	unsigned n = b->p->rounds < ROUNDS_MAX ? b->p->rounds : ROUNDS_MAX;

	/* The first one warms up. */
	for (unsigned i = 0; i <= n; i++) {
		struct stats before = b->w->stats;

		work_reset();
		double took = round_once(b);
		if (took < 0) {
			snprintf(err, errlen, "a handler failed");
			return -1;
		}
		if (check(b, &before, err, errlen) < 0)
			return -1;
		if (i)
			s[i - 1] = took;
	}
	qsort(s, n, sizeof(*s), by_value);
	*r = (struct run_result){ .totals = b->t.totals, .rounds = n, .seconds = s[n / 2], .fastest = s[0] };
	r->slowest = s[n - 1];
	memory(b, r);
	return 0;
}

static void settings(const struct run_params *p, struct settings *s)
{
	settings_default(s);
	s->linger_ns = (uint64_t)(p->linger_s * 1e9);
	s->max_conns = s->linger_ns ? p->trace.connections : p->trace.concurrency;
	s->buffer_memory = 16ull << 30;
	if (p->buffer)
		s->default_buf = p->buffer;
}

static int handlers(struct bench *b, char *err, size_t errlen)
{
	if (!b->p->lua) {
		int rc = work_start(b->w, b->p->work);

		if (rc < 0)
			snprintf(err, errlen, "cannot register handlers: %s", strerror(-rc));
		return rc;
	}
	b->vm = vm_new(b->w, err, errlen);
	return b->vm ? vm_load(b->vm, b->p->lua, 0, NULL, err, errlen) : -1;
}

static int with_worker(struct bench *b, struct run_result *r, char *err, size_t errlen)
{
	struct settings set;

	settings(b->p, &set);
	int rc = worker_init(b->w, 0, &set);
	if (rc < 0) {
		snprintf(err, errlen, "no worker: %s", strerror(-rc));
		return -1;
	}
	rc = handlers(b, err, errlen);
	if (rc == 0)
		rc = rounds(b, r, err, errlen);
	if (b->vm && rc == 0)
		vm_exit(b->vm);
	work_stop();
	vm_free(b->vm);
	worker_fini(b->w);
	return rc;
}

int run(const struct run_params *p, struct run_result *r, char *err, size_t errlen)
{
	struct bench b = { .p = p, .base_ns = 1000000000 };
	int rc = trace_init(&b.t, &p->trace);

	b.w = aligned_alloc(64, (sizeof(*b.w) + 63) & ~63ul);
	if (rc < 0 || !b.w) {
		snprintf(err, errlen, "out of memory");
		rc = -1;
	} else {
		rc = with_worker(&b, r, err, errlen);
	}
	free(b.w);
	trace_fini(&b.t);
	return rc;
}
