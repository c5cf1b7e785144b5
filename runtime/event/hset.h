/*
 * Handler sets: what a socket listens to, as straight-line programs.
 *
 * A set is immutable once a socket uses it, and shared: a million connections of one passive socket refer to one set,
 * and a change on one connection gives it the set "this one plus that change", which is found again when the next
 * connection makes the same change. Sets are interned by content and counted by reference; a few that nobody uses any
 * more are kept, because each connection that makes three changes passes through the two sets in between.
 *
 * For each slot (built-in event at a hook) a set holds a program: the nodes of the event forest that somebody listens
 * to, or that lead there, in preorder (base first, children in order of definition). A false filter skips its
 * subtree. What lies below an event of mtcp_alloc_event is a program of its own, which only dispatch_raise reaches.
 */
#ifndef MOS_EVENT_HSET_H
#define MOS_EVENT_HSET_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event_list.h"
#include "event/events.h"

/* A handler: a C function, or a number that the script engine knows. */
struct handler {
	callback_t fn; /* NULL: Lua, or none */
	uint32_t ref;  /* Lua: the engine's number, not 0 */
};

static inline bool handler_is_set(struct handler h)
{
	return h.fn || h.ref;
}

/* One step of a program. */
struct step {
	event_t event;
	const struct event *def; /* its filter and argument */
	uint32_t skip;           /* steps to jump over when the filter says no (its subtree) */
	uint32_t kind;           /* enum event_kind: EVENT_BUILTIN and EVENT_RAISED have no filter to run */
	struct handler handler;  /* not set: the step only leads to others */
};

/* steps[first] ... steps[first + count - 1] */
struct program {
	uint32_t first, count;
};

/* The program of an event of mtcp_alloc_event at one slot. */
struct raised_program {
	event_t event;
	uint32_t slot;
	struct program program;
};

/* What someone registered: the source that programs are compiled from. */
struct registration {
	event_t event;
	uint32_t slot; /* enum event_slot of its root at its hook */
	struct handler handler;
};

struct hset {
	uint32_t refs; /* sockets, and whoever runs a program of it */
	uint32_t mask; /* bit per slot that has a program */
	struct step *steps;
	struct program programs[SLOT_COUNT];

	uint32_t slots; /* bit per slot that somebody registered at, be it below a raised event only */
	uint32_t nraised;
	struct raised_program *raised; /* sorted by slot, event */

	uint32_t index; /* its number in struct hsets */
	uint32_t nregs;
	struct registration *regs; /* sorted by slot, event */
	uint64_t hash;             /* of regs, for interning */
	uint32_t next;             /* hash chain, free list */
	bool kept;                 /* in hsets.kept */
};

enum { HSETS_KEPT = 32 };

/* A worker's sets. Set 0 is empty and always there. */
struct hsets {
	struct hset **v;
	uint32_t n, cap;
	uint32_t free;   /* unused numbers; 0: none */
	uint32_t used;   /* sets that have registrations */
	uint32_t *chain; /* interning: heads by hash; 0: none */
	uint32_t chain_mask;
	uint32_t kept[HSETS_KEPT]; /* sets that have lost their last user, the oldest goes next; 0: none */
	uint32_t kept_next;
	uint64_t compiled; /* sets made so far */

	/*
	 * NULL, or called with by 1 for each registration of a Lua handler in a set that is made, and with -1 when
	 * such a set goes: once the sum is 0, no set knows the number any more.
	 */
	void (*hold)(void *hold_arg, uint32_t ref, int by);
	void *hold_arg;
};

/* 0 or -ENOMEM. */
int hsets_init(struct hsets *hs);
void hsets_fini(struct hsets *hs);

static inline struct hset *hset_at(const struct hsets *hs, uint32_t i)
{
	return hs->v[i];
}

static inline void hset_get(struct hsets *hs, uint32_t i)
{
	hs->v[i]->refs++;
}

/* The last reference has gone: for hset_put alone. */
void hset_release(struct hsets *hs, struct hset *s);

static inline void hset_put(struct hsets *hs, uint32_t i)
{
	if (!--hs->v[i]->refs)
		hset_release(hs, hs->v[i]);
}

/* Free the sets that nobody uses. */
void hsets_trim(struct hsets *hs);

/* Make sure that the next n sets have room in the table. 0 or -ENOMEM. */
int hsets_reserve(struct hsets *hs, uint32_t n);

/*
 * A set of another worker's, with its registrations as they are counted by hold there; from keeps the number, but of an
 * empty set. Returns its number here, referenced for the caller. Room was reserved.
 */
uint32_t hsets_move(struct hsets *hs, struct hsets *from, uint32_t i);

/*
 * The set `from` with handler at (event, hook): replaced if there is one, removed if the handler is not set. The
 * result is referenced for the caller (put it when done); from keeps its own reference. Returns the set's number, or
 * -EINVAL (no such event, a hook that the event does not have), -ENOMEM.
 */
int64_t hset_with(struct hsets *hs, uint32_t from, event_t event, uint32_t hook, struct handler handler);

/* Does the set listen to the event or to one of its descendants at any hook? */
bool hset_listens(const struct hset *s, event_t event);

/* The program of a raised event at a slot, or NULL. Borrowed. */
const struct program *hset_raised(const struct hset *s, event_t event, uint32_t slot);

#endif
