/*
 * What Lua sees of the data plane: one header, read by the C compiler and by ffi.cdef.
 *
 * Lines that start with '#' are dropped before ffi.cdef reads the file, so only include guards, includes and
 * _Static_asserts behind #ifdef may use the preprocessor; constants are enums. Every struct here is also the
 * runtime's own: nothing is typed twice. All numbers are in host byte order unless the name ends in _be.
 *
 * Ownership: every pointer that Lua can reach here belongs to the worker. A packet is valid inside the handler
 * that received it, a connection until its CONN_END handlers have returned; handles (index and generation) tell
 * a live one from a reused one.
 */
#ifndef MOS_FFI_H
#define MOS_FFI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which end of a connection. Either may be the sender of a packet. */
enum {
	MOS_SIDE_CLI = 0, /* it sent the first SYN */
	MOS_SIDE_SVR = 1,
	MOS_SIDE_BOTH = 2
};

/* Where events are raised: after the sender's update, after the receiver's, or outside both. Unsigned. */
enum mtcp_hook_point { MOS_NULL = 1u << 29, MOS_HK_RCV = 1u << 30, MOS_HK_SND = 1u << 31 };

/* States of one end as RFC 9293 3.3.2 names them, seen from the middle. */
enum tcpstate {
	TCP_CLOSED = 0,
	TCP_LISTEN = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RCVD = 3,
	TCP_ESTABLISHED = 4,
	TCP_FIN_WAIT_1 = 5,
	TCP_FIN_WAIT_2 = 6,
	TCP_CLOSE_WAIT = 7,
	TCP_CLOSING = 8,
	TCP_LAST_ACK = 9,
	TCP_TIME_WAIT = 10
};

/*
 * Whose bytes count where two segments overlap: those that came first, those that came last, or as an operating system
 * has it, where that depends on how they lie to one another.
 */
enum {
	MOS_OVERLAP_POLICY_FIRST = 0,
	MOS_OVERLAP_POLICY_LAST,
	MOS_OVERLAP_CNT, /* of these, mOS's; ours go on from here */
	MOS_OVERLAP_POLICY_BSD = MOS_OVERLAP_CNT,
	MOS_OVERLAP_POLICY_LINUX,     /* from 2.4 on */
	MOS_OVERLAP_POLICY_OLD_LINUX, /* up to 2.2 */
	MOS_OVERLAP_POLICY_WINDOWS,   /* up to 2003 */
	MOS_OVERLAP_POLICY_VISTA,     /* Windows from Vista on */
	MOS_OVERLAP_POLICY_SOLARIS,
	MOS_OVERLAP_POLICY_HPUX,
	MOS_OVERLAP_POLICY_MACOS,
	MOS_OVERLAP_POLICIES
};

/* TCP flags as in the header (RFC 9293 3.1). */
enum {
	MOS_TH_FIN = 0x01,
	MOS_TH_SYN = 0x02,
	MOS_TH_RST = 0x04,
	MOS_TH_PSH = 0x08,
	MOS_TH_ACK = 0x10,
	MOS_TH_URG = 0x20,
	MOS_TH_ECE = 0x40,
	MOS_TH_CWR = 0x80
};

enum mos_verdict { MOS_PASS = 0, MOS_DROPPED = 1, MOS_HELD = 2 /* it leaves later */ };

/*
 * A connection's key, canonical: end 0 is the one whose (address, port) compares lower, so that both directions
 * have the same key. IPv4 addresses stand in word 0, the other words are 0.
 */
struct mos_key {
	uint32_t addr_be[2][4];
	uint16_t port[2];
	uint32_t family; /* 4 or 6 */
};

/*
 * A packet: the reader fills the first part, the decoder the rest. Offsets count from data. Everything between 0 and
 * caplen is readable and nothing else; payload_len is what the headers claim, payload_caplen what is there.
 */
