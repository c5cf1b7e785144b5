/* The checksum of sum.h for capture_work.lua. */
#include "bench/sum.h"

uint64_t bench_sum(uint64_t off, const uint8_t *bytes, size_t n, unsigned port, int side);

uint64_t bench_sum(uint64_t off, const uint8_t *bytes, size_t n, unsigned port, int side)
{
	return sum_bytes(off, bytes, n) * sum_factor((uint16_t)port, side);
}
