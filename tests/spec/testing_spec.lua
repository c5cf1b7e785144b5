-- docs/testing.md: its first block is a spec that busted runs; the others are the body of one.
local kit = require "kit"

local function blocks(text)
	local list = {}
	for body in text:gmatch "\n```lua\n(.-)\n```" do
		list[#list + 1] = body
	end
	return list
end

describe("docs/testing.md", function()
	local list = blocks(kit.read(kit.source .. "/docs/testing.md"))

	it("has a spec that passes", function()
		local path = kit.write(kit.tmp "_spec.lua", list[1] .. "\n")
		local code, out, err = kit.command { "luajit", assert(io.popen "command -v busted":read "*l"), path }
		assert.equal(0, code, out .. err)
		assert.matches("1 success / 0 failures / 0 errors", out)
	end)

	for i = 2, #list do
		it("has block " .. i .. ", which holds", function()
			local body = assert(loadstring('local t = require "mos.test"\n' .. list[i], "=block"))
			setfenv(body, getfenv(1))()
		end)
	end
end)
