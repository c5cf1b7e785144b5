#include "watch.h"

#include <errno.h>

#include "fuzz.h"
#include "inject.h"
#include "mos_api.h"
#include "path.h"
#include "pkt/decode.h"
#include "pkt/edit.h"

/* What a connection in the pool has been through. */
struct life {
	bool alive;
	uint32_t gen;
	unsigned starts[2];
	unsigned ends[2][2];
	uint64_t at[2]; /* bytes read and gaps passed */
};

static struct life lives[WATCH_CONNS + 1];
static struct watch *watching;
static uint32_t turn;

static bool whim(uint32_t kind, uint32_t one_in)
{
	return (watching->whims & kind) && ++turn % one_in == 0;
}

static void read_all(mctx_t m, int sock, int side, const struct mos_conn *c)
{
	char buf[4096];
	ssize_t n;

	while ((n = mtcp_peek(m, sock, side, buf, sizeof(buf))) != 0) {
		const struct mos_sock *s = dispatch_sock(&watching->w->d, sock);

		if (n < 0) {
			CLAIM(errno == ENODATA || errno == EBADF);
			if (errno == EBADF)
				return;
			continue;
		}
		CLAIM(s);
		uint64_t from = s->cursor[side] - (uint64_t)n;
		CLAIM(from >= lives[c - watching->w->d.ctx->conns].at[side]);
		lives[c - watching->w->d.ctx->conns].at[side] = s->cursor[side];
		if (watching->bytes)
			watching->bytes(c, side, c->end[!side].isn + 1 + (uint32_t)from, (uint8_t *)buf, (size_t)n);
	}
}

/* What has left must be well-formed whatever came in. */
static void check_packet(const struct mos_packet *out)
{
	struct mos_packet p = { .data = out->data, .caplen = out->caplen, .len = out->len, .link = out->link };

	CLAIM(packet_decode(&p) == MOS_DECODED_TCP);
	CLAIM(p.payload_len == out->payload_len && p.payload_caplen == p.payload_len && packet_checksums_ok(&p));
}

void watch_burst(struct watch *t, unsigned n)
{
	struct worker *w = t->w;

	path_burst(w, n);
	for (uint32_t i = 0; i < w->outbox.n; i++)
		check_packet(&w->outbox.v[i].packet);
	outbox_reset(&w->outbox);
	w->at = 0;
}

static void edit(mctx_t m, int sock, int side)
{
	static unsigned char bytes[3000];
	uint16_t at = (uint16_t)(turn * 31 % 300), n = (uint16_t)(turn * 7 % (turn % 5 ? 40 : sizeof(bytes)));

	if (turn % 2)
		mtcp_setlastpkt(m, sock, side, at, bytes, n, MOS_INSERT | MOS_TCP_PAYLOAD);
	else
		mtcp_setlastpkt(m, sock, side, at, NULL, n, MOS_CHOMP | MOS_TCP_PAYLOAD);
}

static void send_some(mctx_t m, int sock, int side, const struct mos_ctx *ctx)
{
	struct pkt_info info;

	if (turn % 5 == 0)
		mtcp_abort(m, sock);
	else if (ctx->pkt && mtcp_getlastpkt(m, sock, side, &info) == 0 && turn % 2)
		mtcp_sendpkt(m, sock, &info);
	else if (ctx->conn)
		inject_segment(watching->w, ctx->conn, (int)(turn % 3 & 1), MOS_TH_ACK, "payload", turn % 8);
}

static void act(mctx_t m, int sock, int side, const struct mos_ctx *ctx)
{
	int limit = (int)(turn * 37 % 5000), which = (int)(turn % 3);
	char buf[64];

	if (ctx->pkt && whim(WATCH_DROPS, 7))
		mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP);
	if (whim(WATCH_EDITS, 3))
		edit(m, sock, side);
	if (whim(WATCH_SENDS, 13))
		send_some(m, sock, side, ctx);
	if (whim(WATCH_RESIZES, 11))
		mtcp_setsockopt(m, sock, SOL_MONSOCKET, turn % 2 ? MOS_CLIBUF : MOS_SVRBUF, &limit, sizeof(limit));
	if (whim(WATCH_PEEKS, 3))
		mtcp_ppeek(m, sock, turn % 2, buf, sizeof(buf), turn * 53 % 4000);
	if (whim(WATCH_STOPS, 61))
		mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_STOP_MON, &which, sizeof(which));
	if (whim(WATCH_CLOSES, 83))
		mtcp_close(m, sock);
}

