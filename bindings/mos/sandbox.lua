-- What a script that is not trusted sees: its own globals, copies of the harmless libraries, `require "mos"` without
-- what reaches C, and bytes by methods that check, never by pointers. docs/scripting.md lists it.
--
-- The rule: nothing that a script can get hold of is a pointer to memory that it may read or write, other than a handle
-- of a connection, which nothing follows; nor leads to the environment of the modules here, whose functions use the
-- FFI.
local real = _G
local ffi = require "ffi"
local check = require "mos.check"
local conn = require "mos.conn"
local history = require "mos.history"
local pkt = require "mos.pkt"
local lib = require "mos.ffi"
local host = require "mos.host"

-- Functions made here are no modules' own: what they are given as handlers is what scripts are given.
setfenv(1, setmetatable({}, { __index = real }))

local C, ctx = lib.C, lib.ctx
local strings = string

local function copy(from, names)
	local to = {}
	for name in names:gmatch "%S+" do
		to[name] = from[name]
	end
	return to
end

local env = copy(real, "_VERSION assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select "
	.. "setmetatable tonumber tostring type unpack xpcall print")
env._G = env
env.bit = copy(bit, "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex")
env.coroutine = copy(coroutine, "create isyieldable resume running status wrap yield")
env.math = copy(math, "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min "
	.. "modf pi pow rad random randomseed sin sinh sqrt tan tanh")
env.string = copy(string, "byte char find format gmatch gsub len lower match rep reverse sub upper")
env.table = copy(table, "concat insert maxn move remove sort unpack")
env.debug = { traceback = debug.traceback }
env.jit = copy(jit, "arch os version version_num")

function env.collectgarbage(what)
	if what == "count" then
		return (collectgarbage "count")
	end
	error("collectgarbage: a script in the sandbox may ask for \"count\"", 2)
end

-- Source only: bytecode is not checked by anybody.
local function load_text(chunk, name, _, into)
	return load(chunk, name ~= nil and tostring(name) or "=(load)", "t", into == nil and env or into)
end

env.load = load_text

function env.loadstring(text, name)
	return load_text(tostring(text), name ~= nil and name or text)
end

-- Files: read next to the script and in the data folder, written in the data folder.

local function inside(path, folder)
	return folder and C.mos_ffi_path_inside(path, folder) ~= 0
end

local function refuse(path, what)
	return nil, ("%s: a script in the sandbox %s"):format(tostring(path), what)
end

local reads, writes = "may read next to itself and in --data-dir only", "may write in --data-dir only"

local function may_read(path)
	return type(path) == "string" and not path:find("\0", 1, true)
		and (inside(path, host.script_dir) or inside(path, host.data_dir))
end

local function may_write(path)
	return type(path) == "string" and not path:find("\0", 1, true) and inside(path, host.data_dir)
end

-- The streams that all share may be written to, not closed.
local function stream(file)
	local self = {}
	function self.write(_, ...)
		file:write(...)
		return self
	end
	function self.flush()
		file:flush()
		return self
	end
	return self
end

env.io = { stdout = stream(io.stdout), stderr = stream(io.stderr), type = io.type }

function env.io.write(...)
	io.write(...)
	return env.io.stdout
end

local modes = { r = may_read, rb = may_read }

function env.io.open(path, mode)
	mode = mode == nil and "r" or mode
	if type(mode) ~= "string" or not mode:find "^[rwa]%+?b?$" then
		return refuse(path, "opens files with \"r\", \"w\", \"a\" and the like")
	elseif modes[mode] then
		if not may_read(path) then
			return refuse(path, reads)
		end
	elseif not may_write(path) then
		return refuse(path, writes)
	end
	return io.open(path, mode)
end

function env.io.lines(path)
	if not may_read(path) then
		error((select(2, refuse(path, reads))), 2)
	end
	return io.lines(path)
end

env.os = copy(os, "clock date difftime time")

function env.os.remove(path)
	if not may_write(path) then
		return refuse(path, writes)
	end
	return os.remove(path)
end

function env.os.rename(from, to)
	if not may_write(from) or not may_write(to) then
		return refuse(from, writes)
	end
	return os.rename(from, to)
end

