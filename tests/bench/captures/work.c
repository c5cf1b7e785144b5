/*
 * The work of mos-bench as a program for mos-run, on captures and with the public interface alone. MOS_WORK is what it
 * is to do. At the end it prints what it has seen.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sum.h"
#include "mos_api.h"
#include "mtcp_api.h"

void mos_app_init(mctx_t m);
void mos_app_exit(mctx_t m);

enum { PEEK = 16 << 10 };

/* By socket: where a connection's reading stands. */
struct place {
	uint64_t at[2];
	uint16_t port; /* the client's */
};

static struct place *places;
static size_t places_n;
static uint64_t connections, ended, packets, total, lost, sum;
static _Alignas(SUM_ALIGN) uint8_t bytes[PEEK + SUM_ALIGN];

static void on_start(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	connections++;
}

static void on_end(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)event, (void)arg;
	ended += side == MOS_SIDE_CLI;
}

static void on_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	packets++;
}

static void begin_reading(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct sockaddr_in ends[2];
	socklen_t len = sizeof(ends);

	(void)side, (void)event, (void)arg;
	connections++;
	if ((size_t)sock >= places_n) {
		places_n = 2 * (size_t)sock + 1024;
		places = reallocarray(places, places_n, sizeof(*places));
		if (!places)
			abort();
	}
	if (mtcp_getpeername(m, sock, (struct sockaddr *)ends, &len, MOS_SIDE_BOTH) < 0)
		abort();
	places[sock] = (struct place){ .port = ntohs(ends[0].sin_port) };
}

static void on_data(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct place *p = &places[sock];
	ssize_t n;

	(void)event, (void)arg;
	for (;;) {
		uint8_t *to = bytes + p->at[side] % SUM_ALIGN;

		if ((n = mtcp_peek(m, sock, side, (char *)to, PEEK)) <= 0)
			break;
		sum += sum_bytes(p->at[side], to, (size_t)n) * sum_factor(p->port, side);
		p->at[side] += (uint64_t)n;
		total += (uint64_t)n;
		if (n < PEEK)
			return;
	}
	lost += n < 0;
}

static void listen_for(mctx_t m, int sock, event_t event, unsigned hook, callback_t fn)
{
	if (mtcp_register_callback(m, sock, event, hook, fn) < 0) {
		perror("capture_work");
		exit(1);
	}
}

void mos_app_init(mctx_t m)
{
	bool reads = !strcmp(MOS_WORK, "stream");
	int sock = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0), off = 0;

	if (!reads) {
		mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_CLIBUF, &off, sizeof(off));
		mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_SVRBUF, &off, sizeof(off));
	}
	listen_for(m, sock, MOS_ON_CONN_START, MOS_HK_SND, reads ? begin_reading : on_start);
	listen_for(m, sock, MOS_ON_CONN_END, MOS_HK_SND, on_end);
	if (reads)
		listen_for(m, sock, MOS_ON_CONN_NEW_DATA, MOS_NULL, on_data);
	if (!strcmp(MOS_WORK, "packet"))
		listen_for(m, sock, MOS_ON_PKT_IN, MOS_HK_SND, on_packet);
}

void mos_app_exit(mctx_t m)
{
	(void)m;
	printf("connections=%" PRIu64 " ended=%" PRIu64, connections, ended);
	if (!strcmp(MOS_WORK, "packet"))
		printf(" packets=%" PRIu64, packets);
	if (!strcmp(MOS_WORK, "stream"))
		printf(" bytes=%" PRIu64 " lost=%" PRIu64 " sum=%" PRIu64, total, lost, sum);
	putchar('\n');
	free(places);
}
