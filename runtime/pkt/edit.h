/*
 * Changing a frame in place, and its checksums.
 */
#ifndef MOS_PKT_EDIT_H
#define MOS_PKT_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mos_ffi.h"

/*
 * The layers are those of the innermost packet; lengths and checksums of headers around it are the caller's to set.
 * EDIT_ETH is all that stands before the IP header, or the whole frame where there is none; EDIT_IP has the options
 * and extension headers, EDIT_TCP the options. EDIT_BODY is all that stands behind the IP header of a packet that is not TCP
 * and no fragment.
 */
enum edit_layer { EDIT_ETH, EDIT_IP, EDIT_TCP, EDIT_PAYLOAD, EDIT_BODY };

/*
 * Write len bytes over the layer's bytes at offset off. The frame keeps its length. Marks the packet changed and, when
 * a header was written, decodes it again; its verdict stays. Checksums are not touched. data may point into the frame.
 * -ERANGE if the range leaves the layer's captured bytes, -EINVAL if the packet has no such layer.
 */
int packet_overwrite(struct mos_packet *p, enum edit_layer layer, size_t off, const void *data, size_t len);

/* Recompute the IPv4 header checksum, and mark the packet changed. -EINVAL where there is none. */
int packet_fix_ip_checksum(struct mos_packet *p);

/*
 * Recompute the TCP checksum over pseudo-header and payload, and mark the packet changed. -ERANGE if the capture cut
 * payload or options, -EINVAL if it is not TCP.
 */
int packet_fix_tcp_checksum(struct mos_packet *p);

/*
 * The same for whatever stands behind the IP header: TCP, UDP (RFC 768: none over IPv4 stays none), ICMP, ICMPv6. 0 also
 * where it is something else, or a fragment.
 */
int packet_fix_body_checksum(struct mos_packet *p);

/*
 * The TCP header is about to be changed: hand what this returns to packet_header_changed, which makes the checksum follow
 * (RFC 1624 3). Neither reads the payload: a checksum that was wrong stays so, and one over bytes that the capture cut off
 * stays right. For decoded TCP packets.
 */
uint64_t packet_header_sum(const struct mos_packet *p);
void packet_header_changed(struct mos_packet *p, uint64_t before);

/*
 * Are there headers before the IP header that would have to follow if the IP packet changed its length (an outer IP header,
 * PPPoE, an 802.3 length)? Of Ethernet with VLAN tags, Linux cooked, BSD loopback and raw IP there are none.
 */
bool packet_is_encapsulated(const struct mos_packet *p);

/*
 * Begin the TCP checksum as a network card finishes it: put the sum of the pseudo-header there. 0, or -EINVAL if it is
 * not TCP.
 */
int packet_start_tcp_checksum(const struct mos_packet *p);

/* Recompute the checksum of a UDP packet. -EINVAL if it is none, -ERANGE if the capture cut it. */
int packet_finish_udp_checksum(struct mos_packet *p);

/*
 * Are the IPv4 header checksum and the TCP checksum right? A cut payload or no checksum counts as right, and so does what
 * the port has found right.
 */
bool packet_checksums_ok(const struct mos_packet *p);

/*
 * RFC 1071 sum of len bytes, to be folded by checksum_fold; starts from sum (0, or a previous result). Of several
 * pieces all but the last must be of even length.
 */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);

/* The checksum, in host byte order; 0 if the bytes summed hold a right one. */
uint16_t checksum_fold(uint64_t sum);

#endif
