#include "pkt/layer.h"

#include "pkt/bytes.h"
#include "pkt/decode.h"

enum { VLAN_MAX = 8 };

/* DLT_ values, as pcap_datalink gives them. */
enum layer link_layer(int link)
{
	switch (link) {
	case 0:   /* BSD null, the writer's byte order */
	case 108: /* OpenBSD loopback, network byte order */
		return LAYER_NULL;
	case 1:
		return LAYER_ETHERNET;
	case 9:
	case 50: /* always with address and control bytes */
		return LAYER_PPP;
	case 10:
		return LAYER_FDDI;
	case 12:
	case 14:
	case 101:
		return LAYER_IP;
	case 104:
		return LAYER_CISCO_HDLC;
	case 105:
		return LAYER_WIFI;
	case 113:
		return LAYER_SLL;
	case 119:
	case 163:
		return LAYER_PRISM;
	case 127:
		return LAYER_RADIOTAP;
	case 192:
		return LAYER_PPI;
	case 228:
		return LAYER_IP4;
	case 229:
		return LAYER_IP6;
	case 242:
		return LAYER_IPOIB;
	case 239:
		return LAYER_NFLOG;
	case 258:
		return LAYER_PKTAP;
	case 276:
		return LAYER_SLL2;
	default:
		return LAYER_NONE;
	}
}

bool packet_link_known(int link)
{
	return link_layer(link) != LAYER_NONE;
}

enum layer ethertype_layer(struct cursor *c, uint16_t type)
{
	switch (type) {
	case 0x0800:
		return LAYER_IP4;
	case 0x86dd:
		return LAYER_IP6;
	case 0x8100: /* 802.1Q */
	case 0x88a8: /* 802.1ad */
	case 0x9100: /* QinQ before there was a standard */
		return LAYER_VLAN;
	case 0x8847:
	case 0x8848: /* labels assigned upstream, RFC 5332 */
		return LAYER_MPLS;
	case 0x8864: /* session stage, RFC 2516 */
		return LAYER_PPPOE;
	case 0x88e7: /* 802.1ah */
		return LAYER_PBB;
	case 0x8903:
		return LAYER_FABRICPATH;
	case 0x8909:
		return LAYER_CMD;
	case 0x8926:
		return LAYER_VNTAG;
	case 0x893f: /* 802.1BR */
		return LAYER_ETAG;
	default:
		return layer_stop(c, MOS_DECODED_OTHER);
	}
}

/* IEEE 802.3 3.2.6: up to 1500 it is a length, and LLC follows. */
enum layer type_or_length_layer(struct cursor *c, uint16_t type)
{
	return type <= 1500 ? LAYER_LLC : ethertype_layer(c, type);
}

enum layer ethernet_decode(struct cursor *c)
{
	if (cursor_room(c) < 14)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint16_t type = load_be16(cursor_at(c) + 12);

	c->off += 14;
	return type_or_length_layer(c, type);
}

enum layer vlan_decode(struct cursor *c)
{
	if (++c->tags > VLAN_MAX || !decap_is_on(DECAP_VLAN))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 4)
		return layer_stop(c, MOS_DECODE_CUT_VLAN);
	uint16_t type = load_be16(cursor_at(c) + 2);

	c->off += 4;
	return type_or_length_layer(c, type);
}

/* RFC 1042: DSAP and SSAP 170, unnumbered information, organisation code 0, then an Ethernet type. */
enum layer llc_decode(struct cursor *c)
{
	static const uint8_t snap[6] = { 0xaa, 0xaa, 0x03, 0, 0, 0 };

	if (cursor_room(c) < 3)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	if (memcmp(cursor_at(c), snap, 3) != 0)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	if (memcmp(cursor_at(c), snap, sizeof(snap)) != 0)
		return layer_stop(c, MOS_DECODED_OTHER);
	uint16_t type = load_be16(cursor_at(c) + 6);

	c->off += 8;
	return ethertype_layer(c, type);
}

/* A protocol family of 4 bytes. The families are small, so a large number is one in the other byte order. */
enum layer null_decode(struct cursor *c)
{
	if (cursor_room(c) < 4)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint32_t family = load_be32(cursor_at(c));

