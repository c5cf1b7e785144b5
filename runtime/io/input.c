#include "io/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

/*
 * BUFFER is small enough that what the kernel copies into it is still in the processor's second-level cache when it is
 * looked at. WAIT_MS bounds how late a signal is noticed that is handled just before the wait begins.
 */
enum { BUFFER = 256 << 10, WAIT_MS = 200 };

bool input_is_standard(const char *path)
{
	return strcmp(path, "-") == 0;
}

static bool regular_file(const char *path, int standard, struct stat *st)
{
	int rc = input_is_standard(path) ? fstat(standard, st) : stat(path, st);

	return rc == 0 && S_ISREG(st->st_mode);
}

off_t input_size(const char *path)
{
	struct stat st;

	return regular_file(path, STDIN_FILENO, &st) ? st.st_size : -1;
}

void input_init(struct input *in)
{
	*in = (struct input){ .fd = -1 };
}

void input_fini(struct input *in)
{
	input_close(in);
	free(in->buf);
	in->buf = NULL;
}

int input_open(struct input *in, const char *path)
{
	struct stat st;

	if (!in->buf) {
		in->buf = malloc(BUFFER);
		in->size = BUFFER;
	}
	if (!in->buf)
		return -ENOMEM;
	/* A descriptor of our own can be closed like any other. */
	in->fd = input_is_standard(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0)
		return -errno;
	in->waits = fstat(in->fd, &st) != 0 || !S_ISREG(st.st_mode);
	in->at = in->end = in->buf;
	in->bytes = 0;
	return 0;
}

void input_close(struct input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
}

/* All of the buffer is taken by one unfinished record. */
static int buffer_grow(struct input *in)
{
	uint8_t *buf = realloc(in->buf, 2 * in->size);

	if (!buf)
		return -ENOMEM;
	in->at = in->buf = buf;
	in->end = buf + in->size;
	in->size *= 2;
	return 0;
}

/* Unlike read, poll ends when a signal has been handled even if its handler restarts system calls. */
static int wait_for_bytes(const struct input *in)
{
	struct pollfd p = { .fd = in->fd, .events = POLLIN };
	int rc = poll(&p, 1, WAIT_MS);

	if (rc < 0)
		return -errno;
	return rc == 0 ? -EAGAIN : 0;
}

int input_fill(struct input *in)
{
	size_t have = input_room(in);
	int rc = 0;

	memmove(in->buf, in->at, have);
	in->at = in->buf;
	in->end = in->buf + have;
	if (have == in->size)
		rc = buffer_grow(in);
	if (rc == 0 && in->waits)
		rc = wait_for_bytes(in);
	if (rc < 0)
		return rc;
	ssize_t n = read(in->fd, in->end, in->size - have);

	if (n < 0)
		return -errno;
	in->end += n;
	in->bytes += (size_t)n;
	return n > 0;
}

bool io_same_file(const char *input, const char *output)
{
	struct stat a, b;

	return regular_file(input, STDIN_FILENO, &a) && regular_file(output, STDOUT_FILENO, &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
