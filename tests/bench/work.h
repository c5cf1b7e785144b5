/*
 * What the tracker is made to do with a trace: the same handlers in C, written against mos_api.h, and in Lua (work.lua).
 * Each contestant of a run is a worker of its own, known to its handlers by its number (mctx->cpu, mos.worker).
 */
#ifndef MOS_BENCH_WORK_H
#define MOS_BENCH_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"
#include "worker.h"

/* X(name, what is listened to) */
#define WORK_LIST(X)                                                                                             \
	X(count, "CONN_START, CONN_END; no buffers, as in all that follows but stream and ude")                  \
	X(packet, "and PKT_IN at the sender's hook")                                                             \
	X(packet3, "and PKT_IN at the sender's hook, by three monitors")                                         \
	X(pktude, "and an event of its own below PKT_IN: a filter looks at every packet, a handler at some")     \
	X(many, "as pktude, with 999 more such events defined that nobody listens to")                           \
	X(nobody, "as count, with events below PKT_IN defined that nobody listens to")                           \
	X(stream, "and CONN_NEW_DATA: every byte is read, of both sides")                                        \
	X(ude, "and an event of its own below CONN_NEW_DATA: a filter looks for requests, a handler reads them") \
	X(decode, "no tracker at all: packets are decoded and their keys hashed")                                \
	X(sum, "no tracker at all: the same, and the checksum of all payload is made")

enum work {
#define X(name, what) WORK_##name,
	WORK_LIST(X)
#undef X
		WORK_KINDS
};

enum work_by { BY_C, BY_LUA, BY_SCRIPT };

const char *work_name(enum work k);
const char *work_by_name(enum work_by by);

/* What handlers saw since the last work_reset. work.lua declares it too. */
struct work_seen {
	uint64_t starts;
	uint64_t ends;
	uint64_t packets;
	uint64_t payload; /* bytes of those packets */
	uint64_t chosen;  /* events of our own */
	uint64_t bytes;   /* read */
	uint64_t lost;    /* reads that found a hole */
	uint64_t sum;     /* of the bytes read, see sum.h */
};

enum { WORK_CONTESTANTS = 32 };

/* By number of the contestant, from 0 to WORK_CONTESTANTS - 1. */
struct work_seen *work_seen(int number);

/* The sockets and handlers in C. 0 or -errno. */
int work_start(struct worker *w, enum work k);
void work_stop(int number);

void work_reset(int number);

/* Add n bytes at stream offset off, received by side, to what was seen. For work.lua, which passes what it has read. */
void work_take(struct work_seen *seen, uint64_t off, const uint8_t *bytes, size_t n, unsigned port, int side);

/* Without a tracker: the first n packets of the worker's burst. */
void work_bare(struct worker *w, enum work k, unsigned n);

static inline bool work_is_bare(enum work k)
{
	return k == WORK_decode || k == WORK_sum;
}

/* Is that what was to be seen of a trace? 0, or -1 with one line in err. */
int work_check(int number, enum work k, const struct trace_totals *t, char *err, size_t errlen);

#endif
