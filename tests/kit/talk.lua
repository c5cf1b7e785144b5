-- Conversations as the text of segments: what each end says, in turns, cut into segments of any size.
local talk = {}

local function quoted(bytes)
	return (bytes:gsub(".", function(c)
		return ("\\x%02x"):format(c:byte())
	end))
end

local function said(lines, who, side, at, bytes, size)
	local other = side == "C" and "S" or "C"
	for from = 1, #bytes, size do
		local part = bytes:sub(from, from + size - 1)
		local to = at[side] + #part
		local fmt = '+.001 %s%s P. %d:%d(%d) ack %d "%s"'
		lines[#lines + 1] = fmt:format(who, side, at[side], to, #part, at[other], quoted(part))
		at[side] = to
	end
end

-- turns: { { "C", "bytes" }, { "S", "bytes" }, ... }. opts.size: bytes per segment at most, 1000 unless said; .name:
-- the connection's; .server, .client: addresses; .open: no FINs.
function talk.text(turns, opts)
	opts = opts or {}
	local who, at, lines = opts.name and opts.name .. "." or "", { C = 1, S = 1 }, {}
	local function add(fmt, ...)
		lines[#lines + 1] = fmt:format(...)
	end
	if opts.name then
		add("conn %s", opts.name)
	end
	if opts.client then
		add("client %s", opts.client)
	end
	if opts.server then
		add("server %s", opts.server)
	end
	add("+.01 %sC S 0:0(0)", who)
	add("+.01 %sS S. 0:0(0) ack 1", who)
	add("+.01 %sC . 1:1(0) ack 1", who)
	for _, turn in ipairs(turns) do
		said(lines, who, turn[1], at, turn[2], opts.size or 1000)
	end
	if not opts.open then
		add("+.01 %sC F. %d:%d(0) ack %d", who, at.C, at.C, at.S)
		add("+.01 %sS F. %d:%d(0) ack %d", who, at.S, at.S, at.C + 1)
		add("+.01 %sC . %d:%d(0) ack %d", who, at.C + 1, at.C + 1, at.S + 1)
	end
	return table.concat(lines, "\n") .. "\n"
end

-- One payload in quotes as pieces of at most size bytes, each in quotes again.
local function pieces(text, size)
	local list, piece, n, at = {}, {}, 0, 1
	while at <= #text do
		local one = text:match("^\\x%x%x", at) or text:match("^\\.", at) or text:sub(at, at)
		at, n = at + #one, n + 1
		piece[n] = one
		if n == size or at > #text then
			list[#list + 1] = { n = n, text = table.concat(piece, "", 1, n) }
			n = 0
		end
	end
	return list
end

-- The text of segments (README.md) with each quoted payload cut into segments of at most size bytes.
function talk.split(text, size)
	local out = {}
	for line in text:gmatch "[^\n]*" do
		local time, who, flags, from, rest, payload = line:match '^(%S+) +(%S+) +(%S+) +(%d+):%d+%(%d+%)(.-) "(.*)"%s*$'
		if not payload then
			out[#out + 1] = line
		else
			for i, piece in ipairs(pieces(payload, size)) do
				local to = from + piece.n
				out[#out + 1] = ('%s %s %s %d:%d(%d)%s "%s"'):format(i == 1 and time or "+.0001", who, flags, from, to,
					piece.n, rest, piece.text)
				from = to
			end
		end
	end
	return table.concat(out, "\n")
end

-- The segments' sizes that a library's events must not depend on: whole, one byte each, and two between.
talk.sizes = { 60000, 1, 2, 13 }

return talk
