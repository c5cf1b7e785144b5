-- Connections, as handlers receive them: a handle of index and generation (mos_ffi.h says how), never an address. The
-- connection that it names may have ended; every use looks, so a handle kept too long raises an error instead of
-- reading another's data. Handles are made afresh for each event, but compiled code stores one only if the script does.
--
-- Fields are functions behind __index, and none that a busy handler asks for compares anything: a comparison would be a
-- place that compiled code can leave from, and LuaJIT cannot compile what goes on from inside __index. Hence the tables
-- where one expects an if. Nor does one end in a call without parentheses: LuaJIT gives up a trace with 15 of those.
local ffi = require "ffi"
local bit = require "bit"
local check = require "mos.check"
local names = require "mos.names"
local lib = require "mos.ffi"
local member = require "mos.member"
local host = require "mos.host"

local C, ctx, call = lib.C, lib.ctx, lib.call
local band, bor, bxor, rshift, tobit = bit.band, bit.bor, bit.bxor, bit.rshift, bit.tobit
local cast = ffi.cast
local tonumber, error = tonumber, error

local LIVE, MIDSTREAM, ROLE_GUESSED = C.MOS_CONN_LIVE, C.MOS_CONN_MIDSTREAM, C.MOS_CONN_ROLE_GUESSED
local SYN, FIN, RST, WSCALE = C.MOS_END_SYN, C.MOS_END_FIN, C.MOS_END_RST, C.MOS_END_WSCALE
local truth = names.truth
local states, end_reasons, error_reasons = names.states, names.end_reasons, names.error_reasons

local handle_t = ffi.typeof "struct mos_handle *"
local end_t = ffi.typeof "struct mos_end_handle *"
local bits_t = ffi.typeof "uint64_t"

local INDEX = bit.lshift(1, C.MOS_HANDLE_PASSIVE) - 1
local SIDE, SIDE_BIT = C.MOS_HANDLE_SIDE, bit.lshift(1ull, C.MOS_HANDLE_SIDE)
local GEN, GEN_BITS = C.MOS_HANDLE_GEN, bit.lshift(1, 64 - C.MOS_HANDLE_GEN) - 1

-- A field's function is called with the handle.
local members, ends = member.new "field of a connection", member.new "field of a connection's end"
local get, get_of_end = members.get, ends.get
local addr_buf = ffi.new "char[46]"

local conn = { members = members.all, is_field = members.is_field, field = members.field, method = members.method }

-- The number that C calls a connection by, and its index. For either kind of handle.
local function bits(h)
	return (cast(bits_t, h))
end

local function index(h)
	return (tobit(band(cast(bits_t, h), INDEX)))
end

-- A function that gives the record of a live connection, or raises at that level: alive[0] is true, the rest an error.
local function checker(level)
	local alive = setmetatable(require "table.new"(1, 0), {
		__index = function()
			error("connection has ended", level)
		end,
	})
	alive[0] = true
	return function(h)
		local b = cast(bits_t, h)
		local c = ctx.conns[tobit(band(b, INDEX))]
		local stale = bxor(tobit(rshift(b, GEN)), band(c.gen, GEN_BITS))
		local _ = alive[bor(stale, bxor(band(c.flags, LIVE), LIVE))]
		return c
	end
end

-- For fields, which __index calls for the script, and for methods, which the script calls.
local live, live_for_method = checker(5), checker(4)

conn.bits, conn.index, conn.live, conn.live_for_field = bits, index, live_for_method, live

conn.field("client", function(h)
	return (cast(end_t, h))
end)
conn.field("server", function(h)
	return (cast(end_t, bor(cast(bits_t, h), SIDE_BIT)))
end)
-- conn[side]
conn.field("cli", members.all.client)
conn.field("svr", members.all.server)

conn.field("uid", function(h)
	live(h)
	return (bit.tohex(C.mos_ffi_conn_uid(ctx, bits(h))))
end)
conn.field("family", function(h)
	return live(h).key.family
end)
conn.field("start_ts", function(h)
	return tonumber(live(h).start_ns) / 1e9
end)
conn.field("last_ts", function(h)
	return tonumber(live(h).last_ns) / 1e9
end)
conn.field("duration", function(h)
	local c = live(h)
	return tonumber(c.last_ns - c.start_ns) / 1e9
end)
conn.field("midstream", function(h)
	return truth[band(live(h).flags, MIDSTREAM)]
end)
conn.field("role_guessed", function(h)
	return truth[band(live(h).flags, ROLE_GUESSED)]
end)
conn.field("end_reason", function(h)
	return end_reasons[live(h).end_reason]
end)
conn.field("error_reason", function(h)
	return error_reasons[live(h).err_reason]
end)
local function has_ended(h)
	local c = ctx.conns[index(h)]
	return tobit(rshift(bits(h), GEN)) ~= band(c.gen, GEN_BITS) or band(c.flags, LIVE) == 0
