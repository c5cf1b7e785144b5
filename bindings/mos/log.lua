-- Lines on standard error. The format is string.format's, and a lone string is printed as it is.
local C = require("mos.ffi").C

local function at(level)
	return function(fmt, ...)
		local text = tostring(fmt)
		if select("#", ...) > 0 then
			text = text:format(...)
		end
		C.mos_ffi_log(level, text)
	end
end

return { error = at(0), warn = at(1), info = at(2), debug = at(3) }
