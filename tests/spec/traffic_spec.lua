-- What real captures hold, each cause in a few segments, and what conn_log says of it: conn_state, history, bytes of
-- the originator and the responder, missed bytes; one line per connection.
local kit = require "kit"

local HANDSHAKE = [[
0     C S  0:0(0)
+.01  S S. 0:0(0) ack 1
+.01  C .  1:1(0) ack 1
]]

local CLOSE = [[
+.01  C F. 5:5(0) ack 1
+.01  S F. 1:1(0) ack 6
+.01  C .  6:6(0) ack 2
]]

local function seen(text, ...)
	local code, out, err = kit.run { "-q", kit.source .. "/scripts/conn_log.lua", "-r", kit.pcap(text), ... }
	assert.equal("", err)
	assert.equal(0, code)
	local lines = {}
	for line in out:gmatch "[^\n]+" do
		local function field(name)
			return line:match('"' .. name .. '":"?([^",}]*)')
		end
		lines[#lines + 1] = ("%s %s %s %s %s"):format(field "conn_state", field "history", field "orig_bytes",
			field "resp_bytes", field "missed_bytes")
	end
	return table.concat(lines, "\n")
end

local cases = {
	{ "a SYN-ACK that the capture lost", "OTH SADdFf 4 4 0", [[
		0    C S  0:0(0)
		+.01 C .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S P. 1:5(4) ack 5
		+.01 C F. 5:5(0) ack 5
		+.01 S F. 5:5(0) ack 6
		+.01 C .  6:6(0) ack 6
	]] },
	{ "a split handshake: the server answers with a SYN of its own", "S1 SsHhADd 4 4 0", [[
		0    C S  0:0(0)
		+.01 S S  0:0(0)
		+.01 C S. 0:0(0) ack 1
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S P. 1:5(4) ack 5
	]] },
	{ "a handshake in five steps: an ACK, then a SYN of the server's, which opens", "S0 Sa 0 0 0\nS1 ShAd 0 4 0", [[
		0    C S  0:0(0)
		+.01 S .  0:0(0) ack 1
		+.01 S S  0:0(0)
		+.01 C S. 0:0(0) ack 1
		+.01 S .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
	]] },
	{ "a simultaneous open", "S1 SsHhA 0 0 0", [[
		0    C S  0:0(0)
		+.01 S S  0:0(0)
		+.01 C S. 0:0(0) ack 1
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
	]] },
	{ "a second SYN-ACK with another sequence number, before the first was acknowledged", "S1 ShADd 4 4 0", [[
		0    C S  0:0(0)
		isn S 9000
		+.01 S S. 0:0(0) ack 1
		isn S 5000
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S P. 1:5(4) ack 5
	]] },
	{ "a second SYN-ACK with another sequence number, of which the first was acknowledged", "S1 ShADd 4 4 0", [[
		0    C S  0:0(0)
		isn S 5000
		+.01 S S. 0:0(0) ack 1
		isn S 16081090
		+.01 S S. 0:0(0) ack 1
		isn S 5000
		+.01 C .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S P. 1:5(4) ack 5
	]] },
	{ "no handshake, closed by both ends", "SF DadfF 4 4 0", [[
		0    C P. 1:5(4) ack 1
		+.01 S .  1:1(0) ack 5
		+.01 S P. 1:5(4) ack 5
		+.01 S F. 5:5(0) ack 5
		+.01 C F. 5:5(0) ack 6
	]] },
	{ "no handshake, reset by the responder", "RSTRH Dr 4 0 0", [[
		0    C P. 1:5(4) ack 1
		+.01 S R. 1:1(0) ack 5
	]] },
	{ "no handshake, closed by one end", "SH DF 4 0 0", [[
		0    C P. 1:5(4) ack 1
		+.01 C F. 5:5(0) ack 1
	]] },
	{ "bytes that the capture lost count as sent", "S1 ShADadg 4 20 10", HANDSHAKE .. [[
		+.01 C P. 1:5(4) ack 1
		+.01 S .  1:1(0) ack 5
		+.01 S P. 1:6(5) ack 5
		+.01 S P. 16:21(5) ack 5
		+.01 C .  5:5(0) ack 21
	]] },
	{ "the responder alone: nothing is missed of a side that was not heard", "OTH ^had 0 4 0", [[
		0    S S. 0:0(0) ack 1
		+.01 S .  1:1(0) ack 100
		+.01 S P. 1:5(4) ack 100
	]] },
	{ "a FIN that the capture lost, and was acknowledged", "S2 ShAaF 0 0 0", HANDSHAKE .. [[
		+.01 S .  1:1(0) ack 1
		+.01 C F. 1:1(0) ack 2
	]] },
	{ "a RST that answers a SYN, and then a SYN-ACK that the client takes", "REJ Sr 0 0 0\nS1 hADd 4 4 0", [[
		0    C S  0:0(0)
		isn S 0
		+.01 S R. 0:0(0) ack 1
		isn S 5000
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S P. 1:5(4) ack 5
	]] },
	{ "a SYN-ACK that crosses the client's RST opens nothing", "RSTO SRh 0 0 0", [[
		0    C S  0:0(0)
		+.01 C R  1:1(0)
		+.01 S S. 0:0(0) ack 1
	]] },
	{ "midstream, and the first segment has overtaken others", "OTH Ad 0 9 0", [[
		0    C .  1:1(0) ack 1
		+.01 S .  5:10(5) ack 1
		+.01 S .  1:5(4) ack 1
		+.01 C .  1:1(0) ack 10
	]] },
	{ "midstream, and most of it was left out of the capture", "OTH ^dDg 8 2000008 1999995", [[
		0    S P. 1:5(4) ack 1
		+.01 C P. 1:5(4) ack 5
		+.01 S P. 2000000:2000004(4) ack 5
		+.01 C P. 5:9(4) ack 2000004
		+.01 S P. 2000004:2000009(5) ack 9
	]] },
	{ "stretches that the capture lost, one after another", "SF ShAdfFag 0 9000009 9000000", HANDSHAKE .. [[
		+.01 S P. 1:4(3) ack 1
		+.01 C .  1:1(0) ack 3000001
		+.01 S P. 3000001:3000004(3) ack 1
		+.01 S P. 6000001:6000004(3) ack 1
		+.01 S F. 9000010:9000010(0) ack 1
		+.01 C F. 1:1(0) ack 9000011
		+.01 S .  9000011:9000011(0) ack 2
	]] },
	{ "fast open, accepted", "S1 SDhdA 4 4 0", [[
		0    C S  0:4(4)
		+.01 S S. 0:0(0) ack 5
		+.01 S P. 1:5(4) ack 5
		+.01 C .  5:5(0) ack 5
	]] },
	{ "fast open, not accepted: the data comes again", "S1 SDhATa 4 0 0", [[
		0    C S  0:4(4)
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S .  1:1(0) ack 5
	]] },
	{ "data in the SYN-ACK", "S1 ShdA 0 4 0", [[
		0    C S  0:0(0)
		+.01 S S. 0:4(4) ack 1
		+.01 C .  1:1(0) ack 5
	]] },
	{ "data in a RST is no part of the stream", "RSTR ShADr 4 0 0", HANDSHAKE .. [[
		+.01 C P. 1:5(4) ack 1
		+.01 S R. 1:8(7) ack 5
	]] },
	{ "half-close: the other side goes on", "S2 ShAFad 0 8 0", HANDSHAKE .. [[
		+.01 C F. 1:1(0) ack 1
		+.01 S .  1:1(0) ack 2
		+.01 S P. 1:5(4) ack 2
		+.01 S P. 5:9(4) ack 2
	]] },
	{ "a FIN before the data that it follows", "SF ShAFDfa 4 0 0", HANDSHAKE .. [[
		+.01 C F. 5:5(0) ack 1
		+.01 C P. 1:5(4) ack 1
		+.01 S F. 1:1(0) ack 6
		+.01 C .  6:6(0) ack 2
		+.01 S .  2:2(0) ack 6
	]] },
	{ "data behind a FIN counts for nothing", "S2 ShAFD 0 0 0", HANDSHAKE .. [[
		+.01 C F. 1:1(0) ack 1
		+.01 C P. 2:6(4) ack 1
	]] },
	{ "the 4-tuple again, after a close, with another sequence number", "SF ShADFf 4 0 0\nS1 ShA 0 0 0",
		HANDSHAKE .. "+.01 C P. 1:5(4) ack 1\n" .. CLOSE .. [[
		isn C 700000
		isn S 800000
		+.5  C S  0:0(0)
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
	]] },
	{ "the 4-tuple again, while the connection is open: its server answers", "S1 ShA 0 0 0\nS1 hA 0 0 0", HANDSHAKE .. [[
		isn C 700000
		isn S 800000
		+9   C S  0:0(0)
		+.01 S S. 0:0(0) ack 1
		+.01 C .  1:1(0) ack 1
	]] },
	{ "a blind SYN on an open connection ends nothing", "S1 ShADd 4 4 0", HANDSHAKE .. [[
		isn C 700000
		+.01 C S  0:0(0)
		isn C 1000
		+.01 C P. 1:5(4) ack 1
		+.01 S P. 1:5(4) ack 5
	]] },
	{ "a blind RST ends nothing", "S1 ShADrd 4 4 0", HANDSHAKE .. [[
		+.01 C P. 1:5(4) ack 1
		+.01 S R  900000:900000(0)
		+.01 S P. 1:5(4) ack 5
	]] },
	{ "Ethernet padding is no payload", "S1 ShAa 0 0 0", HANDSHAKE .. [[
		+.01 S . 1:1(0) ack 1 pad 60
	]] },
	{ "one direction only: what was acknowledged is missing", "OTH ^ad 0 4 0", [[
		0    S .  1:1(0) ack 1
		+.01 S P. 1:5(4) ack 100
	]] },
	{ "an outage of 2.5 GB, which seems to move numbers back", "S1 ShADaG 2500000015 0 2500000003", HANDSHAKE .. [[
		+.01 C P. 1:5(4) ack 1
		+.01 S .  1:1(0) ack 5
		+9   C P. 2500000000:2500000004(4) ack 1
		+.01 S .  1:1(0) ack 2500000004
		+.01 C P. 2500000004:2500000008(4) ack 1
		+.01 C P. 2500000008:2500000012(4) ack 1
		+.01 C P. 2500000012:2500000016(4) ack 1
		+.01 S .  1:1(0) ack 2500000016
	]] },
}

