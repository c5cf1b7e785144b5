-- Examples in documentation: ```console blocks, typed into a shell in a folder that looks like the project's.
local kit = require "kit"

local console = {}

-- A folder with scripts, tests, docs and what is built in it, as the documentation names them.
function console.checkout()
	local dir = kit.tmp ".checkout"
	local _, here = kit.command { "pwd" }
	local function absolute(path)
		return path:match "^/" and path or here:gsub("\n", "/") .. path
	end
	local code = kit.command { "sh", "-ec", [[
		rm -rf "$1"; mkdir -p "$1/build/tests"; cd "$1"
		ln -s "$2/scripts" "$2/tests" "$2/docs" .; ln -s "$3" build/mos-run
		ln -s "$4/tests/apps" build/tests/apps; ln -s "$4/mos" build/mos
	]], "sh", dir, absolute(kit.source), absolute(kit.run_path), absolute(kit.build) }
	assert(code == 0, "cannot make " .. dir)
	return dir
end

-- What a command line prints there, errors included, as on a terminal.
function console.typed(dir, line)
	local _, out = kit.command { "sh", "-c", 'cd "$1" && { ' .. line .. "; } 2>&1", "sh", dir }
	return out
end

-- The commands of a text, { command =, promised = }: each with what follows it up to the next one.
function console.examples(text)
	local list, inside = {}, false
	for line in text:gmatch "([^\n]*)\n" do
		if line:match "^```" then
			inside = line == "```console"
		elseif inside and line:match "^%$ " then
			list[#list + 1] = { command = line:sub(3), promised = "" }
		elseif inside then
			list[#list].promised = list[#list].promised .. line .. "\n"
		end
	end
	return list
end

return console
