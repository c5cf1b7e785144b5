#include "work.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mtcp_api.h"
#include "pkt/decode.h"
#include "sum.h"

enum { PEEK = 16 << 10, UNHEARD = 999 };

/* One contestant's, on cache lines of its own: workers run at once. */
struct state {
	_Alignas(64) struct work_seen seen;
	uint64_t (*place)[2]; /* by socket: how far it has read */
};

static struct state states[WORK_CONTESTANTS];
static __thread _Alignas(SUM_ALIGN) uint8_t bytes[PEEK + SUM_ALIGN]; /* workers run at once */

const char *work_name(enum work k)
{
#define X(name, what) #name,
	static const char *const names[] = { WORK_LIST(X) };
#undef X

	return names[k];
}

const char *work_by_name(enum work_by by)
{
	static const char *const names[] = { "c", "lua", "script" };

	return names[by];
}

void work_reset(int number)
{
	states[number].seen = (struct work_seen){ 0 };
}

struct work_seen *work_seen(int number)
{
	return &states[number].seen;
}

static const struct mos_packet *packet_of(mctx_t m)
{
	return worker_of(m)->d.ctx->pkt;
}

static void on_start(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct state *s = &states[m->cpu];

	(void)side, (void)event, (void)arg;
	s->seen.starts++;
	if (s->place)
		s->place[sock][0] = s->place[sock][1] = 0;
}

static void on_end(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)sock, (void)side, (void)event, (void)arg;
	states[m->cpu].seen.ends++;
}

static void on_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct work_seen *seen = &states[m->cpu].seen;

	(void)sock, (void)side, (void)event, (void)arg;
	seen->packets++;
	seen->payload += packet_of(m)->payload_len;
}

static bool has_payload(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)sock, (void)side, (void)event, (void)arg;
	return packet_of(m)->payload_len > 0;
}

static void on_payload(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct work_seen *seen = &states[m->cpu].seen;

	(void)sock, (void)side, (void)event, (void)arg;
	seen->chosen++;
	seen->payload += packet_of(m)->payload_len;
}

void work_take(struct work_seen *seen, uint64_t off, const uint8_t *from, size_t n, unsigned port, int side)
{
	seen->sum += sum_bytes(off, from, n) * sum_factor((uint16_t)port, side);
	seen->bytes += n;
}

static void on_data(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct state *s = &states[m->cpu];
	const struct mos_conn *c = worker_of(m)->d.ctx->conn;
	uint64_t *at = &s->place[sock][side];
	ssize_t n;

	(void)event, (void)arg;
	for (;;) {
		uint8_t *to = bytes + *at % SUM_ALIGN;

		if ((n = mtcp_peek(m, sock, side, (char *)to, PEEK)) <= 0)
			break;
		work_take(&s->seen, *at, to, (size_t)n, c->key.port[c->cli], side);
		*at += (uint64_t)n;
		if (n < PEEK)
			return;
	}
	s->seen.lost += n < 0;
}

static bool is_request(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	char text[sizeof(TRACE_REQUEST) - 1];

	(void)event, (void)arg;
	return side == MOS_SIDE_SVR && mtcp_ppeek(m, sock, side, text, sizeof(text), 0) == sizeof(text) &&
	       !memcmp(text, TRACE_REQUEST, sizeof(text));
}

static void on_request(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	states[m->cpu].seen.chosen++;
	on_data(m, sock, side, event, arg);
}

static int set_buffer(struct worker *w, int sock, int option, int bytes_each)
{
	return mtcp_setsockopt(&w->mctx, sock, SOL_MONSOCKET, option, &bytes_each, sizeof(bytes_each)) < 0 ? -errno : 0;
}

static int open_socket(struct worker *w, int clibuf, int svrbuf)
{
	int sock = mtcp_socket(&w->mctx, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 0), rc;

	if (sock < 0)
		return -errno;
	if ((rc = set_buffer(w, sock, MOS_CLIBUF, clibuf)) < 0 || (rc = set_buffer(w, sock, MOS_SVRBUF, svrbuf)) < 0)
		return rc;
	return sock;
}

static int listen_for(struct worker *w, int sock, event_t event, unsigned hook, callback_t cb)
{
	return mtcp_register_callback(&w->mctx, sock, event, hook, cb) < 0 ? -errno : 0;
}

/* n events below PKT_IN; the last of them, 0 if there is none to be had. */
static event_t define(unsigned n)
{
	event_t event = 0;

	for (unsigned i = 0; i < n; i++)
		if (!(event = mtcp_define_event(MOS_ON_PKT_IN, has_payload)))
			return 0;
	return event;
}

static int start_packets(struct worker *w, int sock)
{
	return listen_for(w, sock, MOS_ON_PKT_IN, MOS_HK_SND, on_packet);
}

static int start_packets3(struct worker *w, int sock)
{
	int rc = start_packets(w, sock);

	for (int i = 0; i < 2 && rc >= 0; i++)
		if ((rc = sock = open_socket(w, 0, 0)) >= 0)
			rc = start_packets(w, sock);
	return rc;
}

