/* Packets inside IP packets. */
#include "pkt/bytes.h"
#include "pkt/layer.h"

enum { PROTO_IP4 = 4, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_IP6 = 41, PROTO_GRE = 47, PROTO_AH = 51 };

enum { GTP_EXT_MAX = 8, L2TP_PAD_MAX = 256, AYIYA_IDENTITY_MAX = 8 };

static enum layer carried_layer(uint8_t proto)
{
	switch (proto) {
	case PROTO_IP4:
		return decap_is_on(DECAP_IPIP) ? LAYER_IP4 : LAYER_NONE;
	case PROTO_IP6:
		return decap_is_on(DECAP_IPIP) ? LAYER_IP6 : LAYER_NONE;
	case PROTO_GRE:
		return LAYER_GRE;
	case PROTO_UDP:
		return LAYER_UDP;
	default:
		return LAYER_NONE;
	}
}

enum layer tunnel_layer(struct cursor *c, uint8_t proto)
{
	const struct mos_packet *p = c->p;
	enum layer next = carried_layer(proto);

	if (next == LAYER_NONE || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_IP);
	c->outer = (struct outer_ip){ p->ip_version, p->ip_proto, p->l3, p->l4, p->ip_len, p->ip_id };
	return next;
}

/* Step over a tunnel's header of len bytes. */
static bool tunnel_skip(struct cursor *c, uint32_t len)
{
	if (cursor_room(c) < len) {
		layer_stop(c, MOS_DECODE_CUT_LINK);
		return false;
	}
	c->off += len;
	return true;
}

static enum layer tunnel_type_layer(struct cursor *c, uint16_t type)
{
	bool aruba = type >= 0x8200 && type <= 0x8370 && (type & 15) == 0; /* as many queues of one kind */

	if (aruba)
		return LAYER_WIFI;
	if (type == 0x883e) /* WCCP: version 2 has a header of 4 bytes, which begins with 0 or 1 */
		return (cursor_room(c) && *cursor_at(c) >> 4 == 4) || tunnel_skip(c, 4) ? LAYER_IP4 : LAYER_NONE;
	switch (type) {
	case 0x6558: /* transparent Ethernet bridging: NVGRE (RFC 7637 3.2), Geneve */
		return LAYER_ETHERNET;
	case 0x880b:
		return LAYER_PPP;
	default:
		return ethertype_layer(c, type);
	}
}

/* ERSPAN II has a header of 8 bytes; III one of 12, and 8 more where its last bit says so. I has none. */
static enum layer erspan2_decode(struct cursor *c)
{
	return tunnel_skip(c, 8) ? LAYER_ETHERNET : LAYER_NONE;
}

static enum layer erspan3_decode(struct cursor *c)
{
	if (cursor_room(c) < 12)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	bool subheader = cursor_at(c)[11] & 1;

	return tunnel_skip(c, subheader ? 20 : 12) ? LAYER_ETHERNET : LAYER_NONE;
}

/* RFC 2784 2.1, RFC 2890 2, and version 1 of PPTP: RFC 2637 4.1. */
enum layer gre_decode(struct cursor *c)
{
	enum { CHECKSUM = 0x8000, ROUTING = 0x4000, KEY = 0x2000, SEQUENCE = 0x1000, ACK = 0x0080 };

	if (cursor_room(c) < 4)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint16_t flags = load_be16(cursor_at(c)), type = load_be16(cursor_at(c) + 2);
	unsigned version = flags & 7;
	uint32_t len = 4 + (flags & CHECKSUM ? 4 : 0) + (flags & KEY ? 4 : 0) + (flags & SEQUENCE ? 4 : 0);

	if (flags & ROUTING || version > 1 || (version == 1 && type != 0x880b))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (version == 1 && flags & ACK)
		len += 4;
	if (!tunnel_skip(c, len))
		return LAYER_NONE;
	if (c->off == c->end) /* an acknowledgement or a keepalive */
		return layer_stop(c, MOS_DECODED_OTHER);
	bool erspan = type == 0x88be || type == 0x22eb;

	if (!decap_is_on(erspan ? DECAP_ERSPAN : DECAP_GRE))
		return layer_stop(c, MOS_DECODED_OTHER);
	switch (type) {
	case 0x88be:
		return flags & SEQUENCE ? erspan2_decode(c) : LAYER_ETHERNET;
	case 0x22eb:
		return erspan3_decode(c);
	default:
		return tunnel_type_layer(c, type);
	}
}

