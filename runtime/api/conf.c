#include "api/conf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/log.h"
#include "util/suggest.h"

enum { FILE_MAX = 1 << 20, LINE_MAX_BYTES = 4096, DEPTH_MAX = 4 };

enum block { TOP, MOS, APPLICATION, NETDEV, ARP, ROUTE, FORWARD, UNKNOWN };

/* Where parsing stands. */
struct parser {
	struct conf *c;
	const char *name; /* of the file */
	unsigned line;
	enum block stack[DEPTH_MAX];
	unsigned opened[DEPTH_MAX]; /* line of the block's brace */
	unsigned depth;             /* stack[depth] is where we are */
	char *err;
	size_t errlen;
};

#define FIELD(member) offsetof(struct conf, member)

/* A key: a number within bounds, or a text where max is 0. */
static const struct key {
	const char *name;
	size_t at;
	int64_t min, max;
} mos_keys[] = {
	{ "forward", FIELD(forward), 0, 1 },
	{ "max_concurrency", FIELD(max_concurrency), 1, 100000000 },
	{ "rmem_size", FIELD(rmem_size), 0, INT_MAX },
	{ "wmem_size", FIELD(wmem_size), 0, INT_MAX },
	{ "tcp_tw_interval", FIELD(tcp_tw_interval), 0, INT_MAX },
	{ "tcp_timeout", FIELD(tcp_timeout), -1, INT_MAX },
	{ "no_ring_buffers", FIELD(no_ring_buffers), 0, 1 },
	{ "nb_mem_channels", FIELD(nb_mem_channels), 0, INT_MAX },
	{ "num_cores", FIELD(num_cores), 1, 64 },
	{ "stat_print", FIELD(stat_print), 0, 0 },
	{ "mos_log", FIELD(mos_log), 0, 0 },
	{ "port", FIELD(port), 0, 0 },
	{ "multiprocess", FIELD(multiprocess), 0, 0 },
}, app_keys[] = {
	{ "ip_forward", FIELD(ip_forward), 0, 1 },
}, netdev_keys[] = {
	{ "pcap_out", FIELD(pcap_out), 0, 0 },
	{ "eal", FIELD(eal), 0, 0 },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	enum block within, block;
} blocks[] = {
	{ "mos", TOP, MOS },       { "application", TOP, APPLICATION }, { "netdev", MOS, NETDEV },
	{ "arp_table", MOS, ARP }, { "route_table", MOS, ROUTE },       { "nic_forward_table", MOS, FORWARD },
};

void conf_default(struct conf *c)
{
	*c = (struct conf){
		.forward = 1,
		.max_concurrency = 100000,
		.rmem_size = 8192,
		.wmem_size = 8192,
		.tcp_timeout = 30,
		.ip_forward = 1,
	};
}

static void list_free(struct conf_list *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].value);
	}
	l->n = 0;
}

void conf_free(struct conf *c)
{
	list_free(&c->netdev);
	list_free(&c->pcap_in);
	list_free(&c->arp);
	list_free(&c->route);
	list_free(&c->pairs);
	list_free(&c->apps);
	free(c->stat_print);
	free(c->mos_log);
	free(c->port);
	free(c->multiprocess);
	free(c->pcap_out);
	free(c->eal);
	conf_default(c);
}

static int fail(struct parser *p, const char *fmt, const char *word)
{
	int n = p->line ? snprintf(p->err, p->errlen, "%s:%u: ", p->name, p->line)
			: snprintf(p->err, p->errlen, "%s: ", p->name);

	if (n > 0 && (size_t)n < p->errlen)
		snprintf(p->err + n, p->errlen - (size_t)n, fmt, word);
	return -EINVAL;
}

static int add(struct parser *p, struct conf_list *l, const char *name, const char *value)
{
	if (l->n == CONF_LIST_MAX)
		return fail(p, "more than 64 lines of this kind, at '%s'", name);
	struct conf_entry *e = &l->v[l->n++];

	*e = (struct conf_entry){ strdup(name), value ? strdup(value) : NULL };
	return e->name && (!value || e->value) ? 0 : -ENOMEM;
}

/* The whole word is a number, as C writes it. */
static bool number(const char *word, int64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoll(word, &end, 0);
	return end != word && !*end && !errno;
}

static int set_key(struct parser *p, const struct key *k, const char *value)
{
	void *at = (char *)p->c + k->at;
	int64_t n;

	if (!k->max) {
		char *copy = *value ? strdup(value) : NULL;

		free(*(char **)at);
		*(char **)at = copy;
		return copy || !*value ? 0 : -ENOMEM;
	}
	if (!number(value, &n) || n < k->min || n > k->max) {
		char what[96];

		snprintf(what, sizeof(what), "%s must be a number from %lld to %lld, not '%%s'", k->name,
			 (long long)k->min, (long long)k->max);
		return fail(p, what, value);
	}
	*(int64_t *)at = n;
	return 0;
}

