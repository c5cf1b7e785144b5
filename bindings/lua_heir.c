#include "lua_heir.h"

#include <string.h>

#include "ctx.h"
#include "lua_copy.h"
#include "lua_names.h"
#include "takeover.h"
#include "util/log.h"

static void copy_record(void *arg, uint8_t *to, const uint8_t *from)
{
	const struct lua_state *st = arg;

	for (uint32_t i = 0; i < st->nparts; i++)
		memcpy(to + st->parts[i].to, from + st->parts[i].from, st->parts[i].len);
}

static bool is_sound(const struct lua_state *st)
{
	return st && !st->d.lost;
}

/* Call what bindings/mos left in the host table under that name, if it did. */
static void call_host(struct lua_state *st, const char *name)
{
	lua_getfield(st->d.L, STACK_HOST, name);
	if (lua_isfunction(st->d.L, -1))
		lua_dispatch_call(&st->d, WATCH_HANDLER);
	else
		lua_pop(st->d.L, 1);
}

/* bindings/mos/handler.lua looks the name up among the new script's functions. Functions in C stay loaded. */
static enum unbound rebind(void *arg, event_t event, struct handler *h)
{
	struct lua_state *st = arg;
	uint32_t name = h->fn ? 0 : refs_name(&st->old->d.refs, h->ref);

	if (h->fn)
		return BOUND;
	if (!name)
		return UNBOUND_UNNAMED;
	if (st->d.lost)
		return UNBOUND_GONE;
	st->d.call.event = event;
	st->d.call.name = name_text(name);
	st->d.call.ref = 0;
	call_host(st, "rebind");
	h->ref = st->d.call.ref | st->d.refs.epoch;
	return st->d.call.ref ? BOUND : UNBOUND_GONE;
}

static event_t event_of(void *arg, event_t old)
{
	struct lua_state *st = arg;

	return event_heir(&st->old->notes, &st->notes, old);
}

/* The value at the top of the old state, and the field of the new one's host table that its copy goes to. */
struct gift {
	lua_State *from;
	const char *field;
};

static int take_gift(lua_State *to)
{
	const struct gift *g = lua_touserdata(to, 1);

	lua_getfield(to, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(to, -1, "mos.host");
	copy_value(g->from, lua_gettop(g->from), to);
	lua_setfield(to, -2, g->field);
	return 0;
}

/* Pops the old state's value. False if there was no memory for it. */
static bool give(struct lua_state *st, const char *field)
{
	struct gift g = { st->old->d.L, field };
	int status = watch_run(st->d.watch, st->d.L, take_gift, &g, WATCH_HANDLER);

	lua_pop(g.from, 1);
	if (status)
		log_error("what the script before left does not fit into --script-memory");
	return status == 0;
}

/* Handlers see a connection in dispatch; so does what carries its data over. */
static void carry_for(struct lua_state *st, struct mos_conn *c, uint32_t sock)
{
	struct mos_ctx *x = &st->ctx;
	const struct mos_ctx saved = *x;

	x->pkt = NULL;
	x->conn = c;
	x->event = MOS_NULL_EVENT;
	x->sock = PASSIVE_MAX + (int32_t)sock;
	x->side = MOS_SIDE_BOTH;
	x->hook = MOS_NULL;
	x->in_handler = 1;
	st->d.call.ref = x->socks[sock].passive;
	call_host(st, "carry");
	x->pkt = saved.pkt;
	x->conn = saved.conn;
	x->event = saved.event;
	x->sock = saved.sock;
	x->side = saved.side;
	x->hook = saved.hook;
	x->in_handler = saved.in_handler;
}

/* c has followed: its conn.data is the new script's to look at. */
static void follow(void *arg, struct mos_conn *c)
{
	struct lua_state *st = arg;
	lua_State *from = is_sound(st->old) ? st->old->d.L : NULL;

	if (!st->carries || !from || st->d.lost)
		return;
	lua_rawgeti(from, STACK_DATA, (int)(c - st->ctx.conns));
	if (lua_isnil(from, -1)) {
		lua_pop(from, 1);
		return;
	}
	if (!give(st, "left"))
		return;
	for (uint32_t i = c->sock, next; i && !st->d.lost; i = next) {
		next = st->ctx.socks[i].next;
		if (!(st->ctx.socks[i].flags & MOS_SOCK_CLOSED))
			carry_for(st, c, i);
	}
}

static void done(void *arg)
{
	struct lua_state *st = arg, *old = st->old;

	st->old = NULL;
	if (old)
		st->gone(st->owner, old);
}

/* What old's on_unload functions save is left at the top of its stack. False if there is nothing. */
static bool save(struct lua_state *old)
{
	if (!is_sound(old))
		return false;
	call_host(old, "unload");
	if (old->d.lost)
		return false;
	lua_getfield(old->d.L, STACK_HOST, "saved");
	if (lua_istable(old->d.L, -1))
		return true;
	lua_pop(old->d.L, 1);
	return false;
}

int heir_install(struct worker *w, struct lua_state *st, struct lua_state *old,
		 void (*gone)(void *owner, struct lua_state *old), void *owner)
{
	struct heir heir = {
		.record = copy_record, .rebind = rebind, .event = event_of, .follow = follow, .done = done, .arg = st
	};
	struct lua_watch *watch = old ? old->d.watch : st->d.watch;

	takeover_walk(w, UINT32_MAX);
	st->old = old;
	st->gone = gone;
	st->owner = owner;
	st->d.watch = watch;
	/* Before old goes, which it may at once. */
	if (save(old))
		give(st, "left");
	if (takeover_begin(w, st->bench, &heir) < 0) {
		st->old = NULL;
		return -1;
	}
	st->d.w = w;
	if (old)
		call_host(st, "load");
	return 0;
}
