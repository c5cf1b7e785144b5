-- What tshark and mos-run's libraries of events say of a capture, as multisets of lines, and how they differ.
-- By hand, from the top folder: `luajit tests/kit/tshark.lua CAPTURE...` prints counts and differences.
package.path = "tests/kit/?.lua;" .. package.path
local kit = require "kit"

local tshark = {}

function tshark.is_there()
	return kit.command { "sh", "-c", "command -v tshark" } == 0
end

-- What is compared: what tshark is asked for, how its columns become lines, and the script that prints the same.
local ports = { "tcp.srcport", "tcp.dstport" }

tshark.kinds = {
	-- A target with a blank in it is none (RFC 9112 3.2); tshark ends it there, so that is what is compared.
	{
		name = "HTTP requests", filter = "http.request.version && tcp",
		fields = { "http.request.method", "http.request.uri", "http.host" },
		script = [[
mon:on(http.request, function(conn, side, pkt, ev, m)
	local from, to = ends(conn, side)
	print(from, to, m.method, m.uri:match "^%S*", m.host or "")
end)
]],
	},
	{
		name = "HTTP responses", filter = "http.response.code && tcp",
		fields = { "http.response.code" },
		script = [[
mon:on(http.response, function(conn, side, pkt, ev, m)
	local from, to = ends(conn, side)
	print(from, to, m.status)
end)
]],
	},
	{
		name = "TLS client hellos", filter = "tls.handshake.type == 1 && tcp",
		fields = { "tls.handshake.extensions_server_name", "tls.handshake.ja3" },
		script = [[
mon:on(tls.client_hello, function(conn, side, pkt, ev, m)
	local from, to = ends(conn, side)
	print(from, to, m.sni or "", m.ja3)
end)
]],
	},
	{
		name = "TLS server hellos", filter = "tls.handshake.type == 2 && tcp",
		fields = { "tls.handshake.ja3s" },
		script = [[
mon:on(tls.server_hello, function(conn, side, pkt, ev, m)
	local from, to = ends(conn, side)
	print(from, to, m.ja3s)
end)
]],
	},
	{
		name = "TLS certificates", filter = "tls.handshake.certificate && tcp",
		fields = { "tls.handshake.certificate" }, each = true,
		script = [[
mon:on(tls.certificate, function(conn, side, pkt, ev, m)
	local from, to = ends(conn, side)
	for _, c in ipairs(m.chain) do
		print(from, to, #c.der)
	end
end)
]],
		map = function(hex)
			return #hex:gsub(":", "") / 2
		end,
	},
}

local prelude = [[
local mos = require "mos"
local http = require "mos.events.http"
local tls = require "mos.events.tls"
local mon = mos.monitor { clibuf = "4M", svrbuf = "4M" }
local function ends(conn, side)
	return conn[mos.other[side] ].port, conn[side].port
end
]]

local function add(set, line)
	set[line] = (set[line] or 0) + 1
	set.n = (set.n or 0) + 1
end

-- Encapsulations give a field several times; the innermost is last. Messages of one packet are joined, too.
local function last(text)
	return text:match "[^\31]*$"
end

local function split(text, separator)
	local list = {}
	for part in (text .. separator):gmatch("(.-)" .. separator) do
		list[#list + 1] = part
	end
	return list
end

function tshark.ask(kind, capture)
	local args = { "tshark", "-r", capture, "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "tcp.check_checksum:FALSE",
		"-o", "http.tls.port:443", "-Y", kind.filter, "-T", "fields", "-E", "aggregator=\31", "-E", "separator=/t" }
	for _, list in ipairs { ports, kind.fields } do
		for _, field in ipairs(list) do
			args[#args + 1] = "-e"
			args[#args + 1] = field
		end
	end
	local _, out = kit.command(args)
	local set = { n = 0 }
	for line in out:gmatch "[^\n]+" do
		local columns = split(line, "\t")
		local from, to = last(columns[1]), last(columns[2])
		local values = {}
		local most = 1
		for i = 3, #columns do
			values[i - 2] = split(columns[i], "\31")
			most = math.max(most, #values[i - 2])
		end
		for k = 1, most do
			local row = { from, to }
			for i, list in ipairs(values) do
				local value = list[k] or ""
				row[i + 2] = kind.map and kind.map(value) or value
			end
			add(set, table.concat(row, "\t"))
		end
	end
	return set
end

function tshark.ours(kind, capture)
	local path = kit.script(prelude .. kind.script)
	local _, out, err = kit.run { "-q", "--midstream", path, "-r", capture }
	assert(not err:find "traceback", err)
	local set = { n = 0 }
	for line in out:gmatch "[^\n]+" do
		add(set, line)
	end
	return set
end

-- How many lines are in both, and those that are only in one: "-" tshark's, "+" ours.
function tshark.compare(theirs, ours)
	local same, rest = 0, {}
	for line, count in pairs(theirs) do
		if line ~= "n" then
			local mine = ours[line] or 0
			same = same + math.min(count, mine)
			for _ = mine + 1, count do
				rest[#rest + 1] = "- " .. line
			end
		end
	end
	for line, count in pairs(ours) do
		if line ~= "n" then
			for _ = (theirs[line] or 0) + 1, count do
				rest[#rest + 1] = "+ " .. line
			end
		end
	end
	table.sort(rest)
	return same, rest
end

if arg and arg[0] and arg[0]:match "tshark%.lua$" then
	local total = {}
	for _, capture in ipairs(arg) do
		for _, kind in ipairs(tshark.kinds) do
			local theirs, ours = tshark.ask(kind, capture), tshark.ours(kind, capture)
			local same, rest = tshark.compare(theirs, ours)
			local t = total[kind.name] or { 0, 0, 0 }
			total[kind.name] = { t[1] + theirs.n, t[2] + ours.n, t[3] + same }
			if #rest > 0 then
				print(("%s: %s: tshark %d, ours %d, the same %d"):format(capture:match "[^/]*$", kind.name, theirs.n, ours.n, same))
				for i = 1, math.min(#rest, 12) do
					print("  " .. rest[i]:sub(1, 150))
				end
			end
		end
	end
	for _, kind in ipairs(tshark.kinds) do
		local t = total[kind.name]
		print(("%-20s tshark %5d  ours %5d  the same %5d"):format(kind.name, t[1], t[2], t[3]))
	end
end

return tshark
