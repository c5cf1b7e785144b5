/*
 * A source NAT: each connection gets a port of the address -a, kept in its socket's user context and given back when it
 * ends. Packets of clients leave with that address and port. What comes to that address belongs to no connection that the
 * runtime knows (an orphan), and goes to the client whose port it is.
 */
#include "app.h"

#include <mtcp_util.h>

#include <stdatomic.h>

const char *const app_options = "a:";

enum { PORT_FIRST = 20000, PORTS = 1000 };

/* A port of the NAT's address and whose it is; cores share the table, and a port is claimed by its busy flag. */
static struct mapping {
	atomic_int busy;
	_Atomic uint64_t client; /* address << 16 | port, network order */
} mapping[PORTS];

static in_addr_t outside;
static atomic_uint given, returned, failed;

int app_option(int option, const char *value)
{
	return option == 'a' && inet_pton(AF_INET, value, &outside) == 1 ? 0 : -1;
}

/* A port to which the server's packets come to this core, as the client's do. */
static struct mapping *claim(mctx_t m, const struct sockaddr_in *client, const struct sockaddr_in *server)
{
	for (int i = 0; i < PORTS; i++) {
		int free_port = 0;

		if (GetRSSCPUCore(outside, server->sin_addr.s_addr, htons((uint16_t)(PORT_FIRST + i)), server->sin_port,
				  app_cores) != m->cpu)
			continue;
		if (!atomic_compare_exchange_strong(&mapping[i].busy, &free_port, 1))
			continue;
		mapping[i].client = (uint64_t)client->sin_addr.s_addr << 16 | client->sin_port;
		return &mapping[i];
	}
	return NULL;
}

static void on_start(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct sockaddr_in addr[2];
	socklen_t len = sizeof(addr);

	(void)event;
	(void)arg;
	struct mapping *map = NULL;

	if (mtcp_getpeername(m, sock, (struct sockaddr *)addr, &len, MOS_SIDE_BOTH) == 0)
		map = claim(m, &addr[0], &addr[1]);
	mtcp_set_uctx(m, sock, map);
	if (map) {
		given++;
	} else {
		failed++;
		mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP);
	}
}

/* Write an address and a port of the packet: of its source (0) or its destination (1). */
static int translate(mctx_t m, int sock, int side, int which, in_addr_t addr, in_port_t port)
{
	const off_t addr_at[2] = { offsetof(struct iphdr, saddr), offsetof(struct iphdr, daddr) };

	if (mtcp_setlastpkt(m, sock, side, addr_at[which], (byte *)&addr, sizeof(addr),
			    MOS_IP_HDR | MOS_OVERWRITE | MOS_UPDATE_IP_CHKSUM) < 0)
		return -1;
	return mtcp_setlastpkt(m, sock, side, 2 * which, (byte *)&port, sizeof(port),
			       MOS_TCP_HDR | MOS_OVERWRITE | MOS_UPDATE_TCP_CHKSUM);
}

static void on_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	const struct mapping *map = mtcp_get_uctx(m, sock);

	(void)event;
	(void)arg;
	/* At MOS_HK_RCV the side is the receiver. */
	if (map && side == MOS_SIDE_SVR)
		translate(m, sock, side, 0, outside, htons((uint16_t)(PORT_FIRST + (map - mapping))));
}

static void on_orphan(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct pkt_info p;

	(void)event;
	(void)arg;
	if (mtcp_getlastpkt(m, sock, side, &p) < 0 || !p.tcph || p.iph->daddr != outside)
		return;
	unsigned port = ntohs(p.tcph->dest) - (unsigned)PORT_FIRST;

	if (port >= PORTS || !mapping[port].busy) {
		mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP);
		return;
	}
	uint64_t client = mapping[port].client;

	translate(m, sock, side, 1, (in_addr_t)(client >> 16), (in_port_t)client);
}

static void on_end(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct mapping *map = mtcp_get_uctx(m, sock);

	(void)side;
	(void)event;
	(void)arg;
	if (!map)
		return;
	mtcp_set_uctx(m, sock, NULL);
	atomic_store(&map->busy, 0);
	returned++;
}

int app_context(mctx_t m)
{
	monitor_filter_t ft = { .stream_syn_filter = "tcp", .stream_orphan_filter = "tcp" };
	int sock = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

	if (sock < 0 || mtcp_bind_monitor_filter(m, sock, &ft) < 0)
		return -1;
	if (mtcp_register_callback(m, sock, MOS_ON_CONN_START, MOS_HK_SND, on_start) ||
	    mtcp_register_callback(m, sock, MOS_ON_PKT_IN, MOS_HK_RCV, on_packet) ||
	    mtcp_register_callback(m, sock, MOS_ON_ORPHAN, MOS_NULL, on_orphan))
		return -1;
	return mtcp_register_callback(m, sock, MOS_ON_CONN_END, MOS_HK_SND, on_end);
}

void app_end(int cores)
{
	(void)cores;
	printf("%u ports given, %u returned, %u refused\n", given, returned, failed);
}
