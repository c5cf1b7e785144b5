#include "api/call.h"

enum { USEC = 1000000 };

int mtcp_register_callback(mctx_t m, int sock, event_t event, unsigned hook_point, callback_t cb)
{
	if (!m)
		return call_fail(EACCES);
	return (int)call_return(
		dispatch_register(&worker_of(m)->d, sock, event, hook_point, (struct handler){ .fn = cb }));
}

event_t(mtcp_define_event)(event_t event, filter_t filter, struct filter_arg *arg)
{
	return event_define(event, EVENT_C, filter, arg, NULL, NULL);
}

event_t mtcp_alloc_event(event_t event)
{
	return event_define(event, EVENT_RAISED, NULL, NULL, NULL, NULL);
}

int mtcp_raise_event(mctx_t m, event_t event)
{
	if (!m)
		return call_fail(EACCES);
	return (int)call_return(dispatch_raise(&worker_of(m)->d, event, worker_of(m)->d.ctx->side));
}

int mtcp_settimer(mctx_t m, int id, struct timeval *timeout, callback_t cb)
{
	if (!m)
		return call_fail(EACCES);
	if (!timeout || !cb)
		return call_fail(EFAULT);
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0 || timeout->tv_usec >= USEC)
		return call_fail(EINVAL);
	uint64_t delay = (uint64_t)timeout->tv_usec * 1000, seconds;

	/* More than 584 years is never. */
	if (__builtin_mul_overflow((uint64_t)timeout->tv_sec, 1000ull * USEC, &seconds) ||
	    __builtin_add_overflow(delay, seconds, &delay))
		delay = UINT64_MAX;
	return monitor_timer(worker_of(m), delay, (struct handler){ .fn = cb }, id) ? 0 : call_fail(ENOMEM);
}

uint32_t mtcp_cb_get_ts(mctx_t m)
{
	if (!m) {
		errno = EACCES;
		return 0;
	}
	return (uint32_t)(worker_of(m)->now_ns / 1000);
}
