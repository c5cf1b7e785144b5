/*
 * Counts HTTP requests and among them those of each method: an event with a filter finds the bytes that begin one, and
 * events that a handler raises name what it found.
 */
#include "app.h"

const char *const app_options = "";

enum { GET, POST, OTHER, METHODS };

static const char *const word[METHODS] = { "GET ", "POST ", "" };
static event_t request, method[METHODS];
static unsigned count[CORES_MAX][METHODS], requests[CORES_MAX];

int app_option(int option, const char *value)
{
	(void)option;
	(void)value;
	return -1;
}

/* Do the bytes that nobody has read yet begin with a word in capitals? */
static bool is_request(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct tcp_buf_info info;
	socklen_t len = sizeof(info);
	char line[16];

	(void)event;
	if (side != MOS_SIDE_SVR || mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_INFO_SVRBUF, &info, &len) < 0)
		return false;
	ssize_t n = mtcp_ppeek(m, sock, side, line, sizeof(line), info.tcpbi_last_byte_read - info.tcpbi_init_seq);

	return n >= (ssize_t)arg->len && line[0] >= 'A' && line[0] <= 'Z' && memchr(line, ' ', (size_t)n) != NULL;
}

static void on_request(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	char line[8] = "", rest[2048];
	int i = 0;

	(void)event;
	(void)arg;
	requests[m->cpu]++;
	if (mtcp_peek(m, sock, side, line, sizeof(line) - 1) < 0)
		return;
	while (mtcp_peek(m, sock, side, rest, sizeof(rest)) > 0)
		;
	while (strncmp(line, word[i], strlen(word[i])) != 0)
		i++;
	mtcp_raise_event(m, method[i]);
}

static void on_method(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)sock;
	(void)side;
	(void)arg;
	for (int i = 0; i < METHODS; i++)
		count[m->cpu][i] += event == method[i];
}

/* Definitions are per process: the first context makes them. */
static int define(void)
{
	static char least[4];
	struct filter_arg arg = { least, sizeof(least) };

	request = mtcp_define_event(MOS_ON_CONN_NEW_DATA, is_request, &arg);
	for (int i = 0; i < METHODS; i++)
		if ((method[i] = mtcp_alloc_event(request)) == MOS_NULL_EVENT)
			return -1;
	return request == MOS_NULL_EVENT ? -1 : 0;
}

int app_context(mctx_t m)
{
	union monitor_filter ft = { .stream_syn_filter = "tcp port 80" };
	int sock = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

	if (sock < 0 || mtcp_bind_monitor_filter(m, sock, &ft) < 0 || (!request && define() < 0))
		return -1;
	for (int i = 0; i < METHODS; i++)
		if (mtcp_register_callback(m, sock, method[i], MOS_NULL, on_method) < 0)
			return -1;
	return mtcp_register_callback(m, sock, request, MOS_NULL, on_request);
}

void app_end(int cores)
{
	for (int c = 1; c < cores; c++) {
		requests[0] += requests[c];
		for (int i = 0; i < METHODS; i++)
			count[0][i] += count[c][i];
	}
	printf("%u requests: %u GET, %u POST, %u other\n", requests[0], count[0][GET], count[0][POST], count[0][OTHER]);
}
