-- mos-run --new-monitor: what it writes works as it stands.
local kit = require "kit"

local run_path = kit.run_path:match "^/" and kit.run_path or io.popen("pwd"):read "*l" .. "/" .. kit.run_path

local function folder()
	local dir = kit.tmp ".new"
	assert(os.execute(("rm -rf %s && mkdir %s"):format(kit.quote(dir), kit.quote(dir))) == 0)
	return dir
end

-- In a folder, as on a machine where nothing tells Lua where to look.
local function inside(dir, command)
	return kit.command { "sh", "-c", ("cd %s && unset LUA_PATH LUA_CPATH && %s"):format(kit.quote(dir), command) }
end

describe("--new-monitor", function()
	it("writes a monitor, a spec and a capture that pass under busted", function()
		local dir = folder()
		local code, out, err = inside(dir, kit.quote(run_path)
			.. " --new-monitor my-first && busted -o plainTerminal my-first")
		assert.same({ 0, "" }, { code, err })
		assert.matches("my-first/my-first.lua: the monitor; mos-run my-first/my-first.lua -r my-first/my-first.pcap\n",
			out, 1, true)
		assert.matches("5 successes / 0 failures / 0 errors", out)
	end)

	it("writes a monitor that runs", function()
		local dir = folder()
		local run = kit.quote(run_path)
		assert.equal(0, (inside(dir, run .. " --new-monitor x")))
		local code, out, err = inside(dir, run .. " x/x.lua -r x/x.pcap -- 'port 80'")
		assert.same({ 0, "192.0.2.7:51000\tGET /first HTTP/1.1\n", "" }, { code, out, err })
		assert.matches("x_line extends conn_new_data", select(2, inside(dir, run .. " --events x/x.lua")))
	end)

	it("works from where it is installed", function()
		local dir = folder()
		assert.equal(0, (kit.command { "env", "-u", "LD_PRELOAD", "cmake", "--install", kit.build,
			"--prefix", dir .. "/usr" }))
		local code, out, err = inside(dir, "usr/bin/mos-run --new-monitor x && busted -o plainTerminal x")
		assert.same({ 0, "" }, { code, err })
		assert.matches("5 successes / 0 failures / 0 errors", out)
		assert.matches('/usr/lib/lua/5.1/?.so" } }', kit.read(dir .. "/.busted"), 1, true)
	end)

	it("leaves alone what is there", function()
		local dir = folder()
		local run = kit.quote(run_path)
		assert.equal(0, (inside(dir, run .. " --new-monitor x")))
		assert.same({ 2, "", "mos-run: error: x: File exists\n" }, { inside(dir, run .. " --new-monitor x") })
		kit.write(dir .. "/.busted", "return {}\n")
		local code, out = inside(dir, run .. " --new-monitor y")
		assert.equal(0, code)
		assert.matches('stays; what it should have is:.*lua = "luajit", cpath = "/', out)
		assert.equal("return {}\n", kit.read(dir .. "/.busted"))
	end)

	it("refuses a name that is none", function()
		local dir = folder()
		for _, name in ipairs { "../x", "a b", "-x", "1x" } do
			local code, out, err = inside(dir, kit.quote(run_path) .. " --new-monitor=" .. kit.quote(name))
			assert.same({ 2, "" }, { code, out })
			assert.matches("^mos%-run: error: a monitor's name is made of letters, digits, '_' and '%-', not '", err)
		end
	end)
end)
