-- conn:reset and conn:inject: packets of the script's own. What cannot be sent is the world's fault: nil and a message.
local ffi = require "ffi"
local bit = require "bit"
local check = require "mos.check"
local names = require "mos.names"
local conn = require "mos.conn"
local lib = require "mos.ffi"

local C, ctx = lib.C, lib.ctx

local letters = { ["."] = C.MOS_TH_ACK, P = C.MOS_TH_PSH, R = C.MOS_TH_RST, U = C.MOS_TH_URG }

conn.method("reset", function(h)
	conn.live(h)
	local reason = C.mos_ffi_reset(ctx, conn.bits(h))
	if reason ~= nil then
		return nil, ffi.string(reason)
	end
	return true
end)

local why = ffi.new "const char *[1]"

conn.method("inject_again", function(h, side)
	conn.live(h)
	local which = names.side[side] or names.value(2, "side", names.side, side)
	local n = tonumber(C.mos_ffi_inject_again(ctx, conn.bits(h), which, why))
	if why[0] ~= nil then
		return nil, ffi.string(why[0])
	end
	return n
end)

local function read_flags(text)
	local flags = 0
	for letter in text:gmatch "." do
		if not letters[letter] then
			check.fail(3, "conn:inject: flags are of 'R', 'P', 'U' and '.' (ACK), not '%s'", text)
		end
		flags = bit.bor(flags, letters[letter])
	end
	return flags
end

conn.method("inject", function(h, options)
	conn.live(h)
	check.options(2, "conn:inject", options, { side = "string", flags = "string", payload = "string" })
	local side = names.side[options.side] or names.value(2, "side", names.side, options.side)
	local payload = options.payload or ""
	local flags = read_flags(options.flags or (payload ~= "" and "P." or "."))
	if side > 1 then
		check.fail(2, "conn:inject: side is \"cli\" or \"svr\", as if it had sent the segment")
	elseif bit.band(flags, C.MOS_TH_RST) ~= 0 and payload ~= "" then
		check.fail(2, "conn:inject: a segment with the flag R has no payload")
	end
	local reason = C.mos_ffi_inject(ctx, conn.bits(h), side, flags, payload, #payload)
	if reason ~= nil then
		return nil, ffi.string(reason)
	end
	return true
end)
