/* Ports of DPDK: found by their numbers, set up, started. */
#include <ctype.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_errno.h>

#include "io/dpdk_parts.h"

enum { QUEUES_MAX = 64, RX_RING = 1024, TX_RING = 1024, KEY_MAX = 64 };

#define RX_OFFLOADS (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

static int on_removal(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	(void)id;
	(void)ret;
	if (type == RTE_ETH_EVENT_INTR_RMV)
		((struct port *)arg)->gone = true;
	return 0;
}

/*
 * Packets go to queues by their addresses alone, as fragments must go where their connection goes, and to the same one in
 * both directions: the key repeats every 16 bits.
 */
static void rss_set(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info)
{
	static uint8_t key[KEY_MAX];

	for (unsigned i = 0; i < KEY_MAX; i++)
		key[i] = i & 1 ? 0x5a : 0x6d;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		.rss_key = key,
		.rss_key_len = info->hash_key_size ? info->hash_key_size : 40,
		.rss_hf = (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6) &
			  info->flow_type_rss_offloads,
	};
}

/* A port that cannot tell its key (net_tap) has none, and spreads as it likes. */
static bool can_spread(const struct port *port, const struct rte_eth_dev_info *info, unsigned queues)
{
	const uint64_t need = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;
	struct rte_eth_rss_conf conf = { 0 };

	return rte_eth_dev_rss_hash_conf_get(port->id, &conf) != -ENOTSUP && queues <= info->max_rx_queues &&
	       queues <= info->max_tx_queues && (info->flow_type_rss_offloads & need) == need &&
	       info->hash_key_size <= KEY_MAX;
}

/* Queues that fill whether we like it or not must all be read: a virtual device has as many as it was given. */
static unsigned queues_to_read(const struct rte_eth_dev_info *info)
{
	return info->flow_type_rss_offloads || info->max_rx_queues > QUEUES_MAX ? 1 : info->max_rx_queues;
}

static bool queues_set(const struct ports *p, const struct port *port, const struct why *why)
{
	int rc = 0;

	for (unsigned q = 0; q < port->rxqs && !rc; q++)
		rc = rte_eth_rx_queue_setup(port->id, (uint16_t)q, RX_RING, SOCKET_ID_ANY, NULL, p->pool);
	for (unsigned q = 0; q < port->txqs && !rc; q++)
		rc = rte_eth_tx_queue_setup(port->id, (uint16_t)q, TX_RING, SOCKET_ID_ANY, NULL);
	return !rc || fail(why, "port %u: cannot set up its queues: %s", port->id, rte_strerror(-rc));
}

/* "0", or "0 (eth0)" where that stands on an interface. Devices say so by its index, or nonsense. */
static void port_label(struct port *port, const struct rte_eth_dev_info *info)
{
	char name[IF_NAMESIZE];
	bool found = info->if_index && if_indextoname(info->if_index, name);

	port->interface = found ? info->if_index : 0;
	snprintf(port->label, sizeof(port->label), found ? "%u (%s)" : "%u", port->id, name);
}

/* An interface of the system forgets it with us, however we end; a device's own switch would leave it so. */
static void see_all(struct port *port)
{
	const struct packet_mreq all = { .mr_ifindex = (int)port->interface, .mr_type = PACKET_MR_PROMISC };

	port->see_fd = port->interface ? socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) : -1;
	if (port->see_fd < 0 || setsockopt(port->see_fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
		rte_eth_promiscuous_enable(port->id);
}

static bool port_start(struct ports *p, struct port *port, bool spread, unsigned workers, const struct why *why)
{
	struct rte_eth_conf conf = { .rxmode.mq_mode = RTE_ETH_MQ_RX_NONE };
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->id, &info);

	if (rc < 0)
		return fail(why, "port %u: %s", port->id, rte_strerror(-rc));
	port->rxqs = spread ? workers : queues_to_read(&info);
	port->txqs = p->lanes;
	/* Virtual devices have them in pairs (net_tap), and the other side reads as many as it writes (net_memif). */
	if (!can_spread(port, &info, 1))
		port->txqs = port->rxqs;
	if (port->txqs > info.max_tx_queues)
		port->txqs = info.max_tx_queues;
	if (spread && workers > 1)
		rss_set(&conf, &info);
	conf.rxmode.offloads = info.rx_offload_capa & RX_OFFLOADS;
	conf.txmode.offloads = info.tx_offload_capa &
			       (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | (p->finishes ? RTE_ETH_TX_OFFLOAD_TCP_CKSUM : 0));
	uint16_t mtu;

	if (rte_eth_dev_get_mtu(port->id, &mtu) == 0)
		conf.rxmode.mtu = mtu;
	rc = rte_eth_dev_configure(port->id, (uint16_t)port->rxqs, (uint16_t)port->txqs, &conf);
	if (rc < 0 && port->txqs != port->rxqs) {
		/* Some have them in pairs only. */
		port->txqs = port->rxqs;
		rc = rte_eth_dev_configure(port->id, (uint16_t)port->rxqs, (uint16_t)port->txqs, &conf);
	}
	if (rc < 0)
		return fail(why, "port %u: cannot configure it: %s", port->id, rte_strerror(-rc));
	if (!queues_set(p, port, why))
		return false;
	rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_RMV, on_removal, port);
	if ((rc = rte_eth_dev_start(port->id)) < 0)
		return fail(why, "port %u: cannot start it: %s", port->id, rte_strerror(-rc));
	rte_eth_macaddr_get(port->id, &port->own);
	port_label(port, &info);
	see_all(port);
	return true;
}

