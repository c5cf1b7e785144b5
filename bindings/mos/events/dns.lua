-- require "mos.events.dns": DNS (RFC 1035) over UDP, whose datagrams are orphans, and over TCP.
local ffi = require "ffi"
local bit = require "bit"
local mos = require "mos"

local dns = {}

-- Ports that are taken for DNS, multicast DNS and LLMNR.
dns.ports = { [53] = true, [5353] = true, [5355] = true }

-- Records read per message.
dns.limits = { records = 256 }
local limits = dns.limits

dns.types = {
	[1] = "A", [2] = "NS", [5] = "CNAME", [6] = "SOA", [10] = "NULL", [12] = "PTR", [13] = "HINFO", [15] = "MX",
	[16] = "TXT", [17] = "RP", [24] = "SIG", [25] = "KEY", [28] = "AAAA", [29] = "LOC", [33] = "SRV", [35] = "NAPTR",
	[37] = "CERT", [39] = "DNAME", [41] = "OPT", [43] = "DS", [44] = "SSHFP", [46] = "RRSIG", [47] = "NSEC",
	[48] = "DNSKEY", [50] = "NSEC3", [51] = "NSEC3PARAM", [52] = "TLSA", [64] = "SVCB", [65] = "HTTPS", [99] = "SPF",
	[249] = "TKEY", [250] = "TSIG", [251] = "IXFR", [252] = "AXFR", [255] = "*", [256] = "URI", [257] = "CAA",
}
dns.classes = { [1] = "C_INTERNET", [3] = "C_CHAOS", [4] = "C_HESIOD", [254] = "C_NONE", [255] = "C_ANY" }
dns.rcodes = {
	[0] = "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
	"NOTAUTH", "NOTZONE",
}

local function be16(s, at)
	local a, b = s:byte(at, at + 1)
	return b and a * 256 + b
end

local function be32(s, at)
	local high, low = be16(s, at), be16(s, at + 2)
	return low and high * 65536 + low
end

-- A name at position at: text, and the position behind it. nil: malformed. Pointers (RFC 1035 4.1.4) must point back,
-- so that there is an end; what is no printable character comes as \DDD.
local function read_name(s, at)
	local labels, length, behind, lowest = {}, 0, nil, at
	while true do
		local n = s:byte(at)
		if not n then
			return nil
		elseif n == 0 then
			break
		elseif n >= 192 then
			local low = s:byte(at + 1)
			local target = low and (n - 192) * 256 + low + 1
			if not target or target >= lowest then
				return nil
			end
			behind = behind or at + 2
			at, lowest = target, target
		elseif n >= 64 or at + n > #s then
			return nil
		else
			length = length + n + 1
			if length > 254 then
				return nil
			end
			labels[#labels + 1] = s:sub(at + 1, at + n):gsub("[^\33-\45\47-\126]", function(c)
				return ("\\%03d"):format(c:byte())
			end)
			at = at + n + 1
		end
	end
	return table.concat(labels, "."), behind or at + 1
end

local readers = {}

readers[1] = function(s, at, len)
	return len == 4 and ("%d.%d.%d.%d"):format(s:byte(at, at + 3)) or nil
end

