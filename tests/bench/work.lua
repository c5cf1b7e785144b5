-- The handlers of work.c, in Lua: mos-bench --lua. The argument names the work.
local ffi = require "ffi"
local mos = require "mos"

ffi.cdef [[
struct work_seen { uint64_t starts, ends, packets, payload, chosen, bytes, lost, sum; };
struct work_seen *work_seen(int number);
void work_take(struct work_seen *seen, uint64_t off, const uint8_t *bytes, size_t n, unsigned port, int side);
]]

local C = ffi.C
local seen = C.work_seen(mos.worker - 1)
local work, unheard = mos.args[1], 999

local function on_packet(_, _, pkt)
	seen.packets = seen.packets + 1
	seen.payload = seen.payload + pkt.payload_len
end

local function monitor(options)
	local mon = mos.monitor(options)
	mon:on("conn_start", "snd", function() seen.starts = seen.starts + 1 end)
	mon:on("conn_end", "snd", function() seen.ends = seen.ends + 1 end)
	return mon
end

-- An event below pkt_in, of packets with payload.
local function define()
	return mos.event { parent = "pkt_in", filter = function(_, _, pkt) return pkt.payload_len > 0 end }
end

local function on_payload(_, _, pkt)
	seen.chosen = seen.chosen + 1
	seen.payload = seen.payload + pkt.payload_len
end

-- What there is to read of a side, which has read rec.at[i] bytes so far.
local function read(conn, side, i)
	local rec = conn.rec
	local p, n, gap = conn:peek_into(side)
	if p then
		C.work_take(seen, rec.at[i], p, n, conn.client.port, i)
		rec.at[i] = rec.at[i] + n
	elseif gap then
		seen.lost = seen.lost + 1
	end
end

local starts = {}

function starts.count()
	monitor { clibuf = 0, svrbuf = 0 }
end

function starts.nobody()
	starts.count()
	for _ = 1, unheard do
		define()
	end
end

function starts.packet()
	monitor { clibuf = 0, svrbuf = 0 }:on("pkt_in", "snd", on_packet)
end

function starts.packet3()
	starts.packet()
	for _ = 1, 2 do
		mos.monitor { clibuf = 0, svrbuf = 0 }:on("pkt_in", "snd", on_packet)
	end
end

function starts.pktude()
	monitor { clibuf = 0, svrbuf = 0 }:on(define(), "snd", on_payload)
end

function starts.many()
	for _ = 1, unheard do
		define()
	end
	starts.pktude()
end

function starts.stream()
	mos.record [[ uint64_t at[2]; ]]
	local mon = monitor {}
	mon:on("conn_new_data", function(conn, side)
		if side == "cli" then
			read(conn, side, 0)
		else
			read(conn, side, 1)
		end
	end)
end

function starts.ude()
	mos.record [[ uint64_t at[2]; ]]
	local request = mos.event {
		parent = "conn_new_data",
		filter = function(conn, side) return side == "svr" and conn:starts_with(side, "GET ") end,
	}
	monitor { clibuf = 0 }:on(request, function(conn, side)
		seen.chosen = seen.chosen + 1
		read(conn, side, 1)
	end)
end

starts[work]()
