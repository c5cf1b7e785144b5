-- The packet in dispatch. One object, which reads its fields when they are asked for and copies nothing. Why no field
-- compares anything: see conn.lua.
local ffi = require "ffi"
local bit = require "bit"
local check = require "mos.check"
local lib = require "mos.ffi"
local member = require "mos.member"

local C, ctx, call = lib.C, lib.ctx, lib.call
local band = bit.band
local truth = require("mos.names").truth
local tonumber = tonumber

local TCP, IP, NONE = C.MOS_DECODED_TCP, C.MOS_DECODED_IP, C.MOS_DECODED_NONE

local function value(x)
	return x
end

local function none()
	return nil
end

-- For the script that asked for a member.
local function gone()
	error("no packet is in dispatch; pkt is only good inside the handler that received it", 4)
end

-- What to do with a value: with one that every packet has, and one that only TCP packets have, by mos_packet.decoded;
-- with one that only IP packets have, by ip_version.
local any, tcp, ip = {}, {}, { [0] = none, none, none, none, value, none, value }
for i = 0, NONE - 1 do
	any[i] = value
	tcp[i] = i == TCP and value or none
end
any[NONE], tcp[NONE] = gone, gone

-- A field's function is called with the packet's record.
local members = member.new "field of a packet"
local field, method, get = members.field, members.method, members.get
local addr_buf = ffi.new "char[46]"

field("ts", function(p)
	return (any[p.decoded](tonumber(p.ts_ns) / 1e9))
end)
field("ts_ns", function(p)
	return (any[p.decoded](p.ts_ns))
end)
field("number", function(p)
	return (any[p.decoded](tonumber(p.number)))
end)
field("len", function(p)
	return (any[p.decoded](p.len))
end)
field("caplen", function(p)
	return (any[p.decoded](p.caplen))
end)
field("data", function(p)
	return (any[p.decoded](p.data))
end)
field("port", function(p)
	return (any[p.decoded](p.port))
end)
field("dropped", function(p)
	return (any[p.decoded](truth[p.verdict]))
end)

-- nil where the packet is not IP.
field("ip_version", function(p)
	return (any[p.decoded](ip[p.ip_version](p.ip_version)))
end)
field("ip_proto", function(p)
	return (any[p.decoded](ip[p.ip_version](p.ip_proto)))
end)
field("ip_len", function(p)
	return (any[p.decoded](ip[p.ip_version](p.ip_len)))
end)
field("ip_id", function(p)
	local _ = any[p.decoded]()
	return p.ip_version == 4 and p.ip_id or nil
end)
field("ttl", function(p)
	local _ = any[p.decoded]()
	if p.ip_version == 0 then
		return nil
	end
	return p.data[p.l3 + (p.ip_version == 4 and 8 or 7)]
end)

local function addr(which)
	local n = C.mos_ffi_packet_addr(ctx, which, addr_buf)
	return n ~= 0 and ffi.string(addr_buf, n) or nil
end

field("src_addr", function(p)
	local _ = any[p.decoded]()
	return (addr(0))
end)
field("dst_addr", function(p)
	local _ = any[p.decoded]()
	return (addr(1))
end)

-- nil where the packet is not TCP.
field("src_port", function(p)
	return (tcp[p.decoded](p.key.port[p.dir]))
end)
field("dst_port", function(p)
	return (tcp[p.decoded](p.key.port[1 - p.dir]))
end)
field("seq", function(p)
	return (tcp[p.decoded](p.seq))
end)
field("ack", function(p)
	return (tcp[p.decoded](p.ack))
end)
field("window", function(p)
	return (tcp[p.decoded](p.window))
end)
field("urgent", function(p)
	return (tcp[p.decoded](p.urgent))
end)
field("flags", function(p)
	return (tcp[p.decoded](p.tcp_flags))
end)
field("payload_len", function(p)
	return (tcp[p.decoded](p.payload_len))
end)
field("payload_caplen", function(p)
	return (tcp[p.decoded](p.payload_caplen))
end)
field("payload", function(p)
	return (tcp[p.decoded](p.data + p.payload))
end)

field("fin", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x01)]))
end)
field("syn", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x02)]))
end)
field("rst", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x04)]))
end)
field("psh", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x08)]))
end)
field("is_ack", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x10)]))
end)
field("urg", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x20)]))
end)
field("ece", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x40)]))
end)
field("cwr", function(p)
	return (tcp[p.decoded](truth[band(p.tcp_flags, 0x80)]))
end)

-- The packet's record. Called by members, which a script calls.
local function current()
	local p = call.pkt
	local _ = any[p.decoded]()
	return p
end

method("payload_string", function(_, max)
	local p = current()
	if p.decoded ~= TCP then
		return nil
	end
	local n = p.payload_caplen
	if max and max < n then
		n = max >= 0 and max or 0
	end
	return (ffi.string(p.data + p.payload, n))
end)

method("frame_string", function()
	local p = current()
	return (ffi.string(p.data, p.caplen))
end)

local LAYERS_MAX = 64
local layer_names = ffi.new("const char *[?]", LAYERS_MAX)
local layer_offsets = ffi.new("uint32_t[?]", LAYERS_MAX)

