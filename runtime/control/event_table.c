#include "control/event_table.h"

#include <string.h>

#include "event/events.h"

struct row {
	const char *name, *symbol, *hooks, *side, *when;
};

static const struct row rows[] = {
#define X(symbol, bit, name, hooks, side, when) { name, "MOS_ON_" #symbol, hooks, side, when },
	EVENT_LIST(X)
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* "SR" -> "snd rcv" */
static const char *hook_names(const char *letters, char *buf, size_t len)
{
	buf[0] = '\0';
	for (; *letters; letters++) {
		const char *name = *letters == 'S' ? "snd" : *letters == 'R' ? "rcv" : "null";
		size_t n = strlen(buf);

		snprintf(buf + n, len - n, "%s%s", n ? " " : "", name);
	}
	return buf;
}

/* Words of text in lines of at most width columns, each but the first behind indent. */
static void print_wrapped(FILE *f, const char *text, int indent, int width)
{
	int col = indent;

	while (*text) {
		int len = (int)strcspn(text, " ");
		bool fits = col + 1 + len <= width;

		if (col > indent && fits)
			fputc(' ', f);
		else if (col > indent)
			fprintf(f, "\n%*s", indent, "");
		col = col > indent && fits ? col + 1 + len : indent + len;
		fprintf(f, "%.*s", len, text);
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

static void print_text(FILE *f)
{
	char hooks[32];

	for (unsigned i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];

		fprintf(f, "%-18s hooks: %-13s side: %s\n  ", r->name, hook_names(r->hooks, hooks, sizeof(hooks)),
			r->side);
		print_wrapped(f, r->when, 2, 100);
	}
}

static void print_markdown(FILE *f)
{
	char hooks[32];

	fprintf(f, "| in Lua | in C | hooks | side | raised |\n|---|---|---|---|---|\n");
	for (unsigned i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];

		fprintf(f, "| `%s` | `%s` | %s | %s | %s |\n", r->name, r->symbol,
			hook_names(r->hooks, hooks, sizeof(hooks)), r->side, r->when);
	}
}

/* Lines of text, each behind indent. */
static void print_lines(FILE *f, const char *text, int indent)
{
	while (*text) {
		int len = (int)strcspn(text, "\n");

		fprintf(f, "%*s%.*s\n", indent, "", len, text);
		text += len;
		text += *text == '\n';
	}
}

/* User-defined events, each behind its parents. */
static void print_user(FILE *f)
{
	for (uint32_t i = 0; i < events_count(); i++) {
		const struct event *e = event_at(i);

		if (e->kind == EVENT_BUILTIN)
			continue;
		const struct event *parent = event_find(e->parent);
		fprintf(f, "%*s%s%s%s%s%s\n", (e->depth - 1) * 2, "", e->name[0] ? e->name : "(unnamed)", " extends ",
			parent->name[0] ? parent->name : "(unnamed)", e->meaning[0] ? ": " : "", e->meaning);
		print_lines(f, e->fields, e->depth * 2);
	}
}

void event_table_print(FILE *f, bool markdown)
{
	if (markdown)
		print_markdown(f);
	else
		print_text(f);
	print_user(f);
}
