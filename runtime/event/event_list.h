/*
 * The built-in events: one table that the C names, the Lua names, `mos-run --events` and docs/events.md come from.
 *
 * X(symbol, bit, Lua name, hooks, side, when)
 *   hooks: which of N (MOS_NULL), S (MOS_HK_SND), R (MOS_HK_RCV) a handler may register at
 */
#ifndef MOS_EVENT_EVENT_LIST_H
#define MOS_EVENT_EVENT_LIST_H

#define EVENT_LIST(X)                                                                                                  \
	X(PKT_IN, 0, "pkt_in", "SRN", "sender at snd, receiver at rcv; both at null",                                  \
	  "Every TCP packet of a tracked connection, once at each hook. At null: a TCP packet without a connection, "  \
	  "before orphan; on a raw socket every packet that its filter accepts, once.")                                \
	X(CONN_START, 2, "conn_start", "SR", "cli at snd, svr at rcv",                                                 \
	  "The first SYN of a connection, once at each hook. A repeated SYN does not raise it again.")                 \
	X(CONN_NEW_DATA, 4, "conn_new_data", "NR", "receiver of the bytes",                                            \
	  "After a burst of packets, once per connection side whose contiguous bytes grew; always before that "        \
	  "connection's conn_end.")                                                                                    \
	X(ERROR, 5, "error", "N", "the side concerned",                                                                \
	  "Something is wrong, with a reason that can be asked: receive buffer full (before unread bytes are "         \
	  "overwritten), segment outside the window, inconsistent retransmission, bad checksum, malformed header, "    \
	  "gap.")                                                                                                      \
	X(TCP_STATE_CHANGE, 7, "tcp_state_change", "SR", "the end whose state changed",                                \
	  "The TCP state of an end changed.")                                                                          \
	X(ORPHAN, 8, "orphan", "N", "both",                                                                            \
	  "Every packet without a connection: not TCP at all, or TCP that no tracked connection claims. Carries the "  \
	  "passive socket.")                                                                                           \
	X(REXMIT, 9, "rexmit", "SR", "sender at snd, receiver at rcv",                                                 \
	  "The packet carries a byte, SYN or FIN that this end has sent before. Raised at both hooks before the "      \
	  "receiver's buffer changes. Partial overlap counts; a segment that fills a hole does not; a keep-alive "     \
	  "probe does not.")                                                                                           \
	X(CONN_END, 10, "conn_end", "SR", "once per side, first the side that sent last",                              \
	  "The connection's record goes: both sides closed, RST accepted, timeout, 4-tuple reused, memory limit, end " \
	  "of input.")

/* (event, hook) pairs a handler can stand at, in the order in which one hook serves them. X(event, hook) */
#define SLOT_LIST(X)             \
	X(PKT_IN, SND)           \
	X(CONN_START, SND)       \
	X(TCP_STATE_CHANGE, SND) \
	X(REXMIT, SND)           \
	X(CONN_END, SND)         \
	X(PKT_IN, RCV)           \
	X(CONN_START, RCV)       \
	X(TCP_STATE_CHANGE, RCV) \
	X(REXMIT, RCV)           \
	X(CONN_END, RCV)         \
	X(PKT_IN, NUL)           \
	X(CONN_NEW_DATA, NUL)    \
	X(ERROR, NUL)            \
	X(ORPHAN, NUL)

enum event_slot {
#define X(event, hook) SLOT_##event##_##hook,
	SLOT_LIST(X)
#undef X
		SLOT_COUNT
};

/* The same as bits: what a connection's mask and the tracker's answers are made of. */
enum {
#define X(event, hook) BIT_##event##_##hook = 1 << SLOT_##event##_##hook,
	SLOT_LIST(X)
#undef X
};

#endif