struct mos_packet {
	uint8_t *data;      /* frame, from its link-layer header on */
	uint64_t ts_ns;     /* nanoseconds since the epoch */
	uint32_t caplen;    /* bytes at data */
	uint32_t len;       /* bytes on the wire */
	uint16_t link;      /* DLT_ value of the frame */
	uint16_t port;      /* input port or interface */
	uint8_t verdict;    /* enum mos_verdict */
	uint8_t decoded;    /* enum mos_decode */
	uint8_t ip_version; /* 4, 6; 0: not IP. Innermost, as all that follows */
	uint8_t ip_proto;   /* after extension headers */
	uint8_t dir;        /* the sender is key.addr_be[dir] */
	uint8_t tcp_flags;
	uint8_t tcp_hlen; /* bytes, options included */
	uint8_t changed;  /* a handler wrote into data */
	uint16_t l3;      /* offset of the IP header */
	uint16_t l4;      /* offset of the TCP header */
	uint32_t seq;
	uint32_t ack;
	uint16_t window; /* as in the header, unscaled */
	uint16_t urgent;
	uint32_t ip_len;  /* bytes of the IP packet, its header included, as it claims */
	uint32_t payload; /* offset of the TCP payload */
	uint32_t payload_len;
	uint32_t payload_caplen;
	uint8_t checks;     /* of enum mos_checks: what a port does about checksums; the reader sets it; internal */
	uint64_t number;    /* 1 is the first packet of the run */
	uint64_t hash;      /* of key; internal */
	uint32_t slot;      /* candidate connection; internal */
	uint32_t ip_id;     /* identification: IPv4, or an IPv6 fragment header */
	struct mos_key key; /* set where decoded is MOS_DECODED_TCP */
};

/* The port has found the IP header's checksum right, and TCP's, of the outermost packet; it is to finish TCP's. */
enum mos_checks { MOS_CHECKS_IP = 1, MOS_CHECKS_TCP = 2, MOS_CHECKS_DUE = 4 };

/* What the decoder made of a packet. Values from MOS_DECODE_BAD on are malformed and counted by reason. */
enum mos_decode {
	MOS_DECODED_TCP = 0,  /* all TCP fields set */
	MOS_DECODED_IP,       /* IP with another protocol: l3, l4, ip_* set */
	MOS_DECODED_FRAGMENT, /* an IP fragment that is not a whole datagram */
	MOS_DECODED_OTHER,    /* not IP */
	MOS_DECODE_BAD,
	MOS_DECODE_CUT_LINK = MOS_DECODE_BAD,
	MOS_DECODE_CUT_VLAN,
	MOS_DECODE_CUT_IP,
	MOS_DECODE_BAD_IP_VERSION,
	MOS_DECODE_BAD_IP_HLEN,
	MOS_DECODE_BAD_IP_LEN,
	MOS_DECODE_CUT_IP6_EXT,
	MOS_DECODE_BAD_IP6_EXT,
	MOS_DECODE_CUT_TCP,
	MOS_DECODE_BAD_TCP_HLEN,
	MOS_DECODE_UNKNOWN_LINK,
	MOS_DECODE_COUNT,
	MOS_DECODED_NONE = MOS_DECODE_COUNT /* there is no packet: see mos_call */
};

/* mos_end.flags */
enum {
	MOS_END_SYN = 1 << 0, /* its SYN was seen: isn is true */
	MOS_END_FIN = 1 << 1, /* its FIN was seen, at fin_seq */
	MOS_END_RST = 1 << 2, /* it sent an accepted RST */
	MOS_END_FIN_ACKED = 1 << 3,
	MOS_END_SYNACK = 1 << 4,    /* it sent SYN and ACK together */
	MOS_END_BASE = 1 << 5,      /* isn is set (seen, or inferred midstream) */
	MOS_END_ACK = 1 << 6,       /* ack is set */
	MOS_END_TS = 1 << 7,        /* ts_recent is set: PAWS applies */
	MOS_END_WSCALE = 1 << 8,    /* its SYN carried a window scale */
	MOS_END_SACK = 1 << 9,      /* its SYN permitted SACK */
	MOS_END_STOPPED = 1 << 10,  /* MOS_STOP_MON: no events, no work for this side */
	MOS_END_DIRTY = 1 << 11,    /* NEW_DATA is due after the burst */
	MOS_END_DATA = 1 << 12,     /* it sent payload */
	MOS_END_FIN_RCVD = 1 << 13, /* it has received the other end's FIN, in order or acknowledged */
	MOS_END_BUF_SET = 1 << 14,  /* its buffer size was set for this connection alone */
	MOS_END_EARLY = 1 << 15     /* bytes that it received wait behind a hole */
};

