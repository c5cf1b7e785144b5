-- Connections as scripts see them: their fields, the bytes their ends received, state of the script's own.
local kit = require "kit"

local head = [[local mos = require "mos"
]]

local function output(source, segments)
	local code, out, err = kit.run { kit.script(head .. source), "-r", kit.pcap(segments) }
	assert.equal(0, code, err)
	assert.equal("", err)
	return out
end

-- What `body` prints for a connection that has just ended, with conn, cli and svr.
local function at_end(segments, body, options)
	return output(([[
local done = {}
mos.monitor { %s }:on("conn_end", "snd", function(conn)
	if done[conn.uid] then return end
	done[conn.uid] = true
	local cli, svr = conn.client, conn.server
	%s
end)]]):format(options or "", body), segments)
end

local request = [[
	1700000000 C S  0:0(0) win 1000 <mss 1460,nop,wscale 7>
	+.25  S S. 0:0(0) ack 1 win 2000 <mss 1400,nop,wscale 0>
	+.25  C .  1:1(0) ack 1 win 10
	+.25  C P. 1:5(4) ack 1 win 10 "ping"
	+.25  C P. 1:5(4) ack 1 win 10 "ping"
	+.25  S P. 1:8(7) ack 5 win 2000 "pongpon"
	+.25  C F. 5:5(0) ack 8 win 10
	+.25  S F. 8:8(0) ack 6 win 2000
	+.25  C .  6:6(0) ack 9 win 10
]]

