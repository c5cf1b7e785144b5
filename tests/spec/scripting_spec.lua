-- docs/scripting.md: every block of Lua in it runs as it stands there.
local kit = require "kit"

local capture = kit.source .. "/tests/pcaps/http.pcap"

-- Blocks with the line they begin at, and the output that a ```text block right after one promises.
local function blocks(text)
	local list, n, block = {}, 0, nil
	for line in text:gmatch "([^\n]*)\n" do
		n = n + 1
		if not block and line:match "^```%l" then
			block = { kind = line:match "^```(%l+)", first = n + 1 }
		elseif block and line == "```" then
			local last = list[#list]
			if block.kind == "text" and last and last.stop == block.first - 2 then
				last.output = table.concat(block, "\n") .. "\n"
			elseif block.kind == "lua" then
				block.stop = n
				list[#list + 1] = block
			end
			block = nil
		elseif block then
			block[#block + 1] = line
		end
	end
	return list
end

describe("docs/scripting.md", function()
	local list = blocks(kit.read(kit.source .. "/docs/scripting.md"))
	local prelude = table.concat(list[1], "\n") .. "\n"

	it("shows each part of the interface with an example", function()
		assert.is_true(#list > 8)
		assert.matches('^local mos = require "mos"', prelude)
	end)

	for _, block in ipairs(list) do
		it("runs the block at line " .. block.first, function()
			local source = table.concat(block, "\n") .. "\n"
			if not source:find('require "mos"', 1, true) then
				source = prelude .. source
			end
			local code, out, err = kit.run { kit.script(source), "-r", capture }
			assert.equal(0, code, err)
			assert.not_matches("mos%-run: error", err)
			assert.not_matches("mos%-run: warning", err)
			if block.output then
				assert.equal(block.output, out)
			elseif block ~= list[1] then
				assert.not_equal("", out .. err)
			end
		end)
	end
end)
