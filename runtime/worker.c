#include "worker.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "api/monitor.h"
#include "connection.h"
#include "path.h"
#include "pkt/edit.h"
#include "rewrite.h"
#include "takeover.h"
#include "tcp/end.h"

#define SECOND 1000000000ull

/* Connections that follow a new script between two bursts. */
enum { FOLLOW_PER_BURST = 64 };

void settings_default(struct settings *s)
{
	*s = (struct settings){
		.max_conns = 1000000,
		.buffer_memory = 1ull << 30,
		.default_buf = 64 << 10,
		.linger_ns = 5 * SECOND,
		.half_open_ns = 60 * SECOND,
		.established_ns = 3600 * SECOND,
		.closing_ns = 120 * SECOND,
		.on_error = ON_ERROR_PASS,
		.max_errors = 1000,
		.script_timeout_ns = SECOND / 20,
		.script_memory = 256ul << 20,
	};
	defrag_limits_default(&s->defrag);
}

int worker_init(struct worker *w, int cpu, const struct settings *set)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->mctx.cpu = cpu;
	w->set = *set;
	w->looks_back = true;
	w->live = MOS_CONN_LIVE;
	key_seed_init(&w->seed);
	if ((rc = pool_init(&w->conns, sizeof(struct mos_conn), set->max_conns)) < 0 ||
	    (rc = framings_init(&w->framings)) < 0 ||
	    (rc = pool_init(&w->rewrites, sizeof(struct rewrite), set->max_conns)) < 0 ||
	    (rc = track_init(&w->tcp, set->max_conns, set->buffer_memory)) < 0 ||
	    (rc = table_init(&w->table, 1024, (const struct mos_conn *)w->conns.base)) < 0 ||
	    (rc = defrag_init(&w->defrag, &set->defrag, w->seed.s, &w->stats)) < 0 ||
	    (rc = dispatch_init(&w->d, &w->mctx,
				4 * (uint64_t)set->max_conns < UINT32_MAX / 2 ? 4 * set->max_conns : UINT32_MAX / 2)) <
		    0) {
		worker_fini(w);
		return rc;
	}
	w->d.ctx->conns = (struct mos_conn *)w->conns.base;
	w->d.ctx->socks = (struct mos_sock *)w->d.socks.base;
	w->d.ctx->worker = (uint32_t)cpu;
	w->d.ctx->workers = 1;
	w->d.ctx->owner = w;
	wheel_init(&w->wheel, w->d.ctx->conns);
	return 0;
}

void worker_fini(struct worker *w)
{
	takeover_walk(w, UINT32_MAX);
	if (w->d.ctx && w->d.ctx->recs)
		munmap(w->d.ctx->recs, ((size_t)w->set.max_conns + 1) * w->d.ctx->rec_size);
	timers_fini(&w->timers);
	monitors_fini(w);
	dispatch_fini(&w->d);
	defrag_fini(&w->defrag);
	table_fini(&w->table);
	track_fini(&w->tcp);
	outbox_fini(&w->outbox);
	framings_fini(&w->framings);
	pool_fini(&w->rewrites);
	pool_fini(&w->conns);
}

static int write_packet(struct worker *w, const struct mos_packet *p, bool reverse, int index)
{
	(void)reverse;
	(void)index;
	int rc = io_writer_put(w->out, p);

	w->stats.written += !rc;
	return rc;
}

void worker_seal(const struct worker *w, struct mos_packet *p)
{
	bool leave_it = w->in && w->in->finishes && !w->out;

	packet_fix_ip_checksum(p);
	p->checks = leave_it && packet_start_tcp_checksum(p) == 0 ? MOS_CHECKS_DUE : 0;
	if (!p->checks)
		packet_fix_tcp_checksum(p);
}

static int send_packet(struct worker *w, const struct mos_packet *p, bool reverse, int index)
{
	w->in->ops->tx(w->in, (unsigned)w->mctx.cpu, p, reverse, index);
	return 0;
}