	c->off += 4;
	switch (family > UINT16_MAX ? __builtin_bswap32(family) : family) {
	case 2:
		return LAYER_IP4;
	case 10: /* AF_INET6 of Linux; then NetBSD and OpenBSD, FreeBSD, macOS */
	case 24:
	case 28:
	case 30:
		return LAYER_IP6;
	default:
		return layer_stop(c, MOS_DECODED_OTHER);
	}
}

/* Linux cooked: an Ethernet type, or below 1536 a number of Linux's own, of which 4 is 802.2 LLC. */
static enum layer cooked_layer(struct cursor *c, uint32_t type_at, uint32_t hlen)
{
	if (cursor_room(c) < hlen)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint16_t type = load_be16(cursor_at(c) + type_at);

	c->off += hlen;
	return type == 4 ? LAYER_LLC : ethertype_layer(c, type);
}

enum layer sll_decode(struct cursor *c)
{
	return cooked_layer(c, 14, 16);
}

enum layer sll2_decode(struct cursor *c)
{
	return cooked_layer(c, 0, 20);
}

/* IP over InfiniBand (RFC 4391 6), behind the global routing header of 40 bytes. */
enum layer ipoib_decode(struct cursor *c)
{
	return cooked_layer(c, 40, 44);
}

/*
 * RFC 1661 2, RFC 1662 3.1. Address and control bytes may be absent; so may the protocol's first byte, which is 0 and
 * even, where the second one is odd. On serial lines an address of Cisco's announces its own framing (RFC 1547 4.3.1).
 */
enum layer ppp_decode(struct cursor *c)
{
	if (cursor_room(c) < 2)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);

	if (h[0] == 0x0f || h[0] == 0x8f)
		return LAYER_CISCO_HDLC;
	if (h[0] == 0xff && h[1] == 0x03) {
		h += 2;
		c->off += 2;
	}
	if (cursor_room(c) < 1 || cursor_room(c) < 2U - (h[0] & 1))
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint16_t protocol = h[0] & 1 ? h[0] : load_be16(h);

	c->off += 2U - (h[0] & 1);
	switch (protocol) {
	case 0x0021:
		return LAYER_IP4;
	case 0x0057:
		return LAYER_IP6;
	case 0x0281: /* RFC 3032 4.3 */
	case 0x0283:
		return LAYER_MPLS;
	default:
		return layer_stop(c, MOS_DECODED_OTHER);
	}
}

/* RFC 1547 4.3.1: address, control, then an Ethernet type or a number of Cisco's own. */
enum layer cisco_hdlc_decode(struct cursor *c)
{
	if (cursor_room(c) < 4)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint16_t type = load_be16(cursor_at(c) + 2);

	c->off += 4;
	return ethertype_layer(c, type);
}

/* RFC 1390: frame control, two addresses, then LLC where frame control says so, with addresses of 6 bytes. */
enum layer fddi_decode(struct cursor *c)
{
	if (cursor_room(c) < 1)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	if ((*cursor_at(c) & 0x70) != 0x50)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < 13)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	c->off += 13;
	return LAYER_LLC;
}

/*
 * Linux's netfilter log: family, version, resource, then attributes, each with its length and type in the writer's byte order
 * and filled up to 4 bytes. The packet is one of them.
 */
enum layer nflog_decode(struct cursor *c)
{
	enum { PAYLOAD = 9, ATTRIBUTES_MAX = 32, ATTRIBUTE_MAX = 256 };

	if (cursor_room(c) < 4)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	c->off += 4;
	for (unsigned n = 0; n < ATTRIBUTES_MAX; n++) {
		if (cursor_room(c) < 4)
			return layer_stop(c, MOS_DECODE_CUT_LINK);
		const uint8_t *h = cursor_at(c);
		bool little = h[3] == 0; /* types are below 256 */
		uint32_t len = little ? load_le16(h) : load_be16(h),
			 type = little ? load_le16(h + 2) : load_be16(h + 2);

		if (len < 4 || (type != PAYLOAD && len > ATTRIBUTE_MAX))
			return layer_stop(c, MOS_DECODED_OTHER);
		if (type == PAYLOAD) {
			c->off += 4;
			cursor_shorten(c, len - 4);
			return LAYER_IP;
		}
		len = (len + 3) & ~3U;
		if (cursor_room(c) < len)
			return layer_stop(c, MOS_DECODE_CUT_LINK);
		c->off += len;
	}
	return layer_stop(c, MOS_DECODED_OTHER);
}
