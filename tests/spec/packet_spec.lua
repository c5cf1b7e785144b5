-- Packets as scripts see and change them.
local kit = require "kit"

local head = [[local mos = require "mos"
]]

-- Standard output of a script; args are further words for mos-run.
local function output(source, segments, ...)
	local code, out, err = kit.run { kit.script(head .. source), "-r", kit.pcap(segments), ... }
	assert.equal(0, code, err)
	assert.equal("", err)
	return out
end

-- What `body` prints for each packet, with conn, side, pkt.
local function each(segments, body, ...)
	return output(("mos.monitor {}:on('pkt_in', 'snd', function(conn, side, pkt)\n%s\nend)"):format(body), segments, ...)
end

local syn = "1700000000.123456789 C SEW 0:0(0) win 777 ttl 44 id 99 <mss 1460>"

local start = [[
	0     C S  0:0(0)
	+1    S S. 0:0(0) ack 1
]]

describe("a packet", function()
	it("has its place and sizes", function()
		assert.equal("1 1700000000.123456 1700000000123456000ULL 58 58 0\n", (each(syn, [[
print(pkt.number, ("%.6f"):format(pkt.ts), pkt.ts_ns, pkt.len, pkt.caplen, pkt.port)]]):gsub("\t", " ")))
	end)

	it("has the fields of its headers", function()
		assert.equal("10.0.0.1 40000 10.0.0.2 80 4 6 44 44 99 1000 0 777 0 194\n", (each(syn, [[
print(pkt.src_addr, pkt.src_port, pkt.dst_addr, pkt.dst_port, pkt.ip_version, pkt.ip_proto, pkt.ip_len, pkt.ttl,
	pkt.ip_id, pkt.seq, pkt.ack, pkt.window, pkt.urgent, pkt.flags)]]):gsub("\t", " ")))
		assert.equal("2001:db8::1 5000 2001:db8::2 443 6 6 60 64 nil\n", (each([[
			client [2001:db8::1]:5000
			server [2001:db8::2]:443
			0 C S 0:0(0)
		]], [[
print(pkt.src_addr, pkt.src_port, pkt.dst_addr, pkt.dst_port, pkt.ip_version, pkt.ip_proto, pkt.ip_len, pkt.ttl,
	pkt.ip_id)]]):gsub("\t", " ")))
	end)

	it("has a truth for each flag", function()
		local show = [[
local set = {}
for _, name in ipairs { "fin", "syn", "rst", "psh", "is_ack", "urg", "ece", "cwr" } do
	assert(pkt[name] == true or pkt[name] == false)
	if pkt[name] then set[#set + 1] = name end
end
print(table.concat(set, " "))]]
		assert.equal("syn ece cwr\n", each(syn, show))
		assert.equal("syn\nsyn is_ack\nfin psh is_ack urg\n", each(start .. "+1 C FP.U 1:2(1) ack 1", show))
	end)

	it("gives its payload as a pointer, or as a string", function()
		assert.equal("0 0\n0 0\n5 5 97 101 abcde ab\n", (each(start .. "+1 C . 1:6(5) ack 1", [[
if pkt.payload_len == 0 then
	print(pkt.payload_caplen, #pkt:payload_string())
else
	print(pkt.payload_len, pkt.payload_caplen, pkt.payload[0], pkt.payload[4], pkt:payload_string(), pkt:payload_string(2))
end]]):gsub("\t", " ")))
	end)

	it("tells what the capture cut off", function()
		assert.equal("5 3 abc 59 57\n", (each(start .. "+1 C . 1:6(5) ack 1 snap 57", [[
if pkt.payload_len > 0 then
	print(pkt.payload_len, pkt.payload_caplen, pkt:payload_string(), pkt.len, #pkt:frame_string())
end]]):gsub("\t", " ")))
	end)

	it("that is not TCP has no TCP fields, one that is not IP no IP fields", function()
		local frames = [[
			0 raw 020000000002 020000000001 0800 4500001c0000000040110000 0a000001 0a000002 0035003500080000
			0 raw ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002
		]]
		assert.equal("orphan 4 17 64 10.0.0.1 nil nil nil nil nil nil\norphan nil nil nil nil nil nil nil nil nil nil\n",
			(output([[
mos.monitor {}:on("orphan", function(conn, side, pkt, ev)
	print(ev, pkt.ip_version, pkt.ip_proto, pkt.ttl, pkt.src_addr, pkt.src_port, pkt.seq, pkt.flags, pkt.payload,
		pkt.payload_len, pkt:payload_string())
	assert(not pkt.syn and not pkt.fin)
end)]], frames):gsub("\t", " ")))
	end)

	it("refuses what it does not have, and what cannot be assigned", function()
		assert.equal([[
unknown field of a packet 'sequ'; did you mean 'seq'?
pkt.seq cannot be assigned; use pkt:set { seq = ... }
]], each("0 C S 0:0(0)", [[
local function try(f) print((select(2, pcall(f)):gsub("^.-%d+%.lua:%d+: ", ""))) end
try(function() local x = pkt.sequ return x end)
try(function() pkt.seq = 5 end)]]))
	end)
end)

-- The packets that a script lets out, as `show` prints each of them.
local function written(body, segments, show)
	local path = kit.tmp ".pcap"
	each(segments, body, "-w", path)
	local code, out, err = kit.run { "--verify-checksums", "-r", path, kit.script(head .. ([[
mos.monitor { raw = true }:on("pkt_in", function(conn, side, pkt) %s end)
mos.monitor {}:on("error", function(conn) print(conn.error_reason) end)]]):format(show)) }
	assert.equal(0, code, err)
	assert.equal("", err)
	return (out:gsub("\t", " "))
end

describe("a handler", function()
	it("drops a packet, which still counts for its connection", function()
		assert.equal("false\n", written("if pkt.number == 2 then pkt:drop() assert(pkt.dropped) end", start,
			"print(pkt.is_ack)"))
		assert.equal("established\n", output([[
mos.monitor {}:on("pkt_in", "snd", function(conn, side, pkt) pkt:drop() end)
mos.monitor {}:on("conn_end", "snd", function(conn, side) if side == "cli" then print(conn:state "cli") end end)]],
			start))
	end)

	it("changes header fields, and the checksums follow", function()
		assert.equal("10.9.8.7 1234 10.0.0.3 8080 5 4294967295 24 9 100 3\n", written([[
assert(pkt:set { src_addr = "10.9.8.7", src_port = 1234, dst_addr = "10.0.0.3", dst_port = 8080, seq = 5,
	ack = 4294967295, flags = 0x18, ttl = 9, window = 100, urgent = 3 })]], "0 C S 0:0(0)", [[
print(pkt.src_addr, pkt.src_port, pkt.dst_addr, pkt.dst_port, pkt.seq, pkt.ack, pkt.flags, pkt.ttl, pkt.window,
	pkt.urgent)]]))
		assert.equal("2001:db8::9 7\n", written([[assert(pkt:set { src_addr = "2001:db8::9", ttl = 7 })]], [[
			client [2001:db8::1]:5000
			server [2001:db8::2]:443
			0 C S 0:0(0)
		]], "print(pkt.src_addr, pkt.ttl)"))
	end)

	it("sees its own changes at once", function()
		assert.equal("9 5 10.0.0.9\n", (each("0 C S 0:0(0)", [[
pkt:set { ttl = 9, seq = 5, src_addr = "10.0.0.9" }
print(pkt.ttl, pkt.seq, pkt.src_addr)]]):gsub("\t", " ")))
	end)

	it("overwrites the first bytes of the payload, and no more than there are", function()
		assert.equal("\n\nXYcde\n", written([[
if pkt.payload_len > 0 then assert(pkt:set { payload = "XY" }) end]], start .. "+1 C . 1:6(5) ack 1",
			"print(pkt:payload_string())"))
		assert.equal("nil\tpayload: the packet, as captured, does not have these bytes\n", each("0 C S 0:0(0)",
			[[print(pkt:set { payload = "X" })]]))
	end)

	it("can be changed where it is UDP, over IPv4 and IPv6", function()
		for _, ends in ipairs { "", "client [2001:db8::1]:40000\nserver [2001:db8::2]:80\n" } do
			local path = kit.tmp ".pcap"
			local to = ends == "" and "10.0.0.9" or "2001:db8::9"
			local code, _, err = kit.run { kit.script(head .. ([[
mos.monitor {}:on("orphan", function(_, _, pkt)
	assert(pkt:set { dst_addr = "%s", src_port = 1, dst_port = 2, payload = "HE", ttl = 9 })
	print(pkt:set { seq = 1 })
end)]]):format(to)), "-r", kit.pcap(ends .. '0 C udp "hello"'), "-w", path }
			assert.same({ 0, "" }, { code, err })
			local _, out = kit.run { kit.script(head .. [[
local ffi = require "ffi"
mos.monitor {}:on("orphan", function(_, _, pkt)
	local bytes, n, from, to = pkt:udp()
	print(pkt.dst_addr, pkt.ttl, ffi.string(bytes, n), from, to)
end)]]), "-r", path }
			assert.equal(to .. "\t9\tHEllo\t1\t2\n", out)
			local expected = kit.pcap(ends:gsub("40000", "1"):gsub(":80\n", ":2\n"):gsub("::2", "::9")
				.. (ends == "" and "client 10.0.0.1:1\nserver 10.0.0.9:2\n" or "") .. '0 C udp "HEllo" ttl 9')
			-- The same frame, checksums too, as one that was made so; but for the time.
			assert.equal(kit.read(expected):sub(-40), kit.read(path):sub(-40))
		end
	end)

	it("changes nothing of a header that is not there", function()
		assert.equal("nil\tdst_addr: the packet, as captured, does not have these bytes\n", output([[
mos.monitor {}:on("orphan", function(conn, side, pkt) print(pkt:set { dst_addr = "10.0.0.1" }) end)
]], "0 raw ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002"))
	end)

	it("gets the packet's own checksums right in any link and address family", function()
		for _, link in ipairs { "ethernet", "raw", "sll" } do
			for _, client in ipairs { "10.0.0.1:5", "[2001:db8::1]:5" } do
				local server = client:gsub("1:5", "2:6"):gsub("1%]:5", "2]:6")
				local text = ("link %s\nclient %s\nserver %s\n%s+1 C . 1:8(7) ack 1"):format(link, client, server, start)
				local out = written([[
pkt:set { window = 3 }
if pkt.payload_len > 0 then pkt:set { payload = "hello" } end]], text, "print(pkt.window, pkt:payload_string())")
				assert.equal("3 \n3 \n3 hellofg\n", out)
			end
		end
	end)

	it("is told of fields and values that do not fit", function()
		assert.equal([[
unknown field of pkt:set 'sec'; did you mean 'seq'?
pkt:set: the argument must be a table, not a number
pkt:set: ttl must be a number from 0 to 255
pkt:set: seq must be a number from 0 to 4294967295
pkt:set: src_addr is no IPv4 address: 'host'
pkt:set: payload must be a string, not a number
]], each("0 C S 0:0(0)", [[
local function try(f) print((select(2, pcall(f)):gsub("^.-%d+%.lua:%d+: ", ""))) end
try(function() pkt:set { sec = 5 } end)
try(function() pkt:set(5) end)
try(function() pkt:set { ttl = 256 } end)
try(function() pkt:set { seq = -1 } end)
try(function() pkt:set { src_addr = "host" } end)
try(function() pkt:set { payload = 5 } end)]]))
	end)
end)
