/* What libpcap knows of link types: their numbers, their names, and filter programs for them. */
#ifndef MOS_IO_PCAP_LINK_H
#define MOS_IO_PCAP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mos_ffi.h"

/* A link type that pcap has no number for. */
enum { LINK_UNNAMED = UINT16_MAX };

/* The DLT_ value of a number that stands in a file. They differ where systems disagreed. */
uint16_t link_of_file(uint16_t number);

/* "PPP (9)", or the number alone, in text; which is returned. */
const char *link_describe(uint16_t link, char *text, size_t len);

/* A filter expression compiled for one link type. */
struct link_filter;

/* NULL, with libpcap's reason in why, if the expression is wrong or means nothing on this link type. */
struct link_filter *link_filter_new(const char *expr, uint16_t link, char *why, size_t len);
void link_filter_free(struct link_filter *f);

/* Does the packet match, from the byte at from on, where a header of the filter's link type stands? */
bool link_filter_match(const struct link_filter *f, const struct mos_packet *p, uint32_t from);

/* Is there a link type for which the expression means something? If not, why has the reason. */
bool link_filter_check(const char *expr, char *why, size_t len);

/* Have the kernel apply it to a socket. False with errno set. */
bool link_filter_attach(const struct link_filter *f, int fd);

/* No filter any more, if there is one. */
void link_filter_detach(int fd);

#endif
