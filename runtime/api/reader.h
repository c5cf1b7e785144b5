/*
 * Reading what an end of a connection received, through an active socket: each has a cursor of its own per side. What
 * mtcp_peek and Lua's conn methods are made of.
 *
 * side is the receiver of the bytes, MOS_SIDE_CLI or MOS_SIDE_SVR. All fail with -EBADF (no such socket), -ENOTSOCK
 * (a passive one) or -EINVAL (no such side). What needs the cursor marks the socket as a reader of that side: from
 * then on unread bytes are kept for it as long as the buffer allows, and ERROR tells before they go.
 */
#ifndef MOS_API_READER_H
#define MOS_API_READER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker.h"

/*
 * The unread bytes, contiguous and without a copy: how many, and where in *bytes; valid until the next packet or a
 * change of the buffer. 0: nothing to read yet, or no buffer. -ENODATA: bytes were overwritten or lost before they
 * were read; the cursor has been moved past them, and *gap (unless gap is NULL) says how many they were; it is 0
 * otherwise.
 */
ssize_t reader_view(struct worker *w, int sock, int side, const uint8_t **bytes, uint64_t *gap);

/* Move the cursor over up to len unread bytes. Returns how many. */
ssize_t reader_consume(struct worker *w, int sock, int side, size_t len);

/* View, copy up to len bytes, consume them. */
ssize_t reader_peek(struct worker *w, int sock, int side, void *buf, size_t len);

/*
 * Copy up to len bytes from stream offset off on, early bytes included. The cursor does not matter and does not move.
 * -ENODATA: the byte at off is not there.
 */
ssize_t reader_ppeek(struct worker *w, int sock, int side, void *buf, size_t len, uint64_t off);

/* Where needle first is in the unread bytes, counted from the cursor; -ENOENT: not in what is there. */
ssize_t reader_find(struct worker *w, int sock, int side, const void *needle, size_t len);

/* 1 if the unread bytes begin with prefix, else 0. */
int reader_starts_with(struct worker *w, int sock, int side, const void *prefix, size_t len);

/*
 * The runs of bytes that are buffered, in order, as many as n has room for. Returns how many are written. -ENODATA:
 * no buffer.
 */
ssize_t reader_runs(struct worker *w, int sock, int side, struct range *runs, size_t n);

/* Where that side's buffer stands, for this socket. 0; -ENODATA: no buffer. */
int reader_info(struct worker *w, int sock, int side, struct tcp_buf_info *info);

/* A parser of the socket has done with the bytes below off; those from there on count as unread, too. */
void reader_parsed(struct worker *w, int sock, int side, uint64_t off);

/* The lowest unread offset among the sockets that read what side received; UINT64_MAX: nobody does. */
uint64_t reader_keep(const struct worker *w, const struct mos_conn *c, int side);

#endif
