#include "rewrite.h"

#include <errno.h>
#include <string.h>

#include "connection.h"
#include "pkt/bytes.h"
#include "pkt/edit.h"
#include "tcp/end.h"

enum {
	PUT_MAX = 1 << 20, /* bytes of one edit */
	IP_MAX = 65535,    /* bytes of an IP packet */
	MSS_LEAST = 48,    /* an announcement below it is not believed */
	MSS_UNKNOWN = 536, /* RFC 9293 3.7.1: where the receiver's SYN did not say or was not seen */

	OPT_NOP = 1,
	OPT_SACK = 5,
};

/* Of struct rewrite.acked. */
#define NOTHING_ACKED INT64_MIN

static struct rewrite *record(const struct worker *w, const struct mos_conn *c)
{
	return pool_at(&w->rewrites, c->rewrite);
}

/* What the packet in dispatch, which has a connection, means. */
static struct segment meaning(const struct worker *w)
{
	const struct mos_packet *p = w->d.ctx->pkt;
	const struct mos_conn *c = w->d.ctx->conn;
	const struct mos_end *e = &c->end[c->last_side];

	if (w->seg)
		return *w->seg;
	uint64_t off = (uint64_t)end_offset(e, p->seq);

	return (struct segment){ .side = c->last_side, .off = off, .top = off, .len = (uint32_t)(e->nxt_off - off) };
}

/* One past the highest offset of side's that has left, before the packet in dispatch leaves. */
static uint64_t left_before(const struct worker *w, const struct mos_conn *c, int side)
{
	if (c->flags & MOS_CONN_REWRITTEN)
		return record(w, c)->left[side];
	if (w->d.ctx->pkt && w->d.ctx->conn == c) {
		struct segment s = meaning(w);

		if (s.side == side && !s.ignored)
			return s.top;
	}
	return c->end[side].nxt_off;
}

/* Has side's FIN left before the packet in dispatch, where no packet was dropped before? */
static bool fin_seen_before(const struct worker *w, const struct mos_conn *c, int side)
{
	const struct mos_packet *p = w->d.ctx->pkt;

	if (!(c->end[side].flags & MOS_END_FIN))
		return false;
	return !p || w->d.ctx->conn != c || c->last_side != side || !(p->tcp_flags & MOS_TH_FIN) || meaning(w).rexmit;
}

/* The connection's record; where there is none it is made, and said that side's bytes below `left` have left. */
static struct rewrite *make(struct worker *w, struct mos_conn *c, int side, uint64_t left)
{
	if (c->flags & MOS_CONN_REWRITTEN)
		return record(w, c);
	uint64_t other = left_before(w, c, !side);

	c->rewrite = pool_get(&w->rewrites);
	if (!c->rewrite)
		return NULL;
	struct rewrite *r = record(w, c);

	*r = (struct rewrite){ .acked = NOTHING_ACKED };
	r->left[side] = left;
	r->left[!side] = other;
	for (int i = 0; i < 2; i++)
		r->fin_left[i] = fin_seen_before(w, c, i);
	c->flags = (uint16_t)((c->flags | MOS_CONN_REWRITTEN) & ~MOS_CONN_PLAIN);
	return r;
}

struct rewrite *rewrite_begin(struct worker *w, struct mos_conn *c, int side)
{
	return make(w, c, side, left_before(w, c, side));
}

void rewrite_end(struct worker *w, struct mos_conn *c)
{
	struct rewrite *r = record(w, c);

	edits_fini(&r->dir[0], &w->tcp.slab);
	edits_fini(&r->dir[1], &w->tcp.slab);
	reorder_drop(w, &r->early[0]);
	reorder_drop(w, &r->early[1]);
	pool_put(&w->rewrites, c->rewrite);
	c->flags &= (uint16_t)~MOS_CONN_REWRITTEN;
}

/* Whose bytes before the IP header a packet leaves with: a segment that came in fragments has none of its own. */
static const struct mos_packet *outer_of(const struct worker *w, const struct mos_packet *p)
{
	return p == &w->whole ? w->fragment : p;
}

