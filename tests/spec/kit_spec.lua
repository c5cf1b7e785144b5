local kit = require "kit"

describe("kit.command", function()
	it("answers exit code, standard output and standard error", function()
		local code, out, err = kit.command { "sh", "-c", "echo out; echo err >&2; exit 7" }
		assert.equal(7, code)
		assert.equal("out\n", out)
		assert.equal("err\n", err)
	end)

	it("hands arguments over as they are", function()
		local odd = { "", " ", "a b", "'", '"', "$HOME", "`id`", "\\", "*", "\n", "-n", "\1\255" }
		local _, out = kit.command { "printf", "%s|", unpack(odd) }
		assert.equal(table.concat(odd, "|") .. "|", out)
	end)

	it("gives standard input and variables", function()
		local _, out = kit.command({ "sh", "-c", 'echo "$WORD"; cat' }, { stdin = "a\0b", env = { WORD = "it's" } })
		assert.equal("it's\na\0b", out)
		assert.equal("", select(2, kit.command { "cat" }))
	end)

	it("tells a missing program and a signal by their codes", function()
		assert.equal(127, (kit.command { "no-such-program" }))
		assert.equal(128 + 15, (kit.command { "sh", "-c", "kill -TERM $$" }))
	end)
end)

describe("kit.pcap", function()
	it("writes where it is told, or to a new file each time", function()
		local path = kit.tmp ".pcap"
		assert.equal(path, kit.pcap("0 C S 0:0(0)", path))
		assert.equal("\212\195\178\161", kit.read(path):sub(1, 4))
		assert.are_not.equal(kit.pcap "0 C S 0:0(0)", kit.pcap "0 C S 0:0(0)")
	end)

	it("raises what is wrong with the text", function()
		assert.has_error(function()
			kit.pcap("0 C", nil, { name = "text" })
		end)
	end)
end)
