#include "redirect.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

int redirect_init(struct redirect *r, int fd)
{
	*r = (struct redirect){ .fd = fd, .keep = -1, .file = memfd_create("mos.test", MFD_CLOEXEC) };
	return r->file < 0 ? -errno : 0;
}

void redirect_fini(struct redirect *r)
{
	redirect_end(r);
	if (r->file >= 0)
		close(r->file);
	r->file = -1;
}

void redirect_begin(struct redirect *r)
{
	fflush(stdout);
	r->keep = dup(r->fd);
	if (r->keep >= 0)
		dup2(r->file, r->fd);
}

void redirect_end(struct redirect *r)
{
	if (r->keep < 0)
		return;
	fflush(stdout);
	dup2(r->keep, r->fd);
	close(r->keep);
	r->keep = -1;
}

void redirect_push(const struct redirect *r, lua_State *L)
{
	char bytes[4096];
	luaL_Buffer b;
	ssize_t n;

	luaL_buffinit(L, &b);
	for (off_t at = 0; (n = pread(r->file, bytes, sizeof(bytes), at)) > 0; at += n)
		luaL_addlstring(&b, bytes, (size_t)n);
	luaL_pushresult(&b);
}
