/*
 * Monitoring sockets: what mtcp_socket, mtcp_close and the socket options do, for C and Lua alike. sock is a passive
 * or an active socket's number. Calls return 0 or -errno; all fail with -EBADF where there is no such socket.
 */
#ifndef MOS_API_MONITOR_H
#define MOS_API_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker.h"

/* A passive socket, with the worker's default buffers; family 4, 6, 0 for both. Its number or -EMFILE. */
int monitor_open(struct worker *w, uint8_t family, bool raw);

/* The same with a number that is free. Returns it. */
int monitor_open_at(struct worker *w, int number, uint8_t family, bool raw);

/* A socket of c has stopped a side or closed: what nobody listens to any more is not worked on. */
void monitor_settle(struct worker *w, struct mos_conn *c);

/*
 * Close a passive socket (its connections stay monitored), or one connection's active socket.
 */
int monitor_close(struct worker *w, int sock);

/* Close all passive sockets and free their filters, before worker_fini. */
void monitors_fini(struct worker *w);

/*
 * Set a passive socket's filters in place of those it has; NULL: everything. filter is for first SYNs, or for every
 * packet where the socket is raw; orphan for packets without a connection, and nothing to a raw socket. -EINVAL with
 * the reason in err when libpcap refuses one; both old filters then stay. -ENOPROTOOPT: an active socket.
 */
int monitor_bind(struct worker *w, int sock, const char *filter, const char *orphan, char *err, size_t errlen);

/*
 * Receive buffer limit of side (MOS_SIDE_CLI, MOS_SIDE_SVR) in bytes, 0 for none: of later connections (passive), of
 * this one (active). -EINVAL: no such side.
 */
int monitor_buffer(struct worker *w, int sock, int side, uint64_t limit);

/* Who wins where bytes overlap, MOS_OVERLAP_POLICY_: of later connections, or of this one. -EINVAL, -ENOMEM. */
int monitor_overlap(struct worker *w, int sock, int side, int policy);

/*
 * No more events of side for this active socket; MOS_SIDE_BOTH: at all. What no socket of the connection listens to
 * any more is not worked on either. -ENOTSOCK: a passive socket. -EINVAL: no such side.
 */
int monitor_stop(struct worker *w, int sock, int side);

/* Fire h once after delay_ns; id comes back as sock. A key for timers_cancel, 0 when memory is out. */
uint64_t monitor_timer(struct worker *w, uint64_t delay_ns, struct handler h, int32_t id);

#endif
