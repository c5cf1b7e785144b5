-- Conversations: packets in order, and what can be done to them. Nothing here changes a conversation; each method gives
-- another one.
local capture = require "mos.test.capture"
local check = require "mos.check"
local cut = require "mos.test.cut"
local packets = require "mos.test.packets"
local segments = require "mos.test.segments"
local quote = require("mos.text").quote
local frame = require "mos.test.frame"
local core = require "mos.test.core"

local conversation = {}

local Conversation = {}
Conversation.__index = Conversation

-- list: { { sec, nsec, data, len, link } }
function conversation.new(list)
	return setmetatable({ packets = list }, Conversation)
end

function conversation.is(value)
	return getmetatable(value) == Conversation
end

local function copy(list)
	local out = {}
	for i, p in ipairs(list) do
		out[i] = p
	end
	return out
end

-- The same conversation with other packets; what follows by :send() goes on where it was.
local function with(self, list)
	return setmetatable({ packets = list, talk = self.talk }, Conversation)
end

function Conversation:__len()
	return #self.packets
end

-- One line per packet, in packetdrill's notation.
function Conversation:__tostring()
	local out = {}
	for i, d in ipairs(packets.describe_all(self.packets)) do
		out[i] = ("%d %s"):format(i, packets.line(d))
	end
	return table.concat(out, "\n")
end

-- Write it as a capture, for mos-run and other tools.
function Conversation:save(path)
	check.argument(2, "save", "the file", path, "string")
	local link = self.packets[1] and self.packets[1].link or 1
	for _, p in ipairs(self.packets) do
		if p.link ~= link then
			check.fail(2, "save: a capture holds one kind of link, and these packets have several")
		end
	end
	local cap = copy(self.packets)
	cap.link = link
	local f, why = io.open(path, "wb")
	if not f then
		error(why, 2)
	end
	f:write(capture.encode(cap, { precision = "nano" }))
	f:close()
	return self
end

-- From packets that segments.lua has read.
function conversation.from_capture(cap)
	local list = {}
	for i, p in ipairs(cap) do
		list[i] = { sec = p.sec, nsec = p.nsec, data = p.data, len = p.len, link = p.link or cap.link }
	end
	return conversation.new(list)
end

-- From a capture file.
function conversation.read(level, path)
	local cap, why = core.read(path)
	if not cap then
		error(why, level + 1)
	end
	local conv = conversation.from_capture(cap)
	return conv
end

