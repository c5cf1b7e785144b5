/*
 * What scripts/honeytoken.lua looks with: Hyperscan over both streams of a connection, in streaming mode, so that a
 * token is found wherever segments cut it. The script loads the patterns and registers the filter and what ends a
 * connection; the filter says yes when new bytes complete tokens, which the script then reads from the list.
 */
#include <errno.h>
#include <hs/hs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mos_api.h"

enum { LINE_MAX_ = 4096, FOUND_MAX = 64, CHUNK = 16384 };

struct pattern {
	char *name;
	char *regex;
};

/* A token that was found: the pattern's number, and the stream offset behind its last byte. */
struct honeytoken {
	uint32_t pattern;
	int32_t side;
	uint64_t end;
};

/* A connection's two streams, by receiving side: where Hyperscan's stream begins in it, and the next byte. */
struct place {
	hs_stream_t *stream;
	uint64_t from, at;
};

static struct pattern *patterns;
static uint32_t count;
static hs_database_t *database;

/* Per worker: Hyperscan wants a scratch space for each thread that scans. */
static __thread hs_scratch_t *scratch;
static __thread struct honeytoken found[FOUND_MAX];
static __thread uint32_t found_n;
static __thread struct place *scanning;
static __thread int scanning_side;

int honeytoken_load(const char *path, char *err, size_t errlen);
const char *honeytoken_name(uint32_t pattern);
uint32_t honeytoken_found(const struct honeytoken **list);
bool honeytoken_filter(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg);
void honeytoken_end(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg);

static int fail(char *err, size_t errlen, const char *path, unsigned line, const char *why)
{
	if (line)
		snprintf(err, errlen, "%s:%u: %s", path, line, why);
	else
		snprintf(err, errlen, "%s: %s", path, why);
	return -1;
}

/* The object goes: with it the patterns, and what the thread that ends the run has scanned with. */
__attribute__((destructor)) static void release(void)
{
	hs_free_scratch(scratch);
	hs_free_database(database);
	for (uint32_t i = 0; i < count; i++) {
		free(patterns[i].name);
		free(patterns[i].regex);
	}
	free(patterns);
}

static int add_pattern(char *line)
{
	char *name = strtok(line, " \t\r\n"), *regex = name ? strtok(NULL, "\r\n") : NULL;
	struct pattern *more;

	if (!name || name[0] == '#')
		return 0;
	if (!regex)
		return -EINVAL;
	regex += strspn(regex, " \t");
	more = realloc(patterns, (count + 1) * sizeof(*patterns));
	if (!more)
		return -ENOMEM;
	patterns = more;
	patterns[count].name = strdup(name);
	patterns[count].regex = strdup(regex);
	if (!patterns[count].name || !patterns[count].regex)
		return -ENOMEM;
	count++;
	return 0;
}

static int read_patterns(const char *path, char *err, size_t errlen)
{
	char line[LINE_MAX_];
	FILE *f = fopen(path, "r");
	int rc = 0;

	if (!f)
		return fail(err, errlen, path, 0, strerror(errno));
	for (unsigned n = 1; rc == 0 && fgets(line, sizeof(line), f); n++) {
		rc = add_pattern(line);
		if (rc == -EINVAL)
			fail(err, errlen, path, n, "a line is a name and a regular expression");
		else if (rc)
			fail(err, errlen, path, n, strerror(-rc));
	}
	fclose(f);
	if (rc == 0 && count == 0)
		rc = fail(err, errlen, path, 0, "no patterns");
	return rc ? -1 : 0;
}

