/* Monitoring sockets, their options and timers, for bindings/mos/monitor.lua, read.lua and timer.lua. */
#include "api/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "lua_names.h"
#include "lua_state.h"

static int number_of(const struct worker *w, const char *name)
{
	for (int i = 0; i < PASSIVE_MAX; i++)
		if (w->d.passive[i].used && !strcmp(w->d.passive[i].name, name))
			return i;
	return -1;
}

/*
 * The one that a monitor of that name has in the script before, else one that neither has: the other's monitors may yet
 * stay.
 */
static int number_for(const struct worker *w, const struct lua_estate *before, const char *name)
{
	for (int i = 0; before && i < PASSIVE_MAX; i++)
		if (!strcmp(before->name[i], name))
			return i;
	for (int i = 0; i < PASSIVE_MAX; i++)
		if (!w->d.passive[i].used && !(before && before->name[i][0]))
			return i;
	return -EMFILE;
}

int mos_ffi_monitor_open(struct mos_ctx *ctx, const char *name, uint32_t family, int raw)
{
	struct worker *w = ctx_worker(ctx);
	char known[MONITOR_NAME];

	snprintf(known, sizeof(known), "%s", name);
	if (number_of(w, known) >= 0)
		return -EEXIST;
	int number = number_for(w, state_of(lua_dispatch_of(w))->estate, known);

	if (number < 0)
		return number;
	monitor_open_at(w, number, (uint8_t)family, raw);
	snprintf(w->d.passive[number].name, MONITOR_NAME, "%s", known);
	return number;
}

int mos_ffi_monitor_bind(struct mos_ctx *ctx, int sock, const char *filter, const char *orphan, char *err,
			 size_t errlen)
{
	return monitor_bind(ctx_worker(ctx), sock, filter, orphan, err, errlen);
}

int mos_ffi_monitor_close(struct mos_ctx *ctx, int sock)
{
	return monitor_close(ctx_worker(ctx), sock);
}

int mos_ffi_set_buffer(struct mos_ctx *ctx, int sock, int side, uint64_t bytes)
{
	return monitor_buffer(ctx_worker(ctx), sock, side, bytes);
}

int mos_ffi_set_overlap(struct mos_ctx *ctx, int sock, int side, int policy)
{
	return monitor_overlap(ctx_worker(ctx), sock, side, policy);
}

int mos_ffi_stop(struct mos_ctx *ctx, uint64_t conn, int side)
{
	return monitor_stop(ctx_worker(ctx), handle_sock(ctx, conn), side);
}

int mos_ffi_set_record(struct mos_ctx *ctx, uint32_t size, const char *fields)
{
	struct lua_state *st = state_of(lua_dispatch_of(ctx_worker(ctx)));

	free(st->record);
	st->record = strdup(fields);
	return st->record ? worker_set_record(ctx_worker(ctx), size) : -ENOMEM;
}

const char *mos_ffi_record_before(struct mos_ctx *ctx)
{
	const struct lua_estate *before = state_of(lua_dispatch_of(ctx_worker(ctx)))->estate;

	return before ? before->record : NULL;
}

void mos_ffi_carry(struct mos_ctx *ctx)
{
	state_of(lua_dispatch_of(ctx_worker(ctx)))->carries = true;
}

int mos_ffi_loaded_from(struct mos_ctx *ctx, const char *path)
{
	struct lua_state *st = state_of(lua_dispatch_of(ctx_worker(ctx)));
	char **files = realloc(st->files, (st->nfiles + 1) * sizeof(*files));

	if (!files)
		return -ENOMEM;
	st->files = files;
	files[st->nfiles] = strdup(path);
	st->nfiles += files[st->nfiles] != NULL;
	return 0;
}

int mos_ffi_record_part(struct mos_ctx *ctx, uint32_t to, uint32_t from, uint32_t len)
{
	struct lua_state *st = state_of(lua_dispatch_of(ctx_worker(ctx)));
	struct rec_part *parts = realloc(st->parts, (st->nparts + 1) * sizeof(*parts));

	if (!parts)
		return -ENOMEM;
	st->parts = parts;
	parts[st->nparts++] = (struct rec_part){ to, from, len };
	return 0;
}

uint64_t mos_ffi_timer_add(struct mos_ctx *ctx, uint64_t delay_ns, uint32_t ref, int32_t id, const char *name)
{
	struct worker *w = ctx_worker(ctx);
	struct handler h = { .ref = ref | lua_dispatch_of(w)->refs.epoch };
	uint64_t key = monitor_timer(w, delay_ns, h, id);

	if (name && key)
		timers_name(&w->timers, key, name_number(name));
	return key;
}

int mos_ffi_timer_cancel(struct mos_ctx *ctx, uint64_t key)
{
	return timers_cancel(&ctx_worker(ctx)->timers, key);
}
