-- Libraries of events: folders on MOS_PATH, each with a manifest. `require "name"` finds them after what is part of
-- mos-run and what lies next to the script; docs/writing-events.md describes them.
local history = require "mos.history"

local library = {}

local kinds = { name = "string", version = "string", meaning = "string", main = "string", mos = "string" }

local function each_folder()
	return ((os.getenv "MOS_PATH" or "")):gmatch "[^:]+"
end

local function exists(path)
	local f = io.open(path, "rb")
	if f then
		f:close()
	end
	return f ~= nil
end

-- A manifest is a table of strings, read without any function in reach.
local function read_manifest(path)
	local chunk, why = loadfile(path)
	if not chunk then
		error(why, 0)
	end
	local ok, t = pcall(setfenv(chunk, {}))
	if not ok or type(t) ~= "table" then
		error(path .. ": a manifest returns a table: " .. (ok and "this one does not" or t), 0)
	end
	for key, kind in pairs(kinds) do
		if type(t[key]) ~= kind and not (t[key] == nil and key ~= "name") then
			error(("%s: %s must be a %s"):format(path, key, kind), 0)
		end
	end
	return t
end

-- The folder and manifest of a library, nil if there is none.
local function find(name)
	for dir in each_folder() do
		local folder = dir .. "/" .. name
		local path = folder .. "/manifest.lua"
		if exists(path) then
			local manifest = read_manifest(path)
			if manifest.name ~= name then
				error(("%s: its name is '%s', but it lies in a folder '%s'"):format(path, manifest.name, name), 0)
			end
			return folder, manifest
		end
	end
end

library.loaded = {}

-- For package.loaders: "name" is the library's main file, "name.part" its part.lua.
local function loader(module)
	local name, part = module:match "^([%w_-]+)%.?([%w_.-]*)$"
	local folder, manifest
	if name then
		folder, manifest = find(name)
	end
	if not folder then
		return ("\n\tno library '%s' on MOS_PATH"):format(name or module)
	end
	library.loaded[name] = manifest
	local file = part ~= "" and part:gsub("%.", "/") .. ".lua" or manifest.main or "init.lua"
	local path = folder .. "/" .. file
	if part ~= "" and not exists(path) then
		return ("\n\tno file '%s'"):format(path)
	end
	local chunk, why = loadfile(path)
	if not chunk then
		error(why, 0)
	end
	history.look(chunk)
	-- The main file is told its folder, for mos.load (folder .. "/x.so").
	return function(...)
		return chunk(module, folder)
	end
end

table.insert(package.loaders, loader)

return library
