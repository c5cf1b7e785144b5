/* A trace through a worker, timed. */
#ifndef MOS_BENCH_RUN_H
#define MOS_BENCH_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "trace.h"
#include "work.h"

struct run_params {
	struct trace_params trace;
	enum work work;
	const char *lua; /* a script in place of the handlers in C; NULL: none */
	unsigned rounds;
	double linger_s;
	uint32_t buffer; /* bytes, where streams are read; 0: the runtime's default */
};

struct run_result {
	struct trace_totals totals;
	unsigned rounds;
	double seconds; /* CPU time of a round, median */
	double fastest;
	double slowest;
	uint32_t peak;         /* connections at a time */
	uint64_t record_bytes; /* of their records, sockets and the table, committed */
	uint64_t stream_bytes; /* of what their streams needed besides */
};

/* 0, or -1 with one line in err: it could not run, or handlers did not see what was sent. */
int run(const struct run_params *p, struct run_result *r, char *err, size_t errlen);

#endif
