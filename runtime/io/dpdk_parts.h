/* The parts of mos-dpdk.so, and what they share. */
#ifndef MOS_IO_DPDK_PARTS_H
#define MOS_IO_DPDK_PARTS_H

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>

#include "io/dpdk.h"
#include "io/pcap_link.h"

enum { DLT_ETHERNET = 1, PORTS_MAX = 32, TXQ = 64 };

struct port {
	uint16_t id;
	int peer; /* index of the other one; -1: only watched */
	unsigned rxqs, txqs;
	bool to_set; /* frames that leave here get these addresses */
	struct rte_ether_addr to, own;
	unsigned interface; /* of the system, by its index, that the port stands on; 0: none */
	char label[48];     /* for messages */
	int see_fd;         /* as long as it is open, that sees packets for others; -1: none */
	bool gone;          /* set by an event, or when the interface is not there any more */
	bool told;
};

/* What one lane is about to send at one port. */
struct txq {
	unsigned n;
	struct rte_mbuf *mbuf[TXQ];
	uint64_t sent, unsent, unseen, finished;
	bool due; /* some of them ask for checksums */
};

/* All ports, shared by the sources. */
struct ports {
	struct port port[PORTS_MAX];
	unsigned n, left;
	uint64_t looked_ns; /* when the interfaces were last looked for */
	unsigned sources;   /* not closed yet */
	unsigned lanes;
	bool finishes; /* every port can finish TCP checksums */
	struct rte_mempool *pool;
	struct link_filter *filter;
	struct txq *txq;                   /* ports per lane */
	rte_spinlock_t tx_lock[PORTS_MAX]; /* where a port has fewer queues than there are lanes */
	char name[128];
};

/* A source: one queue of each port, or all of them. */
struct dpdk {
	struct io io;
	struct ports *p;
	int queue; /* -1: all */
	unsigned turn;
	struct rte_mbuf *held[IO_BURST]; /* of the burst; NULL: sent, or another thread's by now */
	const uint8_t *data[IO_BURST];   /* where its frame was handed out */
	uint8_t *whole[IO_BURST];        /* where frames of several segments are put together */
	unsigned n;
	unsigned sleep_us;
	uint64_t verified; /* packets */
	bool registered;
};

/* Where a failure's one line goes. */
struct why {
	char *text;
	size_t size;
};

/* Fill in that line. False. */
__attribute__((format(printf, 2, 3))) bool fail(const struct why *why, const char *fmt, ...);

/* Start EAL with these arguments, as one would type them (NULL: none), unless it runs. False with the reason. */
bool eal_start(const char *eal, const struct why *why);

/* No-op where it does not run. */
void eal_end(void);

/* Find the ports of o, set them up and start them. spread: each worker has queues of its own. False with the reason. */
bool ports_open(struct ports *p, const struct io_dpdk *o, bool *spread, const struct why *why);

/* Stop and free them, and end EAL. */
void ports_close(struct ports *p);

/* What a lane is about to send at the port of that index. */
struct txq *txq_of(struct ports *p, unsigned lane, unsigned port);

/* Take a buffer to send; NULL is counted as unsent. */
void txq_add(struct ports *p, unsigned lane, unsigned at, struct rte_mbuf *m);

void txq_flush(struct ports *p, unsigned lane, unsigned at);

/* Of struct io_ops. */
void dpdk_tx(struct io *io, unsigned lane, const struct mos_packet *p, bool reverse, int index);
void dpdk_tx_flush(struct io *io, unsigned lane);

static inline struct dpdk *dpdk_of(struct io *io)
{
	return (struct dpdk *)io;
}

#endif
