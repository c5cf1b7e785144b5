-- require "mos.parser": what parsers of byte streams are written with; docs/writing-events.md shows how.
--
-- A parser sees each direction of a connection as one run of bytes, however they came, and takes from it units that it
-- asks for: a line, n bytes. What is not complete yet stays in the connection's own buffer, which is what bounds the
-- memory; a unit longer than that buffer is a gap. The parser's place in the stream is its own: a script's peek does
-- not move it.
local ffi = require "ffi"
local bit = require "bit"
local check = require "mos.check"
local conn = require "mos.conn"
local event = require "mos.event"
local handler = require "mos.handler"
local object = require "mos.object"
local lib = require "mos.ffi"

ffi.cdef "void *memchr(const void *s, int c, size_t n);"

local C, ctx = lib.C, lib.ctx
local queue = event.queue
local bits, index_of = conn.bits, conn.index
local tobit, rshift = bit.tobit, bit.rshift
local tonumber = tonumber

local NUMBER = { cli = 0, svr = 1 }
local MOST = 2 ^ 30

-- Events that one step of a parser may raise at most; with less room in the queue it waits for the next call.
local ROOM = 64

-- The bytes in hand: those of the call that is running, so one is enough.
local hand = ffi.new "struct { const uint8_t *p; int32_t len; int32_t at; }"
local view = ffi.new "struct mos_view"
local bytes_t = ffi.typeof "const uint8_t *"

-- One direction of a connection.
local Reader = {}
Reader.__index = Reader

-- Bytes that are there.
function Reader:left()
	return hand.len - hand.at
end

-- Where the next byte stands in the stream.
function Reader:offset()
	return self.base + hand.at
end

-- A pointer to the next n bytes, which stay; nil while they are not all there. Good until the function returns.
function Reader:look(n)
	if hand.len - hand.at < n then
		return nil
	end
	return hand.p + hand.at
end

-- The next n bytes as a string; nil while they are not all there.
function Reader:take(n)
	if hand.len - hand.at < n then
		return nil
	end
	local s = ffi.string(hand.p + hand.at, n)
	hand.at = hand.at + n
	return s
end

-- Up to n of the bytes that are there, as a string; nil when there are none.
function Reader:some(n)
	local left = hand.len - hand.at
	if left == 0 then
		return nil
	elseif left < n then
		n = left
	end
	local s = ffi.string(hand.p + hand.at, n)
	hand.at = hand.at + n
	return s
end

-- Go over up to n bytes; how many there were.
function Reader:skip(n)
	local left = hand.len - hand.at
	if left < n then
		n = left
	end
	hand.at = hand.at + n
	return n
end

-- The next line, without its end (LF or CRLF). nil while it is not all there; false when it is longer than max bytes.
function Reader:line(max)
	local left, span = hand.len - hand.at, max
	if left < max then
		span = left
	end
	local p = hand.p + hand.at
	local stop = C.memchr(p, 10, span)
	if stop == nil then
		if left >= max then
			return false
		end
		return nil
	end
	local n = tonumber(ffi.cast(bytes_t, stop) - p)
	hand.at = hand.at + n + 1
	if n > 0 and p[n - 1] == 13 then
		n = n - 1
	end
	return (ffi.string(p, n))
end

-- Raise an event that has no filter, with its fields.
function Reader:raise(ev, fields)
	local at = C.mos_ffi_event_raise(ctx, ev.id)
	if at >= 0 then
		queue[at] = fields
	end
end

-- Does anybody listen to it? What nobody wants need not be made.
function Reader:wants(ev)
	return C.mos_ffi_event_wanted(ctx, ev.id) ~= 0
end

-- No more of this direction.
function Reader:stop()
	self.step = nil
end

local function generation(h)
	return (tobit(rshift(bits(h), C.MOS_HANDLE_GEN)))
end

local function new_flow(spec, h, gen)
	local flow = { gen = gen, conn = h }
	for side in pairs(NUMBER) do
		flow[side] = setmetatable({ side = side, flow = flow, base = 0, step = spec.start }, Reader)
	end
	flow.cli.peer, flow.svr.peer = flow.svr, flow.cli
	return flow
