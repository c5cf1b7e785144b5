/* Standard output and standard error of the script under test, kept apart from the test's own. */
#ifndef MOS_BINDINGS_TEST_REDIRECT_H
#define MOS_BINDINGS_TEST_REDIRECT_H

#include <lua.h>

struct redirect {
	int fd;   /* the descriptor that is redirected */
	int keep; /* where it led before; -1 while it is not redirected */
	int file; /* what has been written, in memory; -1: not open */
};

/* 0 or -errno. */
int redirect_init(struct redirect *r, int fd);
void redirect_fini(struct redirect *r);

/* From here to redirect_end, what is written to the descriptor is kept. */
void redirect_begin(struct redirect *r);
void redirect_end(struct redirect *r);

/* Push all that was kept so far. */
void redirect_push(const struct redirect *r, lua_State *L);

#endif
