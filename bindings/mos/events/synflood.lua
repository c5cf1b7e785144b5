-- require "mos.events.synflood": a server that gets far more SYNs than handshakes come of.
local mos = require "mos"
local handler = require "mos.handler"
local recent = require "mos.recent"

local synflood = {}

-- SYNs to one address and port within that many seconds, and the share of them that became connections at most.
synflood.limits = { syns = 200, seconds = 10, completed = 0.5, servers = 20000 }
local limits = synflood.limits

local servers = recent(limits.seconds, limits.servers, function()
	return { syns = 0, completed = 0, sources = {}, nsources = 0 }
end)

local function key_of(conn)
	return conn.server.addr .. " " .. conn.server.port
end

local function begin(server, now)
	server.since, server.syns, server.completed, server.sources, server.nsources = now, 0, 0, {}, 0
	server.reported = false
end

-- The server's end is established when the client's ACK comes: an address that was forged never sends one.
local completed = mos.event { name = "synflood_completed", parent = "tcp_state_change", hook = "rcv",
	meaning = "inside: a handshake is complete",
	filter = function(conn, side)
		if side == "svr" and conn.server.state == "established" then
			local server = servers:find(key_of(conn))
			if server then
				server.completed = server.completed + 1
			end
		end
		return false
	end }

local function nothing()
end

synflood.begins = mos.event { name = "synflood", parent = "conn_start", hook = "snd",
	meaning = "a server got so many SYNs without handshakes that it is flooded; once per period",
	fields = {
		{ "addr", "string", "of the server" }, { "port", "number" }, { "syns", "number" },
		{ "completed", "number", "handshakes among them" }, { "sources", "number", "different addresses, at least" },
		{ "seconds", "number", "since the first of these SYNs" },
	},
	listen = function(sock)
		handler.register(2, "mos.events.synflood", sock, completed, "rcv", nothing, false)
	end,
	filter = function(conn, side, pkt)
		local now = pkt.ts
		local server = servers:get(key_of(conn), now)
		if not server.since or now - server.since > limits.seconds then
			begin(server, now)
		end
		server.syns = server.syns + 1
		local from = conn.client.addr
		if server.nsources < limits.syns and not server.sources[from] then
			server.sources[from] = true
			server.nsources = server.nsources + 1
		end
		if server.reported or server.syns < limits.syns or server.completed > server.syns * limits.completed then
			return false
		end
		server.reported = true
		return { addr = conn.server.addr, port = conn.server.port, syns = server.syns, completed = server.completed,
			sources = server.nsources, seconds = now - server.since }
	end }

return synflood
