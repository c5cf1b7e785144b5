#include "control/answer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(struct text *t, const char *s, size_t n)
{
	if (t->failed)
		return;
	if (t->len + n + 1 > t->cap) {
		size_t cap = 2 * (t->len + n + 1);
		char *more = realloc(t->s, cap);

		if (!more) {
			t->failed = true;
			return;
		}
		t->s = more;
		t->cap = cap;
	}
	memcpy(t->s + t->len, s, n);
	t->len += n;
	t->s[t->len] = '\0';
}

static void add(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

/* Bytes beyond ASCII pass as they are: what is quoted here came from files' names and scripts' messages. */
static void add_quoted(struct text *t, const char *s)
{
	char code[8];

	add(t, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			snprintf(code, sizeof(code), "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			snprintf(code, sizeof(code), "\\u%04x", c);
		else
			snprintf(code, sizeof(code), "%c", c);
		add(t, code);
	}
	add(t, "\"");
}

void answer_init(struct answer *a)
{
	*a = (struct answer){ .failed = false };
}

void answer_fini(struct answer *a)
{
	free(a->json.s);
	free(a->text.s);
	answer_init(a);
}

static void begin_member(struct answer *a, const char *name)
{
	if (a->comma)
		add(&a->json, ",");
	a->comma = true;
	add_quoted(&a->json, name);
	add(&a->json, ":");
}

static void for_people(struct answer *a, const char *name, const char *value)
{
	char line[64];

	if (a->quiet)
		return;
	if (a->in_list) {
		if (a->text.len && a->text.s[a->text.len - 1] != '\n')
			add(&a->text, "  ");
		add(&a->text, name);
		add(&a->text, " ");
		add(&a->text, value);
		return;
	}
	snprintf(line, sizeof(line), "%-22s ", name);
	add(&a->text, line);
	add(&a->text, value);
	add(&a->text, "\n");
}

void answer_number(struct answer *a, const char *name, uint64_t n)
{
	char value[32];

	snprintf(value, sizeof(value), "%" PRIu64, n);
	begin_member(a, name);
	add(&a->json, value);
	for_people(a, name, value);
}

void answer_real(struct answer *a, const char *name, double x)
{
	char value[32];

	snprintf(value, sizeof(value), "%.3f", x);
	begin_member(a, name);
	add(&a->json, value);
	for_people(a, name, value);
}

void answer_string(struct answer *a, const char *name, const char *s)
{
	begin_member(a, name);
	add_quoted(&a->json, s);
	for_people(a, name, s);
}

void answer_list(struct answer *a, const char *name)
{
	begin_member(a, name);
	add(&a->json, "[");
	a->comma = false;
	a->in_list = true;
}

void answer_item(struct answer *a)
{
	add(&a->json, a->comma ? ",{" : "{");
	a->comma = false;
}

void answer_item_end(struct answer *a)
{
	add(&a->json, "}");
	if (!a->quiet)
		add(&a->text, "\n");
	a->comma = true;
}

void answer_list_end(struct answer *a)
{
	add(&a->json, "]");
	a->comma = true;
	a->in_list = false;
}

void answer_quiet(struct answer *a, bool quiet)
{
	a->quiet = quiet;
}

void answer_text(struct answer *a, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(&a->text, text);
}

void answer_error(struct answer *a, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a->failed = true;
	a->text.len = 0;
	add(&a->text, text);
}

void answer_write(const struct answer *a, bool as_text, struct text *out)
{
	const char *text = a->text.s ? a->text.s : "";

	if (a->json.failed || a->text.failed) {
		add(out, "{\"ok\":false,\"error\":\"out of memory\"}\n");
		return;
	}
	add(out, a->failed ? "{\"ok\":false" : "{\"ok\":true");
	if (a->failed || as_text) {
		add(out, a->failed ? ",\"error\":" : ",\"text\":");
		add_quoted(out, text);
	} else if (a->json.len) {
		add(out, ",");
		text_add(out, a->json.s, a->json.len);
	}
	add(out, "}\n");
}
