-- The C side: mos_ffi.h as LuaJIT reads it, its functions, and what is in dispatch, at addresses that never change.
local ffi = require "ffi"
local host = require "mos.host"

ffi.cdef((("\n" .. host.header):gsub("\n[ \t]*#[^\n]*", "\n")))

return {
	C = ffi.C,
	ctx = ffi.cast("struct mos_ctx *", host.ctx),
	call = ffi.cast("struct mos_call *", host.call),
}
