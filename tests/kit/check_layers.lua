-- Who may include whom. From the top folder, `luajit tests/kit/check_layers.lua` lists what breaks the rule.

local layers = {}

-- A file may include files of its own layer and of lower ones.
local LAYER = {
	util = 0,
	pkt = 1, io = 1,
	flow = 2, tcp = 2,
	event = 3,
	api = 4, control = 4, runtime = 4,
	bindings = 5, main = 5,
}

-- Lists of names without code behind them: every layer counts and raises.
local SHARED = { ["runtime/control/stats.h"] = true, ["runtime/event/event_list.h"] = true }

-- Headers of others, and which files may know them.
local FOREIGN = {
	{ "^lua", "^bindings/" }, { "^lauxlib%.h$", "^bindings/" },
	{ "^pcap", "^runtime/io/pcap[%w_]*%.[ch]$" },
	{ "^rte_", "^runtime/io/dpdk[%w_]*%.[ch]$" },
}

-- The command itself stands above everything else in runtime/.
local COMMAND = { ["runtime/main.c"] = true, ["runtime/options.c"] = true, ["runtime/options.h"] = true,
	["runtime/user.c"] = true, ["runtime/user.h"] = true }

local function layer_of(path)
	if SHARED[path] then
		return "shared", -1
	end
	local name = COMMAND[path] and "main" or path:match "^runtime/(%w+)/" or path:match "^(%w+)/"
	return name, LAYER[name]
end

-- The path of a header as written in a file, nil for those outside of the layers (include/).
local function resolve(files, from, header)
	for _, dir in ipairs { from:match "^(.*/)", "runtime/", "bindings/" } do
		if files[dir .. header] then
			return dir .. header
		end
	end
end

local function foreign_fault(path, header)
	for _, rule in ipairs(FOREIGN) do
		if header:match(rule[1]) then
			for i = 2, #rule do
				if path:match(rule[i]) then
					return nil
				end
			end
			return ("%s: <%s> does not belong here"):format(path, header)
		end
	end
end

local function own_fault(files, path, header)
	local target = resolve(files, path, header)
	if not target then
		return nil
	end
	local from, from_layer = layer_of(path)
	local to, to_layer = layer_of(target)
	if not from_layer or not to_layer then
		return ("%s: '%s' has no layer; give it one in tests/kit/check_layers.lua"):format(path,
			from_layer and to or from)
	end
	if to_layer > from_layer then
		return ("%s: %s is below %s and cannot include %s"):format(path, from, to, header)
	end
end

-- What breaks the rule in files (path -> content), sorted; empty when all is well.
function layers.check(files)
	local faults = {}
	for path, content in pairs(files) do
		for open, header in content:gmatch '#%s*include%s*([<"])([^>"\n]+)' do
			faults[#faults + 1] = open == "<" and foreign_fault(path, header)
				or open == '"' and own_fault(files, path, header) or nil
		end
	end
	table.sort(faults)
	return faults
end

-- The C files below dir, path -> content.
function layers.read(dir)
	local files = {}
	local find = assert(io.popen(("cd '%s' && find runtime bindings -name '*.[ch]'"):format(dir)))
	for path in find:lines() do
		local f = assert(io.open(dir .. "/" .. path, "rb"))
		files[path] = f:read "*a"
		f:close()
	end
	find:close()
	return files
end

if arg and arg[0] and arg[0]:match "check_layers%.lua$" then
	local faults = layers.check(layers.read ".")
	for _, fault in ipairs(faults) do
		io.stderr:write(fault, "\n")
	end
	os.exit(#faults == 0 and 0 or 1)
end

return layers
