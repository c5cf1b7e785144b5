#include <stdbool.h>

#include "pkt/bytes.h"
#include "pkt/layer.h"

enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_TCP = 6,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AH = 51,
	PROTO_DEST_OPTIONS = 60,
	PROTO_MOBILITY = 135,
	PROTO_HIP = 139,
	PROTO_SHIM6 = 140
};

/* Keeps a chain of headers within reach of 16-bit offsets, and its cost bounded. */
enum { IP6_EXT_MAX = 16 };

enum layer ip_decode(struct cursor *c)
{
	if (cursor_room(c) < 1)
		return layer_stop(c, MOS_DECODE_CUT_IP);
	switch (*cursor_at(c) >> 4) {
	case 4:
		return LAYER_IP4;
	case 6:
		return LAYER_IP6;
	default:
		return layer_stop(c, MOS_DECODE_BAD_IP_VERSION);
	}
}

/*
 * The IP packet at l3 claims len bytes. What follows it in the frame is padding. One that claims more than there was on
 * the wire is as long as the frame: the length was too large for its field, or is made up.
 */
static void ip_set_length(struct cursor *c, uint64_t len)
{
	struct mos_packet *p = c->p;
	uint32_t frame_len = c->end - p->l3;

	c->claim = p->l3 + len;
	p->ip_len = len < frame_len ? (uint32_t)len : frame_len;
	c->end = p->l3 + p->ip_len;
	if (c->cap > c->end)
		c->cap = c->end;
}

/* An IP header begins at the cursor. Nothing of one around it may be left behind it. */
static void ip_begin(struct cursor *c, uint8_t version, uint8_t proto, uint32_t id)
{
	struct mos_packet *p = c->p;

	p->ip_version = version;
	p->ip_proto = proto;
	p->l3 = (uint16_t)c->off;
	p->l4 = 0;
	p->ip_len = 0;
	p->ip_id = id;
}

static enum layer ip_payload(struct cursor *c, uint8_t proto, bool fragment)
{
	if (c->off > UINT16_MAX)
		return layer_stop(c, MOS_DECODED_OTHER);
	c->p->ip_proto = proto;
	c->p->l4 = (uint16_t)c->off;
	if (fragment)
		return layer_stop(c, MOS_DECODED_FRAGMENT);
	if (proto == PROTO_TCP)
		return LAYER_TCP;
	return proto == PROTO_AH && c->p->ip_version == 4 ? LAYER_AH : tunnel_layer(c, proto);
}

enum layer ip4_decode(struct cursor *c)
{
	const uint8_t *h = cursor_at(c);

	if (c->off > UINT16_MAX)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 20)
		return layer_stop(c, MOS_DECODE_CUT_IP);
	if (h[0] >> 4 != 4)
		return layer_stop(c, MOS_DECODE_BAD_IP_VERSION);
	uint32_t hlen = (h[0] & 15) * 4U;
	uint32_t len = load_be16(h + 2);

	ip_begin(c, 4, h[9], load_be16(h + 4));
	if (hlen < 20)
		return layer_stop(c, MOS_DECODE_BAD_IP_HLEN);
	if ((len && len < hlen) || (c->guess && len > c->end - c->off))
		return layer_stop(c, MOS_DECODE_BAD_IP_LEN);
	if (cursor_room(c) < hlen)
		return layer_stop(c, MOS_DECODE_CUT_IP);
	ip_set_length(c, len ? len : c->end - c->off);
	c->off += hlen;

	bool fragment = load_be16(h + 6) & 0x3fff; /* more fragments, or an offset */

	return ip_payload(c, h[9], fragment);
}

static bool ip6_is_extension(uint8_t proto)
{
	switch (proto) {
	case PROTO_HOP_BY_HOP:
	case PROTO_ROUTING:
	case PROTO_FRAGMENT:
	case PROTO_AH:
	case PROTO_DEST_OPTIONS:
	case PROTO_MOBILITY:
	case PROTO_HIP:
	case PROTO_SHIM6:
		return true;
	default:
		return false;
	}
}

uint32_t ip6_extension_len(uint8_t proto, const uint8_t *h)
{
	if (proto == PROTO_FRAGMENT)
		return 8;
	if (proto == PROTO_AH)
		return (h[1] + 2U) * 4; /* RFC 4302 2.2 */
	return (h[1] + 1U) * 8;
}

/* The jumbo payload option (RFC 2675 2) of the hop-by-hop header at h; 0 if there is none. */
static uint32_t ip6_jumbo_len(const uint8_t *h, uint32_t len)
{
	for (uint32_t i = 2; i + 2 <= len;) {
		if (h[i] == 0) { /* Pad1 */
			i++;
			continue;
		}
		if (h[i] == 0xc2 && h[i + 1] == 4 && i + 6 <= len)
			return load_be32(h + i + 2);
		i += 2U + h[i + 1];
	}
	return 0;
}

