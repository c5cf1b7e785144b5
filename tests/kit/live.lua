-- mos-run while it runs: packets fed one after the other, requests on its control socket in between.

local kit = require "kit"

local live = {}
live.__index = live

-- So many requests are made at most until a condition holds: each takes a few milliseconds.
local PATIENCE = 5000

local function shell(fmt, ...)
	return os.execute(fmt:format(...))
end

-- The bytes of a capture (classic, little-endian) as its header and its records.
local function records_of(path)
	local bytes = kit.read(path)
	local header, at, list = bytes:sub(1, 24), 25, {}
	while at <= #bytes do
		local a, b, c, d = bytes:byte(at + 8, at + 11)
		local n = 16 + a + b * 256 + c * 65536 + d * 16777216
		list[#list + 1] = bytes:sub(at, at + n - 1)
		at = at + n
	end
	return header, list
end

-- Start mos-run on the packets of a capture, none of which is fed yet. Two workers, so that one that waits for packets
-- still answers: the reader is a thread of its own.
function live.start(args)
	local self = setmetatable({ base = kit.tmp "", next = 1, fed = 0 }, live)
	self.socket = ("/tmp/mos-%s-%s"):format(self.base:gsub("[^%w]", "-"):sub(-60), tostring(self):match "0x(%w+)")
	self.header, self.records = records_of(args.capture)
	assert(shell("rm -f %s %s.fifo %s.code && mkfifo %s.fifo", self.socket, self.base, self.base, self.base) == 0)
	local words = { kit.quote(kit.run_path), "-r", "-", "--control", kit.quote(self.socket), "-j", "2" }
	for _, word in ipairs(args) do
		words[#words + 1] = kit.quote(word)
	end
	shell("( %s <%s.fifo >%s.out 2>%s.err; echo $? >%s.code ) & echo $! >/dev/null", table.concat(words, " "), self.base,
		self.base, self.base, self.base)
	self.input = assert(io.open(self.base .. ".fifo", "wb"))
	self.input:write(self.header)
	self.input:flush()
	self:wait(function() return (self:ctl "status") == 0 end, "an answer")
	return self
end

-- Exit code, output and errors of mos-run ctl.
function live:ctl(...)
	return kit.run { "ctl", "--control", self.socket, ... }
end

function live:wait(condition, what)
	for _ = 1, PATIENCE do
		if condition() then
			return
		end
	end
	error(("%s did not come; standard error: %s"):format(what, kit.read(self.base .. ".err")), 2)
end

-- The number of that name in the answer to a command.
function live:number(name, command)
	local _, out = self:ctl("--json", command or "status")
	return tonumber(out:match(('"%s":([%%d.]+)'):format(name)))
end

-- Feed the next n packets (default: all that are left), and wait until they were handled.
function live:feed(n)
	for _ = 1, n or #self.records do
		local record = self.records[self.next]
		if not record then
			break
		end
		self.input:write(record)
		self.next = self.next + 1
		self.fed = self.fed + 1
	end
	self.input:flush()
	self:wait(function() return self:number "packets" == self.fed end, "the last packet")
end

function live:signal(name)
	-- The process of the run, not the shell's around it.
	return shell("kill -%s %d", name, self:number "pid")
end

function live:errors()
	return kit.read(self.base .. ".err")
end

-- End the input. Returns exit code, output and errors.
function live:finish()
	self.input:close()
	self:wait(function()
		local f = io.open(self.base .. ".code")
		local done = f and f:read "*a" ~= ""
		if f then
			f:close()
		end
		return done or shell("sleep 0.01") ~= 0
	end, "the end")
	os.remove(self.socket)
	return tonumber(kit.read(self.base .. ".code")), kit.read(self.base .. ".out"), self:errors()
end

return live
