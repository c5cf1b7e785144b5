/*
 * The monitoring interface: events, handlers, filters, and what a handler may ask and do. Names, numbers and
 * structures are mOS's (mos_api.h), so that a program written for it compiles and runs; "mos_ffi.h" holds the enums
 * that Lua reads too. What every call has in common (threads, mctx, EACCES, EBADF, EFAULT) is said in mtcp_api.h.
 *
 * Numbers are in host byte order, but for the headers that pkt_info points to and socket addresses.
 */
#ifndef MOS_API_H
#define MOS_API_H

/* Not <netinet/tcp.h>: its TCP_ESTABLISHED and others are an enum with other numbers than enum tcpstate. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>

#include "mos_ffi.h"
#include "mtcp_epoll.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A built-in event (a bit of enum mos_event_type) or a user-defined one (any other number). */
typedef uint64_t event_t;

/* Built-in events. docs/events.md and `mos-run --events` say when each is raised, at which hooks and for which side. */
enum mos_event_type {
	MOS_NULL_EVENT = 0, /* none: what a failed definition returns */
	MOS_ON_PKT_IN = 1 << 0,
	MOS_ON_CONN_START = 1 << 2,
	MOS_ON_CONN_NEW_DATA = 1 << 4,
	MOS_ON_ERROR = 1 << 5,
	MOS_ON_TCP_STATE_CHANGE = 1 << 7,
	MOS_ON_ORPHAN = 1 << 8,
	MOS_ON_REXMIT = 1 << 9,
	MOS_ON_CONN_END = 1 << 10,

	/* Given up by mOS: the names compile, registering at them is refused. */
	MOS_ON_PKT_OUT = 1 << 1,
	MOS_ON_CONN_SETUP = 1 << 3,
	MOS_ON_TIMEOUT = 1 << 6,
	MOS_ON_DEBUG_MESSAGE = 1 << 11
};

/* What a user-defined event hands to its filter and handlers. */
typedef struct filter_arg {
	void *arg;
	size_t len; /* bytes at arg */
} filter_arg_t;

/*
 * A handler. sock is the active socket, or the passive one where there is no connection; side the event's side,
 * MOS_SIDE_BOTH where it has none; event the event handled. arg is the event's own: never NULL, arg->arg is NULL
 * where none was given. A timer's handler gets the timer's id as sock, side and event 0, arg NULL.
 */
typedef void (*callback_t)(mctx_t mctx, int sock, int side, event_t event, filter_arg_t *arg);

/*
 * A user-defined event's condition. event is the user-defined event itself, not its base. It may be asked for every
 * packet: it should be fast and change nothing.
 */
typedef bool (*filter_t)(mctx_t mctx, int sock, int side, event_t event, filter_arg_t *arg);

/* Packet filters in the pcap grammar (pcap-filter(7)). NULL: everything. The strings are copied. */
union monitor_filter {
	/* MOS_SOCK_MONITOR_RAW: every packet, from its link-layer header on. */
	const char *raw_pkt_filter;
	/*
	 * MOS_SOCK_MONITOR_STREAM: once per connection, its first SYN or the packet that it was picked up with; and
	 * packets without a connection.
	 */
	__extension__ struct {
		const char *stream_syn_filter;
		const char *stream_orphan_filter;
	};
};
typedef union monitor_filter monitor_filter_t;

/*
 * Give a passive socket its filters, in place of those it has; connections already accepted stay. ft NULL changes
 * nothing.
 *
 * EINVAL: an expression that libpcap refuses (the socket keeps the filters it had). ENOPROTOOPT: an active socket.
 */
int mtcp_bind_monitor_filter(mctx_t mctx, int sock, const monitor_filter_t *ft);

/*
 * Call cb for event at hook_point (MOS_HK_SND, MOS_HK_RCV, MOS_NULL) of this socket, in place of what was called
 * there before; cb NULL: nothing any more. A user-defined event has its base's hooks. MOS_ON_CONN_NEW_DATA takes
 * MOS_HK_RCV for MOS_NULL. On a passive socket it concerns later connections, on an active one only this connection;
 * made inside a handler, a change takes effect from the next hook.
 *
 * EINVAL: no such event, or one that is never raised at that hook. ENOMEM.
 */
int mtcp_register_callback(mctx_t mctx, int sock, event_t event, unsigned hook_point, callback_t cb);

/*
 * Define an event that is raised right after `event`, built-in or user-defined, whenever filter says so. It is asked
 * once per raise and socket, parents first, and only if somebody listens to it or to what lies below. arg may be left
 * out or NULL; arg->len bytes at arg->arg are copied (if len is 0 the pointer itself is handed on). Definitions are
 * per process and stay.
 *
 * Returns the new event, or MOS_NULL_EVENT: EINVAL for an unknown event, a NULL filter or a length without an
 * address, ENOSPC after 65,528 definitions, ENOMEM.
 */
event_t mtcp_define_event(event_t event, filter_t filter, struct filter_arg *arg);

