#include "io/ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Enough for a burst of full Ethernet frames. Longer ones make their batch grow, to BATCH_MOST for more than one. */
enum { BATCH_BYTES = 64 << 10, BATCH_MOST = 512 << 10 };

static struct ring *ring_of(struct io *io)
{
	return (struct ring *)io;
}

static struct batch *batch_at(struct ring *r, unsigned i)
{
	return &r->batch[i % RING_BATCHES];
}

/* Sleep on an eventfd and take what was written to it. */
static void event_wait(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, timeout_ms) > 0 && read(fd, &count, sizeof(count)) < 0)
		return; /* someone else took it */
}

static void event_raise(int fd)
{
	const uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void ring_read(struct ring *r, struct mos_packet *pkts)
{
	struct batch *b = batch_at(r, atomic_load_explicit(&r->head, memory_order_relaxed));

	r->io.now_ns = b->now_ns;
	r->io.packets += b->n;
	for (unsigned i = 0; i < b->n; i++) {
		const struct mos_packet *from = &b->pkts[i];

		pkts[i].data = b->bytes + b->off[i];
		pkts[i].ts_ns = from->ts_ns;
		pkts[i].caplen = from->caplen;
		pkts[i].len = from->len;
		pkts[i].link = from->link;
		pkts[i].port = from->port;
		pkts[i].checks = from->checks;
		pkts[i].number = from->number;
	}
}

static void ring_release(struct ring *r)
{
	unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed) + 1;

	atomic_store(&r->head, head);
	/* A producer that is woken for every batch would do little else than fall asleep. */
	if (atomic_load(&r->waits) && atomic_load(&r->tail) - head <= RING_BATCHES / 2)
		event_raise(r->room_fd);
}

bool ring_is_empty(const struct ring *r)
{
	return atomic_load(&r->tail) == atomic_load(&r->head);
}

/* One batch; it stays the consumer's until free_burst. An empty one only tells the time. */
static int ring_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct ring *r = ring_of(io);

	(void)n;
	if (r->ended)
		return IO_END;
	if (ring_is_empty(r)) {
		struct timespec t;

		if (!io->live)
			return 0;
		clock_gettime(CLOCK_REALTIME, &t);
		io->now_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
		return 0;
	}
	struct batch *b = batch_at(r, atomic_load_explicit(&r->head, memory_order_relaxed));
	unsigned count = b->n;

	r->ended = b->end;
	ring_read(r, pkts);
	if (!count)
		ring_release(r);
	return (int)count;
}

static void ring_free_burst(struct io *io)
{
	ring_release(ring_of(io));
}

static void ring_wait(struct io *io, int timeout_ms)
{
	struct ring *r = ring_of(io);

	if (r->ended)
		return;
	atomic_store(&r->sleeps, true);
	if (ring_is_empty(r))
		event_wait(io->wake_fd, timeout_ms);
	atomic_store(&r->sleeps, false);
}

static void ring_tx(struct io *io, unsigned lane, const struct mos_packet *p, bool reverse, int index)
{
	struct ring *r = ring_of(io);

	(void)index; /* the frame is a copy */
	r->passing->ops->tx(r->passing, lane, p, reverse, -1);
}

static void ring_tx_flush(struct io *io, unsigned lane)
{
	struct ring *r = ring_of(io);

	r->passing->ops->tx_flush(r->passing, lane);
}

static void ring_close(struct io *io)
{
	ring_free(ring_of(io));
}

