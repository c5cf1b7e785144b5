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
local by_name = {}

-- Where handlers of an event find its fields: what raised it by hand left in the queue, at the place that ctx.ref says,
-- or what its filter left in a slot of its own. Events without fields of their own have their parent's.
local queue = require "table.new"(64, 1)

local by_id = {}

-- The event of that number, as scripts name it: nil where this script has not defined it.
function event.of_id(id)
	if id < 2 ^ 32 then
		return ffi.string(C.mos_ffi_event_name(C.mos_ffi_event_index(id)))
	end
	return by_id[id]
end

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
	if name == nil and is_event[value] then
		name = value.hook
	end
	if name ~= nil then
		names.value(level + 1, "hook", names.hook, name)
		return hooks[name] or
			check.fail(level + 1, "%s is not raised at '%s'; it has %s", tostring(value), name, table.concat(hooks, ", "))
	end
	return hooks.null or (#hooks == 1 and hooks[hooks[1]]) or
		check.fail(level + 1, "%s needs a hook: '%s'", tostring(value), table.concat(hooks, "' or '"))
end

local kinds = {
	name = "string", parent = "any", filter = "any", meaning = "string", fields = "table", hook = "string",
	listen = "function", -- listen(sock): somebody listens on that socket to the event or to one below
}

-- { { "name", "string", "what it says" }, ... } as the lines that --events prints.
local function lines_of(fields)
	local lines = {}
	for i, f in ipairs(fields) do
		if type(f) ~= "table" or type(f[1]) ~= "string" or type(f[2]) ~= "string" then
			check.fail(4, 'mos.event: fields[%d] must be { "name", "type", "meaning" }', i)
		end
		lines[i] = ("%s (%s)%s"):format(f[1], f[2], f[3] and ": " .. f[3] or "")
	end
	return table.concat(lines, "\n")
end

local function source_of(self, parent, filter)
	if not filter then
		return { at = "fields[ctx.ref]", fields = queue }
	elseif self.fields then
		return { at = "fields[0]", fields = {} }
	end
	return parent and parent.source
end

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
	if c_function and options.fields then
		check.fail(3, "mos.event: a filter in C hands no fields to handlers in Lua")
	elseif filter and not c_function then
		check.argument(3, "mos.event", "filter", filter, "function")
	end
	local id = tonumber(C.mos_ffi_event_define(parent, c_function and filter.address or nil, filter and 1 or 0,
		options.name, options.meaning))
	must_define(3, id, options.name)
	if options.hook then
		event.hook(3, id, options.name or "the event", options.hook)
	end
	local index = tonumber(C.mos_ffi_event_index(id))
	local self = setmetatable({ id = id, name = options.name or "event " .. index, parent = options.parent,
		meaning = options.meaning, fields = options.fields, listen = options.listen }, Event)
	local above = event.object(options.parent)
	self.source = source_of(self, above, filter)
	self.above = above
	self.hook = options.hook or (above and above.hook)
	is_event[self], by_name[self.name], by_id[id] = true, self, self
	if options.fields then
		C.mos_ffi_event_describe(id, lines_of(options.fields))
	end
	if filter and not c_function then
		make_filter(index, filter, self, above and above.source)
	end
	return self
end

-- The event that a script means by itself or by name; nil: one without an object.
function event.object(ev)
	return is_event[ev] and ev or by_name[ev]
end

-- Somebody listens to ev on a socket: what lies above may have to see more than its own event.
function event.listen(ev, sock)
	ev = event.object(ev)
	while ev do
		if ev.listen then
			ev.listen(sock)
		end
		ev = ev.above
	end
end

-- Where the fields of an event are found; nil where it has none.
function event.source(ev)
	ev = event.object(ev)
	return ev and ev.source
end

event.queue = queue

return event