/* Called with two arguments or with three. */
#define MTCP_DEFINE_EVENT(event, filter, arg, ...) (mtcp_define_event)(event, filter, arg)
#define mtcp_define_event(...)                     MTCP_DEFINE_EVENT(__VA_ARGS__, NULL, 0)

/*
 * An event below `event` that has no filter: only mtcp_raise_event raises it. Returns it, or MOS_NULL_EVENT: EINVAL
 * for an unknown event, ENOSPC, ENOMEM.
 */
event_t mtcp_alloc_event(event_t event);

/*
 * Inside a handler or a filter: raise an event made by mtcp_alloc_event for the connection in dispatch, at the hook
 * and for the side in dispatch, on all its sockets. Its handlers run when the running handler, or the filter and its
 * event's handler, have returned.
 *
 * EINVAL: not such an event, one whose base has not this hook, or nothing is in dispatch. ENOSPC: 64 raised already.
 */
int mtcp_raise_event(mctx_t mctx, event_t event);

/* One pointer per socket, NULL at first; the runtime never looks at it. An active socket does not inherit. */
void mtcp_set_uctx(mctx_t mctx, int sock, void *uctx);

/* NULL with errno set when there is no such socket. */
void *mtcp_get_uctx(mctx_t mctx, int sock);

/*
 * Read bytes that side (MOS_SIDE_CLI, MOS_SIDE_SVR) received, in order, from this socket's own cursor on, and move
 * it. Returns how many, at most len; 0 when there is nothing to read yet, or no buffer.
 *
 * ENODATA: the next bytes were overwritten or lost before they were read; the cursor now stands behind the gap.
 * EINVAL: no such side. ENOTSOCK: a passive socket.
 */
ssize_t mtcp_peek(mctx_t mctx, int sock, int side, char *buf, size_t len);

/*
 * The same from stream offset off on (0 is the first byte after the SYN), early bytes beyond a hole included. The
 * cursor stays.
 *
 * ENODATA: the byte at off is not there. EINVAL, ENOTSOCK as above.
 */
ssize_t mtcp_ppeek(mctx_t mctx, int sock, int side, char *buf, size_t count, uint64_t off);

/*
 * A packet and where its parts are. mtcp_getlastpkt copies the frame; the copy is the runtime's and good until the
 * next call. A part that the packet does not have, or that the capture cut off, is NULL or 0. Lengths stop at 65535.
 */
struct pkt_info {
	uint32_t cur_ts; /* milliseconds, modulo 2^32 */
	int8_t in_ifidx; /* input port */

	uint16_t eth_len; /* bytes of the frame as captured */
	uint16_t ip_len;  /* bytes of the IP packet, as its header says */

	uint64_t offset;     /* stream offset of the first payload byte; 0 without a connection */
	uint16_t payloadlen; /* bytes of payload as captured */
	uint32_t seq;
	uint32_t ack_seq;
	uint16_t window; /* unscaled */

	struct ethhdr *ethh; /* NULL where the link is not Ethernet */
	struct iphdr *iph;   /* innermost; an IPv6 header where its version says 6 */
	struct tcphdr *tcph; /* options that doff claims and the capture cut off are zeros */
	uint8_t *payload;
};
#define PKT_INFO_LEN offsetof(struct pkt_info, ethh)

/* mOS hands out copies only where this is defined; here it always does. */
#define MTCP_CB_GETCURPKT_CREATE_COPY

/*
 * Describe the packet in dispatch. side is not looked at.
 *
 * EACCES: there is none (CONN_NEW_DATA, CONN_END, timers, outside a handler). ENOMEM.
 */
int mtcp_getlastpkt(mctx_t mctx, int sock, int side, struct pkt_info *p);

/* Options of mtcp_setlastpkt: a part, what to do there, what to recompute. */
#define MOS_ETH_HDR           (1 << 0)
#define MOS_IP_HDR            (1 << 1)
#define MOS_TCP_HDR           (1 << 2)
#define MOS_TCP_PAYLOAD       (1 << 3)
#define MOS_UPDATE_IP_CHKSUM  (1 << 4)
#define MOS_UPDATE_TCP_CHKSUM (1 << 5)
#define MOS_DROP              (1 << 6)
#define MOS_OVERWRITE         (1 << 7)
#define MOS_CHOMP             (1 << 8)
#define MOS_INSERT            (1 << 9)

/*
 * Change the packet in dispatch before it leaves. side is not looked at.
 *
 * MOS_DROP: it does not leave; nothing else is looked at.
 *
 * MOS_OVERWRITE with one part: datalen bytes of data go over that part from offset on; the frame keeps its length. A
 * checksum update where there is no such checksum does nothing.
 *
 * MOS_INSERT with MOS_TCP_PAYLOAD: datalen bytes of data go in before the payload's byte at offset, or behind its last
 * one. MOS_CHOMP with MOS_TCP_PAYLOAD: datalen bytes from offset on are taken out; data is not looked at. Offsets count
 * in the payload as it came, which handlers go on seeing. Lengths and checksums follow, in more than one packet where
 * one would be too long, and the connection's sequence, acknowledgement and SACK numbers are translated both ways from
 * then on. Other copies of the segment are edited the same without being asked; asking again is no error. A packet that
 * is dropped in the end has not been edited.
 *
 * EACCES: no packet in dispatch. EINVAL: not exactly one of DROP, OVERWRITE, CHOMP, INSERT and, but with DROP, one part;
 * INSERT or CHOMP of another part than the payload; a part that the packet does not have; offset below 0. ERANGE: the
 * bytes would leave that part, or the capture cut off payload that the TCP checksum needs.
 *
 * INSERT and CHOMP: ENOTCONN: the packet belongs to no connection. EALREADY: its bytes, or later ones, have left before.
 * EOPNOTSUPP: in a SYN, or inside a tunnel. ENOBUFS: too many edits that the receiver has not acknowledged.
 */
