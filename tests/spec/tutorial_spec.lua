-- docs/tutorial.md: its scripts are the files of docs/tutorial, and its commands print what it shows.
local kit = require "kit"
local console = require "console"

local folder = kit.source .. "/docs/tutorial"

describe("docs/tutorial.md", function()
	local text = kit.read(folder .. ".md")

	it("shows every file of its folder as it is", function()
		local shown = {}
		for name, source in text:gmatch "%(tutorial/([%w_]+%.lua)%)\n\n```lua\n(.-)```\n" do
			assert.equal(kit.read(folder .. "/" .. name), source)
			shown[name] = true
		end
		for name in io.popen("ls " .. kit.quote(folder)):lines() do
			assert.is_true(shown[name], name)
		end
	end)

	local dir
	for _, example in ipairs(console.examples(text)) do
		it("shows what is printed by " .. example.command, function()
			dir = dir or console.checkout()
			assert.equal(example.promised, console.typed(dir, example.command))
		end)
	end
end)
