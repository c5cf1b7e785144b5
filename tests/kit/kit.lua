-- What specs are written with: captures from text, and mos-run as a user runs it.

local segments = require "mos.test.segments"

local kit = {
	run_path = os.getenv "MOS_RUN" or "build/mos-run",
	source = os.getenv "MOS_SOURCE" or ".",
	build = os.getenv "MOS_BUILD" or "build",
}

-- Files that a spec writes stay here until its next run, to be looked at when it failed.
kit.dir = ("%s/tests/tmp/%s"):format(kit.build, os.getenv "MOS_SPEC" or "by-hand")

-- A word as the shell reads it back.
function kit.quote(word)
	word = tostring(word)
	if word:find("\0", 1, true) then
		error("an argument cannot hold a NUL byte", 2)
	end
	return "'" .. word:gsub("'", "'\\''") .. "'"
end

local made = false
local count = 0

-- A path for a file of this spec: its own name, or a number before the suffix.
function kit.tmp(suffix)
	if not made then
		assert(os.execute("mkdir -p " .. kit.quote(kit.dir)) == 0)
		made = true
	end
	count = count + 1
	return ("%s/%d%s"):format(kit.dir, count, suffix or "")
end

function kit.read(path)
	local f = assert(io.open(path, "rb"))
	local bytes = f:read "*a"
	f:close()
	return bytes
end

function kit.write(path, bytes)
	local f = assert(io.open(path, "wb"))
	assert(f:write(bytes))
	assert(f:close())
	return path
end

-- Write the capture that a text describes (README.md) and return its path; without path a temporary one.
-- opts: name, format, endian, precision.
function kit.pcap(text, path, opts)
	local bytes, why = segments.encode(text, opts)
	if not bytes then
		error(why, 2)
	end
	return kit.write(path or kit.tmp ".pcap", bytes)
end

-- Write a script and return its path.
function kit.script(text)
	return kit.write(kit.tmp ".lua", text)
end

-- Run a command and return its exit code, standard output and standard error. args[1] is the program. opts.stdin is
-- what it reads, opts.env are variables to set. A signal's code is 128 and its number, as in a shell.
function kit.command(args, opts)
	opts = opts or {}
	local words = {}
	for name, value in pairs(opts.env or {}) do
		words[#words + 1] = name .. "=" .. kit.quote(value)
	end
	for _, word in ipairs(args) do
		words[#words + 1] = kit.quote(word)
	end
	local out, err = kit.tmp ".stdout", kit.tmp ".stderr"
	local input = opts.stdin and kit.write(kit.tmp ".stdin", opts.stdin) or "/dev/null"
	-- The braces keep the shell's own word on a killed command in the file, too.
	local status = os.execute(("{ %s; } <%s >%s 2>%s"):format(table.concat(words, " "), kit.quote(input),
		kit.quote(out), kit.quote(err)))
	return math.floor(status / 256), kit.read(out), kit.read(err)
end

-- Run mos-run with these arguments; opts as for kit.command.
function kit.run(args, opts)
	return kit.command({ kit.run_path, unpack(args) }, opts)
end

return kit
