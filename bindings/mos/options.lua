-- require "mos.options": what followed "--" on the command line, for monitors that take options.
local check = require "mos.check"
local ctx = require("mos.ffi").ctx
local host = require "mos.host"

local function fail(name, ...)
	error(name .. ": " .. string.format(...), 0)
end

local function choice(name, option, value, kind)
	local words = {}
	for word in kind:gmatch "[^|]+" do
		words[#words + 1] = word
		if word == value then
			return value
		end
	end
	fail(name, "--%s: unknown value '%s'; it is %s", option, value, table.concat(words, " or "))
end

local function value_of(name, option, kind, value)
	if not value then
		fail(name, "option --%s needs a value", option)
	elseif kind == "number" then
		local n = tonumber(value)
		if not n or n ~= n or n < 0 then
			fail(name, "--%s: '%s' is not a number", option, value)
		end
		return n
	elseif kind == "string" then
		return value
	end
	return choice(name, option, value, kind)
end

-- spec: name (the script's), usage (printed by --help, which ends the run), options: { option = kind }, where kind is
-- "string", "number", "flag" (no value), or words to choose from: "json|table". Returns { option = value }, true for
-- flags; "defaults" holds what is not given. one_worker: the script puts all connections together, which several
-- workers cannot.
return function(spec)
	local options = {}
	for option, value in pairs(spec.defaults or {}) do
		options[option] = value
	end
	local args, i = host.args, 1
	while args[i] do
		local option = args[i]:match "^%-%-([%l-]+)$"
		local kind = option and spec.options[option]
		if option == "help" then
			print(spec.usage)
			os.exit(0)
		elseif not kind then
			fail(spec.name, "unknown option '%s'; --help lists them", args[i])
		end
		if kind == "flag" then
			options[option] = true
			i = i + 1
		else
			options[option] = value_of(spec.name, option, kind, args[i + 1])
			i = i + 2
		end
	end
	if spec.one_worker and ctx.workers > 1 then
		fail(spec.name, "it puts all connections together, which several workers cannot: leave out -j")
	end
	for option, kind in pairs(spec.options) do
		check.argument(2, "mos.options", option, kind, "string")
	end
	return options
end
