#include "api/filter.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/pcap_link.h"

enum { LINKS = 16, RAW_IP = 12, WHY = 256, IP6_LEN = 40, IP6_NEXT = 6, PLAIN_MAX = 1500 };

/* The expression for one link type. */
struct link_program {
	bool tried;
	uint16_t link;
	struct link_filter *code; /* NULL: it means nothing there */
};

struct pkt_filter {
	char *text;
	bool inner; /* from the IP header on, as long as there is one */
	struct link_program ip;
	struct link_program links[LINKS];
};

static void program_compile(struct link_program *p, uint16_t link, const char *text, char *why, size_t len)
{
	p->tried = true;
	p->link = link;
	p->code = link_filter_new(text, link_of_file(link), why, len);
}

static void program_free(struct link_program *p)
{
	link_filter_free(p->code);
	*p = (struct link_program){ 0 };
}

/* Words that compile for raw IP, into a condition that is never true or looks at the wrong bytes. */
static bool is_link_word(const char *word, size_t len)
{
	static const char *const words[] = { "ether", "link", "fddi",   "tr",     "wlan",    "ppp",  "slip",
					     "arp",   "rarp", "aarp",   "atalk",  "decnet",  "lat",  "moprc",
					     "mopdl", "sca",  "stp",    "ipx",    "netbeui", "iso",  "clnp",
					     "esis",  "isis", "l1",     "l2",     "iih",     "lsp",  "snp",
					     "csnp",  "psnp", "pppoed", "pppoes", "vlan",    "mpls", "llc" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && strncasecmp(word, words[i], len) == 0)
			return true;
	return false;
}

static bool names_link_layer(const char *text)
{
	while (*text) {
		size_t n = 0;

		while (isalnum((unsigned char)text[n]) || text[n] == '_' || text[n] == '.')
			n++;
		if (is_link_word(text, n))
			return true;
		text += n ? n : 1;
	}
	return false;
}

static bool compile(struct pkt_filter *f, enum filter_scope scope, char *why, size_t len)
{
	if (scope == FILTER_INNER && !names_link_layer(f->text)) {
		program_compile(&f->ip, RAW_IP, f->text, why, len);
		f->inner = f->ip.code;
	}
	return f->inner || link_filter_check(f->text, why, len);
}

struct pkt_filter *filter_compile(const char *expr, enum filter_scope scope, char *err, size_t errlen)
{
	struct pkt_filter *f = calloc(1, sizeof(*f));
	char why[WHY] = "out of memory";

	if (f && (f->text = strdup(expr)) && compile(f, scope, why, sizeof(why)))
		return f;
	snprintf(err, errlen, "filter \"%s\": %s", expr, why);
	filter_free(f);
	return NULL;
}

void filter_free(struct pkt_filter *f)
{
	if (!f)
		return;
	program_free(&f->ip);
	for (unsigned i = 0; i < LINKS; i++)
		program_free(&f->links[i]);
	free(f->text);
	free(f);
}

const char *filter_text(const struct pkt_filter *f)
{
	return f->text;
}

/* NULL when the input has more link types than LINKS: compiling for every packet would let a capture stall the run. */
static const struct link_program *program_for(struct pkt_filter *f, uint16_t link)
{
	char why[WHY];

	for (unsigned i = 0; i < LINKS; i++) {
		if (!f->links[i].tried)
			program_compile(&f->links[i], link, f->text, why, sizeof(why));
		if (f->links[i].link == link)
			return &f->links[i];
	}
	return NULL;
}

static bool program_match(const struct link_program *prog, const struct mos_packet *p, uint32_t from)
{
	return prog && prog->code && link_filter_match(prog->code, p, from);
}

/*
 * libpcap's "tcp port" looks no further than the fixed IPv6 header. A packet with extension headers is shown to it without
 * them: the fixed header, then TCP, as much as fits.
 */
static bool match_behind_extensions(const struct link_program *prog, const struct mos_packet *p)
{
	uint8_t plain[IP6_LEN + PLAIN_MAX];
	uint32_t rest = p->caplen - p->l4;
	struct mos_packet copy = *p;

	if (rest > PLAIN_MAX)
		rest = PLAIN_MAX;
	memcpy(plain, p->data + p->l3, IP6_LEN);
	memcpy(plain + IP6_LEN, p->data + p->l4, rest);
	plain[IP6_NEXT] = p->ip_proto;
	copy.data = plain;
	copy.caplen = copy.len = IP6_LEN + rest;
	return program_match(prog, &copy, 0);
}

bool filter_match(struct pkt_filter *f, const struct mos_packet *p)
{
	if (!f)
		return true;
	if (f->inner && p->decoded == MOS_DECODED_TCP && p->ip_version == 6 && p->l4 != p->l3 + IP6_LEN)
		return match_behind_extensions(&f->ip, p);
	if (f->inner && p->ip_version && p->l3 < p->caplen)
		return program_match(&f->ip, p, p->l3);
	return program_match(program_for(f, p->link), p, 0);
}
