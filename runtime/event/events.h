/*
 * The forest of events: built-in ones are the roots, user-defined ones extend a parent by a filter. One forest per
 * process. What is defined stays, so an event_t and a pointer to its node are good for ever; but programs that are loaded
 * again and again define events without names again and again. Those that a program defined while it was loaded are noted
 * (events_note), and an event is that of an earlier load where it can be.
 *
 * Defining takes a lock and may happen on any thread; reading takes none.
 */
#ifndef MOS_EVENT_EVENTS_H
#define MOS_EVENT_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event_list.h"
#include "mos_api.h"

enum { EVENTS_MAX = 65536 };

enum event_kind {
	EVENT_BUILTIN,
	EVENT_C,      /* filter is a C function */
	EVENT_LUA,    /* filter is a Lua function; each script engine keeps its own, by event */
	EVENT_RAISED, /* no filter: only mtcp_raise_event raises it */
	EVENT_FREE    /* none any more: its program has gone */
};

struct event {
	event_t id;     /* built-in: MOS_ON_ bit; else EVENT_USER | index */
	event_t parent; /* 0: none */
	event_t root;   /* the built-in event it goes back to */
	uint32_t index; /* 0 ... events_count() - 1, in order of definition */
	int depth;      /* 0: built-in */
	enum event_kind kind;
	filter_t filter;       /* EVENT_C; may be replaced while others run it: see event_filter */
	struct filter_arg arg; /* handed to filter and handlers */
	const char *name;      /* "" where it has none */
	const char *meaning;   /* for --events; "" where nobody said */
	const char *fields;    /* the same: what handlers receive, a line per field; "" for nothing */
};

#define EVENT_USER (1ull << 32)

/* The event, or NULL when id is none. */
const struct event *event_find(event_t id);
const struct event *event_find_name(const char *name);
const struct event *event_at(uint32_t index);
uint32_t events_count(void);

static inline filter_t event_filter(const struct event *e)
{
	return __atomic_load_n(&e->filter, __ATOMIC_RELAXED);
}

/*
 * Define a user event. name and meaning may be NULL or "", and are copied, as arg->len bytes at arg->arg are. A name
 * that exists with the same parent and kind gives that event again, with the filter replaced for EVENT_C (so each
 * worker's script may define the same library); with another parent or kind it is refused. 0 on failure, errno EINVAL
 * (no such parent, no filter, a length without an address), EEXIST, ENOSPC, ENOMEM.
 */
event_t event_define(event_t parent, enum event_kind kind, filter_t filter, const struct filter_arg *arg,
		     const char *name, const char *meaning);

/* Say what handlers of a user event receive; the text is copied, and stays as first said. 0, -EINVAL or -ENOMEM. */
int event_describe(event_t id, const char *fields);

/* Unnamed events that one load of a program has defined, in that order. */
struct event_notes {
	event_t *v;
	uint32_t n, cap;
};

/*
 * Unnamed events that this thread defines from now on are noted (NULL: no longer). One whose filter is in Lua, or that has
 * none, is the next one defined earlier with the same parent and of the same kind, by whichever program, if there is one:
 * each engine has filters and handlers of its own.
 */
void events_note(struct event_notes *notes);

/*
 * A program has gone, and with it everything that knew its events: those with a C filter may be used again for others.
 * The notes are empty afterwards.
 */
void events_forget(struct event_notes *notes);

/*
 * What an event of one load of a program is in the next: itself where that one has it too, else the one in the same place of
 * the order, of the same kind and root. MOS_NULL_EVENT: there is none.
 */
event_t event_heir(const struct event_notes *old, const struct event_notes *now, event_t id);

/* Is child the event or one of its descendants? */
bool event_descends(event_t child, event_t ancestor);

/* Forget user-defined events. For tests only: nothing may refer to them. */
void events_reset(void);

/* The hook at which a slot is served. */
static inline uint32_t slot_hook(unsigned slot)
{
	return slot < SLOT_PKT_IN_RCV ? MOS_HK_SND : slot < SLOT_PKT_IN_NUL ? MOS_HK_RCV : MOS_NULL;
}

/* The built-in event of a slot. */
event_t slot_event(unsigned slot);

/* The slot of a built-in event at a hook (MOS_HK_SND ...), as registration allows it; -1 where the table has none. */
int event_slot(event_t root, uint32_t hook);

#endif
