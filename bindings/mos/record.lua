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

-- Declarations as { name = type with its dimensions }, and the order. nil where they are more than that (structures).
local function fields_of(text)
	local types, order = {}, {}
	if text:find "[{}:]" then
		return nil
	end
	for declaration in text:gmatch "[^;]+" do
		-- The type is what stands before the first name; stars belong to names.
		local first, dims = (declaration:match "^[^,]*"):match "^([^%[]*)(.*)$"
		local kind = first:match "^%s*(.-)[%s*]+[%a_][%w_]*%s*$"
		local rest = kind and first:sub(#first:match "^%s*" + #kind + 1) .. dims .. (declaration:match ",.*$" or "")
		for stars, name, size in (rest or ""):gmatch "(%**)%s*([%a_][%w_]*)%s*([%[%]%w_%s]*)" do
			types[name] = kind:gsub("%s+", " ") .. stars .. size:gsub("%s", "")
			order[#order + 1] = name
		end
	end
	return types, order
end

-- What the script before this one kept per connection goes on by field name.
local function inherit(t, fields)
	local before = C.mos_ffi_record_before(ctx)
	before = before ~= nil and ffi.string(before) or fields
	if before == fields then
		C.mos_ffi_record_part(ctx, 0, 0, ffi.sizeof(t))
		return
	end
	local new, order = fields_of(fields)
	local old = fields_of(before)
	if not new or not old then
		check.fail(3, "mos.record: a record with structures cannot be changed while connections have it")
	end
	local old_t = parse(before)
	for _, name in ipairs(order) do
		if old[name] and old[name] ~= new[name] then
			check.fail(3, "mos.record: '%s' was a %s and cannot become a %s while connections have it", name, old[name],
				new[name])
		elseif old[name] then
			local len = ffi.sizeof(new[name])
			C.mos_ffi_record_part(ctx, ffi.offsetof(t, name), ffi.offsetof(old_t, name), len)
		end
	end
end

local function record(fields)
	check.argument(2, "mos.record", "the fields", fields, "string")
	if declared then
		check.fail(2, "mos.record: one record per script; this is the second")
	end
	local t = parse(fields)
	local rc = C.mos_ffi_set_record(ctx, ffi.sizeof(t), fields)
	if rc < 0 then
		check.fail(2, "mos.record: declare it before the first packet (%s)", names.errno(rc))
	end
	assert(ctx.rec_size == ffi.sizeof(t), "the runtime pads records")
	declared = t
	inherit(t, fields)
	local recs = ffi.cast(ffi.typeof("$ *", t), ctx.recs)
	conn.field("rec", function(h)
		conn.live_for_field(h)
		return recs[conn.index(h)]
	end)
	return t
end

return record
