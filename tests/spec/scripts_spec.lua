-- The scripts that come with mos-run, on the captures of tests/pcaps: what they print is in tests/golden.
local kit = require "kit"

local captures = { "handshake", "http", "loss", "reorder", "midstream" }
local option = { midstream = "--midstream" }

-- A capture of tests/pcaps, made anew from its text.
local function pcap(name)
	return kit.pcap(kit.read(("%s/tests/pcaps/%s.seg"):format(kit.source, name)))
end

local function golden(script, capture)
	return kit.read(("%s/tests/golden/%s.%s.txt"):format(kit.source, script, capture))
end

-- Run a script on a capture with these arguments; what it prints. Nothing may be said on standard error.
local function run(script, capture, ...)
	local path = ("%s/scripts/%s.lua"):format(kit.source, script)
	local code, out, err = kit.run { "-q", option[capture] or "-q", path, "-r", pcap(capture), "--", ... }
	assert.equal("", err)
	assert.equal(0, code)
	return out
end

-- Every byte that the segments of a text carry, at the offset that its number says: port of the client -> { C =, S = }.
-- What no segment carries is left out.
local function streams_of(text)
	local conns, name = {}, ""
	local function conn(key)
		conns[key] = conns[key] or { port = "40000", C = {}, S = {} }
		return conns[key]
	end
	for line in text:gsub("\\\n%s*", " "):gmatch "[^\n]+" do
		name = line:match "^conn (%S+)" or name
		if line:match "^client" then
			conn(name).port = line:match ":(%d+)%s*$"
		end
		local who, side, from, to = line:match "^%+?[%d%.]+ ([%w_]*)%.?([CS]) +%S+ +(%d+):(%d+)%("
		local payload = line:match '"(.*)"'
		payload = payload and payload:gsub('" +"', ""):gsub('\\(.)', { r = "\r", n = "\n", ['"'] = '"', ["\\"] = "\\" })
		for offset = from or 1, (to or 0) - 1 do
			conn(who)[side][offset] = payload and payload:sub(offset - from + 1, offset - from + 1)
				or string.char(97 + (offset - 1) % 26)
		end
	end
	local by_port = {}
	for _, c in pairs(conns) do
		by_port[c.port] = c
	end
	return by_port
end

-- The bytes of one side in order.
local function joined(bytes)
	local offsets = {}
	for offset in pairs(bytes) do
		offsets[#offsets + 1] = offset
	end
	table.sort(offsets)
	for i, offset in ipairs(offsets) do
		offsets[i] = bytes[offset]
	end
	return table.concat(offsets)
end

local function folder()
	local dir = kit.tmp ".streams"
	assert(os.execute(("rm -rf %s && mkdir %s"):format(kit.quote(dir), kit.quote(dir))) == 0)
	return dir
end

for _, capture in ipairs(captures) do
	describe("on " .. capture .. ".seg", function()
		it("hello greets each connection", function()
			assert.equal(golden("hello", capture), run("hello", capture))
		end)

		it("seed_example counts", function()
			assert.equal(golden("seed_example", capture), run("seed_example", capture, "tcp"))
		end)

		it("conn_log prints JSON", function()
			assert.equal(golden("conn_log", capture), run("conn_log", capture))
			assert.equal(golden("conn_log", capture), run("conn_log", capture, "--format", "json"))
		end)

		it("conn_log prints a table", function()
			assert.equal(golden("conn_log_tsv", capture), run("conn_log", capture, "--format", "tsv"))
		end)

		it("conn_log writes what each end sent", function()
			local dir = folder()
			local out = run("conn_log", capture, "--streams", dir)
			local sent = streams_of(kit.read(("%s/tests/pcaps/%s.seg"):format(kit.source, capture)))
			local n = 0
			for uid, port in out:gmatch '"uid":"(%x+)".-"id.orig_p":(%d+)' do
				assert.equal(joined(sent[port].C), kit.read(("%s/%s.orig"):format(dir, uid)))
				assert.equal(joined(sent[port].S), kit.read(("%s/%s.resp"):format(dir, uid)))
				n, sent[port] = n + 1, nil
			end
			assert.is_true(n > 0)
			assert.same({}, sent)
		end)
	end)
end

describe("conn_log", function()
	it("says nothing of connections without their SYN, unless asked", function()
		local path = kit.source .. "/scripts/conn_log.lua"
		assert.same({ 0, "", "" }, { kit.run { path, "-r", pcap "midstream" } })
	end)

	it("has a filter for connections", function()
		local all = golden("conn_log", "http")
		assert.equal(all:match "[^\n]*2001:db8[^\n]*\n", run("conn_log", "http", "--filter", "ip6"))
	end)

	it("writes a gap into the history while it writes streams", function()
		assert.matches('"history":"ShADaTGfF"', run("conn_log", "loss", "--streams", folder()), 1, true)
	end)

	it("explains itself", function()
		local code, out, err = kit.run { kit.source .. "/scripts/conn_log.lua", "--check", "--", "--help" }
		assert.same({ 0, "" }, { code, err })
		for _, name in ipairs { "--format json|tsv", "--filter EXPR", "--streams DIR" } do
			assert.matches(name, out, 1, true)
		end
	end)

	local mistakes = {
		{ { "--fromat", "tsv" }, "conn_log: unknown option '--fromat'; --help lists them" },
		{ { "--streams", "/missing/folder" }, "conn_log: --streams: /missing/folder/.conn_log: No such file or directory" },
		{ { "tsv" }, "conn_log: unknown option 'tsv'; --help lists them" },
		{ { "--format" }, "conn_log: option --format needs a value" },
		{ { "--format", "tsv", "--streams" }, "conn_log: option --streams needs a value" },
		{ { "--filter" }, "conn_log: option --filter needs a value" },
		{ { "--format", "xml" }, "conn_log: unknown format 'xml'; it is json or tsv" },
	}
	for _, m in ipairs(mistakes) do
		it("refuses " .. table.concat(m[1], " "), function()
			local code, out, err = kit.run { kit.source .. "/scripts/conn_log.lua", "-r", pcap "http", "--", unpack(m[1]) }
			assert.same({ 1, "", "mos-run: error: " .. m[2] .. "\n" }, { code, out, err })
		end)
	end
end)

describe("a filter that is wrong", function()
	for script, args in pairs { conn_log = { "--filter", "tcp prot 80" }, seed_example = { "tcp prot 80" } } do
		it("is one line of " .. script, function()
			local path = ("%s/scripts/%s.lua"):format(kit.source, script)
			local code, out, err = kit.run { path, "-r", pcap "http", "--", unpack(args) }
			assert.same({ 1, "" }, { code, out })
			assert.matches('^mos%-run: error: [^\n]*filter "tcp prot 80": [^\n]+\n$', err)
		end)
	end
end)
