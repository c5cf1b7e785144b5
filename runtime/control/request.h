/*
 * A request of the control socket: one JSON object on one line, whose members are strings, numbers, true, false or null.
 */
#ifndef MOS_CONTROL_REQUEST_H
#define MOS_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum { REQUEST_MEMBERS = 16 };

enum member_kind { MEMBER_STRING, MEMBER_NUMBER, MEMBER_BOOL, MEMBER_NULL };

struct member {
	const char *name;
	enum member_kind kind;
	const char *text; /* a string's; a number as it was written */
	bool yes;
};

struct request {
	struct member member[REQUEST_MEMBERS];
	unsigned n;
};

/* Parse line, which is changed and which the request refers to. NULL, or what is wrong with it. */
const char *request_parse(struct request *r, char *line);

/* NULL if there is none of that name. */
const struct member *request_member(const struct request *r, const char *name);

/* Its text where it is a string, else NULL. */
const char *request_string(const struct request *r, const char *name);

#endif
