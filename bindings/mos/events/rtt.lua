-- require "mos.events.rtt": round trip times between here and either end: of the handshake, and of data by the TCP
-- timestamps (RFC 7323) that come back.
local ffi = require "ffi"
local mos = require "mos"
local kept = require "mos.kept"

local rtt = {}

-- Timestamps of each end that wait to come back, and when they passed: a ring of eight.
local waiting_t = ffi.typeof [[struct {
	uint32_t last[2], n[2], value[2][8];
	double ts[2][8], synack;
}]]
local waiting = kept(function()
	return ffi.new(waiting_t)
end)

local NUMBER = { cli = 0, svr = 1 }

-- The client is established when it gets the SYN-ACK, the server when it gets the ACK of it.
rtt.handshake = mos.event { name = "rtt_handshake", parent = "tcp_state_change", hook = "rcv",
	meaning = "the handshake is complete, and took so long",
	fields = {
		{ "server", "number", "seconds from here to the server and back" },
		{ "client", "number", "seconds from here to the client and back" }, { "total", "number", "both" },
		{ "clean", "boolean", "nothing was sent twice: the times are not in doubt" },
	},
	filter = function(conn, side, pkt)
		if conn[side].state ~= "established" or conn.midstream then
			return false
		elseif side == "cli" then
			waiting(conn).synack = pkt.ts
			return false
		end
		local synack = waiting(conn).synack
		if synack == 0 then
			return false
		end
		local server, client = synack - conn.start_ts, pkt.ts - synack
		return { server = server, client = client, total = server + client,
			clean = conn.client.rexmits == 0 and conn.server.rexmits == 0 }
	end }

-- When a value of its sender came first.
local function note(w, from, value, ts)
	if value ~= w.last[from] or w.n[from] == 0 then
		local i = w.n[from] % 8
		w.value[from][i], w.ts[from][i] = value, ts
		w.last[from], w.n[from] = value, w.n[from] + 1
	end
end

-- How long a value took to come back from the other end; nil if it has, or is forgotten.
local function come_back(w, from, value, ts)
	for i = 0, 7 do
		if w.ts[from][i] ~= 0 and w.value[from][i] == value then
			local seconds = ts - w.ts[from][i]
			w.ts[from][i] = 0
			return seconds
		end
	end
	return nil
end

rtt.sample = mos.event { name = "rtt_sample", parent = "pkt_in", hook = "snd",
	meaning = "an end gives back a timestamp of the other: that took it so long, from here and back",
	fields = { { "seconds", "number", "between here and the end that is the event's side" } },
	filter = function(conn, side, pkt)
		local value, echo = pkt:timestamps()
		if not value then
			return false
		end
		local w, me = waiting(conn), NUMBER[side]
		note(w, me, value, pkt.ts)
		local seconds = pkt.is_ack and come_back(w, 1 - me, echo, pkt.ts)
		return seconds and { seconds = seconds }
	end }

return rtt
