-- Streams edited in flight: what leaves, packet by packet, and what handlers go on seeing.
local kit = require "kit"

local head = [[
local mos = require "mos"
local mon = mos.monitor {}
-- Calls fn(pkt, conn, offset) for each segment with payload of the client.
local function client(hook, fn)
	mon:on("pkt_in", hook, function(conn, side, pkt)
		if pkt.src_port == 40000 and pkt.payload_len > 0 then fn(pkt, conn, pkt.seq - 1001) end
	end)
end
]]

-- Prints every packet of a capture in its sender's numbers, from the ISNs 1000 and 5000 on.
local show = kit.script [[
local mos = require "mos"
local function word(p, at) return ((p[at] * 256 + p[at + 1]) * 256 + p[at + 2]) * 256 + p[at + 3] end
local function sacks(p, from, to, isn)
	local list, i = {}, from
	while i < to and p[i] ~= 0 do
		if p[i] == 5 then
			for at = i + 2, i + p[i + 1] - 1, 8 do
				list[#list + 1] = (" sack %d:%d"):format(word(p, at) - isn, word(p, at + 4) - isn)
			end
		end
		i = p[i] == 1 and i + 1 or i + p[i + 1]
	end
	return table.concat(list)
end
mos.monitor { raw = true }:on("pkt_in", function(_, _, pkt)
	local cli = pkt.src_port == 40000
	local isn = tonumber(mos.args[1])
	local mine, other = cli and isn or 5000, cli and 5000 or isn
	local flags = (pkt.syn and "S" or "") .. (pkt.fin and "F" or "") .. (pkt.rst and "R" or "")
		.. (pkt.psh and "P" or "") .. (pkt.urg and "U" or "") .. (pkt.is_ack and "." or "")
	local text = pkt.payload_len < 60 and pkt:payload_string() or ""
	print(("%s %s %d(%d)%s%s%s%s%s"):format(cli and "C" or "S", flags, (pkt.seq - mine) % 2 ^ 32, pkt.payload_len,
		pkt.is_ack and " ack " .. (pkt.ack - other) % 2 ^ 32 or "", pkt.window ~= 65535 and " win " .. pkt.window or "",
		pkt.urg and " urg " .. pkt.urgent or "",
		pkt.ip_version == 4 and pkt.data[12] == 8 and sacks(pkt.data, 54, 34 + 4 * math.floor(pkt.data[46] / 16), other)
			or "", text ~= "" and " " .. text or ""))
end)
mos.monitor {}:on("error", function(conn)
	if conn.error_reason == "checksum" then print "bad checksum" end
end)
]]

local shake = [[
	0     C S  0:0(0) <mss 1460>
	+.01  S S. 0:0(0) ack 1 <mss 1460>
	+.01  C .  1:1(0) ack 1
]]

local shaken = "C S 0(0)\nS S. 0(0) ack 1\nC . 1(0) ack 1\n"

-- What a script lets out of these segments, after the handshake, and what it printed itself.
local function edited(source, segments, prelude, isn)
	local path = kit.tmp ".pcap"
	local code, printed, err = kit.run { kit.script(head .. source), "-r", kit.pcap((prelude or "") .. shake .. segments),
		"-w", path }
	assert.equal(0, code, err)
	assert.equal("", err)
	local out
	code, out, err = kit.run { "--verify-checksums", "-r", path, show, "--", isn or 1000 }
	assert.equal(0, code, err)
	assert.equal("", err)
	assert.equal(shaken, out:sub(1, #shaken))
	return out:sub(#shaken + 1), printed
end

describe("an edited stream", function()
	it("has other numbers from there on, in both directions", function()
		assert.equal([[
C P. 1(9) ack 1 abXYZcdef
S . 1(0) ack 7
S P. 1(3) ack 7 abc
C . 10(0) ack 4
C P. 10(4) ack 4 ghij
S . 4(0) ack 11
C F. 14(0) ack 4
S F. 4(0) ack 12
C . 15(0) ack 5
]], (edited([[client("snd", function(pkt, _, off) if off == 0 then assert(pkt:insert(2, "XYZ")) end end)]], [[
	+.01 C P. 1:7(6) ack 1
	+.01 S .  1:1(0) ack 10
	+.01 S P. 1:4(3) ack 10
	+.01 C .  7:7(0) ack 4
	+.01 C P. 7:11(4) ack 4
	+.01 S .  4:4(0) ack 14
	+.01 C F. 11:11(0) ack 4
	+.01 S F. 4:4(0) ack 15
	+.01 C .  12:12(0) ack 5
]])))
	end)

	it("may be edited in both directions", function()
		assert.equal([[
C P. 1(3) ack 1 abX
S P. 1(2) ack 3 bc
C . 4(0) ack 4
S F. 3(0) ack 3
C F. 4(0) ack 5
S . 4(0) ack 4
]], (edited([[
mon:on("pkt_in", "rcv", function(_, _, pkt)
	if pkt.payload_len == 2 then pkt:insert(2, "X") elseif pkt.payload_len == 3 then pkt:chomp(0, 1) end
end)]], [[
	+.01 C P. 1:3(2) ack 1
	+.01 S P. 1:4(3) ack 4
	+.01 C .  3:3(0) ack 3
	+.01 S F. 4:4(0) ack 4
	+.01 C F. 3:3(0) ack 4
	+.01 S .  5:5(0) ack 5
]])))
	end)

	it("takes bytes before a FIN alone, which carries them until they are acknowledged", function()
		assert.equal([[
C P. 1(3) ack 1 abc
S . 1(0) ack 4
C F. 4(3) ack 1 end
C F. 4(3) ack 1 end
C F. 3(4) ack 1 cend
C F. 2(5) ack 1 bcend
S . 1(0) ack 5
S F. 1(0) ack 5
C . 8(0) ack 2
]], (edited([[
mon:on("pkt_in", "snd", function(_, _, pkt)
	if pkt.fin and pkt.src_port == 40000 and pkt.payload_len == 0 then assert(pkt:insert(0, "end")) end
end)]], [[
	+.01 C P. 1:4(3) ack 1
	+.01 S .  1:1(0) ack 4
	+.01 C F. 4:4(0) ack 1
	+.01 C F. 4:4(0) ack 1
	+.01 C F. 3:4(1) ack 1
	+.01 C F. 2:4(2) ack 1
	+.01 S .  1:1(0) ack 8
	+.01 S F. 1:1(0) ack 8
	+.01 C .  5:5(0) ack 2
]])))
	end)

	it("takes none before a FIN that has left", function()
		local out, printed = edited([[
mon:on("pkt_in", "snd", function(_, _, pkt) if pkt.fin and pkt.is_ack then print(pkt:insert(0, "x")) end end)]], [[
	+.01 C F  1:1(0)
	+.01 C F. 1:1(0) ack 1
]])
		assert.equal("C F 1(0)\nC F. 1(0) ack 1\n", out)
		assert.equal("nil\tthese bytes, or later ones, have left before\n", printed)
	end)

	it("is edited the same in every copy of a segment, however it is cut", function()
		assert.equal([[
C P. 1(7) ack 1 aXXbcef
C P. 1(4) ack 1 aXXb
C P. 2(4) ack 1 XXbc
C P. 1(11) ack 1 aXXbcefghij
C P. 8(4) ack 1 ghij
S . 1(0) ack 11
C P. 4(0) ack 1
C P. 6(3) ack 1 efg
]], (edited([[client("snd", function(pkt, _, off)
	if off == 0 then pkt:insert(1, "XX") pkt:chomp(3, 1) end
end)]], [[
	+.01 C P. 1:7(6) ack 1
	+.01 C P. 1:3(2) ack 1
	+.01 C P. 2:4(2) ack 1
	+.01 C P. 1:11(10) ack 1
	+.01 C P. 7:11(4) ack 1
	+.01 S .  1:1(0) ack 12
	+.01 C P. 1:4(3) ack 1
	+.01 C P. 1:8(7) ack 1
]])))
	end)

	it("is one for handlers, as it came", function()
		local _, printed = edited([[
client("snd", function(pkt) assert(pkt:replace(0, 3, "LONGER")) end)
mon:on("conn_new_data", function(conn, side) print(side, conn:peek(side)) end)
mon:on("pkt_in", "rcv", function(conn, side, pkt)
	if pkt.src_port == 80 then print(pkt.ack - 1000) end
	if pkt.payload_len > 0 then print(pkt.payload_len, pkt:payload_string(), pkt.seq - 1000) end
end)
mon:on("conn_end", "snd", function(conn, side)
	print(conn[side].bytes, conn[side].missed, conn.end_reason, conn[side].rexmits)
end)
]], [[
	+.01 C P. 1:7(6) ack 1
	+.01 S .  1:1(0) ack 10
	+.01 C F. 7:7(0) ack 1
	+.01 S F. 1:1(0) ack 11
	+.01 C .  8:8(0) ack 2
]])
		assert.equal([[
1
6	abcdef	1
7
8
svr	abcdef
6	0	closed	0
0	0	closed	0
]], printed)
	end)

	it("goes on in more packets where one would be too long", function()
		local out = edited([[client("snd", function(pkt, _, off)
	if off == 0 then assert(pkt:insert(700, ("x"):rep(3000))) end
end)]], [[
	+.01 C FP. 1:1461(1460) ack 1
	+.01 S .   1:1(0) ack 1461
	+.01 S .   1:1(0) ack 3800
	+.01 S .   1:1(0) ack 4462
]])
		assert.equal([[
C . 1(1460) ack 1
C . 1461(1460) ack 1
C . 2921(1460) ack 1
C FP. 4381(80) ack 1
S . 1(0) ack 701 win 63295
S . 1(0) ack 800
S . 1(0) ack 1462
]], out)
	end)

	it("puts appended bytes behind the last one, which is acknowledged with them", function()
		assert.equal([[
C P. 1(6) ack 1 abcXYZ
S . 1(0) ack 3 win 65534
C P. 3(4) ack 1 cXYZ
S . 1(0) ack 4
C P. 7(2) ack 1 de
]], (edited([[client("snd", function(pkt, _, off) if off == 0 then assert(pkt:insert(3, "XYZ")) end end)]], [[
	+.01 C P. 1:4(3) ack 1
	+.01 S .  1:1(0) ack 5
	+.01 C P. 3:4(1) ack 1
	+.01 S .  1:1(0) ack 7
	+.01 C P. 4:6(2) ack 1
]])))
	end)

	it("makes a receiver acknowledge a segment of which nothing is left", function()
		assert.equal([[
C P. 0(0) ack 1
S . 1(0) ack 7
C P. 1(2) ack 1 gh
S . 1(0) ack 9
C FP. 3(0) ack 1
]], (edited([[client("snd", function(pkt, _, off)
	if off ~= 6 then assert(pkt:chomp(0, pkt.payload_len)) end
end)]], [[
	+.01 C P.  1:7(6) ack 1
	+.01 S .   1:1(0) ack 1
	+.01 C P.  7:9(2) ack 1
	+.01 S .   1:1(0) ack 3
	+.01 C FP. 9:11(2) ack 1
]])))
	end)

	it("has SACK blocks in its sender's numbers, without those of bytes that were put in", function()
		assert.equal([[
C . 1(14) ack 1 abcdXXXXefghij
C . 15(10) ack 1 klmnopqrst
C . 25(5) ack 1 uvwxy
S . 1(0) ack 1 win 65531 sack 11:21
S . 1(0) ack 5 win 65532 sack 21:26
S . 1(0) ack 5 win 65533 sack 6:9 sack 22:24
S . 1(0) ack 5 win 65531
]], (edited([[client("snd", function(pkt, _, off) if off == 0 then assert(pkt:insert(4, "XXXX")) end end)]], [[
	+.01 C .  1:11(10) ack 1
	+.01 C .  11:21(10) ack 1
	+.01 C .  21:26(5) ack 1
	+.01 S .  1:1(0) ack 1 <nop,nop,sack 15:25>
	+.01 S .  1:1(0) ack 6 <nop,nop,sack 25:30>
	+.01 S .  1:1(0) ack 7 <sack 7:8 8:13 26:28>
	+.01 S .  1:1(0) ack 5 <nop,nop,sack 6:8>
]])))
	end)

	it("ends the window at the same byte", function()
		assert.equal([[
C . 1(8) ack 1 abXXXXcd
S . 1(0) ack 1 win 96
S . 1(0) ack 5 win 100
S . 1(0) ack 5 win 0
]], (edited([[client("snd", function(pkt, _, off) if off == 0 then assert(pkt:insert(2, "XXXX")) end end)]], [[
	+.01 C .  1:5(4) ack 1
	+.01 S .  1:1(0) ack 1 win 100
	+.01 S .  1:1(0) ack 9 win 100
	+.01 S .  1:1(0) ack 9 win 0
]])))
	end)

	it("moves the urgent pointer", function()
		assert.equal([[
C U. 1(8) ack 1 urg 7 abXXXXcd
C U. 9(2) ack 1 urg 2 ef
]], (edited([[client("snd", function(pkt, _, off) if off == 0 then assert(pkt:insert(2, "XXXX")) end end)]], [[
	+.01 C U. 1:5(4) ack 1 urg 3
	+.01 C U. 5:7(2) ack 1 urg 2
]])))
	end)

	it("passes a RST with the numbers that its receiver knows", function()
		assert.equal([[
C . 1(5) ack 1 aXbcd
S R 1(0)
C R. 6(0) ack 1
]], (edited([[client("snd", function(pkt) assert(pkt:insert(1, "X")) end)]], [[
	+.01 C .  1:5(4) ack 1
	+.01 S R  1:1(0)
	+.01 C R. 5:5(0) ack 1
]])))
	end)

	it("stays edited when nobody monitors it any more", function()
		assert.equal([[
C . 1(5) ack 1 aXbcd
C . 1(5) ack 1 aXbcd
S . 1(0) ack 5
C . 6(1) ack 1 e
]], (edited([[client("snd", function(pkt, conn) assert(pkt:insert(1, "X")) conn:stop() end)]], [[
	+.01 C .  1:5(4) ack 1
	+.01 C .  1:5(4) ack 1
	+.01 S .  1:1(0) ack 6
	+.01 C .  5:6(1) ack 1
]])))
	end)

	it("is not edited by a packet that was dropped; its next copy may be edited otherwise", function()
		assert.equal([[
C . 1(5) ack 1 Yabcd
S . 1(0) ack 5
C . 6(1) ack 1 e
]], (edited([[
local n = 0
client("snd", function(pkt)
	n = n + 1
	if n == 1 then pkt:insert(2, "XXX") pkt:drop() elseif n == 2 then assert(pkt:insert(0, "Y")) end
end)]], [[
	+.01 C .  1:5(4) ack 1
	+.01 C .  1:5(4) ack 1
	+.01 S .  1:1(0) ack 6
	+.01 C .  5:6(1) ack 1
]])))
	end)

	it("wraps around the end of the numbers", function()
		local out = edited([[
mon:on("pkt_in", "snd", function(_, _, pkt) if pkt.payload_len == 4 then assert(pkt:insert(2, "XXXX")) end end)
mon:on("pkt_in", "rcv", function(_, _, pkt) if pkt.src_port == 80 then print(pkt.ack) end end)
]], [[
	+.01 C .  1:5(4) ack 1
	+.01 S .  1:1(0) ack 9
	+.01 C .  5:7(2) ack 1
	+.01 S .  1:1(0) ack 11
]], "isn C 4294967291\n", 4294967291)
		assert.equal("C . 1(8) ack 1 abXXXXcd\nS . 1(0) ack 5\nC . 9(2) ack 1 ef\nS . 1(0) ack 7\n", out)
	end)
end)

describe("edits by several handlers", function()
	it("of one segment are all made, in the order of their places and of the calls", function()
		assert.equal("C . 1(16) ack 1 <1>ab2+3fghijEND\n", (edited([[
client("snd", function(pkt)
	pkt:insert(0, "<1>")
	pkt:chomp(2, 2)
	pkt:insert(10, "END")
end)
mos.monitor {}:on("pkt_in", "rcv", function(_, _, pkt)
	if pkt.payload_len > 0 then pkt:replace(3, 2, "2+3") end
end)]], "+.01 C . 1:11(10) ack 1\n")))
	end)

	it("may say again what has been done, but not change what has left", function()
		local out, printed = edited([[
local n = 0
client("snd", function(pkt)
	n = n + 1
	if n < 3 then print(pkt:insert(2, "XX")) else print(pkt:chomp(0, 1)) end
end)]], [[
	+.01 C . 1:5(4) ack 1
	+.01 C . 1:5(4) ack 1
	+.01 C . 1:5(4) ack 1
]])
		assert.equal(("C . 1(6) ack 1 abXXcd\n"):rep(3), out)
		assert.equal("true\ntrue\nnil\tthese bytes, or later ones, have left before\n", printed)
	end)

	it("cannot change a hole that later bytes have passed", function()
		local out, printed = edited([[
client("snd", function(pkt, _, off) print(off, pkt:insert(1, "XX")) end)]], [[
	+.01 C . 5:9(4) ack 1
	+.01 C . 1:5(4) ack 1
	+.01 C . 9:10(1) ack 1
]])
		assert.equal("C . 5(6) ack 1 eXXfgh\nC . 1(4) ack 1 abcd\nC . 11(3) ack 1 iXX\n", out)
		assert.equal("4\ttrue\n0\tnil\tthese bytes, or later ones, have left before\n8\ttrue\n", printed)
	end)
end)

describe("an edit", function()
	it("works over IPv6 and behind VLAN tags, and on every link", function()
		for _, prelude in ipairs {
			"client [2001:db8::1]:40000\nserver [2001:db8::2]:80\n", "vlan 5,6\n", "link raw\n", "link sll\n", "link null\n",
			"client [2001:db8::1]:40000\nserver [2001:db8::2]:80\nvlan 9\n",
		} do
			assert.equal("C . 1(6) ack 1 abXXcd\nS . 1(0) ack 5\nC . 7(1) ack 1 e\n", (edited([[
client("snd", function(pkt, _, off) if off == 0 then assert(pkt:insert(2, "XX")) end end)]], [[
	+.01 C . 1:5(4) ack 1
	+.01 S . 1:1(0) ack 7
	+.01 C . 5:6(1) ack 1
]], prelude)))
		end
	end)

	it("is refused where there is nothing to edit", function()
		local _, printed = edited([[
mon:on("pkt_in", "snd", function(_, _, pkt)
	if pkt.src_port == 40000 then print(pkt.number, pkt:insert(0, "X")) end
end)
client("rcv", function(pkt)
	print(pkt:insert(5, "X"))
	print(pkt:chomp(3, 2))
	print(pkt:insert(0, ""))
end)
mos.monitor {}:on("orphan", function(_, _, pkt) print(pkt:insert(0, "X")) end)
]], [[
	+.01 C . 1:5(4) ack 1 snap 56
	+.01 C . 5:9(4) ack 1
	conn other
	client 10.0.0.9:9
	+.01 other.C . 5:9(4) ack 1
]])
		assert.equal([[
1	nil	the packet has no payload, or one that its receiver will not accept
3	nil	the packet has no payload, or one that its receiver will not accept
4	nil	the packet, as captured, does not have these bytes
nil	the packet, as captured, does not have these bytes
nil	the packet, as captured, does not have these bytes
nil	the packet, as captured, does not have these bytes
5	true
nil	the packet, as captured, does not have these bytes
nil	the packet, as captured, does not have these bytes
true
nil	the packet belongs to no connection
]], printed)
	end)

	it("is told of arguments that do not fit", function()
		local _, printed = edited([[
local function try(f, ...) print((select(2, pcall(f, ...)):gsub("^.-%d+%.lua:%d+: ", ""))) end
client("snd", function(pkt)
	try(function() pkt:insert("a", "X") end)
	try(function() pkt:insert(0, 5) end)
	try(function() pkt:chomp(0, -1) end)
	try(function() pkt:replace(0, 1) end)
end)]], "+.01 C . 1:5(4) ack 1\n")
		assert.equal([[
pkt:insert: the offset must be a number of bytes, 0 or more
pkt:insert: what to insert must be a string, not a number
pkt:chomp: the length must be a number of bytes, 0 or more
pkt:replace: what to put there must be a string, not nil
]], printed)
	end)

end)

local http = [[
	+.01 C P. 1:5(4) ack 1
	+.01 S .  1:1(0) ack 5
	+.01 S P. 1:4(3) ack 5
	+.01 C .  5:5(0) ack 4
]]

describe("conn:inject", function()
	it("does not count what a monitor of raw packets has dropped", function()
		for _, buffers in ipairs { "{}", "{ clibuf = 0, svrbuf = 0 }" } do
			-- More than a burst, so that the connection is known when the packet is looked up.
			assert.equal(("S . 1(0) ack 1\n"):rep(64) .. "C P. 1(2) ack 1 xy\nS . 1(0) ack 1\n", (edited([[
mon:close()
mos.monitor { raw = true }:on("pkt_in", function(_, _, pkt) if pkt.payload_len > 0 then pkt:drop() end end)
mos.monitor ]] .. buffers .. [[:on("conn_start", "snd", function(conn)
	mos.timer(0.1, function() assert(conn:inject { side = "cli", payload = "xy" }) end)
end)]], ("+.0001 S . 1:1(0) ack 1\n"):rep(64) .. "+.01 C P. 1:5(4) ack 1\n+.2 S . 1:1(0) ack 1\n")
				:gsub(" win %d+", "")), buffers)
		end
	end)
end)

describe("conn:reset", function()
	it("sends each end a RST with the number that it expects", function()
		local out, printed = edited([[
mon:on("conn_new_data", function(conn, side) print(conn:reset()) end)
mon:on("conn_end", "snd", function(conn, side) print(side, conn.end_reason, conn:state(side)) end)
]], http)
		assert.equal([[
C P. 1(4) ack 1 abcd
S . 1(0) ack 5
S P. 1(3) ack 5 abc
C . 5(0) ack 4
C R. 5(0) ack 4 win 0
S R. 4(0) ack 5 win 0
]], out)
		assert.equal("true\nnil\tthe connection is closed\ncli\treset\tclosed\nsvr\treset\tclosed\n", printed)
	end)

	it("drops the packet in dispatch, whose bytes its receiver then does not expect", function()
		assert.equal([[
C R. 1(0) ack 1 win 0
S R. 1(0) ack 1 win 0
S . 1(0) ack 5
]], (edited([[client("snd", function(pkt, conn) assert(conn:reset()) end)]], http:match "(.-\n.-\n)")))
	end)

	it("counts in the numbers of an edited stream", function()
		assert.equal([[
C P. 1(6) ack 1 abXXcd
S P. 1(4) ack 5 abcY
C R. 7(0) ack 4 win 0
S R. 5(0) ack 5 win 0
]], (edited([[
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.payload_len == 4 then pkt:insert(2, "XX") elseif pkt.payload_len == 3 then pkt:insert(3, "Y") end
	if pkt.payload_len == 0 and pkt.seq == 1005 then conn:reset() end
end)]], [[
	+.01 C P. 1:5(4) ack 1
	+.01 S P. 1:4(3) ack 7
	+.01 C .  5:5(0) ack 5
]])))
	end)

	it("answers a SYN so that it is believed", function()
		local path = kit.tmp ".pcap"
		local code, _, err = kit.run { kit.script(head .. [[
mon:on("conn_start", "snd", function(conn) assert(conn:reset()) end)]]), "-r", kit.pcap "0 C S 0:0(0)", "-w", path }
		assert.equal(0, code, err)
		assert.equal("", err)
		local _, out = kit.run { "--verify-checksums", "-r", path, show, "--", 1000 }
		assert.matches("S R. %d+%(0%) ack 1 win 0\n", out)
		assert.not_matches("C S", out)
	end)

	it("reaches both ends when the input has ended", function()
		assert.equal([[
C P. 1(4) ack 1 abcd
C R. 5(0) ack 1 win 0
S R. 1(0) ack 1 win 0
]], (edited([[mon:on("conn_end", "snd", function(conn, side) if side == "cli" then conn:reset() end end)]],
			"+.01 C P. 1:5(4) ack 1\n")))
	end)
end)

describe("conn:in_order", function()
	local order = [[
mon:on("conn_start", "snd", function(conn) assert(conn:in_order "cli") end)
client("rcv", function(pkt, conn, off)
	print(off, conn.client.rexmits)
	if off == 3 then assert(pkt:insert(0, "X")) end
end)]]

	it("has early segments wait for what they follow, also a FIN", function()
		local out, printed = edited(order, [[
	+.01 C .  4:7(3) ack 1
	+.01 C F. 9:9(0) ack 1
	+.01 C .  7:9(2) ack 1
	+.01 C .  4:7(3) ack 1
	+.01 S .  1:1(0) ack 1
	+.01 C .  1:4(3) ack 1
	+.01 S .  1:1(0) ack 11
]])
		assert.equal([[
S . 1(0) ack 1
C . 1(3) ack 1 abc
C . 4(4) ack 1 Xdef
C . 8(2) ack 1 gh
C F. 10(0) ack 1
S . 1(0) ack 10
]], out)
		assert.equal("0\t0\n3\t0\n6\t0\n", printed)
	end)

	it("drops what a handler drops among them, and what follows that waits for it", function()
		local out = edited([[
mon:on("conn_start", "snd", function(conn) assert(conn:in_order "cli") end)
local dropped
client("snd", function(pkt, _, off) if off == 3 and not dropped then dropped = true pkt:drop() end end)]], [[
	+.01 C .  4:7(3) ack 1
	+.01 C .  7:9(2) ack 1
	+.01 C .  1:4(3) ack 1
	+.01 C .  4:7(3) ack 1
]])
		assert.equal("C . 1(3) ack 1 abc\nC . 4(3) ack 1 def\nC . 7(2) ack 1 gh\n", out)
	end)

	it("lets go what its receiver has by another way, and leaves the other direction alone", function()
		local out = edited(order, [[
	+.01 C .  4:7(3) ack 1
	+.01 S .  2:3(1) ack 1
	+.01 S .  1:1(0) ack 4
	+.01 C .  7:9(2) ack 1
]])
		assert.equal("S . 2(1) ack 1 b\nS . 1(0) ack 4\nC . 4(4) ack 1 Xdef\nC . 8(2) ack 1 gh\n", out)
	end)

	it("forgets what waits when the connection ends, and drops what is too much", function()
		local text = { "+.01 C . 4:7(3) ack 1" }
		for n = 1, 1100 do
			text[#text + 1] = ("+.0001 C . %d:%d(900) ack 1"):format(1000 * n, 1000 * n + 900)
		end
		local out = edited(order, table.concat(text, "\n") .. "\n+.1 C R. 1:1(0) ack 1")
		assert.equal("C R. 1(0) ack 1\n", out)
	end)
end)

describe("whatever comes", function()
	local flags = { ".", "P.", "F.", ".", "P.", "P.", ".", "FP.", "U.", "-", ".", "R", "R.", "S", "S." }
	local options = { "", "<TS val 9 ecr 1>", "<TS val 3 ecr 1>", "<sack 11:21 31:41>", "win 5", "win 0" }

	-- Connections that begin well, and go on with segments that make no sense.
	local function nonsense(seed)
		local function random(n) -- the same on every machine
			seed = (seed * 16807) % 2147483647
			return seed % n + 1
		end
		local lines = {}
		for c = 1, 10 do
			lines[#lines + 1] = ("conn c%d\n%s"):format(c, c % 3 == 0
				and ("client [2001:db8::1]:%d\nserver [2001:db8::2]:80"):format(c) or "client 10.0.0.1:" .. c)
			lines[#lines + 1] = (([[+.001 cN.C S 0:0(0) <sackOK,TS val 1 ecr 0>
				+.001 cN.S S. 0:0(0) ack 1 <sackOK,TS val 1 ecr 1>
				+.001 cN.C . 1:1(0) ack 1 <TS val 2 ecr 1>]]):gsub("N", c))
		end
		for _ = 1, 1000 do
			local from, len, flag = random(400), random(4) == 1 and 0 or random(60), flags[random(11)]
			flag = random(40) == 1 and flags[11 + random(4)] or flag
			lines[#lines + 1] = ("+.00%d c%d.%s %s %d:%d(%d) %s %s"):format(random(9), random(10), random(2) == 1 and "C" or "S",
				flag, from, from + len, len, flag:find "%." and "ack " .. random(420) or "", options[random(#options)])
		end
		return table.concat(lines, "\n")
	end

	it("leaves with right checksums, and nothing breaks", function()
		local script = kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
mon:on("conn_start", "snd", function(conn)
	if conn.client.port % 2 == 0 then assert(conn:in_order "cli" and conn:in_order "svr") end
end)
local n = 0
mon:on("pkt_in", "rcv", function(conn, _, pkt)
	n = n + 1
	local len = pkt.payload_len
	if n % 3 == 0 then pkt:insert(len > 0 and n % (len + 1) or 0, ("x"):rep(n % 50)) end
	if n % 5 == 0 and len > 2 then pkt:chomp(1, len - 1) end
	if n % 11 == 0 then conn:inject { side = "cli", payload = "inj" } conn:inject_again "cli" conn:inject_again "svr" end
	if n % 97 == 0 then conn:reset() end
	if n % 7 == 0 then pkt:drop() end
end)
mon:on("conn_new_data", function(conn, side)
	conn:peek(side)
	if n % 13 == 0 then conn:inject { side = side, payload = "yy" } end
end)]]
		for seed = 1, 4 do
			local path = kit.tmp ".pcap"
			local code, _, err = kit.run { script, "-r", kit.pcap(nonsense(seed)), "-w", path }
			assert.same({ 0, "" }, { code, err })
			_, _, err = kit.run { "--verify-checksums", "--stats", "-r", path, kit.script [[require "mos".monitor {}]] }
			assert.matches("\n  bad_checksum +0 ", err)
			assert.matches("\nDecoded as\n  tcp +%d+  TCP\nConnections", err)
		end
	end)
end)

describe("conn:inject", function()
	it("sends a segment as if a side had", function()
		assert.equal([[
C P. 1(4) ack 1 abcd
S . 1(0) ack 5
S . 1(0) ack 5
]], (edited([[
mon:on("pkt_in", "snd", function(conn, side, pkt)
	if pkt.seq == 5001 then print(conn:inject { side = "svr" }) end
end)]], http:match "(.-\n.-\n)")))
	end)

	it("puts payload into the stream, which is sent again until it is acknowledged", function()
		assert.equal([[
C P. 1(4) ack 1 abcd
S P. 1(5) ack 1 HELLO
S . 6(0) ack 5
S P. 1(8) ack 5 HELLOabc
C . 5(0) ack 1 win 65532
S P. 1(8) ack 5 HELLOabc
C . 5(0) ack 1
S P. 6(3) ack 5 abc
C . 5(0) ack 4
S F. 9(0) ack 5
C F. 5(0) ack 5
]], (edited([[
client("rcv", function(pkt, conn) assert(conn:inject { side = "svr", payload = "HELLO" }) end)]], [[
	+.01 C P. 1:5(4) ack 1
	+.01 S .  1:1(0) ack 5
	+.01 S P. 1:4(3) ack 5
	+.01 C .  5:5(0) ack 3
	+.01 S P. 1:4(3) ack 5
	+.01 C .  5:5(0) ack 6
	+.01 S P. 1:4(3) ack 5
	+.01 C .  5:5(0) ack 9
	+.01 S F. 4:4(0) ack 5
	+.01 C F. 5:5(0) ack 10
]])))
	end)

	it("is said again until it is acknowledged, and goes with a FIN that follows", function()
		local source = [[
client("rcv", function(_, conn)
	assert(conn:inject { side = "svr", payload = "HEL" })
	assert(conn:inject { side = "svr", payload = "LO" })
	mos.timer(0.1, function() print(conn:inject_again "svr", conn:inject_again "cli") end)
end)]]
		local out, printed = edited(source, [[
	+.01 C P. 1:5(4) ack 1
	+.01 S .  1:1(0) ack 5
	+.2  S F. 1:1(0) ack 5
	+.01 C .  5:5(0) ack 1
	+.2  S F. 1:1(0) ack 5
	+.01 C .  5:5(0) ack 7
]])
		assert.equal([[
C P. 1(4) ack 1 abcd
S P. 1(3) ack 1 HEL
S P. 4(2) ack 1 LO
S . 6(0) ack 5
S P. 1(3) ack 5 HEL
S P. 4(2) ack 5 LO
S F. 1(5) ack 5 HELLO
C . 5(0) ack 1 win 65530
S F. 1(5) ack 5 HELLO
C . 5(0) ack 2
]], out)
		assert.equal("5\t0\n", printed)
		out, printed = edited(source, [[
	+.01 C P. 1:5(4) ack 1
	+.01 C .  5:5(0) ack 6
	+.2  S .  1:1(0) ack 5
]])
		assert.equal("0\t0\n", printed)
		assert.equal("S . 6(0) ack 5\n", out:match "[^\n]+\n$")
	end)

	it("leaves the packet in dispatch to be edited, too", function()
		assert.equal([[
C P. 1(6) ack 1 abXXcd
S P. 1(5) ack 1 HELLO
S . 6(0) ack 5
]], (edited([[client("snd", function(pkt, conn)
	assert(conn:inject { side = "svr", payload = "HELLO" })
	assert(pkt:insert(2, "XX"))
end)]], [[
	+.01 C P. 1:5(4) ack 1
	+.01 S .  1:1(0) ack 7
]])))
	end)

	it("cuts payload into segments, with timestamps where the connection has them", function()
		local path = kit.tmp ".pcap"
		local script = kit.script(head .. [[
client("snd", function(pkt, conn) assert(conn:inject { side = "svr", payload = ("x"):rep(250) }) end)]])
		local code, _, err = kit.run { script, "-r", kit.pcap [[
	client [2001:db8::1]:40000
	server [2001:db8::2]:80
	vlan 7
	0     C S  0:0(0) <mss 112,TS val 7 ecr 0>
	+.01  S S. 0:0(0) ack 1 <mss 1460,TS val 9 ecr 7>
	+.01  C .  1:1(0) ack 1 <nop,nop,TS val 8 ecr 9>
	+.01  C P. 1:5(4) ack 1 <nop,nop,TS val 8 ecr 9>
]], "-w", path }
		assert.equal(0, code, err)
		assert.equal("", err)
		local _, out = kit.run { "--verify-checksums", "-r", path, show, "--", 1000 }
		assert.equal("C P. 1(4) ack 1 abcd\nS . 1(100) ack 1\nS . 101(100) ack 1\nS P. 201(50) ack 1 "
			.. ("x"):rep(50) .. "\n", out:match "C P.*")
	end)

	it("refuses what cannot be", function()
		local _, printed = edited([[
local function try(f, ...) print((select(2, pcall(f, ...)):gsub("^.-%d+%.lua:%d+: ", ""))) end
client("snd", function(pkt, conn)
	print(conn:inject { side = "cli", payload = "x" })
	try(function() conn:inject { side = "svr", flags = "S" } end)
	try(function() conn:inject { side = "svr", flags = "R", payload = "x" } end)
	try(function() conn:inject { side = "both" } end)
	try(function() conn:inject { flag = "R" } end)
	try(function() conn:in_order "both" end)
	try(function() conn:inject_again() end)
end)
mon:on("pkt_in", "rcv", function(conn, side, pkt)
	if pkt.fin then print(conn:inject { side = side, payload = "x" }) end
end)
]], "+.01 C P. 1:5(4) ack 1\n+.01 S F. 1:1(0) ack 5\n+.01 C F. 5:5(0) ack 2\n")
		assert.matches("a packet of that side is in dispatch", printed)
		assert.matches("conn:inject: flags are of 'R', 'P', 'U' and '.' %(ACK%), not 'S'", printed)
		assert.matches("a segment with the flag R has no payload", printed)
		assert.matches('side', printed)
		assert.matches("unknown option of conn:inject 'flag'", printed)
		assert.matches("unknown side 'both'; there is cli, svr\n.*unknown side 'nil'", printed)
	end)
end)

describe("an edit beyond the limit of those that are not acknowledged", function()
	it("is refused and counted, and the packet passes as it is", function()
		local lines = { shake }
		for i = 1, 4099 do
			lines[#lines + 1] = ("+.0001 C . %d:%d(1) ack 1"):format(i, i + 1)
		end
		local code, out, err = kit.run { "--stats", kit.script(head .. [[
			local refused = {}
			client("snd", function(pkt)
				local ok, why = pkt:insert(0, "+")
				if not ok then refused[#refused + 1] = why end
			end)
			mos.at_exit(function() print(#refused, refused[1]) end)
		]]), "-r", kit.pcap(table.concat(lines, "\n")) }
		assert.equal(0, code, err)
		assert.matches("^3\t", out)
		assert.matches("\n  edits +4096 ", err)
		assert.matches("\n  edit_limit +3 ", err)
	end)
end)
