#include "report.h"

#include <inttypes.h>
#include <stdio.h>

static double per_second(uint64_t n, double seconds)
{
	return (double)n / seconds;
}

static const struct run_result *in_c(const struct run_params *p, const struct run_result *r, unsigned i)
{
	return p->what[i].by == BY_LUA && i && p->what[i - 1].by == BY_C ? &r[i - 1] : NULL;
}

/* The next object of the array. */
static void json_begin(void)
{
	static bool again;

	fputs(again ? ",\n" : "[\n", stdout);
	again = true;
}

void report_json(const struct run_params *p, const struct run_result *all, unsigned i, char trace)
{
	const struct run_result *r = &all[i], *c = in_c(p, all, i);

	json_begin();
	printf("{\"trace\": \"%c\", \"phase\": \"%s\", \"work\": \"%s\", \"by\": \"%s\", \"ip\": %d, "
	       "\"linger\": %g, \"connections\": %" PRIu64 ", \"concurrency\": %u, \"peak\": %u, \"packets\": %" PRIu64
	       ", \"wire_bytes\": %" PRIu64
	       ", \"rounds\": %u, \"seconds\": %.6f, \"fastest\": %.6f, \"slowest\": %.6f, ",
	       trace, p->trace.lockstep ? "lockstep" : "random", work_name(p->what[i].work),
	       work_by_name(p->what[i].by), p->trace.ipv6 ? 6 : 4, p->linger_s, r->totals.connections,
	       p->trace.concurrency, r->peak, r->totals.packets, r->totals.wire_bytes, r->rounds, r->seconds,
	       r->fastest, r->slowest);
	printf("\"record_bytes\": %" PRIu64 ", \"stream_bytes\": %" PRIu64 ", \"resident\": %" PRIu64
	       ", \"to_first\": %.4f",
	       r->record_bytes, r->stream_bytes, r->resident, run_ratio(r, all));
	if (c)
		printf(", \"to_c\": %.4f", run_ratio(r, c));
	printf(", \"build\": \"%s\"}", MOS_BENCH_BUILD);
}

static void json_workers(const struct run_params *p, const struct workers_result *r, char trace)
{
	json_begin();
	printf("{\"trace\": \"%c\", \"phase\": \"%s\", \"work\": \"%s\", \"by\": \"c\", \"workers\": %u, \"packets\": %" PRIu64
	       ", \"seconds\": %.6f, \"wall\": %.6f}",
	       trace, p->trace.lockstep ? "lockstep" : "random", work_name(p->what[0].work), r->workers,
	       r->totals.packets, r->seconds, r->wall);
}

void report_workers(const struct run_params *p, const struct workers_result *one, const struct workers_result *several,
		    char trace, bool json)
{
	const struct workers_result *r[] = { one, several };

	for (int i = 0; i < 2; i++) {
		if (json)
			json_workers(p, r[i], trace);
		else
			printf("%c %s %s, workers: %2u   Mpps: %.2f   to one: %.2f, by the clock: %.2f\n", trace,
			       p->trace.lockstep ? "lockstep" : "random", work_name(p->what[0].work), r[i]->workers,
			       per_second(r[i]->totals.packets, r[i]->seconds) / 1e6, one->seconds / r[i]->seconds,
			       one->wall / r[i]->wall);
	}
}

void report_json_end(bool failed)
{
	puts(failed ? "" : "\n]");
}

void report_row(const struct run_params *p, const struct run_result *all, unsigned i, char trace)
{
	static bool again;
	const struct run_result *r = &all[i], *c = in_c(p, all, i);
	double s = r->seconds, packets = (double)r->totals.packets, peak = r->peak ? (double)r->peak : 1;

	if (!again)
		printf("trace phase    work    by    peak conns   packets   Mpps  Gbit/s  ns/packet (min-max)   "
		       "kconn/s  bytes/conn  +streams  to C\n");
	again = true;
	printf("%-5c %-8s %-7s %-6s %9u %9" PRIu64 " %6.2f %7.2f %7.1f (%.1f-%.1f) %11.1f %11.0f %9.0f", trace,
	       p->trace.lockstep ? "lockstep" : "random", work_name(p->what[i].work), work_by_name(p->what[i].by),
	       r->peak, r->totals.packets, packets / s / 1e6, (double)r->totals.wire_bytes * 8 / s / 1e9,
	       s / packets * 1e9, r->fastest / packets * 1e9, r->slowest / packets * 1e9,
	       per_second(r->totals.connections, s) / 1e3, (double)r->record_bytes / peak,
	       (double)r->stream_bytes / peak);
	if (c)
		printf(" %5.2f", run_ratio(r, c));
	putchar('\n');
	fflush(stdout);
}
