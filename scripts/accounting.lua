-- Bytes per subscriber, for whom what is sent again is not charged: the cellular case of mOS's paper.
local mos = require "mos"
local json = require "mos.json"
local rexmit = require "mos.events.rexmit"

local options = require "mos.options" {
	name = "accounting", one_worker = true,
	usage = [[
usage: mos-run scripts/accounting.lua -r CAPTURE [-- OPTION...]

What each subscriber sent and received, as distinct bytes of payload: bytes that are sent again are counted apart, and
not charged. Retransmissions that differ from what they repeat may smuggle data past that; they are counted, too.

  --by client|server     which end of a connection is the subscriber (default client)
  --prefix NUMBER        subscribers are IPv4 networks of that prefix length (default 32: addresses)
  --format table|json    json: one object per subscriber (default table)
  --help]],
	options = { by = "client|server", prefix = "number", format = "table|json" },
	defaults = { by = "client", prefix = 32, format = "table" },
}

mos.record "uint64_t payload[2]; uint64_t different[2]; uint32_t ends;"

local mon = mos.monitor {}
local number = { cli = 0, svr = 1 }
local mine = options.by == "client" and "cli" or "svr"
local subscribers = {}

local function network(addr)
	if options.prefix >= 32 or addr:find ":" then
		return addr
	end
	local value = 0
	for byte in addr:gmatch "%d+" do
		value = value * 256 + byte
	end
	local size = 2 ^ (32 - options.prefix)
	value = value - value % size
	return ("%d.%d.%d.%d/%d"):format(value / 2 ^ 24, value / 2 ^ 16 % 256, value / 256 % 256, value % 256, options.prefix)
end

local function subscriber(conn)
	local name = network(conn[mine].addr)
	local s = subscribers[name]
	if not s then
		s = { name = name, connections = 0, up = 0, down = 0, up_again = 0, down_again = 0, different = 0 }
		subscribers[name] = s
	end
	return s
end

-- All payload, again or not: what is more than the distinct bytes was sent again.
mon:on("pkt_in", "snd", function(conn, side, pkt)
	local rec, i = conn.rec, number[side]
	rec.payload[i] = rec.payload[i] + pkt.payload_len
end)

mon:on(rexmit.different, function(conn, side, pkt, ev, d)
	local rec, i = conn.rec, number[side]
	rec.different[i] = rec.different[i] + d.length
end)

mon:on("conn_end", "rcv", function(conn)
	local rec, s = conn.rec, subscriber(conn)
	rec.ends = rec.ends + 1
	if rec.ends > 1 then
		return
	end
	local me, peer = conn[mine], conn[mos.other[mine]]
	local i = number[mine]
	s.connections = s.connections + 1
	s.up, s.down = s.up + me.bytes, s.down + peer.bytes
	s.up_again = s.up_again + math.max(tonumber(rec.payload[i]) - me.bytes, 0)
	s.down_again = s.down_again + math.max(tonumber(rec.payload[1 - i]) - peer.bytes, 0)
	s.different = s.different + tonumber(rec.different[0] + rec.different[1])
end)

local columns = { "connections", "up", "down", "up_again", "down_again", "different" }

mos.at_exit(function()
	local list = {}
	for _, s in pairs(subscribers) do
		list[#list + 1] = s
	end
	table.sort(list, function(a, b)
		local all, other = a.up + a.down, b.up + b.down
		return all > other or (all == other and a.name < b.name)
	end)
	if options.format == "table" then
		print(("%-20s %11s %12s %12s %10s %10s %10s"):format("subscriber", "connections", "up", "down", "up again",
			"down again", "different"))
	end
	for _, s in ipairs(list) do
		if options.format == "table" then
			print(("%-20s %11d %12.0f %12.0f %10.0f %10.0f %10.0f"):format(s.name, s.connections, s.up, s.down, s.up_again,
				s.down_again, s.different))
		else
			local members = { { "subscriber", s.name } }
			for _, name in ipairs(columns) do
				members[#members + 1] = { name, s[name] }
			end
			print(json.object(members))
		end
	end
end)
