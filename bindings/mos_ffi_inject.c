/* Packets of a script's own, for bindings/mos/inject.lua. */
#include <errno.h>
#include <string.h>

#include "ctx.h"
#include "inject.h"

static const char *inject_reason(int error)
{
	switch (error) {
	case EALREADY:
		return "the connection is closed";
	case EBUSY:
		return "a packet of that side is in dispatch; pkt:insert puts bytes into it";
	case EPIPE:
		return "that side has closed, or not opened yet";
	case EOPNOTSUPP:
		return "packets inside a tunnel cannot be made";
	case ENOBUFS:
		return "too many packets, or edits that wait for an acknowledgement";
	default:
		return strerror(error);
	}
}

const char *mos_ffi_inject(struct mos_ctx *ctx, uint64_t conn, int side, uint32_t flags, const void *payload,
			   size_t len)
{
	int rc = inject_segment(ctx_worker(ctx), handle_conn(ctx, conn), side, (uint8_t)flags, payload, len);

	return rc ? inject_reason(-rc) : NULL;
}

size_t mos_ffi_inject_again(struct mos_ctx *ctx, uint64_t conn, int side, const char **reason)
{
	ssize_t n = inject_again(ctx_worker(ctx), handle_conn(ctx, conn), side);

	*reason = n < 0 ? inject_reason((int)-n) : NULL;
	return n < 0 ? 0 : (size_t)n;
}

const char *mos_ffi_reset(struct mos_ctx *ctx, uint64_t conn)
{
	int rc = inject_reset(ctx_worker(ctx), handle_conn(ctx, conn));

	return rc ? inject_reason(-rc) : NULL;
}
