#include <string.h>

#include "api/call.h"
#include "util/log.h"

int mtcp_socket(mctx_t m, int domain, int type, int protocol)
{
	uint8_t family = domain == AF_INET ? 4 : domain == AF_INET6 ? 6 : 0;

	(void)protocol;
	if (!m)
		return call_fail(EACCES);
	if (!family && domain != AF_UNSPEC)
		return call_fail(EAFNOSUPPORT);
	if (type != MOS_SOCK_MONITOR_STREAM && type != MOS_SOCK_MONITOR_RAW)
		return call_fail(ESOCKTNOSUPPORT);
	return (int)call_return(monitor_open(worker_of(m), family, type == MOS_SOCK_MONITOR_RAW));
}

int mtcp_close(mctx_t m, int sock)
{
	if (!m)
		return call_fail(EACCES);
	return (int)call_return(monitor_close(worker_of(m), sock));
}

int mtcp_bind_monitor_filter(mctx_t m, int sock, const monitor_filter_t *ft)
{
	char err[512] = "";

	if (!call_socket(m, sock))
		return -1;
	if (!ft)
		return 0;
	/* A raw socket's filter shares the first string's place in the union, and has no second. */
	struct passive *s = dispatch_passive_at(&worker_of(m)->d, sock);
	const char *orphan = s && !s->raw ? ft->stream_orphan_filter : NULL;
	int rc = monitor_bind(worker_of(m), sock, ft->stream_syn_filter, orphan, err, sizeof(err));

	if (*err)
		log_error("%s", err);
	return (int)call_return(rc);
}

void mtcp_set_uctx(mctx_t m, int sock, void *uctx)
{
	struct mos_sock *s = call_active(m, sock);
	struct mos_sock_more *more = s ? dispatch_more_make(&worker_of(m)->d, s) : NULL;

	if (more) {
		more->uctx = uctx;
		more->load = worker_of(m)->d.load;
	} else if (s) {
		errno = ENOMEM;
	} else if (errno == ENOTSOCK) {
		dispatch_passive_at(&worker_of(m)->d, sock)->uctx = uctx;
	}
}

void *mtcp_get_uctx(mctx_t m, int sock)
{
	const struct mos_sock *s = call_active(m, sock);

	if (!s)
		return errno == ENOTSOCK ? dispatch_passive_at(&worker_of(m)->d, sock)->uctx : NULL;
	const struct mos_sock_more *more = dispatch_more(&worker_of(m)->d, s);

	return more ? more->uctx : NULL;
}

static void fill_in4(struct sockaddr *sa, const struct mos_key *k, int end)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(k->port[end]) };

	in.sin_addr.s_addr = k->addr_be[end][0];
	memcpy(sa, &in, sizeof(in));
}

static void fill_in6(struct sockaddr *sa, const struct mos_key *k, int end)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(k->port[end]) };

	memcpy(&in6.sin6_addr, k->addr_be[end], sizeof(in6.sin6_addr));
	memcpy(sa, &in6, sizeof(in6));
}

int mtcp_getpeername(mctx_t m, int sock, struct sockaddr *sa, socklen_t *len, int side)
{
	struct mos_sock *s = call_active(m, sock);

	if (!s)
		return -1;
	if (!sa || !len)
		return call_fail(EFAULT);
	if (side < MOS_SIDE_CLI || side > MOS_SIDE_BOTH)
		return call_fail(EINVAL);
	const struct mos_conn *c = worker_conn(worker_of(m), s->conn);
	bool six = c->key.family == 6;
	socklen_t each = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int first = side == MOS_SIDE_SVR, last = side != MOS_SIDE_CLI;
	socklen_t need = each * (socklen_t)(last - first + 1);

	if (*len < need)
		return call_fail(EINVAL);
	for (int i = first; i <= last; i++) {
		struct sockaddr *to = (struct sockaddr *)((char *)sa + (socklen_t)(i - first) * each);

		(six ? fill_in6 : fill_in4)(to, &c->key, i ^ c->cli);
	}
	*len = need;
	return 0;
}
