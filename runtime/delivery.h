/* From accepted segments to byte streams, and from streams to CONN_NEW_DATA. */
#ifndef MOS_DELIVERY_H
#define MOS_DELIVERY_H

#include "worker.h"

/*
 * Put the bytes of a segment into its receiver's stream, raising ERROR before unread bytes make room and where
 * retransmitted bytes differ; then see whether holes that this packet acknowledged can be given up.
 */
void delivery_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p, const struct segment *s);

/* Does anybody want the bytes that side receives? */
static inline bool delivery_wanted(const struct mos_conn *c, int side)
{
	return !(c->flags & (MOS_CONN_NOBUF << side)) && !(c->end[side].flags & MOS_END_STOPPED);
}

/* The same for a packet that track_plain took: its bytes are the next ones, from stream offset off on. Where it is due. */
void delivery_plain(struct worker *w, struct mos_conn *c, struct mos_packet *p, int sender, uint64_t off);

static inline bool delivery_plain_due(const struct mos_conn *c, const struct mos_packet *p, int sender)
{
	bool early = (c->end[0].flags | c->end[1].flags) & MOS_END_EARLY;

	return early || (delivery_wanted(c, !sender) && p->payload_len);
}

/*
 * Behind a packet for which a hole was given up: have readers pass the gap at once, so that what still comes for it is late
 * whatever the size of bursts is.
 */
void delivery_pass_gaps(struct worker *w, struct mos_conn *c);

/* Raise CONN_NEW_DATA for every side that the burst brought bytes. */
void delivery_new_data(struct worker *w);

/* The connection ends: give up its holes and raise the CONN_NEW_DATA that it owes. */
void delivery_finish(struct worker *w, struct mos_conn *c);

#endif
