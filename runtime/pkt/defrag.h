/*
 * Putting IP fragments together again (RFC 791 3.2, RFC 8200 4.5), within limits of number, bytes and age.
 *
 * What a receiver would not put together is not put together here: fragments that are empty, reach beyond 65535 bytes,
 * have an odd length or move the datagram's end are refused. Where IPv4 fragments overlap, the policy says whose bytes
 * stay; an IPv6 datagram is dropped with whatever still comes of it (RFC 5722). An exact copy of a fragment is no
 * overlap. Fragments that cannot lead to a TCP header, not even in a tunnel, are not collected: IPv4 fragments of other
 * protocols, and a datagram whose first fragment says so by its protocol or its UDP ports.
 */
#ifndef MOS_PKT_DEFRAG_H
#define MOS_PKT_DEFRAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/stats.h"
#include "mos_ffi.h"

struct datagram;

/* At the first two limits the datagram that was begun first is dropped. Times are packet time. */
struct defrag_limits {
	uint32_t datagrams; /* being collected at a time; at least 1 */
	size_t bytes;       /* of memory, in all of them; a datagram needs up to 140 KiB */
	uint64_t age4_ns;   /* from a datagram's first fragment to its last */
	uint64_t age6_ns;
	int overlap; /* whose bytes count where IPv4 fragments overlap: MOS_OVERLAP_POLICY_ */
};

/* Datagrams of one family, in the order in which they were begun. */
struct defrag_queue {
	struct datagram *first, *last;
};

struct defrag {
	struct defrag_limits limits;
	struct stats *stats;
	uint64_t seed[4];
	struct datagram **bucket;
	uint32_t buckets;             /* a power of two */
	struct defrag_queue queue[2]; /* IPv4, IPv6 */
	uint64_t now_ns;              /* the latest time stamp seen */
	uint32_t datagrams;
	size_t bytes;
	uint8_t *whole; /* the datagram last put together */
};

/* 4096 datagrams, 16 MiB, 30 s for IPv4 and 60 s for IPv6 (RFC 8200 4.5). */
void defrag_limits_default(struct defrag_limits *l);

/*
 * seed: 32 random bytes that senders do not know. stats is counted into and must outlive d. 0 or -ENOMEM, after which d
 * may be given to defrag_fini.
 */
int defrag_init(struct defrag *d, const struct defrag_limits *l, const uint64_t seed[4], struct stats *stats);
/* What was never completed is forgotten. */
void defrag_fini(struct defrag *d);

/*
 * Take a packet that packet_decode called MOS_DECODED_FRAGMENT. True if it completes a datagram: whole is then a frame
 * of raw IP (link 12) as if it had never been fragmented, with the time, number and port of frag, to be decoded by the
 * caller. It is valid and writable until the next call. The headers are those of the fragment at offset 0, with the
 * fragmentation taken out of them and lengths and IPv4 checksum made right. frag is only read.
 */
bool defrag_add(struct defrag *d, const struct mos_packet *frag, struct mos_packet *whole);

#endif
