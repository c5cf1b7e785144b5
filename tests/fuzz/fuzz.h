/* What fuzz targets are written with: an input taken apart from its front, and claims that end the process when wrong. */
#ifndef MOS_TESTS_FUZZ_H
#define MOS_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The target: one input, handled from nothing to nothing. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLAIM(fact)                                                                        \
	do {                                                                               \
		if (!(fact)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #fact); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/* The rest of an input; past its end come zeroes. */
struct feed {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t feed_u8(struct feed *f)
{
	if (!f->left)
		return 0;
	f->left--;
	return *f->at++;
}

static inline uint16_t feed_u16(struct feed *f)
{
	uint16_t high = feed_u8(f);

	return (uint16_t)(high << 8 | feed_u8(f));
}

static inline uint32_t feed_u32(struct feed *f)
{
	uint32_t high = feed_u16(f);

	return high << 16 | feed_u16(f);
}

#endif
