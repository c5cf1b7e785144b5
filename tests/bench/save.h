/* A trace as a capture file, for programs that read nothing else. */
#ifndef MOS_BENCH_SAVE_H
#define MOS_BENCH_SAVE_H

#include "trace.h"

/*
 * Write the trace to path, with the checksums that it lacks in memory, and what it holds to standard output: one line of
 * "name=number". 0, or -1 with one line in err.
 */
int save(const struct trace_params *p, const char *path, char *err, size_t errlen);

#endif
