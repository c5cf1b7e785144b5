-- Counters that belong to the whole run: each worker adds to its own, sum() is over all.
local check = require "mos.check"

local Counter = {}
Counter.__index = Counter

function Counter:add(n)
	self.n = self.n + (n or 1)
end

function Counter:sum()
	return self.n
end

local counters = {}

local function counter(name)
	check.argument(2, "mos.shared.counter", "the name", name, "string")
	local self = counters[name]
	if not self then
		self = setmetatable({ name = name, n = 0 }, Counter)
		counters[name] = self
	end
	return self
end

return { counter = counter }
