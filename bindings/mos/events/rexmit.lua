-- require "mos.events.rexmit": connections that send much again, and retransmissions that differ from what they repeat,
-- which is how data is smuggled past whoever does not charge for retransmissions.
local ffi = require "ffi"
local bit = require "bit"
local mos = require "mos"
local kept = require "mos.kept"

ffi.cdef "int memcmp(const void *a, const void *b, size_t n);"

local C = ffi.C
local rexmit = {}

-- Packets sent again by one end, and their share of its packets, before its rate is worth an event.
rexmit.limits = { packets = 10, share = 0.05 }
local limits = rexmit.limits

local other = mos.other

-- The stream offset of a sequence number: near what its sender has sent so far.
local function offset_of(sender, seq)
	local sent = sender.bytes
	return sent + bit.tobit(seq - (sender.isn + 1) - sent % 2 ^ 32)
end

-- At rcv the side is the receiver, whose buffer still holds the bytes as they came first.
rexmit.different = mos.event { name = "rexmit_different", parent = "rexmit", hook = "rcv",
	meaning = "a retransmission carries other bytes than the original",
	fields = {
		{ "offset", "number", "in the stream, of the first byte that differs" }, { "length", "number", "of the payload" },
		{ "old", "string", "from there on, 64 bytes at most" }, { "new", "string" },
	},
	filter = function(conn, side, pkt)
		local len = pkt.payload_caplen
		if not len or len == 0 or pkt.syn then
			return false
		end
		local offset = offset_of(conn[other[side]], pkt.seq)
		local skip = offset < 0 and -offset or 0
		local old = skip < len and conn:ppeek(side, offset + skip, len - skip)
		local new = pkt.payload + skip
		if not old or C.memcmp(old, new, #old) == 0 then
			return false
		end
		local at = 0
		while old:byte(at + 1) == new[at] do
			at = at + 1
		end
		return { offset = offset + skip + at, length = pkt.payload_len, old = old:sub(at + 1, at + 64),
			new = ffi.string(new + at, math.min(#old - at, 64)) }
	end }

local told = kept(function()
	return { cli = limits.packets, svr = limits.packets }
end)

-- Told again whenever the number has doubled.
rexmit.rate = mos.event { name = "rexmit_rate", parent = "rexmit", hook = "snd",
	meaning = "an end has sent many of its packets again",
	fields = {
		{ "rexmits", "number", "packets that repeat a byte, SYN or FIN" }, { "pkts", "number" },
		{ "share", "number", "0.25: every fourth" },
	},
	filter = function(conn, side)
		local sender, next_at = conn[side], told(conn)
		local n = sender.rexmits
		if n < next_at[side] or n < sender.pkts * limits.share then
			return false
		end
		next_at[side] = 2 * n
		return { rexmits = n, pkts = sender.pkts, share = n / sender.pkts }
	end }

return rexmit
