-- require "mos": the interface that scripts are written against; docs/scripting.md describes it.
local check = require "mos.check"
local event = require "mos.event"
local handler = require "mos.handler"
local monitor = require "mos.monitor"
local names = require "mos.names"
local object = require "mos.object"
local parser = require "mos.parser"
local record = require "mos.record"
local timer = require "mos.timer"
local history = require "mos.history"
local host = require "mos.host"
local ctx = require("mos.ffi").ctx
require "mos.read"
require "mos.edit"
require "mos.inject"
require "mos.library"

host.at_exit = {}
host.look = history.look

if ctx.workers > 1 then
	require "mos.output"
end

local mos = {
	monitor = monitor.open,
	record = record,
	parser = parser.new,
	handler = handler.name,
	load = object.load,
	timer = timer.once,
	every = timer.every,
	log = require "mos.log",
	shared = require "mos.shared",
	args = host.args,
	input = host.input,
	worker = ctx.worker + 1,
	workers = ctx.workers,
	other = names.other_side,
}

function mos.event(options)
	local ev = event.define(options, handler.filter, object.is_function)
	return ev
end

function mos.at_exit(fn)
	check.argument(2, "mos.at_exit", "the argument", fn, "function")
	table.insert(host.at_exit, fn)
end

-- What a script leaves to the one that takes its place: fn(save) puts it into the table save, fn(restore) finds a copy.
local unloads, loads = {}, {}

function mos.on_unload(fn)
	check.argument(2, "mos.on_unload", "the argument", fn, "function")
	table.insert(unloads, fn)
end

function mos.on_load(fn)
	check.argument(2, "mos.on_load", "the argument", fn, "function")
	table.insert(loads, fn)
end

function host.unload()
	host.saved = #unloads > 0 and {} or nil
	for _, fn in ipairs(unloads) do
		fn(host.saved)
	end
end

function host.load()
	for _, fn in ipairs(loads) do
		fn(host.left or {})
	end
end

-- Seconds since the epoch: of the packet in dispatch where packets come from captures.
function mos.now()
	return tonumber(ctx.now_ns) / 1e9
end

require "mos.health"

return setmetatable(mos, {
	__index = function(_, name)
		check.unknown(2, "field of mos", name, check.keys(mos))
	end,
})