/* One end of a connection, as seen from the middle. 64 bytes. */
struct mos_end {
	uint64_t nxt_off;   /* stream offset one past the highest sent; offset 0 is the byte after the SYN */
	uint64_t pkts;      /* packets sent */
	uint64_t ip_bytes;  /* bytes of IP packets sent, headers included */
	uint32_t isn;       /* sequence number of the SYN; offset 0 is isn + 1 */
	uint32_t ack;       /* highest acknowledgement number sent */
	uint32_t win;       /* window last offered, scaled, bytes */
	uint32_t ts_recent; /* RFC 7323 4.3: last timestamp value accepted from this end */
	uint32_t rexmits;   /* packets sent that repeated a byte, SYN or FIN */
	uint32_t seen;      /* ranges of offsets sent; 0: one run from 0 to nxt_off */
	uint32_t stream;    /* bytes that this end received; 0: none buffered */
	uint32_t fin_seq;   /* sequence number of its FIN, where MOS_END_FIN is set */
	uint16_t flags;
	uint16_t mss; /* of its SYN; 0: none */
	uint8_t wscale;
	uint8_t state;   /* enum tcpstate */
	uint16_t strays; /* segments beyond its peer's window in a row */
};

/* Why a connection ended; MOS_END_REASON answers one of these, Lua the name. */
enum mos_end_reason {
	MOS_ENDED_OPEN = 0, /* it has not */
	MOS_ENDED_CLOSED,   /* both sides closed */
	MOS_ENDED_RESET,
	MOS_ENDED_TIMEOUT,
	MOS_ENDED_REUSED, /* a new SYN took its 4-tuple */
	MOS_ENDED_LIMIT,  /* memory or connection limit */
	MOS_ENDED_INPUT,  /* end of input, or the run was stopped */
	MOS_ENDED_COUNT
};

/* Why ERROR was raised. */
enum mos_error_reason {
	MOS_ERR_NONE = 0,
	MOS_ERR_BUFFER_FULL,   /* before unread bytes are overwritten, or after new ones found no room */
	MOS_ERR_OUT_OF_WINDOW, /* segment, or RST, outside the receiver's window */
	MOS_ERR_CONFLICT,      /* a retransmission with other bytes */
	MOS_ERR_CHECKSUM,
	MOS_ERR_MALFORMED,
	MOS_ERR_GAP,    /* bytes that the other end acknowledged and nobody here saw */
	MOS_ERR_MEMORY, /* all buffers together are too large: this side's is given up, and what follows is not kept */
	MOS_ERR_COUNT
};

/* mos_conn.flags */
enum {
	MOS_CONN_MIDSTREAM = 1 << 0, /* picked up without a SYN */
	MOS_CONN_ROLE_GUESSED = 1 << 1,
	MOS_CONN_CLOSED = 1 << 2,    /* over, the record lingers */
	MOS_CONN_ENDING = 1 << 3,    /* CONN_END is being raised */
	MOS_CONN_LIVE = 1 << 4,      /* the record is in use */
	MOS_CONN_REC = 1 << 5,       /* its script record has been zeroed */
	MOS_CONN_STOPPED = 1 << 6,   /* both sides stopped */
	MOS_CONN_NOBUF = 1 << 7,     /* its client buffers nothing; shifted left by one: its server */
	MOS_CONN_REWRITTEN = 1 << 9, /* its streams are edited: rewrite is set */
	MOS_CONN_STARVED = 1 << 10,  /* its client's buffer was given up (MOS_ERR_MEMORY); shifted: its server's */
	MOS_CONN_EPOCH = 1 << 14,    /* which script it has followed; see takeover.h */
	MOS_CONN_PLAIN = 1 << 15     /* established, nothing missing or closing: see tcp/plain.h */
};

