/*
 * Ports of DPDK. The code stands in an object of its own, mos-dpdk.so, which is opened only when a port is asked for: EAL
 * takes a tenth of a second to start, and a machine without DPDK runs captures and interfaces all the same.
 */
#ifndef MOS_IO_DPDK_H
#define MOS_IO_DPDK_H

#include "io/io.h"

struct io_dpdk {
	const struct io_pair *pairs; /* of port numbers, as text */
	unsigned n;
	const char *eal;    /* arguments for EAL as one would type them; NULL: none */
	const char *mac;    /* "0=02:00:00:00:00:01,1=...": where frames that leave at a port go; NULL: MACs stay */
	const char *filter; /* as for io_live_open */
	unsigned workers;
};

/*
 * Open the ports; numbered in the order of the pairs. out gets one source per worker where every port can spread packets by
 * their addresses over so many queues, else one for all, whose lanes are the workers and then the reader. Returns how
 * many, or 0 with one line in err.
 */
unsigned io_dpdk_open(const struct io_dpdk *o, struct io **out, char *err, size_t errlen);

/*
 * How many workers suit these ports, whatever `workers` says: as many as the port with fewest queues has queues, and no more
 * than there are processors for us. 0 with one line in err. Ports can still be opened.
 */
unsigned io_dpdk_queues(const struct io_dpdk *o, char *err, size_t errlen);

/* The same inside of mos-dpdk.so. */
unsigned dpdk_queues(const struct io_dpdk *o, char *err, size_t errlen);
unsigned dpdk_open(const struct io_dpdk *o, struct io **out, char *err, size_t errlen);

#endif
