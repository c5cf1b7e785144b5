-- A program in C that changes while packets flow.
local kit = require "kit"
local live = require "live"

-- Connection a: 3 + 27 packets, then b's handshake, then a's other 27; 10 ms apart.
local function capture()
	local lines = { "conn a", "client 10.0.0.1:1000", "conn b", "client 10.0.0.1:2000",
		"0 a.C S 0:0(0)", "+.01 a.S S. 0:0(0) ack 1", "+.01 a.C . 1:1(0) ack 1" }
	for i = 0, 26 do
		lines[#lines + 1] = ("+.01 a.C P. %d:%d(10) ack 1"):format(1 + 10 * i, 11 + 10 * i)
	end
	lines[#lines + 1] = "+.01 b.C S 0:0(0)"
	lines[#lines + 1] = "+.01 b.S S. 0:0(0) ack 1"
	lines[#lines + 1] = "+.01 b.C . 1:1(0) ack 1"
	for i = 27, 53 do
		lines[#lines + 1] = ("+.01 a.C P. %d:%d(10) ack 1"):format(1 + 10 * i, 11 + 10 * i)
	end
	lines[#lines + 1] = "+.01 a.C R. 541:541(0) ack 1"
	lines[#lines + 1] = "+.01 b.C R. 1:1(0) ack 1"
	return kit.pcap(table.concat(lines, "\n"))
end

local path = capture()

local head = [[
#include <mos_api.h>
#include <stdio.h>
#include <stdlib.h>
void mos_app_init(mctx_t m);
void mos_app_exit(mctx_t m);
#define HANDLER(name) \
	static void name(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
#define IGNORE (void)m, (void)sock, (void)side, (void)event, (void)arg
__attribute__((destructor)) static void gone(void)
{
	fprintf(stderr, "gone " VERSION "\n");
}
]]

-- The packets that it sees, with its version behind: one monitor with handlers and more.
local counting = [[
static int packets;
HANDLER(on_packet)
{
	IGNORE;
	packets++;
	printf("%s ", VERSION);
	fflush(stdout);
}
void mos_app_init(mctx_t m)
{
	int s = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);
	mtcp_register_callback(m, s, MOS_ON_PKT_IN, MOS_HK_SND, on_packet);
}
void mos_app_exit(mctx_t m)
{
	fprintf(stderr, "exit " VERSION " of %d\n", m->cpu);
}
]]

-- Compile to a file, which is written over as `cp` does.
local function compile(object, version, body)
	local source, made = kit.tmp ".c", kit.tmp ".made"
	kit.write(source, head .. body)
	local code, _, err = kit.command { "cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror",
		("-DVERSION=\"%s\""):format(version), "-I" .. kit.source .. "/include", "-o", made, source }
	assert.equal(0, code, err)
	kit.write(object, kit.read(made))
	return object
end

local function count(text, what)
	return select(2, text:gsub(what, ""))
end

local function mapped(run, object)
	return count(kit.read("/proc/" .. run:number "pid" .. "/maps"), object:match "[^/]*$")
end

local function start(body, ...)
	local object = compile(kit.tmp ".so", "o", body)
	return live.start { capture = path, object, ... }, object
end

describe("a reload of a shared object", function()
	it("has each packet seen by one version", function()
		local run, object = start(counting)
		run:feed(20)
		compile(object, "n", counting)
		local code, answer, err = run:ctl "reload"
		assert.equal(0, code, err)
		assert.matches("pause_us", answer)
		run:wait(function() return run:number "old_copies" == 0 end, "the end of the old one")
		assert.equal(2, count(run:errors(), "exit o"))
		assert.equal(1, count(run:errors(), "gone o"))
		run:feed()
		local rc, out, errors = run:finish()
		assert.equal(0, rc, errors)
		assert.same({ 20, 42 }, { count(out, "o "), count(out, "n ") })
		assert.equal(2, count(errors, "exit n"))
		assert.equal(1, count(errors, "gone n"))
	end)

	it("that fails changes nothing, and says why", function()
		local run, object = start(counting)
		run:feed(20)
		for _, case in ipairs {
			{ function() kit.write(object, "ELF") end, "%.so: file too short" },
			{ function() os.remove(object) end, "%.so: cannot open shared object file: No such file or directory" },
			{ function() compile(object, "n", "void mos_app_exit(mctx_t m) { (void)m; }") end,
				"%.so: no function mos_app_init%(mctx_t%)" },
			{ function()
				compile(object, "n", "int missing_function(void); void mos_app_init(mctx_t m) { (void)m; missing_function(); }")
			end, "%.so: undefined symbol: missing_function" },
		} do
			case[1]()
			local code, _, err = run:ctl "reload"
			assert.equal(1, code)
			assert.matches(case[2], err)
		end
		local code, _, err = run:ctl("reload", kit.script "")
		assert.equal(1, code)
		assert.matches("a shared object runs, which only another one can replace", err)
		assert.equal(5, run:number "refused_reloads")
		assert.equal(0, run:number "old_copies")
		run:feed()
		local rc, out = run:finish()
		assert.same({ 0, 62, 0 }, { rc, count(out, "o "), count(out, "n ") })
	end)

	it("does not take a script's place", function()
		local run = live.start { capture = path, kit.script "" }
		local code, _, err = run:ctl("reload", kit.build .. "/tests/apps/seed_example.so")
		assert.equal(1, code)
		assert.matches("a script runs, which only another script can replace", err)
		run:finish()
	end)

	it("comes by SIGHUP, and by --watch", function()
		local run, object = start(counting, "--watch")
		run:feed(20)
		compile(object, "n", counting)
		run:wait(function() return run:number "reloads" == 1 end, "the reload")
		run:feed(20)
		run:signal "HUP"
		run:wait(function() return run:number "reloads" == 2 end, "the second reload")
		run:feed()
		local _, out, errors = run:finish()
		assert.same({ 20, 42 }, { count(out, "o "), count(out, "n ") })
		assert.equal(2, count(errors, "gone n"))
	end)

	it("may be one worker's, and the old copy stays for the others", function()
		local run, object = start(counting)
		run:feed(20)
		compile(object, "n", counting)
		assert.equal(0, (run:ctl("reload", "--worker", "1")))
		run:wait(function() return run:number "old_copies" == 0 end, "the end of the old one")
		assert.equal(1, count(run:errors(), "exit o of 0"))
		assert.equal(0, count(run:errors(), "gone o"))
		assert.equal(0, (run:ctl("reload", "--worker", "2")))
		run:wait(function() return run:number "old_copies" == 0 end, "the end of the old one")
		assert.equal(1, count(run:errors(), "gone o"))
		run:feed()
		local _, out = run:finish()
		assert.same({ 20, 42 }, { count(out, "o "), count(out, "n ") })
	end)

	it("goes to one worker first with --canary", function()
		local run, object = start(counting, "--canary", "0.01")
		run:feed(20)
		compile(object, "n", counting)
		assert.equal(0, (run:ctl "reload"))
		run:feed()
		local _, out = run:finish()
		assert.same({ 20, 42 }, { count(out, "o "), count(out, "n ") })
	end)

	-- A context per connection, an event of its own, a handler of one connection, and a timer for each packet.
	local keeping = [[
static event_t every;
static bool yes(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	IGNORE;
	return true;
}
HANDLER(on_timer)
{
	IGNORE;
	printf("timer %d %s\n", sock, VERSION);
}
HANDLER(on_every)
{
	IGNORE;
	++*(int *)mtcp_get_uctx(m, sock);
}
HANDLER(on_end)
{
	IGNORE;
	int *n = mtcp_get_uctx(m, sock);

	if (!n)
		return; /* it is the other side's */
	printf("end %d %s\n", *n, VERSION);
	fflush(stdout);
	free(n);
	mtcp_set_uctx(m, sock, NULL);
}
HANDLER(on_start)
{
	IGNORE;
	struct timeval later = { 0, 450000 };

	mtcp_set_uctx(m, sock, calloc(1, sizeof(int)));
	mtcp_register_callback(m, sock, every, MOS_HK_SND, on_every);
	mtcp_settimer(m, 7, &later, on_timer);
}
void mos_app_init(mctx_t m)
{
	int s = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);

#ifdef ANOTHER
	mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);
#endif
	every = mtcp_define_event(MOS_ON_PKT_IN, yes);
	mtcp_register_callback(m, s, MOS_ON_CONN_START, MOS_HK_SND, on_start);
	mtcp_register_callback(m, s, MOS_ON_CONN_END, MOS_HK_SND, on_end);
}
]]
	it("keeps contexts, handlers of one connection, events and timers, until the old copy is nobody's", function()
		local run, object = start(keeping, "--linger", "0")
		run:feed(20)
		compile(object, "n", "#define ANOTHER\n" .. keeping)
		assert.equal(0, (run:ctl "reload"))
		run:feed(20)
		-- Connection a has a context that the old copy set.
		assert.equal(1, run:number "old_copies")
		local copies = mapped(run, object)
		run:feed(21)
		run:wait(function() return run:number "old_copies" == 0 end, "the end of the old copy")
		assert.equal(copies / 2, mapped(run, object))
		run:feed()
		local rc, out, errors = run:finish()
		assert.equal(0, rc, errors)
		assert.equal(1, count(errors, "gone o"))
		-- All packets but the first, whose pkt_in is before conn_start.
		assert.matches("end 57 n\n", out, 1, true)
		assert.matches("end 3 n\n", out, 1, true)
		assert.equal(1, count(out, "timer 7 n\n")) -- a's; b ends before
		assert.equal(0, count(out, " o\n"))
	end)
end)
