-- What a script's author is told, and what becomes of the packet.
local kit = require "kit"

local head = [[local mos = require "mos"
local mon = mos.monitor { filter = "tcp" }
]]

local segments = [[
	0     C S  0:0(0)
	+.01  S S. 0:0(0) ack 1
	+.01  C .  1:1(0) ack 1
	+.01  C P. 1:5(4) ack 1 "ping"
	+.01  S P. 1:5(4) ack 5 "pong"
]]

local function run(source, ...)
	return kit.run { kit.script(source), "-r", kit.pcap(segments), ... }
end

-- The message of a script that cannot be loaded, without program and path; rest is what follows the two lines of head.
local function message_of(rest)
	local code, out, err = run(head .. rest)
	assert.equal(1, code, err)
	assert.equal("", out)
	local lines = select(2, err:gsub("\n", ""))
	assert.equal(1, lines, err)
	return (err:gsub("^mos%-run: error: .-%d+%.lua:", "script.lua:"):gsub("\n", ""))
end

describe("a script's mistake", function()
	local cases = {
		{ "a misspelt event", [[mon:on("con_start", "snd", print)]],
			"script.lua:3: unknown event 'con_start'; did you mean 'conn_start'?" },
		{ "an unknown event", [[mon:on("breakfast", print)]],
			"script.lua:3: unknown event 'breakfast'; there is pkt_in, conn_start, conn_new_data, error, "
				.. "tcp_state_change, orphan, rexmit, conn_end" },
		{ "a misspelt event of the script", [[mos.event { name = "http_request", parent = "pkt_in" }
mon:on("htp_request", "snd", print)]],
			"script.lua:4: unknown event 'htp_request'; did you mean 'http_request'?" },
		{ "an event of the wrong type", [[mon:on(7, "snd", print)]],
			"script.lua:3: an event is a name or what mos.event returned, not a number" },
		{ "a missing hook", [[mon:on("conn_start", print)]],
			"script.lua:3: conn_start needs a hook: 'snd' or 'rcv'" },
		{ "a misspelt hook", [[mon:on("conn_start", "sdn", print)]],
			"script.lua:3: unknown hook 'sdn'; did you mean 'snd'?" },
		{ "a hook that the event has not", [[mon:on("conn_new_data", "snd", print)]],
			"script.lua:3: conn_new_data is not raised at 'snd'; it has rcv, null" },
		{ "a handler that is none", [[mon:on("conn_start", "snd", 5)]],
			"script.lua:3: monitor:on: the handler must be a function, not a number" },
		{ "a misspelt option", [[mos.monitor { clibuff = 0 }]],
			"script.lua:3: unknown option of mos.monitor 'clibuff'; did you mean 'clibuf'?" },
		{ "an option of the wrong type", [[mos.monitor { filter = 80 }]],
			"script.lua:3: mos.monitor: filter must be a string, not a number" },
		{ "options that are none", [[mos.monitor "tcp"]],
			"script.lua:3: mos.monitor takes a table of options, as in mos.monitor { ... }" },
		{ "a size that is none", [[mos.monitor { svrbuf = "64 kilo" }]],
			"script.lua:3: mos.monitor: svrbuf must be a size such as 65536 or \"64K\", not '64 kilo'" },
		{ "a family that is none", [[mos.monitor { family = 5 }]],
			"script.lua:3: mos.monitor: family must be 4 or 6; left out it is both" },
		{ "an unknown overlap policy", [[mos.monitor { overlap = "fist" }]],
			"script.lua:3: unknown overlap policy 'fist'; did you mean 'first'?" },
		{ "a buffer of single packets", [[mos.monitor { raw = true, clibuf = 0 }]],
			"script.lua:3: mos.monitor: clibuf has no meaning with raw = true, which sees single packets" },
		{ "a dot for a colon", [[mon.on("conn_start", "snd", print)]],
			"script.lua:3: call it with a colon: monitor:on(...)" },
		{ "a misspelt function", [[mos.moniter {}]],
			"script.lua:3: unknown field of mos 'moniter'; did you mean 'monitor'?" },
		{ "an event without a parent", [[mos.event { name = "x" }]],
			"script.lua:3: mos.event: parent is missing; it is the event that this one extends" },
		{ "a misspelt parent", [[mos.event { name = "x", parent = "conn_new_dat" }]],
			"script.lua:3: unknown event 'conn_new_dat'; did you mean 'conn_new_data'?" },
		{ "a name that has another parent", [[mos.event { name = "x", parent = "pkt_in" }
mos.event { name = "x", parent = "error" }]],
			"script.lua:4: mos.event: cannot define 'x': an event of that name extends another one, "
				.. "or has another kind of filter" },
		{ "a record that does not parse", [[mos.record "uint32_t pkts"]],
			"script.lua:3: mos.record: ';' expected near '}'" },
		{ "a second record", [[mos.record "int a;"
mos.record "int b;"]],
			"script.lua:4: mos.record: one record per script; this is the second" },
		{ "a timer of no time", [[mos.every(0, print)]],
			"script.lua:3: mos.every: 0 seconds are out of range" },
		{ "a module that is not there", [[require "no.such"]],
			"script.lua:3: module 'no.such' not found" },
		{ "Lua's own words on syntax", [[local x = = 3]],
			"script.lua:3: unexpected symbol near '='" },
		{ "Lua's own words on a value", [[print(mon.x.y)]],
			"script.lua:3: attempt to index field 'x' (a nil value)" },
		{ "an error without a place", [[error("enough", 0)]], "mos-run: error: enough" },
		{ "an error that is no text", [[error {}]],
			"mos-run: error: (error object is a table value)" },
	}
	for _, case in ipairs(cases) do
		it("is told in one line: " .. case[1], function()
			assert.equal(case[3], message_of(case[2]))
		end)
	end

	it("is told in one line: a filter that libpcap refuses", function()
		local message = message_of [[mos.monitor { filter = "tcp prot 80" }]]
		assert.matches("^script.lua:3: mos.monitor: ", message)
		assert.matches("tcp prot 80", message, 1, true)
	end)

	it("is told where the script stands, wherever that is", function()
		local path = kit.script "local x = nil + 1"
		local _, _, err = kit.run { path, "-r", kit.pcap(segments) }
		assert.equal(("mos-run: error: %s:1: attempt to perform arithmetic on a nil value\n"):format(path), err)
	end)

	it("is told of a file that is not there", function()
		local code, _, err = kit.run { "/no/such.lua", "-r", kit.pcap(segments) }
		assert.equal(1, code)
		assert.matches("cannot open /no/such%.lua", err)
	end)
end)