struct ring *ring_new(struct io *source)
{
	static const struct io_ops ops = {
		.name = "ring",
		.rx_burst = ring_rx_burst,
		.free_burst = ring_free_burst,
		.wait = ring_wait,
		.tx = ring_tx,
		.tx_flush = ring_tx_flush,
		.close = ring_close,
	};
	struct ring *r = aligned_alloc(64, sizeof(*r));

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->io = (struct io){ .ops = &ops, .wake_fd = -1, .path = source->path };
	r->io.live = source->live;
	r->io.sends = source->sends;
	r->io.finishes = source->finishes;
	r->passing = source;
	r->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->batch = calloc(RING_BATCHES, sizeof(*r->batch));
	for (unsigned i = 0; r->batch && i < RING_BATCHES; i++) {
		r->batch[i].bytes = malloc(BATCH_BYTES);
		r->batch[i].cap = r->batch[i].bytes ? BATCH_BYTES : 0;
	}
	if (r->batch && r->room_fd >= 0)
		return r;
	ring_free(r);
	return NULL;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	for (unsigned i = 0; r->batch && i < RING_BATCHES; i++)
		free(r->batch[i].bytes);
	free(r->batch);
	if (r->room_fd >= 0)
		close(r->room_fd);
	free(r);
}

/* The batch that is being filled; NULL when all of them are with the consumer. */
static struct batch *batch_open(struct ring *r, uint64_t now_ns)
{
	unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (r->is_open)
		return batch_at(r, tail);
	if (tail - atomic_load(&r->head) >= RING_BATCHES)
		return NULL;
	struct batch *b = batch_at(r, tail);

	b->n = 0;
	b->used = 0;
	b->end = false;
	b->now_ns = now_ns;
	if (now_ns > r->told_ns)
		r->told_ns = now_ns;
	r->is_open = true;
	return b;
}

void ring_flush(struct ring *r)
{
	if (!r->is_open)
		return;
	r->is_open = false;
	atomic_store(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + 1);
	if (atomic_load(&r->sleeps))
		event_raise(r->io.wake_fd);
}

/*
 * Does p need a batch of its own? Where it is full; and where time stamps go back, so that the batch can say how far time
 * had come before p.
 */
static bool batch_is_done(const struct ring *r, const struct batch *b, const struct mos_packet *p, uint64_t now_ns)
{
	if (b->n == IO_BURST || (b->n && b->used + p->caplen > BATCH_MOST))
		return true;
	return b->n && p->ts_ns < now_ns && r->told_ns < now_ns;
}

static bool batch_grow(struct batch *b, size_t need)
{
	if (need <= b->cap)
		return true;
	size_t cap = need < BATCH_MOST / 2 ? 2 * need : need;
	uint8_t *bytes = realloc(b->bytes, cap);

	if (!bytes)
		return false;
	b->bytes = bytes;
	b->cap = cap;
	return true;
}

int ring_put(struct ring *r, const struct mos_packet *p, uint64_t now_ns)
{
	struct batch *b = batch_open(r, now_ns);

	if (b && batch_is_done(r, b, p, now_ns)) {
		ring_flush(r);
		b = batch_open(r, now_ns);
	}
	if (!b)
		return -EAGAIN;
	if (!batch_grow(b, b->used + p->caplen))
		return -ENOMEM;
	struct mos_packet *to = &b->pkts[b->n];

	b->off[b->n++] = b->used;
	memcpy(b->bytes + b->used, p->data, p->caplen);
	b->used += p->caplen;
	to->ts_ns = p->ts_ns;
	to->caplen = p->caplen;
	to->len = p->len;
	to->link = p->link;
	to->port = p->port;
	to->checks = p->checks;
	to->number = p->number;
	if (p->ts_ns > r->told_ns)
		r->told_ns = p->ts_ns;
	return 0;
}

void ring_tell(struct ring *r, uint64_t now_ns)
{
	if (now_ns <= r->told_ns)
		return;
	ring_flush(r);
	if (batch_open(r, now_ns))
		ring_flush(r);
}

bool ring_is_full(const struct ring *r)
{
	return atomic_load(&r->tail) - atomic_load(&r->head) >= RING_BATCHES;
}

void ring_wait_room(struct ring *r, int timeout_ms)
{
	atomic_store(&r->waits, true);
	if (ring_is_full(r))
		event_wait(r->room_fd, timeout_ms);
	atomic_store(&r->waits, false);
}

int ring_end(struct ring *r, uint64_t now_ns)
{
	ring_flush(r);
	struct batch *b = batch_open(r, now_ns);

	if (!b)
		return -EAGAIN;
	b->end = true;
	ring_flush(r);
	return 0;
}
