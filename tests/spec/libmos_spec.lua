-- libmos as it is installed: headers, both libraries, pkg-config.
local kit = require "kit"

local prefix = kit.build .. "/tests/tmp/libmos-prefix"

-- Run a line of shell; its exit code, and all that it printed.
local function shell(line)
	local code, out, err = kit.command { "sh", "-c", line }
	return code, out .. err
end

local function compile(how)
	local program = kit.tmp ""
	local code, said = shell(([[
export PKG_CONFIG_PATH=%s
cc -Wall -Werror -o %s %s/tests/conformance/programs/counter.c %s]]):format(
		kit.quote(prefix .. "/lib/pkgconfig"), kit.quote(program), kit.quote(kit.source), how))
	assert.equal(0, code, said)
	return program
end

local function counts(program)
	local conf = kit.write(kit.tmp ".conf", ("mos { netdev { pcap_in = %s/tests/pcaps/http.pcap } }"):format(kit.source))
	local code, out, err = kit.command { program, "-f", conf }
	assert.equal(0, code, err)
	assert.equal("2 requests: 1 GET, 1 POST, 0 other\n", out)
end

describe("libmos, installed", function()
	local sanitized

	setup(function()
		local code, said = shell(("cmake --install %s --prefix %s"):format(kit.quote(kit.build), kit.quote(prefix)))
		assert.equal(0, code, said)
		sanitized = shell(("nm -D %s/libmos.so | grep -q __asan"):format(kit.quote(kit.build))) == 0
	end)

	it("is linked by what pkg-config says", function()
		if sanitized then
			pending "libmos has a sanitizer in it"
			return
		end
		counts(compile(("$(pkg-config --cflags --libs mos) -Wl,-rpath,%s/lib"):format(prefix)))
	end)

	it("is linked statically, and then needs no library of ours", function()
		if sanitized then
			pending "libmos has a sanitizer in it"
			return
		end
		local program = compile(("$(pkg-config --cflags mos) %s/lib/libmos.a -lpcap -lpthread -lm"):format(prefix))
		counts(program)
		local _, libraries = shell("ldd " .. kit.quote(program))
		assert.not_matches("libmos", libraries)
	end)

	it("shows no names but mOS's", function()
		local _, names = shell(("nm -D --defined-only %s/libmos.so; nm -g --defined-only %s/libmos.a"):format(
			kit.quote(kit.build), kit.quote(kit.build)))
		assert.matches(" T mtcp_init", names)
		local more = { GetRSSCPUCore = true, StrToArgs = true }
		for name in names:gmatch " [A-TV-Z] ([%w_.]+)" do
			assert.truthy(name:find "^mtcp_" or more[name] or name:find "^__" or name:find "^%._", name)
		end
	end)
end)
