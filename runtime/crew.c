#include "crew.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/interest.h"
#include "io/ring.h"
#include "spread.h"

/* ROOM_MS bounds how late a reader sees that the worker it waits for has failed. */
enum { TICK_MS = 200, ROOM_MS = 100, LIVE_ROOM_MS = 5, LINE = 64 };

/* So long may a worker without packets not know how late it is, in packet time. */
#define TELL_NS 10000000ull

/* A worker and what the crew needs for it. */
struct lane {
	struct worker *w;
	struct crew *e;
	struct mailbox mail;
	struct ring *ring;            /* NULL: it reads a source itself */
	uint32_t passives, null_mask; /* of the dispatch, as last seen */
	bool stuck;                   /* its ring was full, and still was a moment later */
	pthread_t thread;
	int answer; /* of worker_run */
};

/* The reader's state: it hands packets to the lanes. */
struct reader {
	struct crew *e;
	struct spread spread;
	uint64_t now_ns;       /* the highest time stamp so far */
	bool failed;           /* memory is out */
	uint64_t lost, unseen; /* packets of live ports that found their worker's queue full */
	struct mos_packet burst[IO_BURST];
};

static void settings_share(struct settings *s, unsigned n)
{
	s->max_conns = s->max_conns / n + !!(s->max_conns % n);
	s->buffer_memory = s->buffer_memory / n + !!(s->buffer_memory % n);
}

static int lane_init(struct lane *l, struct crew *e, unsigned i, const struct settings *set)
{
	l->e = e;
	l->mail.wake_fd = -1;
	struct worker *w = aligned_alloc(LINE, (sizeof(*w) + LINE - 1) & ~(LINE - 1ul));
	int rc = w ? worker_init(w, (int)i, set) : -ENOMEM;

	if (rc < 0) {
		free(w);
		return rc;
	}
	l->w = w;
	w->d.ctx->workers = e->n;
	w->stop = &e->stop;
	return mailbox_init(&l->mail);
}

int crew_init(struct crew *e, unsigned n, const struct settings *set)
{
	struct settings share = *set;

	*e = (struct crew){ .n = n, .done_fd = -1 };
	key_seed_init(&e->seed);
	pthread_mutex_init(&e->out_lock, NULL);
	e->lanes = calloc(n, sizeof(*e->lanes));
	if (!e->lanes)
		return -ENOMEM;
	settings_share(&share, n);
	for (unsigned i = 0; i < n; i++) {
		int rc = lane_init(&e->lanes[i], e, i, &share);

		if (rc < 0)
			return rc;
	}
	e->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return e->done_fd < 0 ? -errno : 0;
}

static void lane_fini(struct lane *l)
{
	if (!l->w)
		return;
	worker_fini(l->w);
	free(l->w);
	ring_free(l->ring);
	mailbox_fini(&l->mail);
}

static void source_close(struct io *io)
{
	if (io)
		io->ops->close(io);
}

void crew_fini(struct crew *e)
{
	for (unsigned i = 0; e->lanes && i < e->n; i++)
		lane_fini(&e->lanes[i]);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		source_close(e->source[i]);
	io_writer_close(e->out);
	if (e->done_fd >= 0)
		close(e->done_fd);
	pthread_mutex_destroy(&e->out_lock);
	free(e->lanes);
	*e = (struct crew){ .done_fd = -1 };
}

struct worker *crew_worker(const struct crew *e, unsigned i)
{
	return e->lanes[i].w;
}

static int lane_ring(struct lane *l, struct io *source)
{
	l->ring = ring_new(source);
	if (!l->ring)
		return -ENOMEM;
	l->w->in = &l->ring->io;
	/* What has been read before the run is stopped is still handled: only the ring's end ends the worker. */
	l->w->stop = &l->e->broken;
	return 0;
}

int crew_source(struct crew *e, struct io *const *source, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		e->source[i] = source[i];
	for (unsigned i = 0; i < e->n; i++) {
		struct lane *l = &e->lanes[i];

		l->w->in = source[i < n ? i : 0];
		if (n < e->n && lane_ring(l, source[0]) < 0)
			return -ENOMEM;
		l->w->in->wake_fd = l->mail.wake_fd;
	}
	return 0;
}

void crew_stop(struct crew *e)
{
	__atomic_store_n(&e->stop, 1, __ATOMIC_RELAXED);
}

/* Nothing that is still queued is of use. */
static void crew_break(struct crew *e)
{
	__atomic_store_n(&e->broken, 1, __ATOMIC_RELAXED);
	crew_stop(e);
}