/*
 * A tracked connection: 256 bytes, four cache lines: looked up, client, server, rarely touched.
 * end[0] is the client (MOS_SIDE_CLI), end[1] the server.
 */
struct mos_conn {
	struct mos_key key;
	uint64_t last_ns; /* time of its last packet */
	uint32_t sock;    /* first active socket */
	uint32_t mask;    /* OR of its sockets' interests: bit per slot of event/slots */
	uint32_t gen;     /* changes whenever the record is reused */
	uint16_t flags;
	uint8_t cli;       /* the client is key.addr_be[cli] */
	uint8_t last_side; /* the side that sent last */

	struct mos_end end[2];

	uint64_t first_ns; /* of its first packet, which start_ns is not where time went backwards */
	uint64_t start_ns;
	uint32_t hash; /* low half of the key's hash */
	uint32_t timer_next;
	uint32_t timer_prev;
	uint32_t timer_due; /* in ticks of the wheel; 0: not armed */
	uint32_t
		pending_isn; /* SYN seen on the open connection, waiting for its SYN-ACK; or the SYN-ACK before the last one */
	uint8_t pending_side; /* that SYN's sender, plus 1; that SYN-ACK's, plus 3; 0: none */
	uint8_t end_reason;   /* enum mos_end_reason */
	uint8_t err_reason;   /* of the ERROR in dispatch */
	uint8_t port;         /* where the client's packets come in */
	uint64_t gap_ns;      /* when an acknowledged hole was first noticed; 0: none */
	uint32_t rewrite;     /* its edits, where MOS_CONN_REWRITTEN is set; internal */
	uint32_t framing;     /* of the client's packets (pkt/framing); 0: not known; internal */
	uint32_t pad1[2];
};

/* Passive sockets have the numbers below; an active one has this plus its index. */
enum { MOS_SOCK_FIRST = 64 };

/* An active monitoring socket: one connection as one passive socket sees it. */
struct mos_sock {
	uint32_t conn;    /* index of the connection, where MOS_SOCK_LIVE is set */
	uint16_t passive; /* index of the passive socket that accepted it */
	uint16_t flags;
	uint32_t set;       /* handler set */
	uint32_t next;      /* next socket of the connection, in order of creation; 0: the last */
	uint32_t more;      /* struct mos_sock_more; 0: none */
	uint64_t cursor[2]; /* next byte to peek, per receiving side */
};

/* What few sockets have, in a record of its own. */
struct mos_sock_more {
	void *uctx;
	uint64_t parsed[2]; /* next byte that a parser of this socket waits for, where MOS_SOCK_PARSES_ is set */
	uint32_t load;      /* which load of a program in C has set uctx */
	uint32_t pad;
};

/* mos_sock.flags */
enum {
	MOS_SOCK_READS_CLI = 1 << 0, /* it reads what the client received: unread bytes are kept for it */
	MOS_SOCK_READS_SVR = 1 << 1,
	MOS_SOCK_CLOSED = 1 << 2,      /* closed by its program; the number stays taken until the connection goes */
	MOS_SOCK_LIVE = 1 << 3,        /* the record is in use */
	MOS_SOCK_STOPPED_CLI = 1 << 4, /* MOS_STOP_MON: no more events of the client for this socket */
	MOS_SOCK_STOPPED_SVR = 1 << 5,
	MOS_SOCK_PARSES_CLI = 1 << 6, /* a parser reads what the client received, from parsed[] on */
	MOS_SOCK_PARSES_SVR = 1 << 7
};

