/* A table of connections and their states, once a second. */
#include "app.h"

const char *const app_options = "";

struct conn {
	struct conn *next;
	struct sockaddr_in addr[2];
	int sock;
	int state[2];
};

/* Per core, so that cores share nothing. */
static struct {
	struct conn *first, **last;
	unsigned seen, ended;
} table[CORES_MAX];

static const char *const state_name[] = {
	"CLOSED",     "LISTEN",     "SYN_SENT", "SYN_RCVD", "ESTABLISHED", "FIN_WAIT_1",
	"FIN_WAIT_2", "CLOSE_WAIT", "CLOSING",  "LAST_ACK", "TIME_WAIT",
};

int app_option(int option, const char *value)
{
	(void)option;
	(void)value;
	return -1;
}

static void on_start(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct conn *c = calloc(1, sizeof(*c));
	socklen_t len = sizeof(c->addr);

	(void)side;
	(void)event;
	(void)arg;
	if (!c || mtcp_getpeername(m, sock, (struct sockaddr *)c->addr, &len, MOS_SIDE_BOTH) < 0) {
		free(c);
		return;
	}
	c->sock = sock;
	*table[m->cpu].last = c;
	table[m->cpu].last = &c->next;
	table[m->cpu].seen++;
	mtcp_set_uctx(m, sock, c);
}

static void on_state(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct conn *c = mtcp_get_uctx(m, sock);
	socklen_t len = sizeof(c->state[side]);

	(void)event;
	(void)arg;
	if (c)
		mtcp_getsockopt(m, sock, SOL_MONSOCKET, side == MOS_SIDE_CLI ? MOS_TCP_STATE_CLI : MOS_TCP_STATE_SVR,
				&c->state[side], &len);
}

/* Raised once per side: the record goes with the second. */
static void on_end(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct conn *c = mtcp_get_uctx(m, sock), **link = &table[m->cpu].first;

	(void)side;
	(void)event;
	(void)arg;
	if (!c)
		return;
	mtcp_set_uctx(m, sock, NULL);
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	if (!c->next)
		table[m->cpu].last = link;
	free(c);
	table[m->cpu].ended++;
}

static void print_conn(const struct conn *c)
{
	char cli[INET_ADDRSTRLEN], svr[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &c->addr[0].sin_addr, cli, sizeof(cli));
	inet_ntop(AF_INET, &c->addr[1].sin_addr, svr, sizeof(svr));
	printf("  %s:%d %s  %s:%d %s\n", cli, ntohs(c->addr[0].sin_port), state_name[c->state[0]], svr,
	       ntohs(c->addr[1].sin_port), state_name[c->state[1]]);
}

static void on_second(mctx_t m, int id, int side, event_t event, filter_arg_t *arg)
{
	struct timeval second = { 1, 0 };

	(void)side;
	(void)event;
	(void)arg;
	flockfile(stdout);
	printf("core %d, second %d: %u seen, %u ended\n", m->cpu, id, table[m->cpu].seen, table[m->cpu].ended);
	for (const struct conn *c = table[m->cpu].first; c; c = c->next)
		print_conn(c);
	funlockfile(stdout);
	mtcp_settimer(m, id + 1, &second, on_second);
}

int app_context(mctx_t m)
{
	struct timeval second = { 1, 0 };
	int off = 0, sock = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

	table[m->cpu].last = &table[m->cpu].first;
	if (sock < 0 || mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_CLIBUF, &off, sizeof(off)) ||
	    mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_SVRBUF, &off, sizeof(off)))
		return -1;
	if (mtcp_register_callback(m, sock, MOS_ON_CONN_START, MOS_HK_SND, on_start) ||
	    mtcp_register_callback(m, sock, MOS_ON_TCP_STATE_CHANGE, MOS_HK_SND, on_state) ||
	    mtcp_register_callback(m, sock, MOS_ON_TCP_STATE_CHANGE, MOS_HK_RCV, on_state) ||
	    mtcp_register_callback(m, sock, MOS_ON_CONN_END, MOS_HK_SND, on_end))
		return -1;
	return mtcp_settimer(m, 1, &second, on_second);
}

void app_end(int cores)
{
	unsigned seen = 0, ended = 0;

	for (int i = 0; i < cores; i++) {
		seen += table[i].seen;
		ended += table[i].ended;
	}
	printf("total: %u seen, %u ended\n", seen, ended);
}
