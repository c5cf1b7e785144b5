-- Scripts: what is around the handlers. Monitors, events, C functions, timers, arguments, modules.
local kit = require "kit"

local handshake = [[
	0     C S  0:0(0)
	+.01  S S. 0:0(0) ack 1
	+.01  C .  1:1(0) ack 1
	+.01  C P. 1:5(4) ack 1 "ping"
	+.01  S P. 1:5(4) ack 5 "pong"
	+.01  C F. 5:5(0) ack 5
	+.01  S F. 5:5(0) ack 6
	+.01  C .  6:6(0) ack 6
]]

local head = [[local mos = require "mos"
]]

-- Standard output of a script on a capture (text of segments); args follow "--".
local function output(source, segments, args)
	local words = { kit.script(head .. source), "-r", kit.pcap(segments or handshake), "--", unpack(args or {}) }
	local code, out, err = kit.run(words)
	assert.equal(0, code, err)
	assert.equal("", err)
	return out
end

describe("a monitor", function()
	it("hears the events in order, at their hooks, with connection, side, packet and event", function()
		assert.equal([[
pkt_in snd cli 1
conn_start snd cli 1
tcp_state_change snd cli 1
pkt_in rcv svr 1
conn_start rcv svr 1
tcp_state_change rcv svr 1
pkt_in snd svr 2
pkt_in rcv cli 2
tcp_state_change rcv cli 2
conn_end snd svr nil
conn_end rcv svr nil
conn_end snd cli nil
conn_end rcv cli nil
]], (output([[
local mon = mos.monitor { filter = "tcp port 80" }
for _, ev in ipairs { "pkt_in", "conn_start", "tcp_state_change", "rexmit", "conn_end" } do
	for _, hook in ipairs { "snd", "rcv" } do
		mon:on(ev, hook, function(conn, side, pkt, e)
			assert(e == ev and conn.client.port == 40000)
			print(ev, hook, side, pkt and pkt.number)
		end)
	end
end]], "0 C S 0:0(0)\n+.1 S S. 0:0(0) ack 1"):gsub("\t", " ")))
	end)

	it("hears only the connections that its filter accepts", function()
		local segments = [[
			conn web
			server 10.0.0.2:80
			conn mail
			server 10.0.0.2:25
			0 web.C S 0:0(0)
			0 mail.C S 0:0(0)
		]]
		assert.equal("80\n", output([[
mos.monitor { filter = "tcp dst port 80" }:on("conn_start", "snd", function(conn) print(conn.server.port) end)
]], segments))
		assert.equal("80\n25\n", output([[
mos.monitor { filter = "not port 80" }:on("conn_start", "snd", function(conn) print(conn.server.port) end)
mos.monitor { filter = "port 80 and (tcp[tcpflags] & tcp-syn != 0)" }
	:on("conn_start", "snd", function(conn) print(conn.server.port) end)
]], segments))
	end)

	it("sees both IP versions unless told", function()
		local segments = [[
			conn old
			client 10.0.0.1:4000
			conn new
			client [2001:db8::1]:5000
			server [2001:db8::2]:80
			0 old.C S 0:0(0)
			0 new.C S 0:0(0)
		]]
		local function seen(options)
			return output(("mos.monitor { %s }:on('conn_start', 'snd', function(c) print(c.family, c.client) end)")
				:format(options), segments)
		end
		assert.equal("4\t10.0.0.1:4000\n6\t[2001:db8::1]:5000\n", seen "")
		assert.equal("4\t10.0.0.1:4000\n", seen "family = 4")
		assert.equal("6\t[2001:db8::1]:5000\n", seen "family = 6")
	end)

	it("replaces a handler, and removes one", function()
		assert.equal("second\n", output [[
local mon = mos.monitor {}
mon:on("conn_start", "snd", function() print "first" end):on("conn_start", "snd", function() print "second" end)
mon:on("conn_start", "rcv", function() print "never" end):off("conn_start", "rcv")
]])
	end)

	it("that is closed takes no more connections", function()
		assert.equal("start\n", output([[
local mon = mos.monitor {}
mon:on("conn_start", "snd", function() print "start" mon:close() end)
]], "conn a\nconn b\nclient 10.0.0.1:1\n0 a.C S 0:0(0)\n1 b.C S 0:0(0)"))
	end)

	it("of single packets sees each once, without a connection", function()
		assert.equal("nil both 1 true\nnil both 4 true\n", (output([[
mos.monitor { raw = true, filter = "tcp[tcpflags] & tcp-push != 0 or tcp[tcpflags] == tcp-syn" }
	:on("pkt_in", function(conn, side, pkt) print(conn, side, pkt.number, pkt.payload_len < 5) end)
]], handshake:match "^.-ping\"\n"):gsub("\t", " ")))
	end)

	it("hears packets without a connection, filtered on their own", function()
		assert.equal("orphan both 1 R\n", (output([[
mos.monitor { orphan_filter = "src host 10.0.0.2" }:on("orphan", function(conn, side, pkt, ev)
	print(ev, side, pkt.number, pkt.rst and "R")
end)
]], "0 S R 0:0(0)\n0 C R 0:0(0)"):gsub("\t", " ")))
	end)

	it("keeps the first or the last of bytes that overlap, or those that a system keeps", function()
		local segments = [[
			0 C S 0:0(0)
			+.1 S S. 0:0(0) ack 1
			+.1 C . 5:9(4) ack 1 "BBBB"
			+.1 C . 1:9(8) ack 1 "aaaaaaaa"
		]]
		local function seen(options)
			return output(([[local mon = mos.monitor { %s }
mon:on("conn_end", "snd", function(conn, side) if side == "svr" then print(conn:ppeek("svr", 0, 99)) end end)]])
				:format(options), segments)
		end
		assert.equal("aaaaBBBB\n", seen "")
		assert.equal("aaaaBBBB\n", seen "overlap = 'first'")
		assert.equal("aaaaaaaa\n", seen "overlap = 'last'")
		assert.equal("aaaaaaaa\n", seen "svroverlap = 'last'")
		assert.equal("aaaaBBBB\n", seen "clioverlap = 'last'")
		assert.equal("aaaaaaaa\n", seen "overlap = 'bsd'")
		assert.equal("aaaaBBBB\n", seen "overlap = 'vista'")
	end)

	it("limits its buffers, by number or by word", function()
		local function buffered(size)
			return output(([[local mon = mos.monitor { svrbuf = %s }
mon:on("conn_end", "snd", function(conn, side)
	local f = side == "svr" and conn:fragments "svr"
	if f then print(#f == 0 and 0 or f[1].to - f[1].from) end
end)]]):format(size), [[
				0 C S 0:0(0)
				+.1 S S. 0:0(0) ack 1
				+.1 C . 1:1401(1400) ack 1
				+.1 C . 1401:2801(1400) ack 1
			]])
		end
		assert.equal("0\n", buffered "0")
		assert.equal("1024\n", buffered "1024")
		assert.equal("1024\n", buffered "'1K'")
		assert.equal("2800\n", buffered "'1M'")
	end)
end)

describe("an event of the script's own", function()
	it("comes right after its parent, to any depth, parents first", function()
		assert.equal([[
pkt_in
filter a
a
filter b
b
filter c
]], output([[
local mon = mos.monitor {}
local function said(word, answer)
	return function(conn, side, pkt) print("filter " .. word) return answer end
end
local a = mos.event { name = "a", parent = "pkt_in", filter = said("a", true) }
local b = mos.event { name = "b", parent = a, filter = said("b", true) }
local c = mos.event { name = "c", parent = b, filter = said("c", false) }
local d = mos.event { name = "d", parent = c, filter = said("d", true) }
for _, ev in ipairs { "pkt_in", "a", b, "d" } do
	mon:on(ev, "snd", function(conn, side, pkt, e) assert(e == ev) print(e) end)
end]], "0 C S 0:0(0)"))
	end)

	it("is not asked where nobody listens", function()
		assert.equal("", output [[
mos.monitor {}
mos.event { name = "a", parent = "pkt_in", filter = function() print "asked" end }]])
	end)

	it("is not heard of any more once its filter stops that, for the packet at hand either", function()
		local heard = {
			["conn:stop(side)"] = "cli 0\nsvr 0\ncli 0\nsvr 4\nsvr 0\n",
			["conn:stop()"] = "cli 0\nsvr 0\ncli 0\n",
		}
		for stop, want in pairs(heard) do
			assert.equal(want, output([[
local mon = mos.monitor {}
local ev = mos.event { parent = "pkt_in", filter = function(conn, side, pkt)
	if side == "cli" and pkt.payload_len > 0 then ]] .. stop .. [[ end
	return true
end }
mon:on(ev, "snd", function(conn, side, pkt) print(side .. " " .. pkt.payload_len) end)]]), stop)
		end
	end)

	it("has the filter that it was given last", function()
		assert.equal(("second\nhandler\n"):rep(8), output [[
local mon = mos.monitor {}
local function define(word)
	return mos.event { name = "twice", parent = "pkt_in", filter = function() print(word) return true end }
end
mon:on(define "first", "snd", function() print "handler" end)
define "second"]])
	end)

	it("without a filter is raised by a handler, when that has returned", function()
		assert.equal([[
before
after
mine	cli	1
]], output([[
local mon = mos.monitor {}
local mine = mos.event { name = "mine", parent = "pkt_in" }
mon:on("pkt_in", "snd", function(conn)
	print "before"
	conn:raise(mine)
	print "after"
end)
mon:on(mine, "snd", function(conn, side, pkt, ev) print(ev, side, pkt.number) end)]], "0 C S 0:0(0)"))
	end)

	it("is raised for the connection in dispatch only", function()
		assert.matches("an event is raised inside a handler", output [[
local mon, kept = mos.monitor {}, nil
local mine = mos.event { name = "mine", parent = "pkt_in" }
mon:on("conn_start", "snd", function(conn) kept = conn end)
mos.timer(0.01, function() print(pcall(function() kept:raise(mine) end)) end)]])
	end)

	it("stands in the list of events", function()
		local code, out = kit.run { "--events", kit.script(head .. [[
mos.event { name = "my_event", parent = "conn_new_data", meaning = "Something of mine.", filter = print }]]) }
		assert.equal(0, code)
		assert.matches("my_event", out)
		assert.matches("Something of mine.", out, 1, true)
	end)
end)

describe("a change in a handler", function()
	it("on a connection concerns this one alone", function()
		assert.equal("1000 2\n1000 3\n", (output([[
local mon = mos.monitor {}
mon:on("conn_start", "rcv", function(conn)
	if conn.client.port == 1000 then
		conn:on("pkt_in", "snd", function(c, side, pkt) print(c.client.port, pkt.number) end)
	end
end)]], [[
			conn a
			client 10.0.0.1:1000
			conn b
			client 10.0.0.1:2000
			0 a.C S 0:0(0)
			+1 a.S S. 0:0(0) ack 1
			+1 a.C . 1:1(0) ack 1
			+1 b.C S 0:0(0)
			+1 b.S S. 0:0(0) ack 1
		]]):gsub("\t", " ")))
	end)

	it("may remove the handler that runs", function()
		assert.equal("1\n", output [[
local mon = mos.monitor {}
mon:on("pkt_in", "snd", function(conn, side, pkt) print(pkt.number) conn:off("pkt_in", "snd") end)]])
	end)

	it("may give each connection closures of its own, which go with it", function()
		local lines = {}
		for i = 1, 300 do
			lines[#lines + 1] = ("conn c%d\nclient 10.0.1.%d:%d\n"):format(i, i % 250, 1000 + i)
		end
		for i = 1, 300 do
			lines[#lines + 1] = ("+10 c%d.C S 0:0(0)\n+1 c%d.S R. 0:0(0) ack 1\n"):format(i, i)
		end
		assert.equal("300\ttrue\n", output([[
local mon, n = mos.monitor {}, 0
mon:on("conn_start", "snd", function(conn)
	local mine = conn.uid
	conn:on("conn_end", "snd", function(c, side)
		assert(c.uid == mine)
		if side == "cli" then n = n + 1 end
	end)
end)
mos.at_exit(function() print(n, #require "mos.host".handlers < 100) end)]], table.concat(lines)))
	end)

	it("may give one connection after the other the same function, among many closures", function()
		local lines, packets = {}, {}
		local function connection(name, port, ...)
			lines[#lines + 1] = ("conn %s\nclient 10.0.0.1:%d\n"):format(name, port)
			for _, text in ipairs { ... } do
				packets[#packets + 1] = ("+.2 %s.%s\n"):format(name, text)
			end
		end
		local start, stop = "C S 0:0(0)", "S R. 0:0(0) ack 1"
		connection("first", 1, start, stop)
		for i = 1, 100 do
			connection("x" .. i, 1000 + i, start, stop)
		end
		connection("second", 2, start)
		for i = 1, 100 do
			connection("y" .. i, 2000 + i, start, stop)
		end
		packets[#packets + 1] = "+1 second." .. stop .. "\n"
		assert.equal("same\t1\nsame\t2\n", output([[
local mon = mos.monitor {}
local function same(conn, side) if side == "svr" then print("same", conn.client.port) end end
mon:on("conn_start", "snd", function(conn)
	local port = conn.client.port
	conn:on("pkt_in", "snd", port < 10 and same or function(c) assert(c.client.port == port) end)
end)]], table.concat(lines) .. table.concat(packets)))
	end)

	it("may stop a side or all of a connection", function()
		assert.equal("cli 1\nsvr 2\n", (output [[
local mon = mos.monitor {}
mon:on("pkt_in", "snd", function(conn, side, pkt)
	print(side, pkt.number)
	conn:stop(side)
end)]]:gsub("\t", " ")))
		assert.equal("cli 1\n", (output [[
local mon = mos.monitor {}
mon:on("pkt_in", "snd", function(conn, side, pkt) print(side, pkt.number) conn:stop() end)]]:gsub("\t", " ")))
	end)
end)

describe("mos.load", function()
	local so = kit.build .. "/tests/apps/count.so"

	it("gives C functions as handlers and filters, beside Lua's", function()
		assert.equal("C 0\nlua\tcli\nC 0\n", output(([[
local app = assert(mos.load %q)
local mon = mos.monitor {}
local mine = mos.event { name = "mine", parent = "conn_start", filter = app.is_from_client }
local also = mos.event { name = "also", parent = mine, filter = function() return true end }
mon:on("conn_start", "snd", app.on_event)
mon:on(mine, "snd", function(conn, side) print("lua", side) end)
mon:on(also, "snd", app.on_event)
mon:on(mine, "rcv", app.on_event)]]):format(so)))
	end)

	it("says what is wrong with the object, or with the name of a function", function()
		local out = output(([[
print(mos.load "./no-such.so")
print(pcall(function() local x = mos.load(%q).on_evnt return x end))
print(pcall(function() mos.load(%q).on_event() end))]]):format(so, so))
		local lines = {}
		for line in out:gmatch "[^\n]+" do
			lines[#lines + 1] = line
		end
		assert.matches("^nil\t.*no%-such%.so", lines[1])
		assert.matches("count.so has no function 'on_evnt'", lines[2], 1, true)
		assert.matches("is a handler or a filter", lines[3], 1, true)
	end)
end)

describe("a timer", function()
	it("fires in the packets' time, counted from the first packet when set before it", function()
		assert.equal("0.5 timer\n1.0 packet 3\n", (output([[
local mon, first = mos.monitor {}, nil
mon:on("pkt_in", "snd", function(conn, side, pkt)
	first = first or pkt.ts
	if pkt.number == 3 then print(("%.1f packet %d"):format(pkt.ts - first, pkt.number)) end
end)
mos.timer(0.25, function(timer) print(("%.1f timer"):format(mos.now() - first)) end)
]], "1000 C S 0:0(0)\n1000.5 S S. 0:0(0) ack 1\n1001 C . 1:1(0) ack 1"):gsub("\t", " ")))
	end)

	it("may go on, on the grid of its period, until it is cancelled", function()
		assert.equal("1 2 7 8 true", output([[
mos.monitor {}
local n, start = 0, 1000
local every
every = mos.every(1, function(timer)
	assert(timer == every)
	n = n + 1
	io.write(math.floor(mos.now() - start), " ")
	if n == 4 then io.write(tostring(timer:cancel())) end
end)
]], [[
			1000 C S 0:0(0)
			1001.1 C . 1:1(0) ack 1
			1002.1 C . 1:1(0) ack 1
			1007.5 C . 1:1(0) ack 1
			1008.1 C . 1:1(0) ack 1
			1009.1 C . 1:1(0) ack 1
		]]))
	end)

	it("may be cancelled, once", function()
		assert.equal("true\tfalse\nfalse\n", output [[
mos.monitor {}
local t = mos.timer(0.001, function() print "never" end)
print(t:cancel(), t:cancel())
local fired = mos.timer(0.001, function() end)
mos.at_exit(function() print(fired:cancel()) end)]])
	end)

	it("may be set in a handler and in a timer, with the connection in it", function()
		assert.equal("one\t40000\ntwo\n", output [[
mos.monitor {}:on("conn_start", "snd", function(conn)
	mos.timer(0.01, function()
		print("one", conn.client.port)
		mos.timer(0.01, function() print "two" end)
	end)
end)]])
	end)

	it("runs in great numbers, in order", function()
		assert.equal("1000\ttrue\n", output [[
mos.monitor {}
local fired, last, sorted = 0, 0, true
for i = 1, 1000 do
	local due = (i * 7919) % 60
	mos.timer(due / 1000, function()
		fired, sorted, last = fired + 1, sorted and due >= last, due
	end)
end
mos.at_exit(function() print(fired, sorted) end)]])
	end)
end)

describe("a script", function()
	it("gets what follows --, and says it is worker 1", function()
		local source = "print(#mos.args, mos.args[1], mos.args[2], mos.worker)"
		assert.equal("2\t-x\tb c\t1\n", output(source, nil, { "-x", "b c" }))
	end)

	it("knows the capture files", function()
		local one, two = kit.pcap "0 C S 0:0(0)", kit.pcap "1 C S 0:0(0)"
		local code, out, err = kit.run { "-r", one, "-r", two, kit.script(head .. "print(#mos.input, unpack(mos.input))") }
		assert.equal(0, code, err)
		assert.equal(("2\t%s\t%s\n"):format(one, two), out)
	end)

	it("finds modules next to it", function()
		local dir = kit.tmp ""
		assert(os.execute("mkdir -p " .. kit.quote(dir)) == 0)
		kit.write(dir .. "/helper.lua", "return { word = 'found' }")
		local path = kit.write(dir .. "/main.lua", "print(require('helper').word)")
		assert.equal("found\n", (select(2, kit.run { path, "-r", kit.pcap(handshake) })))
	end)

	it("prints in order with its at_exit functions, which run last", function()
		assert.equal("start\nend\nend\none\ntwo\n", output [[
mos.at_exit(function() print "one" end)
mos.at_exit(function() print "two" end)
local mon = mos.monitor {}
mon:on("conn_start", "snd", function() print "start" end)
mon:on("conn_end", "snd", function() print "end" end)]])
	end)

	it("logs lines, formatted or as they are", function()
		local code, _, err = kit.run { "-v", "-r", kit.pcap(handshake), kit.script(head .. [[
mos.log.error("%d%%", 5) mos.log.warn "100%" mos.log.info("%s", "x") mos.log.debug(nil)]]) }
		assert.equal(0, code)
		assert.equal("mos-run: error: 5%\nmos-run: warning: 100%\nmos-run: info: x\nmos-run: debug: nil\n", err)
	end)

	it("counts with counters that have names", function()
		assert.equal("5\t0\n", output [[
local a = mos.shared.counter "a"
a:add() a:add(3) mos.shared.counter "a":add()
print(a:sum(), mos.shared.counter "b":sum())]])
	end)

	it("knows the time, 0 before the first packet", function()
		assert.equal("0\n12.5\n", output([[
print(mos.now())
mos.monitor {}:on("conn_start", "snd", function() print(mos.now()) end)]], "12.5 C S 0:0(0)"))
	end)

	it("may be loaded only", function()
		local code, out = kit.run { "--check", kit.script(head .. "print 'main' mos.at_exit(function() print 'exit' end)") }
		assert.same({ 0, "main\n" }, { code, out })
	end)
end)

describe("the scripts here", function()
	local function run(...)
		local code, out, err = kit.run { "-q", ... }
		assert.equal(0, code, err)
		return out
	end
	local capture = kit.source .. "/tests/pcaps/http.pcap"

	it("hello: greet each connection", function()
		assert.equal([[
hello 192.0.2.10:51514, talking to 198.51.100.80:80
hello [2001:db8:10::25]:40112, talking to [2001:db8:80::1]:80
hello 192.0.2.77:38220, talking to 198.51.100.80:80
]], run(kit.source .. "/scripts/hello.lua", "-r", capture))
	end)

	it("seed_example: the guide's example, the same in Lua as in C", function()
		local lua = run(kit.source .. "/scripts/seed_example.lua", "-r", capture, "--", "tcp")
		local code, c, err = kit.run({ "-q", kit.build .. "/tests/apps/seed_example.so", "-r", capture },
			{ env = { SEED_FILTER = "tcp" } })
		assert.equal(0, code, err)
		assert.equal(c, lua)
		assert.equal("flows 2, packets to clients 12, rexmits 1, closed by the client 0, with a request 2\n", lua)
	end)
end)