describe("a connection", function()
	it("has addresses, ports and a name of 16 letters", function()
		assert.matches("^10.0.0.1 40000 10.0.0.2 80 4 %x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x 10.0.0.1:40000 > 10.0.0.2:80\n$",
			(at_end(request, "print(cli.addr, cli.port, svr.addr, svr.port, conn.family, conn.uid, conn)")
				:gsub("\t", " ")))
		assert.equal("2001:db8::1 5000 2001:db8::2 443 6 [2001:db8::1]:5000\n", (at_end([[
			client [2001:db8::1]:5000
			server [2001:db8::2]:443
			0 C S 0:0(0)
		]], "print(cli.addr, cli.port, svr.addr, svr.port, conn.family, cli)"):gsub("\t", " ")))
	end)

	it("has the same name in every run", function()
		assert.equal(at_end(request, "print(conn.uid)"), at_end(request, "print(conn.uid)"))
	end)

	it("has its ends by the side that handlers receive, too", function()
		assert.equal("true true cli svr svr cli\n", (at_end(request, [[
print(conn.cli.addr == cli.addr, conn["svr"].addr == svr.addr, cli.side, svr.side, mos.other.cli, mos.other.svr)]])
			:gsub("\t", " ")))
	end)

	it("counts what each end sent", function()
		assert.equal("6 256 4 1 0\n3 135 7 0 0\n", (at_end(request, [[
for _, e in ipairs { cli, svr } do print(e.pkts, e.ip_bytes, e.bytes, e.rexmits, e.missed) end]])
			:gsub("\t", " ")), "client: 6 packets of 40 bytes, two with 4 of payload, the SYN with 8 of options")
	end)

	it("knows the bytes that it missed", function()
		assert.equal("8\t4\n", at_end([[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:5(4) ack 1
			+1 C .  9:13(4) ack 1
			+1 S .  1:1(0) ack 13
		]], "print(cli.bytes, cli.missed)"))
	end)

	it("knows the flags and options that each end sent", function()
		assert.equal("true true false 1460 7 1000 1280\ntrue true false 1400 0 5000 2000\n", (at_end(request, [[
for _, e in ipairs { cli, svr } do print(e.syn, e.fin, e.rst, e.mss, e.wscale, e.isn, e.window) end]])
			:gsub("\t", " ")))
		assert.equal("false\ttrue\n", at_end("0 C S 0:0(0)\n+1 S R. 0:0(0) ack 1", "print(cli.rst, svr.rst)"))
	end)

	it("tells its times and how it ended", function()
		assert.equal("1700000000.00 1700000002.00 2.00 closed\n", at_end(request, [[
print(("%.2f %.2f %.2f %s"):format(conn.start_ts, conn.last_ts, conn.duration, conn.end_reason))]]))
		assert.equal("input\n", at_end("0 C S 0:0(0)", "print(conn.end_reason)"))
		assert.equal("reset\n", at_end("0 C S 0:0(0)\n+1 S R. 0:0(0) ack 1", "print(conn.end_reason)"))
	end)

	it("has a state at each end", function()
		assert.equal([[
syn_sent listen
syn_sent syn_rcvd
established syn_rcvd
established established
]], (output([[
mos.monitor {}:on("pkt_in", "rcv", function(conn, side, pkt)
	assert(conn:state "cli" == conn.client.state and conn:state "svr" == conn.server.state)
	print(conn:state "cli", conn:state "svr")
end)
mos.monitor {}:on("conn_start", "snd", function(conn) print(conn:state "cli", conn:state "svr") end)
]], request:match "^(.-\n.-\n.-\n)"):gsub("\t", " ")))
	end)

	it("says when it was picked up on the way", function()
		local code, out = kit.run { "--midstream", "-r", kit.pcap "0 C . 1:1(0) ack 1", kit.script(head .. [[
mos.monitor {}:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.midstream, conn.role_guessed, conn.server.port) end
end)]]) }
		assert.same({ 0, "true\ttrue\t80\n" }, { code, out })
		assert.equal("false\tfalse\n", at_end(request, "print(conn.midstream, conn.role_guessed)"))
	end)

	it("says why an error was raised", function()
		assert.equal("svr out_of_window\n", (output([[
mos.monitor {}:on("error", function(conn, side) print(side, conn.error_reason) end)]], [[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:1(0) ack 1
			+1 C R  900000:900000(0)
		]]):gsub("\t", " ")))
	end)

	it("is equal to itself, whoever holds it", function()
		assert.equal("true\tfalse\tfalse\n", output([[
local kept, other
mos.monitor {}:on("conn_start", "snd", function(conn) kept, other = kept or conn, conn end)
mos.monitor {}:on("conn_new_data", function() end)
mos.timer(0.5, function() print(kept == kept, kept == other, kept == nil) end)]], [[
			conn a
			client 10.0.0.1:1
			conn b
			client 10.0.0.1:2
			1000 a.C S 0:0(0)
			1000 b.C S 0:0(0)
			1001 a.S S. 0:0(0) ack 1
		]]))
	end)

	it("refuses what it does not have, and what cannot be set", function()
		assert.equal([[
unknown field of a connection 'clinet'; did you mean 'client'?
unknown field of a connection's end 'adr'; did you mean 'addr'?
unknown side 'clt'; did you mean 'cli'?
conn.uid cannot be set; conn.data is yours to write to
port cannot be set
]], at_end("0 C S 0:0(0)", [[
local function try(f) print((select(2, pcall(f)):gsub("^.-%d+%.lua:%d+: ", ""))) end
try(function() local x = conn.clinet return x end)
try(function() local x = cli.adr return x end)
try(function() local x = conn:peek "clt" return x end)
try(function() conn.uid = 5 end)
try(function() cli.port = 5 end)]]))
	end)
end)

-- A server that receives `text` in segments; body runs after each burst that brings some, with conn.
local function received(body, lines, options)
	return output(([[
mos.monitor { %s }:on("conn_new_data", function(conn, side)
	%s
end)]]):format(options or "", body), [[
		0 C S  0:0(0)
		+1 S S. 0:0(0) ack 1
		+1 C .  1:1(0) ack 1
]] .. lines)
end

