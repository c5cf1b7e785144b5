-- require "mos.test", as a spec of a script uses it.
local kit = require "kit"
local t = require "mos.test"

local client, server = t.client, t.server

-- Prints the path of each request, however it comes.
local paths = [[
local mos = require "mos"
local mon = mos.monitor { filter = "tcp port 80" }
local request = mos.event { name = "request", parent = "conn_new_data",
	filter = function(conn, side) return side == "svr" and conn:find(side, "\r\n\r\n") end }
mon:on(request, function(conn, side)
	print(conn:peek(side):match "GET (%S+)")
end)
]]

local function get(path)
	return t.tcp():request("GET " .. path):response { body = "hello" }:close()
end

-- The error of fn as text, without the place in this file.
local function fault(fn, ...)
	local ok, why = pcall(fn, ...)
	assert.is_false(ok)
	why = type(why) == "table" and why.message or why
	return (tostring(why):gsub("^[^\n:]*_spec%.lua:%d+: ", ""))
end

describe("a conversation", function()
	it("is written as segments", function()
		local conv = t.packets {
			client "S 0:0(0) <mss 1460>", server "S. 0:0(0) ack 1", client ". 1:1(0) ack 1", t.wait(2),
			client 'P. 1:5(4) ack 1 "ping"',
		}
		assert.equal("1 C S 0:0(0)\n2 S S. 0:0(0) ack 1\n3 C . 1:1(0) ack 1\n4 C P. 1:5(4) ack 1 \"ping\"",
			tostring(conv))
		assert.near(2.001, conv.packets[4].sec + conv.packets[4].nsec / 1e9 - conv.packets[3].nsec / 1e9, 1e-6)
	end)

	it("is written as a text", function()
		assert.equal("1 C S 0:0(0)\n2 S S. 0:0(0) ack 1", tostring(t.packets "C S 0:0(0)\n+1 S S. 0:0(0) ack 1"))
		assert.equal("packets:2: unknown item 'akc'", fault(t.packets, "C S 0:0(0)\nS S. 0:0(0) akc 1"))
		assert.equal("t.packets: item 1 is none of t.client, t.server and t.wait", fault(t.packets, { "C S 0:0(0)" }))
	end)

	it("is spoken", function()
		assert.equal([[
1 C S 0:0(0)
2 S S. 0:0(0) ack 1
3 C . 1:1(0) ack 1
4 C P. 1:43(42) ack 1 "GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
5 S . 1:1(0) ack 43
6 S P. 1:44(43) ack 43 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
7 C . 43:43(0) ack 44
8 C F. 43:43(0) ack 44
9 S F. 44:44(0) ack 44
10 C . 44:44(0) ack 45]], tostring(get "/a"))
	end)

	it("makes a whole request of its first line, and sends anything else as it is", function()
		local function first(text)
			return tostring(t.tcp { handshake = false, host = "a" }:request(text)):match "%b\"\""
		end
		assert.equal([["GET / HTTP/1.1\r\nHost: a\r\n\r\n"]], first "GET /")
		assert.equal([["PUT /x HTTP/1.0\r\nHost: a\r\n\r\n"]], first "PUT /x HTTP/1.0")
		assert.equal([["GET / HTTP/1.1\r\n\r\n"]], first "GET / HTTP/1.1\r\n\r\n")
		assert.equal([["hello"]], first "hello")
	end)

	it("can be told where from, where to and how large", function()
		local conv = t.tcp { client = "[2001:db8::1]:1234", server = "[2001:db8::2]:81", mss = 3, start = 10.5 }
			:send("server", "abcde"):reset "server"
		assert.equal([[
1 C S 0:0(0)
2 S S. 0:0(0) ack 1
3 C . 1:1(0) ack 1
4 S . 1:4(3) ack 1 "abc"
5 C . 1:1(0) ack 4
6 S P. 4:6(2) ack 1 "de"
7 C . 1:1(0) ack 6
8 S R. 6:6(0) ack 1]], tostring(conv))
		assert.equal(10, conv.packets[1].sec)
		assert.equal(500000000, conv.packets[1].nsec)
		assert.equal("t.tcp: '10.0.0.1' is neither 10.0.0.1:80 nor [2001:db8::1]:80",
			fault(t.tcp, { client = "10.0.0.1" }))
		assert.equal("unknown option of t.tcp 'sever'; did you mean 'server'?", fault(t.tcp, { sever = "" }))
	end)

	it("goes on from any point without changing what was before", function()
		local base = t.tcp { handshake = false }:send("client", "a")
		local left, right = base:send("client", "b"), base:send("server", "c")
		assert.equal(2, #base.packets)
		assert.matches('3 C P. 2:3(1) ack 1 "b"', tostring(left), 1, true)
		assert.matches('3 S P. 1:2(1) ack 2 "c"', tostring(right), 1, true)
	end)

	it("may be datagrams", function()
		for _, told in ipairs { "10.0.0.2:53", "[2001:db8::2]:53" } do
			local asking = told:gsub("2([:%]])", "1%1"):gsub("53$", "5353")
			local conv = t.udp { client = asking, server = told }:send("client", "ask"):wait(1):send("server", "tell")
			local r = t.run([[
				require "mos".monitor():on("orphan", function(_, _, pkt)
					local p, len, from, to = pkt:udp()
					print(require "ffi".string(p, len), pkt.src_addr, from, pkt.dst_addr, to)
				end)
			]], conv, { verify_checksums = true })
			local a, b = asking:match "^%[?(.-)%]?:%d+$", told:match "^%[?(.-)%]?:%d+$"
			assert.equal(("ask\t%s\t5353\t%s\t53\ntell\t%s\t53\t%s\t5353\n"):format(a, b, b, a), r.out)
		end
		assert.matches("only what t.tcp", fault(t.packets("C S 0:0(0)").close, t.packets "C S 0:0(0)"))
	end)

	it("is read from a capture", function()
		local conv = t.capture((os.getenv "MOS_SOURCE" or ".") .. "/tests/pcaps/http.pcap")
		assert.equal(39, #conv.packets)
		assert.matches("^1 C S 0:0%(0%)\n", tostring(conv))
		assert.matches("No such file", fault(t.capture, "/missing.pcap"))
	end)

	it("is written as a capture, which mos-run and another test can read", function()
		local path = kit.tmp ".pcap"
		local conv = get("/a"):split(7):save(path)
		assert.equal(tostring(conv), tostring(t.capture(path)))
		assert.equal("/a\n", t.run(paths, path).out)
		assert.same({ 0, "/a\n", "" }, { kit.run { kit.script(paths), "-r", path } })
		assert.matches("/missing/x: No such file", fault(conv.save, conv, "/missing/x"))
		assert.matches("or a capture's path, not a table", fault(t.run, paths, {}))
	end)

	it("loses, repeats and reorders packets", function()
		local conv = t.packets "C S 0:0(0)\nC . 1:2(1) ack 1\nC . 2:3(1) ack 1\nC . 3:4(1) ack 1"
		local function order(c)
			return (tostring(c):gsub("%d+ C [S.] (%d):[^\n]*\n?", "%1"))
		end
		assert.equal("0123", order(conv))
		assert.equal("013", order(conv:lose(3)))
		assert.equal("02", order(conv:lose { 2, 4 }))
		assert.equal("012", order(conv:lose(function(p) return p.from == 3 end)))
		assert.equal("01123", order(conv:duplicate(2)))
		assert.equal("01213", order(conv:duplicate(2, 2)))
		assert.equal("0213", order(conv:reorder(2)))
		assert.equal("0231", order(conv:reorder(2, 2)))
		assert.equal("lose: there is no packet 5; the conversation has 4", fault(conv.lose, conv, 5))
		for _, changed in ipairs { conv:reorder(1, 2), conv:duplicate(2, 2) } do
			for i = 2, #changed.packets do
				assert.is_true(changed.packets[i - 1].nsec <= changed.packets[i].nsec)
			end
		end
	end)

	it("is cut into pieces, which are whole packets", function()
		for _, ends in ipairs { { "10.0.0.1:1", "10.0.0.2:2" }, { "[2001:db8::1]:1", "[2001:db8::2]:2" } } do
			local conv = t.tcp { client = ends[1], server = ends[2], handshake = false }:send("client", "abcde")
			assert.equal('1 C . 1:3(2) ack 1 "ab"\n2 C . 3:5(2) ack 1 "cd"\n3 C P. 5:6(1) ack 1 "e"\n4 S . 1:1(0) ack 6',
				tostring(conv:split(2)))
			assert.equal('1 C . 1:5(4) ack 1 "abcd"\n2 C P. 5:6(1) ack 1 "e"\n3 S . 1:1(0) ack 6',
				tostring(conv:split_at(4)))
			assert.equal(tostring(conv), tostring(conv:split_at(5)))
			assert.equal(5, conv:longest())
			-- Their checksums are right: none is refused.
			local r = t.run("\nrequire 'mos'.monitor {}", conv:split(1), { midstream = true, verify_checksums = true })
			assert.equal(5, #r:named "conn_new_data")
			assert.no_events { "error" }
		end
	end)

	it("keeps SYN with the first piece and FIN with the last", function()
		local conv = t.packets 'C SF 0:3(3) "abc"'
		assert.equal('1 C S 0:1(1) "a"\n2 C F 2:4(2) "bc"', tostring(conv:split_at(1)))
	end)

	it("is one of several", function()
		local one = t.tcp { client = "10.0.0.1:1", start = 5 }
		local both = t.merge(one, t.tcp { client = "10.0.0.1:2", start = 5 }:later(0.0005))
		assert.equal("1 C S 0:0(0)\n2 2.C S 0:0(0)\n3 S S. 0:0(0) ack 1\n4 2.S S. 0:0(0) ack 1\n"
			.. "5 C . 1:1(0) ack 1\n6 2.C . 1:1(0) ack 1", tostring(both))
	end)
end)

describe("a run", function()
	it("keeps what the script prints and what happened", function()
		local r = t.run(paths, get "/a")
		assert.equal("/a\n", r.out)
		assert.equal("", r.log)
		assert.equal(10, #r.packets)
		assert.events { "conn_start", { "request", side = "svr" }, "conn_end", "conn_end" }
		assert.events(r, {
			{ "tcp_state_change", hook = "snd", side = "cli", state = "syn_sent" },
			{ "tcp_state_change", hook = "snd", side = "cli", state = "fin_wait_1", packet = 8 },
			{ "tcp_state_change", hook = "snd", side = "svr", state = "last_ack", packet = 9 },
		})
		assert.events { { "conn_new_data", side = "svr", data = function(d) return #d == 42 end },
			{ "conn_new_data", side = "cli" } }
		assert.no_events { "rexmit", { "conn_end", reason = "reset" } }
		assert.equal("10.0.0.1:40000", r.events[1].client)
	end)

	it("has the bytes that came, read by the script or not", function()
		local conv = t.tcp():send("client", "ab"):send("client", "cde"):send("server", "f"):split(1)
		for burst = 1, 32, 31 do
			for _, script in ipairs { "\nrequire 'mos'.monitor()", paths } do
				local got = { cli = "", svr = "" }
				for _, e in ipairs(t.run(script, conv, { burst = burst }):named "conn_new_data") do
					got[e.side] = got[e.side] .. e.data
				end
				assert.equal("abcde", got.svr)
				assert.equal("f", got.cli)
			end
		end
	end)

	it("leaves out bytes that were lost", function()
		local r = t.run("\nrequire 'mos'.monitor()", t.packets [[
			C S 0:0(0)
			S S. 0:0(0) ack 1
			C . 1:1(0) ack 1
			C P. 1:3(2) ack 1 "ab"
			C P. 5:7(2) ack 1 "ef"
			S . 1:1(0) ack 7
			+1 S . 1:1(0) ack 7
		]])
		assert.events(r, { { "conn_new_data", data = "ab" }, { "conn_new_data", data = "ef" } })
	end)

	it("runs a file with its arguments", function()
		local path = (os.getenv "MOS_SOURCE" or ".") .. "/scripts/hello.lua"
		assert.equal("hello 10.0.0.1:40000, talking to 10.0.0.2:80\n", t.run(path, get "/").out)
		local r = t.run("\nlocal mos = require 'mos' print(#mos.args .. mos.args[2])", t.tcp(), { args = { 1, "b" } })
		assert.equal("2b\n", r.out)
	end)

	it("runs a program in C", function()
		local app = kit.build .. "/tests/apps/seed_example.so"
		local conv = t.tcp { server = "216.58.0.1:80" }:request "GET /a":response "HTTP/1.1 200 OK\r\n\r\n":close()
		local r = t.run(app, conv:duplicate(4))
		assert.matches("flows 1, .* rexmits 1, .* with a request 1", r.out)
		assert.events { "conn_start", "rexmit", "conn_end", "conn_end" }
		local count = app:gsub("seed_example", "count")
		assert.matches("count.so: no function mos_app_init%(mctx_t%)", fault(t.run, count, t.tcp()))
	end)

	it("runs a function, which tells the test by note()", function()
		t.run(function()
			local mos, test = require "mos", require "mos.test"
			mos.monitor():on("conn_start", "snd", function(conn)
				test.note("hello", { from = conn.client.addr, list = { 1, { deep = true } } })
			end)
		end, get "/")
		assert.events { { "hello", from = "10.0.0.1", list = { 1, { deep = true } } } }
		local outside = 1
		assert.matches("cannot use 'outside' (number) from outside", fault(t.run, function()
			print(outside)
		end, get "/"), 1, true)
	end)

	it("sees the fields of events, raised by a filter or by hand", function()
		t.run([[
			local mos = require "mos"
			local mon = mos.monitor()
			local get = mos.event { name = "get", parent = "conn_new_data", fields = { { "path", "string" } },
				filter = function(conn, side)
					local path = side == "svr" and conn:peek(side):match "GET (%S+)"
					return path and { path = path, at = { 1, 2 } }
				end }
			local long = mos.event { name = "long", parent = get, filter = function(_, _, _, _, f) return #f.path > 2 end }
			local twice = mos.event { name = "twice", parent = "conn_new_data", fields = { { "n", "number" } } }
			mon:on(get, function(conn) conn:raise(twice, { n = 2 }) conn:raise(twice, { n = 3 }) end)
			mon:on(long, function() end)
			mon:on(twice, function() end)
		]], get "/abc")
		assert.events { { "get", path = "/abc", at = { 1, 2 } }, { "twice", n = 2 }, { "twice", n = 3 },
			{ "long", path = "/abc" } }
	end)

	it("is alone: another script's state and events are not there", function()
		for _, parent in ipairs { "conn_start", "conn_end" } do
			local r = t.run(([[
				assert(not leak) leak = 1
				local mos = require "mos"
				local ev = mos.event { name = "mine", parent = "%s", filter = function() return true end }
				mos.monitor():on(ev, "snd", function() end)
			]]):format(parent), get "/")
			assert.is_true(#r:named "mine" > 0)
		end
	end)

	it("fails where the script does", function()
		assert.equal("script:2: boom", fault(t.run, "local x\nerror 'boom'", get "/"))
		assert.equal("cannot open /missing.lua: No such file or directory", fault(t.run, "/missing.lua", get "/"))
		local bad = "local mos = require 'mos'\nmos.monitor():on('conn_start', 'snd', function(c) c.none() end)"
		assert.matches("unknown field of a connection 'none' (conn_start, packet 1)", fault(t.run, bad, get "/"), 1, true)
		assert.matches("unknown field", t.run(bad, get "/", { errors = true }).log)
		assert.matches("unknown field", fault(t.run, bad, get "/", { on_error = "drop" }))
		t.run(bad, t.tcp(), { errors = true, on_error = "drop" })
		assert.leaves "S S. 0:0(0) ack 1\nC . 1:1(0) ack 1"
	end)

	it("does not hang where a handler does not return", function()
		local r = t.run([[
			require "mos".monitor():on("conn_start", "snd", function() while true do end end)
		]], t.tcp(), { errors = true })
		assert.matches("conn_start", r.log)
		assert.verdicts { "pass", "pass", "pass" }
	end)

	it("goes step by step, and time can be moved", function()
		local r = t.start [[
			local mos = require "mos"
			mos.monitor()
			mos.timer(10, function() print "ten" end)
			mos.at_exit(function() print "end" end)
		]]
		r:play(t.tcp { start = 100 })
		assert.near(100.002, r.now, 1e-6)
		assert.equal("", r.out)
		r:advance(5)
		assert.equal("", r.out)
		r:advance(5)
		assert.equal("ten\n", r.out)
		assert.no_events "conn_end"
		r:advance(3600)
		assert.events { { "conn_end", reason = "timeout" }, { "conn_end", reason = "timeout" } }
		r:finish()
		assert.equal("ten\nend\n", r.out)
		r:close()
	end)

	it("hands bursts to handlers where asked", function()
		local conv = t.tcp():send("client", "abcd"):split(1)
		assert.equal(4, #t.run("\nrequire 'mos'.monitor()", conv):named "conn_new_data")
		assert.equal(1, #t.run("\nrequire 'mos'.monitor()", conv, { burst = 32 }):named "conn_new_data")
	end)

	it("tells the verdict of each packet, and which left", function()
		t.run([[
			require "mos".monitor():on("pkt_in", "snd", function(conn, side, pkt)
				if pkt.payload_len > 0 then
					if side == "cli" then pkt:drop() else pkt:set { payload = "HELLO" } end
				end
			end)
		]], t.tcp():send("client", "hi"):send("server", "hello, you"))
		assert.verdicts { "pass", "pass", "pass", "drop", "pass", "pass", "pass" }
		assert.leaves [[
			C S 0:0(0)
			S S. 0:0(0) ack 1
			C . 1:1(0) ack 1
			S . 1:1(0) ack 3
			S P. 1:11(10) ack 3 "HELLO, you"
			C . 3:3(0) ack 11
		]]
	end)
end)

describe("what leaves", function()
	it("has what handlers made, in its place", function()
		local r = t.run([[
			require "mos".monitor():on("pkt_in", "rcv", function(conn, side, pkt)
				if pkt.payload_len > 0 and side == "svr" then conn:reset() end
			end)
		]], t.tcp():send("client", "hi"):send("server", "hello"))
		assert.leaves [[
			C S 0:0(0)
			S S. 0:0(0) ack 1
			C . 1:1(0) ack 1
			C R. 1:1(0) ack 1
			S R. 1:1(0) ack 1
			S . 1:1(0) ack 3
			S P. 1:6(5) ack 3 "hello"
			C . 3:3(0) ack 6
		]]
		assert.is_true(r:left()[4].made)
		assert.is_nil(r:left()[3].made)
		assert.equal("drop", r.packets[4].verdict)
	end)

	it("has streams as they were edited", function()
		t.run([[
			require "mos".monitor():on("pkt_in", "rcv", function(conn, side, pkt)
				if pkt.payload_len > 0 then pkt:insert(1, "----") end
			end)
		]], t.tcp():send("client", "hi"))
		assert.leaves [[
			C S 0:0(0)
			S S. 0:0(0) ack 1
			C . 1:1(0) ack 1
			C P. 1:7(6) ack 1 "h----i"
			S . 1:1(0) ack 2
		]]
	end)
end)

describe("a failure", function()
	it("shows what came, event by event", function()
		local r = t.run(paths, get("/a"):lose { 8, 9, 10 })
		local why = fault(assert.events, r, { { "request", side = "cli" } })
		assert.matches("expected events:\n  >> 1. request cli\nbut there came:\n  >> 1. request svr\n", why, 1, true)
		assert.matches("packet 4  C P. 1:43(42) ack 1 \"GET /a HTTP/1.1", why, 1, true)
		assert.matches("\n     conn_new_data svr data=", why, 1, true)
		assert.matches("\n  >> request svr\n", why, 1, true)
		assert.matches("did not expect conn_end", fault(assert.no_events, r, "conn_end"))
		assert.matches("expected packet 1 to drop", fault(assert.verdicts, r, { "drop" }))
		assert.matches("expected to leave:\n  >> 1. C F 0:0(0)", fault(assert.leaves, r, "C F 0:0(0)"), 1, true)
	end)

	it("takes no event too many and none too few", function()
		local r = t.run(paths, get "/a")
		fault(assert.events, r, { { "conn_end", side = "cli" } })
		fault(assert.events, r, { "request", "request" })
		fault(assert.events, r, { { "request", path = "/a" } })
		fault(assert.verdicts, r, { "pass" })
		fault(assert.leaves, r, "C S 0:0(0)")
		assert.is_false((t.expect.events(r, { "rexmit" })))
		assert.is_true((t.expect.events(r, {})))
	end)
end)

describe("require", function()
	it("works again in each file that busted runs", function()
		local spec = 'local t = require "mos.test" it("runs", function() t.run("\\nlocal x", t.tcp()) end)\n'
		local files = { kit.write(kit.tmp "_spec.lua", spec), kit.write(kit.tmp "_spec.lua", spec) }
		local code, out, err = kit.command { "luajit", io.popen "command -v busted":read "*l", "-o", "TAP", unpack(files) }
		assert.equal(0, code, out .. err)
		assert.matches("ok 1 - runs\nok 2 - runs\n1..2", out, 1, true)
	end)
end)

describe("every_split", function()
	it("passes what waits for the whole", function()
		assert.equal(46, t.every_split(get "/a", paths))
		local n = 0
		t.every_split(get "/a", paths, function(r)
			n = n + 1
			assert.equal("/a\n", r.out)
		end)
		assert.equal(46, n)
	end)

	it("allows what is said to differ", function()
		local pieces = [[
			local mos = require "mos"
			local mon, left = mos.monitor(), 10
			local piece = mos.event { name = "piece", parent = "conn_new_data", fields = { { "data", "string" } },
				filter = function(conn, side)
					left = left - 1
					return side == "svr" and { data = conn:peek(side), left = left }
				end }
			mon:on(piece, function() end)
		]]
		local conv = t.tcp():send("client", "abcdef")
		assert.matches('and now:\n  piece svr data="a" left=9\n', fault(t.every_split, conv, pieces), 1, true)
		local n = t.every_split(conv, pieces, nil, { pieces = { piece = "data" }, ignore = { "left" }, bursts = false })
		assert.equal(7, n)
	end)

	it("finds what depends on how bytes are cut", function()
		local hasty = paths:gsub('conn:find%(side, "\\r\\n\\r\\n"%)', 'conn:starts_with(side, "GET /a")')
		local why = fault(t.every_split, get "/abc", hasty)
		assert.matches("every_split: segments cut after 6 bytes: with whole segments:\n  printed: /abc\nand now:\n"
			.. "  printed: /a\nin all of this:\npacket 1  C S", why, 1, true)
		why = fault(t.every_split, get "/abc", hasty, function(r)
			assert.equal("/abc\n", r.out)
		end)
		assert.matches("every_split: segments cut after 6 bytes: ", why, 1, true)
	end)
end)
