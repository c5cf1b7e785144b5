/* The packet in dispatch, for bindings/mos/pkt.lua. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "ctx.h"
#include "pkt/decode.h"
#include "pkt/edit.h"
#include "rewrite.h"

static size_t addr_at(const struct mos_packet *p, bool v6, size_t off, int which, char *buf)
{
	size_t len = v6 ? 16 : 4, at = off + (v6 ? 8 : 12) + len * (size_t)which;

	if (at + len > p->caplen || !inet_ntop(v6 ? AF_INET6 : AF_INET, p->data + at, buf, INET6_ADDRSTRLEN))
		return 0;
	return strlen(buf);
}

size_t mos_ffi_packet_addr(struct mos_ctx *ctx, int which, char *buf)
{
	const struct mos_packet *p = ctx->pkt;

	return p && p->ip_version ? addr_at(p, p->ip_version == 6, p->l3, which, buf) : 0;
}

size_t mos_ffi_packet_addr_at(struct mos_ctx *ctx, uint32_t offset, int which, char *buf)
{
	const struct mos_packet *p = ctx->pkt;

	return p && offset < p->caplen ? addr_at(p, p->data[offset] >> 4 == 6, offset, which, buf) : 0;
}

size_t mos_ffi_packet_layers(struct mos_ctx *ctx, const char **names, uint32_t *offsets, size_t n)
{
	struct packet_layer layers[64];
	unsigned count = ctx->pkt ? packet_layers(ctx->pkt, layers, n < 64 ? (unsigned)n : 64) : 0;

	for (unsigned i = 0; i < count; i++) {
		names[i] = packet_layer_name(layers[i].kind);
		offsets[i] = layers[i].off;
	}
	return count;
}

size_t mos_ffi_addr_parse(const char *text, uint32_t family, uint8_t *out)
{
	if (inet_pton(family == 6 ? AF_INET6 : AF_INET, text, out) != 1)
		return 0;
	return family == 6 ? 16 : 4;
}

int mos_ffi_packet_write(struct mos_ctx *ctx, int layer, size_t off, const void *data, size_t len)
{
	return packet_overwrite(ctx->pkt, (enum edit_layer)layer, off, data, len);
}

static const char *edit_reason(int error)
{
	switch (error) {
	case ENOTCONN:
		return "the packet belongs to no connection";
	case EINVAL:
		return "the packet has no payload, or one that its receiver will not accept";
	case ERANGE:
		return "the packet, as captured, does not have these bytes";
	case EALREADY:
		return "these bytes, or later ones, have left before";
	case EOPNOTSUPP:
		return "a SYN, or a packet inside a tunnel, cannot be edited";
	case ENOBUFS:
		return "too many edits wait for an acknowledgement";
	default:
		return strerror(error);
	}
}

const char *mos_ffi_packet_edit(struct mos_ctx *ctx, size_t off, size_t cut, const void *bytes, size_t put)
{
	int rc = rewrite_payload(ctx_worker(ctx), off, cut, bytes, put);

	return rc ? edit_reason(-rc) : NULL;
}

const char *mos_ffi_in_order(struct mos_ctx *ctx, uint64_t conn, int side)
{
	int rc = reorder_begin(ctx_worker(ctx), handle_conn(ctx, conn), side);

	return rc ? strerror(-rc) : NULL;
}

int mos_ffi_packet_fix(struct mos_ctx *ctx)
{
	struct mos_packet *p = ctx->pkt;

	if (p->ip_version == 4)
		packet_fix_ip_checksum(p);
	return packet_fix_body_checksum(p);
}
