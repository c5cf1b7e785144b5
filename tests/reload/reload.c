/*
 * mos-reload: reload a script, or a shared object, again and again while packets flow at a steady rate, account for every
 * packet, and say how long the workers paused. As a test it checks; by hand it measures.
 *
 * Two versions take turns, with broken ones in between. Version 1 drops what it sees, version 2 passes it.
 * Each packet must be seen by exactly one of them, and dropped where version 1 saw it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crew.h"
#include "lua_state.h"
#include "lua_vm.h"
#include "native.h"
#include "util/clock.h"

enum { LINK_RAW = 12, FRAME = 48, VERSIONS = 2, BROKEN = 3 };

static struct {
	unsigned reloads, workers, connections;
	uint64_t rate;       /* packets per second */
	unsigned gap;        /* milliseconds between reloads */
	const char *objects; /* the folder of version1.so and version2.so; NULL: scripts */
} opt = { 1000, 2, 1000, 50000, 0, NULL };

/* What is known of each packet, by its number from 1 on. */
static struct {
	atomic_uchar *seen[VERSIONS + 1]; /* times, by version from 1 on */
	uint32_t *late_ns;                /* from when it was due until a script saw it */
	uint64_t most;
} packets;

/* The source: data segments of many connections, one after the other, each when it is due. */
struct paced {
	struct io io;
	uint64_t began_ns, given;
	uint32_t *segments; /* sent on each connection */
	uint8_t frame[IO_BURST][FRAME];
};

