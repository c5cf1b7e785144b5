-- The inputs that fuzzing begins with, made from the project's own captures as text and from headers in hex.

local segments = require "mos.test.segments"

local function hex(text)
	return (text:gsub("%s", ""):gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

local TEXTS = { "handshake", "http", "loss", "midstream", "reorder" }

-- The list in fuzz_decode.c.
local LINKS = { 1, 0, 9, 10, 12, 14, 50, 101, 104, 105, 108, 113, 119, 127, 163, 192, 228, 229, 276, 258, 9999, 239,
	242 }

local function be16(n)
	return string.char(math.floor(n / 256) % 256, n % 256)
end

local function tcp(payload)
	return hex "3039 0050 000003e8 000007d0 5018 2000 0000 0000" .. payload
end

local function ip4(proto, payload, frag)
	return hex "4500" .. be16(20 + #payload) .. hex "1234" .. hex(frag or "0000") .. hex "40" .. string.char(proto)
		.. hex "0000 0a000001 0a000002" .. payload
end

local function ip6(proto, payload)
	return hex "60000000" .. be16(#payload) .. string.char(proto) .. hex "40"
		.. hex "20010db8000000000000000000000001 20010db8000000000000000000000002" .. payload
end

local function udp(port, payload)
	return hex "c000" .. be16(port) .. be16(8 + #payload) .. hex "0000" .. payload
end

local function eth(kind, payload)
	return hex "020000000002 020000000001" .. hex(kind) .. payload
end

-- Frames by the place of their link type in fuzz_decode.c's list.
local function frames()
	local in4, in6 = ip4(6, tcp "abcd"), ip6(6, tcp "abcd")
	local inner = eth("0800", in4)
	local list = {}
	local function add(link, frame)
		list[#list + 1] = string.char(link, 0) .. frame
		list[#list + 1] = string.char(link, 2) .. frame
	end
	add(0, inner)
	add(0, eth("86dd", in6))
	add(0, eth("88a8", hex "0001 8100 0002 0800" .. in4))
	add(0, eth("0034", hex "aaaa03 000000 0800" .. in4))
	add(0, eth("8847", hex "00010040 00011140" .. in4))
	add(0, eth("8847", hex "00011140 00000000" .. inner))
	add(0, eth("8864", hex "1100 0001 002e 0021" .. in4))
	add(0, eth("88e7", hex "00000001" .. inner))
	add(0, eth("8926", hex "00000001 0800" .. in4))
	add(0, eth("893f", hex "e00000640000 0800" .. in4))
	add(0, eth("8909", hex "0101 0001 0002 0800" .. in4))
	add(5, ip4(47, hex "0000 883e 00010002" .. in4))
	add(22, ("\0"):rep(40) .. hex "86dd 0000" .. in6)
	add(0, eth("8903", hex "0440" .. inner))
	for _, payload in ipairs { in4, in6 } do
		add(5, ip4(payload == in4 and 4 or 41, payload))
		add(5, ip6(payload == in4 and 4 or 41, payload))
	end
	add(5, ip4(47, hex "0000 0800" .. in4))
	add(5, ip4(47, hex "2000 6558 00000100" .. inner))
	add(5, ip4(47, hex "0000 88be" .. inner))
	add(5, ip4(47, hex "1000 88be 00000001 1000000000000000" .. inner))
	add(5, ip4(47, hex "1000 22eb 00000001 200000000000000000000001 0000000000000000" .. inner))
	add(5, ip4(47, hex "3081 880b 0034 0001 00000001 00000000 ff03 0021" .. in4))
	add(5, ip4(17, udp(4789, hex "08000000 00000100" .. inner)))
	add(5, ip4(17, udp(4790, hex "0c000003 00000100" .. inner)))
	add(5, ip4(17, udp(6081, hex "0200 6558 00000100 0000000100000000" .. inner)))
	add(5, ip4(17, udp(2152, hex "30ff" .. be16(#in4) .. hex "00000001" .. in4)))
	add(5, ip4(17, udp(2152, hex "34ff" .. be16(#in4 + 8) .. hex "00000001 00000085 01001000" .. in4)))
	add(5, ip4(17, udp(3544, in6)))
	add(5, ip4(17, udp(3544, hex "00010000 0000000000000000 00 0000 c0000a000001" .. in6)))
	add(5, ip4(17, udp(1234, hex "60000000" .. be16(24) .. hex "0640 20010000000000000000000000000001"
		.. hex "20010db8000000000000000000000002" .. tcp "abcd")))
	add(5, ip4(17, udp(4754, hex "0000 0800" .. in4)))
	add(5, ip4(17, udp(6635, hex "00011140" .. in4)))
	add(5, ip4(17, udp(1701, hex "4a02 0040 0001 0002 0003 0004 0002 0000 0021" .. in4)))
	add(5, ip4(17, udp(5072, hex "4052 11 29 00000001" .. ("i"):rep(16) .. ("s"):rep(20) .. in6)))
	add(5, ip4(51, hex "06 04 0000 00000001 00000001 000102030405060708090a0b" .. tcp "abcd"))
	add(5, ip4(6, tcp "abcd", "2000"))
	for _, chain in ipairs {
		"00|06 00 0104 00000000", "3c|06 01 010c 000000000000000000000000",
		"2b|06 02 02 01 00000000 20010db8000000000000000000000003", "2c|06 00 0000 11223344", "2c|06 00 0001 11223344",
		"33|06 04 0000 00000001 00000001 000102030405060708090a0b",
	} do
		local proto, ext = chain:match "(%x+)|(.*)"
		add(5, ip6(tonumber(proto, 16), hex(ext) .. tcp "abcd"))
	end
	add(1, hex "02000000" .. in4)
	add(2, hex "ff03 0021" .. in4)
	add(2, hex "0f00 0800" .. in4)
	add(3, hex "50 020000000002 020000000001 aaaa03 000000 0800" .. in4)
	add(8, hex "0f00 0800" .. in4)
	local wifi = hex "0801 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 0800" .. in4
	add(9, wifi)
	add(9, hex "8801 0000 020000000001 020000000002 020000000003 0000 0000 aaaa03 000000 0800" .. in4)
	local amsdu = hex "8801 0000 020000000001 020000000002 020000000003 0000 8000"
	local part = hex "020000000001 020000000002" .. be16(8 + #in4) .. hex "aaaa03 000000 0800" .. in4
	add(9, amsdu .. part .. part)
	add(5, ip4(47, hex "0000 8240" .. wifi))
	add(11, hex "0000 0001 0006 020000000001 0000 0800" .. in4)
	add(12, ("\0"):rep(144) .. wifi)
	add(12, hex "80211001 00000040" .. ("\0"):rep(56) .. wifi)
	add(13, hex "00 00 0900 02000000 10" .. wifi .. "fcsx")
	add(15, hex "00 00 0800 01000000" .. inner)
	add(19, hex "10000000 01000000 01000000 656e3000" .. inner)
	add(21, hex "02000001 0800 0100 08000300 0500 0a00 00000000" .. string.char(4 + #in4, 0) .. hex "0900" .. in4)
	add(18, hex "0800 0000 00000001 0001 00 06 020000000001 0000" .. in4)
	return list
end

-- Settings in front of capture files: one of each format.
local function captures(read)
	local list = {}
	for i, name in ipairs(TEXTS) do
		local text = read("tests/pcaps/" .. name .. ".seg")
		for j, opts in ipairs { {}, { format = "pcapng" }, { endian = "big", precision = "nano" } } do
			local bytes = assert(segments.encode(text, opts))
			if #bytes < 6000 then
				list[#list + 1] = string.char((i + j) % 16, i * j * 4 % 256) .. bytes
			end
		end
	end
	for i, input in ipairs(frames()) do
		if i % 2 == 1 then
			local link = LINKS[input:byte() + 1]
			local frame = input:sub(3)
			local size = string.char(#frame % 256, math.floor(#frame / 256), 0, 0)
			list[#list + 1] = "\1\0" .. hex "d4c3b2a1 0200 0400 00000000 00000000 00000400"
				.. string.char(link % 256, math.floor(link / 256), 0, 0) .. hex "00000001 00000000" .. size .. size .. frame
		end
	end
	return list
end

local function options()
	local list = {}
	for _, text in ipairs {
		"020405b4 0402 080a 00000001 00000000 01 030307", "0101 080a 00000001 00000002", "0101 050a 00000001 00000002",
		"050a", "0402 0000", "0303 0f", "0101 0522 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008",
	} do
		list[#list + 1] = hex(text)
	end
	return list
end

-- A handshake, data both ways, a close; in the input's own notation.
local function conversations()
	local list = {}
	for settings = 0, 31, 5 do
		for whims = 0, 252, 36 do
			local s = string.char(settings, whims)
			s = s .. hex "40 02 04 00 07 00 09" .. hex "42 12 24 00 07 00 09" .. hex "00 10 24 00 00 00 09"
			s = s .. hex "04 18 24 20 00 00 09" .. hex "06 18 24 80 00 00 01" .. hex "04 18 20 20 00 f0 09"
			s = s .. hex "00 11 24 00 00 00 09" .. hex "02 11 24 00 00 00 09" .. hex "00 10 24 00 00 00 09"
			list[#list + 1] = s
		end
	end
	return list
end

local function fragments()
	local list = {}
	for policy = 0, 9 do
		for _, text in ipairs {
			"00 %02x 0800ff 002040", "00 %02x 080040 080840 001040", "00 %02x 0c0040 041040 0c0820",
			"90 %02x 080040 480440aa 001020", "00 %02x 080040 481020aa 482020ab 480c20ac 481c20ad 003020",
		} do
			list[#list + 1] = hex(text:format(policy))
		end
	end
	return list
end

local function streams()
	local list = {}
	for policy = 0, 9 do
		for _, limit in ipairs { 20, 200 } do
			list[#list + 1] = string.char(policy, limit, 200, 1) .. hex "00 00 0000 80" .. hex "00 01 0400 80"
				.. hex "00 02 0000 20" .. hex "00 81 22 0800 80" .. hex "d0 40" .. hex "e0 20" .. hex "00 81 11 ff00 80"
		end
	end
	return list
end

return {
	decode = frames, capture = captures, options = options,
	tracker = conversations, fragments = fragments, stream = streams,
}