end

-- Steps of one direction, as far as its bytes go.
local function advance(r)
	local step = r.step
	while step do
		if C.mos_ffi_event_room(ctx) < ROOM then
			C.mos_ffi_event_again(ctx)
			return
		elseif not step(r) then
			return
		end
		step = r.step
	end
end

-- Bytes were lost: the parser says how it goes on, by another step, or not at all.
local function lose(spec, r, n)
	r.base = r.base + n
	hand.len, hand.at = 0, 0
	if not spec.gap or not spec.gap(r, n) then
		r.step = nil
	end
end

local function parse(spec, r, h)
	local side = NUMBER[r.side]
	for _ = 1, 64 do
		hand.p = C.mos_ffi_parse(ctx, bits(h), side, r.base, view)
		local len = tonumber(view.len)
		hand.len, hand.at = len < MOST and len or MOST, 0
		if view.gap ~= 0 then
			lose(spec, r, tonumber(view.gap))
		elseif len ~= 0 then
			advance(r)
		end
		r.base = r.base + hand.at
		if not r.step or (view.gap == 0 and hand.at == 0) then
			break
		end
		hand.p, hand.len, hand.at = hand.p + hand.at, hand.len - hand.at, 0
	end
	C.mos_ffi_parsed(ctx, bits(h), side, r.step and r.base or 2 ^ 53)
end

local function define(options)
	local ev = event.define(options, handler.filter, object.is_function)
	return ev
end

local Parser = {}
Parser.__index = Parser

-- An event that the parser raises: name, meaning and fields, as for mos.event.
function Parser:event(options)
	options.parent = self.root
	local ev = define(options)
	return ev
end

-- What is kept of a connection is a table of its own, or, when there is nothing more to do, its generation.
local function make_filters(spec, flows)
	local function on_data(h, side)
		local index, gen = index_of(h), generation(h)
		local flow = flows[index]
		if flow == gen then
			return false
		elseif not flow or type(flow) == "number" or flow.gen ~= gen then
			flow = new_flow(spec, h, gen)
			flows[index] = flow
		end
		local r = flow[side]
		if r.step then
			parse(spec, r, h)
			if not flow.cli.step and not flow.svr.step then
				flows[index] = gen
			end
		end
		return false
	end

	local function on_end(h, side)
		local index, gen = index_of(h), generation(h)
		local flow = flows[index]
		if type(flow) ~= "table" or flow.gen ~= gen then
			return false
		end
		local r = flow[side]
		if r.step then
			parse(spec, r, h)
		end
		if r.step and C.mos_ffi_event_room(ctx) < ROOM then
			return false
		elseif r.step and spec.finish then
			spec.finish(r)
		end
		r.step = nil
		if not flow.cli.step and not flow.svr.step then
			flows[index] = gen
		end
		return false
	end
	return on_data, on_end
end

local kinds = { name = "string", start = "function", gap = "function", finish = "function", meaning = "string" }

local function nothing()
end

-- A parser: start(reader) is the first step of each direction. A step takes what it can, and returns true to be called
-- again (or what it has set as reader.step), nothing to wait for more bytes. gap(reader, n) is told of n lost bytes and
-- returns true to go on; finish(reader) of the end, with what is left of the bytes still there.
local function new(spec)
	check.options(2, "mos.parser", spec, kinds)
	check.argument(2, "mos.parser", "name", spec.name, "string")
	check.argument(2, "mos.parser", "start", spec.start, "function")
	local on_data, on_end = make_filters(spec, {})
	local ends = define { name = spec.name .. "_end", parent = "conn_end", filter = on_end,
		meaning = "inside: the parser's last look" }
	local root = define { name = spec.name, parent = "conn_new_data", filter = on_data,
		meaning = spec.meaning or "inside: the parser", listen = function(sock)
			handler.register(2, "mos.parser", sock, ends, "rcv", nothing, false)
		end }
	return setmetatable({ root = root }, Parser)
end

return { new = new }
