-- mos-run on network interfaces: between two hosts that are network namespaces (tests/kit/net.lua).
local kit = require "kit"
local net = require "net"

local here, reason = net.available()
if not here then
	describe("live interfaces", function()
		pending("are not tested: " .. reason)
	end)
	return
end

local lan

after_each(function()
	if lan then
		lan:down()
		lan = nil
	end
end)

local counter = kit.script [[
local mos = require "mos"
local seen = mos.shared.counter "seen"
local mon = mos.monitor {}
mon:on("pkt_in", "snd", function(_, _, pkt) assert(pkt.len > 0) seen:add() end)
mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.end_reason, conn.client.addr, conn.server.bytes) end
end)
mos.at_exit(function() if mos.worker == mos.workers then print("seen", seen:sum()) end end)]]

-- A folder with a file of so many bytes that look like nothing.
local function folder(size)
	local dir = kit.tmp ".www"
	os.execute(("mkdir -p %s && head -c %d /dev/urandom > %s/file"):format(dir, size, dir))
	return dir
end

-- Fetch the file over this address and compare.
local function fetch(dir, address)
	local path = kit.tmp ".got"
	local code, _, err = lan:sh("c", ("curl -sS --max-time 60 -o %s http://%s/file && cmp %s %s/file"):format(path,
		address, path, dir))
	assert.equal(0, code, err)
end

local function stat(proc, name)
	return tonumber(proc:err():match("\n  " .. name .. " +(%d+)") or 0)
end

