#include "inject.h"

#include <errno.h>
#include <string.h>

#include "connection.h"
#include "pkt/bytes.h"
#include "pkt/edit.h"
#include "rewrite.h"
#include "tcp/end.h"

enum {
	LINK_ETHERNET = 1,
	MACS = 12,
	IP4_HLEN = 20,
	IP6_HLEN = 40,
	TCP_HLEN = 20,
	TS_OPTION = 12,
	SACK_OPTION = 12,
	TTL = 64
};

/* A packet under construction: link-layer header, IP header, TCP header, payload. */
struct draft {
	const struct mos_conn *c; /* NULL: not of a connection */
	int side;                 /* the sender */
	struct framing framing;
	uint8_t ip_hlen, tcp_hlen;
	uint32_t len; /* of payload */
};

/* Of a packet in dispatch when there is no connection, or its own framing is not known. False: there is none. */
static bool framing_of_packet(const struct mos_packet *p, bool reverse, struct framing *f)
{
	if (!p || !p->ip_version || p->l3 > FRAMING_BYTES || packet_is_encapsulated(p))
		return false;
	*f = (struct framing){ .link = p->link, .len = (uint8_t)p->l3 };
	memcpy(f->bytes, p->data, p->l3);
	if (reverse)
		framing_reverse(f);
	return true;
}

static int choose_framing(const struct worker *w, struct draft *d)
{
	if (!d->c)
		return framing_of_packet(w->d.ctx->pkt, false, &d->framing) ? 0 : -ENOTCONN;
	if (!d->c->framing)
		return -EOPNOTSUPP;
	d->framing = w->framings.v[d->c->framing];
	if (d->side == MOS_SIDE_SVR)
		framing_reverse(&d->framing);
	return 0;
}

/* The draft's packet in the outbox, its link-layer header filled in, all else zero. NULL: the outbox is full. */
static struct mos_packet *packet_begin(struct worker *w, const struct draft *d)
{
	uint32_t ip_len = d->ip_hlen + d->tcp_hlen + d->len, room = d->framing.len + ip_len;
	struct outgoing *o = outbox_add(&w->outbox, w->at + !!w->d.ctx->pkt);
	uint8_t *data = o ? arena_get(&w->outbox.arena, room) : NULL;

	if (!data) {
		w->outbox.n -= !!o;
		return NULL;
	}
	struct mos_packet *p = &o->packet;

	memset(data, 0, room - d->len);
	memcpy(data, d->framing.bytes, d->framing.len);
	*p = (struct mos_packet){
		.data = data, .ts_ns = w->now_ns, .caplen = room, .len = room, .link = d->framing.link
	};
	p->l3 = d->framing.len;
	p->l4 = (uint16_t)(p->l3 + d->ip_hlen);
	p->payload = p->l4 + d->tcp_hlen;
	p->payload_len = p->payload_caplen = d->len;
	p->tcp_hlen = d->tcp_hlen;
	p->ip_len = ip_len;
	p->ip_version = d->ip_hlen == IP6_HLEN ? 6 : 4;
	p->ip_proto = IPPROTO_TCP;
	p->decoded = MOS_DECODED_TCP;
	p->port = d->c ? d->c->port : w->d.ctx->pkt->port;
	o->reverse = d->c && d->side == MOS_SIDE_SVR;
	w->stats.sent++;
	return p;
}

static void fill_ip(struct mos_packet *p, const struct mos_key *key, int from)
{
	uint8_t *ip = p->data + p->l3;

	if (key->family == 6) {
		ip[0] = 0x60;
		store_be16(ip + 4, (uint16_t)(p->ip_len - IP6_HLEN));
		ip[6] = IPPROTO_TCP;
		ip[7] = TTL;
		memcpy(ip + 8, key->addr_be[from], 16);
		memcpy(ip + 24, key->addr_be[!from], 16);
		return;
	}
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)p->ip_len);
	ip[6] = 0x40; /* not to be fragmented, so an identification of 0 is fine (RFC 6864 4.1) */
	ip[8] = TTL;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, key->addr_be[from], 4);
	memcpy(ip + 16, key->addr_be[!from], 4);
}

