-- A script that misbehaves, in each of the ways there are, and the traffic that goes on.
local kit = require "kit"
local live = require "live"

-- One connection of 3 + 60 packets, 10 ms apart.
local lines = { "0 C S 0:0(0)", "+.01 S S. 0:0(0) ack 1", "+.01 C . 1:1(0) ack 1" }
for i = 0, 59 do
	lines[#lines + 1] = ("+.01 C P. %d:%d(10) ack 1"):format(1 + 10 * i, 11 + 10 * i)
end
local capture = kit.pcap(table.concat(lines, "\n"))
local PACKETS = 63

local head = [[
local mos = require "mos"
local ffi = require "ffi"
local mon = mos.monitor { filter = "tcp" }
mos.record "uint32_t packets;"
local watch = mos.monitor { raw = true, name = "watch" }
watch:on("pkt_in", function(conn, side, pkt) io.stdout:write(pkt.number, " ") io.stdout:flush() end)
mon:on("pkt_in", "rcv", function(conn) conn.rec.packets = conn.rec.packets + 1 end)
mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then io.stderr:write("the connection had ", conn.rec.packets, " packets\n") end
end)
mos.at_exit(function() io.stderr:write("at exit\n") end)
]]

local function run(body, ...)
	return kit.run { kit.script(head .. body), "-r", capture, "--stats", ... }
end

-- The numbers of all packets, in order: none was missed, none seen twice.
local function numbers(but)
	local t = {}
	for i = 1, PACKETS do
		if i ~= but then
			t[#t + 1] = i .. " "
		end
	end
	return table.concat(t)
end

local function count(err, name)
	return tonumber(err:match(name .. " +(%d+) ") or 0)
end

-- Ways to keep a handler from returning.
local endless = {
	{ "a compiled loop", "local x = 0 while true do x = x + 1 end" },
	{ "a pcall that swallows the error",
		"while true do pcall(function() local x = 0 while true do x = x + 1 end end) end" },
	{ "a coroutine", "coroutine.wrap(function() while true do pcall(error) end end)()" },
	{ "a catastrophic pattern", "return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40))" },
	{ "a loop of calls into C", "local n = 0 while true do n = n + ffi.C.mos_ffi_event_count() end" },
	{ "a loop of calls into the runtime", "while true do conn:starts_with('svr', 'x') end" },
	{ "string building", "local s while true do s = ('x'):rep(100) .. tostring(s) s = s:sub(1, 50) end" },
	{ "printing", "while true do io.stdout:write('') end" },
	{ "sorting for ever", "local t = {} for i = 1, 1000 do t[i] = i end "
		.. "while true do table.sort(t, function(a, b) return a > b end) end" },
}

describe("a handler that does not return", function()
	for _, case in ipairs(endless) do
		it("is stopped: " .. case[1], function()
			local code, out, err = run([[
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 20 then ]] .. case[2] .. [[ end
end)]], "--script-timeout", "20ms")
			assert.equal(0, code, err)
			assert.equal(numbers(), out)
			assert.matches("took ", err)
			assert.matches("pkt_in, packet 20", err, 1, true)
			assert.matches("at exit", err)
			assert.is_true(count(err, "handler_errors") >= 1)
			-- What a handler counted in its connection's record is there, but for the packet that was lost to it.
			assert.matches("the connection had 6[23] packets", err)
		end)
	end

	it("gets an error where it is not compiled, and the state stays", function()
		local code, _, err = run([[
jit.off()
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 20 then while true do end end
end)]], "--script-timeout", "20ms")
		assert.equal(0, code, err)
		assert.matches("lua:%d+: took longer than 20 ms %(pkt_in, packet 20%)", err)
		assert.equal(0, count(err, "script_starts"))
		assert.matches("the connection had 63 packets", err)
	end)

	it("is taken out when it has cost the state three times, and only it", function()
		local code, out, err = run([[
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number >= 20 then local x = 0 while true do x = x + 1 end end
end)]], "--script-timeout", "4ms")
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.equal(3, count(err, "handlers_stopped"))
		assert.equal(3, count(err, "script_starts"))
		assert.matches("the handler of pkt_in at snd of monitor #1 is taken out: it has cost the script its state "
			.. "three times", err, 1, true)
		assert.matches("the connection had 60 packets", err)
	end)

	it("may be a filter", function()
		local code, out, err = run([[
local ev = mos.event { name = "long", parent = "pkt_in", filter = function(conn, side, pkt)
	local x = 0
	while pkt.number >= 20 do x = x + 1 end
	return true
end }
mon:on(ev, "snd", function() end)]], "--script-timeout", "4ms")
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.equal(3, count(err, "handlers_stopped"))
		assert.matches("the filter of long is taken out", err)
	end)

	it("may be a timer", function()
		local code, out, err = run([[
mos.every(0.05, function() local x = 0 while true do x = x + 1 end end)
local n = 0
mos.every(0.1, function() n = n + 1 end)
mos.at_exit(function() io.stderr:write("ticks ", n, "\n") end)]], "--script-timeout", "4ms")
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.equal(3, count(err, "handlers_stopped"))
		assert.matches("a timer is taken out", err)
		assert.matches("ticks [34]", err)
	end)

	it("decides its packet as any error does", function()
		local path = kit.tmp ".pcap"
		local code = run([[
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 20 then local x = 0 while true do x = x + 1 end end
end)]], "--script-timeout", "4ms", "--on-error", "drop", "-w", path)
		assert.equal(0, code)
		local _, n = kit.run { "-q", "-r", path, kit.script [[
local mos = require "mos"
local n = 0
mos.monitor { raw = true }:on("pkt_in", function() n = n + 1 end)
mos.at_exit(function() io.write(n) end)]] }
		assert.equal(tostring(PACKETS - 1), n)
	end)

	it("ends the run where an error does", function()
		local code, _, err = run([[
mon:on("pkt_in", "snd", function(conn, side, pkt) local x = 0 while true do x = x + 1 end end)]],
			"--script-timeout", "4ms", "--on-error", "stop")
		assert.equal(1, code, err)
	end)
