/*
 * Sockets of the monitoring interface: making, closing and setting them. Names and numbers are mOS's (mtcp_api.h).
 *
 * Every call belongs to one worker: it takes that worker's mctx_t and may be made on its thread only, while a program
 * is loaded or from a handler, filter or timer. A call that fails returns -1 and sets errno; besides what a call
 * lists, each of them fails with EACCES when mctx is NULL, EBADF when sock is no socket, EFAULT when a pointer that
 * it needs is NULL.
 */
#ifndef MTCP_API_H
#define MTCP_API_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef UNUSED
#define UNUSED(x) (void)x
#endif

typedef unsigned char byte;

#ifdef __cplusplus
extern "C" {
#endif

/* A worker, as programs see it. Borrowed: valid until the program's exit function has returned. */
struct mtcp_context {
	int cpu; /* the worker's number, from 0 */
};

typedef struct mtcp_context *mctx_t;

/* Kinds of sockets. Only the monitoring ones exist here; the other values keep mOS's numbers. */
enum socket_type {
	MOS_SOCK_UNUSED,
	MOS_SOCK_STREAM_LISTEN,
	MOS_SOCK_PROXY_LISTEN,
	MOS_SOCK_MONITOR_STREAM, /* passive: accepts connections, and packets without one */
	MOS_SOCK_STREAM,
	MOS_SOCK_PROXY,
	MOS_SOCK_MONITOR_STREAM_ACTIVE, /* one connection of a passive socket; the runtime makes them */
	MOS_SOCK_MONITOR_RAW,           /* passive: sees single packets */
	MOS_SOCK_EPOLL,
	MOS_SOCK_PIPE
};

/*
 * A passive monitoring socket: type MOS_SOCK_MONITOR_STREAM or MOS_SOCK_MONITOR_RAW. domain is AF_INET (IPv4 only),
 * AF_INET6 (IPv6 only) or, on top of mOS, AF_UNSPEC (both). protocol is not looked at. It accepts everything until a
 * filter is bound. Returns its number, a small integer from 0.
 *
 * EAFNOSUPPORT: another domain. ESOCKTNOSUPPORT: another type. EMFILE: 64 passive sockets are open.
 */
int mtcp_socket(mctx_t mctx, int domain, int type, int protocol);

/*
 * Close a socket: no handler runs for it any more. Connections that a passive socket has accepted keep their active
 * sockets; an active one is closed for its connection alone, and its number is not reused before that has gone.
 */
int mtcp_close(mctx_t mctx, int sock);

/*
 * Reset an active socket's connection: a RST to each of its ends, with the numbers that they expect. If the packet in
 * dispatch is the connection's, it is dropped. MOS_ON_CONN_END comes when the record has lingered, with MOS_ENDED_RESET.
 *
 * ENOTSOCK: a passive socket. EALREADY: the connection is closed. EOPNOTSUPP: inside a tunnel. ENOBUFS: as mtcp_sendpkt.
 */
int mtcp_abort(mctx_t mctx, int sock);

/*
 * Read an option of an active socket; level is SOL_MONSOCKET, the names are in mos_api.h:
 *
 *   MOS_TCP_STATE_CLI, _SVR    int: enum tcpstate of that end
 *   MOS_INFO_CLIBUF, _SVRBUF   struct tcp_buf_info of what that end received
 *   MOS_FRAGINFO_CLIBUF, _SVRBUF  array of struct tcp_ring_fragment: the runs of bytes that are buffered, in order.
 *                              Here *optlen counts elements, in and out; one of length 0 follows where there is room
 *   MOS_TIMESTAMP              uint32_t: time of the connection's last packet in microseconds, modulo 2^32;
 *                              the whole of it since the epoch where *optlen is 8
 *   MOS_END_REASON             int: enum mos_end_reason; MOS_ENDED_OPEN until CONN_END is due
 *   MOS_ERROR_REASON           int: enum mos_error_reason of the ERROR in dispatch, else of the last one
 *
 * *optlen is the room at optval on entry and what was written on return.
 *
 * ENOTSOCK: a passive socket. ENOSYS: no such level or option. EINVAL: *optlen does not fit. ENODATA: INFO and
 * FRAGINFO where nothing is buffered.
 */
int mtcp_getsockopt(mctx_t mctx, int sock, int level, int optname, void *optval, socklen_t *optlen);

/*
 * Set an option; level is SOL_MONSOCKET, all values are int:
 *
 *   MOS_CLIBUF, MOS_SVRBUF     receive buffer of that end in bytes, 0 switches it off. On a passive socket for
 *                              connections to come, on an active one for its connection from now on; what a smaller
 *                              buffer cannot hold goes, oldest first. An 8-byte value is taken too
 *   MOS_CLIOVERLAP, MOS_SVROVERLAP  one of MOS_OVERLAP_POLICY_; passive: connections to come, active: now
 *   MOS_STOP_MON               active sockets only; MOS_SIDE_CLI, _SVR or _BOTH: no more events of that side for this
 *                              socket. Once all sockets of a connection have stopped a side, the runtime does no
 *                              more work for it either. Packets still pass
 *
 * ENOSYS: no such level or option. EINVAL: a value or optlen out of range. ENOTSOCK: MOS_STOP_MON on a passive
 * socket. ENOMEM.
 */
int mtcp_setsockopt(mctx_t mctx, int sock, int level, int optname, const void *optval, socklen_t optlen);

#ifdef __cplusplus
}
#endif

#endif
