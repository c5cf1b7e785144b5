-- Remake RESULTS.md and concurrency.svg: luajit tests/bench/results.lua [--quick] [BUILD]. It takes about a quarter of
-- an hour on a machine that does nothing else; --quick shows in a minute that it works, with files below BUILD.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path
local process = require "process"
local captures = require "captures"
local plot = require "plot"

local quick = arg[1] == "--quick"
local build = arg[quick and 2 or 1] or "build"
local target = quick and build or here
local text, missed = {}, {}

local function say(fmt, ...)
	text[#text + 1] = select("#", ...) > 0 and fmt:format(...) or fmt
end

local function progress(what)
	io.stderr:write(os.date "%H:%M:%S ", what, "\n")
end

-- The rows of one or more runs of mos-bench, as tables.
local function bench(line)
	progress("mos-bench " .. line)
	local words = { build .. "/mos-bench", "--json" }
	for word in line:gmatch "%S+" do
		words[#words + 1] = word
	end
	for _, word in ipairs(quick and { "--connections", "2000", "--concurrency", "500", "--rounds", "1" } or {}) do
		words[#words + 1] = word
	end
	local rows = {}
	for object in process.output(words):gmatch "%b{}" do
		local row = {}
		for name, value in object:gmatch '"([%w_]+)": "?([^",}]*)"?' do
			row[name] = tonumber(value) or value
		end
		row.mpps = row.packets and row.packets / row.seconds / 1e6
		rows[#rows + 1] = row
	end
	return rows
end

local all = {}

local function collect(line)
	for _, row in ipairs(bench(line)) do
		all[#all + 1] = row
	end
end

-- The row of "B random count", in C where nothing else is said.
local function find(name, by)
	for _, row in ipairs(all) do
		if name == ("%s %s %s"):format(row.trace, row.phase, row.work) and row.by == (by or "c") then
			return row
		end
	end
	error("not measured: " .. name)
end

local function verdict(name, value, aim, below)
	local reached
	if below then
		reached = value <= aim
	else
		reached = value >= aim
	end
	if not reached then
		missed[#missed + 1] = ("%s: %.3g; the aim is %s %.3g"):format(name, value, below and "at most" or "at least", aim)
	end
	return reached and "yes" or "**no**"
end

-- Trace, phase, work; Mpps of mOS, and a word on it; Mpps aimed at.
local goals = {
	{ "A lockstep count", 2.4, "", 15 },
	{ "B lockstep count", 1.8, "", 12 },
	{ "C lockstep count", 6.1, "", 30 },
	{ "D random count", 1.25, "", 12 },
	{ "B random count", 0.70, " (0.93 without its TIME_WAIT scan)", 9 },
	{ "E random count", 0.66, " (without the scan; with it, it does not finish)", 8 },
	{ "F random count", nil, "cannot", 6 },
	{ "B lockstep stream", 1.4, "", 8 },
	{ "C lockstep stream", 1.5, "", 7 },
	{ "C random stream", 1.0, "", 6 },
	{ "D random stream", 0.52, "", 3 },
	{ "B random stream", 0.54, "", 4 },
	{ "E random stream", 0.46, " (without the scan)", 3 },
}

local function measure_traces()
	collect "--trace AB --work count,packet,packet3,stream,decode,sum --lua"
	collect "--trace CD --work count,stream,decode,sum --lua"
	collect "--trace E --work count,stream,decode,sum"
	collect "--trace F --work count,decode,sum --rounds 3"
	collect "--trace G --work count,stream"
end

local function traces()
	say "## Traces"
	say ""
	say "| trace, work | mOS, Mpps | aim | here, Mpps (slowest, fastest) | ns per packet | Gbit/s | to mOS | reached |"
	say "|---|---|---|---|---|---|---|---|"
	for _, g in ipairs(goals) do
		local name, mos, note, aim = unpack(g, 1, 4)
		local r = find(name)
		say("| %s | %s%s | %g | **%.2f** (%.2f, %.2f) | %.1f | %.1f | %s | %s |", name, mos or "", note, aim, r.mpps,
			r.packets / r.slowest / 1e6, r.packets / r.fastest / 1e6, r.seconds / r.packets * 1e9,
			r.wire_bytes * 8 / r.seconds / 1e9, mos and ("%.1f"):format(r.mpps / mos) or "-",
			verdict(name .. ", Mpps", r.mpps, aim))
	end
	say ""
	say "The same without a tracker: packets handed over, decoded and hashed; and their payload read once and summed. What"
	say "is slower than that is the tracker's, and its memory's."
	say ""
	say "| trace | decoded, ns per packet | and summed | count | stream |"
	say "|---|---|---|---|---|"
	for _, name in ipairs { "A lockstep", "B lockstep", "B random", "C lockstep", "C random", "D random", "E random" } do
		local function ns(work)
			local r = find(name .. " " .. work)
			return r.seconds / r.packets * 1e9
		end
		say("| %s | %.1f | %.1f | %.1f | %.1f |", name, ns "decode", ns "sum", ns "count", ns "stream")
	end
	say ""
	say "The other phases and trace G:"
	say ""
	say "| trace, work | Mpps | ns per packet | Gbit/s |"
	say "|---|---|---|---|"
	for _, name in ipairs { "A random count", "A lockstep stream", "A random stream", "C random count", "D lockstep count",
		"D lockstep stream", "G lockstep count", "G random count", "G lockstep stream", "G random stream" } do
		local r = find(name)
		say("| %s | %.2f | %.1f | %.1f |", name, r.mpps, r.seconds / r.packets * 1e9, r.wire_bytes * 8 / r.seconds / 1e9)
	end
	say ""
end

-- How much of a packet's time is the wait for the frames' memory.
local function in_cache()
	say "With 4 MiB of frames, made anew piece by piece, so that they are in the cache when they come (`--memory 4`):"
	say ""
	say "| trace, work | Mpps | ns per packet | with frames in main memory |"
	say "|---|---|---|---|"
	for _, r in ipairs(bench "--trace C --work count,stream,decode,sum --memory 4 --rounds 3") do
		local far = find(("%s %s %s"):format(r.trace, r.phase, r.work))
		say("| %s %s %s | %.2f | %.1f | %.1f |", r.trace, r.phase, r.work, r.mpps, r.seconds / r.packets * 1e9,
			far.seconds / far.packets * 1e9)
	end
	say ""
end

local function lingering()
	local rows = bench "--trace ABDE --work count --linger 5"
	say "## Lingering"
	say ""
	say "As above, but a closed connection stays for 5 s of packet time, as `mos-run` has it unless told otherwise."
	say ""
	say "| trace, work | Mpps | ns per packet | without lingering, Mpps | connections at a time |"
	say "|---|---|---|---|---|"
	for _, r in ipairs(rows) do
		local name = ("%s %s %s"):format(r.trace, r.phase, r.work)
		say("| %s | %.2f | %.1f | %.2f | %d |", name, r.mpps, r.seconds / r.packets * 1e9, find(name).mpps, r.peak)
	end
	say ""
end

local function lua_beside_c()
	collect "--trace B --random --work pktude,ude,many,nobody --lua"
	say "## Lua beside C"
	say ""
	say "The same handlers, in turn in one run; medians of each round's ratio."
	say ""
	say "| trace, work | C, Mpps | Lua, Mpps | Lua to C | aim | reached |"
	say "|---|---|---|---|---|---|"
	local rows = {
		{ "A random packet", 0.55 }, { "B lockstep packet", 0.55 }, { "B random packet", 0.55 },
		{ "B lockstep packet3", 0.4 }, { "B random packet3", 0.4 }, { "B lockstep stream", 0.8 },
		{ "B random stream", 0.8 }, { "C lockstep stream", 0.8 }, { "C random stream", 0.8 }, { "D random stream", 0.8 },
		{ "B random ude", 0.7 }, { "B random pktude", 0.7 },
	}
	for _, row in ipairs(rows) do
		local name, aim = row[1], row[2]
		local c, lua = find(name), find(name, "lua")
		say("| %s | %.2f | %.2f | **%.2f** | %g | %s |", name, c.mpps, lua.mpps, lua.to_c, aim,
			verdict(name .. ", Lua to C", lua.to_c, aim))
	end
	say ""
end

local function events()
	say "## Events that nobody listens to"
	say ""
	say "| trace B, random | ns per packet |"
	say "|---|---|"
	for _, row in ipairs(bench "--trace B --random --work count,nobody,pktude,many --rounds 9") do
		local what = {
			count = "CONN_START and CONN_END alone", nobody = "and 999 events of one's own that nobody listens to",
			pktude = "one event of one's own below PKT_IN, listened to", many = "the same with 999 more",
		}
		say("| `%s`: %s | %.1f |", row.work, what[row.work], row.seconds / row.packets * 1e9)
	end
	say ""
end

local function floods()
	local rows = {}
	for _, r in ipairs(bench "--trace NST --work count --rounds 3") do
		rows[r.trace .. " " .. r.phase] = r
	end
	local n, each = rows["N random"], {}
	for name, r in pairs(rows) do
		each[name] = r.seconds / r.connections * 1e9
	end
	say "## New connections and floods"
	say ""
	say "N: connections of seven packets, set up, counted and torn down. mOS: 0.24 to 0.39 million a second. S and T: a"
	say "connection is one SYN, and takes the place of an older one, as more are begun than are kept."
	say ""
	say "| trace | connections/s | ns per connection | ns per packet | to N random | aim | reached |"
	say "|---|---|---|---|---|---|---|"
	for _, name in ipairs { "N lockstep", "N random" } do
		local r = rows[name]
		local rate = r.connections / r.seconds / 1e6
		say("| %s | %.2f M | %.0f | %.1f | | 1.2 M/s | %s |", name, rate, each[name], r.seconds / r.packets * 1e9,
			verdict(name .. ", M connections/s", rate, 1.2))
	end
	for _, name in ipairs { "S random", "T random" } do
		local r, times = rows[name], each[name] / each["N random"]
		say("| %s | %.2f M | %.0f | %.1f | %.2f | at most 2 | %s |", name, r.connections / r.seconds / 1e6, each[name],
			r.seconds / r.packets * 1e9, times, verdict(name .. ", cost of a connection to N's", times, 2, true))
	end
	say ""
	return n
end

local function concurrency()
	local sweep = {}
	local runs = { { 1000, 200000, 3 }, { 10000, 400000, 3 }, { 100000, 600000, 3 }, { 1000000, 2000000, 2 },
		{ 10400000, 11500000, 1 } } -- some of them are between two connections
	for _, run in ipairs(runs) do
		local line = "--random --work count --memory 256 --concurrency %d --connections %d --rounds %d"
		sweep[#sweep + 1] = bench(line:format(unpack(run)))[1]
	end
	say "## Concurrent connections"
	say ""
	say "Responses of 1 KiB, random phase, count; frames made piece by piece in 256 MiB."
	say ""
	say "![ns per packet against concurrent connections](concurrency.svg)"
	say ""
	say "| connections at a time | Mpps | ns per packet | bytes per connection | the process has grown by, MB |"
	say "|---|---|---|---|---|"
	local points = {}
	for i, r in ipairs(sweep) do
		local ns = r.seconds / r.packets * 1e9
		points[i] = { r.concurrency, ns }
		say("| %d (%d at most) | %.2f | %.1f | %.0f | %.0f |", r.concurrency, r.peak, r.mpps, ns, r.record_bytes / r.peak,
			r.resident / 1e6)
	end
	local last, base = sweep[#sweep], sweep[2]
	local slower = (last.seconds / last.packets) / (base.seconds / base.packets)
	local bytes = 0
	for _, r in ipairs(sweep) do
		bytes = math.max(bytes, r.record_bytes / r.peak)
	end
	say ""
	say("| | here | aim | reached |")
	say "|---|---|---|---|"
	say("| slower at 10 million than at 10 thousand | %.2f times | at most 3 | %s |", slower,
		verdict("slower at 10 million", slower, 3, true))
	say("| memory with 10 million | %.2f GB | under 4 | %s |", last.resident / 1e9,
		verdict("memory with 10 million, GB", last.resident / 1e9, 4, true))
	say("| a tracked connection without buffers, most of the rows above | %.0f bytes | at most 320 | %s |", bytes,
		verdict("bytes per connection, most", bytes, 320, true))
	say ""
	local f = assert(io.open(target .. "/concurrency.svg", "w"))
	f:write(plot.svg(points, "concurrent connections", "ns per packet"))
	f:close()
end

local function workers()
	say "## Two workers"
	say ""
	say "Each on a thread with a queue of its own, connections shared out evenly. Time is the CPU time of the worker that"
	say "took longest; beside it, by the clock."
	say ""
	say "| trace, work | one, Mpps | two, Mpps | two to one | by the clock | aim | reached |"
	say "|---|---|---|---|---|---|---|"
	for _, line in ipairs { "--trace BD --random --work count", "--trace B --random --work stream" } do
		local rows = bench(line .. " --workers 2")
		for i = 1, #rows, 2 do
			local one, two = rows[i], rows[i + 1]
			local name = ("%s %s %s"):format(one.trace, one.phase, one.work)
			local times = one.seconds / two.seconds
			say("| %s | %.2f | %.2f | **%.2f** | %.2f | 1.8 | %s |", name, one.mpps, two.mpps, times, one.wall / two.wall,
				verdict("two workers, " .. name, times, 1.8))
		end
	end
	say ""
end

local function ipv6()
	say "## IPv6"
	say ""
	say "| trace, work | Mpps | ns per packet | IPv4, Mpps |"
	say "|---|---|---|---|"
	for _, r in ipairs(bench "--trace B --ipv6 --work count,stream") do
		local name = ("%s %s %s"):format(r.trace, r.phase, r.work)
		say("| %s | %.2f | %.1f | %.2f |", name, r.mpps, r.seconds / r.packets * 1e9, find(name).mpps)
	end
	say ""
end

-- File, program, of which ratio; aim.
local file_goals = {
	["mos-run count, C"] = { to_pcap = 0.8 },
	["mos-run stream, C"] = { to_pcap = 0.65, to_nids = { large = 1.3, short = 2 } },
	["mos-run packet, Lua"] = { mpps = 1.5 },
}

local function aims_of(row)
	local list, goal = {}, file_goals[row.program] or {}
	local function aim(value, what, least)
		least = type(least) == "table" and least[row.file] or least
		if value and least then
			local name = ("%s file, %s, %s"):format(row.file, row.program, what)
			list[#list + 1] = ("%s at least %g: %s"):format(what, least, verdict(name, value, least))
		end
	end
	aim(row.to_pcap, "to libpcap", goal.to_pcap)
	aim(row.to_nids, "to libnids", goal.to_nids)
	aim(row.mpps, "Mpps", goal.mpps)
	return table.concat(list, "; ")
end

local function capture_files()
	progress "captures"
	local rows, missing = captures.compare {
		build = build, rounds = quick and 1 or 5, connections = quick and 200 or nil,
	}
	if not rows then
		error(missing, 0)
	end
	say "## Capture files, whole processes"
	say ""
	say "CPU time from start to end; all answered exactly what the files hold. README.md says what the files are."
	say "Elsewhere, on other files of these kinds, libnids reached 1.9 (large) and 3.2 (short) Mpps and bare libpcap 3.0"
	say "and 9.5; Snort 3's stream tracker 0.6 and 0.45, Suricata 8 without reassembly 1.1 and 0.66, Bro 2.5 with a script"
	say "0.24 and 0.09."
	say ""
	say "| file | program | Mpps | to libpcap | to libnids | MiB | aims |"
	say "|---|---|---|---|---|---|---|"
	local function number(x)
		return x and ("%.2f"):format(x) or "-"
	end
	for _, r in ipairs(rows) do
		say("| %s | %s | %.2f | %s | %s | %.0f | %s |", r.file, r.program, r.mpps, number(r.to_pcap), number(r.to_nids),
			r.rss / 2 ^ 20, aims_of(r))
	end
	say ""
	for _, line in ipairs(missing) do
		say("Not compared: %s.", line)
		say ""
	end
end

local function shell(line)
	return (process.output({ "sh", "-c", line }):gsub("%s+$", ""))
end

local function machine()
	say "# Results"
	say ""
	if quick then
		say "**Made with --quick: these numbers measure nothing.**"
		say ""
	end
	say "Made by `luajit tests/bench/results.lua`; [README.md](README.md) says what is measured, and how."
	say ""
	say("| | |")
	say "|---|---|"
	say("| date | %s UTC |", os.date "!%Y-%m-%d %H:%M")
	say("| version | %s |", shell "git describe --always --dirty 2>/dev/null || echo unknown")
	say("| processor | %s, %s cores |", shell "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1", shell "nproc")
	say("| memory | %s MiB |", shell "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo")
	say("| system | %s |", shell "uname -sr")
	say("| build | %s |", bench("--connections 20 --concurrency 10 --rounds 1 --work count")[1].build)
	say("| load when it began | %s |", shell "cut -d' ' -f1-3 /proc/loadavg")
	text.load_row = #text
	say ""
	say "mOS's column was measured once, elsewhere on a machine of this kind; it is not measured again here."
	say ""
end

local function bounds()
	if #missed == 0 then
		return
	end
	say "## What bounds the figures that were missed"
	say ""
	for _, line in ipairs(missed) do
		say("- %s", line)
	end
	say ""
	say(process.read(here .. "/bounds.md"):gsub("%%", "%%%%"))
end

local began = os.time()
machine()
measure_traces()
traces()
in_cache()
lingering()
lua_beside_c()
events()
floods()
concurrency()
workers()
ipv6()
capture_files()
bounds()
table.insert(text, text.load_row + 1, ("| load when it ended, %d minutes later | %s |"):format((os.time() - began) / 60,
	shell "cut -d' ' -f1-3 /proc/loadavg"))
local f = assert(io.open(target .. "/RESULTS.md", "w"))
f:write(table.concat(text, "\n"), "\n")
f:close()
progress(("done: %s/RESULTS.md, %d figures missed"):format(target, #missed))
