/*
 * Network interfaces through packet sockets: many frames per system call, received straight into the burst's memory and
 * sent from where they lie.
 *
 * Packets of this machine (also those of containers, over veth) come as they leave the TCP stack: with unfinished checksums,
 * and larger than a frame can be. The kernel says so in a header of its own. Checksums are finished here, so that handlers
 * see true packets, and what is too large for the port is handed back with the order to cut it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "io/io.h"
#include "io/pcap_link.h"
#include "pkt/bytes.h"
#include "pkt/decode.h"
#include "pkt/edit.h"
#include "util/log.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
	DLT_ETHERNET = 1,
	DLT_RAW_IP = 12,
	PORTS_MAX = 32,
	FRAME_MAX = 65536 + 64,
	TAG = 4, /* bytes of a VLAN tag, which the kernel takes out of the frame */
	/* Not a multiple of a page: the first bytes of all frames must not meet in the same few cache lines. */
	FRAME_ROOM = 64 + FRAME_MAX + 64 * 3,
	KERNEL_BUFFER = 32 << 20,
	TXQ = 64,       /* frames per system call */
	TX_WAIT_MS = 2, /* for room in the socket, so often */
	TX_TRIES = 5
};

struct port {
	char name[IFNAMSIZ];
	int fd;       /* -1: gone */
	int peer;     /* -1: only watched */
	unsigned mtu; /* of the frame without its link-layer header */
	uint16_t link;
	bool down;
	uint64_t lost;
};

/* What one lane is about to send at one port. */
struct txq {
	unsigned n;
	struct virtio_net_hdr head[TXQ];
	struct iovec part[TXQ][2];
	struct mmsghdr msg[TXQ];
	uint64_t sent, unsent, unseen;
};

/* Where the kernel puts what it says of a frame. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata)) + CMSG_SPACE(sizeof(struct timespec))];
};

struct live {
	struct io io;
	struct port port[PORTS_MAX];
	unsigned ports, left;
	unsigned turn; /* the port to be asked first */
	unsigned lanes;
	struct txq *txq;               /* ports per lane, one lane after the other */
	struct link_filter *filter[2]; /* of Ethernet, of raw IP */
	uint8_t *frames;               /* FRAME_ROOM each */
	struct virtio_net_hdr head[IO_BURST];
	struct iovec part[IO_BURST][2];
	union control control[IO_BURST];
	struct mmsghdr msg[IO_BURST];
	char names[128];
};

static struct live *live_of(struct io *io)
{
	return (struct live *)io;
}

static struct txq *txq_of(struct live *l, unsigned lane, unsigned port)
{
	return &l->txq[lane * l->ports + port];
}

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

/* The first message could not be sent. True if it may be tried again. */
static bool tx_again(const struct port *port, unsigned try)
{
	struct pollfd p = { .fd = port->fd, .events = POLLOUT };

	if (errno == EINTR)
		return true;
	if ((errno != EAGAIN && errno != ENOBUFS) || try >= TX_TRIES)
		return false;
	poll(&p, 1, TX_WAIT_MS);
	return true;
}

static void txq_flush(const struct port *port, struct txq *q)
{
	unsigned done = 0, try = 0;

	while (done < q->n) {
		int n = port->fd >= 0 ? sendmmsg(port->fd, q->msg + done, q->n - done, 0) : -1;

		if (n > 0) {
			q->sent += (unsigned)n;
			done += (unsigned)n;
			try = 0;
		} else if (port->fd < 0 || !tx_again(port, try++)) {
			q->unsent++;
			done++;
			try = 0;
		}
	}
	q->n = 0;
}

/* The kernel is to cut the segment into pieces that fit, and to finish their checksums. False if it cannot be cut. */
static bool ask_to_cut(const struct port *port, const struct mos_packet *p, struct virtio_net_hdr *head)
{
	uint32_t headers = p->payload - p->l3;

	if (p->decoded != MOS_DECODED_TCP || port->mtu <= headers || packet_start_tcp_checksum(p) < 0)
		return false;
	*head = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = p->ip_version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)p->payload,
		.gso_size = (uint16_t)(port->mtu - headers),
		.csum_start = p->l4,
		.csum_offset = 16,
	};
	return true;
}