static uint64_t due_ns(const struct paced *s, uint64_t number)
{
	return s->began_ns + (number - 1) * 1000000000 / opt.rate;
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static void fill_frame(struct paced *s, uint8_t *f, uint64_t number)
{
	uint32_t conn = (uint32_t)(number % opt.connections), n = s->segments[conn]++;

	memset(f, 0, FRAME);
	f[0] = 0x45;
	f[3] = n ? FRAME : 40;
	f[8] = 64;
	f[9] = IPPROTO_TCP;
	put32(f + 12, 0x0a000001 + conn);
	put32(f + 16, 0x0afffffe);
	put32(f + 20, 1000u << 16 | 80);
	put32(f + 24, n ? 1 + 8 * (n - 1) : 0);
	put32(f + 28, (uint32_t)number); /* where an acknowledgement would be */
	f[32] = 0x50;
	f[33] = n ? MOS_TH_PSH : MOS_TH_SYN;
	f[34] = 0xff;
}

static struct paced *source;

static int rx_burst(struct io *io, struct mos_packet *p, unsigned n)
{
	struct paced *s = (struct paced *)io;
	uint64_t now = clock_ns(), due = (now - s->began_ns) * opt.rate / 1000000000;
	unsigned i = 0;

	for (; i < n && s->given < due; i++) {
		if (s->given == packets.most)
			return i ? (int)i : IO_END;
		uint64_t number = ++s->given;

		fill_frame(s, s->frame[i], number);
		p[i] = (struct mos_packet){ .data = s->frame[i],
					    .ts_ns = due_ns(s, number),
					    .caplen = s->frame[i][3],
					    .len = s->frame[i][3],
					    .link = LINK_RAW,
					    .number = number };
	}
	if (!i)
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	return (int)i;
}

static void free_burst(struct io *io)
{
	(void)io;
}

static void source_close(struct io *io)
{
	free(((struct paced *)io)->segments);
	free(io);
}

static const struct io_ops ops = {
	.name = "paced", .rx_burst = rx_burst, .free_burst = free_burst, .close = source_close
};

/* Durations in nanoseconds, in any order. */
struct durations {
	uint32_t *v;
	size_t n, cap;
	bool failed; /* memory is out */
};

static void durations_add(struct durations *d, uint64_t ns)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 4096;
		uint32_t *v = realloc(d->v, cap * sizeof(*v));

		if (!v) {
			d->failed = true;
			return;
		}
		d->v = v;
		d->cap = cap;
	}
	d->v[d->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* Bursts by how many have come since the script was exchanged; from CALM on they count as undisturbed. */
enum { CALM = 1000 };
static const unsigned first[] = { 1, 10, 100 };
enum { FIRSTS = sizeof(first) / sizeof(first[0]) };

/* A worker's bursts: from when it has its packets until it asks for more. */
static struct watched {
	const struct worker *w;
	const struct io *in;
	struct io_ops ops, timed;
	uint64_t since_ns; /* 0: it has none */
	uintptr_t program;
	uint64_t bursts; /* since that program came */
	struct durations early[FIRSTS], calm;
} watched[WORKERS_MAX];

/* What differs when another script, or copy of an object, has come. */
static uintptr_t program_of(const struct worker *w)
{
	return w->d.engine.arg ? (uintptr_t)w->d.engine.arg : w->d.load;
}

/* The one in which the program came is neither: what that costs is the pause, which is known. */
static void burst_over(struct watched *x, uint64_t ns)
{
	if (x->program != program_of(x->w)) {
		x->program = program_of(x->w);
		x->bursts = 0;
		return;
	}
	x->bursts++;
	for (unsigned i = 0; i < FIRSTS; i++)
		if (x->bursts <= first[i])
			durations_add(&x->early[i], ns);
	if (x->bursts > CALM)
		durations_add(&x->calm, ns);
}

static int timed_burst(struct io *io, struct mos_packet *p, unsigned n)
{
	uint64_t now = clock_ns();
	unsigned i = 0;

	while (watched[i].in != io)
		i++;
	if (watched[i].since_ns)
		burst_over(&watched[i], now - watched[i].since_ns);
	int got = watched[i].ops.rx_burst(io, p, n);

	watched[i].since_ns = got > 0 ? clock_ns() : 0;
	return got;
}

/* Between a worker and what it reads. */
static void watch(struct watched *x, struct worker *w)
{
	x->w = w;
	x->in = w->in;
	x->ops = x->timed = *w->in->ops;
	x->timed.rx_burst = timed_burst;
	x->program = program_of(w);
	w->in->ops = &x->timed;
}

/* Scripts call it. */
void reload_seen(uint64_t number, int version);

void reload_seen(uint64_t number, int version)
{
	uint64_t late = clock_ns() - due_ns(source, number);

	packets.late_ns[number] = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
	atomic_fetch_add_explicit(&packets.seen[version][number], 1, memory_order_relaxed);
}

static const char version_script[] = "local mos, ffi = require 'mos', require 'ffi'\n"
				     "ffi.cdef 'void reload_seen(uint64_t number, int version);'\n"
				     "local version, C = %d, ffi.C\n"
				     "mos.record 'uint32_t n;'\n"
				     "local mon = mos.monitor { name = 'm', clibuf = 0, svrbuf = 0 }\n"
				     "mon:on('pkt_in', 'snd', function(conn, side, pkt)\n"
				     "	C.reload_seen(pkt.number, version)\n"
				     "	conn.rec.n = conn.rec.n + 1\n"
				     "	if version == 1 then pkt:drop() end\n"
				     "end)\n";

static const char *const broken_scripts[BROKEN] = { "local = 1", "error 'broken'",
						    "require 'mos'.record 'uint64_t n;'" };

static char text_of_version[VERSIONS + 1][1024];
static struct crew crew;
static struct lua_vm *vms[WORKERS_MAX];
static struct native *natives[WORKERS_MAX]; /* where objects are reloaded */
static uint64_t *pauses;
static unsigned done, refused;

struct lane_of {
	unsigned worker;
};

static int call_worker(void *arg, void (*fn)(struct worker *w, void *arg), void *fn_arg)
{
	return crew_call(&crew, ((struct lane_of *)arg)->worker, fn, fn_arg);
}

/* Load text on every worker. 0, or -1 where it was refused. */
static int load_everywhere(const char *text)
{
	struct lua_text t = { .path = "reload.lua", .source = (char *)text, .len = strlen(text) };
	char err[256];
	uint64_t pause;

	for (unsigned i = 0; i < opt.workers; i++) {
		struct lane_of lane = { i };
		struct vm_worker worker = { call_worker, &lane };

		if (vm_reload(vms[i], &worker, &t, &pause, err, sizeof(err)) < 0)
			return -1;
		pauses[done++] = pause;
	}
	return 0;
}

/* One copy for all workers, as mos-run has it. */
static int object_everywhere(const char *path)
{
	char err[256];
	uint64_t pause;
	struct object *o = object_open(path, err, sizeof(err));
	int rc = o ? 0 : -1;

	for (unsigned i = 0; i < opt.workers && rc == 0; i++) {
		rc = native_reload(natives[i], &crew, i, o, path, &pause, err, sizeof(err));
		if (rc == 0)
			pauses[done++] = pause;
	}
	object_put(o);
	return rc;
}

static int exchange(int version)
{
	char path[PATH_MAX];

	if (!opt.objects)
		return load_everywhere(text_of_version[version]);
	snprintf(path, sizeof(path), "%s/version%d.so", opt.objects, version);
	return object_everywhere(path);
}

/* Something that does not load: a file that is missing, and one that is no object. */
static int exchange_broken(unsigned i)
{
	if (!opt.objects)
		return load_everywhere(broken_scripts[i % BROKEN]);
	return object_everywhere(i % 2 ? "/proc/self/cmdline" : "/no-such-object.so");
}

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000l }, NULL);
}

