-- require "mos.test": tests of scripts, for busted; docs/testing.md describes it.
local ffi = require "ffi"

-- mos.check asks C for the nearest word; the rest of mos belongs to the script's state, not to this one.
ffi.cdef "const char *mos_ffi_nearest(const char *word, const char *const *words, size_t n);"
package.loaded["mos.ffi"] = package.loaded["mos.ffi"] or { C = ffi.C }

local check = require "mos.check"
local conversation = require "mos.test.conversation"
local expect = require "mos.test.expect"
local run = require "mos.test.run"
local segments = require "mos.test.segments"

local t = {
	tcp = conversation.tcp,
	udp = conversation.udp,
	merge = conversation.merge,
	every_split = require "mos.test.every_split",
	expect = expect,
}

local Segment = {}
Segment.__index = Segment

local function segment(side)
	return function(text)
		check.argument(2, side == "C" and "t.client" or "t.server", "the segment", text, "string")
		return setmetatable({ line = side .. " " .. text }, Segment)
	end
end

-- One segment in packetdrill's notation: t.client "S 0:0(0) <mss 1460>".
t.client, t.server = segment "C", segment "S"

-- Seconds between two segments of t.packets.
function t.wait(seconds)
	check.argument(2, "t.wait", "the time", seconds, "number")
	return setmetatable({ pause = seconds }, Segment)
end

local function lines_of(list)
	local out, pause = {}, 0.001
	for i, item in ipairs(list) do
		if getmetatable(item) ~= Segment then
			check.fail(3, "t.packets: item %d is none of t.client, t.server and t.wait", i)
		elseif item.pause then
			pause = pause + item.pause
		else
			out[#out + 1] = ("+%.9f %s"):format(pause, item.line)
			pause = 0.001
		end
	end
	return table.concat(out, "\n")
end

-- A conversation from segments, or from a text of them.
function t.packets(what)
	local text = type(what) == "table" and lines_of(what) or what
	check.argument(2, "t.packets", "the argument", text, "string")
	local cap, why = segments.parse(text, { name = "packets" })
	if not cap then
		error(why, 2)
	end
	return conversation.from_capture(cap)
end

-- A conversation from a capture file.
function t.capture(path)
	check.argument(2, "t.capture", "the file", path, "string")
	local conv = conversation.read(2, path)
	return conv
end

-- Load a script; it is fed by run:play(conversation), and so on.
function t.start(script, options)
	local r = run.start(2, script, options)
	return r
end

-- Load a script, play a conversation to its end, and say what came of it.
function t.run(script, conv, options)
	local r = run.whole(2, script, conv, options)
	return r
end

-- assert.events{...} and so on, where luassert is there, as it is under busted.
local ok, assert = pcall(require, "luassert")
if ok then
	require("say"):set("assertion.mos.test", "%s")
	for name, fn in pairs(expect) do
		assert:register("assertion", name, function(_, arguments)
			local fine, why = fn(arguments[1], arguments[2])
			arguments[1], arguments.n, arguments.nofmt = why or "it did", 1, { true }
			return fine
		end, "assertion.mos.test", "assertion.mos.test")
	end
end

return t