-- RFC 5952: small letters, no leading zeroes, the longest run of zero groups as "::".
local function ip6(s, at)
	local groups = {}
	for i = 0, 7 do
		groups[i + 1] = be16(s, at + 2 * i)
	end
	local best, best_len = nil, 1
	local i = 1
	while i <= 8 do
		local n = 0
		while groups[i + n] == 0 do
			n = n + 1
		end
		if n > best_len then
			best, best_len = i, n
		end
		i = i + n + 1
	end
	local function text(from, to)
		local out = {}
		for k = from, to do
			out[#out + 1] = ("%x"):format(groups[k])
		end
		return table.concat(out, ":")
	end
	if not best then
		return text(1, 8)
	end
	return text(1, best - 1) .. "::" .. text(best + best_len, 8)
end

readers[28] = function(s, at, len)
	return len == 16 and ip6(s, at) or nil
end

local function name(s, at)
	return (read_name(s, at))
end
readers[2], readers[5], readers[12], readers[39] = name, name, name, name

readers[15] = function(s, at)
	return (read_name(s, at + 2))
end

readers[33] = function(s, at)
	local target = read_name(s, at + 6)
	return target and ("%d %d %d %s"):format(be16(s, at), be16(s, at + 2), be16(s, at + 4), target)
end

readers[16] = function(s, at, len)
	local out, stop = {}, at + len
	while at < stop do
		local n = s:byte(at)
		out[#out + 1] = s:sub(at + 1, math.min(at + n, stop - 1))
		at = at + n + 1
	end
	return table.concat(out, " ")
end

readers[6] = function(s, at)
	local server, next_at = read_name(s, at)
	local mailbox = server and read_name(s, next_at)
	return mailbox and server .. " " .. mailbox
end

-- The records of one section into list; the position behind it, nil where it is malformed.
local function read_records(s, at, count, list)
	for _ = 1, count do
		local owner
		owner, at = read_name(s, at)
		local len = at and be16(s, at + 8)
		if not owner or not len or at + 9 + len > #s then
			return nil
		end
		if #list < limits.records then
			local kind = be16(s, at)
			local read = readers[kind]
			list[#list + 1] = {
				name = owner, type = kind, type_name = dns.types[kind] or "TYPE" .. kind, class = be16(s, at + 2),
				ttl = be32(s, at + 4), data = read and read(s, at + 10, len) or nil, len = len,
			}
		end
		at = at + 10 + len
	end
	return at
end

-- A message: its fields, or nil and the reason.
function dns.parse(s)
	local flags = be16(s, 3)
	if #s < 12 then
		return nil, "header"
	end
	local questions = be16(s, 5)
	local m = {
		id = be16(s, 1), response = flags >= 0x8000, opcode = bit.band(bit.rshift(flags, 11), 15),
		aa = bit.band(flags, 0x400) ~= 0, tc = bit.band(flags, 0x200) ~= 0, rd = bit.band(flags, 0x100) ~= 0,
		ra = bit.band(flags, 0x80) ~= 0, z = bit.band(bit.rshift(flags, 4), 7), rcode = bit.band(flags, 15),
		answers = {}, authority = {}, additional = {},
	}
	m.rcode_name = dns.rcodes[m.rcode] or "RCODE" .. m.rcode
	local at = 13
	for i = 1, questions do
		local text
		text, at = read_name(s, at)
		local class = text and be16(s, at + 2)
		if not class then
			return nil, "question"
		elseif i == 1 then
			m.query, m.qtype, m.qclass = text, be16(s, at), class
			m.qtype_name = dns.types[m.qtype] or "TYPE" .. m.qtype
			m.qclass_name = dns.classes[bit.band(class, 0x7fff)] or "CLASS" .. class
		end
		at = at + 4
	end
	for i, section in ipairs { "answers", "authority", "additional" } do
		at = read_records(s, at, be16(s, 5 + 2 * i), m[section])
		if not at then
			m.cut_off = section
			break
		end
	end
	-- RFC 1035 4.1.1: TC says that the rest was left out.
	if m.cut_off and not m.tc then
		return nil, m.cut_off
	end
	return m
end

local message_fields = {
	{ "transport", "string", "udp or tcp" },
	{ "src_addr", "string" }, { "src_port", "number" }, { "dst_addr", "string" }, { "dst_port", "number" },
	{ "ts", "number", "seconds: of the packet that completes it" },
	{ "id", "number" }, { "response", "boolean" }, { "opcode", "number" },
	{ "query", "string", "name of the first question, nil without one" },
	{ "qtype", "number" }, { "qtype_name", "string", "AAAA" }, { "qclass", "number" }, { "qclass_name", "string" },
	{ "rcode", "number" }, { "rcode_name", "string", "NXDOMAIN" },
	{ "aa, tc, rd, ra", "boolean" }, { "z", "number" },
	{ "answers, authority, additional", "list of tables", "name, type, type_name, class, ttl, len, and data: the "
		.. "record as text, nil where its type is not known" },
}

local fault_fields = {
	{ "transport", "string" }, { "reason", "string", "header, question, answers, authority, additional, length, gap" },
	{ "src_addr", "string" }, { "src_port", "number" }, { "dst_addr", "string" }, { "dst_port", "number" },
}

local function udp_message(pkt)
	local p, len, from, to = pkt:udp()
	if p == nil or not (dns.ports[from] or dns.ports[to]) then
		return false
	end
	local m, reason = dns.parse(ffi.string(p, len))
	m = m or { reason = reason }
	m.transport, m.ts = "udp", pkt.ts
	m.src_addr, m.src_port, m.dst_addr, m.dst_port = pkt.src_addr, from, pkt.dst_addr, to
	return m
end

dns.udp = mos.event { name = "dns_udp", parent = "orphan", meaning = "a datagram from or to a port of DNS",
	fields = message_fields,
	filter = function(conn, side, pkt)
		local m = udp_message(pkt)
		return m
	end }
dns.query = mos.event { name = "dns_query", parent = dns.udp, meaning = "a query over UDP",
	filter = function(conn, side, pkt, ev, m) return not m.reason and not m.response end }
dns.response = mos.event { name = "dns_response", parent = dns.udp, meaning = "a response over UDP",
	filter = function(conn, side, pkt, ev, m) return m.response end }
dns.malformed = mos.event { name = "dns_malformed", parent = dns.udp, meaning = "a datagram that is no DNS",
	filter = function(conn, side, pkt, ev, m) return m.reason end }

local function place(r, m)
	local conn = r.flow.conn
	local from, to = conn.client, conn.server
	if r.side == "cli" then
		from, to = to, from
	end
	m.transport, m.ts = "tcp", r:time()
	m.src_addr, m.src_port, m.dst_addr, m.dst_port = from.addr, from.port, to.addr, to.port
	return m
end

local function fault(r, reason)
	r:raise(dns.tcp_malformed, place(r, { reason = reason }))
	r:stop()
	return false
end

-- RFC 1035 4.2.2: each message behind its length.
local function message(r)
	local p = r:look(2)
	local len = p and p[0] * 256 + p[1]
	if len and len < 12 then
		return fault(r, "length")
	elseif not len or r:left() < 2 + len then
		return false
	end
	r:skip(2)
	local m, reason = dns.parse(r:take(len))
	if not m then
		return fault(r, reason)
	end
	r:raise(m.response and dns.tcp_response or dns.tcp_query, place(r, m))
	return true
end

local function start(r)
	local conn = r.flow.conn
	if not dns.ports[conn.server.port] and not dns.ports[conn.client.port] then
		r:stop()
		return false
	end
	r.step = message
	return true
end

local parser = mos.parser { name = "dns", start = start,
	gap = function(r)
		return r.step == message and fault(r, "gap")
	end,
	meaning = "inside: bytes for the DNS parser" }

dns.over = parser.over
dns.tcp_query = parser:event { name = "dns_tcp_query", meaning = "a query over TCP", fields = message_fields }
dns.tcp_response = parser:event { name = "dns_tcp_response", meaning = "a response over TCP", fields = message_fields }
dns.tcp_malformed = parser:event { name = "dns_tcp_malformed", meaning = "what is no DNS where it was expected",
	fields = fault_fields }

-- Handle "query", "response" or "malformed" over both.
function dns.on(mon, what, fn)
	mon:on(dns[what], fn)
	mon:on(dns["tcp_" .. what], fn)
end

return dns
