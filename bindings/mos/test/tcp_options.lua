-- TCP options from packetdrill's notation: "mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7".

local frame = require "mos.test.frame"
local line = require "mos.test.line"

local char = string.char
local number, check = line.number, line.check

local function sack_blocks(words, base)
	local out = {}
	for from, to in words:gmatch "(%d+):(%d+)" do
		out[#out + 1] = frame.u32(base + from) .. frame.u32(base + to)
	end
	return table.concat(out)
end

-- Patterns, and what becomes of their captures; the last argument is the ISN of the side that the blocks belong to.
local notations = {
	{ "^nop$", function() return "\1" end },
	{ "^eol$", function() return "\0" end },
	{ "^sackOK$", function() return "\4\2" end },
	{ "^mss (%d+)$", function(n) return "\2\4" .. frame.u16(number(n, "mss", 0, 65535)) end },
	{ "^wscale (%d+)$", function(n) return "\3\3" .. char(number(n, "wscale", 0, 255)) end },
	{ "^TS val (%d+) ecr (%d+)$", function(val, ecr)
		return "\8\10" .. frame.u32(number(val, "TS val", 0, 2 ^ 32 - 1))
			.. frame.u32(number(ecr, "TS ecr", 0, 2 ^ 32 - 1))
	end },
	{ "^sack ([%d: ]+)$", function(words, base)
		local blocks = sack_blocks(words, base)
		check(#blocks > 0, "sack needs blocks such as 1:11")
		return "\5" .. char(2 + #blocks) .. blocks
	end },
	-- Any other option: its kind, and the bytes behind kind and length.
	{ "^opt (%d+) ?(%x*)$", function(kind, hex)
		local bytes = line.hex(hex, "an option's bytes")
		return char(number(kind, "the option's kind", 0, 255), 2 + #bytes) .. bytes
	end },
	-- Bytes as they are, for options that are wrong.
	{ "^hex (%x+)$", function(hex) return line.hex(hex, "options") end },
}

local function encode_one(text, base)
	for _, notation in ipairs(notations) do
		local a, b = text:match(notation[1])
		if a then
			return notation[2](a, b or base)
		end
	end
	line.fail("unknown TCP option '%s'", text)
end

local tcp_options = {}

-- The bytes of a comma-separated list. SACK blocks count from base, the other side's ISN.
function tcp_options.encode(text, base)
	local out = {}
	for part in text:gmatch "[^,]+" do
		out[#out + 1] = encode_one(part:match "^%s*(.-)%s*$", base)
	end
	local bytes = table.concat(out)
	check(#bytes <= 40, "TCP options take %d bytes; 40 is the most", #bytes)
	return bytes
end

return tcp_options
