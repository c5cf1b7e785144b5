-- Libraries of events say the same however their bytes are cut into segments.
local t = require "mos.test"
local kit = require "kit"
local conversation = require "mos.test.conversation"
local show = require "mos.test.show"

-- A script that listens to every event of a library; setup is run before.
local function listener(name, setup)
	return ([[
local mos = require "mos"
local mon = mos.monitor()
local lib = require "mos.events.%s"
%s
for _, ev in pairs(lib) do
	if type(ev) == "table" and ev.id and ev.meaning then
		mon:on(ev, function() end)
	end
end
]]):format(name, setup or "")
end

local function capture(name)
	return t.capture(kit.pcap(kit.read(("%s/tests/pcaps/%s.seg"):format(kit.source, name))))
end

local function get(request, response)
	return t.tcp():send("client", request):send("server", response)
end

local mail = t.tcp { server = "10.0.0.2:25" }
	:send("server", "220-mx.example\r\n220 ready\r\n"):send("client", "EHLO client.example\r\n")
	:send("server", "250-mx.example\r\n250 PIPELINING\r\n")
	:send("client", "MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n")
	:send("server", "250 ok\r\n250 ok\r\n354 go\r\n"):send("client", "Subject: x\r\n\r\n..dot\r\nlast\r\n.\r\nQUIT\r\n")
	:send("server", "250 queued\r\n221 bye\r\n"):close "server"

