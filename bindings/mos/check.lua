-- A script's mistakes: errors that name the script's line and the nearest valid word.
--
-- level counts as in error(): 1 is the function that calls the helper, 2 the function that called that one.
local ffi = require "ffi"
local C = require("mos.ffi").C

local check = {}

local max_listed = 20

function check.fail(level, fmt, ...)
	error(fmt:format(...), level + 1)
end

-- "unknown event 'con_start'; did you mean 'conn_start'?"
function check.unknown(level, what, word, words)
	word = tostring(word)
	local list = ffi.new("const char *[?]", #words + 1)
	for i, w in ipairs(words) do
		list[i - 1] = w
	end
	local near = C.mos_ffi_nearest(word, list, #words)
	if near ~= nil then
		check.fail(level + 1, "unknown %s '%s'; did you mean '%s'?", what, word, ffi.string(near))
	elseif #words <= max_listed then
		check.fail(level + 1, "unknown %s '%s'; there is %s", what, word, table.concat(words, ", "))
	end
	check.fail(level + 1, "unknown %s '%s'", what, word)
end

function check.keys(t)
	local keys = {}
	for k in pairs(t) do
		keys[#keys + 1] = k
	end
	table.sort(keys)
	return keys
end

-- who is the function's name as the script calls it, ord says which argument.
function check.argument(level, who, ord, value, kind)
	if type(value) ~= kind then
		check.fail(level + 1, "%s: %s must be a %s, not %s", who, ord, kind, value == nil and "nil" or "a " .. type(value))
	end
end

-- kinds: { option = "string", ... }; several types as "string|number".
function check.options(level, who, options, kinds)
	if type(options) ~= "table" then
		check.fail(level + 1, "%s takes a table of options, as in %s { ... }", who, who)
	end
	for name, value in pairs(options) do
		local kind = kinds[name]
		if not kind then
			check.unknown(level + 1, "option of " .. who, name, check.keys(kinds))
		end
		if kind ~= "any" and not ("|" .. kind .. "|"):find("|" .. type(value) .. "|", 1, true) then
			check.fail(level + 1, "%s: %s must be a %s, not a %s", who, name, kind:gsub("|", " or a "), type(value))
		end
	end
end

local unit = { [""] = 1, K = 1024, M = 1024 ^ 2, G = 1024 ^ 3 }

-- A number of bytes, or "64K", "1M", "2G".
function check.size(level, who, value)
	local size = value
	if type(value) == "string" then
		local digits, suffix = value:match("^(%d+)([KMGkmg]?)$")
		size = digits and tonumber(digits) * unit[suffix:upper()]
	end
	if type(size) ~= "number" or size < 0 or size > 2 ^ 53 or size % 1 ~= 0 then
		check.fail(level + 1, "%s must be a size such as 65536 or \"64K\", not %s", who,
			type(value) == "string" and "'" .. value .. "'" or tostring(value))
	end
	return size
end

return check
