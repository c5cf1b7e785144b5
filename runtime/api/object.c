#include "api/object.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct object {
	void *handle;
};

struct object *object_open(const char *path, char *err, size_t errlen)
{
	struct object *o = malloc(sizeof(*o));
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%s%s", strchr(path, '/') ? "" : "./", path);
	if (o && (o->handle = dlopen(file, RTLD_NOW | RTLD_LOCAL)))
		return o;
	const char *why = o ? dlerror() : "out of memory";
	bool named = why && strstr(why, path);
	snprintf(err, errlen, "%s%s%s", named ? "" : path, named ? "" : ": ", why ? why : "cannot be loaded");
	free(o);
	return NULL;
}

static bool mentions(const char *bytes, size_t len, const char *name)
{
	return memmem(bytes, len, name, strlen(name) + 1) != NULL;
}

/* Names of functions that an object calls stand in it as strings, whichever tables lead to them. */
bool object_may_call(const char *path, const char *name)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool yes = true;

	if (fd < 0 || fstat(fd, &st) < 0)
		st.st_size = 0;
	char *bytes = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (bytes != MAP_FAILED) {
		yes = mentions(bytes, (size_t)st.st_size, name) || mentions(bytes, (size_t)st.st_size, "dlopen");
		munmap(bytes, (size_t)st.st_size);
	}
	return yes;
}

void *object_symbol(const struct object *o, const char *name)
{
	return dlsym(o->handle, name);
}

void object_close(struct object *o)
{
	if (!o)
		return;
	dlclose(o->handle);
	free(o);
}
