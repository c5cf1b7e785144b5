local mos = require "mos"

local mon = mos.monitor { filter = "tcp port 80", clibuf = 0 }

local head = mos.event { name = "head", parent = "conn_new_data", meaning = "The head of a request is complete.",
	filter = function(conn, side) return conn:find(side, "\r\n\r\n") end }

mon:on(head, function(conn, side)
	local data, stop = conn.data, conn:find(side, "\r\n\r\n")
	while stop do
		local text = conn:peek(side, stop + 4 - (data.read or 0))
		data.read = stop + 4
		print(conn.client, text:match "^(%u+ %S+) HTTP/")
		stop = conn:find(side, "\r\n\r\n")
	end
end)
