#include "event/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "event/event_list.h"

enum {
#define X(symbol, bit, lua_name, hooks, side, when) INDEX_##symbol,
	EVENT_LIST(X)
#undef X
		BUILTINS
};

#define X(symbol, bit, lua_name, hooks, side, when) _Static_assert(MOS_ON_##symbol == 1 << bit, "mOS's number");
EVENT_LIST(X)
#undef X

/* Not const: a handler may write to the argument that it is handed. */
static struct event builtin[] = {
#define X(symbol, bit, lua_name, hooks, side, when) \
	{                                           \
		.id = MOS_ON_##symbol,              \
		.root = MOS_ON_##symbol,            \
		.index = INDEX_##symbol,            \
		.name = lua_name,                   \
		.meaning = when,                    \
		.fields = "",                       \
	},
	EVENT_LIST(X)
#undef X
};

static struct event *user[EVENTS_MAX]; /* by index; written before count says so */
static uint32_t count = BUILTINS;
static uint32_t free_count; /* of those, nobody's: marked by their kind */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct event_notes *noting; /* NULL: nobody asked for it */

uint32_t events_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
}

const struct event *event_at(uint32_t index)
{
	if (index < BUILTINS)
		return &builtin[index];
	return index < events_count() ? user[index] : NULL;
}

const struct event *event_find(event_t id)
{
	if (id & EVENT_USER) {
		uint64_t index = id & ~EVENT_USER;

		return index >= BUILTINS && index < EVENTS_MAX ? event_at((uint32_t)index) : NULL;
	}
	for (uint32_t i = 0; i < BUILTINS; i++)
		if (builtin[i].id == id)
			return &builtin[i];
	return NULL;
}

const struct event *event_find_name(const char *name)
{
	uint32_t n = events_count();

	if (!name || !*name)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		const struct event *e = event_at(i);

		if (strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

bool event_descends(event_t child, event_t ancestor)
{
	const struct event *e = event_find(child);

	while (e && e->id != ancestor)
		e = event_find(e->parent);
	return e != NULL;
}

static void event_free(struct event *e)
{
	if (!e)
		return;
	if (e->arg.len)
		free(e->arg.arg);
	if (*e->name)
		free((char *)e->name);
	if (*e->meaning)
		free((char *)e->meaning);
	if (*e->fields)
		free((char *)e->fields);
	free(e);
}

/* "" needs no memory; NULL when there is none. */
static const char *keep_text(const char *s)
{
	return s && *s ? strdup(s) : "";
}

static bool keep_arg(struct filter_arg *to, const struct filter_arg *arg)
{
	if (!arg)
		return true;
	if (!arg->len) {
		to->arg = arg->arg;
		return true;
	}
	to->arg = malloc(arg->len);
	if (!to->arg)
		return false;
	memcpy(to->arg, arg->arg, arg->len);
	to->len = arg->len;
	return true;
}

static struct event *event_new(const struct event *parent, enum event_kind kind, filter_t filter,
			       const struct filter_arg *arg, const char *name, const char *meaning)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->parent = parent->id;
	e->root = parent->root;
	e->depth = parent->depth + 1;
	e->kind = kind;
	e->filter = filter;
	e->fields = "";
	e->name = keep_text(name);
	e->meaning = keep_text(meaning);
	if (!e->name || !e->meaning || !keep_arg(&e->arg, arg)) {
		e->name = e->name ? e->name : "";
		e->meaning = e->meaning ? e->meaning : "";
		event_free(e);
		return NULL;
	}
	return e;
}

static event_t refuse(int err)
{
	errno = err;
	return 0;
}

/* The event of that name: the same again, or a clash. */
static event_t define_again(const struct event *e, event_t parent, enum event_kind kind, filter_t filter)
{
	if (e->parent != parent || e->kind != kind)
		return refuse(EEXIST);
	if (kind == EVENT_C)
		__atomic_store_n(&user[e->index]->filter, filter, __ATOMIC_RELAXED);
	return e->id;
}

/* The notes' latest index: what comes after it was defined after it, which is the order of handlers. */
static uint32_t noted_last(void)
{
	return noting && noting->n ? (uint32_t)(noting->v[noting->n - 1] & ~EVENT_USER) + 1 : BUILTINS;
}

static bool note_room(void)
{
	if (!noting || noting->n < noting->cap)
		return true;
	uint32_t cap = noting->cap ? 2 * noting->cap : 16;
	event_t *v = realloc(noting->v, cap * sizeof(*v));

	if (!v)
		return false;
	noting->v = v;
	noting->cap = cap;
	return true;
}

static event_t note(event_t id)
{
	if (noting && id)
		noting->v[noting->n++] = id;
	return id;
}

/* An earlier load's unnamed event that this one may have; NULL: there is none. */
static struct event *find_unnamed(event_t parent, enum event_kind kind)
{
	enum event_kind wanted = kind == EVENT_C ? EVENT_FREE : kind;

	if (!noting || (kind == EVENT_C && !free_count))
		return NULL;
	for (uint32_t i = noted_last(); i < count; i++)
		if (user[i]->kind == wanted && !*user[i]->name && (kind == EVENT_C || user[i]->parent == parent))
			return user[i];
	return NULL;
}

/* In the place of one that has gone. Others may be looking at names while this is done: it has none, as before. */
static event_t define_reused(struct event *e, const struct event *parent, filter_t filter, const struct filter_arg *arg)
{
	struct filter_arg old = e->arg;

	e->arg = (struct filter_arg){ .arg = NULL };
	if (!keep_arg(&e->arg, arg)) {
		e->arg = old;
		return refuse(ENOMEM);
	}
	if (old.len)
		free(old.arg);
	e->parent = parent->id;
	e->root = parent->root;
	e->depth = parent->depth + 1;
	e->filter = filter;
	e->kind = EVENT_C;
	free_count--;
	return e->id;
}

void events_note(struct event_notes *notes)
{
	noting = notes;
}

void events_forget(struct event_notes *notes)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < notes->n; i++) {
		struct event *e = user[notes->v[i] & ~EVENT_USER];

		if (e->kind == EVENT_C) {
			e->kind = EVENT_FREE;
			free_count++;
		}
	}
	pthread_mutex_unlock(&lock);
	free(notes->v);
	*notes = (struct event_notes){ .v = NULL };
}

