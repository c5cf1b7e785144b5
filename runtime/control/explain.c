#include "control/explain.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api/monitor.h"
#include "event/events.h"
#include "event/reasons.h"
#include "pkt/decode.h"
#include "tcp/fsm.h"
#include "util/symbol.h"

/* What CONN_NEW_DATA has told so far of the streams of a connection. */
struct told {
	uint32_t gen;
	uint64_t off[2];
};

struct explain {
	struct worker *w;
	FILE *out;
	bool colour;
	struct watcher watcher;
	struct told *told; /* by connection index */

	unsigned burst_n; /* packets of the burst that is handled */
	unsigned next;    /* the first of them without a line */
	bool started;
	uint64_t start_ns;        /* of the first packet */
	const struct mos_conn *c; /* whose heading stands last, where there was no packet */
};

enum paint { PLAIN, PACKET, HOOK, EVENT, USER, HANDLER, BAD };

static const char *const paints[] = {
	[PLAIN] = "\033[0m", [PACKET] = "\033[1m",   [HOOK] = "\033[2m", [EVENT] = "\033[36m",
	[USER] = "\033[35m", [HANDLER] = "\033[32m", [BAD] = "\033[31m",
};

__attribute__((format(printf, 3, 4))) static void say(struct explain *x, enum paint p, const char *fmt, ...)
{
	va_list ap;

	if (x->colour && p != PLAIN)
		fputs(paints[p], x->out);
	va_start(ap, fmt);
	vfprintf(x->out, fmt, ap);
	va_end(ap);
	if (x->colour && p != PLAIN)
		fputs(paints[PLAIN], x->out);
}

/* From the first packet on. */
static double seconds(const struct explain *x, uint64_t ns)
{
	return x->started ? (double)(int64_t)(ns - x->start_ns) / 1e9 : 0;
}

/* An end as "10.0.0.1:80" or "[2001:db8::1]:80"; where: 0 or 1, as in the key. */
static const char *end_text(const struct mos_key *key, int where, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN] = "?";

	inet_ntop(key->family == 6 ? AF_INET6 : AF_INET, key->addr_be[where], addr, sizeof(addr));
	snprintf(text, size, key->family == 6 ? "[%s]:%u" : "%s:%u", addr, key->port[where]);
	return text;
}

static void say_ends(struct explain *x, const struct mos_key *key, int from)
{
	char a[64], b[64];

	say(x, PLAIN, "%s > %s", end_text(key, from, a, sizeof(a)), end_text(key, !from, b, sizeof(b)));
}

static void say_flags(struct explain *x, uint8_t flags)
{
	static const char letters[] = "FSRP.UEW", order[] = { 1, 0, 2, 3, 4, 5, 6, 7 };
	char text[9];
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		if (flags & 1 << order[i])
			text[n++] = letters[(unsigned)order[i]];
	text[n] = '\0';
	say(x, PLAIN, "  %s", n ? text : "-");
}

/* Numbers from the initial sequence numbers on, where a connection knows them; else as they stand. */
static void say_numbers(struct explain *x, const struct mos_packet *p, const struct mos_conn *c)
{
	int side = c ? p->dir ^ c->cli : 0;
	uint32_t base = c ? c->end[side].isn : 0, other = c ? c->end[!side].isn : 0;
	uint32_t from = p->seq - base;

	say(x, PLAIN, " %" PRIu32 ":%" PRIu32 "(%" PRIu32 ")", from, from + p->payload_len, p->payload_len);
	if (p->tcp_flags & MOS_TH_ACK)
		say(x, PLAIN, " ack %" PRIu32, p->ack - other);
	say(x, PLAIN, " win %u", p->window);
}

/* The line of a packet. */
static void say_packet(struct explain *x, const struct mos_packet *p, const struct mos_conn *c)
{
	if (!x->started)
		x->start_ns = p->ts_ns;
	x->started = true;
	say(x, PACKET, "#%-4" PRIu64, p->number);
	say(x, PLAIN, " %+.6f  ", seconds(x, p->ts_ns));
	if (p->decoded != MOS_DECODED_TCP) {
		say(x, p->decoded >= MOS_DECODE_BAD ? BAD : PLAIN, "%s, %u bytes", decode_name(p->decoded), p->len);
	} else {
		say_ends(x, &p->key, p->dir);
		say_flags(x, p->tcp_flags);
		say_numbers(x, p, c);
	}
	x->c = NULL;
	fputc('\n', x->out);
}

static void say_verdict(struct explain *x, const struct mos_packet *p)
{
	if (p->verdict == MOS_DROPPED)
		say(x, BAD, "      dropped\n");
	else if (p->verdict == MOS_HELD)
		say(x, BAD, "      waits for what comes before it\n");
}

/* Lines of the burst's packets before index `to`, which nobody has heard of. */
static void catch_up(struct explain *x, unsigned to)
{
	for (; x->next < to && x->next < x->burst_n; x->next++) {
		const struct mos_packet *p = &x->w->burst[x->next];

		if (x->next > 0)
			say_verdict(x, p - 1);
		say_packet(x, p, NULL);
		say(x, HOOK, "      no connection\n");
	}
}

/* A packet that is in dispatch, once. It is the burst's, or what the burst's completes. */
static void begin_packet(struct explain *x, const struct mos_ctx *ctx)
{
	unsigned at = x->w->at;

	catch_up(x, at);
	if (x->next != at || at >= x->burst_n)
		return;
	if (at > 0)
		say_verdict(x, &x->w->burst[at - 1]);
	say_packet(x, ctx->pkt, ctx->conn);
	x->next++;
}

