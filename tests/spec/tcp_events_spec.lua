-- mos.events.scan, synflood, rexmit, rtt, stall and entropy.
local kit = require "kit"
local talk = require "talk"

local function run(script, text)
	local code, out, err = kit.run { kit.script('local mos = require "mos"\nlocal mon = mos.monitor {}\n' .. script),
		"-r", kit.pcap(text) }
	assert.same({ 0, "" }, { code, err })
	return out
end

-- A SYN to each target: { address, port }. answer: what the server says to it.
local function syns(targets, answer, source)
	local lines = {}
	for i, t in ipairs(targets) do
		lines[i] = ("conn c%d\nclient %s:%d\nserver %s:%d\n+.01 c%d.C S 0:0(0)\n"):format(i, source or "10.0.0.1",
			2000 + i, t[1], t[2], i) .. (answer or ""):gsub("@", "c" .. i)
	end
	return table.concat(lines)
end

local function addresses(n)
	local list = {}
	for i = 1, n do
		list[i] = { "10.1.0." .. i, 22 }
	end
	return list
end

local function ports(n)
	local list = {}
	for i = 1, n do
		list[i] = { "10.1.0.1", i }
	end
	return list
end

describe("mos.events.scan", function()
	local script = [[
local scan = require "mos.events.scan"
local function show(conn, side, pkt, ev, s)
	print(ev, s.src, s.dst, s.port, s.count, s.attempts, s.refused, table.concat(s.targets, " "))
end
mon:on(scan.horizontal, show)
mon:on(scan.vertical, show)
]]

	it("sees one port of many addresses", function()
		assert.equal("scan_horizontal\t10.0.0.1\tnil\t22\t25\t25\t0\t10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5\n",
			run(script, syns(addresses(40))))
		assert.equal("", run(script, syns(addresses(24))))
	end)

	it("sees many ports of one address, refused or not", function()
		assert.equal("scan_vertical\t10.0.0.1\t10.1.0.1\tnil\t15\t15\t15\t1 2 3 4 5\n",
			run(script, syns(ports(20), "+.001 @.S R. 0:0(0) ack 1\n")))
	end)

	it("sees none in connections that are answered, or repeated", function()
		assert.equal("", run(script, syns(addresses(40), "+.001 @.S S. 0:0(0) ack 1\n")))
		local again = {}
		for i = 1, 40 do
			again[i] = { "10.1.0.1", 22 }
		end
		assert.equal("", run(script, syns(again)))
	end)

	it("remembers a bounded number of sources", function()
		local out = run('require("mos.events.scan").limits.sources = 20000\n' .. script .. [[
local recent = require "mos.recent"
local r = recent(10, 100, function() return {} end)
for i = 1, 1000 do r:get(i, 0) end
local n = 0
for _ in pairs(r.young) do n = n + 1 end
for _ in pairs(r.old) do n = n + 1 end
print(n <= 100, r:find(1000) ~= nil, r:find(1) == nil, r:get(1000, 11) == r:find(1000))
]], syns(ports(1)))
		assert.equal("true\ttrue\ttrue\ttrue\n", out)
	end)
end)

describe("mos.events.synflood", function()
	local script = [[
local synflood = require "mos.events.synflood"
synflood.limits.syns = 20
mon:on(synflood.begins, function(conn, side, pkt, ev, f)
	print(ev, f.addr, f.port, f.syns, f.completed, f.sources, ("%.2f"):format(f.seconds))
end)
]]

	local function flood(n, answer)
		local lines = {}
		for i = 1, n do
			lines[i] = ("conn c%d\nclient 10.0.%d.1:2000\nserver 10.1.0.1:80\n+.01 c%d.C S 0:0(0)\n"):format(i, i, i)
				.. (answer or ""):gsub("@", "c" .. i)
		end
		return table.concat(lines)
	end

	it("sees SYNs of which no connections come, once", function()
		assert.equal("synflood\t10.1.0.1\t80\t20\t0\t20\t0.19\n", run(script, flood(100)))
	end)

	it("sees none where handshakes are completed", function()
		assert.equal("", run(script, flood(100, "+.001 @.S S. 0:0(0) ack 1\n+.001 @.C . 1:1(0) ack 1\n")))
	end)
end)

