#include "api/object.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
