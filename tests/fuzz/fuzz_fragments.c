/*
 * IP fragments of a few datagrams, both versions, in any order, against a plain map of bytes: a datagram is complete when
 * the map says so, and then holds the map's bytes.
 *
 * Input: limits, policy; then fragments of 3 bytes and more: which datagram and flags, offset, length, content.
 */
#include "fuzz.h"
#include "pkt/bytes.h"
#include "pkt/decode.h"
#include "pkt/defrag.h"
#include "util/overlap.h"

enum { DATAGRAMS = 4, UNITS = 512, FRAGMENTS_MAX = 300, MORE = 8, IP6 = 4, CUT = 16, ODD = 32 };

struct copy {
	bool open, dead, last_seen;
	uint32_t end;
	uint8_t byte[UNITS * 8];
	bool there[UNITS];
	uint16_t part[UNITS]; /* the fragment that the unit is from */
	uint16_t fragments;
};

struct fragment {
	unsigned datagram;
	bool ip6, more, cut;
	uint32_t off, len;
	uint8_t salt;
};

static struct copy copies[2][DATAGRAMS];
static int policy;
static uint8_t frame[4096];

static uint8_t byte_at(const struct fragment *f, uint32_t off)
{
	return (uint8_t)(off * 5 + f->salt);
}

static void put_ip4(const struct fragment *f)
{
	frame[0] = 0x45;
	store_be16(frame + 2, (uint16_t)(20 + f->len));
	store_be16(frame + 4, (uint16_t)(f->datagram + 1));
	store_be16(frame + 6, (uint16_t)((f->more ? 0x2000 : 0) | f->off / 8));
	frame[9] = 6;
	store_be32(frame + 12, 0x0a000001);
	store_be32(frame + 16, 0x0a000002);
}

static void put_ip6(const struct fragment *f)
{
	frame[0] = 0x60;
	store_be16(frame + 4, (uint16_t)(8 + f->len));
	frame[6] = 44;
	frame[23] = 1;
	frame[39] = 2;
	frame[40] = 6;
	store_be16(frame + 42, (uint16_t)(f->off | f->more));
	store_be32(frame + 44, f->datagram + 1);
}

static struct mos_packet packet_of(const struct fragment *f, uint64_t now_ns)
{
	uint32_t hlen = f->ip6 ? 48 : 20;
	struct mos_packet p = { .data = frame, .ts_ns = now_ns, .link = 101 };

	memset(frame, 0, hlen);
	if (f->ip6)
		put_ip6(f);
	else
		put_ip4(f);
	for (uint32_t i = 0; i < f->len; i++)
		frame[hlen + i] = byte_at(f, f->off + i);
	p.len = p.caplen = hlen + f->len;
	if (f->cut && f->len)
		p.caplen--;
	return p;
}

static struct fragment fragment_next(struct feed *feed)
{
	uint8_t flags = feed_u8(feed);
	struct fragment f = { .datagram = flags % DATAGRAMS, .ip6 = flags & IP6, .more = flags & MORE };

	f.cut = (flags & CUT) && feed_u8(feed) > 200;
	f.off = feed_u8(feed) * 8u;
	f.len = (feed_u8(feed) / 4) * 8u;
	if (flags & ODD)
		f.len += feed_u8(feed) % 8;
	f.salt = flags & 0x40 ? feed_u8(feed) : 0;
	return f;
}

static uint32_t part_begin(const struct copy *c, uint32_t unit)
{
	while (unit && c->there[unit - 1] && c->part[unit - 1] == c->part[unit])
		unit--;
	return unit;
}

static uint32_t part_end(const struct copy *c, uint32_t unit)
{
	while (unit + 1 < UNITS && c->there[unit + 1] && c->part[unit + 1] == c->part[unit])
		unit++;
	return unit + 1;
}

static bool is_copy(const struct copy *c, const struct fragment *f)
{
	uint32_t first = f->off / 8, past = (f->off + f->len + 7) / 8;

	if (!c->there[first] || part_begin(c, first) != first || part_end(c, first) != past)
		return false;
	for (uint32_t i = 0; i < f->len; i++)
		if (c->byte[f->off + i] != byte_at(f, f->off + i))
			return false;
	return true;
}

