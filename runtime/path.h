/* The packet's way through a worker. */
#ifndef MOS_PATH_H
#define MOS_PATH_H

#include "worker.h"

/*
 * Take the first n packets of w->burst all the way, up to their verdicts. Returns how many came to one: less than n when
 * a handler failed and the run is to stop.
 */
unsigned path_burst(struct worker *w, unsigned n);

/* Let time reach now_ns: run timers and end idle connections that are due. */
void path_advance(struct worker *w, uint64_t now_ns);

#endif
