-- conn.rec: a C structure per connection, in the connection's own memory, zero when the connection begins.
local ffi = require "ffi"
local check = require "mos.check"
local conn = require "mos.conn"
local names = require "mos.names"
local lib = require "mos.ffi"

local C, ctx = lib.C, lib.ctx

local declared

local function parse(fields)
	local ok, t = pcall(ffi.typeof, "struct {" .. fields .. "} __attribute__((aligned(8)))")
	if not ok then
		check.fail(3, "mos.record: %s", (t:gsub("%s+", " ")))
	end
	if ffi.sizeof(t) == 0 then
		check.fail(3, "mos.record: the record has no fields")
	end
	return t
end

local function record(fields)
	check.argument(2, "mos.record", "the fields", fields, "string")
	if declared then
		check.fail(2, "mos.record: one record per script; this is the second")
	end
	local t = parse(fields)
	local rc = C.mos_ffi_set_record(ctx, ffi.sizeof(t))
	if rc < 0 then
		check.fail(2, "mos.record: declare it before the first packet (%s)", names.errno(rc))
	end
	assert(ctx.rec_size == ffi.sizeof(t), "the runtime pads records")
	declared = t
	local recs = ffi.cast(ffi.typeof("$ *", t), ctx.recs)
	conn.field("rec", function(h)
		conn.live_for_field(h)
		return recs[conn.index(h)]
	end)
	return t
end

return record
