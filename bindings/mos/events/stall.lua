-- require "mos.events.stall": connections that stand still: a receiver whose window is closed, or an end that says
-- nothing although the other has just sent it data.
local ffi = require "ffi"
local mos = require "mos"
local kept = require "mos.kept"

local stall = {}

-- Seconds of silence that are worth an event.
stall.limits = { silence = 1 }
local limits = stall.limits

-- When each end closed its window (0: it is open); the last packet of the connection, and whose it was.
local state_t = ffi.typeof "struct { double closed[2]; double last_ts; int32_t last_side; int32_t had_data; }"
local state = kept(function()
	return ffi.new(state_t)
end)

local NUMBER = { cli = 0, svr = 1 }
local NAME = { [0] = "cli", "svr" }

local function window_filter(wanted)
	return function(conn, side, pkt)
		if pkt.syn or pkt.rst then
			return false
		end
		local s, me = state(conn), NUMBER[side]
		local closed = s.closed[me]
		if wanted == "opens" then
			return closed > 0 and pkt.window > 0 and { seconds = pkt.ts - closed }
		end
		return closed == 0 and pkt.window == 0 and {}
	end
end

-- Every packet, last of all: what the filters above have looked at is brought up to date.
local function remember(conn, side, pkt)
	local s, me = state(conn), NUMBER[side]
	if not pkt.syn and not pkt.rst then
		if pkt.window > 0 then
			s.closed[me] = 0
		elseif s.closed[me] == 0 then
			s.closed[me] = pkt.ts
		end
	end
	s.last_ts, s.last_side, s.had_data = pkt.ts, me, pkt.payload_len
	return false
end

local handler = require "mos.handler"
local up_to_date

local function nothing()
end

local function listen(sock)
	handler.register(2, "mos.events.stall", sock, up_to_date, "snd", nothing, false)
end

stall.window_closes = mos.event { name = "stall_window_closes", parent = "pkt_in", hook = "snd", listen = listen,
	meaning = "an end offers a window of 0: it does not read what it gets", fields = {},
	filter = window_filter "closes" }

stall.window_opens = mos.event { name = "stall_window_opens", parent = "pkt_in", hook = "snd", listen = listen,
	meaning = "an end's window is open again", fields = { { "seconds", "number", "that it was closed" } },
	filter = window_filter "opens" }

stall.silence = mos.event { name = "stall_silence", parent = "pkt_in", hook = "snd", listen = listen,
	meaning = "after data, no packet came for long; this is the first again",
	fields = {
		{ "seconds", "number" }, { "waited_for", "string", "the end that had got the data: cli or svr" },
		{ "ended_by", "string", "the end that speaks now" },
	},
	filter = function(conn, side, pkt)
		local s = state(conn)
		if s.had_data == 0 or s.last_ts == 0 or pkt.ts - s.last_ts < limits.silence then
			return false
		end
		return { seconds = pkt.ts - s.last_ts, waited_for = NAME[1 - s.last_side], ended_by = side }
	end }

up_to_date = mos.event { name = "stall_up_to_date", parent = "pkt_in", hook = "snd", filter = remember,
	meaning = "inside: what the next packet is compared with" }

return stall