static int check_packet(const struct worker *w, const struct segment *s, size_t off, size_t cut, size_t put)
{
	const struct mos_packet *p = w->d.ctx->pkt;

	if (p->decoded != MOS_DECODED_TCP || !(p->payload_len || (p->tcp_flags & MOS_TH_FIN)) || s->ignored)
		return -EINVAL;
	if (p->payload_caplen < p->payload_len || off > p->payload_len || cut > p->payload_len - off)
		return -ERANGE;
	if ((p->tcp_flags & MOS_TH_SYN) || packet_is_encapsulated(outer_of(w, p)))
		return -EOPNOTSUPP;
	return put > PUT_MAX ? -ENOBUFS : 0;
}

/*
 * Programs for mOS set the IP header's length to what it will be before they insert or chomp. The payload is as long as it
 * came all the same.
 */
static void restore_length(const struct segment *s, struct mos_packet *p)
{
	uint32_t len = s->skip + s->len + s->beyond;

	if (len > p->payload_len && p->payload + len <= p->caplen)
		p->payload_len = p->payload_caplen = len;
}

/* The answer to an edit of bytes that have left: fine, if it was made when they did. */
static int repeated(const struct worker *w, const struct mos_conn *c, int side, int64_t at, size_t cut)
{
	if (!(c->flags & MOS_CONN_REWRITTEN) || at < 0)
		return -EALREADY;
	uint64_t from = (uint64_t)at;

	if (from + cut <= track_acked(c, side) || edits_has_left(&record(w, c)->dir[side], from, (uint32_t)cut))
		return 0;
	return -EALREADY;
}

/*
 * A copy of the segment goes on with new bytes: what was put in behind its last byte is asked for again, before the first
 * of the new ones.
 */
static bool appended_before(const struct worker *w, const struct mos_conn *c, int side, int64_t at, const void *bytes,
			    size_t put)
{
	return (c->flags & MOS_CONN_REWRITTEN) && at == (int64_t)record(w, c)->left[side] &&
	       edits_has_appended(&record(w, c)->dir[side], (uint64_t)at, bytes, (uint32_t)put);
}

/* Has side's FIN left before the packet in dispatch? Then what stands before it is settled. */
static bool fin_left_before(const struct worker *w, const struct mos_conn *c, const struct segment *s)
{
	return c->flags & MOS_CONN_REWRITTEN ? record(w, c)->fin_left[s->side] : s->rexmit;
}

int rewrite_payload(struct worker *w, size_t off, size_t cut, const void *bytes, size_t put)
{
	struct mos_packet *p = w->d.ctx->pkt;
	struct mos_conn *c = w->d.ctx->conn;

	if (!p || !c)
		return p ? -ENOTCONN : -EACCES;
	struct segment s = meaning(w);

	restore_length(&s, p);
	int rc = check_packet(w, &s, off, cut, put), side = s.side;

	if (rc || (!cut && !put))
		return rc;
	/* What stands at the end belongs to the last byte, or to the FIN. */
	bool end = off == p->payload_len, fin = end && (p->tcp_flags & MOS_TH_FIN), back = end && !fin;
	int64_t at = end_offset(&c->end[side], p->seq) + (int64_t)off;

	if (at - back < (int64_t)left_before(w, c, side) || (fin && fin_left_before(w, c, &s)))
		return repeated(w, c, side, at, cut);
	if (off && !cut && appended_before(w, c, side, at, bytes, put))
		return 0;
	struct rewrite *r = make(w, c, side, left_before(w, c, side));

	rc = r ? edits_add(&r->dir[side], &w->tcp.slab, (uint64_t)at, (uint32_t)cut, bytes, (uint32_t)put, back)
	       : -ENOBUFS;
	w->stats.edits += rc == 0;
	w->stats.edit_limit += rc < 0;
	return rc;
}

/* What is translated for one packet: numbers of the stream that the end e sends. */
struct translation {
	const struct edits *edits;
	const struct mos_end *e;
	int64_t top; /* one past the highest byte, out: numbers are unfolded against it */
};

