-- The smallest monitor: mos-run scripts/hello.lua -r tests/pcaps/http.pcap
local mos = require "mos"

local mon = mos.monitor { filter = "tcp" }

mon:on("conn_start", "snd", function(conn)
	print(("hello %s, talking to %s"):format(conn.client, conn.server))
end)
