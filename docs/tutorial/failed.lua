local mos = require "mos"
local http = require "mos.events.http"

local failed = mos.event { name = "failed_request", parent = http.response,
	meaning = "A request was answered by an error.",
	fields = { { "uri", "string", "what was asked for" }, { "status", "number", "from 400 on" } },
	filter = function(conn, side, pkt, ev, response)
		local request = response.request
		return response.status >= 400 and { uri = request and request.uri or "?", status = response.status }
	end }

mos.monitor():on(failed, function(conn, side, pkt, ev, fields)
	print(("%s got %d for %s"):format(conn.client, fields.status, fields.uri))
end)