/* The position (out) of a sequence number as e's receiver knows it. */
static int64_t position(const struct translation *t, uint32_t seq)
{
	return t->top + seq_diff(seq, t->e->isn + 1 + (uint32_t)t->top);
}

static uint32_t seq_in(const struct translation *t, int64_t off)
{
	return t->e->isn + 1 + (uint32_t)off;
}

/* Blocks whose bytes were all put in here are nothing to the sender: the others move up, and NOPs fill the rest. */
static void translate_sack(const struct translation *t, uint8_t *opt)
{
	unsigned n = opt[1], to = 2;

	for (unsigned from = 2; from + 8 <= n; from += 8) {
		int64_t left = edits_in_from(t->edits, position(t, load_be32(opt + from)));
		int64_t right = edits_in(t->edits, position(t, load_be32(opt + from + 4)));

		if (left >= right)
			continue;
		store_be32(opt + to, seq_in(t, left));
		store_be32(opt + to + 4, seq_in(t, right));
		to += 8;
	}
	memset(opt + to, OPT_NOP, n - to);
	if (to > 2)
		opt[1] = (uint8_t)to;
	else
		memset(opt, OPT_NOP, 2);
}

/* RFC 2018 3; a header that the capture cut, or whose options are malformed, is left as it is from there on. */
static void translate_options(const struct translation *t, struct mos_packet *p)
{
	uint8_t *opt = p->data + p->l4 + 20;
	const uint8_t *end = p->data + (p->payload < p->caplen ? p->payload : p->caplen);

	while (end - opt >= 2 && *opt) {
		if (*opt == OPT_NOP) {
			opt++;
			continue;
		}
		uint8_t n = opt[1];

		if (n < 2 || n > end - opt)
			return;
		if (*opt == OPT_SACK)
			translate_sack(t, opt);
		opt += n;
	}
}

/* The window ends at the same byte, and does not grow by what was cut out. */
static uint16_t translate_window(const struct translation *t, const struct mos_end *by, const struct mos_packet *p,
				 int64_t pos, int64_t in)
{
	bool scaled = (by->flags & t->e->flags & MOS_END_WSCALE) && !(p->tcp_flags & MOS_TH_SYN);
	unsigned shift = scaled ? by->wscale : 0;
	int64_t bytes = edits_in(t->edits, pos + ((int64_t)p->window << shift)) - in;
	int64_t window = bytes < 0 ? 0 : bytes >> shift;

	return window < p->window ? (uint16_t)window : p->window;
}

void rewrite_acks(struct worker *w, struct mos_conn *c, struct mos_packet *p)
{
	struct rewrite *r = record(w, c);
	int side = p->dir == c->cli ? MOS_SIDE_CLI : MOS_SIDE_SVR;
	struct translation t = { .edits = &r->dir[!side], .e = &c->end[!side] };

	r->acked = NOTHING_ACKED;
	if (!(p->tcp_flags & MOS_TH_ACK) || !(t.e->flags & MOS_END_BASE) || (!t.edits->n && !t.edits->shift))
		return;
	t.top = edits_out(t.edits, (int64_t)t.e->nxt_off, true);
	int64_t pos = position(&t, p->ack), in = edits_in(t.edits, pos);
	uint64_t before = packet_header_sum(p);

	p->window = translate_window(&t, &c->end[side], p, pos, in);
	p->ack = seq_in(&t, in);
	store_be32(p->data + p->l4 + 8, p->ack);
	store_be16(p->data + p->l4 + 14, p->window);
	translate_options(&t, p);
	packet_header_changed(p, before);
	if (pos <= t.top + 1)
		r->acked = pos;
}

static void set_seq(struct mos_packet *p, uint32_t seq)
{
	uint64_t before = packet_header_sum(p);

	p->seq = seq;
	store_be32(p->data + p->l4 + 4, seq);
	packet_header_changed(p, before);
}

uint32_t rewrite_mss(const struct mos_conn *c, int side)
{
	uint32_t mss = c->end[!side].mss;

	return !mss ? MSS_UNKNOWN : mss < MSS_LEAST ? MSS_LEAST : mss;
}

