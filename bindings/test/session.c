#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "api/object.h"
#include "event/events.h"
#include "path.h"

enum { ARGS_MAX = 256, CONNS = 65536 };

/* Definitions of events are the process's; sessions that are not open at the same time shall not meet each other's. */
static unsigned open_sessions;

static double option_number(lua_State *L, int index, const char *name, double otherwise)
{
	lua_getfield(L, index, name);
	double n = lua_isnil(L, -1) ? otherwise : luaL_checknumber(L, -1);
	lua_pop(L, 1);
	return n;
}

static bool option_flag(lua_State *L, int index, const char *name)
{
	lua_getfield(L, index, name);
	bool set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

/* Borrowed: the table holds it. */
static const char *option_text(lua_State *L, int index, const char *name, size_t *len)
{
	lua_getfield(L, index, name);
	const char *text = lua_tolstring(L, -1, len);
	lua_pop(L, 1);
	return text;
}

static void read_settings(struct settings *set, lua_State *L, int index)
{
	settings_default(set);
	set->midstream = option_flag(L, index, "midstream");
	set->verify_checksums = option_flag(L, index, "verify_checksums");
	set->linger_ns = (uint64_t)(option_number(L, index, "linger", (double)set->linger_ns / 1e9) * 1e9);
	set->max_conns = (uint32_t)option_number(L, index, "max_conns", CONNS);
	set->buffer_memory = (size_t)option_number(L, index, "buffer_memory", (double)set->buffer_memory);
	set->on_error = (enum on_error)option_number(L, index, "on_error", ON_ERROR_PASS);
}

/* What runs inside is the script: its output is its own. */
static void enter(struct session *s)
{
	redirect_begin(&s->out);
	redirect_begin(&s->err);
}

static void leave(struct session *s)
{
	redirect_end(&s->err);
	redirect_end(&s->out);
	s->L = NULL;
}

static bool is_object(const char *path)
{
	size_t len = path ? strlen(path) : 0;

	return len > 3 && strcmp(path + len - 3, ".so") == 0;
}

/* A program in C, as mos-run loads it. */
static int load_object(struct session *s, const char *path, char *err, size_t errlen)
{
	s->object = object_open(path, err, errlen);
	if (!s->object)
		return -1;
	s->w->looks_back = object_may_call(s->object, "mtcp_ppeek");
	return object_start(s->object, &s->w->mctx, path, err, errlen);
}

static int load(struct session *s, lua_State *L, int index, char *err, size_t errlen)
{
	char *args[ARGS_MAX];
	size_t len = 0;
	int argc = 0;
	const char *path = option_text(L, index, "path", NULL), *text = option_text(L, index, "text", &len);

	lua_getfield(L, index, "args");
	for (; lua_istable(L, -1) && argc < ARGS_MAX && argc < (int)lua_objlen(L, -1); argc++) {
		lua_rawgeti(L, -1, argc + 1);
		args[argc] = (char *)lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	int rc;

	enter(s);
	if (text)
		rc = vm_load_text(s->vm, path, text, len, argc, args, err, errlen);
	else if (is_object(path))
		rc = load_object(s, path, err, errlen);
	else
		rc = vm_load(s->vm, path, argc, args, err, errlen);
	leave(s);
	return rc;
}

static int make_worker(struct session *s, const struct settings *set, char *err, size_t errlen)
{
	s->w = aligned_alloc(64, (sizeof(*s->w) + 63) & ~63ul);
	int rc = s->w ? worker_init(s->w, 0, set) : -ENOMEM;

	if (rc < 0) {
		free(s->w);
		s->w = NULL;
		snprintf(err, errlen, "cannot start: %s", strerror(-rc));
		return -1;
	}
	s->told = calloc((size_t)set->max_conns + 1, sizeof(*s->told));
	s->vm = s->told ? vm_new(s->w, err, errlen) : NULL;
	return s->vm ? 0 : -1;
}

int session_open(struct session *s, lua_State *L, int index, char *err, size_t errlen)
{
	struct settings set;

	memset(s, 0, sizeof(*s));
	s->out.file = s->err.file = -1;
	read_settings(&set, L, index);
	if (!open_sessions)
		events_reset();
	if (redirect_init(&s->out, 1) < 0 || redirect_init(&s->err, 2) < 0) {
		snprintf(err, errlen, "cannot start: %s", strerror(errno));
		return -1;
	}
	if (make_worker(s, &set, err, errlen) < 0)
		return -1;
	open_sessions++;
	recorder_install(s);
	return load(s, L, index, err, errlen);
}

void session_close(struct session *s)
{
	if (s->w) {
		vm_free(s->vm);
		worker_fini(s->w);
		object_put(s->object);
		open_sessions -= s->vm != NULL;
		free(s->w);
		free(s->told);
	}
	s->w = NULL;
	s->vm = NULL;
	s->told = NULL;
	redirect_fini(&s->out);
	redirect_fini(&s->err);
}

static uint64_t field(lua_State *L, const char *name)
{
	lua_getfield(L, -1, name);
	uint64_t n = (uint64_t)lua_tonumber(L, -1);
	lua_pop(L, 1);
	return n;
}

/* The packet in the table at the top of the stack. Its frame is a copy, which handlers may write to. */
static void fill(struct session *s, lua_State *L, struct mos_packet *p)
{
	size_t len = 0;
	const char *data = option_text(L, lua_gettop(L), "data", &len);

	*p = (struct mos_packet){
		.data = malloc(len + 1),
		.ts_ns = field(L, "sec") * 1000000000 + field(L, "nsec"),
		.caplen = (uint32_t)len,
		.len = (uint32_t)field(L, "len"),
		.link = (uint16_t)field(L, "link"),
		.number = ++s->packets,
	};
	if (p->len < p->caplen)
		p->len = p->caplen;
	if (!p->data)
		abort();
	memcpy(p->data, data ? data : "", len);
}

static void set_number(lua_State *L, const char *name, double n)
{
	lua_pushnumber(L, n);
	lua_setfield(L, -2, name);
}

/* Push a packet as it is now. */
static void push_packet(lua_State *L, const struct mos_packet *p)
{
	lua_newtable(L);
	set_number(L, "number", (double)p->number);
	set_number(L, "ts", (double)p->ts_ns / 1e9);
	lua_pushstring(L, p->verdict == MOS_DROPPED ? "drop" : p->verdict == MOS_HELD ? "hold" : "pass");
	lua_setfield(L, -2, "verdict");
	lua_pushboolean(L, p->changed);
	lua_setfield(L, -2, "changed");
	set_number(L, "len", p->len);
	set_number(L, "link", p->link);
	lua_pushlstring(L, (const char *)p->data, p->caplen);
	lua_setfield(L, -2, "data");
}

static void append(lua_State *L, int list)
{
	lua_rawseti(L, list, (int)lua_objlen(L, list) + 1);
}

/* What was made here and leaves before the burst's packet of that index; from is the first that has not left yet. */
static uint32_t made_leave(struct session *s, lua_State *L, int left, uint32_t from, uint32_t index)
{
	const struct outbox *o = &s->w->outbox;

	for (; from < o->n && o->v[from].before <= index; from++) {
		if (o->v[from].packet.verdict == MOS_DROPPED)
			continue;
		push_packet(L, &o->v[from].packet);
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, "made");
		append(L, left);
	}
	return from;
}

/* The burst is over, as in worker.c: what passes leaves, with what was made in between. */
static void burst_leaves(struct session *s, lua_State *L, unsigned n, int results, int left)
{
	uint32_t made = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct mos_packet *p = &s->w->burst[i];

		made = made_leave(s, L, left, made, i);
		push_packet(L, p);
		if (p->verdict == MOS_PASS) {
			lua_pushvalue(L, -1);
			append(L, left);
		}
		append(L, results);
	}
	made_leave(s, L, left, made, UINT32_MAX);
	outbox_reset(&s->w->outbox);
	s->w->at = 0;
}