end)

describe("a script that does not end", function()
	it("to load is refused", function()
		local code, out, err = run("local x = 0 while true do x = x + 1 end", "--script-timeout", "4ms")
		assert.equal(1, code)
		assert.equal("", out)
		assert.matches("its main part took too long", err)
	end)

	it("to load, in a module, is refused", function()
		local dir = kit.tmp ".d"
		os.execute("mkdir -p " .. kit.quote(dir))
		kit.write(dir .. "/slow.lua", "local x = 0 while true do x = x + 1 end")
		local code, _, err = kit.run { kit.write(dir .. "/main.lua", head .. 'require "slow"'), "-r", capture,
			"--script-timeout", "4ms" }
		assert.equal(1, code)
		assert.matches("its main part took too long", err)
	end)

	it("at the end of the run is stopped", function()
		local code, out, err = run("mos.at_exit(function() local x = 0 while true do x = x + 1 end end)",
			"--script-timeout", "4ms")
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.matches("at exit", err)
		assert.matches("a function took too long", err)
	end)
end)

describe("a script that takes memory", function()
	local hogs = {
		{ "in tables", "local t = {} for i = 1, 1e9 do t[i] = { i } end" },
		{ "in strings", "local s = 'x' while true do s = s .. s end" },
		{ "in C data", "local t = {} for i = 1, 1e9 do t[i] = ffi.new('char[1000]') end" },
	}
	for _, hog in ipairs(hogs) do
		it("gets an error, then goes on: " .. hog[1], function()
			local code, out, err = run([[
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 20 then ]] .. hog[2] .. [[ end
end)]], "--script-memory", "16M", "--script-timeout", "0ms")
			assert.equal(0, code, err)
			assert.equal(numbers(), out)
			assert.matches("not enough memory", err)
			assert.equal(1, count(err, "script_memory_out"))
			assert.equal(0, count(err, "script_starts"))
			assert.matches("the connection had 63 packets", err)
		end)
	end

	it("and keeps it gets a fresh state", function()
		local code, out, err = run([[
kept = {}
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number >= 20 then for i = 1, 1e9 do kept[#kept + 1] = { i } end end
end)]], "--script-memory", "16M", "--script-timeout", "0ms")
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.matches("needed more memory than --script-memory allows", err, 1, true)
		assert.equal(3, count(err, "script_starts"))
		assert.matches("is taken out", err)
		assert.matches("the connection had 60 packets", err)
	end)

	it("to load is refused", function()
		local code, _, err = run("local t = {} for i = 1, 1e9 do t[i] = { i } end", "--script-memory", "16M",
			"--script-timeout", "0ms")
		assert.equal(1, code)
		assert.matches("not enough memory", err)
	end)
