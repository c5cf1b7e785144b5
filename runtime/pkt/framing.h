/*
 * What stands before the IP header, each kept once: a connection remembers by a number how to address its ends, for packets
 * that are made here.
 */
#ifndef MOS_PKT_FRAMING_H
#define MOS_PKT_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "mos_ffi.h"

/* More than FRAMINGS_MAX different ones, and longer ones, are not kept. */
enum { FRAMING_BYTES = 58, FRAMINGS_MAX = 4095 };

struct framing {
	uint16_t link; /* DLT_ value */
	uint8_t len;
	uint8_t pad;
	uint8_t bytes[FRAMING_BYTES];
};

struct framings {
	struct framing *v; /* [0] is none */
	uint16_t *slots;   /* a hash table of numbers */
	uint32_t n;        /* the highest number */
	uint32_t last;     /* the one found last */
};

/* 0 or -ENOMEM. */
int framings_init(struct framings *f);
void framings_fini(struct framings *f);

/*
 * The number of what stands before p's IP header; with reverse, of the same in the other direction. 0: it is not kept, or
 * p is encapsulated (pkt/edit.h).
 */
uint32_t framing_of(struct framings *f, const struct mos_packet *p, bool reverse);

/* The other direction: an Ethernet header with its addresses exchanged, any other as it is. */
void framing_reverse(struct framing *f);

#endif
