/* A trace through workers, each with its work, timed. */
#ifndef MOS_BENCH_RUN_H
#define MOS_BENCH_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "trace.h"
#include "work.h"

enum { ROUNDS_MAX = 1000 };

struct contest {
	enum work work;
	enum work_by by;
};

struct run_params {
	struct trace_params trace;
	struct contest
		what[WORK_CONTESTANTS]; /* each gets every packet; they take turns, so that they can be compared */
	unsigned what_n;
	const char *script; /* of BY_SCRIPT */
	unsigned rounds;
	double linger_s;
	uint32_t buffer; /* bytes, where streams are read; 0: the runtime's default */
};

/* Of one contestant. */
struct run_result {
	struct trace_totals totals;
	unsigned rounds;
	double round[ROUNDS_MAX]; /* CPU seconds of each */
	double seconds;           /* median of them */
	double fastest;
	double slowest;
	uint32_t peak;         /* connections at a time */
	uint64_t record_bytes; /* of their records, sockets and the table, committed */
	uint64_t stream_bytes; /* of what their streams needed besides */
	uint64_t resident;     /* by what the process has grown since the first packet, all contestants together */
};

/* 0 with r[0 ... what_n - 1], or -1 with one line in err: it could not run, or handlers did not see what was sent. */
int run(const struct run_params *p, struct run_result *r, char *err, size_t errlen);

/* Median over the rounds of how fast a was, as a part of how fast b was. */
double run_ratio(const struct run_result *a, const struct run_result *b);

#endif
