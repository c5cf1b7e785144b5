-- The time-sequence graph of one connection as SVG, like tcptrace's: segments, retransmissions, acknowledgements, the
-- window, SACK blocks.
local mos = require "mos"

local options = require "mos.options" {
	name = "time_sequence", one_worker = true,
	usage = [[
usage: mos-run scripts/time_sequence.lua -r CAPTURE [-- OPTION...]

The time-sequence graph of what one end of one connection sent, as SVG: each segment a bar from its first to its last
byte (red where it was sent before), below it the acknowledgements as steps, above it the window that the other end
offers; SACK blocks are violet.

  --output FILE       where to (default: standard output)
  --uid UID           the connection, as conn_log names it (default: the one with most payload)
  --filter EXPR       pcap filter of the connections' first packets (default: all of them)
  --side client|server  whose bytes (default: the end that sent more)
  --points NUMBER     packets remembered per connection (default 20000)
  --help]],
	options = { output = "string", uid = "string", filter = "string", side = "client|server", points = "number" },
	defaults = { points = 20000 },
}

local mon = mos.monitor { filter = options.filter, clibuf = 0, svrbuf = 0 }
local number = { cli = 1, svr = 2 }

-- Of each connection the packets of both ends; of the best that has ended so far it stays.
local best

local function new_log(conn)
	return { uid = conn.uid, start = conn.start_ts, { n = 0 }, { n = 0 }, count = 0, isn = {} }
end

local function log_of(conn)
	local data = conn.data
	data.log = data.log or new_log(conn)
	return data.log
end

-- Sequence numbers relative to the first byte: near the last one, so that they do not wrap.
local function unfold(value, isn, near)
	local off = (value - isn - 1) % 2 ^ 32
	return off + math.floor((near - off) / 2 ^ 32 + 0.5) * 2 ^ 32
end

local function be32(p, at)
	return ((p[at] * 256 + p[at + 1]) * 256 + p[at + 2]) * 256 + p[at + 3]
end

