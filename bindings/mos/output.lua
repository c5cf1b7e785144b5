-- Standard output that several workers share: what one call prints stays together.
local write = io.write

-- luacheck: globals io.write print

-- One piece is written at once anyway.
function io.write(...)
	if select("#", ...) < 2 then
		return write(...)
	end
	return write(table.concat { ... })
end

function print(...)
	local words = { ... }
	for i = 1, select("#", ...) do
		words[i] = tostring(words[i])
	end
	write(table.concat(words, "\t") .. "\n")
end
