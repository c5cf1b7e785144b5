local mos = require "mos"

local mon = mos.monitor { filter = "tcp port 80", clibuf = 0, svrbuf = 0 }

mon:on("rexmit", "snd", function(conn, side, pkt)
	local data = conn.data
	data.again = (data.again or 0) + pkt.payload_len
end)

mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then
		print(conn.client, conn.client.bytes, conn.server.bytes, conn.data.again or 0, conn.end_reason)
	end
end)
