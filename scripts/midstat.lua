-- A table of the connections that pass, drawn anew again and again, like top.
local mos = require "mos"

local usage = [[
usage: mos-run scripts/midstat.lua -i A[:B] -- [OPTION...]

  --interval SECONDS  between two tables (default 1)
  --rows N            connections in it (default 20)
  --sort COLUMN       rate, bytes, pkts, rexmits, age (default rate); the largest first
  --filter EXPR       pcap filter of the connections' first packets (default: all of them)
  --plain             one table after the other, without clearing the screen
  --help]]

local function fail(...)
	error("midstat: " .. string.format(...), 0)
end

local options = require "mos.options" {
	name = "midstat",
	usage = usage,
	options = {
		interval = "number", rows = "number", sort = "rate|bytes|pkts|rexmits|age", filter = "string", plain = "flag",
	},
	defaults = { interval = 1, rows = 20, sort = "rate" },
}
local interval, rows, sort, plain = options.interval, options.rows, options.sort, options.plain
if interval < 0.01 then
	fail("--interval takes seconds, not '%s'", interval)
elseif rows < 1 then
	fail("--rows takes a number, not '%s'", rows)
end

-- What a connection has, by its two ends as text, of all workers.
local columns = {}
for _, name in ipairs { "rate", "bytes", "pkts", "rexmits", "start", "states" } do
	columns[name] = mos.shared.table("midstat: " .. name)
end
local states = { "closed", "listen", "syn_sent", "syn_rcvd", "established", "fin_wait_1", "fin_wait_2", "close_wait",
	"closing", "last_ack", "time_wait" }
local number_of = {}
for n, name in ipairs(states) do
	number_of[name] = n - 1
end

-- This worker's connections: name -> { conn =, bytes = at the last table }.
local mine = {}
local mon = mos.monitor { filter = options.filter, clibuf = 0, svrbuf = 0 }

local function name_of(conn)
	return ("%-24s %-24s"):format(tostring(conn.client), tostring(conn.server))
end

mon:on("conn_start", "snd", function(conn)
	mine[name_of(conn)] = { conn = conn, bytes = 0 }
end)

mon:on("conn_end", "snd", function(conn, side)
	local name = name_of(conn)
	if side == "cli" and mine[name] then
		mine[name] = nil
		for _, column in pairs(columns) do
			column:delete(name)
		end
	end
end)

local function publish()
	for name, entry in pairs(mine) do
		local a, b = entry.conn.client, entry.conn.server
		local bytes = a.ip_bytes + b.ip_bytes
		columns.rate:set(name, (bytes - entry.bytes) / interval)
		columns.bytes:set(name, bytes)
		columns.pkts:set(name, a.pkts + b.pkts)
		columns.rexmits:set(name, a.rexmits + b.rexmits)
		columns.start:set(name, entry.conn.start_ts)
		columns.states:set(name, number_of[a.state] * 16 + number_of[b.state])
		entry.bytes = bytes
	end
end

local function scaled(n)
	for _, unit in ipairs { "", "K", "M", "G" } do
		if n < 10000 then
			return ("%.0f%s"):format(n, unit)
		end
		n = n / 1000
	end
	return ("%.0fT"):format(n)
end

local function draw()
	local list, now, total = {}, mos.now(), 0
	for name, start in columns.start:each() do
		local row = { name = name, age = now - start }
		for column, t in pairs(columns) do
			row[column] = t:get(name) or 0
		end
		total = total + row.rate
		list[#list + 1] = row
	end
	table.sort(list, function(a, b)
		if a[sort] ~= b[sort] then
			return a[sort] > b[sort]
		end
		return a.name < b.name
	end)
	local out = { plain and "" or "\27[H\27[2J", ("%d connections, %s bytes/s\n"):format(#list, scaled(total)),
		("%-24s %-24s %-23s %8s %7s %7s %7s %6s\n"):format("client", "server", "states", "bytes/s", "bytes", "packets",
			"rexmits", "age") }
	for n = 1, math.min(rows, #list) do
		local row = list[n]
		out[#out + 1] = ("%s %-11s %-11s %8s %7s %7s %7s %6.0f\n"):format(row.name, states[math.floor(row.states / 16) + 1],
			states[row.states % 16 + 1], scaled(row.rate), scaled(row.bytes), scaled(row.pkts), scaled(row.rexmits), row.age)
	end
	io.write(table.concat(out))
	io.flush()
end

mos.every(interval, function()
	publish()
	if mos.worker == 1 then
		draw()
	end
end)
