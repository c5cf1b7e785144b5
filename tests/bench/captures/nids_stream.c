/* Connections and streams of a capture, as libnids has them. */
#include <nids.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bench/sum.h"

static uint64_t connections, ended, bytes, sum;

static void take(const struct half_stream *h, uint16_t port, int side)
{
	if (!h->count_new)
		return;
	bytes += (uint64_t)h->count_new;
	sum += sum_bytes((uint64_t)(h->count - h->count_new), (const uint8_t *)h->data, (size_t)h->count_new) *
	       sum_factor(port, side);
}

static void on_stream(struct tcp_stream *s, void **state)
{
	(void)state;
	switch (s->nids_state) {
	case NIDS_JUST_EST:
		connections++;
		s->client.collect = s->server.collect = 1;
		break;
	case NIDS_DATA:
		take(&s->client, s->addr.source, 0);
		take(&s->server, s->addr.source, 1);
		break;
	default:
		ended++;
	}
}

static void on_warning(int type, int error, struct ip *packet, void *data)
{
	(void)type, (void)error, (void)packet, (void)data;
}

int main(int argc, char **argv)
{
	/* Captures may hold checksums that a card was to fill in; mos-run does not look at them either. */
	struct nids_chksum_ctl all = { .action = NIDS_DONT_CHKSUM };

	if (argc != 2)
		return 2;
	nids_params.filename = argv[1];
	nids_params.scan_num_hosts = 0;
	nids_params.n_tcp_streams = 1 << 18;
	nids_params.syslog = on_warning;
	if (!nids_init()) {
		fprintf(stderr, "nids_stream: %s\n", nids_errbuf);
		return 1;
	}
	nids_register_chksum_ctl(&all, 1);
	nids_register_tcp((void *)on_stream);
	nids_run();
	printf("connections=%ju ended=%ju bytes=%ju sum=%ju\n", (uintmax_t)connections, (uintmax_t)ended,
	       (uintmax_t)bytes, (uintmax_t)sum);
	return 0;
}