/* RFC 7348 5. Reserved bits are ignored on receipt. */
static enum layer vxlan_decode(struct cursor *c)
{
	if (cursor_room(c) < 8 || !(*cursor_at(c) & 0x08))
		return layer_stop(c, MOS_DECODED_OTHER);
	c->off += 8;
	return LAYER_ETHERNET;
}

/* The generic protocol extension: flag P, and the protocol in the fourth byte. */
static enum layer vxlan_gpe_decode(struct cursor *c)
{
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODED_OTHER);
	const uint8_t *h = cursor_at(c);

	if (!(h[0] & 0x04))
		return vxlan_decode(c);
	c->off += 8;
	switch (h[3]) {
	case 1:
		return LAYER_IP4;
	case 2:
		return LAYER_IP6;
	case 3:
		return LAYER_ETHERNET;
	case 5:
		return LAYER_MPLS;
	default:
		return layer_stop(c, MOS_DECODED_OTHER);
	}
}

/* RFC 8926 3.4: version 0, options of up to 252 bytes; a control packet carries no frame. */
static enum layer geneve_decode(struct cursor *c)
{
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODED_OTHER);
	const uint8_t *h = cursor_at(c);

	if (h[0] & 0xc0 || h[1] & 0x80 || !tunnel_skip(c, 8 + (h[0] & 0x3fU) * 4))
		return layer_stop(c, MOS_DECODED_OTHER);
	return tunnel_type_layer(c, load_be16(h + 2));
}

/* 3GPP TS 29.281 5.2: each extension header begins with its length in words, and ends with the next one's type. */
static enum layer gtp_extensions(struct cursor *c, uint8_t next)
{
	for (unsigned n = 0; next; n++) {
		if (n == GTP_EXT_MAX || cursor_room(c) < 4)
			return layer_stop(c, MOS_DECODED_OTHER);
		uint32_t len = *cursor_at(c) * 4U;

		if (len == 0 || !tunnel_skip(c, len))
			return layer_stop(c, MOS_DECODED_OTHER);
		next = c->p->data[c->off - 1];
	}
	return LAYER_IP;
}

/* 3GPP TS 29.281 5.1: version 1, protocol type GTP; user data are messages of type 255. */
static enum layer gtp_decode(struct cursor *c)
{
	enum { EXTENSION = 4, OPTIONAL = 7 };

	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODED_OTHER);
	const uint8_t *h = cursor_at(c);

	if (h[0] >> 4 != 3 || h[1] != 255)
		return layer_stop(c, MOS_DECODED_OTHER);
	c->off += 8;
	cursor_shorten(c, load_be16(h + 2));
	if (!(h[0] & OPTIONAL))
		return LAYER_IP;
	if (!tunnel_skip(c, 4))
		return LAYER_NONE;
	return gtp_extensions(c, h[0] & EXTENSION ? h[11] : 0);
}

/* RFC 4380 5.1.1: authentication, then origin indication, both of them optional, then IPv6. */
static enum layer teredo_decode(struct cursor *c)
{
	if (cursor_room(c) >= 4 && load_be16(cursor_at(c)) == 1) {
		const uint8_t *h = cursor_at(c);

		if (!tunnel_skip(c, 13U + h[2] + h[3]))
			return LAYER_NONE;
	}
	if (cursor_room(c) >= 2 && load_be16(cursor_at(c)) == 0 && !tunnel_skip(c, 8))
		return LAYER_NONE;
	return LAYER_IP6;
}

/* An IPv6 packet in IPv4, as long as its datagram, from or to an address of Teredo's (RFC 4380 4): clients and relays use any port. */
static bool is_teredo(const struct cursor *c, uint32_t len)
{
	if (cursor_room(c) < 48 || len < 48)
		return false;
	const uint8_t *h = cursor_at(c) + 8;
	bool addressed = load_be32(h + 8) == 0x20010000 || load_be32(h + 24) == 0x20010000;

	return c->p->ip_version == 4 && h[0] >> 4 == 6 && load_be16(h + 4) + 48U == len && addressed;
}

static enum layer mpls_in_udp(struct cursor *c)
{
	(void)c;
	return LAYER_MPLS;
}