static bool is_set(const int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

int crew_call(struct crew *e, unsigned i, void (*fn)(struct worker *w, void *arg), void *arg)
{
	return i < e->n ? mailbox_call(&e->lanes[i].mail, fn, arg) : -ESRCH;
}

/* What all workers can do without, the kernel need not deliver. They run the same program, so one filter says it. */
static void crew_narrow(struct crew *e)
{
	char first[2048], text[2048];
	struct io *in = e->source[0];

	if (!in->ops->narrow || e->out || !interest_filter(e->lanes[0].w, first, sizeof(first)))
		return;
	for (unsigned i = 1; i < e->n; i++)
		if (!interest_filter(e->lanes[i].w, text, sizeof(text)) || strcmp(text, first) != 0)
			return;
	for (unsigned i = 0; i < e->n; i++) {
		e->lanes[i].null_mask = e->lanes[i].w->d.null_mask;
		e->lanes[i].passives = e->lanes[i].w->d.passives;
	}
	in->ops->narrow(in, first);
	atomic_store(&e->narrow, true);
}

/* A program that changes, or has been reached into, may want to see more. */
static void crew_widen(struct crew *e)
{
	if (atomic_exchange(&e->narrow, false))
		e->source[0]->ops->narrow(e->source[0], NULL);
}

static void lane_tick(void *arg)
{
	struct lane *l = arg;

	if (mailbox_has_mail(&l->mail)) {
		mailbox_run(&l->mail, l->w);
		crew_widen(l->e);
	}
	if (l->passives != l->w->d.passives || l->null_mask != l->w->d.null_mask) {
		l->passives = l->w->d.passives;
		l->null_mask = l->w->d.null_mask;
		crew_widen(l->e);
	}
}

static void lane_run(struct lane *l, void (*tick)(void *arg))
{
	l->answer = worker_run(l->w, tick, l);
	mailbox_close(&l->mail);
	if (l->answer == IO_FAILED || l->w->failed)
		crew_break(l->e);
	worker_finish(l->w);
}

static void *lane_main(void *arg)
{
	const uint64_t one = 1;
	struct lane *l = arg;

	lane_run(l, lane_tick);
	if (write(l->e->done_fd, &one, sizeof(one)) < 0)
		return NULL; /* it is seen a little later */
	return NULL;
}

static void crew_tick(struct crew *e)
{
	if (e->tick)
		e->tick(e->tick_arg);
}

static void only_tick(void *arg)
{
	struct lane *l = arg;

	lane_tick(l);
	crew_tick(l->e);
}

/* Signals are for the caller's thread. */
static int lanes_start(struct crew *e)
{
	sigset_t all, old;
	int rc = 0;

	for (unsigned i = 0; i < e->n; i++)
		mailbox_open(&e->lanes[i].mail);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	unsigned started = 0;

	while (started < e->n && !(rc = pthread_create(&e->lanes[started].thread, NULL, lane_main, &e->lanes[started])))
		started++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!rc)
		return 0;
	crew_break(e);
	for (unsigned i = 0; i < e->n; i++) {
		if (i < started)
			pthread_join(e->lanes[i].thread, NULL);
		else
			mailbox_close(&e->lanes[i].mail);
	}
	return -rc;
}

/* What a lane could not read or write counts more than that the reader was stopped for it. */
static int lanes_join(struct crew *e, int answer)
{
	for (unsigned i = 0; i < e->n; i++) {
		struct lane *l = &e->lanes[i];

		pthread_join(l->thread, NULL);
		if (l->answer == IO_FAILED) {
			e->fault = l->w->in;
			answer = IO_FAILED;
		}
	}
	return answer;
}

/* The reader waits for room; false when nobody will make any. */
static bool wait_room(struct crew *e, struct ring *r)
{
	if (is_set(&e->broken))
		return false;
	ring_wait_room(r, ROOM_MS);
	return true;
}

/*
 * A live port's packets wait in the kernel for a moment, but not for a worker that does not come back: then they pass
 * unseen, or are dropped.
 */
static bool wait_live(struct reader *r, struct lane *l)
{
	if (l->stuck)
		return false;
	ring_wait_room(l->ring, LIVE_ROOM_MS);
	l->stuck = ring_is_full(l->ring);
	return !l->stuck && !is_set(&r->e->broken);
}

static void give_up(struct reader *r, const struct mos_packet *p)
{
	struct io *in = r->e->source[0];

	if (!in->sends || r->e->lanes[0].w->set.fail_closed) {
		r->lost++;
		return;
	}
	in->ops->tx(in, r->e->n, p, false, -1);
	in->ops->tx_flush(in, r->e->n);
	r->unseen++;
}

static void give(void *arg, unsigned worker, const struct mos_packet *p)
{
	struct reader *r = arg;
	struct lane *l = &r->e->lanes[worker];
	bool live = l->ring->io.live;
	int rc;

	while ((rc = ring_put(l->ring, p, r->now_ns)) == -EAGAIN && (live ? wait_live(r, l) : wait_room(r->e, l->ring)))
		;
	if (rc == -ENOMEM)
		r->failed = true;
	else if (rc && live)
		give_up(r, p);
	else
		l->stuck = false;
}

