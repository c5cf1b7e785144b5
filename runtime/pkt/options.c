#include "pkt/bytes.h"
#include "pkt/decode.h"

enum { TCP_EOL = 0, TCP_NOP, TCP_MSS, TCP_WSCALE, TCP_SACK_OK, TCP_SACK, TCP_TS = 8 };

/* RFC 2018 3: one to four blocks of 8 bytes. */
static void sack_blocks(struct tcp_options *o, const uint8_t *opt, unsigned len)
{
	o->sack_blocks = 0;
	for (unsigned i = 2; i + 8 <= len; i += 8) {
		o->sack[o->sack_blocks][0] = load_be32(opt + i);
		o->sack[o->sack_blocks][1] = load_be32(opt + i + 4);
		o->sack_blocks++;
	}
}

static uint8_t wscale_of(uint8_t shift)
{
	return shift < 14 ? shift : 14;
}

/* A known option of a wrong length is as if absent; len bytes are there, and len >= 2. */
static void option(struct tcp_options *o, const uint8_t *opt, unsigned len)
{
	switch (opt[0]) {
	case TCP_MSS:
		if (len == 4)
			o->mss = load_be16(opt + 2);
		break;
	case TCP_WSCALE:
		if (len == 3) {
			o->has_wscale = true;
			o->wscale = wscale_of(opt[2]);
		}
		break;
	case TCP_SACK_OK:
		if (len == 2)
			o->sack_ok = true;
		break;
	case TCP_SACK:
		if (len > 2 && len % 8 == 2)
			sack_blocks(o, opt, len);
		break;
	case TCP_TS:
		if (len == 10) {
			o->has_ts = true;
			o->tsval = load_be32(opt + 2);
			o->tsecr = load_be32(opt + 6);
		}
		break;
	}
}

/* As Linux has them in a SYN: MSS, SACK permitted, timestamps, NOP, window scale. */
static bool linux_syn_options(const uint8_t *opt, long len, struct tcp_options *o)
{
	if (len != 20 || load_be16(opt) != 0x0204 || load_be32(opt + 4) != 0x0402080a ||
	    load_be32(opt + 16) >> 8 != 0x010303)
		return false;
	o->mss = load_be16(opt + 2);
	o->sack_ok = o->has_ts = o->has_wscale = true;
	o->tsval = load_be32(opt + 8);
	o->tsecr = load_be32(opt + 12);
	o->wscale = wscale_of(opt[19]);
	return true;
}

void packet_options(const struct mos_packet *p, struct tcp_options *o)
{
	const uint8_t *opt = p->data + p->l4 + 20, *end = opt + (p->tcp_hlen - 20);
	const uint8_t *there = p->data + p->caplen < end ? p->data + p->caplen : end;

	*o = (struct tcp_options){ 0 };
	if (there == end && linux_syn_options(opt, end - opt, o))
		return;
	while (opt < there) {
		if (*opt == TCP_NOP) {
			opt++;
			continue;
		}
		if (*opt == TCP_EOL)
			return;
		if (end - opt < 2 || (there - opt >= 2 && (opt[1] < 2 || opt[1] > end - opt))) {
			o->malformed = true;
			return;
		}
		if (there - opt < 2 || there - opt < opt[1])
			break;
		option(o, opt, opt[1]);
		opt += opt[1];
	}
	o->cut = opt < end;
}
