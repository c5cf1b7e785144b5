/*
 * From frame to TCP header: bounds first, reads second. A packet is never an error: it is classified, and a malformed
 * one is named by the header that is wrong.
 */
#ifndef MOS_PKT_DECODE_H
#define MOS_PKT_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "mos_ffi.h"

/*
 * Fill p's decoded part from its frame (data, caplen, len, link). Sets and returns p->decoded. Link types: Ethernet
 * (VLAN and QinQ tags, any depth up to 8), raw IP (12, 14, 101, 228, 229), BSD null and loopback (either byte order),
 * Linux cooked v1 and v2, PPP (with or without address and control bytes, protocol compressed or not), PPP on serial
 * lines and Cisco HDLC, FDDI, IEEE 802.11, bare or behind radiotap, Prism, AVS or PPI headers, PKTAP, Linux's
 * netfilter log, IP over InfiniBand. Reads nothing outside data[0..caplen).
 *
 * Of 802.11, unencrypted data frames are decoded, QoS and four-address ones too; of several payloads in one (an A-MSDU)
 * the first is. Fragments and frames that radiotap says arrived broken are MOS_DECODED_OTHER.
 *
 * What carries another packet is decoded to the innermost one, at most eight deep: MPLS (IP, and Ethernet
 * pseudowires), PPPoE, PBB, VN-Tag, E-Tag, Cisco's metadata, FabricPath; IP in IP, AH, GRE (also PPTP, NVGRE, ERSPAN I to III, 802.11 of
 * Aruba's, WCCP); in UDP, known by either port, VXLAN (4789, 8472, GPE 4790), Geneve (6081), GTP-U (2152), Teredo (3544, and by its
 * addresses on any port), GRE (4754), MPLS (6635), L2TP (1701) and AYIYA (5072). Where there is no decodable packet
 * in an IP packet, or a malformed one in what only a port says is a tunnel, the IP packet around it is the result, as
 * MOS_DECODED_IP. Fragments are not looked into, nor are packets that ICMP errors quote.
 *
 * Trailing bytes that belong to no IP packet (Ethernet padding) are not payload. A length field of 0 in the IP header
 * (segmentation offload, jumbo) means "as long as the frame"; so does one that exceeds the frame on the wire.
 *
 * A TCP header whose 20 fixed bytes were captured and whose options were not is MOS_DECODED_TCP with a payload_caplen
 * of 0; payload then lies beyond caplen. verdict and changed are reset; hash and slot are left alone. Where the result
 * is not MOS_DECODED_TCP, the fields that it does not promise are 0; a malformed packet keeps what was right before the
 * fault.
 */
enum mos_decode packet_decode(struct mos_packet *p);

/* The same without the shortcut for plain frames (decode_plain.h). */
enum mos_decode packet_walk(struct mos_packet *p);

/* A header on the way to the innermost packet. */
struct packet_layer {
	uint32_t off; /* of its first byte in the frame */
	uint32_t kind;
};

/*
 * The headers of a decoded packet's frame, outer first, into out[0..n): what was found on the way to l4, that included; those
 * of tunnels that have none of their own kind (VXLAN, Geneve, GTP-U, Teredo, L2TP, AYIYA) lie between the UDP header and the next one.
 * Returns how many.
 */
unsigned packet_layers(const struct mos_packet *p, struct packet_layer *out, unsigned n);

/* "ipv4" */
const char *packet_layer_name(unsigned kind);

/* What a packet may be wrapped in, by the bit of packet_decap_off. */
enum decap_kind {
	DECAP_VLAN, /* and QinQ */
	DECAP_MPLS,
	DECAP_PPPOE,
	DECAP_PBB,
	DECAP_VNTAG, /* and E-Tag, Cisco's metadata */
	DECAP_FABRICPATH,
	DECAP_IPIP, /* IP in IP, 6in4 and the like */
	DECAP_AH,
	DECAP_GRE, /* and PPTP, NVGRE */
	DECAP_ERSPAN,
	DECAP_VXLAN,
	DECAP_GENEVE,
	DECAP_GTP,
	DECAP_TEREDO,
	DECAP_L2TP,
	DECAP_AYIYA,
	DECAP_KINDS
};

/* "gre"; NULL where there is none. */
const char *decap_name(unsigned kind);

/*
 * Leave these kinds wrapped (a bit for each): the packet around is then the result, MOS_DECODED_IP, or MOS_DECODED_OTHER
 * where there is none. For the process, before the first packet is decoded.
 */
void packet_decap_off(uint32_t kinds);

/* True if packet_decode knows this link type. */
bool packet_link_known(int link);

/* "tcp", "cut_tcp": the name of a decode result, and a sentence on it. Borrowed. */
const char *decode_name(enum mos_decode d);
const char *decode_meaning(enum mos_decode d);

/* TCP options that the tracker reads (RFC 9293 3.1, 7323, 2018). */
struct tcp_options {
	uint32_t tsval, tsecr; /* where has_ts */
	uint16_t mss;          /* 0: absent */
	uint8_t wscale;        /* where has_wscale; capped at 14 (RFC 7323 2.3) */
	uint8_t sack_blocks;   /* 0 ... 4 */
	bool has_ts, has_wscale, sack_ok;
	bool malformed;      /* a length below 2, or past the header's end; what came before it counts */
	bool cut;            /* the capture ends inside the options: any may have been there */
	uint32_t sack[4][2]; /* left and right edge */
};

/* Parse the options of a decoded TCP packet. Options in the cut part of a header are absent. */
void packet_options(const struct mos_packet *p, struct tcp_options *o);

#endif
