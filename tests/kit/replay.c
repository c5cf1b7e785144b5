#include "replay.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "tcp/fsm.h"

enum { FRAME_MAX = 70000, MS = 1000000 };

/* One test at a time: handlers have no argument of their own. */
static struct replay *playing;
static uint8_t frames[IO_BURST][FRAME_MAX];

static void say(struct replay *r, const char *fmt, ...)
{
	size_t n = strlen(r->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->log + n, sizeof(r->log) - n, fmt, ap);
	va_end(ap);
}

static const char *error_name(int reason)
{
	static const char *const names[] = { "none",     "buffer_full", "out_of_window", "conflict",
					     "checksum", "malformed",   "gap",           "memory" };
	return names[reason];
}

/* A new group "hook side:" when either changes. */
static void say_where(struct replay *r, uint32_t hook, int side)
{
	const char *h = hook == MOS_HK_SND ? "snd" : hook == MOS_HK_RCV ? "rcv" : "nul";
	const char *who = side == MOS_SIDE_CLI ? "cli" : side == MOS_SIDE_SVR ? "svr" : "both";

	if (strcmp(r->hook, h) == 0 && strcmp(r->who, who) == 0 && r->log[0])
		return;
	snprintf(r->hook, sizeof(r->hook), "%s", h);
	snprintf(r->who, sizeof(r->who), "%s", who);
	say(r, "%s%s %s:", r->log[0] ? "; " : "", h, who);
}

static void on_event(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	struct replay *r = playing;
	const struct mos_ctx *ctx = worker_of(m)->d.ctx;

	(void)sock;
	(void)arg;
	if (r->quiet)
		return;
	say_where(r, ctx->hook, side);
	if (event == MOS_ON_TCP_STATE_CHANGE)
		say(r, " state(%s)", fsm_name(ctx->conn->end[side].state));
	else if (event == MOS_ON_ERROR)
		say(r, " error(%s)", ctx->conn ? error_name(ctx->conn->err_reason) : "malformed");
	else
		say(r, " %s", event_find(event)->name);
}

void replay_listen(struct replay *r, callback_t handler)
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
		if (mtcp_register_callback(&r->w->mctx, r->sock, all[i].event, all[i].hook, handler) < 0)
			abort();
}

void replay_init(struct replay *r, const struct settings *set)
{
	struct settings s;

	memset(r, 0, sizeof(*r));
	settings_default(&s);
	s.linger_ns = 0;
	s.max_conns = 1000;
	r->w = aligned_alloc(64, (sizeof(*r->w) + 63) & ~63ul);
	if (worker_init(r->w, 0, set ? set : &s) < 0)
		abort();
	r->isn[CLI] = 1000;
	r->isn[SVR] = 5000;
	r->port[CLI] = 40000;
	r->port[SVR] = 80;
	r->now_ns = 1000ull * 1000 * MS;
	playing = r;
	r->sock = mtcp_socket(&r->w->mctx, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);
	replay_listen(r, on_event);
}

void replay_fini(struct replay *r)
{
	r->quiet = true;
	worker_finish(r->w);
	worker_fini(r->w);
	free(r->w);
}

static void put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v & 0xffff);
}

static uint8_t flags_of(const char **text)
{
	static const char letters[] = "FSRP.UEW";
	uint8_t flags = 0;

	for (; **text && !isspace((unsigned char)**text); (*text)++) {
		const char *at = strchr(letters, **text);
		if (at)
			flags |= (uint8_t)(1 << (at - letters));
	}
	return flags;
}

/* "<mss 1460,wscale 7,TS val 1 ecr 2,sackOK>" into opt, padded. Returns the length. */
static unsigned options_of(const char *text, uint8_t *opt)
{
	const char *lt = strchr(text, '<'), *s;
	unsigned n = 0, v, w;

	if (!lt)
		return 0;
	if ((s = strstr(lt, "mss ")) && sscanf(s, "mss %u", &v) == 1) {
		opt[n] = 2, opt[n + 1] = 4, put16(opt + n + 2, v);
		n += 4;
	}
	if ((s = strstr(lt, "wscale ")) && sscanf(s, "wscale %u", &v) == 1) {
		opt[n] = 3, opt[n + 1] = 3, opt[n + 2] = (uint8_t)v;
		n += 3;
	}
	if (strstr(lt, "sackOK")) {
		opt[n] = 4, opt[n + 1] = 2;
		n += 2;
	}
	if ((s = strstr(lt, "TS ")) && sscanf(s, "TS val %u ecr %u", &v, &w) == 2) {
		opt[n] = 8, opt[n + 1] = 10, put32(opt + n + 2, v), put32(opt + n + 6, w);
		n += 10;
	}
	while (n % 4)
		opt[n++] = 1;
	return n;
}

