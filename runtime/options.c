#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "pkt/decode.h"
#include "util/overlap.h"
#include "util/suggest.h"

enum {
	OPT_MIDSTREAM = 256,
	OPT_VERIFY_CHECKSUMS,
	OPT_MAX_CONNS,
	OPT_BUFFER_MEMORY,
	OPT_LINGER,
	OPT_NO_DECAP,
	OPT_FRAG_OVERLAP,
	OPT_ON_ERROR,
	OPT_MAX_ERRORS,
	OPT_TIMEOUT,
	OPT_MEMORY,
	OPT_SANDBOX,
	OPT_DATA_DIR,
	OPT_CONTROL,
	OPT_WATCH,
	OPT_CANARY,
	OPT_CHECK,
	OPT_EVENTS,
	OPT_EXPLAIN,
	OPT_NEW_MONITOR,
	OPT_STATS,
	OPT_PRELOAD,
	OPT_REPEAT,
	OPT_FAIL_OPEN,
	OPT_FAIL_CLOSED,
	OPT_BUSY_POLL,
	OPT_EAL,
	OPT_MAC,
	OPT_USER,
	OPT_VERSION,
	/* What getopt_long answers for a word that is no option; see getopt(3) on "-". */
	OPT_POSITIONAL = 1
};

/* X(long name, what getopt_long answers, whether it takes a value, the value's name in messages) */
#define OPTION_LIST(X)                                                   \
	X("read", 'r', required_argument, "FILE")                        \
	X("interface", 'i', required_argument, "A[:B]")                  \
	X("port", 'p', required_argument, "A[:B]")                       \
	X("eal", OPT_EAL, required_argument, "ARGUMENTS")                \
	X("mac", OPT_MAC, required_argument, "PORT=MAC")                 \
	X("busy-poll", OPT_BUSY_POLL, no_argument, "")                   \
	X("fail-open", OPT_FAIL_OPEN, no_argument, "")                   \
	X("fail-closed", OPT_FAIL_CLOSED, no_argument, "")               \
	X("user", OPT_USER, required_argument, "NAME")                   \
	X("filter", 'f', required_argument, "FILTER")                    \
	X("write", 'w', required_argument, "FILE")                       \
	X("workers", 'j', required_argument, "NUMBER")                   \
	X("preload", OPT_PRELOAD, no_argument, "")                       \
	X("repeat", OPT_REPEAT, required_argument, "NUMBER")             \
	X("midstream", OPT_MIDSTREAM, no_argument, "")                   \
	X("verify-checksums", OPT_VERIFY_CHECKSUMS, no_argument, "")     \
	X("no-decap", OPT_NO_DECAP, required_argument, "KIND")           \
	X("frag-overlap", OPT_FRAG_OVERLAP, required_argument, "POLICY") \
	X("max-conns", OPT_MAX_CONNS, required_argument, "NUMBER")       \
	X("buffer-memory", OPT_BUFFER_MEMORY, required_argument, "SIZE") \
	X("linger", OPT_LINGER, required_argument, "SECONDS")            \
	X("on-error", OPT_ON_ERROR, required_argument, "ACTION")         \
	X("max-errors", OPT_MAX_ERRORS, required_argument, "NUMBER/s")   \
	X("script-timeout", OPT_TIMEOUT, required_argument, "TIME")      \
	X("script-memory", OPT_MEMORY, required_argument, "SIZE")        \
	X("sandbox", OPT_SANDBOX, optional_argument, "")                 \
	X("data-dir", OPT_DATA_DIR, required_argument, "DIR")            \
	X("control", OPT_CONTROL, required_argument, "PATH")             \
	X("watch", OPT_WATCH, no_argument, "")                           \
	X("canary", OPT_CANARY, required_argument, "SECONDS")            \
	X("check", OPT_CHECK, no_argument, "")                           \
	X("events", OPT_EVENTS, optional_argument, "")                   \
	X("explain", OPT_EXPLAIN, no_argument, "")                       \
	X("new-monitor", OPT_NEW_MONITOR, required_argument, "NAME")     \
	X("stats", OPT_STATS, no_argument, "")                           \
	X("quiet", 'q', no_argument, "")                                 \
	X("verbose", 'v', no_argument, "")                               \
	X("version", OPT_VERSION, no_argument, "")                       \
	X("help", 'h', no_argument, "")

/* '-': words that are no options come in order; ':': a missing value is told from an unknown option. */
static const char short_options[] = "-:r:i:p:f:w:j:qvh";

