-- What tshark and mos-run's libraries of events say of a capture, as multisets of lines, and how they differ.
-- By hand, from the top folder: `luajit tests/kit/tshark.lua CAPTURE...` prints counts and differences.
local kit = require "kit"

local tshark = {}

function tshark.is_there()
	return kit.command { "sh", "-c", "command -v tshark" } == 0
end

-- Ports of the innermost headers, and the types of the handshake messages of a packet.
local common = { "tcp.srcport", "tcp.dstport", "tls.handshake.type" }

-- What is compared. columns: what tshark is asked for; a packet is meant where the column `when` is there, or where a
-- handshake message of that type is. script: how ours prints the same. least: how many have to be the same.
tshark.kinds = {
	-- A target with a blank in it is none (RFC 9112 3.2); tshark ends it there, so that is what is compared.
	{
		name = "HTTP requests", least = 1571,
		when = "http.request.method", columns = { "http.request.method", "http.request.uri", "http.host" },
		script = [[
mon:on(http.request, function(conn, side, pkt, ev, m)
	say(1, conn, side, m.method, m.uri:match "^%S*", m.host or "")
end)
]],
	},
	{
		name = "HTTP responses", least = 746, when = "http.response.code", columns = { "http.response.code" },
		script = "mon:on(http.response, function(conn, side, pkt, ev, m) say(2, conn, side, m.status) end)\n",
	},
	{
		name = "TLS client hellos", least = 406, when = "1",
		columns = { "tls.handshake.extensions_server_name", "tls.handshake.ja3" },
		script = [[
mon:on(tls.client_hello, function(conn, side, pkt, ev, m) say(3, conn, side, m.sni or "", m.ja3 or "") end)
]],
	},
	{
		name = "TLS server hellos", least = 368, when = "2", columns = { "tls.handshake.ja3s" },
		script = "mon:on(tls.server_hello, function(conn, side, pkt, ev, m) say(4, conn, side, m.ja3s) end)\n",
	},
	{
		name = "TLS certificates", least = 460, when = "11", columns = { "tls.handshake.certificate" },
		script = [[
mon:on(tls.certificate, function(conn, side, pkt, ev, m)
	for _, c in ipairs(m.chain) do say(5, conn, side, #c.der) end
end)
]],
		each = true,
		map = function(hex)
			return #hex:gsub(":", "") / 2
		end,
	},
	{
		name = "SSH clients (HASSH)", least = 3, when = "ssh.kex.hassh", columns = { "ssh.kex.hassh" },
		script = [[
mon:on(ssh.offer, function(conn, side, pkt, ev, m) say(m.from == "client" and 6 or 7, conn, side, m.hassh) end)
]],
	},
	{
		name = "SSH servers (HASSH)", least = 2, when = "ssh.kex.hasshserver", columns = { "ssh.kex.hasshserver" },
		script = "",
	},
	-- Of several questions the first; tshark has a word for the root.
	{
		name = "DNS over UDP", least = 1781, when = "dns.id", first = true,
		columns = { "dns.id", "dns.flags.response", "dns.qry.name", "dns.qry.type", "dns.flags.rcode" },
		script = [[
local function message(conn, side, pkt, ev, m)
	print(8, "", "", m.id, m.response and "1" or "0", m.query or "", m.qtype or "", m.rcode)
end
mon:on(dns.query, message)
mon:on(dns.response, message)
]],
		map = function(value, column)
			if column == "dns.id" then
				return tonumber(value)
			end
			return column == "dns.flags.rcode" and value == "" and "0" or value ~= "<Root>" and value or ""
		end,
	},
}

local prelude = [[
local mos = require "mos"
local http = require "mos.events.http"
local tls = require "mos.events.tls"
local ssh = require "mos.events.ssh"
local dns = require "mos.events.dns"
local mon = mos.monitor { clibuf = "4M", svrbuf = "4M" }
local function say(kind, conn, side, ...)
	print(kind, conn[mos.other[side] ].port, conn[side].port, ...)
end
]]

local function add(set, line)
	set[line] = (set[line] or 0) + 1
	set.n = set.n + 1
end

local function empty_sets()
	local sets = {}
	for i in ipairs(tshark.kinds) do
		sets[i] = { n = 0 }
	end
	return sets
end

local function split(text, separator)
	local list = {}
	for part in (text .. separator):gmatch("(.-)" .. separator) do
		list[#list + 1] = part
	end
	return list
end

-- Several values of a field in one packet.
local BETWEEN = "\31"

local function values(text)
	return text == "" and {} or split(text, BETWEEN)
end

local function count_of(list, value)
	local n = 0
	for _, v in ipairs(list) do
		n = n + (v == value and 1 or 0)
	end
	return n
end

-- The lines of one kind in one packet: row is its columns by name.
local function add_packet(kind, row, from, to, types, set)
	local n = kind.when:find "^%d" and count_of(types, kind.when) or #values(row[kind.when])
	if n == 0 then
		return
	end
	local lists = {}
	for i, name in ipairs(kind.columns) do
		lists[i] = values(row[name])
		n = kind.each and #lists[i] or n
	end
	for k = 1, kind.first and 1 or n do
		local line = { from, to }
		for i, list in ipairs(lists) do
			line[i + 2] = kind.map and kind.map(list[k] or "", kind.columns[i]) or list[k] or ""
		end
		add(set, table.concat(line, "\t"))
	end
end

local function all_columns()
	local columns, seen = {}, {}
	local function take(list)
		for _, name in ipairs(list) do
			if not seen[name] then
				seen[name] = true
				columns[#columns + 1] = name
			end
		end
	end
	take(common)
	for _, kind in ipairs(tshark.kinds) do
		take(kind.columns)
	end
	return columns
end

-- What tshark says of a capture: a multiset per kind.
function tshark.ask(capture)
	local columns = all_columns()
	local args = { "tshark", "-r", capture, "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "tcp.check_checksum:FALSE",
		"-Y", "(tcp && (http || tls || ssh)) || ((dns || mdns || llmnr) && udp && !icmp && !icmpv6)",
		"-T", "fields", "-E", "aggregator=" .. BETWEEN, "-E", "separator=/t" }
	for _, name in ipairs(columns) do
		args[#args + 1] = "-e"
		args[#args + 1] = name
	end
	local _, out = kit.command(args)
	local sets = empty_sets()
	for text in out:gmatch "[^\n]+" do
		local row = {}
		for i, value in ipairs(split(text, "\t")) do
			row[columns[i]] = value
		end
		-- Encapsulations give a port each.
		local last = "[^" .. BETWEEN .. "]*$"
		local from, to = row["tcp.srcport"]:match(last), row["tcp.dstport"]:match(last)
		local types = values(row["tls.handshake.type"])
		for i, kind in ipairs(tshark.kinds) do
			add_packet(kind, row, from, to, types, sets[i])
		end
	end
	return sets
end

-- What mos-run says.
function tshark.ours(capture)
	local script = { prelude }
	for _, kind in ipairs(tshark.kinds) do
		script[#script + 1] = kind.script
	end
	local _, out, err = kit.run { "-q", "--midstream", kit.script(table.concat(script)), "-r", capture }
	assert(not err:find "traceback", err)
	local sets = empty_sets()
	for line in out:gmatch "[^\n]+" do
		local kind, rest = line:match "^(%d)\t(.*)$"
		add(sets[tonumber(kind)], rest)
	end
	return sets
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

local function print_differences(capture, kind, theirs, ours, same, rest)
	print(("%s: %s: tshark %d, ours %d, the same %d"):format(capture:match "[^/]*$", kind.name, theirs.n, ours.n, same))
	for i = 1, math.min(#rest, 12) do
		print("  " .. rest[i]:sub(1, 150))
	end
	io.stdout:flush()
end

local function main(captures)
	local total = {}
	for _, capture in ipairs(captures) do
		local theirs, ours = tshark.ask(capture), tshark.ours(capture)
		for i, kind in ipairs(tshark.kinds) do
			local same, rest = tshark.compare(theirs[i], ours[i])
			local t = total[i] or { 0, 0, 0 }
			total[i] = { t[1] + theirs[i].n, t[2] + ours[i].n, t[3] + same }
			if #rest > 0 then
				print_differences(capture, kind, theirs[i], ours[i], same, rest)
			end
		end
	end
	for i, kind in ipairs(tshark.kinds) do
		print(("%-20s tshark %5d  ours %5d  the same %5d"):format(kind.name, unpack(total[i])))
	end
end

if arg and arg[0] and arg[0]:match "tshark%.lua$" then
	main(arg)
end

return tshark
