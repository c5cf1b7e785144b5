-- What a run saw, as people read it.
local packets = require "mos.test.packets"
local text = require "mos.text"

local show = {}

-- What every event has; the rest are its fields.
local common = { name = true, hook = true, side = true, ts = true, packet = true, uid = true, client = true,
	server = true, cli_state = true, svr_state = true, user = true }

-- Has it fields of its own?
function show.has_fields(e)
	for k in pairs(e) do
		if not common[k] then
			return true
		end
	end
	return false
end

-- "tcp_state_change snd cli state="syn_sent""
function show.event(e)
	local out = { e.name ~= "" and e.name or "(an event without a name)" }
	out[#out + 1] = e.hook
	out[#out + 1] = e.side
	if show.has_fields(e) then
		out[#out + 1] = text.fields(e, common)
	end
	return table.concat(out, " ")
end

-- What an assertion expects, in the same words.
function show.expected(item)
	if type(item) ~= "table" then
		return tostring(item)
	end
	local e = {}
	for k, v in pairs(item) do
		e[k == 1 and "name" or k] = v
	end
	for _, k in ipairs { "packet", "ts", "uid", "client", "server", "cli_state", "svr_state" } do
		if e[k] ~= nil then
			e[k .. " "], e[k] = e[k], nil
		end
	end
	return show.event(e)
end

-- All events, each under the packet that raised it. marked: events to point at.
function show.events(run, marked)
	local out, last = {}, 0
	local function packets_to(number)
		for i = last + 1, number do
			local d = run.described[i]
			out[#out + 1] = d and ("packet %d  %s%s"):format(i, packets.line(d, 40),
				run.packets[i] and run.packets[i].verdict == "drop" and "  dropped" or "") or "packet " .. i
		end
		last = math.max(last, number)
	end
	for _, e in ipairs(run.events) do
		if e.packet then
			packets_to(e.packet)
		end
		out[#out + 1] = ("  %s %s"):format(marked and marked[e] and ">>" or "  ", show.event(e))
	end
	packets_to(#run.packets)
	return #out == 0 and "  nothing happened" or table.concat(out, "\n")
end

-- Packets with their verdicts.
function show.packets(run)
	local out = {}
	for i, p in ipairs(run.packets) do
		out[i] = ("  %d %-4s %s%s"):format(i, p.verdict, packets.line(run.described[i], 40),
			p.changed and "  changed" or "")
	end
	return #out == 0 and "  no packet" or table.concat(out, "\n")
end

return show
