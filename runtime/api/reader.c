#include "api/reader.h"

#include <errno.h>
#include <string.h>

/* A socket's place in one side's bytes. */
struct place {
	struct mos_sock *sock;
	const struct mos_conn *conn;
	struct stream *stream; /* NULL: nothing is buffered */
	int side;
};

static int place_find(struct worker *w, int sock, int side, struct place *at)
{
	struct mos_sock *s = dispatch_sock(&w->d, sock);

	if (!s || (s->flags & MOS_SOCK_CLOSED))
		return !s && dispatch_passive_at(&w->d, sock) ? -ENOTSOCK : -EBADF;
	if (side != MOS_SIDE_CLI && side != MOS_SIDE_SVR)
		return -EINVAL;
	at->sock = s;
	at->conn = worker_conn(w, s->conn);
	at->stream = track_stream(&w->tcp, at->conn, side);
	at->side = side;
	return 0;
}

/* The same, by someone who is going to look at unread bytes. */
static int place_read(struct worker *w, int sock, int side, struct place *at)
{
	int err = place_find(w, sock, side, at);

	if (!err)
		at->sock->flags |= (uint16_t)(MOS_SOCK_READS_CLI << side);
	return err;
}

static void unite(struct worker *w, const struct place *at)
{
	if (at->stream)
		stream_unite(at->stream, &w->tcp.slab);
}

static size_t unread(const struct place *at, const uint8_t **bytes, uint64_t *gap)
{
	size_t len = 0;

	*gap = 0;
	*bytes = at->stream ? stream_view(at->stream, at->sock->cursor[at->side], &len, gap) : NULL;
	return len;
}

ssize_t reader_view(struct worker *w, int sock, int side, const uint8_t **bytes, uint64_t *gap)
{
	struct place at;
	uint64_t missing;
	int err = place_read(w, sock, side, &at);

	if (gap)
		*gap = 0;
	if (err)
		return err;
	unite(w, &at);
	size_t len = unread(&at, bytes, &missing);

	if (!missing)
		return (ssize_t)len;
	at.sock->cursor[side] += missing;
	if (gap)
		*gap = missing;
	return -ENODATA;
}

ssize_t reader_consume(struct worker *w, int sock, int side, size_t len)
{
	struct place at;
	const uint8_t *bytes;
	uint64_t gap;
	int err = place_read(w, sock, side, &at);

	if (err)
		return err;
	unite(w, &at);
	size_t there = unread(&at, &bytes, &gap);

	if (len > there)
		len = there;
	at.sock->cursor[side] += len;
	return (ssize_t)len;
}

/* Piece by piece: who copies does not need them in one. */
ssize_t reader_peek(struct worker *w, int sock, int side, void *buf, size_t len)
{
	struct place at;
	const uint8_t *bytes;
	uint64_t missing;
	size_t done = 0, n;
	int err = place_read(w, sock, side, &at);

	if (err)
		return err;
	while ((n = unread(&at, &bytes, &missing)) && done < len) {
		n = n < len - done ? n : len - done;
		memcpy((uint8_t *)buf + done, bytes, n);
		done += n;
		at.sock->cursor[side] += n;
	}
	if (!missing || done)
		return (ssize_t)done;
	at.sock->cursor[side] += missing;
	return -ENODATA;
}

ssize_t reader_ppeek(struct worker *w, int sock, int side, void *buf, size_t len, uint64_t off)
{
	struct place at;
	int err = place_find(w, sock, side, &at);

	if (err)
		return err;
	ssize_t n = at.stream ? stream_ppeek(at.stream, off, buf, len) : -ENODATA;

	return n < 0 || (n == 0 && len) ? -ENODATA : n;
}

ssize_t reader_find(struct worker *w, int sock, int side, const void *needle, size_t len)
{
	struct place at;
	const uint8_t *bytes, *hit;
	uint64_t gap;
	int err = place_read(w, sock, side, &at);

	if (err)
		return err;
	unite(w, &at);
	size_t there = unread(&at, &bytes, &gap);

	hit = there ? memmem(bytes, there, needle, len) : NULL;
	return hit ? hit - bytes : -ENOENT;
}

int reader_starts_with(struct worker *w, int sock, int side, const void *prefix, size_t len)
{
	struct place at;
	const uint8_t *bytes;
	uint64_t gap;
	int err = place_read(w, sock, side, &at);

	if (err)
		return err;
	unite(w, &at);
	return unread(&at, &bytes, &gap) >= len && (!len || memcmp(bytes, prefix, len) == 0);
}

ssize_t reader_runs(struct worker *w, int sock, int side, struct range *runs, size_t n)
{
	struct place at;
	int err = place_find(w, sock, side, &at);

	if (err)
		return err;
	if (!at.stream)
		return -ENODATA;
	uint32_t room = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	uint32_t all = stream_runs(at.stream, runs, room);

	return all < room ? all : room;
}

int reader_info(struct worker *w, int sock, int side, struct tcp_buf_info *info)
{
	struct place at;
	int err = place_find(w, sock, side, &at);

	if (err)
		return err;
	if (!at.stream)
		return -ENODATA;
	/* The bytes that a side received carry the other end's numbers. */
	uint32_t first = at.conn->end[!side].isn + 1;

	*info = (struct tcp_buf_info){
		.tcpbi_init_seq = first,
		.tcpbi_last_byte_read = first + (uint32_t)at.sock->cursor[side],
		.tcpbi_next_byte_expected = first + (uint32_t)at.stream->cont,
		.tcpbi_last_byte_received = first + (uint32_t)at.stream->max,
	};
	return 0;
}

void reader_parsed(struct worker *w, int sock, int side, uint64_t off)
{
	struct mos_sock *s = dispatch_sock(&w->d, sock);

	struct mos_sock_more *more = s ? dispatch_more_make(&w->d, s) : NULL;

	if (!more)
		return;
	s->flags |= (uint16_t)(MOS_SOCK_PARSES_CLI << side);
	more->parsed[side] = off;
}

uint64_t reader_keep(const struct worker *w, const struct mos_conn *c, int side)
{
	const int reads = MOS_SOCK_READS_CLI << side, parses = MOS_SOCK_PARSES_CLI << side;
	const int gone = MOS_SOCK_CLOSED | MOS_SOCK_STOPPED_CLI << side;
	uint64_t keep = UINT64_MAX;

	for (uint32_t i = c->sock; i;) {
		const struct mos_sock *s = pool_at(&w->d.socks, i);

		if ((s->flags & (reads | gone)) == reads && s->cursor[side] < keep)
			keep = s->cursor[side];
		if ((s->flags & (parses | gone)) == parses && dispatch_more(&w->d, s)->parsed[side] < keep)
			keep = dispatch_more(&w->d, s)->parsed[side];
		i = s->next;
	}
	return keep;
}
