-- Corpora of the fuzz targets (README.md): from a text of hex lines to files for libFuzzer and back, and the inputs to
-- begin with.

local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. here .. "/../../bindings/?.lua;" .. package.path

local usage = [[
usage: luajit corpus.lua unpack TEXT FOLDER    write each input of a corpus to a file of its own
       luajit corpus.lua pack FOLDER TEXT      the shortest files of a folder, up to 24 KiB of them, as a corpus
       luajit corpus.lua seeds TARGET FOLDER   write the first inputs for a target]]

local PACK_MAX = 24 * 1024

local function read(path)
	local f = assert(io.open(path, "rb"))
	local bytes = f:read "*a"
	f:close()
	return bytes
end

local function write(path, bytes)
	local f = assert(io.open(path, "wb"))
	assert(f:write(bytes))
	f:close()
end

local function to_hex(bytes)
	return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function from_hex(hex)
	return (hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

local function unpack_corpus(text, folder)
	local n = 0
	for line in io.lines(text) do
		if line:sub(1, 1) ~= "#" then
			n = n + 1
			write(("%s/%05d"):format(folder, n), from_hex(line))
		end
	end
end

local function files(folder)
	local list = {}
	local p = assert(io.popen("ls '" .. folder .. "'"))
	for name in p:lines() do
		list[#list + 1] = read(folder .. "/" .. name)
	end
	p:close()
	return list
end

-- Comments that stand in the text so far stay at its head, with the inputs that follow them.
local function kept_lines(text)
	local lines, f = {}, io.open(text, "r")
	if not f then
		return lines
	end
	local named = false
	for line in f:lines() do
		named = named or line:sub(1, 1) == "#"
		if named then
			lines[#lines + 1] = line
		end
		named = line:sub(1, 1) == "#"
	end
	f:close()
	return lines
end

local function pack_corpus(folder, text)
	local list, lines, total = files(folder), kept_lines(text), 0
	table.sort(list, function(a, b) return #a < #b or #a == #b and a < b end)
	for _, bytes in ipairs(list) do
		total = total + #bytes
		if total > PACK_MAX then
			break
		end
		lines[#lines + 1] = to_hex(bytes)
	end
	write(text, table.concat(lines, "\n") .. "\n")
end

local makers = require "fuzz_seeds"

local function seeds(target, folder)
	local make = assert(makers[target], "no such target: " .. target)
	for i, bytes in ipairs(make(read)) do
		write(("%s/seed-%03d"):format(folder, i), bytes)
	end
end

local command = ({ unpack = unpack_corpus, pack = pack_corpus, seeds = seeds })[arg[1]]
if not command or #arg ~= 3 then
	io.stderr:write(usage, "\n")
	os.exit(2)
end
command(arg[2], arg[3])
