/*
 * A checksum of a byte stream that does not depend on how the stream was cut into pieces: the sum of its 64-bit words,
 * each times an odd weight that its place gives. Checksums of streams may be added up.
 */
#ifndef MOS_BENCH_SUM_H
#define MOS_BENCH_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t sum_weight(uint64_t off)
{
	return (off / 8) * 0x9e3779b97f4a7c16 + 1;
}

/* What n bytes at stream offset off add to the sum. */
static inline uint64_t sum_bytes(uint64_t off, const uint8_t *bytes, size_t n)
{
	uint64_t sum = 0, word;

	for (; n && off % 8; n--, off++)
		sum += ((uint64_t)*bytes++ << 8 * (off % 8)) * sum_weight(off);
	for (; n >= 8; n -= 8, off += 8, bytes += 8) {
		memcpy(&word, bytes, 8);
		sum += word * sum_weight(off);
	}
	for (; n; n--, off++)
		sum += ((uint64_t)*bytes++ << 8 * (off % 8)) * sum_weight(off);
	return sum;
}

/* Streams of connections on different ports count differently, so that bytes given to the wrong one are noticed. */
static inline uint64_t sum_factor(uint16_t port, int side)
{
	return 4 * (uint64_t)port + 2 * (uint64_t)side + 1;
}

#endif