describe("an error in a handler", function()
	local failing = head .. [[
local n = 0
mon:on("pkt_in", "snd", function(conn, side, pkt)
	n = n + 1
	local function deeper() return nil + n end
	deeper()
end)
mos.at_exit(function() print(n) end)
]]

	it("is logged once with its traceback, and counted", function()
		local code, out, err = run(failing, "--stats")
		assert.equal(0, code)
		assert.equal("5\n", out)
		local _, times = err:gsub("attempt to perform arithmetic", "")
		assert.equal(1, times)
		assert.matches("lua:6: attempt to perform arithmetic on a nil value %(pkt_in, packet 1%)\n", err)
		assert.matches("error:   stack traceback:\n", err)
		assert.matches("lua:6: in function 'deeper'\n", err)
		assert.matches("lua:7: in function", err)
		assert.not_matches("(mos", err, 1, true)
		assert.matches("lua:6: failed 5 times in all\n", err)
		assert.matches("handler_errors +5 ", err)
	end)

	it("is logged at each place", function()
		local _, _, err = run(head .. [[
mon:on("pkt_in", "snd", function(conn, side) error("one") end)
mon:on("pkt_in", "rcv", function(conn, side) error("two") end)
]])
		assert.matches("lua:3: one %(pkt_in, packet 1%)", err)
		assert.matches("lua:4: two %(pkt_in, packet 1%)", err)
	end)

	it("passes the packet, drops it, or ends the run", function()
		local function written(action)
			local path = kit.tmp ".pcap"
			local code, out = run(failing, "-w", path, "-q", unpack(action and { "--on-error", action } or {}))
			local _, packets = kit.run { "-q", "-r", path, kit.script [[
local mos = require "mos"
local n = 0
mos.monitor { raw = true }:on("pkt_in", function() n = n + 1 end)
mos.at_exit(function() io.write(n) end)]] }
			return code, out, packets
		end
		assert.same({ 0, "5\n", "5" }, { written() })
		assert.same({ 0, "5\n", "5" }, { written "pass" })
		assert.same({ 0, "5\n", "0" }, { written "drop" })
		local code, out = written "stop"
		assert.same({ 1, "1\n" }, { code, out })
	end)

	it("does not keep the others of that event from running", function()
		local _, out = run(head .. [[
local ev = mos.event { name = "x", parent = "pkt_in", filter = function() return true end }
mon:on("pkt_in", "snd", function() error "first" end)
mon:on(ev, "snd", function(conn, side, pkt) io.write(pkt.number, " ") end)
]])
		assert.equal("1 2 3 4 5 ", out)
	end)

	it("may be a table, with or without words", function()
		local _, _, err = run(head .. [[
mon:on("pkt_in", "snd", function() error {} end)
mon:on("pkt_in", "rcv", function() error(setmetatable({}, { __tostring = function() return "my words" end })) end)
]])
		assert.matches("%(error object is a table value%) %(pkt_in, packet 1%)", err)
		assert.matches("my words %(pkt_in, packet 1%)", err)
	end)

	it("in a filter means no, and is logged like any", function()
		local _, out, err = run(head .. [[
local ev = mos.event { name = "x", parent = "pkt_in", filter = function(conn) return conn.nonsense end }
mon:on(ev, "snd", function() print "never" end)
]])
		assert.equal("", out)
		assert.matches("lua:3: unknown field of a connection 'nonsense' %(x, packet 1%)", err)
	end)

	it("is the handler's, not its filter's, where the handler of an event of one's own fails", function()
		local source = [[
local mon, asked, called = mos.monitor {}, 0, 0
local ev = mos.event { name = "mine", parent = "pkt_in", filter = function() asked = asked + 1 return true end }
mon:on(ev, "snd", function() called = called + 1 error "oops" end)
mos.at_exit(function() print(asked, called) end)]]
		local _, out, err = run("local mos = require 'mos'\n" .. source)
		assert.equal("5\t5\n", out)
		assert.matches("oops %(mine, packet 1%)", err)
		_, out, err = run("local mos = require 'mos'\n" .. source, "--max-errors", "1/s")
		assert.equal("5\t2\n", out)
		assert.matches("the handler of mine at snd of monitor #1 is taken out", err, 1, true)
	end)

	it("in a timer or at the end is logged like any", function()
		local _, out, err = run(head .. [[
mos.timer(0.015, function() error "late" end)
mos.at_exit(function() error "last" end)
mos.at_exit(function() print "still" end)
]])
		assert.equal("still\n", out)
		assert.matches("lua:3: late %(timer%)", err)
		assert.matches("lua:4: last %(at exit%)", err)
	end)

	it("survives a script that runs out of stack", function()
		local code, out, err = run(head .. [[
local function forever() return 1 + forever() end
mon:on("pkt_in", "snd", function() forever() end)
mos.at_exit(function() print "end" end)
]])
		assert.equal(0, code)
		assert.equal("end\n", out)
		assert.matches("stack overflow", err)
	end)
end)

