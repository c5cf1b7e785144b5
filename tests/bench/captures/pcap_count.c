/* What reading a capture with libpcap costs, and nothing else: its packets and bytes are counted. */
#include <pcap.h>
#include <stdint.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *p = argc == 2 ? pcap_open_offline(argv[1], err) : NULL;
	struct pcap_pkthdr *h;
	const u_char *data;
	uint64_t packets = 0, bytes = 0;

	if (!p) {
		fprintf(stderr, "pcap_count: %s\n", argc == 2 ? err : "one capture");
		return 1;
	}
	while (pcap_next_ex(p, &h, &data) == 1) {
		packets++;
		bytes += h->caplen;
	}
	pcap_close(p);
	printf("packets=%ju wire_bytes=%ju\n", (uintmax_t)packets, (uintmax_t)bytes);
	return 0;
}
