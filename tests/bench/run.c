#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lua_vm.h"
#include "path.h"

/* One worker with its work. */
struct contestant {
	struct contest what;
	struct worker *w;
	struct lua_vm *vm;
	struct stats before; /* the round */
	double took;         /* CPU seconds, in this round */
	uint32_t peak;
	uint64_t slab_peak;
};

struct bench {
	const struct run_params *p;
	struct trace t;
	struct contestant c[WORK_CONTESTANTS];
	uint64_t base_ns; /* packet time of the round's first packet */
	uint64_t resident_before;
};

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Bytes of the process that are in memory. */
static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	uint64_t size = 0, pages = 0;

	if (f && fscanf(f, "%" SCNu64 " %" SCNu64, &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * The next burst, as a network card's driver hands it over: the first bytes of the frames that the one after it begins with are
 * on their way into the cache.
 */
static unsigned fill(const struct bench *b, struct worker *w, size_t from)
{
	enum { AHEAD = 8 };
	size_t left = b->t.frames_n - from;
	unsigned n = left < IO_BURST ? (unsigned)left : IO_BURST;

	for (size_t i = from + IO_BURST; i < b->t.frames_n && i < from + IO_BURST + AHEAD; i++)
		__builtin_prefetch(b->t.arena + b->t.frames[i].at);
	for (unsigned i = 0; i < n; i++) {
		const struct frame *f = &b->t.frames[from + i];
		struct mos_packet *p = &w->burst[i];

		p->data = b->t.arena + f->at;
		p->ts_ns = b->base_ns + f->ts_ns;
		p->caplen = p->len = f->len;
		p->link = 1;
		p->port = 0;
	}
	return n;
}

/* What is timed; tests/bench/instructions.lua counts its instructions, by its name. */
__attribute__((noipa)) static bool play(const struct bench *b, struct contestant *c)
{
	struct worker *w = c->w;

	for (size_t i = 0; i < b->t.frames_n; i += IO_BURST) {
		unsigned n = fill(b, w, i);

		if (work_is_bare(c->what.work))
			work_bare(w, c->what.work, n);
		else if (path_burst(w, n) != n)
			return false;
		if (w->conns.used > c->peak)
			c->peak = w->conns.used;
		if (w->tcp.slab.used > c->slab_peak)
			c->slab_peak = w->tcp.slab.used;
	}
	return true;
}

/* The packets that the trace holds now, through one worker after the other; every second time in reverse. */
static bool play_all(struct bench *b, bool reverse)
{
	for (unsigned i = 0; i < b->p->what_n; i++) {
		struct contestant *c = &b->c[reverse ? b->p->what_n - 1 - i : i];
		double start = cpu_s();

		if (!play(b, c))
			return false;
		c->took += cpu_s() - start;
	}
	return true;
}

/* All packets once. False: a handler failed. */
static bool round_once(struct bench *b, unsigned number)
{
	bool ok = true;

	for (unsigned i = 0; i < b->p->what_n; i++) {
		b->c[i].before = b->c[i].w->stats;
		b->c[i].took = 0;
		work_reset((int)i);
	}
	if (!b->t.whole)
		trace_rewind(&b->t);
	while (ok && (b->t.whole || trace_next(&b->t))) {
		if (!b->resident_before)
			b->resident_before = resident();
		ok = play_all(b, number % 2);
		if (b->t.whole)
			break;
	}
	for (unsigned i = 0; i < b->p->what_n; i++)
		worker_finish(b->c[i].w);
	b->base_ns += trace_duration_ns(&b->t);
	return ok;
}

static int wrong(char *err, size_t errlen, const char *what, uint64_t got, uint64_t want)
{
	snprintf(err, errlen, "%s: %" PRIu64 ", not %" PRIu64, what, got, want);
	return -1;
}

/* Did the tracker see the connections that were made, and the handlers what was sent? */
static int check(const struct bench *b, const struct contestant *c, char *err, size_t errlen)
{
	const struct trace_totals *t = &b->t.totals;
	const struct stats *st = &c->w->stats, *before = &c->before;

#define CHECK(what, got, want) \
	if ((got) != (want))   \
	return wrong(err, errlen, what, (uint64_t)(got), (uint64_t)(want))
	if (work_is_bare(c->what.work))
		return work_check(c->w->mctx.cpu, c->what.work, t, err, errlen);
	CHECK("connections", st->connections - before->connections, t->connections);
	CHECK("connections ended", st->connections_ended - before->connections_ended, t->connections);
	CHECK("packets without a connection", st->orphans, 0);
	CHECK("segments out of the window", st->out_of_window + st->paws_rejected, 0);
	CHECK("gaps", st->gaps, 0);
	CHECK("bytes lost", st->buffer_lost_bytes + st->memory_limit, 0);
	CHECK("handlers that failed", st->handler_errors, 0);
#undef CHECK
	return c->what.by == BY_SCRIPT ? 0 : work_check(c->w->mctx.cpu, c->what.work, t, err, errlen);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void summary(const struct bench *b, const struct contestant *c, struct run_result *r)
{
	const struct worker *w = c->w;
	double sorted[ROUNDS_MAX];

	memcpy(sorted, r->round, r->rounds * sizeof(*sorted));
	qsort(sorted, r->rounds, sizeof(*sorted), by_value);
	r->totals = b->t.totals;
	r->seconds = sorted[r->rounds / 2];
	r->fastest = sorted[0];
	r->slowest = sorted[r->rounds - 1];
	r->peak = c->peak;
	r->record_bytes = (uint64_t)w->conns.top * w->conns.stride + (uint64_t)w->d.socks.top * w->d.socks.stride +
			  table_bytes(&w->table);
	r->stream_bytes = (uint64_t)w->tcp.streams.top * w->tcp.streams.stride +
			  (uint64_t)w->tcp.seen.top * w->tcp.seen.stride + c->slab_peak;
}

double run_ratio(const struct run_result *a, const struct run_result *b)
{
	double ratio[ROUNDS_MAX];

	for (unsigned i = 0; i < a->rounds; i++)
		ratio[i] = b->round[i] / a->round[i];
	qsort(ratio, a->rounds, sizeof(*ratio), by_value);
	return ratio[a->rounds / 2];
}

static const char *title(const struct contestant *c)
{
	return c->what.by == BY_SCRIPT ? "the script" : work_name(c->what.work);
}

static int rounds(struct bench *b, struct run_result *r, char *err, size_t errlen)
{
	uint64_t grown = 0;
	char why[512];

	/* The first one warms up. */
	for (unsigned i = 0; i <= b->p->rounds; i++) {
		if (!round_once(b, i)) {
			snprintf(err, errlen, "a handler failed");
			return -1;
		}
		if (!i)
			grown = resident() - b->resident_before;
		for (unsigned k = 0; k < b->p->what_n; k++) {
			if (check(b, &b->c[k], why, sizeof(why)) < 0) {
				snprintf(err, errlen, "%s, %s: %s", title(&b->c[k]), work_by_name(b->c[k].what.by),
					 why);
				return -1;
			}
			if (i)
				r[k].round[i - 1] = b->c[k].took;
		}
	}
	for (unsigned k = 0; k < b->p->what_n; k++) {
		r[k].rounds = b->p->rounds;
		r[k].resident = grown;
		summary(b, &b->c[k], &r[k]);
	}
	return 0;
}

static void settings(const struct run_params *p, struct settings *s)
{
	settings_default(s);
	s->linger_ns = (uint64_t)(p->linger_s * 1e9);
	/* With many connections at a time a random one waits for long. */
	s->half_open_ns = s->closing_ns = s->established_ns;
	s->max_conns = s->linger_ns && !p->trace.flood ? p->trace.connections : p->trace.concurrency;
	s->buffer_memory = 16ull << 30;
	if (p->buffer)
		s->default_buf = p->buffer;
}

static int handlers(const struct run_params *p, struct contestant *c, char *err, size_t errlen)
{
	const char *script = c->what.by == BY_SCRIPT ? p->script : MOS_BENCH_WORK_LUA;
	char *args[] = { (char *)work_name(c->what.work), NULL };

	if (c->what.by == BY_C) {
		int rc = work_start(c->w, c->what.work);

		if (rc < 0)
			snprintf(err, errlen, "cannot register handlers: %s", strerror(-rc));
		return rc;
	}
	c->vm = vm_new(c->w, err, errlen);
	return c->vm ? vm_load(c->vm, script, c->what.by == BY_LUA, args, err, errlen) : -1;
}

static int contestant_init(struct contestant *c, const struct run_params *p, int number, char *err, size_t errlen)
{
	struct settings set;

	settings(p, &set);
	struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~63ul);
	int rc = w ? worker_init(w, number, &set) : -ENOMEM;

	if (rc < 0) {
		snprintf(err, errlen, "no worker: %s", strerror(-rc));
		free(w);
		return -1;
	}
	c->w = w;
	/* The same in every run, so that runs can be compared; what makes the traces knows nothing of it. */
	w->seed = (struct key_seed){ { 0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
				       0x082efa98ec4e6c89 } };
	return handlers(p, c, err, errlen);
}

static void contestant_fini(struct contestant *c, int number)
{
	work_stop(number);
	vm_free(c->vm);
	if (c->w)
		worker_fini(c->w);
	free(c->w);
}

static int with_trace(struct bench *b, struct run_result *r, char *err, size_t errlen)
{
	unsigned n = b->p->what_n;
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		b->c[i].what = b->p->what[i];
		rc = contestant_init(&b->c[i], b->p, (int)i, err, errlen);
	}
	if (rc == 0)
		rc = rounds(b, r, err, errlen);
	for (unsigned i = 0; i < n; i++) {
		if (b->c[i].vm && rc == 0)
			vm_exit(b->c[i].vm);
		contestant_fini(&b->c[i], (int)i);
	}
	return rc;
}

int run(const struct run_params *p, struct run_result *r, char *err, size_t errlen)
{
	static struct bench b;
	int rc;

	b = (struct bench){ .p = p, .base_ns = 1000000000 };
	if (trace_init(&b.t, &p->trace) < 0) {
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	rc = with_trace(&b, r, err, errlen);
	trace_fini(&b.t);
	return rc;
}