static unsigned payload_of(const char *text, uint8_t *out, unsigned len, uint32_t from)
{
	const char *q = strchr(text, '"');

	for (unsigned i = 0; i < len; i++)
		out[i] = q ? (uint8_t)q[1 + i] : (uint8_t)('a' + (from - 1 + i) % 26);
	return len;
}

static unsigned ip_header(const struct replay *r, int side, uint8_t *f, unsigned tcp_len)
{
	static const uint8_t addr[2] = { 1, 2 };

	if (r->ipv6) {
		put16(f + 12, 0x86dd);
		f[14] = 0x60;
		put16(f + 18, tcp_len);
		f[20] = 6, f[21] = 64;
		f[22] = f[38] = 0xfd;
		f[37] = addr[side], f[53] = addr[!side];
		return 54;
	}
	put16(f + 12, 0x0800);
	f[14] = 0x45;
	put16(f + 16, tcp_len + 20);
	f[22] = 64, f[23] = 6;
	f[26] = f[30] = 10;
	f[29] = addr[side], f[33] = addr[!side];
	return 34;
}

/* Build the frame of a segment into slot i of the burst. */
static void build(struct replay *r, unsigned i, int side, const char *text)
{
	struct mos_packet *p = &r->w->burst[i];
	uint8_t *f = frames[i], opt[40];
	uint32_t from = 0, to = 0, ack = 0, win = 65535;
	unsigned len = 0;
	const char *at = text, *s;
	uint8_t flags = flags_of(&at);

	if (sscanf(at, " %u:%u(%u)", &from, &to, &len) != 3)
		abort();
	if ((s = strstr(at, "ack ")))
		sscanf(s, "ack %u", &ack);
	if ((s = strstr(at, "win ")))
		sscanf(s, "win %u", &win);
	unsigned optlen = options_of(at, opt), hlen = 20 + optlen;
	memset(f, 0, 120);
	unsigned off = ip_header(r, side, f, hlen + len);
	uint8_t *t = f + off;
	put16(t, r->port[side]);
	put16(t + 2, r->port[!side]);
	put32(t + 4, r->isn[side] + from);
	put32(t + 8, s || flags & MOS_TH_ACK ? r->isn[!side] + ack : 0);
	t[12] = (uint8_t)(hlen / 4 << 4);
	t[13] = flags;
	put16(t + 14, win);
	memcpy(t + 20, opt, optlen);
	payload_of(at, t + hlen, len, from);
	r->now_ns += MS;
	*p = (struct mos_packet){ .data = f, .ts_ns = r->now_ns, .link = 1 };
	p->caplen = p->len = off + hlen + len;
	if ((s = strstr(at, "snap ")) && sscanf(s, "snap %u", &len) == 1)
		p->caplen = off + hlen + len;
}

static const char *play(struct replay *r, unsigned n)
{
	playing = r;
	r->log[0] = r->hook[0] = r->who[0] = '\0';
	path_burst(r->w, n);
	r->packet = r->w->burst[n - 1];
	return r->log;
}

const char *replay_segment(struct replay *r, int side, const char *text)
{
	build(r, 0, side, text);
	return play(r, 1);
}

const char *replay_burst(struct replay *r, const struct said *said)
{
	unsigned n = 0;

	for (; said[n].segment; n++)
		build(r, n, said[n].side, said[n].segment);
	return play(r, n);
}

const char *replay_wait(struct replay *r, double seconds)
{
	playing = r;
	r->log[0] = r->hook[0] = r->who[0] = '\0';
	r->now_ns += (uint64_t)(seconds * 1e9);
	path_advance(r->w, r->now_ns);
	return r->log;
}

const char *replay_end(struct replay *r)
{
	playing = r;
	r->log[0] = r->hook[0] = r->who[0] = '\0';
	worker_finish(r->w);
	return r->log;
}