local function addr_at(offset, which)
	local n = C.mos_ffi_packet_addr_at(ctx, offset, which, addr_buf)
	return n ~= 0 and ffi.string(addr_buf, n) or nil
end

-- The headers of the frame, outer first.
method("layers", function()
	current()
	local list = {}
	for i = 1, tonumber(C.mos_ffi_packet_layers(ctx, layer_names, layer_offsets, LAYERS_MAX)) do
		local name, offset = ffi.string(layer_names[i - 1]), layer_offsets[i - 1]
		list[i] = { name = name, offset = offset }
		if name == "ipv4" or name == "ipv6" then
			list[i].src, list[i].dst = addr_at(offset, 0), addr_at(offset, 1)
		end
	end
	return list
end)

local UDP_HEADER = 8

-- Of a UDP datagram: its payload as captured (pointer, length), source and destination port. nil: it is something else,
-- or the capture cut its header off.
method("udp", function()
	local p = current()
	local at = p.l4 + UDP_HEADER
	if p.decoded ~= IP or p.ip_proto ~= 17 or at > p.caplen or at > p.l3 + p.ip_len then
		return nil
	end
	local h = p.data + p.l4
	local len = h[4] * 256 + h[5] - UDP_HEADER
	local most = math.min(p.caplen, p.l3 + p.ip_len) - at
	if len < 0 or len > most then
		len = most
	end
	return p.data + at, len, h[0] * 256 + h[1], h[2] * 256 + h[3]
end)

-- The type of an ICMP or ICMPv6 message; nil: it is something else, or its header was cut off.
local function icmp_type(p)
	local stop = math.min(p.caplen, p.l3 + p.ip_len)
	if p.decoded ~= IP or (p.ip_proto ~= 1 and p.ip_proto ~= 58) or p.l4 + 8 > stop then
		return nil
	end
	return p.data[p.l4]
end

-- Type and code of an ICMP or ICMPv6 message, and of its header's rest the two numbers that echoes have there:
-- identifier and sequence number.
method("icmp", function()
	local p = current()
	local kind = icmp_type(p)
	if not kind then
		return nil
	end
	local h = p.data + p.l4
	return kind, h[1], h[4] * 256 + h[5], h[6] * 256 + h[7]
end)

-- The body of a TCP option of that kind as captured: pointer and length; nil without one. Kinds 0 and 1 have none.
method("option", function(_, wanted)
	local p = current()
	local at, stop = p.l4 + 20, p.l4 + p.tcp_hlen
	if p.decoded ~= TCP or stop > p.caplen then
		return nil
	end
	local d = p.data
	while at + 2 <= stop do
		local kind, len = d[at], d[at + 1]
		if kind == 1 then
			at = at + 1
		elseif kind == 0 or len < 2 or at + len > stop then
			return nil
		elseif kind == wanted then
			return d + at + 2, len - 2
		else
			at = at + len
		end
	end
	return nil
end)

-- Value and echo reply of the TCP timestamps option (RFC 7323 3.2); nil without one.
method("timestamps", function()
	local p = current()
	local at, stop = p.l4 + 20, p.l4 + p.tcp_hlen
	if p.decoded ~= TCP or stop > p.caplen then
		return nil
	end
	local d = p.data
	while at + 10 <= stop do
		local kind = d[at]
		if kind == 8 and d[at + 1] == 10 then
			return ((d[at + 2] * 256 + d[at + 3]) * 256 + d[at + 4]) * 256 + d[at + 5],
				((d[at + 6] * 256 + d[at + 7]) * 256 + d[at + 8]) * 256 + d[at + 9]
		elseif kind == 0 or (kind > 1 and d[at + 1] < 2) then
			return nil
		end
		at = at + (kind == 1 and 1 or d[at + 1])
	end
	return nil
end)

method("drop", function()
	current().verdict = C.MOS_DROPPED
end)

local pkt_t = ffi.metatype("struct { const uint8_t _unused; }", {
	__index = function(_, name)
		return (get[name](call.pkt))
	end,
	__newindex = function(_, name)
		check.fail(2, "pkt.%s cannot be assigned; use pkt:set { %s = ... }", tostring(name), tostring(name))
	end,
	__tostring = function()
		return ctx.pkt ~= nil and "packet " .. tonumber(ctx.pkt.number) or "packet (gone)"
	end,
})

-- An object of which some fields and methods are others: for scripts that must not have pointers.
local function variant(fields, methods)
	local object_t = ffi.metatype("struct { const uint8_t _variant; }", {
		__index = function(_, name)
			if fields[name] then
				return fields[name](current())
			elseif methods[name] then
				return methods[name]
			end
			return (get[name](current()))
		end,
		__newindex = function(_, name)
			check.fail(2, "pkt.%s cannot be assigned; use pkt:set { %s = ... }", tostring(name), tostring(name))
		end,
		__tostring = function()
			return ctx.pkt ~= nil and "packet " .. tonumber(ctx.pkt.number) or "packet (gone)"
		end,
	})
	return object_t()
end

return { current = current, method = method, object = pkt_t(), members = members.all, variant = variant,
	icmp_type = icmp_type }