end)

describe("a script that runs out of stack", function()
	it("gets an error, in a handler and in a filter", function()
		local code, out, err = run [[
local function forever() return 1 + forever() end
mon:on("pkt_in", "snd", function() forever() end)
local ev = mos.event { name = "deep", parent = "pkt_in", filter = forever }
mon:on(ev, "snd", function() end)]]
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.matches("stack overflow", err)
		assert.equal(0, count(err, "script_starts"))
		assert.matches("the connection had 63 packets", err)
	end)
end)

describe("a handler that fails too often", function()
	local storm = [[
mon:on("pkt_in", "snd", function() error "storm" end)
local ev = mos.event { name = "other", parent = "pkt_in", filter = function() error "no" end }
mon:on(ev, "rcv", function() end)]]

	it("is taken out, and the rest goes on", function()
		local code, out, err = run(storm, "--max-errors", "10/s")
		assert.equal(0, code, err)
		assert.equal(numbers(), out)
		assert.equal(22, count(err, "handler_errors"))
		assert.equal(2, count(err, "handlers_out"))
		assert.matches("the handler of pkt_in at snd of monitor #1 is taken out: it failed more than 10 times in a second; "
			.. "the rest goes on", err, 1, true)
		assert.matches("the filter of other is taken out", err, 1, true)
		assert.matches("the connection had 63 packets", err)
	end)

	it("stays where the rate is not reached, or none is given", function()
		for _, rate in ipairs { "100/s", "0/s" } do
			local _, _, err = run(storm, "--max-errors", rate)
			assert.equal(2 * PACKETS, count(err, "handler_errors"))
			assert.equal(0, count(err, "handlers_out"))
		end
	end)

	it("is known by its place, whichever function stands there", function()
		local _, _, err = run([[
mon:on("conn_start", "snd", function(conn)
	local function again()
		conn:on("pkt_in", "snd", function()
			conn:on("pkt_in", "snd", function() again() error "new" end)
			again()
			error "x"
		end)
	end
	again()
end)]], "--max-errors", "10/s")
		assert.equal(1, count(err, "handlers_out"))
		assert.is_true(count(err, "handler_errors") <= 13)
	end)

	it("may be a timer", function()
		local _, out, err = run([[mos.every(0.01, function() error "late" end)]], "--max-errors", "10/s")
		assert.equal(numbers(), out)
		assert.equal(11, count(err, "handler_errors"))
		assert.equal(1, count(err, "handlers_out"))
	end)
end)

