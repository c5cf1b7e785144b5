/* Headers between a link layer and what it carries: labels, tags, sessions. */
#include "pkt/bytes.h"
#include "pkt/layer.h"

enum { LABELS_MAX = 16 };

static bool is_ip4_header(const uint8_t *h, uint32_t left)
{
	uint32_t hlen = (h[0] & 15) * 4U, len = load_be16(h + 2);

	return h[0] >> 4 == 4 && hlen >= 20 && len >= hlen && len <= left;
}

static bool is_ip6_header(const uint8_t *h, uint32_t left)
{
	return h[0] >> 4 == 6 && left >= 40U + load_be16(h + 4);
}

/* Could an Ethernet header with something known behind it stand at h? */
static bool is_ethernet_header(const uint8_t *h, uint32_t room)
{
	if (room < 15)
		return false;
	switch (load_be16(h + 12)) {
	case 0x0800:
		return h[14] >> 4 == 4;
	case 0x86dd:
		return h[14] >> 4 == 6;
	case 0x8100:
	case 0x88a8:
	case 0x8847:
	case 0x8864:
		return true;
	default:
		return false;
	}
}

/*
 * Nothing in a label says what it carries. First nibble 4 or 6 is IP, unless it is a pseudowire's Ethernet address; 0
 * is a pseudowire's control word (RFC 4385 3), unless there is none (RFC 4448 4.6) and it is an Ethernet address.
 */
static enum layer mpls_payload(struct cursor *c)
{
	const uint8_t *h = cursor_at(c);
	uint32_t room = cursor_room(c), left = c->end - c->off;

	if (left < 19) /* control word, Ethernet header, first byte behind it */
		return layer_stop(c, MOS_DECODED_OTHER);
	if (room < 19)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	if (is_ip4_header(h, left))
		return LAYER_IP4;
	if (is_ip6_header(h, left))
		return LAYER_IP6;
	if (h[0] >> 4 == 0 && is_ethernet_header(h + 4, room - 4)) {
		c->off += 4;
		return LAYER_ETHERNET;
	}
	if (is_ethernet_header(h, room))
		return LAYER_ETHERNET;
	if (h[0] >> 4 == 4 || h[0] >> 4 == 6)
		return LAYER_IP;
	return layer_stop(c, MOS_DECODED_OTHER);
}

/* RFC 3032 2.1: entries of 4 bytes; the last one has bit 8 set. */
enum layer mpls_decode(struct cursor *c)
{
	bool bottom = false;

	if (!decap_is_on(DECAP_MPLS) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	for (unsigned n = 0; !bottom; n++) {
		if (n == LABELS_MAX)
			return layer_stop(c, MOS_DECODED_OTHER);
		if (cursor_room(c) < 4)
			return layer_stop(c, MOS_DECODE_CUT_LINK);
		bottom = cursor_at(c)[2] & 1;
		c->off += 4;
	}
	return mpls_payload(c);
}

/* RFC 2516 4: version and type 1, code 0 in the session stage. */
enum layer pppoe_decode(struct cursor *c)
{
	if (!decap_is_on(DECAP_PPPOE) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 6)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);
	uint32_t len = load_be16(h + 4);

	if (h[0] != 0x11 || h[1] != 0)
		return layer_stop(c, MOS_DECODED_OTHER);
	c->off += 6;
	cursor_shorten(c, len);
	return LAYER_PPP;
}

/* IEEE 802.1Q 9.7: behind the backbone's addresses a service tag of 4 bytes, then the customer's frame. */
enum layer pbb_decode(struct cursor *c)
{
	if (!decap_is_on(DECAP_PBB) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 4)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	c->off += 4;
	return LAYER_ETHERNET;
}

/* Cisco's VN-Tag: 4 bytes, then an Ethernet type. */
enum layer vntag_decode(struct cursor *c)
{
	if (!decap_is_on(DECAP_VNTAG) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 6)
		return layer_stop(c, MOS_DECODE_CUT_VLAN);
	uint16_t type = load_be16(cursor_at(c) + 4);

	c->off += 6;
	return type_or_length_layer(c, type);
}

/* IEEE 802.1BR 7.5: a tag of 6 bytes, then an Ethernet type. */
enum layer etag_decode(struct cursor *c)
{
	if (!decap_is_on(DECAP_VNTAG) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODE_CUT_VLAN);
	uint16_t type = load_be16(cursor_at(c) + 6);

	c->off += 8;
	return type_or_length_layer(c, type);
}

/* Cisco's metadata, such as a security group: version 1, a length in words, so many of them, then an Ethernet type. */
enum layer cmd_decode(struct cursor *c)
{
	if (!decap_is_on(DECAP_VNTAG) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 2)
		return layer_stop(c, MOS_DECODE_CUT_VLAN);
	const uint8_t *h = cursor_at(c);
	uint32_t len = 2 + h[1] * 4U;

	if (h[0] != 1)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < len + 2)
		return layer_stop(c, MOS_DECODE_CUT_VLAN);
	uint16_t type = load_be16(h + len);

	c->off += len + 2;
	return type_or_length_layer(c, type);
}

/* Cisco's FabricPath: behind its addresses a tree and a time to live in 2 bytes, then the frame. */
enum layer fabricpath_decode(struct cursor *c)
{
	if (!decap_is_on(DECAP_FABRICPATH) || !cursor_descend(c))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 2)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	c->off += 2;
	return LAYER_ETHERNET;
}
