-- mos-run as a user meets it: the command line, its errors and exit codes, and what the documentation says of them.
local kit = require "kit"
local console = require "console"

local checkout, typed = console.checkout, console.typed

local http = kit.source .. "/tests/pcaps/http.pcap"
local hello = kit.source .. "/scripts/hello.lua"
local greetings = kit.read(kit.source .. "/tests/golden/hello.http.txt")

local FINE, SCRIPT, USAGE, INPUT = 0, 1, 2, 3

-- The packets of a classic capture in little endian, as their bytes.
local function frames(path)
	local bytes, list, at = kit.read(path), {}, 25
	while at <= #bytes do
		local a, b, c = bytes:byte(at + 8, at + 10)
		local len = a + 256 * b + 65536 * c
		list[#list + 1] = bytes:sub(at + 16, at + 15 + len)
		at = at + 16 + len
	end
	return list
end

local function part(from, to)
	return kit.write(kit.tmp ".pcap", kit.read(http):sub(from, to))
end

describe("bad input is one line and an exit code:", function()
	local function script(text)
		return kit.script('local mos = require "mos"\n' .. text)
	end
	local missing, object = kit.dir .. "/missing", kit.build .. "/tests/apps/seed_example.so"
	-- What, arguments, exit code, the line without the program's name; %s is the path in it.
	local cases = {
		{ "a capture that is missing", { hello, "-r", missing }, INPUT, "error: .*missing: No such file or directory" },
		{ "a folder", { hello, "-r", kit.source }, INPUT, "error: .*: Is a directory" },
		{ "an empty file", { hello, "-r", "/dev/null" }, INPUT, "error: /dev/null: not a capture: the file is empty" },
		{ "no capture", { hello, "-r", hello }, INPUT, "error: .*hello.lua: not a capture: unknown file format" },
		{ "three bytes", { hello, "-r", part(1, 3) }, INPUT, "error: .*: not a capture: unknown file format" },
		{ "half a header", { hello, "-r", part(1, 20) }, INPUT, "error: .*: not a capture: its header is cut short" },
		{ "a wrong packet filter", { hello, "-r", http, "-f", "tcp prot 80" }, INPUT,
			'error: filter "tcp prot 80": syntax error' },
		{ "an output that cannot be", { hello, "-r", http, "-w", missing .. "/x" }, INPUT,
			"error: .*missing/x: No such file or directory" },
		{ "a full disk", { hello, "-r", http, "-w", "/dev/full" }, INPUT, "error: /dev/full: No space left on device" },
		{ "an output that is an input", { hello, "-r", http, "-w", http }, USAGE,
			"'.*http.pcap' cannot be read and written at once" },
		{ "a misspelt option", { "--sttas", hello, "-r", http }, USAGE,
			"unknown option '%-%-sttas'; did you mean '%-%-stats'%?" },
		{ "an unknown option", { "-z", hello, "-r", http }, USAGE, "unknown option '%-z'" },
		{ "an option without its value", { hello, "-r" }, USAGE, "option '%-r' needs its FILE" },
		{ "a value too many", { hello, "--midstream=3" }, USAGE, "option '%-%-midstream' takes no value" },
		{ "a misspelt action", { hello, "--on-error=dorp" }, USAGE,
			"%-%-on%-error takes pass, drop or stop; did you mean 'drop'%?" },
		{ "a limit that is none", { hello, "--max-conns=0" }, USAGE,
			"%-%-max%-conns takes a number from 1 to %d+, not '0'" },
		{ "a size that is none", { hello, "--buffer-memory=5X" }, USAGE,
			"%-%-buffer%-memory takes a size such as 64M or 2G, not '5X'" },
		{ "a time that is none", { hello, "--linger=soon" }, USAGE, "%-%-linger takes seconds from 0 to %d+, not 'soon'" },
		{ "a second script", { hello, "other.lua", "-r", http }, USAGE, "one script at a time: 'other.lua' is a second .*" },
		{ "standard input twice", { hello, "-r", "-", "-r", "-" }, USAGE, "standard input can be read only once" },
		{ "no script", { "-r", http }, USAGE, "no script given; try 'mos%-run %-%-help'" },
		{ "nothing at all", {}, USAGE, "no script given; try 'mos%-run %-%-help'" },
		{ "no capture named", { hello }, USAGE, "error: no input; .*" },
		{ "a script that is missing", { missing .. ".lua", "-r", http }, SCRIPT,
			"error: cannot open .*missing.lua: No such file or directory" },
		{ "a script that is a folder", { kit.source, "-r", http }, SCRIPT, "error: cannot read .*: Is a directory" },
		{ "a script that does not parse", { script "local", "-r", http }, SCRIPT, "error: .*%.lua:2: .* expected .*" },
		{ "a script that fails", { script "error 'I want more'", "-r", http }, SCRIPT, "error: .*%.lua:2: I want more" },
		{ "a misspelt event", { script "mos.monitor {}:on('con_end', 'snd', print)", "-r", http }, SCRIPT,
			"error: .*%.lua:2: unknown event 'con_end'; did you mean 'conn_end'%?" },
		{ "an object that is missing", { missing .. ".so", "-r", http }, SCRIPT,
			"error: .*missing.so: cannot open shared object file: No such file or directory" },
		{ "an object that is none", { kit.write(kit.tmp ".so", "ELF"), "-r", http }, SCRIPT,
			"error: .*%.so: file too short" },
	}
	for _, case in ipairs(cases) do
		it(case[1], function()
			local code, out, err = kit.run(case[2])
			assert.matches("^mos%-run: " .. case[4] .. "\n$", err)
			assert.equal(1, select(2, err:gsub("\n", "")))
			assert.same({ case[3], "" }, { code, case[1] == "a full disk" and "" or out })
		end)
	end

	it("an object without mos_app_init", function()
		local path = kit.tmp ".so"
		assert.equal(0, (kit.command { "sh", "-c", 'echo "int nothing;" | cc -shared -fPIC -x c - -o "$1"', "sh", path }))
		local code, _, err = kit.run { path, "-r", http }
		assert.same({ SCRIPT, "mos-run: error: " .. path .. ": no function mos_app_init(mctx_t)\n" }, { code, err })
		assert.equal(FINE, (kit.run { object, "-r", http }))
	end)

	it("an output that is an input under another name, which stays as it is", function()
		local copy = part(1, -1)
		local code, out, err = kit.run { hello, "-r", copy, "-w", (copy:gsub("([^/]+)$", "./%1")) }
		assert.equal(kit.read(http), kit.read(copy))
		assert.same({ USAGE, "" }, { code, out })
		assert.matches("^mos%-run: [^\n]* is both input and output\n$", err)
	end)
end)

describe("a capture that is cut short", function()
	it("is read as far as it goes, with a warning that -q does not silence", function()
		local cut = part(1, 1000)
		for _, option in ipairs { "-q", "-v" } do
			local code, out, err = kit.run { option, hello, "-r", cut }
			assert.same({ FINE, greetings:match "[^\n]*\n" }, { code, out })
			assert.equal(("mos-run: warning: %s: truncated: the last record is cut short (after 8 packets)\n"):format(cut),
				err)
		end
	end)
end)

describe("captures", function()
	it("come from standard input", function()
		assert.same({ FINE, greetings, "" }, { kit.run({ hello, "-r", "-" }, { stdin = kit.read(http) }) })
	end)

	it("are read one after the other", function()
		local later = kit.pcap "1800000000 C S 0:0(0)"
		local code, out = kit.run { hello, "-r", http, "--read", later, "--read=" .. http }
		assert.same({ FINE, greetings .. "hello 10.0.0.1:40000, talking to 10.0.0.2:80\n" .. greetings }, { code, out })
	end)

	it("are filtered", function()
		local code, out = kit.run { hello, "-r", http, "-f", "ip6" }
		assert.same({ FINE, greetings:match "[^\n]*2001[^\n]*\n" }, { code, out })
	end)
end)

describe("-w", function()
	local all = frames(http)

	-- The packets written while this handler of pkt_in ran, the exit code, and standard output.
	local function written(handler, ...)
		local path = kit.tmp ".pcap"
		local source = [[
local mos = require "mos"
mos.monitor {}:on("pkt_in", "snd", %s)
mos.at_exit(function() print "bye" end)]]
		local code, out, err = kit.run { kit.script(source:format(handler)), "-r", http, "-w", path, ... }
		return frames(path), code, out, err
	end

	local function without(number)
		local list = {}
		for i, frame in ipairs(all) do
			if i ~= number then
				list[#list + 1] = frame
			end
		end
		return list
	end

	it("writes what passed, to the byte", function()
		assert.same({ all, FINE, "bye\n", "" }, { written "function() end" })
	end)

	it("leaves out what a handler dropped", function()
		local left = {}
		for _, frame in ipairs(all) do
			local ip6 = frame:byte(13, 13) == 0x86
			local flags = frame:byte(14 + (ip6 and 40 or 20) + 14)
			if math.floor(flags / 2) % 2 == 0 then
				left[#left + 1] = frame
			end
		end
		assert.equal(33, #left)
		assert.same(left, (written "function(_, _, pkt) if pkt.syn then pkt:drop() end end"))
	end)

	it("writes to standard output", function()
		local silent = kit.script 'require "mos".monitor {}'
		local code, out = kit.run { silent, "-r", http, "-w", "-" }
		assert.same({ FINE, all }, { code, frames(kit.write(kit.tmp ".pcap", out)) })
	end)

	describe("and a handler that fails at the fourth packet:", function()
		local fails = "function(_, _, pkt) if pkt.number == 4 then error('no', 0) end end"

		it("pass writes it, as without the option", function()
			for _, option in ipairs { "--on-error=pass", "-q" } do
				local list, code, out, err = written(fails, option)
				assert.same({ all, FINE, "bye\n" }, { list, code, out })
				assert.matches("^mos%-run: error: no %(pkt_in, packet 4%)\n", err)
			end
		end)

		it("drop leaves it out", function()
			local list, code, out = written(fails, "--on-error=drop")
			assert.same({ without(4), FINE, "bye\n" }, { list, code, out })
		end)

		it("stop ends the run there: nothing behind it is written", function()
			local list, code, out = written(fails, "--on-error=stop")
			assert.same({ SCRIPT, "bye\n" }, { code, out })
			assert.is_true(#list == 3 or #list == 4, #list .. " packets were written")
		end)
	end)
end)

describe("mos-run", function()
	it("prints counters on standard error with --stats", function()
		local code, out, err = kit.run { "--stats", hello, "-r", http }
		assert.same({ FINE, greetings }, { code, out })
		local counts = { packets = 39, connections = 3, rexmit_packets = 1, closed = 2, reset = 1, conn_start = 3 }
		for name, count in pairs(counts) do
			assert.matches(("\n  %s +%d  %%w"):format(name, count), err)
		end
	end)

	it("loads and runs nothing with --check, needing no capture", function()
		local source = [[
local mos = require "mos"
mos.monitor {}:on("pkt_in", "snd", function() print "packet" end)
mos.at_exit(function() print "exit" end)]]
		assert.same({ FINE, "", "" }, { kit.run { "--check", kit.script(source) } })
		assert.same({ FINE, "", "" }, { kit.run { "--check", kit.script(source), "-r", http } })
		assert.equal(SCRIPT, (kit.run { "--check", kit.script "local" }))
	end)

	it("lists the events, and a script's own with --events", function()
		local code, builtin, err = kit.run { "--events" }
		assert.same({ FINE, "" }, { code, err })
		assert.equal(8, select(2, builtin:gsub("[%w_]+ +hooks: ", "")))
		local _, all = kit.run { "--events", kit.source .. "/scripts/seed_example.lua" }
		assert.equal(builtin .. "http_request extends conn_new_data: "
			.. "The server has received the beginning of an HTTP request.\n", all)
	end)

	it("says its version, and helps within 80 columns and 24 lines", function()
		assert.matches("^mos%-run %d+%.%d+%.%d+\n$", (select(2, kit.run { "--version" })))
		local code, out = kit.run { "--help" }
		assert.equal(FINE, code)
		assert.is_true(select(2, out:gsub("\n", "")) <= 24)
		for line in out:gmatch "[^\n]+" do
			assert.is_true(#line <= 80, line)
		end
	end)

	-- The pipe stays open, so only the signal can end the run; it is sent when the first event has been seen.
	for _, signal in ipairs { "INT", "TERM" } do
		it("ends as at the end of the input at SIG" .. signal, function()
			local script = kit.script [[
local mos = require "mos"
local mon = mos.monitor {}
mon:on("conn_start", "snd", function(conn) print("start", conn.client.port) io.stdout:flush() end)
mon:on("conn_end", "snd", function(conn, side) print("end", side, conn.end_reason) end)
mos.at_exit(function() print "exit" end)]]
			local capture = kit.pcap "0 C S 0:0(0)\n+.01 S S. 0:0(0) ack 1\n+.01 C . 1:1(0) ack 1"
			local code, out, err = kit.command { "sh", "-c", [[
				rm -f "$1.in" "$1.out"
				mkfifo "$1.in" "$1.out" || exit 90
				"$2" "$3" -r "$1.in" >"$1.out" & run=$!
				exec 3<>"$1.in" 4<"$1.out"
				cat "$4" >&3
				read -r line <&4 && echo "$line"
				kill -s "$5" $run
				cat <&4
				wait $run]], "sh", kit.tmp ".fifo", kit.run_path, script, capture, signal }
			assert.equal("", err)
			assert.same({ FINE, "start\t40000\nend\tcli\tinput\nend\tsvr\tinput\nexit\n" }, { code, out })
		end)
	end
end)

describe("what a script prints", function()
	it("is not lost in silence when standard output is full", function()
		local to_full = ("exec %s %s -r %s >/dev/full"):format(kit.quote(kit.run_path), kit.quote(hello), kit.quote(http))
		local code, _, err = kit.command { "sh", "-c", to_full }
		assert.same({ INPUT, "mos-run: error: standard output: No space left on device\n" }, { code, err })
	end)
end)

describe("README.md", function()
	local text = kit.read(kit.source .. "/README.md")

	it("shows what its first command prints", function()
		local command, rest = text:match "```\n%./setup && (build/mos%-run [^\n]+)\n```(.*)"
		local promised = rest:match "```\n(.-)```"
		assert.equal(promised, typed(checkout(), command))
	end)

	it("has an example script that runs", function()
		local source = text:match "```lua\n(.-)```"
		local name, arguments = text:match "%$ build/mos%-run (%S+) (%-r [^\n]+)"
		local dir = checkout()
		kit.write(dir .. "/" .. name, source)
		assert.equal("192.0.2.10\t/index.html\n192.0.2.10\t/site.css\n2001:db8:10::25\t/logo.gif\n",
			typed(dir, "build/mos-run " .. name .. " " .. arguments))
	end)
end)

describe("docs/start.md", function()
	local text = kit.read(kit.source .. "/docs/start.md")

	it("names every option that --help names", function()
		for option in select(2, kit.run { "--help" }):gmatch "%-%-%l[%l%-]*" do
			assert.matches(option, text, 1, true)
		end
	end)

	-- One folder for all of them: an example may use what one above it wrote.
	local dir
	for _, example in ipairs(console.examples(text)) do
		it("shows what is printed by " .. example.command, function()
			dir = dir or checkout()
			assert.equal(example.promised, typed(dir, example.command))
		end)
	end
end)

describe("docs/events.md", function()
	local text = kit.read(kit.source .. "/docs/events.md")

	it("has the table that --events=markdown prints", function()
		assert.equal(select(2, kit.run { "--events=markdown" }), text:match "(| in Lua .-|\n)\n")
	end)

	it("shows the order of a plain connection's events", function()
		local source = text:match "```lua\n(.-)```"
		local promised = text:match "```text\n(.-)```"
		local code, out = kit.run { kit.script(source), "-r",
			kit.pcap(kit.read(kit.source .. "/tests/pcaps/handshake.seg")) }
		assert.same({ FINE, promised }, { code, out })
	end)
end)

describe("docs/man/mos-run.1", function()
	it("names every option that --help names", function()
		local text = kit.read(kit.source .. "/docs/man/mos-run.1"):gsub("\\", "")
		for option in select(2, kit.run { "--help" }):gmatch "%-%-%l[%l%-]*" do
			assert.matches(option, text, 1, true)
		end
	end)
end)