describe("a fresh state", function()
	it("has the connection's handlers that have names", function()
		local _, _, err = run([[
local n = 0
function counter() n = n + 1 end
local local_one = mos.handler("local one", function() n = n + 100 end)
mon:on("conn_start", "snd", function(conn)
	conn:on("tcp_state_change", "rcv", function() end)
	conn:on("pkt_in", "snd", counter)
	conn:on("rexmit", "snd", local_one)
	conn:off("pkt_in", "rcv")
end)
local m = mos.monitor { name = "other", filter = "tcp" }
m:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 33 then local x = 0 while true do x = x + 1 end end
end)
mos.at_exit(function() io.stderr:write("n ", n, "\n") end)]], "--script-timeout", "4ms")
		assert.matches("\nn 30\n", err)
		assert.matches("the connection had 0 packets", err)
	end)

	it("sees connections that begin later, and what is left of those that were there", function()
		local path = kit.pcap [[
			conn one
			client 10.0.0.1:1000
			conn two
			client 10.0.0.1:2000
			0    one.C S 0:0(0)
			+.01 one.S S. 0:0(0) ack 1
			+.01 one.C . 1:1(0) ack 1
			+.01 one.C P. 1:5(4) ack 1 "stop"
			+.01 two.C S 0:0(0)
			+.01 two.S S. 0:0(0) ack 1
			+.01 two.C . 1:1(0) ack 1
			+.01 two.C P. 1:5(4) ack 1 "data"
			+.01 one.C P. 5:9(4) ack 1 "more"
		]]
		local code, out, err = kit.run { "-q", "-r", path, "--script-timeout", "4ms", kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
mon:on("conn_start", "snd", function(conn) print("start", conn.client.port) end)
mon:on("conn_new_data", function(conn, side)
	local s = conn:peek(side)
	print("data", conn.client.port, s)
	while s == "stopmore" do s = s .. "" end
end)
mon:on("conn_end", "snd", function(conn, side) if side == "cli" then print("end", conn.client.port) end end)
]] }
		assert.equal(0, code, err)
		assert.matches("^start\t1000\nstart\t2000\ndata\t1000\tstopmore\n", out)
		assert.matches("data\t2000\tdata\n", out)
		assert.matches("end\t1000\n", out)
		assert.matches("end\t2000\n", out)
	end)

	it("has the monitors that share their handlers", function()
		local _, _, err = run([[
local n = 0
local function count() n = n + 1 end
for _ = 1, 3 do mos.monitor { filter = "tcp" }:on("pkt_in", "snd", count) end
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 33 then local x = 0 while true do x = x + 1 end end
end)
mos.at_exit(function() io.stderr:write("n ", n, "\n") end)]], "--script-timeout", "4ms")
		assert.matches("\nn 90\n", err)
	end)

	it("that cannot be had leaves the packets alone", function()
		local marker = kit.tmp ".marker"
		os.remove(marker)
		local code, _, err = run(([[
local f = io.open(%q)
if f then error "not again" end
io.open(%q, "w"):close()
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 20 then local x = 0 while true do x = x + 1 end end
end)]]):format(marker, marker), "--script-timeout", "4ms")
		assert.equal(0, code, err)
		assert.matches("the script is not run any more: it cannot begin afresh: .*not again", err)
		assert.equal(PACKETS, count(err, "\n  packets"))
	end)

	it("that cannot be had is not watched any more", function()
		local marker = kit.tmp ".marker"
		os.remove(marker)
		local live_run = live.start { capture = capture, "--script-timeout", "4ms", kit.script(head .. ([[
local f = io.open(%q)
if f then error "not again" end
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.number == 20 then
		io.open(%q, "w"):close()
		local x = 0
		while true do x = x + 1 end
	end
end)]]):format(marker, marker)) }
		local function timers()
			local f = io.open("/proc/" .. live_run:number "pid" .. "/timers")
			return f and select(2, f:read "*a":gsub("ClockID", "")), f and f:close()
		end
		local before = timers()
		live_run:feed()
		assert.matches("it cannot begin afresh", live_run:errors())
		if before then
			assert.equal(before - 1, (timers()))
		end
		os.remove(marker)
		assert.equal(0, (live_run:ctl "reload"))
		if before then
			assert.equal(before, (timers()))
		end
		live_run:finish()
	end)
end)

describe("the bounds", function()
	it("are refused where they make no sense", function()
		for _, case in ipairs {
			{ "--max-errors", "5", "takes errors per second such as 100/s" },
			{ "--max-errors", "x/s", "takes errors per second such as 100/s" },
			{ "--script-timeout", "50", "takes a time such as 50ms or 1s" },
			{ "--script-timeout", "1ms", "takes from 4ms to 60s" },
			{ "--script-memory", "1M", "takes a size from 4M on" },
			{ "--script-memory", "lots", "takes a size from 4M on" },
		} do
			local code, _, err = run("", case[1], case[2])
			assert.equal(2, code)
			assert.matches(case[3], err, 1, true)
		end
	end)
end)
