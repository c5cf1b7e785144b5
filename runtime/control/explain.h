/*
 * mos-run --explain: what happens to each packet, as lines for people. It looks on from the watcher of event/dispatch.h.
 */
#ifndef MOS_CONTROL_EXPLAIN_H
#define MOS_CONTROL_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "worker.h"

struct explain;

/*
 * Explain what w does on out, with colours or without. Before the first packet. alone: no program monitors anything, so
 * all connections are tracked for the explanation alone. NULL when memory is out.
 */
struct explain *explain_new(struct worker *w, FILE *out, bool colour, bool alone);

/* NULL is a no-op. When the worker has ended. */
void explain_free(struct explain *x);

#endif
