#include "lua_dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctx.h"
#include "event/events.h"
#include "lua_error.h"
#include "util/clock.h"
#include "util/log.h"

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

static struct place place_of(const struct lua_dispatch *d, bool filter)
{
	const struct mos_ctx *x = d->w->d.ctx;

	if (!x->in_handler)
		return (struct place){ .kind = PLACE_OTHER };
	if (filter)
		return (struct place){ PLACE_FILTER, -1, 0, x->event };
	if (!x->hook)
		return (struct place){ PLACE_TIMER, x->sock, 0, 0 };
	int sock = x->conn ? x->socks[x->sock - PASSIVE_MAX].passive : x->sock;

	return (struct place){ PLACE_HANDLER, sock, x->hook, x->event };
}

static const char *hook_text(uint32_t hook)
{
	return hook == MOS_HK_SND ? " at snd" : hook == MOS_HK_RCV ? " at rcv" : "";
}

static void place_text(const struct lua_dispatch *d, const struct place *p, char *text, size_t size)
{
	const struct event *e = event_find(p->event);
	const char *name = e && e->name[0] ? e->name : "an event without a name";

	if (p->kind == PLACE_HANDLER)
		snprintf(text, size, "the handler of %s%s of monitor %s", name, hook_text(p->hook),
			 d->w->d.passive[p->number].name);
	else if (p->kind == PLACE_FILTER)
		snprintf(text, size, "the filter of %s", name);
	else
		snprintf(text, size, "a timer");
}

/* Writing to an entry that is there allocates nothing. */
static void put_nothing(struct lua_dispatch *d, int table, uint32_t index)
{
	lua_pushvalue(d->L, STACK_NOTHING);
	lua_rawseti(d->L, table, (int)index);
	d->call.apart = 1;
}

static void take_out_at(struct lua_dispatch *d, const struct place *p)
{
	const struct event *e = event_find(p->event);
	const struct hset *set = p->kind == PLACE_HANDLER ? hset_at(&d->w->d.sets, d->w->d.passive[p->number].set)
							  : NULL;

	if (p->kind == PLACE_FILTER && e)
		put_nothing(d, STACK_FILTERS, e->index);
	for (uint32_t i = 0; set && i < set->nregs; i++) {
		const struct registration *r = &set->regs[i];

		if (r->event == p->event && slot_hook(r->slot) == p->hook && r->handler.ref)
			put_nothing(d, STACK_HANDLERS, r->handler.ref & REF_NUMBER);
	}
	d->w->unheard |= p->kind == PLACE_HANDLER || p->kind == PLACE_FILTER;
	if (p->kind == PLACE_TIMER)
		timers_drop(&d->w->timers, p->number);
}

static void report_out(struct lua_dispatch *d, const struct place *p, const char *why)
{
	char text[160];

	place_text(d, p, text, sizeof(text));
	log_error("%s is taken out: %s; the rest goes on", text, why);
	d->w->stats.handlers_out++;
}

/* The handler that has just failed; also one that it has put in its own place on this connection. */
static void take_out_running(struct lua_dispatch *d, const struct place *p)
{
	const struct mos_ctx *x = d->w->d.ctx;

	put_nothing(d, STACK_HANDLERS, d->ref);
	d->w->unheard = true;
	if (!x->conn)
		return;
	const struct hset *set = hset_at(&d->w->d.sets, x->socks[x->sock - PASSIVE_MAX].set);
	for (uint32_t i = 0; i < set->nregs; i++) {
		const struct registration *r = &set->regs[i];

		if (r->event == p->event && slot_hook(r->slot) == p->hook && (r->handler.ref & REF_NUMBER) != d->ref) {
			dispatch_register(&d->w->d, x->sock, p->event, p->hook, (struct handler){ .ref = 0 });
			return;
		}
	}
}

static void count_error(struct lua_dispatch *d, const struct place *p)
{
	char why[64];
	enum contain_answer answer = contain_error(d->contain, p, d->w->now_ns);

	if (answer == CONTAIN_NO)
		return;
	if (p->kind == PLACE_HANDLER)
		take_out_running(d, p);
	else
		take_out_at(d, p);
	if (answer != CONTAIN_NOW)
		return;
	snprintf(why, sizeof(why), "it failed more than %u times in a second", d->contain->most);
	report_out(d, p, why);
}

