/* Time that passes for people, as against packet time (worker.now_ns). */
#ifndef MOS_UTIL_CLOCK_H
#define MOS_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of one of the system's clocks. */
static inline uint64_t clock_of_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Nanoseconds of the monotonic clock. */
static inline uint64_t clock_ns(void)
{
	return clock_of_ns(CLOCK_MONOTONIC);
}

#endif
