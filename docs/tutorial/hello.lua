local mos = require "mos"

mos.monitor():on("conn_start", "snd", function(conn)
	print(conn.client, "to", conn.server)
end)
