#include "work.h"

#include <errno.h>
#include <stdlib.h>

#include "mtcp_api.h"
#include "sum.h"

enum { PEEK = 16 << 10 };

static struct work_seen seen;
static uint64_t (*place)[2]; /* by socket: how far it has read */
static _Alignas(SUM_ALIGN) uint8_t bytes[PEEK + SUM_ALIGN];

const char *work_name(enum work k)
{
	static const char *const names[] = { "count", "packet", "stream" };

	return names[k];
}

void work_reset(void)
{
	seen = (struct work_seen){ 0 };
}

const struct work_seen *work_seen(void)
{
	return &seen;
}

static void on_start(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)side, (void)event, (void)arg;
	seen.starts++;
	if (place)
		place[sock][0] = place[sock][1] = 0;
}

static void on_end(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	seen.ends++;
}

static void on_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	seen.packets++;
}

static void on_data(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	const struct mos_conn *c = worker_of(m)->d.ctx->conn;
	uint64_t factor = sum_factor(c->key.port[c->cli], side), *at = &place[sock][side];
	ssize_t n;

	(void)event, (void)arg;
	for (;;) {
		uint8_t *to = bytes + *at % SUM_ALIGN;

		if ((n = mtcp_peek(m, sock, side, (char *)to, PEEK)) <= 0)
			break;
		seen.sum += sum_bytes(*at, to, (size_t)n) * factor;
		seen.bytes += (uint64_t)n;
		*at += (uint64_t)n;
		if (n < PEEK)
			return;
	}
	seen.lost += n < 0;
}

static int set_buffers(struct worker *w, int sock, int bytes_each)
{
	if (mtcp_setsockopt(&w->mctx, sock, SOL_MONSOCKET, MOS_CLIBUF, &bytes_each, sizeof(bytes_each)) < 0)
		return -errno;
	if (mtcp_setsockopt(&w->mctx, sock, SOL_MONSOCKET, MOS_SVRBUF, &bytes_each, sizeof(bytes_each)) < 0)
		return -errno;
	return 0;
}

static int listen_for(struct worker *w, int sock, event_t event, unsigned hook, callback_t cb)
{
	return mtcp_register_callback(&w->mctx, sock, event, hook, cb) < 0 ? -errno : 0;
}

int work_start(struct worker *w, enum work k)
{
	int sock = mtcp_socket(&w->mctx, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 0), rc;

	if (sock < 0)
		return -errno;
	if ((rc = set_buffers(w, sock, k == WORK_STREAM ? (int)w->set.default_buf : 0)) < 0 ||
	    (rc = listen_for(w, sock, MOS_ON_CONN_START, MOS_HK_SND, on_start)) < 0 ||
	    (rc = listen_for(w, sock, MOS_ON_CONN_END, MOS_HK_SND, on_end)) < 0)
		return rc;
	if (k == WORK_PACKET)
		return listen_for(w, sock, MOS_ON_PKT_IN, MOS_HK_SND, on_packet);
	if (k != WORK_STREAM)
		return 0;
	place = calloc((size_t)w->d.socks.cap + PASSIVE_MAX + 1, sizeof(*place));
	if (!place)
		return -ENOMEM;
	return listen_for(w, sock, MOS_ON_CONN_NEW_DATA, MOS_NULL, on_data);
}

void work_stop(void)
{
	free(place);
	place = NULL;
}
