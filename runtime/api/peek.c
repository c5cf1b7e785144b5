#include "api/call.h"
#include "api/reader.h"

ssize_t mtcp_peek(mctx_t m, int sock, int side, char *buf, size_t len)
{
	if (!m)
		return call_fail(EACCES);
	if (!buf && len)
		return call_fail(EFAULT);
	return call_return(reader_peek(worker_of(m), sock, side, buf, len));
}

ssize_t mtcp_ppeek(mctx_t m, int sock, int side, char *buf, size_t count, uint64_t off)
{
	if (!m)
		return call_fail(EACCES);
	if (!buf && count)
		return call_fail(EFAULT);
	return call_return(reader_ppeek(worker_of(m), sock, side, buf, count, off));
}
