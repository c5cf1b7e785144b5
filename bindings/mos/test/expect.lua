-- Assertions: what was expected of a run, and what came instead. Each answers true, or false and a text.
local check = require "mos.check"
local line = require "mos.test.line"
local packets = require "mos.test.packets"
local run = require "mos.test.run"
local show = require "mos.test.show"

local expect = {}

local function equal(a, b)
	if type(a) ~= "table" or type(b) ~= "table" then
		return a == b
	end
	for k, v in pairs(a) do
		if not equal(v, b[k]) then
			return false
		end
	end
	for k in pairs(b) do
		if a[k] == nil then
			return false
		end
	end
	return true
end

-- A field is as expected, or the function that is expected says so.
local function meets(actual, expected)
	if type(expected) == "function" then
		return expected(actual)
	end
	return equal(actual, expected)
end

local function name_of(item)
	return type(item) == "table" and item[1] or item
end

local function matches(e, item)
	if type(item) == "table" then
		for k, v in pairs(item) do
			if k ~= 1 and not meets(e[k], v) then
				return false
			end
		end
	end
	return e.name == name_of(item)
end

-- An event at two hooks is meant at snd, unless an item names a hook.
local function hooks_meant(events, items)
	local meant = {}
	for _, item in ipairs(items) do
		local name = name_of(item)
		meant[name] = meant[name] or {}
		if type(item) == "table" and item.hook then
			meant[name][item.hook] = true
		else
			meant[name].any = true
		end
	end
	for _, e in ipairs(events) do
		if meant[e.name] and e.hook == "snd" then
			meant[e.name].both = true
		end
	end
	return meant
end

-- The events that have a name which an item names.
local function relevant(events, items)
	local meant, out = hooks_meant(events, items), {}
	for _, e in ipairs(events) do
		local hooks = meant[e.name]
		if hooks and (hooks[e.hook or "null"] or hooks.any and not (hooks.both and e.hook == "rcv")) then
			out[#out + 1] = e
		end
	end
	return out
end

local function numbered(list, text, at)
	local out = {}
	for i, item in ipairs(list) do
		out[i] = ("  %s %d. %s"):format(i == at and ">>" or "  ", i, text(item))
	end
	return #out == 0 and "     none" or table.concat(out, "\n")
end

-- The run that is meant, and the rest of the arguments.
local function run_and(who, a, b)
	if type(a) == "table" and a.session then
		return a, b
	elseif not run.last then
		check.fail(4, "%s: nothing has run yet", who)
	end
	return run.last, a
end

-- Of the events named in items these came, in this order, and no others.
function expect.events(a, b)
	local r, items = run_and("assert.events", a, b)
	local came = relevant(r.events, items)
	for i = 1, math.max(#items, #came) do
		if not (items[i] and came[i] and matches(came[i], items[i])) then
			return false, ("expected events:\n%s\nbut there came:\n%s\nin all of this:\n%s"):format(
				numbered(items, show.expected, i), numbered(came, show.event, i),
				show.events(r, came[i] and { [came[i]] = true }))
		end
	end
	return true
end

-- None of these events came. Names, or tables as for events.
function expect.no_events(a, b)
	local r, items = run_and("assert.no_events", a, b)
	items = type(items) == "table" and items or { items }
	for _, e in ipairs(r.events) do
		for _, item in ipairs(items) do
			if matches(e, item) then
				return false, ("did not expect %s, but:\n%s"):format(show.expected(item), show.events(r, { [e] = true }))
			end
		end
	end
	return true
end

-- The verdict of every packet: a list of "pass" and "drop".
function expect.verdicts(a, b)
	local r, wanted = run_and("assert.verdicts", a, b)
	for i = 1, math.max(#wanted, #r.packets) do
		local got = r.packets[i] and r.packets[i].verdict
		if got ~= wanted[i] then
			return false, ("expected packet %d to %s, but:\n%s"):format(i,
				wanted[i] or "be one too many", show.packets(r))
		end
	end
	return true
end

-- "C P. 1:5(4) ack 1 "ping"" as what it says of a packet.
local function parse(text)
	local who, flags, from, to, rest = text:match "^%s*([%w%.]*[CS])%s+([SFRP%.UEW%-]+)%s+(%-?%d+):(%-?%d+)%(%d+%)(.*)$"
	if not who then
		check.fail(4, "assert.leaves: not a segment: '%s'", text)
	end
	local quoted = rest:match '^[^"]*"(.*)$'
	return { who = who, flags = flags, from = tonumber(from), to = tonumber(to),
		ack = tonumber(rest:match "ack (%-?%d+)"), data = quoted and line.new(quoted):quoted() }
end

local function is_packet(d, w)
	return d and w and d.side and (d.conn.number > 1 and d.conn.number .. "." or "") .. d.side == w.who
		and d.flags_text == w.flags and d.from == w.from and d.to == w.to and d.ack == w.ack
		and (not w.data or w.data == d.data)
end

-- The packets that left, as lines of packetdrill's notation; a payload is compared where a line has one.
function expect.leaves(a, b)
	local r, text = run_and("assert.leaves", a, b)
	local wanted, left, lines = {}, r:left(), {}
	for one in (type(text) == "table" and table.concat(text, "\n") or text):gmatch "[^\n]+" do
		if one:match "%S" then
			lines[#lines + 1] = one:match "^%s*(.-)%s*$"
			wanted[#wanted + 1] = parse(one)
		end
	end
	for i = 1, math.max(#wanted, #left) do
		if not is_packet(left[i], wanted[i]) then
			return false, ("expected to leave:\n%s\nbut there left:\n%s"):format(numbered(lines, tostring, i),
				numbered(left, function(d) return packets.line(d, 40) end, i))
		end
	end
	return true
end

return expect
