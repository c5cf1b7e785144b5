-- Bytes of packets: addresses, checksums and the headers of links, IP and TCP. Values are checked where they are read
-- (segments.lua); what does not fit a field here wraps.

local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
local concat, floor = table.concat, math.floor

local frame = {}

local function u16(n)
	return char(floor(n / 256) % 256, n % 256)
end

local function u32(n)
	return u16(floor(n / 65536) % 65536) .. u16(n % 65536)
end

frame.u16, frame.u32 = u16, u32

-- The Internet checksum (RFC 1071) as a number.
function frame.checksum(s)
	local sum = 0
	for i = 1, #s - 1, 2 do
		local high, low = byte(s, i, i + 1)
		sum = sum + high * 256 + low
	end
	if #s % 2 == 1 then
		sum = sum + byte(s, #s) * 256
	end
	while sum > 0xffff do
		sum = sum % 65536 + floor(sum / 65536)
	end
	return 0xffff - sum
end

-- "10.0.0.1" as four bytes; nil if it is none.
local function parse_ip4(text)
	local parts = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
	for i = 1, #parts do
		parts[i] = tonumber(parts[i])
		if parts[i] > 255 then
			return nil
		end
	end
	return #parts == 4 and char(parts[1], parts[2], parts[3], parts[4]) or nil
end

-- "a:b" as groups of two bytes each; nil if it holds anything else. "" has no groups.
local function parse_groups(text)
	local out = {}
	if text == "" then
		return out
	end
	for group in (text .. ":"):gmatch("(.-):") do
		if not group:match("^%x%x?%x?%x?$") then
			return nil
		end
		out[#out + 1] = u16(tonumber(group, 16))
	end
	return out
end

-- "2001:db8::1" as sixteen bytes; nil if it is none.
local function parse_ip6(text)
	local left, right = text:match("^(.-)::(.*)$")
	local head, tail = parse_groups(left or text), parse_groups(right or "")
	if not head or not tail then
		return nil
	end
	local missing = 8 - #head - #tail
	if left and missing < 1 or not left and missing ~= 0 then
		return nil
	end
	return concat(head) .. rep("\0\0", missing) .. concat(tail)
end

-- The bytes of an address and its family (4 or 6); nil if it is neither.
function frame.parse_address(text)
	local addr = parse_ip4(text)
	if addr then
		return addr, 4
	end
	addr = parse_ip6(text)
	return addr, addr and 6 or nil
end

-- A TCP segment between two addresses, with its checksum.
function frame.tcp(t)
	local options = t.options .. rep("\0", -#t.options % 4)
	local words = t.doff or (20 + #options) / 4
	local head = u16(t.sport) .. u16(t.dport) .. u32(t.seq) .. u32(t.ack)
		.. char(words * 16, t.flags) .. u16(t.win)
	local tail = u16(t.urg) .. options .. t.payload
	local length = #head + 2 + #tail
	local pseudo = t.src .. t.dst .. (#t.src == 4 and "\0\6" .. u16(length) or u32(length) .. "\0\0\0\6")
	local sum = frame.checksum(pseudo .. head .. "\0\0" .. tail)
	if t.badsum then
		sum = (sum + 1) % 65536
	end
	return head .. u16(sum) .. tail
end

-- A UDP datagram between two addresses, with its checksum.
function frame.udp(t)
	local length = 8 + #t.payload
	local head = u16(t.sport) .. u16(t.dport) .. u16(length)
	local pseudo = t.src .. t.dst .. (#t.src == 4 and "\0\17" .. u16(length) or u32(length) .. "\0\0\0\17")
	local sum = frame.checksum(pseudo .. head .. "\0\0" .. t.payload)
	-- RFC 768: a checksum of 0 stands for none.
	return head .. u16(sum == 0 and 65535 or sum) .. t.payload
end

-- proto is 6, TCP, unless t says otherwise.
function frame.ip4(t, payload)
	local head = "\69\0" .. u16(20 + #payload) .. u16(t.id) .. "\64\0" .. char(t.ttl, t.proto or 6)
	local sum = frame.checksum(head .. "\0\0" .. t.src .. t.dst)
	if t.badipsum then
		sum = (sum + 1) % 65536
	end
	return head .. u16(sum) .. t.src .. t.dst .. payload
end

-- Extension headers of eight bytes: number, and what follows the next header's number.
frame.ip6ext = {
	hopbyhop = { 0, "\0\1\4\0\0\0\0" }, -- PadN (RFC 8200 4.2)
	routing = { 43, "\0\0\0\0\0\0\0" }, -- no segments left
	fragment = { 44, "\0\0\0\0\0\0\1" }, -- the whole datagram (RFC 6946)
	dstopts = { 60, "\0\1\4\0\0\0\0" },
}

function frame.ip6(t, payload)
	local chain, next_header = "", t.proto or 6
	for i = #t.ip6ext, 1, -1 do
		local number, rest = unpack(frame.ip6ext[t.ip6ext[i]])
		chain = char(next_header) .. rest .. chain
		next_header = number
	end
	return "\96\0\0\0" .. u16(#chain + #payload) .. char(next_header, t.ttl) .. t.src .. t.dst .. chain .. payload
end

local ETHERTYPE = { [4] = 0x0800, [6] = 0x86dd }
local MAC = { C = "\2\0\0\0\0\1", S = "\2\0\0\0\0\2" }
local OTHER = { C = "S", S = "C" }

-- The tags as they follow the addresses, and the type of what they wrap: outer tags are 802.1ad, the inner one 802.1Q.
local function tagged(t)
	local out = {}
	for i, id in ipairs(t.vlan) do
		out[i] = u16(i < #t.vlan and 0x88a8 or 0x8100) .. u16(id)
	end
	return concat(out) .. u16(ETHERTYPE[t.family])
end

local function host32(n, big)
	local s = u32(n)
	return big and s or s:reverse()
end

-- For each link its LINKTYPE number, whether it can carry VLAN tags, and its header; t says side, family and vlan, big
-- the byte order of the machine that captured.
frame.link = {
	ethernet = {
		number = 1, vlan = true,
		header = function(t)
			return MAC[OTHER[t.side]] .. MAC[t.side] .. tagged(t)
		end,
	},
	raw = {
		number = 101,
		header = function()
			return ""
		end,
	},
	-- AF_INET6 is 30 on macOS and 24 on OpenBSD, where these two links come from.
	null = {
		number = 0,
		header = function(t, big)
			return host32(t.family == 4 and 2 or 30, big)
		end,
	},
	loop = {
		number = 108,
		header = function(t)
			return u32(t.family == 4 and 2 or 24)
		end,
	},
	-- The capturing host is the client: what it sends is "outgoing" (4), the rest "to us" (0).
	sll = {
		number = 113, vlan = true,
		header = function(t)
			return u16(t.side == "C" and 4 or 0) .. u16(1) .. u16(6) .. MAC[t.side] .. "\0\0" .. tagged(t)
		end,
	},
	sll2 = {
		number = 276, vlan = true,
		header = function(t)
			local tags = tagged(t)
			return sub(tags, 1, 2) .. "\0\0" .. u32(1) .. u16(1) .. char(t.side == "C" and 4 or 0, 6)
				.. MAC[t.side] .. "\0\0" .. sub(tags, 3)
		end,
	},
}

return frame
