#include "pkt/defrag.h"

#include <errno.h>
#include <stdlib.h>

#include "pkt/bytes.h"
#include "pkt/edit.h"
#include "pkt/layer.h"
#include "util/overlap.h"

enum {
	LINK_RAW = 12,
	DATAGRAM_MAX = UINT16_MAX,
	IP6_HLEN = 40,
	IP6_FRAGMENT_HLEN = 8,
	UNIT = 8, /* offsets count these */
	PAGE_UNITS = 256,
	PAGE_BYTES = PAGE_UNITS * UNIT,
	PAGES = (DATAGRAM_MAX + PAGE_BYTES) / PAGE_BYTES,
	BUCKETS_MAX = 1 << 16
};

/*
 * Memory follows the bytes that came, not the offsets that they claim. Everything but a datagram's end lies on a
 * boundary of units, so a bit for each says exactly what is there.
 */
struct page {
	uint8_t data[PAGE_BYTES];
	uint64_t filled[PAGE_UNITS / 64];
	uint64_t starts[PAGE_UNITS / 64]; /* what is left of a fragment begins here */
};

struct frag_key {
	uint64_t src[2];
	uint64_t dst[2];
	uint32_t id;
	uint8_t proto; /* 0 for IPv6: RFC 8200 4.5 has source, destination and identification */
	uint8_t family;
	uint16_t zero;
};

struct datagram {
	struct frag_key key;
	struct datagram *chain;         /* of its bucket */
	struct datagram *before, *next; /* of its queue */
	uint64_t hash;
	uint64_t first_ns;
	size_t bytes; /* that it counts for */
	uint32_t units;
	uint32_t end;   /* one past the highest byte seen */
	bool last_seen; /* end is the datagram's end */
	bool dead;      /* dropped; what still comes of it is ignored */
	bool other;     /* for carrying nothing that could be TCP */
	uint8_t *header;
	uint32_t header_len;
	uint32_t next_at; /* IPv6: offset of the byte in header that names what follows it */
	uint8_t proto;    /* that follows the header */
	struct page *page[PAGES];
};

/* A fragment, as its headers say. */
struct piece {
	const uint8_t *header; /* all that comes before the fragmented part */
	uint32_t header_len;
	uint32_t next_at;
	uint8_t proto;
	bool more;
	uint32_t off;
	uint32_t len;
	const uint8_t *data;
};

void defrag_limits_default(struct defrag_limits *l)
{
	*l = (struct defrag_limits){
		.datagrams = 4096,
		.bytes = 16 << 20,
		.age4_ns = 30000000000,
		.age6_ns = 60000000000,
	};
}

