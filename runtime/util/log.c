#include "util/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLEAR_LINE "\r\033[K"

/* One line with its decoration; below PIPE_BUF, so that lines of several threads do not mix in a pipe. */
struct line {
	char text[2048];
	size_t len;
};

static const char *const level_name[] = { "error", "warning", "info", "debug" };

static const char *name = "mos-run";
static _Atomic int max_level = LOG_INFO;
static atomic_bool progress_shown;

static void line_add(struct line *l, const char *s)
{
	size_t n = strlen(s);

	memcpy(l->text + l->len, s, n);
	l->len += n;
}

/* Text from outside, made harmless, with room left for a line feed. */
static void line_format(struct line *l, const char *fmt, va_list ap)
{
	char *from = l->text + l->len;
	size_t room = sizeof(l->text) - l->len - 1;
	int n = vsnprintf(from, room, fmt, ap);

	if (n < 0)
		return;
	l->len += (size_t)n < room ? (size_t)n : room - 1;
	for (char *p = from; p < l->text + l->len; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

static void line_write(const struct line *l)
{
	while (write(STDERR_FILENO, l->text, l->len) < 0 && errno == EINTR)
		;
}

void log_set_level(enum log_level level)
{
	max_level = (int)level;
}

void log_set_name(const char *new_name)
{
	name = new_name;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	struct line l = { .len = 0 };
	va_list ap;

	if ((int)level > max_level)
		return;
	if (atomic_exchange(&progress_shown, false))
		line_add(&l, CLEAR_LINE);
	line_add(&l, name);
	line_add(&l, ": ");
	line_add(&l, level_name[level]);
	line_add(&l, ": ");
	va_start(ap, fmt);
	line_format(&l, fmt, ap);
	va_end(ap);
	l.text[l.len++] = '\n';
	line_write(&l);
	errno = saved;
}

void log_progress(const char *fmt, ...)
{
	int saved = errno;
	struct line l = { .len = 0 };
	va_list ap;

	if (!isatty(STDERR_FILENO)) {
		errno = saved;
		return;
	}
	line_add(&l, CLEAR_LINE);
	va_start(ap, fmt);
	line_format(&l, fmt, ap);
	va_end(ap);
	progress_shown = true;
	line_write(&l);
	errno = saved;
}

void log_progress_end(void)
{
	int saved = errno;
	struct line l = { .len = 0 };

	if (!atomic_exchange(&progress_shown, false))
		return;
	line_add(&l, CLEAR_LINE);
	line_write(&l);
	errno = saved;
}
