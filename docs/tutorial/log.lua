local mos = require "mos"
local http = require "mos.events.http"

local mon = mos.monitor { filter = "tcp port 80" }

mon:on(http.response, function(conn, side, pkt, ev, response)
	local request = response.request
	print(conn.client, request.method, request.host, request.uri, response.status)
end)
