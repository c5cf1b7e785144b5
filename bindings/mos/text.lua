-- Values as people read them.
local text = {}

local short = { ["\r"] = "\\r", ["\n"] = "\\n", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

-- Bytes as they are written between quotes; of more than most only the first.
function text.quote(bytes, most)
	local cut = most and #bytes > most
	local shown = (cut and bytes:sub(1, most) or bytes):gsub('[%c\\"\128-\255]', function(c)
		return short[c] or ("\\x%02x"):format(c:byte())
	end)
	return '"' .. shown .. '"' .. (cut and "..." or "")
end

local function sorted_keys(t)
	local keys = {}
	for k in pairs(t) do
		keys[#keys + 1] = k
	end
	table.sort(keys, function(a, b)
		if type(a) == "number" and type(b) == "number" then
			return a < b
		end
		return tostring(a) < tostring(b)
	end)
	return keys
end

local function value(v, depth)
	if type(v) == "string" then
		return text.quote(v, 60)
	elseif type(v) ~= "table" then
		return tostring(v)
	elseif depth > 3 then
		return "{...}"
	end
	local parts = {}
	for _, k in ipairs(sorted_keys(v)) do
		parts[#parts + 1] = (type(k) == "number" and "" or tostring(k) .. "=") .. value(v[k], depth + 1)
	end
	return "{" .. table.concat(parts, ", ") .. "}"
end

function text.value(v)
	return value(v, 0)
end

-- "a=1 b="x"": the fields of a table, but for those that without has.
function text.fields(t, without)
	local parts = {}
	for _, k in ipairs(sorted_keys(t)) do
		if not (without and without[k]) then
			parts[#parts + 1] = tostring(k) .. "=" .. text.value(t[k])
		end
	end
	return table.concat(parts, " ")
end

return text
