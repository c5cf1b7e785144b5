-- One line per TCP connection, when it ends, with the names and meanings of Zeek's conn.log.
local mos = require "mos"
local bit = require "bit"

local usage = [[
usage: mos-run scripts/conn_log.lua -r CAPTURE [-- OPTION...]

One JSON object per TCP connection on standard output, with the names and meanings of Zeek's conn.log, and
orig_rexmits, resp_rexmits (packets that repeat a byte, SYN or FIN) and end_reason.

  --format json|tsv   tsv: a table for people (default json)
  --filter EXPR       pcap filter of the connections' first packets (default: all of them)
  --streams DIR       write DIR/UID.orig and DIR/UID.resp, the bytes that each end sent
  --help]]

local options = { format = "json" }

local function fail(...)
	error("conn_log: " .. string.format(...), 0)
end

local i = 1
while mos.args[i] do
	local name = mos.args[i]:match "^%-%-(%l+)$"
	if name == "help" then
		print(usage)
		os.exit(0)
	elseif name ~= "format" and name ~= "streams" and name ~= "filter" then
		fail("unknown option '%s'; --help lists them", mos.args[i])
	end
	options[name] = mos.args[i + 1] or fail("option --%s needs a value", name)
	i = i + 2
end
if options.format ~= "json" and options.format ~= "tsv" then
	fail("unknown format '%s'; it is json or tsv", options.format)
end

-- A folder that cannot be written to is better known now than at the first connection.
local function check_folder(path)
	local probe = path .. "/.conn_log"
	local file, err = io.open(probe, "wb")
	if not file then
		fail("--streams: %s", err)
	end
	file:close()
	os.remove(probe)
end

if options.streams then
	check_folder(options.streams)
end

-- What has been written into a connection's history; letters_* has a bit per letter, counts_* their number.
mos.record [[
	uint8_t len;
	uint8_t done;
	uint8_t written[2];
	uint32_t letters[2];
	uint32_t rexmits[2], gaps[2], zero_windows[2], bad_checksums[2];
	char text[96];
]]

local CLI, SVR = 0, 1
local number = { cli = CLI, svr = SVR }

local size = options.streams and "16M" or 0
local mon = mos.monitor { filter = options.filter, clibuf = size, svrbuf = size }

-- Capital letters are the originator's.
local function append(rec, side, letter)
	if rec.len < 96 then
		rec.text[rec.len] = letter:byte() - (side == CLI and 32 or 0)
		rec.len = rec.len + 1
	end
end

-- Most letters stand once per direction.
local function once(rec, side, letter)
	local mask = bit.lshift(1, letter:byte() - 97)
	if bit.band(rec.letters[side], mask) == 0 then
		rec.letters[side] = bit.bor(rec.letters[side], mask)
		append(rec, side, letter)
	end
end

-- Repeated ones at the first, tenth, hundredth ... occurrence.
local function scaled(rec, side, counters, letter)
	local n = counters[side] + 1
	counters[side] = n
	while n > 1 and n % 10 == 0 do
		n = n / 10
	end
	if n == 1 then
		append(rec, side, letter)
	end
end

local FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

mon:on("pkt_in", "snd", function(conn, name, pkt)
	local side, rec, flags = number[name], conn.rec, pkt.flags
	local syn, fin, rst = bit.band(flags, SYN) ~= 0, bit.band(flags, FIN) ~= 0, bit.band(flags, RST) ~= 0

	if side == SVR and conn.client.pkts == 0 and rec.len == 0 and not conn.client.syn then
		rec.text[0] = 94 -- ^: the first packet seen was the responder's
		rec.len = 1
	end
	if syn and (fin or rst) then
		once(rec, side, "q")
	elseif fin and rst then
		once(rec, side, "i")
	end
	if syn then
		once(rec, side, bit.band(flags, ACK) ~= 0 and "h" or "s")
	end
	if pkt.payload_len > 0 and not rst then
		once(rec, side, "d")
	elseif not syn and not fin and not rst and bit.band(flags, ACK) ~= 0 then
		once(rec, side, "a")
	end
	if pkt.window == 0 and not rst and not syn then
		scaled(rec, side, rec.zero_windows, "w")
	end
	if fin then
		once(rec, side, "f")
	end
	if rst then
		once(rec, side, "r")
	end
end)

mon:on("rexmit", "snd", function(conn, name, pkt)
	if pkt.payload_len > 0 then
		scaled(conn.rec, number[name], conn.rec.rexmits, "t")
	end
end)

-- Named by what was sent: what the server received is the originator's.
local function stream_path(conn, side)
	return ("%s/%s.%s"):format(options.streams, conn.uid, side == CLI and "resp" or "orig")
end