static const struct option long_options[] = {
#define X(name, answer, takes, value) { name, takes, NULL, answer },
	OPTION_LIST(X)
#undef X
		{ NULL, 0, NULL, 0 },
};

static const char *const long_names[] = {
#define X(name, answer, takes, value) name,
	OPTION_LIST(X)
#undef X
};

enum { LONG_COUNT = sizeof(long_names) / sizeof(long_names[0]) };

static const char *const on_error_names[] = {
	[ON_ERROR_PASS] = "pass",
	[ON_ERROR_DROP] = "drop",
	[ON_ERROR_STOP] = "stop",
};

enum { PAIRS_MAX = 16 };

/* Where the reason of a failure goes. */
struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int usage(const struct reason *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, why->size, fmt, ap);
	va_end(ap);
	return EXIT_USAGE;
}

/* A word as the option it is meant as: without dashes and "=value". */
static void bare_name(const char *word, char *name, size_t size)
{
	word += strspn(word, "-");
	snprintf(name, size, "%.*s", (int)strcspn(word, "="), word);
}

static int unknown_option(const struct reason *why, const char *word, int letter)
{
	char name[64];
	const char *near;

	bare_name(word, name, sizeof(name));
	near = strlen(name) > 1 ? suggest_nearest(name, long_names, LONG_COUNT) : NULL;
	if (near)
		return usage(why, "unknown option '%.*s%s'; did you mean '--%s'?", (int)strspn(word, "-"), word, name,
			     near);
	if (word[1] == '-')
		return usage(why, "unknown option '--%s'", name);
	return usage(why, "unknown option '-%c'", letter);
}

/* getopt_long answered '?': the option is unknown, or it is known and was given a value that it does not take. */
static int refused_option(const struct reason *why, const char *word, int answer)
{
	char name[64];

	if (word[1] != '-' || !answer)
		return unknown_option(why, word, answer);
	bare_name(word, name, sizeof(name));
	return usage(why, "option '--%s' takes no value", name);
}

static const char *value_name(int answer)
{
#define X(name, a, takes, value) \
	if (answer == (a))       \
		return value;
	OPTION_LIST(X)
#undef X
	return "";
}

static int missing_value(const struct reason *why, const char *word, int answer)
{
	if (word[1] == '-')
		return usage(why, "option '%s' needs its %s", word, value_name(answer));
	return usage(why, "option '-%c' needs its %s", answer, value_name(answer));
}

/* Decimal digits at *s, which moves behind them. False if there are none or the number is above max. */
static bool read_digits(const char **s, uint64_t max, uint64_t *n)
{
	const char *p = *s;

	for (*n = 0; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (*n > (max - digit) / 10)
			return false;
		*n = *n * 10 + digit;
	}
	if (p == *s)
		return false;
	*s = p;
	return true;
}

/* What stands behind a limit's value: nothing or ",first" (false), or ",second" (true). */
static int set_policy(bool *which, const char *option, const char *s, const char *first, const char *second,
		      const struct reason *why)
{
	*which = *s == ',' && strcmp(s + 1, second) == 0;
	if (!*s || *which || strcmp(s + 1, first) == 0)
		return 0;
	return usage(why, "%s: what is done at the limit is %s or %s, not '%s'", option, first, second, s + 1);
}

static int set_max_conns(struct options *o, const char *value, const struct reason *why)
{
	enum { MOST = 100000000 };
	const char *s = value;
	uint64_t n;

	if (!read_digits(&s, MOST, &n) || (*s && *s != ',') || n == 0)
		return usage(why, "--max-conns takes a number from 1 to %d, not '%s'", MOST, value);
	o->set.max_conns = (uint32_t)n;
	return set_policy(&o->set.conns_pass, "--max-conns", s, "evict", "pass", why);
}

static int set_workers(struct options *o, const char *value, const struct reason *why)
{
	const char *s = value;
	uint64_t n;

	if (!read_digits(&s, WORKERS_MAX, &n) || *s || n == 0)
		return usage(why, "-j takes a number of workers from 1 to %d, not '%s'", WORKERS_MAX, value);
	o->workers = (unsigned)n;
	return 0;
}

static int set_repeat(struct options *o, const char *value, const struct reason *why)
{
	enum { MOST = 1000000000 };
	const char *s = value;
	uint64_t n;

	if (!read_digits(&s, MOST, &n) || *s || n == 0)
		return usage(why, "--repeat takes a number from 1 to %d, not '%s'", MOST, value);
	o->repeat = (unsigned)n;
	return 0;
}

