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

-- When the byte before the next one passed: seconds.
function Reader:time()
	local off = self.base + hand.at
	local ns = C.mos_ffi_byte_time(ctx, bits(self.flow.conn), self.number, off > 0 and off - 1 or 0)
	return tonumber(ns) / 1e9
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

local function queue_up(ev, side, fields)
	local at = C.mos_ffi_event_raise(ctx, ev.id, side)
	if at >= 0 then
		queue[at] = fields
	end
end

-- Raise an event that has no filter, with its fields.
function Reader:raise(ev, fields)
	queue_up(ev, self.number, fields)
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
	for side, number in pairs(NUMBER) do
		flow[side] = setmetatable({ side = side, number = number, flow = flow, base = 0, step = spec.start }, Reader)
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

-- Do bytes that will never come follow those in hand?
local function is_cut_off(r, h)
	C.mos_ffi_parse(ctx, bits(h), r.number, r.base + hand.len, view)
	return view.gap ~= 0
end

-- Take what is there, and go over what was lost. What is left in the end is in hand.
local function parse(spec, r, h)
	local side = r.number
	while r.step do
		hand.p = C.mos_ffi_parse(ctx, bits(h), side, r.base, view)
		local len = tonumber(view.len)
		hand.len, hand.at = len < MOST and len or MOST, 0
		if view.gap ~= 0 then
			lose(spec, r, tonumber(view.gap))
		elseif len == 0 then
			break
		else
			advance(r)
			local taken = hand.at
			r.base = r.base + taken
			hand.p, hand.len, hand.at = hand.p + taken, hand.len - taken, 0
			if r.step and hand.len ~= 0 and C.mos_ffi_event_room(ctx) >= ROOM and is_cut_off(r, h) then
				r.base = r.base + hand.len
			elseif taken == 0 or hand.len ~= 0 then
				break
			end
		end
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

-- The last look at one direction; what is left of its bytes is in hand. False: there is more, but no room to raise it.
local function finish(spec, r, h)
	parse(spec, r, h)
	if r.step and C.mos_ffi_event_room(ctx) < ROOM then
		C.mos_ffi_event_again(ctx)
		return false
	elseif r.step and spec.finish then
		spec.finish(r)
	end
	r.step = nil
	return true
end

-- What is kept of a connection is a table of its own, or, when there is nothing more to do, its generation. Both
-- directions are looked at whenever either has new bytes, the client's first, so that a request is there when its
-- response is.
local function make_filters(self, spec)
	local flows = {}

	local function on_data(h)
		local index, gen = index_of(h), generation(h)
		local flow = flows[index]
		if flow == gen then
			return false
		elseif not flow or type(flow) == "number" or flow.gen ~= gen then
			flow = new_flow(spec, h, gen)
			flows[index] = flow
		end
		repeat
			flow.again = false
			if flow.svr.step then
				parse(spec, flow.svr, h)
			end
			if flow.cli.step then
				parse(spec, flow.cli, h)
			end
		until not flow.again
		if not flow.cli.step and not flow.svr.step then
			flows[index] = gen
		end
		return false
	end

	local function on_end(h)
		local index, gen = index_of(h), generation(h)
		local flow = flows[index]
		if type(flow) == "table" and flow.gen == gen then
			if flow.svr.step and not finish(spec, flow.svr, h) or flow.cli.step and not finish(spec, flow.cli, h) then
				return false
			end
		elseif flow ~= gen then
			return false
		end
		flows[index] = nil
		if C.mos_ffi_event_wanted(ctx, self.over.id) ~= 0 then
			queue_up(self.over, C.MOS_SIDE_CLI)
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
	local self = setmetatable({}, Parser)
	local on_data, on_end = make_filters(self, spec)
	local ends = define { name = spec.name .. "_end", parent = "conn_end", filter = on_end,
		meaning = "inside: the parser's last look" }
	self.root = define { name = spec.name, parent = "conn_new_data", filter = on_data,
		meaning = spec.meaning or "inside: the parser", listen = function(sock)
			handler.register(2, "mos.parser", sock, ends, "rcv", nothing, false)
		end }
	self.over = self:event { name = spec.name .. "_over", meaning = "the connection ended; no more " .. spec.name
		.. " events of it follow" }
	return self
end

return { new = new }
