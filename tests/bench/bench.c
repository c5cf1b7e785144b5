/* mos-bench: packets per second of the tracker, from memory. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

struct preset {
	char name;
	uint32_t connections, concurrency, response;
	bool both;   /* phases, unless one is asked for */
	double harm; /* loss, reordering and retransmission, per cent */
};

static const struct preset presets[] = {
	{ 'A', 200000, 10000, 64, true, 0 },     { 'B', 200000, 10000, 1024, true, 0 },
	{ 'C', 10000, 1000, 65536, true, 0 },    { 'D', 20000, 10000, 65536, true, 0 },
	{ 'E', 400000, 100000, 1024, false, 0 }, { 'F', 2000000, 1000000, 1024, false, 0 },
	{ 'G', 200000, 10000, 1024, true, 1 },
};

enum { PRESETS = sizeof(presets) / sizeof(presets[0]) };

/* What was said on the command line; negative: nothing. */
struct wishes {
	const char *traces; /* letters */
	bool work[WORK_KINDS];
	double connections, concurrency, response, loss, reorder, rexmit;
	int lockstep;
	bool json;
	struct run_params run;
};

enum {
	OPT_CONNECTIONS = 256,
	OPT_CONCURRENCY,
	OPT_RESPONSE,
	OPT_SEGMENT,
	OPT_LOCKSTEP,
	OPT_RANDOM,
	OPT_LOSS,
	OPT_REORDER,
	OPT_REXMIT,
	OPT_IPV6,
	OPT_SEED,
	OPT_TRACE,
	OPT_WORK,
	OPT_LUA,
	OPT_LINGER,
	OPT_BUFFER,
	OPT_ROUNDS,
	OPT_MEMORY,
	OPT_JSON,
	OPT_HELP
};

static const struct option options[] = {
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "concurrency", required_argument, NULL, OPT_CONCURRENCY },
	{ "response", required_argument, NULL, OPT_RESPONSE },
	{ "segment", required_argument, NULL, OPT_SEGMENT },
	{ "lockstep", no_argument, NULL, OPT_LOCKSTEP },
	{ "random", no_argument, NULL, OPT_RANDOM },
	{ "loss", required_argument, NULL, OPT_LOSS },
	{ "reorder", required_argument, NULL, OPT_REORDER },
	{ "rexmit", required_argument, NULL, OPT_REXMIT },
	{ "ipv6", no_argument, NULL, OPT_IPV6 },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "work", required_argument, NULL, OPT_WORK },
	{ "lua", required_argument, NULL, OPT_LUA },
	{ "linger", required_argument, NULL, OPT_LINGER },
	{ "buffer", required_argument, NULL, OPT_BUFFER },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: mos-bench [options]\n"
	"      --trace LETTERS      presets, any of ABCDEFG (default: B); the options below change them\n"
	"      --connections N      in all\n"
	"      --concurrency N      at a time\n"
	"      --response BYTES     payload of the server's answer\n"
	"      --segment BYTES      payload of a packet, at most (default: 1448, with IPv6 1428)\n"
	"      --lockstep, --random order of the connections' packets\n"
	"      --loss, --reorder, --rexmit PERCENT   of the server's data packets\n"
	"      --ipv6\n"
	"      --seed N\n"
	"      --work KINDS         count, packet, stream, or several with commas (default: count,stream)\n"
	"      --lua SCRIPT         in place of the handlers in C\n"
	"      --linger SECONDS     that a closed connection stays (default: 0)\n"
	"      --buffer BYTES       receive buffer of each side where streams are read (default: 65536)\n"
	"      --rounds N           timed ones, after one that is not (default: 5)\n"
	"      --memory MIB         packets held at a time (default: 2048)\n"
	"      --json\n";

static bool number(const char *text, double min, double max, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out >= min && *out <= max;
}

