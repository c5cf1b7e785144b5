/* Frames written as hex, for tests: headers as macros whose arguments are the fields under test. */
#ifndef MOS_TESTS_FRAMES_H
#define MOS_TESTS_FRAMES_H

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mos_ffi.h"

#define ETH(type)          "020000000002 020000000001 " type " "
#define VLAN(id, type)     id " " type " "
#define IP4(len, frag)     "4500 " len " 1234 " frag " 40 06 0000 0a000001 0a000002 "
#define IP6(len, next)     "60000000 " len " " next " 40 " IP6_A IP6_B
#define IP6_A              "20010db8000000000000000000000001 "
#define IP6_B              "20010db8000000000000000000000002 "
#define TCP(offset, flags) "3039 0050 000003e8 000007d0 " offset " " flags " 2000 abcd 0007 "
#define TCP20              TCP("50", "18")

struct frame {
	size_t len;
	uint8_t bytes[1 << 17];
};

static inline void frame_hex(struct frame *f, const char *hex)
{
	for (; *hex; hex++) {
		if (isspace((unsigned char)*hex))
			continue;
		const char digits[3] = { hex[0], hex[1], 0 };

		f->bytes[f->len++] = (uint8_t)strtoul(digits, NULL, 16);
		hex++;
	}
}

static inline void frame_fill(struct frame *f, uint8_t value, size_t n)
{
	memset(f->bytes + f->len, value, n);
	f->len += n;
}

/* A packet of the first caplen bytes, in memory of exactly that size, so that the sanitizer sees a read beyond it. */
static inline struct mos_packet frame_packet(const struct frame *f, int link, size_t caplen)
{
	struct mos_packet p = { .data = malloc(caplen), .caplen = (uint32_t)caplen, .len = (uint32_t)f->len };

	memcpy(p.data, f->bytes, caplen);
	p.link = (uint16_t)link;
	return p;
}

static inline void packet_release(struct mos_packet *p)
{
	free(p->data);
}

#endif
