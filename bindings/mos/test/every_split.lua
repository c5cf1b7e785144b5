-- Does a monitor depend on how its bytes were cut into segments?
local check = require "mos.check"
local run = require "mos.test.run"
local show = require "mos.test.show"

-- A copy of a value without the fields that may differ, at any depth.
local function without(value, ignored, seen)
	if type(value) ~= "table" or seen[value] then
		return seen[value] or value
	end
	local copy = {}
	seen[value] = copy
	for k, v in pairs(value) do
		if not ignored[k] then
			copy[k] = without(v, ignored, seen)
		end
	end
	return copy
end

-- Add an event to those of its end; a further piece of a stream joins the one before.
local function add(list, e, field, ignored)
	local last = list[#list]
	if field and last and last.name == e.name and last[field] and e[field] then
		last[field] = last[field] .. e[field]
	else
		list[#list + 1] = without(e, ignored, {})
	end
end

-- What is left of a run's events: those of the script's own that have fields, for each end of a connection in order.
-- How often one without fields is raised is the segmentation's affair, as is what comes between those of two ends.
local function own_events(r, allow)
	local ends, order = {}, {}
	for _, e in ipairs(r.events) do
		if e.user and show.has_fields(e) then
			local key = ("%s %s"):format(e.client or "", e.side or "")
			if not ends[key] then
				ends[key] = {}
				order[#order + 1] = key
			end
			add(ends[key], e, allow.pieces[e.name], allow.ignored)
		end
	end
	table.sort(order)
	local lines = {}
	for _, key in ipairs(order) do
		for _, e in ipairs(ends[key]) do
			lines[#lines + 1] = show.event(e)
		end
	end
	return lines
end

-- In a burst all bytes of one end come before those of the other, so lines may change places.
local function printed(r, burst)
	local lines = {}
	for line in r.out:gmatch "[^\n]+" do
		lines[#lines + 1] = "printed: " .. line
	end
	if burst then
		table.sort(lines)
	end
	return lines
end

local function essence(r, burst, allow)
	local lines = printed(r, burst)
	for _, text in ipairs(own_events(r, allow)) do
		lines[#lines + 1] = text
	end
	return lines
end

local function same_as(first, allow)
	return function(r, burst)
		local wanted, got = essence(first, burst, allow), essence(r, burst, allow)
		for i = 1, math.max(#wanted, #got) do
			if wanted[i] ~= got[i] then
				error(("with whole segments:\n  %s\nand now:\n  %s"):format(wanted[i] or "nothing more",
					got[i] or "nothing more"), 0)
			end
		end
	end
end

local function one(level, how, conv, script, verify, options)
	local ok, why = pcall(run.whole, 0, script, conv, options)
	local r = ok and why or run.last
	if ok then
		ok, why = pcall(verify, r, options and options.burst == 32)
	end
	if not ok then
		check.fail(level + 1, "every_split: %s: %s\nin all of this:\n%s", how,
			type(why) == "table" and tostring(why.message or why) or tostring(why), show.events(r))
	end
end

-- The options for a run, and what is every_split's own.
local function divide(options)
	local rest, mine = {}, { pieces = {}, ignore = {}, step = 1, bursts = true, ignored = {} }
	for k, v in pairs(options or {}) do
		if mine[k] ~= nil then
			mine[k] = v
		else
			rest[k] = v
		end
	end
	for _, name in ipairs(mine.ignore) do
		mine.ignored[name] = true
	end
	return rest, mine
end

-- Where a header is most likely to be, every byte counts, whatever the step.
local all_to = 32

-- Run script on conv as it is; with all segments cut in two after each number of bytes, one after the other; byte by
-- byte; and in bursts. check(run) fails by an error; without it every run must be as the first. How many runs.
return function(conv, script, verify, options)
	local rest, mine = divide(options)
	local first = run.whole(2, script, conv, rest)
	if verify then
		verify(first)
	else
		verify = same_as(first, mine)
	end
	local at, n, longest = 1, 4, conv:longest()
	while at < longest do
		one(2, ("segments cut after %d bytes"):format(at), conv:split_at(at), script, verify, rest)
		at, n = at + (at < all_to and 1 or mine.step), n + 1
	end
	one(2, "byte by byte", conv:split(1), script, verify, rest)
	if not mine.bursts then
		return n - 2
	end
	rest.burst = 32
	one(2, "byte by byte, in bursts of 32 packets", conv:split(1), script, verify, rest)
	one(2, "in bursts of 32 packets", conv, script, verify, rest)
	return n
end
