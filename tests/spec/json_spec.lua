-- mos.json and mos.options.
local kit = require "kit"

local function eval(code, ...)
	local status, out, err = kit.run { kit.script(code), "--check", "--", ... }
	return out, err, status
end

describe("mos.json", function()
	local json = 'local json = require "mos.json" print(json.encode(%s))'
	local cases = {
		{ "1700000000.25", "1700000000.250000" }, { "5", "5" }, { "2^53", "9007199254740992" }, { "0/0", "null" },
		{ "1/0", "null" }, { "true", "true" }, { '"a\\"b\\\\\\n\\1\\127"', [["a\"b\\\n\u0001\u007f"]] },
		{ '"h\\195\\164"', '"h\195\164"' }, { '"\\228\\255"', [["\u00e4\u00ff"]] },
		{ '"\\192\\128"', [["\u00c0\u0080"]] }, { '"\\237\\160\\128"', [["\u00ed\u00a0\u0080"]] },
		{ "{}", "[]" }, { '{ 1, "a" }', '[1,"a"]' }, { "{ b = 1, a = { 2 } }", '{"a":[2],"b":1}' },
	}
	for _, case in ipairs(cases) do
		it("writes " .. case[1], function()
			assert.equal(case[2] .. "\n", (eval(json:format(case[1]))))
		end)
	end

	it("keeps the order of an object's members, and leaves out those without a value", function()
		assert.equal('{"b":1,"a":false}\n',
			(eval [[print(require "mos.json".object { { "b", 1 }, { "x", nil }, { "a", false } })]]))
	end)
end)

describe("mos.options", function()
	local script = [[
local o = require "mos.options" { name = "s", usage = "usage: s",
	options = { kind = "json|table", n = "number", word = "string", ["long-flag"] = "flag" },
	defaults = { kind = "json" } }
print(o.kind, o.n, o.word, o["long-flag"])
]]

	it("are read by kind", function()
		assert.equal("json\tnil\tnil\tnil\n", (eval(script)))
		assert.equal("table\t2.5\tx\ttrue\n", (eval(script, "--kind", "table", "--n", "2.5", "--word", "x", "--long-flag")))
		assert.equal("usage: s\n", (eval(script, "--help")))
	end)

	it("may ask for a single worker", function()
		local path = kit.script [[require "mos.options" { name = "s", usage = "", options = {}, one_worker = true }]]
		local status, _, err = kit.run { path, "-j", "2", "-r", kit.source .. "/tests/pcaps/http.pcap" }
		assert.equal(1, status)
		assert.matches("s: it puts all connections together, which several workers cannot: leave out %-j\n", err)
	end)

	local mistakes = {
		{ { "--kind", "xml" }, "--kind: unknown value 'xml'; it is json or table" },
		{ { "--n", "many" }, "--n: 'many' is not a number" },
		{ { "--n", "-1" }, "--n: '-1' is not a number" },
		{ { "--word" }, "option --word needs a value" },
		{ { "word" }, "unknown option 'word'; --help lists them" },
	}
	for _, m in ipairs(mistakes) do
		it("refuse " .. table.concat(m[1], " "), function()
			local out, err, status = eval(script, unpack(m[1]))
			assert.same({ 1, "", "mos-run: error: s: " .. m[2] .. "\n" }, { status, out, err })
		end)
	end
end)
