/*
 * Handlers that fail too often are taken out. What counts is the place where a handler stands (monitor, event, hook; a
 * filter's event; a timer), so that the count outlives the state that the handler belongs to. Looked at only when a
 * handler has failed.
 */
#ifndef MOS_BINDINGS_LUA_CONTAIN_H
#define MOS_BINDINGS_LUA_CONTAIN_H

#include <stdbool.h>
#include <stdint.h>

/* STRIKES: so often may a handler cost its script the state before it is taken out. */
enum { STRIKES = 3 };

enum place_kind { PLACE_HANDLER, PLACE_FILTER, PLACE_TIMER, PLACE_OTHER };

struct place {
	enum place_kind kind;
	int32_t number; /* the passive socket's, or the timer's id; -1 for a filter, which is the same for all */
	uint32_t hook;
	uint64_t event;
};

struct contained {
	struct place place;
	uint64_t since_ns; /* the second that errors are counted in began */
	uint32_t errors;
	uint32_t strikes;
	bool out;
};

struct contain {
	struct contained *v;
	uint32_t n, cap;
	uint32_t most; /* errors in a second; 0: any number */
};

void contain_fini(struct contain *c);

/* Start again: another script. */
void contain_clear(struct contain *c);

/* Is the handler to be taken out? It has just become too much, or it is out already. */
enum contain_answer { CONTAIN_NO, CONTAIN_NOW, CONTAIN_ALREADY };

/* The handler at a place has failed. */
enum contain_answer contain_error(struct contain *c, const struct place *p, uint64_t now_ns);

/* It has cost the state. */
enum contain_answer contain_strike(struct contain *c, const struct place *p);

#endif