static void ip6_hop_by_hop(struct cursor *c, const uint8_t *h, uint32_t len)
{
	uint32_t jumbo = ip6_jumbo_len(h, len);
	bool no_len = load_be16(c->p->data + c->p->l3 + 4) == 0;

	/* RFC 2675 3: only with a payload length of 0, and never below 65536. */
	if (no_len && jumbo > UINT16_MAX)
		ip_set_length(c, 40 + (uint64_t)jumbo);
}

static bool ip6_is_passed(uint8_t proto)
{
	return ip6_is_extension(proto) && (proto != PROTO_AH || decap_is_on(DECAP_AH));
}

static enum layer ip6_extensions(struct cursor *c, uint8_t proto)
{
	bool fragment = false;

	for (unsigned n = 0; !fragment && ip6_is_passed(proto); n++) {
		const uint8_t *h = cursor_at(c);

		/* RFC 8200 4: hop-by-hop options stand right behind the IPv6 header or nowhere. */
		if (n == IP6_EXT_MAX || (n && proto == PROTO_HOP_BY_HOP) || c->claim - c->off < 8)
			return layer_stop(c, MOS_DECODE_BAD_IP6_EXT);
		if (cursor_room(c) < 8)
			return layer_stop(c, MOS_DECODE_CUT_IP6_EXT);
		uint32_t len = ip6_extension_len(proto, h);

		if (c->claim - c->off < len)
			return layer_stop(c, MOS_DECODE_BAD_IP6_EXT);
		if (cursor_room(c) < len)
			return layer_stop(c, MOS_DECODE_CUT_IP6_EXT);
		if (proto == PROTO_HOP_BY_HOP)
			ip6_hop_by_hop(c, h, len);
		if (proto == PROTO_FRAGMENT) {
			c->p->ip_id = load_be32(h + 4);
			/* RFC 6946: offset 0 and no more to come is a whole datagram. */
			fragment = load_be16(h + 2) & 0xfff9;
		}
		c->off += len;
		proto = h[0];
	}
	return ip_payload(c, proto, fragment);
}

enum layer ip6_decode(struct cursor *c)
{
	const uint8_t *h = cursor_at(c);

	if (c->off > UINT16_MAX)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 40)
		return layer_stop(c, MOS_DECODE_CUT_IP);
	if (h[0] >> 4 != 6)
		return layer_stop(c, MOS_DECODE_BAD_IP_VERSION);
	uint32_t payload_len = load_be16(h + 4);

	ip_begin(c, 6, h[6], 0);
	if (c->guess && 40 + payload_len > c->end - c->off)
		return layer_stop(c, MOS_DECODE_BAD_IP_LEN);
	ip_set_length(c, payload_len ? 40 + payload_len : c->end - c->off);
	c->off += 40;
	return ip6_extensions(c, h[6]);
}

/* RFC 4302 2 */
enum layer ah_decode(struct cursor *c)
{
	if (c->claim - c->off < 12)
		return layer_stop(c, MOS_DECODE_BAD_IP_LEN);
	if (cursor_room(c) < 12)
		return layer_stop(c, MOS_DECODE_CUT_IP);
	const uint8_t *h = cursor_at(c);
	uint32_t len = ip6_extension_len(PROTO_AH, h);

	if (!decap_is_on(DECAP_AH) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_IP);
	if (len < 12 || c->claim - c->off < len)
		return layer_stop(c, MOS_DECODE_BAD_IP_LEN);
	if (cursor_room(c) < len)
		return layer_stop(c, MOS_DECODE_CUT_IP);
	c->off += len;
	return ip_payload(c, h[0], false);
}

/* Types 0 and 2 (RFC 2460 4.4, RFC 6275 6.4) end with the destination, segment lists (RFC 8754 2) begin with it. */
static uint32_t routing_final(const uint8_t *h, uint32_t len)
{
	uint32_t segments_left = h[3];

	if (segments_left == 0 || len < 24)
		return 0;
	switch (h[2]) {
	case 0:
	case 2:
		return 8 + (len - 8) / 16 * 16 - 16;
	case 4:
		return 8;
	default:
		return 0;
	}
}

uint32_t ip6_final_dst(const struct mos_packet *p)
{
	uint32_t off = p->l3 + 40U;
	uint8_t proto = p->data[p->l3 + 6];

	while (ip6_is_extension(proto) && off + 8 <= p->l4) {
		const uint8_t *h = p->data + off;
		uint32_t len = ip6_extension_len(proto, h);

		if (off + len > p->l4)
			break;
		uint32_t final = proto == PROTO_ROUTING ? routing_final(h, len) : 0;

		if (final)
			return off + final;
		proto = h[0];
		off += len;
	}
	return p->l3 + 24U;
}