/* The power of two that a size's suffix at *s stands for, which is taken; -1 if it is none. */
static int suffix_shift(const char **s)
{
	static const char letters[] = "KMG";
	const char *at = **s ? strchr(letters, **s & ~0x20) : NULL;

	if (!at || !*at)
		return **s && **s != ',' ? -1 : 0;
	++*s;
	return 10 * (int)(at - letters + 1);
}

/* Digits and a suffix as bytes; *rest is what stands behind them. */
static bool read_size(const char *s, size_t *bytes, const char **rest)
{
	uint64_t n;

	if (!read_digits(&s, SIZE_MAX, &n))
		return false;
	int shift = suffix_shift(&s);

	if (shift < 0 || n > SIZE_MAX >> shift)
		return false;
	*bytes = n << shift;
	*rest = s;
	return true;
}

static int set_buffer_memory(struct options *o, const char *value, const struct reason *why)
{
	const char *rest;

	if (!read_size(value, &o->set.buffer_memory, &rest) || (*rest && *rest != ','))
		return usage(why, "--buffer-memory takes a size such as 64M or 2G, not '%s'", value);
	return set_policy(&o->set.memory_largest, "--buffer-memory", rest, "lose", "largest", why);
}

/* A state needs about 1M before a script has done anything. */
static int set_script_memory(struct options *o, const char *value, const struct reason *why)
{
	const char *rest;
	size_t n;

	if (!read_size(value, &n, &rest) || *rest || (n && n < 4 << 20))
		return usage(why, "--script-memory takes a size from 4M on such as 256M, or 0, not '%s'", value);
	o->set.script_memory = n;
	return 0;
}

static int set_max_errors(struct options *o, const char *value, const struct reason *why)
{
	const char *s = value;
	uint64_t n;

	if (!read_digits(&s, UINT32_MAX, &n) || strcmp(s, "/s") != 0)
		return usage(why, "--max-errors takes errors per second such as 100/s, or 0/s, not '%s'", value);
	o->set.max_errors = (uint32_t)n;
	return 0;
}

static int set_script_timeout(struct options *o, const char *value, const struct reason *why)
{
	enum { LEAST = 4, MOST = 60000 };
	const char *s = value;
	uint64_t n;

	if (!read_digits(&s, MOST, &n) || (strcmp(s, "ms") != 0 && strcmp(s, "s") != 0))
		return usage(why, "--script-timeout takes a time such as 50ms or 1s, or 0ms, not '%s'", value);
	n *= *s == 's' ? 1000 : 1;
	if (n && (n < LEAST || n > MOST))
		return usage(why, "--script-timeout takes from %dms to %ds, or 0ms, not '%s'", LEAST, MOST / 1000,
			     value);
	o->set.script_timeout_ns = n * 1000000;
	return 0;
}

/* Seconds with up to nine decimals, as nanoseconds. */
static bool read_seconds(const char *s, uint64_t max, uint64_t *ns)
{
	uint64_t whole, unit = 1000000000;

	if (!read_digits(&s, max, &whole))
		return false;
	*ns = whole * unit;
	if (*s == '.') {
		for (s++; *s >= '0' && *s <= '9' && unit > 1; s++) {
			unit /= 10;
			*ns += (uint64_t)(*s - '0') * unit;
		}
	}
	return *s == '\0';
}

static int set_linger(struct options *o, const char *value, const struct reason *why)
{
	enum { MOST = 86400 };

	if (!read_seconds(value, MOST, &o->set.linger_ns))
		return usage(why, "--linger takes seconds from 0 to %d, not '%s'", MOST, value);
	return 0;
}

static int set_sandbox(struct options *o, const char *value, const struct reason *why)
{
	if (value && strcmp(value, "off") != 0)
		return usage(why, "--sandbox takes nothing or '=off', not '=%s'", value);
	o->set.sandbox = value ? SANDBOX_NONE : SANDBOX_ALL;
	return 0;
}

static int set_canary(struct options *o, const char *value, const struct reason *why)
{
	enum { MOST = 3600 };

	if (!read_seconds(value, MOST, &o->canary_ns))
		return usage(why, "--canary takes seconds from 0 to %d, not '%s'", MOST, value);
	return 0;
}

