-- Programs run to their end, and what they took.
local ffi = require "ffi"

ffi.cdef [[
typedef int pid_t;
struct process_usage { long utime[2], stime[2], maxrss, others[13]; };
int posix_spawnp(pid_t *pid, const char *file, const void *actions, const void *attr, const char *const argv[],
	char *const envp[]);
pid_t wait4(pid_t pid, int *status, int options, struct process_usage *usage);
extern char **environ;
]]

local process = {}

local function quoted(word)
	return "'" .. word:gsub("'", "'\\''") .. "'"
end

function process.read(path)
	local f = assert(io.open(path, "rb"))
	local text = f:read "*a"
	f:close()
	return text
end

-- Run the words of argv. Returns { code, out, err, cpu = seconds of user and system, rss = most bytes in memory }.
function process.run(argv)
	local words, out, err = {}, os.tmpname(), os.tmpname()
	for i, word in ipairs(argv) do
		words[i] = quoted(word)
	end
	local line = ("exec %s >%s 2>%s"):format(table.concat(words, " "), out, err)
	local pid, status, usage = ffi.new "pid_t[1]", ffi.new "int[1]", ffi.new "struct process_usage"
	local sh = ffi.new("const char *[4]", { "sh", "-c", line })
	assert(ffi.C.posix_spawnp(pid, "sh", nil, nil, sh, ffi.C.environ) == 0, "cannot run sh")
	assert(ffi.C.wait4(pid[0], status, 0, usage) == pid[0])
	local done = {
		code = status[0] % 128 == 0 and math.floor(status[0] / 256) or 128 + status[0] % 128,
		out = process.read(out), err = process.read(err), rss = tonumber(usage.maxrss) * 1024,
		cpu = tonumber(usage.utime[0] + usage.stime[0]) + tonumber(usage.utime[1] + usage.stime[1]) / 1e6,
	}
	os.remove(out)
	os.remove(err)
	return done
end

-- Run it and return what it prints. A failure ends this program.
function process.output(argv)
	local done = process.run(argv)
	if done.code ~= 0 then
		io.stderr:write(("%s: exit code %d\n%s"):format(table.concat(argv, " "), done.code, done.err))
		os.exit(1)
	end
	return done.out
end

-- "a=1 b=2" as a table; numbers stay text, which is exact.
function process.fields(line)
	local fields = {}
	for name, value in line:gmatch "(%w+)=(%d+)" do
		fields[name] = value
	end
	return fields
end

function process.median(list)
	local sorted = {}
	for i, v in ipairs(list) do
		sorted[i] = v
	end
	table.sort(sorted)
	return sorted[math.floor(#sorted / 2) + 1]
end

return process
