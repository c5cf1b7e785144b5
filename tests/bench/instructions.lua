-- How many instructions a packet takes, counted by callgrind: a check against getting slower that does not depend on
-- how busy the machine is.
--
--     luajit tests/bench/instructions.lua [--renew] [BUILD]
--
-- compares with instructions.txt beside this file and fails where one is more than 2 % above; --renew writes it anew.
-- The counts depend on the compiler, so they are compared only with those of the same one: else exit code 77, skipped.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path
local process = require "process"

-- Where LuaJIT puts its code, and what it tries to compile when, is up to chance: its counts vary by a per cent.
local baseline, tolerance, skipped = here .. "/instructions.txt", { c = 0.02, lua = 0.04 }, 77

-- Trace, phase, work, by.
local cases = {
	{ "B", "lockstep", "count", "c" }, { "B", "random", "count", "c" }, { "B", "random", "packet", "c" },
	{ "B", "random", "pktude", "c" }, { "B", "random", "stream", "c" }, { "C", "random", "count", "c" },
	{ "C", "random", "stream", "c" },
	{ "G", "random", "stream", "c" }, { "N", "random", "count", "c" }, { "S", "random", "count", "c" },
	{ "B", "random", "packet", "lua" }, { "B", "random", "stream", "lua" },
}

-- Enough connections that what is done once, and LuaJIT's compiling, counts for little.
local function words(build, case, ...)
	local list = { build .. "/mos-bench", "--json", "--trace", case[1], "--" .. case[2], "--work", case[3],
		"--connections", case[1] == "C" and "300" or "4000", "--concurrency", "200", "--rounds", "1", "--memory", "64" }
	if case[4] == "lua" then
		list[#list + 1] = "--lua"
	end
	for i, word in ipairs { ... } do
		table.insert(list, i, word)
	end
	return list
end

local function build_of(build)
	return process.output(words(build, cases[1])):match '"build": "([^"]*)"'
end

-- mos-bench --lua has the work done in C before, so the difference is taken.
local function counted(build, case, seen)
	local done = process.run(words(build, case, "env", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-ERMS,-FSRM",
		"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no", "--toggle-collect=play"))
	if done.code ~= 0 then
		io.stderr:write(done.err)
		os.exit(1)
	end
	local all = tonumber(done.err:match "Collected : (%d+)")
	local packets = tonumber(done.out:match '"packets": (%d+)')
	local name = table.concat(case, " ")
	local in_c = case[4] == "lua" and seen[name:gsub("lua$", "c")] or 0
	seen[name] = all / (2 * packets) - in_c -- two rounds
	return name, seen[name]
end

local function read_baseline()
	local list = {}
	for line in io.lines(baseline) do
		local name, value = line:match "^(%u .*) ([%d.]+)$"
		if name then
			list[name] = tonumber(value)
		end
		list.build = list.build or line:match "^build (.*)$"
	end
	return list
end

local function renew(build)
	local lines, seen = { "# Instructions per packet; made by: luajit tests/bench/instructions.lua --renew",
		"build " .. build_of(build) }, {}
	for _, case in ipairs(cases) do
		local name, value = counted(build, case, seen)
		lines[#lines + 1] = ("%s %.1f"):format(name, value)
		print(lines[#lines])
	end
	local f = assert(io.open(baseline, "w"))
	f:write(table.concat(lines, "\n"), "\n")
	f:close()
	return 0
end

local function check(build)
	local old, mine, code, seen = read_baseline(), build_of(build), 0, {}
	if mine ~= old.build then
		print(("skipped: this is a build by %s, the counts are of one by %s; --renew makes new ones")
			:format(mine, old.build))
		return skipped
	end
	for _, case in ipairs(cases) do
		local name, value = counted(build, case, seen)
		local was = old[name]
		local worse = not was or value > was * (1 + tolerance[case[4]])
		print(("%-28s %8.1f %8.1f %+6.1f %%%s"):format(name, was or 0, value, was and (value / was - 1) * 100 or 0,
			worse and "  more than before" or ""))
		code = worse and 1 or code
	end
	if code ~= 0 then
		print "If that is as it must be: luajit tests/bench/instructions.lua --renew"
	end
	return code
end

if process.run({ "valgrind", "--version" }).code ~= 0 then
	print "skipped: valgrind is not installed"
	os.exit(skipped)
end
if arg[1] == "--renew" then
	os.exit(renew(arg[2] or "build"))
end
os.exit(check(arg[1] or "build"))