void lua_dispatch_contain(struct lua_dispatch *d)
{
	for (uint32_t i = 0; i < d->contain->n; i++)
		if (d->contain->v[i].out)
			take_out_at(d, &d->contain->v[i].place);
}

/* The state is of no use any more. Between two packets rest() is called, and gives the script a fresh one. */
static void lose(struct lua_dispatch *d, const struct place *p, const char *why)
{
	char text[160], where[128];

	place_text(d, p, text, sizeof(text));
	describe(d->w->d.ctx, where, sizeof(where));
	log_error("%s %s (%s): the script begins afresh", p->kind == PLACE_OTHER ? "a function" : text, why, where);
	d->lost = true;
	d->w->d.engine.handle = NULL;
	d->w->d.engine.filter = NULL;
	d->w->d.engine.ended = NULL;
	d->w->halted = true;
	if (p->kind != PLACE_OTHER && contain_strike(d->contain, p) == CONTAIN_NOW)
		report_out(d, p, "it has cost the script its state three times");
}

static void killed(struct lua_dispatch *d, const struct place *p)
{
	d->w->stats.handlers_stopped++;
	lose(d, p, "took too long and could not be stopped");
}

enum { COLLECT_ROOM = 64 << 10 };

static int collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT, 0);
	return 0;
}

/*
 * First a collection. Where memory is out again within a second, or little is free after it, the script needs a fresh
 * state: collecting again and again would stall the packets.
 */
static void memory_out(struct lua_dispatch *d, const struct place *p)
{
	uint64_t now = d->w->now_ns;
	bool again = d->full_ns && now - d->full_ns < 1000000000;

	d->full_ns = now ? now : 1;
	d->w->stats.script_memory_out++;
	lua_arena_allow(d->arena, COLLECT_ROOM);
	bool collected = !again && watch_run(d->watch, d->L, collect, NULL, WATCH_MAIN) == 0;
	lua_arena_allow(d->arena, -COLLECT_ROOM);
	if (!collected || lua_arena_is_short(d->arena))
		lose(d, p, "needed more memory than --script-memory allows");
}

/*
 * The message handler has told errors apart by place. It is not called when memory is out, nor when it fails itself: those
 * are logged once.
 */
__attribute__((noinline, cold)) static void failed(struct lua_dispatch *d, int status, bool filter)
{
	struct place p = place_of(d, filter);
	char where[128];

	worker_handler_failed(d->w);
	if (status == WATCH_KILLED) {
		killed(d, &p);
		return;
	}
	describe(d->w->d.ctx, where, sizeof(where));
	if (status == LUA_ERRRUN || !(d->said & 1u << status))
		error_pop_log(d->L, where);
	else
		lua_pop(d->L, 1);
	if (status != LUA_ERRRUN)
		d->said |= 1u << status;
	if (status == LUA_ERRMEM)
		memory_out(d, &p);
	else if (p.kind != PLACE_OTHER)
		count_error(d, &p);
}

static struct mos_packet no_packet = { .decoded = MOS_DECODED_NONE };

/* One call, with what bindings/mos needs to know of it. */
static inline int call(struct lua_dispatch *d, unsigned allowed)
{
	d->call.conn = ctx_handle(d->w->d.ctx);
	d->call.pkt = d->w->d.ctx->pkt ? d->w->d.ctx->pkt : &no_packet;
	return watch_call(d->watch, d->L, STACK_ON_ERROR, allowed);
}

/* The same, with the time that a handler takes, together with the filter that has called it. */
__attribute__((noinline, cold)) static int call_timed(struct lua_dispatch *d, bool pair)
{
	const struct event *e = event_find(d->w->d.ctx->event);
	int slot = e ? event_slot(e->root, d->w->d.ctx->hook) : -1;
	uint64_t began = clock_ns();
	int status = call(d, WATCH_HANDLER);

	if (slot >= 0 && d->health && (!pair || d->w->d.ctx->result)) {
		d->health->sampled[slot]++;
		d->health->sampled_ns[slot] += clock_ns() - began;
	}
	return status;
}

