-- require "mos.recent": a table that forgets, for libraries that count by address: bounded in time and in size.
-- What was not asked for during one whole period is gone; when there are limit entries, the older half goes early.
local Recent = {}
Recent.__index = Recent

-- period in seconds of the packets' time; make() gives a new entry.
local function new(period, limit, make)
	local self = { period = period, limit = limit, make = make, young = {}, old = {}, count = 0, since = 0 }
	return setmetatable(self, Recent)
end

local function turn(self, now)
	if now - self.since > 2 * self.period then
		self.young = {}
	end
	self.old, self.young, self.count, self.since = self.young, {}, 0, now
end

-- The entry of key, made if there is none.
function Recent:get(key, now)
	if now - self.since > self.period or self.count >= self.limit / 2 then
		turn(self, now)
	end
	local entry = self.young[key]
	if entry then
		return entry
	end
	entry = self.old[key]
	if not entry then
		entry = self.make()
	end
	self.old[key] = nil
	self.young[key] = entry
	self.count = self.count + 1
	return entry
end

-- The entry of key, nil if there is none.
function Recent:find(key)
	return self.young[key] or self.old[key]
end

return new
