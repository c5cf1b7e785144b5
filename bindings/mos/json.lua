-- require "mos.json": values as JSON text, for logs.
local json = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- Bytes that are no UTF-8 come as the code points of their numbers, as in Latin-1: every input gives valid JSON.
local function escape(c)
	return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function is_utf8(s)
	local i, n = 1, #s
	while i <= n do
		local b = s:byte(i)
		local more = b < 0x80 and 0 or b >= 0xc2 and b < 0xe0 and 1 or b >= 0xe0 and b < 0xf0 and 2
			or b >= 0xf0 and b < 0xf5 and 3
		if not more or not s:find("^" .. ("[\x80-\xbf]"):rep(more), i + 1) then
			return false
		end
		local second = s:byte(i + 1)
		if (b == 0xe0 and second < 0xa0) or (b == 0xed and second > 0x9f) or (b == 0xf0 and second < 0x90)
			or (b == 0xf4 and second > 0x8f) then
			return false
		end
		i = i + 1 + more
	end
	return true
end

function json.string(s)
	local text = s:gsub('[%c"\\\127]', escape)
	if text:find "[\x80-\xff]" and not is_utf8(text) then
		text = text:gsub("[\x80-\xff]", escape)
	end
	return '"' .. text .. '"'
end

local function number(n)
	if n ~= n or n == math.huge or n == -math.huge then
		return "null"
	end
	return n % 1 == 0 and ("%.0f"):format(n) or ("%.6f"):format(n)
end

-- A value as text: strings, numbers, booleans, and tables, which are lists where they have a [1] or nothing, else
-- objects in the order of their names.
function json.encode(value)
	local kind = type(value)
	if kind == "string" then
		return json.string(value)
	elseif kind == "number" then
		return number(value)
	elseif kind ~= "table" then
		return kind == "boolean" and tostring(value) or "null"
	end
	local parts = {}
	if value[1] ~= nil or next(value) == nil then
		for i, v in ipairs(value) do
			parts[i] = json.encode(v)
		end
		return "[" .. table.concat(parts, ",") .. "]"
	end
	local names = {}
	for name in pairs(value) do
		names[#names + 1] = tostring(name)
	end
	table.sort(names)
	for i, name in ipairs(names) do
		parts[i] = json.string(name) .. ":" .. json.encode(value[name])
	end
	return "{" .. table.concat(parts, ",") .. "}"
end

-- An object with its members in this order: json.object { { "ts", 1.5 }, { "uid", "x" } }. A member without a value is
-- left out.
function json.object(members)
	local parts = {}
	for _, m in ipairs(members) do
		if m[2] ~= nil then
			parts[#parts + 1] = json.string(m[1]) .. ":" .. json.encode(m[2])
		end
	end
	return "{" .. table.concat(parts, ",") .. "}"
end

return json