void session_play(struct session *s, lua_State *L, int index, int first, int last, unsigned n, int results, int left)
{
	uint8_t *frames[IO_BURST];

	if (n < 1 || n > IO_BURST)
		n = IO_BURST;
	for (int at = first; at <= last && !s->w->failed;) {
		unsigned k = 0;

		for (; k < n && at <= last; k++, at++) {
			lua_rawgeti(L, index, at);
			fill(s, L, &s->w->burst[k]);
			frames[k] = s->w->burst[k].data;
			lua_pop(L, 1);
		}
		s->L = L;
		enter(s);
		worker_thread(s->w, true);
		unsigned done = path_burst(s->w, k);
		worker_rest(s->w);
		worker_thread(s->w, false);
		leave(s);
		burst_leaves(s, L, done, results, left);
		for (unsigned i = 0; i < k; i++)
			free(frames[i]);
	}
}

void session_advance(struct session *s, lua_State *L, uint64_t now_ns, int left)
{
	s->L = L;
	enter(s);
	worker_thread(s->w, true);
	path_advance(s->w, now_ns);
	worker_rest(s->w);
	worker_thread(s->w, false);
	leave(s);
	burst_leaves(s, L, 0, 0, left);
}

void session_finish(struct session *s, lua_State *L, int left)
{
	if (s->finished)
		return;
	s->finished = true;
	s->L = L;
	enter(s);
	worker_finish(s->w);
	vm_exit(s->vm);
	if (s->object)
		object_exit(s->object, &s->w->mctx);
	leave(s);
	burst_leaves(s, L, 0, 0, left);
}
