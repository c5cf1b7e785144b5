-- Reading one line of text from left to right, with complaints that say what is wrong with it.

local line = {}

-- A fault in the text. Who reads the lines adds the place.
function line.fail(...)
	error({ cause = select("#", ...) > 1 and string.format(...) or (...) }, 0)
end

function line.check(ok, ...)
	if not ok then
		line.fail(...)
	end
	return ok
end

local check = line.check

-- A whole number in [low, high].
function line.number(text, what, low, high)
	local n = text:match "^%-?%d+$" and tonumber(text)
	check(n, "%s is '%s', not a number", what, text)
	check(n >= low and n <= high, "%s is %s, not within %.0f to %.0f", what, text, low, high)
	return n
end

function line.hex(text, what)
	local digits = text:gsub("%s+", "")
	check(digits:match "^%x*$" and #digits % 2 == 0, "%s are pairs of hex digits, not '%s'", what, text)
	return (digits:gsub("%x%x", function(pair)
		return string.char(tonumber(pair, 16))
	end))
end

local Line = {}
Line.__index = Line

function line.new(text)
	return setmetatable({ text = text, at = 1 }, Line)
end

-- If the pattern matches behind spaces: move behind it and return its captures (or true). Else nil.
function Line:take(pattern)
	local from, to, a, b, c = self.text:find("^%s*" .. pattern, self.at)
	if not from then
		return nil
	end
	self.at = to + 1
	return a or true, b, c
end

function Line:word(what)
	return check(self:take "([^%s#]+)", "missing: %s", what)
end

-- What is left, without a comment.
function Line:rest()
	return self.text:match("^%s*([^#]-)%s*$", self.at) or self.text:match("^%s*([^#]-)%s*#", self.at)
end

local ESCAPE = { r = "\r", n = "\n", t = "\t", ["0"] = "\0", ["\\"] = "\\", ['"'] = '"' }

-- The character behind a backslash.
local function escaped(self)
	local hex = self.text:match("^x(%x%x)", self.at)
	local letter = self.text:sub(self.at, self.at)
	self.at = self.at + (hex and 3 or 1)
	return hex and string.char(tonumber(hex, 16))
		or check(ESCAPE[letter], "unknown escape '\\%s' in the payload", letter)
end

-- A quoted string, from behind its opening quote to behind its closing one.
function Line:quoted()
	local out = {}
	repeat
		local plain, stop = self.text:match('^([^\\"]*)([\\"])', self.at)
		check(plain, "the payload's closing quote is missing")
		self.at = self.at + #plain + 1
		out[#out + 1] = plain
		if stop == "\\" then
			out[#out + 1] = escaped(self)
		end
	until stop == '"'
	return table.concat(out)
end

return line
