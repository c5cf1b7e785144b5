-- --preload and --repeat: the packets of a capture from memory, and again.
local kit = require "kit"

local http = kit.source .. "/tests/pcaps/http.pcap"
local hello = kit.source .. "/scripts/hello.lua"

local function output(...)
	local code, out, err = kit.run { "-r", ... }
	assert.equal(0, code, err)
	return out, err
end

describe("packets held in memory", function()
	-- Prints what happens to connections, and at what time.
	local monitor = [[
		local mos = require "mos"
		local mon = mos.monitor {}
		for _, name in ipairs { "conn_start", "conn_end", "rexmit" } do
			mon:on(name, "snd", function(conn, side) print(name, side, conn.client.addr, conn.end_reason) end)
		end
		mon:on("conn_new_data", function(conn, side) print("data", side, #(conn:peek(side) or "")) end)
	]]

	it("do what they do from the file", function()
		local script = kit.script(monitor)
		assert.equal(output(http, script), (output(http, "--preload", script)))
	end)

	it("are said to have gone so fast, without the reading", function()
		local _, err = output(http, "--preload", hello)
		assert.matches("%d+ packets in [%d.]+ s %([%d.]+ s of CPU time%): [%d.]+ Mpps, [%d.]+ ns each, "
			.. "[%d.]+ Gbit/s, %d+ connections/s\n$", err)
		_, err = output(http, "-q", "--preload", hello)
		assert.equal("", err)
	end)

	it("are given again, for two workers too", function()
		local once = output(http, hello)
		assert.equal(once:rep(3), (output(http, "--repeat", "3", hello)))
		local lines = select(2, output(http, "--repeat", "3", "-j", "2", hello):gsub("\n", ""))
		assert.equal(3 * select(2, once:gsub("\n", "")), lines)
	end)

	it("find no connection left of the time before", function()
		local path = kit.pcap [[
			0     C S  0:0(0)
			+.01  S S. 0:0(0) ack 1
			+.01  C .  1:1(0) ack 1
			+.01  C P. 1:5(4) ack 1 "ping"
		]]
		local out = output(path, "--repeat", "3", kit.script(monitor))
		local start, data = "conn_start\tcli\t10.0.0.1\topen\n", "data\tsvr\t4\n"
		local function ended(reason)
			return ("conn_end\tcli\t10.0.0.1\t%s\nconn_end\tsvr\t10.0.0.1\t%s\n"):format(reason, reason)
		end
		local each = start .. data
		assert.equal(each .. ended "timeout" .. each .. ended "timeout" .. each .. ended "input", out)
	end)

	it("are those before the place where a capture is damaged", function()
		local cut = kit.write(kit.tmp ".pcap", kit.read(http):sub(1, -10))
		local out, err = output(cut, "--repeat", "2", hello)
		assert.equal(output(cut, hello):rep(2), out)
		assert.matches("truncated", err)
	end)

	it("need a capture that can be read", function()
		local code, _, err = kit.run { "-r", kit.dir .. "/missing", "--preload", hello }
		assert.equal(3, code)
		assert.matches("missing: No such file", err)
	end)
end)
