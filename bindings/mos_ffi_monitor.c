/* Monitoring sockets, their options and timers, for bindings/mos/monitor.lua, read.lua and timer.lua. */
#include "api/monitor.h"

#include "ctx.h"

int mos_ffi_monitor_open(struct mos_ctx *ctx, uint32_t family, int raw)
{
	return monitor_open(ctx_worker(ctx), (uint8_t)family, raw);
}

int mos_ffi_monitor_bind(struct mos_ctx *ctx, int sock, const char *filter, const char *orphan, char *err,
			 size_t errlen)
{
	return monitor_bind(ctx_worker(ctx), sock, filter, orphan, err, errlen);
}

int mos_ffi_monitor_close(struct mos_ctx *ctx, int sock)
{
	return monitor_close(ctx_worker(ctx), sock);
}

int mos_ffi_set_buffer(struct mos_ctx *ctx, int sock, int side, uint64_t bytes)
{
	return monitor_buffer(ctx_worker(ctx), sock, side, bytes);
}

int mos_ffi_set_overlap(struct mos_ctx *ctx, int sock, int side, int policy)
{
	return monitor_overlap(ctx_worker(ctx), sock, side, policy);
}

int mos_ffi_stop(struct mos_ctx *ctx, uint64_t conn, int side)
{
	return monitor_stop(ctx_worker(ctx), handle_sock(ctx, conn), side);
}

int mos_ffi_set_record(struct mos_ctx *ctx, uint32_t size)
{
	return worker_set_record(ctx_worker(ctx), size);
}

uint64_t mos_ffi_timer_add(struct mos_ctx *ctx, uint64_t delay_ns, uint32_t ref, int32_t id)
{
	return monitor_timer(ctx_worker(ctx), delay_ns, (struct handler){ .ref = ref }, id);
}

int mos_ffi_timer_cancel(struct mos_ctx *ctx, uint64_t key)
{
	return timers_cancel(&ctx_worker(ctx)->timers, key);
}
