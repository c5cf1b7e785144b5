-- -j: several workers give what one gives.
local kit = require "kit"

local conn_log = kit.source .. "/scripts/conn_log.lua"

local function sorted(text)
	local lines = {}
	for line in text:gmatch "[^\n]+" do
		lines[#lines + 1] = line
	end
	table.sort(lines)
	return lines
end

local function u16(bytes, at)
	return bytes:byte(at) * 256 + bytes:byte(at + 1)
end

local function be16(n)
	return string.char(math.floor(n / 256), n % 256)
end

local function le32(n)
	return string.char(n % 256, math.floor(n / 256) % 256, math.floor(n / 65536) % 256, math.floor(n / 2 ^ 24) % 256)
end

-- The two fragments of an IPv4 frame, cut behind `first` bytes of its payload; checksums of the header are not kept.
local function fragments(frame, first)
	local head, total = frame:sub(1, 14), u16(frame, 17)
	local ip, payload = frame:sub(15, 34), frame:sub(35, 14 + total)
	local function piece(bytes, field)
		return head .. ip:sub(1, 2) .. be16(20 + #bytes) .. ip:sub(5, 6) .. be16(field) .. ip:sub(9) .. bytes
	end
	return piece(payload:sub(1, first), 0x2000), piece(payload:sub(first + 1), first / 8)
end

-- Rewrite a capture: each frame becomes what edit(frame, number) lists.
local function rewritten(path, edit)
	local bytes, at, n = kit.read(path), 25, 0
	local out = { bytes:sub(1, 24) }
	while at < #bytes do
		local len = bytes:byte(at + 8) + 256 * bytes:byte(at + 9)
		n = n + 1
		for _, frame in ipairs { edit(bytes:sub(at + 16, at + 15 + len), n) } do
			out[#out + 1] = bytes:sub(at, at + 7) .. le32(#frame) .. le32(#frame) .. frame
		end
		at = at + 16 + len
	end
	return kit.write(kit.tmp ".pcap", table.concat(out))
end

-- Many connections at once: some close, some are reset, some time out half open, and time stamps go back now and then.
local function crowd()
	local text = {}
	local function line(...)
		text[#text + 1] = string.format(...)
	end
	for i = 1, 60 do
		line("conn c%d\nclient 10.0.%d.1:%d\nserver 10.0.0.2:80", i, i % 7, 20000 + i)
		line("%.3f c%d.C S 0:0(0)", 100 + i * .01, i)
	end
	for i = 1, 60 do
		if i % 5 > 0 then
			local back = i % 9 == 0 and .2 or 0
			line("%.3f c%d.S S. 0:0(0) ack 1", 101 + i * .01 - back, i)
			line("%.3f c%d.C . 1:1(0) ack 1", 101.001 + i * .01 - back, i)
			line("%.3f c%d.C P. 1:%d(%d) ack 1", 101.002 + i * .01, i, 1 + i * 7, i * 7)
		end
	end
	for i = 1, 60 do
		if i % 5 > 0 then
			if i % 3 == 0 then
				line("%.3f c%d.S R. 1:1(0) ack %d", 103 + i * .01, i, 1 + i * 7)
			else
				line("%.3f c%d.S F. 1:1(0) ack %d", 103 + i * .01, i, 1 + i * 7)
				line("%.3f c%d.C F. %d:%d(0) ack 2", 103.001 + i * .01, i, 1 + i * 7, 1 + i * 7)
				line("%.3f c%d.S . 2:2(0) ack %d", 103.002 + i * .01, i, 2 + i * 7)
			end
		end
	end
	line "conn late\nclient 10.9.9.9:999\n400 late.C S 0:0(0)"
	return kit.pcap(table.concat(text, "\n"))
end

local function check_same(path, ...)
	local code, one, err = kit.run { "-q", conn_log, "-r", path, ... }
	assert.same({ 0, "" }, { code, err })
	for _, j in ipairs { 2, 3 } do
		local again
		code, again, err = kit.run { "-q", "-j", j, conn_log, "-r", path, ... }
		assert.same({ 0, "" }, { code, err })
		assert.same(sorted(one), sorted(again))
	end
	return one
end

describe("with -j 2 and 3", function()
	it("connections are what they are with one worker", function()
		local out = check_same(crowd())
		assert.equal(61, #sorted(out))
		assert.matches('"end_reason":"timeout"', out)
	end)

	it("fragments reach their connection, whichever comes first", function()
		local path = rewritten(crowd(), function(frame, n)
			if #frame < 100 then
				return frame
			end
			local first, second = fragments(frame, 24)
			if n % 2 == 0 then
				return first, second
			end
			return second, first
		end)
		local out = check_same(path)
		assert.matches('"orig_bytes":413,', out)
	end)

	local captures = "../shared/pcaps"
	local list = io.popen(("ls %s/%s/*.pcap* 2>/dev/null"):format(kit.source, captures))
	local paths = {}
	for path in list:lines() do
		paths[#paths + 1] = path
	end
	list:close()
	it("real captures give the same connections, where they are at hand (" .. #paths .. ")", function()
		for _, path in ipairs(paths) do
			local one = select(2, kit.run { "-q", conn_log, "-r", path })
			local two = select(2, kit.run { "-q", "-j", 2, conn_log, "-r", path })
			assert.same(sorted(one), sorted(two), path)
		end
	end)
end)

describe("a worker", function()
	it("knows its number, and ends in turn", function()
		local script = kit.script [[
local mos = require "mos"
print("load", mos.worker, mos.workers)
mos.at_exit(function() print("exit", mos.worker) end)]]
		local code, out, err = kit.run { "-j", 3, script, "-r", crowd() }
		assert.same({ 0, "" }, { code, err })
		assert.equal("load\t1\t3\nload\t2\t3\nload\t3\t3\nexit\t1\nexit\t2\nexit\t3\n", out)
		assert.equal("load\t1\t1\nexit\t1\n", (select(2, kit.run { script, "-r", crowd() })))
	end)

	it("has connections of its own, all of them, and their packets in order", function()
		local script = kit.script [[
local mos = require "mos"
mos.monitor {}:on("pkt_in", "snd", function(conn, _, pkt)
	print(conn.client.port, mos.worker, pkt.number)
end)]]
		local code, out = kit.run { "-j", 3, script, "-r", crowd() }
		assert.equal(0, code)
		local worker, last, workers, packets = {}, {}, {}, 0
		for port, number, packet in out:gmatch "(%d+)\t(%d+)\t(%d+)\n" do
			worker[port] = worker[port] or number
			assert.equal(worker[port], number)
			assert.is_true(tonumber(packet) > (last[port] or 0))
			last[port] = tonumber(packet)
			workers[number] = true
			packets = packets + 1
		end
		assert.same({ ["1"] = true, ["2"] = true, ["3"] = true }, workers)
		local _, one = kit.run { script, "-r", crowd() }
		assert.equal(select(2, one:gsub("\n", "")), packets)
	end)

	it("writes lines whole", function()
		local script = kit.script [[
local mos = require "mos"
mos.monitor {}:on("pkt_in", "snd", function(_, _, pkt)
	print("a", ("x"):rep(3000), pkt.number)
	io.write("b\t", ("y"):rep(3000), "\t", pkt.number, "\n")
end)]]
		local _, out = kit.run { "-j", 3, script, "-r", crowd() }
		local a, b = ("x"):rep(3000), ("y"):rep(3000)
		for line in out:gmatch "[^\n]+" do
			local word, text = line:match "^(%l)\t(%l+)\t%d+$"
			assert.equal(word == "a" and a or b, text)
		end
	end)

	it("that fails ends the run for all with --on-error=stop", function()
		local script = kit.script [[
require "mos".monitor {}:on("pkt_in", "snd", function(_, _, pkt) if pkt.number == 70 then error("no", 0) end end)]]
		local code, _, err = kit.run { "-j", 2, "--on-error=stop", script, "-r", crowd() }
		assert.equal(1, code)
		assert.matches("^mos%-run: error: no %(pkt_in, packet 70%)\n", err)
	end)

	it("counts into one table of --stats", function()
		-- What LuaJIT does is each state's own affair.
		local function counts(...)
			local _, _, err = kit.run { "--stats", conn_log, "-r", crowd(), ... }
			err = assert(err:match "^(.*\n)Script\n")
			return err
		end
		assert.equal(counts(), counts("-j", 3))
	end)
end)

describe("mos.shared", function()
	it("adds up over all workers, also while they contend", function()
		local script = kit.script [[
local mos = require "mos"
local seen, sizes = mos.shared.counter "seen", mos.shared.table "sizes"
mos.monitor {}:on("pkt_in", "snd", function(_, _, pkt)
	seen:add()
	for i = 1, 200 do sizes:add("key" .. i % 3) end
	assert(sizes:add("len" .. pkt.len))
end)
mos.at_exit(function()
	if mos.worker < mos.workers then return end
	local all = {}
	for key, n in sizes:each() do all[#all + 1] = key .. "=" .. n end
	table.sort(all)
	print(seen:sum(), sizes:count(), table.concat(all, " "))
end)]]
		local _, one = kit.run { script, "-r", crowd() }
		local _, three, err = kit.run { "-j", 3, script, "-r", crowd() }
		assert.equal("", err)
		assert.equal(one, three)
		assert.matches("^%d+\t%d+\tkey0=%d+ ", one)
	end)

	it("says when a table is full, and a key is none", function()
		local code, out, err = kit.run { kit.script [[
local t = require "mos".shared.table("small", { max = 1 })
print(t:add "a", t:add "b")
print(t:swap("a", 2, 3), t:swap("a", 1, 7), t:get "a", t:get "b", t:set("a", 8))
print(t:delete "b", t:delete "a", t:count(), t:swap("c", nil, 1))
t:add(7)]], "-r", crowd() }
		assert.equal(1, code)
		assert.equal("1\tnil\tthe table is full\nfalse\ttrue\t7\tnil\t8\nfalse\ttrue\t0\ttrue\n", out)
		assert.matches("%d+%.lua:5: table:add: the key must be a string, not a number\n", err)
	end)
end)

-- Frames of a capture by the client's port, in order.
local function by_connection(path)
	local list = {}
	rewritten(path, function(frame)
		local port = math.max(u16(frame, 35), u16(frame, 37))
		list[port] = list[port] or {}
		table.insert(list[port], frame)
	end)
	return list
end

describe("the output capture", function()
	it("has every packet that was not dropped, each connection's in order", function()
		local path, alone = kit.tmp ".pcap", kit.tmp ".pcap"
		local script = kit.script [[
require "mos".monitor {}:on("pkt_in", "snd", function(_, _, pkt) if pkt.rst then pkt:drop() end end)]]
		local input = crowd()
		assert.equal(0, (kit.run { "-j", 3, script, "-r", input, "-w", path }))
		assert.equal(0, (kit.run { script, "-r", input, "-w", alone }))
		assert.same(by_connection(alone), by_connection(path))
	end)
end)

describe("a damaged capture", function()
	it("counts as far as it goes", function()
		local whole = crowd()
		local cut = kit.write(kit.tmp ".pcap", kit.read(whole):sub(1, -10))
		local code, out, err = kit.run { "-j", 2, conn_log, "-r", cut }
		assert.equal(0, code)
		assert.matches("^mos%-run: warning: [^\n]*truncated", err)
		assert.equal(60, #sorted(out))
	end)
end)

describe("an interrupted run", function()
	it("ends as at the end of the input, with several workers too", function()
		local script = kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
mon:on("conn_start", "snd", function(conn) print("start", conn.client.port) io.stdout:flush() end)
mon:on("conn_end", "snd", function(conn, side) print("end", side, conn.end_reason) end)
mos.at_exit(function() print "exit" end)]]
		local capture = kit.pcap "0 C S 0:0(0)\n+.01 S S. 0:0(0) ack 1\n+.01 C . 1:1(0) ack 1"
		local code, out, err = kit.command { "sh", "-c", [[
			rm -f "$1.in" "$1.out"
			mkfifo "$1.in" "$1.out" || exit 90
			"$2" -j 2 "$3" -r "$1.in" >"$1.out" & run=$!
			exec 3<>"$1.in" 4<"$1.out"
			cat "$4" >&3
			read -r line <&4 && echo "$line"
			kill -s INT $run
			cat <&4
			wait $run]], "sh", kit.tmp ".fifo", kit.run_path, script, capture }
		assert.equal("", err)
		assert.same({ 0, "start\t40000\nend\tcli\tinput\nend\tsvr\tinput\nexit\nexit\n" }, { code, out })
	end)
end)
