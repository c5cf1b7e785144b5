-- Words for the runtime's numbers, and the numbers of the words that scripts write.
local ffi = require "ffi"
local check = require "mos.check"
local C = require("mos.ffi").C

local names = {}

local function list(kind)
	local t, i = {}, 0
	local name = C.mos_ffi_name(kind, i)
	while name ~= nil do
		t[i] = ffi.string(name)
		i = i + 1
		name = C.mos_ffi_name(kind, i)
	end
	return t
end

names.states = list(C.MOS_NAME_STATE)
names.end_reasons = list(C.MOS_NAME_END_REASON)
names.error_reasons = list(C.MOS_NAME_ERROR_REASON)

names.sides = { [0] = "cli", "svr", "both" }
names.other_side = { cli = "svr", svr = "cli" }
names.side = { cli = 0, svr = 1 }
names.side_or_both = { cli = 0, svr = 1, both = 2 }
names.overlap = {}
for policy, name in pairs(list(C.MOS_NAME_OVERLAP)) do
	names.overlap[name] = policy
end
names.hook = { snd = C.MOS_HK_SND, rcv = C.MOS_HK_RCV, null = C.MOS_NULL }

-- Is a flag of a byte set? The flag alone is the index.
names.truth = { [0] = false }
for i = 1, 128 do
	names.truth[i] = true
end

-- The number that t has for word.
function names.value(level, what, t, word)
	return t[word] or check.unknown(level + 1, what, word, check.keys(t))
end

-- The text of a negative errno.
function names.errno(rc)
	return ffi.string(C.mos_ffi_strerror(-rc))
end

return names
