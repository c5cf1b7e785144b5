-- Busy handlers are compiled, stay compiled, and make no garbage.
local kit = require "kit"

-- 200 connections, four at a time, of 3 + 2 * 20 + 3 packets.
local function busy_capture()
	local lines = {}
	for i = 1, 200 do
		lines[#lines + 1] = ("conn c%d\nclient 10.0.%d.%d:%d\n"):format(i, i / 250, i % 250, 2000 + i)
	end
	local function packets(i)
		local out = { ("c%d.C S 0:0(0)"):format(i), ("c%d.S S. 0:0(0) ack 1"):format(i), ("c%d.C . 1:1(0) ack 1"):format(i) }
		for k = 0, 19 do
			local from, to = 1 + 100 * k, 101 + 100 * k
			out[#out + 1] = ("c%d.C P. %d:%d(100) ack %d"):format(i, from, to, from)
			out[#out + 1] = ("c%d.S P. %d:%d(100) ack %d"):format(i, from, to, to)
		end
		out[#out + 1] = ("c%d.C F. 2001:2001(0) ack 2001"):format(i)
		out[#out + 1] = ("c%d.S F. 2001:2001(0) ack 2002"):format(i)
		out[#out + 1] = ("c%d.C . 2002:2002(0) ack 2002"):format(i)
		return out
	end
	for i = 1, 200, 4 do
		local four = { packets(i), packets(i + 1), packets(i + 2), packets(i + 3) }
		for n = 1, #four[1] do
			for k = 1, 4 do
				lines[#lines + 1] = "+.00001 " .. four[k][n] .. "\n"
			end
		end
	end
	return kit.pcap(table.concat(lines))
end

local capture = busy_capture()

-- No attempt to compile fails. After half of the packets everything is warm: nothing is compiled any more, nor
-- allocated.
local frame = [[
local mos = require "mos"
local mon = mos.monitor {}
local bit, ffi = require "bit", require "ffi"
mos.record "uint32_t n, m; double x; uint64_t bytes;"
local compiled, left, traced, aborted, warm, before, grown = 0, 0, 0, {}, false, 0, 0
local vmdef, util = require "jit.vmdef", require "jit.util"
local root, inside = {}, {}
jit.attach(function(what, tr, fn, pc, code, arg)
	if what == "start" then
		local loc = util.funcinfo(fn, pc).loc
		root[tr] = code and root[code] or loc
		if loc:find "^%(mos%.[cpr]" and not loc:find "^%(mos%.read" and not root[tr]:find "^%(mos%.[cpr]" then
			inside[#inside + 1] = loc
		end
	elseif what == "stop" then
		if util.traceinfo(tr).linktype == "interpreter" then left = left + 1 else compiled = compiled + 1 end
	elseif what == "abort" then
		aborted[#aborted + 1] = util.funcinfo(fn, pc).loc .. ": " .. vmdef.traceerr[code]:format(tostring(arg))
	end
	if warm then traced = traced + 1 end
end, "trace")
local packets = 0
local watch = mos.monitor { raw = true }
watch:on("pkt_in", function(conn, side, pkt)
	packets = packets + 1
	if packets == 4600 then
		warm = true
		collectgarbage() collectgarbage "stop"
		before = collectgarbage "count"
	elseif packets == 9000 then
		grown = collectgarbage "count" - before
	end
end)
mos.at_exit(function()
	print(packets, "compiled", compiled > 0, "left", left, "inside", table.concat(inside, "; "), "later", traced,
		"aborted", table.concat(aborted, "; "))
	io.stderr:write(math.floor(grown))
end)
]]

-- Kilobytes that the last 4400 packets left behind. "left" counts traces that go on in the interpreter, "inside"
-- names fields that compiled handlers leave from, from where they cannot go on.
local function run(body)
	local good, tries = "9200\tcompiled\ttrue\tleft\t0\tinside\t\tlater\tN\taborted\t\n", 0
	local code, out, err, later, rest
	-- When LuaJIT calls a path hot, and where it begins a trace first, depends on the state's random seed: a rare path may
	-- get its side trace late, and some seed in a hundred begins with one that it gives up.
	repeat
		tries = tries + 1
		code, out, err = kit.run { kit.script(frame .. body), "-r", capture }
		assert.equal(0, code, err)
		later = tonumber(out:match "\tlater\t(%d+)\t")
		rest = out:gsub("later\t%d+", "later\tN")
	until rest == good and later <= 4 or tries == 4
	assert.equal(good, rest, err)
	assert.is_true(later <= 4, out)
	return tonumber(err) or error(err)
end

describe("a handler that LuaJIT compiles once, without garbage,", function()
	local cases = {
		{ "counts in conn.rec", "'pkt_in', 'snd'", [[
local rec = conn.rec
rec.n = rec.n + 1
rec.bytes = rec.bytes + pkt.payload_len
if side == "cli" then rec.m = rec.m + 1 end]] },
		{ "looks at flags, numbers and the payload", "'pkt_in', 'rcv'", [[
local rec = conn.rec
if pkt.syn then
	rec.x = pkt.seq
elseif pkt.fin or pkt.rst then
	rec.x = pkt.window
elseif pkt.payload_len > 0 and pkt.payload[0] == 97 then
	rec.n = rec.n + pkt.ack % 2
end
rec.x = rec.x + pkt.ts + pkt.src_port]] },
		{ "reads the counters of both ends", "'pkt_in', 'snd'", [[
local rec, client, server = conn.rec, conn.client, conn.server
rec.x = client.pkts + server.ip_bytes + client.rexmits + client.port + server.window + conn.duration
if conn[side].fin or conn[mos.other[side] ].state == "closed" then rec.m = rec.m + 1 end]] },
		{ "asks for everything", "'pkt_in', 'snd'", [[
local rec, c, s = conn.rec, conn.client, conn.server
rec.x = c.pkts + c.bytes + c.ip_bytes + c.rexmits + c.missed + c.isn + c.window + c.port
rec.x = rec.x + s.pkts + s.bytes + s.ip_bytes + s.rexmits + s.missed + s.isn + s.window + s.port
rec.x = rec.x + conn.start_ts + conn.last_ts + conn.duration + conn.family
rec.x = rec.x + pkt.len + pkt.caplen + pkt.number + pkt.seq + pkt.ack + pkt.window + pkt.urgent + pkt.flags
rec.x = rec.x + pkt.src_port + pkt.dst_port + pkt.ip_len + pkt.payload_len + pkt.payload_caplen + pkt.ts]] },
		{ "tests, searches and reads bytes where they lie", "'conn_new_data'", [[
local rec = conn.rec
if conn:starts_with(side, "abcd") then rec.n = rec.n + 1 end
if conn:find(side, "xyz") then rec.m = rec.m + 1 end
local p, len = conn:peek_into(side, 4096)
if p then rec.bytes = rec.bytes + len + p[0] end
rec.x = rec.x + conn:available(side) + conn:skip(side, 1)
rec.x = rec.x + conn.client.bytes + conn.server.missed]] },
		{ "keeps numbers in conn.data", "'conn_new_data'", [[
local data = conn.data
data.n = (data.n or 0) + conn:available(side)
conn:skip(side)]], 120 },
	}
	for _, case in ipairs(cases) do
		it(case[1], function()
			local kilobytes = run(("mon:on(%s, function(conn, side, pkt, ev)\n%s\nend)"):format(case[2], case[3]))
			assert.is_true(kilobytes <= (case[4] or 3), kilobytes .. " KB")
		end)
	end

	it("sorts packets with events of its own", function()
		local kilobytes = run [[
local data = mos.event { parent = "pkt_in", filter = function(conn, side, pkt) return pkt.payload_len > 0 end }
local large = mos.event { parent = data, filter = function(conn, side, pkt) return conn[side].bytes > 1000 end }
mon:on(data, "snd", function(conn, side) conn.rec.n = conn.rec.n + 1 end)
mon:on(large, "snd", function(conn, side) conn.rec.m = conn.rec.m + 1 end)
]]
		assert.is_true(kilobytes <= 3, kilobytes .. " KB")
	end)

	it("makes strings, which are its only garbage", function()
		assert.is_true(run [[
local seen = {}
mon:on("pkt_in", "snd", function(conn, side, pkt)
	local key = conn.server.addr
	seen[key] = (seen[key] or 0) + 1
end)
]] <= 300)
	end)
end)

describe("a state of LuaJIT", function()
	it("has room for the traces of many branchy handlers", function()
		local body = {}
		for i = 1, 16 do
			body[#body + 1] = ("mon:on(mos.event { parent = 'pkt_in', filter = function() return true end }, 'snd', "
				.. "function(conn, side, pkt)\nlocal rec = conn.rec\n"):format()
			for k = 0, 5 do
				body[#body + 1] = ("if bit.band(pkt.seq, %d) ~= 0 then rec.n = rec.n + %d else rec.m = rec.m + 1 end\n")
					:format(2 ^ k, i)
			end
			body[#body + 1] = "end)\n"
		end
		local code, out, err = kit.run { kit.script([[
local mos, flushed = require "mos", 0
local bit = require "bit"
mos.record "uint32_t n, m;"
jit.attach(function(what) if what == "flush" then flushed = flushed + 1 end end, "trace")
mos.at_exit(function() print("flushed", flushed) end)
local mon = mos.monitor {}
]] .. table.concat(body)), "-r", capture }
		assert.equal(0, code, err)
		assert.equal("flushed\t0\n", out)
	end)
end)
