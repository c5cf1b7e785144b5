-- What has been read is kept where the script may ask for it again, and only there.
local kit = require "kit"

local segments = { "0 C S 0:0(0)", "+.01 S S. 0:0(0) ack 1", "+.01 C . 1:1(0) ack 1" }
for i = 0, 63 do
	segments[#segments + 1] = ("+.01 C . %d:%d(5) ack 1"):format(1 + 5 * i, 6 + 5 * i)
end
local capture = table.concat(segments, "\n")

local head = [[
local mos = require "mos"
local mon = mos.monitor {}
mon:on("conn_new_data", function(conn, side) conn:skip(side) end)
]]

local function first_bytes(script, files)
	local path = kit.script(head .. script)
	for name, text in pairs(files or {}) do
		kit.write(path:match "^(.*)/" .. "/" .. name, text)
	end
	local code, out, err = kit.run { path, "-r", kit.pcap(capture) }
	assert.equal(0, code, err)
	return out
end

describe("bytes that have been read", function()
	it("are there for a script that mentions ppeek", function()
		assert.equal("abcde\n", first_bytes [[
			mon:on("conn_end", "snd", function(conn, side)
				if side == "cli" then print(conn:ppeek("svr", 0, 5)) end
			end)
		]])
	end)

	it("are there for a script whose code is made at run time", function()
		assert.equal("abcde\n", first_bytes [[
			mon:on("conn_end", "snd", function(conn, side)
				if side == "cli" then loadstring("print((...)['pp' .. 'eek'](..., 'svr', 0, 5))")(conn) end
			end)
		]])
	end)

	it("are gone with their burst where nobody can ask for them", function()
		assert.equal("nil\n", first_bytes [[
			mon:on("conn_end", "snd", function(conn, side)
				if side == "cli" then print(conn["pp" .. "eek"](conn, "svr", 0, 5)) end
			end)
		]])
	end)

	it("are gone where the words are only part of others", function()
		assert.equal("nil\n", first_bytes [[
			local findings = "no ppeek here"
			mon:on("conn_end", "snd", function(conn, side, pkt)
				local payload = pkt and pkt.payload_len or findings
				if side == "cli" and payload then print(conn["pp" .. "eek"](conn, "svr", 0, 5)) end
			end)
		]])
	end)

	it("stay for a handler of error, which may compare", function()
		assert.equal("abcde\n", first_bytes [[
			mon:on("error", function() end)
			mon:on("conn_end", "snd", function(conn, side)
				if side == "cli" then print(conn["pp" .. "eek"](conn, "svr", 0, 5)) end
			end)
		]])
	end)

	it("are there for a module that mentions ppeek", function()
		local name = "history_module"
		assert.equal("abcde\n", first_bytes(("local look = require '%s'\n"):format(name) .. [[
			mon:on("conn_end", "snd", function(conn, side)
				if side == "cli" then print(look(conn)) end
			end)
		]], { [name .. ".lua"] = "return function(conn) return (conn:ppeek('svr', 0, 5)) end" }))
	end)
end)
