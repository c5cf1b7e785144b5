-- Programs with a main() of their own (tests/conformance/programs), run on captures as a user of libmos runs them.
local kit = require "kit"

local conf = [[
mos {
	forward = 1
	netdev {
		dpdk0 0x1
	}
	tcp_timeout = 30
}
]]

-- Run a program; what it printed and the path of its output capture. opts: cores, args, override, conf.
local function run(name, capture, opts)
	opts = opts or {}
	local out = kit.tmp ".pcap"
	local args = { kit.build .. "/tests/programs/" .. name, "-f", kit.write(kit.tmp ".conf", opts.conf or conf),
		"-c", opts.cores or 1 }
	for _, word in ipairs(opts.args or {}) do
		args[#args + 1] = word
	end
	local code, printed, err = kit.command(args, { env = {
		MOS_CONF_OVERRIDE = ("pcap_in=%s,pcap_out=%s%s"):format(capture, out, opts.override or ""),
		TSAN_OPTIONS = "exitcode=99",
	} })
	assert.equal(0, code, err)
	assert.equal("", err)
	return printed, out
end

local show = kit.script [[
local mos = require "mos"
mos.monitor { raw = true }:on("pkt_in", function(_, _, pkt)
	local flags = (pkt.syn and "S" or "") .. (pkt.fin and "F" or "") .. (pkt.rst and "R" or "")
		.. (pkt.psh and "P" or "") .. (pkt.is_ack and "." or "")
	print(("%s:%d %s:%d %s %d:%d(%d)%s"):format(pkt.src_addr, pkt.src_port, pkt.dst_addr, pkt.dst_port, flags, pkt.seq,
		pkt.seq + pkt.payload_len, pkt.payload_len, pkt.payload_len > 0 and " " .. pkt:payload_string() or ""))
end)
]]

-- A capture's packets, as text; each with its checksums checked.
local function packets(path)
	local code, out, err = kit.run { "--verify-checksums", "--stats", "-q", "-r", path, show }
	assert.equal(0, code, err)
	assert.matches("bad_checksum +0 ", err)
	return out
end

local function sorted(text)
	local lines = {}
	for line in text:gmatch "[^\n]+" do
		lines[#lines + 1] = line
	end
	table.sort(lines)
	return table.concat(lines, "\n")
end

local function connection(name, client, server, at, data)
	return ([[
		conn %s
		client %s
		server %s
		%s    %s.C S  0:0(0)
		+.001 %s.S S. 0:0(0) ack 1
		+.001 %s.C .  1:1(0) ack 1
		+.001 %s.C P. 1:%d(%d) ack 1 "%s"
		+.001 %s.S .  1:1(0) ack %d
	]]):format(name, client, server, at, name, name, name, name, #data + 1, #data, data, name, #data + 1)
end

local function close(name, from, at)
	return ([[
		%s    %s.C F. %d:%d(0) ack 1
		+.001 %s.S F. 1:1(0) ack %d
		+.001 %s.C .  %d:%d(0) ack 2
	]]):format(at, name, from, from, name, from + 1, name, from + 1, from + 1)
end

local two = connection("a", "10.0.0.1:1000", "10.9.0.1:80", "0", "GET /")
	.. connection("b", "10.0.0.2:2000", "10.9.0.2:80", "0.5", "POST /x")
	.. close("a", 6, "1.5") .. connection("c", "10.0.0.3:3000", "10.9.0.1:80", "2.5", "HEAD /")

describe("the table of connections", function()
	it("is printed every second of the capture", function()
		local printed, out = run("conn_table", kit.pcap(two))
		assert.equal([[
core 0, second 1: 2 seen, 0 ended
  10.0.0.1:1000 ESTABLISHED  10.9.0.1:80 ESTABLISHED
  10.0.0.2:2000 ESTABLISHED  10.9.0.2:80 ESTABLISHED
core 0, second 2: 2 seen, 1 ended
  10.0.0.2:2000 ESTABLISHED  10.9.0.2:80 ESTABLISHED
total: 3 seen, 3 ended
]], printed)
		assert.equal(packets(kit.pcap(two)), packets(out))
	end)

	it("keeps a closed connection as long as tcp_tw_interval says", function()
		local printed = run("conn_table", kit.pcap(two), { override = ",tcp_tw_interval=60" })
		assert.matches("second 2: 2 seen, 0 ended\n  10.0.0.1:1000 TIME_WAIT  10.9.0.1:80 CLOSED\n", printed)
	end)

	it("counts the same on two cores", function()
		local printed, out = run("conn_table", kit.pcap(two), { cores = 2 })
		assert.matches("total: 3 seen, 3 ended\n$", printed)
		assert.equal(sorted(packets(kit.pcap(two))), sorted(packets(out)))
	end)
end)

describe("the firewall", function()
	local rules = kit.write(kit.tmp ".rules", "# who may what\nallow 10.0.0.2 any\ndeny any 10.9.0.0/16:80\n")

	it("drops every packet of what it denies, and lets all others pass unchanged", function()
		for cores = 1, 2 do
			local printed, out = run("firewall", kit.pcap(two), { args = { "-r", rules }, cores = cores })
			assert.equal("1 allowed, 2 denied, 13 packets dropped\n", printed)
			assert.equal(sorted(packets(kit.pcap(connection("b", "10.0.0.2:2000", "10.9.0.2:80", "0.5", "POST /x")))),
				sorted(packets(out)))
		end
	end)
end)

describe("the NAT", function()
	local inside = [[
		conn a
		client 10.0.0.1:1000
		server 10.9.0.1:80
		0   a.C S  0:0(0)
		+.1 a.C .  1:1(0) ack 1
		+.1 a.C P. 1:6(5) ack 1 "GET /"
		conn b
		client 10.0.0.2:2000
		server 10.9.0.1:80
		+.1 b.C S  0:0(0)
	]]
	local replies = [[
		conn ra
		client 192.0.2.1:20000
		server 10.9.0.1:80
		+.1 ra.S S. 0:0(0) ack 1
		+.1 ra.S P. 1:4(3) ack 6 "200"
		conn rb
		client 192.0.2.1:20001
		server 10.9.0.1:80
		+.1 rb.S R. 0:0(0) ack 1
		conn rc
		client 192.0.2.1:20999
		server 10.9.0.1:80
		+.1 rc.S R. 0:0(0) ack 1
	]]

	it("gives each connection a port, and translates both directions", function()
		local printed, out = run("nat", kit.pcap(inside .. replies), { args = { "-a", "192.0.2.1" } })
		assert.equal([[
192.0.2.1:20000 10.9.0.1:80 S 1000:1000(0)
192.0.2.1:20000 10.9.0.1:80 . 1001:1001(0)
192.0.2.1:20000 10.9.0.1:80 P. 1001:1006(5) GET /
192.0.2.1:20001 10.9.0.1:80 S 1000:1000(0)
10.9.0.1:80 10.0.0.1:1000 S. 5000:5000(0)
10.9.0.1:80 10.0.0.1:1000 P. 5001:5004(3) 200
10.9.0.1:80 10.0.0.2:2000 R. 5000:5000(0)
]], packets(out))
		assert.equal("2 ports given, 2 returned, 0 refused\n", printed)
	end)

	it("gives a port again when its connection has ended", function()
		local printed, out = run("nat", kit.pcap(connection("a", "10.0.0.1:1000", "10.9.0.1:80", "0", "x")
			.. connection("b", "10.0.0.2:2000", "10.9.0.1:80", "100", "x")), { args = { "-a", "192.0.2.1" } })
		assert.equal("2 ports given, 2 returned, 0 refused\n", printed)
		assert.matches("192.0.2.1:20000", packets(out))
		assert.not_matches("192.0.2.1:20001", packets(out))
	end)

	it("works on two cores", function()
		local printed, out = run("nat", kit.pcap(inside), { args = { "-a", "192.0.2.1" }, cores = 2 })
		assert.equal("2 ports given, 2 returned, 0 refused\n", printed)
		local text = packets(out):gsub("192.0.2.1:20%d%d%d", "192.0.2.1:PORT")
		assert.equal(sorted [[
192.0.2.1:PORT 10.9.0.1:80 S 1000:1000(0)
192.0.2.1:PORT 10.9.0.1:80 . 1001:1001(0)
192.0.2.1:PORT 10.9.0.1:80 P. 1001:1006(5) GET /
192.0.2.1:PORT 10.9.0.1:80 S 1000:1000(0)
]], sorted(text))
	end)
end)

describe("the counter", function()
	it("counts what it raises", function()
		for cores = 1, 2 do
			local printed, out = run("counter", kit.pcap(two), { cores = cores })
			assert.equal("3 requests: 1 GET, 1 POST, 1 other\n", printed)
			assert.equal(sorted(packets(kit.pcap(two))), sorted(packets(out)))
		end
	end)
end)