/* One match per pattern and stream is enough, and bounds what a stream can cost. */
static int compile(const char *path, char *err, size_t errlen)
{
	const char **expressions = calloc(count, sizeof(*expressions));
	unsigned *flags = calloc(count, sizeof(*flags)), *ids = calloc(count, sizeof(*ids));
	hs_compile_error_t *wrong = NULL;
	int rc = -1;

	if (expressions && flags && ids) {
		for (uint32_t i = 0; i < count; i++) {
			expressions[i] = patterns[i].regex;
			flags[i] = HS_FLAG_SINGLEMATCH | HS_FLAG_DOTALL;
			ids[i] = i;
		}
		rc = hs_compile_multi(expressions, flags, ids, count, HS_MODE_STREAM, NULL, &database, &wrong) ==
				     HS_SUCCESS
			     ? 0
			     : -1;
	}
	if (rc < 0 && wrong && wrong->expression >= 0)
		snprintf(err, errlen, "%s: pattern '%s': %s", path, patterns[wrong->expression].name, wrong->message);
	else if (rc < 0)
		fail(err, errlen, path, 0, wrong ? wrong->message : strerror(ENOMEM));
	hs_free_compile_error(wrong);
	free(expressions);
	free(flags);
	free(ids);
	return rc;
}

/* The patterns of a file, for all workers. 0, or -1 and the reason in err. */
int honeytoken_load(const char *path, char *err, size_t errlen)
{
	if (database)
		return 0;
	if (read_patterns(path, err, errlen) < 0 || compile(path, err, errlen) < 0)
		return -1;
	return 0;
}

const char *honeytoken_name(uint32_t pattern)
{
	return pattern < count ? patterns[pattern].name : "";
}

/* What the filter has just found, good until it runs again. */
uint32_t honeytoken_found(const struct honeytoken **list)
{
	*list = found;
	return found_n;
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
	(void)from;
	(void)flags;
	(void)arg;
	if (found_n < FOUND_MAX)
		found[found_n++] = (struct honeytoken){ id, scanning_side, to + scanning->from };
	return 0;
}

/* A connection's places, made with its first bytes. */
static struct place *places_of(mctx_t m, int sock)
{
	struct place *places = mtcp_get_uctx(m, sock);

	if (!places) {
		places = calloc(2, sizeof(*places));
		if (places)
			mtcp_set_uctx(m, sock, places);
	}
	return places;
}

static bool open_stream(struct place *p)
{
	if (!scratch && hs_alloc_scratch(database, &scratch) != HS_SUCCESS)
		return false;
	return p->stream || hs_open_stream(database, 0, &p->stream) == HS_SUCCESS;
}

/* A token does not reach over bytes that nobody saw. The cursor stands behind them. */
static void begin_again(mctx_t m, int sock, int side, struct place *p)
{
	struct tcp_buf_info info;
	socklen_t len = sizeof(info);

	hs_reset_stream(p->stream, 0, scratch, NULL, NULL);
	if (mtcp_getsockopt(m, sock, SOL_MONSOCKET, side == MOS_SIDE_CLI ? MOS_INFO_CLIBUF : MOS_INFO_SVRBUF, &info,
			    &len) == 0)
		p->at += (uint32_t)(info.tcpbi_last_byte_read - info.tcpbi_init_seq - (uint32_t)p->at);
	p->from = p->at;
}

bool honeytoken_filter(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	static __thread char bytes[CHUNK];
	struct place *places = places_of(m, sock);

	(void)event;
	(void)arg;
	found_n = 0;
	if (!places || !open_stream(&places[side]))
		return false;
	scanning = &places[side];
	scanning_side = side;
	for (;;) {
		int n = (int)mtcp_peek(m, sock, side, bytes, sizeof(bytes));

		if (n < 0 && errno == ENODATA)
			begin_again(m, sock, side, scanning);
		else if (n <= 0)
			break;
		else {
			hs_scan_stream(scanning->stream, bytes, (unsigned)n, 0, scratch, on_match, NULL);
			scanning->at += (uint64_t)n;
		}
	}
	return found_n > 0;
}

/* Called once per side; the first time frees both. */
void honeytoken_end(mctx_t m, int sock, int side, event_t event, struct filter_arg *arg)
{
	struct place *places = mtcp_get_uctx(m, sock);

	(void)side;
	(void)event;
	(void)arg;
	if (!places)
		return;
	for (int i = 0; i < 2; i++) {
		if (places[i].stream)
			hs_close_stream(places[i].stream, scratch, NULL, NULL);
	}
	mtcp_set_uctx(m, sock, NULL);
	free(places);
}
