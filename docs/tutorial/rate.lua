local mos = require "mos"

local packets, bytes = 0, 0

mos.monitor { clibuf = 0, svrbuf = 0 }:on("pkt_in", "snd", function(conn, side, pkt)
	packets = packets + 1
	bytes = bytes + pkt.len
end)

local function line()
	print(("%.0f  %d packets, %d bytes"):format(mos.now(), packets, bytes))
	packets, bytes = 0, 0
end

mos.every(1, line)
mos.at_exit(line)
