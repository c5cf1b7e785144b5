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
			o->wscale = opt[2] < 14 ? opt[2] : 14;
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

void packet_options(const struct mos_packet *p, struct tcp_options *o)
{
	const uint8_t *opt = p->data + p->l4 + 20;
	unsigned left = p->tcp_hlen - 20U; /* bytes of options; of these there are */
	unsigned there = p->caplen - p->l4 - 20;

	*o = (struct tcp_options){ 0 };
	while (left > 0) {
		unsigned len = 1;

		if (there < 1)
			break;
		if (opt[0] == TCP_EOL)
			return;
		if (opt[0] != TCP_NOP) {
			if (left < 2 || (there >= 2 && (opt[1] < 2 || opt[1] > left))) {
				o->malformed = true;
				return;
			}
			if (there < 2 || there < opt[1])
				break;
			len = opt[1];
			option(o, opt, len);
		}
		opt += len;
		left -= len;
		there -= len;
	}
	o->cut = left > 0;
}
