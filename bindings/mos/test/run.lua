-- A script at work in this process: what it is fed, and what came of it.
local core = require "mos.test.core"
local check = require "mos.check"
local conversation = require "mos.test.conversation"
local packets = require "mos.test.packets"

local run = {}

local Run = {}
Run.__index = Run

-- The last one made, which assertions mean when they name none.
run.last = nil

local kinds = { args = "table", burst = "number", errors = "boolean", midstream = "boolean",
	verify_checksums = "boolean", linger = "number", max_conns = "number", buffer_memory = "number", on_error = "string" }
local on_error = { pass = 0, drop = 1, stop = 2 }

local function bytecode(level, fn)
	local name, value = debug.getupvalue(fn, 1)
	if name then
		check.fail(level + 1, "the script runs in a Lua state of its own and cannot use '%s' (%s) from outside; "
			.. "require what it needs inside, and note() what the test should see", name, type(value))
	end
	return string.dump(fn), debug.getinfo(fn, "S").short_src
end

-- A script is a path, its source (more than one line), or a function without upvalues.
local function describe_script(level, script, options)
	if type(script) == "function" then
		options.text, options.path = bytecode(level + 1, script)
	elseif type(script) ~= "string" then
		check.fail(level + 1, "a script is the path of a file, its source, or a function, not a %s", type(script))
	elseif script:find "\n" then
		options.text, options.path = script, "script"
	else
		options.path = script
	end
end

local function stop_on_failure(self, level)
	local failed = self.session:errors()
	if failed > self.failed and not self.options.errors then
		self.failed = failed
		check.fail(level + 1, "the script failed:\n%s", self.log)
	end
	self.failed = failed
end

local function after(self)
	self.out, self.log = self.session:output()
	self.now = self.session:advance(nil, self.events, self.leaving)
end

-- Begin: load the script. What comes next is told by play, advance and finish.
function run.start(level, script, options)
	options = options or {}
	check.options(level + 1, "t.run", options, kinds)
	local given = { args = {} }
	for k, v in pairs(options) do
		given[k] = v
	end
	for i, arg in ipairs(options.args or {}) do
		given.args[i] = tostring(arg)
	end
	given.on_error = on_error[options.on_error or "pass"] or
		check.fail(level + 1, "on_error is 'pass', 'drop' or 'stop', not '%s'", tostring(options.on_error))
	describe_script(level + 1, script, given)
	local session, why = core.start(given)
	if not session then
		check.fail(level + 1, "%s", why)
	end
	local self = setmetatable({
		session = session, options = options, events = {}, packets = {}, leaving = {}, described = {}, failed = 0, conns = {},
	}, Run)
	after(self)
	run.last = self
	return self
end

local function to_conversation(level, what)
	if conversation.is(what) then
		return what
	elseif type(what) == "string" then
		return conversation.read(level + 1, what)
	end
	check.fail(level + 1, "what is played is a conversation, such as t.tcp makes, or a capture's path, not a %s",
		type(what))
end

-- Feed a conversation; burst is how many packets are handled before conn_new_data is raised (1 unless said).
function Run:play(conv, burst)
	conv = to_conversation(2, conv)
	local n = #self.described
	for i, p in ipairs(conv.packets) do
		self.described[n + i] = packets.describe(p, self.conns)
	end
	self.session:play(conv.packets, 1, #conv.packets, burst or self.options.burst or 1, self.events, self.packets,
		self.leaving)
	after(self)
	stop_on_failure(self, 2)
	return self
end

-- Let so many seconds pass without a packet: timers fire, idle connections end.
function Run:advance(seconds)
	check.argument(2, "advance", "the time", seconds, "number")
	self.session:advance(seconds, self.events, self.leaving)
	after(self)
	stop_on_failure(self, 2)
	return self
end

-- The end of the input: connections end, what mos.at_exit was given runs.
function Run:finish()
	self.session:finish(self.events, self.leaving)
	after(self)
	stop_on_failure(self, 2)
	return self
end

-- Release it before the collector does.
function Run:close()
	self.session:close()
end

-- Events of that name, in order.
function Run:named(name)
	local out = {}
	for _, e in ipairs(self.events) do
		if e.name == name then
			out[#out + 1] = e
		end
	end
	return out
end

-- Packets as they left, in order: those that no handler dropped, and, with made, those that handlers made.
function Run:left()
	local out, conns = {}, {}
	for k, v in pairs(self.conns) do
		conns[k] = v
	end
	for i, p in ipairs(self.leaving) do
		out[i] = packets.describe(p, conns)
		out[i].made = p.made
	end
	return out
end

-- The whole of it: load, play, finish.
function run.whole(level, script, conv, options)
	conv = to_conversation(level + 1, conv)
	local self = run.start(level + 1, script, options)
	local ok, why = pcall(function()
		self:play(conv)
		self:finish()
	end)
	self:close()
	if not ok then
		error(why, 0)
	end
	return self
end

return run
