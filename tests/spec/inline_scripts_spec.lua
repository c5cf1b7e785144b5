-- The scripts that stand in the path, on captures: what they print, and what leaves.
local kit = require "kit"

local function script(name)
	return ("%s/scripts/%s.lua"):format(kit.source, name)
end

-- Run a script on a conversation: the text of what left, one packet per line, and what was printed.
local function run(name, text, ...)
	local path = kit.tmp ".pcap"
	local code, out, err = kit.run { "-q", script(name), "-r", kit.pcap(text), "-w", path, "--", ... }
	assert.same({ 0, "" }, { code, err })
	local list = {}
	local watch = kit.script [[
require "mos".monitor { raw = true }:on("pkt_in", function(_, _, p)
	local flags = (p.syn and "S" or "") .. (p.fin and "F" or "") .. (p.rst and "R" or "") .. (p.is_ack and "." or "")
	print(("%s:%d > %s:%d %s %s"):format(p.src_addr, p.src_port, p.dst_addr, p.dst_port, flags, p:payload_string()))
end)]]
	local _, left, complaint = kit.run { "--verify-checksums", "--stats", watch, "-r", path }
	assert.matches("\n  bad_checksum +0 ", complaint)
	for line in left:gmatch "[^\n]+" do
		list[#list + 1] = (line:gsub(" +$", ""))
	end
	return list, out
end

local function fails(name, ...)
	local code, out, err = kit.run { script(name), "-r", kit.pcap "0 C S 0:0(0)", "--", ... }
	assert.same({ 1, "" }, { code, out })
	return err:match "^mos%-run: error: (.-)\n$"
end

local talk = [[
0     C S  0:0(0)
+.01  S S. 0:0(0) ack 1
+.01  C .  1:1(0) ack 1
+.01  C P. 1:6(5) ack 1 "hello"
+.01  S P. 1:12(11) ack 6 "hello world"
+.01  C F. 6:6(0) ack 12
+.01  S F. 12:12(0) ack 7
+.01  C .  7:7(0) ack 13
]]

-- An ICMP echo of this type with this identifier, between addresses as hex.
local function echo(time, from, to, kind, id)
	local function sum(hex)
		local n = 0
		for word in hex:gmatch "%x%x%x%x" do n = n + tonumber(word, 16) end
		return ("%04x"):format(65535 - (n % 65536 + math.floor(n / 65536)) % 65535)
	end
	local icmp = ("%02x00%%s%04x000161626364"):format(kind, id)
	local ip = "450000200000400040" .. "01%s" .. from .. to
	return ("%s raw %s0800%s%s"):format(time, ("02"):rep(12), ip:format(sum(ip:format "0000")),
		icmp:format(sum(icmp:format "0000")))
end

local function rules(text)
	return kit.write(kit.tmp ".rules", text)
end

describe("firewall.lua", function()
	it("lets pass what no rule names", function()
		local list, out = run("firewall", talk, rules "")
		assert.equal(8, #list)
		assert.equal("", out)
	end)

	it("drops a connection from its first packet on", function()
		local list, out = run("firewall", talk, rules "drop log tcp from 10.0.0.0/30 to any port 80-90")
		assert.same({}, list)
		assert.equal("drop tcp 10.0.0.1:40000 -> 10.0.0.2:80, line 1\n", out)
	end)

	it("rejects with a RST to the client", function()
		local list = run("firewall", "0 C S 0:0(0)", rules "pass udp\nreject tcp to 10.0.0.2")
		table.sort(list)
		assert.same({ "10.0.0.1:40000 > 10.0.0.2:80 R.", "10.0.0.2:80 > 10.0.0.1:40000 R." }, list)
	end)

	it("asks in the order of the lines", function()
		assert.equal(8, #run("firewall", talk, rules "pass tcp port 80\ndrop"))
		assert.equal(0, #run("firewall", talk, rules "pass tcp port 81 # not ours\ndrop"))
		assert.equal(0, #run("firewall", talk, rules "", "--default", "drop"))
	end)

	it("knows IPv6", function()
		local six = "client [2001:db8::1]:4000\nserver [2001:db8::8000:2]:80\n" .. talk
		assert.equal(0, #run("firewall", six, rules "drop from 2001:db8::/97 to 2001:db8::8000:0/97"))
		assert.equal(8, #run("firewall", six, rules "drop from 2001:db8::/97 to 2001:db8::/97"))
		assert.equal(8, #run("firewall", six, rules "drop from 0.0.0.0/0"))
	end)

	it("asks for packets without a connection, whichever way they go", function()
		local text = "0 C . 1:1(0) ack 1\n+.1 S . 1:1(0) ack 1"
		assert.equal(0, #run("firewall", text, rules "drop from 10.0.0.1 to any port 80"))
		assert.equal(2, #run("firewall", text, rules "drop udp\ndrop icmp"))
	end)

	it("lets answers pass to datagrams and pings that it let pass, for a minute", function()
		local function left(text, ...)
			local path = kit.tmp ".pcap"
			local code, out, err = kit.run { script "firewall", "-r", kit.pcap(text), "-w", path, "--", ... }
			assert.same({ 0, "" }, { code, err })
			local _, list = kit.run { kit.script [[
require "mos".monitor { raw = true }:on("pkt_in", function(_, _, p)
	local _, _, from = p:udp()
	print(from or p:icmp())
end)]], "-r", path }
			return list:gsub("\t[^\n]*", ""):gsub("\n", " "), out
		end
		local path = rules "pass log udp from 10.0.0.1 to any port 80\npass icmp from 10.0.0.1"
		local list, out = left([[
			0    S udp "not asked for"
			+1   C udp "question"
			+1   S udp "answer"
			+50  S udp "and more"
			+70  S udp "too late"
			conn other
			client 10.0.0.1:40001
			+1   other.S udp "another port"
			+1   other.C udp "question"
			+1   other.S udp "answer"
		]], path, "--default", "drop")
		assert.equal("40000 80 80 40001 80 ", list)
		assert.equal(("pass udp 10.0.0.1 -> 10.0.0.2, line 1\n"):rep(2), out)
		local here, there = "0a000001", "0a000002"
		assert.equal("8 0 3 ", (left(table.concat({ echo("0", there, here, 0, 5), echo("+1", here, there, 8, 5),
			echo("+1", there, here, 0, 5), echo("+1", there, here, 0, 6), echo("+1", there, here, 8, 5),
			echo("+1", there, here, 3, 5), echo("+1", here, there, 3, 5) }, "\n"), path, "--default", "drop")))
	end)

	it("names what is wrong, with its line", function()
		local function wrong(text)
			local path = rules("pass\n" .. text)
			local err = fails("firewall", path)
			assert.equal(path .. ":2: ", err:match "^firewall: (.-:2: )")
			return err:match ":2: (.*)"
		end
		assert.equal("'deny' is no action; there is pass, drop, reject", wrong "deny tcp")
		assert.equal("'10.0.0.0/33' is no address", wrong "drop from 10.0.0.0/33")
		assert.equal("'10.0.0/8' is no address", wrong "drop from 10.0.0/8")
		assert.equal("'90-80' is no port", wrong "drop port 90-80")
		assert.equal("'to' needs its value", wrong "drop to")
		assert.equal("'sctp' is not understood", wrong "drop sctp")
		assert.matches("^firewall: nowhere: No such file", fails("firewall", "nowhere"))
	end)
end)

describe("rewrite.lua", function()
	it("replaces a text in one direction, and the numbers follow", function()
		local list, out = run("rewrite", talk, "--from", "hello", "--to", "good morning")
		assert.equal("10.0.0.1:40000 > 10.0.0.2:80 . hello", list[4])
		assert.equal("10.0.0.2:80 > 10.0.0.1:40000 . good morning world", list[5])
		assert.equal("replaced 1, could not replace 0\n", out)
	end)

	it("replaces in the other direction, and every occurrence", function()
		local list = run("rewrite", talk, "--from", "l", "--to", "", "--receiver", "svr")
		assert.equal("10.0.0.1:40000 > 10.0.0.2:80 . heo", list[4])
		assert.equal("10.0.0.2:80 > 10.0.0.1:40000 . hello world", list[5])
	end)

	it("leaves a stream that a receiver puts together", function()
		local path = kit.tmp ".pcap"
		kit.run { "-q", script "rewrite", "-r", kit.pcap(talk), "-w", path, "--", "--from", "hello", "--to", "good morning" }
		local _, out = kit.run { script "conn_log", "-r", path }
		assert.matches('"orig_bytes":5,"resp_bytes":18,"conn_state":"SF","missed_bytes":0', out)
	end)
end)

describe("rewrite.lua, of a text that packets share,", function()
	-- A connection whose server sends these pieces, in their order or as pieces.order says by number; and a FIN, unless
	-- last is false.
	local function served(name, port, pieces, last)
		local lines = { ("conn %s\nclient 10.0.0.1:%d"):format(name, port) }
		local function add(line)
			lines[#lines + 1] = line:gsub("SIDE", name .. ".")
		end
		add "+.001 SIDEC S 0:0(0)"
		add "+.001 SIDES S. 0:0(0) ack 1"
		add "+.001 SIDEC . 1:1(0) ack 1"
		local from, at = {}, 1
		for i, piece in ipairs(pieces) do
			from[i], at = at, at + #piece
		end
		for n = 1, #(pieces.order or pieces) do
			local i = pieces.order and pieces.order[n] or n
			add(("+.001 SIDES P. %d:%d(%d) ack 1 %q"):format(from[i], from[i] + #pieces[i], #pieces[i], pieces[i]))
		end
		if last ~= false then
			add(("+.001 SIDES F. %d:%d(0) ack 1"):format(at, at))
		end
		return table.concat(lines, "\n")
	end

	local received = kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
local got = {}
mon:on("conn_new_data", function(conn, side)
	if side == "cli" then
		got[conn.client.port] = (got[conn.client.port] or "") .. conn:peek(side)
	end
end)
mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.client.port, conn.server.fin, got[conn.client.port] or "") end
end)
]]

	-- What clients receive, by their ports.
	local function streams(text, ...)
		local path = kit.tmp ".pcap"
		local code, _, err = kit.run { script "rewrite", "-r", kit.pcap(text), "-w", path, "--", ... }
		assert.same({ 0, "" }, { code, err })
		local _, out, complaint = kit.run { "--verify-checksums", "--stats", received, "-r", path }
		assert.matches("\n  bad_checksum +0 ", complaint)
		local list = {}
		for port, fin, bytes in out:gmatch "(%d+)\t(%l+)\t([^\n]*)\n" do
			list[tonumber(port)] = { bytes, fin }
		end
		return list
	end

	local function every_split(from, to, before, after)
		local whole, list = before .. from .. after, {}
		for i = 1, #whole - 1 do
			list[i] = served("c" .. i, i, { whole:sub(1, i), whole:sub(i + 1) })
		end
		local bytes = {}
		for i = 1, #whole do
			bytes[i] = whole:sub(i, i)
		end
		list[#list + 1] = served("bytes", 1000, bytes)
		local got = streams(table.concat(list, "\n"), "--from", from, "--to", to)
		for i = 1, #whole - 1 do
			assert.same({ before .. to .. after, "true" }, got[i], i)
		end
		assert.same({ before .. to .. after, "true" }, got[1000])
	end

	it("finds it, wherever it is cut, and byte by byte", function()
		every_split("hello world", "good morning", "<<", ">>")
		every_split("hello world", "x", "hello", "hel")
		every_split("aab", "", "aaa", "aaaa")
		every_split("abcabd", "ABCABD", "abcabc", "")
	end)

	it("finds it when packets come in another order, and are repeated", function()
		local pieces = { "one he", "llo t", "wo", order = { 2, 1, 3, 2, 3, 1, 2, 3 } }
		local got = streams(served("a", 1, pieces) .. "\n" .. served("b", 2, { "he", "hello", order = { 1, 1, 2, 1, 2 } }),
			"--from", "hello", "--to", "good morning")
		assert.same({ "one good morning two", "true" }, got[1])
		assert.same({ "hegood morning", "true" }, got[2])
		got = streams(served("a", 1, { "one he", "llo t", "wo", order = { 3, 2, 1 } }), "--from", "hello", "--to", "bye")
		assert.same({ "one bye two", "true" }, got[1])
	end)

	it("finds it in any stream, cut, repeated and mixed up in any way", function()
		local seed = 1
		local function random(n) -- the same on every machine
			seed = (seed * 16807) % 2147483647
			return seed % n + 1
		end
		local list, streamed = {}, {}
		for port = 1, 40 do
			local letters = {}
			for i = 1, 20 + random(60) do
				letters[i] = ("ab"):sub(random(2), -1):sub(1, 1)
			end
			local whole = table.concat(letters)
			local lines = { ("conn r%d\nclient 10.0.0.1:%d"):format(port, port) }
			local function add(line, ...)
				lines[#lines + 1] = ("+.001 r%d.%s"):format(port, line:format(...))
			end
			add "C S 0:0(0)"
			add "S S. 0:0(0) ack 1"
			add "C . 1:1(0) ack 1"
			local function piece(from, to)
				add("S P. %d:%d(%d) ack 1 %q", from, to + 1, to - from + 1, whole:sub(from, to))
			end
			for _ = 1, 12 do
				local from = random(#whole)
				piece(from, math.min(#whole, from + random(9) - 1))
			end
			local from = 1
			while from <= #whole do
				local to = math.min(#whole, from + random(7) - 1)
				piece(from, to)
				from = to + 1
			end
			if random(2) == 1 then
				-- It may carry the last bytes once more.
				local back = random(4)
				add("S F. %d:%d(%d) ack 1 %q", #whole + 1 - back, #whole + 1, back, whole:sub(-back))
			end
			add("S F. %d:%d(0) ack 1", #whole + 1, #whole + 1)
			list[port], streamed[port] = table.concat(lines, "\n"), whole
		end
		for _, case in ipairs { { "abba", "long and longer" }, { "aab", "" }, { "abab", "b" }, { "b", "bb" } } do
			local got = streams(table.concat(list, "\n"), "--from", case[1], "--to", case[2])
			for port, whole in ipairs(streamed) do
				assert.same({ (whole:gsub(case[1], case[2])), "true" }, got[port], case[1] .. " in " .. whole)
			end
		end
	end)

	it("lets go what it kept back, after a while or with the FIN", function()
		local text = served("a", 1, { "it is hell" }, false) .. "\n+1 a.C . 1:1(0) ack 1\n"
			.. served("b", 2, { "it is hell" }) .. "\n+1 a.C . 1:1(0) ack 1"
		local got = streams(text, "--from", "hello", "--to", "good morning")
		assert.same({ "it is hell", "false" }, got[1])
		assert.same({ "it is hell", "true" }, got[2])
	end)

	it("goes on behind bytes that the receiver has from elsewhere", function()
		local text = served("a", 1, { "one", "two", "hello", order = { 1, 3 } }, false)
			.. "\n+.01 a.C . 1:1(0) ack 12\n+.01 a.S P. 12:17(5) ack 1 \"hello\""
		local path = kit.tmp ".pcap"
		kit.run { script "rewrite", "-r", kit.pcap(text), "-w", path, "--", "--from", "hello", "--to", "x" }
		local _, out = kit.run { kit.script [[
require "mos".monitor { raw = true }:on("pkt_in", function(_, _, p)
	if p.payload_len > 0 then print(p:payload_string()) end
end)]], "-r", path }
		assert.equal("one\nhello\nx\n", out) -- the first is of no use any more
	end)
end)

describe("nat.lua", function()
	local args = { "--inside", "10.0.0.1/32", "--address", "192.0.2.9", "--ports", "5000-5001", "--timeout", "60" }

	it("gives each end inside a port, and brings the answers back", function()
		local list, out = run("nat", [[
			0     C S  0:0(0)
			conn back
			client 192.0.2.9:5000
			server 10.0.0.2:80
			isn S 5000
			+.01  back.S S. 0:0(0) ack 1
		]], unpack(args))
		local port = list[1]:match "^192%.0%.2%.9:(%d+) > 10%.0%.0%.2:80 S$"
		assert.is_truthy(port)
		local answered = port == "5000" and "10.0.0.1:40000" or "192.0.2.9:5000"
		assert.equal("10.0.0.2:80 > " .. answered .. " S.", list[2])
		assert.equal(("translated %d packets, refused 0, ports in use 1\n"):format(port == "5000" and 2 or 1), out)
	end)

	local function syns(list)
		local text = {}
		for n, at in ipairs(list) do
			text[n] = ("conn c%d\nclient 10.0.0.1:%d\nserver 10.0.0.2:80\n%f c%d.C S 0:0(0)"):format(n, 40000 + n, at, n)
		end
		return table.concat(text, "\n")
	end

	it("tells ends inside apart, whatever their addresses", function()
		local _, out = run("nat", [[
			client 192.168.100.200:50001
			server 10.0.0.2:80
			0 C S 0:0(0)
			conn b
			client 192.168.100.200:50002
			+.1 b.C S 0:0(0)
		]], "--inside", "192.168.0.0/16", "--address", "192.0.2.9")
		assert.equal("translated 2 packets, refused 0, ports in use 2\n", out)
	end)

	-- Like run, for what is not TCP: each packet that leaves, with its checksum.
	local function datagrams(text, ...)
		local path = kit.tmp ".pcap"
		local code, out, err = kit.run { script "nat", "-r", kit.pcap(text), "-w", path, "--", ... }
		assert.same({ 0, "" }, { code, err })
		local _, left = kit.run { kit.script [[
local mos = require "mos"
-- RFC 1071 over what is behind the IP header, and UDP's pseudo-header.
local function sum(p)
	local n, at = 0, 0
	for i = 34, p.caplen - 1 do n = n + p.data[i] * (i % 2 == 0 and 256 or 1) end
	if p.ip_proto == 17 then
		for i = 26, 33 do n = n + p.data[i] * (i % 2 == 0 and 256 or 1) end
		n = n + 17 + p.ip_len - 20
	end
	while n > 65535 do n = n % 65536 + math.floor(n / 65536) end
	return n
end
mos.monitor { raw = true }:on("pkt_in", function(_, _, p)
	local _, _, from, to = p:udp()
	local kind, _, id, seq = p:icmp()
	print(("%s%s > %s%s%s %x"):format(p.src_addr, from and ":" .. from or "", p.dst_addr, to and ":" .. to or "",
		kind and (" icmp %d %d %d"):format(kind, id, seq) or "", sum(p)))
end)]], "-r", path }
		local list = {}
		for line in left:gmatch "[^\n]+" do
			list[#list + 1] = line
		end
		return list, out
	end

	it("translates UDP, there and back, with right checksums", function()
		local nat = { "--inside", "10.0.0.1/32", "--address", "192.0.2.9", "--ports", "5000-5000" }
		assert.same({ "192.0.2.9:5000 > 10.0.0.2:80 ffff", "10.0.0.2:80 > 10.0.0.1:40000 ffff",
			"10.0.0.3:9 > 10.0.0.1:40000 ffff" },
			(datagrams([[
			0     C udp "question"
			conn back
			client 192.0.2.9:5000
			+.01  back.S udp "an answer"
			conn other
			client 192.0.2.9:5000
			server 10.0.0.3:9
			+.01  other.S udp "from elsewhere"
		]], unpack(nat))))
		local list, out = datagrams([[
			0     C udp "question"
			conn b
			client 10.0.0.1:40001
			+10   b.C udp "no port left"
			+51   b.C udp "now there is"
			+1    b.C udp "and again"
		]], "--udp-timeout", "60", unpack(nat))
		assert.equal(3, #list)
		assert.equal("translated 3 packets, refused 1, ports in use 1\n", out)
	end)

	it("translates pings, and lets out nothing else", function()
		local list, out = datagrams(table.concat({ echo("0", "0a000001", "0a000002", 8, 77),
			echo("+.1", "0a000002", "c0000209", 0, 5000), echo("+.1", "0a000001", "0a000002", 3, 77),
			echo("+.1", "0a000001", "0a000002", 0, 78) }, "\n"),
			"--inside", "10.0.0.1/32", "--address", "192.0.2.9", "--ports", "5000-5000")
		assert.same({ "192.0.2.9 > 10.0.0.2 icmp 8 5000 1 ffff", "10.0.0.2 > 10.0.0.1 icmp 0 77 1 ffff" }, list)
		assert.equal("translated 2 packets, refused 2, ports in use 1\n", out)
	end)

	it("refuses when all ports are taken, and gives one again when it was idle", function()
		local list, out = run("nat", syns { 1, 2, 3, 90 }, unpack(args))
		assert.equal(3, #list)
		assert.equal("translated 3 packets, refused 1, ports in use 1\n", out)
		local ports = {}
		for n = 1, 2 do
			ports[list[n]:match "^192%.0%.2%.9:(%d+)"] = true
		end
		assert.same({ ["5000"] = true, ["5001"] = true }, ports)
	end)

	it("gives a port again soon after a RST", function()
		local _, out = run("nat", syns { 1 } .. "\n+.1 c1.C R 1:1(0)\nconn d\nclient 10.9.9.9:1\n+20 d.C S 0:0(0)",
			unpack(args))
		assert.equal("translated 2 packets, refused 0, ports in use 0\n", out)
	end)

	it("leaves alone what does not come from inside", function()
		local list, out = run("nat", "client 10.0.0.7:1\n" .. talk, unpack(args))
		assert.equal("10.0.0.7:1 > 10.0.0.2:80 S", list[1])
		assert.equal("translated 0 packets, refused 0, ports in use 0\n", out)
	end)

	it("says which option is wrong", function()
		assert.equal("nat: --inside takes a net such as 10.0.0.0/8, not 'nil'", fails "nat")
		assert.equal("nat: --ports takes ports such as 20000-60000, not '9-1'",
			fails("nat", "--inside", "10.0.0.0/8", "--address", "192.0.2.1", "--ports", "9-1"))
	end)
end)

describe("ratelimit.lua", function()
	-- A thousand bytes of payload, ten times in a second.
	local text = { "0 C S 0:0(0)", "+.01 S S. 0:0(0) ack 1" }
	for n = 0, 9 do
		text[#text + 1] = ("+.1 C . %d:%d(1000) ack 1"):format(1 + 1000 * n, 1001 + 1000 * n)
	end

	it("drops what exceeds the rate", function()
		local all = table.concat(text, "\n")
		assert.equal(12, #run("ratelimit", all, "--rate", "20K"))
		local list, out = run("ratelimit", all, "--rate", "5K", "--burst", "1200")
		assert.equal("passed 5280 bytes, dropped 5 packets\n", out)
		assert.equal(7, #list)
	end)
end)

describe("midstat.lua", function()
	it("shows connections, those with most bytes first", function()
		local _, out = run("midstat", [[
			conn small
			client 10.0.0.3:3
			0 small.C S 0:0(0)
			conn large
			client 10.0.0.4:4
			0 large.C S 0:0(0)
			+.1 large.S S. 0:0(0) ack 1
			+.1 large.C . 1:1001(1000) ack 1
			+1 large.C . 1001:1002(1) ack 1
		]], "--plain", "--sort", "bytes", "--rows", "1")
		assert.equal([[
2 connections, 1160 bytes/s
client                   server                   states                   bytes/s   bytes packets rexmits    age
10.0.0.4:4               10.0.0.2:80              established established     1120    1120       3       0      1
]], out)
	end)
end)
