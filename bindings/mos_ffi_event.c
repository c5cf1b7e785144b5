/* Events and handlers, for bindings/mos/event.lua and handler.lua. */
#include <errno.h>

#include "ctx.h"
#include "event/events.h"
#include "lua_dispatch.h"
#include "lua_names.h"

uint32_t mos_ffi_event_count(void)
{
	return events_count();
}

uint64_t mos_ffi_event_id(uint32_t index)
{
	const struct event *e = event_at(index);

	return e ? e->id : 0;
}

const char *mos_ffi_event_name(uint32_t index)
{
	const struct event *e = event_at(index);

	return e ? e->name : "";
}

uint64_t mos_ffi_event_find(const char *name)
{
	const struct event *e = event_find_name(name);

	return e ? e->id : 0;
}

int64_t mos_ffi_event_index(uint64_t event)
{
	const struct event *e = event_find(event);

	return e ? (int64_t)e->index : -1;
}

uint32_t mos_ffi_event_hooks(uint64_t event)
{
	static const uint32_t all[] = { MOS_HK_SND, MOS_HK_RCV, MOS_NULL };
	const struct event *e = event_find(event);
	uint32_t hooks = 0;

	for (unsigned i = 0; e && i < 3; i++) {
		if (event_slot(e->root, all[i]) >= 0)
			hooks |= all[i];
	}
	return hooks;
}

uint64_t mos_ffi_event_define(uint64_t parent, void *filter, int lua, const char *name, const char *meaning)
{
	enum event_kind kind = filter ? EVENT_C : lua ? EVENT_LUA : EVENT_RAISED;

	return event_define(parent, kind, (filter_t)filter, NULL, name, meaning);
}

int mos_ffi_event_describe(uint64_t event, const char *fields)
{
	return event_describe(event, fields);
}

int mos_ffi_event_raise(struct mos_ctx *ctx, uint64_t event, int side)
{
	struct dispatch *d = &ctx_worker(ctx)->d;
	int err = dispatch_raise(d, event, side);

	return err ? err : (int)d->raised_n - 1;
}

uint32_t mos_ffi_event_room(struct mos_ctx *ctx)
{
	return RAISE_MAX - ctx_worker(ctx)->d.raised_n;
}

void mos_ffi_event_again(struct mos_ctx *ctx)
{
	struct dispatch *d = &ctx_worker(ctx)->d;

	d->ask_again = d->raised_n && !d->draining;
}

int mos_ffi_event_wanted(struct mos_ctx *ctx, uint64_t event)
{
	return dispatch_wanted(&ctx_worker(ctx)->d, event);
}

void mos_ffi_ref_name(struct mos_ctx *ctx, uint32_t ref, const char *name)
{
	lua_dispatch_of(ctx_worker(ctx))->refs.v[ref].name = name_number(name);
}

uint32_t mos_ffi_ref_take(struct mos_ctx *ctx)
{
	return refs_take(&lua_dispatch_of(ctx_worker(ctx))->refs);
}

int mos_ffi_register(struct mos_ctx *ctx, int sock, uint64_t event, uint32_t hook, void *fn, uint32_t ref)
{
	struct handler h = { .fn = (callback_t)fn };

	if (ref)
		h.ref = ref | lua_dispatch_of(ctx_worker(ctx))->refs.epoch;
	return dispatch_register(&ctx_worker(ctx)->d, sock, event, hook, h);
}

void mos_ffi_watch_ends(struct mos_ctx *ctx)
{
	lua_dispatch_watch_ends(ctx_worker(ctx));
}