static bool has_timestamps(const struct mos_conn *c)
{
	return c->end[0].flags & c->end[1].flags & MOS_END_TS;
}

/* RFC 7323 3.2: every segment but a RST has them where the connection does. */
static void fill_timestamps(uint8_t *opt, const struct mos_conn *c, int side)
{
	memcpy(opt, "\x01\x01\x08\x0a", 4);
	store_be32(opt + 4, c->end[side].ts_recent);
	store_be32(opt + 8, c->end[!side].ts_recent);
}

static uint16_t window_of(const struct mos_conn *c, int side)
{
	bool scaled = c->end[0].flags & c->end[1].flags & MOS_END_WSCALE;
	uint32_t win = c->end[side].win >> (scaled ? c->end[side].wscale : 0);

	return win < UINT16_MAX ? (uint16_t)win : UINT16_MAX;
}

/* A block of bytes that are there: the sequence numbers of the first and of the one behind the last. */
struct block {
	uint32_t from, to;
};

static void fill_sack(uint8_t *opt, const struct block *b)
{
	memcpy(opt, "\x01\x01\x05\x0a", 4);
	store_be32(opt + 4, b->from);
	store_be32(opt + 8, b->to);
}

/* One segment of side; seq as its receiver counts. sack: NULL, or what it says of SACK. */
static int send_options(struct worker *w, const struct mos_conn *c, int side, uint8_t flags, uint32_t seq,
			const struct block *sack, const void *payload, uint32_t len)
{
	const struct mos_end *e = &c->end[side];
	bool stamped = has_timestamps(c) && !(flags & MOS_TH_RST);
	struct draft d = { .c = c, .side = side, .len = len };
	int rc = choose_framing(w, &d), from = c->cli ^ side;

	if (rc < 0)
		return rc;
	d.ip_hlen = c->key.family == 6 ? IP6_HLEN : IP4_HLEN;
	d.tcp_hlen = (uint8_t)(TCP_HLEN + (stamped ? TS_OPTION : 0) + (sack ? SACK_OPTION : 0));
	struct mos_packet *p = packet_begin(w, &d);

	if (!p)
		return -ENOBUFS;
	uint8_t *tcp = p->data + p->l4;

	fill_ip(p, &c->key, from);
	store_be16(tcp, c->key.port[from]);
	store_be16(tcp + 2, c->key.port[!from]);
	store_be32(tcp + 4, seq);
	store_be32(tcp + 8, flags & MOS_TH_ACK ? e->ack : 0);
	tcp[12] = (uint8_t)(d.tcp_hlen / 4 << 4);
	tcp[13] = flags;
	store_be16(tcp + 14, flags & MOS_TH_RST ? 0 : window_of(c, side));
	if (stamped)
		fill_timestamps(tcp + TCP_HLEN, c, side);
	if (sack)
		fill_sack(tcp + d.tcp_hlen - SACK_OPTION, sack);
	if (len)
		memcpy(p->data + p->payload, payload, len);
	worker_seal(w, p);
	return 0;
}

static int send_segment(struct worker *w, const struct mos_conn *c, int side, uint8_t flags, uint32_t seq,
			const void *payload, uint32_t len)
{
	return send_options(w, c, side, flags, seq, NULL, payload, len);
}

void inject_sack(struct worker *w, const struct mos_conn *c, int side, uint32_t from, uint32_t to)
{
	const struct mos_end *e = &c->end[side];

	if ((c->end[0].flags & c->end[1].flags & MOS_END_SACK) && (e->flags & MOS_END_ACK))
		send_options(w, c, side, MOS_TH_ACK, rewrite_next(w, c, side), &(struct block){ from, to }, NULL, 0);
}

/* Take back what was put into the outbox since it had n packets. */
static int give_up(struct worker *w, uint32_t n, int rc)
{
	w->stats.sent -= w->outbox.n - n;
	w->outbox.n = n;
	return rc;
}

