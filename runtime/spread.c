#include "spread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkt/decode.h"

enum { BUCKETS = 1024 };

/* A fragment, with its frame. */
struct fragment {
	struct fragment *next;
	struct mos_packet pkt;
	uint8_t frame[];
};

/* Addresses and identification of a datagram: coarser than what defrag tells apart, which does no harm here. */
struct held_key {
	uint8_t addr[32];
	uint32_t id;
	uint32_t version;
};

/* A datagram's fragments so far. */
struct held {
	struct held_key key;
	struct held *chain;
	struct held *before, *next;
	struct fragment *first, *last;
	uint64_t since_ns;
	size_t bytes;
	unsigned by_addr; /* the worker, if it is never completed */
};

int spread_init(struct spread *s, unsigned workers, const struct key_seed *seed, const struct defrag_limits *limits,
		void (*give)(void *arg, unsigned worker, const struct mos_packet *p), void *arg)
{
	*s = (struct spread){ .workers = workers, .give = give, .arg = arg, .seed = *seed };
	s->bucket = calloc(BUCKETS, sizeof(struct held *));
	if (!s->bucket)
		return -ENOMEM;
	return defrag_init(&s->defrag, limits, s->seed.s, &s->stats);
}

unsigned spread_choose(const struct mos_key *k, const struct key_seed *seed, unsigned n)
{
	return (unsigned)((key_hash(k, seed) >> 32) * n >> 32);
}

/* The same for both directions: the key without ports, lower address first. */
static unsigned worker_by_addr(const struct spread *s, const struct mos_packet *p)
{
	const uint8_t *ip = p->data + p->l3;
	unsigned size = p->ip_version == 4 ? 4 : 16;
	const uint8_t *src = ip + (size == 4 ? 12 : 8), *dst = src + size;
	struct mos_key k = { .family = p->ip_version };

	if (!p->ip_version || !p->l4)
		return 0;
	bool swap = memcmp(src, dst, size) > 0;

	memcpy(k.addr_be[swap], src, size);
	memcpy(k.addr_be[!swap], dst, size);
	return spread_choose(&k, &s->seed, s->workers);
}

static unsigned worker_of_packet(const struct spread *s, const struct mos_packet *p)
{
	if (p->decoded == MOS_DECODED_TCP)
		return spread_choose(&p->key, &s->seed, s->workers);
	return worker_by_addr(s, p);
}

static struct held_key held_key_of(const struct mos_packet *p)
{
	const uint8_t *ip = p->data + p->l3;
	struct held_key k = { .id = p->ip_id, .version = p->ip_version };

	memcpy(k.addr, ip + (p->ip_version == 4 ? 12 : 8), p->ip_version == 4 ? 8 : 32);
	return k;
}

static struct held **held_bucket(const struct spread *s, const struct held_key *k)
{
	uint64_t w[5];

	memcpy(w, k, sizeof(w));
	uint64_t h = key_fold(w[0] ^ s->seed.s[0], w[1] ^ s->seed.s[1]) ^
		     key_fold(w[2] ^ s->seed.s[2], w[3] ^ s->seed.s[3]);
	return &s->bucket[key_fold(h ^ s->seed.s[1], w[4] ^ s->seed.s[2]) % BUCKETS];
}

static struct held *held_find(const struct spread *s, const struct held_key *k)
{
	struct held *h = *held_bucket(s, k);

	while (h && memcmp(&h->key, k, sizeof(*k)) != 0)
		h = h->chain;
	return h;
}

static struct held *held_new(struct spread *s, const struct mos_packet *p, const struct held_key *k)
{
	struct held **bucket = held_bucket(s, k), *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->key = *k;
	h->since_ns = p->ts_ns;
	h->by_addr = worker_by_addr(s, p);
	h->chain = *bucket;
	*bucket = h;
	h->before = s->last;
	*(s->last ? &s->last->next : &s->first) = h;
	s->last = h;
	s->datagrams++;
	return h;
}

static void held_remove(struct spread *s, struct held *h)
{
	struct held **at = held_bucket(s, &h->key);

	while (*at != h)
		at = &(*at)->chain;
	*at = h->chain;
	*(h->before ? &h->before->next : &s->first) = h->next;
	*(h->next ? &h->next->before : &s->last) = h->before;
	s->datagrams--;
	s->bytes -= h->bytes;
	free(h);
}

static void held_give(struct spread *s, struct held *h, unsigned worker)
{
	while (h->first) {
		struct fragment *f = h->first;

		h->first = f->next;
		s->give(s->arg, worker, &f->pkt);
		free(f);
	}
	held_remove(s, h);
}

/* Copy p behind the datagram's others. False when memory is out. */
static bool held_add(struct spread *s, struct held *h, const struct mos_packet *p)
{
	size_t size = sizeof(struct fragment) + p->caplen;
	struct fragment *f = malloc(size);

	if (!f)
		return false;
	f->next = NULL;
	f->pkt = *p;
	f->pkt.data = f->frame;
	memcpy(f->frame, p->data, p->caplen);
	*(h->first ? &h->last->next : &h->first) = f;
	h->last = f;
	h->bytes += size;
	s->bytes += size;
	return true;
}

/* Datagrams that have waited too long, or are too many, go on as they are. */
static void held_expire(struct spread *s, uint64_t now_ns)
{
	const struct defrag_limits *l = &s->defrag.limits;

	while (s->first) {
		struct held *h = s->first;
		uint64_t age = h->key.version == 4 ? l->age4_ns : l->age6_ns;
		bool old = now_ns > h->since_ns && now_ns - h->since_ns > age;

		if (!old && s->datagrams <= l->datagrams && s->bytes <= l->bytes)
			return;
		held_give(s, h, h->by_addr);
	}
}

/* Did defrag refuse the last fragment? Then nothing waits for it. */
static uint64_t refused(const struct stats *st)
{
	return st->fragments_other + st->fragments_cut + st->fragments_bad;
}

static void spread_fragment(struct spread *s, struct mos_packet *p)
{
	struct mos_packet whole;
	uint64_t before = refused(&s->stats);
	bool complete = defrag_add(&s->defrag, p, &whole);

	if (!complete && refused(&s->stats) != before) {
		s->give(s->arg, worker_by_addr(s, p), p);
		return;
	}
	struct held_key k = held_key_of(p);
	struct held *h = held_find(s, &k);

	if (complete) {
		packet_decode(&whole);
		unsigned worker = worker_of_packet(s, &whole);

		if (h)
			held_give(s, h, worker);
		s->give(s->arg, worker, p);
		return;
	}
	if (!h)
		h = held_new(s, p, &k);
	if (!h || !held_add(s, h, p))
		s->give(s->arg, worker_by_addr(s, p), p);
	held_expire(s, p->ts_ns);
}

void spread_packet(struct spread *s, struct mos_packet *p)
{
	packet_decode(p);
	if (p->decoded == MOS_DECODED_FRAGMENT)
		spread_fragment(s, p);
	else
		s->give(s->arg, worker_of_packet(s, p), p);
}

void spread_flush(struct spread *s)
{
	while (s->first)
		held_give(s, s->first, s->first->by_addr);
}

void spread_fini(struct spread *s)
{
	while (s->first) {
		struct held *h = s->first;

		while (h->first) {
			struct fragment *f = h->first;

			h->first = f->next;
			free(f);
		}
		held_remove(s, h);
	}
	free(s->bucket);
	defrag_fini(&s->defrag);
	*s = (struct spread){ .workers = 0 };
}
