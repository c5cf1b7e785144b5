/* The bytes that an end received, for bindings/mos/read.lua. */
#include <errno.h>
#include <string.h>

#include "api/reader.h"
#include "ctx.h"
#include "flow/key.h"

const uint8_t *mos_ffi_read(struct mos_ctx *ctx, uint64_t conn, int side, size_t max, struct mos_view *v)
{
	struct worker *w = ctx_worker(ctx);
	int sock = handle_sock(ctx, conn);
	const uint8_t *bytes;
	ssize_t there = reader_view(w, sock, side, &bytes, &v->gap);

	if (there <= 0 || !max)
		return NULL;
	v->len = (size_t)there < max ? (size_t)there : max;
	reader_consume(w, sock, side, v->len);
	return bytes;
}

void mos_ffi_look_back(struct mos_ctx *ctx)
{
	ctx_worker(ctx)->looks_back = true;
}

int64_t mos_ffi_ppeek(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off, void *buf, size_t len)
{
	return reader_ppeek(ctx_worker(ctx), handle_sock(ctx, conn), side, buf, len, off);
}

/* The stream, in one piece, and the monitor's place in it; NULL where nothing is buffered. */
static const struct stream *stream_of(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t *cursor)
{
	int sock = handle_sock(ctx, conn);
	struct tracker *t = &ctx_worker(ctx)->tcp;
	struct stream *s = sock < 0 ? NULL : track_stream(t, handle_conn(ctx, conn), side);

	*cursor = sock < 0 ? 0 : ctx->socks[sock - PASSIVE_MAX].cursor[side];
	if (s)
		stream_unite(s, &t->slab);
	return s;
}

/* A look that moves nothing: a gap at the cursor is for mos_ffi_read to report. */
size_t mos_ffi_available(struct mos_ctx *ctx, uint64_t conn, int side)
{
	uint64_t cursor, gap;
	const struct stream *s = stream_of(ctx, conn, side, &cursor);
	size_t len = 0;

	if (s)
		stream_view(s, cursor, &len, &gap);
	return len;
}

const uint8_t *mos_ffi_parse(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off, struct mos_view *v)
{
	uint64_t cursor;
	const struct stream *s = stream_of(ctx, conn, side, &cursor);

	v->len = 0;
	v->gap = 0;
	return s ? stream_view(s, off, &v->len, &v->gap) : NULL;
}

/* Does the packet carry that byte of what `side` of the connection receives? */
static bool carries(const struct mos_packet *p, const struct mos_conn *c, int side, uint64_t off)
{
	if (p->decoded != MOS_DECODED_TCP || (p->dir ^ c->cli) == side || !key_equal(&p->key, &c->key))
		return false;
	uint32_t first = p->seq + !!(p->tcp_flags & MOS_TH_SYN) - c->end[!side].isn - 1;

	return (uint32_t)off - first < p->payload_len;
}

uint64_t mos_ffi_byte_time(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off)
{
	const struct worker *w = ctx_worker(ctx);
	const struct mos_conn *c = handle_conn(ctx, conn);

	for (unsigned i = 0; i < IO_BURST; i++) {
		if (carries(&w->burst[i], c, side, off))
			return w->burst[i].ts_ns;
	}
	return c->last_ns;
}

void mos_ffi_parsed(struct mos_ctx *ctx, uint64_t conn, int side, uint64_t off)
{
	reader_parsed(ctx_worker(ctx), handle_sock(ctx, conn), side, off);
}

int mos_ffi_starts_with(struct mos_ctx *ctx, uint64_t conn, int side, const char *text, size_t len)
{
	return reader_starts_with(ctx_worker(ctx), handle_sock(ctx, conn), side, text, len) > 0;
}

int64_t mos_ffi_find(struct mos_ctx *ctx, uint64_t conn, int side, const char *text, size_t len)
{
	int sock = handle_sock(ctx, conn);
	ssize_t at = reader_find(ctx_worker(ctx), sock, side, text, len);

	return at < 0 ? at : (int64_t)ctx->socks[sock - PASSIVE_MAX].cursor[side] + at;
}

int64_t mos_ffi_find_from(struct mos_ctx *ctx, uint64_t conn, int side, const char *text, size_t len, uint64_t from)
{
	uint64_t cursor, gap;
	const struct stream *s = stream_of(ctx, conn, side, &cursor);
	size_t there = 0;
	const uint8_t *bytes = s ? stream_view(s, from, &there, &gap) : NULL;
	const uint8_t *hit = bytes ? memmem(bytes, there, text, len) : NULL;

	return hit ? (int64_t)from + (hit - bytes) : -ENOENT;
}

int64_t mos_ffi_runs(struct mos_ctx *ctx, uint64_t conn, int side, struct mos_run *out, size_t n)
{
	_Static_assert(sizeof(struct mos_run) == sizeof(struct range), "the same two offsets");

	return reader_runs(ctx_worker(ctx), handle_sock(ctx, conn), side, (struct range *)out, n);
}
