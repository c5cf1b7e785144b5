-- Reading the bytes that an end received: from the monitor's own cursor on, or by stream offset.
local ffi = require "ffi"
local check = require "mos.check"
local names = require "mos.names"
local conn = require "mos.conn"
local lib = require "mos.ffi"

local C, ctx = lib.C, lib.ctx
local bits, live, method, sides = conn.bits, conn.live, conn.method, names.side
local tonumber = tonumber

local view = ffi.new "struct mos_view"
local everything = 0xffffffff
local max_runs = 2048
local runs = ffi.new("struct mos_run[?]", max_runs)
local buffer, buffer_size = ffi.new("uint8_t[?]", 65536), 65536

-- For methods, which a script calls.
local function bad_side(side)
	names.value(3, "side", sides, side)
end

-- The same for "both" too.
local function bad_sides(side)
	names.value(3, "side", names.side_or_both, side)
end

method("peek_into", function(h, side, max)
	live(h)
	local p = C.mos_ffi_read(ctx, bits(h), sides[side] or bad_side(side), max or everything, view)
	if p ~= nil then
		return p, tonumber(view.len)
	elseif view.gap ~= 0 then
		return nil, "gap", tonumber(view.gap)
	end
	return nil
end)

method("peek", function(h, side, max)
	live(h)
	local p = C.mos_ffi_read(ctx, bits(h), sides[side] or bad_side(side), max or everything, view)
	if p ~= nil then
		return (ffi.string(p, view.len))
	elseif view.gap ~= 0 then
		return nil, "gap", tonumber(view.gap)
	end
	return nil
end)

local most = 2 ^ 30

-- C would take a negative length, and NaN, for a huge one.
local function bad_length(len)
	check.fail(3, "conn:ppeek: the length must be a number from 0 to 2^30 - 1, not %s", tostring(len))
end

method("ppeek", function(h, side, off, len)
	live(h)
	if type(len) ~= "number" or not (len >= 0 and len < most) then
		bad_length(len)
	end
	if len > buffer_size then
		buffer, buffer_size = ffi.new("uint8_t[?]", len), len
	end
	local n = C.mos_ffi_ppeek(ctx, bits(h), sides[side] or bad_side(side), off, buffer, len)
	if n >= 0 then
		return (ffi.string(buffer, n))
	end
	return nil
end)

method("find", function(h, side, text, from)
	live(h)
	local s = sides[side] or bad_side(side)
	local off
	if from then
		off = C.mos_ffi_find_from(ctx, bits(h), s, text, #text, from)
	else
		off = C.mos_ffi_find(ctx, bits(h), s, text, #text)
	end
	if off >= 0 then
		return (tonumber(off))
	end
	return nil
end)

method("starts_with", function(h, side, text)
	live(h)
	local yes = C.mos_ffi_starts_with(ctx, bits(h), sides[side] or bad_side(side), text, #text)
	return yes ~= 0
end)

method("available", function(h, side)
	live(h)
	local n = C.mos_ffi_available(ctx, bits(h), sides[side] or bad_side(side))
	return (tonumber(n))
end)

method("skip", function(h, side, max)
	live(h)
	local p = C.mos_ffi_read(ctx, bits(h), sides[side] or bad_side(side), max or everything, view)
	if p ~= nil then
		return (tonumber(view.len))
	elseif view.gap ~= 0 then
		return 0, "gap", tonumber(view.gap)
	end
	return 0
end)

-- Early bytes beyond a hole are a fragment of their own.
method("fragments", function(h, side)
	live(h)
	local s = sides[side] or bad_side(side)
	local n = tonumber(C.mos_ffi_runs(ctx, bits(h), s, runs, max_runs))
	local list = {}
	for i = 0, n - 1 do
		list[i + 1] = { from = tonumber(runs[i].from), to = tonumber(runs[i].to) }
	end
	return list
end)

local function must(rc, what)
	if rc < 0 then
		check.fail(3, "%s: %s", what, names.errno(rc))
	end
end

method("stop", function(h, side)
	live(h)
	must(C.mos_ffi_stop(ctx, bits(h), names.side_or_both[side or "both"] or bad_sides(side)), "conn:stop")
end)

method("set_buffer", function(h, side, size)
	live(h)
	size = check.size(2, "conn:set_buffer: the buffer", size)
	local sock = C.mos_ffi_conn_sock(ctx, bits(h))
	must(C.mos_ffi_set_buffer(ctx, sock, sides[side] or bad_side(side), size), "conn:set_buffer")
end)

method("set_overlap", function(h, side, policy)
	live(h)
	local value = names.value(2, "overlap policy", names.overlap, policy)
	local sock = C.mos_ffi_conn_sock(ctx, bits(h))
	must(C.mos_ffi_set_overlap(ctx, sock, sides[side] or bad_side(side), value), "conn:set_overlap")
end)
