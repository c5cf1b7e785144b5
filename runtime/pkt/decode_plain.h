/*
 * The common frame in a straight line: Ethernet, IPv4 without options, not a fragment, TCP. For the path, which decodes
 * millions of them a second; everything else is packet_walk's.
 */
#ifndef MOS_PKT_DECODE_PLAIN_H
#define MOS_PKT_DECODE_PLAIN_H

#include <stdbool.h>

#include "mos_ffi.h"
#include "pkt/bytes.h"

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

/* False, and nothing is written, if it is another kind of frame. end: see plain_key. */
static inline bool packet_decode_plain(struct mos_packet *p, uint64_t end[2])
{
	enum { ETHERNET = 1, L3 = 14, L4 = L3 + 20, PAYLOAD = L4 + 20, TCP = 6 };
	const uint8_t *h = p->data;
	uint32_t caplen = p->caplen;

	if (p->link != ETHERNET || caplen < PAYLOAD)
		return false;
	/* type, version and header length; fragment offset and more-fragments, protocol */
	if (load_be32(h + 12) >> 8 != 0x080045 || (load_be32(h + L3 + 6) & 0x3fff00ff) != TCP)
		return false;
	uint32_t ip_len = load_be16(h + L3 + 2), hlen = (h[L4 + 12] & 0xf0u) >> 2;
	uint32_t over = L3 + ip_len, payload = L4 + hlen;

	if (hlen < 20 || over < payload || over > p->len)
		return false;
	uint32_t cap = caplen < over ? caplen : over;

	/* One store for the four. */
	p->verdict = MOS_PASS;
	p->decoded = MOS_DECODED_TCP;
	p->ip_version = 4;
	p->ip_proto = TCP;
	p->changed = 0;
	p->l3 = L3;
	p->l4 = L4;
	p->tcp_flags = h[L4 + 13];
	p->tcp_hlen = (uint8_t)hlen;
	p->seq = load_be32(h + L4 + 4);
	p->ack = load_be32(h + L4 + 8);
	p->window = load_be16(h + L4 + 14);
	p->urgent = load_be16(h + L4 + 18);
	p->ip_len = ip_len;
	p->ip_id = load_be16(h + L3 + 4);
	p->payload = payload;
	p->payload_len = over - payload;
	p->payload_caplen = cap > payload ? cap - payload : 0;
	plain_key(p, h + L3, end);
	return true;
}

#endif
