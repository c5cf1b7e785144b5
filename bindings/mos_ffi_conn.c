/* Connections, for bindings/mos/conn.lua. */
#include <arpa/inet.h>
#include <string.h>

#include "connection.h"
#include "ctx.h"

int handle_sock(const struct mos_ctx *ctx, uint64_t handle)
{
	const struct mos_conn *c = handle_conn(ctx, handle);
	uint32_t passive = (uint32_t)(handle >> MOS_HANDLE_PASSIVE) & (PASSIVE_MAX - 1);

	_Static_assert(1 << (MOS_HANDLE_SIDE - MOS_HANDLE_PASSIVE) == PASSIVE_MAX,
		       "room for a passive socket's number");
	for (uint32_t i = c->sock; i; i = ctx->socks[i].next) {
		if (ctx->socks[i].passive == passive)
			return PASSIVE_MAX + (int)i;
	}
	return -1;
}

uint64_t mos_ffi_conn_uid(struct mos_ctx *ctx, uint64_t conn)
{
	return connection_uid(handle_conn(ctx, conn));
}

int mos_ffi_conn_sock(struct mos_ctx *ctx, uint64_t conn)
{
	return handle_sock(ctx, conn);
}

uint64_t mos_ffi_conn_bytes(struct mos_ctx *ctx, uint64_t conn, int side)
{
	return track_bytes(&ctx_worker(ctx)->tcp, handle_conn(ctx, conn), side);
}

uint64_t mos_ffi_conn_missed(struct mos_ctx *ctx, uint64_t conn, int side)
{
	return track_missing(&ctx_worker(ctx)->tcp, handle_conn(ctx, conn), side);
}

size_t mos_ffi_conn_addr(struct mos_ctx *ctx, uint64_t conn, int side, char *buf)
{
	const struct mos_conn *c = handle_conn(ctx, conn);
	const uint32_t *addr = c->key.addr_be[c->cli ^ side];

	return strlen(inet_ntop(c->key.family == 6 ? AF_INET6 : AF_INET, addr, buf, INET6_ADDRSTRLEN));
}
