/*
 * Segments of two connections in any order, with numbers near and far, through a worker whose handlers do what they
 * like. Payload is a function of its sequence number unless the input says otherwise, so that every byte that a handler
 * reads can be told to be right.
 *
 * Input: settings, two of them; then segments of 7 bytes.
 */
#include "fuzz.h"
#include "pkt/bytes.h"
#include "watch.h"

enum { SEGMENTS_MAX = 400, FRAME_MAX = 14 + 40 + 60 + 2048 };

struct side {
	uint32_t isn, at;
};

static uint8_t frames[IO_BURST][FRAME_MAX];
static struct side sides[2][2];
static bool tainted; /* other bytes than the function's were sent */

static uint8_t byte_of(uint32_t seq)
{
	return (uint8_t)(seq * 2654435761u >> 24);
}

static void check_bytes(const struct mos_conn *c, int side, uint32_t first, const uint8_t *bytes, size_t len)
{
	(void)c, (void)side;
	for (size_t i = 0; i < len && !tainted; i++)
		CLAIM(bytes[i] == byte_of(first + (uint32_t)i));
}

static uint32_t ip_header(uint8_t *f, unsigned conn, unsigned from, uint32_t tcp_len)
{
	memset(f, 0, 54);
	if (conn) {
		store_be16(f + 12, 0x86dd);
		f[14] = 0x60;
		store_be16(f + 18, (uint16_t)tcp_len);
		f[20] = 6;
		f[37] = (uint8_t)(1 + from);
		f[53] = (uint8_t)(2 - from);
		return 54;
	}
	store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(20 + tcp_len));
	f[23] = 6;
	f[29] = (uint8_t)(1 + from);
	f[33] = (uint8_t)(2 - from);
	return 34;
}

/* Near the place where the end is, or anywhere. */
static uint32_t seq_of(const struct side *s, uint8_t where, uint16_t by)
{
	switch (where & 7) {
	case 0:
		return s->isn + s->at + (uint32_t)(int8_t)by;
	case 1:
		return s->isn + s->at + (uint32_t)(int16_t)by;
	case 2:
		return s->isn + s->at + ((uint32_t)by << 16);
	case 3:
		return s->isn + by;
	default:
		return s->isn + s->at;
	}
}

static uint32_t options(uint8_t *o, uint8_t kind, uint8_t value)
{
	static const uint8_t syn[12] = { 2, 4, 5, 180, 3, 3, 0, 1, 4, 2, 1, 1 };

	if (kind == 1) {
		memcpy(o, syn, 12);
		o[6] = value & 15;
		return 12;
	}
	if (kind == 2) {
		memcpy(o, "\1\1\10\12", 4);
		store_be32(o + 4, value * 16777u);
		store_be32(o + 8, 0);
		return 12;
	}
	return 0;
}

static void fill(uint8_t *payload, uint32_t seq, uint32_t len, uint8_t salt)
{
	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(byte_of(seq + i) + salt);
	tainted |= salt && len;
}

/* The next segment into slot i of the burst. */
static void segment(struct feed *f, struct worker *w, unsigned i, uint64_t now_ns)
{
	uint8_t what = feed_u8(f), flags = feed_u8(f), where = feed_u8(f), size = feed_u8(f), extra = feed_u8(f);
	unsigned conn = what & 1, from = what >> 1 & 1;
	struct side *s = &sides[conn][from];
	const struct side *peer = &sides[conn][!from];
	uint32_t seq = seq_of(s, where, feed_u8(f)), len = what & 4 ? size * 7u : size / 16u;
	uint8_t salt = (what & 0x38) == 0x38 ? extra : 0, *b = frames[i], opt[40];
	uint32_t optlen = options(opt, what >> 6, extra), hlen = 20 + optlen, at = ip_header(b, conn, from, hlen + len);
	uint8_t *t = b + at;

	store_be16(t, (uint16_t)(from ? 80 : 40000));
	store_be16(t + 2, (uint16_t)(from ? 40000 : 80));
	store_be32(t + 4, seq);
	store_be32(t + 8, seq_of(peer, where >> 3, extra));
	t[12] = (uint8_t)(hlen / 4 << 4);
	t[13] = flags;
	store_be16(t + 14, where & 0x40 ? extra : 65535);
	store_be32(t + 16, 0);
	memcpy(t + 20, opt, optlen);
	fill(t + hlen, seq + !!(flags & MOS_TH_SYN), len, salt);
	w->burst[i] = (struct mos_packet){ .data = b, .ts_ns = now_ns, .link = 1 };
	w->burst[i].len = w->burst[i].caplen = at + hlen + len;
	if (where & 0x80 && extra > 200)
		w->burst[i].caplen -= len / 2;
	if ((where & 7) > 3)
		s->at = seq - s->isn + !!(flags & MOS_TH_SYN) + len + !!(flags & MOS_TH_FIN);
}

static void settings_of(uint8_t a, struct settings *set)
{
	settings_default(set);
	set->max_conns = a & 1 ? 1 : WATCH_CONNS;
	set->midstream = a & 2;
	set->linger_ns = a & 4 ? 0 : 5000000000;
	set->buffer_memory = a & 8 ? 6000 : 1 << 20;
	set->default_buf = a & 16 ? 500 : 65536;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t isns[] = { 1000, 0, 0x7fffff00, 0xfffffff0 };
	struct feed f = { data, size };
	uint8_t a = feed_u8(&f), b = feed_u8(&f);
	struct settings set;
	struct watch watch = { .whims = b >> 2 | (a & 0x60u) << 1, .bytes = check_bytes };
	uint64_t now_ns = 1000000000;
	unsigned n = 0;

	settings_of(a, &set);
	tainted = false;
	for (unsigned i = 0; i < 4; i++)
		sides[i / 2][i % 2] = (struct side){ .isn = isns[(b + i) % 4] };
	watch_init(&watch, &set);
	for (unsigned i = 0; i < SEGMENTS_MAX && f.left; i++) {
		segment(&f, watch.w, n++, now_ns);
		uint8_t pause = feed_u8(&f);

		now_ns += pause > 250 ? 40000000000 : pause * 1000000ull;
		if (pause >= 8 || n == IO_BURST) {
			watch_burst(&watch, n);
			n = 0;
		}
	}
	watch_burst(&watch, n);
	watch_fini(&watch);
	return 0;
}
