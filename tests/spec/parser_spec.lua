-- Events with fields, mos.parser, and libraries on MOS_PATH.
local kit = require "kit"
local talk = require "talk"

local function run(script, capture, opts)
	local code, out, err = kit.run({ kit.script('local mos = require "mos"\n' .. script), "-r", capture }, opts)
	assert.same({ 0, "" }, { code, err })
	return out
end

local two_lines = kit.pcap(talk.text({ { "C", "one\r\ntwo\nrest" }, { "S", "three\n" } }))

-- A parser of lines.
local lines = [[
local line
local p = mos.parser { name = "lines",
	start = function(r)
		local text = r:line(20)
		if text then
			r:raise(line, { text = text, at = r:offset() })
			return true
		elseif text == false then
			r:raise(line, { text = "too long", at = r:offset() })
			r:stop()
		end
	end,
	gap = function(r, n) r:raise(line, { text = "gap of " .. n, at = r:offset() }) return true end,
	finish = function(r) r:raise(line, { text = "end, " .. r.side, at = r:offset() }) end,
}
line = p:event { name = "line", meaning = "a line",
	fields = { { "text", "string", "without its end" }, { "at", "number" } } }
local mon = mos.monitor {}
]]

describe("an event's fields", function()
	it("are handed to handlers and to filters of events that extend it", function()
		assert.equal([[
5	one
5	has_o	one
9	two
9	has_o	two
9	t_o	two	w
6	three
]], run(lines .. [[
local has_o = mos.event { name = "has_o", parent = line,
	filter = function(_, side, _, _, f) return f.text:find "^[^h]*o$" or f.text == "one" end }
local t_o = mos.event { name = "t_o", parent = has_o, fields = { { "middle", "string" } },
	filter = function(_, side, _, _, f)
		local middle = f.text:match "^t(.)o$"
		return middle and { middle = middle, text = f.text, at = f.at }
	end }
mon:on(line, function(_, side, _, _, f) if f.text ~= "rest" and f.text:find "^[ot]" then print(f.at, f.text) end end)
mon:on(has_o, function(_, side, _, ev, f) if side == "svr" then print(f.at, ev, f.text) end end)
mon:on(t_o, function(_, side, _, ev, f) print(f.at, ev, f.text, f.middle) end)
]], two_lines))
	end)

	it("come with conn:raise, each with its own, and are nil where nothing was given", function()
		assert.equal("1\n2\nnil\nnil\n", run([[
local mine = mos.event { name = "mine", parent = "conn_start" }
local mon = mos.monitor {}
mon:on("conn_start", "snd", function(conn) conn:raise(mine, 1) conn:raise(mine, 2) conn:raise(mine) end)
mon:on(mine, "snd", function(_, _, _, _, f) print(f) end)
mon:on("conn_end", "snd", function(_, side, _, _, f) if side == "cli" then print(f) end end)
]], two_lines))
	end)

	it("are the event's own where its filter answers a table, else its parent's", function()
		assert.equal("table a\nnil b\n", run([[
local a = mos.event { name = "a", parent = "conn_start", fields = { { "x", "number", "of a" } },
	filter = function() return { x = "a" } end }
local b = mos.event { name = "b", parent = "conn_start", filter = function() return { x = "b" } end }
local mon = mos.monitor {}
for _, ev in ipairs { a, b } do
	mon:on(ev, "rcv", function(_, _, _, e, f) print(type(f) .. " " .. e.name) end)
end
]], two_lines))
	end)

	it("are listed by --events", function()
		local _, out = kit.run { kit.script('local mos = require "mos"\n' .. lines), "--events" }
		assert.matches("\n  line extends lines: a line\n    text %(string%): without its end\n    at %(number%)\n", out)
	end)

	it("are checked when they are declared", function()
		local code, _, err = kit.run { kit.script [[
local mos = require "mos"
mos.event { name = "a", parent = "conn_start", fields = { "x" } }]], "--check" }
		assert.equal(1, code)
		assert.matches('%.lua:2: mos.event: fields%[1%] must be { "name", "type", "meaning" }\n', err)
	end)
end)

