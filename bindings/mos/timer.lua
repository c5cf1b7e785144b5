-- Timers, in the time of the packets where they come from captures.
local check = require "mos.check"
local handler = require "mos.handler"
local lib = require "mos.ffi"

local C, ctx = lib.C, lib.ctx

local Timer = {}
Timer.__index = Timer

-- By number; free numbers are used again, so that the table stays small.
local timers, free, ref = {}, {}, nil

local function arm(self, delay_ns)
	self.key = C.mos_ffi_timer_add(ctx, delay_ns, ref, self.id, self.name)
	if self.key == 0 then
		error("not enough memory")
	end
end

local function forget(self)
	timers[self.id] = nil
	free[#free + 1] = self.id
	self.key = nil
end

-- The next time on the grid of the period: what was missed while no packet came is left out.
local function next_delay(self)
	local now = ctx.now_ns
	local late = self.due and tonumber(now - self.due) or 0
	local delay = self.period_ns - late % self.period_ns
	self.due = now + delay
	return delay
end

-- What C calls for every timer: sock is the number that it was given.
local function fire()
	local self = timers[ctx.sock]
	if not self then
		return
	end
	if not self.period_ns then
		forget(self)
		self.fn(self)
		return
	end
	arm(self, next_delay(self))
	self.fn(self)
end

local function new(level, who, seconds, fn, name, periodic)
	check.argument(level + 1, who, "the first argument (seconds)", seconds, "number")
	check.argument(level + 1, who, "the handler", fn, "function")
	if name ~= nil then
		check.argument(level + 1, who, "the name", name, "string")
	end
	if seconds < 0 or seconds ~= seconds or seconds > 1e9 or (periodic and seconds < 1e-9) then
		check.fail(level + 1, "%s: %s seconds are out of range", who, seconds)
	end
	ref = ref or handler.plain(fire)
	local id = table.remove(free) or #timers + 1
	local delay_ns = math.floor(seconds * 1e9 + 0.5)
	local self = setmetatable({ id = id, fn = fn, name = name, period_ns = periodic and delay_ns or nil }, Timer)
	-- Before the first packet no time is known; the first firing is then the start of the grid.
	self.due = ctx.now_ns ~= 0 and ctx.now_ns + delay_ns or nil
	timers[id] = self
	arm(self, delay_ns)
	return self
end

-- True if it will not fire any more because of this call.
function Timer:cancel()
	if timers[self.id] ~= self then
		return false
	end
	if self.key then
		C.mos_ffi_timer_cancel(ctx, self.key)
	end
	forget(self)
	return true
end

-- A timer of the next script that has this one's name is due when this one was.
local function once(seconds, fn, name)
	local self = new(2, "mos.timer", seconds, fn, name, false)
	return self
end

local function every(seconds, fn, name)
	local self = new(2, "mos.every", seconds, fn, name, true)
	return self
end

return { once = once, every = every }
