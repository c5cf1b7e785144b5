/*
 * The control thread: it answers requests on a unix socket, one JSON object per line each way, and has tick called now
 * and then. docs/control.md describes the protocol.
 */
#ifndef MOS_CONTROL_SERVER_H
#define MOS_CONTROL_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "control/answer.h"
#include "control/request.h"

struct server;

struct server_ops {
	/*
	 * Answer a request. On the control thread, one at a time. False: the answer comes later, and this client's further
	 * requests wait for it, nobody else's.
	 */
	bool (*answer)(void *arg, const struct request *r, struct answer *a);
	/* The answer that was to come later, of which there is one at a time; false: it has not come. After each tick. */
	bool (*later)(void *arg, struct answer *a);
	/* Called every TICK_MS, and after server_wake. */
	void (*tick)(void *arg);
	void *arg;
};

/*
 * Begin, with a socket at path that only the user may open, or without (NULL). A socket that another process left behind
 * is replaced, one that answers is not. NULL on failure, with one line in err.
 */
struct server *server_start(const char *path, const struct server_ops *ops, char *err, size_t errlen);

/* Have tick called soon. Any thread, and signal handlers. */
void server_wake(struct server *s);

/* End the thread and remove the socket. A request that is being answered is answered first. NULL is a no-op. */
void server_stop(struct server *s);

#endif
