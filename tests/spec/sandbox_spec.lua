-- Attempts to get out of the sandbox.
local kit = require "kit"

local capture = kit.pcap [[
	0     C S  0:0(0)
	+.01  S S. 0:0(0) ack 1 <mss 1460>
	+.01  C .  1:1(0) ack 1
	+.01  C P. 1:5(4) ack 1 "ping"
	+.01  S P. 1:5(4) ack 5 "pong"
]]

local head = [[
local mos = require "mos"
local mon = mos.monitor { filter = "tcp", name = "m" }
]]

local function run(source, ...)
	return kit.run { kit.script(head .. source), "-r", capture, "--sandbox", ... }
end

-- What the script prints, one attempt after the other.
local function printed(source, ...)
	local code, out, err = run(source, ...)
	assert.equal(0, code, err)
	assert.equal("", err)
	return out
end

describe("a script in the sandbox", function()
	it("has no way to the world among its globals", function()
		local out = printed [[
for name in ("ffi package getfenv setfenv module newproxy dofile loadfile gcinfo"):gmatch "%S+" do
	assert(_G[name] == nil, name)
end
for library, names in pairs { os = { "execute", "exit", "getenv", "tmpname", "setlocale" },
	io = { "popen", "tmpfile", "input", "output", "read", "close", "stdin" }, string = { "dump" },
	debug = { "getupvalue", "setupvalue", "upvaluejoin", "upvalueid", "getinfo", "getlocal", "setlocal", "getregistry",
		"getmetatable", "setmetatable", "getfenv", "setfenv", "sethook", "gethook", "debug" },
	jit = { "on", "off", "flush", "attach", "opt", "util", "status", "security", "prngstate" },
	mos = { "load", "parser" } } do
	local t = library == "mos" and mos or _G[library]
	for _, name in ipairs(names) do
		assert(rawget(t, name) == nil, library .. "." .. name)
	end
end
assert(("x").dump == nil)
print "done"]]
		assert.equal("done\n", out)
	end)

	it("requires nothing that leads out", function()
		local out = printed [[
for _, name in ipairs { "ffi", "jit", "jit.util", "jit.opt", "jit.v", "debug", "io", "os", "package", "string.buffer",
	"mos.ffi", "mos.host", "mos.conn", "mos.pkt", "mos.check", "mos.handler", "mos.object", "mos.parser", "mos.sandbox",
	"mos.test", "mos.events.../host", "mos.events.", "../x", "a..b", "/etc/passwd", "", "mos_ffi.h" } do
	assert(not pcall(require, name), name)
end
assert(not pcall(require) and not pcall(require, {}) and not pcall(require, 5))
assert(require "mos" == mos and require "mos.json" and require "mos.events.http")
print "done"]]
		assert.equal("done\n", out)
	end)

	it("finds nothing dangerous in whatever it can reach", function()
		local out = printed [[
local seen, found = {}, {}
local function look(v, path)
	local kind = type(v)
	if kind == "cdata" then
		-- Handles and 64-bit numbers: neither can be followed, nor moved.
		for _, try in ipairs {
			function() return v + 1 end, function() return v - 1 end, function() v[0] = 1 end,
			function() v.x = 1 end, function() return v() end, function() return #v end,
		} do
			local ok, what = pcall(try)
			if ok and not (type(what) == "cdata" and tostring(what):find "^%-?%d+U?LL$") then
				found[#found + 1] = path
			end
		end
		local ok, what = pcall(function() return v[0] end)
		if ok and what ~= nil then found[#found + 1] = path .. "[0]" end
	end
	if kind == "userdata" or kind == "thread" then
		found[#found + 1] = path .. " is a " .. kind
	end
	if (kind ~= "table" and kind ~= "string") or seen[v] then return end
	seen[v] = true
	local mt = getmetatable(v)
	if type(mt) == "table" then look(mt, path .. "<meta>") end
	if kind == "table" then
		for k, x in next, v do
			look(k, path .. "<key>")
			look(x, path .. "." .. tostring(k))
		end
	end
end
local counter, numbers = mos.shared.counter "c", mos.shared.table "t"
local timer = mos.every(1, function() end)
local ev = mos.event { name = "mine", parent = "pkt_in", filter = function() return true end }
mos.record "uint32_t n; double x[2];"
local n = 0
mon:on(ev, "snd", function(conn, side, pkt, e)
	n = n + 1
	look({ conn = conn, pkt = pkt, e = e, rec = conn.rec, x = conn.rec.x, payload = pkt.payload, data = pkt.data,
		client = conn.client, view = { conn:peek_into "svr" }, udp = { pkt:udp() }, option = { pkt:option(2) },
		ns = pkt.ts_ns, runs = conn:fragments "svr", key = conn.uid }, "handler")
end)
mon:on("conn_new_data", function(conn, side) look({ conn:peek_into(side) }, "data") end)
local co = coroutine.wrap(function(...)
	local given = { ... }
	while true do
		look(given, "wrapped")
		given = { coroutine.yield() }
	end
end)
mos.monitor { name = "other" }:on("pkt_in", "snd", co)
mos.at_exit(function()
	look(_G, "_G") look(mos, "mos") look(mon, "mon") look({ counter, numbers, timer, ev }, "objects")
	look({ require "mos.json", require "mos.events.http", require "mos.events.dns" }, "libraries")
	print(n, table.concat(found, " "))
end)]]
		assert.equal("5\t\n", out)
	end)

	it("cannot reach past a packet, a record, or a payload", function()
		local out = printed [[
mos.record "uint32_t n; double x[2]; char s[4];"
mon:on("pkt_in", "snd", function(conn, side, pkt)
	local rec = conn.rec
	if pkt.payload_len == 0 then return end
	assert(pkt.payload[0] == 112 and pkt.payload[3] == 103)
	for _, i in ipairs { -1, 4, 1e9, 0 / 0, -0.5, 2 ^ 53, "0", {}, 1ULL } do
		local ok, v = pcall(function() return pkt.payload[i] end)
		assert(not ok or v == nil, tostring(i))
	end
	assert(not pcall(function() pkt.payload[0] = 1 end) and not pcall(function() pkt.data[0] = 1 end))
	assert(pkt.data[pkt.caplen] == nil and pkt.data[0] ~= nil)
	for _, i in ipairs { -1, 2, 1e9, 0 / 0, "0", 1ULL } do
		assert(not pcall(function() return rec.x[i] end), tostring(i))
		assert(not pcall(function() rec.x[i] = 1 end), tostring(i))
	end
	assert(not pcall(function() return rec.none end) and not pcall(function() rec.x = 5 end))
	assert(not pcall(function() rec.s = ("x"):rep(100) end) or rec.s == "xxxx")
	rec.x[1] = 2
	assert(rec.x[1] == 2 and #pkt:payload_string(-1) == 0 and #pkt:payload_string(1e9) == 4)
	assert(pkt:payload_string(0 / 0) and not pcall(pkt.payload_string, pkt, {}))
	assert(not pcall(conn.ppeek, conn, "svr", 0, -1) and not pcall(conn.ppeek, conn, "svr", 0, 2 ^ 40))
	conn:ppeek("svr", -5, 10) conn:find("svr", "x", -1) conn:peek("svr", -1) conn:skip("svr", -1)
	print "packet"
end)]]
		assert.equal("packet\npacket\n", out)
	end)

	it("cannot declare a record of pointers", function()
		for _, fields in ipairs { "void *p;", "char *p;", "struct { int a; } s;", "union { int a; char *p; } u;",
			"int (*f)(void);", "int a : 3;", "uintptr_t *x;", "mos_ctx x;", "struct mos_ctx x;", "int a[2][2];", "int a[];",
			"int a; } s; struct { void *p;", "int a /* */ *p;", "int a __attribute__((aligned(4)));" } do
			local code, _, err = run(("mos.record %q"):format(fields))
			assert.equal(1, code)
			assert.matches("mos.record: ", err, 1, true)
		end
	end)

	it("cannot make a handle of its own, nor use a method on something else", function()
		local out = printed [[
local methods = { "peek", "peek_into", "skip", "find", "state", "stop", "on", "off", "raise", "set_buffer", "reset" }
mon:on("conn_start", "snd", function(conn, side, pkt)
	for _, name in ipairs(methods) do
		local method = conn[name]
		for _, h in ipairs { 5, 1e300, "x", {}, pkt, 12345ULL, conn.client, print } do
			assert(not pcall(method, h, "cli"), name)
		end
		assert(not pcall(method))
	end
	assert(not pcall(function() conn.rec = 1 end))
	print(pcall(function() return conn + 1 end))
end)
local Monitor = getmetatable(mon)
for _, sock in ipairs { -1, 64, 1e9, "x", {}, 2 ^ 40, 0 / 0 } do
	pcall(Monitor.on, setmetatable({ sock = sock }, Monitor), "pkt_in", "snd", print)
	pcall(Monitor.close, setmetatable({ sock = sock }, Monitor))
end]]
		assert.matches("^false\t", out)
	end)

	it("cannot load bytecode", function()
		local bytecode = kit.tmp ".luac"
		kit.write(bytecode, string.dump(function() return 1 end))
		local out = printed(([[
local f, why = load("\27LJ\2\0", "x", "b")
print(f, (why:gsub(".*: ", "")))
print((loadstring "\27LJ\2\0\0"))
print((load(function() return nil end)))
local code = load("return type(_G), ffi, getfenv, package, debug.getinfo")
print(code())
print(load("x = 1", "n", "t", {})())
print(pcall(load, string.rep))]]))
		assert.matches("^nil\tattempt to load chunk with wrong mode\nnil\n", out)
		assert.matches("table\tnil\tnil\tnil\tnil\n", out)
		local code, _, err = kit.run { bytecode, "-r", capture, "--sandbox" }
		assert.equal(1, code)
		assert.matches("wrong mode", err)
	end)

	it("cannot poison what the modules of mos-run use", function()
		local out = printed [[
assert(not pcall(function() getmetatable("").__index = function() return print end end))
string.format, string.gsub, string.find = nil, nil, nil
table.concat, table.insert, table.sort = error, error, error
math.floor, bit.band, tostring, type, pairs, ipairs, error = nil, nil, nil, nil, nil, nil, nil
setmetatable(_G, { __index = function() return nil end })
mos.at_exit(function() print(("%d"):format(5)) end)
mos.every(1, function() end)
mon:on("pkt_in", "snd", function(conn, side, pkt) local x = conn.data, pkt:payload_string() end)]]
		assert.equal("5\n", out)
	end)

	it("cannot hook, stop the collector, or change the compiler", function()
		local out = printed [[
print(pcall(collectgarbage, "stop"), pcall(collectgarbage, "setpause", 1000000), pcall(collectgarbage))
print(type(collectgarbage "count"), jit.version ~= nil, debug.traceback("x"):match "^x")]]
		assert.matches("^false\tfalse\tfalse\t", out)
		assert.matches("number\ttrue\tx\n", out)
	end)

	it("writes in its data folder alone, and reads there and next to itself", function()
		local data = kit.tmp ".data"
		os.execute(("rm -rf %s && mkdir -p %s/sub && ln -s /etc %s/etc && ln -s /etc/passwd %s/link && echo x > %s/old "
			.. "&& ln %s/old %s/hard && mkfifo %s/pipe"):format(data, data, data, data, data, data, data, data))
		local code, out, err = run(([[
local data = %q
local function try(path, mode)
	local f = io.open(path, mode)
	if f then f:close() end
	return f ~= nil
end
for _, path in ipairs { "/tmp/mos-out", "/etc/passwd", data .. "/../out", data .. "/etc/x", data .. "/link",
	data .. "/hard", data .. "/pipe",
	data, data .. "/sub/../../out", "", ".", "..", data .. "\0/x", data .. "x/y", "/dev/full" } do
	for _, mode in ipairs { "w", "a", "r+", "w+", "a+b" } do
		assert(not try(path, mode), path)
	end
	assert(not os.remove(path) and not os.rename(path, data .. "/got") and not os.rename(data .. "/ok", path), path)
end
for _, path in ipairs { "/etc/passwd", "/etc/../etc/passwd", data .. "/etc/passwd", data .. "/link",
	"/proc/self/mem" } do
	assert(not try(path, "r") and not pcall(io.lines, path), path)
end
assert(not try(data .. "/x", "rw") and not try(data .. "/x", "e") and not pcall(io.open, data .. "/x", "w,ccs=UTF-8")
	or not try(data .. "/x", "r"))
assert(try(data .. "/ok", "w") and try(data .. "/sub/ok", "w") and try(data .. "/ok", "r"))
assert(os.rename(data .. "/ok", data .. "/moved") and os.remove(data .. "/moved"))
io.stdout:write "written\n" io.write("too", "\n") io.stdout:flush()
assert(io.stdout.close == nil)
]]):format(data), "--data-dir", data)
		assert.equal(0, code, err)
		assert.equal("written\ntoo\n", out)
		assert.is_nil(io.open "/tmp/mos-out")
	end)

	it("may not write at all without a data folder", function()
		assert.matches("may write in %-%-data%-dir only", printed [[print(io.open("x", "w"))]])
	end)

	it("requires modules next to it, which are in the sandbox too", function()
		local dir = kit.tmp ".d"
		os.execute(("mkdir -p %s/sub && rm -f %s/out.lua && ln -s /etc/passwd %s/out.lua"):format(dir, dir, dir))
		kit.write(dir .. "/helper.lua", "return { ffi = ffi, name = ..., ok = pcall(require, 'ffi') }")
		kit.write(dir .. "/sub/init.lua", "return 7")
		local path = kit.write(dir .. "/main.lua", head .. [[
local h = require "helper"
print(h.ffi, h.name, h.ok, require "sub", require "helper" == h, (pcall(require, "out")), (pcall(require, "none")))]])
		local code, out, err = kit.run { path, "-r", capture, "--sandbox" }
		assert.equal(0, code, err)
		assert.equal("nil\thelper\tfalse\t7\ttrue\tfalse\tfalse\n", out)
	end)

	it("does its work", function()
		local out = printed [[
local http = require "mos.events.http"
local seen = mos.shared.counter "seen"
local t = mos.shared.table("ports", { max = 10 })
mos.record "uint32_t n; char first[8];"
mon:on("pkt_in", "snd", function(conn, side, pkt)
	conn.rec.n = conn.rec.n + 1
	seen:add()
	t:add(tostring(pkt.dst_port), 1)
end)
mon:on("conn_new_data", function(conn, side)
	local view, n = conn:peek_into(side)
	if conn.rec.first == "" then conn.rec.first = string.char(view[0], view[n - 1]) end
	conn.data.n = (conn.data.n or 0) + n
end)
mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" then print(conn.client.addr, conn.rec.n, conn.rec.first, conn.data.n, seen:sum(), t:get "80") end
end)]]
		assert.equal("10.0.0.1\t5\tpg\t8\t5\t3\n", out)
	end)

	it("digests strings, and nothing else", function()
		local out = printed [[
			local crypto = require "mos.crypto"
			local ok = pcall(crypto.sha256, 12)
			print(crypto.md5 "", crypto.certificate, ok, #crypto.sha256 "x")
		]]
		assert.matches("^d41d8cd98f00b204e9800998ecf8427e\tnil\tfalse\t64\n$", out)
	end)

	it("runs the monitors that need no more", function()
		for _, name in ipairs { "http_log", "tls_log", "dns_log", "hello" } do
			local script = kit.script(kit.read(("%s/scripts/%s.lua"):format(os.getenv "MOS_SOURCE", name)))
			local code, _, err = kit.run { "--sandbox", script, "-r", os.getenv "MOS_SOURCE" .. "/tests/pcaps/http.pcap" }
			assert.equal(0, code, name .. ": " .. err)
			assert.equal("", err)
		end
	end)

	it("is there without being asked for where the script is another user's", function()
		local path = kit.script "print(ffi, package)"
		local _, root = kit.command { "id", "-u" }
		if root ~= "0\n" or os.execute(("chown 12345 %s"):format(path)) ~= 0 then
			pending "only root can give files away"
			return
		end
		local _, out = kit.run { path, "-r", capture }
		assert.equal("nil\tnil\n", out)
		_, out = kit.run { path, "-r", capture, "--sandbox=off" }
		assert.matches("^nil\ttable: ", out)
		_, out = kit.run { kit.script "print(ffi, package)", "-r", capture }
		assert.matches("^nil\ttable: ", out)
	end)

	it("has an option that is written so", function()
		local code, _, err = kit.run { kit.script "", "-r", capture, "--sandbox=maybe" }
		assert.equal(2, code)
		assert.matches("--sandbox takes nothing or '=off', not '=maybe'", err, 1, true)
	end)
end)