-- Bytes without pointers. A view is asked by index, from 0 on as a pointer is; outside of it is nil.

local function closed(name)
	return function()
		error(name .. " cannot be changed this way", 2)
	end
end

local function view(at, length)
	return setmetatable({}, {
		__metatable = false,
		__index = function(_, i)
			if type(i) == "number" and i >= 0 and i < length() then
				return at(math.floor(i))
			end
		end,
		__newindex = closed "the bytes of a packet",
	})
end

local payload = view(function(i)
	local p = pkt.current()
	return p.data[p.payload + i]
end, function()
	local p = pkt.current()
	return p.decoded == C.MOS_DECODED_TCP and p.payload_caplen or 0
end)

local frame = view(function(i)
	return pkt.current().data[i]
end, function()
	return pkt.current().caplen
end)

local function string_view(s)
	return view(function(i)
		return s:byte(i + 1)
	end, function()
		return #s
	end)
end

-- (pointer, length, ...) as (string, ...)
local function as_string(p, len, ...)
	if p == nil then
		return nil
	end
	return ffi.string(p, len), ...
end

local udp, option = pkt.members.udp, pkt.members.option

host.safe_packet = pkt.variant({
	payload = function(p)
		return p.decoded == C.MOS_DECODED_TCP and payload or nil
	end,
	data = function()
		return frame
	end,
}, {
	udp = function()
		return as_string(udp())
	end,
	option = function(_, kind)
		return as_string(option(nil, kind))
	end,
})

-- A method is called with the handle that it was taken from: C follows what else it might be given.
local handle_t = ffi.typeof "struct mos_handle *"

local function checked(name, fn)
	return function(h, ...)
		if not ffi.istype(handle_t, h) then
			error("call it with a colon: conn:" .. name .. "(...)", 2)
		end
		return fn(h, ...)
	end
end

for name, fn in pairs(conn.members) do
	if not conn.is_field[name] then
		conn.method(name, checked(name, fn))
	end
end

local peek = conn.members.peek

conn.method("peek_into", function(h, side, max)
	local s, why, n = peek(h, side, max)
	if s then
		return string_view(s), #s
	end
	return nil, why, n
end)

-- Records: scalars, and arrays of them with their bounds.
local scalars = {}
for name in ("int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t char bool float double int unsigned "
	.. "short long size_t"):gmatch "%S+" do
	scalars[name] = true
end

local handles = setmetatable({}, { __mode = "k" })

local function array(h, name, n, raw)
	local self = setmetatable({}, {
		__metatable = false,
		__index = function(self, i)
			if type(i) ~= "number" or not (i >= 0 and i < n) then
				error(("conn.rec.%s has elements 0 to %d"):format(name, n - 1), 2)
			end
			return raw(handles[self])[name][math.floor(i)]
		end,
		__newindex = function(self, i, value)
			if type(i) ~= "number" or not (i >= 0 and i < n) then
				error(("conn.rec.%s has elements 0 to %d"):format(name, n - 1), 2)
			end
			raw(handles[self])[name][math.floor(i)] = value
		end,
	})
	handles[self] = h
	return self
end

-- { name = 0 for a scalar, else how many elements }, and which are text.
local function parse(text)
	local sizes, texts = {}, {}
	if text:find "[^%w_%s;,%[%]]" then
		return nil
	end
	for declaration in text:gmatch "[^;]+" do
		local kind, rest = declaration:match "^%s*([%w_]+)%s+(.-)%s*$"
		if kind and not scalars[kind] or (not kind and declaration:find "%S") then
			return nil
		end
		for field in (rest or ""):gmatch "[^,]+" do
			local name, size = field:match "^%s*([%a_][%w_]*)%s*%[?%s*(%d*)%s*%]?%s*$"
			if not name or (field:find("[", 1, true) and size == "") then
				return nil
			end
			sizes[name], texts[name] = tonumber(size) or 0, kind == "char" and size ~= ""
		end
	end
	return sizes, texts
end

