#include "pkt/bytes.h"
#include "pkt/layer.h"

/* Radio headers say their own length. Real ones are below 300 bytes; the limit keeps offsets within 16 bits. */
enum { RADIO_MAX = 4096, PRISM_LEN = 144, FCS_LEN = 4 };

/* The radio header of len bytes is passed; what it wraps comes next. */
static enum layer radio_skip(struct cursor *c, uint32_t len, enum layer next)
{
	if (len < 8 || len > RADIO_MAX)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (cursor_room(c) < len)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	c->off += len;
	return next;
}

/* The checksum behind the frame is no part of what the frame carries. */
static void fcs_drop(struct cursor *c)
{
	uint32_t len = c->end - c->off;

	c->end -= len < FCS_LEN ? len : FCS_LEN;
	if (c->cap > c->end)
		c->cap = c->end;
}

/* The Flags field (bit 1) of the radiotap header at h; 0 where it is absent. Only TSFT, 8 bytes, comes before it. */
static uint8_t radiotap_flags(const uint8_t *h, uint32_t len)
{
	uint32_t present = load_le32(h + 4), more = present, at = 8;

	while (more & UINT32_C(1) << 31 && at + 4 <= len) {
		more = load_le32(h + at);
		at += 4;
	}
	if (present & 1)
		at = (at + 7) / 8 * 8 + 8;
	return present & 2 && at < len ? h[at] : 0;
}

/* radiotap.org: version 0, a pad byte, the length, which fields are present; all little-endian. */
enum layer radiotap_decode(struct cursor *c)
{
	enum { WITH_FCS = 0x10, PADDED = 0x20, BAD_FCS = 0x40 };

	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);
	uint32_t len = load_le16(h + 2);

	if (h[0] != 0)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (radio_skip(c, len, LAYER_WIFI) == LAYER_NONE)
		return LAYER_NONE;
	uint8_t flags = radiotap_flags(h, len);

	/* A frame that arrived broken: no station takes it for what it says. */
	if (flags & BAD_FCS)
		return layer_stop(c, MOS_DECODED_OTHER);
	if (flags & WITH_FCS)
		fcs_drop(c);
	c->padded = flags & PADDED;
	return LAYER_WIFI;
}

/* Drivers that announce Prism's header may write AVS's, which begins with a magic number and then says its length. */
enum layer prism_decode(struct cursor *c)
{
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);
	bool avs = (load_be32(h) & 0xfffff000) == 0x80211000;

	return radio_skip(c, avs ? load_be32(h + 4) : PRISM_LEN, LAYER_WIFI);
}

/* CACE PPI 3.1: version 0, flags, the length, then the link type of what follows; all little-endian. */
enum layer ppi_decode(struct cursor *c)
{
	if (cursor_room(c) < 8)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);
	uint32_t link = load_le32(h + 4);
	enum layer next = link <= UINT16_MAX ? link_layer((int)link) : LAYER_NONE;

	if (h[0] != 0 || next == LAYER_NONE || next == LAYER_PPI || next == LAYER_PKTAP)
		return layer_stop(c, MOS_DECODED_OTHER);
	return radio_skip(c, load_le16(h + 2), next);
}

/* Apple's header of what an interface was captured with: length, type 1 for a packet, link type; all little-endian. */
enum layer pktap_decode(struct cursor *c)
{
	if (cursor_room(c) < 12)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);
	uint32_t link = load_le32(h + 8);
	enum layer next = link <= UINT16_MAX ? link_layer((int)link) : LAYER_NONE;

	if (load_le32(h + 4) != 1 || next == LAYER_NONE || next == LAYER_PPI || next == LAYER_PKTAP)
		return layer_stop(c, MOS_DECODED_OTHER);
	return radio_skip(c, load_le32(h), next);
}

/*
 * IEEE 802.11 9.2.4, 9.3.2. Only data frames that carry something and are neither encrypted nor a fragment are of use here. Of
 * several payloads (an A-MSDU, 9.3.2.2), each behind addresses and its length, the first one is taken.
 */
enum layer wifi_decode(struct cursor *c)
{
	enum { QOS = 0x80, BOTH_DS = 0x03, MORE_FRAGMENTS = 0x04, PROTECTED = 0x40, HT_CONTROL = 0x80, AMSDU = 0x80 };

	if (cursor_room(c) < 2)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	const uint8_t *h = cursor_at(c);
	uint32_t hlen = (h[1] & BOTH_DS) == BOTH_DS ? 30 : 24, qos_at = hlen;

	/* version 0, type 2, and not one of the subtypes without data */
	if ((h[0] & 0x4f) != 0x08 || h[1] & (MORE_FRAGMENTS | PROTECTED))
		return layer_stop(c, MOS_DECODED_OTHER);
	if (h[0] & QOS)
		hlen += h[1] & HT_CONTROL ? 6 : 2;
	if (c->padded)
		hlen = (hlen + 3) & ~3U;
	if (cursor_room(c) < hlen)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	bool later_fragment = h[22] & 0x0f;

	if (later_fragment)
		return layer_stop(c, MOS_DECODED_OTHER);
	c->off += hlen;
	if (!(h[0] & QOS) || !(h[qos_at] & AMSDU))
		return LAYER_LLC;
	if (cursor_room(c) < 14)
		return layer_stop(c, MOS_DECODE_CUT_LINK);
	uint32_t len = load_be16(cursor_at(c) + 12);

	c->off += 14;
	cursor_shorten(c, len);
	return LAYER_LLC;
}