static int set_on_error(struct options *o, const char *value, const struct reason *why)
{
	const char *near;

	for (unsigned i = 0; i < sizeof(on_error_names) / sizeof(on_error_names[0]); i++) {
		if (!strcmp(value, on_error_names[i])) {
			o->set.on_error = i;
			o->on_error_said = true;
			return 0;
		}
	}
	near = suggest_nearest(value, on_error_names, sizeof(on_error_names) / sizeof(on_error_names[0]));
	if (near)
		return usage(why, "--on-error takes pass, drop or stop; did you mean '%s'?", near);
	return usage(why, "--on-error takes pass, drop or stop, not '%s'", value);
}

/* value is none of the n names that the option takes, which name gives. */
static int unknown_name(const struct reason *why, const char *option, const char *value, const char *(*name)(unsigned),
			unsigned n)
{
	const char *names[32], *near;
	char list[256] = "";

	for (unsigned i = 0; i < n; i++) {
		names[i] = name(i);
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", names[i]);
	}
	near = suggest_nearest(value, names, n);
	if (near)
		return usage(why, "unknown %s '%s'; did you mean '%s'?", option, value, near);
	return usage(why, "unknown %s '%s'; there are %s", option, value, list);
}

static int set_frag_overlap(struct options *o, const char *value, const struct reason *why)
{
	int policy = overlap_find(value);

	if (policy < 0)
		return unknown_name(why, "--frag-overlap", value, overlap_name, MOS_OVERLAP_POLICIES);
	o->set.defrag.overlap = policy;
	return 0;
}

static int set_no_decap(struct options *o, const char *value, const struct reason *why)
{
	for (unsigned i = 0; i < DECAP_KINDS; i++) {
		if (!strcmp(value, decap_name(i))) {
			o->no_decap |= 1u << i;
			return 0;
		}
	}
	return unknown_name(why, "--no-decap", value, decap_name, DECAP_KINDS);
}

static int set_events(struct options *o, const char *format, const struct reason *why)
{
	if (format && strcmp(format, "markdown") != 0)
		return usage(why, "--events takes nothing or '=markdown', not '=%s'", format);
	o->events = format ? EVENTS_MARKDOWN : EVENTS_TEXT;
	return 0;
}

static int set_script(struct options *o, const char *word, const struct reason *why)
{
	size_t len = strlen(word);

	if (o->script)
		return usage(why, "one script at a time: '%s' is a second (arguments for the script go after '--')",
			     word);
	o->script = word;
	o->script_is_so = len > 3 && !strcmp(word + len - 3, ".so");
	return 0;
}

static int add_input(struct options *o, const char *path, const struct reason *why)
{
	for (unsigned i = 0; i < o->ninputs && !strcmp(path, "-"); i++) {
		if (!strcmp(o->inputs[i], "-"))
			return usage(why, "standard input can be read only once");
	}
	o->inputs[o->ninputs++] = path;
	return 0;
}

/* One "A" or "A:B" of a list, len bytes at word. */
static int add_pair(struct options *o, const char *word, size_t len, const struct reason *why)
{
	char *a = strndup(word, len), *b = a ? strchr(a, ':') : NULL;

	if (!a)
		return usage(why, "%s", strerror(ENOMEM));
	if (b)
		*b++ = '\0';
	/* Both names are in one piece of memory, which a owns. */
	struct io_pair *pair = &o->pairs[o->npairs++];

	*pair = (struct io_pair){ a, b };
	if (!*a || (b && (!*b || strchr(b, ':'))))
		return usage(why, "-%c takes %s, or two as A:B, not '%.*s'", o->dpdk ? 'p' : 'i',
			     o->dpdk ? "the number of a port" : "an interface", (int)len, word);
	if (b && !strcmp(a, b))
		return usage(why, "%s:%s: packets cannot pass from an interface to itself", a, b);
	return 0;
}

static bool pair_has(const struct io_pair *pair, const char *name)
{
	return name && (!strcmp(pair->a, name) || (pair->b && !strcmp(pair->b, name)));
}

static int add_pairs(struct options *o, const char *list, const struct reason *why)
{
	while (true) {
		size_t len = strcspn(list, ",");

		if (o->npairs == PAIRS_MAX)
			return usage(why, "%d interfaces or pairs at most", PAIRS_MAX);
		if (add_pair(o, list, len, why))
			return EXIT_USAGE;
		const struct io_pair *last = &o->pairs[o->npairs - 1];

		for (unsigned i = 0; i + 1 < o->npairs; i++)
			if (pair_has(&o->pairs[i], last->a) || pair_has(&o->pairs[i], last->b))
				return usage(why, "'%s' is named twice",
					     pair_has(&o->pairs[i], last->a) ? last->a : last->b);
		if (!list[len])
			return 0;
		list += len + 1;
	}
}

