#include "control/request.h"

#include <string.h>

static void skip_space(char **s)
{
	*s += strspn(*s, " \t\r\n");
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The code point of \uXXXX as UTF-8 at *to. Surrogates and NUL are refused. */
static bool put_code(const char *hex, char **to)
{
	unsigned code = 0;

	for (unsigned i = 0; i < 4; i++) {
		int digit = hex_digit(hex[i]);

		if (digit < 0)
			return false;
		code = code << 4 | (unsigned)digit;
	}
	if (!code || (code >= 0xd800 && code < 0xe000))
		return false;
	if (code < 0x80) {
		*(*to)++ = (char)code;
	} else if (code < 0x800) {
		*(*to)++ = (char)(0xc0 | code >> 6);
		*(*to)++ = (char)(0x80 | (code & 0x3f));
	} else {
		*(*to)++ = (char)(0xe0 | code >> 12);
		*(*to)++ = (char)(0x80 | (code >> 6 & 0x3f));
		*(*to)++ = (char)(0x80 | (code & 0x3f));
	}
	return true;
}

/* A string at *s, undone in place: what it stands for is never longer than what was written. NULL if it is none. */
static char *take_string(char **s)
{
	static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	char *from = *s + 1, *to = from, *start = from;

	if (**s != '"')
		return NULL;
	while (*from && *from != '"') {
		if ((unsigned char)*from < ' ')
			return NULL;
		if (*from != '\\') {
			*to++ = *from++;
			continue;
		}
		const char *at = from[1] ? strchr(letters, from[1]) : NULL;

		if (at) {
			*to++ = values[at - letters];
			from += 2;
		} else if (from[1] == 'u' && put_code(from + 2, &to)) {
			from += 6;
		} else {
			return NULL;
		}
	}
	if (!*from)
		return NULL;
	*s = from + 1;
	*to = '\0';
	return start;
}

/* Ends a number in place: *stop remembers what the next character was. */
static bool take_number(char **s, struct member *m, char *stop)
{
	size_t n = strspn(*s, "+-.0123456789eE");

	if (!n || !strpbrk(*s, "0123456789"))
		return false;
	m->kind = MEMBER_NUMBER;
	m->text = *s;
	*s += n;
	*stop = **s;
	return true;
}

static bool take_word(char **s, struct member *m)
{
	static const struct {
		const char *word;
		enum member_kind kind;
		bool yes;
	} words[] = { { "true", MEMBER_BOOL, true }, { "false", MEMBER_BOOL, false }, { "null", MEMBER_NULL, false } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);

		if (strncmp(*s, words[i].word, n) != 0)
			continue;
		m->kind = words[i].kind;
		m->yes = words[i].yes;
		*s += n;
		return true;
	}
	return false;
}

/* "name": value, and what follows it: ',' or '}'. 0 on failure. */
static char take_member(char **s, struct member *m)
{
	char stop = 0, *number_end = NULL;

	m->name = take_string(s);
	skip_space(s);
	if (!m->name || *(*s)++ != ':')
		return 0;
	skip_space(s);
	if (**s == '"') {
		m->kind = MEMBER_STRING;
		m->text = take_string(s);
		if (!m->text)
			return 0;
	} else if (take_number(s, m, &stop)) {
		number_end = *s;
	} else if (!take_word(s, m)) {
		return 0;
	}
	skip_space(s);
	char next = **s;
	if (number_end)
		*number_end = '\0';
	if (next)
		(*s)++;
	return next == ',' || next == '}' ? next : 0;
}

const char *request_parse(struct request *r, char *line)
{
	static const char malformed[] = "a request is one JSON object of strings, numbers, true, false and null";
	char *s = line, next = ',';

	memset(r, 0, sizeof(*r));
	skip_space(&s);
	if (*s++ != '{')
		return malformed;
	skip_space(&s);
	if (*s == '}') {
		s++;
		next = '}';
	}
	while (next == ',') {
		if (r->n == REQUEST_MEMBERS) {
			r->n = 0;
			return "a request has at most 16 members";
		}
		skip_space(&s);
		next = take_member(&s, &r->member[r->n++]);
	}
	skip_space(&s);
	if (next == '}' && !*s)
		return NULL;
	r->n = 0;
	return malformed;
}

const struct member *request_member(const struct request *r, const char *name)
{
	for (unsigned i = 0; i < r->n; i++)
		if (!strcmp(r->member[i].name, name))
			return &r->member[i];
	return NULL;
}

const char *request_string(const struct request *r, const char *name)
{
	const struct member *m = request_member(r, name);

	return m && m->kind == MEMBER_STRING ? m->text : NULL;
}