/* One segment that is edited, on its way out. */
struct edited {
	const struct edits *edits;
	const struct mos_packet *p;
	const struct mos_end *e;
	int64_t off, out; /* of its first byte that counts; of what became of it */
	uint32_t skip;    /* bytes of its payload below, which its receiver has */
	const uint8_t *bytes;
	uint32_t len, limit; /* of bytes; of one packet's payload */
};

/*
 * Bytes that one packet may carry: as many as its sender put into one, or as its receiver announced (RFC 6691: less the
 * options), whichever is more. For fragments, which the path did not take whole, only the latter.
 */
static uint32_t payload_limit(const struct worker *w, const struct mos_packet *p, uint32_t mss)
{
	uint32_t options = p->tcp_hlen - 20u;
	uint32_t limit = mss > options ? mss - options : 1;
	uint32_t most = IP_MAX - (p->payload - p->l3);

	if (p != &w->whole && limit < p->payload_len)
		limit = p->payload_len;
	return limit < most ? limit : most;
}

/* A packet with p's headers and room for len bytes of payload. */
static bool packet_like(struct worker *w, const struct mos_packet *p, uint32_t len, struct mos_packet *q)
{
	const struct mos_packet *outer = outer_of(w, p);
	uint32_t headers = p->payload - p->l3, room = outer->l3 + headers + len;
	uint8_t *data = arena_get(&w->outbox.arena, room);

	if (!data)
		return false;
	memcpy(data, outer->data, outer->l3);
	memcpy(data + outer->l3, p->data + p->l3, headers);
	*q = *p;
	q->data = data;
	q->link = outer->link;
	q->caplen = q->len = room;
	q->l3 = outer->l3;
	q->l4 = (uint16_t)(outer->l3 + (p->l4 - p->l3));
	q->payload = outer->l3 + headers;
	q->payload_len = q->payload_caplen = len;
	q->ip_len = headers + len;
	q->changed = 1;
	if (q->ip_version == 4)
		store_be16(data + q->l3 + 2, (uint16_t)q->ip_len);
	else
		store_be16(data + q->l3 + 4, (uint16_t)(q->ip_len - 40));
	return true;
}

/* RFC 9293 3.8.5: the urgent pointer is relative to the segment; one that lies outside of it says nothing. */
static void set_urgent(const struct edited *s, struct mos_packet *q, uint32_t from)
{
	int64_t to = edits_out(s->edits, s->off - s->skip + s->p->urgent, false) - s->out - from;

	if (to <= 0 || to > UINT16_MAX) {
		q->tcp_flags &= (uint8_t)~MOS_TH_URG;
		to = 0;
	}
	q->urgent = (uint16_t)to;
	store_be16(q->data + q->l4 + 18, q->urgent);
}

/* Bytes [from, from + q->payload_len) of what became of the segment. */
static void fill_piece(const struct worker *w, const struct edited *s, struct mos_packet *q, uint32_t from)
{
	uint8_t *tcp = q->data + q->l4, *ip = q->data + q->l3;

	q->seq = s->e->isn + 1 + (uint32_t)(s->out + from);
	if (from)
		q->tcp_flags &= (uint8_t)~MOS_TH_CWR;
	if (from + q->payload_len < s->len)
		q->tcp_flags &= (uint8_t) ~(MOS_TH_FIN | MOS_TH_PSH);
	if (q->tcp_flags & MOS_TH_URG)
		set_urgent(s, q, from);
	store_be32(tcp + 4, q->seq);
	tcp[13] = q->tcp_flags;
	if (q->payload_len)
		memcpy(q->data + q->payload, s->bytes + from, q->payload_len);
	/* RFC 6864: packets that may be fragmented must not share an identification. */
	if (from && q->ip_version == 4 && !(ip[6] & 0x40))
		store_be16(ip + 4, (uint16_t)(load_be16(ip + 4) + 0x8000u + from / s->limit));
	worker_seal(w, q);
}

