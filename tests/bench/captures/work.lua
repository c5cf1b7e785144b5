-- The handlers of work.c, in Lua. The argument names the work. "stream" calls bench_sum of sum.so, which LD_PRELOAD
-- brings: a script that loads code of its own might look back at what it has read, so the runtime would keep it.
local ffi = require "ffi"
local mos = require "mos"

local work = mos.args[1]
local seen = ffi.new "struct { uint64_t connections, ended, packets, bytes, lost, sum; }"
local buffer = work ~= "stream" and 0 or nil
local mon = mos.monitor { family = 4, clibuf = buffer, svrbuf = buffer }

mon:on("conn_start", "snd", function() seen.connections = seen.connections + 1 end)
mon:on("conn_end", "snd", function(_, side)
	if side == "cli" then
		seen.ended = seen.ended + 1
	end
end)

if work == "packet" then
	mon:on("pkt_in", "snd", function() seen.packets = seen.packets + 1 end)
elseif work == "stream" then
	ffi.cdef "uint64_t bench_sum(uint64_t off, const uint8_t *bytes, size_t n, unsigned port, int side);"
	local C = ffi.C
	mos.record [[ uint64_t at[2]; ]]

	local function read(conn, side, i)
		local rec = conn.rec
		local p, n, gap = conn:peek_into(side)
		if p then
			seen.sum = seen.sum + C.bench_sum(rec.at[i], p, n, conn.client.port, i)
			seen.bytes = seen.bytes + n
			rec.at[i] = rec.at[i] + n
		elseif gap then
			seen.lost = seen.lost + 1
		end
	end
	mon:on("conn_new_data", function(conn, side)
		if side == "cli" then
			read(conn, side, 0)
		else
			read(conn, side, 1)
		end
	end)
end

local printed = { count = {}, packet = { "packets" }, stream = { "bytes", "lost", "sum" } }

mos.at_exit(function()
	local line = { "connections=" .. tostring(seen.connections), "ended=" .. tostring(seen.ended) }
	for _, name in ipairs(printed[work]) do
		line[#line + 1] = name .. "=" .. tostring(seen[name])
	end
	print((table.concat(line, " "):gsub("ULL", "")))
end)