local function write_stream(conn, name)
	local side, rec = number[name], conn.rec
	local path = stream_path(conn, side)
	local file, err = io.open(path, rec.written[side] == 0 and "wb" or "ab")
	if not file then
		error(err, 0)
	end
	rec.written[side] = 1
	repeat
		local bytes, gap = conn:peek(name)
		if bytes then
			file:write(bytes)
		end
	until not bytes and not gap
	file:close()
end

if options.streams then
	mon:on("conn_new_data", write_stream)
end

-- The side of an error is the one that should have received.
mon:on("error", function(conn, name)
	local reason, sender = conn and conn.error_reason, 1 - (number[name] or 0)
	if reason == "gap" then
		scaled(conn.rec, sender, conn.rec.gaps, "g")
	elseif reason == "checksum" then
		scaled(conn.rec, sender, conn.rec.bad_checksums, "c")
	elseif reason == "buffer_full" and options.streams then
		write_stream(conn, name)
	end
end)

-- No SYN at all: what ended it tells, and who has been heard.
local function midstream_state(orig, resp)
	if orig.fin and resp.fin then
		return "SF"
	elseif resp.rst then
		return orig.fin and "RSTR" or "RSTRH"
	elseif orig.rst then
		return resp.fin and "RSTO" or "OTH"
	end
	return orig.fin and "SH" or resp.fin and "SHR" or "OTH"
end

-- Zeek's conn_state: who opened, who closed, who reset.
local function state_of(conn)
	local orig, resp = conn.client, conn.server
	if not orig.syn then
		if not resp.syn then
			return midstream_state(orig, resp)
		end
		return (orig.rst or resp.rst) and "RSTRH" or resp.fin and "SHR" or "OTH"
	elseif not resp.syn then
		if resp.bytes > 0 then
			return "OTH" -- it answered, but its SYN-ACK was not captured
		elseif orig.rst then
			return "RSTOS0"
		end
		return resp.rst and "REJ" or orig.fin and "SH" or "S0"
	elseif orig.fin and resp.fin then
		return "SF"
	elseif orig.rst then
		return "RSTO"
	elseif resp.rst then
		return "RSTR"
	end
	return orig.fin and "S2" or resp.fin and "S3" or "S1"
end

-- Bytes that a side sent, seen or missed, as sequence numbers tell. Of one that sent no packet nothing is missed.
local function sent_by(side)
	local missed = side.pkts > 0 and side.missed or 0
	return side.bytes + missed, missed
end

local columns = {
	{ "ts", "%.6f" }, { "uid", '"%s"' }, { "id.orig_h", '"%s"' }, { "id.orig_p", "%d" }, { "id.resp_h", '"%s"' },
	{ "id.resp_p", "%d" }, { "proto", '"%s"' }, { "duration", "%.6f" }, { "orig_bytes", "%.0f" },
	{ "resp_bytes", "%.0f" }, { "conn_state", '"%s"' }, { "missed_bytes", "%.0f" }, { "history", '"%s"' },
	{ "orig_pkts", "%.0f" }, { "orig_ip_bytes", "%.0f" }, { "resp_pkts", "%.0f" }, { "resp_ip_bytes", "%.0f" },
	{ "orig_rexmits", "%d" }, { "resp_rexmits", "%d" }, { "end_reason", '"%s"' },
}

local json, tsv, header = {}, {}, {}
for n, column in ipairs(columns) do
	json[n] = ('"%s":%s'):format(column[1], column[2])
	tsv[n] = column[2]:gsub('"', "")
	header[n] = column[1]
end
local line = options.format == "json" and "{" .. table.concat(json, ",") .. "}\n" or table.concat(tsv, "\t") .. "\n"
if options.format == "tsv" then
	io.write(table.concat(header, "\t"), "\n")
end

mon:on("conn_end", "rcv", function(conn)
	local rec = conn.rec
	if rec.done ~= 0 then
		return
	end
	rec.done = 1
	if options.streams then
		write_stream(conn, "cli")
		write_stream(conn, "svr")
	end
	local orig, resp = conn.client, conn.server
	local orig_bytes, orig_missed = sent_by(orig)
	local resp_bytes, resp_missed = sent_by(resp)
	-- Without buffers nobody waits for missing bytes; they are known by the end.
	if orig_missed > 0 and rec.gaps[CLI] == 0 then
		once(rec, CLI, "g")
	end
	if resp_missed > 0 and rec.gaps[SVR] == 0 then
		once(rec, SVR, "g")
	end
	local history = require("ffi").string(rec.text, rec.len)
	io.write(line:format(conn.start_ts, conn.uid, orig.addr, orig.port, resp.addr, resp.port, "tcp", conn.duration,
		orig_bytes, resp_bytes, state_of(conn), orig_missed + resp_missed, history, orig.pkts,
		orig.ip_bytes, resp.pkts, resp.ip_bytes, orig.rexmits, resp.rexmits, conn.end_reason))
end)