/* What the machine gives to others in the middle of a step is no part of it. */
static uint64_t own_clock_ns(void)
{
	return clock_of_ns(CLOCK_THREAD_CPUTIME_ID);
}

/*
 * A collection begins when the state has grown by half since the last one, before LuaJIT would begin one inside of a
 * handler (at twice the size), and goes on in steps of some microseconds for a small part of a burst's time.
 */
enum { GC_BUDGET_NS = 50000, GC_LEAST = 1 << 20 };

static void collect_next(struct lua_dispatch *d)
{
	size_t used = lua_arena_used(d->arena);

	d->gc_due = used + (used / 2 > GC_LEAST ? used / 2 : GC_LEAST);
}

/* A small state grows to twice its size before it is worth it to collect; LuaJIT is to wait longer. */
static void set_pause(struct lua_dispatch *d, lua_State *L)
{
	lua_gc(L, LUA_GCSETPAUSE, lua_arena_used(d->arena) < 2 * GC_LEAST ? 400 : 200);
}

static int collect_some(lua_State *L)
{
	struct lua_dispatch *d = lua_touserdata(L, 1);
	uint64_t began = own_clock_ns(), now = began, last;
	bool over;

	do {
		last = now;
		over = lua_gc(L, LUA_GCSTEP, 0);
		now = own_clock_ns();
		if (now - last > d->health->gc_longest_ns)
			d->health->gc_longest_ns = now - last;
	} while (!over && now - began < GC_BUDGET_NS);
	d->health->gc_ns += now - began;
	if (over) {
		collect_next(d);
		set_pause(d, L);
	}
	return 0;
}

static int settle(lua_State *L)
{
	set_pause(lua_touserdata(L, 1), L);
	return collect(L);
}

int lua_dispatch_settle(struct lua_dispatch *d)
{
	int status = watch_run(d->watch, d->L, settle, d, WATCH_MAIN);

	d->lost |= status == WATCH_KILLED;
	if (status == 0)
		collect_next(d);
	return d->lost ? -1 : 0;
}

void lua_dispatch_collect(struct lua_dispatch *d)
{
	static const struct place nowhere = { .kind = PLACE_OTHER };

	if (lua_arena_used(d->arena) < d->gc_due || !d->health)
		return;
	/* A finalizer of the script's may run, and not return. */
	if (watch_run(d->watch, d->L, collect_some, d, WATCH_HANDLER) == WATCH_KILLED)
		killed(d, &nowhere);
}

bool lua_dispatch_call(struct lua_dispatch *d, unsigned allowed)
{
	int status = call(d, allowed);

	if (__builtin_expect(status != 0, 0))
		failed(d, status, false);
	return status == 0;
}

/* Another script has taken over in the middle of a packet: the handler is its. */
static inline bool is_foreign(const struct lua_dispatch *d, uint32_t ref)
{
	return (ref ^ d->refs.epoch) & ~(uint32_t)REF_NUMBER;
}

static inline bool is_sampled(const struct lua_dispatch *d)
{
	return d->watch->calls % SAMPLE_ONE_IN == 0;
}

static void handle(void *arg, uint32_t ref)
{
	struct lua_dispatch *d = arg;

	if (__builtin_expect(is_foreign(d, ref), 0))
		return;
	d->ref = ref & REF_NUMBER;
	lua_rawgeti(d->L, STACK_HANDLERS, (int)d->ref);
	int status = is_sampled(d) ? call_timed(d, false) : call(d, WATCH_HANDLER);

	if (__builtin_expect(status != 0, 0))
		failed(d, status, false);
}

/*
 * Going into Lua costs more than most filters do: the handler is called in the same go. A filter that was taken out leaves no
 * answer.
 */
static enum engine_answer filter(void *arg, uint32_t event_index, uint32_t ref)
{
	struct lua_dispatch *d = arg;
	struct mos_ctx *x = d->w->d.ctx;
	bool pair = ref && x->conn && !d->call.apart && !is_foreign(d, ref);

