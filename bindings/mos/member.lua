-- The members of an object: fields, whose functions are called with what the object stands for, and methods. Compiled
-- code finds one without looking, as LuaJIT takes what stands in the __index table of a C type for constant: so all are
-- to be known before the first handler runs.
local ffi = require "ffi"
local check = require "mos.check"

local member = {}

-- what: "field of a packet", for the script that asks for one that is not there. all[name] is the function,
-- get[name](x) the answer to object[name].
function member.new(what)
	local all, is_field = {}, {}
	local getters = setmetatable({}, {
		__index = function(_, name)
			check.unknown(3, what, name, check.keys(all))
		end,
	})
	local self = { all = all, is_field = is_field,
		get = ffi.metatype("struct { const uint8_t _member; }", { __index = getters })() }

	function self.field(name, fn)
		all[name], is_field[name], getters[name] = fn, true, fn
	end

	function self.method(name, fn)
		all[name], is_field[name] = fn, false
		getters[name] = function()
			return fn
		end
	end

	return self
end

return member
