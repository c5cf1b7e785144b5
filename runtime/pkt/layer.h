/*
 * How a frame is taken apart: one decoder per layer. A decoder checks its header's bounds, fills its part of the
 * packet, moves the cursor past the header and answers which layer comes next. An encapsulation is one more decoder.
 * Internal to pkt/.
 */
#ifndef MOS_PKT_LAYER_H
#define MOS_PKT_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "mos_ffi.h"
#include "pkt/decode.h"

enum layer {
	LAYER_NONE, /* the walk is over: cursor.result is set */
	LAYER_ETHERNET,
	LAYER_VLAN,
	LAYER_LLC,
	LAYER_NULL,
	LAYER_SLL,
	LAYER_SLL2,
	LAYER_PPP,
	LAYER_CISCO_HDLC,
	LAYER_FDDI,
	LAYER_RADIOTAP,
	LAYER_PRISM, /* and AVS */
	LAYER_PPI,
	LAYER_PKTAP,
	LAYER_NFLOG,
	LAYER_IPOIB,
	LAYER_WIFI,
	LAYER_MPLS,
	LAYER_PPPOE,
	LAYER_PBB,
	LAYER_VNTAG,
	LAYER_ETAG,
	LAYER_CMD, /* Cisco's metadata */
	LAYER_FABRICPATH,
	LAYER_IP, /* 4 or 6, by its first nibble */
	LAYER_IP4,
	LAYER_IP6,
	LAYER_AH, /* behind IPv4; behind IPv6 it is one of the extension headers */
	LAYER_GRE,
	LAYER_UDP,
	LAYER_TCP,
	LAYER_COUNT
};

/* Headers that carry a packet with headers of its own, and tags that are not VLAN's: so many of them at most. */
enum { DEPTH_MAX = 8 };

/* What an IP header has set in a packet, kept while looking into what it carries. */
struct outer_ip {
	uint8_t ip_version, ip_proto;
	uint16_t l3, l4; /* l4 0: there is none */
	uint32_t ip_len, ip_id;
};

/*
 * Offsets count from p->data. off <= cap <= end always: what lies between cap and end was on the wire and not captured.
 */
struct cursor {
	struct mos_packet *p;
	uint32_t off;   /* the next layer's header */
	uint32_t cap;   /* one past its last captured byte */
	uint32_t end;   /* one past its last byte on the wire */
	uint64_t claim; /* where the IP header says that its packet ends, be it beyond the frame */
	unsigned tags;  /* VLAN tags so far */
	unsigned depth; /* of DEPTH_MAX */
	struct outer_ip outer;
	bool guess;  /* inside a UDP datagram that may be a tunnel's: what is malformed there is none */
	bool padded; /* the 802.11 header is filled up to a multiple of 4 */
	enum mos_decode result;
};

static inline const uint8_t *cursor_at(const struct cursor *c)
{
	return c->p->data + c->off;
}

/* Captured bytes from the cursor on. */
static inline uint32_t cursor_room(const struct cursor *c)
{
	return c->cap - c->off;
}

static inline enum layer layer_stop(struct cursor *c, enum mos_decode result)
{
	c->result = result;
	return LAYER_NONE;
}

/* One level deeper. False if it is too deep. */
static inline bool cursor_descend(struct cursor *c)
{
	return ++c->depth <= DEPTH_MAX;
}

/* May what this kind wraps be looked at? */
bool decap_is_on(enum decap_kind kind);

/* A header says that len bytes follow it. What lies behind them is padding; if there are fewer, it is not believed. */
static inline void cursor_shorten(struct cursor *c, uint32_t len)
{
	if (len > c->end - c->off)
		return;
	c->end = c->off + len;
	if (c->cap > c->end)
		c->cap = c->end;
}

/* The layer that an Ethernet type announces; that a type or an 802.3 length does. */
enum layer ethertype_layer(struct cursor *c, uint16_t type);
enum layer type_or_length_layer(struct cursor *c, uint16_t type);

/* What the IP packet just decoded carries, if it may be another packet; it is kept as the outer one. */
enum layer tunnel_layer(struct cursor *c, uint8_t proto);

/* The outermost layer of a link type; LAYER_NONE if it is not known. */
enum layer link_layer(int link);

enum layer ethernet_decode(struct cursor *c);
enum layer vlan_decode(struct cursor *c);
enum layer llc_decode(struct cursor *c);
enum layer null_decode(struct cursor *c);
enum layer sll_decode(struct cursor *c);
enum layer sll2_decode(struct cursor *c);
enum layer ppp_decode(struct cursor *c);
enum layer cisco_hdlc_decode(struct cursor *c);
enum layer fddi_decode(struct cursor *c);
enum layer radiotap_decode(struct cursor *c);
enum layer prism_decode(struct cursor *c);
enum layer ppi_decode(struct cursor *c);
enum layer pktap_decode(struct cursor *c);
enum layer nflog_decode(struct cursor *c);
enum layer ipoib_decode(struct cursor *c);
enum layer wifi_decode(struct cursor *c);
enum layer mpls_decode(struct cursor *c);
enum layer pppoe_decode(struct cursor *c);
enum layer pbb_decode(struct cursor *c);
enum layer vntag_decode(struct cursor *c);
enum layer etag_decode(struct cursor *c);
enum layer cmd_decode(struct cursor *c);
enum layer fabricpath_decode(struct cursor *c);
enum layer ip_decode(struct cursor *c);
enum layer ip4_decode(struct cursor *c);
enum layer ip6_decode(struct cursor *c);
enum layer ah_decode(struct cursor *c);
enum layer gre_decode(struct cursor *c);
enum layer udp_decode(struct cursor *c);

/* May a datagram of this protocol lead to TCP? Of UDP, its header of 4 bytes or more at h tells; NULL: not known yet. */
bool carries_packets(uint8_t proto, const uint8_t *h);

/*
 * Offset of the address that the TCP checksum of a decoded IPv6 packet covers as its destination: the last one of a
 * routing header that is still under way (RFC 8200 8.1), else the header's.
 */
uint32_t ip6_final_dst(const struct mos_packet *p);

/* Bytes of the IPv6 extension header of type proto at h, of which the first 2 are read; at least 8. */
uint32_t ip6_extension_len(uint8_t proto, const uint8_t *h);

#endif