int mtcp_setlastpkt(mctx_t mctx, int sock, int side, off_t offset, byte *data, uint16_t datalen, int option);

/*
 * Send a TCP packet: the headers at p->iph (IPv6 where its version says 6; of IPv6 the fixed header alone) and p->tcph,
 * options included, with p->payloadlen bytes of p->payload; flags and all. Lengths, protocol and checksums are made right.
 * Of p's other members only ethh is looked at: where it is not NULL, its addresses are the frame's. Numbers are those that
 * handlers see; in a stream that is edited, sequence numbers are translated.
 *
 * With an active socket the packet goes the way of the connection's packets, by its addresses, else the way of the packet
 * in dispatch. It leaves behind the packet in dispatch, or at once, and no handler sees it.
 *
 * ENODATA: no IP or no TCP header. EINVAL: an IP version or a header length that cannot be. EMSGSIZE: more than 65,535
 * bytes. ENOTCONN: neither a connection nor a packet in dispatch says which way. EOPNOTSUPP: inside a tunnel. ENOBUFS:
 * 4,096 packets are waiting, or memory is out.
 */
int mtcp_sendpkt(mctx_t mctx, int sock, const struct pkt_info *p);

/*
 * Call cb once, after timeout has passed: in the time of the packets where they come from a capture (a timer set
 * before the first packet counts from there), by the clock on live ports. id comes back as sock.
 *
 * EINVAL: a negative timeout, or tv_usec beyond 999,999. ENOMEM.
 */
int mtcp_settimer(mctx_t mctx, int id, struct timeval *timeout, callback_t cb);

/* The time that timers and packets run by, in microseconds modulo 2^32. 0 with errno set on failure. */
uint32_t mtcp_cb_get_ts(mctx_t mctx);

/*
 * Addresses of an active socket's connection: the client's (MOS_SIDE_CLI), the server's (MOS_SIDE_SVR), or both,
 * saddr[0] the client and saddr[1] the server. Elements are struct sockaddr_in or, for IPv6, struct sockaddr_in6.
 * *addrlen is the room at saddr in bytes, then what was written.
 *
 * ENOTSOCK: a passive socket. EINVAL: no such side, or too little room.
 */
int mtcp_getpeername(mctx_t mctx, int sock, struct sockaddr *saddr, socklen_t *addrlen, int side);

#ifndef SOL_SOCKET
#define SOL_SOCKET 0xffff
#endif
#define SOL_MONSOCKET 0xfffe /* level of monitoring sockets' options */

/* Options of monitoring sockets; mtcp_getsockopt and mtcp_setsockopt say what each one takes and gives. */
enum mos_socket_opts {
	MOS_FRAGINFO_CLIBUF = 0x01,
	MOS_FRAGINFO_SVRBUF = 0x02,
	MOS_INFO_CLIBUF = 0x03,
	MOS_INFO_SVRBUF = 0x04,
	MOS_TCP_STATE_CLI = 0x05,
	MOS_TCP_STATE_SVR = 0x06,
	MOS_TIMESTAMP = 0x07,
	MOS_CLIBUF = 0x09,
	MOS_SVRBUF = 0x0a,
	MOS_STOP_MON = 0x0c,
	MOS_CLIOVERLAP = 0x0f,
	MOS_SVROVERLAP = 0x10,

	/* Given up by mOS: the names compile, and are no options. */
	MOS_SEQ_REMAP = 0x0b,
	MOS_FRAG_CLIBUF = 0x0d,
	MOS_FRAG_SVRBUF = 0x0e,

	/* Not mOS's. */
	MOS_END_REASON = 0x101,
	MOS_ERROR_REASON = 0x102
};

/* Sequence numbers (RFC 9293 3.4) of what one end received. */
struct tcp_buf_info {
	uint32_t tcpbi_init_seq;           /* first byte of the stream */
	uint32_t tcpbi_last_byte_read;     /* one past what this socket has read with mtcp_peek */
	uint32_t tcpbi_next_byte_expected; /* one past what is there in order */
	uint32_t tcpbi_last_byte_received; /* one past the highest byte there */
};

/* A run of buffered bytes: stream offset and length. */
struct tcp_ring_fragment {
	uint64_t offset;
	uint32_t len;
};

#ifdef __cplusplus
}
#endif

#endif