static bool port_add(struct ports *p, const char *name, int peer, const struct why *why)
{
	char *end;
	unsigned long id = strtoul(name, &end, 10);

	if (!isdigit((unsigned char)*name) || *end || id >= RTE_MAX_ETHPORTS)
		return fail(why, "-p takes numbers of ports, not '%s'", name);
	if (!rte_eth_dev_is_valid_port((uint16_t)id))
		return fail(why,
			    "port %lu: there is none; DPDK has found %u (devices of its own, or --eal '--vdev=...')",
			    id, rte_eth_dev_count_avail());
	if (p->n == PORTS_MAX)
		return fail(why, "%d ports at most", PORTS_MAX);
	p->port[p->n++] = (struct port){ .id = (uint16_t)id, .peer = peer, .see_fd = -1 };
	return true;
}

static bool pairs_add(struct ports *p, const struct io_dpdk *o, const struct why *why)
{
	size_t at = 0;

	for (unsigned i = 0; i < o->n; i++) {
		const char *a = o->pairs[i].a, *b = o->pairs[i].b;
		int first = (int)p->n;

		if (!port_add(p, a, b ? first + 1 : -1, why) || (b && !port_add(p, b, first, why)))
			return false;
		if (at < sizeof(p->name))
			at += (size_t)snprintf(p->name + at, sizeof(p->name) - at, "%s%s%s%s", i ? "," : "port ", a,
					       b ? ":" : "", b ? b : "");
	}
	return true;
}

/* "0=02:00:00:00:00:01,1=..." */
static bool macs_set(struct ports *p, const char *list, const struct why *why)
{
	while (list && *list) {
		char mac[32] = "";
		unsigned id = 0;
		int len = 0;

		sscanf(list, "%u=%31[0-9a-fA-F:]%n", &id, mac, &len);
		struct port *port = NULL;

		for (unsigned i = 0; i < p->n; i++)
			port = p->port[i].id == id ? &p->port[i] : port;
		if (!len || !port || (list[len] && list[len] != ',') || rte_ether_unformat_addr(mac, &port->to) < 0)
			return fail(why, "--mac takes PORT=MAC,... of ports that are used, not '%s'", list);
		port->to_set = true;
		list += len + (list[len] == ',');
	}
	return true;
}

static bool memory_get(struct ports *p, const struct why *why)
{
	uint16_t mtu, most = 0;

	for (unsigned i = 0; i < p->n; i++)
		if (rte_eth_dev_get_mtu(p->port[i].id, &mtu) == 0 && mtu > most)
			most = mtu;
	/* Larger frames than usual in one piece, if the port has them; beyond that, in several. */
	unsigned room = most > 1500 && most <= 9600 ? most + 64u : RTE_MBUF_DEFAULT_DATAROOM;
	unsigned n = p->n * (RX_RING + TX_RING) * 2 + 2048 + p->lanes * 512;

	p->pool = rte_pktmbuf_pool_create("mos", n, 256, 0, (uint16_t)(room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	p->txq = calloc((size_t)p->lanes * p->n, sizeof(*p->txq));
	if (p->pool && p->txq)
		return true;
	return fail(why, "DPDK: no memory for packets: %s", rte_strerror(rte_errno));
}

static bool all_can_spread(const struct ports *p, unsigned workers)
{
	struct rte_eth_dev_info info;

	for (unsigned i = 0; i < p->n; i++)
		if (rte_eth_dev_info_get(p->port[i].id, &info) < 0 || !can_spread(&p->port[i], &info, workers))
			return false;
	return workers > 1;
}

static bool all_can_finish(const struct ports *p)
{
	struct rte_eth_dev_info info;

	for (unsigned i = 0; i < p->n; i++)
		if (rte_eth_dev_info_get(p->port[i].id, &info) < 0 ||
		    !(info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM))
			return false;
	return true;
}

bool ports_open(struct ports *p, const struct io_dpdk *o, bool *spread, const struct why *why)
{
	char reason[192];

	if (!pairs_add(p, o, why) || !macs_set(p, o->mac, why))
		return false;
	*spread = all_can_spread(p, o->workers);
	p->lanes = o->workers + 1;
	p->finishes = all_can_finish(p);
	if (!memory_get(p, why))
		return false;
	for (unsigned i = 0; i < p->n; i++) {
		rte_spinlock_init(&p->tx_lock[i]);
		if (!port_start(p, &p->port[i], *spread, o->workers, why))
			return false;
		p->left++;
	}
	if (o->filter && !(p->filter = link_filter_new(o->filter, DLT_ETHERNET, reason, sizeof(reason))))
		return fail(why, "filter \"%s\": %s", o->filter, reason);
	return true;
}

void ports_close(struct ports *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		rte_eth_dev_stop(p->port[i].id);
		rte_eth_dev_close(p->port[i].id);
		if (p->port[i].see_fd >= 0)
			close(p->port[i].see_fd);
	}
	link_filter_free(p->filter);
	free(p->txq);
	free(p);
	eal_end();
}

/* Queues of a port that workers can share, 0 if it does not say. */
static unsigned queues_of(const struct port *port)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port->id, &info) < 0)
		return 0;
	unsigned n = info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues : info.max_tx_queues;

	return can_spread(port, &info, 1) ? n : queues_to_read(&info);
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

unsigned dpdk_queues(const struct io_dpdk *o, char *err, size_t errlen)
{
	const struct why why = { err, errlen };
	unsigned least = processors(); /* before EAL binds this thread */

	if (!eal_start(o->eal, &why))
		return 0;
	struct ports p = { 0 };

	if (!pairs_add(&p, o, &why))
		return 0;
	least = least < QUEUES_MAX ? least : QUEUES_MAX;
	for (unsigned i = 0; i < p.n; i++) {
		unsigned n = queues_of(&p.port[i]);

		least = n < least ? n : least;
	}
	return least ? least : 1;
}