describe("between two interfaces", function()
	for _, how in ipairs { {}, { offload = true }, { workers = 2, offload = true }, { workers = 2 } } do
		local name = ("%d worker%s, offloads %s"):format(how.workers or 1, how.workers and "s" or "",
			how.offload and "on" or "off")
		it("a large file arrives whole while a handler sees every packet: " .. name, function()
			lan = net.up(how)
			local size = how.offload and 100e6 or 10e6
			local dir = folder(size)
			-- What finds a queue full is dropped and sent again, so that nothing passes unseen however busy the machine is.
			local run = lan:run { "-i", "left:right", "-j", how.workers or 1, "--fail-closed", "--stats", counter }
			lan:serve(dir)
			fetch(dir, "10.7.0.2")
			fetch(dir, "[fd00:7::2]")
			assert.equal(0, run:stop())
			local out = run:out()
			for _, client in ipairs { "10%.7%.0%.1", "fd00:7::1" } do
				local bytes = out:match("\t" .. client .. "\t(%d+)\n")
				assert.is_true(tonumber(bytes) > size, out)
			end
			assert.equal(stat(run, "tcp_packets"), tonumber(out:match "seen\t(%d+)"))
			assert.equal(0, stat(run, "unsent"))
		end)
	end

	it("several pairs are apart, and one that loses an interface leaves the other one going", function()
		lan = net.up { pairs = 2 }
		local dir = folder(100000)
		local run = lan:run { "-i", "left:right,left2:right2", "--stats", counter }
		lan:serve(dir)
		for _, address in ipairs { "10.7.0.2", "10.8.0.2", "[fd00:8::2]" } do
			fetch(dir, address)
		end
		lan:sh("c", "ip link del dev eth1")
		assert.is_true(lan:wait("r", ("grep -q 'error: interface left2: it has gone' %s.err"):format(run.path)))
		fetch(dir, "[fd00:7::2]")
		-- What goes to the interface that is left has nowhere to go.
		assert.not_equal(0, (lan:sh("s", "ping -c 1 -W 1 10.8.0.1")))
		fetch(dir, "10.7.0.2")
		assert.equal(0, run:stop())
		local _, conns = run:out():gsub("closed\t[%d.a-f:]+\t1%d%d%d%d%d\n", "")
		assert.equal(5, conns, run:out())
		assert.equal(stat(run, "tcp_packets"), tonumber(run:out():match "seen\t(%d+)"))
	end)

	it("what is not TCP passes too, fragments among it", function()
		lan = net.up()
		local run = lan:run { "-i", "left:right", counter }
		for _, address in ipairs { "10.7.0.2", "fd00:7::2" } do
			assert.is_true(lan:wait("c", "ping -c 1 -W 1 -s 3000 " .. address), address)
		end
		assert.equal(0, run:stop())
	end)

	it("VLAN tags stay", function()
		lan = net.up()
		local run = lan:run { "-i", "left:right", counter }
		local path = kit.tmp ".pcap"
		local raw = kit.script [[
require "mos".monitor { raw = true }:on("pkt_in", function(_, _, pkt) print(pkt.len) io.stdout:flush() end)]]
		local watch = lan:start("s", { kit.run_path, "-i", "eth0", "-w", path, raw }, "grep -q 'info: on' $LOG.err")
		local frame = ("\2"):rep(12) .. "\129\0\32\5" .. "\136\181" .. ("tagged"):rep(20)
		lan:send("c", "eth0", frame)
		assert.is_true(lan:wait("s", ("grep -qx %d %s.out"):format(#frame, watch.path)))
		assert.equal(0, watch:stop())
		assert.is_truthy(kit.read(path):find(frame, 1, true))
		assert.equal(0, run:stop())
	end)

	it("what the filter does not match passes unseen", function()
		lan = net.up()
		local dir = folder(1000)
		local run = lan:run { "-i", "left:right", "-f", "tcp port 81", "--stats", counter }
		lan:serve(dir)
		fetch(dir, "10.7.0.2")
		assert.equal(0, run:stop())
		assert.equal("seen\t0\n", run:out())
		assert.equal(0, stat(run, "packets"))
		assert.is_true(stat(run, "unseen") > 5)
	end)

	it("what a handler drops does not arrive", function()
		lan = net.up()
		local dir = folder(1000)
		local run = lan:run { "-i", "left:right", kit.script [[
require "mos".monitor { filter = "ip" }:on("pkt_in", "snd", function(_, _, pkt) pkt:drop() end)]] }
		lan:serve(dir)
		assert.not_equal(0, (lan:sh("c", "curl -sS --max-time 2 http://10.7.0.2/file")))
		fetch(dir, "[fd00:7::2]")
		assert.equal(0, run:stop())
	end)
end)

-- Prints what became of each connection: numbers of events, bytes of each side; "all" when it has seen so many packets.
local account = kit.script [[
local mos = require "mos"
mos.record "uint32_t events[8]; double sums[2], bytes[2];"
local seen, all = mos.shared.counter "seen", tonumber(mos.args[1])
local mon = mos.monitor {}
local function count(i)
	return function(conn) conn.rec.events[i] = conn.rec.events[i] + 1 end
end
for i, name in ipairs { "conn_start", "rexmit", "tcp_state_change" } do
	mon:on(name, "snd", count(i))
	mon:on(name, "rcv", count(i + 3))
end
mon:on("error", function(conn) if conn then count(7)(conn) end end)
local function read(conn, name)
	local side, rec = name == "cli" and 0 or 1, conn.rec
	repeat
		local bytes, gap = conn:peek(name)
		for i = 1, bytes and #bytes or 0 do
			rec.sums[side] = (rec.sums[side] * 31 + bytes:byte(i)) % 2 ^ 32
		end
		rec.bytes[side] = rec.bytes[side] + (bytes and #bytes or 0)
	until not bytes and not gap
end
mon:on("conn_new_data", read)
mon:on("pkt_in", "snd", function(conn)
	conn.rec.events[0] = conn.rec.events[0] + 1
	seen:add()
	if seen:sum() == all then
		print "all"
		io.stdout:flush()
	end
end)
mon:on("conn_end", "rcv", function(conn, name)
	if name == "cli" then
		return
	end
	read(conn, "cli")
	read(conn, "svr")
	local cli, svr, rec = conn.client, conn.server, conn.rec
	local words = { cli.addr, cli.port, svr.port, cli.state, svr.state }
	for i = 0, 7 do words[#words + 1] = rec.events[i] end
	for i = 0, 1 do words[#words + 1] = ("%.0f/%.0f"):format(rec.sums[i], rec.bytes[i]) end
	print(table.concat(words, " "))
end)]]

-- The frames of a pcap file.
local function frames_of(path)
	local bytes, frames, at = kit.read(path), {}, 25
	while at < #bytes do
		local a, b, c, d = bytes:byte(at + 8, at + 11)
		local len = a + b * 256 + c * 65536 + d * 16777216
		frames[#frames + 1] = bytes:sub(at + 16, at + 15 + len)
		at = at + 16 + len
	end
	return frames
end

local function lines_sorted(text)
	local lines = {}
	for line in text:gmatch "[^\n]+" do
		lines[#lines + 1] = line ~= "all" and line or nil
	end
	table.sort(lines)
	return lines
end

describe("on an interface", function()
	for _, j in ipairs { 1, 2 } do
		it("a capture gives the connections, bytes and events that reading it gives: -j " .. j, function()
			lan = net.up()
			for _, name in ipairs { "handshake", "http", "loss", "reorder", "midstream", "scan" } do
				local path = kit.pcap(kit.read(("%s/tests/pcaps/%s.seg"):format(kit.source, name)))
				local frames = frames_of(path)
				local code, read, err = kit.run { "-q", "--midstream", account, "-r", path, "--", "-1" }
				assert.same({ 0, "" }, { code, err })
				assert.matches("%d/%d", read)
				local run = lan:run { "-i", "left", "-j", j, "--midstream", account, "--", #frames }
				lan:send("c", "eth0", unpack(frames))
				assert.is_true(lan:wait("r", ("grep -qx all %s.out"):format(run.path)), name)
				assert.equal(0, run:stop())
				assert.same(lines_sorted(read), lines_sorted(run:out()), name)
			end
		end)
	end

	it("packets of both directions are seen, and the clock drives timers", function()
		lan = net.up()
		local dir = folder(1000)
		lan:serve(dir)
		lan:sh("r", "ip link add br0 type bridge; ip link set dev left master br0; ip link set dev right master br0;"
			.. "ip link set dev br0 up")
		local run = lan:run { "-i", "right", "-f", "port 80", "--stats", kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.end_reason, conn.client.bytes > 0, conn.server.bytes > 0) end
end)
mos.every(0.05, function() print "tick" io.stdout:flush() end)]] }
		assert.is_true(lan:wait("c", "curl -s --max-time 1 http://10.7.0.2/file"))
		assert.is_true(lan:wait("r", ("test $(grep -c tick %s.out) -ge 3"):format(run.path)))
		assert.equal(0, run:stop())
		assert.matches("closed\ttrue\ttrue\n", run:out())
		assert.equal(0, stat(run, "port_lost"))
	end)

	it("the end says what the run came to", function()
		lan = net.up()
		local run = lan:run { "-i", "left:right", counter }
		assert.is_true(lan:wait("c", "ping -c 1 -W 1 10.7.0.2"))
		assert.equal(0, run:stop())
		local packets = run:err():match "info: (%d+) packets, 0 connections, 0 dropped by handlers, 0 lost\n"
		assert.is_true(tonumber(packets) >= 2, run:err())
	end)

	-- Two bridged hosts, watched: ping, and files from ports 80 and 81. How many packets mos-run was given.
	local function watched(source, pings)
		lan = net.up()
		local dir = folder(1000)
		lan:serve(dir)
		lan:start("s", { "busybox", "httpd", "-f", "-p", "[::]:81", "-h", dir },
			"busybox wget -q -O /dev/null http://10.7.0.2:81/file")
		lan:sh("r", "ip link add br0 type bridge; ip link set dev left master br0; ip link set dev right master br0;"
			.. "echo 1 > /proc/sys/net/ipv6/conf/br0/disable_ipv6; ip link set dev br0 up")
		-- IPv6 talks without being asked.
		for _, host in ipairs { "c", "s" } do
			lan:sh(host, "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")
		end
		local run = lan:run { "-i", "right", "--stats", kit.script(source) }
		assert.is_true(lan:wait("r", pings or "true"))
		assert.equal(0, (lan:sh("c", "ping -q -c 3 -i 0.2 10.7.0.2")))
		for _, port in ipairs { 81, 80 } do
			assert.equal(0, (lan:sh("c", ("curl -s -o /dev/null http://10.7.0.2:%d/file"):format(port))))
		end
		assert.is_true(lan:wait("r", ("grep -q closed %s.out"):format(run.path)))
		assert.equal(0, run:stop())
		lan:down()
		return run
	end

	local ends = [[
local mos = require "mos"
local mon = mos.monitor { filter = "tcp port 80" }
mon:on("conn_end", "snd", function(conn) print(conn.end_reason) io.stdout:flush() end)
]]

	it("the kernel keeps back what no handler can see", function()
		local run = watched(ends)
		-- One or two may come before the kernel is told; the pings alone are six.
		assert.is_true(stat(run, "packets") < stat(run, "tcp_packets") + 5)
		assert.equal(1, stat(run, "connections"))
		run = watched(ends .. "mon:on('orphan', function() end)")
		assert.is_true(stat(run, "packets") >= stat(run, "tcp_packets") + 6)
	end)

	it("a handler that comes later sees what it asks for", function()
		local run = watched(ends .. [[
mos.timer(0.05, function()
	mos.monitor { raw = true }:on("pkt_in", function() mos.shared.counter("raw"):add() end)
end)
mos.at_exit(function() print("raw", mos.shared.counter("raw"):sum()) end)]], "ping -q -c 2 -i 0.2 127.0.0.1")
		assert.is_true(tonumber(run:out():match "raw\t(%d+)") >= stat(run, "tcp_packets") + 6)
	end)

	it("little is done while nothing happens", function()
		lan = net.up()
		local run = lan:run { "-i", "left:right", "-j", 2, counter }
		-- utime and stime, in hundredths of a second
		local code, out = lan:sh("r", ([[
			read_cpu() { awk '{ print $14 + $15 }' /proc/%s/stat; }
			a=$(read_cpu); ping -q -c 3 -i 1 127.0.0.1 >/dev/null; b=$(read_cpu); echo $((b - a))]]):format(run.pid))
		assert.equal(0, code)
		assert.is_true(tonumber(out) <= 6, out)
		assert.equal(0, run:stop())
	end)

	it("that does not exist, or is down, is an error with its name", function()
		lan = net.up()
		local function try(...)
			return lan:sh("r", kit.quote(kit.run_path) .. " " .. counter .. " " .. table.concat({ ... }, " "))
		end
		local code, _, err = try "-i none"
		assert.same({ 3, "mos-run: error: interface none: no such interface\n" }, { code, err })
		assert.matches("no such interface; several are named with commas: %-i eth0,eth1\n$", (select(3, try "-i any")))
		lan:sh("r", "ip link set dev left down")
		code, _, err = try "-i left:right"
		assert.same({ 3, "mos-run: error: interface left: it is down; 'ip link set dev left up' changes that\n" },
			{ code, err })
		code, _, err = try("-i right -f", kit.quote "tcp prot 80")
		assert.same({ 3, "mos-run: error: filter \"tcp prot 80\": syntax error\n" }, { code, err })
	end)

	it("that goes away is named, and the others go on; when all have gone, the run ends", function()
		lan = net.up()
		local run = lan:run { "-i", "left,right", counter }
		lan:sh("c", "ip link del dev eth0")
		assert.is_true(lan:wait("r", ("grep -q 'error: interface left: it has gone' %s.err"):format(run.path)))
		lan:sh("s", "ip link del dev eth0")
		assert.equal(3, run:wait())
		assert.matches("error: interface right: it has gone\n", run:err())
		assert.equal("seen\t0\n", run:out())
	end)

	it("root's rights are given up once it is open", function()
		lan = net.up()
		local dir = folder(1000)
		local run = lan:run { "-i", "left:right", "--user", "nobody", counter }
		local _, status = lan:sh("r", ("cat /proc/%s/status"):format(run.pid))
		local uid = select(2, lan:sh("r", "id -u nobody")):match "%d+"
		assert.equal(uid, status:match "Uid:%s+(%d+)")
		assert.matches("CapEff:%s+0+\n", status)
		lan:serve(dir)
		fetch(dir, "10.7.0.2")
		assert.equal(0, run:stop())
		local code, _, err = lan:sh("r", kit.run_path .. " -i left --user nosuchuser " .. counter)
		assert.same({ 2, "mos-run: error: --user nosuchuser: no such user\n" }, { code, err })
	end)
end)

describe("when a worker does not come along", function()
	-- A handler that takes its time, so that its queue fills.
	local slow = kit.script [[
require "mos".monitor { raw = true }:on("pkt_in", function(_, _, pkt)
	if pkt.len > 900 then
		local t = os.clock()
		while os.clock() - t < 0.002 do end
	end
end)]]

	local function flood(...)
		lan = net.up()
		local run = lan:run { "-i", "left:right", "-j", 2, "--stats", slow, ... }
		lan:sh("c", "ping -q -f -l 1200 -c 1200 -w 2 -s 1000 10.7.0.2")
		assert.equal(0, run:stop())
		return run
	end

	it("packets pass unseen", function()
		local run = flood()
		assert.is_true(stat(run, "unseen") > 0)
		assert.equal(0, stat(run, "queue_lost"))
	end)

	it("packets are dropped with --fail-closed", function()
		local run = flood "--fail-closed"
		assert.is_true(stat(run, "queue_lost") > 0)
		assert.equal(0, stat(run, "unseen"))
	end)
end)

describe("scripts in the path", function()
	local function script(name)
		return ("%s/scripts/%s.lua"):format(kit.source, name)
	end

	local function curl(rest)
		return lan:sh("c", "curl -sS --max-time 20 " .. rest)
	end

	for _, j in ipairs { 1, 2 } do
		it("firewall.lua passes, drops and rejects real connections: -j " .. j, function()
			lan = net.up { offload = true }
			local dir = folder(1000)
			local rules = kit.write(kit.tmp ".rules", [[
drop   tcp to 10.7.0.2 port 81
reject tcp to any port 82
drop   icmp to fd00:7::2
]])
			local run = lan:run { "-i", "left:right", "-j", j, script "firewall", "--", rules }
			lan:serve(dir)
			for _, port in ipairs { 81, 82 } do
				lan:start("s", { "busybox", "httpd", "-f", "-p", "[::]:" .. port, "-h", dir },
					"busybox wget -q -O /dev/null http://10.7.0.2:" .. port .. "/file")
			end
			fetch(dir, "10.7.0.2")
			fetch(dir, "[fd00:7::2]")
			assert.equal(28, (curl "--connect-timeout 2 http://10.7.0.2:81/file")) -- timed out
			fetch(dir, "[fd00:7::2]:81")
			assert.equal(7, (curl "http://10.7.0.2:82/file")) -- refused
			assert.equal(7, (curl "http://[fd00:7::2]:82/file"))
			assert.equal(0, (lan:sh("c", "ping -q -c 1 -W 2 10.7.0.2")))
			assert.not_equal(0, (lan:sh("c", "ping -q -c 1 -W 1 fd00:7::2")))
			assert.equal(0, run:stop())
		end)

		it("nat.lua hides the client, and what it asks for arrives: -j " .. j, function()
			lan = net.up { offload = true }
			local dir = folder(1000000)
			lan:sh("c", "ip addr add 10.7.0.9/24 dev eth0")
			local run = lan:run { "-i", "left:right", "-j", j, script "nat", "--", "--inside", "10.7.0.1/32",
				"--address", "10.7.0.9" }
			local httpd = lan:start("s", { "busybox", "httpd", "-f", "-vv", "-p", "[::]:80", "-h", dir },
				"busybox wget -q -O /dev/null http://10.7.0.2/file")
			for _ = 1, 3 do
				fetch(dir, "10.7.0.2")
			end
			-- Answers the first datagram, and says where it came from.
			local server = lan:start("s", { "luajit", kit.script [[
local ffi = require "ffi"
ffi.cdef "int socket(int, int, int); int bind(int, const void *, unsigned);"
ffi.cdef "long recvfrom(int, void *, size_t, int, void *, unsigned *);"
ffi.cdef "long sendto(int, const void *, size_t, int, const void *, unsigned);"
local fd, peer, len = ffi.C.socket(2, 2, 0), ffi.new "uint8_t[16]", ffi.new("unsigned[1]", 16)
assert(ffi.C.bind(fd, "\2\0\0\81\0\0\0\0\0\0\0\0\0\0\0\0", 16) == 0)
local bytes = ffi.new "char[100]"
local n = ffi.C.recvfrom(fd, bytes, 100, 0, peer, len)
print(("%d.%d.%d.%d"):format(peer[4], peer[5], peer[6], peer[7]))
ffi.C.sendto(fd, bytes, n, 0, peer, len[0])]] }, "grep -q ':0051' /proc/net/udp")
			local code, echo = lan:sh("c",
				"exec timeout 20 bash -c 'exec 3<>/dev/udp/10.7.0.2/81; echo question >&3; head -n 1 <&3'")
			assert.same({ 0, "question\n" }, { code, echo })
			assert.equal(0, server:wait())
			assert.equal("10.7.0.9\n", server:out())
			assert.equal(0, (lan:sh("c", "ping -q -c 1 -W 5 -I 10.7.0.1 10.7.0.2")))
			assert.equal(0, run:stop())
			assert.matches("translated %d+ packets, refused 0, ports in use 5\n", run:out())
			assert.matches("10%.7%.0%.9%]:%d+", httpd:err())
			assert.not_matches("10%.7%.0%.1%]:", httpd:err())
		end)

		it("rewrite.lua changes what curl receives, shorter and longer: -j " .. j, function()
			lan = net.up { offload = true }
			local dir = kit.tmp ".www"
			os.execute("mkdir -p " .. dir)
			local text = ("first line\nMIDDLE OF IT\n"):rep(2000) .. "END\n"
			kit.write(dir .. "/file", text)
			for from, to in pairs { ["MIDDLE OF IT"] = "m", END = "that was all" } do
				local run = lan:run { "-i", "left:right", "-j", j, script "rewrite", "--", "--from", from, "--to", to }
				lan:serve(dir)
				local code, out = curl "--ignore-content-length http://10.7.0.2/file"
				assert.equal(0, code)
				local changed, n = text:gsub(from, to)
				assert.equal(0, run:stop())
				assert.equal(("replaced %d, could not replace 0\n"):format(n), run:out())
				assert.is_true(out == changed)
				lan:down()
				lan = net.up { offload = true }
			end
		end)
	end

	it("rewrite.lua finds a text that comes byte by byte, and lets its beginning go when nothing follows", function()
		lan = net.up()
		-- Sends its argument, a segment for each byte, and keeps the connection open.
		local server = kit.script [[
local ffi = require "ffi"
ffi.cdef "int socket(int, int, int); int bind(int, const void *, unsigned); int listen(int, int);"
ffi.cdef "int accept(int, void *, void *); int setsockopt(int, int, int, const int *, unsigned); int pause(void);"
ffi.cdef "long write(int, const void *, size_t);"
local fd = ffi.C.socket(2, 1, 0)
assert(ffi.C.bind(fd, "\2\0\0\81\0\0\0\0\0\0\0\0\0\0\0\0", 16) == 0 and ffi.C.listen(fd, 5) == 0)
local peer = ffi.C.accept(fd, nil, nil)
ffi.C.setsockopt(peer, 6, 1, ffi.new("int[1]", 1), 4) -- TCP_NODELAY
for byte in arg[1]:gmatch "." do ffi.C.write(peer, byte, 1) end
ffi.C.pause()]]
		local run = lan:run { "-i", "left:right", script "rewrite", "--", "--from", "hello world", "--to", "bye" }
		lan:start("s", { "luajit", server, "one hello world, two hello world, three hello" },
			"grep -q ':0051 .* 0A' /proc/net/tcp")
		local code, out = lan:sh("c", "exec timeout 20 bash -c 'head -c 29 </dev/tcp/10.7.0.2/81'")
		assert.equal(0, code)
		assert.equal("one bye, two bye, three hello", out)
		assert.equal(0, run:stop())
		assert.equal("replaced 2, could not replace 0\n", run:out())
	end)

	it("ratelimit.lua slows a transfer down", function()
		lan = net.up()
		local dir = folder(400000)
		local run = lan:run { "-i", "left:right", script "ratelimit", "--", "--rate", "200K" }
		lan:serve(dir)
		local code, out = curl(("-o %s.got -w '%%{time_total}' http://10.7.0.2/file"):format(dir))
		assert.equal(0, code)
		assert.is_true(tonumber(out) > 1, out)
		assert.equal(0, run:stop())
		assert.matches("dropped [1-9]", run:out())
	end)

	it("midstat.lua shows a connection while it lasts", function()
		lan = net.up()
		local run = lan:run { "-i", "left:right", "-j", 2, script "midstat", "--", "--plain", "--interval", "0.1" }
		lan:serve(folder(10000000))
		lan:start("c", { "curl", "-s", "--limit-rate", "100K", "-o", "/dev/null", "http://10.7.0.2/file" })
		assert.is_true(lan:wait("r", ("grep -q '^10.7.0.1:[0-9]* *10.7.0.2:80 *established' %s.out"):format(run.path)))
		assert.equal(0, run:stop())
	end)
end)
