/* mos-dpdk.so: ports of DPDK as sources, one for all queues or one for the queues of each worker. */
#include "io/dpdk.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>

#include "io/dpdk_parts.h"
#include "pkt/decode.h"
#include "pkt/edit.h"
#include "util/log.h"

enum {
	FRAME_MAX = 65536,
	SLEEP_MIN_US = 20,  /* what an idle thread sleeps at first */
	SLEEP_MAX_US = 4000 /* and after a while: under 3 % of a processor on any machine */
};

/* How often to look whether interfaces are there. */
#define LOOK_NS 500000000ull

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The frame in one piece, or NULL. */
static uint8_t *frame_of(struct dpdk *d, unsigned slot, const struct rte_mbuf *m)
{
	if (m->nb_segs == 1)
		return rte_pktmbuf_mtod(m, uint8_t *);
	if (!d->whole[slot])
		d->whole[slot] = malloc(FRAME_MAX);
	uint32_t len = m->pkt_len < FRAME_MAX ? m->pkt_len : FRAME_MAX;
	uint8_t *to = d->whole[slot];

	if (!to)
		return NULL;
	const void *from = rte_pktmbuf_read(m, 0, len, to);

	return from == to ? to : memcpy(to, from, len);
}

/* A checksum that its sender, a virtual machine perhaps, left for a card to finish: begun, where the header is in m. */
static void mbuf_finish(const struct rte_mbuf *m, struct mos_packet *p)
{
	int rc = -EINVAL;

	if (packet_decode(p) == MOS_DECODED_TCP)
		rc = packet_fix_tcp_checksum(p);
	else if (p->decoded == MOS_DECODED_IP)
		rc = packet_finish_udp_checksum(p);
	uint32_t at = p->l4 + (p->decoded == MOS_DECODED_TCP ? 16u : 6u);

	/* Of several pieces p has a copy. */
	if (rc == 0 && m->nb_segs > 1 && at + 2 <= m->data_len)
		memcpy(rte_pktmbuf_mtod_offset(m, void *, at), p->data + at, 2);
	p->checks |= rc == 0 && p->decoded == MOS_DECODED_TCP ? MOS_CHECKS_TCP : 0;
}

static uint8_t checks_of(const struct rte_mbuf *m)
{
	const uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	return (uint8_t)((ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD ? MOS_CHECKS_IP : 0) |
			 (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? MOS_CHECKS_TCP : 0));
}

/* Put a buffer into the burst. False if it is not for handlers. */
static bool mbuf_show(struct dpdk *d, unsigned at, struct rte_mbuf *m, struct mos_packet *p)
{
	p->data = frame_of(d, d->n, m);
	if (!p->data) {
		rte_pktmbuf_free(m);
		return false;
	}
	p->len = m->pkt_len;
	p->caplen = m->pkt_len < FRAME_MAX ? m->pkt_len : FRAME_MAX;
	p->link = DLT_ETHERNET;
	p->port = (uint16_t)at;
	p->ts_ns = d->io.now_ns;
	p->checks = checks_of(m);
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		mbuf_finish(m, p);
	else
		d->verified += !!(p->checks & MOS_CHECKS_TCP);
	if (d->p->filter && !link_filter_match(d->p->filter, p, 0)) {
		int to = d->p->port[at].peer;

		if (to < 0) {
			rte_pktmbuf_free(m);
		} else {
			unsigned lane = d->queue >= 0 ? (unsigned)d->queue : d->p->lanes - 1;

			txq_add(d->p, lane, (unsigned)to, m);
			txq_of(d->p, lane, (unsigned)to)->unseen++;
			txq_flush(d->p, lane, (unsigned)to);
		}
		return false;
	}
	p->number = ++d->io.packets;
	d->data[d->n] = p->data;
	d->held[d->n++] = m;
	return true;
}

/* Each source learns it, one of them says it. */
static void port_gone(struct dpdk *d, struct port *port)
{
	snprintf(d->io.error, sizeof(d->io.error), "port %s: it has gone", port->label);
	if (!__atomic_exchange_n(&port->told, true, __ATOMIC_RELAXED) &&
	    __atomic_sub_fetch(&d->p->left, 1, __ATOMIC_RELAXED))
		log_error("%s", d->io.error);
}

/* Virtual devices do not notice that the interface that they stand on has gone. Asked of one of the sources. */
static void ports_look(struct dpdk *d)
{
	char name[IF_NAMESIZE];

	if (d->queue > 0 || d->io.now_ns - d->p->looked_ns < LOOK_NS)
		return;
	d->p->looked_ns = d->io.now_ns;
	for (unsigned i = 0; i < d->p->n; i++) {
		struct port *port = &d->p->port[i];

		if (port->interface && !if_indextoname(port->interface, name) && errno == ENXIO)
			port->gone = true;
	}
}

static void queue_receive(struct dpdk *d, unsigned at, unsigned queue, struct mos_packet *pkts, unsigned n)
{
	struct rte_mbuf *m[IO_BURST];
	unsigned got = rte_eth_rx_burst(d->p->port[at].id, (uint16_t)queue, m, (uint16_t)(n - d->n));

	for (unsigned i = 0; i < got; i++)
		mbuf_show(d, at, m[i], &pkts[d->n]);
}

