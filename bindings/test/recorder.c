/* What a session's watcher sees, as tables in the test's state. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "connection.h"
#include "event/events.h"
#include "lua_copy.h"
#include "session.h"
#include "tcp/fsm.h"
#include "tcp/track.h"

static void set_text(lua_State *L, const char *name, const char *text)
{
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, double n)
{
	lua_pushnumber(L, n);
	lua_setfield(L, -2, name);
}

/* An end as "10.0.0.1:80" or "[2001:db8::1]:80". */
static void set_end(lua_State *L, const char *name, const struct mos_conn *c, int side)
{
	char addr[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	int at = c->cli ^ side;

	inet_ntop(c->key.family == 6 ? AF_INET6 : AF_INET, c->key.addr_be[at], addr, sizeof(addr));
	snprintf(text, sizeof(text), c->key.family == 6 ? "[%s]:%u" : "%s:%u", addr, c->key.port[at]);
	set_text(L, name, text);
}

static void set_conn(lua_State *L, const struct mos_conn *c)
{
	char uid[17];

	snprintf(uid, sizeof(uid), "%016llx", (unsigned long long)connection_uid(c));
	set_text(L, "uid", uid);
	set_end(L, "client", c, MOS_SIDE_CLI);
	set_end(L, "server", c, MOS_SIDE_SVR);
	set_text(L, "cli_state", fsm_name(c->end[MOS_SIDE_CLI].state));
	set_text(L, "svr_state", fsm_name(c->end[MOS_SIDE_SVR].state));
}

/* Push the bytes of [from, to) that are there. */
static void push_bytes(lua_State *L, const struct stream *st, uint64_t from, uint64_t to)
{
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	while (from < to) {
		uint64_t gap = 0;
		size_t len = 0;
		const uint8_t *bytes = stream_view(st, from, &len, &gap);

		if (!bytes && !gap)
			break;
		if (bytes)
			luaL_addlstring(&b, (const char *)bytes, len);
		from += bytes ? len : gap;
	}
	luaL_pushresult(&b);
}

/* The bytes that a CONN_NEW_DATA stands for: those in order that the one before had not, without what was lost. */
static void set_data(struct session *s, const struct mos_ctx *ctx)
{
	uint32_t index = (uint32_t)(ctx->conn - ctx->conns);
	const struct stream *st = track_stream(&s->w->tcp, ctx->conn, ctx->side);
	struct told *told = &s->told[index];

	if (!st)
		return;
	if (told->gen != ctx->conn->gen)
		*told = (struct told){ .gen = ctx->conn->gen };
	push_bytes(s->L, st, told->off[ctx->side], st->cont);
	lua_setfield(s->L, -2, "data");
	told->off[ctx->side] = st->cont;
}

static void set_name(lua_State *L, const char *name, uint32_t kind, uint32_t value)
{
	const char *text = mos_ffi_name(kind, value);

	if (text)
		set_text(L, name, text);
}

/* What belongs to one kind of built-in event. */
static void set_particulars(struct session *s, const struct mos_ctx *ctx, event_t event)
{
	const struct mos_conn *c = ctx->conn;

	if (!c)
		return;
	if (event == MOS_ON_CONN_NEW_DATA)
		set_data(s, ctx);
	else if (event == MOS_ON_TCP_STATE_CHANGE)
		set_text(s->L, "state", fsm_name(c->end[ctx->side].state));
	else if (event == MOS_ON_ERROR)
		set_name(s->L, "reason", MOS_NAME_ERROR_REASON, c->err_reason);
	else if (event == MOS_ON_CONN_END)
		set_name(s->L, "reason", MOS_NAME_END_REASON, c->end_reason);
}

static const char *side_name(int side)
{
	return side == MOS_SIDE_CLI ? "cli" : side == MOS_SIDE_SVR ? "svr" : "both";
}

/* What all events have, into the table at the top. */
static void set_event(struct session *s, const struct mos_ctx *ctx, const struct event *e)
{
	lua_State *L = s->L;

	set_text(L, "name", e->name);
	set_text(L, "side", side_name(ctx->side));
	if (ctx->hook != MOS_NULL)
		set_text(L, "hook", ctx->hook == MOS_HK_SND ? "snd" : "rcv");
	set_number(L, "ts", (double)ctx->now_ns / 1e9);
	if (ctx->pkt)
		set_number(L, "packet", (double)ctx->pkt->number);
	if (ctx->conn)
		set_conn(L, ctx->conn);
}

static void append(struct session *s)
{
	lua_rawseti(s->L, s->events, (int)lua_objlen(s->L, s->events) + 1);
}

static bool listening(struct session *s)
{
	return s->L && lua_checkstack(s->L, 40);
}

static void raised(void *arg, const struct mos_ctx *ctx, uint32_t bits)
{
	struct session *s = arg;

	for (; bits && listening(s); bits &= bits - 1) {
		event_t event = slot_event((unsigned)__builtin_ctz(bits));

		lua_newtable(s->L);
		set_event(s, ctx, event_find(event));
		set_particulars(s, ctx, event);
		append(s);
	}
}

/* What the fields of a user-defined event are, beneath what all events have. Leaves a table, empty where it has none. */
static void push_fields(struct session *s, const struct event *e)
{
	lua_State *from = vm_state(s->vm);

	if (!from) {
		lua_newtable(s->L);
		return;
	}
	lua_rawgeti(from, LUA_REGISTRYINDEX, s->probe);
	lua_pushstring(from, e->name);
	if (lua_pcall(from, 1, 1, 0) == 0 && lua_istable(from, -1))
		copy_value(from, lua_gettop(from), s->L);
	else
		lua_newtable(s->L);
	lua_pop(from, 1);
}

static void user_event(struct session *s, const struct mos_ctx *ctx, const struct event *e)
{
	if (!listening(s))
		return;
	push_fields(s, e);
	set_event(s, ctx, e);
	lua_pushboolean(s->L, 1);
	lua_setfield(s->L, -2, "user");
	append(s);
}

static void asked(void *arg, const struct mos_ctx *ctx, const struct event *e, bool yes)
{
	if (yes)
		user_event(arg, ctx, e);
}

static void called(void *arg, const struct mos_ctx *ctx, struct handler handler)
{
	const struct event *e = event_find(ctx->event);

	(void)handler;
	if (e && e->kind == EVENT_RAISED)
		user_event(arg, ctx, e);
}

/* note(name, fields) in the script's state: an event of the script's own, for the test alone. */
static int note(lua_State *from)
{
	struct session *s = lua_touserdata(from, lua_upvalueindex(1));
	const char *name = luaL_checkstring(from, 1);

	if (!listening(s))
		return 0;
	lua_settop(from, 2);
	if (lua_istable(from, 2))
		copy_value(from, 2, s->L);
	else
		lua_newtable(s->L);
	set_text(s->L, "name", name);
	set_number(s->L, "ts", (double)s->w->now_ns / 1e9);
	lua_pushboolean(s->L, 1);
	lua_setfield(s->L, -2, "user");
	append(s);
	return 0;
}

/* require "mos.test" in the script's state. */
static void give_note(struct session *s, lua_State *L)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "loaded");
	lua_newtable(L);
	lua_pushlightuserdata(L, s);
	lua_pushcclosure(L, note, 1);
	lua_setfield(L, -2, "note");
	lua_setfield(L, -2, "mos.test");
	lua_pop(L, 2);
}

/* mos.fields.of, which knows where fields are. */
static int take_probe(struct session *s, lua_State *L, char *err, size_t errlen)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "mos.fields");
	if (lua_pcall(L, 1, 1, 0)) {
		snprintf(err, errlen, "%s", lua_tostring(L, -1));
		lua_pop(L, 1);
		return -1;
	}
	lua_getfield(L, -1, "of");
	s->probe = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
	return 0;
}

static int prepare(void *arg, lua_State *L, char *err, size_t errlen)
{
	struct session *s = arg;

	give_note(s, L);
	return take_probe(s, L, err, errlen);
}

void recorder_install(struct session *s)
{
	s->watcher = (struct watcher){ .raised = raised, .asked = asked, .called = called, .arg = s };
	dispatch_watch(&s->w->d, &s->watcher);
	vm_prepare(s->vm, prepare, s);
}
