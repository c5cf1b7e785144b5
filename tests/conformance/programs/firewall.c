/*
 * A firewall: the first rule that fits a connection's first SYN decides. What it denies loses every packet; what it accepts
 * is not monitored any more. Rules (-r FILE) are lines of "allow|deny CLIENT SERVER", each ADDRESS/PREFIX[:PORT] or any.
 */
#include "app.h"

const char *const app_options = "r:";

struct net {
	in_addr_t addr, mask; /* network order */
	in_port_t port;       /* network order; 0: any */
};

enum { RULES_MAX = 1024 };

static struct rule {
	int deny;
	struct net end[2];
} rule[RULES_MAX];
static int rules;

/* Per core. */
static unsigned allowed[CORES_MAX], denied[CORES_MAX], dropped[CORES_MAX];

static int parse_net(char *word, struct net *n)
{
	char *slash = strchr(word, '/'), *colon = strchr(word, ':');
	int bits = slash ? atoi(slash + 1) : 32;

	*n = (struct net){ 0 };
	if (colon)
		n->port = htons((uint16_t)atoi(colon + 1));
	if (strncmp(word, "any", 3) == 0)
		return 0;
	word[strcspn(word, "/:")] = '\0';
	n->mask = bits ? htonl(~0u << (32 - bits)) : 0;
	if (bits < 0 || bits > 32 || inet_pton(AF_INET, word, &n->addr) != 1)
		return -1;
	n->addr &= n->mask;
	return 0;
}

static int parse_rule(char *line, struct rule *r)
{
	char verdict[8], client[64], server[64];

	if (sscanf(line, "%7s %63s %63s", verdict, client, server) != 3)
		return -1;
	r->deny = strcmp(verdict, "deny") == 0;
	return parse_net(client, &r->end[0]) < 0 || parse_net(server, &r->end[1]) < 0 ? -1 : 0;
}

int app_option(int option, const char *value)
{
	FILE *f = option == 'r' ? fopen(value, "r") : NULL;
	char line[256];

	while (f && rules < RULES_MAX && fgets(line, sizeof(line), f))
		if (line[0] != '#' && line[0] != '\n' && parse_rule(line, &rule[rules++]) < 0)
			rules = -1;
	if (f)
		fclose(f);
	return f && rules >= 0 ? 0 : -1;
}

static int fits(const struct net *n, const struct sockaddr_in *a)
{
	return (a->sin_addr.s_addr & n->mask) == n->addr && (!n->port || n->port == a->sin_port);
}

static int is_denied(const struct sockaddr_in *addr)
{
	for (int i = 0; i < rules; i++)
		if (fits(&rule[i].end[0], &addr[0]) && fits(&rule[i].end[1], &addr[1]))
			return rule[i].deny;
	return 0;
}

static void on_denied_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)event;
	(void)arg;
	if (mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP) == 0)
		dropped[m->cpu]++;
}

static void on_start(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct sockaddr_in addr[2];
	socklen_t len = sizeof(addr);
	int both = MOS_SIDE_BOTH;

	if (mtcp_getpeername(m, sock, (struct sockaddr *)addr, &len, MOS_SIDE_BOTH) < 0)
		return;
	if (is_denied(addr)) {
		denied[m->cpu]++;
		on_denied_packet(m, sock, side, event, arg);
		mtcp_register_callback(m, sock, MOS_ON_PKT_IN, MOS_HK_SND, on_denied_packet);
	} else {
		allowed[m->cpu]++;
		mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_STOP_MON, &both, sizeof(both));
	}
}

int app_context(mctx_t m)
{
	monitor_filter_t ft = { .stream_syn_filter = "tcp" };
	int sock = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

	if (sock < 0 || mtcp_bind_monitor_filter(m, sock, &ft) < 0)
		return -1;
	return mtcp_register_callback(m, sock, MOS_ON_CONN_START, MOS_HK_SND, on_start);
}

void app_end(int cores)
{
	for (int i = 1; i < cores; i++) {
		allowed[0] += allowed[i];
		denied[0] += denied[i];
		dropped[0] += dropped[i];
	}
	printf("%u allowed, %u denied, %u packets dropped\n", allowed[0], denied[0], dropped[0]);
}