-- Which packets are meant: a number, a list of numbers, or a function of what packets.describe says.
local function chosen(self, who, which)
	local numbers, set = type(which) == "table" and which or { which }, {}
	if type(which) == "function" then
		for i, d in ipairs(packets.describe_all(self.packets)) do
			set[i] = which(d) and true or nil
		end
		return set
	end
	for _, n in ipairs(numbers) do
		check.argument(3, who, "a packet", n, "number")
		if not self.packets[n] then
			check.fail(3, "%s: there is no packet %d; the conversation has %d", who, n, #self.packets)
		end
		set[n] = true
	end
	return set
end

-- Loss: these packets never come.
function Conversation:lose(which)
	local set, list = chosen(self, "lose", which), {}
	for i, p in ipairs(self.packets) do
		if not set[i] then
			list[#list + 1] = p
		end
	end
	return with(self, list)
end

local function at_time_of(p, q)
	return { sec = q.sec, nsec = q.nsec, data = p.data, len = p.len, link = p.link }
end

-- A copy of each of these packets comes again, that many places later (1: right behind).
function Conversation:duplicate(which, by)
	local set, list = chosen(self, "duplicate", which), copy(self.packets)
	for i = #self.packets, 1, -1 do
		if set[i] then
			local place = math.min(i + (by or 1), #list + 1)
			table.insert(list, place, at_time_of(list[i], list[place - 1]))
		end
	end
	return with(self, list)
end

-- Each of these packets comes that many places later (1: it changes places with the next). Times stay in order.
function Conversation:reorder(which, by)
	local set, list = chosen(self, "reorder", which), copy(self.packets)
	for i = #list, 1, -1 do
		if set[i] then
			local p = table.remove(list, i)
			table.insert(list, math.min(i + (by or 1), #list + 1), p)
		end
	end
	for i, p in ipairs(list) do
		list[i] = at_time_of(p, self.packets[i])
	end
	return with(self, list)
end

local function split(self, offsets_of, which)
	local set, list = which and chosen(self, "split", which), {}
	for i, p in ipairs(self.packets) do
		local pieces = (not set or set[i]) and cut.at(p, offsets_of(cut.length(p))) or { p }
		for _, one in ipairs(pieces) do
			list[#list + 1] = one
		end
	end
	return with(self, list)
end

-- Segments in pieces of size bytes; all of them, or those that are meant.
function Conversation:split(size, which)
	check.argument(2, "split", "the size", size, "number")
	if size < 1 then
		check.fail(2, "split: the size must be at least 1")
	end
	return split(self, function(length)
		local offsets = {}
		for at = size, length - 1, size do
			offsets[#offsets + 1] = at
		end
		return offsets
	end, which)
end

-- Segments in two, after that many bytes; shorter ones stay whole.
function Conversation:split_at(offset, which)
	check.argument(2, "split_at", "the offset", offset, "number")
	return split(self, function()
		return { offset }
	end, which)
end

-- The length of the longest segment that split can cut.
function Conversation:longest()
	local most = 0
	for _, p in ipairs(self.packets) do
		most = math.max(most, cut.length(p))
	end
	return most
end

local function later(p, sec, nsec)
	local total = p.nsec + nsec
	return { sec = p.sec + sec + math.floor(total / 1e9), nsec = total % 1e9, data = p.data, len = p.len, link = p.link }
end

-- The same packets, so many seconds later.
function Conversation:later(seconds)
	check.argument(2, "later", "the time", seconds, "number")
	local list, whole = {}, math.floor(seconds)
	for i, p in ipairs(self.packets) do
		list[i] = later(p, whole, math.floor((seconds - whole) * 1e9 + 0.5))
	end
	return with(self, list)
end

local function before(a, b)
	return a.sec < b.sec or a.sec == b.sec and a.nsec < b.nsec
end

-- Several conversations at once, by time; at equal times the first one's packets come first.
function conversation.merge(...)
	local list = {}
	for order, one in ipairs { ... } do
		for i, p in ipairs(one.packets) do
			list[#list + 1] = { packet = p, order = order, at = i }
		end
	end
	table.sort(list, function(a, b)
		if before(a.packet, b.packet) or before(b.packet, a.packet) then
			return before(a.packet, b.packet)
		end
		return a.order < b.order or a.order == b.order and a.at < b.at
	end)
	for i, entry in ipairs(list) do
		list[i] = entry.packet
	end
	return conversation.new(list)
end

-- A conversation that is being written: its reader, what each end has sent, and whether it is open.
local function talk_of(self, who)
	local talk = self.talk
	if not talk then
		check.fail(3, "%s: only what t.tcp or t.udp began can go on", who)
	end
	local conns = {}
	for name, conn in pairs(talk.reader.conns) do
		conns[name] = {}
		for side, e in pairs(conn) do
			conns[name][side] = {}
			for k, v in pairs(e) do
				conns[name][side][k] = v
			end
		end
	end
	local reader = { packets = {}, sticky = {}, conns = conns, conn = conns[""] }
	return setmetatable({
		reader = setmetatable(reader, { __index = talk.reader }), options = talk.options, mss = talk.mss,
		C = talk.C, S = talk.S, pause = talk.pause, host = talk.host, udp = talk.udp,
	}, nil)
end

local function say(talk, fmt, ...)
	segments.read_line(talk.reader, fmt:format(...))
end

-- The line of a segment: side, flags, how many sequence numbers follow; the payload is given as bytes.
local function segment(talk, side, flags, payload)
	local other = side == "C" and "S" or "C"
	local from = talk[side]
	local items = (flags:find(".", 1, true) and " ack " .. talk[other] or "")
		.. (talk.options ~= "" and flags:find("S", 1, true) and " <" .. talk.options .. ">" or "")
	say(talk, "+%.9f %s %s %d:%d(%d)%s%s", talk.pause, side, flags, from, from + #payload, #payload, items,
		#payload > 0 and " " .. quote(payload) or "")
	talk.pause = 0.001
	talk[side] = from + #payload + (flags:find "[SF]" and 1 or 0)
end

local function done(self, talk)
	local list = copy(self.packets)
	for _, p in ipairs(talk.reader.packets) do
		p.link = frame.link[talk.reader.link].number
		list[#list + 1] = p
	end
	return setmetatable({ packets = list, talk = talk }, Conversation)
end

local side_of = { client = "C", server = "S", cli = "C", svr = "S", C = "C", S = "S" }

local function side_named(level, who, name)
	return side_of[name] or check.fail(level + 1, "%s: a side is 'client' or 'server', not '%s'", who, tostring(name))
end

-- side sends bytes, in segments of at most the mss; the other end acknowledges each.
function Conversation:send(side, bytes)
	local talk = talk_of(self, "send")
	side = side_named(2, "send", side)
	check.argument(2, "send", "what is sent", bytes, "string")
	if talk.udp then
		say(talk, "+%.9f %s udp %s", talk.pause, side, quote(bytes))
		talk.pause = 0.001
		return done(self, talk)
	end
	for at = 1, #bytes, talk.mss do
		local part = bytes:sub(at, at + talk.mss - 1)
		segment(talk, side, at + talk.mss > #bytes and "P." or ".", part)
		segment(talk, side == "C" and "S" or "C", ".", "")
	end
	return done(self, talk)
end

-- The client sends; "GET /path" or "GET /path HTTP/1.1" alone is made a whole HTTP request.
function Conversation:request(text)
	check.argument(2, "request", "what is sent", text, "string")
	local line = text:match "^%u+ %S+$" and text .. " HTTP/1.1" or text:match "^%u+ %S+ HTTP/1%.[01]$"
	if line then
		text = line .. "\r\nHost: " .. (self.talk and self.talk.host or "server") .. "\r\n\r\n"
	end
	local conv = self:send("client", text)
	return conv
end

local reasons = { [200] = "OK", [204] = "No Content", [301] = "Moved Permanently", [302] = "Found",
	[304] = "Not Modified", [400] = "Bad Request", [403] = "Forbidden", [404] = "Not Found",
	[500] = "Internal Server Error" }

local function http_response(r)
	local status, body = r.status or 200, r.body or ""
	local lines = { ("HTTP/1.1 %d %s"):format(status, r.reason or reasons[status] or "Status") }
	local names, chunked = {}, false
	for name in pairs(r.headers or {}) do
		names[#names + 1] = name
		chunked = chunked or name:lower() == "transfer-encoding" or name:lower() == "content-length"
	end
	table.sort(names)
	for _, name in ipairs(names) do
		lines[#lines + 1] = name .. ": " .. r.headers[name]
	end
	if not chunked then
		lines[#lines + 1] = "Content-Length: " .. #body
	end
	return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

-- The server sends bytes, or an HTTP response: { status = 200, headers = {}, body = "" }.
function Conversation:response(what)
	local conv = self:send("server", type(what) == "table" and http_response(what) or what)
	return conv
end

-- Nothing comes for so many seconds.
function Conversation:wait(seconds)
	local talk = talk_of(self, "wait")
	check.argument(2, "wait", "the time", seconds, "number")
	talk.pause = talk.pause + seconds
	return done(self, talk)
end

-- One more segment in packetdrill's notation, without its side: conv:segment("client", "P. 1:5(4) ack 1").
function Conversation:segment(side, text)
	local talk = talk_of(self, "segment")
	local ok, why = pcall(say, talk, "+%.9f %s %s", talk.pause, side_named(2, "segment", side), text)
	if not ok then
		check.fail(2, "segment: %s", type(why) == "table" and why.cause or why)
	end
	talk.pause = 0.001
	return done(self, talk)
end

-- Both ends close, side first (default the client).
function Conversation:close(side)
	local talk = talk_of(self, "close")
	side = side_named(2, "close", side or "client")
	local other = side == "C" and "S" or "C"
	segment(talk, side, "F.", "")
	segment(talk, other, "F.", "")
	segment(talk, side, ".", "")
	return done(self, talk)
end

-- side (default the client) resets the connection.
function Conversation:reset(side)
	local talk = talk_of(self, "reset")
	segment(talk, side_named(2, "reset", side or "client"), "R.", "")
	return done(self, talk)
end

local kinds = { client = "string", server = "string", mss = "number", start = "number", options = "string",
	handshake = "boolean", link = "string", host = "string" }

-- The addresses and the time that a conversation begins with.
local function begin(level, who, options, talk)
	check.options(level + 1, who, options, kinds)
	local function line(...)
		local ok, why = pcall(say, talk, ...)
		if not ok then
			check.fail(level + 3, "%s: %s", who, type(why) == "table" and why.cause or why)
		end
	end
	line("link %s", options.link or "ethernet")
	line("client %s", options.client or "10.0.0.1:40000")
	line("server %s", options.server or "10.0.0.2:80")
	local start = options.start or 1700000000
	talk.reader.sec, talk.reader.nsec = math.floor(start), math.floor((start % 1) * 1e9 + 0.5)
end

-- A TCP connection that begins with its handshake.
function conversation.tcp(options)
	options = options or {}
	local talk = { reader = segments.reader(), mss = options.mss or 1460, C = 0, S = 0, pause = 0,
		options = options.options or "mss 1460", host = options.host or "www.example.com" }
	begin(2, "t.tcp", options, talk)
	if options.handshake == false then
		talk.C, talk.S = 1, 1
	else
		segment(talk, "C", "S", "")
		segment(talk, "S", "S.", "")
		segment(talk, "C", ".", "")
	end
	return done({ packets = {} }, talk)
end

-- Datagrams between two ends: conv:send(side, bytes) is one. For the options that have a meaning, as t.tcp.
function conversation.udp(options)
	local talk = { reader = segments.reader(), pause = 0, udp = true }
	begin(2, "t.udp", options or {}, talk)
	return done({ packets = {} }, talk)
end

return conversation
