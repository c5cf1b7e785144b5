/*
 * Where packets come from and go to. A backend fills bursts of plain packet views and takes them back;
 * nothing above this line knows which backend it is.
 */
#ifndef MOS_IO_IO_H
#define MOS_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/stats.h"
#include "mos_ffi.h"

enum { IO_BURST = 32 };

/* What rx_burst answers besides a count. */
enum { IO_END = -1, IO_FAILED = -2 };

struct io;

struct io_ops {
	const char *name;
	/*
	 * Fill up to n views (data, ts_ns, caplen, len, link, port, number, checks where a port says anything of them; the
	 * rest is the decoder's). The frames stay
	 * valid and writable until free_burst. Returns the count, 0 when nothing is there now, IO_END at the end of
	 * input, IO_FAILED after an input error, whose text io_error gives; packets read before it have been delivered.
	 */
	int (*rx_burst)(struct io *io, struct mos_packet *pkts, unsigned n);
	/* The burst last received is done with. */
	void (*free_burst)(struct io *io);
	/*
	 * Sleep while there is nothing to receive, at most timeout_ms, and no longer than until a signal is handled or
	 * wake_fd becomes readable, which is then read. NULL: rx_burst itself waits.
	 */
	void (*wait)(struct io *io, int timeout_ms);
	/*
	 * Where sends is set: have the packet's frame, as it is now, leave at the other port of the pair of its port, or,
	 * with reverse, at its port itself. index is its place in the burst last received, -1 where it is none of it. The
	 * frame stays the caller's and as it is until tx_flush. Each lane is used by one thread at a time. A packet that
	 * cannot be sent is counted.
	 */
	void (*tx)(struct io *io, unsigned lane, const struct mos_packet *p, bool reverse, int index);
	/* What has been given to tx leaves now. */
	void (*tx_flush)(struct io *io, unsigned lane);
	/*
	 * Nobody needs packets that this pcap filter for Ethernet does not match; NULL: everybody may need any. A hint,
	 * which any thread may give at any time. NULL: the source takes no hints.
	 */
	void (*narrow)(struct io *io, const char *filter);
	/* Add what the ports have counted so far. NULL: nothing. */
	void (*count)(struct io *io, struct stats *sum);
	/* How far a file is read, 0 to 1; negative when unknown. NULL: always unknown. */
	double (*progress)(struct io *io);
	void (*close)(struct io *io);
};

/* Backends embed this first. */
struct io {
	const struct io_ops *ops;
	char error[256];  /* text of the last failure: place and cause */
	const char *path; /* file or interface, for messages */
	bool damaged;     /* the failure is a capture cut short or damaged, not one that cannot be read at all */
	uint64_t packets; /* delivered so far */
	uint64_t now_ns;  /* after rx_burst: time has come so far, even without a packet; 0: only packets tell */
	int wake_fd;      /* of an eventfd that ends a wait, where the backend has a wait */
	bool live;        /* time is the clock's, and packets that are not taken are lost */
	bool sends;       /* packets pass from port to port */
	bool finishes;    /* and MOS_CHECKS_DUE is understood: the TCP checksum is the pseudo-header's sum so far */
};

/*
 * Read capture files one after the other ("-": standard input), filtered by a pcap filter (NULL: none). pcap, pcapng
 * and snoop, in either byte order and any resolution; a pcapng file may have interfaces of several link types, and a
 * packet's port is the number of its interface. paths and filter must outlive the reader. On failure NULL, with a
 * one-line reason (file and cause, or the filter and what is wrong with it) in err.
 *
 * Every file is opened when its turn comes, except the first, which is opened here. One that turns out to be damaged
 * ends there: with a warning on standard error if others follow, else with IO_FAILED and damaged set. A link type that
 * packet_decode does not know, or that the filter does not fit, is named once by a warning; packets of the former are
 * delivered, of the latter left out. (If the filter fits none so far, that is a failure.)
 *
 * Packets are delivered as they arrive: a burst is as long as what one read has brought. While a pipe brings nothing,
 * rx_burst answers 0 several times a second, and at once when a signal has been handled.
 */
struct io *io_pcap_open(const char *const *paths, unsigned n, const char *filter, char *err, size_t errlen);

/*
 * All packets of `in`, read into memory now, and given `repeat` times, each time later than the time before by as long as
 * they took and pause_ns. `in` is closed, whatever comes of it. What a handler writes into a frame stays there. Reading
 * ends early, without a failure, when *stop is set (NULL: never). A damaged capture is a warning, and given as far as it
 * goes; else, on failure, NULL with one line in err.
 */
struct io *io_preload(struct io *in, unsigned repeat, uint64_t pause_ns, const int *stop, char *err, size_t errlen);

/* A port to watch, or two between which packets pass both ways. Names of interfaces. */
struct io_pair {
	const char *a;
	const char *b; /* NULL: a is watched */
};

/*
 * Open network interfaces; the ports are numbered in the order of the pairs. filter as above: the kernel applies it where
 * a port is only watched; between the ports of a pair, what it does not match passes unseen. Packets that a pair's port
 * sends are not seen there. lanes: of tx, the last one for the thread that calls rx_burst. An interface that goes away
 * while it is read is named by an error on standard error; when the last one has gone, rx_burst answers IO_FAILED. On
 * failure NULL, with a one-line reason in err.
 */
struct io *io_live_open(const struct io_pair *pairs, unsigned n, const char *filter, unsigned lanes, char *err,
			size_t errlen);

/* Are the input and the output the same file? "-" stands for standard input and output. Devices and pipes never are. */
bool io_same_file(const char *input, const char *output);

/* A writer of one capture file; all packets must have the link type of the first. */
struct io_writer;

/* path "-" is standard output. NULL with a reason in err when it cannot be created. */
struct io_writer *io_writer_open(const char *path, char *err, size_t errlen);

/*
 * Append the frame as it is now. 0 or -errno (-EPROTOTYPE: another link type than the first packet's; -EPROTONOSUPPORT:
 * a link type that files have no number for).
 */
int io_writer_put(struct io_writer *w, const struct mos_packet *p);

/* Flush and close. 0 or -errno if anything was lost. NULL is a no-op. */
int io_writer_close(struct io_writer *w);

#endif
