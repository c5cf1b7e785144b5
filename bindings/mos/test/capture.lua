-- Capture files: pcap in either byte order with micro- or nanoseconds, and pcapng.

local floor, rep = math.floor, string.rep
local frame = require "mos.test.frame"

local capture = {}

local SNAPLEN = 262144

local choices = {
	format = { "pcap", "pcapng" },
	endian = { "little", "big" },
	precision = { "micro", "nano" },
}

-- The chosen value of each option, the first where none is chosen.
local function choose(opts)
	local chosen = {}
	for name, values in pairs(choices) do
		local want = opts[name] or values[1]
		for _, value in ipairs(values) do
			if value == want then
				chosen[name] = value
			end
		end
		if not chosen[name] then
			error(("%s is %s, not '%s'"):format(name, table.concat(values, " or "), tostring(want)), 0)
		end
	end
	return chosen
end

-- Writers of 16 and 32 bits in a byte order.
local function writers(endian)
	if endian == "big" then
		return frame.u16, frame.u32
	end
	return function(n)
		return frame.u16(n):reverse()
	end, function(n)
		return frame.u32(n):reverse()
	end
end

local function encode_pcap(cap, how)
	local u16, u32 = writers(how.endian)
	local nano = how.precision == "nano"
	local out = {
		u32(nano and 0xa1b23c4d or 0xa1b2c3d4) .. u16(2) .. u16(4) .. u32(0) .. u32(0)
			.. u32(SNAPLEN) .. u32(cap.link),
	}
	for _, p in ipairs(cap) do
		out[#out + 1] = u32(p.sec) .. u32(nano and p.nsec or floor(p.nsec / 1000)) .. u32(#p.data) .. u32(p.len)
			.. p.data
	end
	return table.concat(out)
end

-- sec * per_sec + frac as two numbers whose low 32 bits count: a double alone holds only 53 bits.
local function ticks(sec, frac, per_sec)
	local high = floor(sec / 65536) * per_sec
	local low = high % 65536 * 65536 + sec % 65536 * per_sec + frac
	return floor(high / 65536) + floor(low / 4294967296), low
end

local function encode_pcapng(cap, how)
	local u16, u32 = writers(how.endian)
	local digits = how.precision == "nano" and 9 or 6
	local function block(kind, body)
		local length = u32(12 + #body)
		return u32(kind) .. length .. body .. length
	end
	local out = {
		block(0x0a0d0d0a, u32(0x1a2b3c4d) .. u16(1) .. u16(0) .. rep("\255", 8)),
		-- if_tsresol (9), opt_endofopt
		block(1, u16(cap.link) .. u16(0) .. u32(SNAPLEN) .. u16(9) .. u16(1) .. string.char(digits) .. "\0\0\0"
			.. u32(0)),
	}
	for _, p in ipairs(cap) do
		local high, low = ticks(p.sec, floor(p.nsec / 10 ^ (9 - digits)), 10 ^ digits)
		out[#out + 1] = block(6, u32(0) .. u32(high) .. u32(low) .. u32(#p.data) .. u32(p.len) .. p.data
			.. rep("\0", -#p.data % 4))
	end
	return table.concat(out)
end

-- The bytes of a file with these packets: cap.link is the LINKTYPE, cap[i] has sec, nsec, data and len (on the wire).
-- opts: format = "pcap" | "pcapng", endian = "little" | "big", precision = "micro" | "nano"; the first is the default.
function capture.encode(cap, opts)
	local how = choose(opts or {})
	return (how.format == "pcap" and encode_pcap or encode_pcapng)(cap, how)
end

return capture
