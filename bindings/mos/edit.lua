-- pkt:set: changes of a packet that keep its length. pkt:insert, chomp, replace: changes of the stream.
local ffi = require "ffi"
local check = require "mos.check"
local conn = require "mos.conn"
local names = require "mos.names"
local pkt = require "mos.pkt"
local lib = require "mos.ffi"

local C, ctx = lib.C, lib.ctx

local IP, TCP, PAYLOAD, BODY, NONE = 1, 2, 3, 4, 255
local UDP_HEADER = 8
local bytes = ffi.new "uint8_t[16]"

-- size bytes of the number, most significant first.
local function put_number(name, value, size)
	if type(value) ~= "number" or value < 0 or value >= 256 ^ size or value % 1 ~= 0 then
		check.fail(4, "pkt:set: %s must be a number from 0 to %d", name, 256 ^ size - 1)
	end
	for i = size - 1, 0, -1 do
		bytes[i] = value % 256
		value = math.floor(value / 256)
	end
	return bytes, size
end

local function number(layer, off, size)
	return function(name, value)
		return layer, off, put_number(name, value, size)
	end
end

-- IPv4 and IPv6 have it at different places.
local function by_version(off4, off6)
	return function(name, value, p)
		return IP, p.ip_version == 4 and off4 or off6, put_number(name, value, 1)
	end
end

local function address(off4, off6)
	return function(name, value, p)
		if p.ip_version == 0 then
			return IP, 0, bytes, 4
		end
		local n = tonumber(C.mos_ffi_addr_parse(tostring(value), p.ip_version, bytes))
		if n == 0 then
			check.fail(3, "pkt:set: %s is no IPv%d address: '%s'", name, p.ip_version, tostring(value))
		end
		return IP, n == 4 and off4 or off6, bytes, n
	end
end

local function is_udp(p)
	return p.decoded == C.MOS_DECODED_IP and p.ip_proto == 17
end

local function port(off)
	return function(name, value, p)
		return is_udp(p) and BODY or TCP, off, put_number(name, value, 2)
	end
end

-- Of echo requests and replies (RFC 792, RFC 4443 4).
local function echo_id(name, value, p)
	local kind = pkt.icmp_type(p)
	local four = p.ip_proto == 1 and (kind == 8 or kind == 0)
	local six = p.ip_proto == 58 and (kind == 128 or kind == 129)
	return (four or six) and BODY or NONE, 4, put_number(name, value, 2)
end

local function text(_, value, p)
	if type(value) ~= "string" then
		check.fail(3, "pkt:set: payload must be a string, not a %s", type(value))
	end
	if is_udp(p) then
		return BODY, UDP_HEADER, value, #value
	end
	return PAYLOAD, 0, value, #value
end

local fields = {
	src_addr = address(12, 8),
	dst_addr = address(16, 24),
	ttl = by_version(8, 7),
	src_port = port(0),
	dst_port = port(2),
	echo_id = echo_id,
	seq = number(TCP, 4, 4),
	ack = number(TCP, 8, 4),
	flags = number(TCP, 13, 1),
	window = number(TCP, 14, 2),
	urgent = number(TCP, 18, 2),
	payload = text,
}

-- What the packet does not have, or the capture cut off, is the world's fault: nil and a message.
pkt.method("set", function(_, changes)
	local p = pkt.current()
	check.argument(2, "pkt:set", "the argument", changes, "table")
	for name in pairs(changes) do
		if not fields[name] then
			check.unknown(2, "field of pkt:set", name, check.keys(fields))
		end
	end
	local reason
	for _, name in ipairs(check.keys(changes)) do
		if C.mos_ffi_packet_write(ctx, fields[name](name, changes[name], p)) < 0 then
			reason = name .. ": the packet, as captured, does not have these bytes"
		end
	end
	if C.mos_ffi_packet_fix(ctx) < 0 then
		reason = reason or "checksum: the capture cut off bytes that it covers"
	end
	return not reason or nil, reason
end)

local function offset(what, name, value)
	if type(value) ~= "number" or value < 0 or value >= 2 ^ 32 or value % 1 ~= 0 then
		check.fail(3, "%s: %s must be a number of bytes, 0 or more", what, name)
	end
	return value
end

-- Why a stream cannot be edited there, which is the world's fault; nil if it can.
local function edit(off, cut, put)
	local reason = C.mos_ffi_packet_edit(ctx, off, cut, put, #put)
	return reason ~= nil and ffi.string(reason) or nil
end

conn.method("in_order", function(h, side)
	conn.live(h)
	local which = names.side[side] or names.value(2, "side", names.side, side)
	local reason = C.mos_ffi_in_order(ctx, conn.bits(h), which)
	if reason ~= nil then
		return nil, ffi.string(reason)
	end
	return true
end)

pkt.method("insert", function(_, off, put)
	pkt.current()
	offset("pkt:insert", "the offset", off)
	check.argument(2, "pkt:insert", "what to insert", put, "string")
	local reason = edit(off, 0, put)
	if reason then
		return nil, reason
	end
	return true
end)

pkt.method("chomp", function(_, off, len)
	pkt.current()
	local reason = edit(offset("pkt:chomp", "the offset", off), offset("pkt:chomp", "the length", len), "")
	if reason then
		return nil, reason
	end
	return true
end)

pkt.method("replace", function(_, off, len, put)
	pkt.current()
	offset("pkt:replace", "the offset", off)
	offset("pkt:replace", "the length", len)
	check.argument(2, "pkt:replace", "what to put there", put, "string")
	local reason = edit(off, len, put)
	if reason then
		return nil, reason
	end
	return true
end)
