-- The fields of an event that is being raised, for who looks on: tests, and --explain. C calls these with its name.
local event = require "mos.event"
local text = require "mos.text"
local ctx = require("mos.ffi").ctx

local fields = {}

-- The table that handlers receive; nil where there is none.
function fields.of(name)
	local source = event.source(name)
	if not source then
		return nil
	end
	return source.fields[source.at == "fields[0]" and 0 or ctx.ref]
end

-- The same as a line.
function fields.text(name)
	local t = fields.of(name)
	return type(t) == "table" and text.fields(t) or ""
end

return fields