/*
 * The event in dispatch. One per script state, at a fixed address that Lua fetches once. C writes it before it calls
 * into Lua; Lua writes result only.
 */
struct mos_ctx {
	struct mos_packet *pkt; /* NULL where the event has no packet */
	struct mos_conn *conn;  /* NULL where the event has no connection */
	uint64_t event;         /* event_t */
	uint64_t now_ns;        /* packet time in captures, the clock on live ports */
	int32_t sock;           /* active socket, or the passive one where there is no connection */
	int32_t side;           /* MOS_SIDE_ */
	uint32_t hook;          /* MOS_HK_SND, MOS_HK_RCV, MOS_NULL */
	uint32_t ref;           /* timers: the timer's number; events raised by hand: their place in the queue */
	int32_t result;         /* a filter's answer */
	uint32_t in_handler;    /* a handler or filter is running */
	struct mos_conn *conns; /* base of the pools, for index arithmetic */
	struct mos_sock *socks;
	uint8_t *recs; /* per-connection script records */
	uint32_t rec_size;
	uint32_t worker;  /* this worker's number, from 0 on */
	uint32_t workers; /* how many there are */
	void *owner;      /* its struct worker; internal */
};

/*
 * What bindings/mos calls. None of these runs Lua: what raises an event is queued until the handler returns. sock is a
 * socket's number, side MOS_SIDE_CLI or MOS_SIDE_SVR, conn a handle of a connection that is alive. Negative numbers
 * are -errno.
 */

/*
 * A connection as one monitor's handlers know it, in 64 bits that no other connection has had: its index from bit 0
 * on, the number of the passive socket, a free bit (bindings/mos keeps a side there), the low bits of its generation.
 * Lua has it as a pointer to one of these, which is never followed: a pointer is a value that compiled code need not
 * store.
 */
struct mos_handle;
struct mos_end_handle;
enum { MOS_HANDLE_PASSIVE = 27, MOS_HANDLE_SIDE = 33, MOS_HANDLE_GEN = 34 };

/*
 * The call into Lua that is running, as bindings/mos needs it besides struct mos_ctx. C fills it before each call, at
 * an address that does not change.
 */
struct mos_call {
	uint64_t conn;          /* handle of ctx->conn; 0: there is none */
	struct mos_packet *pkt; /* ctx->pkt; instead of NULL one of kind MOS_DECODED_NONE, not to be written to */
	uint32_t apart; /* filters and handlers are called one by one: what was made to call both is of before */
	/* What LuaJIT's compiler has done in this state; bindings/mos/health.lua counts. */
	uint32_t jit_traces, jit_aborts, jit_given_up, jit_flushes;
	/* What C asks bindings/mos between two packets, and the answer. */
	uint64_t event;
	const char *name;
	uint32_t ref;
};

/* Kinds of names. */
enum { MOS_NAME_STATE, MOS_NAME_END_REASON, MOS_NAME_ERROR_REASON, MOS_NAME_OVERLAP };

/* The name of a value; NULL past the last one. Borrowed. */
const char *mos_ffi_name(uint32_t kind, uint32_t value);

/* The word of words[0..n) that is meant by word, NULL if none is near. Borrowed from words. */
const char *mos_ffi_nearest(const char *word, const char *const *words, size_t n);

/* One line on standard error; level as in `enum log_level`: 0 error, 1 warning, 2 information, 3 debug. */
void mos_ffi_log(uint32_t level, const char *text);

/* Text of an errno value; valid until the next call. */
const char *mos_ffi_strerror(int error);

/* Events by index, 0 ... count - 1, in order of definition. name is "" for an event without one. */
uint32_t mos_ffi_event_count(void);
uint64_t mos_ffi_event_id(uint32_t index);
const char *mos_ffi_event_name(uint32_t index);

/* The event of that name; 0 if there is none. */
uint64_t mos_ffi_event_find(const char *name);

