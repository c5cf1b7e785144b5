/*
 * What a worker counts. One list that the structure, the sum and the printed table come from: a new counter is a new
 * line here and an increment where it happens.
 *
 * Nothing but lists of names is behind this header, so every layer may include it.
 */
#ifndef MOS_CONTROL_STATS_H
#define MOS_CONTROL_STATS_H

#include <stdint.h>
#include <stdio.h>

#include "event/event_list.h"
#include "mos_ffi.h"

/* X(field, meaning) */
#define STATS_PACKETS(X)                                            \
	X(packets, "packets read")                                  \
	X(bytes, "their bytes on the wire")                         \
	X(tcp_packets, "with a TCP header")                         \
	X(orphans, "without a connection")                          \
	X(orphans_no_syn, "of these, TCP that began before")        \
	X(orphans_filtered, "of these, TCP that no filter accepts") \
	X(orphans_limit, "of these, TCP refused at a limit")        \
	X(orphans_compressed, "of these, compressed (IPComp)")      \
	X(orphans_encrypted, "of these, encrypted (ESP)")           \
	X(bad_checksum, "with a wrong checksum, if checked")        \
	X(dropped, "dropped by a handler's verdict")                \
	X(sent, "made by handlers")                                 \
	X(written, "written")

#define STATS_FRAGMENTS(X)                                                        \
	X(fragments, "IP fragments")                                              \
	X(fragments_reassembled, "datagrams put together from them")              \
	X(fragments_duplicate, "exact copies")                                    \
	X(fragments_overlap, "overlaps: IPv4 as --frag-overlap says, IPv6 drops") \
	X(fragments_timeout, "datagrams given up: a part did not come in time")   \
	X(fragments_limit, "datagrams given up to make room")                     \
	X(fragments_bad, "empty, too long, of odd length, or with another end")   \
	X(fragments_cut, "not captured whole")                                    \
	X(fragments_other, "that lead to no TCP")

#define STATS_CONNECTIONS(X)                                      \
	X(connections, "tracked")                                 \
	X(connections_midstream, "of these, picked up midstream") \
	X(connections_ended, "ended")                             \
	X(sockets, "active sockets opened for them")

#define STATS_TCP(X)                                                         \
	X(rexmit_packets, "packets that repeat a byte, SYN or FIN")          \
	X(out_of_order_packets, "packets that left a hole before them")      \
	X(gaps, "holes given up: acknowledged and never seen")               \
	X(gap_bytes, "bytes missing in them")                                \
	X(cut_bytes, "payload that the capture cut off")                     \
	X(refused_bytes, "payload of segments refused: window, time, RST")   \
	X(outside_bytes, "payload below a stream's start or behind its FIN") \
	X(rst_bytes, "payload of RSTs, which belongs to no stream")          \
	X(out_of_window, "segments outside the receiver's window")           \
	X(rst_ignored, "blind RSTs (RFC 5961 3.2)")                          \
	X(paws_rejected, "segments with an old timestamp (RFC 7323 5)")      \
	X(conflicts, "retransmissions with other bytes")                     \
	X(keepalives, "keep-alive probes")                                   \
	X(after_close_packets, "packets of connections already closed")      \
	X(edits, "edits of streams in flight")                               \
	X(edit_failed, "packets that could not be edited, and dropped")

#define STATS_PORTS(X)                                                                            \
	X(forwarded, "sent from port to port")                                                    \
	X(unseen, "of these, without passing a handler: not filtered for, or the queue was full") \
	X(port_lost, "lost before they were read: by the kernel or the card")                     \
	X(queue_lost, "dropped because a worker's queue was full")                                \
	X(unsent, "that a port did not take")                                                     \
	X(port_verified, "TCP packets whose checksums the port verified")                         \
	X(port_finished, "packets made here whose TCP checksum the port finished")

#define STATS_LIMITS(X)                                                       \
	X(buffer_full, "times that bytes found no room in a buffer")          \
	X(buffer_lost_bytes, "bytes that no buffer could keep")               \
	X(conn_limit, "connections ended or refused: too many connections")   \
	X(sock_limit, "active sockets refused: too many sockets")             \
	X(hole_limit, "holes forgotten, as if filled: too many of one side")  \
	X(memory_limit, "buffers refused or given up: too many bytes in all") \
	X(edit_limit, "edits refused: too many, or bytes, not acknowledged")

#define STATS_HANDLERS(X)                                                          \
	X(handler_calls, "handlers run")                                           \
	X(handler_errors, "handlers that failed")                                  \
	X(handlers_unnamed, "of one connection, lost in a reload: without a name") \
	X(handlers_unbound, "the same: the new program has none of that name")

#define STATS_SCRIPT(X)                                                    \
	X(handlers_stopped, "handlers that took too long and were killed") \
	X(handlers_out, "handlers taken out: they failed too often")       \
	X(script_memory_out, "times that a script had no memory left")     \
	X(script_starts, "times that a script began afresh")               \
	X(script_memory, "bytes of the workers' Lua states")               \
	X(jit_traces, "traces that LuaJIT compiled")                       \
	X(jit_aborts, "traces that it could not compile")                  \
	X(jit_given_up, "places that it does not try to compile any more") \
	X(jit_flushes, "times that it threw all its code away")            \
	X(gc_us, "microseconds of CPU time of collections between bursts")

#define STATS_LIST(X)        \
	STATS_PACKETS(X)     \
	STATS_FRAGMENTS(X)   \
	STATS_CONNECTIONS(X) \
	STATS_TCP(X)         \
	STATS_PORTS(X)       \
	STATS_LIMITS(X)      \
	STATS_HANDLERS(X)    \
	STATS_SCRIPT(X)

struct stats {
#define X(field, meaning) uint64_t field;
	STATS_LIST(X)
#undef X
	uint64_t decode[MOS_DECODE_COUNT]; /* packets, by what the decoder made of them */
	uint64_t ended[MOS_ENDED_COUNT];   /* connections, by reason */
	uint64_t events[SLOT_COUNT];       /* events raised to at least one socket, by event and hook */
	uint64_t gc_longest_us;            /* the longest step of a collection; the sum is the longest of all */
	uint64_t sampled[SLOT_COUNT];      /* handlers in Lua whose time was taken: about one in 64 */
	uint64_t sampled_ns[SLOT_COUNT];   /* their time */
};

/* sum += s, counter by counter. */
void stats_add(struct stats *sum, const struct stats *s);

/*
 * A table for people: name, count and meaning of each counter, in sections. Decode results, fragments, end reasons and
 * events that did not occur are left out.
 */
void stats_print(const struct stats *s, FILE *f);

#endif