describe("a parser", function()
	local show = 'mon:on(line, function(_, side, _, _, f) print(side, f.at, f.text) end)\n'
	local expected = "svr\t5\tone\nsvr\t9\ttwo\ncli\t6\tthree\ncli\t6\tend, cli\nsvr\t9\tend, svr\n"

	-- Which side ends first depends on who sends last.
	local function sorted(text)
		local list = {}
		for l in text:gmatch "[^\n]+" do
			list[#list + 1] = l
		end
		table.sort(list)
		return list
	end

	for _, size in ipairs { 1000, 5, 1 } do
		it("does not see how bytes are cut into segments: " .. size, function()
			local capture = kit.pcap(talk.text({ { "C", "one\r\ntwo\nrest" }, { "S", "three\n" } }, { size = size }))
			assert.same(sorted(expected), sorted(run(lines .. show, capture)))
		end)
	end

	it("runs once, whoever listens", function()
		assert.equal(10, select(2, run(lines .. show .. "mon = mos.monitor {}\n" .. show, two_lines):gsub("\n", "")))
	end)

	it("has a place of its own in the stream", function()
		local out = run(lines .. show .. [[
mon:on("conn_new_data", function(conn, side) conn:skip(side) end)
]], two_lines)
		assert.same(sorted(expected), sorted(out))
	end)

	it("is told of gaps, and of units that its buffer cannot hold", function()
		local out = run(lines .. show, kit.pcap [[
0     C S  0:0(0)
+.01  S S. 0:0(0) ack 1
+.01  C .  1:1(0) ack 1
+.01  C P. 1:5(4) ack 1 "one\n"
+.01  C P. 8:12(4) ack 1 "two\n"
+.01  S .  1:1(0) ack 12
+1    S .  1:1(0) ack 12
+.01  C P. 12:42(30) ack 1
]])
		assert.equal("svr\t4\tone\nsvr\t7\tgap of 3\nsvr\t11\ttwo\nsvr\t11\ttoo long\ncli\t0\tend, cli\n", out)
	end)

	it("knows when each byte passed, in the middle of a burst", function()
		local out = run(lines:gsub("at = r:offset%(%)", "at = r:time()") .. show, kit.pcap [[
5     C S  0:0(0)
+.25  S S. 0:0(0) ack 1
+.25  C .  1:1(0) ack 1
+.5   C P. 1:4(3) ack 1 "one"
+.5   C P. 4:9(5) ack 1 "\ntwo\n"
+.5   C P. 1:9(8) ack 1 "one\ntwo\n"
+.5   C P. 9:15(6) ack 1 "three\n"
]])
		assert.equal("svr\t6.5\tone\nsvr\t6.5\ttwo\nsvr\t7.5\tthree\nsvr\t7.5\tend, svr\ncli\t7.5\tend, cli\n", out)
	end)

	it("takes more events from one burst than a queue holds", function()
		local out = run("local n = 0\n" .. lines .. [[
mon:on(line, function() n = n + 1 end)
mos.at_exit(function() print(n) end)
]], kit.pcap(talk.text({ { "C", ("\n"):rep(40000) } }, { size = 20000 })))
		assert.equal("40002\n", out)
	end)

	it("compiles", function()
		local out = run(lines .. [[
local aborted, n = 0, 0
jit.attach(function(what, _, _, _, code)
	-- Attempts are given up for loops inside of others, which come first; what cannot be compiled is "NYI".
	if what == "abort" and require("jit.vmdef").traceerr[code]:find "^NYI" then aborted = aborted + 1 end
end, "trace")
mon:on(line, function(conn, side, pkt, ev, f) n = n + f.at end)
mos.at_exit(function() print(n > 0, aborted) end)
]], kit.pcap(talk.text({ { "C", ("abcdef\n"):rep(4000) } }, { size = 50 })))
		assert.equal("true\t0\n", out)
	end)

	it("is checked", function()
		local code, _, err = kit.run { kit.script 'require("mos").parser { name = "x" }', "--check" }
		assert.equal(1, code)
		assert.matches("%.lua:1: mos.parser: start must be a function, not nil\n", err)
	end)
end)

describe("pkt:udp", function()
	local function datagram(payload, length)
		local function be16(n)
			return ("%04x"):format(n)
		end
		local total = 28 + #payload
		return ("0 raw 02000000000202000000000108004500%s000100004011000001020304050607083039%s%s0000%s\n"):format(
			be16(total), be16(53), be16(length or 8 + #payload), (payload:gsub(".", function(c)
				return ("%02x"):format(c:byte())
			end)))
	end
	local script = [[
local ffi = require "ffi"
local mon = mos.monitor {}
mon:on("orphan", function(_, _, pkt)
	local p, n, from, to = pkt:udp()
	print(p and ffi.string(p, n), n, from, to)
end)
]]

	it("is a datagram's payload and ports", function()
		assert.equal("hello\t5\t12345\t53\n", run(script, kit.pcap(datagram "hello")))
	end)

	it("stays within the packet whatever its header says", function()
		assert.equal("hello\t5\t12345\t53\n", run(script, kit.pcap(datagram("hello", 9999))))
		assert.equal("hello\t5\t12345\t53\n", run(script, kit.pcap(datagram("hello", 3))))
	end)
end)

describe("a library on MOS_PATH", function()
	local function library(manifest, main)
		local dir = kit.tmp ".libs"
		assert(os.execute("mkdir -p " .. kit.quote(dir .. "/shout")) == 0)
		kit.write(dir .. "/shout/manifest.lua", manifest)
		kit.write(dir .. "/shout/init.lua", main or "")
		kit.write(dir .. "/shout/part.lua", 'return "a part"')
		return { env = { MOS_PATH = "/nowhere:" .. dir } }
	end

	it("is required by its name, and told its folder", function()
		local opts = library('return { name = "shout", version = "1" }',
			'local name, dir = ... return { name = name, dir = dir, part = require "shout.part" }')
		assert.matches("^shout\t%S+/shout\ta part\n$", run([[
local shout = require "shout"
mos.at_exit(function() print(shout.name, shout.dir, shout.part) end)
]], two_lines, opts))
	end)

	local function failure(manifest)
		local script = kit.script 'require "shout"'
		local code, _, err = kit.run({ script, "--check" }, library(manifest))
		assert.equal(1, code)
		return err
	end

	it("has a manifest that can do nothing", function()
		assert.matches("manifest.lua:1: attempt to call global 'print'", failure 'print "x" return {}', 1, true)
		assert.matches("manifest.lua: name must be a string", failure "return {}", 1, true)
		assert.matches("its name is 'other', but it lies in a folder 'shout'", failure 'return { name = "other" }', 1, true)
	end)

	it("is missed where it is not", function()
		local code, _, err = kit.run { kit.script 'require "shout"', "--check" }
		assert.equal(1, code)
		assert.matches("module 'shout' not found", err, 1, true)
	end)
end)
