/*
 * The example of mOS's guide (3.3.1), with its slips mended and what it leaves out filled in:
 *
 * - "perror("m..." and OnTcpStateChange / OnTCPStateChange: one spelling each;
 * - the end of a connection compared sock with MOS_SIDE_CLI where it meant side;
 * - registration fell through into its own error branch;
 * - MOS_SIDE_CLI and MOS_SIDE_SVR are mos_api.h's, so they are not defined again;
 * - IsHTTPRequest, OnHTTPRequest, TRACE_LOG and the counters were not shown.
 *
 * Its filter is left to the environment, so that it can be run on any capture: SEED_FILTER, else the guide's own.
 * At the end it prints its totals.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mos_api.h>

#define TRACE_LOG(...) fprintf(stderr, __VA_ARGS__)

/* More than mos-run opens. */
enum { MAX_SOCKS = 1 << 22 };

static int g_pktcnt[MAX_SOCKS];
static int g_rexmit_cnt[MAX_SOCKS];
static int g_cli_term[MAX_SOCKS];
static int g_total_flows;
static int g_total_pkts;
static int g_total_rexmits;
static int g_total_cli_terms;
static int g_total_requests;

static void OnFlowPkt(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)event, (void)arg;
	if (side == MOS_SIDE_CLI)
		g_pktcnt[sock]++;
}

static void OnRexmitPkt(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)side, (void)event, (void)arg;
	g_rexmit_cnt[sock]++;
}

/* As the guide has it, at MOS_HK_RCV: an end enters FIN_WAIT_1 by sending, so this does not count a plain close. */
static void OnTCPStateChange(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)event, (void)arg;
	if (side == MOS_SIDE_CLI) {
		int state;
		socklen_t len = sizeof(state);

		if (mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_TCP_STATE_CLI, &state, &len) < 0) {
			perror("mtcp_getsockopt() failed: ");
			return;
		}
		if (state == TCP_FIN_WAIT_1)
			g_cli_term[sock]++;
	}
}

static void OnFlowEnd(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)event, (void)arg;
	if (side != MOS_SIDE_CLI)
		return;

	TRACE_LOG("TCP flow (sock=%d) had %d packets, rexmit: %d\n", sock, g_pktcnt[sock], g_rexmit_cnt[sock]);
	g_total_pkts += g_pktcnt[sock];
	g_total_rexmits += g_rexmit_cnt[sock];
	g_total_cli_terms += g_cli_term[sock];
	g_pktcnt[sock] = 0;
	g_rexmit_cnt[sock] = 0;
	g_cli_term[sock] = 0;
	g_total_flows++;
}

/* What the server has received begins with a request line. */
static bool IsHTTPRequest(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	static const char *const methods[] = { "GET ", "POST ", "HEAD ", "PUT " };
	char buf[8];

	(void)event, (void)arg;
	if (side != MOS_SIDE_SVR)
		return false;
	ssize_t n = mtcp_ppeek(m, sock, side, buf, sizeof(buf), 0);

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		size_t len = strlen(methods[i]);

		if (n >= (ssize_t)len && memcmp(buf, methods[i], len) == 0)
			return true;
	}
	return false;
}

/* Once per connection. */
static void OnHTTPRequest(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)side, (void)event, (void)arg;
	if (mtcp_get_uctx(m, sock))
		return;
	mtcp_set_uctx(m, sock, &g_total_requests);
	g_total_requests++;
}

void mos_app_init(mctx_t m);
void mos_app_exit(mctx_t m);

void mos_app_init(mctx_t m)
{
	monitor_filter_t ft = { 0 };
	int s;
	event_t hev;

	/* create a passive monitoring socket & set up its traffic scope */
	s = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);
	if (s == -1) {
		perror("mtcp_socket() failed: ");
		exit(EXIT_FAILURE);
	}
	ft.stream_syn_filter = getenv("SEED_FILTER");
	if (!ft.stream_syn_filter)
		ft.stream_syn_filter = "dst net 216.58 and dst port 80";
	if (mtcp_bind_monitor_filter(m, s, &ft) == -1) {
		perror("mtcp_bind_monitor_filter() failed: ");
		exit(EXIT_FAILURE);
	}

	/* set up a built-in event handler for MOS_ON_REXMIT */
	if (mtcp_register_callback(m, s, MOS_ON_REXMIT, MOS_HK_RCV, OnRexmitPkt) < 0)
		goto register_err;

	/* set up a built-in event handler for MOS_ON_PKT_IN */
	if (mtcp_register_callback(m, s, MOS_ON_PKT_IN, MOS_HK_RCV, OnFlowPkt) < 0)
		goto register_err;

	/* set up a built-in event handler for MOS_ON_TCP_STATE_CHANGE */
	if (mtcp_register_callback(m, s, MOS_ON_TCP_STATE_CHANGE, MOS_HK_RCV, OnTCPStateChange) < 0)
		goto register_err;

	/* set up a built-in event handler for MOS_ON_CONN_END */
	if (mtcp_register_callback(m, s, MOS_ON_CONN_END, MOS_HK_RCV, OnFlowEnd) < 0)
		goto register_err;

	/* define a user-defined event that detects an HTTP request */
	hev = mtcp_define_event(MOS_ON_CONN_NEW_DATA, IsHTTPRequest);
	if (hev == 0) {
		perror("mtcp_define_event() failed: ");
		exit(EXIT_FAILURE);
	}

	/* set up an event handler for hev */
	if (mtcp_register_callback(m, s, hev, MOS_HK_RCV, OnHTTPRequest) < 0)
		goto register_err;
	return;

register_err:
	perror("mtcp_register_callback() failed: ");
	exit(EXIT_FAILURE);
}

void mos_app_exit(mctx_t m)
{
	(void)m;
	printf("flows %d, packets to clients %d, rexmits %d, closed by the client %d, with a request %d\n",
	       g_total_flows, g_total_pkts, g_total_rexmits, g_total_cli_terms, g_total_requests);
}
