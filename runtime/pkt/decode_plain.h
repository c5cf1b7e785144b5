/*
 * The common frame in a straight line: Ethernet, IPv4 without options, not a fragment, TCP. For the path, which decodes
 * millions of them a second; everything else is packet_walk's.
 */
#ifndef MOS_PKT_DECODE_PLAIN_H
#define MOS_PKT_DECODE_PLAIN_H

#include <stdbool.h>

#include "mos_ffi.h"
#include "pkt/bytes.h"

/*
 * Words of 64 bits, so that a hash that reads them next finds them in one piece. Which end compares lower is anybody's
 * guess, so nothing branches on it.
 */
static inline void plain_key(struct mos_packet *p, const uint8_t *ip, const uint8_t *tcp)
{
	const uint64_t none = 0;
	uint32_t from, to, ports = load_be32(tcp);
	uint64_t addrs = load_be64(ip + 12);
	uint64_t src = addrs >> 32 << 16 | ports >> 16, dst = addrs << 32 >> 16 | (ports & 0xffff);
	uint64_t swap = -(uint64_t)(src > dst);

	memcpy(&from, ip + 12, sizeof(from));
	memcpy(&to, ip + 16, sizeof(to));
	uint64_t differ = (from ^ to) & swap, low = from ^ differ, high = to ^ differ;
	uint16_t port_differ = (uint16_t)((src ^ dst) & swap);

	memcpy(&p->key.addr_be[0][0], &low, sizeof(low));
	memcpy(&p->key.addr_be[0][2], &none, sizeof(none));
	memcpy(&p->key.addr_be[1][0], &high, sizeof(high));
	memcpy(&p->key.addr_be[1][2], &none, sizeof(none));
	p->key.port[0] = (uint16_t)src ^ port_differ;
	p->key.port[1] = (uint16_t)dst ^ port_differ;
	p->key.family = 4;
	p->dir = swap & 1;
}

/* False, and nothing is written, if it is another kind of frame. */
static inline bool packet_decode_plain(struct mos_packet *p)
{
	enum { ETHERNET = 1, L3 = 14, L4 = L3 + 20, PAYLOAD = L4 + 20, TCP = 6 };
	const uint8_t *h = p->data;
	uint32_t caplen = p->caplen;

	if (p->link != ETHERNET || caplen < PAYLOAD)
		return false;
	/* type, version and header length; fragment offset and more-fragments, protocol */
	if (load_be32(h + 12) >> 8 != 0x080045 || (load_be32(h + L3 + 6) & 0x3fff00ff) != TCP)
		return false;
	uint32_t ip_len = load_be16(h + L3 + 2), hlen = (h[L4 + 12] >> 2) & 0x3c;
	uint32_t end = L3 + ip_len, payload = L4 + hlen;

	if (hlen < 20 || end < payload || end > p->len)
		return false;
	uint32_t cap = caplen < end ? caplen : end;

	p->verdict = MOS_PASS;
	p->decoded = MOS_DECODED_TCP;
	p->ip_version = 4;
	p->ip_proto = TCP;
	p->tcp_flags = h[L4 + 13];
	p->tcp_hlen = (uint8_t)hlen;
	p->changed = 0;
	p->l3 = L3;
	p->l4 = L4;
	p->seq = load_be32(h + L4 + 4);
	p->ack = load_be32(h + L4 + 8);
	p->window = load_be16(h + L4 + 14);
	p->urgent = load_be16(h + L4 + 18);
	p->ip_len = ip_len;
	p->ip_id = load_be16(h + L3 + 4);
	p->payload = payload;
	p->payload_len = end - payload;
	p->payload_caplen = cap > payload ? cap - payload : 0;
	plain_key(p, h + L3, h + L4);
	return true;
}

#endif
