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
}

for _, case in ipairs(cases) do
	local script, capture, args, golden = unpack(case)
	describe(("scripts/%s.lua on %s.seg %s"):format(script, capture, table.concat(args, " ")), function()
		it("prints what it promises", function()
			local code, out, err = kit.run { "-q", script_path(script), "-r", pcap(capture), "--", unpack(args) }
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
