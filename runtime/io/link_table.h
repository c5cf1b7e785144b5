/* The link types that occur in a run, each with the filter compiled for it and what had to be said of it. */
#ifndef MOS_IO_LINK_TABLE_H
#define MOS_IO_LINK_TABLE_H

#include "io/pcap_link.h"

struct link_use {
	uint16_t link;
	bool left_out;              /* the filter does not fit it */
	struct link_filter *filter; /* NULL: all pass */
};

enum { LINK_TABLE_SIZE = 64 };

struct link_table {
	const char *expr;                          /* the filter; NULL: none */
	struct link_use uses[LINK_TABLE_SIZE + 1]; /* the last one is for all that find no room */
	unsigned count;
	const struct link_use *last; /* of the packet before; NULL: none yet */
	bool fits;                   /* the filter fits one of them */
	char error[256];             /* why the run cannot go on: filter and cause */
};

/* expr must outlive the table. False, and error is set, if there is no link type for which it means something. */
bool link_table_init(struct link_table *t, const char *expr);
void link_table_fini(struct link_table *t);

/*
 * Make a packet's link type the last one. One that has not occurred before may cause a warning, which names the file.
 * False, and error is set, if the filter fits neither it, though it is decoded, nor any other so far.
 */
bool link_table_use(struct link_table *t, uint16_t link, const char *file);

/* Does the packet, of the last link type, pass the filter? */
static inline bool link_table_pass(const struct link_table *t, const struct mos_packet *p)
{
	return !t->last->left_out && (!t->last->filter || link_filter_match(t->last->filter, p, 0));
}

#endif