/* In as many segments as it takes. -ENOBUFS only where not even the first found room. */
static int send_stretch(struct worker *w, const struct mos_conn *c, int side, uint8_t flags, uint32_t seq,
			const uint8_t *payload, size_t len)
{
	uint32_t had = w->outbox.n, limit = rewrite_mss(c, side) - (has_timestamps(c) ? TS_OPTION : 0);
	int rc = 0;

	for (size_t from = 0; from < len && !rc; from += limit) {
		bool last = len - from <= limit;
		uint8_t now = last ? flags : (uint8_t)(flags & ~MOS_TH_PSH);

		rc = send_segment(w, c, side, now, seq + (uint32_t)from, payload + from,
				  (uint32_t)(last ? len - from : limit));
	}
	return rc == -ENOBUFS && w->outbox.n > had ? 0 : rc;
}

/* Where not all could be sent the edit stays: the rest goes before side's next bytes. */
static int send_payload(struct worker *w, struct mos_conn *c, int side, uint8_t flags, const uint8_t *payload,
			size_t len)
{
	uint32_t seq;
	int rc = rewrite_insert(w, c, side, payload, len, &seq);

	return rc ? rc : send_stretch(w, c, side, flags, seq, payload, len);
}

ssize_t inject_again(struct worker *w, struct mos_conn *c, int side)
{
	const struct edit *x;
	ssize_t bytes = 0;
	uint32_t n = 0, seq;
	int rc = 0;

	for (; !rc && (x = rewrite_waiting(w, c, side, n, &seq)); n++) {
		rc = send_stretch(w, c, side, MOS_TH_ACK | MOS_TH_PSH, seq, x->bytes, x->put);
		bytes += x->put;
	}
	return rc ? rc : bytes;
}

static bool in_dispatch(const struct worker *w, const struct mos_conn *c, int side)
{
	return w->d.ctx->pkt && w->d.ctx->conn == c && c->last_side == side;
}

int inject_segment(struct worker *w, struct mos_conn *c, int side, uint8_t flags, const void *payload, size_t len)
{
	const struct mos_end *e = &c->end[side];

	if ((flags & (MOS_TH_SYN | MOS_TH_FIN)) || ((flags & MOS_TH_RST) && len))
		return -EINVAL;
	if (!len)
		return send_segment(w, c, side, flags, rewrite_next(w, c, side), NULL, 0);
	if (in_dispatch(w, c, side))
		return -EBUSY;
	if ((e->flags & MOS_END_FIN) || !(e->flags & MOS_END_BASE) || (c->flags & MOS_CONN_CLOSED) ||
	    e->state < TCP_SYN_RCVD)
		return -EPIPE;
	return send_payload(w, c, side, flags, payload, len);
}

/* An end that waits for an answer to its SYN believes a RST that acknowledges it (RFC 9293 3.10.7.3). */
static int send_reset(struct worker *w, const struct mos_conn *c, int side)
{
	const struct mos_end *e = &c->end[side], *to = &c->end[!side];
	struct mos_conn known = *c;

	if (!(e->flags & MOS_END_ACK) && (to->flags & MOS_END_BASE))
		known.end[side].ack = to->isn + 1;
	uint32_t seq = e->flags & MOS_END_BASE ? rewrite_next(w, c, side) : 0;

	return send_segment(w, &known, side, MOS_TH_RST | MOS_TH_ACK, seq, NULL, 0);
}

int inject_reset(struct worker *w, struct mos_conn *c)
{
	uint32_t had = w->outbox.n;
	int rc;

	if (c->flags & MOS_CONN_CLOSED)
		return -EALREADY;
	if (w->d.ctx->pkt && w->d.ctx->conn == c)
		w->d.ctx->pkt->verdict = MOS_DROPPED;
	if ((rc = send_reset(w, c, MOS_SIDE_CLI)) < 0 || (rc = send_reset(w, c, MOS_SIDE_SVR)) < 0)
		return give_up(w, had, rc);
	c->flags = (uint16_t)((c->flags | MOS_CONN_CLOSED) & ~MOS_CONN_PLAIN);
	c->end[0].state = c->end[1].state = TCP_CLOSED;
	if (c->flags & MOS_CONN_ENDING)
		return 0;
	c->end_reason = MOS_ENDED_RESET;
	connection_settle(w, c);
	return 0;
}

