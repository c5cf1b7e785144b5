#include "api/interest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/filter.h"

/*
 * Packets that hold no TCP, not even wrapped: tunnels go by UDP, too (pkt/tunnel.c), by their ports or, Teredo's, with an IPv6
 * header; and fragments may be theirs.
 */
#define NEVER_TCP                                                                                                \
	"(arp or icmp or icmp6 or (udp and not (port 1701 or port 2152 or port 3544 or port 4754 or port 4789 "  \
	"or port 4790 or port 5072 or port 6081 or port 6635 or port 8472 or udp[8] & 0xf0 = 0x60) and (ip6 or " \
	"ip[6:2] & 0x3fff = 0)))"

/* TCP as it stands, neither wrapped nor in pieces, nor behind extension headers. */
#define PLAIN_TCP "((ip proto 6 and ip[6:2] & 0x3fff = 0) or ip6 proto 6)"

/* Words of filters that hold for both directions of a connection or for neither. */
static bool is_even_word(const char *word, size_t len)
{
	static const char *const words[] = {
		"tcp", "ip", "ip6", "host", "net", "port", "portrange", "and", "or", "not"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && strncmp(word, words[i], len) == 0)
			return true;
	return isdigit((unsigned char)*word) || memchr(word, ':', len);
}

static bool is_even(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, " \t\n()!");

		if (len && !is_even_word(text, len))
			return false;
		text += len ? len : 1;
	}
	return true;
}

static bool hears_strangers(const struct dispatch *d, const struct passive *s)
{
	return s->raw || hset_at(&d->sets, s->set)->mask & (BIT_PKT_IN_NUL | BIT_ORPHAN_NUL | BIT_ERROR_NUL);
}

/* "(a) or (b)" of all monitors' filters; "" where that would leave nothing out or does not fit. */
static void wanted_tcp(const struct dispatch *d, char *text, size_t size)
{
	size_t at = 0;

	*text = '\0';
	for (uint32_t i = 0; i < d->passives; i++) {
		const struct passive *s = &d->passive[i];

		if (!s->used)
			continue;
		const char *own = s->syn ? filter_text(s->syn) : "";
		int n = snprintf(text + at, size - at, "%s(%s)", at ? " or " : "", own);

		if (!*own || !is_even(own) || n < 0 || (size_t)n >= size - at) {
			*text = '\0';
			return;
		}
		at += (size_t)n;
	}
}

bool interest_filter(const struct worker *w, char *text, size_t size)
{
	const struct dispatch *d = &w->d;
	char tcp[1024];
	bool any = false;

	for (uint32_t i = 0; i < d->passives; i++) {
		if (d->passive[i].used && hears_strangers(d, &d->passive[i]))
			return false;
		any |= d->passive[i].used;
	}
	if (!any || d->watcher)
		return false;
	wanted_tcp(d, tcp, sizeof(tcp));
	int n = *tcp ? snprintf(text, size, "not " NEVER_TCP " and not (" PLAIN_TCP " and not (%s))", tcp)
		     : snprintf(text, size, "not " NEVER_TCP);

	return n > 0 && (size_t)n < size;
}
