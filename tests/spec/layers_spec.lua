local kit = require "kit"
local layers = require "check_layers"

-- A tree with one header per layer, and one file more.
local function faults_of(path, content)
	local files = {
		["runtime/util/u.h"] = "", ["runtime/pkt/p.h"] = "", ["runtime/tcp/t.h"] = "", ["runtime/flow/f.h"] = "",
		["runtime/event/e.h"] = "", ["runtime/event/event_list.h"] = "", ["runtime/control/stats.h"] = "",
		["runtime/api/a.h"] = "", ["runtime/worker.h"] = "", ["runtime/options.h"] = "", ["bindings/lua_vm.h"] = "",
	}
	files[path] = content
	return layers.check(files)
end

describe("the layers", function()
	it("are kept by every file", function()
		assert.same({}, layers.check(layers.read(kit.source)))
	end)

	it("allow what is lower or equal, lists of names, and the public headers", function()
		assert.same({}, faults_of("runtime/tcp/x.c", [[
#include <string.h>
#include "mos_api.h"
#include "t.h"
#include "flow/f.h"
#include "util/u.h"
#include "control/stats.h"
#include "event/event_list.h"
]]))
		assert.same({}, faults_of("runtime/main.c", '#include "options.h"\n#include "lua_vm.h"\n#include "worker.h"'))
		assert.same({}, faults_of("bindings/x.c", '#include <lua.h>\n#include "lua_vm.h"\n#include "worker.h"'))
	end)

	it("forbid what is higher", function()
		assert.same({ "runtime/util/x.c: util is below pkt and cannot include pkt/p.h" },
			faults_of("runtime/util/x.c", '#include "pkt/p.h"'))
		assert.same({ "runtime/pkt/x.h: pkt is below flow and cannot include flow/f.h" },
			faults_of("runtime/pkt/x.h", '#  include "flow/f.h"'))
		assert.same({ "runtime/tcp/x.c: tcp is below event and cannot include event/e.h" },
			faults_of("runtime/tcp/x.c", '#include "event/e.h"'))
		assert.same({ "runtime/event/x.c: event is below api and cannot include api/a.h",
			"runtime/event/x.c: event is below runtime and cannot include worker.h" },
			faults_of("runtime/event/x.c", '#include "worker.h"\n#include "api/a.h"'))
		assert.same({ "runtime/worker.c: runtime is below bindings and cannot include lua_vm.h" },
			faults_of("runtime/worker.c", '#include "lua_vm.h"'))
		assert.same({ "runtime/path.c: runtime is below main and cannot include options.h" },
			faults_of("runtime/path.c", '#include "options.h"'))
	end)

	it("keep others' headers where they belong", function()
		assert.same({ "runtime/worker.c: <lua.h> does not belong here" },
			faults_of("runtime/worker.c", "#include <lua.h>"))
		assert.same({ "runtime/pkt/x.c: <pcap/pcap.h> does not belong here" },
			faults_of("runtime/pkt/x.c", "#include <pcap/pcap.h>"))
		assert.same({}, faults_of("runtime/io/pcap_reader.c", "#include <pcap/pcap.h>"))
		assert.same({ "runtime/api/filter.c: <pcap/pcap.h> does not belong here" },
			faults_of("runtime/api/filter.c", "#include <pcap/pcap.h>"))
		assert.same({ "runtime/io/pcap_reader.c: <rte_mbuf.h> does not belong here" },
			faults_of("runtime/io/pcap_reader.c", "#include <rte_mbuf.h>"))
	end)

	it("must include every folder", function()
		assert.same({ "runtime/new/x.c: 'new' has no layer; give it one in tests/kit/check_layers.lua" },
			faults_of("runtime/new/x.c", '#include "util/u.h"'))
	end)
end)