describe("the bytes that an end received", function()
	it("are read once, in pieces of any size", function()
		assert.equal("abc de fghij nil 0\n", (received([[
print(conn:peek(side, 3), conn:peek("svr", 2), conn:peek(side), conn:peek(side), conn:available(side))
]], "+1 C . 1:6(5) ack 1\n+1 C . 6:11(5) ack 1"):gsub("\t", " ")))
	end)

	it("are read where they lie", function()
		assert.equal("3 97 99 7 100 nil\n", (received([[
local p, n = conn:peek_into(side, 3)
local q, m = conn:peek_into(side)
print(n, p[0], p[2], m, q[0], conn:peek_into(side))
]], "+1 C . 1:11(10) ack 1"):gsub("\t", " ")))
	end)

	it("may be looked at, and skipped", function()
		assert.equal("10 true false true 4 6 hij 0\n", (received([[
local n, a, b, c = conn:available(side), conn:starts_with(side, "abc"), conn:starts_with(side, "abd"),
	conn:starts_with(side, "")
print(n, a, b, c, conn:skip(side, 4), conn:available(side), conn:skip(side, 3) == 3 and conn:peek(side),
	conn:skip(side, 5))
]], "+1 C . 1:11(10) ack 1"):gsub("\t", " ")))
	end)

	it("do not begin with more than there is", function()
		assert.equal("false\n", received([[print(conn:starts_with(side, "abcdefghijk"))]], "+1 C . 1:11(10) ack 1"))
	end)

	it("are searched from the cursor, or from an offset", function()
		assert.equal("1 nil 0 3 4 nil nil\n", (received([[
local first = conn:find(side, "ba")
conn:skip(side, 2)
print(first, conn:find(side, "c"), conn:find(side, "ab", 0), conn:find(side, "ab", 1), conn:find(side, "bb"),
	conn:find(side, "ab", 5), conn:find(side, "ab", 99))
]], '+1 C . 1:8(7) ack 1 "abaabbb"'):gsub("\t", " ")))
	end)

	it("are read again from any offset, early ones too", function()
		assert.equal("abcdef cd nil ij nil\n0-6 8-10\n", (at_end([[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:7(6) ack 1
			+1 C .  9:11(2) ack 1
		]], [[
print(conn:ppeek("svr", 0, 100), conn:ppeek("svr", 2, 2), conn:ppeek("svr", 6, 1), conn:ppeek("svr", 8, 10),
	conn:ppeek("svr", 100, 1))
local runs = {}
for i, f in ipairs(conn:fragments "svr") do runs[i] = f.from .. "-" .. f.to end
print(table.concat(runs, " "))]]):gsub("\t", " ")))
	end)

	it("have gaps, which are reported before what follows them", function()
		assert.equal("0 abcd nil gap 4 ijkl nil\n", (at_end([[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:5(4) ack 1
			+1 C .  9:13(4) ack 1
			+1 S .  1:1(0) ack 13
			+9 S .  1:1(0) ack 13
			+9 C .  13:13(0) ack 1
		]], [[
io.write(conn:starts_with("svr", "ijkl") and 1 or 0, " ", conn:peek "svr", " ")
local a, b, c = conn:peek "svr"
io.write(tostring(a), " ", b, " ", c, " ", conn:peek "svr", " ", tostring(conn:peek "svr"), "\n")
]])))
	end)

	it("are skipped up to a gap, and over it", function()
		assert.equal("4 0 gap 4 4\n", (at_end([[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:5(4) ack 1
			+1 C .  9:13(4) ack 1
			+1 S .  1:1(0) ack 13
			+9 S .  1:1(0) ack 13
			+9 C .  13:13(0) ack 1
		]], [[
io.write(conn:skip("svr"), " ")
local a, b, c = conn:skip "svr"
print(a, b, c, conn:skip "svr")]]):gsub("\t", " ")))
	end)

	it("are each monitor's to read, at its own pace", function()
		assert.equal("one ab\ntwo abcd\n", output([[
mos.monitor {}:on("conn_new_data", function(conn, side) print("one " .. conn:peek(side, 2)) end)
mos.monitor {}:on("conn_new_data", function(conn, side) print("two " .. conn:peek(side, 4)) end)
]], [[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:5(4) ack 1
		]]))
	end)

	it("may lose their buffer, or get one", function()
		local segments = [[
			0 C S  0:0(0)
			+1 S S. 0:0(0) ack 1
			+1 C .  1:6(5) ack 1
			+1 S .  1:6(5) ack 6
		]]
		assert.equal("nil\tabcde\n", at_end(segments, [[print(conn:peek "svr", conn:peek "cli")]], "svrbuf = 0"))
		assert.equal("cli\tabcde\n", output([[
local mon = mos.monitor { clibuf = 0 }
mon:on("conn_start", "snd", function(conn)
	conn:set_buffer("svr", 0)
	conn:set_buffer("cli", "1K")
end)
mon:on("conn_new_data", function(conn, side) print(side, conn:peek(side)) end)]], segments))
	end)

	it("keep what came first, or last, as the script says", function()
		assert.equal("aaaaaaaa\n", output([[
local mon = mos.monitor {}
mon:on("conn_start", "snd", function(conn) conn:set_overlap("svr", "last") end)
mon:on("conn_new_data", function(conn, side) print(conn:peek(side)) end)]], [[
			0 C S 0:0(0)
			+.1 S S. 0:0(0) ack 1
			+.1 C . 5:9(4) ack 1 "BBBB"
			+.1 C . 1:9(8) ack 1 "aaaaaaaa"
		]]))
	end)
end)

