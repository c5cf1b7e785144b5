-- The initialisation example of mOS's guide (3.3.1), in Lua; tests/apps/seed_example.c is the same in C, and both print
-- the same line at the end.
--
--   mos-run scripts/seed_example.lua -r CAPTURE [-- FILTER]
local mos = require "mos"

-- Per connection, where the guide has arrays by socket: zero when the connection begins.
mos.record [[ uint32_t pkts, rexmits, closed_by_client, has_request; ]]

local total = { flows = 0, pkts = 0, rexmits = 0, closed = 0, requests = 0 }

-- A monitor and its traffic scope.
local mon = mos.monitor { filter = mos.args[1] or "dst net 216.58 and dst port 80", family = 4 }

mon:on("rexmit", "rcv", function(conn)
	conn.rec.rexmits = conn.rec.rexmits + 1
end)

mon:on("pkt_in", "rcv", function(conn, side)
	if side == "cli" then
		conn.rec.pkts = conn.rec.pkts + 1
	end
end)

-- As the guide has it, at "rcv": an end enters fin_wait_1 by sending, so this does not count a plain close.
mon:on("tcp_state_change", "rcv", function(conn, side)
	if side == "cli" and conn:state "cli" == "fin_wait_1" then
		conn.rec.closed_by_client = conn.rec.closed_by_client + 1
	end
end)

mon:on("conn_end", "rcv", function(conn, side)
	if side ~= "cli" then
		return
	end
	local rec = conn.rec
	mos.log.info("TCP flow %s had %d packets, rexmit: %d", conn.uid, rec.pkts, rec.rexmits)
	total.pkts = total.pkts + rec.pkts
	total.rexmits = total.rexmits + rec.rexmits
	total.closed = total.closed + rec.closed_by_client
	total.requests = total.requests + rec.has_request
	total.flows = total.flows + 1
end)

-- A user-defined event: what the server has received begins with a request line.
local methods = { GET = true, POST = true, HEAD = true, PUT = true }

local request = mos.event {
	name = "http_request",
	parent = "conn_new_data",
	meaning = "The server has received the beginning of an HTTP request.",
	filter = function(conn, side)
		local head = side == "svr" and conn:ppeek(side, 0, 5)
		return head and methods[head:match "^(%u+) "]
	end,
}

-- Once per connection.
mon:on(request, "rcv", function(conn)
	conn.rec.has_request = 1
end)

mos.at_exit(function()
	print(("flows %d, packets to clients %d, rexmits %d, closed by the client %d, with a request %d"):format(
		total.flows, total.pkts, total.rexmits, total.closed, total.requests))
end)