static bool has_ended(const struct life *l)
{
	return l->ends[0][0] && l->ends[0][1] && l->ends[1][0] && l->ends[1][1];
}

static bool is_ending(const struct life *l)
{
	return l->ends[0][0] || l->ends[0][1] || l->ends[1][0] || l->ends[1][1];
}

static void end(struct life *l, unsigned hook, int side)
{
	CLAIM(++l->ends[hook][side] == 1);
	if (!has_ended(l))
		return;
	CLAIM(l->starts[0] == 1 && l->starts[1] == 1);
	memset(l, 0, sizeof(*l));
}

/* A handler that is silenced does not hear of the end. */
static struct life *life_of(const struct mos_ctx *ctx)
{
	struct life *l = &lives[ctx->conn - ctx->conns];
	bool silenced = watching->whims & (WATCH_STOPS | WATCH_CLOSES);

	if (silenced && l->gen != ctx->conn->gen)
		*l = (struct life){ .gen = ctx->conn->gen };
	return l;
}

static void on_event(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	const struct mos_ctx *ctx = worker_of(m)->d.ctx;
	unsigned hook = ctx->hook == MOS_HK_RCV;
	bool silenced = watching->whims & (WATCH_STOPS | WATCH_CLOSES);

	(void)arg;
	if (!ctx->conn)
		return;
	CLAIM(ctx->conn->flags & MOS_CONN_LIVE);
	struct life *l = life_of(ctx);

	if (silenced) {
		if (event == MOS_ON_CONN_NEW_DATA)
			read_all(m, sock, side, ctx->conn);
		act(m, sock, side, ctx);
		if (event == MOS_ON_CONN_END)
			memset(l, 0, sizeof(*l));
		return;
	}
	if (!l->alive)
		CLAIM(event == MOS_ON_PKT_IN && !hook);
	l->alive = true;
	CLAIM(event == MOS_ON_CONN_END || !is_ending(l));
	if (event == MOS_ON_CONN_START)
		CLAIM(++l->starts[hook] == 1);
	bool reads = event == MOS_ON_CONN_NEW_DATA && !(watching->whims & WATCH_SLEEPS);

	if (reads || event == MOS_ON_CONN_END)
		read_all(m, sock, side, ctx->conn);
	act(m, sock, side, ctx);
	if (event == MOS_ON_CONN_END)
		end(l, hook, side);
}

static void listen_to_all(const struct watch *t)
{
	static const struct {
		event_t event;
		uint32_t hook;
	} all[] = {
#define X(event, hook) { MOS_ON_##event, HOOK_##hook },
#define HOOK_SND       MOS_HK_SND
#define HOOK_RCV       MOS_HK_RCV
#define HOOK_NUL       MOS_NULL
		SLOT_LIST(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		CLAIM(mtcp_register_callback(&t->w->mctx, t->sock, all[i].event, all[i].hook, on_event) == 0);
}

void watch_init(struct watch *t, const struct settings *set)
{
	watching = t;
	turn = 0;
	memset(lives, 0, sizeof(lives));
	CLAIM(set->max_conns <= WATCH_CONNS);
	t->w = aligned_alloc(64, (sizeof(*t->w) + 63) & ~63ul);
	CLAIM(worker_init(t->w, 0, set) == 0);
	t->sock = mtcp_socket(&t->w->mctx, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 0);
	CLAIM(t->sock >= 0);
	listen_to_all(t);
}

void watch_fini(struct watch *t)
{
	struct worker *w = t->w;

	worker_finish(w);
	for (unsigned i = 0; i <= WATCH_CONNS; i++)
		CLAIM(!lives[i].alive);
	CLAIM(w->stats.connections == w->stats.connections_ended);
	CLAIM(w->rewrites.used == 0);
	CLAIM(w->conns.used == 0 && w->d.socks.used == 0);
	CLAIM(w->tcp.streams.used == 0 && w->tcp.seen.used == 0 && w->tcp.slab.used == 0);
	worker_fini(w);
	free(w);
}
