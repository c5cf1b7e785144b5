#include "workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crew.h"

/* One worker's queue: its connections' frames, round after round, and when it was asked for the first one of each. */
struct queue {
	struct io io;
	const struct trace *t;
	struct frame *frames;
	size_t n, next;
	unsigned round, rounds;
	double cpu[ROUNDS_MAX + 2], wall[ROUNDS_MAX + 2];
};

static double now_s(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void note_time(struct queue *q)
{
	q->cpu[q->round] = now_s(CLOCK_THREAD_CPUTIME_ID);
	q->wall[q->round] = now_s(CLOCK_MONOTONIC);
}

static int queue_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct queue *q = (struct queue *)io;
	unsigned count = 0;

	if (q->next == 0)
		note_time(q);
	if (q->round == q->rounds)
		return IO_END;
	for (; count < n && q->next < q->n; count++, q->next++) {
		const struct frame *f = &q->frames[q->next];
		struct mos_packet *p = &pkts[count];

		p->data = q->t->arena + f->at;
		p->ts_ns = 1000000000 + f->ts_ns + q->round * trace_duration_ns(q->t);
		p->caplen = p->len = f->len;
		p->link = 1;
		p->port = 0;
		p->number = ++io->packets;
	}
	for (size_t i = q->next; i < q->n && i < q->next + n; i++) {
		__builtin_prefetch(q->t->arena + q->frames[i].at);
		__builtin_prefetch(q->t->arena + q->frames[i].at + 64);
	}
	if (q->next == q->n) {
		q->next = 0;
		q->round++;
	}
	return (int)count;
}

static void queue_free_burst(struct io *io)
{
	(void)io;
}

static void queue_close(struct io *io)
{
	struct queue *q = (struct queue *)io;

	free(q->frames);
	free(q);
}

/* The frames of every n-th connection, from connection i on. */
static struct queue *queue_new(const struct trace *t, unsigned i, unsigned n, unsigned rounds)
{
	static const struct io_ops ops = {
		.name = "memory",
		.rx_burst = queue_rx_burst,
		.free_burst = queue_free_burst,
		.close = queue_close,
	};
	struct queue *q = calloc(1, sizeof(*q));

	if (!q || !(q->frames = malloc((t->frames_n + 1) * sizeof(*q->frames)))) {
		free(q);
		return NULL;
	}
	q->io.ops = &ops;
	q->io.path = "memory";
	q->t = t;
	q->rounds = rounds;
	for (size_t k = 0; k < t->frames_n; k++)
		if (t->frames[k].conn % n == i)
			q->frames[q->n++] = t->frames[k];
	return q;
}

static int prepare(struct crew *e, const struct run_params *p, const struct trace *t, struct queue **q)
{
	struct io *sources[WORKERS_MAX];

	for (unsigned i = 0; i < e->n; i++) {
		int rc = work_start(crew_worker(e, i), p->what[0].work);

		if (rc < 0)
			return rc;
		work_reset((int)i);
		if (!(q[i] = queue_new(t, i, e->n, p->rounds + 1)))
			return -ENOMEM;
		sources[i] = &q[i]->io;
	}
	return crew_source(e, sources, e->n);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The first round warms up. */
static void times(const struct run_params *p, struct queue *const *q, struct workers_result *r)
{
	double slowest[ROUNDS_MAX], first = 0, last = 0;

	for (unsigned k = 0; k < p->rounds; k++) {
		slowest[k] = 0;
		for (unsigned i = 0; i < r->workers; i++) {
			double took = q[i]->cpu[k + 2] - q[i]->cpu[k + 1];

			slowest[k] = took > slowest[k] ? took : slowest[k];
		}
	}
	for (unsigned i = 0; i < r->workers; i++) {
		first = i && first < q[i]->wall[1] ? first : q[i]->wall[1];
		last = last > q[i]->wall[p->rounds + 1] ? last : q[i]->wall[p->rounds + 1];
	}
	qsort(slowest, p->rounds, sizeof(*slowest), by_value);
	r->seconds = slowest[p->rounds / 2];
	r->wall = (last - first) / p->rounds;
}

static int check(const struct run_params *p, const struct trace_totals *t, unsigned n, char *err, size_t errlen)
{
	struct work_seen *sum = work_seen(0);

	for (unsigned i = 1; i < n; i++) {
		const struct work_seen *s = work_seen((int)i);

		sum->starts += s->starts;
		sum->ends += s->ends;
		sum->packets += s->packets;
		sum->payload += s->payload;
		sum->chosen += s->chosen;
		sum->bytes += s->bytes;
		sum->lost += s->lost;
		sum->sum += s->sum;
	}
	uint64_t times = p->rounds + 1;
	struct trace_totals all = {
		.packets = t->packets * times,
		.connections = t->connections * times,
		.data_packets = t->data_packets * times,
		.payload = t->payload * times,
		.request_bytes = t->request_bytes * times,
		.response_bytes = t->response_bytes * times,
		.request_sum = t->request_sum * times,
		.response_sum = t->response_sum * times,
	};

	return work_check(0, p->what[0].work, &all, err, errlen);
}

static int with_trace(const struct run_params *p, const struct trace *t, struct workers_result *r, char *err,
		      size_t errlen)
{
	struct settings set;
	struct crew e;
	struct queue *q[WORKERS_MAX];

	settings_default(&set);
	set.linger_ns = (uint64_t)(p->linger_s * 1e9);
	set.max_conns = p->trace.connections + r->workers;
	set.buffer_memory = 0;
	int rc = crew_init(&e, r->workers, &set);

	if (rc == 0)
		rc = prepare(&e, p, t, q);
	if (rc < 0) {
		snprintf(err, errlen, "cannot start: %s", strerror(-rc));
	} else {
		crew_run(&e);
		times(p, q, r);
		rc = check(p, &t->totals, r->workers, err, errlen);
	}
	for (unsigned i = 0; i < r->workers; i++)
		work_stop((int)i);
	crew_fini(&e);
	return rc < 0 ? -1 : 0;
}

int workers_run(const struct run_params *p, unsigned n, struct workers_result *r, char *err, size_t errlen)
{
	struct trace t;
	int rc = -1;

	if (trace_init(&t, &p->trace) < 0) {
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	trace_next(&t);
	*r = (struct workers_result){ .totals = t.totals, .workers = n };
	if (t.whole)
		rc = with_trace(p, &t, r, err, errlen);
	else
		snprintf(err, errlen, "the trace does not fit into --memory");
	trace_fini(&t);
	return rc;
}
