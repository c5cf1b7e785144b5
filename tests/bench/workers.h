/* A trace through the workers of a crew, each on a thread with a queue of its own, as from a port with several queues. */
#ifndef MOS_BENCH_WORKERS_H
#define MOS_BENCH_WORKERS_H

#include "run.h"

struct workers_result {
	struct trace_totals totals;
	unsigned workers;
	double seconds; /* of a round: CPU time of the worker that took longest, median over the rounds */
	double wall;    /* of a round: all rounds together, divided by how many */
};

/*
 * p->what[0] by n workers, who share the trace by connection; handlers must be in C, and the trace must fit into its
 * memory. 0, or -1 with one line in err.
 */
int workers_run(const struct run_params *p, unsigned n, struct workers_result *r, char *err, size_t errlen);

#endif
