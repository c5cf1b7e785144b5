-- mos.events.tls: what it raises, however the bytes are cut into segments.
local kit = require "kit"
local talk = require "talk"

local seg = kit.read(kit.source .. "/tests/pcaps/tls.seg")

local script = [[
local mos = require "mos"
local tls = require "mos.events.tls"
local mon = mos.monitor {}
local function name(conn) return conn.client.addr:match "%d+$" .. "." .. conn.client.port % 100 end
mon:on(tls.client_hello, function(conn, side, pkt, ev, h)
	print(name(conn), "client_hello", side, h.version, h.sni, #h.ciphers, #h.extensions, table.concat(h.alpn, "+"),
		h.ja3, h.ja4)
end)
mon:on(tls.server_hello, function(conn, side, pkt, ev, h)
	print(name(conn), "server_hello", side, h.version, h.cipher_name, h.alpn, h.retry, h.resumed, h.ja3s, h.ja4s)
end)
mon:on(tls.certificate, function(conn, side, pkt, ev, c)
	for i, x in ipairs(c.chain) do
		print(name(conn), "certificate", side, c.from, i, x.subject, x.issuer, table.concat(x.names, " "), #x.der,
			x.not_after - x.not_before)
	end
end)
mon:on(tls.alert, function(conn, side, pkt, ev, a)
	print(name(conn), "alert", side, a.encrypted, a.level, a.description)
end)
mon:on(tls.established, function(conn, side, pkt, ev, e)
	print(name(conn), "established", side, e.version, e.cipher_name, e.curve)
end)
mon:on(tls.malformed, function(conn, side, pkt, ev, f) print(name(conn), "malformed", side, f.reason) end)
mon:on(tls.over, function(conn) print(name(conn), "over") end)
]]

local function run(text, more)
	local code, out, err = kit.run { kit.script(script .. (more or "")), "-r", kit.pcap(text) }
	assert.same({ 0, "" }, { code, err })
	return out
end