static unsigned link_bytes(const struct mos_packet *p)
{
	return p->link == DLT_ETHERNET ? ETH_HLEN + (p->caplen > 14 && load_be16(p->data + 12) == ETH_P_8021Q ? TAG : 0)
				       : 0;
}

static void txq_add(const struct port *port, struct txq *q, const struct mos_packet *p)
{
	struct virtio_net_hdr *head = &q->head[q->n];
	bool large = p->caplen > port->mtu + link_bytes(p);

	*head = (struct virtio_net_hdr){ .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	if (p->link != port->link || p->caplen < p->len || (large && !ask_to_cut(port, p, head))) {
		q->unsent++;
		return;
	}
	q->part[q->n][0] = (struct iovec){ head, sizeof(*head) };
	q->part[q->n][1] = (struct iovec){ p->data, p->caplen };
	q->msg[q->n] = (struct mmsghdr){ .msg_hdr = { .msg_iov = q->part[q->n], .msg_iovlen = 2 } };
	q->n++;
}

static void live_tx(struct io *io, unsigned lane, const struct mos_packet *p, bool reverse, int index)
{
	struct live *l = live_of(io);
	int to = reverse ? p->port : l->port[p->port].peer;

	(void)index;
	if (to < 0)
		return;
	struct txq *q = txq_of(l, lane, (unsigned)to);

	if (q->n == TXQ)
		txq_flush(&l->port[to], q);
	txq_add(&l->port[to], q, p);
}

static void live_tx_flush(struct io *io, unsigned lane)
{
	struct live *l = live_of(io);

	for (unsigned i = 0; i < l->ports; i++)
		if (txq_of(l, lane, i)->n)
			txq_flush(&l->port[i], txq_of(l, lane, i));
}

/* What the filter does not match passes at once, by the last lane: the reading thread's. */
static void pass_unseen(struct live *l, struct mos_packet *p)
{
	int to = l->port[p->port].peer;

	if (to < 0)
		return;
	struct txq *q = txq_of(l, l->lanes - 1, (unsigned)to);

	packet_decode(p);
	txq_add(&l->port[to], q, p);
	q->unseen++;
	txq_flush(&l->port[to], q);
}

/* A VLAN tag goes back to where it was. */
static void tag_restore(struct mos_packet *p, const struct tpacket_auxdata *aux)
{
	uint16_t type = aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETH_P_8021Q;

	if (!(aux->tp_status & TP_STATUS_VLAN_VALID) || p->caplen < 2 * ETH_ALEN)
		return;
	memmove(p->data - TAG, p->data, 2 * ETH_ALEN);
	p->data -= TAG;
	p->caplen += TAG;
	p->len += TAG;
	store_be16(p->data + 2 * ETH_ALEN, type);
	store_be16(p->data + 2 * ETH_ALEN + 2, aux->tp_vlan_tci);
}

/* Its sender is this machine, and has it right as far as it goes. */
static void checksum_finish(struct mos_packet *p)
{
	if (packet_decode(p) == MOS_DECODED_TCP && packet_fix_tcp_checksum(p) == 0)
		p->checks = MOS_CHECKS_TCP;
	else if (p->decoded == MOS_DECODED_IP)
		packet_finish_udp_checksum(p);
}

static void read_control(struct mos_packet *p, struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct tpacket_auxdata aux;
		struct timespec t;

		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
			tag_restore(p, &aux);
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			p->ts_ns = ns_of(&t);
		}
	}
}

