-- Streams edited, reset and answered between two real hosts (tests/kit/net.lua), and a program with its own main().
local kit = require "kit"
local net = require "net"

local here, reason = net.available()
if not here then
	describe("live editing", function()
		pending("is not tested: " .. reason)
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

local function folder(size)
	local dir = kit.tmp ".www"
	os.execute(("mkdir -p %s && head -c %d /dev/urandom > %s/file"):format(dir, size, dir))
	return dir
end

local edit = [[
local mos = require "mos"
local mon = mos.monitor { filter = "tcp port 80", clibuf = 0, svrbuf = 0 }
local edits = 0
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.payload_len == 0 then return end
	local start = pkt:payload_string(4)
	local line = start == "GET " and "X-Via: mos-run\r\n"
		or start == "HTTP" and ("X-Long: %s\r\n"):format(("x"):rep(3000))
	local stop = line and pkt:payload_string(300):find "\r\n"
	if stop and pkt:insert(stop + 1, line) then edits = edits + 1 end
end)
mos.at_exit(function() print("edits", edits) end)]]

describe("between two hosts", function()
	for _, offload in ipairs { false, true } do
		it("a stream with bytes put into both directions arrives whole, offloads " .. (offload and "on" or "off"), function()
			lan = net.up { offload = offload }
			local dir, got, head = folder(3e6), kit.tmp ".got", kit.tmp ".head"
			local run = lan:run { "-i", "left:right", "--stats", kit.script(edit) }
			lan:serve(dir)
			for _, address in ipairs { "10.7.0.2", "[fd00:7::2]" } do
				local code, _, err = lan:sh("c", ("curl -sS --max-time 60 -D %s -o %s http://%s/file && cmp %s %s/file"):format(
					head, got, address, got, dir))
				assert.equal(0, code, err)
				assert.matches("X%-Long: x+\r\n", kit.read(head))
			end
			assert.equal(0, run:stop())
			assert.matches("edits\t[4-9]", run:out())
			assert.matches("edit_failed +0 ", run:err())
		end)
	end

	it("a stream that is to pass in order does, although packets are lost before", function()
		lan = net.up()
		local dir, got = folder(3e6), kit.tmp ".got"
		local run = lan:run { "-i", "left:right", "--stats", kit.script [[
local mos = require "mos"
local n = 0
mos.monitor { raw = true, family = 4 }:on("pkt_in", function(_, _, pkt)
	if pkt.src_port == 80 and pkt.payload_len > 0 then
		n = n + 1
		if n % 100 == 0 then pkt:drop() end
	end
end)
local mon = mos.monitor { filter = "tcp port 80", clibuf = 0, svrbuf = 0 }
local next = 1
mon:on("conn_start", "snd", function(conn) assert(conn:in_order "svr") end)
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if side == "svr" and pkt.payload_len > 0 and not pkt.dropped then
		local off = (pkt.seq - conn.server.isn) % 2 ^ 32
		assert(off <= next, "early")
		next = math.max(next, off + pkt.payload_len)
	end
end)]] }
		lan:serve(dir)
		local code, _, err = lan:sh("c", ("curl -sS --max-time 100 -o %s http://10.7.0.2/file && cmp %s %s/file"):format(got,
			got, dir))
		assert.equal(0, code, err)
		assert.equal(0, run:stop())
		assert.matches("handler_errors +0 ", run:err())
		-- What its receiver would refuse is none of it.
		assert.not_matches("paws_rejected +[1-9]", run:err())
	end)

	it("conn:reset ends both ends' connections at once", function()
		lan = net.up()
		local dir = folder(1000)
		local run = lan:run { "-i", "left:right", kit.script [[
local mon = require "mos".monitor { filter = "tcp port 80" }
mon:on("conn_new_data", function(conn, side) if side == "svr" then assert(conn:reset()) end end)]] }
		lan:serve(dir)
		local code = lan:sh("c", "curl -sS --max-time 20 http://10.7.0.2/file")
		assert.equal(56, code) -- the connection was reset by the peer
		assert.equal(0, run:stop())
	end)

	it("conn:inject answers in the server's place", function()
		lan = net.up()
		local dir, got = folder(1000), kit.tmp ".got"
		local run = lan:run { "-i", "left:right", kit.script [[
local mon = require "mos".monitor { filter = "tcp port 80" }
mon:on("pkt_in", "rcv", function(conn, side, pkt)
	if side == "svr" and pkt.payload_len > 0 then
		assert(conn:inject { side = "svr", payload = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nblocked" })
	end
end)]] }
		lan:serve(dir)
		local code, _, err = lan:sh("c", ("curl -sS --max-time 20 -o %s http://10.7.0.2/file"):format(got))
		assert.equal(0, code, err)
		assert.equal("blocked", kit.read(got))
		assert.equal(0, run:stop())
	end)
end)

describe("a program with a main() of its own", function()
	it("runs between two interfaces of mos.conf until it is told to stop", function()
		lan = net.up()
		local dir, got = folder(1e6), kit.tmp ".got"
		local rules = kit.write(kit.tmp ".rules", "deny any any:81\n")
		local conf = kit.write(kit.tmp ".conf", "mos {\n netdev {\n left 0x1\n right 0x1\n }\n}\n")
		local run = lan:start("r", { kit.build .. "/tests/programs/firewall", "-f", conf, "-c", "2", "-r", rules })
		lan:serve(dir)
		assert.is_true(lan:wait("c", ("curl -sS --max-time 5 -o %s http://10.7.0.2/file && cmp %s %s/file"):format(got, got,
			dir)))
		assert.not_equal(0, (lan:sh("c", "curl -sS --max-time 1 http://10.7.0.2:81/file")))
		assert.equal(0, run:stop "TERM")
		assert.matches("%d+ allowed, 1 denied", run:out())
	end)

	it("runs on ports of DPDK by mOS's names for them", function()
		if not io.open(kit.build .. "/mos-dpdk.so") then
			pending "built without DPDK"
			return
		end
		lan = net.up()
		local http, out = kit.source .. "/tests/pcaps/http.pcap", kit.tmp ".pcap"
		local devices = ("--vdev=net_pcap0,rx_pcap=%s,tx_pcap=%s --vdev=net_null0"):format(http, out)
		local conf = kit.write(kit.tmp ".conf", ([[
mos {
	netdev {
		eal = --no-huge -m 128 %s
		dpdk0 0x1
	}
}]]):format(devices))
		local run = lan:start("r", { "stdbuf", "-oL", kit.build .. "/tests/programs/conn_table", "-f", conf },
			"grep -q '2 seen, 2 ended' $LOG.out")
		assert.equal(0, run:stop "TERM")
		assert.matches("total: 2 seen, 2 ended\n", run:out())
	end)
end)
