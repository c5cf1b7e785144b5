#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mos_ffi.h"
#include "sum.h"

enum {
	FRAME_ALIGN = 64, /* as a network card's buffers are */
	FRAME_MAX = 2048,
	PACKET_NS = 1000,
	VARIANTS = 256, /* of the payload */
	VARIANT_STEP = 4093,
	SYN_OPTIONS = 20,
	OPTIONS = 12,
	WINDOW = 65535,
	LOSS_DELAY = 3, /* packets of the connection until a lost one comes again */
	REXMIT_DELAY = 2,
};

/* A packet that every connection has. Sequence and acknowledgement are counted from the initial numbers. */
struct step {
	uint32_t seq, ack;
	uint32_t len;
	uint8_t side;
	uint8_t flags;
	bool fragile; /* may be lost, reordered, sent twice */
	bool settles; /* what was held back comes before it */
};

/* A connection under way. */
struct talk {
	uint32_t conn;
	uint32_t step;
	uint32_t held; /* step that comes later, plus 1; 0: none */
	uint8_t held_for;
	bool held_again; /* it came already */
};

static uint64_t roll(struct trace *t)
{
	t->rng ^= t->rng << 13;
	t->rng ^= t->rng >> 7;
	t->rng ^= t->rng << 17;
	return t->rng * 0x2545f4914f6cdd1d;
}

static uint32_t roll_below(struct trace *t, uint32_t n)
{
	return (uint32_t)((roll(t) >> 32) * n >> 32);
}

static bool chance(struct trace *t, double percent)
{
	return percent > 0 && (double)(roll(t) >> 32) < percent / 100 * 0x1p32;
}

static uint8_t *put16(uint8_t *f, uint32_t v)
{
	f[0] = (uint8_t)(v >> 8);
	f[1] = (uint8_t)v;
	return f + 2;
}