/* Index of an event; -1 if there is none. */
int64_t mos_ffi_event_index(uint64_t event);

/* MOS_HK_SND | MOS_HK_RCV | MOS_NULL: where handlers of the event may stand. */
uint32_t mos_ffi_event_hooks(uint64_t event);

/*
 * Define an event below parent. filter is a C function (filter_t), or NULL: then the script's own where lua is not 0,
 * else only mos_ffi_event_raise raises it. 0 on failure, with errno set.
 */
uint64_t mos_ffi_event_define(uint64_t parent, void *filter, int lua, const char *name, const char *meaning);

/* Say which fields an event hands to its handlers: text for --events, lines of "name kind: meaning". 0 or -errno. */
int mos_ffi_event_describe(uint64_t event, const char *fields);

/*
 * Raise an event without a filter for the connection in dispatch, or -errno. Returns its place in the queue, which stands
 * in ctx->ref while its handlers run; side is what they are told.
 */
int mos_ffi_event_raise(struct mos_ctx *ctx, uint64_t event, int side);

/* How many more events can be raised before the running handler or filter returns. */
uint32_t mos_ffi_event_room(struct mos_ctx *ctx);

/* The running filter has more to raise: call it again when what it has raised is done. */
void mos_ffi_event_again(struct mos_ctx *ctx);

/* Would raising the event, now, reach a handler or filter of the connection in dispatch? */
int mos_ffi_event_wanted(struct mos_ctx *ctx, uint64_t event);

/*
 * A passive socket; family 4, 6, or 0 for both. Its number, which is that of the old script's monitor of that name, or
 * -errno: -EEXIST when there is one of that name.
 */
int mos_ffi_monitor_open(struct mos_ctx *ctx, const char *name, uint32_t family, int raw);

/* Set its filters; NULL matches everything. -EINVAL with libpcap's reason in err. A raw socket has no orphan filter. */
int mos_ffi_monitor_bind(struct mos_ctx *ctx, int sock, const char *filter, const char *orphan, char *err,
			 size_t errlen);

/* No more connections and handlers for it; connections that it has accepted stay. */
int mos_ffi_monitor_close(struct mos_ctx *ctx, int sock);

/* Options of passive and active sockets: receive buffer in bytes, and whose bytes count in an overlap. */
int mos_ffi_set_buffer(struct mos_ctx *ctx, int sock, int side, uint64_t bytes);
int mos_ffi_set_overlap(struct mos_ctx *ctx, int sock, int side, int policy);

/* Handle event at hook with fn (callback_t), or with the state's handler ref, or, if both are 0, no longer. */
int mos_ffi_register(struct mos_ctx *ctx, int sock, uint64_t event, uint32_t hook, void *fn, uint32_t ref);

/* Give a handler's function a name, by which the next script's takes its place. */
void mos_ffi_ref_name(struct mos_ctx *ctx, uint32_t ref, const char *name);

/* A number for a Lua handler: one that no handler set has (any more). 0 when memory is out. */
uint32_t mos_ffi_ref_take(struct mos_ctx *ctx);

/* Have ends of connections told to the state, which keeps something per connection. */
void mos_ffi_watch_ends(struct mos_ctx *ctx);

/* Size of the script's record per connection, and its declaration; once, in the script's main part. */
int mos_ffi_set_record(struct mos_ctx *ctx, uint32_t size, const char *fields);

/* The declaration of the script whose place this one is to take; NULL: it has none, or there is none. */
const char *mos_ffi_record_before(struct mos_ctx *ctx);

/* Have the host table's `carry` called for each connection that has conn.data of the script before this one. */
void mos_ffi_carry(struct mos_ctx *ctx);

/* Does path, with its links followed, lie in folder? Its last part need not exist; a link there does not. */
int mos_ffi_path_inside(const char *path, const char *folder);

/* The script was loaded from this file, too. 0 or -ENOMEM. */
int mos_ffi_loaded_from(struct mos_ctx *ctx, const char *path);

