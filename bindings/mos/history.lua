-- May the script look at bytes that it has read before? If it cannot, nobody need keep them: what is read within its
-- burst is then never copied. A function that has none of these words among its constants, nor loads more code where
-- they could stand, has no way to ask.
local lib = require "mos.ffi"

local dump = string.dump

-- As they stand in a dump: the length and 5 (lj_bcdump.h), then the text. So "payload" is not "load".
local words = {}
for i, word in ipairs { "ppeek", "fragments", "find", "load", "loadstring", "loadfile", "dofile" } do
	words[i] = string.char(#word + 5) .. word
end

local function mentions(chunk)
	local code = dump(chunk)
	for _, word in ipairs(words) do
		if code:find(word, 1, true) then
			return true
		end
	end
	return false
end

-- What a loader found; a module in C may do anything.
local function look(chunk)
	if type(chunk) == "function" then
		local ok, yes = pcall(mentions, chunk)
		if yes or not ok then
			lib.C.mos_ffi_look_back(lib.ctx)
		end
	end
	return chunk
end

-- Preloaded modules are LuaJIT's own, as "jit.vmdef" is, and the second loader's are the executable's: they do not look
-- back.
local own = 2

for i, loader in ipairs(package.loaders) do
	if i > own then
		package.loaders[i] = function(name)
			local chunk = loader(name)
			if name:find "^jit%." then
				return chunk
			end
			return (look(chunk))
		end
	end
end

return { look = look }
