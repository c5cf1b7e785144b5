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

#ifndef INPORT_ANY
#define INPORT_ANY (uint16_t)0
#endif

typedef unsigned char byte;

#ifdef __cplusplus
extern "C" {
#endif

/* A worker, as programs see it. Borrowed: valid until the program's exit function has returned, or mtcp_destroy. */
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

/* A signal's handler, as signal(2) has it. */
typedef void (*mtcp_sighandler_t)(int);

#define APP_NAME_LEN 40
#define MOS_APP      20 /* applications at most */
#define MOS_APP_ARGC 20 /* words of each at most */

/*
 * The settings of a program that has a main() of its own, from mos.conf. mtcp_getconf fills it in, mtcp_setconf takes it.
 * What is not said to be for information has an effect.
 */
struct mtcp_conf {
	int num_cores;       /* contexts; as many as netdev's masks have cores, else 1 */
	int max_concurrency; /* connections per core */
	uint64_t cpu_mask;   /* of all interfaces; for information */

	int max_num_buffers; /* for information */
	int rcvbuf_size;     /* receive buffer of each side, bytes; 0: none */
	int sndbuf_size;     /* for information */

	int tcp_timewait; /* seconds that a closed connection's record stays */
	int tcp_timeout;  /* seconds after which an idle connection ends; -1: never */

	/* The application blocks, for information: masks of cores, and the words of "run". */
	uint64_t app_cpu_mask[MOS_APP];
	char *app_argv[MOS_APP][MOS_APP_ARGC];
	int app_argc[MOS_APP];
	int num_app;
};

/*
 * Programs with a main() of their own
 *
 * mtcp_init reads mos.conf (docs/porting-from-mos.md: its keys, and what stands for a network card here). Then
 * mtcp_create_context makes a context for each core, 0 to num_cores - 1, and the program sets up its sockets and
 * handlers with it. In mtcp_app_join the packets pass: the run begins when every context has been made, and been set up,
 * which means that its maker has come to mtcp_app_join, with this or another context. It is over at the end of the
 * input, at SIGINT or SIGTERM unless the program handles them itself, or when every context was destroyed. Handlers run
 * in mtcp_app_join where there is one context, else on a thread per context.
 *
 * A program that mos-run loads needs none of these calls.
 */

/*
 * The environment's MOS_CONF_OVERRIDE, "key=value,...", overrides keys of the file. An unknown key is warned of with its
 * line, on standard error.
 *
 * EFAULT: NULL. EBUSY: called before. EINVAL: the file is broken; place and reason are on standard error. ENOENT and
 * others of open(2).
 */
int mtcp_init(const char *config_file);

/* Free everything; mtcp_init may follow. EPERM: no mtcp_init before. EBUSY: the run is not over. */
int mtcp_destroy(void);

/* EINVAL: NULL. EPERM: no mtcp_init before. Strings stay the runtime's. */
int mtcp_getconf(struct mtcp_conf *conf);

/* EINVAL: NULL, or a value that cannot be. EPERM: no mtcp_init before. EBUSY: there is a context. */
int mtcp_setconf(const struct mtcp_conf *conf);

/* Have the calling thread run on core cpu, modulo the cores that there are. EINVAL: negative. */
int mtcp_core_affinitize(int cpu);

/*
 * The context of a core, or NULL. EPERM: no mtcp_init before, or the run has begun. EINVAL: no core of that number among
 * num_cores. EEXIST: made before. ENOMEM.
 */
mctx_t mtcp_create_context(int cpu);

/*
 * The program is done with a context: when it is with all of them, the run ends. It may be called in a signal handler. The
 * context's memory stays until mtcp_destroy.
 */
int mtcp_destroy_context(mctx_t mctx);

/* See above. What cannot be opened or read is told on standard error. */
void mtcp_app_join(mctx_t mctx);

/* Returns handler, or SIG_ERR (EINVAL: no such signal). Where there are several contexts, no thread of theirs takes signals. */
mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler);

/* Connections that a context tracks now; 0 with errno set on failure. */
uint32_t mtcp_get_connection_cnt(mctx_t mctx);

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
