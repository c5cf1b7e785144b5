/*
 * Packets that are made here and leave through the worker's outbox: behind the packet in dispatch, or at once where there
 * is none. The tracker does not see them. Calls return 0 or -errno: -ENOBUFS when the outbox is full, -EOPNOTSUPP on a
 * connection whose frames cannot be made (inside a tunnel, or too many kinds of link-layer headers).
 */
#ifndef MOS_INJECT_H
#define MOS_INJECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker.h"

/*
 * A segment as if side had sent it now: the next sequence number, an acknowledgement of what it has acknowledged, its
 * window, timestamps where the connection has them.
 *
 * Payload becomes part of the stream: numbers are translated from there on, and it is sent again before side's next bytes
 * until it is acknowledged (rewrite.h). It goes on in further segments where it is too long for one.
 *
 * -EINVAL: SYN or FIN in flags, or payload in a RST. With payload: -EBUSY: a packet of side is in dispatch
 * (rewrite_payload is for that); -EPIPE: side has sent its FIN, or the connection is closed or not established;
 * -ENOBUFS as rewrite_payload.
 */
int inject_segment(struct worker *w, struct mos_conn *c, int side, uint8_t flags, const void *payload, size_t len);

/*
 * Payload of such segments that is not acknowledged, and behind which side has sent nothing, once more. How many bytes; 0:
 * there is none.
 */
ssize_t inject_again(struct worker *w, struct mos_conn *c, int side);

/* An acknowledgement of side's that says that it has [from, to) too, where both ends know that (RFC 2018). */
void inject_sack(struct worker *w, const struct mos_conn *c, int side, uint32_t from, uint32_t to);

/*
 * Reset the connection: a RST to each end, with the number that it expects. The packet in dispatch, if it is the
 * connection's, is dropped. The connection is closed, with MOS_ENDED_RESET, and ends when its record has lingered.
 * -EALREADY: it is closed.
 */
int inject_reset(struct worker *w, struct mos_conn *c);

/*
 * The packet that info describes (see mtcp_sendpkt), on the way of connection c, or of the packet in dispatch where c is
 * NULL. -ENODATA, -EINVAL, -EFAULT, -EMSGSIZE, -ENOTCONN as mtcp_sendpkt says.
 */
int inject_packet(struct worker *w, const struct mos_conn *c, const struct pkt_info *info);

#endif
