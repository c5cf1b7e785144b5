#include "pkt/bytes.h"
#include "pkt/edit.h"

static inline uint64_t add_word(uint64_t sum, uint64_t word)
{
	return sum + (word >> 32) + (uint32_t)word;
}

/* RFC 1071 2(B): the sum does not depend on byte order, so words are added as they lie in memory. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = add_word(sum, word);
	}
	if (len == 0)
		return sum;
	word = 0;
	memcpy(&word, p, len);
	return add_word(sum, word);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return be16toh((uint16_t)~sum);
}