/* Which end of c sends a packet with these addresses; -1: neither. */
static int sender_of(const struct mos_conn *c, const uint8_t *ip, const uint8_t *tcp)
{
	bool six = ip[0] >> 4 == 6;

	if (c->key.family != (six ? 6u : 4u))
		return -1;
	for (int end = 0; end < 2; end++) {
		const uint32_t *from = c->key.addr_be[end], *to = c->key.addr_be[!end];

		if (memcmp(ip + (six ? 8 : 12), from, six ? 16 : 4) == 0 &&
		    memcmp(ip + (six ? 24 : 16), to, six ? 16 : 4) == 0 && load_be16(tcp) == c->key.port[end] &&
		    load_be16(tcp + 2) == c->key.port[!end])
			return end ^ c->cli;
	}
	return -1;
}

static int check_info(const struct pkt_info *info)
{
	if (!info->iph || !info->tcph)
		return -ENODATA;
	if (info->payloadlen && !info->payload)
		return -EFAULT;
	const uint8_t *ip = (const uint8_t *)info->iph, *tcp = (const uint8_t *)info->tcph;

	if ((ip[0] >> 4 != 6 && (ip[0] >> 4 != 4 || (ip[0] & 15) < 5)) || tcp[12] >> 4 < 5)
		return -EINVAL;
	return 0;
}

/* Both headers as info has them; lengths, protocol and checksums made right, and fragmentation taken out. */
static void fill_headers(struct mos_packet *p, const struct pkt_info *info)
{
	uint8_t *ip = p->data + p->l3;

	memcpy(ip, info->iph, p->l4 - p->l3);
	memcpy(p->data + p->l4, info->tcph, p->tcp_hlen);
	if (p->ip_version == 6) {
		store_be16(ip + 4, (uint16_t)(p->ip_len - IP6_HLEN));
		ip[6] = IPPROTO_TCP;
		return;
	}
	store_be16(ip + 2, (uint16_t)p->ip_len);
	store_be16(ip + 6, load_be16(ip + 6) & 0x4000);
	ip[9] = IPPROTO_TCP;
}

int inject_packet(struct worker *w, const struct mos_conn *c, const struct pkt_info *info)
{
	int rc = check_info(info);

	if (rc < 0)
		return rc;
	const uint8_t *ip = (const uint8_t *)info->iph, *tcp = (const uint8_t *)info->tcph;
	int sender = c ? sender_of(c, ip, tcp) : -1;
	struct draft d = { .c = sender < 0 && w->d.ctx->pkt ? NULL : c,
			   .side = sender < 0 ? 0 : sender,
			   .len = info->payloadlen };

	d.ip_hlen = ip[0] >> 4 == 6 ? IP6_HLEN : (uint8_t)((ip[0] & 15) * 4);
	d.tcp_hlen = (uint8_t)((tcp[12] >> 4) * 4);
	if (d.ip_hlen + d.tcp_hlen + d.len > UINT16_MAX)
		return -EMSGSIZE;
	if ((rc = choose_framing(w, &d)) < 0)
		return rc;
	if (info->ethh && d.framing.link == LINK_ETHERNET)
		memcpy(d.framing.bytes, info->ethh, MACS);
	struct mos_packet *p = packet_begin(w, &d);

	if (!p)
		return -ENOBUFS;
	fill_headers(p, info);
	if (sender >= 0)
		store_be32(p->data + p->l4 + 4, rewrite_seq(w, c, sender, load_be32(tcp + 4)));
	if (d.len)
		memcpy(p->data + p->payload, info->payload, d.len);
	worker_seal(w, p);
	return 0;
}
