local mos = require "mos"
local http = require "mos.events.http"

local limit = tonumber(mos.args[1]) or 0.025

local slow = mos.event { name = "slow_response", parent = http.response, meaning = "A response came late.",
	fields = { { "request", "table", "as of http_request" }, { "seconds", "number", "from request to response" } },
	filter = function(conn, side, pkt, ev, response)
		local seconds = response.ts - response.request.ts
		return seconds > limit and { request = response.request, seconds = seconds }
	end }

mos.monitor():on(slow, function(conn, side, pkt, ev, fields)
	print(("%s waited %.3f s for %s"):format(conn.client, fields.seconds, fields.request.uri))
end)
