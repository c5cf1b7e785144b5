#include "lua_dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "event/events.h"
#include "lua_error.h"

/* "conn_start, packet 12": what was in dispatch when a function failed. */
static void describe(const struct mos_ctx *ctx, char *text, size_t size)
{
	const struct event *e = ctx->in_handler ? event_find(ctx->event) : NULL;
	const char *name = e ? e->name : ctx->in_handler ? "timer" : "at exit";

	if (e && !e->name[0])
		name = "event without a name";
	if (e && ctx->pkt)
		snprintf(text, size, "%s, packet %" PRIu64, name, ctx->pkt->number);
	else
		snprintf(text, size, "%s", name);
}

/*
 * The message handler has told errors apart by place. It is not called when memory is out, nor when it fails itself: those
 * are logged once.
 */
__attribute__((noinline, cold)) static void failed(struct lua_dispatch *d, int status)
{
	char where[128];

	describe(d->w->d.ctx, where, sizeof(where));
	if (status == LUA_ERRRUN || !(d->said & 1u << status))
		error_pop_log(d->L, where);
	else
		lua_pop(d->L, 1);
	if (status != LUA_ERRRUN)
		d->said |= 1u << status;
	if (status == LUA_ERRMEM)
		lua_gc(d->L, LUA_GCCOLLECT, 0);
	worker_handler_failed(d->w);
}

bool lua_dispatch_call(struct lua_dispatch *d)
{
	d->call.conn = ctx_handle(d->w->d.ctx);
	d->call.no_pkt = !d->w->d.ctx->pkt;
	int status = lua_pcall(d->L, 0, 0, STACK_ON_ERROR);

	if (__builtin_expect(status != 0, 0))
		failed(d, status);
	return status == 0;
}

static void handle(void *arg, uint32_t ref)
{
	struct lua_dispatch *d = arg;

	lua_rawgeti(d->L, STACK_HANDLERS, (int)ref);
	lua_dispatch_call(d);
}

static bool filter(void *arg, uint32_t event_index)
{
	struct lua_dispatch *d = arg;

	lua_rawgeti(d->L, STACK_FILTERS, (int)event_index);
	return lua_dispatch_call(d) && d->w->d.ctx->result;
}

/* Where the script's function is that a handler calls: the upvalue `fn` of what handler.lua made, or the handler itself. */
static void place(void *arg, uint32_t ref, char *text, size_t size)
{
	lua_State *L = ((struct lua_dispatch *)arg)->L;
	const char *name;
	lua_Debug ar;

	lua_rawgeti(L, STACK_HANDLERS, (int)ref);
	for (int i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
		if (lua_isfunction(L, -1) && (name[0] == '\0' || strcmp(name, "fn") == 0)) {
			lua_replace(L, -2);
			break;
		}
		lua_pop(L, 1);
	}
	if (lua_isfunction(L, -1) && lua_getinfo(L, ">S", &ar))
		snprintf(text, size, "%s:%d", ar.short_src, ar.linedefined);
	else
		lua_pop(L, 1);
}

/* Clearing an entry that is there allocates nothing, so it cannot fail. */
static void ended(void *arg, uint32_t conn)
{
	lua_State *L = ((struct lua_dispatch *)arg)->L;

	lua_rawgeti(L, STACK_DATA, (int)conn);
	bool there = !lua_isnil(L, -1);
	lua_pop(L, 1);
	if (there) {
		lua_pushnil(L);
		lua_rawseti(L, STACK_DATA, (int)conn);
	}
}

void lua_dispatch_watch_ends(struct worker *w)
{
	w->d.engine.ended = ended;
}

void lua_dispatch_install(struct lua_dispatch *d)
{
	d->w->d.engine = (struct engine){ .handle = handle, .filter = filter, .place = place, .arg = d };
	d->w->d.sets.hold = refs_hold;
	d->w->d.sets.hold_arg = &d->refs;
}

void lua_dispatch_remove(struct lua_dispatch *d)
{
	if (d->w->d.engine.arg != d)
		return;
	d->w->d.engine = (struct engine){ .handle = NULL };
	d->w->d.sets.hold = NULL;
}

struct lua_dispatch *lua_dispatch_of(struct worker *w)
{
	return w->d.engine.arg;
}
