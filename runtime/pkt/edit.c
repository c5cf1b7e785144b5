#include "pkt/edit.h"

#include <errno.h>
#include <netinet/in.h>

#include "pkt/bytes.h"
#include "pkt/decode.h"
#include "pkt/layer.h"

static uint32_t body_end(const struct mos_packet *p)
{
	return p->l3 + p->ip_len;
}

/* The captured bytes of a layer. False if the packet has no such layer. */
static bool layer_range(const struct mos_packet *p, enum edit_layer layer, uint32_t *from, uint32_t *to)
{
	bool tcp = p->decoded == MOS_DECODED_TCP;

	switch (layer) {
	case EDIT_ETH:
		*from = 0;
		*to = p->ip_version ? p->l3 : p->caplen;
		return *to > 0;
	case EDIT_IP:
		*from = p->l3;
		*to = p->l4;
		return p->l4 > 0;
	case EDIT_TCP:
		*from = p->l4;
		*to = p->payload < p->caplen ? p->payload : p->caplen;
		return tcp;
	case EDIT_PAYLOAD:
		*from = p->payload;
		*to = p->payload + p->payload_caplen;
		return tcp;
	case EDIT_BODY:
		*from = p->l4;
		*to = body_end(p) < p->caplen ? body_end(p) : p->caplen;
		return p->decoded == MOS_DECODED_IP && *from <= *to;
	}
	return false;
}

static void packet_decode_again(struct mos_packet *p)
{
	uint8_t verdict = p->verdict;

	packet_decode(p);
	p->verdict = verdict;
}

int packet_overwrite(struct mos_packet *p, enum edit_layer layer, size_t off, const void *data, size_t len)
{
	uint32_t from, to;

	if (!layer_range(p, layer, &from, &to))
		return -EINVAL;
	if (off > to - from || len > to - from - off)
		return -ERANGE;
	if (len == 0)
		return 0;
	memmove(p->data + from + off, data, len);
	if (layer != EDIT_PAYLOAD)
		packet_decode_again(p);
	p->changed = 1;
	return 0;
}

static bool has_ip_checksum(const struct mos_packet *p)
{
	return p->ip_version == 4 && p->l4 > 0;
}

/* Not up to l4: an authentication header may stand in between. */
static uint32_t ip4_hlen(const struct mos_packet *p)
{
	uint32_t hlen = (p->data[p->l3] & 15) * 4U, room = (uint32_t)p->l4 - p->l3;

	return hlen < 20 || hlen > room ? room : hlen;
}

int packet_fix_ip_checksum(struct mos_packet *p)
{
	if (!has_ip_checksum(p))
		return -EINVAL;
	uint8_t *h = p->data + p->l3;

	store_be16(h + 10, 0);
	store_be16(h + 10, checksum_fold(checksum_add(0, h, ip4_hlen(p))));
	p->changed = 1;
	return 0;
}

static bool tcp_segment_is_whole(const struct mos_packet *p)
{
	return p->payload <= p->caplen && p->payload_caplen == p->payload_len;
}

/* RFC 9293 3.1; for IPv6 RFC 8200 8.1. */
static uint64_t pseudo_sum(const struct mos_packet *p, uint32_t len, uint8_t proto)
{
	const uint8_t *ip = p->data + p->l3;
	uint8_t tail[8] = { 0, 0, 0, 0, 0, 0, 0, proto };
	uint64_t sum;

	if (p->ip_version == 4) {
		sum = checksum_add(0, ip + 12, 8);
	} else {
		sum = checksum_add(0, ip + 8, 16);
		sum = checksum_add(sum, p->data + ip6_final_dst(p), 16);
	}
	store_be32(tail, len);
	return checksum_add(sum, tail, sizeof(tail));
}

static uint64_t tcp_sum(const struct mos_packet *p)
{
	uint32_t len = p->tcp_hlen + p->payload_len;

	return pseudo_sum(p, len, IPPROTO_TCP) + checksum_add(0, p->data + p->l4, len);
}

int packet_start_tcp_checksum(const struct mos_packet *p)
{
	if (p->decoded != MOS_DECODED_TCP || p->l4 + 18U > p->caplen)
		return -EINVAL;
	uint64_t sum = pseudo_sum(p, p->tcp_hlen + p->payload_len, IPPROTO_TCP);

	store_be16(p->data + p->l4 + 16, (uint16_t)~checksum_fold(sum));
	return 0;
}

int packet_finish_udp_checksum(struct mos_packet *p)
{
	uint32_t len = p->l3 + p->ip_len - p->l4;
	uint8_t *h = p->data + p->l4;

	if (p->decoded != MOS_DECODED_IP || p->ip_proto != IPPROTO_UDP || len < 8)
		return -EINVAL;
	if (p->l4 + len > p->caplen)
		return -ERANGE;
	store_be16(h + 6, 0);
	uint16_t sum = checksum_fold(pseudo_sum(p, len, IPPROTO_UDP) + checksum_add(0, h, len));

	/* RFC 768: 0 says that there is none. */
	store_be16(h + 6, sum ? sum : 0xffff);
	return 0;
}

