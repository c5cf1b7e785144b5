-- Packets written as reviewed text, in packetdrill's notation; README.md beside this file describes it.

local capture = require "mos.test.capture"
local frame = require "mos.test.frame"
local line = require "mos.test.line"
local tcp_options = require "mos.test.tcp_options"

local check, number = line.check, line.number

local segments = {}

local FLAG = { F = 0x01, S = 0x02, R = 0x04, P = 0x08, ["."] = 0x10, U = 0x20, E = 0x40, W = 0x80 }
local OTHER = { C = "S", S = "C" }

local function new_conn(index)
	return {
		C = { addr = "\10\0\0\1", family = 4, port = 40000 + index, isn = 1000, id = 0 },
		S = { addr = "\10\0\0\2", family = 4, port = 80, isn = 5000, id = 0 },
	}
end

-- The connection of a text that names none.
local function only_conn(self)
	if not self.conns[""] then
		check(not next(self.conns), "connections have names here: write NAME.C or NAME.S")
		self.conns[""] = new_conn(0)
	end
	return self.conns[""]
end

-- "C", "S", "NAME.C", "NAME.S" as a connection and a side.
local function conn_and_side(self, word)
	local name, side = word:match "^([%w_-]+)%.([CS])$"
	if not name then
		side = check(word:match "^[CS]$", "a side is C, S, NAME.C or NAME.S, not '%s'", word)
		return only_conn(self), side
	end
	return check(self.conns[name], "there is no connection '%s'; 'conn %s' begins one", name, name), side
end

local function set_end(self, side, l)
	local word = l:word "ADDRESS:PORT"
	local text, port = word:match "^%[(.+)%]:(%d+)$"
	if not text then
		text, port = word:match "^([%d%.]+):(%d+)$"
	end
	local addr, family = frame.parse_address(text or "")
	check(addr, "'%s' is neither 10.0.0.1:80 nor [2001:db8::1]:80", word)
	local e = (self.conn or only_conn(self))[side]
	e.addr, e.family, e.port = addr, family, number(port, "the port", 0, 65535)
end

local function within(low, high)
	return function(l, name)
		return number(l:word(name), name, low, high)
	end
end

