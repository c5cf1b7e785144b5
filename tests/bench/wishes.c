#include "wishes.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct preset presets[] = {
	{ 'A', 200000, 10000, 100, 64, true, 0, FLOOD_NONE },
	{ 'B', 200000, 10000, 100, 1024, true, 0, FLOOD_NONE },
	{ 'C', 10000, 1000, 100, 65536, true, 0, FLOOD_NONE },
	{ 'D', 20000, 10000, 100, 65536, true, 0, FLOOD_NONE },
	{ 'E', 400000, 100000, 100, 1024, false, 0, FLOOD_NONE },
	{ 'F', 2000000, 1000000, 100, 1024, false, 0, FLOOD_NONE },
	{ 'G', 200000, 10000, 100, 1024, true, 1, FLOOD_NONE },
	{ 'N', 500000, 10000, 0, 0, true, 0, FLOOD_NONE },
	{ 'S', 2000000, 100000, 0, 0, false, 0, FLOOD_RANDOM },
	{ 'T', 2000000, 100000, 0, 0, false, 0, FLOOD_COLLIDE },
};

enum { PRESETS = sizeof(presets) / sizeof(presets[0]) };

const struct preset *preset_of(char letter)
{
	for (int i = 0; i < PRESETS; i++)
		if (presets[i].name == letter)
			return &presets[i];
	return NULL;
}

enum {
	OPT_CONNECTIONS = 256,
	OPT_CONCURRENCY,
	OPT_REQUEST,
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
	OPT_SCRIPT,
	OPT_LINGER,
	OPT_BUFFER,
	OPT_ROUNDS,
	OPT_MEMORY,
	OPT_WORKERS,
	OPT_WRITE,
	OPT_JSON,
	OPT_HELP
};

static const struct option options[] = {
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "concurrency", required_argument, NULL, OPT_CONCURRENCY },
	{ "request", required_argument, NULL, OPT_REQUEST },
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
	{ "lua", no_argument, NULL, OPT_LUA },
	{ "script", required_argument, NULL, OPT_SCRIPT },
	{ "linger", required_argument, NULL, OPT_LINGER },
	{ "buffer", required_argument, NULL, OPT_BUFFER },
	{ "rounds", required_argument, NULL, OPT_ROUNDS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "write", required_argument, NULL, OPT_WRITE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

void wishes_help(void)
{
	puts("Usage: mos-bench [options]\n"
	     "      --trace LETTERS      presets, any of ABCDEFGNST (default: B); the options below change them\n"
	     "      --connections N      in all\n"
	     "      --concurrency N      at a time\n"
	     "      --request BYTES      payload of the client's question; 0: none\n"
	     "      --response BYTES     payload of the server's answer; 0: none\n"
	     "      --segment BYTES      payload of a packet, at most (default: 1448, with IPv6 1428)\n"
	     "      --lockstep, --random order of the connections' packets\n"
	     "      --loss, --reorder, --rexmit PERCENT   of the server's data packets\n"
	     "      --ipv6\n"
	     "      --seed N\n"
	     "      --linger SECONDS     that a closed connection stays (default: 0)\n"
	     "      --buffer BYTES       receive buffer of each side where streams are read (default: 65536)\n"
	     "      --rounds N           timed ones, after one that is not (default: 5)\n"
	     "      --memory MIB         packets held at a time (default: 2048)\n"
	     "      --script FILE        as the work, in place of:\n"
	     "      --lua                the same work in Lua beside that in C\n"
	     "      --work KINDS         several with commas; all work on a trace is done in one run");
#define X(name, what) printf("        %-10s%s\n", #name, what);
	WORK_LIST(X)
#undef X
	puts("                           (default: count,stream)\n"
	     "      --workers N          the first work alone, in C, by one worker and by N on threads\n"
	     "      --json\n"
	     "      --write FILE         measure nothing: write the trace, in one phase, as a capture");
}

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
	case OPT_WRITE:
		o->write = optarg;
		return true;
	case OPT_JSON:
		return o->json = true;
	case OPT_HELP:
		return o->help = true;
	case OPT_TRACE:
		o->traces = optarg;
		return strspn(optarg, "ABCDEFGNST") == strlen(optarg);
	case OPT_WORK:
		return parse_work(o, optarg);
	case OPT_LUA:
		return o->lua = true;
	case OPT_SCRIPT:
		o->run.script = optarg;
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
		return number(optarg, 1, 1e8, &o->concurrency);
	case OPT_RESPONSE:
		return number(optarg, 0, 1 << 30, &o->response);
	case OPT_REQUEST:
		return number(optarg, 0, 1900, &o->request);
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
		return number(optarg, 1, ROUNDS_MAX, &v) && (o->run.rounds = (unsigned)v);
	case OPT_WORKERS:
		return number(optarg, 1, WORK_CONTESTANTS, &v) && (o->workers = (unsigned)v);
	case OPT_MEMORY:
		return number(optarg, 1, 1e6, &v) && (o->run.trace.memory = (size_t)v << 20);
	default:
		return false;
	}
}

static int parse_all(struct wishes *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return 2;
		if (!parse_flag(o, opt) && !parse_number(o, opt)) {
			fprintf(stderr, "mos-bench: wrong value: %s\n", optarg);
			return 2;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "mos-bench: what is %s?\n", argv[optind]);
	return 2;
}

int wishes_parse(struct wishes *o, int argc, char **argv)
{
	*o = (struct wishes){ .traces = "B", .lockstep = -1 };
	o->work[WORK_count] = o->work[WORK_stream] = true;
	o->connections = o->concurrency = o->request = o->response = o->loss = o->reorder = o->rexmit = -1;
	o->run = (struct run_params){ .trace = { .seed = 1, .memory = 2048ul << 20 }, .rounds = 5 };
	int rc = parse_all(o, argc, argv);

	if (!o->run.trace.segment)
		o->run.trace.segment = o->run.trace.ipv6 ? 1428 : 1448;
	return rc;
}

static uint32_t wish(double said, uint32_t preset)
{
	return said >= 0 ? (uint32_t)said : preset;
}

static void add_contest(struct run_params *p, enum work work, enum work_by by)
{
	p->what[p->what_n++] = (struct contest){ work, by };
}

struct run_params wishes_params(const struct wishes *o, const struct preset *ps, bool lockstep)
{
	struct run_params p = o->run;
	struct trace_params *t = &p.trace;

	t->flood = ps->flood;
	t->concurrency = wish(o->concurrency, ps->concurrency);
	t->connections = wish(o->connections, ps->connections);
	if (t->concurrency > t->connections)
		t->concurrency = t->connections;
	t->request = wish(o->request, ps->request);
	t->response = wish(o->response, ps->response);
	t->loss = o->loss >= 0 ? o->loss : ps->harm;
	t->reorder = o->reorder >= 0 ? o->reorder : ps->harm;
	t->rexmit = o->rexmit >= 0 ? o->rexmit : ps->harm;
	t->lockstep = lockstep;
	if (p.script)
		add_contest(&p, WORK_count, BY_SCRIPT);
	for (int k = 0; k < WORK_KINDS && !p.script; k++) {
		if (!o->work[k])
			continue;
		add_contest(&p, (enum work)k, BY_C);
		if (o->lua && !work_is_bare((enum work)k))
			add_contest(&p, (enum work)k, BY_LUA);
	}
	return p;
}
