/* Results as a table and as JSON, on standard output. */
#ifndef MOS_BENCH_REPORT_H
#define MOS_BENCH_REPORT_H

#include "run.h"
#include "workers.h"

/* Contestant i of a run, of those in all; trace is the preset's letter. */
void report_row(const struct run_params *p, const struct run_result *all, unsigned i, char trace);
void report_json(const struct run_params *p, const struct run_result *all, unsigned i, char trace);

/* The same work by one worker, and by several. */
void report_workers(const struct run_params *p, const struct workers_result *one, const struct workers_result *several,
		    char trace, bool json);

/* After the last one. What failed leaves an array without its end, so that it is no JSON. */
void report_json_end(bool failed);

#endif
