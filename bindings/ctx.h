/* What a mos_ffi_ function works on: Lua hands it the context, which lies in its worker, and handles of connections. */
#ifndef MOS_BINDINGS_CTX_H
#define MOS_BINDINGS_CTX_H

#include "worker.h"

static inline struct worker *ctx_worker(struct mos_ctx *ctx)
{
	return ctx->owner;
}

/* The handle of the connection in dispatch, as the monitor of the socket in dispatch knows it; 0 without a connection. */
static inline uint64_t ctx_handle(const struct mos_ctx *ctx)
{
	if (!ctx->conn)
		return 0;
	return (uint64_t)(ctx->conn - ctx->conns) |
	       (uint64_t)ctx->socks[ctx->sock - PASSIVE_MAX].passive << MOS_HANDLE_PASSIVE |
	       (uint64_t)ctx->conn->gen << MOS_HANDLE_GEN;
}

static inline struct mos_conn *handle_conn(const struct mos_ctx *ctx, uint64_t handle)
{
	return &ctx->conns[handle & ((1u << MOS_HANDLE_PASSIVE) - 1)];
}

/* The active socket that a handle means; -1 if it is gone. */
int handle_sock(const struct mos_ctx *ctx, uint64_t handle);

#endif
