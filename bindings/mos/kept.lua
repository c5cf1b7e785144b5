-- require "mos.kept": what a library of events keeps of each connection, apart from conn.data, which is the script's.
-- kept(make) gives a function from a connection to what make() made for it. The one of a connection that has ended goes
-- when another takes its place: there are never more than connections at a time.
local bit = require "bit"
local conn = require "mos.conn"
local C = require("mos.ffi").C

local GEN = C.MOS_HANDLE_GEN

return function(make)
	local values, generations = {}, {}
	return function(h)
		local index = conn.index(h)
		local gen = bit.tobit(bit.rshift(conn.bits(h), GEN))
		if generations[index] ~= gen then
			generations[index] = gen
			values[index] = make()
		end
		return values[index]
	end
end
