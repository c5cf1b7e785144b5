local t = require "mos.test"

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local script = here .. "guard.lua"

describe("guard", function()
	it("lets other requests pass", function()
		t.run(script, t.tcp():request "GET /a":response { body = "A" }:close())
		assert.no_events "forbidden"
	end)

	it("drops what is forbidden and all that follows", function()
		t.run(script, t.tcp():send("client", "GET /logo.gif HTTP/1.1\r\n\r\n"):response { body = "A" })
		assert.leaves [[
			C S 0:0(0)
			S S. 0:0(0) ack 1
			C . 1:1(0) ack 1
		]]
	end)

	it("never lets the last piece through, however the request is cut", function()
		local conv = t.tcp():send("client", "GET /logo.gif HTTP/1.1\r\n\r\n")
		t.every_split(conv, script, function(run)
			for _, p in ipairs(run:left()) do
				assert.is_true(p.side == "S" or p.to < 15)
			end
		end)
	end)

	it("is not fooled by a segment that comes again, or early", function()
		local conv = t.tcp():send("client", "GET /logo.gif HTTP/1.1\r\n\r\n"):split(8)
		for _, harm in ipairs { conv:duplicate(4, 2), conv:reorder(4), conv:reorder(5, 2) } do
			assert.is_true(#t.run(script, harm):named "forbidden" > 0)
		end
	end)
end)
