-- docs/writing-events.md: every block of Lua in it runs as it stands there, and every library is on its list.
local kit = require "kit"

local text = kit.read(kit.source .. "/docs/writing-events.md")

describe("docs/writing-events.md", function()
	local at = 1
	while true do
		local from, stop, code, output = text:find("\n```lua\n(.-)\n```\n```text\n(.-\n)```\n", at)
		if not from then
			break
		end
		at = stop
		local line = select(2, text:sub(1, from):gsub("\n", "")) + 1
		it("runs the block at line " .. line, function()
			local status, out, err = kit.run { "-q", kit.script(code), "-r", kit.source .. "/tests/pcaps/http.pcap" }
			assert.same({ 0, "" }, { status, err })
			assert.equal(output, out)
		end)
	end

	it("has an example for each thing", function()
		assert.equal(select(2, text:gsub("\n```lua\n", "")), select(2, text:gsub("\n```text\n", "")))
	end)

	it("lists every library, with its events", function()
		local _, out = kit.command { "ls", kit.source .. "/bindings/mos/events" }
		local script = { 'local mos = require "mos"' }
		for name in out:gsub("tls_names.lua", ""):gmatch "(%w+)%.lua" do
			assert.matches("| `mos.events." .. name .. "` | ", text, 1, true)
			script[#script + 1] = ([[
for key, ev in pairs(require "mos.events.%s") do
	if type(ev) == "table" and ev.id and key ~= "over" then print("%s", key, ev.meaning ~= nil, ev.name) end
end]]):format(name, name)
		end
		local _, listed = kit.run { kit.script(table.concat(script, "\n")), "--check" }
		local n = 0
		for name, key, meaning, event in listed:gmatch "(%w+)\t([%w_]+)\t(%w+)\t([%w_]+)\n" do
			local row = text:match("| `mos.events." .. name .. "` | ([^\n]+)")
			assert.is_true(row:find("`" .. key:gsub("^tcp_", "") .. "`", 1, true) ~= nil or key == "udp", name .. " " .. key)
			assert.equal("true", meaning)
			assert.equal(name, event:match "^%l+")
			n = n + 1
		end
		assert.is_true(n >= 40, n)
	end)
end)
