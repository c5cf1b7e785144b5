-- What LuaJIT's compiler does with a script, counted; and a warning where it has given up compiling.
local bit = require "bit"
local util = require "jit.util"
local log = require "mos.log"
local call = require("mos.ffi").call

local has_names, vmdef = pcall(require, "jit.vmdef")

-- Instructions that stand where compiled code will not be tried again: "ILOOP ", "IFORL " ...
local given_up = {}
if has_names then
	for at = 0, #vmdef.bcnames / 6 - 1 do
		local name = vmdef.bcnames:sub(6 * at + 1, 6 * at + 6):gsub("%s", "")
		if name == "ILOOP" or name == "IFORL" or name == "IITERL" or name == "IFUNCF" then
			given_up[at] = true
		end
	end
end

local root_fn, root_pc
local warned = {}

local function look()
	local ok, op = pcall(util.funcbc, root_fn, root_pc)
	if not ok or not op or not given_up[bit.band(op, 0xff)] then
		return
	end
	local place = util.funcinfo(root_fn, root_pc).loc or "?"
	if not warned[place] then
		warned[place] = true
		call.jit_given_up = call.jit_given_up + 1
	end
	-- What calls a handler is given up with it.
	if warned[place] == true and place:sub(1, 4) ~= "(mos" then
		warned[place] = "said"
		log.warn("LuaJIT has given up compiling at %s: what runs there is slow; require(\"jit.v\").on() says why", place)
	end
end

-- Interpreted, so that looking does not change what is looked at.
local function on_trace(what, _, fn, pc, parent)
	if what == "start" then
		root_fn, root_pc = nil, nil
		if not parent then
			root_fn, root_pc = fn, pc
		end
	elseif what == "stop" then
		call.jit_traces = call.jit_traces + 1
	elseif what == "abort" then
		call.jit_aborts = call.jit_aborts + 1
		if root_fn then
			look()
		end
	elseif what == "flush" then
		call.jit_flushes = call.jit_flushes + 1
	end
end

jit.off(on_trace)
jit.off(look)
jit.attach(on_trace, "trace")