/* Message i of the port as a packet. False if nobody wants to see it. */
static bool packet_take(struct live *l, unsigned port, unsigned i, unsigned slot, struct mos_packet *p)
{
	struct msghdr *h = &l->msg[i].msg_hdr;
	unsigned len = l->msg[i].msg_len;

	if (len <= sizeof(struct virtio_net_hdr))
		return false;
	p->data = l->part[slot][1].iov_base;
	p->len = len - (unsigned)sizeof(struct virtio_net_hdr);
	p->caplen = p->len < FRAME_MAX ? p->len : FRAME_MAX;
	p->link = l->port[port].link;
	p->port = (uint16_t)port;
	p->ts_ns = l->io.now_ns;
	read_control(p, h);
	p->checks = l->head[slot].flags & VIRTIO_NET_HDR_F_DATA_VALID ? MOS_CHECKS_TCP : 0;
	if (l->head[slot].flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		checksum_finish(p);
	const struct link_filter *f = l->filter[p->link == DLT_RAW_IP];

	if (f && !link_filter_match(f, p, 0)) {
		pass_unseen(l, p);
		return false;
	}
	p->number = ++l->io.packets;
	return true;
}

/* An interface that went down may come up again; one that is not there any more will not. */
static void port_failed(struct live *l, struct port *port)
{
	if (if_nametoindex(port->name)) {
		if (!port->down)
			log_warn("interface %s: %s", port->name, strerror(errno));
		port->down = true;
		return;
	}
	snprintf(l->io.error, sizeof(l->io.error), "interface %s: it has gone", port->name);
	close(port->fd);
	port->fd = -1;
	l->left--;
	if (l->left)
		log_error("%s", l->io.error);
}

/* Receive into the burst's places from `at` on. */
static unsigned port_receive(struct live *l, unsigned number, struct mos_packet *pkts, unsigned at, unsigned n)
{
	struct port *port = &l->port[number];
	unsigned count = at;

	for (unsigned i = at; i < n; i++) {
		struct msghdr *h = &l->msg[i].msg_hdr;

		h->msg_iov = l->part[i];
		h->msg_iovlen = 2;
		h->msg_control = &l->control[i];
		h->msg_controllen = sizeof(l->control[i]);
	}
	int got = recvmmsg(port->fd, l->msg + at, n - at, MSG_DONTWAIT | MSG_TRUNC, NULL);

	if (got < 0 && errno != EAGAIN && errno != EINTR)
		port_failed(l, port);
	if (got > 0)
		port->down = false;
	for (int i = 0; i < got; i++) {
		unsigned slot = at + (unsigned)i;

		if (packet_take(l, number, slot, slot, &pkts[count]))
			count++;
	}
	return count;
}

static int live_rx_burst(struct io *io, struct mos_packet *pkts, unsigned n)
{
	struct live *l = live_of(io);
	struct timespec now;
	unsigned count = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	io->now_ns = ns_of(&now);
	for (unsigned i = 0; i < l->ports && count < n; i++) {
		unsigned number = (l->turn + i) % l->ports;

		if (l->port[number].fd >= 0)
			count = port_receive(l, number, pkts, count, n);
	}
	l->turn = (l->turn + 1) % l->ports;
	return l->left || count ? (int)count : IO_FAILED;
}

static void live_free_burst(struct io *io)
{
	(void)io; /* the next burst takes its place */
}

static void live_wait(struct io *io, int timeout_ms)
{
	struct live *l = live_of(io);
	struct pollfd p[PORTS_MAX + 1] = { { .fd = io->wake_fd, .events = POLLIN } };
	nfds_t n = 1;
	uint64_t count;

	/* A port that is down would not let poll sleep. */
	for (unsigned i = 0; i < l->ports; i++)
		if (l->port[i].fd >= 0 && !l->port[i].down)
			p[n++] = (struct pollfd){ .fd = l->port[i].fd, .events = POLLIN };
	if (poll(p, n, timeout_ms) > 0 && p[0].revents && read(io->wake_fd, &count, sizeof(count)) < 0)
		return; /* someone else took it */
}

/* The kernel's count begins anew whenever it is read. */
static void port_count_lost(struct port *port)
{
	struct tpacket_stats st;
	socklen_t len = sizeof(st);

	if (port->fd >= 0 && getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
		port->lost += st.tp_drops;
}

static void live_count(struct io *io, struct stats *sum)
{
	struct live *l = live_of(io);

	for (unsigned i = 0; i < l->ports; i++) {
		port_count_lost(&l->port[i]);
		sum->port_lost += l->port[i].lost;
	}
	for (unsigned i = 0; i < l->lanes * l->ports; i++) {
		sum->forwarded += l->txq[i].sent;
		sum->unsent += l->txq[i].unsent;
		sum->unseen += l->txq[i].unseen;
	}
}

/* Where packets pass, all of them must be read. */
static void live_narrow(struct io *io, const char *filter)
{
	struct live *l = live_of(io);
	char why[192];
	struct link_filter *f = filter ? link_filter_new(filter, DLT_ETHERNET, why, sizeof(why)) : NULL;

	for (unsigned i = 0; i < l->ports; i++) {
		const struct port *port = &l->port[i];

		/* -f comes first, and is smaller. */
		if (port->peer >= 0 || port->link != DLT_ETHERNET || port->fd < 0 || l->filter[0])
			continue;
		if (!f || !link_filter_attach(f, port->fd))
			link_filter_detach(port->fd);
	}
	link_filter_free(f);
}

static void live_close(struct io *io)
{
	struct live *l = live_of(io);

	for (unsigned i = 0; i < l->ports; i++)
		if (l->port[i].fd >= 0)
			close(l->port[i].fd);
	link_filter_free(l->filter[0]);
	link_filter_free(l->filter[1]);
	free(l->frames);
	free(l->txq);
	free(l);
}

/* "interface IFACE: cause". False, for the caller to return. */
__attribute__((format(printf, 3, 4))) static bool fail(struct live *l, const struct port *port, const char *fmt, ...)
{
	char why[192];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	snprintf(l->io.error, sizeof(l->io.error), "interface %s: %s", port->name, why);
	return false;
}

static bool fail_errno(struct live *l, const struct port *port)
{
	if (errno == EPERM || errno == EACCES)
		return fail(l, port, "no right to open it: run as root, or give mos-run cap_net_raw");
	/* As tcpdump calls all of them. */
	if (errno == ENODEV && !strcmp(port->name, "any"))
		return fail(l, port, "no such interface; several are named with commas: -i eth0,eth1");
	if (errno == ENODEV)
		return fail(l, port, "no such interface");
	return fail(l, port, "%s", strerror(errno));
}

static bool socket_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* Its index, link type and size; and it must be up. */
static bool port_describe(struct live *l, struct port *port, int *index)
{
	struct ifreq r = { 0 };

	strcpy(r.ifr_name, port->name);
	if (ioctl(port->fd, SIOCGIFINDEX, &r) < 0)
		return fail_errno(l, port);
	*index = r.ifr_ifindex;
	if (ioctl(port->fd, SIOCGIFFLAGS, &r) < 0)
		return fail_errno(l, port);
	if (!(r.ifr_flags & IFF_UP))
		return fail(l, port, "it is down; 'ip link set dev %s up' changes that", port->name);
	if (ioctl(port->fd, SIOCGIFMTU, &r) < 0)
		return fail_errno(l, port);
	port->mtu = (unsigned)r.ifr_mtu;
	if (ioctl(port->fd, SIOCGIFHWADDR, &r) < 0)
		return fail_errno(l, port);
	int kind = r.ifr_hwaddr.sa_family;

	if (kind != ARPHRD_ETHER && kind != ARPHRD_LOOPBACK && kind != ARPHRD_NONE)
		return fail(l, port, "neither Ethernet nor plain IP (ARPHRD %d)", kind);
	port->link = kind == ARPHRD_NONE ? DLT_RAW_IP : DLT_ETHERNET;
	return true;
}

static bool port_bind(struct live *l, struct port *port, int index)
{
	struct packet_mreq promisc = { .mr_ifindex = index, .mr_type = PACKET_MR_PROMISC };
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_ifindex = index };

	addr.sll_protocol = htons(ETH_P_ALL);
	if (!socket_set(port->fd, SOL_PACKET, PACKET_AUXDATA, 1) ||
	    !socket_set(port->fd, SOL_PACKET, PACKET_VNET_HDR, 1) ||
	    !socket_set(port->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1) ||
	    setsockopt(port->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) < 0)
		return fail_errno(l, port);
	/* The packets that the other port of the pair received must not come back as this one's. */
	if (port->peer >= 0 && !socket_set(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1))
		return fail_errno(l, port);
	if (!socket_set(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, KERNEL_BUFFER))
		socket_set(port->fd, SOL_SOCKET, SO_RCVBUF, KERNEL_BUFFER);
	if (!socket_set(port->fd, SOL_SOCKET, SO_SNDBUFFORCE, KERNEL_BUFFER))
		socket_set(port->fd, SOL_SOCKET, SO_SNDBUF, KERNEL_BUFFER);
	const struct link_filter *f = l->filter[port->link == DLT_RAW_IP];

	if (f && port->peer < 0 && !link_filter_attach(f, port->fd))
		return fail_errno(l, port);
	return bind(port->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || fail_errno(l, port);
}

static bool port_open(struct live *l, const char *name, int peer)
{
	struct port *port = &l->port[l->ports++];
	int index = 0;

	snprintf(port->name, sizeof(port->name), "%s", name);
	port->peer = peer;
	/* Protocol 0: nothing is received before it is bound to the one interface. */
	port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (port->fd < 0)
		return fail_errno(l, port);
	l->left++;
	if (strlen(name) >= IFNAMSIZ)
		return fail(l, port, "no such interface");
	return port_describe(l, port, &index) && port_bind(l, port, index);
}

static bool pair_open(struct live *l, const struct io_pair *pair)
{
	int a = (int)l->ports, b = a + 1;

	if (b + !!pair->b > PORTS_MAX) {
		snprintf(l->io.error, sizeof(l->io.error), "%d interfaces at most", PORTS_MAX);
		return false;
	}
	if (!port_open(l, pair->a, pair->b ? b : -1))
		return false;
	if (!pair->b)
		return true;
	if (!port_open(l, pair->b, a))
		return false;
	if (l->port[a].link != l->port[b].link)
		return fail(l, &l->port[b], "of another kind than %s: packets cannot pass", pair->a);
	l->io.sends = true;
	return true;
}

static bool filters_compile(struct live *l, const char *expr)
{
	char why[192];

	l->filter[0] = link_filter_new(expr, DLT_ETHERNET, why, sizeof(why));
	if (!l->filter[0]) {
		snprintf(l->io.error, sizeof(l->io.error), "filter \"%s\": %s", expr, why);
		return false;
	}
	l->filter[1] = link_filter_new(expr, DLT_RAW_IP, why, sizeof(why));
	return true;
}

static bool memory_get(struct live *l)
{
	l->frames = malloc((size_t)IO_BURST * FRAME_ROOM);
	l->txq = calloc((size_t)l->lanes * l->ports, sizeof(*l->txq));
	if (!l->frames || !l->txq) {
		snprintf(l->io.error, sizeof(l->io.error), "%s", strerror(ENOMEM));
		return false;
	}
	for (unsigned i = 0; i < IO_BURST; i++) {
		l->part[i][0] = (struct iovec){ &l->head[i], sizeof(l->head[i]) };
		l->part[i][1] = (struct iovec){ l->frames + (size_t)i * FRAME_ROOM + 64, FRAME_MAX };
	}
	return true;
}

static bool all_open(struct live *l, const struct io_pair *pairs, unsigned n, const char *filter)
{
	size_t at = 0;

	if (filter && !filters_compile(l, filter))
		return false;
	for (unsigned i = 0; i < n; i++) {
		const char *b = pairs[i].b;

		if (!pair_open(l, &pairs[i]))
			return false;
		if (at < sizeof(l->names))
			at += (size_t)snprintf(l->names + at, sizeof(l->names) - at, "%s%s%s%s", i ? "," : "",
					       pairs[i].a, b ? ":" : "", b ? b : "");
	}
	return memory_get(l);
}

struct io *io_live_open(const struct io_pair *pairs, unsigned n, const char *filter, unsigned lanes, char *err,
			size_t errlen)
{
	static const struct io_ops ops = {
		.name = "interfaces",
		.rx_burst = live_rx_burst,
		.free_burst = live_free_burst,
		.wait = live_wait,
		.tx = live_tx,
		.tx_flush = live_tx_flush,
		.narrow = live_narrow,
		.count = live_count,
		.close = live_close,
	};
	struct live *l = calloc(1, sizeof(*l));

	if (!l) {
		snprintf(err, errlen, "%s", strerror(ENOMEM));
		return NULL;
	}
	l->io = (struct io){ .ops = &ops, .live = true, .wake_fd = -1, .path = l->names };
	l->lanes = lanes;
	if (all_open(l, pairs, n, filter))
		return &l->io;
	snprintf(err, errlen, "%s", l->io.error);
	live_close(&l->io);
	return NULL;
}