static void set_flag(struct options *o, int answer)
{
	switch (answer) {
	case OPT_MIDSTREAM:
		o->set.midstream = true;
		break;
	case OPT_VERIFY_CHECKSUMS:
		o->set.verify_checksums = true;
		break;
	case OPT_WATCH:
		o->watch = true;
		break;
	case OPT_CHECK:
		o->check = true;
		break;
	case OPT_EXPLAIN:
		o->explain = true;
		break;
	case OPT_FAIL_OPEN:
		o->set.fail_closed = false;
		break;
	case OPT_FAIL_CLOSED:
		o->set.fail_closed = true;
		break;
	case OPT_BUSY_POLL:
		o->set.busy_poll = true;
		break;
	case OPT_STATS:
		o->stats = true;
		break;
	case OPT_PRELOAD:
		o->repeat = o->repeat ? o->repeat : 1;
		break;
	case OPT_VERSION:
		o->version = true;
		break;
	case 'q':
		o->verbosity = -1;
		break;
	case 'v':
		o->verbosity = 1;
		break;
	case 'h':
		o->help = true;
		break;
	}
}

/* One answer of getopt_long; word is what it stands in, value the option's. */
static int set_option(struct options *o, int answer, const char *word, const char *value, const struct reason *why)
{
	switch (answer) {
	case OPT_POSITIONAL:
		return set_script(o, value, why);
	case 'r':
		return add_input(o, value, why);
	case 'i':
	case 'p':
		if (o->npairs && o->dpdk != (answer == 'p'))
			return usage(why, "-i and -p: either interfaces or ports of DPDK");
		o->dpdk = answer == 'p';
		return add_pairs(o, value, why);
	case OPT_EAL:
		o->eal = value;
		return 0;
	case OPT_MAC:
		o->mac = value;
		return 0;
	case OPT_USER:
		o->user = value;
		return 0;
	case 'f':
		o->filter = value;
		return 0;
	case 'w':
		o->output = value;
		return 0;
	case 'j':
		return set_workers(o, value, why);
	case OPT_NEW_MONITOR:
		o->new_monitor = value;
		return 0;
	case OPT_REPEAT:
		return set_repeat(o, value, why);
	case OPT_MAX_CONNS:
		return set_max_conns(o, value, why);
	case OPT_BUFFER_MEMORY:
		return set_buffer_memory(o, value, why);
	case OPT_LINGER:
		return set_linger(o, value, why);
	case OPT_NO_DECAP:
		return set_no_decap(o, value, why);
	case OPT_FRAG_OVERLAP:
		return set_frag_overlap(o, value, why);
	case OPT_ON_ERROR:
		return set_on_error(o, value, why);
	case OPT_MAX_ERRORS:
		return set_max_errors(o, value, why);
	case OPT_TIMEOUT:
		return set_script_timeout(o, value, why);
	case OPT_MEMORY:
		return set_script_memory(o, value, why);
	case OPT_SANDBOX:
		return set_sandbox(o, value, why);
	case OPT_DATA_DIR:
		o->set.data_dir = value;
		return 0;
	case OPT_CONTROL:
		o->control = value;
		return 0;
	case OPT_CANARY:
		return set_canary(o, value, why);
	case OPT_EVENTS:
		return set_events(o, value, why);
	case ':':
		return missing_value(why, word, optopt);
	case '?':
		return refused_option(why, word, optopt);
	default:
		set_flag(o, answer);
		return 0;
	}
}

