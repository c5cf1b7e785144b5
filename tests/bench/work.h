/* What the tracker is made to do with a trace: handlers in C, written against mos_api.h. */
#ifndef MOS_BENCH_WORK_H
#define MOS_BENCH_WORK_H

#include <stdint.h>

#include "worker.h"

enum work { WORK_COUNT, WORK_PACKET, WORK_STREAM, WORK_KINDS };

const char *work_name(enum work k);

/* What the handlers saw since the last work_reset. */
struct work_seen {
	uint64_t starts;
	uint64_t ends;
	uint64_t packets;
	uint64_t bytes; /* peeked */
	uint64_t lost;  /* peeks that found a hole */
	uint64_t sum;   /* of the bytes peeked, see sum.h */
};

/* One passive socket with the handlers of that work. 0 or -errno. */
int work_start(struct worker *w, enum work k);
void work_stop(void);

void work_reset(void);
const struct work_seen *work_seen(void);

#endif