local handshake = "0 C S 0:0(0)\n+.01 S S. 0:0(0) ack 1\n+.02 C . 1:1(0) ack 1\n"

describe("mos.events.rexmit", function()
	local script = [[
local rexmit = require "mos.events.rexmit"
mon:on(rexmit.different, function(conn, side, pkt, ev, d) print(ev, side, d.offset, d.length, d.old, d.new) end)
mon:on(rexmit.rate, function(conn, side, pkt, ev, r) print(ev, side, r.rexmits, r.pkts, ("%.2f"):format(r.share)) end)
]]

	it("sees a retransmission with other bytes, and where it differs", function()
		local text = handshake .. [[
+.01 C P. 1:12(11) ack 1 "hello world"
+.01 S . 1:1(0) ack 12
+.01 C P. 1:12(11) ack 1 "hello world"
+.01 C P. 7:15(8) ack 1 "wOrldly!"
]]
		assert.equal("rexmit_different\tsvr\t7\t8\torld\tOrld\n", run(script, text))
	end)

	it("sees it beyond four gigabytes' worth of numbers", function()
		local text = "isn C 4294967290\n" .. handshake .. [[
+.01 C P. 1:12(11) ack 1 "hello world"
+.01 C P. 3:12(9) ack 1 "llo there"
]]
		assert.equal("rexmit_different\tsvr\t6\t9\tworld\tthere\n", run(script, text))
	end)

	it("tells of an end that sends much again, whenever it has doubled", function()
		local lines = { handshake, "+.01 C P. 1:5(4) ack 1\n" }
		for _ = 1, 45 do
			lines[#lines + 1] = "+.01 C P. 1:5(4) ack 1\n"
		end
		assert.equal("rexmit_rate\tcli\t10\t13\t0.77\nrexmit_rate\tcli\t20\t23\t0.87\nrexmit_rate\tcli\t40\t43\t0.93\n",
			run(script, table.concat(lines)))
	end)
end)

describe("mos.events.rtt", function()
	it("measures handshakes", function()
		local script = [[
local rtt = require "mos.events.rtt"
mon:on(rtt.handshake, function(conn, side, pkt, ev, h)
	print(ev, side, ("%.3f %.3f %.3f"):format(h.server, h.client, h.total), h.clean)
end)
]]
		assert.equal("rtt_handshake\tsvr\t0.010 0.020 0.030\ttrue\n", run(script, handshake))
		assert.equal("rtt_handshake\tsvr\t1.010 0.020 1.030\tfalse\n", run(script, "0 C S 0:0(0)\n"
			.. handshake:gsub("^0", "1")))
	end)

	it("measures by timestamps that come back, each once", function()
		local script = [[
local rtt = require "mos.events.rtt"
mon:on(rtt.sample, function(conn, side, pkt, ev, s) print(side, ("%.3f"):format(s.seconds)) end)
]]
		local text = [[
1     C S  0:0(0) <TS val 10 ecr 0>
+.010 S S. 0:0(0) ack 1 <TS val 4294967295 ecr 10>
+.020 C .  1:1(0) ack 1 <nop,nop,TS val 11 ecr 4294967295>
+.001 C P. 1:5(4) ack 1 <nop,nop,TS val 11 ecr 4294967295>
+.030 S .  1:1(0) ack 5 <nop,nop,TS val 7 ecr 11>
+.001 S P. 1:5(4) ack 5 <nop,nop,TS val 7 ecr 11>
+.005 C .  5:5(0) ack 5 <nop,nop,TS val 12 ecr 7>
]]
		assert.equal("svr\t0.010\ncli\t0.020\nsvr\t0.031\ncli\t0.006\n", run(script, text))
	end)
end)

describe("mos.events.stall", function()
	local script = [[
local stall = require "mos.events.stall"
mon:on(stall.window_closes, function(conn, side, pkt, ev) print(ev, side, pkt.number) end)
mon:on(stall.window_opens, function(conn, side, pkt, ev, w) print(ev, side, ("%.2f"):format(w.seconds)) end)
mon:on(stall.silence, function(conn, side, pkt, ev, s)
	print(ev, side, ("%.2f"):format(s.seconds), s.waited_for, s.ended_by)
end)
]]

	it("sees closed windows, and how long", function()
		assert.equal("stall_window_closes\tsvr\t5\nstall_window_opens\tsvr\t0.75\n", run(script, handshake .. [[
+.01 C P. 1:5(4) ack 1
+.01 S . 1:1(0) ack 5 win 0
+.25 S . 1:1(0) ack 5 win 0
+.5 S . 1:1(0) ack 5 win 100
]]))
	end)

	it("sees silence behind data, and whose it was", function()
		assert.equal("stall_silence\tsvr\t2.50\tsvr\tsvr\nstall_silence\tsvr\t3.00\tcli\tsvr\n", run(script, handshake .. [[
+5 C P. 1:5(4) ack 1
+2.5 S P. 1:5(4) ack 5
+3 S P. 1:5(4) ack 5
+.1 C . 5:5(0) ack 5
+9 C P. 5:6(1) ack 5
]]))
	end)
end)

describe("mos.events.entropy", function()
	local script = [[
local entropy = require "mos.events.entropy"
mon:on(entropy.sample, function(conn, side, pkt, ev, s) print(ev, s.from, s.bytes, ("%.3f"):format(s.bits)) end)
mon:on(entropy.high, function(conn, side, pkt, ev, s) print(ev, s.from) end)
]]
	local random, seed = {}, 7
	for i = 1, 5000 do
		seed = (seed * 16807) % 2147483647
		random[i] = string.char(math.floor(seed / 4096) % 256)
	end

	for _, size in ipairs { 1000, 100 } do
		it("is low in text and high in noise, in segments of " .. size, function()
			local out = run(script, talk.text({ { "C", ("ab"):rep(300) }, { "S", table.concat(random) } }, { size = size }))
			assert.matches("entropy_sample\tclient\t600\t1.000\n", out)
			assert.matches("entropy_sample\tserver\t4096\t7.9%d+\nentropy_high\tserver\n", out)
		end)
	end

	it("is not measured in a few bytes", function()
		assert.equal("", run(script, talk.text { { "C", "hello" } }))
	end)
end)

it("the filters that every packet meets are compiled", function()
	local lines = { "1 C S 0:0(0) <TS val 1 ecr 0>\n+.01 S S. 0:0(0) ack 1 <TS val 1 ecr 1>\n" }
	for i = 0, 1500 do
		lines[#lines + 1] = ("+.01 C P. %d:%d(10) ack 1 <nop,nop,TS val %d ecr %d>\n"):format(1 + 10 * i, 11 + 10 * i,
			i + 2, i + 1)
		lines[#lines + 1] = ("+.01 S . 1:1(0) ack %d win %d <nop,nop,TS val %d ecr %d>\n"):format(11 + 10 * i,
			i % 100 == 7 and 0 or 100, i + 2, i + 2)
	end
	assert.equal("true\ttrue\t\n", run([[
local aborted, compiled, n = {}, 0, 0
jit.attach(function(what, _, fn, pc, code, arg)
	local why = what == "abort" and require("jit.vmdef").traceerr[code]:format(tostring(arg)) or ""
	if why:find "^NYI" then aborted[#aborted + 1] = require("jit.util").funcinfo(fn, pc).loc .. ": " .. why end
	compiled = compiled + (what == "stop" and 1 or 0)
end, "trace")
local rtt, stall = require "mos.events.rtt", require "mos.events.stall"
mon:on(rtt.sample, function(conn, side, pkt, ev, sample) n = n + sample.seconds end)
mon:on(stall.silence, function(conn, side, pkt, ev, silence) n = n + silence.seconds end)
mon:on(stall.window_opens, function(conn, side, pkt, ev, window) n = n + window.seconds end)
mon:on(require("mos.events.rexmit").rate, function(conn, side, pkt, ev, rate) n = n + rate.share end)
mos.at_exit(function() print(n > 0, compiled > 0, table.concat(aborted, "; ")) end)
]], table.concat(lines)))
end)
