#include "reorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"
#include "pkt/bytes.h"
#include "pkt/edit.h"
#include "rewrite.h"
#include "tcp/end.h"
#include "tcp/seq.h"
#include "tcp/track.h"

enum { OPT_NOP = 1, OPT_TS = 8, TS_BYTES = 10 };

struct early {
	struct early *next;
	uint64_t off; /* of its first byte */
	struct mos_packet packet;
	uint8_t frame[];
};

static struct rewrite *record(const struct worker *w, const struct mos_conn *c)
{
	return pool_at(&w->rewrites, c->rewrite);
}

int reorder_begin(struct worker *w, struct mos_conn *c, int side)
{
	struct rewrite *r = rewrite_begin(w, c, side);

	if (!r)
		return -ENOBUFS;
	r->ordered[side] = true;
	return 0;
}

/* The offset of side's that is to leave next. */
static uint64_t expected(const struct worker *w, const struct mos_conn *c, int side)
{
	uint64_t left = record(w, c)->left[side], acked = track_acked(c, side);

	return acked > left ? acked : left;
}

/* The first of the list, which is the caller's then. */
static struct early *list_take(struct worker *w, struct early_list *list)
{
	struct early *x = list->first;

	list->first = x->next;
	list->n--;
	list->bytes -= x->packet.caplen;
	w->early_bytes -= x->packet.caplen;
	return x;
}

void reorder_drop(struct worker *w, struct early_list *list)
{
	while (list->first)
		free(list_take(w, list));
}

/* False if there is no room. A copy of one that waits is as good as kept. */
static bool list_add(struct worker *w, struct early_list *list, const struct mos_packet *p, uint64_t off)
{
	struct early **at = &list->first;

	while (*at && (*at)->off < off)
		at = &(*at)->next;
	for (const struct early *x = *at; x && x->off == off; x = x->next)
		if (x->packet.payload_len >= p->payload_len &&
		    (x->packet.tcp_flags | p->tcp_flags) == x->packet.tcp_flags)
			return true;
	if (list->n == EARLY_FRAMES || list->bytes + p->caplen > EARLY_BYTES ||
	    w->early_bytes + p->caplen > EARLY_BYTES_ALL)
		return false;
	struct early *x = malloc(sizeof(*x) + p->caplen);

	if (!x)
		return false;
	*x = (struct early){ .next = *at, .off = off, .packet = *p };
	memcpy(x->frame, p->data, p->caplen);
	*at = x;
	list->n++;
	list->bytes += p->caplen;
	w->early_bytes += p->caplen;
	return true;
}

bool reorder_hold(struct worker *w, struct mos_conn *c, struct mos_packet *p)
{
	struct rewrite *r = record(w, c);
	int side = p->dir ^ c->cli;
	const struct mos_end *e = &c->end[side];

	if (!r->ordered[side] || !(e->flags & MOS_END_BASE) || (p->tcp_flags & (MOS_TH_SYN | MOS_TH_RST)) ||
	    (!p->payload_len && !(p->tcp_flags & MOS_TH_FIN)) || (c->flags & MOS_CONN_CLOSED))
		return false;
	int64_t off = end_offset(e, p->seq), early = off - (int64_t)expected(w, c, side);

	if (early <= 0)
		return false;
	if (p->verdict == MOS_DROPPED)
		return true;
	/* The frame of one that came in fragments is not its own. */
	bool kept = p != &w->whole && early <= EARLY_BYTES && list_add(w, &r->early[side], p, (uint64_t)off);

	p->verdict = kept ? MOS_HELD : MOS_DROPPED;
	if (kept && w->in && w->in->sends)
		inject_sack(w, c, !side, p->seq, p->seq + p->payload_len);
	return true;
}

/* RFC 7323 5: behind one that was sent later, its time stamp would make its receiver refuse it. */
static void stamp_anew(const struct mos_end *e, struct mos_packet *p)
{
	uint8_t *opt = p->data + p->l4 + 20, *end = p->data + (p->payload < p->caplen ? p->payload : p->caplen);
	uint64_t before = packet_header_sum(p);

	while ((e->flags & MOS_END_TS) && end - opt >= 2 && *opt) {
		uint8_t n = *opt == OPT_NOP ? 1 : opt[1];

		if (n < 1 || n > end - opt || (n < 2 && *opt != OPT_NOP))
			break;
		if (*opt == OPT_TS && n == TS_BYTES && seq_lt(load_be32(opt + 2), e->ts_recent)) {
			store_be32(opt + 2, e->ts_recent);
			packet_header_changed(p, before);
			break;
		}
		opt += n;
	}
}

/* One that waited, as a packet that leaves behind the one in dispatch. */
static void pass_one(struct worker *w, struct mos_conn *c, const struct early *x,
		     void (*pass)(struct worker *w, struct mos_conn *c, struct mos_packet *p))
{
	uint32_t at = w->outbox.n;
	struct outgoing *o = outbox_add(&w->outbox, w->at + 1);
	struct mos_packet p = x->packet;

	p.data = o ? arena_get(&w->outbox.arena, p.caplen) : NULL;
	if (!p.data) {
		w->outbox.n = at;
		return;
	}
	memcpy(p.data, x->frame, p.caplen);
	p.ts_ns = w->now_ns;
	p.verdict = MOS_PASS;
	stamp_anew(&c->end[p.dir ^ c->cli], &p);
	pass(w, c, &p);
	/* By now the outbox may have moved. */
	w->outbox.v[at].packet = p;
	w->stats.dropped += p.verdict == MOS_DROPPED;
}

static bool is_there(const struct mos_conn *c)
{
	return (c->flags & MOS_CONN_LIVE) && (c->flags & MOS_CONN_REWRITTEN);
}

static void release_side(struct worker *w, struct mos_conn *c, int side,
			 void (*pass)(struct worker *w, struct mos_conn *c, struct mos_packet *p))
{
	while (is_there(c)) {
		struct early_list *list = &record(w, c)->early[side];
		struct early *x = list->first;

		if (!x || x->off > expected(w, c, side) || w->failed)
			return;
		list_take(w, list);
		pass_one(w, c, x, pass);
		free(x);
	}
}

void reorder_release(struct worker *w, struct mos_conn *c,
		     void (*pass)(struct worker *w, struct mos_conn *c, struct mos_packet *p))
{
	if (w->releases)
		return;
	w->releases = true;
	release_side(w, c, MOS_SIDE_CLI, pass);
	release_side(w, c, MOS_SIDE_SVR, pass);
	w->releases = false;
}