int packet_fix_tcp_checksum(struct mos_packet *p)
{
	if (p->decoded != MOS_DECODED_TCP)
		return -EINVAL;
	if (!tcp_segment_is_whole(p))
		return -ERANGE;
	uint8_t *check = p->data + p->l4 + 16;

	store_be16(check, 0);
	store_be16(check, checksum_fold(tcp_sum(p)));
	p->changed = 1;
	return 0;
}

static int fix_icmp_checksum(struct mos_packet *p)
{
	uint32_t len = body_end(p) - p->l4;
	uint8_t *check = p->data + p->l4 + 2;

	if (len < 4)
		return -EINVAL;
	if (body_end(p) > p->caplen)
		return -ERANGE;
	uint64_t sum = p->ip_proto == IPPROTO_ICMPV6 ? pseudo_sum(p, len, IPPROTO_ICMPV6) : 0;

	store_be16(check, 0);
	store_be16(check, checksum_fold(checksum_add(sum, p->data + p->l4, len)));
	p->changed = 1;
	return 0;
}

static int fix_udp_checksum(struct mos_packet *p)
{
	if (p->l4 + 8u > p->caplen)
		return -ERANGE;
	if (p->ip_version == 4 && !load_be16(p->data + p->l4 + 6))
		return 0;
	p->changed = 1;
	return packet_finish_udp_checksum(p);
}

int packet_fix_body_checksum(struct mos_packet *p)
{
	if (p->decoded == MOS_DECODED_TCP)
		return packet_fix_tcp_checksum(p);
	if (p->decoded != MOS_DECODED_IP)
		return 0;
	switch (p->ip_proto) {
	case IPPROTO_UDP:
		return fix_udp_checksum(p);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return fix_icmp_checksum(p);
	default:
		return 0;
	}
}

bool packet_checksums_ok(const struct mos_packet *p)
{
	unsigned known = p->checks && !packet_is_encapsulated(p) ? p->checks : 0;

	if (!(known & MOS_CHECKS_IP) && has_ip_checksum(p) &&
	    checksum_fold(checksum_add(0, p->data + p->l3, ip4_hlen(p))) != 0)
		return false;
	return (known & MOS_CHECKS_TCP) || p->decoded != MOS_DECODED_TCP || !tcp_segment_is_whole(p) ||
	       checksum_fold(tcp_sum(p)) == 0;
}

/* Of what was captured, which has the same length before and after. */
static size_t header_bytes(const struct mos_packet *p)
{
	return (p->payload < p->caplen ? p->payload : p->caplen) - p->l4;
}

uint64_t packet_header_sum(const struct mos_packet *p)
{
	return checksum_add(0, p->data + p->l4, header_bytes(p));
}

/* Folded as it lies in memory, not complemented. */
static uint32_t fold(uint64_t sum)
{
	return (uint16_t)~htobe16(checksum_fold(sum));
}

void packet_header_changed(struct mos_packet *p, uint64_t before)
{
	uint8_t *check = p->data + p->l4 + 16;
	uint16_t old;

	memcpy(&old, check, sizeof(old));
	/* Equation 3: HC' = ~(~HC + ~m + m'), where m is the sum of all words. */
	uint64_t sum = (uint16_t)~old + (uint64_t)(uint16_t)~fold(before) + fold(packet_header_sum(p));

	store_be16(check, checksum_fold(sum));
	p->changed = 1;
}

enum { ETHERNET_BYTES = 14, VLAN_BYTES = 4 };

static bool is_vlan(uint16_t type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200;
}

/* Bytes of the Ethernet header and its tags, if they are all there is. */
static uint32_t ethernet_bytes(const struct mos_packet *p)
{
	uint32_t n = ETHERNET_BYTES;

	while (n <= p->caplen && is_vlan(load_be16(p->data + n - 2)))
		n += VLAN_BYTES;
	return n;
}

bool packet_is_encapsulated(const struct mos_packet *p)
{
	switch (p->link) {
	case 0:   /* DLT_NULL */
	case 108: /* DLT_LOOP */
		return p->l3 != 4;
	case 1: /* DLT_EN10MB */
		return p->l3 != ethernet_bytes(p) || load_be16(p->data + p->l3 - 2) < 0x600;
	case 113: /* DLT_LINUX_SLL */
		return p->l3 != 16;
	case 276: /* DLT_LINUX_SLL2 */
		return p->l3 != 20;
	default:
		return p->l3 != 0;
	}
}
