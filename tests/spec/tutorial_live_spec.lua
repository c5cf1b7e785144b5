-- The last step of docs/tutorial.md: its scripts between two hosts that are network namespaces (tests/kit/net.lua).
local kit = require "kit"
local net = require "net"

local here, reason = net.available()
if not here then
	describe("the tutorial on a live network", function()
		pending("is not tested: " .. reason)
	end)
	return
end

describe("the tutorial on a live network", function()
	local lan

	before_each(function()
		lan = net.up()
		local dir = kit.tmp ".www"
		os.execute("mkdir -p " .. dir)
		kit.write(dir .. "/index.html", "home")
		kit.write(dir .. "/page.html", "page")
		kit.write(dir .. "/secret.html", "secret")
		lan.dir = dir
	end)

	after_each(function()
		lan:down()
	end)

	it("logs what passes", function()
		local run = lan:run { "-i", "left:right", kit.source .. "/docs/tutorial/log.lua" }
		lan:serve(lan.dir)
		assert.same({ 0, "page", "" }, { lan:sh("c", "curl -sS --max-time 20 http://10.7.0.2/page.html") })
		assert.equal(0, run:stop())
		assert.matches("10%.7%.0%.1:%d+\tGET\t10%.7%.0%.2\t/page.html\t200\n", run:out())
	end)

	it("stands in the way of a request", function()
		local run = lan:run { "-i", "left:right", kit.source .. "/docs/tutorial/guard.lua", "--", "/secret.html" }
		lan:serve(lan.dir)
		assert.same({ 0, "page", "" }, { lan:sh("c", "curl -sS --max-time 20 http://10.7.0.2/page.html") })
		-- 28: the time is over, and no answer has come.
		local code, out = lan:sh("c", "curl -sS --max-time 2 http://10.7.0.2/secret.html")
		assert.same({ 28, "" }, { code, out })
		assert.same({ 0, "page", "" }, { lan:sh("c", "curl -sS --max-time 20 http://10.7.0.2/page.html") })
		assert.equal(0, run:stop())
		assert.matches("warning: 10%.7%.0%.1:%d+ may not have /secret.html", run:err())
	end)
end)
