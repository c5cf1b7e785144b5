/* The scripts of reload.c in C, twice: RELOAD_VERSION 1 drops what it sees, 2 passes it. */
#include <stdint.h>
#include <stdlib.h>

#include <mos_api.h>

void mos_app_init(mctx_t m);
void reload_seen(uint64_t number, int version);

/* Of each connection, its packets so far; whichever version made it. */
static void count(mctx_t m, int sock)
{
	uint32_t *n = mtcp_get_uctx(m, sock);

	if (!n && (n = calloc(1, sizeof(*n))))
		mtcp_set_uctx(m, sock, n);
	if (n)
		++*n;
}

static void on_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct pkt_info p;

	(void)event, (void)arg;
	if (mtcp_getlastpkt(m, sock, side, &p) < 0)
		return;
	reload_seen(p.ack_seq, RELOAD_VERSION);
	count(m, sock);
	if (RELOAD_VERSION == 1)
		mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP);
}

static void on_end(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)event, (void)arg;
	if (side != MOS_SIDE_CLI)
		return;
	free(mtcp_get_uctx(m, sock));
	mtcp_set_uctx(m, sock, NULL);
}

void mos_app_init(mctx_t m)
{
	const int none = 0;
	int sock = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

	mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_CLIBUF, &none, sizeof(none));
	mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_SVRBUF, &none, sizeof(none));
	mtcp_register_callback(m, sock, MOS_ON_PKT_IN, MOS_HK_SND, on_packet);
	mtcp_register_callback(m, sock, MOS_ON_CONN_END, MOS_HK_SND, on_end);
}