/* A part of that record that is in this one, too. */
int mos_ffi_record_part(struct mos_ctx *ctx, uint32_t to, uint32_t from, uint32_t len);

/* Its id, the same in every run over the same packets. */
uint64_t mos_ffi_conn_uid(struct mos_ctx *ctx, uint64_t conn);

/* The number of its active socket. */
int mos_ffi_conn_sock(struct mos_ctx *ctx, uint64_t conn);

/* Distinct payload bytes that side sent, and bytes of it that never passed here. */
uint64_t mos_ffi_conn_bytes(struct mos_ctx *ctx, uint64_t conn, int side);
uint64_t mos_ffi_conn_missed(struct mos_ctx *ctx, uint64_t conn, int side);

/* An address as text into buf, 46 bytes at least. Returns its length. */
size_t mos_ffi_conn_addr(struct mos_ctx *ctx, uint64_t conn, int side, char *buf);

/* What mos_ffi_read answers besides the bytes. */
struct mos_view {
	size_t len;   /* bytes there */
	uint64_t gap; /* bytes that were lost before they were read; the cursor now stands behind them */
};

/*
 * Up to max unread bytes in order, where they lie; the monitor's cursor moves behind them. Valid until the handler
 * returns. NULL when there are none.
 */
const uint8_t *mos_ffi_read(struct mos_ctx *ctx, uint64_t conn, int side, size_t max, struct mos_view *v);

/*
 * For parsers, which keep their own place: the bytes in order from stream offset off on, where they lie; the cursor
 * stays. NULL when there are none, with v->gap bytes lost from off on. Valid until a handler runs.
 */
const uint8_t *mos_ffi_parse(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off, struct mos_view *v);

/* When the byte at stream offset off, of this burst, passed; of an older one the time of the connection's last packet. */
uint64_t mos_ffi_byte_time(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off);

/* A parser has done with the bytes below off: those from there on count as unread. */
void mos_ffi_parsed(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off);

/*
 * Copy up to len bytes from stream offset off, early ones included; the cursor stays. -ENODATA if that byte is absent.
 */
int64_t mos_ffi_ppeek(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off, void *buf, size_t len);

/* The script may ask for bytes that it has read before: keep them, as far as the buffers reach. */
void mos_ffi_look_back(struct mos_ctx *ctx);

/* Unread bytes in order; 0 at a gap. */
size_t mos_ffi_available(struct mos_ctx *ctx, uint64_t conn, int side);

/* Are the next unread bytes these? */
int mos_ffi_starts_with(struct mos_ctx *ctx, uint64_t conn, int side, const char *text, size_t len);

/* Stream offset of the first occurrence of text in the unread bytes; -ENOENT if there is none. */
int64_t mos_ffi_find(struct mos_ctx *ctx, uint64_t conn, int side, const char *text, size_t len);

/* The same in the bytes in order from offset from on, read or not. */
int64_t mos_ffi_find_from(struct mos_ctx *ctx, uint64_t conn, int side, const char *text, size_t len, uint64_t from);

/* A run of bytes that are there: [from, to). */
struct mos_run {
	uint64_t from, to;
};

/* Fill out[0..n) with the runs that are buffered, in order; returns how many. -ENODATA: no buffer. */
int64_t mos_ffi_runs(struct mos_ctx *ctx, uint64_t conn, int side, struct mos_run *out, size_t n);

/* What side sends passes in order from now on. NULL, or why it cannot. */
const char *mos_ffi_in_order(struct mos_ctx *ctx, uint64_t conn, int side);

/* As if side had sent it: a segment with flags and len bytes of payload. NULL, or why that cannot be. */
const char *mos_ffi_inject(struct mos_ctx *ctx, uint64_t conn, int side, uint32_t flags, const void *payload,
			   size_t len);

/* A RST to each end. NULL, or why that cannot be. */
/* See conn:inject_again. *reason is NULL, or why not. */
size_t mos_ffi_inject_again(struct mos_ctx *ctx, uint64_t conn, int side, const char **reason);
const char *mos_ffi_reset(struct mos_ctx *ctx, uint64_t conn);