/* What a connection does without a packet: its bytes after a burst, its end. */
static void begin_conn(struct explain *x, const struct mos_ctx *ctx)
{
	catch_up(x, x->w->at);
	if (x->c == ctx->conn)
		return;
	say(x, PACKET, "-    ");
	say(x, PLAIN, " %+.6f  ", seconds(x, ctx->now_ns));
	say_ends(x, &ctx->conn->key, ctx->conn->cli);
	fputc('\n', x->out);
	x->c = ctx->conn;
}

static void burst(void *arg, unsigned n)
{
	struct explain *x = arg;

	if (n) {
		x->burst_n = n;
		x->next = 0;
		return;
	}
	catch_up(x, x->burst_n);
	if (x->burst_n)
		say_verdict(x, &x->w->burst[x->burst_n - 1]);
	x->burst_n = 0;
}

static const char *side_name(int side)
{
	return side == MOS_SIDE_CLI ? "cli" : side == MOS_SIDE_SVR ? "svr" : "";
}

/* How many bytes a CONN_NEW_DATA stands for. */
static uint64_t new_bytes(struct explain *x, const struct mos_ctx *ctx)
{
	struct told *told = &x->told[ctx->conn - ctx->conns];
	const struct stream *st = track_stream(&x->w->tcp, ctx->conn, ctx->side);

	if (told->gen != ctx->conn->gen)
		*told = (struct told){ .gen = ctx->conn->gen };
	uint64_t from = told->off[ctx->side];

	if (st)
		told->off[ctx->side] = st->cont;
	return st && st->cont > from ? st->cont - from : 0;
}

static void say_event(struct explain *x, const struct mos_ctx *ctx, event_t event)
{
	const struct mos_conn *c = ctx->conn;

	say(x, event == MOS_ON_ERROR ? BAD : EVENT, "  %s", event_find(event)->name);
	if (c && event == MOS_ON_TCP_STATE_CHANGE)
		say(x, PLAIN, " %s", fsm_name(c->end[ctx->side].state));
	else if (c && event == MOS_ON_CONN_NEW_DATA)
		say(x, PLAIN, " %" PRIu64 " bytes", new_bytes(x, ctx));
	else if (c && event == MOS_ON_ERROR)
		say(x, PLAIN, " %s", error_reason_name(c->err_reason));
	else if (c && event == MOS_ON_CONN_END)
		say(x, PLAIN, " %s", end_reason_name(c->end_reason));
}

static void raised(void *arg, const struct mos_ctx *ctx, uint32_t bits)
{
	struct explain *x = arg;
	const char *hook = ctx->hook == MOS_HK_SND ? "snd" : ctx->hook == MOS_HK_RCV ? "rcv" : "   ";

	if (ctx->pkt)
		begin_packet(x, ctx);
	else if (ctx->conn)
		begin_conn(x, ctx);
	say(x, HOOK, "      %s %-3s", hook, side_name(ctx->side));
	if (ctx->conn)
		say(x, HOOK, "  %-12s %-12s", fsm_name(ctx->conn->end[0].state), fsm_name(ctx->conn->end[1].state));
	for (; bits; bits &= bits - 1)
		say_event(x, ctx, slot_event((unsigned)__builtin_ctz(bits)));
	fputc('\n', x->out);
}

static const char *event_name(const struct event *e)
{
	return !e ? "timer" : e->name[0] ? e->name : "(an event without a name)";
}

/* A user-defined event is raised; with what handlers are told besides. */
static void say_fired(struct explain *x, const struct event *e)
{
	const struct engine *engine = &x->w->d.engine;
	char text[512] = "";

	if (engine->fields)
		engine->fields(engine->arg, e->name, text, sizeof(text));
	fputs("              ", x->out);
	say(x, USER, "%s", event_name(e));
	fprintf(x->out, " fired%s%s\n", *text ? "  " : "", text);
}

static void asked(void *arg, const struct mos_ctx *ctx, const struct event *e, bool yes)
{
	(void)ctx;
	if (yes)
		say_fired(arg, e);
}

/* "file.lua:12", or a C function's name and object. */
static void handler_place(const struct explain *x, struct handler h, char *text, size_t size)
{
	const struct engine *engine = &x->w->d.engine;

	snprintf(text, size, "?");
	if (h.fn)
		symbol_name((void *)h.fn, text, size);
	else if (engine->place)
		engine->place(engine->arg, h.ref, text, size);
}

static void called(void *arg, const struct mos_ctx *ctx, struct handler h)
{
	struct explain *x = arg;
	const struct event *e = event_find(ctx->event);
	char place[512];

	handler_place(x, h, place, sizeof(place));
	if (e && e->kind == EVENT_RAISED) {
		say_fired(x, e);
	} else if (!e) {
		say(x, PACKET, "-    ");
		say(x, PLAIN, " %+.6f\n", seconds(x, ctx->now_ns));
		x->c = NULL;
	}
	fputs("              ", x->out);
	say(x, e && e->depth ? USER : EVENT, "%s", event_name(e));
	fputs(" -> ", x->out);
	say(x, HANDLER, "%s", place);
	fputc('\n', x->out);
}

struct explain *explain_new(struct worker *w, FILE *out, bool colour, bool alone)
{
	struct explain *x = calloc(1, sizeof(*x));
	struct told *told = x ? calloc((size_t)w->set.max_conns + 1, sizeof(*told)) : NULL;

	if (!told || (alone && monitor_open(w, 0, false) < 0)) {
		free(told);
		free(x);
		return NULL;
	}
	x->w = w;
	x->out = out;
	x->colour = colour;
	x->told = told;
	x->watcher = (struct watcher){ .raised = raised, .asked = asked, .called = called, .burst = burst, .arg = x };
	dispatch_watch(&w->d, &x->watcher);
	return x;
}

void explain_free(struct explain *x)
{
	if (!x)
		return;
	free(x->told);
	free(x);
}