local function safe_record(record)
	return function(text)
		check.argument(2, "mos.record", "the fields", text, "string")
		local sizes, texts = parse(text)
		if not sizes then
			check.fail(2, "mos.record: in the sandbox a record has numbers, and arrays of them, such as "
				.. "\"uint32_t n; double x[2];\"")
		end
		record(text)
		local raw = conn.members.rec
		local Rec = { __metatable = false }
		function Rec.__index(self, name)
			local n, h = sizes[name], handles[self]
			if not n then
				check.unknown(2, "field of conn.rec", name, check.keys(sizes))
			elseif texts[name] then
				return (ffi.string(raw(h)[name], n):match "^[^%z]*")
			elseif n > 0 then
				return array(h, name, n, raw)
			end
			return raw(h)[name]
		end
		function Rec.__newindex(self, name, value)
			if not sizes[name] then
				check.unknown(2, "field of conn.rec", name, check.keys(sizes))
			elseif sizes[name] > 0 and not (texts[name] and type(value) == "string") then
				check.fail(2, "conn.rec.%s is set element by element", name)
			end
			raw(handles[self])[name] = value
		end
		conn.field("rec", function(h)
			conn.live_for_field(h)
			local self = setmetatable({}, Rec)
			handles[self] = h
			return self
		end)
	end
end

-- Objects of mos.shared keep pointers: the script gets their methods alone.
local function only_methods(object, names)
	local self = {}
	for name in names:gmatch "%S+" do
		self[name] = function(_, ...)
			return object[name](object, ...)
		end
	end
	return self
end

local function safe_shared(shared)
	return {
		counter = function(name)
			return only_methods(shared.counter(name), "add sum")
		end,
		table = function(name, options)
			return only_methods(shared.table(name, options), "get set add delete swap count each")
		end,
	}
end

-- Digests of strings; certificates are for the libraries alone.
local function safe_crypto(crypto)
	local function digest(name)
		return function(s)
			check.argument(2, "crypto." .. name, "the argument", s, "string")
			return (crypto[name](s))
		end
	end
	return { md5 = digest "md5", sha256 = digest "sha256" }
end

local function safe_mos()
	local mos = require "mos"
	local safe = copy(mos, "monitor event handler timer every args input worker workers other at_exit on_unload on_load "
		.. "now")
	safe.log = copy(mos.log, "error warn info debug")
	safe.shared = safe_shared(mos.shared)
	safe.record = safe_record(mos.record)
	return setmetatable(safe, {
		__metatable = false,
		__index = function(_, name)
			check.unknown(2, "field of mos in the sandbox", name, check.keys(safe))
		end,
	})
end

-- require: mos, its libraries of events and what monitors share, and Lua source next to the script.
local allowed = { ["mos.json"] = true, ["mos.options"] = true }
local loaded = {}

local function find(name)
	for _, form in ipairs { "%s/%s.lua", "%s/%s/init.lua" } do
		local path = form:format(host.script_dir, (name:gsub("%.", "/")))
		local file = may_read(path) and io.open(path, "rb")
		if file then
			local text = file:read "*a"
			file:close()
			return path, text
		end
	end
end

local function load_module(name)
	local path, text = find(name)
	if not path then
		error(("module '%s' not found next to the script"):format(name), 3)
	end
	local chunk, why = load(text, "@" .. path, "t", env)
	if not chunk then
		error(why, 0)
	end
	C.mos_ffi_loaded_from(ctx, path)
	history.look(chunk)
	local value = chunk(name)
	return value == nil and true or value
end

function env.require(name)
	check.argument(2, "require", "the module", name, "string")
	if loaded[name] == nil then
		if allowed[name] or name:find "^mos%.events%.[%l_]+$" then
			loaded[name] = require(name)
		elseif name == "mos.crypto" then
			loaded[name] = safe_crypto(require "mos.crypto")
		elseif name:find "^[%w_-][%w_.-]*$" and not name:find("..", 1, true) and not name:find "^mos%f[%A]" then
			loaded[name] = load_module(name)
		else
			error(("module '%s' is not for scripts in the sandbox"):format(name), 2)
		end
	end
	return loaded[name]
end

loaded.mos = safe_mos()
loaded.bit, loaded.string, loaded.table, loaded.math = env.bit, env.string, env.table, env.math

-- ("x"):upper() and the like find the real string library, which the script does not get hold of.
rawset(strings, "dump", nil)
getmetatable("").__metatable = false

host.globals = env

return env
