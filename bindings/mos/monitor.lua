-- Monitors: passive sockets with their filters, buffers and handlers.
local ffi = require "ffi"
local check = require "mos.check"
local conn = require "mos.conn"
local handler = require "mos.handler"
local names = require "mos.names"
local lib = require "mos.ffi"
local host = require "mos.host"

local C, ctx = lib.C, lib.ctx

local Monitor = {}
Monitor.__index = Monitor

local kinds = {
	name = "string",
	filter = "string", orphan_filter = "string", raw = "boolean", family = "number",
	clibuf = "number|string", svrbuf = "number|string",
	overlap = "string", clioverlap = "string", svroverlap = "string",
}

local stream_only = { "orphan_filter", "clibuf", "svrbuf", "overlap", "clioverlap", "svroverlap" }

local function must(level, rc, what)
	if rc < 0 then
		check.fail(level + 1, "mos.monitor: %s: %s", what, names.errno(rc))
	end
end

local function set_filters(sock, options)
	local err = ffi.new "char[512]"
	local rc = C.mos_ffi_monitor_bind(ctx, sock, options.filter, options.orphan_filter, err, ffi.sizeof(err))
	if rc < 0 then
		check.fail(3, "mos.monitor: %s", err[0] ~= 0 and ffi.string(err) or names.errno(rc))
	end
end

local function set_side(sock, options, name, side)
	local buf, overlap = options[name .. "buf"], options[name .. "overlap"] or options.overlap
	if buf then
		local bytes = check.size(3, "mos.monitor: " .. name .. "buf", buf)
		must(3, C.mos_ffi_set_buffer(ctx, sock, side, bytes), name .. "buf")
	end
	if overlap then
		local policy = names.value(3, "overlap policy", names.overlap, overlap)
		must(3, C.mos_ffi_set_overlap(ctx, sock, side, policy), name .. "overlap")
	end
end

local function check_options(options)
	check.options(3, "mos.monitor", options, kinds)
	if options.family and options.family ~= 4 and options.family ~= 6 then
		check.fail(3, "mos.monitor: family must be 4 or 6; left out it is both")
	end
	for _, name in ipairs(options.raw and stream_only or {}) do
		if options[name] ~= nil then
			check.fail(3, "mos.monitor: %s has no meaning with raw = true, which sees single packets", name)
		end
	end
end

-- By its name the next script's monitor takes the place of this one. Those without are numbered, in their order.
local unnamed = 0

local function name_of(options)
	if options.name then
		if not options.name:find "^[%w_][%w_.-]*$" or #options.name > 31 then
			check.fail(3, "mos.monitor: a name has up to 31 letters, digits, '_', '.' and '-', not '%s'", options.name)
		end
		return options.name
	end
	unnamed = unnamed + 1
	return "#" .. unnamed
end

local function open(options)
	options = options or {}
	check_options(options)
	local sock = C.mos_ffi_monitor_open(ctx, name_of(options), options.family or 0, options.raw and 1 or 0)
	if sock == -17 then
		check.fail(2, "mos.monitor: there is a monitor '%s' already", options.name)
	end
	must(2, sock, "cannot open a socket")
	set_filters(sock, options)
	if not options.raw then
		set_side(sock, options, "cli", names.side.cli)
		set_side(sock, options, "svr", names.side.svr)
	end
	return setmetatable({ sock = sock }, Monitor)
end

local function check_self(self, name)
	if getmetatable(self) ~= Monitor then
		check.fail(3, "call it with a colon: monitor:%s(...)", name)
	end
end

function Monitor:on(ev, hook, fn)
	check_self(self, "on")
	handler.register(2, "monitor:on", self.sock, ev, hook, fn, true)
	return self
end

-- What the script before this one left as conn.data of this monitor's connections is given to fn(conn, old), a
-- copy, before the connection's next event.
local carries

function Monitor:carry(fn)
	check_self(self, "carry")
	check.argument(2, "monitor:carry", "the argument", fn, "function")
	carries = carries or {}
	carries[self.sock] = fn
	C.mos_ffi_carry(ctx)
	return self
end

function host.carry()
	local fn = carries[lib.call.ref]
	if fn then
		fn(conn.current(), host.left)
	end
end

function Monitor:off(ev, hook)
	check_self(self, "off")
	handler.unregister(2, "monitor:off", self.sock, ev, hook)
	return self
end

-- No more connections; those that it has seen keep their handlers.
function Monitor:close()
	check_self(self, "close")
	C.mos_ffi_monitor_close(ctx, self.sock)
end

return { open = open }