static uint32_t noted_at(const struct event_notes *notes, event_t id)
{
	uint32_t i = 0;

	while (i < notes->n && notes->v[i] != id)
		i++;
	return i;
}

event_t event_heir(const struct event_notes *old, const struct event_notes *now, event_t id)
{
	uint32_t i = noted_at(old, id);

	if (i == old->n || noted_at(now, id) < now->n)
		return id;
	const struct event *was = event_find(id), *is = i < now->n ? event_find(now->v[i]) : NULL;

	return is && is->kind == was->kind && is->root == was->root ? is->id : MOS_NULL_EVENT;
}

static event_t define_new(struct event *e)
{
	if (!e)
		return refuse(ENOMEM);
	e->index = count;
	e->id = EVENT_USER | count;
	user[count] = e;
	__atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
	return e->id;
}

static event_t define_unnamed(const struct event *p, enum event_kind kind, filter_t filter,
			      const struct filter_arg *arg, const char *meaning)
{
	if (!note_room())
		return refuse(ENOMEM);
	struct event *e = find_unnamed(p->id, kind);

	if (e && kind != EVENT_C)
		return note(e->id);
	if (e)
		return note(define_reused(e, p, filter, arg));
	if (count == EVENTS_MAX)
		return refuse(ENOSPC);
	return note(define_new(event_new(p, kind, filter, arg, NULL, meaning)));
}

event_t event_define(event_t parent, enum event_kind kind, filter_t filter, const struct filter_arg *arg,
		     const char *name, const char *meaning)
{
	const struct event *p = event_find(parent);
	event_t id;

	if (!p || p->kind == EVENT_FREE || kind == EVENT_BUILTIN || kind == EVENT_FREE ||
	    (kind == EVENT_C) != (filter != NULL) || (arg && arg->len && !arg->arg))
		return refuse(EINVAL);

	pthread_mutex_lock(&lock);
	const struct event *old = event_find_name(name);

	if (!name || !*name)
		id = define_unnamed(p, kind, filter, arg, meaning);
	else if (old)
		id = define_again(old, parent, kind, filter);
	else if (count == EVENTS_MAX)
		id = refuse(ENOSPC);
	else
		id = define_new(event_new(p, kind, filter, arg, name, meaning));
	pthread_mutex_unlock(&lock);
	return id;
}

int event_describe(event_t id, const char *fields)
{
	const struct event *e = event_find(id);
	const char *text = keep_text(fields);
	int err = 0;

	if (!e || e->kind == EVENT_BUILTIN || !text)
		err = text ? -EINVAL : -ENOMEM;
	pthread_mutex_lock(&lock);
	bool keep = !err && !*e->fields;
	if (keep)
		user[e->index]->fields = text;
	pthread_mutex_unlock(&lock);
	if (!keep && text && *text)
		free((char *)text);
	return err;
}

void events_reset(void)
{
	while (count > BUILTINS) {
		event_free(user[--count]);
		user[count] = NULL;
	}
	free_count = 0;
}

static const event_t slot_events[] = {
#define X(event, at) [SLOT_##event##_##at] = MOS_ON_##event,
	SLOT_LIST(X)
#undef X
};

event_t slot_event(unsigned slot)
{
	return slot < SLOT_COUNT ? slot_events[slot] : MOS_NULL_EVENT;
}

int event_slot(event_t root, uint32_t hook)
{
	/* The bytes were received: that hook means the same as none. */
	if (root == MOS_ON_CONN_NEW_DATA && hook == MOS_HK_RCV)
		hook = MOS_NULL;
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		if (slot_events[i] == root && slot_hook(i) == hook)
			return (int)i;
	return -1;
}