static const struct key *find_key(const struct key *keys, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static void warn_unknown(const struct parser *p, const char *what, const char *name, const char *near)
{
	char line[16] = "";

	if (p->line)
		snprintf(line, sizeof(line), "%u:", p->line);
	log_warn("%s:%s unknown %s '%s'%s%s%s", p->name, line, what, name, near ? "; did you mean '" : "",
		 near ? near : "", near ? "'?" : "");
}

/* A key in one of the tables; what is not known is warned of. */
static int assign(struct parser *p, const struct key *keys, size_t n, const char *name, const char *value)
{
	const struct key *k = find_key(keys, n, name);
	const char *names[COUNT(mos_keys)];

	if (k)
		return set_key(p, k, value);
	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	warn_unknown(p, "key", name, suggest_nearest(name, names, n));
	return 0;
}

static int app_statement(struct parser *p, const char *name, const char *value)
{
	int64_t mask;
	struct conf_list *apps = &p->c->apps;
	struct conf_entry *app = apps->n ? &apps->v[apps->n - 1] : NULL;

	if (strcmp(name, "type") == 0)
		return 0;
	if (strcmp(name, "run") == 0)
		return add(p, apps, value, NULL);
	if (strcmp(name, "cpu_mask") != 0)
		return assign(p, app_keys, COUNT(app_keys), name, value);
	if (!number(value, &mask))
		return fail(p, "cpu_mask must be a number, not '%s'", value);
	if (!app || app->value)
		return 0;
	app->value = strdup(value);
	return app->value ? 0 : -ENOMEM;
}

/* An interface and the cores that serve it. */
static int port_statement(struct parser *p, const char *name, const char *mask)
{
	int64_t cores;

	if (!mask || !number(mask, &cores) || cores <= 0)
		return fail(p, "an interface needs a mask of cores, as in '%s 0x1'", name);
	p->c->cpu_mask |= (uint64_t)cores;
	return add(p, &p->c->netdev, name, mask);
}

/* ADDRESS/PREFIX. */
static bool is_prefix(const char *word)
{
	char addr[INET_ADDRSTRLEN];
	uint8_t bytes[4];
	const char *slash = strchr(word, '/');
	int64_t bits;

	if (!slash || (size_t)(slash - word) >= sizeof(addr) || !number(slash + 1, &bits) || bits < 0 || bits > 32)
		return false;
	memcpy(addr, word, (size_t)(slash - word));
	addr[slash - word] = '\0';
	return inet_pton(AF_INET, addr, bytes) == 1;
}

static bool is_mac(const char *word)
{
	unsigned b[6];
	char rest;

	return sscanf(word, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) == 6;
}

/* Two words on a line of a table. */
static int table_statement(struct parser *p, enum block block, const char *first, const char *second)
{
	struct conf *c = p->c;

	if (block != FORWARD && !is_prefix(first))
		return fail(p, "'%s' is not an address and prefix, as in 10.0.0.0/24", first);
	if (!second)
		return fail(p, "something is missing behind '%s'", first);
	if (block == ARP && !is_mac(second))
		return fail(p, "'%s' is not a hardware address, as in 00:11:22:33:44:55", second);
	return add(p, block == ARP ? &c->arp : block == ROUTE ? &c->route : &c->pairs, first, second);
}

static int key_statement(struct parser *p, const char *name, const char *value)
{
	switch (p->stack[p->depth]) {
	case MOS:
		return assign(p, mos_keys, COUNT(mos_keys), name, value);
	case APPLICATION:
		return app_statement(p, name, value);
	case NETDEV:
		if (strcmp(name, "pcap_in") == 0)
			return add(p, &p->c->pcap_in, value, NULL);
		return assign(p, netdev_keys, COUNT(netdev_keys), name, value);
	default:
		return fail(p, "'%s' belongs into a block", name);
	}
}

static char *trim(char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	for (size_t n = strlen(s); n && isspace((unsigned char)s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

/* A table's line: two words, or more where the second is not used alone. */
static int words_statement(struct parser *p, char *text)
{
	char *first = strtok(text, " \t\r"), *second = strtok(NULL, " \t\r");
	enum block block = p->stack[p->depth];

	if (strtok(NULL, " \t\r"))
		return fail(p, "more than two words behind '%s'", first);
	if (block == NETDEV)
		return port_statement(p, first, second);
	if (block == ARP || block == ROUTE || block == FORWARD)
		return table_statement(p, block, first, second);
	return fail(p, "'%s' is neither a key with a value nor a block", first);
}

static int statement(struct parser *p, char *text)
{
	char *equals = strchr(text, '=');

	text = trim(text);
	if (!*text || p->stack[p->depth] == UNKNOWN)
		return 0;
	if (!equals)
		return words_statement(p, text);
	*equals = '\0';
	char *name = trim(text), *value = trim(equals + 1);

	if (!*name)
		return fail(p, "a value without a key: '%s'", value);
	return *value ? key_statement(p, name, value) : fail(p, "'%s' has no value", name);
}

static int open_block(struct parser *p, char *text)
{
	const char *name = trim(text);
	enum block within = p->stack[p->depth], block = UNKNOWN;

	if (!*name)
		return fail(p, "a block without a name%s", "");
	if (p->depth + 1 == DEPTH_MAX)
		return fail(p, "block '%s' lies too deep", name);
	for (size_t i = 0; i < COUNT(blocks); i++)
		if (strcmp(blocks[i].name, name) == 0 && blocks[i].within == within)
			block = blocks[i].block;
	if (block == UNKNOWN && within != UNKNOWN)
		warn_unknown(p, "block", name, NULL);
	p->stack[++p->depth] = block;
	p->opened[p->depth] = p->line;
	return 0;
}

static int close_block(struct parser *p, char *text)
{
	int rc = statement(p, text);

	if (rc)
		return rc;
	if (!p->depth)
		return fail(p, "'}' without a block%s", "");
	p->depth--;
	return 0;
}

/* One line without its comment: statements and braces. */
static int parse_line(struct parser *p, char *line)
{
	int rc = 0;

	for (char *brace; !rc && (brace = strpbrk(line, "{}")); line = brace + 1) {
		bool opens = *brace == '{';

		*brace = '\0';
		rc = opens ? open_block(p, line) : close_block(p, line);
	}
	return rc ? rc : statement(p, line);
}

int conf_parse(struct conf *c, const char *name, const char *text, char *err, size_t errlen)
{
	struct parser p = { .c = c, .name = name, .err = err, .errlen = errlen };

	while (*text) {
		size_t n = strcspn(text, "\n");
		char line[LINE_MAX_BYTES];

		p.line++;
		if (n >= sizeof(line))
			return fail(&p, "the line is too long%s", "");
		memcpy(line, text, n);
		line[n] = '\0';
		line[strcspn(line, "#")] = '\0';
		int rc = parse_line(&p, line);

		if (rc)
			return rc;
		text += n + !!text[n];
	}
	if (!p.depth)
		return 0;
	p.line = p.opened[p.depth];
	return fail(&p, "this block is not closed%s", "");
}

/* One "key=value" of the override: of the mos block, or of netdev. */
static int override_one(struct parser *p, char *text)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return fail(p, "'%s' is not key=value", text);
	*equals = '\0';
	const char *name = trim(text), *value = trim(equals + 1);

	if (strcmp(name, "pcap_in") == 0)
		return add(p, &p->c->pcap_in, value, NULL);
	if (find_key(netdev_keys, COUNT(netdev_keys), name))
		return assign(p, netdev_keys, COUNT(netdev_keys), name, value);
	return assign(p, mos_keys, COUNT(mos_keys), name, value);
}

static bool names_input(const char *text)
{
	const char *at = strstr(text, "pcap_in=");

	return at && (at == text || at[-1] == ',');
}

static int apply_override(struct conf *c, const char *text, char *err, size_t errlen)
{
	struct parser p = { .c = c, .name = "MOS_CONF_OVERRIDE", .err = err, .errlen = errlen };
	char *copy = strdup(text), *rest = copy, *one;
	int rc = copy ? 0 : -ENOMEM;

	if (names_input(text)) {
		list_free(&c->pcap_in);
		list_free(&c->netdev);
	}
	while (!rc && (one = strsep(&rest, ",")))
		rc = *trim(one) ? override_one(&p, one) : 0;
	free(copy);
	return rc;
}

/* A file's text, to be freed. NULL with the reason in err. */
static char *slurp(const char *path, char *err, size_t errlen)
{
	errno = 0;
	FILE *f = fopen(path, "rb");
	char *text = f ? malloc(FILE_MAX + 1) : NULL;
	size_t n = text ? fread(text, 1, FILE_MAX + 1, f) : 0;
	const char *why = !text || ferror(f) ? strerror(errno) : n > FILE_MAX ? "too large" : NULL;

	if (!why && memchr(text, '\0', n))
		why = "not a text";
	if (f)
		fclose(f);
	if (!why) {
		text[n] = '\0';
		return text;
	}
	snprintf(err, errlen, "%s: %s", path, why);
	free(text);
	return NULL;
}

int conf_read(struct conf *c, const char *path, const char *override, char *err, size_t errlen)
{
	char *text = slurp(path, err, errlen);

	if (!text)
		return errno ? -errno : -EINVAL;
	int rc = conf_parse(c, path, text, err, errlen);

	free(text);
	return rc || !override ? rc : apply_override(c, override, err, errlen);
}