static void port_receive(struct dpdk *d, unsigned at, struct mos_packet *pkts, unsigned n)
{
	struct port *port = &d->p->port[at];

	if (port->gone) {
		port_gone(d, port);
		return;
	}
	if (d->queue >= 0) {
		queue_receive(d, at, (unsigned)d->queue, pkts, n);
		return;
	}
	for (unsigned q = 0; q < port->rxqs && d->n < n; q++)
		queue_receive(d, at, q, pkts, n);
}

static int dpdk_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct dpdk *d = dpdk_of(io);

	/* Threads that EAL knows have caches of buffers. */
	if (!d->registered) {
		d->registered = true;
		if (rte_lcore_id() == LCORE_ID_ANY)
			rte_thread_register();
	}
	d->n = 0;
	io->now_ns = clock_ns();
	ports_look(d);
	for (unsigned i = 0; i < d->p->n && d->n < n; i++)
		port_receive(d, (d->turn + i) % d->p->n, pkts, n);
	d->turn = (d->turn + 1) % d->p->n;
	if (d->n)
		d->sleep_us = 0;
	return d->n || __atomic_load_n(&d->p->left, __ATOMIC_RELAXED) ? (int)d->n : IO_FAILED;
}

static void dpdk_free_burst(struct io *io)
{
	struct dpdk *d = dpdk_of(io);

	for (unsigned i = 0; i < d->n; i++)
		rte_pktmbuf_free(d->held[i]);
	d->n = 0;
}

/* Polled less and less often while nothing comes. */
static void dpdk_wait(struct io *io, int timeout_ms)
{
	struct dpdk *d = dpdk_of(io);
	struct pollfd p = { .fd = io->wake_fd, .events = POLLIN };
	uint64_t count;

	d->sleep_us = d->sleep_us ? 2 * d->sleep_us : SLEEP_MIN_US;
	if (d->sleep_us > SLEEP_MAX_US)
		d->sleep_us = SLEEP_MAX_US;
	const struct timespec t = { .tv_nsec = timeout_ms ? 1000l * d->sleep_us : 0 };

	if (ppoll(&p, 1, &t, NULL) > 0 && read(io->wake_fd, &count, sizeof(count)) < 0)
		return; /* someone else took it */
}

/* Asked of one of the sources. */
static void dpdk_count(struct io *io, struct stats *sum)
{
	struct dpdk *d = dpdk_of(io);
	struct rte_eth_stats st;

	sum->port_verified += d->verified;
	if (d->queue > 0)
		return;
	for (unsigned i = 0; i < d->p->n; i++)
		if (rte_eth_stats_get(d->p->port[i].id, &st) == 0)
			sum->port_lost += st.imissed + st.rx_nombuf;
	for (unsigned i = 0; i < d->p->lanes * d->p->n; i++) {
		sum->forwarded += d->p->txq[i].sent;
		sum->unsent += d->p->txq[i].unsent;
		sum->unseen += d->p->txq[i].unseen;
		sum->port_finished += d->p->txq[i].finished;
	}
}

static void dpdk_close(struct io *io)
{
	struct dpdk *d = dpdk_of(io);

	dpdk_free_burst(io);
	for (unsigned i = 0; i < IO_BURST; i++)
		free(d->whole[i]);
	if (--d->p->sources == 0)
		ports_close(d->p);
	free(d);
}

static struct io *source_new(struct ports *p, int queue)
{
	static const struct io_ops ops = {
		.name = "dpdk",
		.rx_burst = dpdk_rx_burst,
		.free_burst = dpdk_free_burst,
		.wait = dpdk_wait,
		.tx = dpdk_tx,
		.tx_flush = dpdk_tx_flush,
		.count = dpdk_count,
		.close = dpdk_close,
	};
	struct dpdk *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->io = (struct io){ .ops = &ops, .path = p->name, .live = true, .wake_fd = -1 };
	d->p = p;
	d->queue = queue;
	d->io.finishes = p->finishes;
	for (unsigned i = 0; i < p->n; i++)
		d->io.sends |= p->port[i].peer >= 0;
	p->sources++;
	return &d->io;
}

unsigned dpdk_open(const struct io_dpdk *o, struct io **out, char *err, size_t errlen)
{
	const struct why why = { err, errlen };
	bool spread = false;

	if (!eal_start(o->eal, &why))
		return 0;
	struct ports *p = calloc(1, sizeof(*p));

	if (!p || !ports_open(p, o, &spread, &why)) {
		if (p)
			ports_close(p);
		return 0;
	}
	unsigned n = spread ? o->workers : 1, made = 0;

	while (made < n && (out[made] = source_new(p, spread ? (int)made : -1)))
		made++;
	if (made == n)
		return n;
	fail(&why, "DPDK: %s", strerror(ENOMEM));
	while (made)
		dpdk_close(out[--made]);
	return 0;
}
