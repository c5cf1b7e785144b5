/* From accepted segments to byte streams, and from streams to CONN_NEW_DATA. */
#ifndef MOS_DELIVERY_H
#define MOS_DELIVERY_H

#include "worker.h"

/*
 * Put the bytes of a segment into its receiver's stream, raising ERROR before unread bytes make room and where
 * retransmitted bytes differ; then see whether holes that this packet acknowledged can be given up.
 */
void delivery_packet(struct worker *w, struct mos_conn *c, struct mos_packet *p, const struct segment *s);

/* Raise CONN_NEW_DATA for every side that the burst brought bytes. */
void delivery_new_data(struct worker *w);

/* The connection ends: give up its holes and raise the CONN_NEW_DATA that it owes. */
void delivery_finish(struct worker *w, struct mos_conn *c);

#endif
