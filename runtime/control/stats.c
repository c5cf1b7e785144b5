#include "control/stats.h"

#include <inttypes.h>

#include "pkt/decode.h"

static const struct {
	const char *name;
	const char *meaning;
} ended_words[MOS_ENDED_COUNT] = {
	[MOS_ENDED_OPEN] = { "open", "still open" },
	[MOS_ENDED_CLOSED] = { "closed", "both sides closed" },
	[MOS_ENDED_RESET] = { "reset", "by an accepted RST" },
	[MOS_ENDED_TIMEOUT] = { "timeout", "idle for too long" },
	[MOS_ENDED_REUSED] = { "reused", "a new SYN took the 4-tuple" },
	[MOS_ENDED_LIMIT] = { "limit", "made room at a limit" },
	[MOS_ENDED_INPUT] = { "input", "open when the input ended" },
};

#define X(symbol, bit, name, hooks, side, when) static const char name_##symbol[] = name;
EVENT_LIST(X)
#undef X

static const char hook_SND[] = "at snd", hook_RCV[] = "at rcv", hook_NUL[] = "at no hook";

static const struct {
	const char *event;
	const char *hook;
} slot_words[SLOT_COUNT] = {
#define X(event, hook) { name_##event, hook_##hook },
	SLOT_LIST(X)
#undef X
};

void stats_add(struct stats *sum, const struct stats *s)
{
#define X(field, meaning) sum->field += s->field;
	STATS_LIST(X)
#undef X
	for (unsigned i = 0; i < MOS_DECODE_COUNT; i++)
		sum->decode[i] += s->decode[i];
	for (unsigned i = 0; i < MOS_ENDED_COUNT; i++)
		sum->ended[i] += s->ended[i];
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		sum->events[i] += s->events[i];
		sum->sampled[i] += s->sampled[i];
		sum->sampled_ns[i] += s->sampled_ns[i];
	}
	if (s->gc_longest_us > sum->gc_longest_us)
		sum->gc_longest_us = s->gc_longest_us;
}

static void print_row(FILE *f, const char *name, uint64_t count, const char *meaning)
{
	fprintf(f, "  %-22s %16" PRIu64 "  %s\n", name, count, meaning);
}

/* A heading is printed when its first row is: *heading becomes NULL. */
static void print_nonzero(FILE *f, const char **heading, const char *name, uint64_t count, const char *meaning)
{
	if (!count)
		return;
	if (*heading)
		fprintf(f, "%s\n", *heading);
	*heading = NULL;
	print_row(f, name, count, meaning);
}

static void print_decode(const struct stats *s, FILE *f)
{
	const char *heading = "Decoded as";

	for (unsigned i = 0; i < MOS_DECODE_COUNT; i++)
		print_nonzero(f, &heading, decode_name(i), s->decode[i], decode_meaning(i));
}

static void print_fragments(const struct stats *s, FILE *f)
{
	const char *heading = "Fragments";

#define X(field, meaning) print_nonzero(f, &heading, #field, s->field, meaning);
	STATS_FRAGMENTS(X)
#undef X
}

static void print_script(const struct stats *s, FILE *f)
{
	const char *heading = "Script";

#define X(field, meaning) print_nonzero(f, &heading, #field, s->field, meaning);
	STATS_SCRIPT(X)
#undef X
	print_nonzero(f, &heading, "gc_longest_us", s->gc_longest_us, "the longest step of them");
}

static void print_ports(const struct stats *s, FILE *f)
{
	const char *heading = "Ports";

#define X(field, meaning) print_nonzero(f, &heading, #field, s->field, meaning);
	STATS_PORTS(X)
#undef X
}

static void print_times(const struct stats *s, FILE *f)
{
	const char *heading = "Nanoseconds of a handler in Lua, sampled";

	for (unsigned i = 0; i < SLOT_COUNT; i++)
		if (s->sampled[i])
			print_nonzero(f, &heading, slot_words[i].event, s->sampled_ns[i] / s->sampled[i],
				      slot_words[i].hook);
}

static void print_ended(const struct stats *s, FILE *f)
{
	const char *heading = "Connections ended by";

	for (unsigned i = 0; i < MOS_ENDED_COUNT; i++)
		print_nonzero(f, &heading, ended_words[i].name, s->ended[i], ended_words[i].meaning);
}

static void print_events(const struct stats *s, FILE *f)
{
	const char *heading = "Events raised";

	for (unsigned i = 0; i < SLOT_COUNT; i++)
		print_nonzero(f, &heading, slot_words[i].event, s->events[i], slot_words[i].hook);
}

void stats_print(const struct stats *s, FILE *f)
{
#define X(field, meaning) print_row(f, #field, s->field, meaning);
	fputs("Packets\n", f);
	STATS_PACKETS(X)
	print_decode(s, f);
	print_fragments(s, f);
	print_ports(s, f);
	fputs("Connections\n", f);
	STATS_CONNECTIONS(X)
	print_ended(s, f);
	fputs("TCP\n", f);
	STATS_TCP(X)
	fputs("Limits\n", f);
	STATS_LIMITS(X)
	fputs("Handlers\n", f);
	STATS_HANDLERS(X)
	print_events(s, f);
	print_script(s, f);
	print_times(s, f);
#undef X
}
