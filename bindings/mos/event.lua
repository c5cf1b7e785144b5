-- Events: the built-in ones, which scripts call by name, and the ones that scripts define.
local ffi = require "ffi"
local bit = require "bit"
local check = require "mos.check"
local names = require "mos.names"
local C = require("mos.ffi").C

local event = {}

local Event = {}
Event.__index = Event

function Event:__tostring()
	return self.name
end

local is_event = setmetatable({}, { __mode = "k" })

local function known_names()
	local words = {}
	for i = 0, C.mos_ffi_event_count() - 1 do
		local name = ffi.string(C.mos_ffi_event_name(i))
		if name ~= "" then
			words[#words + 1] = name
		end
	end
	return words
end

-- The number of an event given by name, or as mos.event returned it.
function event.id(level, value)
	if is_event[value] then
		return value.id
	elseif type(value) ~= "string" then
		check.fail(level + 1, "an event is a name or what mos.event returned, not a %s", type(value))
	end
	local id = tonumber(C.mos_ffi_event_find(value))
	if id == 0 then
		check.unknown(level + 1, "event", value, known_names())
	end
	return id
end

local hook_order = { "snd", "rcv", "null" }

local function hooks_of(id)
	local hooks, found = C.mos_ffi_event_hooks(id), {}
	for _, name in ipairs(hook_order) do
		if bit.band(hooks, names.hook[name]) ~= 0 then
			found[#found + 1] = name
			found[name] = names.hook[name]
		end
	end
	return found
end

-- The hook of that name. Left out, it is the only one that the event has, or the one outside both.
function event.hook(level, id, value, name)
	local hooks = hooks_of(id)
	if name ~= nil then
		names.value(level + 1, "hook", names.hook, name)
		return hooks[name] or
			check.fail(level + 1, "%s is not raised at '%s'; it has %s", tostring(value), name, table.concat(hooks, ", "))
	end
	return hooks.null or (#hooks == 1 and hooks[hooks[1]]) or
		check.fail(level + 1, "%s needs a hook: '%s'", tostring(value), table.concat(hooks, "' or '"))
end

local kinds = { name = "string", parent = "any", filter = "any", meaning = "string" }

local function must_define(level, id, name)
	if id ~= 0 then
		return
	end
	local reason = ffi.string(C.mos_ffi_strerror(ffi.errno()))
	if name and C.mos_ffi_event_find(name) ~= 0 then
		reason = "an event of that name extends another one, or has another kind of filter"
	end
	check.fail(level + 1, "mos.event: cannot define '%s': %s", name or "?", reason)
end

-- For mos.event, which a script calls. make_filter turns a Lua function into what C calls; see handler.lua.
function event.define(options, make_filter, is_c_function)
	check.options(3, "mos.event", options, kinds)
	if options.parent == nil then
		check.fail(3, "mos.event: parent is missing; it is the event that this one extends")
	end
	local parent, filter = event.id(3, options.parent), options.filter
	local c_function = filter and is_c_function(filter)
	if filter and not c_function then
		check.argument(3, "mos.event", "filter", filter, "function")
	end
	local id = tonumber(C.mos_ffi_event_define(parent, c_function and filter.address or nil, filter and 1 or 0,
		options.name, options.meaning))
	must_define(3, id, options.name)
	local index = tonumber(C.mos_ffi_event_index(id))
	local self = setmetatable({ id = id, name = options.name or "event " .. index, parent = options.parent,
		meaning = options.meaning }, Event)
	is_event[self] = true
	if filter and not c_function then
		make_filter(index, filter, self)
	end
	return self
end

return event
