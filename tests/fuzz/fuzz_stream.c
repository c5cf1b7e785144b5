/*
 * A stream against a plain map: a byte, and whether it is there, for every offset. With room for everything the two
 * must agree in all that a reader can see; with a narrow limit or little memory, what a reader sees must have been
 * written there.
 *
 * Input: policy, limit, memory, start; then operations of up to 5 bytes.
 */
#include "fuzz.h"
#include "mos_ffi.h"
#include "tcp/stream.h"
#include "util/overlap.h"

enum { SPAN = 1024, OPS_MAX = 200 };

struct map {
	uint64_t start, cont, max;
	uint64_t keep; /* lowest offset that nobody has read */
	bool exact;    /* the stream can keep everything */
	int policy;
	bool there[SPAN];
	uint8_t byte[SPAN];
	uint16_t writer[SPAN]; /* the write whose byte it is */
	uint16_t writes;
	uint8_t written[SPAN][32]; /* a bit for each value that was ever written there */
};

static struct map map;
static struct stream stream;
static struct slab slab;

static void map_written(uint64_t off, uint8_t byte)
{
	map.written[off][byte / 8] |= (uint8_t)(1 << byte % 8);
}

static void map_advance(void)
{
	while (map.cont < SPAN && map.there[map.cont])
		map.cont++;
	if (map.max < map.cont)
		map.max = map.cont;
}

/* Where what is left of the write that byte `at` is from begins and ends. */
static uint64_t piece_from(uint64_t at)
{
	while (at > map.cont && map.there[at - 1] && map.writer[at - 1] == map.writer[at])
		at--;
	return at;
}

static uint64_t piece_to(uint64_t at)
{
	while (at + 1 < SPAN && map.there[at + 1] && map.writer[at + 1] == map.writer[at])
		at++;
	return at + 1;
}

/* In order, the receiver has what it has. */
static bool wins(uint64_t at, uint64_t from, uint64_t to)
{
	if (!map.there[at])
		return true;
	if (at < map.cont || map.policy == MOS_OVERLAP_POLICY_LAST)
		return map.policy == MOS_OVERLAP_POLICY_LAST;
	return overlap_segment_wins(map.policy, from < map.cont ? map.cont : from, to, piece_from(at), piece_to(at));
}

/* The same write, byte by byte. */
static struct stream_write map_write(uint64_t off, const uint8_t *bytes, size_t len)
{
	static bool won[SPAN];
	struct stream_write w = { 0 };
	uint64_t cont = map.cont;

	for (uint64_t at = off; at < off + len; at++)
		won[at] = wins(at, off, off + len);
	map.writes++;
	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		w.added += !map.there[at];
		w.conflict |= map.there[at] && map.byte[at] != bytes[i];
		map_written(at, bytes[i]);
		map.there[at] = true;
		if (!won[at])
			continue;
		map.byte[at] = bytes[i];
		map.writer[at] = map.writes;
	}
	if (len && map.max < off + len)
		map.max = off + len;
	map_advance();
	w.grown = map.cont - cont;
	return w;
}

static void do_write(struct feed *f)
{
	uint8_t bytes[1024], kind = feed_u8(f), salt = kind & 0x80 ? feed_u8(f) : 0;
	int16_t delta = (int16_t)feed_u16(f);
	uint64_t off = kind & 1 ? map.cont + (uint64_t)(delta / 64) : map.cont;
	size_t len = kind & 2 ? feed_u8(f) : feed_u8(f) / 8u;

	if (off >= SPAN)
		off = (uint64_t)(uint16_t)delta % SPAN;
	if (len > SPAN - off)
		len = SPAN - off;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((off + i) * 7 + salt);
	size_t excess = stream_excess(&stream, map.start + off, len, map.start + map.keep);

	CLAIM(excess <= map.cont);
	struct stream_write want = map_write(off, bytes, len);
	struct stream_write got = stream_write(&stream, &slab, map.start + off, bytes, len, map.start + map.keep);

	CLAIM(got.grown == want.grown || !map.exact);
	CLAIM(got.added + got.dropped <= len);
	if (!map.exact)
		return;
	CLAIM(got.added == want.added && got.dropped == 0 && got.conflict == want.conflict && excess == 0);
}

static void do_skip(struct feed *f)
{
	uint64_t to = map.cont + feed_u8(f), missing = 0;

	if (to > SPAN)
		to = SPAN;
	for (uint64_t at = map.cont; at < to; at++)
		missing += !map.there[at];
	uint64_t got = stream_skip(&stream, &slab, map.start + to);

	CLAIM(got == missing || !map.exact);
	if (to > map.cont)
		map.cont = to;
	map_advance();
}

static void do_read(struct feed *f)
{
	uint64_t gap;
	size_t len;

	stream_view(&stream, map.start + map.keep, &len, &gap);
	uint64_t most = feed_u8(f) * 8u, n = gap ? gap : len < most ? len : most;

	CLAIM(map.start + map.keep + n <= stream.cont || n == 0);
	map.keep += n;
}

/* What the narrow stream did, the map follows. */
static void follow(void)
{
	map.cont = stream.cont - map.start;
	map.max = stream.max - map.start;
}

static void check_byte(uint64_t at)
{
	uint8_t byte;
	ssize_t n = stream_ppeek(&stream, map.start + at, &byte, 1);

	if (n == 1)
		CLAIM(map.written[at][byte / 8] >> byte % 8 & 1);
	if (!map.exact)
		return;
	CLAIM((n == 1) == map.there[at]);
	CLAIM(n != 1 || byte == map.byte[at]);
}

static void check_shape(void)
{
	struct range runs[8], last = { 0, 0 };
	uint32_t n = stream_runs(&stream, runs, 8);

	CLAIM(stream.base <= stream.cont && stream.cont <= stream.max);
	CLAIM(stream.max - stream.base <= stream.limit);
	CLAIM(!map.exact || (stream.cont == map.start + map.cont && stream.max == map.start + map.max));
	for (uint32_t i = 0; i < n && i < 8; i++) {
		CLAIM(runs[i].from < runs[i].to && runs[i].from >= last.to && runs[i].to <= stream.max);
		last = runs[i];
	}
}

static void run(struct feed *f)
{
	for (unsigned n = 0; n < OPS_MAX && f->left; n++) {
		uint8_t op = feed_u8(f);

		if (op < 200)
			do_write(f);
		else if (op < 216)
			do_skip(f);
		else if (op < 240)
			do_read(f);
		else if (!map.exact)
			stream_resize(&stream, &slab, feed_u8(f) * 16u);
		if (!map.exact)
			follow();
		check_shape();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t starts[] = { 0, 1, 0x7ffffff0, 0xfffffff0, 1ull << 40 };
	struct feed f = { data, size };
	uint8_t policy = feed_u8(&f), limit = feed_u8(&f), memory = feed_u8(&f), start = feed_u8(&f);

	memset(&map, 0, sizeof(map));
	map.start = starts[start % 5];
	map.policy = policy % MOS_OVERLAP_POLICIES;
	map.exact = limit >= 128;
	slab_init(&slab, map.exact || memory >= 128 ? 0 : memory * 128u);
	stream_init(&stream, map.exact ? 4 * SPAN : limit * 16u, map.policy, map.start);
	run(&f);
	for (uint64_t at = 0; at < SPAN; at++)
		check_byte(at);
	stream_fini(&stream, &slab);
	CLAIM(slab.used == 0);
	slab_fini(&slab);
	return 0;
}
