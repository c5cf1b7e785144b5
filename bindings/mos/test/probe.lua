-- In the script's state: the fields of an event that is being raised, for the test to see. C calls it with its name.
local event = require "mos.event"
local ctx = require("mos.ffi").ctx

return function(name)
	local source = event.source and event.source(name)
	if not source then
		return nil
	end
	return source.fields[source.at == "fields[0]" and 0 or ctx.ref]
end