/* The pieces after the first follow the packet. */
static bool send_rest(struct worker *w, const struct edited *s)
{
	uint32_t had = w->outbox.n;

	for (uint32_t from = s->limit; from < s->len; from += s->limit) {
		uint32_t len = s->len - from < s->limit ? s->len - from : s->limit;
		struct outgoing *o = outbox_add(&w->outbox, w->at + 1);

		if (!o || !packet_like(w, s->p, len, &o->packet)) {
			w->outbox.n = had;
			return false;
		}
		fill_piece(w, s, &o->packet, from);
	}
	return true;
}

/*
 * Of a segment that nothing is left of, its receiver would not acknowledge anything, and its sender would repeat it for
 * ever. Just below the window it makes the receiver say where it is (RFC 9293 3.10.7.4), as a keep-alive does.
 */
static bool needs_an_answer(const struct edited *s)
{
	return s->p->payload_len && !s->len && !(s->p->tcp_flags & (MOS_TH_FIN | MOS_TH_RST));
}

static bool edit_packet(struct worker *w, struct mos_packet *p, struct edited *s, uint32_t mss)
{
	struct mos_packet first;
	uint8_t *bytes;

	if (p->payload_caplen < p->payload_len || packet_is_encapsulated(outer_of(w, p)))
		return false;
	uint32_t count = p->payload_len - s->skip;
	bool fin = p->tcp_flags & MOS_TH_FIN;

	s->len = (uint32_t)edits_image_len(s->edits, s->off, count, fin);
	s->limit = payload_limit(w, p, mss);
	bytes = arena_get(&w->outbox.arena, s->len);
	if (!bytes || !packet_like(w, p, s->len < s->limit ? s->len : s->limit, &first))
		return false;
	edits_image(s->edits, s->off, count, fin, p->data + p->payload + s->skip, bytes);
	s->bytes = bytes;
	if (!send_rest(w, s))
		return false;
	s->out -= needs_an_answer(s);
	fill_piece(w, s, &first, 0);
	*p = first;
	return true;
}

/* Bytes that an edit was forgotten of are not sent again: they would be others than those that were acknowledged. */
static void skip_forgotten(struct edited *s)
{
	int64_t below = (int64_t)s->edits->base - s->off;

	if (below <= 0)
		return;
	s->skip = below < s->p->payload_len ? (uint32_t)below : s->p->payload_len;
	s->off += s->skip;
}

/* The packet as it leaves. False if it cannot. */
static bool translate_packet(struct worker *w, const struct mos_conn *c, struct mos_packet *p, int side)
{
	struct edited s = { .edits = &record(w, c)->dir[side], .p = p, .e = &c->end[side] };
	bool syn = p->tcp_flags & MOS_TH_SYN;

	if (!(s.e->flags & MOS_END_BASE))
		return true;
	s.off = end_offset(s.e, p->seq + syn);
	skip_forgotten(&s);
	bool touched = edits_touch(s.edits, s.off, p->payload_len - s.skip, p->tcp_flags & MOS_TH_FIN);

	s.out = edits_out(s.edits, s.off, !p->payload_len && !touched);
	if (!syn && (s.skip || touched || p == &w->whole))
		return edit_packet(w, p, &s, rewrite_mss(c, side));
	if (s.out != s.off)
		set_seq(p, p->seq + (uint32_t)(s.out - s.off));
	return true;
}

bool rewrite_whole(struct worker *w, struct mos_packet *whole, uint32_t mss)
{
	const struct edits none = { 0 };
	const struct mos_end numbers = { .isn = whole->seq - 1 };
	struct edited s = { .edits = &none, .p = whole, .e = &numbers };

	return edit_packet(w, whole, &s, mss);
}

uint32_t rewrite_mss_of(const struct worker *w, const struct mos_packet *p)
{
	const struct mos_conn *c = connection_find(w, p);

	return c ? rewrite_mss(c, p->dir ^ c->cli) : MSS_UNKNOWN;
}

