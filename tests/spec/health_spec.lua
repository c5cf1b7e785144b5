-- How a script is doing, as --stats says.
local kit = require "kit"

local lines = { "0 C S 0:0(0)", "+.01 S S. 0:0(0) ack 1", "+.01 C . 1:1(0) ack 1" }
for i = 0, 2996 do
	lines[#lines + 1] = ("+.001 C P. %d:%d(10) ack 1"):format(1 + 10 * i, 11 + 10 * i)
end
local capture = kit.pcap(table.concat(lines, "\n"))

local function run(body)
	local code, _, err = kit.run { kit.script([[
local mos = require "mos"
local mon = mos.monitor { filter = "tcp", clibuf = 0, svrbuf = 0 }
]] .. body), "-r", capture, "--stats", "--preload", "--repeat", "40" }
	assert.equal(0, code, err)
	return err
end

local function count(err, name)
	return tonumber(err:match("\n  " .. name .. " +(%d+) ") or 0)
end

describe("--stats", function()
	it("says what a script needs and what its handlers take", function()
		local err = run [[
local n = 0
mon:on("pkt_in", "snd", function() n = n + 1 end)]]
		assert.is_true(count(err, "script_memory") > 100000)
		assert.is_true(count(err, "jit_traces") > 0)
		assert.equal(0, count(err, "jit_given_up"))
		assert.matches("Nanoseconds of a handler in Lua, sampled\n  pkt_in +%d+  at snd\n", err)
	end)

	it("names what LuaJIT has given up compiling", function()
		local err = run [[
local t = { a = 1, b = 2 }
local n = 0
mon:on("pkt_in", "snd", function()
	for _ = 1, 10 do
		for k in pairs(t) do n = n + #k end
	end
end)]]
		assert.is_true(count(err, "jit_aborts") > 0)
		assert.is_true(count(err, "jit_given_up") > 0)
		assert.matches("warning: LuaJIT has given up compiling at %S+%.lua:%d+", err)
	end)

	it("counts collections, which run between bursts", function()
		local err = run [[
local kept = {}
mon:on("pkt_in", "snd", function(_, _, pkt)
	for i = 1, 50 do kept[i] = { pkt.number, tostring(pkt.number) } end
end)]]
		assert.is_true(count(err, "gc_us") > 0)
		assert.is_true(count(err, "gc_longest_us") > 0)
	end)
end)
