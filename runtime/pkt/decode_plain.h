/*
 * Common frames in a straight line: Ethernet, IPv4 without options, not a fragment, TCP; and IPv6 without extension headers.
 * For the path, which decodes millions of them a second; everything else is packet_walk's.
 */
#ifndef MOS_PKT_DECODE_PLAIN_H
#define MOS_PKT_DECODE_PLAIN_H

#include <stdbool.h>

#include "mos_ffi.h"
#include "pkt/bytes.h"

enum { PLAIN_ETHERNET = 1, PLAIN_L3 = 14, PLAIN_TCP = 6 };

static inline void plain_address(uint32_t addr_be[4], uint64_t end)
{
	const uint64_t words[2] = { (uint32_t)htobe64(end), 0 };

	memcpy(addr_be, words, sizeof(words));
}

/*
 * The key, and its ends as key_hash_ip4 takes them: address << 32 | port. Which of them compares lower is anybody's guess, so
 * nothing branches on it.
 */
static inline void plain_key(struct mos_packet *p, const uint8_t *ip, uint64_t end[2])
{
	uint64_t src_dst = load_be64(ip + 12), dst_ports = load_be64(ip + 16);
	uint64_t src = (src_dst & 0xffffffff00000000) | (dst_ports >> 16 & 0xffff),
		 dst = dst_ports & 0xffffffff0000ffff;
	uint64_t swap = -(uint64_t)(src > dst), differ = (src ^ dst) & swap;
	struct mos_key *k = &p->key;

	end[0] = src ^ differ;
	end[1] = dst ^ differ;
	plain_address(k->addr_be[0], end[0]);
	plain_address(k->addr_be[1], end[1]);
	k->port[0] = (uint16_t)end[0];
	k->port[1] = (uint16_t)end[1];
	k->family = 4;
	p->dir = swap & 1;
}

/* What IPv4 and IPv6 have in common. False, and nothing is written, if lengths contradict each other. */
static inline __attribute__((always_inline)) bool plain_segment(struct mos_packet *p, uint8_t version, uint32_t l3,
								uint32_t l4, uint32_t ip_len)
{
	const uint8_t *h = p->data;
	uint32_t caplen = p->caplen, hlen = (h[l4 + 12] & 0xf0u) >> 2;
	uint32_t over = l3 + ip_len, payload = l4 + hlen;

	if (hlen < 20 || over < payload || over > p->len)
		return false;
	uint32_t cap = caplen < over ? caplen : over;

	p->verdict = MOS_PASS;
	p->decoded = MOS_DECODED_TCP;
	p->ip_version = version;
	p->ip_proto = PLAIN_TCP;
	p->changed = 0;
	p->l3 = (uint16_t)l3;
	p->l4 = (uint16_t)l4;
	p->tcp_flags = h[l4 + 13];
	p->tcp_hlen = (uint8_t)hlen;
	p->seq = load_be32(h + l4 + 4);
	p->ack = load_be32(h + l4 + 8);
	p->window = load_be16(h + l4 + 14);
	p->urgent = load_be16(h + l4 + 18);
	p->ip_len = ip_len;
	p->ip_id = version == 4 ? load_be16(h + l3 + 4) : 0;
	p->payload = payload;
	p->payload_len = over - payload;
	p->payload_caplen = cap > payload ? cap - payload : 0;
	return true;
}

/* False, and nothing is written, if it is another kind of frame. end: see plain_key. */
static inline bool packet_decode_plain(struct mos_packet *p, uint64_t end[2])
{
	enum { L3 = PLAIN_L3, L4 = L3 + 20 };
	const uint8_t *h = p->data;

	if (p->link != PLAIN_ETHERNET || p->caplen < L4 + 20)
		return false;
	/* type, version and header length; fragment offset and more-fragments, protocol */
	if (load_be32(h + 12) >> 8 != 0x080045 || (load_be32(h + L3 + 6) & 0x3fff00ff) != PLAIN_TCP)
		return false;
	if (!plain_segment(p, 4, L3, L4, load_be16(h + L3 + 2)))
		return false;
	plain_key(p, h + L3, end);
	return true;
}

/* Also packet_walk's. */
static inline void plain_key6(struct mos_packet *p, const uint8_t *addrs, const uint8_t *ports)
{
	uint64_t src[2] = { load_be64(addrs), load_be64(addrs + 8) };
	uint64_t dst[2] = { load_be64(addrs + 16), load_be64(addrs + 24) };
	uint16_t sport = load_be16(ports), dport = load_be16(ports + 2);
	bool same = src[0] == dst[0], swap = same && src[1] == dst[1] ? sport > dport : src[same] > dst[same];
	struct mos_key *k = &p->key;

	memcpy(k->addr_be[swap], addrs, 16);
	memcpy(k->addr_be[!swap], addrs + 16, 16);
	k->port[swap] = sport;
	k->port[!swap] = dport;
	k->family = 6;
	p->dir = swap;
}

/* The same for IPv6 without extension headers, nor larger than its length can say. */
static inline bool packet_decode_plain6(struct mos_packet *p)
{
	enum { L3 = PLAIN_L3, L4 = L3 + 40 };
	const uint8_t *h = p->data;

	if (p->link != PLAIN_ETHERNET || p->caplen < L4 + 20)
		return false;
	if (load_be16(h + 12) != 0x86dd || h[L3] >> 4 != 6 || h[L3 + 6] != PLAIN_TCP || !load_be16(h + L3 + 4))
		return false;
	if (!plain_segment(p, 6, L3, L4, 40u + load_be16(h + L3 + 4)))
		return false;
	plain_key6(p, h + L3 + 8, h + L4);
	return true;
}

#endif
