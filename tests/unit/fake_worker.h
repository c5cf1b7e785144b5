/* A worker with connections made by hand: for tests of what programs call, without a packet's way behind it. */
#ifndef MOS_TESTS_FAKE_WORKER_H
#define MOS_TESTS_FAKE_WORKER_H

#include <stdlib.h>
#include <string.h>

#include "api/monitor.h"
#include "worker.h"

static inline struct worker *fake_worker_new(void)
{
	struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~(size_t)63);
	struct settings set;

	settings_default(&set);
	set.max_conns = 100;
	set.buffer_memory = 1 << 24;
	set.default_buf = 4096;
	if (w && worker_init(w, 3, &set) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

static inline void fake_worker_free(struct worker *w)
{
	for (uint32_t i = 1; i <= w->conns.top; i++) {
		struct mos_conn *c = worker_conn(w, i);

		if (c->flags & MOS_CONN_LIVE) {
			dispatch_close(&w->d, c);
			track_end(&w->tcp, c);
		}
	}
	monitors_fini(w);
	worker_fini(w);
	free(w);
}

/* A connection 10.0.0.1:12345 (client) to 10.0.0.2:80 with a socket of each passive socket below n. */
static inline struct mos_conn *fake_conn(struct worker *w, uint32_t n)
{
	uint32_t i = pool_get(&w->conns);
	struct mos_conn *c = worker_conn(w, i);

	*c = (struct mos_conn){
		.key = { .addr_be = { { htonl(0x0a000001) }, { htonl(0x0a000002) } },
			 .port = { 12345, 80 },
			 .family = 4 },
		.flags = MOS_CONN_LIVE,
	};
	c->end[MOS_SIDE_CLI].isn = 999;
	c->end[MOS_SIDE_SVR].isn = 1999;
	for (uint32_t k = 0; k < n; k++)
		if (dispatch_open(&w->d, c, i, k) < 0)
			abort();
	return c;
}

/* Number of a connection's nth socket, from 0. */
static inline int fake_sock(const struct worker *w, const struct mos_conn *c, unsigned n)
{
	uint32_t i = c->sock;

	while (n--)
		i = ((struct mos_sock *)pool_at(&w->d.socks, i))->next;
	return PASSIVE_MAX + (int)i;
}

/* side receives text at stream offset off. */
static inline void fake_data(struct worker *w, struct mos_conn *c, int side, uint64_t off, const char *text)
{
	struct stream *st = track_stream(&w->tcp, c, side);

	if (!st)
		st = track_stream_make(&w->tcp, c, side, 16, MOS_OVERLAP_POLICY_FIRST, 0);
	stream_write(st, &w->tcp.slab, off, text, strlen(text), UINT64_MAX);
}

#endif
