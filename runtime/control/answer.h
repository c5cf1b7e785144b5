/*
 * An answer of the control socket, built as JSON and as text for people at once: members of an object, or of the objects
 * of a list, which are a line each for people.
 */
#ifndef MOS_CONTROL_ANSWER_H
#define MOS_CONTROL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *s; /* ends with a NUL */
	size_t len, cap;
	bool failed; /* memory is out */
};

struct answer {
	struct text json, text;
	bool comma;   /* something stands before the next member */
	bool in_list; /* members belong to an item of a list */
	bool quiet;   /* people do not see it */
	bool failed;
};

void answer_init(struct answer *a);
void answer_fini(struct answer *a);

void answer_number(struct answer *a, const char *name, uint64_t n);
void answer_real(struct answer *a, const char *name, double x);
void answer_string(struct answer *a, const char *name, const char *s);

/* name: [ item, ... ] */
void answer_list(struct answer *a, const char *name);
void answer_item(struct answer *a);
void answer_item_end(struct answer *a);
void answer_list_end(struct answer *a);

/* Members that follow are for programs alone, or no longer. */
void answer_quiet(struct answer *a, bool quiet);

/* For people alone, as it stands. */
void answer_text(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What went wrong, in the place of everything else. */
void answer_error(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The answer as one line of JSON, line feed included: {"ok":true,...}, with only "text" where as_text is set, or
 * {"ok":false,"error":"..."}. Appended to out.
 */
void answer_write(const struct answer *a, bool as_text, struct text *out);

void text_add(struct text *t, const char *s, size_t n);

#endif