/* The first n packets of the burst that pass, and between them those that were made here. */
static int each_leaving(struct worker *w, unsigned n,
			int (*leave)(struct worker *w, const struct mos_packet *p, bool reverse, int index))
{
	uint32_t o = 0;
	int rc = 0;

	for (unsigned i = 0; i <= n && !rc; i++) {
		for (; o < w->outbox.n && w->outbox.v[o].before <= i && !rc; o++)
			if (w->outbox.v[o].packet.verdict != MOS_DROPPED)
				rc = leave(w, &w->outbox.v[o].packet, w->outbox.v[o].reverse, -1);
		if (i < n && !rc && w->burst[i].verdict == MOS_PASS)
			rc = leave(w, &w->burst[i], false, (int)i);
	}
	return rc;
}

static int burst_leave(struct worker *w, unsigned n)
{
	int rc = 0;

	if (w->out) {
		if (w->out_lock)
			pthread_mutex_lock(w->out_lock);
		rc = each_leaving(w, n, write_packet);
		if (w->out_lock)
			pthread_mutex_unlock(w->out_lock);
	}
	if (w->in && w->in->sends) {
		each_leaving(w, n, send_packet);
		w->in->ops->tx_flush(w->in, (unsigned)w->mctx.cpu);
	}
	outbox_reset(&w->outbox);
	w->at = 0;
	return rc;
}

static const char *write_reason(int rc)
{
	if (rc == -EPROTOTYPE)
		return "a capture holds one link type, and the input has several";
	if (rc == -EPROTONOSUPPORT)
		return "captures have no number for this link type";
	return strerror(-rc);
}

static bool is_stopped(const struct worker *w)
{
	return w->stop && __atomic_load_n(w->stop, __ATOMIC_RELAXED);
}

/* How long a worker without packets may sleep: until its next timer is due, and connections may time out. */
static int idle_ms(const struct worker *w)
{
	enum { MOST = 20 };
	uint64_t next = timers_next(&w->timers);

	/* Connections follow a new script. */
	if (w->takeover)
		return 0;
	if (next <= w->now_ns)
		return w->timers.waiting ? MOST : 0;
	return next - w->now_ns < MOST * 1000000ull ? (int)((next - w->now_ns) / 1000000) + 1 : MOST;
}

void worker_thread(struct worker *w, bool begins)
{
	if (w->d.engine.thread)
		w->d.engine.thread(w->d.engine.arg, begins);
}

bool worker_go_on(struct worker *w)
{
	if (w->failed)
		return false;
	w->halted = false;
	if (w->d.engine.rest)
		w->d.engine.rest(w->d.engine.arg);
	return !w->failed;
}

void worker_rest(struct worker *w)
{
	if (w->d.engine.rest)
		worker_go_on(w);
	if (w->takeover)
		takeover_walk(w, FOLLOW_PER_BURST);
}

/* --fail-closed: not all handlers that would be asked about these are. */
static void burst_refuse(struct worker *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		w->stats.dropped += w->burst[i].verdict != MOS_DROPPED;
		w->burst[i].verdict = MOS_DROPPED;
	}
}

static int run(struct worker *w, void (*tick)(void *arg), void *arg)
{
	while (!w->failed && !is_stopped(w)) {
		int n = w->in->ops->rx_burst(w->in, w->burst, IO_BURST);

		if (n < 0)
			return n;
		path_advance(w, w->in->now_ns);
		unsigned handled = path_burst(w, (unsigned)n);

		if (w->unheard && w->set.fail_closed && w->in->sends)
			burst_refuse(w, handled);
		int rc = burst_leave(w, handled);

		if (n)
			w->in->ops->free_burst(w->in);
		else if (w->in->ops->wait && !w->set.busy_poll)
			w->in->ops->wait(w->in, idle_ms(w));
		if (rc < 0) {
			snprintf(w->in->error, sizeof(w->in->error), "cannot write the output: %s", write_reason(rc));
			w->in->damaged = false;
			return IO_FAILED;
		}
		worker_rest(w);
		if (tick)
			tick(arg);
	}
	return IO_END;
}

