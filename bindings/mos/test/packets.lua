-- Packets of a conversation as people talk of them: whose, which flags, which bytes, counted from the initial sequence
-- number. A packet is { sec, nsec, data, len, link }, as segments.lua and capture files give it.
local core = require "mos.test.core"
local text = require "mos.text"

local packets = {}

local letters = { { 0x02, "S" }, { 0x01, "F" }, { 0x04, "R" }, { 0x08, "P" }, { 0x10, "." }, { 0x20, "U" },
	{ 0x40, "E" }, { 0x80, "W" } }

local function has(flags, bit)
	return math.floor(flags / bit) % 2 == 1
end

local function flag_text(flags)
	local out = ""
	for _, letter in ipairs(letters) do
		out = out .. (has(flags, letter[1]) and letter[2] or "")
	end
	return out == "" and "-" or out
end

-- The difference of two sequence numbers, in [-2^31, 2^31).
local function distance(a, b)
	return (a - b + 2 ^ 31) % 2 ^ 32 - 2 ^ 31
end

-- Connections by their ends. Who sends the first packet is the client, unless that is a SYN-ACK.
local function conn_of(conns, d)
	local key, reverse = d.src .. " " .. d.dst, d.dst .. " " .. d.src
	local conn = conns[key] or conns[reverse]
	if not conn then
		local from_server = has(d.flags, 0x02) and has(d.flags, 0x10)
		conn = { client = from_server and d.dst or d.src, server = from_server and d.src or d.dst, isn = {} }
		conns[key] = conn
		conns[#conns + 1] = conn
		conn.number = #conns
	end
	return conn
end

-- What a packet says; conns, a table that begins empty, remembers who is who. A packet that is not TCP has no side.
function packets.describe(p, conns)
	local d = core.decode(p.data, p.len or #p.data, p.link)
	if not d then
		return { len = p.len }
	end
	local conn = conn_of(conns, d)
	local side = d.src == conn.client and "C" or "S"
	local other = side == "C" and "S" or "C"
	if has(d.flags, 0x02) then
		conn.isn[side] = d.seq
	end
	-- Without a SYN the first byte seen is number 1.
	conn.isn[side] = conn.isn[side] or (d.seq - 1) % 2 ^ 32
	if has(d.flags, 0x10) then
		conn.isn[other] = conn.isn[other] or (d.ack - 1) % 2 ^ 32
	end
	d.conn, d.side = conn, side
	d.from = distance(d.seq, conn.isn[side])
	d.to = d.from + d.payload_len
	d.ack = has(d.flags, 0x10) and distance(d.ack, conn.isn[other]) or nil
	d.flags_text = flag_text(d.flags)
	d.data = p.data:sub(d.payload + 1, d.payload + d.payload_caplen)
	return d
end

-- One line in packetdrill's notation; most: how much of the payload is shown (default all).
function packets.line(d, most)
	if not d.side then
		return ("%d bytes that are not TCP"):format(d.len or 0)
	end
	return ("%s%s %s %d:%d(%d)%s%s"):format(d.conn.number > 1 and d.conn.number .. "." or "", d.side, d.flags_text,
		d.from, d.to, d.payload_len, d.ack and " ack " .. d.ack or "",
		#d.data > 0 and " " .. text.quote(d.data, most) or "")
end

-- Every packet of a list described, in order.
function packets.describe_all(list)
	local conns, out = {}, {}
	for i, p in ipairs(list) do
		out[i] = packets.describe(p, conns)
		out[i].number = i
	end
	return out
end

return packets
