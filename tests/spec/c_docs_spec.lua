-- docs/c-api.md is a program: its blocks compile, link, and print what it says. Every call of the headers is in it.
local kit = require "kit"

local text = kit.read(kit.source .. "/docs/c-api.md")

local function blocks(kind)
	local list = {}
	for block in text:gmatch("\n```" .. kind .. "\n(.-)\n```") do
		list[#list + 1] = block
	end
	return list
end

local function run(args, env)
	local code, out, err = kit.command(args, { env = env })
	assert.equal(0, code, err)
	return out
end

describe("docs/c-api.md", function()
	it("is a program that compiles and prints what it says", function()
		local source = kit.write(kit.tmp ".c", table.concat(blocks "c", "\n\n"))
		local program, conf = kit.tmp "", kit.tmp ".conf"
		kit.write(conf, ("mos { netdev { pcap_in = %s/tests/pcaps/http.pcap } }"):format(kit.source))
		local sanitizer = select(2, kit.command { "sh", "-c", "nm -D " .. kit.build .. "/libmos.so | grep -c __asan_init" })
		local with = tonumber(sanitizer) > 0 and "-fsanitize=address,undefined" or "-O1"
		run { "cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", with, "-I" .. kit.source .. "/include", "-o", program,
			source, "-L" .. kit.build, "-lmos", "-Wl,-rpath," .. kit.build }
		local promised = blocks "text"
		assert.equal(promised[#promised] .. "\n", run { program, conf })
	end)

	it("has every call of the headers", function()
		for _, header in ipairs { "mos_api.h", "mtcp_api.h" } do
			local declared = kit.read(kit.source .. "/include/" .. header):gsub("/%*.-%*/", "")
			for call in declared:gmatch "[\n *](mtcp_[%w_]+)%(" do
				assert.truthy(text:find("`" .. call .. "(", 1, true), call)
			end
		end
	end)
end)

describe("docs/porting-from-mos.md", function()
	it("has every key and block of mos.conf", function()
		local porting = kit.read(kit.source .. "/docs/porting-from-mos.md")
		for key in kit.read(kit.source .. "/runtime/api/conf.c"):gmatch '{ "([%w_]+)", ' do
			assert.truthy(porting:find("`" .. key .. "[ =`]"), key)
		end
	end)
end)
