/*
 * Bytes of one file, pipe or standard input, through one large buffer. What has been read stays where it is, and may be
 * written to, until more is asked for.
 */
#ifndef MOS_IO_INPUT_H
#define MOS_IO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct input {
	int fd;            /* negative: closed */
	bool waits;        /* it is not a regular file: the next byte may take its time */
	uint8_t *buf;      /* kept from file to file */
	size_t size;       /* of buf */
	uint8_t *at, *end; /* read and not yet taken */
	uint64_t bytes;    /* read from this file so far */
};

/* Nothing is open and nothing allocated. */
void input_init(struct input *in);
void input_fini(struct input *in);

/* "-", which stands for standard input. */
bool input_is_standard(const char *path);

/* Bytes of a regular file, not opened yet; negative if it is something else or cannot be seen. */
off_t input_size(const char *path);

/* 0 or -errno. */
int input_open(struct input *in, const char *path);
void input_close(struct input *in);

/*
 * Read once, behind what is there; all of it may move. 1: there is more now; 0: that was all; -EAGAIN: a pipe has brought
 * nothing for a while; -EINTR: a signal has been handled; or another -errno. The buffer grows when it is full, so the
 * caller bounds what it waits for.
 */
int input_fill(struct input *in);

static inline size_t input_room(const struct input *in)
{
	return (size_t)(in->end - in->at);
}

#endif
