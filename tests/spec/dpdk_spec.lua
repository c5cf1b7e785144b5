-- mos-run on ports of DPDK: virtual devices, for lack of cards.
local kit = require "kit"
local net = require "net"

local here, reason = net.available()
if here and not io.open(kit.build .. "/mos-dpdk.so") then
	here, reason = nil, "built without DPDK"
end
if not here then
	describe("ports of DPDK", function()
		pending("are not tested: " .. reason)
	end)
	return
end

local lan

before_each(function() lan = net.up() end)
after_each(function() lan:down() end)

local http = kit.source .. "/tests/pcaps/http.pcap"

-- Run with these devices until the shell command succeeds ($LOG are its files), then stop it.
local function run(args, devices, ready)
	local list = { "--no-huge -m 128" }
	for i, device in ipairs(devices) do
		list[i + 1] = "--vdev=" .. device
	end
	local words = { kit.run_path, "--eal", table.concat(list, " "), "--stats", unpack(args) }
	local proc = lan:start("r", words, "grep -q 'info: on port' $LOG.err")
	assert.is_true(lan:wait("r", (ready:gsub("%$LOG", proc.path))), proc:err())
	assert.equal(0, proc:stop())
	return proc
end

local function stat(proc, name)
	return tonumber(proc:err():match("\n  " .. name .. " +(%d+)") or 0)
end

local seen = kit.script [[
local mos = require "mos"
mos.monitor { raw = true }:on("pkt_in", function(_, _, pkt)
	print(pkt.len)
	io.stdout:flush()
end)
local mon = mos.monitor {}
mon:on("pkt_in", "snd", function(_, _, pkt) if pkt.rst then pkt:drop() end end)]]

