-- mos.events.http: what it raises, however the bytes are cut into segments.
local kit = require "kit"
local talk = require "talk"

-- Events as lines; body events as one line per message.
local script = [[
local mos = require "mos"
local http = require "mos.events.http"
local mon = mos.monitor { }
local bodies = {}
mon:on(http.request, function(conn, side, pkt, ev, m)
	print("request", side, m.depth, m.method, m.uri, m.version, m.host)
end)
mon:on(http.response, function(conn, side, pkt, ev, m)
	print("response", side, m.depth, m.status, m.reason ~= "" and m.reason or "-", m.interim, m.request and m.request.uri)
end)
mon:on(http.body, function(conn, side, pkt, ev, b)
	local so_far = bodies[b.message.depth] or ""
	assert(b.offset >= #so_far)
	bodies[b.message.depth] = so_far .. b.data
end)
mon:on(http.done, function(conn, side, pkt, ev, m)
	local text = bodies[m.depth] or ""
	bodies[m.depth] = nil
	assert(#text == m.body_len)
	print("done", side, m.depth, m.complete, m.body_len, m.missed, "<" .. text .. ">")
end)
mon:on(http.upgrade, function(conn, side, pkt, ev, u)
	print("upgrade", side, u.protocol, u.request and u.request.uri)
end)
mon:on(http.malformed, function(conn, side, pkt, ev, f)
	print("malformed", side, f.reason, "<" .. f.text .. ">")
end)
mon:on(http.over, function() print "over" end)
]]

local function run(capture, more)
	local code, out, err = kit.run { "--midstream", kit.script(script .. (more or "")), "-r", capture }
	assert.same({ 0, "" }, { code, err })
	return out
end

-- Lines of each side in order; which side's come first depends on the bursts.
local function by_side(out)
	local sides = { cli = {}, svr = {} }
	for line in out:gmatch "[^\n]+" do
		local side = line:match "^%S+\t(%l+)"
		table.insert(sides[side] or sides.cli, line)
	end
	return table.concat(sides.svr, "\n") .. "\n" .. table.concat(sides.cli, "\n") .. "\n"
end

local get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

local cases = {
	{ "a request and its response", {
		{ "C", "GET /a?b=c HTTP/1.1\r\nHost:  example.org \r\nX: 1\r\nX: 2\r\n\r\n" },
		{ "S", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" },
	}, [[
request	svr	1	GET	/a?b=c	1.1	example.org
done	svr	1	true	0	0	<>
response	cli	1	200	OK	false	/a?b=c
done	cli	1	true	5	0	<hello>
over
]] },
	{ "pipelined requests, paired by number", {
		{ "C", get .. "HEAD /b HTTP/1.1\r\n\r\n" .. "POST /c HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc\r\n" .. get },
		{ "S", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
			.. "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.0 404\r\n\r\nuntil the end" },
	}, [[
request	svr	1	GET	/a	1.1	h
done	svr	1	true	0	0	<>
request	svr	2	HEAD	/b	1.1	nil
done	svr	2	true	0	0	<>
request	svr	3	POST	/c	1.0	nil
done	svr	3	true	3	0	<abc>
request	svr	4	GET	/a	1.1	h
done	svr	4	true	0	0	<>
response	cli	1	200	OK	false	/a
done	cli	1	true	2	0	<hi>
response	cli	2	200	OK	false	/b
done	cli	2	true	0	0	<>
response	cli	3	100	Continue	true	/c
response	cli	3	204	No Content	false	/c
done	cli	3	true	0	0	<>
response	cli	4	404	-	false	/a
done	cli	4	true	13	0	<until the end>
over
]] },
	{ "chunks, with extensions and trailers", {
		{ "C", get .. get },
		{ "S", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n00006;a=b\r\n world\r\n"
			.. "0\r\nX-Sum: 1\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" },
	}, [[
request	svr	1	GET	/a	1.1	h
done	svr	1	true	0	0	<>
request	svr	2	GET	/a	1.1	h
done	svr	2	true	0	0	<>
response	cli	1	200	OK	false	/a
done	cli	1	true	11	0	<hello world>
response	cli	2	200	OK	false	/a
done	cli	2	true	0	0	<>
over
]] },
	{ "upgrades, after which there is no HTTP", {
		{ "C", "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" },
		{ "S", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\1\2\3GET / HTTP/1.1\r\n\r\n" },
		{ "C", "GET / HTTP/1.1\r\n\r\n" },
	}, [[
request	svr	1	GET	/chat	1.1	nil
done	svr	1	true	0	0	<>
response	cli	1	101	Switching Protocols	false	/chat
upgrade	cli	websocket	/chat
over
]] },
	{ "tunnels", {
		{ "C", "CONNECT h:443 HTTP/1.1\r\n\r\n" }, { "S", "HTTP/1.1 200 Fine\r\n\r\n" }, { "C", "\22\3\1 whatever" },
	}, [[
request	svr	1	CONNECT	h:443	1.1	nil
done	svr	1	true	0	0	<>
response	cli	1	200	Fine	false	h:443
upgrade	cli	tunnel	h:443
over
]] },
	{ "an upgrade that is declined, and HTTP that goes on", {
		{ "C", "GET /1 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" .. get },
		{ "S", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
	}, [[
request	svr	1	GET	/1	1.1	nil
done	svr	1	true	0	0	<>
request	svr	2	GET	/a	1.1	h
done	svr	2	true	0	0	<>
response	cli	1	200	OK	false	/1
done	cli	1	true	0	0	<>
response	cli	2	200	OK	false	/a
done	cli	2	true	0	0	<>
over
]] },
	{ "a request after one that waits for its answer, which is not there", {
		{ "C", "GET /1 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" .. get },
	}, [[
request	svr	1	GET	/1	1.1	nil
done	svr	1	true	0	0	<>
request	svr	2	GET	/a	1.1	h
done	svr	2	true	0	0	<>
over
]] },
	{ "what is malformed", {
		{ "C", "GET / HTTP/1.1\r\nno colon\r\nHost: h\r\n folded\r\n\r\nGET nonsense\r\n\r\n" },
		{ "S", "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx" },
	}, [[
malformed	svr	header	<no colon>
request	svr	1	GET	/	1.1	h folded
done	svr	1	true	0	0	<>
malformed	svr	request line	<GET nonsense>
response	cli	1	200	OK	false	/
malformed	cli	content-length	<1, 2>
done	cli	1	true	1	0	<x>
over
]] },
	{ "bodies and headers that are cut off", {
		{ "C", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nfour" }, { "S", "HTTP/1.1 200 OK\r\nServ" },
	}, [[
request	svr	1	POST	/	1.1	nil
malformed	svr	body cut off	<>
done	svr	1	false	4	0	<four>
malformed	cli	cut off	<>
done	cli	1	false	0	0	<>
over
]] },
	{ "a chunk size that is none", {
		{ "C", get }, { "S", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" },
	}, [[
request	svr	1	GET	/a	1.1	h
done	svr	1	true	0	0	<>
response	cli	1	200	OK	false	/a
malformed	cli	chunk size	<xyz>
over
]] },
	{ "nothing in other protocols", {
		{ "S", "SSH-2.0-OpenSSH_9.2\r\n" }, { "C", "SSH-2.0-x\r\n\1\2\3" },
	}, "over\n" },
	{ "nothing in noise", { { "C", "\22\3\1\2\0" }, { "S", "\0\1" } }, "over\n" },
	{ "lines that are too long", { { "C", "GET / HTTP/1.1\r\nA: " .. ("a"):rep(9000) .. "\r\n\r\n" } },
		"malformed	svr	header line too long	<>\nover\n" },
	{ "too many fields", { { "C", "GET / HTTP/1.1\r\n" .. ("A: b\r\n"):rep(200) .. "\r\n" } },
		"malformed	svr	too many header fields	<A>\nover\n" },
}

describe("mos.events.http sees", function()
	for _, case in ipairs(cases) do
		for _, size in ipairs(talk.sizes) do
			it(("%s, in segments of %d"):format(case[1], size), function()
				assert.equal(by_side(case[3]), by_side(run(kit.pcap(talk.text(case[2], { size = size })))))
			end)
		end
	end

	it("the bytes of a body that are lost", function()
		local out = run(kit.pcap([[
0     C S  0:0(0)
+.01  S S. 0:0(0) ack 1
+.01  C .  1:1(0) ack 1
+.01  C P. 1:21(20) ack 1 "GET / HTTP/1.1\r\nA:\r\n"
+.01  C P. 21:23(2) ack 1 "\r\n"
+.01  S P. 1:40(39) ack 23 "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"
+.01  S P. 44:48(4) ack 23 "fghi"
+.01  S P. 48:86(38) ack 23 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
+.01  C .  23:23(0) ack 86
+1    C .  23:23(0) ack 86
]]))
		assert.equal([[
request	svr	1	GET	/	1.1	nil
done	svr	1	true	0	0	<>
response	cli	1	200	OK	false	/
done	cli	1	true	5	4	<afghi>
response	cli	2	200	OK	false	nil
done	cli	2	true	0	0	<>
over
]], by_side(out))
	end)

	it("where HTTP goes on behind lost bytes", function()
		local out = run(kit.pcap([[
0     C S  0:0(0)
+.01  S S. 0:0(0) ack 1
+.01  C .  1:1(0) ack 1
+.01  C P. 1:9(8) ack 1 "GET / HT"
+.01  C P. 15:38(23) ack 1 "rest\r\nGET /b HTTP/1.1\r\n"
+.01  C P. 38:40(2) ack 1 "\r\n"
+.01  S .  1:1(0) ack 40
+1    S .  1:1(0) ack 40
]]))
		assert.equal([[
malformed	svr	gap	<>
request	svr	1	GET	/b	1.1	nil
done	svr	1	true	0	0	<>
over
]], by_side(out))
	end)

	it("messages of a connection that was picked up midstream", function()
		local out = run(kit.pcap [[
0     C P. 5:12(7) ack 1 "middle\n"
+.01  S .  1:1(0) ack 12
+.01  C P. 12:31(19) ack 1 "GET /b HTTP/1.1\r\n\r\n"
+.01  S P. 1:40(39) ack 31 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
]])
		assert.equal([[
request	svr	1	GET	/b	1.1	nil
done	svr	1	true	0	0	<>
response	cli	1	200	OK	false	nil
done	cli	1	true	1	0	<a>
over
]], by_side(out))
	end)

	it("nothing any more where it has searched for long", function()
		local text = "0 C P. 5:605(600) ack 1 " .. ('"noise\\n"*100') .. "\n"
			.. '+.01 C P. 605:624(19) ack 1 "GET /b HTTP/1.1\\r\\n\\r\\n"\n'
		assert.matches("request\tsvr\t1\tGET\t/b", run(kit.pcap(text)), 1, true)
		assert.equal("over\n", run(kit.pcap(text), "http.limits.search = 500\n"))
	end)

	it("messages with code that LuaJIT compiles", function()
		local conversations = {}
		for i = 1, 60 do
			local turns = {}
			for k = 1, 8 do
				turns[2 * k - 1] = { "C", ("GET /%d/%d HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n"):format(i, k) }
				turns[2 * k] = { "S", "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" .. ("b"):rep(2000) }
			end
			conversations[i] = talk.text(turns, { name = "c" .. i, client = "10.0.0.1:" .. 1000 + i })
		end
		local code, out = kit.run { kit.script [[
local mos = require "mos"
local http = require "mos.events.http"
local aborted, compiled, n = {}, 0, 0
jit.attach(function(what, _, fn, pc, code, arg)
	local why = what == "abort" and require("jit.vmdef").traceerr[code]:format(tostring(arg)) or ""
	if why:find "^NYI" then aborted[#aborted + 1] = require("jit.util").funcinfo(fn, pc).loc .. ": " .. why end
	compiled = compiled + (what == "stop" and 1 or 0)
end, "trace")
local mon = mos.monitor {}
mon:on(http.request, function(conn, side, pkt, ev, request) n = n + #request.uri end)
mon:on(http.response, function(conn, side, pkt, ev, response) n = n + response.status end)
mon:on(http.done, function(conn, side, pkt, ev, message) n = n + message.body_len end)
mos.at_exit(function() print(n > 0, compiled > 0, table.concat(aborted, "; ")) end)
]], "-r", kit.pcap(table.concat(conversations)) }
		assert.equal("0 true\ttrue\t\n", code .. " " .. out)
	end)

	it("no bodies where nobody listens to them, and is extended by a script's own events", function()
		local code, out, err = kit.run { kit.script [[
local mos = require "mos"
local http = require "mos.events.http"
local search = mos.event { name = "search", parent = http.request, fields = { { "query", "string" } },
	filter = function(conn, side, pkt, ev, request)
		local query = request.uri:match "[?&]q=([^&]*)"
		return query and { query = query }
	end }
mos.monitor():on(search, function(conn, side, pkt, ev, found) print(ev, side, found.query) end)
]], "-r", kit.pcap(talk.text { { "C", get .. "GET /?q=tcp HTTP/1.1\r\n\r\n" } }) }
		assert.same({ 0, "search\tsvr\ttcp\n", "" }, { code, out, err })
	end)
end)