	x->result = 0;
	if (pair)
		d->ref = ref & REF_NUMBER;
	lua_rawgeti(d->L, pair ? STACK_PAIRS : STACK_FILTERS, pair ? (int)d->ref : (int)event_index);
	int status = pair && is_sampled(d) ? call_timed(d, true) : call(d, WATCH_HANDLER);
	bool handled = pair && x->result;

	if (__builtin_expect(status != 0, 0))
		failed(d, status, !handled);
	if (handled)
		return ENGINE_CALLED;
	return status == 0 && x->result ? ENGINE_YES : ENGINE_NO;
}

/* Replace the function at the top by its upvalue of that name, or of none, if it has that type. */
static bool take_upvalue(lua_State *L, const char *name, int type)
{
	const char *found;

	for (int i = 1; (found = lua_getupvalue(L, -1, i)) != NULL; i++) {
		if (lua_type(L, -1) == type && (!*found || strcmp(found, name) == 0)) {
			lua_replace(L, -2);
			return true;
		}
		lua_pop(L, 1);
	}
	return false;
}

/*
 * Where the script's function is that a handler calls: the upvalue `fn` of what handler.lua made, which may be `mos_body` in the
 * environment of the handler; for a timer the member `fn` of the one that fires, among the upvalue `timers` of timer.lua's
 * handler; else the handler itself.
 */
static void place(void *arg, uint32_t ref, char *text, size_t size)
{
	struct lua_dispatch *d = arg;
	lua_State *L = d->L;
	int top = lua_gettop(L);
	lua_Debug ar;

	lua_rawgeti(L, STACK_HANDLERS, (int)(ref & REF_NUMBER));
	lua_getfenv(L, -1);
	lua_pushliteral(L, "mos_body");
	lua_rawget(L, -2);
	if (lua_isfunction(L, -1))
		lua_replace(L, -3);
	lua_settop(L, top + 1);
	if (!take_upvalue(L, "fn", LUA_TFUNCTION) && take_upvalue(L, "timers", LUA_TTABLE)) {
		lua_rawgeti(L, -1, d->w->d.ctx->sock);
		if (lua_istable(L, -1))
			lua_getfield(L, -1, "fn");
	}
	if (lua_isfunction(L, -1) && lua_getinfo(L, ">S", &ar))
		snprintf(text, size, "%s:%d", ar.short_src, ar.linedefined);
	lua_settop(L, top);
}

/* mos.fields.text; whatever goes wrong there is no fault of the script's. */
static void fields(void *arg, const char *event, char *text, size_t size)
{
	lua_State *L = ((struct lua_dispatch *)arg)->L;
	int top = lua_gettop(L);

	text[0] = '\0';
	lua_getglobal(L, "require");
	lua_pushliteral(L, "mos.fields");
	if (lua_pcall(L, 1, 1, 0) == 0) {
		lua_getfield(L, -1, "text");
		lua_pushstring(L, event);
		if (lua_pcall(L, 1, 1, 0) == 0 && lua_isstring(L, -1))
			snprintf(text, size, "%s", lua_tostring(L, -1));
	}
	lua_settop(L, top);
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

static void thread(void *arg, bool begins)
{
	struct lua_dispatch *d = arg;

	if (!begins)
		watch_stop(d->watch);
	else if (watch_start(d->watch, d->w->set.script_timeout_ns) < 0)
		log_warn("--script-timeout: this thread cannot have a timer");
}

void lua_dispatch_install(struct lua_dispatch *d)
{
	d->w->d.engine = (struct engine){
		.handle = handle,
		.filter = filter,
		.place = place,
		.fields = fields,
		.thread = thread,
		.rest = d->rest,
		.count = d->count,
		.arg = d,
	};
	d->w->d.sets.hold = refs_hold;
	d->w->d.sets.hold_arg = &d->refs;
}

void lua_dispatch_remove(struct lua_dispatch *d)
{
	if (d->w->d.engine.arg != d)
		return;
	d->w->d.engine = (struct engine){ .handle = NULL };
	d->w->d.sets.hold = NULL;
	/* It lay with the state, which goes. */
	d->w->d.own = *d->w->d.ctx;
	d->w->d.ctx = &d->w->d.own;
}

struct lua_dispatch *lua_dispatch_of(struct worker *w)
{
	return w->d.engine.arg;
}