-- The frames of a capture.
local function frames(path)
	local bytes, at, list = kit.read(path), 25, {}
	while at < #bytes do
		local len = bytes:byte(at + 8) + 256 * bytes:byte(at + 9)
		list[#list + 1] = bytes:sub(at + 16, at + 15 + len)
		at = at + 16 + len
	end
	return list
end

describe("a port", function()
	it("gives the packets that a capture has", function()
		local script = kit.script [[
require "mos".monitor {}:on("pkt_in", "snd", function(conn, side, pkt)
	print(conn.client.addr, side, pkt.seq, pkt.payload_len)
	io.stdout:flush()
end)]]
		local proc = run({ "-p", 0, script }, { ("net_pcap0,rx_pcap=%s,tx_pcap=%s"):format(http, kit.tmp ".pcap") },
			"test $(wc -l < $LOG.out) = 39")
		assert.equal(select(2, kit.run { script, "-r", http }), proc:out())
		assert.equal(39, stat(proc, "packets"))
	end)

	it("that is not there is an error, and so are arguments that EAL refuses", function()
		local function try(port, eal)
			local _, _, err = lan:sh("r", ("timeout 20 %s %s -p %s --eal %s"):format(kit.run_path, seen, port, kit.quote(eal)))
			return err
		end
		assert.matches("error: port 7: there is none; DPDK has found 1 %(", try(7, "--no-huge --vdev=net_null0"))
		assert.matches("error: DPDK: cannot start: [^\n]* %(arguments: %-%-nonsense%)\n", try(0, "--nonsense"))
		assert.matches("error: %-p takes numbers of ports, not 'eth0'", try("eth0", "--no-huge --vdev=net_null0"))
	end)
end)

describe("between two ports", function()
	for _, j in ipairs { 1, 2 } do
		it("what a handler does not drop leaves at the other as it came: -j " .. j, function()
			local a, b = kit.tmp ".pcap", kit.tmp ".pcap"
			local proc = run({ "-p", "0:1", "-j", j, seen }, { ("net_pcap0,rx_pcap=%s,tx_pcap=%s"):format(http, a),
				("net_pcap1,rx_pcap=%s,tx_pcap=%s"):format(kit.pcap "0 C R 0:0(0)", b) }, "test $(wc -l < $LOG.out) = 40")
			assert.equal(39, stat(proc, "forwarded")) -- one of them the other way
			local expected = {}
			for _, frame in ipairs(frames(http)) do
				local ip6 = frame:byte(13) == 0x86
				if math.floor(frame:byte(14 + (ip6 and 40 or 20) + 14) / 4) % 2 == 0 then
					expected[#expected + 1] = frame
				end
			end
			local got = frames(b)
			table.sort(expected)
			table.sort(got)
			assert.same(expected, got)
		end)
	end

	for _, j in ipairs { 1, 2 } do
		it("of several pairs, packets leave at their pair's other port: -j " .. j, function()
			local other = kit.pcap "client 192.0.2.5:5\n0 C S 0:0(0)\n+.1 S S. 0:0(0) ack 1\n+.1 C . 1:5(4) ack 1"
			local captures = { http, kit.pcap "0 C S 0:0(0)", kit.pcap "client 192.0.2.6:6\n0 C S 0:0(0)", other }
			local devices, outs = {}, {}
			for i, path in ipairs(captures) do
				outs[i] = kit.tmp ".pcap"
				devices[i] = ("net_pcap%d,rx_pcap=%s,tx_pcap=%s"):format(i, path, outs[i])
			end
			local all = kit.script [[
local mos = require "mos"
mos.monitor { raw = true }:on("pkt_in", function() print(1) io.stdout:flush() end)
local conns = mos.shared.counter "conns"
mos.monitor {}:on("conn_start", "snd", function() conns:add() end)
mos.at_exit(function() if mos.worker == mos.workers then print("conns", conns:sum()) end end)]]
			local proc = run({ "-p", "0:1,2:3", "-j", j, all }, devices, "test $(grep -c '^1$' $LOG.out) = 44")
			assert.equal(44, stat(proc, "forwarded"))
			assert.matches("conns\t6\n", proc:out())
			for i, from in ipairs { 2, 1, 4, 3 } do
				local got, expected = frames(outs[i]), frames(captures[from])
				table.sort(got)
				table.sort(expected)
				assert.same(expected, got)
			end
		end)
	end

	it("jumbo frames pass, in however many pieces they lie", function()
		local a, b = kit.tmp ".pcap", kit.tmp ".pcap"
		local jumbo = kit.pcap(("0 C S 0:0(0)\n+1 C . 1:8901(8900) ack 1"))
		run({ "-p", "0:1", seen }, { ("net_pcap0,rx_pcap=%s,tx_pcap=%s"):format(jumbo, a),
			("net_pcap1,rx_pcap=%s,tx_pcap=%s"):format(kit.pcap "0 C S 0:0(0)", b) }, "test $(wc -l < $LOG.out) = 3")
		assert.same(frames(jumbo), frames(b))
	end)

	it("addresses are set where they are asked for", function()
		local a, b = kit.tmp ".pcap", kit.tmp ".pcap"
		run({ "-p", "0:1", "--mac", "1=02:00:00:00:00:77", seen }, { ("net_pcap0,rx_pcap=%s,tx_pcap=%s"):format(http, a),
			("net_pcap1,rx_pcap=%s,tx_pcap=%s"):format(kit.pcap "0 C S 0:0(0)", b) }, "test $(wc -l < $LOG.out) = 40")
		for _, frame in ipairs(frames(b)) do
			assert.equal("\2\0\0\0\0\119", frame:sub(1, 6))
		end
	end)

	it("packets pass a script that is not whole any more, or do not: --fail-open, --fail-closed", function()
		local marker = kit.tmp ".marker"
		for name, source in pairs {
			["handler .- is taken out"] = [[
local mon = mos.monitor { raw = true }
mon:on("pkt_in", function() error "always" end)]],
			["the script is not run any more"] = ([[
if io.open(%q) then error "not again" end
io.open(%q, "w"):close()
mos.monitor { raw = true }:on("pkt_in", function() while true do end end)]]):format(marker, marker),
		} do
			for _, how in ipairs { "--fail-open", "--fail-closed" } do
				os.remove(marker)
				local control = ("/tmp/mos%d.ctl"):format(require "ffi".C.getpid())
				local proc = run({ "-p", "0:1", "--control", control, "--max-errors", "1/s", "--script-timeout", "4ms", how,
					kit.script('local mos = require "mos"\n' .. source) },
					{ ("net_pcap0,rx_pcap=%s,tx_pcap=%s"):format(http, kit.tmp ".pcap"),
						("net_pcap1,rx_pcap=%s,tx_pcap=%s"):format(kit.pcap "0 C S 0:0(0)", kit.tmp ".pcap") },
					("%s ctl --control %s stats | grep -q '^packets *40$'"):format(kit.run_path, control))
				assert.matches(name, proc:err())
				assert.equal(how == "--fail-open" and 40 or 0, stat(proc, "forwarded"))
				assert.equal(how == "--fail-open" and 0 or 40, stat(proc, "dropped"))
			end
		end
	end)

	it("every worker has queues of its own where the port spreads by addresses", function()
		local proc = run({ "-p", "0:1", "-j", 2, kit.script [[
local mos = require "mos"
local n = 0
mos.monitor { raw = true }:on("pkt_in", function()
	n = n + 1
	if n == 100 then print(mos.worker) io.stdout:flush() end
end)]] }, { "net_null0,copy=0", "net_null1,copy=0" }, "test $(wc -l < $LOG.out) = 2")
		assert.is_truthy(proc:out():find "1" and proc:out():find "2")
		assert.equal(0, stat(proc, "queue_lost"))
	end)

	it("there are as many workers as queues, if -j does not say, and no more than processors", function()
		local processors = tonumber((select(2, lan:sh("r", "nproc"))))
		local who = kit.script [[
local mos = require "mos"
if mos.worker == 1 then print(mos.workers) io.stdout:flush() end
mos.monitor {}]]
		local captures = ("%%d,rx_pcap=%s,tx_pcap=%s"):format(http, kit.tmp ".pcap")
		for queues, devices in pairs {
			[1] = { "net_null0", "net_pcap" .. captures:format(1) },
			[2] = { "net_af_packet0,iface=left,qpairs=2", "net_null0" },
			[64] = { "net_null0", "net_null1" },
		} do
			local proc = run({ "-p", "0:1", who }, devices, "test -s $LOG.out")
			assert.equal(("%d\n"):format(math.min(queues, processors)), proc:out())
		end
		-- What taskset leaves us is left so.
		local proc = lan:start("r", { "taskset", "-c", "0", kit.run_path, "-p", "0:1", "--eal",
			"--no-huge -m 128 --vdev=net_null0 --vdev=net_null1", who }, "grep -q 'info: on port' $LOG.err")
		local _, status = lan:sh("r", ("cat /proc/%s/status"):format(proc.pid))
		assert.matches("\nCpus_allowed_list:\t0\n", status)
		assert.equal(0, proc:stop())
		assert.equal("1\n", proc:out())
		assert.equal("3\n", run({ "-p", "0:1", "-j", 3, who }, { "net_null0", "net_null1" }, "test -s $LOG.out"):out())
	end)

	-- Hosts c and s at the ends of two taps, with addresses 10.9.0.1 and 10.9.0.2, fd00:9::1 and fd00:9::2.
	local function with_taps(args)
		local words = { kit.run_path, "-p", "0:1", "--stats", "--eal", "--no-huge -m 128 --log-level=pmd.net.tap:0 "
			.. "--vdev=net_tap0,iface=tapc --vdev=net_tap1,iface=taps", unpack(args) }
		local proc = lan:start("r", words, "grep -q 'info: on port' $LOG.err")
		for i, host in ipairs { "c", "s" } do
			local code, _, err = lan:sh("r", ("ip link set dev tap%s netns %s%s"):format(host, lan.name, host))
			assert.equal(0, code, err)
			code, _, err = lan:sh(host, ([[set -e
				ip addr add 10.9.0.%d/24 dev tap%s; ip addr add fd00:9::%d/64 dev tap%s nodad
				ip link set dev tap%s up]]):format(i, host, i, host, host))
			assert.equal(0, code, err)
		end
		return proc
	end

	for _, j in ipairs { 1, 2 } do
		it("ports verify and finish checksums, where they can, of streams that are edited: net_tap, -j " .. j, function()
			local dir = kit.tmp ".www"
			os.execute(("mkdir -p %s && head -c 300000 /dev/urandom > %s/file"):format(dir, dir))
			local proc = with_taps { "-j", j, kit.script [[
local mos = require "mos"
mos.monitor { clibuf = 0, svrbuf = 0 }:on("pkt_in", "rcv", function(_, side, pkt)
	if side == "cli" and pkt.payload_len > 0 and pkt:payload_string(4) == "HTTP" then
		assert(pkt:insert(assert(pkt:payload_string():find "\r\n") + 1, "X-Long: " .. ("x"):rep(2000) .. "\r\n"))
	end
end)]] }
			lan:start("s", { "busybox", "httpd", "-f", "-p", "[::]:80", "-h", dir },
				"busybox wget -q -O /dev/null http://10.9.0.2/file")
			for _, address in ipairs { "10.9.0.2", "[fd00:9::2]" } do
				local fetch = ("curl -sS --max-time 60 -D %s.head -o %s.got http://%s/file && cmp %s.got %s/file"):format(dir,
					dir, address, dir, dir)
				local code, _, err = lan:sh("c", fetch)
				assert.equal(0, code, err)
				assert.matches("X%-Long: x+\r\n", kit.read(dir .. ".head"))
			end
			assert.equal(0, proc:stop())
			assert.is_true(stat(proc, "port_verified") > 20, proc:err())
			assert.is_true(stat(proc, "port_finished") >= 4, proc:err())
			assert.equal(0, stat(proc, "bad_checksum"))
			assert.equal(0, stat(proc, "edit_failed"))
		end)
	end

	-- mos-run between two devices, until it is stopped.
	local function bridge(first, second, ...)
		local eal = ("--no-huge -m 128 --vdev=%s --vdev=%s"):format(first, second)
		return lan:start("r", { kit.run_path, "-p", "0:1", "--stats", "--eal", eal, ... },
			"grep -q 'info: on port' $LOG.err")
	end

	local counts = kit.script [[
local mos = require "mos"
local n = 0
mos.monitor {}:on("pkt_in", "snd", function() n = n + 1 end)
mos.at_exit(function() print(n) end)]]

	-- A file goes from host to host over both families.
	local function hosts_talk()
		local dir = kit.tmp ".www"
		os.execute(("mkdir -p %s && head -c 1000000 /dev/urandom > %s/file"):format(dir, dir))
		assert.is_true(lan:wait("c", "timeout 0.5 ping -c 1 10.7.0.2 && timeout 0.5 ping -c 1 fd00:7::2"))
		lan:serve(dir)
		for _, address in ipairs { "10.7.0.2", "[fd00:7::2]" } do
			local fetch = ("curl -sS --max-time 60 -o %s.got http://%s/file && cmp %s.got %s/file"):format(dir, address, dir,
				dir)
			local code, _, err = lan:sh("c", fetch)
			assert.equal(0, code, err)
		end
	end

	local function stops(proc)
		assert.equal(0, proc:stop())
		assert.is_true(tonumber(proc:out()) > 100, proc:out())
		assert.equal(stat(proc, "tcp_packets"), tonumber(proc:out()))
	end

	it("real hosts talk through af_xdp", function()
		local proc = lan:start("r", { kit.run_path, "-p", 0, "--eal",
			("--no-huge -m 128 --vdev=%s"):format "net_af_xdp0,iface=left",
			counts })
		if not lan:wait("r", ("grep -q 'info: on port' %s.err || test -s %s.code"):format(proc.path, proc.path))
			or proc:stop() ~= 0 then
			pending("the kernel has no AF_XDP: " .. proc:err())
			return
		end
		proc = bridge("net_af_xdp0,iface=left", "net_af_xdp1,iface=right", counts)
		hosts_talk()
		stops(proc)
	end)

	local socket = ("/tmp/mos%d.sock"):format(require "ffi".C.getpid())
	for name, devices in pairs {
		memif = { "net_memif0,role=server,socket=%s,socket-abstract=no",
			"net_memif0,role=client,socket=%s,socket-abstract=no" },
		virtio = { "net_vhost0,iface=%s", "net_virtio_user0,path=%s,queues=1" },
	} do
		it("real hosts talk through two runs that are joined by shared memory: " .. name, function()
			local first = bridge("net_af_packet0,iface=left", devices[1]:format(socket), counts)
			local second = bridge("net_af_packet0,iface=right", devices[2]:format(socket), counts)
			hosts_talk()
			stops(second)
			stops(first)
			os.remove(socket)
		end)
	end

	it("what a ring gives back goes on", function()
		local out = kit.tmp ".pcap"
		local proc = run({ "-p", "0:1", "-j", 1, kit.script [[
require "mos".monitor { raw = true }:on("pkt_in", function() print(1) io.stdout:flush() end)]] },
			{ ("net_pcap0,rx_pcap=%s,tx_pcap=%s"):format(http, out), "net_ring0" }, "test $(wc -l < $LOG.out) = 78")
		assert.equal(78, stat(proc, "forwarded"))
		assert.same(frames(http), frames(out))
	end)

	it("an interface is afterwards as it was before", function()
		local function promiscuity()
			local _, out = lan:sh("r", "ip -d link show dev left")
			return out:match "promiscuity %d+", out:match "PROMISC"
		end
		local proc = bridge("net_af_packet0,iface=left", "net_af_packet1,iface=right", counts)
		assert.same({ "promiscuity 1" }, { promiscuity() })
		assert.equal(0, proc:stop())
		assert.same({ "promiscuity 0" }, { promiscuity() })
	end)

	it("--busy-poll does not sleep", function()
		local proc = bridge("net_af_packet0,iface=left", "net_af_packet1,iface=right", counts, "--busy-poll")
		-- How often it slept until it had used a quarter of a second of a processor; an idle run would have a thousand
		-- times.
		local code, slept = lan:sh("r", ([[
			cd /proc/%s
			sleeps() { awk '/^voluntary/ { print $2 }' status; }
			ticks() { awk '{ print $14 + $15 }' stat; }
			a=$(sleeps) t=$(ticks)
			for i in $(seq 400); do
				[ $(($(ticks) - t)) -ge 25 ] && echo $(($(sleeps) - a)) && exit 0
				ping -q -c 2 -i 0.05 127.0.0.1 >/dev/null
			done
			exit 1]]):format(proc.pid))
		assert.equal(0, code)
		assert.is_true(tonumber(slept) < 25, slept)
		assert.equal(0, proc:stop())
	end)

	it("a pair that loses an interface is named, and the other one goes on", function()
		lan:down()
		lan = net.up { pairs = 2 }
		local devices = { "--no-huge -m 128" }
		for i, interface in ipairs { "left", "right", "left2", "right2" } do
			devices[i + 1] = ("--vdev=net_af_packet%d,iface=%s"):format(i - 1, interface)
		end
		local proc = lan:start("r", { kit.run_path, "-p", "0:1,2:3", "--eal", table.concat(devices, " "), seen },
			"grep -q 'info: on port' $LOG.err")
		for _, address in ipairs { "10.7.0.2", "10.8.0.2", "fd00:7::2", "fd00:8::2" } do
			assert.equal(0, (lan:sh("c", "ping -q -c 1 -W 5 " .. address)))
		end
		lan:sh("c", "ip link del dev eth1")
		assert.is_true(lan:wait("r", ("grep -q 'error: port 2 (left2): it has gone' %s.err"):format(proc.path)))
		for _, address in ipairs { "10.7.0.2", "fd00:7::2" } do
			assert.equal(0, (lan:sh("c", "ping -q -c 1 -W 5 " .. address)))
		end
		lan:sh("s", "ip link del dev eth1; ip link del dev eth0")
		lan:sh("c", "ip link del dev eth0")
		assert.equal(3, proc:wait())
		assert.matches("error: port %d %([%a%d]+%): it has gone\n$", proc:err())
	end)

	for _, j in ipairs { 1, 2 } do
		it("real hosts talk through af_packet, and an idle run sleeps: -j " .. j, function()
			local dir = kit.tmp ".www"
			os.execute(("mkdir -p %s && head -c 3000000 /dev/urandom > %s/file"):format(dir, dir))
			local queues = j > 1 and ",qpairs=2" or ""
			-- What finds a queue full is dropped and sent again, so that nothing passes unseen however busy the machine is.
			local proc = lan:start("r", { kit.run_path, "-p", "0:1", "-j", j, "--fail-closed", "--stats", "--eal",
				("--no-huge -m 128 --vdev=net_af_packet0,iface=left%s --vdev=net_af_packet1,iface=right%s"):format(queues, queues),
				kit.script [[
local mos = require "mos"
mos.monitor {}:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.client.addr, conn.server.bytes > 3e6) end
end)]] }, "grep -q 'info: on port' $LOG.err")
			lan:serve(dir)
			for _, address in ipairs { "10.7.0.2", "[fd00:7::2]" } do
				local code, _, err = lan:sh("c", ("curl -sS --max-time 60 -o %s.got http://%s/file && cmp %s.got %s/file"):format(
					dir, address, dir, dir))
				assert.equal(0, code, err)
			end
			local _, ticks = lan:sh("r", ([[
				read_cpu() { awk '{ print $14 + $15 }' /proc/%s/stat; }
				a=$(read_cpu); ping -q -c 3 -i 1 127.0.0.1 >/dev/null; b=$(read_cpu); echo $((b - a))]]):format(proc.pid))
			assert.is_true(tonumber(ticks) <= 6 * j, ticks)
			assert.equal(0, proc:stop())
			assert.matches("10%.7%.0%.1\ttrue\n", proc:out())
			assert.matches("fd00:7::1\ttrue\n", proc:out())
		end)
	end
end)