static bool parse_work(struct wishes *o, const char *text)
{
	memset(o->work, 0, sizeof(o->work));
	while (*text) {
		size_t n = strcspn(text, ",");
		int k = 0;

		while (k < WORK_KINDS &&
		       (strlen(work_name((enum work)k)) != n || strncmp(text, work_name((enum work)k), n)))
			k++;
		if (k == WORK_KINDS)
			return false;
		o->work[k] = true;
		text += n + (text[n] == ',');
	}
	return true;
}

static bool parse_flag(struct wishes *o, int opt)
{
	switch (opt) {
	case OPT_LOCKSTEP:
		o->lockstep = 1;
		return true;
	case OPT_RANDOM:
		o->lockstep = 0;
		return true;
	case OPT_IPV6:
		o->run.trace.ipv6 = true;
		return true;
	case OPT_JSON:
		o->json = true;
		return true;
	case OPT_TRACE:
		o->traces = optarg;
		return strspn(optarg, "ABCDEFG") == strlen(optarg);
	case OPT_WORK:
		return parse_work(o, optarg);
	case OPT_LUA:
		o->run.lua = optarg;
		return true;
	default:
		return false;
	}
}

static bool parse_number(struct wishes *o, int opt)
{
	double v;

	switch (opt) {
	case OPT_CONNECTIONS:
		return number(optarg, 1, 1e8, &o->connections);
	case OPT_CONCURRENCY:
		return number(optarg, 1, 1e7, &o->concurrency);
	case OPT_RESPONSE:
		return number(optarg, 1, 1 << 30, &o->response);
	case OPT_LOSS:
		return number(optarg, 0, 100, &o->loss);
	case OPT_REORDER:
		return number(optarg, 0, 100, &o->reorder);
	case OPT_REXMIT:
		return number(optarg, 0, 100, &o->rexmit);
	case OPT_LINGER:
		return number(optarg, 0, 1e6, &o->run.linger_s);
	case OPT_BUFFER:
		return number(optarg, 1, 1 << 30, &v) && (o->run.buffer = (uint32_t)v);
	case OPT_SEGMENT:
		return number(optarg, 1, 1900, &v) && (o->run.trace.segment = (uint32_t)v);
	case OPT_SEED:
		return number(optarg, 0, 1e15, &v) && ((o->run.trace.seed = (uint64_t)v), true);
	case OPT_ROUNDS:
		return number(optarg, 1, 1000, &v) && (o->run.rounds = (unsigned)v);
	case OPT_MEMORY:
		return number(optarg, 1, 1e6, &v) && (o->run.trace.memory = (size_t)v << 20);
	default:
		return false;
	}
}

/* 0, or an exit code plus 1. */
static int parse(struct wishes *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (opt == '?')
			return 3;
		if (!parse_flag(o, opt) && !parse_number(o, opt)) {
			fprintf(stderr, "mos-bench: wrong value: %s\n", optarg);
			return 3;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "mos-bench: what is %s?\n", argv[optind]);
	return 3;
}

static struct run_params params_of(const struct wishes *o, const struct preset *ps, enum work work, bool lockstep)
{
	struct run_params p = o->run;
	struct trace_params *t = &p.trace;

	p.work = work;
	t->concurrency = o->concurrency >= 0 ? (uint32_t)o->concurrency : ps->concurrency;
	t->connections = o->connections >= 0 ? (uint32_t)o->connections : ps->connections;
	if (t->concurrency > t->connections)
		t->concurrency = t->connections;
	t->response = o->response >= 0 ? (uint32_t)o->response : ps->response;
	t->loss = o->loss >= 0 ? o->loss : ps->harm;
	t->reorder = o->reorder >= 0 ? o->reorder : ps->harm;
	t->rexmit = o->rexmit >= 0 ? o->rexmit : ps->harm;
	t->lockstep = lockstep;
	return p;
}