describe("conn_log on", function()
	for _, case in ipairs(cases) do
		it(case[1], function()
			assert.equal(case[2], seen(case[3], "--midstream"))
		end)
	end

	it("a tunnel, whose outer headers can be read", function()
		local script = kit.script [[
			local mon = require "mos".monitor {}
			mon:on("conn_start", "snd", function(conn, _, pkt)
				print(conn.client.addr, conn.server.addr)
				for _, l in ipairs(pkt:layers()) do print(l.name, l.offset, l.src, l.dst) end
			end)
		]]
		local inner = "4500 0028 0001 0000 40 06 0000 0a000001 0a000002 9c40 0050 000003e8 00000000 5002 ffff 0000 0000"
		local code, out, err = kit.run { "-q", script, "-r", kit.pcap("0 raw 020000000002 020000000001 8100 0005 0800 "
			.. "4500 0040 0007 0000 40 2f 0000 c0000201 c0000202 0000 0800 " .. inner) }
		assert.equal("", err)
		assert.equal(0, code)
		assert.equal(table.concat({
			"10.0.0.1\t10.0.0.2", "ethernet\t0\tnil\tnil", "vlan\t14\tnil\tnil", "ipv4\t18\t192.0.2.1\t192.0.2.2",
			"gre\t38\tnil\tnil", "ipv4\t42\t10.0.0.1\t10.0.0.2", "tcp\t62\tnil\tnil", "",
		}, "\n"), out)
	end)

	it("packets that are compressed or encrypted, and counted as such", function()
		local code, _, err = kit.run { "--stats", "-q", kit.source .. "/scripts/conn_log.lua", "-r", kit.pcap(([[
			0 raw 020000000002 020000000001 0800 4500 0020 0007 0000 40 6c 0000 c0000201 c0000202 0600 0002 cb48 cdc9
			0 raw 020000000002 020000000001 0800 4500 0020 0008 0000 40 32 0000 c0000201 c0000202 00000001 00000001
			0 raw 020000000002 020000000001 86dd 60000000 0008 32 40 20010db8000000000000000000000001 \
			      20010db8000000000000000000000002 00000001 00000002
		]])) }
		assert.equal(0, code)
		assert.matches("\n  orphans_compressed +1 ", err)
		assert.matches("\n  orphans_encrypted +2 ", err)
	end)

	-- GTP-U, its UDP datagram in two IPv4 fragments, around a SYN.
	it("a tunnel in fragments", function()
		local inner = "4500 0028 0001 0000 40 06 0000 0a000001 0a000002 9c40 0050 000003e8 00000000 5002 ffff 0000 0000"
		local udp = "0868 0868 0038 0000 30ff 0028 00000001 " .. inner
		local bytes = udp:gsub("%s", "")
		local function fragment(from, to, more)
			local part = bytes:sub(from * 2 + 1, to * 2)
			return ("02000000000202000000000108004500%04x0007%04x40110000c0000201c0000202%s"):format(20 + #part / 2,
				more + from / 8, part)
		end
		assert.equal("S0 S 0 0 0", seen("0 raw " .. fragment(0, 32, 0x2000) .. "\n+.1 raw " .. fragment(32, #bytes / 2, 0)))
	end)
end)
