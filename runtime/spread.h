/*
 * Which worker a packet goes to: both directions of a connection to the same one, and every fragment of its datagrams too.
 *
 * A packet with TCP ports goes by a symmetric hash of addresses and ports of the innermost packet, any other by its
 * addresses, what is not IP to the first worker. A fragment tells no ports, so fragments are held here, copied, until
 * their datagram is complete (by the same code that puts it together in a worker), and then go, in the order in which
 * they came, where the datagram's connection goes. What is not completed within the limits of settings.defrag goes by
 * its addresses.
 */
#ifndef MOS_SPREAD_H
#define MOS_SPREAD_H

#include "flow/key.h"
#include "pkt/defrag.h"

struct held;

struct spread {
	unsigned workers;
	struct key_seed seed;
	struct defrag defrag;
	struct stats stats; /* of defrag: the worker's own counts are what is reported */
	struct held **bucket;
	struct held *first, *last; /* in the order in which they were begun */
	unsigned datagrams;
	size_t bytes;
	void (*give)(void *arg, unsigned worker, const struct mos_packet *p);
	void *arg;
};

/*
 * give is called for each packet that goes on; the packet and its frame are borrowed. seed: by which workers are chosen. 0
 * or -ENOMEM.
 */
int spread_init(struct spread *s, unsigned workers, const struct key_seed *seed, const struct defrag_limits *limits,
		void (*give)(void *arg, unsigned worker, const struct mos_packet *p), void *arg);
void spread_fini(struct spread *s);

/* The worker of n that a connection goes to. */
unsigned spread_choose(const struct mos_key *k, const struct key_seed *seed, unsigned n);

/* Decode p and give it, and what it completes, or hold it. */
void spread_packet(struct spread *s, struct mos_packet *p);

/* Give what is held: nothing more will come. */
void spread_flush(struct spread *s);

#endif
