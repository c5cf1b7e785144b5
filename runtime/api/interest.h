/* What the handlers of a worker can see at all, as a filter for whoever delivers packets. */
#ifndef MOS_API_INTEREST_H
#define MOS_API_INTEREST_H

#include <stdbool.h>
#include <stddef.h>

#include "worker.h"

/*
 * A pcap filter for Ethernet that lets every packet pass on which something of this worker depends, and leaves out what
 * certainly does not: other protocols, where nobody listens to packets without a connection; and TCP that no monitor's
 * filter matches, where the filters say the same of both directions ("tcp port 80", not "dst port 80"). Tunnels, tags and
 * fragments always pass. False: there is nothing to leave out.
 */
bool interest_filter(const struct worker *w, char *text, size_t size);

#endif