local function each(read)
	return function(l, name)
		local out = {}
		for word in l:word(name):gmatch "[^,]+" do
			out[#out + 1] = read(word, name)
		end
		return out
	end
end

local function present()
	return true
end

-- What a packet may carry behind its sequence numbers.
local items = {
	ack = within(-2 ^ 32, 2 ^ 32),
	win = within(0, 65535),
	urg = within(0, 65535),
	ttl = within(0, 255),
	id = within(0, 65535),
	doff = within(0, 15),
	snap = within(0, 262144),
	pad = within(0, 65535),
	badsum = present,
	badipsum = present,
	vlan = each(function(word)
		return number(word, "vlan", 0, 4095)
	end),
	ip6ext = each(function(word)
		check(frame.ip6ext[word], "ip6ext is hopbyhop, routing, fragment or dstopts, not '%s'", word)
		return word
	end),
}

local function read_flags(l)
	local text, bits, seen = l:word "the flags", 0, {}
	if text == "-" then
		return bits, seen
	end
	for letter in text:gmatch "." do
		check(FLAG[letter], "flags are letters of 'SFRP.UEW', or '-' for none, not '%s'", text)
		check(not seen[letter], "flag '%s' stands twice", letter)
		seen[letter] = true
		bits = bits + FLAG[letter]
	end
	return bits, seen
end

local function read_range(l)
	local from, to, length = l:take "(%-?%d+):(%-?%d+)%((%d+)%)"
	check(from, "expected FROM:TO(LENGTH), not '%s'", l:rest())
	check(to - from == tonumber(length), "%s:%s is %d bytes, not %s", from, to, to - from, length)
	return tonumber(from), tonumber(length)
end

-- Everything behind FROM:TO(LENGTH), in any order, as a table.
local function read_items(l)
	local got = {}
	local function set(name, value)
		check(got[name] == nil, "'%s' stands twice", name)
		got[name] = value
	end
	while not l:take "$" and not l:take "#" do
		if l:take '"' then
			local part = l:quoted()
			got.payload = (got.payload or "") .. part:rep(tonumber(l:take "%*(%d+)") or 1)
		elseif l:take "<" then
			set("options", check(l:take "([^>]*)>", "the closing '>' of the TCP options is missing"))
		else
			local name = l:word "an item"
			local read = check(items[name], "unknown item '%s'", name)
			set(name, read(l, name))
		end
	end
	return got
end

-- The byte at stream offset n is the letter n of the alphabet, which repeats.
local function generated(offset, length)
	local alphabet = "abcdefghijklmnopqrstuvwxyz"
	local from = offset % 26
	return alphabet:rep(math.ceil((from + length) / 26)):sub(from + 1, from + length)
end

local function payload_of(got, flags, from, length)
	if not got.payload then
		return generated(from - (flags.S and 0 or 1), length)
	end
	check(#got.payload == length, "the payload is %d bytes, but %d were announced", #got.payload, length)
	return got.payload
end

-- Keep a frame, cut to what was captured.
local function add(self, data, snap)
	snap = snap or self.sticky.snap or #data
	self.packets[#self.packets + 1] = { sec = self.sec, nsec = self.nsec, data = data:sub(1, snap), len = #data }
end

-- Put IP and link headers around a TCP segment, or a datagram of another protocol.
local function wrap(self, conn, side, segment, got, proto)
	local me = conn[side]
	local t = {
		side = side, family = me.family, src = me.addr, dst = conn[OTHER[side]].addr, id = got.id or me.id,
		ttl = got.ttl or self.sticky.ttl or 64, vlan = got.vlan or self.sticky.vlan or {},
		ip6ext = got.ip6ext or {}, badipsum = got.badipsum, proto = proto,
	}
	local link = frame.link[self.link]
	check(#t.vlan == 0 or link.vlan, "link %s has no VLAN tags", self.link)
	check(t.family == 6 or not got.ip6ext, "ip6ext needs IPv6 addresses")
	check(t.family == 4 or not (got.badipsum or got.id), "IPv6 has neither a header checksum nor an id")
	check(#segment <= 65535 - 20 - 8 * #t.ip6ext, "the packet is too long for IP")
	local data = link.header(t, self.big) .. (t.family == 4 and frame.ip4 or frame.ip6)(t, segment)
	return data .. ("\0"):rep((got.pad or 0) - #data)
end

local function check_flags(flags, got)
	check(flags["."] or not got.ack, "'ack' needs the flag '.'")
	check(got.ack or not flags["."], "the flag '.' needs 'ack'")
	check(flags.U or not got.urg, "'urg' needs the flag 'U'")
end

local function read_packet(self, conn, side, l)
	local me, peer = conn[side], conn[OTHER[side]]
	check(me.family == peer.family, "one end's address is IPv4, the other's IPv6")
	local bits, flags = read_flags(l)
	local from, length = read_range(l)
	local got = read_items(l)
	check_flags(flags, got)
	me.id = (me.id + 1) % 65536
	local tcp = frame.tcp {
		src = me.addr, dst = peer.addr, sport = me.port, dport = peer.port,
		seq = me.isn + from, ack = got.ack and peer.isn + got.ack or 0,
		flags = bits, win = got.win or 65535, urg = got.urg or 0, doff = got.doff, badsum = got.badsum,
		options = got.options and tcp_options.encode(got.options, peer.isn) or "",
		payload = payload_of(got, flags, from, length),
	}
	add(self, wrap(self, conn, side, tcp, got), got.snap)
end

-- A UDP datagram: its payload, and items of the headers around it.
local function read_datagram(self, conn, side, l)
	local me, peer = conn[side], conn[OTHER[side]]
	check(me.family == peer.family, "one end's address is IPv4, the other's IPv6")
	local got = read_items(l)
	me.id = (me.id + 1) % 65536
	local udp = frame.udp { src = me.addr, dst = peer.addr, sport = me.port, dport = peer.port,
		payload = got.payload or "" }
	add(self, wrap(self, conn, side, udp, got, 17), got.snap)
end

-- "1.5" or "+.001": the packet's time, absolute or after the one before.
local function set_time(self, text)
	local plus, sec, decimals = text:match "^(%+?)(%d*)%.?(%d*)$"
	check(plus and #sec + #decimals > 0 and #decimals <= 9,
		"expected a directive or a time such as 0.5 or +.001, not '%s'", text)
	sec = tonumber(sec) or 0
	local nsec = tonumber(decimals .. ("0"):rep(9 - #decimals))
	if plus == "+" then
		sec, nsec = self.sec + sec, self.nsec + nsec
		sec, nsec = sec + math.floor(nsec / 1e9), nsec % 1e9
	end
	self.sec, self.nsec = sec, nsec
end

local directives = {}

function directives:link(l)
	local name = l:word "the link"
	check(frame.link[name], "link is ethernet, raw, null, loop, sll or sll2, not '%s'", name)
	check(#self.packets == 0, "'link' stands before the first packet")
	self.link = name
end

function directives:client(l)
	set_end(self, "C", l)
end

function directives:server(l)
	set_end(self, "S", l)
end

function directives:conn(l)
	local name = l:word "the connection's name"
	check(name:match "^[%w_-]+$", "a connection's name is made of letters, digits, '_' and '-', not '%s'", name)
	if not self.conns[name] then
		self.count = self.count + 1
		self.conns[name] = new_conn(self.count)
	end
	self.conn = self.conns[name]
end

function directives:isn(l)
	local word = l:word "the side"
	local conn, side = self.conn, word:match "^[CS]$"
	if not conn or not side then
		conn, side = conn_and_side(self, word)
	end
	conn[side].isn = number(l:word "the ISN", "the ISN", 0, 2 ^ 32 - 1)
end

-- These hold for all packets that follow; as a packet's item, for it alone.
for _, name in ipairs { "ttl", "vlan", "snap" } do
	directives[name] = function(self, l)
		if l:take "off%f[%W]" then
			self.sticky[name] = nil
		else
			self.sticky[name] = items[name](l, name)
		end
	end
end

local function read_line(self, text)
	local l = line.new(text)
	if l:take "$" or l:take "#" then
		return
	end
	local word = l:word()
	if directives[word] then
		directives[word](self, l)
		check(l:rest() == "", "'%s' is too much here", l:rest())
		return
	end
	local who = word
	if word:match "^[CS]$" or word:match "%.[CS]$" then
		set_time(self, "+.001")
	else
		set_time(self, word)
		who = l:word "the side"
	end
	if who == "raw" then
		add(self, line.hex(l:rest(), "a frame's bytes"))
	else
		local conn, side = conn_and_side(self, who)
		local read = l:take "udp%f[%W]" and read_datagram or read_packet
		read(self, conn, side, l)
	end
end

-- Lines with the number of their first: one that ends in a backslash goes on in the next.
local function whole_lines(text)
	return coroutine.wrap(function()
		local at, first, joined = 0, 1, ""
		for one in (text .. "\n"):gmatch "(.-)\r?\n" do
			at = at + 1
			local head = one:match "^(.*)\\$"
			joined = joined .. (head or one)
			if not head then
				coroutine.yield(first, joined)
				first, joined = at + 1, ""
			end
		end
		if joined ~= "" then
			coroutine.yield(first, joined)
		end
	end)
end

-- A text that is read piece by piece: its packets so far are in packets, as capture.encode has them. opts as for parse.
function segments.reader(opts)
	opts = opts or {}
	return {
		conns = {}, count = 0, sticky = {}, packets = {}, link = "ethernet",
		sec = 0, nsec = 0, big = opts.endian == "big",
	}
end

-- Read one line. A fault is an error whose value is a table with its cause.
segments.read_line = read_line

-- The packets of a text: a capture for capture.encode, or nil and "NAME:LINE: cause".
-- opts.name is what messages call the text; opts.endian matters for link null, which has the capturing host's order.
function segments.parse(text, opts)
	opts = opts or {}
	local self = segments.reader(opts)
	for at, one in whole_lines(text) do
		local ok, why = pcall(read_line, self, one)
		if not ok then
			if type(why) ~= "table" then
				error(why, 0)
			end
			return nil, ("%s:%d: %s"):format(opts.name or "segments", at, why.cause)
		end
	end
	self.packets.link = frame.link[self.link].number
	return self.packets
end

-- The bytes of a capture file made from a text, or nil and the reason. opts: as for parse and capture.encode.
function segments.encode(text, opts)
	local cap, why = segments.parse(text, opts)
	if not cap then
		return nil, why
	end
	return capture.encode(cap, opts)
end

return segments
