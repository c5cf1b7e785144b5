/* mos-dpdk.so: ports of DPDK. What passes leaves in the buffer that it came in. */
#include "io/dpdk.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>

#include "io/pcap_link.h"
#include "pkt/decode.h"
#include "pkt/edit.h"
#include "util/log.h"

enum {
	DLT_ETHERNET = 1,
	PORTS_MAX = 32,
	QUEUES_MAX = 64,
	RX_RING = 1024,
	TX_RING = 1024,
	TXQ = 64,
	TX_TRIES = 100,
	ARGS_MAX = 64,
	FRAME_MAX = 65536,
	KEY_MAX = 64,
	SLEEP_MIN_US = 20,  /* what an idle thread sleeps at first */
	SLEEP_MAX_US = 4000 /* and after a while: under 3 % of a processor on any machine */
};

#define RX_OFFLOADS (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

/* How often to look whether interfaces are there. */
#define LOOK_NS 500000000ull

struct port {
	uint16_t id;
	int peer; /* index of the other one; -1: only watched */
	unsigned rxqs, txqs;
	bool to_set; /* frames that leave here get these addresses */
	struct rte_ether_addr to, own;
	unsigned interface; /* of the system, by its index, that the port stands on; 0: none */
	char label[48];     /* for messages */
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

static bool eal_runs;

static struct dpdk *dpdk_of(struct io *io)
{
	return (struct dpdk *)io;
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct txq *txq_of(struct ports *p, unsigned lane, unsigned port)
{
	return &p->txq[lane * p->n + port];
}

static void txq_flush(struct ports *p, unsigned lane, unsigned at)
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

static void txq_add(struct ports *p, unsigned lane, unsigned at, struct rte_mbuf *m)
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

static void dpdk_tx(struct io *io, unsigned lane, const struct mos_packet *p, bool reverse, int index)
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

static void dpdk_tx_flush(struct io *io, unsigned lane)
{
	struct dpdk *d = dpdk_of(io);

	for (unsigned i = 0; i < d->p->n; i++)
		txq_flush(d->p, lane, i);
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

/* Also where a run ends before its ports were opened. */
__attribute__((destructor)) static void eal_end(void)
{
	if (eal_runs)
		rte_eal_cleanup();
	eal_runs = false;
}

static void ports_close(struct ports *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		rte_eth_dev_stop(p->port[i].id);
		rte_eth_dev_close(p->port[i].id);
	}
	link_filter_free(p->filter);
	free(p->txq);
	free(p);
	eal_end();
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

struct why {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, why->size, fmt, ap);
	va_end(ap);
	return false;
}

/* Pages of any size that the system keeps for such programs. */
static bool have_hugepages(void)
{
	glob_t g;
	bool any = false;

	if (glob("/sys/kernel/mm/hugepages/*/nr_hugepages", 0, NULL, &g) != 0)
		return false;
	for (size_t i = 0; i < g.gl_pathc && !any; i++) {
		FILE *f = fopen(g.gl_pathv[i], "r");
		unsigned long n = 0;

		any = f && fscanf(f, "%lu", &n) == 1 && n > 0;
		if (f)
			fclose(f);
	}
	globfree(&g);
	return any;
}

/* The next word of a command line, in place; quotes hold words together. NULL at the end. */
static char *next_word(char **line)
{
	char *s = *line + strspn(*line, " \t\n"), *word = s, *to = s, quote = 0;

	if (!*s)
		return NULL;
	for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
		if (quote ? *s == quote : *s == '\'' || *s == '"')
			quote = quote ? 0 : *s;
		else
			*to++ = *s;
	}
	*line = *s ? s + 1 : s;
	*to = '\0';
	return word;
}

static bool has_arg(char *const *args, int n, const char *start)
{
	for (int i = 0; i < n; i++)
		if (strncmp(args[i], start, strlen(start)) == 0)
			return true;
	return false;
}

/*
 * No files are left behind, and several runs do not get into each other's way. net_tap says that it cannot talk to other
 * processes, as an error, where there can be none.
 */
static void share_nothing(char **args, int *n)
{
	static const char *const knows_better[] = { "--huge-dir", "--in-memory", "--file-prefix", "--proc-type" };
	bool no_huge = has_arg(args, *n, "--no-huge"), said = false;

	for (unsigned i = 0; i < RTE_DIM(knows_better); i++)
		said |= has_arg(args, *n, knows_better[i]);
	for (int i = 0; no_huge && i < *n; i++)
		said |= strstr(args[i], "net_tap") != NULL;
	if (!said)
		args[(*n)++] = no_huge ? "--no-shconf" : "--in-memory";
}

/* Without the page about its options that EAL prints when it does not like one. */
static int eal_init_quietly(int n, char **args)
{
	int out = has_arg(args, n, "--help") || has_arg(args, n, "-h") ? -1 : dup(STDOUT_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	fflush(stdout);
	if (out >= 0 && null >= 0)
		dup2(null, STDOUT_FILENO);
	int rc = rte_eal_init(n, args), error = rte_errno;

	fflush(stdout);
	if (out >= 0 && null >= 0)
		dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	rte_errno = error;
	return rc;
}

/* One thread that EAL knows from its start, on any processor: the others are ours. */
static bool eal_start(const char *eal, const struct why *why)
{
	static char lcores[64], *line;
	char *args[ARGS_MAX + 10] = { "mos-run" }, *rest, *word;
	int n = 1;

	if (eal_runs)
		return true;
	/* EAL keeps pointers into its arguments. */
	rest = line = strdup(eal ? eal : "");
	while (line && n < ARGS_MAX && (word = next_word(&rest)))
		args[n++] = word;
	if (!has_arg(args, n, "-l") && !has_arg(args, n, "-c") && !has_arg(args, n, "--lcores")) {
		snprintf(lcores, sizeof(lcores), "--lcores=0@(0-%ld)", sysconf(_SC_NPROCESSORS_ONLN) - 1);
		args[n++] = lcores;
	}
	if (!has_arg(args, n, "--log-level"))
		args[n++] = "--log-level=error";
	if (!has_arg(args, n, "--no-telemetry"))
		args[n++] = "--no-telemetry";
	/* Who names virtual devices does not mean the machine's cards. */
	if (has_arg(args, n, "--vdev") && !has_arg(args, n, "-a") && !has_arg(args, n, "--allow") &&
	    !has_arg(args, n, "--no-pci"))
		args[n++] = "--no-pci";
	if (!has_arg(args, n, "--no-huge") && !have_hugepages()) {
		log_warn("no hugepages: slower; as root: sysctl vm.nr_hugepages=512");
		args[n++] = "--no-huge";
		if (!has_arg(args, n, "-m"))
			args[n++] = "-m512";
	}
	share_nothing(args, &n);
	eal_runs = eal_init_quietly(n, args) >= 0;
	return eal_runs ||
	       fail(why, "DPDK: cannot start: %s (arguments: %s)", rte_strerror(rte_errno), eal ? eal : "none");
}

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
	rte_eth_promiscuous_enable(port->id);
	rte_eth_macaddr_get(port->id, &port->own);
	port_label(port, &info);
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
	p->port[p->n++] = (struct port){ .id = (uint16_t)id, .peer = peer };
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

static bool ports_open(struct ports *p, const struct io_dpdk *o, bool *spread, const struct why *why)
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
