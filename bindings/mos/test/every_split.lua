-- Does a monitor depend on how its bytes were cut into segments?
local check = require "mos.check"
local run = require "mos.test.run"
local show = require "mos.test.show"

-- What a run must say whatever the segmentation: what it printed, and its user-defined events with their fields.
local function essence(r)
	local out = { "printed: " .. show.value(r.out) }
	for _, e in ipairs(r.events) do
		if e.user then
			out[#out + 1] = show.event(e)
		end
	end
	return table.concat(out, "\n  ")
end

local function same_as(first)
	local wanted = essence(first)
	return function(r)
		local got = essence(r)
		if got ~= wanted then
			error(("with whole segments:\n  %s\nand now:\n  %s"):format(wanted, got), 0)
		end
	end
end

local function one(level, how, conv, script, verify, options)
	local ok, why = pcall(run.whole, 0, script, conv, options)
	local r = ok and why or run.last
	if ok then
		ok, why = pcall(verify, r)
	end
	if not ok then
		check.fail(level + 1, "every_split: %s: %s\n%s", how,
			type(why) == "table" and tostring(why.message or why) or tostring(why), show.events(r))
	end
end

-- Run script on conv as it is; with all segments cut in two after each number of bytes, one after the other; byte by
-- byte; and as one burst. check(run) fails by an error; without it every run must be as the first. How many runs.
return function(conv, script, verify, options)
	local first = run.whole(2, script, conv, options)
	if verify then
		verify(first)
	else
		verify = same_as(first)
	end
	local longest = conv:longest()
	for at = 1, longest - 1 do
		one(2, ("segments cut after %d bytes"):format(at), conv:split_at(at), script, verify, options)
	end
	one(2, "byte by byte", conv:split(1), script, verify, options)
	local burst = {}
	for k, v in pairs(options or {}) do
		burst[k] = v
	end
	burst.burst = 32
	one(2, "byte by byte, in bursts of 32 packets", conv:split(1), script, verify, burst)
	one(2, "in bursts of 32 packets", conv, script, verify, burst)
	return longest + 3
end
