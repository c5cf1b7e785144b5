-- What belongs to the whole run: counters, where each worker adds to its own and sum() is over all, and tables of
-- numbers that any worker may change.
local ffi = require "ffi"
local check = require "mos.check"
local lib = require "mos.ffi"

local C, ctx = lib.C, lib.ctx

local Counter = {}
Counter.__index = Counter

function Counter:add(n)
	local own = self.own
	own.n = own.n + (n or 1)
end

function Counter:sum()
	local sum = 0
	for i = 0, ctx.workers - 1 do
		sum = sum + self.all.worker[i].n
	end
	return sum
end

local function named(who, name, make)
	check.argument(3, who, "the name", name, "string")
	local thing = make()
	if thing == nil then
		check.fail(3, "%s: cannot make '%s': the name is too long, or memory is out", who, name)
	end
	return thing
end

local counters = {}

local function counter(name)
	local self = counters[name]
	if not self then
		local all = named("mos.shared.counter", name, function() return C.mos_ffi_counter(name) end)
		self = setmetatable({ name = name, all = all, own = all.worker[ctx.worker] }, Counter)
		counters[name] = self
	end
	return self
end

local Table = {}
Table.__index = Table

local number, other = ffi.new "double[1]", ffi.new "double[1]"

local ENOENT, ENOSPC, EAGAIN, ENOMEM, ERANGE = 2, 28, 11, 12, 34

local words = { [ENOSPC] = "the table is full", [ENOMEM] = "not enough memory" }

-- What a failed operation answers: nil and why, or an error where the script is wrong.
local function refused(who, rc)
	if rc == -ERANGE then
		check.fail(3, "%s: a key has 255 bytes at most", who)
	end
	return nil, words[-rc]
end

local function check_key(who, key)
	if type(key) ~= "string" then
		check.argument(3, "table:" .. who, "the key", key, "string")
	end
end

function Table:get(key)
	check_key("get", key)
	if C.mos_ffi_table_get(self.t, key, #key, number) < 0 then
		return nil
	end
	return number[0]
end

function Table:set(key, value)
	check_key("set", key)
	local rc = C.mos_ffi_table_set(self.t, key, #key, value)
	if rc < 0 then
		return refused("set", rc)
	end
	return value
end

function Table:add(key, by)
	check_key("add", key)
	local rc = C.mos_ffi_table_add(self.t, key, #key, by or 1, number)
	if rc < 0 then
		return refused("add", rc)
	end
	return number[0]
end

function Table:delete(key)
	check_key("delete", key)
	local rc = C.mos_ffi_table_delete(self.t, key, #key)
	return rc ~= -ENOENT
end

-- True if the value was `expected` (nil: none) and is now `next` (nil: none).
function Table:swap(key, expected, next)
	check_key("swap", key)
	number[0], other[0] = expected or 0, next or 0
	local rc = C.mos_ffi_table_swap(self.t, key, #key, expected and number or nil, next and other or nil)
	if rc == -EAGAIN then
		return false
	elseif rc < 0 then
		return refused("swap", rc)
	end
	return true
end

function Table:count()
	return tonumber(C.mos_ffi_table_count(self.t))
end

-- Iterates over a copy: keys and values in no order.
function Table:each()
	local n = ffi.new "size_t[1]"
	local entries = ffi.gc(C.mos_ffi_table_entries(self.t, n), C.mos_ffi_table_entries_free)
	local i, count = -1, tonumber(n[0])
	return function()
		i = i + 1
		if i < count then
			return ffi.string(entries[i].key, entries[i].len), entries[i].value
		end
	end
end

local tables = {}

local function shared_table(name, options)
	local max = options and options.max or 65536
	check.argument(2, "mos.shared.table", "max", max, "number")
	local self = tables[name]
	if not self then
		local t = named("mos.shared.table", name, function() return C.mos_ffi_table(name, max) end)
		self = setmetatable({ name = name, t = t }, Table)
		tables[name] = self
	end
	return self
end

return { counter = counter, table = shared_table }