static void print_json(const struct run_params *p, const struct run_result *r, char name, const char *work)
{
	static bool again;

	printf("%s\n{\"trace\": \"%c\", \"phase\": \"%s\", \"work\": \"%s\", \"ip\": %d, \"connections\": %" PRIu64
	       ", \"concurrency\": %u, \"peak\": %u, \"packets\": %" PRIu64 ", \"wire_bytes\": %" PRIu64
	       ", \"rounds\": %u, \"seconds\": %.6f, \"fastest\": %.6f, \"slowest\": %.6f, \"record_bytes\": %" PRIu64
	       ", \"stream_bytes\": %" PRIu64 "}",
	       again ? "," : "[", name, p->trace.lockstep ? "lockstep" : "random", work, p->trace.ipv6 ? 6 : 4,
	       r->totals.connections, p->trace.concurrency, r->peak, r->totals.packets, r->totals.wire_bytes, r->rounds,
	       r->seconds, r->fastest, r->slowest, r->record_bytes, r->stream_bytes);
	again = true;
}

static void print_row(const struct run_params *p, const struct run_result *r, char name, const char *work)
{
	static bool again;
	double s = r->seconds, packets = (double)r->totals.packets, peak = (double)r->peak;

	if (!again)
		printf("trace phase    work    peak conns  packets   Mpps   Gbit/s  ns/packet (min-max)     kconn/s  "
		       "bytes/conn  +streams\n");
	again = true;
	printf("%-5c %-8s %-7s %10u %8" PRIu64 " %6.2f %8.2f %8.1f (%.1f-%.1f) %12.1f %11.0f %9.0f\n", name,
	       p->trace.lockstep ? "lockstep" : "random", work, r->peak, r->totals.packets, packets / s / 1e6,
	       (double)r->totals.wire_bytes * 8 / s / 1e9, s / packets * 1e9, r->fastest / packets * 1e9,
	       r->slowest / packets * 1e9, (double)r->totals.connections / s / 1e3, (double)r->record_bytes / peak,
	       (double)r->stream_bytes / peak);
	fflush(stdout);
}

static int measure(const struct wishes *o, const struct preset *ps, enum work work, bool lockstep)
{
	struct run_params p = params_of(o, ps, work, lockstep);
	const char *name = p.lua ? "lua" : work_name(work);
	struct run_result r;
	char err[1024];

	if (run(&p, &r, err, sizeof(err)) < 0) {
		fprintf(stderr, "mos-bench: trace %c, %s: %s\n", ps->name, name, err);
		return 1;
	}
	if (o->json)
		print_json(&p, &r, ps->name, name);
	else
		print_row(&p, &r, ps->name, name);
	return 0;
}

static int measure_phases(const struct wishes *o, const struct preset *ps, enum work work)
{
	int rc = 0;

	if (o->lockstep == 1 || (o->lockstep < 0 && ps->both))
		rc |= measure(o, ps, work, true);
	if (o->lockstep != 1)
		rc |= measure(o, ps, work, false);
	return rc;
}

int main(int argc, char **argv)
{
	struct wishes o = { .traces = "B", .work = { true, false, true }, .lockstep = -1 };
	int rc = 0;

	o.connections = o.concurrency = o.response = o.loss = o.reorder = o.rexmit = -1;
	o.run = (struct run_params){ .trace = { .seed = 1, .memory = 2048ul << 20 }, .rounds = 5 };
	int parsed = parse(&o, argc, argv);
	if (parsed)
		return parsed - 1;
	if (!o.run.trace.segment)
		o.run.trace.segment = o.run.trace.ipv6 ? 1428 : 1448;
	for (const char *c = o.traces; *c; c++)
		for (int k = 0; k < (o.run.lua ? 1 : WORK_KINDS); k++)
			if (o.run.lua || o.work[k])
				rc |= measure_phases(&o, &presets[*c - 'A'], (enum work)k);
	if (o.json)
		puts(rc ? "" : "\n]");
	return rc;
}