describe("state of the script's own", function()
	local two = [[
		conn a
		client 10.0.0.1:1
		conn b
		client 10.0.0.1:2
		0 a.C S 0:0(0)
		+1 b.C S 0:0(0)
		+1 a.S S. 0:0(0) ack 1
		+1 b.S R. 0:0(0) ack 1
		+9 b.C S 50:50(0)
		+1 a.C . 1:1(0) ack 1
	]]

	it("in conn.data belongs to one connection, and goes with it", function()
		assert.equal("1 1\n2 1\n1 2\n2 2\n2 1\n1 3\n0\n", (output([[
mos.monitor {}:on("pkt_in", "snd", function(conn)
	local data = conn.data
	data.n = (data.n or 0) + 1
end)
mos.monitor {}:on("pkt_in", "rcv", function(conn, side)
	print(conn.client.port, conn.data.n)
end)
mos.at_exit(function()
	local left = 0
	for _ in pairs(require "mos.host".data) do left = left + 1 end
	print(left)
end)]], two):gsub("\t", " ")))
	end)

	it("in conn.rec is zero at first, in every connection", function()
		assert.equal("1 1\n2 1\n1 2\n2 2\n2 1\n1 3\n", (output([[
mos.record "uint32_t n; struct { double a, b; } pair; char text[3];"
mos.monitor {}:on("pkt_in", "snd", function(conn)
	local rec = conn.rec
	assert(rec.n > 0 or rec.pair.b == 0)
	rec.n = rec.n + 1
	rec.pair.b = 7
	print(conn.client.port, rec.n)
end)]], two):gsub("\t", " ")))
	end)

	it("is not read by a length that is none", function()
		for _, len in ipairs { "-1", "0/0", "2^40", "'x'", "nil" } do
			assert.matches("conn:ppeek: the length must be a number from 0 to", (at_end("0 C S 0:0(0)",
				"print(pcall(function() return conn:ppeek('svr', 0, " .. len .. ") end))")))
		end
	end)

	it("in conn.rec is an error where none is declared", function()
		assert.matches("no record is declared; call mos.record", (at_end("0 C S 0:0(0)",
			"print(pcall(function() local x = conn.rec return x end))")))
	end)
end)