int defrag_init(struct defrag *d, const struct defrag_limits *l, const uint64_t seed[4], struct stats *stats)
{
	*d = (struct defrag){ .limits = *l, .stats = stats, .buckets = 1 };
	memcpy(d->seed, seed, sizeof(d->seed));
	while (d->buckets < l->datagrams && d->buckets < BUCKETS_MAX)
		d->buckets *= 2;
	d->bucket = calloc(d->buckets, sizeof(struct datagram *));
	d->whole = malloc(IP6_HLEN + DATAGRAM_MAX);
	return d->bucket && d->whole ? 0 : -ENOMEM;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Each word is masked by a secret before it is multiplied. */
static uint64_t frag_hash(const struct defrag *d, const struct frag_key *k)
{
	const uint64_t *s = d->seed;
	uint64_t h = fold(k->src[0] ^ s[0], k->src[1] ^ s[1]);

	h ^= fold(k->dst[0] ^ s[2], k->dst[1] ^ s[3]);
	return fold(h ^ s[1], ((uint64_t)k->id << 16 | k->proto << 8 | k->family) ^ s[2]);
}

static struct frag_key frag_key_of(const struct mos_packet *p)
{
	const uint8_t *ip = p->data + p->l3;
	struct frag_key k = { .id = p->ip_id, .family = p->ip_version };

	if (p->ip_version == 4) {
		k.src[0] = load_be32(ip + 12);
		k.dst[0] = load_be32(ip + 16);
		k.proto = p->ip_proto;
	} else {
		memcpy(k.src, ip + 8, 16);
		memcpy(k.dst, ip + 24, 16);
	}
	return k;
}

static struct defrag_queue *queue_of(struct defrag *d, const struct datagram *g)
{
	return &d->queue[g->key.family == 6];
}

static void datagram_empty(struct defrag *d, struct datagram *g)
{
	for (unsigned i = 0; i < PAGES; i++) {
		free(g->page[i]);
		g->page[i] = NULL;
	}
	free(g->header);
	g->header = NULL;
	d->bytes -= g->bytes - sizeof(*g);
	g->bytes = sizeof(*g);
}

static void datagram_free(struct defrag *d, struct datagram *g)
{
	struct datagram **at = &d->bucket[g->hash & (d->buckets - 1)];
	struct defrag_queue *q = queue_of(d, g);

	while (*at != g)
		at = &(*at)->chain;
	*at = g->chain;
	*(g->before ? &g->before->next : &q->first) = g->next;
	*(g->next ? &g->next->before : &q->last) = g->before;
	datagram_empty(d, g);
	d->bytes -= g->bytes;
	d->datagrams--;
	free(g);
}

void defrag_fini(struct defrag *d)
{
	for (unsigned i = 0; i < 2; i++)
		while (d->queue[i].first)
			datagram_free(d, d->queue[i].first);
	free(d->bucket);
	free(d->whole);
	*d = (struct defrag){ 0 };
}

/* RFC 5722 3: with "those not yet received"; so an IPv6 datagram that is dropped is remembered until its time is up. */
static void datagram_drop(struct defrag *d, struct datagram *g)
{
	if (g->key.family == 4) {
		datagram_free(d, g);
		return;
	}
	datagram_empty(d, g);
	g->dead = true;
}

static struct datagram *datagram_find(const struct defrag *d, const struct frag_key *k, uint64_t hash)
{
	struct datagram *g = d->bucket[hash & (d->buckets - 1)];

	while (g && (g->hash != hash || memcmp(&g->key, k, sizeof(*k)) != 0))
		g = g->chain;
	return g;
}

static struct datagram *oldest_but(const struct defrag *d, const struct datagram *keep)
{
	struct datagram *a = d->queue[0].first, *b = d->queue[1].first;

	if (a && a == keep)
		a = a->next;
	if (b && b == keep)
		b = b->next;
	if (!a || !b)
		return a ? a : b;
	return b->first_ns < a->first_ns ? b : a;
}

static void expire(struct defrag *d, uint64_t now_ns)
{
	const uint64_t age[2] = { d->limits.age4_ns, d->limits.age6_ns };

	if (now_ns > d->now_ns)
		d->now_ns = now_ns;
	for (unsigned i = 0; i < 2; i++) {
		struct datagram *g;

		while ((g = d->queue[i].first) && d->now_ns - g->first_ns > age[i]) {
			d->stats->fragments_timeout += !g->dead;
			datagram_free(d, g);
		}
	}
}

/* Let `keep` (NULL: a new datagram) have `bytes` more. False if the limits are too narrow even for it alone. */
static bool make_room(struct defrag *d, const struct datagram *keep, size_t bytes)
{
	while (d->bytes + bytes > d->limits.bytes || (!keep && d->datagrams >= d->limits.datagrams)) {
		struct datagram *g = oldest_but(d, keep);

		if (!g)
			return false;
		d->stats->fragments_limit += !g->dead;
		datagram_free(d, g);
	}
	return true;
}

/* Zeroed memory on g's account. NULL at the limit, or when there is none. */
static void *datagram_alloc(struct defrag *d, struct datagram *g, size_t bytes)
{
	void *p = make_room(d, g, bytes) ? calloc(1, bytes) : NULL;

	if (p) {
		g->bytes += bytes;
		d->bytes += bytes;
	}
	return p;
}

static struct datagram *datagram_new(struct defrag *d, const struct frag_key *k, uint64_t hash)
{
	struct datagram *g = make_room(d, NULL, sizeof(*g)) ? calloc(1, sizeof(*g)) : NULL;

	if (!g)
		return NULL;
	g->key = *k;
	g->hash = hash;
	g->first_ns = d->now_ns;
	g->bytes = sizeof(*g);
	d->bytes += g->bytes;
	d->datagrams++;

	struct datagram **bucket = &d->bucket[hash & (d->buckets - 1)];
	struct defrag_queue *q = queue_of(d, g);

	g->chain = *bucket;
	*bucket = g;
	g->before = q->last;
	*(q->last ? &q->last->next : &q->first) = g;
	q->last = g;
	return g;
}

static bool bit(const uint64_t *set, uint32_t i)
{
	return set[i / 64] >> i % 64 & 1;
}

static void bit_put(uint64_t *set, uint32_t i, bool on)
{
	uint64_t bit = 1ull << i % 64;

	set[i / 64] = on ? set[i / 64] | bit : set[i / 64] & ~bit;
}

static bool is_filled(const struct datagram *g, uint32_t unit)
{
	const struct page *p = unit < PAGES * PAGE_UNITS ? g->page[unit / PAGE_UNITS] : NULL;

	return p && bit(p->filled, unit % PAGE_UNITS);
}

static bool is_start(const struct datagram *g, uint32_t unit)
{
	return is_filled(g, unit) && bit(g->page[unit / PAGE_UNITS]->starts, unit % PAGE_UNITS);
}

static uint8_t *unit_at(const struct datagram *g, uint32_t unit)
{
	return g->page[unit / PAGE_UNITS]->data + unit % PAGE_UNITS * UNIT;
}

static uint32_t unit_len(const struct piece *f, uint32_t done)
{
	return f->len - done < UNIT ? f->len - done : UNIT;
}

static bool overlaps(const struct datagram *g, const struct piece *f)
{
	for (uint32_t done = 0; done < f->len; done += UNIT)
		if (is_filled(g, (f->off + done) / UNIT))
			return true;
	return false;
}

/* The same bounds and the same bytes as a fragment that is here. */
static bool is_copy(const struct datagram *g, const struct piece *f)
{
	uint32_t past = (f->off + f->len + UNIT - 1) / UNIT;

	if (is_filled(g, past) && !is_start(g, past))
		return false;
	for (uint32_t done = 0; done < f->len; done += UNIT) {
		uint32_t unit = (f->off + done) / UNIT;

		if (!is_filled(g, unit) || is_start(g, unit) != !done)
			return false;
		if (memcmp(unit_at(g, unit), f->data + done, unit_len(f, done)) != 0)
			return false;
	}
	return true;
}

static bool pages_get(struct defrag *d, struct datagram *g, const struct piece *f)
{
	for (uint32_t i = f->off / PAGE_BYTES; i <= (f->off + f->len - 1) / PAGE_BYTES; i++) {
		if (!g->page[i])
			g->page[i] = datagram_alloc(d, g, sizeof(struct page));
		if (!g->page[i])
			return false;
	}
	return true;
}

/* Where what is left of the fragment that the unit is from begins. */
static uint32_t part_begin(const struct datagram *g, uint32_t unit)
{
	for (;;) {
		uint32_t in = unit % PAGE_UNITS;
		uint64_t below = g->page[unit / PAGE_UNITS]->starts[in / 64] << (63 - in % 64);

		if (below)
			return unit - (uint32_t)__builtin_clzll(below);
		unit -= unit % 64 + 1;
	}
}

/* One past its last unit. */
static uint32_t part_end(const struct datagram *g, uint32_t unit)
{
	for (unit++; unit < PAGES * PAGE_UNITS; unit = (unit / 64 + 1) * 64) {
		const struct page *p = g->page[unit / PAGE_UNITS];
		uint32_t in = unit % PAGE_UNITS;

		if (!p)
			return unit;
		uint64_t ends = (p->starts[in / 64] | ~p->filled[in / 64]) >> in % 64;

		if (ends)
			return unit + (uint32_t)__builtin_ctzll(ends);
	}
	return unit;
}

/* Put the fragment's units [from, to) into their places, as one part with what stands before them or as a new one. */
static void put_units(struct datagram *g, const struct piece *f, uint32_t from, uint32_t to, bool begins)
{
	for (uint32_t unit = from; unit < to; unit++) {
		struct page *p = g->page[unit / PAGE_UNITS];
		uint32_t done = unit * UNIT - f->off;

		memcpy(unit_at(g, unit), f->data + done, unit_len(f, done));
		g->units += !is_filled(g, unit);
		bit_put(p->filled, unit % PAGE_UNITS, true);
		bit_put(p->starts, unit % PAGE_UNITS, begins && unit == from);
	}
}

/* Where it overlaps what is left of others, the policy says who wins. */
static void fill(struct datagram *g, const struct piece *f, int policy)
{
	uint32_t first = f->off / UNIT, past = (f->off + f->len + UNIT - 1) / UNIT;
	bool goes_on = false; /* the unit before is the fragment's */

	for (uint32_t unit = first, to; unit < past; unit = to) {
		bool there = is_filled(g, unit);
		uint32_t end = there ? part_end(g, unit) : unit + 1;

		to = end < past ? end : past;
		if (there && !overlap_fragment_wins(policy, first, past, part_begin(g, unit), end)) {
			goes_on = false;
			continue;
		}
		put_units(g, f, unit, to, !goes_on);
		goes_on = true;
	}
	if (goes_on && is_filled(g, past))
		bit_put(g->page[past / PAGE_UNITS]->starts, past % PAGE_UNITS, true);
}

static bool header_keep(struct defrag *d, struct datagram *g, const struct piece *f)
{
	if (f->off || g->header)
		return true;
	g->header = datagram_alloc(d, g, f->header_len);
	if (!g->header)
		return false;
	memcpy(g->header, f->header, f->header_len);
	g->header_len = f->header_len;
	g->next_at = f->next_at;
	g->proto = f->proto;
	return true;
}

/* Where the header that stands right before the fragment header names it; offsets from the IPv6 header. */
static uint32_t ip6_next_at(const uint8_t *ip, uint32_t fragment_at)
{
	uint32_t at = 6, off = IP6_HLEN;

	while (off < fragment_at) {
		uint32_t len = ip6_extension_len(ip[at], ip + off);

		at = off;
		off += len;
	}
	return at;
}

static struct piece piece_of(const struct mos_packet *p)
{
	const uint8_t *ip = p->data + p->l3;
	uint32_t hlen = (uint32_t)(p->l4 - p->l3);
	struct piece f = { .header = ip, .header_len = hlen, .proto = p->ip_proto, .data = p->data + p->l4 };

	f.len = p->ip_len - hlen;
	if (p->ip_version == 4) {
		f.off = (load_be16(ip + 6) & 0x1fffU) * UNIT;
		f.more = load_be16(ip + 6) & 0x2000;
		return f;
	}
	f.header_len -= IP6_FRAGMENT_HLEN;
	f.next_at = ip6_next_at(ip, f.header_len);
	f.off = load_be16(f.data - IP6_FRAGMENT_HLEN + 2) & 0xfff8U;
	f.more = load_be16(f.data - IP6_FRAGMENT_HLEN + 2) & 1;
	return f;
}

/* All that its header claims is in the capture. */
static bool is_whole(const struct mos_packet *p)
{
	const uint8_t *ip = p->data + p->l3;
	uint32_t claim = p->ip_version == 4 ? load_be16(ip + 2) : IP6_HLEN + load_be16(ip + 4);

	return p->ip_len == claim && p->caplen >= p->l3 + p->ip_len;
}

static bool is_sound(const struct piece *f)
{
	if (!f->len || (f->more && f->len % UNIT))
		return false;
	return f->off + f->len <= DATAGRAM_MAX;
}

/* Is the datagram's end elsewhere, as seen before? */
static bool moves_end(const struct datagram *g, const struct piece *f)
{
	uint32_t end = f->off + f->len;

	if (g->last_seen)
		return f->more ? end > g->end : end != g->end;
	return !f->more && end < g->end;
}

static bool is_complete(const struct datagram *g)
{
	return g->last_seen && g->header && g->units == (g->end + UNIT - 1) / UNIT;
}

/* True if the datagram is complete; it may have been dropped otherwise. */
static bool datagram_add(struct defrag *d, struct datagram *g, const struct piece *f)
{
	if (!g->dead && !f->off && !carries_packets(f->proto, f->data)) {
		datagram_empty(d, g);
		g->dead = g->other = true;
	}
	if (g->dead) {
		d->stats->fragments_other += g->other;
		return false;
	}
	if (is_copy(g, f) && !moves_end(g, f)) {
		d->stats->fragments_duplicate++;
		return false;
	}
	bool overlap = overlaps(g, f), moved = moves_end(g, f);

	d->stats->fragments_overlap += overlap;
	d->stats->fragments_bad += moved;
	if (moved || (overlap && g->key.family == 6)) {
		datagram_drop(d, g);
		return false;
	}
	if (!pages_get(d, g, f) || !header_keep(d, g, f)) {
		d->stats->fragments_limit++;
		datagram_free(d, g);
		return false;
	}
	fill(g, f, d->limits.overlap);
	if (f->off + f->len > g->end)
		g->end = f->off + f->len;
	g->last_seen |= !f->more;
	return is_complete(g);
}

static void header_fix(const struct datagram *g, uint8_t *ip)
{
	if (g->key.family == 6) {
		store_be16(ip + 4, (uint16_t)(g->header_len - IP6_HLEN + g->end));
		ip[g->next_at] = g->proto;
		return;
	}
	store_be16(ip + 2, (uint16_t)(g->header_len + g->end));
	store_be16(ip + 6, load_be16(ip + 6) & 0xc000);
	store_be16(ip + 10, 0);
	store_be16(ip + 10, checksum_fold(checksum_add(0, ip, g->header_len)));
}

/* False if the headers leave too little of 65535 bytes (of payload, with IPv6). */
static bool datagram_join(struct defrag *d, const struct datagram *g, const struct mos_packet *frag,
			  struct mos_packet *whole)
{
	uint32_t len = g->header_len + g->end;

	if (len > DATAGRAM_MAX + (g->key.family == 6 ? IP6_HLEN : 0U))
		return false;
	memcpy(d->whole, g->header, g->header_len);
	header_fix(g, d->whole);
	for (uint32_t off = 0; off < g->end; off += PAGE_BYTES) {
		uint32_t n = g->end - off < PAGE_BYTES ? g->end - off : PAGE_BYTES;

		memcpy(d->whole + g->header_len + off, g->page[off / PAGE_BYTES]->data, n);
	}
	*whole = (struct mos_packet){
		.data = d->whole,
		.ts_ns = frag->ts_ns,
		.caplen = len,
		.len = len,
		.link = LINK_RAW,
		.port = frag->port,
		.number = frag->number,
	};
	return true;
}

/* The fragment if it can be part of anything. */
static bool piece_read(struct defrag *d, const struct mos_packet *frag, struct piece *f)
{
	d->stats->fragments++;
	if (frag->ip_version == 4 && !carries_packets(frag->ip_proto, NULL)) {
		d->stats->fragments_other++;
		return false;
	}
	if (!is_whole(frag)) {
		d->stats->fragments_cut++;
		return false;
	}
	*f = piece_of(frag);
	if (!is_sound(f)) {
		d->stats->fragments_bad++;
		return false;
	}
	return true;
}

bool defrag_add(struct defrag *d, const struct mos_packet *frag, struct mos_packet *whole)
{
	struct piece f;

	expire(d, frag->ts_ns);
	if (!piece_read(d, frag, &f))
		return false;
	struct frag_key k = frag_key_of(frag);
	uint64_t hash = frag_hash(d, &k);
	struct datagram *g = datagram_find(d, &k, hash);

	if (!g && !(g = datagram_new(d, &k, hash))) {
		d->stats->fragments_limit++;
		return false;
	}
	if (!datagram_add(d, g, &f))
		return false;
	bool joined = datagram_join(d, g, frag, whole);

	*(joined ? &d->stats->fragments_reassembled : &d->stats->fragments_bad) += 1;
	datagram_free(d, g);
	return joined;
}
