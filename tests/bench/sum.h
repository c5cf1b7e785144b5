/*
 * A checksum of a byte stream that does not depend on how the stream was cut into pieces: the sum of its 64-bit words,
 * word i times the odd number 2i + 1, modulo 2^64. Checksums of streams may be added up.
 *
 * It must cost little beside what is measured. So there is no multiplication per word: the words are columns of rows of
 * eight, p adds up a column and q adds up p after each row, in two columns a register.
 */
#ifndef MOS_BENCH_SUM_H
#define MOS_BENCH_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SUM_ALIGN = 16, SUM_COLUMNS = 8, SUM_ROW = 8 * SUM_COLUMNS };

typedef uint64_t sum_pair __attribute__((vector_size(16), may_alias));
typedef uint64_t sum_pair_anywhere __attribute__((vector_size(16), may_alias, aligned(1)));

struct sum_columns {
	sum_pair p[SUM_COLUMNS / 2], q[SUM_COLUMNS / 2];
};

static inline __attribute__((always_inline)) void sum_row(struct sum_columns *c, const uint8_t *row, bool aligned)
{
#pragma GCC unroll 8 /* keeps the columns in registers */
	for (unsigned k = 0; k < SUM_COLUMNS / 2; k++) {
		const uint8_t *at = row + k * sizeof(sum_pair);

		c->p[k] += aligned ? *(const sum_pair *)(const void *)at : *(const sum_pair_anywhere *)(const void *)at;
		c->q[k] += c->p[k];
	}
}

static inline __attribute__((always_inline)) void sum_rows(struct sum_columns *c, const uint8_t *bytes, size_t rows,
							   bool aligned)
{
#pragma GCC unroll 4
	for (size_t i = 0; i < rows; i++)
		sum_row(c, bytes + i * SUM_ROW, aligned);
}

/* The words of whole rows, the first of them word `first` of the stream. Aligned words need fewer instructions. */
static inline uint64_t sum_words(uint64_t first, const uint8_t *bytes, size_t rows)
{
	struct sum_columns c = { .p = { { 0 } } };

	if ((uintptr_t)bytes % SUM_ALIGN == 0)
		sum_rows(&c, bytes, rows, true);
	else
		sum_rows(&c, bytes, rows, false);
	/*
	 * Row r of n is n - r times in q, so words times their rows' numbers are n * p - q. Column k = 2 v + lane of a
	 * row counts k more: v by adding up the registers, one for the second lane.
	 */
	sum_pair p01 = c.p[0] + c.p[1], p23 = c.p[2] + c.p[3], q = c.q[0] + c.q[1] + c.q[2] + c.q[3];
	sum_pair p = p01 + p23, v = c.p[1] + c.p[3] + 2 * p23;

	return (2 * (first + SUM_COLUMNS * rows) + 1) * (p[0] + p[1]) + 2 * p[1] + 4 * (v[0] + v[1]) -
	       2 * SUM_COLUMNS * (q[0] + q[1]);
}

/* n bytes that are part of one word. */
static inline uint64_t sum_part(uint64_t off, const uint8_t *bytes, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)bytes[i] << 8 * (off % 8 + i);
	return word * (2 * (off / 8) + 1);
}

/*
 * What n bytes at stream offset off add to the sum. It is fastest where the address and off are the same modulo
 * SUM_ALIGN.
 */
static inline uint64_t sum_bytes(uint64_t off, const uint8_t *bytes, size_t n)
{
	size_t head = -off % 8 < n ? -off % 8 : n, rows;
	uint64_t sum = head ? sum_part(off, bytes, head) : 0, word;

	off += head, bytes += head, n -= head;
	if ((rows = n / SUM_ROW)) {
		sum += sum_words(off / 8, bytes, rows);
		off += rows * SUM_ROW, bytes += rows * SUM_ROW, n -= rows * SUM_ROW;
	}
	for (; n >= 8; off += 8, bytes += 8, n -= 8) {
		memcpy(&word, bytes, 8);
		sum += word * (2 * (off / 8) + 1);
	}
	return n ? sum + sum_part(off, bytes, n) : sum;
}

/* Streams of connections on different ports count differently, so that bytes given to the wrong one are noticed. */
static inline uint64_t sum_factor(uint16_t port, int side)
{
	return 4 * (uint64_t)port + 2 * (uint64_t)side + 1;
}

#endif