static void note_left(struct rewrite *r, const struct mos_conn *c, const struct segment *s, const struct mos_packet *p)
{
	int64_t end = end_offset(&c->end[s->side], p->seq + !!(p->tcp_flags & MOS_TH_SYN)) + p->payload_len;

	edits_pass(&r->dir[s->side]);
	if (!s->ignored && (p->payload_len || (s->flags & MOS_TH_FIN)) && end > (int64_t)r->left[s->side])
		r->left[s->side] = (uint64_t)end;
	r->fin_left[s->side] |= !s->ignored && (s->flags & MOS_TH_FIN);
}

void rewrite_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p, const struct segment *s)
{
	if (!(c->flags & MOS_CONN_REWRITTEN) && (!s->len || !make(w, c, s->side, s->top)))
		return;
	struct rewrite *r = record(w, c);
	const struct mos_packet came = *p;

	if (p->verdict != MOS_DROPPED && !translate_packet(w, c, p, s->side)) {
		w->stats.edit_failed++;
		p->verdict = MOS_DROPPED;
	}
	if (p->verdict == MOS_DROPPED)
		edits_undo(&r->dir[s->side], &w->tcp.slab);
	else
		note_left(r, c, s, &came);
	if (!s->ignored && r->acked != NOTHING_ACKED)
		edits_settle(&r->dir[!s->side], &w->tcp.slab, r->acked);
}

uint32_t rewrite_seq(const struct worker *w, const struct mos_conn *c, int side, uint32_t seq)
{
	const struct mos_end *e = &c->end[side];

	if (!(c->flags & MOS_CONN_REWRITTEN))
		return seq;
	return e->isn + 1 + (uint32_t)edits_out(&record(w, c)->dir[side], end_offset(e, seq), true);
}

/* The offset of what comes next from side, behind what has left and the packet in dispatch, unless that is dropped. */
static uint64_t next_offset(const struct worker *w, const struct mos_conn *c, int side)
{
	const struct mos_packet *p = w->d.ctx->pkt;
	uint64_t next = left_before(w, c, side);

	if (!p || w->d.ctx->conn != c || p->verdict == MOS_DROPPED)
		return next;
	struct segment s = meaning(w);

	return s.side == side && !s.ignored && s.off + s.len > next ? s.off + s.len : next;
}

uint32_t rewrite_next(const struct worker *w, const struct mos_conn *c, int side)
{
	const struct mos_packet *p = w->d.ctx->pkt;
	const struct mos_end *e = &c->end[side];
	uint32_t seq = end_seq(e, next_offset(w, c, side));
	bool dropped = p && w->d.ctx->conn == c && c->last_side == side && p->verdict == MOS_DROPPED &&
		       (p->tcp_flags & MOS_TH_FIN);

	return rewrite_seq(w, c, side, seq + ((e->flags & MOS_END_FIN) && seq == e->fin_seq && !dropped));
}

int rewrite_insert(struct worker *w, struct mos_conn *c, int side, const void *bytes, size_t len, uint32_t *seq)
{
	uint64_t at = next_offset(w, c, side);
	struct rewrite *r = len <= PUT_MAX ? make(w, c, side, left_before(w, c, side)) : NULL;
	int rc = -ENOBUFS;

	if (r) {
		*seq = end_seq(&c->end[side], (uint64_t)edits_out(&r->dir[side], (int64_t)at, true));
		rc = edits_add(&r->dir[side], &w->tcp.slab, at, 0, bytes, (uint32_t)len, false);
		edits_pass(&r->dir[side]);
	}
	w->stats.edits += rc == 0;
	w->stats.edit_limit += rc < 0;
	return rc;
}

const struct edit *rewrite_waiting(const struct worker *w, const struct mos_conn *c, int side, uint32_t n,
				   uint32_t *seq)
{
	if (!(c->flags & MOS_CONN_REWRITTEN))
		return NULL;
	const struct edits *e = &record(w, c)->dir[side];
	uint64_t left = record(w, c)->left[side];
	uint32_t i = e->n;

	while (i && e->v[i - 1].at == left && !e->v[i - 1].back)
		i--;
	if (n >= e->n - i || !e->v[i + n].sent)
		return NULL;
	*seq = c->end[side].isn + 1 + (uint32_t)((int64_t)e->v[i + n].at + e->v[i + n].shift);
	return &e->v[i + n];
}