static bool moves_end(const struct copy *c, const struct fragment *f)
{
	uint32_t end = f->off + f->len;

	if (c->last_seen)
		return f->more ? end > c->end : end != c->end;
	return !f->more && end < c->end;
}

static bool overlaps(const struct copy *c, const struct fragment *f)
{
	for (uint32_t u = f->off / 8; u < (f->off + f->len + 7) / 8; u++)
		if (c->there[u])
			return true;
	return false;
}

static bool wins(const struct copy *c, uint32_t unit, uint32_t first, uint32_t past)
{
	if (!c->there[unit])
		return true;
	return overlap_fragment_wins(policy, first, past, part_begin(c, unit), part_end(c, unit));
}

static void put(struct copy *c, const struct fragment *f)
{
	uint32_t first = f->off / 8, end = f->off + f->len, past = (end + 7) / 8;
	bool won[UNITS];

	for (uint32_t u = first; u < past; u++)
		won[u] = wins(c, u, first, past);
	c->fragments++;
	for (uint32_t u = first; u < past; u++) {
		if (!won[u])
			continue;
		c->there[u] = true;
		c->part[u] = c->fragments;
		for (uint32_t i = u * 8; i < u * 8 + 8 && i < end; i++)
			c->byte[i] = byte_at(f, i);
	}
	if (end > c->end)
		c->end = end;
	c->last_seen |= !f->more;
}

/* What the datagram becomes with this fragment. True if it is complete. */
static bool copy_add(struct copy *c, const struct fragment *f)
{
	bool odd = f->more && f->len % 8;

	if (f->cut || !f->len || odd || c->dead)
		return false;
	c->open = true;
	if (is_copy(c, f) && !moves_end(c, f))
		return false;
	if (moves_end(c, f) || (f->ip6 && overlaps(c, f))) {
		memset(c, 0, sizeof(*c));
		c->dead = f->ip6;
		return false;
	}
	put(c, f);
	for (uint32_t u = 0; u < (c->end + 7) / 8; u++)
		if (!c->there[u])
			return false;
	return c->last_seen;
}

static void check_whole(const struct copy *c, const struct fragment *f, struct mos_packet *whole)
{
	uint32_t hlen = f->ip6 ? 40 : 20;

	CLAIM(whole->caplen == hlen + c->end);
	CLAIM(memcmp(whole->data + hlen, c->byte, c->end) == 0);
	packet_decode(whole);
	CLAIM(whole->decoded != MOS_DECODED_FRAGMENT);
	CLAIM(whole->ip_len == whole->caplen);
}

static void one(struct defrag *d, const struct fragment *f, uint64_t now_ns, bool exact)
{
	struct copy *c = &copies[f->ip6][f->datagram];
	struct mos_packet p = packet_of(f, now_ns), whole;

	packet_decode(&p);
	if (p.decoded != MOS_DECODED_FRAGMENT)
		return;
	bool got = defrag_add(d, &p, &whole);

	if (!exact)
		return;
	bool want = copy_add(c, f);

	CLAIM(got == want);
	if (!got)
		return;
	check_whole(c, f, &whole);
	memset(c, 0, sizeof(*c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t seed[4] = { 1, 2, 3, 4 };
	struct feed feed = { data, size };
	uint8_t limits = feed_u8(&feed);

	policy = feed_u8(&feed) % MOS_OVERLAP_POLICIES;
	bool exact = limits < 128;
	struct defrag_limits l;
	struct stats stats = { 0 };
	struct defrag d;
	uint64_t now_ns = 1000000000;

	defrag_limits_default(&l);
	l.overlap = policy;
	if (!exact) {
		l.datagrams = 1 + limits % 4;
		l.bytes = 2000u * (limits % 32);
	}
	memset(copies, 0, sizeof(copies));
	CLAIM(defrag_init(&d, &l, seed, &stats) == 0);
	for (unsigned n = 0; n < FRAGMENTS_MAX && feed.left; n++) {
		struct fragment f = fragment_next(&feed);

		one(&d, &f, now_ns, exact);
		if (!exact && f.salt > 250)
			now_ns += 20000000000;
		CLAIM(d.bytes <= l.bytes && d.datagrams <= l.datagrams);
	}
	defrag_fini(&d);
	return 0;
}
