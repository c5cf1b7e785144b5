-- The monitors of scripts/ that are built on libraries of events: what each prints for a capture of tests/pcaps is in
-- tests/golden.
local kit = require "kit"

local function script_path(name)
	return ("%s/scripts/%s.lua"):format(kit.source, name)
end

local function pcap(name)
	return kit.pcap(kit.read(("%s/tests/pcaps/%s.seg"):format(kit.source, name)))
end

-- script, capture, arguments, golden file's name where it is not SCRIPT.CAPTURE
local cases = {
	{ "http_log", "http", {} },
	{ "tls_log", "tls", {} },
	{ "dns_log", "dns", {} },
	{ "scan_detect", "scan", {} },
	{ "scan_detect", "scan", { "--addresses", "5", "--syns", "30" }, "scan_detect_few.scan" },
	{ "accounting", "subscribers", {} },
	{ "accounting", "subscribers", { "--format", "json", "--prefix", "24" }, "accounting_json.subscribers" },
	{ "tcp_health", "http", {} },
	{ "tcp_health", "subscribers", { "--format", "json" }, "tcp_health_json.subscribers" },
	{ "tcp_health", "subscribers", { "--format", "html" }, "tcp_health_html.subscribers" },
	{ "time_sequence", "subscribers", {} },
	{ "time_sequence", "loss", { "--side", "client" } },
	{ "dpi_block", "blocked", { "--names", "img.example.org,www.example.org,other.org" } },
	{ "dpi_block", "tls", { "--names", "*.example.org", "--dry-run" } },
	{ "honeytoken", "tokens", {} },
}

-- Monitors that have a part in C, which is built where its library is installed.
local built = io.open(kit.build .. "/scripts/honeytoken.so")
if built then
	built:close()
else
	cases[#cases] = nil
end
local more = { honeytoken = { "--object", kit.build .. "/scripts/honeytoken.so" }, dpi_block = { "--names", "x" } }

for _, case in ipairs(cases) do
	local script, capture, args, golden = unpack(case)
	describe(("scripts/%s.lua on %s.seg %s"):format(script, capture, table.concat(args, " ")), function()
		it("prints what it promises", function()
			local all = { "-q", script_path(script), "-r", pcap(capture), "--", unpack(args) }
			for _, arg in ipairs(script == "honeytoken" and more.honeytoken or {}) do
				all[#all + 1] = arg
			end
			local code, out, err = kit.run(all)
			assert.same({ 0, "" }, { code, err })
			local path = ("%s/tests/golden/%s.txt"):format(kit.source, golden or script .. "." .. capture)
			assert.equal(kit.read(path), out)
		end)
	end)
end

-- Each of them once.
local seen = {}
for _, case in ipairs(cases) do
	local script = case[1]
	if not seen[script] then
		seen[script] = true
		describe(("scripts/%s.lua"):format(script), function()
			it("explains itself", function()
				local code, out, err = kit.run { script_path(script), "--check", "--", "--help" }
				assert.same({ 0, "" }, { code, err })
				assert.matches("^usage: mos%-run scripts/" .. script:gsub("_", "_") .. ".lua ", out)
				for line in out:gmatch "[^\n]+" do
					assert.is_true(#line <= 120, line)
				end
			end)

			it("refuses an option that it does not have", function()
				local code, out, err = kit.run { script_path(script), "-r", pcap "handshake", "--", "--nonsense" }
				assert.same({ 1, "", ("mos-run: error: %s: unknown option '--nonsense'; --help lists them\n"):format(script) },
					{ code, out, err })
			end)

			it("has its row in README.md", function()
				assert.matches(("[scripts/%s.lua](scripts/%s.lua)"):format(script, script), kit.read(kit.source .. "/README.md"),
					1, true)
			end)
		end)
	end
end

describe("scripts/dpi_block.lua", function()
	it("resets what it blocks, and nothing else", function()
		local written = kit.tmp ".pcap"
		local code, _, err = kit.run { "-q", script_path "dpi_block", "-r", pcap "blocked", "-w", written, "--", "--names",
			"img.example.org,www.example.org" }
		assert.same({ 0, "" }, { code, err })
		local _, out = kit.run { kit.script [[
local mos = require "mos"
local resets = {}
mos.monitor { raw = true }:on("pkt_in", function(conn, side, pkt)
	if pkt.rst then resets[#resets + 1] = pkt.src_addr .. " " .. pkt.src_port end
end)
mos.at_exit(function() table.sort(resets) print(table.concat(resets, "\n")) end)
]], "-r", written }
		assert.equal("192.0.2.10 40001\n192.0.2.10 40002\n198.51.100.80 443\n198.51.100.80 80\n", out)
	end)

	it("wants names", function()
		local code, _, err = kit.run { script_path "dpi_block", "-r", pcap "http" }
		assert.equal(1, code)
		assert.equal("mos-run: error: dpi_block: nothing to block; name servers with --names or --file\n", err)
	end)
end)

if built then
	describe("scripts/honeytoken.lua", function()
		local function run(text, size)
			local talk = require "talk"
			local code, out, err = kit.run { "-q", script_path "honeytoken", "-r", kit.pcap(talk.split(text, size)), "--",
				unpack(more.honeytoken) }
			assert.same({ 0, "" }, { code, err })
			return (out:gsub('"ts":[%d.]+,"uid":"%x+",', ""))
		end
		local text = kit.read(kit.source .. "/tests/pcaps/tokens.seg")

		it("finds tokens wherever segments cut them", function()
			local whole = run(text, 1000)
			for _, size in ipairs { 1, 2, 7 } do
				assert.equal(whole, run(text, size))
			end
		end)

		local mistakes = {
			{ "name", ":1: a line is a name and a regular expression" }, { "# nothing\n", ": no patterns" },
			{ "ok a\nwrong (", ": pattern 'wrong': " },
		}
		for _, m in ipairs(mistakes) do
			it("refuses the patterns " .. m[1]:gsub("\n", " "), function()
				local path = kit.write(kit.tmp ".patterns", m[1])
				local code, _, err = kit.run { script_path "honeytoken", "-r", pcap "http", "--", "--object",
					more.honeytoken[2], "--patterns", path }
				assert.equal(1, code)
				assert.matches("mos-run: error: honeytoken: " .. path .. m[2], err, 1, true)
			end)
		end
	end)
end
