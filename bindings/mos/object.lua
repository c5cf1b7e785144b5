-- Shared objects: C functions as handlers and filters.
local ffi = require "ffi"
local check = require "mos.check"
local C = require("mos.ffi").C
local host = require "mos.host"

local object = {}

local function_t = ffi.metatype("struct { void *address; }", {
	__call = function()
		check.fail(2, "a C function of mos.load is a handler or a filter: give it to on() or mos.event, do not call it")
	end,
})

function object.is_function(value)
	return ffi.istype(function_t, value)
end

local loaded = {}
local err = ffi.new "char[512]"

local function open(path)
	local handle = C.mos_ffi_object_open(path, err, ffi.sizeof(err))
	if handle ~= nil then
		return handle
	end
	return nil, ffi.string(err)
end

-- A name without a slash is a file next to the script.
local function place(path)
	return path:find("/", 1, true) and path or host.script_dir .. "/" .. path
end

function object.load(path)
	check.argument(2, "mos.load", "the file", path, "string")
	path = place(path)
	if loaded[path] then
		return loaded[path]
	end
	local handle, reason = open(path)
	if not handle then
		return nil, reason
	end
	local self = setmetatable({}, {
		__index = function(self, name)
			local address = C.mos_ffi_object_symbol(handle, name)
			if address == nil then
				check.fail(2, "%s has no function '%s'", path, tostring(name))
			end
			local fn = function_t(address)
			rawset(self, name, fn)
			return fn
		end,
	})
	loaded[path] = self
	return self
end

return object