end

conn.field("ended", function(h)
	return has_ended(h)
end)

local data, watching = host.data, false

-- The entry goes when the connection does, which the runtime tells from the first use on.
conn.field("data", function(h)
	live(h)
	local i = index(h)
	local t = data[i]
	if t then
		return t
	end
	if not watching then
		C.mos_ffi_watch_ends(ctx)
		watching = true
	end
	t = {}
	data[i] = t
	return t
end)

conn.field("rec", function()
	error("conn.rec: no record is declared; call mos.record [[ uint32_t pkts; ]] first", 3)
end)

conn.method("state", function(h, side)
	local c = live_for_method(h)
	return states[c["end"][names.side[side] or names.value(2, "side", names.side, side)].state]
end)

local function side_of(h)
	return (tobit(band(rshift(cast(bits_t, h), SIDE), 1)))
end

local end_members = {
	side = function(h)
		return names.sides[side_of(h)]
	end,
	addr = function(h)
		live(h)
		local n = C.mos_ffi_conn_addr(ctx, bits(h), side_of(h), addr_buf)
		return (ffi.string(addr_buf, n))
	end,
	port = function(h)
		local c = live(h)
		return c.key.port[bxor(c.cli, side_of(h))]
	end,
	state = function(h)
		return states[live(h)["end"][side_of(h)].state]
	end,
	pkts = function(h)
		return (tonumber(live(h)["end"][side_of(h)].pkts))
	end,
	bytes = function(h)
		live(h)
		local n = C.mos_ffi_conn_bytes(ctx, bits(h), side_of(h))
		return (tonumber(n))
	end,
	ip_bytes = function(h)
		return (tonumber(live(h)["end"][side_of(h)].ip_bytes))
	end,
	rexmits = function(h)
		return live(h)["end"][side_of(h)].rexmits
	end,
	missed = function(h)
		live(h)
		local n = C.mos_ffi_conn_missed(ctx, bits(h), side_of(h))
		return (tonumber(n))
	end,
	isn = function(h)
		return live(h)["end"][side_of(h)].isn
	end,
	window = function(h)
		return live(h)["end"][side_of(h)].win
	end,
	mss = function(h)
		local e = live(h)["end"][side_of(h)]
		return e.mss ~= 0 and e.mss or nil
	end,
	wscale = function(h)
		local e = live(h)["end"][side_of(h)]
		return band(e.flags, WSCALE) ~= 0 and e.wscale or nil
	end,
	syn = function(h)
		return truth[band(live(h)["end"][side_of(h)].flags, SYN)]
	end,
	fin = function(h)
		return truth[band(live(h)["end"][side_of(h)].flags, FIN)]
	end,
	rst = function(h)
		return truth[band(live(h)["end"][side_of(h)].flags, RST)]
	end,
}
for name, fn in pairs(end_members) do
	ends.field(name, fn)
end

ffi.metatype("struct mos_handle", {
	__index = function(h, name)
		return (get[name](h))
	end,
	__newindex = function(_, name)
		check.fail(2, "conn.%s cannot be set; conn.data is yours to write to", tostring(name))
	end,
	__tostring = function(h)
		if has_ended(h) then
			return "connection (ended)"
		end
		return ("%s > %s"):format(h.client, h.server)
	end,
})

ffi.metatype("struct mos_end_handle", {
	__index = function(h, name)
		return (get_of_end[name](h))
	end,
	__newindex = function(_, name)
		check.fail(2, "%s cannot be set", tostring(name))
	end,
	__tostring = function(h)
		local addr = h.addr
		return (addr:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(addr, h.port)
	end,
})

-- A handle of the connection in dispatch, nil where there is none.
function conn.current()
	if call.conn == 0 then
		return nil
	end
	return (cast(handle_t, call.conn))
end

return conn
