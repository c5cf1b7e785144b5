#include "user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool user_become(const char *name, char *err, size_t errlen)
{
	errno = 0;
	const struct passwd *pw = getpwnam(name);

	if (!pw) {
		snprintf(err, errlen, "--user %s: %s", name, errno ? strerror(errno) : "no such user");
		return false;
	}
	if (initgroups(name, pw->pw_gid) == 0 && setgid(pw->pw_gid) == 0 && setuid(pw->pw_uid) == 0 &&
	    (pw->pw_uid == 0 || setuid(0) < 0))
		return true;
	snprintf(err, errlen, "--user %s: %s", name, strerror(errno));
	return false;
}
