/*
 * Packet filters in the pcap grammar, compiled by libpcap.
 *
 * A stream or orphan filter looks at the packet from its innermost IP header on, so that "tcp port 80" means the same
 * behind VLAN tags and on every link type. An expression that speaks of the link layer ("ether host", "vlan", "arp")
 * is compiled for the packet's link type and looks at the whole frame, as raw filters always do; so does every
 * expression for a packet that has no IP header. On a link type that does not know what the expression speaks of it
 * matches nothing.
 */
#ifndef MOS_API_FILTER_H
#define MOS_API_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "mos_ffi.h"

struct pkt_filter;

enum filter_scope { FILTER_INNER, FILTER_FRAME };

/*
 * NULL on failure, with the expression and libpcap's reason in err: 'filter "tcp prt 80": syntax error'. An
 * expression that no packet can match is a failure too.
 */
struct pkt_filter *filter_compile(const char *expr, enum filter_scope scope, char *err, size_t errlen);

/* NULL is a no-op. */
void filter_free(struct pkt_filter *f);

/*
 * Does the decoded packet match? A NULL filter matches everything. The first packet of a link type may have it
 * compiled.
 */
bool filter_match(struct pkt_filter *f, const struct mos_packet *p);

/* The expression it was compiled from. Borrowed. */
const char *filter_text(const struct pkt_filter *f);

#endif