-- The lines of each connection and side in order; how they mix depends on the bursts, and so does when a handshake that
-- takes both sides is done.
local function sorted(out)
	local groups, order = {}, {}
	for line in out:gmatch "[^\n]+" do
		local name, kind, side = line:match "^(%S+)\t(%S+)\t?(%S*)"
		local key = name .. (kind == "established" and "2" or side == "cli" and "1" or side == "svr" and "0" or "3")
		if not groups[key] then
			groups[key] = {}
			order[#order + 1] = key
		end
		table.insert(groups[key], line)
	end
	table.sort(order)
	local all = {}
	for i, key in ipairs(order) do
		all[i] = table.concat(groups[key], "\n")
	end
	return table.concat(all, "\n") .. "\n"
end

local golden = kit.read(kit.source .. "/tests/golden/tls_events.tls.txt")

describe("mos.events.tls", function()
	it("sees every handshake", function()
		assert.equal(golden, sorted(run(seg)))
	end)

	for _, size in ipairs { 1, 2, 13, 500 } do
		it("does not see how bytes are cut into segments: " .. size, function()
			assert.equal(golden, sorted(run(talk.split(seg, size))))
		end)
	end

	-- From the text of JA4's definition: t13d1516h2_8daaf6152771_e5627efa2ab1.
	it("makes the fingerprints of a hello whose fingerprints were published", function()
		local function be16(n)
			return string.char(math.floor(n / 256), n % 256)
		end
		local function vector(size, s)
			return (size == 1 and string.char(#s) or (size == 3 and "\0" or "") .. be16(#s)) .. s
		end
		local function list(size, text)
			local out = {}
			for digits in text:gmatch "%x+" do
				out[#out + 1] = size == 1 and string.char(tonumber(digits, 16)) or be16(tonumber(digits, 16))
			end
			return table.concat(out)
		end
		local bodies = {
			["0000"] = vector(2, "\0" .. vector(2, "example.org")), ["0010"] = vector(2, vector(1, "h2")),
			["000a"] = vector(2, list(2, "4a4a 001d 0017 0018")), ["000b"] = vector(1, "\0"),
			["000d"] = vector(2, list(2, "0403 0804 0401 0503 0805 0501 0806 0601")),
			["002b"] = vector(1, list(2, "9a9a 0304 0303")),
		}
		local extensions = {}
		for number in ("1a1a 0000 0017 ff01 000a 000b 0023 0010 0005 000d 0012 0033 002d 002b 001b 4469 0015")
			:gmatch "%x+" do
			extensions[#extensions + 1] = list(2, number) .. vector(2, bodies[number] or "")
		end
		local ciphers = "0a0a 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035"
		local hello = "\3\3" .. ("r"):rep(32) .. "\0" .. vector(2, list(2, ciphers)) .. "\1\0"
			.. vector(2, table.concat(extensions))
		local out = run(talk.text { { "C", "\22\3\1" .. vector(2, "\1" .. vector(3, hello)) } })
		assert.matches("TLSv13\texample.org\t16\t17\th2\t%x+\tt13d1516h2_8daaf6152771_e5627efa2ab1\n", out)
	end)

	it("raises nothing for what is no TLS", function()
		for _, bytes in ipairs { "GET / HTTP/1.1\r\n\r\n", "\22\3", "\22\2\1\0\5hello", "\22\3\1\255\255\1",
			"\22\3\1\0\5\9aaaa" } do
			assert.equal("1.0\tover\n", run(talk.text({ { "C", bytes } }, { client = "10.0.0.1:40000" })))
		end
	end)

	-- A byte of a connection's first payload, changed.
	local function broken(name, at, byte)
		local text = seg:match("conn " .. name .. "\n.-\n\n")
		return (text:gsub('"(.-)"\n', function(payload)
			local pieces, from = {}, 1
			while from <= #payload do
				local one = payload:match("^\\x%x%x", from) or payload:match("^\\.", from) or payload:sub(from, from)
				pieces[#pieces + 1] = one
				from = from + #one
			end
			pieces[at] = ("\\x%02x"):format(byte)
			return '"' .. table.concat(pieces) .. '"\n'
		end, 1))
	end

	it("calls a hello malformed whose lengths do not fit", function()
		local RECORD, MESSAGE, RANDOM = 5, 4, 2 + 32
		local out = run(broken("tls12", RECORD + MESSAGE + RANDOM + 1, 255))
		assert.matches("malformed\tsvr\tclient hello\n", out)
		assert.not_matches("client_hello", out)
	end)

	-- Whatever byte of a hello is wrong, nothing fails.
	it("survives every byte that is wrong", function()
		local texts = {}
		for at = 1, 230 do
			texts[at] = broken("tls12", at, 255):gsub("tls12", "c" .. at):gsub("client 192.0.2.12:%d+",
				("client 10.0.0.1:%d"):format(1000 + at))
		end
		local out = run(table.concat(texts))
		assert.equal(230, select(2, out:gsub("\tover\n", "")))
	end)

	it("says when bytes are lost, and goes over those that nobody could read", function()
		local lost = run([[
client 192.0.2.1:40001
0     C S  0:0(0)
+.01  S S. 0:0(0) ack 1
+.01  C .  1:1(0) ack 1
+.01  C P. 1:4(3) ack 1 "\x16\x03\x01"
+.01  C P. 8:12(4) ack 1 "aaaa"
+.01  S .  1:1(0) ack 12
+1    S .  1:1(0) ack 12
]])
		assert.equal("1.1\tover\n", lost)
		local text = seg:match "conn tls13\n.-\n\n"
		-- The server's second flight is lost behind its ServerHello.
		local server = text:match "tls13%.S P%. 1:1303"
		assert.truthy(server)
		assert.matches("malformed\tcli\tgap\n", run((text:gsub("[^\n]+tls13%.S P%. 1:1303[^\n]+\n", ""))))
	end)

	it("follows what is encrypted only where somebody listens to alerts", function()
		assert.matches("12.3\talert\tcli\ttrue", run(seg), 1, true)
		local _, out = kit.run { kit.script [[
local mos = require "mos"
local tls = require "mos.events.tls"
mos.monitor():on(tls.established, function(conn, side, pkt, ev, e) print(e.version, e.client_hello.sni) end)
]], "-r", kit.pcap(seg) }
		assert.equal(6, select(2, out:gsub("TLSv1%d\twww.example.org\n", "")))
	end)
end)