-- RFC 2018 3: the blocks of the SACK option.
local function sack_blocks(pkt, isn, near)
	local p, len = pkt:option(5)
	local blocks
	for at = 0, (p and len or 0) - 8, 8 do
		blocks = blocks or {}
		blocks[#blocks + 1] = { unfold(be32(p, at), isn, near), unfold(be32(p, at + 4), isn, near) }
	end
	return blocks
end

local function remember(log, me, entry)
	local list = log[me]
	log.count = log.count + 1
	if log.count <= options.points then
		list.n = list.n + 1
		list[list.n] = entry
	end
end

mon:on("pkt_in", "snd", function(conn, side, pkt)
	if options.uid and conn.uid ~= options.uid then
		conn:stop()
		return
	end
	local log, me = log_of(conn), number[side]
	local you = 3 - me
	local sender, receiver = conn[side], conn[mos.other[side]]
	log.isn[me] = sender.isn
	local near = log[me].top or 0
	local from = unfold(pkt.seq + (pkt.syn and 1 or 0), sender.isn, near)
	local entry = { t = pkt.ts - log.start, from = from, to = from + pkt.payload_len, syn = pkt.syn, fin = pkt.fin,
		rst = pkt.rst }
	entry.again = entry.to > entry.from and from < (log[me].top or 0)
	log[me].top = math.max(log[me].top or 0, entry.to)
	if pkt.is_ack and log.isn[you] then
		entry.ack = unfold(pkt.ack, receiver.isn, log[you].top or 0)
		entry.window = entry.ack + (pkt.syn and pkt.window or sender.window)
		entry.sack = sack_blocks(pkt, receiver.isn, log[you].top or 0)
	end
	remember(log, me, entry)
end)

mon:on("conn_end", "rcv", function(conn, side)
	local data = conn.data
	local log = data.log
	if not log or log.done then
		return
	end
	log.done = true
	log.names = { tostring(conn.client), tostring(conn.server) }
	log.bytes = { conn.client.bytes, conn.server.bytes }
	log.total = log.bytes[1] + log.bytes[2]
	if not best or log.total > best.total then
		best = log
	end
	data.log = nil
end)

local WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1100, 640, 90, 20, 60, 50

-- Values for ticks: about n of them, at 1, 2 or 5 times a power of ten.
local function ticks(low, high, n)
	local span = math.max(high - low, 1e-9)
	local step = 10 ^ math.floor(math.log10(span / n))
	for _, k in ipairs { 5, 2 } do
		if span / (step * k) >= n then
			step = step * k
			break
		end
	end
	local list, value = {}, math.ceil(low / step) * step
	while value <= high + step / 1e6 do
		list[#list + 1] = value
		value = value + step
	end
	return list, step
end

local function escape(text)
	return (text:gsub('[&<>"]', { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

-- A drawing of sizes and places in seconds and bytes.
local function canvas(t_max, y_min, y_max)
	local out = {}
	local self = {}
	local function x(t)
		return LEFT + t / t_max * (WIDTH - LEFT - RIGHT)
	end
	local function y(v)
		return HEIGHT - BOTTOM - (v - y_min) / (y_max - y_min) * (HEIGHT - TOP - BOTTOM)
	end
	function self.add(fmt, ...)
		out[#out + 1] = fmt:format(...)
	end
	function self.line(class, t1, v1, t2, v2)
		self.add('<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>', class, x(t1), y(v1), x(t2), y(v2))
	end
	function self.mark(class, t, v, text)
		self.add('<text class="mark %s" x="%.1f" y="%.1f">%s</text>', class, x(t), y(v) - 4, text)
	end
	-- points: { { t, value }, ... }, as steps
	function self.steps(class, points)
		local d = {}
		for i, p in ipairs(points) do
			d[#d + 1] = i == 1 and ("M%.1f %.1f"):format(x(p[1]), y(p[2])) or ("H%.1fV%.1f"):format(x(p[1]), y(p[2]))
		end
		if #points > 0 then
			self.add('<path class="%s" d="%s"/>', class, table.concat(d))
		end
	end
	function self.axes()
		for _, t in ipairs((ticks(0, t_max, 8))) do
			self.add('<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', x(t), TOP, x(t), HEIGHT - BOTTOM)
			self.add('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%.12g</text>', x(t), HEIGHT - BOTTOM + 18, t)
		end
		for _, v in ipairs((ticks(y_min, y_max, 8))) do
			self.add('<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>', LEFT, y(v), WIDTH - RIGHT, y(v))
			self.add('<text class="tick" x="%d" y="%.1f" text-anchor="end">%.0f</text>', LEFT - 8, y(v) + 4, v)
		end
		self.add('<text class="tick" x="%d" y="%d" text-anchor="middle">seconds</text>', (LEFT + WIDTH - RIGHT) / 2,
			HEIGHT - 12)
		self.add('<text class="tick" transform="translate(18 %d) rotate(-90)" text-anchor="middle">bytes</text>',
			(TOP + HEIGHT - BOTTOM) / 2)
	end
	function self.text()
		return table.concat(out, "\n")
	end
	return self
end

local style = [[
<style>
text { font: 12px sans-serif; fill: #333 } .title { font-size: 16px; font-weight: bold } .mark { font-weight: bold }
.grid { stroke: #e4e4e4 } .tick { fill: #666 }
.data { stroke: #1f4e9c; stroke-width: 2 } .again { stroke: #d62728; stroke-width: 2 } text.again { fill: #d62728 }
text.mark { stroke: none }
.ack { stroke: #2ca02c; fill: none; stroke-width: 1.5 } .window { stroke: #e0a100; fill: none; stroke-width: 1.5 }
.sack { stroke: #9467bd; stroke-width: 3 } text.flag { fill: #1f4e9c }
</style>]]

local legend = {
	{ "data", "segment" }, { "again", "sent again" }, { "ack", "acknowledged" }, { "window", "window offered" },
	{ "sack", "SACK" },
}

local function extent(mine, theirs)
	local t_max, low, high = 1e-3, 0, 1
	for _, list in ipairs { mine, theirs } do
		for _, e in ipairs(list) do
			t_max = math.max(t_max, e.t)
		end
	end
	for _, e in ipairs(mine) do
		low, high = math.min(low, e.from), math.max(high, e.to)
	end
	-- A window far above the data would leave no room for it.
	local top = high
	for _, e in ipairs(theirs) do
		if e.window then
			top = math.max(top, math.min(e.window, high * 1.3))
		end
	end
	return t_max, low, top
end

local function draw_segments(c, list)
	for _, e in ipairs(list) do
		local class = e.again and "again" or "data"
		if e.to > e.from then
			c.line(class, e.t, e.from, e.t, e.to)
		end
		if e.again then
			c.mark("again", e.t, e.to, "R")
		end
		local flag = e.syn and "SYN" or e.rst and "RST" or e.fin and "FIN"
		if flag then
			c.mark("flag", e.t, e.to, flag)
		end
	end
end

local function draw_answers(c, list, high)
	local acks, windows, top = {}, {}, -math.huge
	for _, e in ipairs(list) do
		if e.ack then
			top = math.max(top, e.ack)
			acks[#acks + 1] = { e.t, top }
			windows[#windows + 1] = { e.t, math.min(e.window, high) }
			for _, block in ipairs(e.sack or {}) do
				c.line("sack", e.t, block[1], e.t, block[2])
			end
		end
	end
	c.steps("window", windows)
	c.steps("ack", acks)
end

local function draw(log, me)
	local mine, theirs = log[me], log[3 - me]
	local t_max, low, high = extent(mine, theirs)
	local c = canvas(t_max * 1.02, low, high + (high - low) * 0.05)
	c.add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">', WIDTH, HEIGHT, WIDTH,
		HEIGHT)
	c.add("%s", style)
	c.add('<rect width="%d" height="%d" fill="white"/>', WIDTH, HEIGHT)
	c.add('<text class="title" x="%d" y="24">%s to %s</text>', LEFT, escape(log.names[me]), escape(log.names[3 - me]))
	local place = LEFT
	for _, entry in ipairs(legend) do
		c.add('<line class="%s" x1="%d" y1="42" x2="%d" y2="42"/><text x="%d" y="46">%s</text>', entry[1], place, place + 20,
			place + 26, entry[2])
		place = place + 140
	end
	c.axes()
	draw_answers(c, theirs, high)
	draw_segments(c, mine)
	c.add("</svg>")
	return c.text() .. "\n"
end

mos.at_exit(function()
	if not best then
		error("time_sequence: no such connection", 0)
	end
	if best.count > options.points then
		mos.log.warn("time_sequence: %d packets; the graph shows the first %d", best.count, options.points)
	end
	local me = best.bytes[1] > best.bytes[2] and 1 or 2
	if options.side then
		me = options.side == "client" and 1 or 2
	end
	local svg = draw(best, me)
	if not options.output then
		io.write(svg)
		return
	end
	local file = assert(io.open(options.output, "wb"))
	file:write(svg)
	file:close()
end)
