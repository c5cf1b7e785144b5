/* A connection's life in a worker: found or made, timed out, ended. */
#ifndef MOS_CONNECTION_H
#define MOS_CONNECTION_H

#include "worker.h"

/* The connection that a TCP packet belongs to; NULL: none. */
struct mos_conn *connection_find(const struct worker *w, const struct mos_packet *p);

/* An id that is the same in every run over the same packets: a mix of the key and the time of the first packet. */
uint64_t connection_uid(const struct mos_conn *c);

/*
 * The connection that claims a TCP packet, made if the packet may begin one (a SYN; with settings.midstream any) and a
 * socket's filter accepts it: *opened is then true. A SYN that reuses a 4-tuple ends the old connection first. NULL: an orphan.
 */
struct mos_conn *connection_of_slow(struct worker *w, struct mos_packet *p, bool *opened);

/* The candidate that the burst's look-up found is nearly always the one. */
static inline struct mos_conn *connection_of(struct worker *w, struct mos_packet *p, bool *opened)
{
	struct mos_conn *c = worker_conn(w, p->slot);

	if (__builtin_expect((c->flags & (MOS_CONN_LIVE | MOS_CONN_EPOCH)) == w->live && !(p->tcp_flags & MOS_TH_SYN),
			     1) &&
	    key_equal(&c->key, &p->key))
		return c;
	return connection_of_slow(w, p, opened);
}

/* c was closed by the packet just handled: let its record linger, or end it. */
void connection_closed(struct worker *w, struct mos_conn *c);

/* c was closed by a handler: its record goes when it has lingered, and not before the handler has returned. */
void connection_settle(struct worker *w, struct mos_conn *c);

/* Raise what is owed (CONN_NEW_DATA, CONN_END), then free the record. */
void connection_end(struct worker *w, struct mos_conn *c, enum mos_end_reason reason);

/* Raise ERROR at side for a reason that handlers can ask for; p is the packet at fault, or NULL. */
void connection_error(struct worker *w, struct mos_conn *c, int side, enum mos_error_reason reason,
		      struct mos_packet *p);

/* The wheel's callback: arg is the worker. */
void connection_timeout(void *arg, uint32_t idx);

#endif