-- A binary packet of SSH (RFC 4253 6) with a key exchange's offer (7.1).
local function offer(lists)
	local body = "\20" .. ("c"):rep(16)
	for _, list in ipairs(lists) do
		body = body .. "\0\0" .. string.char(math.floor(#list / 256), #list % 256) .. list
	end
	body = body .. "\0\0\0\0\0"
	local padding = 4 + (8 - (5 + #body + 4) % 8) % 8
	local length = 1 + #body + padding
	return "\0\0" .. string.char(math.floor(length / 256), length % 256, padding) .. body .. ("\0"):rep(padding)
end

local kex = { "curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes256-ctr", "hmac-sha2-256", "hmac-sha2-512", "none",
	"none", "", "" }

-- A DNS message over TCP, with its length in front (RFC 1035 4.2.2).
local function dns(flags, answer)
	local message = "\18\52" .. flags .. "\0\1" .. (answer and "\0\1" or "\0\0") .. "\0\0\0\0"
		.. "\7example\3org\0\0\1\0\1" .. (answer and "\192\12\0\1\0\1\0\0\0\60\0\4\192\0\2\1" or "")
	return "\0" .. string.char(#message) .. message
end

local cases = {
	{ "http", "pipelined requests", get("GET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 304 Not Modified\r\n\r\n") },
	{ "http", "chunks", get("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
		.. "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n") },
	{ "http", "a body until the end", get("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nto the end"):close "server" },
	{ "http", "an upgrade", get("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\129\1x") },
	{ "http", "what is no HTTP", get("GET / HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 xyz\r\n\r\n") },
	{ "http", "noise", get("\1\2\3\r\n\r\n", "\0\0\0") },
	{ "smtp", "a mail", mail },
	{ "smtp", "STARTTLS", t.tcp { server = "10.0.0.2:25" }:send("server", "220 x\r\n"):send("client", "STARTTLS\r\n")
		:send("server", "220 go\r\n"):send("client", "\22\3\1\0\5hello") },
	{ "ssh", "banners and offers", t.tcp { server = "10.0.0.2:22" }
		:send("server", "please wait\r\nSSH-2.0-OpenSSH_9.2 Debian\r\n"):send("client", "SSH-2.0-x\r\n" .. offer(kex))
		:send("server", offer(kex) .. "\0\0\0\12\10\21rest of it") },
	{ "ssh", "what is no SSH", t.tcp { server = "10.0.0.2:22" }:send("client", "SSH-2.0-x\r\n\255\255\255\255\1") },
	{ "dns", "over TCP", t.tcp { server = "10.0.0.2:53" }:send("client", dns "\1\0" .. dns "\1\0")
		:send("server", dns("\129\128", true) .. dns("\129\128", true)) },
	{ "dns", "datagrams", t.udp { server = "10.0.0.2:53" }:send("client", dns("\1\0"):sub(3))
		:send("server", dns("\129\128", true):sub(3)) },
	{ "dns", "what is no DNS", t.tcp { server = "10.0.0.2:53" }:send("client", "\0\3abc" .. dns "\1\0") },
}

-- Bytes without order, the same each time.
local function noise(n)
	local out, x = {}, 1
	for i = 1, n do
		x = x * 16807 % 2147483647
		out[i] = string.char(x % 256)
	end
	return table.concat(out)
end

-- With timestamps, a window that closes and opens, and a silence.
local timed = t.packets [[
	0    C S 0:0(0) <mss 1460,TS val 1 ecr 0>
	+.1  S S. 0:0(0) ack 1 <mss 1460,TS val 900 ecr 1>
	+.2  C . 1:1(0) ack 1 <nop,nop,TS val 2 ecr 900>
	+.01 C P. 1:31(30) ack 1 <nop,nop,TS val 3 ecr 900>
	+.1  S . 1:1(0) ack 31 win 0 <nop,nop,TS val 901 ecr 3>
	+3   S . 1:1(0) ack 31 win 5000 <nop,nop,TS val 904 ecr 3>
	+60  S P. 1:11(10) ack 31 <nop,nop,TS val 905 ecr 3>
	+.2  C . 31:31(0) ack 11 <nop,nop,TS val 9 ecr 905>
]]

for _, case in ipairs {
	{ "entropy", "text and noise", t.tcp():send("client", ("text "):rep(20)):send("server", noise(120)):close(),
		"lib.limits.least = 50" },
	{ "rtt", "timestamps", timed },
	{ "stall", "windows and silence", timed },
	{ "scan", "a capture", capture "scan" },
	{ "synflood", "a capture", capture "scan", "lib.limits.syns = 5" },
} do
	table.insert(cases, case)
end

-- Pieces of a body come as segments do; how far a message is, and the time, are those of the moment.
local options = { pieces = { http_body = "data" }, ignore = { "body_len", "complete", "ts" } }

for _, case in ipairs(cases) do
	describe("mos.events." .. case[1], function()
		it("does not depend on segments: " .. case[2], function()
			local script = listener(case[1], case[4])
			local own = 0
			for _, e in ipairs(t.run(script, case[3]).events) do
				own = own + (e.user and show.has_fields(e) and 1 or 0)
			end
			assert.is_true(own > 0 or case[2] == "noise", case[1] .. " says nothing")
			t.every_split(case[3], script, nil, options)
		end)
	end)
end

-- Whole packets again, with a few bytes of their headers and payloads changed: the same each time.
local function damaged(conv, seed)
	local x = seed
	local function random(n)
		x = x * 16807 % 2147483647
		return x % n
	end
	local list = {}
	for i, p in ipairs(conv.packets) do
		local data = p.data
		for _ = 1, random(4) do
			local at = 35 + random(#data - 35)
			data = data:sub(1, at - 1) .. string.char(random(256)) .. data:sub(at + 1)
		end
		list[i] = { sec = p.sec, nsec = p.nsec, data = data, len = p.len, link = p.link }
	end
	return conversation.new(list)
end

describe("a library", function()
	for _, case in ipairs(cases) do
		it(("has no errors with damaged packets: %s, %s"):format(case[1], case[2]), function()
			local script = listener(case[1], case[4])
			for seed = 1, 20 do
				t.run(script, damaged(case[3], seed), { burst = seed % 2 == 0 and 1 or 32 })
			end
		end)
	end
end)

describe("mos.events.tls", function()
	-- Up to TLS 1.2 the curve comes after the server's hello; which end is the last to have its keys depends on bursts.
	it("does not depend on segments: handshakes of a capture", function()
		t.every_split(capture "tls", listener "tls", nil, { step = 401, bursts = false, ignore = { "ts", "curve" } })
	end)
end)

describe("mos.events.rexmit", function()
	it("finds other bytes in a retransmission, however original and copy are cut", function()
		local conv = t.packets [[
			C S 0:0(0)
			S S. 0:0(0) ack 1
			C . 1:1(0) ack 1
			C P. 1:21(20) ack 1 "abcdefghijklmnopqrst"
			C P. 1:21(20) ack 1 "abcdefghiJKLmnopqrst"
			S . 1:1(0) ack 21
		]]
		t.every_split(conv, listener "rexmit", function(run)
			local first = run:named "rexmit_different"[1]
			assert.equal(9, first.offset)
			assert.equal("j", first.old:sub(1, 1))
			assert.equal("J", first.new:sub(1, 1))
		end)
	end)
end)

describe("a monitor", function()
	local function script(name)
		return ("%s/scripts/%s.lua"):format(kit.source, name)
	end
	-- How far a message is stands in its fields, not in what is printed; and bursts bring other times.
	local allowed = { bursts = false, ignore = { "body_len", "complete" } }

	it("http_log prints the same however bytes are cut into segments", function()
		t.every_split(cases[1][3]:close(), script "http_log", nil, allowed)
	end)

	it("dns_log prints the same however bytes are cut into segments", function()
		t.every_split(t.tcp { server = "10.0.0.2:53" }:send("client", dns "\1\0"):send("server", dns("\129\128", true)),
			script "dns_log", nil, allowed)
	end)

	-- In one burst the connection may be over before it is known what it asked for.
	it("dpi_block resets both ends however the name is cut", function()
		local conv = t.tcp():request("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"):response { body = "x" }
		t.every_split(conv, script "dpi_block", function(run)
			local resets = {}
			for _, p in ipairs(run:left()) do
				resets[p.side] = resets[p.side] or p.flags_text:find "R" ~= nil
			end
			assert.same({ C = true, S = true }, resets)
			assert.matches('"name":"www.example.com"', run.out, 1, true)
		end, { args = { "--names", "*.example.com" } })
	end)

	local filter = kit.build .. "/scripts/honeytoken.so"
	local built = io.open(filter)
	it("honeytoken finds tokens however they are cut", built and function()
		built:close()
		local conv = t.tcp():send("client", "key AKIADECOY1234567890A;"):send("server", "SVC-backup-legacy@corp.example")
		t.every_split(conv, script "honeytoken", function(run)
			assert.matches('"token":"aws%-decoy%-key".-"token":"decoy%-account"', run.out)
		end, { args = { "--object", filter } })
	end or nil)
end)