/* What no single option can see. */
static int check_whole(const struct options *o, const struct reason *why)
{
	if (!o->script && !o->help && !o->version && !o->events && !o->explain && !o->new_monitor)
		return usage(why, "no script given; try 'mos-run --help'");
	if (o->explain && o->workers > 1)
		return usage(why, "--explain follows one worker; leave out -j");
	if (o->repeat && !o->ninputs && !o->help && !o->version)
		return usage(why, "--preload and --repeat need a capture: -r FILE");
	if ((o->eal || o->mac) && !o->dpdk)
		return usage(why, "--eal and --mac go with -p");
	if (o->ninputs && o->npairs)
		return usage(why, "-r and -i or -p: packets come from captures or from interfaces");
	for (unsigned i = 0; i < o->ninputs && o->output && strcmp(o->output, "-") != 0; i++) {
		if (!strcmp(o->inputs[i], o->output))
			return usage(why, "'%s' cannot be read and written at once", o->output);
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, char *err, size_t errlen)
{
	const struct reason why = { err, errlen };

	memset(o, 0, sizeof(*o));
	settings_default(&o->set);
	o->inputs = calloc((size_t)argc + 1, sizeof(*o->inputs));
	o->pairs = calloc(PAIRS_MAX, sizeof(*o->pairs));
	if (!o->inputs || !o->pairs)
		return usage(&why, "%s", strerror(ENOMEM));

	/* 0 makes glibc forget an earlier command line. */
	optind = 0;
	opterr = 0;
	for (;;) {
		const char *word = argv[optind ? optind : 1];
		int answer = getopt_long(argc, argv, short_options, long_options, NULL);

		if (answer == -1)
			break;
		if (set_option(o, answer, word, optarg, &why))
			return EXIT_USAGE;
	}
	o->args = argv + optind;
	o->nargs = argc - optind;
	/* What a card or the receiver would refuse changes nothing here either; captures hold unfinished ones. */
	o->set.verify_checksums |= o->npairs > 0;
	if (o->set.fail_closed && !o->on_error_said)
		o->set.on_error = ON_ERROR_DROP;
	return check_whole(o, &why);
}

void options_fini(struct options *o)
{
	for (unsigned i = 0; i < o->npairs; i++)
		free((char *)o->pairs[i].a);
	free(o->pairs);
	free(o->inputs);
	o->pairs = NULL;
	o->npairs = 0;
	o->inputs = NULL;
	o->ninputs = 0;
}

/* 1073741824 as "1G": the largest unit without a remainder. */
static void format_size(uint64_t bytes, char *text, size_t size)
{
	static const char units[] = " KMG";
	unsigned unit = 0;

	while (bytes && bytes % 1024 == 0 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, size, "%llu%.*s", (unsigned long long)bytes, unit ? 1 : 0, units + unit);
}

void options_help(FILE *f)
{
	struct settings set;
	char memory[32];

	settings_default(&set);
	format_size(set.buffer_memory, memory, sizeof(memory));
	fprintf(f, "Usage: mos-run [OPTION]... SCRIPT [-- ARGUMENT...]\n"
		   "Run SCRIPT, a Lua file or a shared object (.so), on packets.\n"
		   "Packets\n"
		   "  -r, --read FILE           read this capture; repeatable, '-' is standard input\n"
		   "  -i, --interface A[:B]     watch A, or stand between A and B (DPDK: -p, --port)\n"
		   "  -f, --filter FILTER       only packets that this pcap filter matches\n"
		   "  -w, --write FILE          write packets that were not dropped to this capture\n"
		   "      --midstream  --verify-checksums  --fail-closed  --user NAME  --busy-poll\n"
		   "      --no-decap KIND  --frag-overlap POLICY  --preload  --repeat NUMBER\n");
	fprintf(f,
		"Limits\n"
		"      --max-conns NUMBER    connections at a time (default %u)\n"
		"      --buffer-memory SIZE  of all stream buffers; K, M, G; 0: any (default %s)\n"
		"      --linger SECONDS      keep a closed connection's record (default %g)\n",
		set.max_conns, memory, (double)set.linger_ns / 1e9);
	fprintf(f,
		"Run\n"
		"  -j, --workers NUMBER      threads, each with its SCRIPT (1, with -p: queues)\n"
		"      --on-error ACTION     of a failed handler: pass, drop, stop (default %s)\n"
		"      --max-errors NUMBER/s  --script-timeout TIME  --script-memory SIZE\n"
		"      --control PATH  --watch  --canary SECONDS  --sandbox  --data-dir DIR\n"
		"      --explain  --new-monitor NAME    say what happens; begin a script\n"
		"      --check  --events[=markdown]  --stats    load only, list events, count\n"
		"  -q, --quiet  -v, --verbose  --version  -h, --help\n"
		"Examples\n"
		"  mos-run -r http.pcap script.lua\n"
		"  zcat big.pcap.gz | mos-run -r - -f 'tcp port 80' --stats app.so -- -n 5\n",
		on_error_names[set.on_error]);
}
