#include "control/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/log.h"

enum { CLIENTS = 8, LINE_MAX_BYTES = 65536, TICK_MS = 100, ANSWER_MS = 2000 };

struct client {
	int fd;     /* -1: free */
	bool waits; /* for an answer that comes later */
	bool text;  /* it is for people */
	bool ended; /* it asks for nothing more */
	size_t len;
	char line[LINE_MAX_BYTES];
};

struct server {
	struct server_ops ops;
	char *path; /* NULL: no socket */
	int listen_fd, wake_fd;
	int stop;
	pthread_t thread;
	struct client client[CLIENTS];
};

static int fail(char *err, size_t errlen, const char *path)
{
	snprintf(err, errlen, "--control: %s: %s", path, strerror(errno));
	return -1;
}

static int unix_address(struct sockaddr_un *a, const char *path)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a->sun_path, path);
	return 0;
}

/* Somebody listens there. */
static bool is_served(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0;

	if (fd >= 0)
		close(fd);
	return yes;
}

/* Only a socket that nobody serves is removed, never another file. */
static int make_way(const struct sockaddr_un *a)
{
	struct stat st;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	if (is_served(a)) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(a->sun_path);
}

/* The mode is the socket's from its first moment on. */
static int open_socket(struct server *s, char *err, size_t errlen)
{
	struct sockaddr_un a;

	if (unix_address(&a, s->path) < 0 || make_way(&a) < 0)
		return fail(err, errlen, s->path);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0)
		return fail(err, errlen, s->path);
	fchmod(s->listen_fd, 0600);
	mode_t mask = umask(0177);
	int rc = bind(s->listen_fd, (struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (rc < 0 || listen(s->listen_fd, CLIENTS) < 0)
		return fail(err, errlen, s->path);
	return 0;
}

static void client_close(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	c->len = 0;
	c->waits = c->ended = false;
}

/* A client that does not read its answers is left alone. */
static void client_send(struct client *c, const struct text *t)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };

	for (size_t at = 0; at < t->len;) {
		ssize_t n = send(c->fd, t->s + at, t->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			break;
		else if (poll(&p, 1, ANSWER_MS) == 0)
			break;
	}
}

static void client_write(struct client *c, const struct answer *a, bool text)
{
	struct text out = { .s = NULL };

	answer_write(a, text, &out);
	client_send(c, &out);
	free(out.s);
}

static void client_answer(struct server *s, struct client *c, char *line)
{
	struct request r;
	struct answer a;
	const char *wrong = request_parse(&r, line);
	const struct member *m = wrong ? NULL : request_member(&r, "text");

	answer_init(&a);
	c->text = m && m->yes;
	if (wrong)
		answer_error(&a, "%s", wrong);
	c->waits = !wrong && !s->ops.answer(s->ops.arg, &r, &a);
	if (!c->waits)
		client_write(c, &a, c->text);
	answer_fini(&a);
}

/* All lines that are complete, as far as answers do not wait. */
static void client_lines(struct server *s, struct client *c)
{
	char *lf;

	while (!c->waits && (lf = memchr(c->line, '\n', c->len))) {
		size_t n = (size_t)(lf - c->line) + 1;
		bool nul = memchr(c->line, '\0', n);

		*lf = '\0';
		client_answer(s, c, nul ? lf : c->line);
		c->len -= n;
		memmove(c->line, c->line + n, c->len);
	}
	if (!c->waits && c->len == sizeof(c->line)) {
		char none[] = "";

		client_answer(s, c, none);
		client_close(c);
	}
}

/* Whoever waits may ask for more, which stays where it is, or say that nothing more comes. */
static void client_read(struct server *s, struct client *c)
{
	size_t room = sizeof(c->line) - c->len;
	ssize_t n = room && !c->ended ? recv(c->fd, c->line + c->len, room, MSG_DONTWAIT) : -1;

	if (n < 0 && room && !c->ended && (errno == EAGAIN || errno == EINTR))
		return;
	c->ended = n == 0;
	if (n < 0 || (c->ended && !c->waits)) {
		client_close(c);
		return;
	}
	c->len += (size_t)n;
	client_lines(s, c);
}

/* The answer of the one that waits. */
static void clients_later(struct server *s)
{
	struct answer a;

	answer_init(&a);
	if (s->ops.later && s->ops.later(s->ops.arg, &a)) {
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct client *c = &s->client[i];

			if (c->fd < 0 || !c->waits)
				continue;
			c->waits = false;
			client_write(c, &a, c->text);
			client_lines(s, c);
			if (c->fd >= 0 && c->ended && !c->waits)
				client_close(c);
		}
	}
	answer_fini(&a);
}

static void client_accept(struct server *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned i = 0; fd >= 0 && i < CLIENTS; i++) {
		if (s->client[i].fd < 0) {
			s->client[i].fd = fd;
			return;
		}
	}
	if (fd >= 0)
		close(fd);
}

/* What cannot be read on is looked at only when it hangs up. */
static short wanted(const struct client *c)
{
	return c->waits && (c->ended || c->len == sizeof(c->line)) ? 0 : POLLIN;
}

static void wait_once(struct server *s)
{
	struct pollfd p[CLIENTS + 2] = { { .fd = s->wake_fd, .events = POLLIN },
					 { .fd = s->listen_fd, .events = POLLIN } };
	uint64_t count;

	for (unsigned i = 0; i < CLIENTS; i++)
		p[i + 2] = (struct pollfd){ .fd = s->client[i].fd, .events = wanted(&s->client[i]) };
	poll(p, CLIENTS + 2, TICK_MS);
	if ((p[0].revents & POLLIN) && read(s->wake_fd, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (p[i + 2].revents && s->client[i].fd >= 0)
			client_read(s, &s->client[i]);
	if (p[1].revents & POLLIN)
		client_accept(s);
}

static void *server_main(void *arg)
{
	struct server *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		wait_once(s);
		if (s->ops.tick)
			s->ops.tick(s->ops.arg);
		clients_later(s);
	}
	return NULL;
}

static void server_free(struct server *s)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (s->client[i].fd >= 0)
			client_close(&s->client[i]);
	if (s->listen_fd >= 0) {
		close(s->listen_fd);
		unlink(s->path);
	}
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s->path);
	free(s);
}

/* Signals are for the workers' threads and the caller's. */
static int start_thread(struct server *s)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&s->thread, NULL, server_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = rc;
	return rc ? -1 : 0;
}

struct server *server_start(const char *path, const struct server_ops *ops, char *err, size_t errlen)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s) {
		snprintf(err, errlen, "--control: %s", strerror(errno));
		return NULL;
	}
	s->ops = *ops;
	s->listen_fd = -1;
	for (unsigned i = 0; i < CLIENTS; i++)
		s->client[i].fd = -1;
	s->path = path ? strdup(path) : NULL;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0 || (path && !s->path))
		fail(err, errlen, path ? path : "control thread");
	else if (path && open_socket(s, err, errlen) < 0)
		; /* it has said why */
	else if (start_thread(s) < 0)
		fail(err, errlen, path ? path : "control thread");
	else
		return s;
	server_free(s);
	return NULL;
}

void server_wake(struct server *s)
{
	const uint64_t one = 1;
	int saved = errno;

	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		errno = saved;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
	server_wake(s);
	pthread_join(s->thread, NULL);
	server_free(s);
}
