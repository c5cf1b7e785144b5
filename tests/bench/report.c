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

void report_json(const struct run_params *p, const struct run_result *all, unsigned i, char trace)
{
	static bool again;
	const struct run_result *r = &all[i], *c = in_c(p, all, i);

	printf("%s\n{\"trace\": \"%c\", \"phase\": \"%s\", \"work\": \"%s\", \"by\": \"%s\", \"ip\": %d, "
	       "\"linger\": %g, \"connections\": %" PRIu64 ", \"concurrency\": %u, \"peak\": %u, \"packets\": %" PRIu64
	       ", \"wire_bytes\": %" PRIu64
	       ", \"rounds\": %u, \"seconds\": %.6f, \"fastest\": %.6f, \"slowest\": %.6f, ",
	       again ? "," : "[", trace, p->trace.lockstep ? "lockstep" : "random", work_name(p->what[i].work),
	       work_by_name(p->what[i].by), p->trace.ipv6 ? 6 : 4, p->linger_s, r->totals.connections,
	       p->trace.concurrency, r->peak, r->totals.packets, r->totals.wire_bytes, r->rounds, r->seconds,
	       r->fastest, r->slowest);
	printf("\"record_bytes\": %" PRIu64 ", \"stream_bytes\": %" PRIu64 ", \"resident\": %" PRIu64
	       ", \"to_first\": %.4f",
	       r->record_bytes, r->stream_bytes, r->resident, run_ratio(r, all));
	if (c)
		printf(", \"to_c\": %.4f", run_ratio(r, c));
	putchar('}');
	again = true;
}

void report_json_end(bool failed)
{
	puts(failed ? "" : "\n]");
}

void report_row(const struct run_params *p, const struct run_result *all, unsigned i, char trace)
{
	static bool again;
	const struct run_result *r = &all[i], *c = in_c(p, all, i);
	double s = r->seconds, packets = (double)r->totals.packets, peak = (double)r->peak;

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
