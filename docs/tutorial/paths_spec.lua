local t = require "mos.test"

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local script = here .. "paths.lua"

describe("paths", function()
	local conv = t.tcp():request "GET /a":response { body = "A" }:request "GET /b":response { body = "B" }:close()

	it("prints each request", function()
		assert.equal("10.0.0.1:40000\tGET /a\n10.0.0.1:40000\tGET /b\n", t.run(script, conv).out)
	end)

	it("prints both of two that come in one segment", function()
		local both = t.tcp():request "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
		assert.equal("10.0.0.1:40000\tGET /a\n10.0.0.1:40000\tGET /b\n", t.run(script, both).out)
		t.every_split(both, script)
	end)

	it("does not depend on how bytes are cut into segments", function()
		t.every_split(conv, script)
	end)
end)