/* At first nothing happens, so that there is something to compare with. */
static void *reloads(void *arg)
{
	sleep_ms(500);
	for (unsigned i = 0; i < opt.reloads; i++) {
		if (i % 5 == 4)
			refused += exchange_broken(i / 5) < 0;
		else
			exchange(1 + (int)(i - i / 5) % VERSIONS);
		sleep_ms(opt.gap);
	}
	crew_stop(&crew);
	return arg;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int by_value32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int fault(const char *what, uint64_t got, uint64_t want)
{
	fprintf(stderr, "mos-reload: %s: %" PRIu64 ", not %" PRIu64 "\n", what, got, want);
	return 1;
}

static bool bursts_counted(void)
{
	bool all = true;

	for (unsigned i = 0; i < opt.workers; i++)
		all &= !watched[i].calm.failed && watched[i].early[0].n && watched[i].early[FIRSTS - 1].n;
	return all;
}

static int check(uint64_t given)
{
	uint64_t by_none = 0, by_both = 0, dropped = 0;
	struct stats sum;

	crew_stats(&crew, &sum);
	for (uint64_t i = 1; i <= given; i++) {
		unsigned n = packets.seen[1][i] + packets.seen[2][i];

		by_none += n == 0;
		by_both += n > 1;
		dropped += packets.seen[1][i];
	}
	if (sum.packets != given)
		return fault("packets", sum.packets, given);
	if (by_none)
		return fault("packets that no script has seen", by_none, 0);
	if (by_both)
		return fault("packets that were seen twice", by_both, 0);
	if (sum.dropped != dropped)
		return fault("packets dropped", sum.dropped, dropped);
	if (sum.handler_errors)
		return fault("handlers that failed", sum.handler_errors, 0);
	if (!bursts_counted())
		return fault("workers whose bursts were timed", 0, opt.workers);
	if (refused != opt.reloads / 5)
		return fault("broken scripts refused", refused, opt.reloads / 5);
	return 0;
}

static double at(const uint32_t *v, size_t n, unsigned per_mille)
{
	return n ? (double)v[n * per_mille / 1000] / 1000 : 0;
}

static void report_durations(const char *what, struct durations *d)
{
	qsort(d->v, d->n, sizeof(*d->v), by_value32);
	printf("%-23s median %.1f  90 %% %.1f  99 %% %.1f  longest %.1f  (%zu)\n", what, at(d->v, d->n, 500),
	       at(d->v, d->n, 900), at(d->v, d->n, 990), d->n ? (double)d->v[d->n - 1] / 1000 : 0, d->n);
}

static void gather(struct durations *to, const struct durations *from)
{
	for (size_t i = 0; i < from->n; i++)
		durations_add(to, from->v[i]);
}

/* Those of all workers together. */
static void report_bursts(void)
{
	struct durations early[FIRSTS] = { { .v = NULL } }, calm = { .v = NULL };
	char what[64];

	for (unsigned i = 0; i < opt.workers; i++) {
		for (unsigned k = 0; k < FIRSTS; k++)
			gather(&early[k], &watched[i].early[k]);
		gather(&calm, &watched[i].calm);
	}
	report_durations("bursts undisturbed, us:", &calm);
	for (unsigned k = 0; k < FIRSTS; k++) {
		snprintf(what, sizeof(what), "first %u after, us:", first[k]);
		report_durations(what, &early[k]);
		free(early[k].v);
	}
	free(calm.v);
}

static void report(uint64_t given)
{
	qsort(pauses, done, sizeof(*pauses), by_value);
	qsort(packets.late_ns + 1, given, sizeof(*packets.late_ns), by_value32);
#define AT(v, n, per_mille) ((double)(v)[(uint64_t)(n) * (per_mille) / 1000] / 1000)
	printf("%" PRIu64 " packets at %" PRIu64 "/s, %u workers, %u connections, %u reloads, %u of them refused\n",
	       given, opt.rate, opt.workers, opt.connections, opt.reloads, refused);
	printf("pause of a worker, us:  median %.1f  90 %% %.1f  99 %% %.1f  longest %.1f\n", AT(pauses, done, 500),
	       AT(pauses, done, 900), AT(pauses, done, 990), (double)pauses[done - 1] / 1000);
	printf("packets seen late, us:  median %.1f  90 %% %.1f  99 %% %.1f  latest %.1f\n",
	       AT(packets.late_ns + 1, given, 500), AT(packets.late_ns + 1, given, 900),
	       AT(packets.late_ns + 1, given, 990), (double)packets.late_ns[given] / 1000);
#undef AT
	report_bursts();
}

static int object_first(void)
{
	char err[256] = "out of memory", path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/version2.so", opt.objects);
	struct object *o = object_open(path, err, sizeof(err));
	int rc = o ? 0 : -1;

	for (unsigned i = 0; i < opt.workers && rc == 0; i++) {
		natives[i] = native_new(crew_worker(&crew, i));
		rc = natives[i] ? native_load(natives[i], o, path, err, sizeof(err)) : -1;
	}
	object_put(o);
	if (rc < 0)
		fprintf(stderr, "mos-reload: %s\n", err);
	return rc;
}

static int load_first(void)
{
	char err[256];

	if (opt.objects)
		return object_first();
	for (unsigned i = 0; i < opt.workers; i++) {
		vms[i] = vm_new(crew_worker(&crew, i), err, sizeof(err));
		if (!vms[i] || vm_load_text(vms[i], "reload.lua", text_of_version[2], strlen(text_of_version[2]), 0,
					    NULL, err, sizeof(err)) < 0) {
			fprintf(stderr, "mos-reload: %s\n", err);
			return -1;
		}
	}
	return 0;
}

static int prepare(void)
{
	struct settings set;

	settings_default(&set);
	packets.most = 60 * opt.rate;
	for (int v = 1; v <= VERSIONS; v++) {
		packets.seen[v] = calloc(packets.most + 1, 1);
		snprintf(text_of_version[v], sizeof(text_of_version[v]), version_script, v);
	}
	packets.late_ns = calloc(packets.most + 1, sizeof(*packets.late_ns));
	pauses = calloc((size_t)opt.reloads * opt.workers + 1, sizeof(*pauses));
	source = calloc(1, sizeof(*source));
	if (source)
		source->segments = calloc(opt.connections, sizeof(*source->segments));
	if (!packets.seen[1] || !packets.seen[2] || !packets.late_ns || !pauses || !source || !source->segments)
		return -1;
	source->io = (struct io){ .ops = &ops, .path = "paced" };
	return crew_init(&crew, opt.workers, &set) < 0 || load_first() < 0 ? -1 : 0;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = { { "reloads", required_argument, NULL, 'n' },
						 { "rate", required_argument, NULL, 'r' },
						 { "workers", required_argument, NULL, 'j' },
						 { "connections", required_argument, NULL, 'c' },
						 { "gap", required_argument, NULL, 'g' },
						 { "objects", required_argument, NULL, 'o' },
						 { NULL, 0, NULL, 0 } };

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (o == 'o') {
			opt.objects = optarg;
			continue;
		}
		if (o == '?' || !n || (o == 'j' && n > WORKERS_MAX)) {
			fputs("Usage: mos-reload [--reloads N] [--rate PACKETS/s] [--workers N] [--connections N]\n"
			      "       [--gap MILLISECONDS] [--objects FOLDER]\n",
			      stderr);
			exit(2);
		}
		if (o == 'n')
			opt.reloads = (unsigned)n;
		else if (o == 'j')
			opt.workers = (unsigned)n;
		else if (o == 'c')
			opt.connections = (unsigned)n;
		else if (o == 'g')
			opt.gap = (unsigned)n;
		else
			opt.rate = n;
	}
}

int main(int argc, char **argv)
{
	struct io *io;
	pthread_t thread;

	parse(argc, argv);
	if (prepare() < 0)
		return 1;
	io = &source->io;
	crew_source(&crew, &io, 1);
	for (unsigned i = 0; i < opt.workers; i++)
		watch(&watched[i], crew_worker(&crew, i));
	source->began_ns = clock_ns();
	pthread_create(&thread, NULL, reloads, NULL);
	int end = crew_run(&crew);

	pthread_join(thread, NULL);
	uint64_t given = source->given;
	int rc = end == IO_END ? check(given) : 1;

	if (rc == 0)
		report(given);
	for (unsigned i = 0; i < opt.workers; i++)
		vm_free(vms[i]);
	/* Connections have ended, so nothing is left of the copies. */
	for (unsigned i = 0; i < opt.workers; i++)
		native_free(natives[i]);
	crew_fini(&crew);
	for (int v = 1; v <= VERSIONS; v++)
		free(packets.seen[v]);
	for (unsigned i = 0; i < opt.workers; i++) {
		for (unsigned k = 0; k < FIRSTS; k++)
			free(watched[i].early[k].v);
		free(watched[i].calm.v);
	}
	free(packets.late_ns);
	free(pauses);
	return rc;
}
