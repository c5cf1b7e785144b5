-- A frame with a TCP segment in two: headers copied, lengths, sequence number, flags and checksums made to fit.
local core = require "mos.test.core"
local frame = require "mos.test.frame"

local u16, u32 = frame.u16, frame.u32
local FIN, SYN, PSH = 0x01, 0x02, 0x08

local function put(bytes, offset, with)
	return bytes:sub(1, offset) .. with .. bytes:sub(offset + #with + 1)
end

local function without(flags, bit)
	return math.floor(flags / bit) % 2 == 1 and flags - bit or flags
end

-- The IP header's length field, and its checksum where it has one.
local function fix_ip(data, d, payload_len)
	local size = d.l4 - d.l3 + d.tcp_hlen + payload_len
	if d.ip_version == 6 then
		return put(data, d.l3 + 4, u16(size - 40))
	end
	data = put(put(data, d.l3 + 2, u16(size)), d.l3 + 10, "\0\0")
	local hlen = data:byte(d.l3 + 1) % 16 * 4
	return put(data, d.l3 + 10, u16(frame.checksum(data:sub(d.l3 + 1, d.l3 + hlen))))
end

local function fix_tcp(data, d)
	data = put(data, d.l4 + 16, "\0\0")
	local segment = data:sub(d.l4 + 1)
	local addresses, tail
	if d.ip_version == 4 then
		addresses, tail = data:sub(d.l3 + 13, d.l3 + 20), "\0\6" .. u16(#segment)
	else
		addresses, tail = data:sub(d.l3 + 9, d.l3 + 40), u32(#segment) .. "\0\0\0\6"
	end
	return put(data, d.l4 + 16, u16(frame.checksum(addresses .. tail .. segment)))
end

-- The packet with bytes [from, to) of its payload, counted from 0.
local function piece(p, d, from, to, last)
	local flags, seq = d.flags, d.seq + from
	if not last then
		flags = without(without(flags, FIN), PSH)
	end
	if from > 0 then
		seq = math.floor(d.flags / SYN) % 2 == 1 and seq + 1 or seq
		flags = without(flags, SYN)
	end
	local data = p.data:sub(1, d.payload) .. p.data:sub(d.payload + from + 1, d.payload + to)
	data = put(put(data, d.l4 + 4, u32(seq % 2 ^ 32)), d.l4 + 13, string.char(flags))
	data = fix_tcp(fix_ip(data, d, to - from), d)
	return { sec = p.sec, nsec = p.nsec, data = data, len = #data, link = p.link }
end

local cut = {}

-- The pieces of a packet that end at these offsets of its payload, ascending; what cannot be cut is one piece.
function cut.at(p, offsets)
	local d = core.decode(p.data, p.len or #p.data, p.link)
	if not d or d.payload_caplen < d.payload_len then
		return { p }
	end
	local out, from = {}, 0
	for _, to in ipairs(offsets) do
		if to > from and to < d.payload_len then
			out[#out + 1] = piece(p, d, from, to, false)
			from = to
		end
	end
	if from == 0 then
		return { p }
	end
	out[#out + 1] = piece(p, d, from, d.payload_len, true)
	return out
end

-- How many bytes of payload a packet has that can be cut.
function cut.length(p)
	local d = core.decode(p.data, p.len or #p.data, p.link)
	return d and d.payload_caplen == d.payload_len and d.payload_len or 0
end

return cut
