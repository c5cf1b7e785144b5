/* Packets out. What passes leaves in the buffer that it came in. */
#include <string.h>

#include "io/dpdk_parts.h"

enum { TX_TRIES = 100 };

struct txq *txq_of(struct ports *p, unsigned lane, unsigned port)
{
	return &p->txq[lane * p->n + port];
}

void txq_flush(struct ports *p, unsigned lane, unsigned at)
{
	struct port *port = &p->port[at];
	struct txq *q = txq_of(p, lane, at);
	bool shared = port->txqs < p->lanes;
	unsigned done = 0;

	if (!q->n)
		return;
	if (shared)
		rte_spinlock_lock(&p->tx_lock[at]);
	unsigned n = q->due ? rte_eth_tx_prepare(port->id, (uint16_t)(lane % port->txqs), q->mbuf, (uint16_t)q->n)
			    : q->n;

	for (unsigned try = 0; done < n && try < TX_TRIES && !port->gone; try++)
		done += rte_eth_tx_burst(port->id, (uint16_t)(lane % port->txqs), q->mbuf + done, (uint16_t)(n - done));
	if (shared)
		rte_spinlock_unlock(&p->tx_lock[at]);
	q->sent += done;
	q->unsent += q->n - done;
	rte_pktmbuf_free_bulk(q->mbuf + done, q->n - done);
	q->n = 0;
	q->due = false;
}

void txq_add(struct ports *p, unsigned lane, unsigned at, struct rte_mbuf *m)
{
	struct port *port = &p->port[at];
	struct txq *q = txq_of(p, lane, at);

	if (!m) {
		q->unsent++;
		return;
	}
	if (port->to_set && m->data_len >= sizeof(struct rte_ether_hdr)) {
		struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);

		eth->dst_addr = port->to;
		eth->src_addr = port->own;
	}
	if (q->n == TXQ)
		txq_flush(p, lane, at);
	q->mbuf[q->n++] = m;
}

/* The port is to finish the checksum: where the headers are. */
static void mbuf_ask(struct rte_mbuf *m, const struct mos_packet *p)
{
	m->l2_len = p->l3;
	m->l3_len = (uint64_t)(p->l4 - p->l3) & 0x1ff;
	m->l4_len = p->tcp_hlen;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | (p->ip_version == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
}

/* The frame in buffers of our own, as many as it takes. NULL: there are none. */
static struct rte_mbuf *mbuf_copy(struct ports *p, const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(p->pool), *last = first;

	while (last) {
		uint32_t n = rte_pktmbuf_tailroom(last);

		n = n < len ? n : len;
		memcpy(rte_pktmbuf_mtod(last, void *), data, n);
		last->data_len = (uint16_t)n;
		if (last != first)
			first->nb_segs++;
		first->pkt_len += n;
		data += n;
		len -= n;
		if (!len)
			return first;
		last->next = rte_pktmbuf_alloc(p->pool);
		last = last->next;
	}
	rte_pktmbuf_free(first);
	return NULL;
}

/* The buffer that the packet came in, if the packet is still what is in it; it then is the port's. */
static struct rte_mbuf *mbuf_take(struct dpdk *d, const struct mos_packet *p, int index)
{
	if (index < 0 || index >= (int)d->n || !d->held[index] || p->data != d->data[index])
		return NULL;
	struct rte_mbuf *m = d->held[index];

	if (m->pkt_len != p->caplen || (m->nb_segs > 1 && p->changed))
		return NULL;
	d->held[index] = NULL;
	return m;
}

void dpdk_tx(struct io *io, unsigned lane, const struct mos_packet *p, bool reverse, int index)
{
	struct dpdk *d = dpdk_of(io);
	int to = reverse ? p->port : d->p->port[p->port].peer;

	if (to < 0)
		return;
	struct rte_mbuf *m = mbuf_take(d, p, index);

	if (!m && p->link == DLT_ETHERNET)
		m = mbuf_copy(d->p, p->data, p->caplen);
	if (m && (p->checks & MOS_CHECKS_DUE)) {
		mbuf_ask(m, p);
		txq_of(d->p, lane, (unsigned)to)->due = true;
		txq_of(d->p, lane, (unsigned)to)->finished++;
	}
	txq_add(d->p, lane, (unsigned)to, m);
}

void dpdk_tx_flush(struct io *io, unsigned lane)
{
	struct dpdk *d = dpdk_of(io);

	for (unsigned i = 0; i < d->p->n; i++)
		txq_flush(d->p, lane, i);
}
