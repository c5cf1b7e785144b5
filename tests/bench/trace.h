/*
 * Packets of made-up connections, in memory: a handshake, a request, a response, its acknowledgements, a close. The
 * same parameters make the same packets.
 */
#ifndef MOS_BENCH_TRACE_H
#define MOS_BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connections that are one SYN each, from someone who has many addresses. */
enum flood {
	FLOOD_NONE,
	FLOOD_RANDOM,  /* random source addresses and ports */
	FLOOD_COLLIDE, /* ends that a table without a secret would put together: see conn_ends */
};

struct trace_params {
	uint32_t connections; /* in all */
	uint32_t concurrency; /* of them at a time; of a flood: how many the tracker may hold */
	enum flood flood;
	uint32_t request;  /* payload bytes of the client's question */
	uint32_t response; /* payload bytes of the server's answer */
	uint32_t segment;  /* payload bytes of a packet, at most */
	bool lockstep;     /* the next packet is the next connection's; else a random one's */
	double loss;       /* per cent of the server's data packets */
	double reorder;
	double rexmit;
	bool ipv6;
	uint64_t seed;
	size_t memory; /* bytes of frames held at a time */
};

/* How every request begins, as far as it is long enough. */
#define TRACE_REQUEST "GET "

struct frame {
	uint64_t at; /* offset in the arena */
	uint64_t ts_ns;
	uint32_t len;
	uint32_t conn; /* number of its connection */
};

/* What one pass over the whole trace holds. */
struct trace_totals {
	uint64_t packets;
	uint64_t wire_bytes;
	uint64_t connections;
	uint64_t data_packets; /* with payload */
	uint64_t payload;      /* of all packets */
	uint64_t request_bytes;
	uint64_t response_bytes; /* repetitions left out */
	uint64_t request_sum;    /* of the streams, see sum.h */
	uint64_t response_sum;
};

struct trace {
	struct trace_params p;
	struct trace_totals totals; /* of what was made so far */
	uint8_t *arena;
	struct frame *frames;
	size_t frames_n;
	size_t frames_max;
	bool whole; /* the arena holds the trace from its first packet to its last */

	struct step *steps; /* every connection's packets */
	uint32_t steps_n;
	uint8_t *text; /* what payloads are cut from */
	struct talk *talks;
	uint32_t live;    /* talks going on: the first ones */
	uint32_t turn;    /* of lock-step */
	uint32_t started; /* connections */
	size_t arena_used;
	uint64_t rng;
	uint64_t now_ns;
	uint64_t *response_sum; /* by variant */
	uint64_t *request_sum;
};

/* 0 or -errno. Parameters are checked by the caller. */
int trace_init(struct trace *t, const struct trace_params *p);
void trace_fini(struct trace *t);

/* Begin again with the first packet. */
void trace_rewind(struct trace *t);

/* Put the next packets into the arena, in place of those there. False: there are none. */
bool trace_next(struct trace *t);

/* Nanoseconds of packet time that the whole trace takes at most. */
uint64_t trace_duration_ns(const struct trace *t);

#endif