static int start_event(struct worker *w, int sock, unsigned unheard)
{
	event_t event;

	if ((unheard && !define(unheard)) || !(event = define(1)))
		return -errno;
	return listen_for(w, sock, event, MOS_HK_SND, on_payload);
}

static int start_stream(struct worker *w, int sock, bool requests)
{
	event_t event = requests ? mtcp_define_event(MOS_ON_CONN_NEW_DATA, is_request) : MOS_ON_CONN_NEW_DATA;
	struct state *s = &states[w->mctx.cpu];

	if (!event)
		return -errno;
	w->looks_back = false;
	s->place = calloc((size_t)w->d.socks.cap + PASSIVE_MAX + 1, sizeof(*s->place));
	return s->place ? listen_for(w, sock, event, MOS_NULL, requests ? on_request : on_data) : -ENOMEM;
}

static int start_rest(struct worker *w, int sock, enum work k)
{
	switch (k) {
	case WORK_packet:
		return start_packets(w, sock);
	case WORK_packet3:
		return start_packets3(w, sock);
	case WORK_pktude:
		return start_event(w, sock, 0);
	case WORK_many:
		return start_event(w, sock, UNHEARD);
	case WORK_nobody:
		return define(UNHEARD) ? 0 : -errno;
	case WORK_stream:
	case WORK_ude:
		return start_stream(w, sock, k == WORK_ude);
	default:
		return 0;
	}
}

int work_start(struct worker *w, enum work k)
{
	int buf = (int)w->set.default_buf, rc;
	int sock = open_socket(w, k == WORK_stream ? buf : 0, k == WORK_stream || k == WORK_ude ? buf : 0);

	if (sock < 0)
		return sock;
	if ((rc = listen_for(w, sock, MOS_ON_CONN_START, MOS_HK_SND, on_start)) < 0 ||
	    (rc = listen_for(w, sock, MOS_ON_CONN_END, MOS_HK_SND, on_end)) < 0)
		return rc;
	return start_rest(w, sock, k);
}

void work_stop(int number)
{
	free(states[number].place);
	states[number].place = NULL;
}

void work_bare(struct worker *w, enum work k, unsigned n)
{
	struct work_seen *seen = &states[w->mctx.cpu].seen;

	for (unsigned i = 0; i < n; i++) {
		struct mos_packet *p = &w->burst[i];

		if (packet_decode(p) != MOS_DECODED_TCP)
			continue;
		seen->packets++;
		seen->payload += p->payload_len;
		seen->chosen += key_hash(&p->key, &w->seed) & 1;
		if (k == WORK_sum)
			seen->sum += sum_bytes(0, p->data + p->payload, p->payload_caplen);
	}
}

/* What handlers have to see of a trace. */
static struct work_seen wanted(enum work k, const struct trace_totals *t)
{
	struct work_seen s = { .starts = t->connections, .ends = 2 * t->connections };

	if (k == WORK_packet || k == WORK_packet3) {
		s.packets = t->packets * (k == WORK_packet3 ? 3 : 1);
		s.payload = t->payload * (k == WORK_packet3 ? 3 : 1);
	} else if (k == WORK_pktude || k == WORK_many) {
		s.chosen = t->data_packets;
		s.payload = t->payload;
	} else if (k == WORK_ude) {
		s.chosen = t->request_bytes ? t->connections : 0;
		s.bytes = t->request_bytes;
		s.sum = t->request_sum;
	} else if (k == WORK_stream) {
		s.bytes = t->request_bytes + t->response_bytes;
		s.sum = t->request_sum + t->response_sum;
	}
	return s;
}

static int differs(char *err, size_t errlen, const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	snprintf(err, errlen, "%s: %" PRIu64 ", not %" PRIu64, what, got, want);
	return -1;
}

int work_check(int number, enum work k, const struct trace_totals *t, char *err, size_t errlen)
{
	const struct work_seen want = wanted(k, t), *seen = work_seen(number);

	if (work_is_bare(k))
		return differs(err, errlen, "packets", seen->packets, t->packets) |
		       differs(err, errlen, "bytes in packets", seen->payload, t->payload);
	if (differs(err, errlen, "CONN_START events", seen->starts, want.starts) ||
	    differs(err, errlen, "CONN_END events", seen->ends, want.ends) ||
	    differs(err, errlen, "PKT_IN events", seen->packets, want.packets) ||
	    differs(err, errlen, "bytes in packets", seen->payload, want.payload) ||
	    differs(err, errlen, "events of its own", seen->chosen, want.chosen) ||
	    differs(err, errlen, "reads that found a hole", seen->lost, want.lost) ||
	    differs(err, errlen, "bytes read", seen->bytes, want.bytes) ||
	    differs(err, errlen, "checksum of the bytes read", seen->sum, want.sum))
		return -1;
	return 0;
}
