-- From a script's functions to what C calls: functions without arguments, which read the context.
--
-- Each is made from source of its own, so that LuaJIT compiles each with its own traces, and a side is a constant in
-- them.
local bit = require "bit"
local ffi = require "ffi"
local jit_util = require "jit.util"
local check = require "mos.check"
local conn = require "mos.conn"
local event = require "mos.event"
local names = require "mos.names"
local object = require "mos.object"
local pkt = require "mos.pkt"
local lib = require "mos.ffi"
local host = require "mos.host"

local C, ctx, asked = lib.C, lib.ctx, lib.call
local band, bor, lshift = bit.band, bit.bor, bit.lshift
local queue = event.queue

local handler = {}

local template = [[
local fn, ev, ctx, current, packet, fields, slot, ask, ask_ev, ask_packet, above, silenced = ...
return function()
	local conn, side, pkt = current(), ctx.side
	if ctx.pkt ~= nil then
		pkt = packet
	end
	if side == 0 then
		CALL("cli")
	elseif side == 1 then
		CALL("svr")
	else
		CALL("both")
	end
end
]]

-- The call of a function, named so in the source, for an event whose fields stand at such a place (event.lua; nil: it
-- has none), with as many arguments as it takes: a table costs compiled code something even where nobody looks at it.
local function call_of(fn, what, packet, ev, at)
	local args, info = { "conn", "%1", packet, ev, at or nil }, jit_util.funcinfo(fn)
	local most = info.proto and not info.isvararg and info.params or #args
	return ("%s(%s)"):format(what, table.concat(args, ", ", 1, math.min(most, #args)))
end

local function handler_source(fn, at)
	return (template:gsub("CALL%((.-)%)", call_of(fn, "fn", "pkt", "ev", at)))
end

-- What a filter answers is whether its event is raised; where the event has fields of its own it may be those.
local filter_call = "local yes = %s ctx.result = yes and 1 or 0"
local filling_call = "local yes = %s if yes == true then slot[0] = %s else slot[0] = yes end "
	.. "ctx.result = yes and 1 or 0"

local function asking(call, at, fills)
	return fills and filling_call:format(call, at or "nil") or filter_call:format(call)
end

local function filter_source(fn, above, fills)
	local at = above and above.at
	local call = call_of(fn, "fn", "pkt", "ev", at)
	return (template:gsub("CALL%((.-)%)", asking(call, at, fills)))
end

-- A filter and a handler of its event, for C to call both in one go: the filter may have silenced the socket.
local function pair_source(fn, at, filter)
	local above = filter.above and filter.above.at:gsub("fields", "above")
	local ask = asking(call_of(filter.fn, "ask", "ask_pkt", "ask_ev", above), above, filter.slot)
	local call = ("%s if yes and silenced() == 0 then %s end"):format(ask, call_of(fn, "fn", "pkt", "ev", at))
	return (template:gsub("CALL%((.-)%)", call):gsub("pkt = packet", "pkt, ask_pkt = packet, ask_packet")
		:gsub("local conn, side, pkt =", "local conn, side, pkt, ask_pkt ="))
end

local CLOSED, STOPPED_CLI, FIRST = C.MOS_SOCK_CLOSED, C.MOS_SOCK_STOPPED_CLI, C.MOS_SOCK_FIRST
local CONN_STOPPED, END_STOPPED = C.MOS_CONN_STOPPED, C.MOS_END_STOPPED

-- Not 0: nothing is to be called any more at the hook in dispatch, as C has it (event/dispatch.c, is_silent).
local function silenced()
	local c, sock, side = ctx.conn, ctx.socks[ctx.sock - FIRST], ctx.side
	return (bor(band(sock.flags, bor(CLOSED, lshift(STOPPED_CLI, side))), band(c.flags, CONN_STOPPED),
		band(c["end"][side].flags, END_STOPPED)))
end

-- A chunk that makes functions runs once: not worth it to compile, which could not be done either.
local function chunk_of(source, where)
	local chunk = loadstring(source, where)
	jit.off(chunk)
	return chunk
end

-- Functions of one prototype share what is made from source: closures that a handler makes for each connection.
local factories = setmetatable({}, { __mode = "k" })

local function factory_of(fn, key, make_source, ...)
	local proto = jit_util.funcinfo(fn).proto or fn
	local of_proto = factories[proto]
	if not of_proto then
		of_proto = {}
		factories[proto] = of_proto
	end
	local factory = of_proto[key]
	if not factory then
		factory = chunk_of(make_source(fn, ...), "=(mos.handler)")
		of_proto[key] = factory
	end
	return factory
end

-- The number of (function, event), and back: a number is given again when no connection uses it any more.
local refs = {}
local users = {}

local function forget(ref)
	local user = users[ref]
	if user then
		refs[user.ev][user.fn] = nil
	end
end

-- What fn receives as a packet. In the sandbox (sandbox.lua) only functions of mos-run's own modules, which have its
-- environment, see pointers; a C function may hand on to a script's what it is given.
local function packet_for(fn)
	if host.safe_packet and not (jit_util.funcinfo(fn).proto and getfenv(fn) == _G) then
		return host.safe_packet
	end
	return pkt.object
end

-- The names of functions: of those that a script gives one, and of its global ones.
local names_of, by_name = setmetatable({}, { __mode = "k" }), {}

local function name(fn_name, fn)
	check.argument(2, "mos.handler", "the name", fn_name, "string")
	check.argument(2, "mos.handler", "the handler", fn, "function")
	names_of[fn], by_name[fn_name] = fn_name, fn
	return fn
end

handler.name = name

-- What C calls for many packets: a function without upvalues. Compiled code that has looked into those of the function
-- that it began with puts this one back when it leaves, in two halves, and LuaJIT, which reads it at once as a whole,
-- waits until both have reached the cache: longer than most handlers take.
local function entry(body, where)
	return setfenv(chunk_of("return function() mos_body() end", where)(), { mos_body = body })
end

-- In its array, where C finds it faster.
local function put(list, i, fn)
	for k = #list + 1, i - 1 do
		list[k] = false
	end
	list[i] = fn
end

-- [event]: its filter, as handler.filter has been given it.
local filters = {}

local function make_pair(ref, fn, ev, at, own)
	local f = filters[event.object(ev)]
	if not f then
		host.pairs[ref] = host.pairs[ref] and false -- of another handler that had this number
		return
	end
	local make = factory_of(fn, ("pair of %d at %s"):format(f.index, at or "-"), pair_source, at, f)
	local source = event.source(ev)
	local pair = make(fn, ev, ctx, conn.current, packet_for(fn), source and source.fields, f.slot, f.fn, f.ev,
		packet_for(f.fn), f.above and f.above.fields, silenced)
	put(host.pairs, ref, own and entry(pair, "=(mos.handler)") or pair)
end

-- The number by which C calls fn. own: make it from source of its own.
local function ref_of(fn, ev, own)
	local of_event = refs[ev]
	if not of_event then
		of_event = {}
		refs[ev] = of_event
	end
	local ref = of_event[fn]
	if ref then
		return ref
	end
	ref = C.mos_ffi_ref_take(ctx)
	if ref == 0 then
		error("not enough memory")
	end
	forget(ref)
	local source = event.source(ev)
	local at = source and source.at or false
	local make = own and chunk_of(handler_source(fn, at), "=(mos.handler)") or factory_of(fn, at, handler_source, at)
	local body = make(fn, ev, ctx, conn.current, packet_for(fn), source and source.fields)
	host.handlers[ref] = own and entry(body, "=(mos.handler)") or body
	make_pair(ref, fn, ev, at, own)
	if names_of[fn] then
		C.mos_ffi_ref_name(ctx, ref, names_of[fn])
	end
	of_event[fn], users[ref] = ref, { fn = fn, ev = ev }
	return ref
end

-- A handler of the old script was registered on one connection, by a function with a name. Which is ours?
function host.rebind()
	local ev, fn = event.of_id(tonumber(asked.event)), by_name[ffi.string(asked.name)]
	if ev and fn then
		asked.ref = ref_of(fn, ev, false)
	end
end

local standard = {}
for key in pairs(_G) do
	standard[key] = true
end

-- The script's main part is over: its global functions are known by their names.
function host.loaded()
	for module in pairs(package.loaded) do
		local path = package.searchpath(module, package.path)
		if path then
			C.mos_ffi_loaded_from(ctx, path)
		end
	end
	for key, value in pairs(host.globals or _G) do
		if type(value) == "function" and type(key) == "string" and not standard[key] then
			names_of[value] = names_of[value] or key
			by_name[key] = by_name[key] or value
		end
	end
end

-- A number for a function that is called without arguments.
function handler.plain(fn)
	local ref = C.mos_ffi_ref_take(ctx)
	host.handlers[ref] = fn
	return ref
end

-- What C calls for a filter leaves its answer in the context.
-- above: where the fields of the event that ev extends are found.
function handler.filter(index, fn, ev, above)
	local slot = ev.source ~= above and ev.source.fields or nil
	local make = chunk_of(filter_source(fn, above, slot), "=(mos.filter)")
	if host.filters[index] then
		asked.apart = 1 -- pairs of before know the filter of before
	end
	local body = make(fn, ev, ctx, conn.current, packet_for(fn), above and above.fields, slot)
	put(host.filters, index, entry(body, "=(mos.filter)"))
	filters[ev] = { index = index, fn = fn, ev = ev, above = above, slot = slot }
end

-- (event, fn) or (event, hook, fn)
local function register(level, who, sock, ev, hook, fn, own)
	if fn == nil then
		hook, fn = nil, hook
	end
	local id = event.id(level + 1, ev)
	local hook_number = event.hook(level + 1, id, ev, hook)
	local rc
	if object.is_function(fn) then
		rc = C.mos_ffi_register(ctx, sock, id, hook_number, fn.address, 0)
	else
		check.argument(level + 1, who, "the handler", fn, "function")
		rc = C.mos_ffi_register(ctx, sock, id, hook_number, nil, ref_of(fn, ev, own))
	end
	if rc < 0 then
		check.fail(level + 1, "%s: %s", who, names.errno(rc))
	end
	event.listen(ev, sock)
end

local function unregister(level, who, sock, ev, hook)
	local id = event.id(level + 1, ev)
	local rc = C.mos_ffi_register(ctx, sock, id, event.hook(level + 1, id, ev, hook), nil, 0)
	if rc < 0 then
		check.fail(level + 1, "%s: %s", who, names.errno(rc))
	end
end

handler.register, handler.unregister = register, unregister

conn.method("on", function(h, ev, hook, fn)
	conn.live(h)
	register(2, "conn:on", C.mos_ffi_conn_sock(ctx, conn.bits(h)), ev, hook, fn, false)
end)

conn.method("off", function(h, ev, hook)
	conn.live(h)
	unregister(2, "conn:off", C.mos_ffi_conn_sock(ctx, conn.bits(h)), ev, hook)
end)

conn.method("raise", function(h, ev, fields)
	local c = conn.live(h)
	if ctx.conn ~= c then
		check.fail(2, "conn:raise: an event is raised inside a handler, for the connection that it was called for")
	end
	local id = event.id(2, ev)
	local rc = C.mos_ffi_event_raise(ctx, id, ctx.side)
	if rc < 0 then
		check.fail(2, "conn:raise: cannot raise '%s': %s", tostring(ev), names.errno(rc))
	end
	queue[rc] = fields
end)

return handler