/* No more events of side, or of both (MOS_SIDE_BOTH), for this monitor. */
int mos_ffi_stop(struct mos_ctx *ctx, uint64_t conn, int side);

/* The source (0) or destination (1) address of the packet in dispatch; 0 if it is not IP. */
size_t mos_ffi_packet_addr(struct mos_ctx *ctx, int which, char *buf);

/*
 * The headers of the packet in dispatch, outer first: names[i] (borrowed) at offsets[i], n at most. Returns how many. The
 * source (0) or destination (1) address of the IP header at an offset as text; 0 if it is not there.
 */
size_t mos_ffi_packet_layers(struct mos_ctx *ctx, const char **names, uint32_t *offsets, size_t n);
size_t mos_ffi_packet_addr_at(struct mos_ctx *ctx, uint32_t offset, int which, char *buf);

/* Text to 4 or 16 bytes in network order. Returns how many, 0 if it is no address of that family (4, 6). */
size_t mos_ffi_addr_parse(const char *text, uint32_t family, uint8_t *out);

/* Write over a part of the packet in dispatch. layer as in `enum edit_layer`: 1 IP header, 2 TCP header, 3 payload, 4 what is behind IP. */
int mos_ffi_packet_write(struct mos_ctx *ctx, int layer, size_t off, const void *data, size_t len);

/*
 * As it leaves, put bytes in place of cut bytes of its payload from off on. NULL, or why that cannot be (see
 * mtcp_setlastpkt in mos_api.h).
 */
const char *mos_ffi_packet_edit(struct mos_ctx *ctx, size_t off, size_t cut, const void *bytes, size_t put);

/* Make its checksums right again. -ERANGE if the capture cut off payload that the TCP checksum covers. */
int mos_ffi_packet_fix(struct mos_ctx *ctx);

/*
 * Call the handler ref once, after delay_ns; id comes back as ctx->sock. The next script's timer of the same name (NULL:
 * none) is due when this one was. A key for cancelling, 0 when memory is out.
 */
uint64_t mos_ffi_timer_add(struct mos_ctx *ctx, uint64_t delay_ns, uint32_t ref, int32_t id, const char *name);
int mos_ffi_timer_cancel(struct mos_ctx *ctx, uint64_t key);

/* A shared object and its functions, for as long as the process lives. NULL on failure, with the reason in err. */
void *mos_ffi_object_open(const char *path, char *err, size_t errlen);
void *mos_ffi_object_symbol(void *object, const char *name);

/* A counter of the run: what each worker, from 0 on, has counted, in a cache line of its own. */
struct mos_counter {
	struct {
		double n;
		uint64_t pad[7];
	} worker[64];
};

/* The counter of that name, for the whole run. NULL when memory is out or the name is too long. */
struct mos_counter *mos_ffi_counter(const char *name);

/* A table of numbers that workers share, and its operations: see control/shared.h. */
struct shared_table;
struct mos_shared_entry {
	double value;
	uint32_t len;
	char key[255];
};
struct shared_table *mos_ffi_table(const char *name, size_t max);
int mos_ffi_table_get(struct shared_table *t, const char *key, size_t len, double *value);
int mos_ffi_table_set(struct shared_table *t, const char *key, size_t len, double value);
int mos_ffi_table_add(struct shared_table *t, const char *key, size_t len, double by, double *value);
int mos_ffi_table_delete(struct shared_table *t, const char *key, size_t len);
int mos_ffi_table_swap(struct shared_table *t, const char *key, size_t len, const double *expected, const double *next);
size_t mos_ffi_table_count(struct shared_table *t);
struct mos_shared_entry *mos_ffi_table_entries(struct shared_table *t, size_t *n);
void mos_ffi_table_entries_free(struct mos_shared_entry *entries);

#endif /* MOS_FFI_H */
