-- mos-run --new-monitor NAME: a script, its spec and a capture to begin with, and what lets busted run them.
local capture = require "mos.test.capture"
local segments = require "mos.test.segments"

local script = [[
-- @NAME@: a line per connection with what its client says first.
--
--     mos-run @NAME@/@NAME@.lua -r @NAME@/@NAME@.pcap [-- FILTER]
local mos = require "mos"

local mon = mos.monitor { filter = mos.args[1] or "tcp" }

-- An event of your own: the server has received a whole line.
local line = mos.event {
	name = "@EVENT@", parent = "conn_new_data",
	meaning = "The first line that the client sends is complete.",
	filter = function(conn, side) return side == "svr" and conn:find(side, "\n") end,
}

mon:on(line, function(conn, side)
	print(conn.client, conn:peek(side):match "[^\r\n]*")
	conn:stop()
end)
]]

local spec = [[
-- busted @NAME@
local t = require "mos.test"

local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local script = here .. "@NAME@.lua"

describe("@NAME@", function()
	local conv = t.tcp { client = "192.0.2.1:40000" }:send("client", "hello\r\nworld\r\n"):close()

	it("prints what each client says first", function()
		local run = t.run(script, conv)
		assert.equal("192.0.2.1:40000\thello\n", run.out)
		assert.events { { "@EVENT@", side = "svr" } }
	end)

	it("does not depend on how bytes are cut into segments", function()
		t.every_split(conv, script)
	end)

	it("stands packets that come twice, late, or never", function()
		local run = t.run(script, conv:split(5):duplicate(4):reorder(5, 2):lose(function(p) return p.side == "S" end))
		assert.equal("192.0.2.1:40000\thello\n", run.out)
	end)

	it("takes a filter", function()
		assert.equal("", t.run(script, conv, { args = { "tcp port 25" } }).out)
	end)

	it("says of its capture what it should", function()
		local run = t.run(script, t.capture(here .. "@NAME@.pcap"))
		assert.equal("192.0.2.7:51000\tGET /first HTTP/1.1\n[2001:db8::7]:51001\tEHLO client.example\n", run.out)
	end)
end)
]]

local packets = [[
conn web
client 192.0.2.7:51000
server 198.51.100.1:80
1700000000 web.C S 0:0(0) <mss 1460>
+.02 web.S S. 0:0(0) ack 1 <mss 1460>
+.02 web.C . 1:1(0) ack 1
+.01 web.C P. 1:42(41) ack 1 "GET /first HTTP/1.1\r\nHost: example.com\r\n\r"
+.01 web.C P. 42:43(1) ack 1 "\n"
+.02 web.S P. 1:20(19) ack 43 "HTTP/1.1 200 OK\r\n\r\n"
+.01 web.C F. 43:43(0) ack 20
+.01 web.S F. 20:20(0) ack 44
+.01 web.C . 44:44(0) ack 21
conn mail
client [2001:db8::7]:51001
server [2001:db8::25]:25
+.1 mail.C S 0:0(0) <mss 1440>
+.02 mail.S S. 0:0(0) ack 1 <mss 1440>
+.02 mail.C . 1:1(0) ack 1
+.02 mail.S P. 1:17(16) ack 1 "220 example.com\n"
+.02 mail.C P. 1:22(21) ack 17 "EHLO client.example\r\n"
+.02 mail.S P. 17:21(4) ack 22 "250\n"
+.02 mail.C R. 22:22(0) ack 21
]]

local busted = [[
-- busted runs on LuaJIT here, and finds require "mos.test".
return { _all = { lua = "luajit", cpath = @CPATH@ } }
]]

local function exists(path)
	local f = io.open(path, "rb")
	if f then
		f:close()
	end
	return f ~= nil
end

local function read(path)
	local f = io.open(path, "rb")
	local text = f and f:read "*a"
	if f then
		f:close()
	end
	return text
end

local function write(path, bytes)
	local f, why = io.open(path, "wb")
	if not f then
		error(why, 0)
	end
	f:write(bytes)
	if not f:close() then
		error(path .. ": not written", 0)
	end
end

-- Where require finds mos/test.so: next to the executable, or where it is installed.
local function find_module(dir)
	for _, place in ipairs { dir, dir:gsub("/[^/]*$", "") .. "/lib/lua/5.1" } do
		if exists(place .. "/mos/test.so") then
			return place .. "/?.so"
		end
	end
	error("there is no mos/test.so next to mos-run: build it, or install mos-run whole", 0)
end

local function configure(cpath)
	local config = busted:gsub("@CPATH@", (("%q"):format(cpath):gsub("%%", "%%%%")))
	local there = read ".busted"
	if there and not (there:find("luajit", 1, true) and there:find(cpath, 1, true)) then
		print(".busted is not of mos-run's making and stays; what it should have is:\n" .. config)
	elseif not there then
		write(".busted", config)
		print ".busted: what lets busted run on LuaJIT and find mos.test"
	end
end

-- dir is the executable's; make_folder(path) makes a folder, or answers a reason.
return function(name, dir, make_folder)
	if not name:match "^[%a_][%w_-]*$" then
		error(("a monitor's name is made of letters, digits, '_' and '-', not '%s'"):format(name), 0)
	end
	local cpath = find_module(dir)
	local why = make_folder(name)
	if why then
		error(("%s: %s"):format(name, why), 0)
	end
	local event = name:gsub("-", "_") .. "_line"
	local function fill(text)
		return (text:gsub("@NAME@", name):gsub("@EVENT@", event))
	end
	local base = name .. "/" .. name
	write(base .. ".lua", fill(script))
	write(base .. "_spec.lua", fill(spec))
	write(base .. ".pcap", capture.encode(assert(segments.parse(packets))))
	print(("%s.lua: the monitor; mos-run %s.lua -r %s.pcap"):format(base, base, base))
	print(("%s_spec.lua: its spec; busted %s"):format(base, name))
	print(("%s.pcap: a capture"):format(base))
	configure(cpath)
end
