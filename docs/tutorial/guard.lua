local mos = require "mos"

local word = "GET " .. (mos.args[1] or "/logo.gif") .. " "
local mon = mos.monitor { filter = "tcp port 80", clibuf = 0 }

local forbidden = mos.event { name = "forbidden", parent = "pkt_in",
	meaning = "The packet completes a request that may not pass, or belongs to a connection that sent one.",
	filter = function(conn, side, pkt)
		return conn.data.forbidden or side == "svr" and pkt.payload_len > 0 and conn:find(side, word, 0)
	end }

mon:on(forbidden, "rcv", function(conn, side, pkt)
	if not conn.data.forbidden then
		mos.log.warn("%s may not have %s", conn.client, mos.args[1] or "/logo.gif")
		conn.data.forbidden = true
	end
	pkt:drop()
end)
