-- HTTP, TLS, SSH and DNS as tshark sees them, over the captures beside the project, where both are.
local kit = require "kit"
local tshark = require "tshark"

local folder = kit.source .. "/../shared/pcaps"

-- Captures on which the two differ; docs/accuracy.md says why.
local known = {}
for name, kinds in pairs(require "tshark_known") do
	known[name] = {}
	for kind in kinds:gmatch "[^;]+" do
		known[name][kind:match "^%s*(.-)%s*$"] = true
	end
end

local function captures()
	local list = {}
	local _, out = kit.command { "ls", folder }
	for name in out:gmatch "[^\n]+" do
		-- The mix is made of the others.
		if (name:find "%.pcapn?g?$" or name:find "%.snoop$") and not name:find "^mix__" then
			list[#list + 1] = name
		end
	end
	return list
end

describe("tshark agrees on", function()
	local list = captures()
	if not tshark.is_there() or #list == 0 then
		pending "tshark, or the captures beside the project, are not here"
		return
	end
	local theirs, ours = {}, {}
	setup(function()
		for i, name in ipairs(list) do
			theirs[i], ours[i] = tshark.ask(folder .. "/" .. name), tshark.ours(folder .. "/" .. name)
		end
	end)
	for k, kind in ipairs(tshark.kinds) do
		it(kind.name, function()
			local differ, same = {}, 0
			for i, name in ipairs(list) do
				local n, rest = tshark.compare(theirs[i][k], ours[i][k])
				same = same + n
				if #rest > 0 and not (known[name] and known[name][kind.name]) then
					differ[#differ + 1] = name .. "\n  " .. table.concat(rest, "\n  ")
				end
			end
			assert.same({}, differ)
			assert.is_true(same >= kind.least, same .. " are the same")
		end)
	end
end)