static void spread_burst(struct reader *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct mos_packet *p = &r->burst[i];

		spread_packet(&r->spread, p);
		if (p->ts_ns > r->now_ns)
			r->now_ns = p->ts_ns;
	}
}

/*
 * After a burst of n: who has to be told what time it is, and who gets what so far. A live port asks again at once, so
 * packets for a busy worker may go on gathering; a file may let us wait.
 */
static void rings_tend(struct reader *r, int n)
{
	for (unsigned i = 0; i < r->e->n; i++) {
		struct ring *ring = r->e->lanes[i].ring;

		if (!ring->io.live && r->now_ns > ring->told_ns + TELL_NS)
			ring_tell(ring, r->now_ns);
		if (ring->io.live ? !n || ring_is_empty(ring) : n < IO_BURST)
			ring_flush(ring);
	}
}

static int read_all(struct reader *r)
{
	struct crew *e = r->e;
	struct io *in = e->source[0];

	while (!is_set(&e->stop)) {
		int n = in->ops->rx_burst(in, r->burst, IO_BURST);

		if (n < 0)
			return n;
		spread_burst(r, (unsigned)n);
		if (n)
			in->ops->free_burst(in);
		if (in->now_ns > r->now_ns)
			r->now_ns = in->now_ns;
		rings_tend(r, n);
		if (!n && in->ops->wait && !e->lanes[0].w->set.busy_poll)
			in->ops->wait(in, TICK_MS);
		if (r->failed) {
			snprintf(in->error, sizeof(in->error), "%s", strerror(ENOMEM));
			in->damaged = false;
			return IO_FAILED;
		}
		crew_tick(e);
	}
	return IO_END;
}

static void rings_end(struct reader *r)
{
	for (unsigned i = 0; i < r->e->n; i++) {
		struct ring *ring = r->e->lanes[i].ring;

		while (ring_end(ring, r->now_ns) == -EAGAIN && wait_room(r->e, ring))
			;
	}
}

static int run_reader(struct crew *e)
{
	struct reader *r = calloc(1, sizeof(*r));
	int answer = IO_FAILED;

	e->fault = e->source[0];
	if (!r || spread_init(&r->spread, e->n, &e->seed, &e->lanes[0].w->set.defrag, give, r) < 0) {
		snprintf(e->fault->error, sizeof(e->fault->error), "%s", strerror(ENOMEM));
		crew_break(e);
	} else {
		r->e = e;
		answer = read_all(r);
		spread_flush(&r->spread);
		rings_end(r);
		e->reader.queue_lost = r->lost;
		e->reader.unseen = r->unseen;
	}
	if (r)
		spread_fini(&r->spread);
	free(r);
	return answer;
}

/* Each lane reads its own source. */
static int run_queues(struct crew *e)
{
	unsigned done = 0;

	while (done < e->n) {
		struct pollfd p = { .fd = e->done_fd, .events = POLLIN };
		uint64_t count;

		if (poll(&p, 1, TICK_MS) > 0 && read(e->done_fd, &count, sizeof(count)) > 0)
			done += (unsigned)count;
		crew_tick(e);
	}
	return IO_END;
}

static int run_alone(struct crew *e)
{
	struct lane *l = &e->lanes[0];

	mailbox_open(&l->mail);
	lane_run(l, only_tick);
	e->fault = l->w->in;
	return l->answer;
}

int crew_run(struct crew *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		e->lanes[i].w->out = e->out;
		e->lanes[i].w->out_lock = e->n > 1 ? &e->out_lock : NULL;
	}
	crew_narrow(e);
	if (e->n == 1)
		return run_alone(e);
	int rc = lanes_start(e);

	if (rc < 0) {
		e->fault = e->source[0];
		snprintf(e->fault->error, sizeof(e->fault->error), "cannot start a thread: %s", strerror(-rc));
		return IO_FAILED;
	}
	return lanes_join(e, e->lanes[0].ring ? run_reader(e) : run_queues(e));
}

void crew_stats(const struct crew *e, struct stats *sum)
{
	*sum = e->reader;
	for (unsigned i = 0; i < e->n; i++) {
		const struct worker *w = e->lanes[i].w;
		struct stats s = w->stats;

		s.handler_calls = w->d.calls;
		memcpy(s.events, w->d.counts, sizeof(s.events));
		if (w->d.engine.count)
			w->d.engine.count(w->d.engine.arg, &s);
		stats_add(sum, &s);
	}
	for (unsigned i = 0; i < WORKERS_MAX && e->source[i]; i++)
		if (e->source[i]->ops->count)
			e->source[i]->ops->count(e->source[i], sum);
}
