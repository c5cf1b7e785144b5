#include <limits.h>
#include <string.h>

#include "api/call.h"
#include "api/reader.h"

/* An option's value in and its room: answers of the readers below. */
static int give(void *optval, socklen_t *optlen, const void *value, socklen_t len)
{
	if (*optlen < len)
		return -EINVAL;
	memcpy(optval, value, len);
	*optlen = len;
	return 0;
}

static int give_int(void *optval, socklen_t *optlen, int value)
{
	return give(optval, optlen, &value, sizeof(value));
}

static int give_time(void *optval, socklen_t *optlen, uint64_t ns)
{
	uint64_t us = ns / 1000;
	uint32_t low = (uint32_t)us;

	if (*optlen == sizeof(us))
		return give(optval, optlen, &us, sizeof(us));
	return give(optval, optlen, &low, sizeof(low));
}

static int give_info(struct worker *w, int sock, int side, void *optval, socklen_t *optlen)
{
	struct tcp_buf_info info;
	int rc = reader_info(w, sock, side, &info);

	return rc ? rc : give(optval, optlen, &info, sizeof(info));
}

/* *optlen counts elements here, as mOS has it. */
static int give_fragments(struct worker *w, int sock, int side, struct tcp_ring_fragment *out, socklen_t *optlen)
{
	struct range runs[STREAM_MAX_RUNS];
	socklen_t room = *optlen;
	ssize_t n = reader_runs(w, sock, side, runs, room < STREAM_MAX_RUNS ? room : STREAM_MAX_RUNS);

	if (n < 0)
		return (int)n;
	if (!room)
		return -EINVAL;
	for (ssize_t i = 0; i < n; i++) {
		uint64_t len = runs[i].to - runs[i].from;

		out[i].offset = runs[i].from;
		out[i].len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
	}
	if (n < room)
		out[n] = (struct tcp_ring_fragment){ 0 };
	*optlen = (socklen_t)n;
	return 0;
}

static int get_option(struct worker *w, int sock, int option, void *optval, socklen_t *optlen)
{
	const struct mos_conn *c = worker_conn(w, dispatch_sock(&w->d, sock)->conn);

	switch (option) {
	case MOS_FRAGINFO_CLIBUF:
		return give_fragments(w, sock, MOS_SIDE_CLI, optval, optlen);
	case MOS_FRAGINFO_SVRBUF:
		return give_fragments(w, sock, MOS_SIDE_SVR, optval, optlen);
	case MOS_INFO_CLIBUF:
		return give_info(w, sock, MOS_SIDE_CLI, optval, optlen);
	case MOS_INFO_SVRBUF:
		return give_info(w, sock, MOS_SIDE_SVR, optval, optlen);
	case MOS_TCP_STATE_CLI:
		return give_int(optval, optlen, c->end[MOS_SIDE_CLI].state);
	case MOS_TCP_STATE_SVR:
		return give_int(optval, optlen, c->end[MOS_SIDE_SVR].state);
	case MOS_TIMESTAMP:
		return give_time(optval, optlen, c->last_ns);
	case MOS_END_REASON:
		return give_int(optval, optlen, c->end_reason);
	case MOS_ERROR_REASON:
		return give_int(optval, optlen, c->err_reason);
	default:
		return -ENOSYS;
	}
}

int mtcp_getsockopt(mctx_t m, int sock, int level, int option, void *optval, socklen_t *optlen)
{
	if (!call_active(m, sock))
		return -1;
	if (level != SOL_MONSOCKET)
		return call_fail(ENOSYS);
	if (!optval || !optlen)
		return call_fail(EFAULT);
	return (int)call_return(get_option(worker_of(m), sock, option, optval, optlen));
}

/* An int, or 8 bytes for sizes beyond it. */
static bool take(const void *optval, socklen_t optlen, int64_t *value)
{
	int small;

	if (optlen == sizeof(*value)) {
		memcpy(value, optval, sizeof(*value));
		return true;
	}
	if (optlen != sizeof(small))
		return false;
	memcpy(&small, optval, sizeof(small));
	*value = small;
	return true;
}

static int set_buffer(struct worker *w, int sock, int side, int64_t value)
{
	return value < 0 ? -EINVAL : monitor_buffer(w, sock, side, (uint64_t)value);
}

static int set_option(struct worker *w, int sock, int option, int64_t value)
{
	int small = value < 0 || value > INT_MAX ? -1 : (int)value;

	switch (option) {
	case MOS_CLIBUF:
		return set_buffer(w, sock, MOS_SIDE_CLI, value);
	case MOS_SVRBUF:
		return set_buffer(w, sock, MOS_SIDE_SVR, value);
	case MOS_CLIOVERLAP:
		return monitor_overlap(w, sock, MOS_SIDE_CLI, small);
	case MOS_SVROVERLAP:
		return monitor_overlap(w, sock, MOS_SIDE_SVR, small);
	case MOS_STOP_MON:
		return monitor_stop(w, sock, small);
	default:
		return -ENOSYS;
	}
}

int mtcp_setsockopt(mctx_t m, int sock, int level, int option, const void *optval, socklen_t optlen)
{
	int64_t value;

	if (!call_socket(m, sock))
		return -1;
	if (level != SOL_MONSOCKET)
		return call_fail(ENOSYS);
	if (!optval)
		return call_fail(EFAULT);
	if (!take(optval, optlen, &value))
		return call_fail(EINVAL);
	return (int)call_return(set_option(worker_of(m), sock, option, value));
}
