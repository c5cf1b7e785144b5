-- require "mos.events.scan": one address that tries many others, or many ports of another, without being answered.
local mos = require "mos"
local recent = require "mos.recent"

local scan = {}

-- Addresses that one source has to try at one port, ports that it has to try at one address, within how many seconds,
-- and sources remembered at a time.
scan.limits = { addresses = 25, ports = 15, seconds = 300, sources = 20000 }
local limits = scan.limits

-- Unanswered: the server sent no SYN. What was refused was answered by a RST.
scan.attempt = mos.event { name = "scan_attempt", parent = "conn_end", hook = "rcv",
	meaning = "a connection ends whose SYN was not answered by a SYN",
	fields = {
		{ "src", "string", "address of the client" }, { "dst", "string" }, { "port", "number", "of the server" },
		{ "refused", "boolean", "it was answered by a RST" }, { "ts", "number", "seconds: of the first SYN" },
	},
	filter = function(conn, side)
		if side ~= "cli" or conn.server.syn or not conn.client.syn or conn.midstream then
			return false
		end
		return { src = conn.client.addr, dst = conn.server.addr, port = conn.server.port, refused = conn.server.rst,
			ts = conn.start_ts }
	end }

local fields = {
	{ "src", "string" }, { "dst", "string", "the address whose ports are tried; nil for a horizontal scan" },
	{ "port", "number", "that is tried everywhere; nil for a vertical scan" },
	{ "count", "number", "of different targets when it was noticed" },
	{ "attempts", "number" }, { "refused", "number", "of them" },
	{ "first_ts", "number", "seconds: of the first attempt" }, { "targets", "list", "the first five" },
}

-- A set that is told of targets, and answers once when there are enough.
local function new_set()
	return { targets = {}, count = 0, attempts = 0, refused = 0, first = {} }
end

local function count(set, a, target, enough)
	set.attempts = set.attempts + 1
	set.refused = set.refused + (a.refused and 1 or 0)
	set.first_ts = set.first_ts or a.ts
	if set.reported or set.targets[target] then
		return nil
	end
	set.targets[target] = true
	set.count = set.count + 1
	set.first[#set.first + 1] = set.count <= 5 and target or nil
	if set.count < enough then
		return nil
	end
	set.reported, set.targets = true, {}
	return { src = a.src, count = set.count, attempts = set.attempts, refused = set.refused, first_ts = set.first_ts,
		targets = set.first }
end

local by_port = recent(limits.seconds, limits.sources, new_set)
local by_address = recent(limits.seconds, limits.sources, new_set)

scan.horizontal = mos.event { name = "scan_horizontal", parent = scan.attempt, fields = fields,
	meaning = "one source has tried one port of many addresses",
	filter = function(conn, side, pkt, ev, a)
		local set = by_port:get(a.src .. " " .. a.port, mos.now())
		local found = count(set, a, a.dst, limits.addresses)
		if found then
			found.port = a.port
		end
		return found
	end }

scan.vertical = mos.event { name = "scan_vertical", parent = scan.attempt, fields = fields,
	meaning = "one source has tried many ports of one address",
	filter = function(conn, side, pkt, ev, a)
		local set = by_address:get(a.src .. " " .. a.dst, mos.now())
		local found = count(set, a, a.port, limits.ports)
		if found then
			found.dst = a.dst
		end
		return found
	end }

return scan
