-- mos-run --explain: what happens to each packet.
local kit = require "kit"

local function explain(args, opts)
	local code, out, err = kit.run({ "--explain", unpack(args) }, opts)
	assert.same({ 0, "" }, { code, err })
	return out
end

local talk = [[
100  C S 0:0(0)
+.01 S S. 0:0(0) ack 1
+.01 C . 1:1(0) ack 1
+.01 C P. 1:5(4) ack 1 "ping"
+.01 S . 1:1(0) ack 5
+.01 C P. 1:5(4) ack 1 "ping"
+.01 C R. 5:5(0) ack 1
]]

describe("--explain", function()
	it("names connection, states, events, what fired and what is called", function()
		local script = kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
local ping = mos.event { name = "ping", parent = "conn_new_data",
	fields = { { "by", "string" }, { "len", "number" } },
	filter = function(conn, side) return conn:starts_with(side, "ping") and { by = "cli", len = 4 } end }
local pong = mos.event { name = "pong", parent = ping, filter = function() return false end }
local again = mos.event { name = "again", parent = ping }
mon:on(ping, function(conn)
	print "heard"
	conn:raise(again, { n = 2 })
end)
mon:on(pong, function() end)
mon:on(again, function() end)
mon:on("rexmit", "snd", function(conn, side, pkt) pkt:drop() end)
mos.timer(0.045, function() end)
]]
		local name = script:match "[^/]*$"
		local out = explain { script, "-r", kit.pcap(talk) }
		local function at(line)
			return script:sub(1, -#name - 1) .. name .. ":" .. line
		end
		local wanted = [[
#1    +0.000000  10.0.0.1:40000 > 10.0.0.2:80  S 0:0(0) win 65535
      snd cli  syn_sent     listen        pkt_in  conn_start  tcp_state_change syn_sent
      rcv svr  syn_sent     syn_rcvd      pkt_in  conn_start  tcp_state_change syn_rcvd
#2    +0.010000  10.0.0.2:80 > 10.0.0.1:40000  S. 0:0(0) ack 1 win 65535
      snd svr  syn_sent     syn_rcvd      pkt_in
      rcv cli  established  syn_rcvd      pkt_in  tcp_state_change established
#3    +0.020000  10.0.0.1:40000 > 10.0.0.2:80  . 1:1(0) ack 1 win 65535
      snd cli  established  syn_rcvd      pkt_in
      rcv svr  established  established   pkt_in  tcp_state_change established
#4    +0.030000  10.0.0.1:40000 > 10.0.0.2:80  P. 1:5(4) ack 1 win 65535
      snd cli  established  established   pkt_in
      rcv svr  established  established   pkt_in
#5    +0.040000  10.0.0.2:80 > 10.0.0.1:40000  . 1:1(0) ack 5 win 65535
      snd svr  established  established   pkt_in
      rcv cli  established  established   pkt_in
-     +0.050000
              timer -> SCRIPT:15
#6    +0.050000  10.0.0.1:40000 > 10.0.0.2:80  P. 1:5(4) ack 1 win 65535
      snd cli  established  established   pkt_in
      snd cli  established  established   rexmit
              rexmit -> SCRIPT:14
      rcv svr  established  established   rexmit
      rcv svr  established  established   pkt_in
      dropped
#7    +0.060000  10.0.0.1:40000 > 10.0.0.2:80  R. 5:5(0) ack 1 win 65535
      snd cli  closed       established   pkt_in  tcp_state_change closed
      rcv svr  closed       closed        pkt_in  tcp_state_change closed
-     +0.060000  10.0.0.1:40000 > 10.0.0.2:80
          svr  closed       closed        conn_new_data 4 bytes
              ping fired  by="cli" len=4
              ping -> SCRIPT:8
heard
              again fired  n=2
              again -> SCRIPT:13
      snd cli  closed       closed        conn_end reset
      rcv cli  closed       closed        conn_end reset
      snd svr  closed       closed        conn_end reset
      rcv svr  closed       closed        conn_end reset
]]
		assert.equal(wanted, (out:gsub(at "(%d+)" :gsub("[%-%.]", "%%%0"), "SCRIPT:%1")))
	end)

	it("needs no script, and follows one connection where -f picks it", function()
		local http = kit.pcap(kit.read(kit.source .. "/tests/pcaps/http.seg"))
		local all, one = explain { "-r", http }, explain { "-r", http, "-f", "port 38220" }
		assert.equal(39, select(2, all:gsub("#%d+", "")))
		assert.equal(10, select(2, one:gsub("#%d+", "")))
		assert.equal(2, select(2, one:gsub("snd %a+ [^\n]*conn_end reset", "")))
		assert.equal(3, select(2, all:gsub("snd cli [^\n]*conn_start", "")))
	end)

	it("names packets that no connection has, and what is broken", function()
		local out = explain { "-r", kit.pcap [[
			0  C . 1:1(0) ack 1
			+1 raw 00000000000000000000000008004500
			+1 C S 0:0(0)
		]] }
		assert.matches("#1    +0.000000  10.0.0.1:40000 > 10.0.0.2:80  . 1001:1001(0) ack 5001 win 65535\n"
			.. "      no connection\n", out, 1, true)
		assert.matches("#2    +1.000000  cut_ip, 16 bytes\n      no connection\n#3 ", out, 1, true)
	end)

	it("names packets in their order, before what the burst brought is announced", function()
		local out = explain { "-r", kit.pcap(talk:gsub("%+%.01 C R[^\n]*", "") .. "+1 raw 0000\n") }
		assert.matches("#7 .-no connection\n%-.-conn_new_data 4 bytes", out)
	end)

	it("names C handlers by symbol and object", function()
		local code, out = kit.run({ "--explain", kit.build .. "/tests/apps/seed_example.so", "-r", kit.pcap(talk) },
			{ env = { SEED_FILTER = "tcp" } })
		assert.equal(0, code)
		assert.matches("pkt_in -> OnFlowPkt (seed_example.so)\n", out, 1, true)
	end)

	it("has no colours in a file, and none anywhere with NO_COLOR", function()
		local capture = kit.pcap(talk)
		assert.is_nil(explain { "-r", capture }:find("\27", 1, true))
		local function on_terminal(no)
			local command = ("%s --explain -r %s"):format(kit.run_path, capture)
			return select(2, kit.command({ "script", "-qec", command, "/dev/null" }, { env = { NO_COLOR = no } }))
		end
		assert.is_truthy(on_terminal "":find("\27[36m", 1, true))
		assert.is_nil(on_terminal "1":find("\27", 1, true))
	end)

	it("leaves what a script does as it is", function()
		local http = kit.pcap(kit.read(kit.source .. "/tests/pcaps/http.seg"))
		local script = kit.source .. "/scripts/conn_log.lua"
		local _, plain = kit.run { script, "-r", http }
		local out = {}
		for line in explain { script, "-r", http }:gmatch "{[^\n]*}\n" do
			out[#out + 1] = line
		end
		assert.equal(plain, table.concat(out))
	end)
end)
