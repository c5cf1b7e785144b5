/*
 * Packets from another thread: one producer, one consumer, no lock. Frames are copied into batches; a batch is a burst of
 * the consumer, so synchronising costs once for up to IO_BURST packets. An idle consumer and a producer without room
 * sleep, and cost nothing.
 *
 * The consumer's side is a struct io, of which it owns the batch last received until free_burst.
 */
#ifndef MOS_IO_RING_H
#define MOS_IO_RING_H

#include <stdatomic.h>

#include "io/io.h"

enum { RING_BATCHES = 16 };

struct batch {
	struct mos_packet pkts[IO_BURST];
	size_t off[IO_BURST]; /* of their frames in bytes, which may move as it grows */
	unsigned n;
	bool end;         /* the input ends here */
	uint64_t now_ns;  /* time before its first packet */
	uint8_t *bytes;   /* the frames, one after the other */
	size_t used, cap; /* bytes */
};

struct ring {
	struct io io;       /* of the consumer; io.wake_fd is its caller's */
	struct io *passing; /* the producer's source, through which the consumer sends */
	bool ended;         /* the consumer has seen the end */
	struct batch *batch;

	_Alignas(64) atomic_uint tail; /* batches published */
	bool is_open;                  /* the batch at tail is being filled */
	uint64_t told_ns;              /* the consumer will know that time has come so far */
	int room_fd;                   /* an eventfd: the producer sleeps on it */
	atomic_bool waits;             /* the producer sleeps, or is about to */

	_Alignas(64) atomic_uint head; /* batches given back */
	atomic_bool sleeps;            /* the consumer does, or is about to */
};

/* For packets of source, which outlives the ring. NULL when memory or file descriptors are out. */
struct ring *ring_new(struct io *source);

/* NULL is a no-op. Both sides are done with it. */
void ring_free(struct ring *r);

/*
 * Producer: append a copy of the packet, whose frame, time, link, port and number count. now_ns is the time before it:
 * the highest time stamp of any packet so far. 0, -EAGAIN when the ring is full, -ENOMEM.
 */
int ring_put(struct ring *r, const struct mos_packet *p, uint64_t now_ns);

/* Producer: let the consumer know the time although it has no packet. What finds no room is left out. */
void ring_tell(struct ring *r, uint64_t now_ns);

/* Producer: hand over what has been put. */
void ring_flush(struct ring *r);

/* Either: has the consumer given back all that was handed over? */
bool ring_is_empty(const struct ring *r);

/* Producer: has the consumer still to give back every batch? */
bool ring_is_full(const struct ring *r);

/* Producer: sleep until a batch has been given back, at most timeout_ms, or until a signal is handled. */
void ring_wait_room(struct ring *r, int timeout_ms);

/* Producer: the last thing: the input has ended at now_ns. -EAGAIN when the ring is full. */
int ring_end(struct ring *r, uint64_t now_ns);

#endif