int worker_run(struct worker *w, void (*tick)(void *arg), void *arg)
{
	worker_thread(w, true);
	int rc = run(w, tick, arg);

	worker_thread(w, false);
	return rc;
}

void worker_finish(struct worker *w)
{
	worker_thread(w, true);
	for (uint32_t i = 1; i <= w->conns.top; i++) {
		struct mos_conn *c = worker_conn(w, i);

		if (c->flags & MOS_CONN_LIVE)
			connection_end(w, c, MOS_ENDED_INPUT);
		if (w->halted && !w->failed)
			worker_go_on(w);
	}
	burst_leave(w, 0);
	worker_thread(w, false);
}

/*
 * Where a stream that is switched on now begins: behind what `side` was sent so far. At the sender's hook the packet in
 * dispatch is still to be delivered.
 */
static uint64_t buffer_start(const struct worker *w, const struct mos_conn *c, int side)
{
	const struct mos_end *e = &c->end[!side];
	const struct mos_packet *p = w->d.ctx->pkt;

	if (!p || w->d.ctx->conn != c || w->d.ctx->hook != MOS_HK_SND || w->d.ctx->side == side || !p->payload_len)
		return e->nxt_off;
	int64_t off = end_offset(e, p->seq + !!(p->tcp_flags & MOS_TH_SYN));
	return off < 0 ? 0 : (uint64_t)off < e->nxt_off ? (uint64_t)off : e->nxt_off;
}

static void resize_buffer(struct worker *w, struct stream *st, uint64_t limit)
{
	uint64_t lost = st->lost;

	stream_resize(st, &w->tcp.slab, limit);
	w->stats.buffer_lost_bytes += st->lost - lost;
}

void worker_set_buffer(struct worker *w, struct mos_conn *c, int side, uint64_t limit)
{
	uint16_t off = (uint16_t)(MOS_CONN_NOBUF << side);
	struct stream *st = track_stream(&w->tcp, c, side);

	if (!limit) {
		c->flags |= off;
		track_stream_drop(&w->tcp, c, side);
		return;
	}
	c->flags &= (uint16_t) ~(off | MOS_CONN_STARVED << side);
	if (st)
		resize_buffer(w, st, limit);
	else
		track_stream_make(&w->tcp, c, side, limit, MOS_OVERLAP_POLICY_FIRST, buffer_start(w, c, side));
}

void worker_stop(struct worker *w, struct mos_conn *c, int side)
{
	for (int i = 0; i < 2; i++) {
		if (side != MOS_SIDE_BOTH && side != i)
			continue;
		c->end[i].flags |= MOS_END_STOPPED;
		c->flags |= (uint16_t)(MOS_CONN_NOBUF << i);
		track_stream_drop(&w->tcp, c, i);
	}
	if (c->end[0].flags & c->end[1].flags & MOS_END_STOPPED) {
		c->flags |= MOS_CONN_STOPPED;
		c->mask = 0;
	}
}

int worker_set_record(struct worker *w, uint32_t size)
{
	size = (size + 7) & ~7u;
	if (w->conns.top || w->d.ctx->recs)
		return -EBUSY;
	void *p = mmap(NULL, ((size_t)w->set.max_conns + 1) * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	w->d.ctx->recs = p;
	w->d.ctx->rec_size = size;
	return 0;
}

void worker_handler_failed(struct worker *w)
{
	struct mos_packet *p = w->d.ctx->pkt;

	w->stats.handler_errors++;
	if (w->set.on_error == ON_ERROR_STOP)
		w->failed = w->halted = true;
	else if (w->set.on_error == ON_ERROR_DROP && p)
		p->verdict = MOS_DROPPED;
}
