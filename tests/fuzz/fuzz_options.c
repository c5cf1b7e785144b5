/*
 * The options of a TCP header, cut off by the capture at any place, against a parser of a few lines.
 *
 * Input: the options, up to 40 bytes.
 */
#include "fuzz.h"
#include "pkt/bytes.h"
#include "pkt/decode.h"

enum { OPTIONS_MAX = 40, TCP_AT = 34 };

/* The last option of a kind and length that stands before the end, the cut or the first malformed one; NULL: none. */
static const uint8_t *find(const uint8_t *opt, size_t len, size_t there, uint8_t kind, size_t from, size_t to)
{
	const uint8_t *found = NULL;

	for (size_t i = 0; i < there && opt[i] != 0;) {
		if (opt[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= there || opt[i + 1] < 2 || i + opt[i + 1] > len || i + opt[i + 1] > there)
			break;
		if (opt[i] == kind && opt[i + 1] >= from && opt[i + 1] <= to && (from == to || opt[i + 1] % 8 == 2))
			found = opt + i;
		i += opt[i + 1];
	}
	return found;
}

static void check(const struct tcp_options *o, const uint8_t *opt, size_t len, size_t there)
{
	const uint8_t *mss = find(opt, len, there, 2, 4, 4), *scale = find(opt, len, there, 3, 3, 3);
	const uint8_t *ok = find(opt, len, there, 4, 2, 2), *sack = find(opt, len, there, 5, 10, 34);
	const uint8_t *ts = find(opt, len, there, 8, 10, 10);

	CLAIM(o->mss == (mss ? load_be16(mss + 2) : 0));
	CLAIM(o->has_wscale == !!scale && o->sack_ok == !!ok && o->has_ts == !!ts);
	CLAIM(!scale || o->wscale == (scale[2] < 14 ? scale[2] : 14));
	CLAIM(!ts || (o->tsval == load_be32(ts + 2) && o->tsecr == load_be32(ts + 6)));
	CLAIM(o->sack_blocks == (sack ? (sack[1] - 2) / 8 : 0));
	for (unsigned i = 0; i < o->sack_blocks; i++)
		CLAIM(o->sack[i][0] == load_be32(sack + 2 + 8 * i) && o->sack[i][1] == load_be32(sack + 6 + 8 * i));
	CLAIM(!(o->malformed && o->cut));
	CLAIM(there < len || !o->cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < OPTIONS_MAX ? size : OPTIONS_MAX, padded = (len + 3) / 4 * 4;

	for (size_t there = 0; there <= padded; there++) {
		uint8_t opt[OPTIONS_MAX] = { 0 };
		uint8_t *frame = calloc(1, TCP_AT + 20 + there);
		struct mos_packet p = { .data = frame, .l4 = TCP_AT, .tcp_hlen = (uint8_t)(20 + padded) };
		struct tcp_options o;

		if (len)
			memcpy(opt, data, len);
		memcpy(frame + TCP_AT + 20, opt, there);
		p.caplen = p.len = (uint32_t)(TCP_AT + 20 + there);
		packet_options(&p, &o);
		check(&o, opt, padded, there);
		free(frame);
	}
	return 0;
}
