#include "api/object.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file's bytes, mapped. */
struct bytes {
	const char *at;
	size_t len;
};

static bool bytes_map(struct bytes *b, int fd)
{
	struct stat st;

	*b = (struct bytes){ .at = MAP_FAILED };
	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return false;
	b->len = (size_t)st.st_size;
	b->at = mmap(NULL, b->len, PROT_READ, MAP_PRIVATE, fd, 0);
	return b->at != MAP_FAILED;
}

static void bytes_unmap(struct bytes *b)
{
	if (b->at != MAP_FAILED)
		munmap((void *)b->at, b->len);
}

/* Names of functions that an object calls stand in it as strings, whichever tables lead to them. */
static bool mentions(const struct bytes *b, const char *text, size_t len)
{
	return memmem(b->at, b->len, text, len) != NULL;
}

static bool names_its_place(int fd)
{
	struct bytes b;
	bool yes = bytes_map(&b, fd) && mentions(&b, "$ORIGIN", 7);

	bytes_unmap(&b);
	return yes;
}

bool object_may_call(const struct object *o, const char *name)
{
	struct bytes b;
	bool yes = !bytes_map(&b, o->fd) || mentions(&b, name, strlen(name) + 1) || mentions(&b, "dlopen", 7);

	bytes_unmap(&b);
	return yes;
}

static bool copy_bytes(int to, int from)
{
	char block[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, block, sizeof(block), at)) > 0) {
		for (ssize_t done = 0, k; done < n; done += k)
			if ((k = write(to, block + done, (size_t)(n - done))) <= 0)
				return false;
		at += n;
	}
	return n == 0;
}

/* -1 with errno set. */
static int private_copy(int from, const char *path)
{
	const char *slash = strrchr(path, '/');
	int fd = memfd_create(slash ? slash + 1 : path, MFD_CLOEXEC);

	if (fd >= 0 && !copy_bytes(fd, from)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The linker hands back what it has under a name: a descriptor that stays open lends its name to nobody else. */
static char *linker_name(int fd, const char *path)
{
	void *there = names_its_place(fd) ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
	bool in_place = names_its_place(fd) && !there;
	char *name = NULL;

	if (there)
		dlclose(there);
	if (in_place)
		return strdup(path);
	return asprintf(&name, "/proc/%d/fd/%d", (int)getpid(), fd) < 0 ? NULL : name;
}

/* What the linker says may begin with the name that it knows. */
static void say_why(const char *file, const char *path, char *err, size_t errlen)
{
	const char *why = dlerror();
	size_t len = strlen(file);

	if (why && strncmp(why, file, len) == 0)
		snprintf(err, errlen, "%s%s", path, why + len);
	else
		snprintf(err, errlen, "%s: %s", path, why ? why : "cannot be loaded");
}

static struct object *load(int from, const char *path, char *err, size_t errlen)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o) {
		snprintf(err, errlen, "%s: out of memory", path);
		return NULL;
	}
	o->refs = 1;
	o->fd = private_copy(from, path);
	if (o->fd < 0) {
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
		free(o);
		return NULL;
	}
	o->file = linker_name(o->fd, path);
	if (o->file && (o->handle = dlopen(o->file, RTLD_NOW | RTLD_LOCAL)))
		return o;
	if (o->file)
		say_why(o->file, path, err, errlen);
	else
		snprintf(err, errlen, "%s: out of memory", path);
	object_put(o);
	return NULL;
}

struct object *object_open(const char *path, char *err, size_t errlen)
{
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%s%s", strchr(path, '/') ? "" : "./", path);
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		snprintf(err, errlen, "%s: cannot open shared object file: %s", path, strerror(errno));
		return NULL;
	}
	struct object *o = load(fd, file, err, errlen);

	close(fd);
	return o;
}

struct object *object_again(const struct object *o, const char *path, char *err, size_t errlen)
{
	return load(o->fd, path, err, errlen);
}

void *object_stay(const char *path, char *err, size_t errlen)
{
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%s%s", strchr(path, '/') ? "" : "./", path);
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (!handle)
		say_why(file, path, err, errlen);
	return handle;
}

void *object_symbol(const struct object *o, const char *name)
{
	return dlsym(o->handle, name);
}

int object_start(struct object *o, mctx_t mctx, const char *path, char *err, size_t errlen)
{
	void (*init)(mctx_t) = (void (*)(mctx_t))object_symbol(o, "mos_app_init");

	if (!init) {
		snprintf(err, errlen, "%s: no function mos_app_init(mctx_t)", path);
		return -1;
	}
	events_note(&o->notes);
	init(mctx);
	events_note(NULL);
	return 0;
}

void object_exit(const struct object *o, mctx_t mctx)
{
	void (*fini)(mctx_t) = (void (*)(mctx_t))object_symbol(o, "mos_app_exit");

	if (fini)
		fini(mctx);
}

void object_put(struct object *o)
{
	if (!o || --o->refs)
		return;
	events_forget(&o->notes);
	if (o->handle)
		dlclose(o->handle);
	close(o->fd);
	free(o->file);
	free(o);
}
