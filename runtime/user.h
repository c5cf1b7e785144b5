/* Giving up root. */
#ifndef MOS_USER_H
#define MOS_USER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Become this user, with its groups, for good: all threads, and no way back. False with one line in err, after which the
 * process should not go on.
 */
bool user_become(const char *name, char *err, size_t errlen);

#endif
