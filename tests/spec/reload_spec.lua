-- A script that changes while packets flow, and the control socket.
local kit = require "kit"
local live = require "live"

-- One connection of 3 + 57 packets, 10 ms apart, and one that begins at packet 31.
local function capture()
	local lines = { "conn a", "client 10.0.0.1:1000", "conn b", "client 10.0.0.1:2000",
		"0 a.C S 0:0(0)", "+.01 a.S S. 0:0(0) ack 1", "+.01 a.C . 1:1(0) ack 1" }
	for i = 0, 26 do
		lines[#lines + 1] = ("+.01 a.C P. %d:%d(10) ack 1"):format(1 + 10 * i, 11 + 10 * i)
	end
	lines[#lines + 1] = "+.01 b.C S 0:0(0)"
	lines[#lines + 1] = "+.01 b.S S. 0:0(0) ack 1"
	lines[#lines + 1] = "+.01 b.C . 1:1(0) ack 1"
	for i = 27, 53 do
		lines[#lines + 1] = ("+.01 a.C P. %d:%d(10) ack 1"):format(1 + 10 * i, 11 + 10 * i)
	end
	return kit.pcap(table.concat(lines, "\n"))
end

local path = capture()
local head = [[
local mos = require "mos"
local mon = mos.monitor { filter = "tcp", name = "main" }
]]

-- Run `old` for the first 20 packets (of connection a), then `new`. Both write to standard output.
local function change(old, new, ...)
	local file = kit.script(head .. old)
	local run = live.start { capture = path, file, ... }
	run:feed(20)
	kit.write(file, head .. new)
	local code, out, err = run:ctl "reload"
	run:feed()
	local rc, printed, errors = run:finish()
	assert.equal(0, rc, errors)
	return printed, code, out, err, errors
end

local numbers = [[mon:on("pkt_in", "snd", function(_, _, pkt) io.write(pkt.number, "%s ") end) ]]

local function expected(from, to, suffix)
	local t = {}
	for i = from, to do
		t[#t + 1] = i .. suffix .. " "
	end
	return table.concat(t)
end

-- Packets in the order of their numbers: the workers' outputs may be mixed.
local function sorted(out)
	local t = {}
	for n, suffix in out:gmatch "(%d+)(%a) " do
		t[#t + 1] = { tonumber(n), suffix }
	end
	table.sort(t, function(a, b) return a[1] < b[1] end)
	for i, p in ipairs(t) do
		t[i] = p[1] .. p[2] .. " "
	end
	return table.concat(t)
end

describe("a reload", function()
	it("has each packet seen by one script", function()
		local out, code, answer = change(numbers:format "o", numbers:format "n")
		assert.equal(0, code)
		assert.matches("pause_us", answer)
		assert.equal(expected(1, 20, "o") .. expected(21, 60, "n"), sorted(out))
	end)

	it("that fails changes nothing, and says where", function()
		for _, broken in ipairs {
			{ "error 'broken'", "lua:3: broken" },
			{ "local x = = 3", "lua:3: unexpected symbol near '='" },
			{ "mon:on('con_start', 'snd', print)", "lua:3: unknown event 'con_start'; did you mean 'conn_start'?" },
			{ "mos.record 'uint32_t n' ", "lua:3: mos.record: " },
			{ "while true do end", "its main part took too long" },
		} do
			local out, code, _, err = change(numbers:format "o", broken[1], "--script-timeout", "4ms")
			assert.equal(1, code)
			assert.matches(broken[2], err, 1, true)
			assert.equal(expected(1, 60, "o"), sorted(out))
		end
	end)

	it("leaves the garbage of loading to nobody's packets", function()
		local garbage = "local t = {} for i = 1, 1e5 do t[i] = { tostring(i) } end t = nil " .. numbers
		local file = kit.script(head .. garbage:format "o")
		local run = live.start { capture = path, file }
		run:feed(20)
		kit.write(file, head .. garbage:format "n")
		assert.equal(0, (run:ctl "reload"))
		run:feed()
		assert.equal(0, run:number("gc_us", "stats"))
		run:finish()
	end)

	it("may take another script, or one worker", function()
		local file, other = kit.script(head .. numbers:format "o"), kit.script(head .. numbers:format "n")
		local run = live.start { capture = path, file }
		run:feed(20)
		assert.equal(0, (run:ctl("reload", "--worker", "1", other)))
		assert.equal(0, (run:ctl("reload", "--worker", "2", other)))
		run:feed(20)
		assert.equal(0, (run:ctl "reload"))
		run:feed()
		local _, out = run:finish()
		assert.equal(expected(1, 20, "o") .. expected(21, 40, "n") .. expected(41, 60, "o"), sorted(out))
	end)

	it("comes by SIGHUP", function()
		local file = kit.script(head .. numbers:format "o")
		local run = live.start { capture = path, file }
		run:feed(20)
		kit.write(file, head .. numbers:format "n")
		run:signal "HUP"
		run:wait(function() return run:number "reloads" == 1 end, "the reload")
		run:feed()
		local _, out = run:finish()
		assert.equal(expected(1, 20, "o") .. expected(21, 60, "n"), sorted(out))
	end)

	it("comes with --watch, when the script or a module has changed, also by renaming", function()
		local dir = kit.tmp ".d"
		os.execute("mkdir -p " .. kit.quote(dir))
		local file, module = dir .. "/main.lua", dir .. "/suffix.lua"
		kit.write(module, "return 'o'")
		kit.write(file, head .. [[local s = require "suffix"
mon:on("pkt_in", "snd", function(_, _, pkt) io.write(pkt.number, s, " ") end)]])
		local run = live.start { capture = path, file, "--watch" }
		run:feed(20)
		kit.write(module, "return 'm'")
		run:wait(function() return run:number "reloads" == 1 end, "the reload")
		run:feed(20)
		kit.write(dir .. "/new", head .. numbers:format "n")
		os.rename(dir .. "/new", file)
		run:wait(function() return run:number "reloads" == 2 end, "the second reload")
		run:feed()
		local _, out = run:finish()
		assert.equal(expected(1, 20, "o") .. expected(21, 40, "m") .. expected(41, 60, "n"), sorted(out))
	end)

	it("keeps records, by the names of their fields", function()
		local out = change([[
mos.record "uint32_t a; uint32_t n; double x[2]; char s[4];"
mon:on("pkt_in", "snd", function(conn) local r = conn.rec r.a = 7 r.n = r.n + 1 r.x[1] = 0.5 r.s = "ab" end)]], [[
mos.record "double x[2]; uint64_t more; uint32_t n; char s[4];"
mon:on("pkt_in", "snd", function(conn) conn.rec.n = conn.rec.n + 1 end)
mon:on("conn_end", "snd", function(conn, side)
	local r = conn.rec
	if side == "cli" then
		print(conn.client.port, r.n, r.x[1], tonumber(r.more), require("ffi").string(r.s))
	end
end)]])
		assert.matches("1000\t57\t0.5\t0\tab\n", out)
		assert.matches("2000\t3\t0\t0\t\n", out)
	end)

	it("is refused where a field of the record has another type", function()
		local _, code, _, err = change([[mos.record "uint32_t n;"]], [[mos.record "uint64_t n;"]])
		assert.equal(1, code)
		assert.matches("lua:3: mos.record: 'n' was a uint32_t and cannot become a uint64_t while connections have it", err, 1,
			true)
	end)

	it("keeps what scripts hand on, and conn.data by choice", function()
		local out = change([[
local n = 0
mon:on("pkt_in", "snd", function(conn) n = n + 1 conn.data.list = { n, "x" } end)
mos.on_unload(function(save) save.n, save.deep = n, { { true } } end)]], [[
local n = 0
mos.on_load(function(restore) n = restore.n assert(restore.deep[1][1]) end)
mon:carry(function(conn, old) conn.data.old = old.list[1] print("carried", conn.client.port, old.list[2]) end)
mon:on("pkt_in", "snd", function(conn) n = n + 1 end)
mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.client.port, conn.data.old, n) end
end)]])
		assert.matches("carried\t1000\tx\n", out)
		assert.matches("1000\t20\t%d+\n", out)
		assert.matches("2000\tnil\t%d+\n", out)
		assert.not_matches("carried\t2000", out)
	end)

	it("binds a connection's own handlers again, by name", function()
		local script = [[
function watcher(_, _, pkt) io.write(pkt.number, "%s ") end
local other = function() end
%s
mon:on("conn_start", "snd", function(conn)
	conn:on("pkt_in", "rcv", watcher)
	conn:on("pkt_in", "snd", function(_, _, pkt) io.write(pkt.number, "x ") end)
end)]]
		local out = change(script:format("o", ""), script:format("n", "-- one line more"))
		-- Connection b began later, with the new script: what has no name is its own there.
		assert.equal(expected(1, 20, "o") .. expected(21, 60, "n"), sorted((out:gsub("%d+x ", ""))))
		assert.is_nil(out:match " 25x ")
		assert.matches("20x ", out)
		assert.matches("32x ", out)
	end)

	it("counts a connection's own handlers that are lost, and says so once", function()
		local script = kit.script(head .. [[
function known() end
function old() end
mon:on("conn_start", "snd", function(conn)
	conn:on("pkt_in", "rcv", known)
	conn:on("tcp_state_change", "rcv", old)
	conn:on("pkt_in", "snd", function() end)
end)]])
		local run = live.start { capture = path, script }
		run:feed(40)
		kit.write(script, head .. "function known() end")
		assert.equal(0, (run:ctl "reload"))
		run:feed()
		assert.equal(2, run:number("handlers_unnamed", "stats"))
		assert.equal(2, run:number("handlers_unbound", "stats"))
		local _, _, errors = run:finish()
		local said, lost = 0, 0
		for total, unnamed, gone in errors:gmatch(
			"reload: (%d+) handlers of single connections are lost: (%d) have no name, (%d) have one that the new program lacks"
		) do
			said, lost = said + 1, lost + total
			assert.equal(unnamed, gone)
		end
		assert.equal(4, lost)
		assert.is_true(said <= 2) -- of each worker that has connections
	end)

	it("has events without a name where they were defined before, however often", function()
		local script = [[
local first = mos.event { parent = "pkt_in", filter = function() return true end }
local below = mos.event { name = "below_unnamed", parent = first, filter = function() return true end }
function watch(_, _, pkt) io.write(pkt.number, "%s ") end
mon:on("conn_start", "snd", function(conn) conn:on(below, "snd", watch) end)]]
		local out = change(script:format "o", script:format "n")
		-- The first packet of each connection comes before its handler.
		assert.equal(expected(2, 20, "o") .. expected(21, 30, "n") .. expected(32, 60, "n"), sorted(out))
	end)

	it("keeps when timers with names are due", function()
		local out = change([[
mos.timer(0.3, function() print "old" end, "later")
mos.timer(0.3, function() print "old without" end)]], [[
mos.timer(0.3, function() print(("%.2f"):format(mos.now() % 1)) end, "later")
mos.timer(0.3, function() print(("without %.2f"):format(mos.now() % 1)) end)]])
		assert.not_matches("old", out)
		assert.matches("0%.3%d\n", out)
		assert.matches("without 0.4[89]", out)
	end)

	it("ends the sockets of a monitor that went, not the connections that others watch", function()
		local out = change([[
mos.monitor { name = "gone" }:on("conn_end", "snd", function() print "gone's" end)
mon:on("pkt_in", "snd", function() end)]], [[
mos.monitor { name = "new", filter = "tcp" }:on("conn_start", "snd", function(conn) print("new", conn.client.port) end)
mon:on("conn_end", "snd", function(conn, side) if side == "cli" then print("main", conn.client.port) end end)]])
		assert.not_matches("gone", out)
		assert.matches("new\t2000\n", out)
		assert.not_matches("new\t1000", out)
		assert.matches("main\t1000\n", out)
		assert.matches("main\t2000\n", out)
	end)

	it("applies a filter that changed to later connections", function()
		local both = [[
mon:on("conn_end", "snd", function(conn, side) if side == "cli" then print(conn.client.port) end end)]]
		local file = kit.script(head .. both)
		local run = live.start { capture = path, file }
		run:feed(20)
		kit.write(file, [[local mos = require "mos" local mon = mos.monitor { filter = "udp", name = "main" } ]] .. both)
		assert.equal(0, (run:ctl "reload"))
		run:feed()
		local _, out = run:finish()
		assert.equal("1000\n", out)
	end)

	it("goes to one worker first, and back again when the new script fails", function()
		local file, marker = kit.script(head .. numbers:format "o"), kit.tmp ".marker"
		local run = live.start { capture = path, file, "--canary", "2" }
		run:feed(20)
		os.remove(marker)
		kit.write(file, head .. numbers:format "n" .. ([[
mos.on_load(function() io.open(%q, "w"):close() end)
mos.every(0.01, function() error "worse" end)]]):format(marker))
		os.execute(("%s ctl --control %s reload >%s.ctl 2>&1 &"):format(kit.quote(kit.run_path), run.socket, run.base))
		run:wait(function() return os.execute("sleep 0.01") == 0 and io.open(marker) end, "the canary")
		run.input:write(table.concat(run.records, "", 21, 40))
		run.input:flush()
		run.next, run.fed = 41, 40
		run:wait(function() return run:number "refused_reloads" == 1 end, "the way back")
		run:feed()
		local rc, out, err = run:finish()
		assert.equal(0, rc, err)
		assert.matches("worker 1 has gone back to the old script: the new one failed %d+ times in %d+ calls",
			kit.read(run.base .. ".ctl"))
		out = sorted(out)
		assert.equal(expected(1, 20, "o"), out:sub(1, #expected(1, 20, "o")))
		assert.equal(expected(41, 60, "o"), out:sub(-#expected(41, 60, "o")))
		assert.equal(60, select(2, out:gsub("%d+%a ", "")))
	end)
end)

describe("the control socket", function()
	local file = kit.script(head .. [[mon:on("pkt_in", "snd", function() end)]])

	it("answers people and programs", function()
		local run = live.start { capture = path, file }
		run:feed(40)
		local _, out = run:ctl "status"
		assert.matches("packets +40\n", out)
		assert.matches("connections +2\n", out)
		_, out = run:ctl("--json", "stats")
		assert.matches('^{"ok":true,"packets":40,.*"handler_calls":40.*}\n$', out)
		_, out = run:ctl "workers"
		assert.matches("worker 1  state running", out)
		assert.matches("worker 2  state running", out)
		_, out = run:ctl("conns", "src port 2000")
		assert.matches("^worker %d  client 10.0.0.1:2000  server 10.0.0.2:80  client_state established[^\n]*\n$", out)
		assert.equal(0, (run:ctl("set", "max-errors", "5")))
		assert.equal(0, (run:ctl("set", "log", "quiet")))
		assert.equal(0, (run:ctl "stop"))
		local code, _, err = run:finish()
		assert.equal(0, code, err)
	end)

	it("is the user's alone, and goes with the run", function()
		local run = live.start { capture = path, file }
		local _, mode = kit.command { "stat", "-c", "%a %F", run.socket }
		assert.equal("600 socket\n", mode)
		run:finish()
		assert.is_nil(io.open(run.socket))
	end)

	it("refuses what is wrong, and changes nothing", function()
		local run = live.start { capture = path, file }
		for _, case in ipairs {
			{ { "reload", "/no/such.lua" }, "cannot open /no/such.lua" },
			{ { "reload", "--worker", "3" }, "there are workers 1 to 2" },
			{ { "reload", "--worker", "x" }, "there are workers 1 to 2" },
			{ { "set", "max-error", "5" }, "unknown setting 'max-error'; did you mean 'max-errors'?" },
			{ { "set", "max-errors", "many" }, "max-errors takes a number per second" },
			{ { "set", "on-error", "panic" }, "on-error takes pass, drop or stop, not 'panic'" },
			{ { "conns", "tcp prot 80" }, "tcp prot 80" },
		} do
			local code, _, err = run:ctl(unpack(case[1]))
			assert.equal(1, code, err)
			assert.matches(case[2], err, 1, true)
		end
		for _, case in ipairs { { { "sttus" }, "did you mean 'status'?" }, { { "set", "x" }, "wrong number of operands" },
			{ {}, "no command given" } } do
			local code, _, err = run:ctl(unpack(case[1]))
			assert.equal(2, code, err)
			assert.matches(case[2], err, 1, true)
		end
		assert.equal(1, run:number "refused_reloads")
		run:finish()
	end)

	it("answers while a reload is under way, which another one has to wait for", function()
		local run = live.start { capture = path, file, "--canary", "3600" }
		run:feed(20)
		-- Without what this process has open, for the input must end while it waits.
		os.execute(("{ exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; %s ctl --control %s reload >%s.ctl 2>&1; } &"):format(
			kit.quote(kit.run_path), run.socket, run.base))
		run:wait(function() return select(2, run:ctl "status"):match "reload_under_way" end, "the canary")
		local _, out = run:ctl "status"
		assert.matches("reload_under_way +" .. file:gsub("%p", "%%%0") .. "\n", out)
		assert.matches("reload_seconds +%d", out)
		local code, _, err = run:ctl "reload"
		assert.equal(1, code)
		assert.matches(("a reload is under way: %s, by mos-run ctl, for "):format(file), err, 1, true)
		assert.equal(0, (run:ctl "conns"))
		run:feed() -- asks for the number of packets
		assert.equal("", kit.read(run.base .. ".ctl"))
		local rc, _, errors = run:finish()
		assert.equal(0, rc, errors)
		assert.equal("", errors)
		assert.not_equal("", kit.read(run.base .. ".ctl"))
	end)

	it("answers one client's requests in their order", function()
		if select(2, kit.command { "python3", "--version" }) == "" then
			pending "python3 writes to the socket"
		end
		local run = live.start { capture = path, file }
		local _, out = kit.command { "python3", "-c", [[
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b'{"do":"status"}\n{"do":"reload"}\n{"do":"status"}\n{"do":"reload"}\n')
s.shutdown(socket.SHUT_WR); print(s.makefile("rb").read().decode())]], run.socket }
		local seen = {}
		for word in out:gmatch '("%w+":%d)[^\n]-' do
			seen[#seen + 1] = word:match '"reloads":%d'
		end
		assert.same({ '"reloads":0', '"reloads":1' }, seen)
		assert.equal(2, select(2, out:gsub("pause_us", "")) / 2)
		run:finish()
	end)

	it("has each worker's counters beside their sum", function()
		local run = live.start { capture = path, file }
		run:feed()
		local _, out = run:ctl "stats"
		assert.matches("^ +all +worker +1 +worker +2\n", out)
		local sum, one, two = out:match "\npackets +(%d+) +(%d+) +(%d+)\n"
		assert.equal(60, tonumber(sum))
		assert.equal(60, one + two)
		_, out = run:ctl("--json", "stats")
		assert.equal(60, tonumber(out:match '"packets":(%d+)'))
		local each = out:match '"workers":(%b[])'
		assert.equal(tonumber(one), tonumber(each:match '{"worker":1,"packets":(%d+)'))
		assert.equal(tonumber(two), tonumber(each:match '{"worker":2,"packets":(%d+)'))
		run:finish()
	end)

	it("survives lines that are no requests", function()
		local run = live.start { capture = path, file }
		local lines = kit.write(kit.tmp ".lines", table.concat({ "", "{", "[]", "{}", '{"do":1}', '{"do":"status"', "x\0y",
			'{"do":"\\ud800"}', '{"do":"reload","script":5,"worker":-1}', ('{"a":%s}'):format(("9"):rep(5000)),
			'{"do":"nothing"}', '{"do":"status"}' }, "\n") .. "\n")
		local _, python = kit.command { "python3", "--version" }
		if python == "" then
			pending "python3 writes to the socket"
		end
		local _, out = kit.command { "python3", "-c", [[
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(open(sys.argv[2], "rb").read())
s.shutdown(socket.SHUT_WR); print(s.makefile("rb").read().decode())
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"x" * 70000)
print(s.makefile("rb").readline().decode())]], run.socket, lines }
		assert.equal(12, select(2, out:gsub('"ok":false', "")))
		assert.equal(1, select(2, out:gsub('"ok":true', "")))
		assert.equal(0, (run:ctl "status"))
		run:finish()
	end)

	it("is not taken from another run, nor from another file", function()
		local run = live.start { capture = path, file }
		local code, _, err = kit.run { file, "-r", path, "--control", run.socket }
		assert.equal(3, code)
		assert.matches("Address already in use", err)
		run:finish()
		code, _, err = kit.run { file, "-r", path, "--control", file }
		assert.equal(3, code)
		assert.matches("File exists", err)
	end)

	it("says when there is no run", function()
		local code, _, err = kit.run { "ctl", "--control", "/tmp/no-such-socket", "status" }
		assert.equal(3, code)
		assert.matches("No such file or directory", err)
		assert.equal(2, (kit.run({ "ctl", "status" }, { env = { MOS_CONTROL = "" } })))
	end)
end)