describe("what a handler keeps", function()
	it("of a connection raises after its end, also in compiled code", function()
		local _, out, err = run(head .. [[
local kept
mon:on("conn_start", "snd", function(conn) kept = conn end)
local function use() local x = kept.client.pkts return x end
mon:on("conn_end", "snd", function(conn, side) assert(kept == conn and not conn.ended) use() end)
mos.at_exit(function()
	print(kept.ended, tostring(kept))
	for _, f in ipairs { use, function() local x = kept.uid return x end,
		function() local x = kept:peek "cli" return x end, function() kept:stop() end,
		function() local x = kept.data return x end, function() kept:on("pkt_in", "snd", print) end } do
		print(pcall(f))
	end
	for i = 1, 300 do assert(not pcall(use)) end
end)
]])
		assert.equal("", err)
		out = out:gsub("[%w/%.%-_]*%d+%.lua:", "script.lua:")
		assert.equal([[
true	connection (ended)
false	script.lua:5: connection has ended
false	script.lua:9: connection has ended
false	script.lua:10: connection has ended
false	script.lua:10: connection has ended
false	script.lua:11: connection has ended
false	script.lua:11: connection has ended
]], out)
	end)

	it("of a packet raises outside of handlers that have one", function()
		local _, out, err = run(head .. [[
local kept
mon:on("pkt_in", "snd", function(conn, side, pkt) kept = pkt end)
mon:on("conn_end", "snd", function(conn, side, pkt)
	assert(pkt == nil)
	print((select(2, pcall(function() local x = kept.seq return x end)):gsub("^.*:", "")))
	print((select(2, pcall(function() kept:drop() end)):gsub("^.*:", "")))
	print(tostring(kept))
end)
]])
		assert.equal("", err)
		local words = " no packet is in dispatch; pkt is only good inside the handler that received it\n"
		assert.equal((words .. words .. "packet (gone)\n"):rep(2), out)
	end)

	it("does not name another connection in the same place", function()
		local _, out, err = kit.run { "-r", kit.pcap [[
			conn one
			client 10.0.0.1:1000
			conn two
			client 10.0.0.1:2000
			0  one.C S 0:0(0)
			+1 one.S R. 0:0(0) ack 1
			+100 two.C S 0:0(0)
			+1 two.S S. 0:0(0) ack 1
		]], kit.script(head .. [[
local first
mon:on("conn_start", "snd", function(conn)
	if first then
		print(first.ended, first == conn, conn.ended, conn.client.port)
		print(pcall(function() local x = first.client.port return x end))
	end
	first = first or conn
end)]]) }
		assert.equal("", err)
		assert.matches("^true\tfalse\tfalse\t2000\nfalse\t.*connection has ended\n$", out)
	end)
end)
