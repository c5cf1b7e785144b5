-- Whole programs on capture files: mos-run beside bare libpcap, libnids and libtins. Each runs once in every round, in
-- turn, and all must answer exactly what the files were made from.
--
--     luajit tests/bench/captures.lua [--rounds N] [--connections N] [BUILD]
local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path
local process = require "process"

local captures = {}

-- Responses of 64 KiB, 1,000 connections at a time; of 1 KiB, 100 at a time.
local files = {
	{ name = "large", trace = "C", connections = 10000, concurrency = 1000 },
	{ name = "short", trace = "B", connections = 200000, concurrency = 100 },
}

local function exists(path)
	local f = io.open(path, "rb")
	return f and f:close()
end

local function preloaded(library, words)
	table.insert(words, 1, "LD_PRELOAD=" .. (library:match "^/" and library or "./" .. library))
	table.insert(words, 1, "env")
	return words
end

-- Programs: a name, the command's words for a capture, and what of the capture they must answer.
local function programs(build)
	local bench, list, missing = build .. "/tests/bench/", {}, {}
	local function peer(name, package, answers)
		if exists(bench .. name) then
			list[#list + 1] = { name = name, answers = answers,
				words = function(path) return { bench .. name, path } end }
		else
			missing[#missing + 1] = ("%s: not built; install %s and configure again"):format(name, package)
		end
	end
	local function ours(work, by, answers, linger)
		local late = linger ~= "0" and ", lingering " .. linger .. " s" or ""
		list[#list + 1] = { name = ("mos-run %s, %s%s"):format(work, by, late), work = work,
			by = by, linger = linger, answers = answers, words = function(path)
				local words = { build .. "/mos-run", "-q", "--linger", linger, "--buffer-memory", "0", "-r", path }
				if by == "C" then
					words[#words + 1] = bench .. work .. ".so"
					return words
				end
				for _, word in ipairs { here .. "/captures/work.lua", "--", work } do
					words[#words + 1] = word
				end
				return preloaded(bench .. "sum.so", words)
			end }
	end
	local ends, streams = { "connections", "ended" }, { "connections", "ended", "bytes", "sum" }
	peer("pcap_count", "libpcap-dev", { "packets", "wire_bytes" })
	peer("nids_stream", "libnids-dev", streams)
	peer("tins_stream", "libtins-dev and g++", streams)
	for _, by in ipairs { "C", "Lua" } do
		ours("count", by, ends, "0")
		ours("packet", by, { "connections", "ended", "packets" }, "0")
		ours("stream", by, streams, "0")
	end
	ours("count", "C", ends, "5")
	return list, missing
end

-- Does it answer what the capture holds?
local function check(program, file, answer)
	local got = process.fields(answer)
	for _, name in ipairs(program.answers) do
		local want = file.holds[name == "ended" and "connections" or name]
		if got[name] ~= want then
			error(("%s, %s: %s=%s, not %s"):format(file.name, program.name, name, tostring(got[name]), want), 0)
		end
	end
end

local function measure(file, list, rounds)
	for round = 0, rounds do
		for _, program in ipairs(list) do
			local done = process.run(program.words(file.path))
			if done.code ~= 0 then
				error(("%s, %s: exit code %d: %s"):format(file.name, program.name, done.code, done.err), 0)
			end
			check(program, file, done.out)
			program.cpu = round > 0 and program.cpu or {}
			program.cpu[round] = done.cpu -- round 0 warms the page cache
			program.rss = done.rss
		end
	end
end

-- How fast a is beside b: the median over the rounds.
local function ratio(a, b)
	local all = {}
	for i, cpu in ipairs(a.cpu) do
		all[i] = b.cpu[i] / cpu
	end
	return process.median(all)
end

local function rows(file, list)
	local by_name, result = {}, {}
	for _, p in ipairs(list) do
		by_name[p.name] = p
	end
	for i, p in ipairs(list) do
		local pcap, nids = by_name.pcap_count, by_name.nids_stream
		result[i] = { file = file.name, program = p.name, work = p.work, by = p.by, linger = p.linger, rss = p.rss,
			mpps = tonumber(file.holds.packets) / process.median(p.cpu) / 1e6,
			to_pcap = pcap and ratio(p, pcap), to_nids = nids and ratio(p, nids) }
	end
	return result
end

local function make(file, build, folder, connections)
	local n = math.min(file.connections, connections or math.huge)
	file.path = ("%s/%s.pcap"):format(folder, file.name)
	file.holds = process.fields(process.output { build .. "/mos-bench", "--trace", file.trace, "--random",
		"--connections", tostring(n), "--concurrency", tostring(file.concurrency), "--write", file.path })
end

-- All rows of all files, and what could not be compared. options: build, rounds, connections (at most, of a file).
function captures.compare(options)
	local list, missing = programs(options.build)
	local folder = process.output({ "mktemp", "-d", "-t", "mos-bench.XXXXXX" }):gsub("\n", "")
	local all = {}
	local ok, problem = pcall(function()
		for _, file in ipairs(files) do
			make(file, options.build, folder, options.connections)
			measure(file, list, options.rounds)
			for _, row in ipairs(rows(file, list)) do
				row.packets, row.wire_bytes = tonumber(file.holds.packets), tonumber(file.holds.wire_bytes)
				all[#all + 1] = row
			end
			os.remove(file.path)
		end
	end)
	process.run { "rm", "-rf", folder }
	if not ok then
		return nil, problem
	end
	return all, missing
end

function captures.print(all, missing)
	print(("%-6s %-32s %9s %7s %11s %11s %8s"):format("file", "program", "packets", "Mpps", "to libpcap", "to libnids",
		"MiB"))
	local function number(x)
		return x and ("%.2f"):format(x) or "-"
	end
	for _, r in ipairs(all) do
		print(("%-6s %-32s %9d %7.2f %11s %11s %8.0f"):format(r.file, r.program, r.packets, r.mpps, number(r.to_pcap),
			number(r.to_nids), r.rss / 2 ^ 20))
	end
	for _, line in ipairs(missing) do
		print(line)
	end
end

local function main()
	local options, i = { build = "build", rounds = 5 }, 1
	while arg[i] do
		local name = arg[i]:match "^%-%-(%w+)$"
		if name == "rounds" or name == "connections" then
			options[name], i = tonumber(arg[i + 1]), i + 1
		elseif name then
			io.stderr:write("captures.lua: unknown option " .. arg[i] .. "\n")
			return 2
		else
			options.build = arg[i]
		end
		i = i + 1
	end
	local all, problem = captures.compare(options)
	if not all then
		io.stderr:write("captures.lua: " .. problem .. "\n")
		return 1
	end
	captures.print(all, problem)
	return 0
end

-- Called as a program, not loaded as a module.
if arg and arg[0] and arg[0]:match "captures%.lua$" then
	os.exit(main())
end

return captures
