#include "io/pcap_link.h"

#include <linux/filter.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SNAPLEN = 262144 };

uint16_t link_of_file(uint16_t number)
{
	switch (number) {
	case 100:
		return DLT_ATM_RFC1483;
	case 101:
		return DLT_RAW;
	case 102:
		return DLT_SLIP_BSDOS;
	case 103:
		return DLT_PPP_BSDOS;
	case 106:
		return DLT_ATM_CLIP;
	default:
		return number;
	}
}

const char *link_describe(uint16_t link, char *text, size_t len)
{
	const char *name = pcap_datalink_val_to_name(link);

	if (link == LINK_UNNAMED)
		snprintf(text, len, "unknown");
	else if (name)
		snprintf(text, len, "%s (%u)", name, link);
	else
		snprintf(text, len, "%u", link);
	return text;
}

struct link_filter {
	struct bpf_program program;
};

/* libpcap says first that it cannot parse, then why. */
static const char *reason(const char *why)
{
	static const char prefix[] = "can't parse filter expression: ";

	return strncmp(why, prefix, sizeof(prefix) - 1) == 0 ? why + sizeof(prefix) - 1 : why;
}

struct link_filter *link_filter_new(const char *expr, uint16_t link, char *why, size_t len)
{
	struct link_filter *f = malloc(sizeof(*f));
	pcap_t *pcap = pcap_open_dead(link, SNAPLEN);
	bool ok = f && pcap && pcap_compile(pcap, &f->program, expr, 1, PCAP_NETMASK_UNKNOWN) == 0;

	if (!ok) {
		snprintf(why, len, "%s", f && pcap ? reason(pcap_geterr(pcap)) : "out of memory");
		free(f);
		f = NULL;
	}
	if (pcap)
		pcap_close(pcap);
	return f;
}

void link_filter_free(struct link_filter *f)
{
	if (!f)
		return;
	pcap_freecode(&f->program);
	free(f);
}

bool link_filter_match(const struct link_filter *f, const struct mos_packet *p, uint32_t from)
{
	struct pcap_pkthdr h = { .caplen = p->caplen - from, .len = p->len > from ? p->len - from : 0 };

	return pcap_offline_filter(&f->program, &h, p->data + from) != 0;
}

bool link_filter_attach(const struct link_filter *f, int fd)
{
	/* The instructions are the kernel's own, but for the names of the types. */
	_Static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter), "one instruction, two names");
	const struct sock_fprog program = {
		.len = (unsigned short)f->program.bf_len,
		.filter = (struct sock_filter *)(void *)f->program.bf_insns,
	};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

void link_filter_detach(int fd)
{
	const int nothing = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof(nothing)) < 0)
		return; /* there was none */
}

bool link_filter_check(const char *expr, char *why, size_t len)
{
	static const uint16_t others[] = { DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_RAW, DLT_NULL, DLT_PPP, DLT_IEEE802_11 };
	/* Ethernet's objection is the one to report. */
	struct link_filter *f = link_filter_new(expr, DLT_EN10MB, why, len);
	/* A contradiction is one everywhere, but libpcap does not see through its own programs for 802.11. */
	bool hopeless = !f && strstr(why, "rejects all packets");

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]) && !f && !hopeless; i++) {
		char other[PCAP_ERRBUF_SIZE];

		f = link_filter_new(expr, others[i], other, sizeof(other));
	}
	link_filter_free(f);
	return f;
}