/* RFC 2661 3.1: version 2; data messages have bit T clear and PPP behind a header of optional fields. */
static enum layer l2tp_decode(struct cursor *c)
{
	enum { CONTROL = 0x8000, LENGTH = 0x4000, SEQUENCE = 0x0800, OFFSET = 0x0200 };

	if (cursor_room(c) < 6)
		return layer_stop(c, MOS_DECODED_OTHER);
	uint16_t flags = load_be16(cursor_at(c));
	uint32_t len = 6 + (flags & LENGTH ? 2 : 0) + (flags & SEQUENCE ? 4 : 0);

	if (flags & CONTROL || (flags & 15) != 2)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (flags & OFFSET) {
		if (cursor_room(c) < len + 2 || load_be16(cursor_at(c) + len) > L2TP_PAD_MAX)
			return layer_stop(c, MOS_DECODED_OTHER);
		len += 2U + load_be16(cursor_at(c) + len);
	}
	return tunnel_skip(c, len) ? LAYER_PPP : LAYER_NONE;
}

/* draft-massar-v6ops-ayiya 3: lengths of an identity and of a signature, both in front of the packet; operation 1 forwards. */
static enum layer ayiya_decode(struct cursor *c)
{
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODED_OTHER);
	const uint8_t *h = cursor_at(c);

	if ((h[2] & 15) != 1 || h[0] >> 4 > AYIYA_IDENTITY_MAX)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (!tunnel_skip(c, 8 + (1U << (h[0] >> 4)) + (h[1] >> 4) * 4U))
		return layer_stop(c, MOS_DECODED_OTHER);
	switch (h[3]) {
	case PROTO_IP4:
		return LAYER_IP4;
	case PROTO_IP6:
		return LAYER_IP6;
	default:
		return layer_stop(c, MOS_DECODED_OTHER);
	}
}

typedef enum layer (*tunnel_decoder)(struct cursor *);

static const struct udp_tunnel {
	uint16_t port;
	enum decap_kind kind;
	tunnel_decoder decode;
} udp_tunnels[] = {
	{ 1701, DECAP_L2TP, l2tp_decode },       { 2152, DECAP_GTP, gtp_decode },
	{ 3544, DECAP_TEREDO, teredo_decode },   { 4789, DECAP_VXLAN, vxlan_decode },
	{ 8472, DECAP_VXLAN, vxlan_decode },                                      /* Linux, before there was a number */
	{ 4790, DECAP_VXLAN, vxlan_gpe_decode }, { 4754, DECAP_GRE, gre_decode }, /* RFC 8086 */
	{ 5072, DECAP_AYIYA, ayiya_decode },     { 6081, DECAP_GENEVE, geneve_decode },
	{ 6635, DECAP_MPLS, mpls_in_udp }, /* RFC 7510 */
};

static tunnel_decoder udp_tunnel(uint16_t port)
{
	for (unsigned i = 0; i < sizeof(udp_tunnels) / sizeof(udp_tunnels[0]); i++)
		if (udp_tunnels[i].port == port)
			return decap_is_on(udp_tunnels[i].kind) ? udp_tunnels[i].decode : NULL;
	return NULL;
}

bool carries_packets(uint8_t proto, const uint8_t *h)
{
	switch (proto) {
	case PROTO_TCP:
	case PROTO_GRE:
		return true;
	case PROTO_IP4:
	case PROTO_IP6:
		return decap_is_on(DECAP_IPIP);
	case PROTO_AH:
		return decap_is_on(DECAP_AH);
	case PROTO_UDP:
		return !h || udp_tunnel(load_be16(h)) || udp_tunnel(load_be16(h + 2));
	default:
		return false;
	}
}

enum layer udp_decode(struct cursor *c)
{
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODED_IP);
	const uint8_t *h = cursor_at(c);
	uint32_t len = load_be16(h + 4);
	tunnel_decoder decode = udp_tunnel(load_be16(h + 2));

	if (!decode)
		decode = udp_tunnel(load_be16(h));
	if (!decode && decap_is_on(DECAP_TEREDO) && is_teredo(c, len))
		decode = teredo_decode;
	if (!decode)
		return layer_stop(c, MOS_DECODED_IP);
	c->guess = true;
	c->off += 8;
	if (len > 8)
		cursor_shorten(c, len - 8);
	return decode(c);
}
