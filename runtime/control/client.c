#include "control/client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/answer.h"
#include "control/request.h"
#include "util/suggest.h"

enum { FINE = 0, REFUSED = 1, USAGE = 2, NO_RUN = 3 };

/* A command and the names of its operands; those from `optional` on may be left out. */
static const struct command {
	const char *name, *operand[2], *help;
	unsigned operands, optional;
} commands[] = {
	{ "status", { NULL }, "what runs, since when, how much", 0, 0 },
	{ "stats", { NULL }, "all counters", 0, 0 },
	{ "workers", { NULL }, "each worker's packets, connections, script", 0, 0 },
	{ "conns", { "filter", NULL }, "[FILTER]: connections, those that a pcap filter matches", 1, 0 },
	{ "reload", { "script", NULL }, "[FILE] [--worker N]: have this script, or shared object, take over", 1, 0 },
	{ "set", { "key", "value" }, "KEY VALUE: max-errors, on-error, linger, log", 2, 2 },
	{ "stop", { NULL }, "end the run as at the end of its input", 0, 0 },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

struct call {
	const char *path, *worker;
	bool json;
	const struct command *command;
	char **operand;
	unsigned operands;
};

static int usage(const char *fmt, const char *word)
{
	fputs("mos-run: ", stderr);
	fprintf(stderr, fmt, word);
	fputs("\n", stderr);
	return USAGE;
}

static int help(void)
{
	puts("Usage: mos-run ctl --control PATH [--json] COMMAND");
	for (unsigned i = 0; i < COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].help);
	return FINE;
}

static int set_command(struct call *c, const char *word)
{
	const char *names[COMMANDS];

	for (unsigned i = 0; i < COMMANDS; i++) {
		names[i] = commands[i].name;
		if (!strcmp(word, names[i]))
			c->command = &commands[i];
	}
	if (c->command)
		return FINE;
	const char *near = suggest_nearest(word, names, COMMANDS);
	char text[128];

	if (!near)
		return usage("ctl: unknown command '%s'", word);
	snprintf(text, sizeof(text), "%.40s'; did you mean '%s", word, near);
	return usage("ctl: unknown command '%s'?", text);
}

static int parse(struct call *c, int argc, char **argv)
{
	static const struct option options[] = { { "control", required_argument, NULL, 'c' },
						 { "worker", required_argument, NULL, 'w' },
						 { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };

	*c = (struct call){ .path = getenv("MOS_CONTROL") };
	optind = 0;
	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			c->path = optarg;
			break;
		case 'w':
			c->worker = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'h':
			return -help() - 1;
		case ':':
			return usage("ctl: option '%s' needs its value", argv[optind - 1]);
		default:
			return usage("ctl: unknown option '%s'", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return usage("ctl: %s", "no command given; try 'mos-run ctl --help'");
	int rc = set_command(c, argv[optind]);
	if (rc)
		return rc;
	c->operand = argv + optind + 1;
	c->operands = (unsigned)(argc - optind - 1);
	if (c->operands < c->command->optional || c->operands > c->command->operands)
		return usage("ctl: wrong number of operands for '%s'; try 'mos-run ctl --help'", c->command->name);
	return c->path && *c->path ? FINE : usage("ctl: %s", "which run? name its socket with --control PATH");
}

static void add(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

/* A member of the request. What a shell can hand over has no NUL. */
static void add_member(struct text *t, const char *name, const char *value)
{
	struct answer a;

	answer_init(&a);
	answer_string(&a, name, value);
	add(t, ",");
	text_add(t, a.json.s, a.json.len);
	answer_fini(&a);
}

static void write_request(const struct call *c, struct text *t)
{
	add(t, "{\"do\":\"");
	add(t, c->command->name);
	add(t, c->json ? "\"" : "\",\"text\":true");
	for (unsigned i = 0; i < c->operands; i++)
		add_member(t, c->command->operand[i], c->operand[i]);
	if (c->worker)
		add_member(t, "worker", c->worker);
	add(t, "}\n");
}

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = -1;

	errno = ENAMETOOLONG;
	if (strlen(path) < sizeof(a.sun_path)) {
		strcpy(a.sun_path, path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	fprintf(stderr, "mos-run: ctl: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* One line. */
static bool receive(int fd, struct text *t)
{
	char part[4096];
	ssize_t n;

	while (!t->failed && (!t->len || t->s[t->len - 1] != '\n') && (n = read(fd, part, sizeof(part))) > 0)
		text_add(t, part, (size_t)n);
	return t->len && t->s[t->len - 1] == '\n';
}

static int print_answer(const struct call *c, struct text *t)
{
	struct request r;
	char *copy = strdup(t->s);

	if (c->json)
		fputs(t->s, stdout);
	/* An answer with lists does not parse as a request does; it is a good one. */
	const char *wrong = copy ? request_parse(&r, copy) : "out of memory";
	const struct member *ok = wrong ? NULL : request_member(&r, "ok");
	int rc = !ok || ok->yes ? FINE : REFUSED;
	const char *text = wrong ? NULL : request_string(&r, rc ? "error" : "text");

	if (!c->json && rc)
		fprintf(stderr, "mos-run: %s\n", text ? text : "refused");
	else if (!c->json)
		fputs(text ? text : t->s, stdout);
	free(copy);
	return rc;
}

int client_main(int argc, char **argv)
{
	struct call c;
	struct text request = { .s = NULL }, answer = { .s = NULL };
	int rc = parse(&c, argc, argv);

	if (rc)
		return rc < 0 ? FINE : rc;
	int fd = dial(c.path);
	if (fd < 0)
		return NO_RUN;
	write_request(&c, &request);
	rc = NO_RUN;
	if (write(fd, request.s, request.len) == (ssize_t)request.len && receive(fd, &answer))
		rc = print_answer(&c, &answer);
	else
		fprintf(stderr, "mos-run: ctl: %s: the run has ended\n", c.path);
	close(fd);
	free(request.s);
	free(answer.s);
	return rc;
}