static uint8_t *put32(uint8_t *f, uint32_t v)
{
	return put16(put16(f, v >> 16), v & 0xffff);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* A number of its own for every connection: no two share address and port. */
static uint32_t conn_spread(uint32_t conn)
{
	return conn * 0x9e3779b1;
}

/* Addresses and ports of a connection: [0] the client's, [1] the server's. */
struct ends {
	uint32_t addr[2];
	uint16_t port[2];
};

/*
 * The ends of a colliding flood differ in few bits, never in the low ones, and the difference between a connection's two
 * ends is always the same.
 */
static struct ends conn_ends(const struct trace *t, uint32_t conn)
{
	uint32_t spread = conn_spread(conn), addr = (conn >> 10) << 16 | 0x0101;
	uint16_t port = (uint16_t)(conn << 6 | 1);

	switch (t->p.flood) {
	case FLOOD_RANDOM:
		return (struct ends){ { spread, 0xac100050 }, { (uint16_t)mix(conn), 80 } };
	case FLOOD_COLLIDE:
		return (struct ends){ { addr, addr ^ 0x0202 }, { port, port ^ 0x5540 } };
	default:
		return (struct ends){ { 0x0a000000 | spread >> 15, 0xac100000 | conn % 251 },
				      { (uint16_t)(1024 + (spread & 0x7fff)), 80 } };
	}
}

static uint32_t conn_isn(const struct trace *t, uint32_t conn, int side)
{
	return (uint32_t)mix(t->p.seed + 2 * (uint64_t)conn + (uint64_t)side);
}

static uint32_t conn_variant(uint32_t conn)
{
	return conn % VARIANTS;
}

/* What `side` of a connection sends, from its first byte on. */
static const uint8_t *conn_text(const struct trace *t, uint32_t conn, int side)
{
	return t->text + (size_t)conn_variant(conn) * VARIANT_STEP + (side == MOS_SIDE_CLI ? 1 : 0);
}

static uint8_t *put_ip4(uint8_t *f, const struct ends *e, int side, uint32_t len)
{
	f = put16(f, 0x0800);
	f = put16(f, 0x4500);
	f = put16(f, len + 20);
	f = put32(f, 0x4000);
	f = put32(f, 0x40060000);
	f = put32(f, e->addr[side]);
	return put32(f, e->addr[!side]);
}

static uint8_t *put_ip6_address(uint8_t *f, uint32_t host)
{
	f = put32(f, 0x20010db8);
	f = put32(f, 0);
	f = put32(f, 0);
	return put32(f, host);
}

static uint8_t *put_ip6(uint8_t *f, const struct ends *e, int side, uint32_t len)
{
	f = put16(f, 0x86dd);
	f = put32(f, 0x60000000);
	f = put16(f, len);
	f = put16(f, 0x0640);
	f = put_ip6_address(f, e->addr[side]);
	return put_ip6_address(f, e->addr[!side]);
}

static uint8_t *put_options(uint8_t *f, bool syn, uint32_t tsval)
{
	if (syn) {
		f = put32(f, 0x020405b4);
		f = put32(f, 0x0402080a);
		f = put32(f, tsval);
		f = put32(f, 0);
		return put32(f, 0x01030307);
	}
	f = put32(f, 0x0101080a);
	f = put32(f, tsval);
	return put32(f, tsval);
}

static uint8_t *put_tcp(const struct trace *t, uint8_t *f, const struct talk *k, const struct ends *e,
			const struct step *s, uint32_t ack)
{
	bool syn = s->flags & MOS_TH_SYN;
	uint32_t options = syn ? SYN_OPTIONS : OPTIONS;

	f = put16(f, e->port[s->side]);
	f = put16(f, e->port[!s->side]);
	f = put32(f, conn_isn(t, k->conn, s->side) + s->seq);
	f = put32(f, s->flags & MOS_TH_ACK ? conn_isn(t, k->conn, !s->side) + ack : 0);
	f = put16(f, (20 + options) / 4 << 12 | s->flags);
	f = put16(f, WINDOW);
	f = put32(f, 0);
	return put_options(f, syn, (uint32_t)(t->now_ns / 1000000) + 1);
}

static void emit(struct trace *t, const struct talk *k, const struct step *s, uint32_t ack)
{
	uint8_t *frame = t->arena + t->arena_used, *f = frame;
	struct ends e = conn_ends(t, k->conn);
	uint32_t tcp = 20 + (s->flags & MOS_TH_SYN ? SYN_OPTIONS : OPTIONS) + s->len;

	f = put32(f, 0x02000000);
	f = put32(f, 0x00010200);
	f = put32(f, 0x00000002);
	f = t->p.ipv6 ? put_ip6(f, &e, s->side, tcp) : put_ip4(f, &e, s->side, tcp);
	f = put_tcp(t, f, k, &e, s, ack);
	if (s->len)
		memcpy(f, conn_text(t, k->conn, s->side) + s->seq - 1, s->len);
	uint32_t len = (uint32_t)(f - frame) + s->len;
	t->frames[t->frames_n++] = (struct frame){ t->arena_used, t->now_ns, len, k->conn };
	t->arena_used += (len + FRAME_ALIGN - 1) & ~(size_t)(FRAME_ALIGN - 1);
	t->now_ns += PACKET_NS;
	t->totals.packets++;
	t->totals.wire_bytes += len;
	t->totals.data_packets += s->len > 0;
	t->totals.payload += s->len;
}

/* The client acknowledges nothing behind a packet that is yet to come. */
static uint32_t ack_of(const struct trace *t, const struct talk *k, const struct step *s)
{
	if (!k->held || k->held_again || s->side != MOS_SIDE_CLI)
		return s->ack;
	uint32_t hole = t->steps[k->held - 1].seq;
	return hole < s->ack ? hole : s->ack;
}

static void hold(struct talk *k, uint32_t step, uint8_t packets, bool again)
{
	k->held = step + 1;
	k->held_for = packets;
	k->held_again = again;
}

/* Whether the step's packet is left out for now. */
static bool held_back(struct trace *t, struct talk *k, uint32_t step)
{
	if (!t->steps[step].fragile || k->held)
		return false;
	if (chance(t, t->p.loss)) {
		hold(k, step, LOSS_DELAY, false);
	} else if (chance(t, t->p.reorder)) {
		hold(k, step, 1, false);
	} else {
		if (chance(t, t->p.rexmit))
			hold(k, step, REXMIT_DELAY, true);
		return false;
	}
	return true;
}

/* One packet of the connection. */
static void advance(struct trace *t, struct talk *k)
{
	uint32_t step = k->step;

	if (k->held && (!k->held_for || t->steps[step].settles)) {
		const struct step *s = &t->steps[k->held - 1];

		k->held = 0;
		emit(t, k, s, s->ack);
		return;
	}
	if (held_back(t, k, step))
		step++; /* there is one: the last packet is not fragile */
	k->step = step + 1;
	emit(t, k, &t->steps[step], ack_of(t, k, &t->steps[step]));
	if (k->held && k->held != step + 1)
		k->held_for--;
}

static bool begin(struct trace *t, struct talk *k)
{
	if (t->started == t->p.connections)
		return false;
	uint32_t conn = t->started++;
	*k = (struct talk){ .conn = conn };
	uint16_t port = conn_ends(t, conn).port[0];
	t->totals.connections++;
	t->totals.request_bytes += t->p.request;
	t->totals.response_bytes += t->p.response;
	t->totals.request_sum += t->request_sum[conn_variant(conn)] * sum_factor(port, MOS_SIDE_SVR);
	t->totals.response_sum += t->response_sum[conn_variant(conn)] * sum_factor(port, MOS_SIDE_CLI);
	return true;
}

bool trace_next(struct trace *t)
{
	bool first = !t->totals.packets;

	t->frames_n = t->arena_used = 0;
	while (t->live && t->frames_n < t->frames_max && t->arena_used + FRAME_MAX <= t->p.memory) {
		if (t->turn >= t->live)
			t->turn = 0;
		uint32_t i = t->p.lockstep ? t->turn++ : roll_below(t, t->live);
		struct talk *k = &t->talks[i];

		advance(t, k);
		if (k->step == t->steps_n && !begin(t, k))
			*k = t->talks[--t->live];
	}
	t->whole = first && !t->live;
	return t->frames_n;
}

void trace_rewind(struct trace *t)
{
	memset(&t->totals, 0, sizeof(t->totals));
	t->started = t->turn = 0;
	t->whole = false;
	t->now_ns = 0;
	t->rng = mix(t->p.seed + 1) | 1;
	for (t->live = 0; t->live < t->p.concurrency && begin(t, &t->talks[t->live]);)
		t->live++;
}

static void add_step(struct trace *t, int side, uint8_t flags, uint32_t seq, uint32_t len, uint32_t ack)
{
	t->steps[t->steps_n++] = (struct step){
		.seq = seq, .ack = ack, .len = len, .side = (uint8_t)side, .flags = flags
	};
}

/* An acknowledgement for every second packet, as RFC 9293 3.8.6.3 has it. */
static void add_response(struct trace *t)
{
	uint32_t off = 0, req = 1 + t->p.request;

	for (uint32_t i = 1; off < t->p.response; i++) {
		uint32_t left = t->p.response - off, len = left < t->p.segment ? left : t->p.segment;

		add_step(t, MOS_SIDE_SVR, MOS_TH_ACK | (len == left ? MOS_TH_PSH : 0), 1 + off, len, req);
		t->steps[t->steps_n - 1].fragile = true;
		off += len;
		if (i % 2 == 0 && off < t->p.response)
			add_step(t, MOS_SIDE_CLI, MOS_TH_ACK, req, 0, 1 + off);
	}
}

static void make_steps(struct trace *t)
{
	uint32_t req = 1 + t->p.request, end = 1 + t->p.response;

	add_step(t, MOS_SIDE_CLI, MOS_TH_SYN, 0, 0, 0);
	if (t->p.flood)
		return;
	add_step(t, MOS_SIDE_SVR, MOS_TH_SYN | MOS_TH_ACK, 0, 0, 1);
	add_step(t, MOS_SIDE_CLI, MOS_TH_ACK, 1, 0, 1);
	if (t->p.request)
		add_step(t, MOS_SIDE_CLI, MOS_TH_ACK | MOS_TH_PSH, 1, t->p.request, 1);
	add_response(t);
	add_step(t, MOS_SIDE_SVR, MOS_TH_ACK | MOS_TH_FIN, end, 0, req);
	add_step(t, MOS_SIDE_CLI, MOS_TH_ACK, req, 0, end + 1);
	t->steps[t->steps_n - 1].settles = true;
	add_step(t, MOS_SIDE_CLI, MOS_TH_ACK | MOS_TH_FIN, req, 0, end + 1);
	add_step(t, MOS_SIDE_SVR, MOS_TH_ACK, end + 1, 0, req + 1);
}

static void make_text(struct trace *t, size_t len)
{
	uint64_t x = t->p.seed;

	for (size_t i = 0; i < len; i++)
		t->text[i] = (uint8_t)mix(x += 0x9e3779b97f4a7c15);
	for (uint32_t v = 0; v < VARIANTS; v++)
		memcpy(t->text + (size_t)v * VARIANT_STEP + 1, TRACE_REQUEST, sizeof(TRACE_REQUEST) - 1);
	for (uint32_t v = 0; v < VARIANTS; v++) {
		t->request_sum[v] = sum_bytes(0, conn_text(t, v, MOS_SIDE_CLI), t->p.request);
		t->response_sum[v] = sum_bytes(0, conn_text(t, v, MOS_SIDE_SVR), t->p.response);
	}
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

int trace_init(struct trace *t, const struct trace_params *p)
{
	size_t text = (size_t)VARIANTS * VARIANT_STEP + p->response + p->request + sizeof(TRACE_REQUEST);

	memset(t, 0, sizeof(*t));
	t->p = *p;
	t->frames_max = p->memory / FRAME_ALIGN;
	t->steps = calloc(2 * (size_t)(p->response / p->segment) + 16, sizeof(*t->steps));
	t->text = malloc(text);
	t->talks = calloc(p->concurrency, sizeof(*t->talks));
	t->request_sum = calloc(VARIANTS, sizeof(*t->request_sum));
	t->response_sum = calloc(VARIANTS, sizeof(*t->response_sum));
	t->arena = map(p->memory);
	t->frames = map(t->frames_max * sizeof(*t->frames));
	if (!t->steps || !t->text || !t->talks || !t->request_sum || !t->response_sum || !t->arena || !t->frames) {
		trace_fini(t);
		return -ENOMEM;
	}
	make_steps(t);
	make_text(t, text);
	trace_rewind(t);
	return 0;
}

void trace_fini(struct trace *t)
{
	if (t->arena)
		munmap(t->arena, t->p.memory);
	if (t->frames)
		munmap(t->frames, t->frames_max * sizeof(*t->frames));
	free(t->steps);
	free(t->text);
	free(t->talks);
	free(t->request_sum);
	free(t->response_sum);
	memset(t, 0, sizeof(*t));
}

uint64_t trace_duration_ns(const struct trace *t)
{
	/* Each packet may come twice. */
	return 2 * (uint64_t)t->steps_n * t->p.connections * PACKET_NS;
}
