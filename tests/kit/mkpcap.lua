-- mkpcap.lua [--pcapng] [--big-endian] [--nano] TEXT CAPTURE: write the capture that a text of segments describes.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/../../bindings/?.lua;" .. package.path
local segments = require "mos.test.segments"

local usage = "usage: luajit mkpcap.lua [--pcapng] [--big-endian] [--nano] TEXT CAPTURE"

local function die(code, message)
	io.stderr:write("mkpcap: ", message, "\n")
	os.exit(code)
end

local switches = {
	["--pcapng"] = { "format", "pcapng" },
	["--big-endian"] = { "endian", "big" },
	["--nano"] = { "precision", "nano" },
}

local opts, paths = {}, {}
for _, word in ipairs(arg) do
	local switch = switches[word]
	if switch then
		opts[switch[1]] = switch[2]
	elseif word:match "^%-." then
		die(2, ("unknown option '%s'; %s"):format(word, usage))
	else
		paths[#paths + 1] = word
	end
end
if #paths ~= 2 then
	die(2, usage)
end

local input, why = io.open(paths[1], "rb")
if not input then
	die(3, why)
end
opts.name = paths[1]
local bytes
bytes, why = segments.encode(input:read "*a", opts)
if not bytes then
	die(1, why)
end
local output
output, why = io.open(paths[2], "wb")
if not output then
	die(3, why)
end
output:write(bytes)
if not output:close() then
	die(3, paths[2] .. ": not written")
end
