/* What the mtcp_* calls have in common: 0 or more on success, -1 and errno on failure. */
#ifndef MOS_API_CALL_H
#define MOS_API_CALL_H

#include <errno.h>
#include <sys/types.h>

#include "api/monitor.h"

static inline int call_fail(int err)
{
	errno = err;
	return -1;
}

/* From 0 or -errno, as the runtime has it inside. */
static inline ssize_t call_return(ssize_t rc)
{
	return rc < 0 ? call_fail((int)-rc) : rc;
}

/*
 * An active socket that is not closed, else NULL with errno EACCES (no worker), EBADF (no socket) or ENOTSOCK
 * (passive).
 */
static inline struct mos_sock *call_active(mctx_t m, int sock)
{
	struct mos_sock *s = m ? dispatch_sock(&worker_of(m)->d, sock) : NULL;

	if (s && !(s->flags & MOS_SOCK_CLOSED))
		return s;
	errno = !m ? EACCES : dispatch_passive_at(&worker_of(m)->d, sock) ? ENOTSOCK : EBADF;
	return NULL;
}

/* Is there a socket of that number, of either kind? If not, errno is EACCES or EBADF. */
static inline bool call_socket(mctx_t m, int sock)
{
	return call_active(m, sock) || errno == ENOTSOCK;
}

#endif
