-- How TCP fares, per server: loss, round trip times, stalls, resets. As a table, as JSON, or as a page with plots.
local mos = require "mos"
local json = require "mos.json"
local rtt = require "mos.events.rtt"
local stall = require "mos.events.stall"

local options = require "mos.options" {
	name = "tcp_health", one_worker = true,
	usage = [[
usage: mos-run scripts/tcp_health.lua -r CAPTURE [-- OPTION...]

What became of the connections to each server (address and port): connections, those that were not answered or were
reset, packets sent again, round trip times between here and the server (of handshakes, and by timestamps), how long
windows were closed and data had no answer.

  --format table|json|html   json: one object per server; html: a page of its own, with plots (default table)
  --output FILE              where to (default: standard output)
  --filter EXPR              pcap filter of the connections' first packets (default: all of them)
  --top NUMBER               servers shown, those with most packets first (default 20)
  --help]],
	options = { format = "table|json|html", output = "string", filter = "string", top = "number" },
	defaults = { format = "table", top = 20 },
}

-- Round trip times kept per server; of more, every second, then every fourth ... is.
local MOST_TIMES = 2000

local mon = mos.monitor { filter = options.filter, clibuf = 0, svrbuf = 0 }
local servers = {}
local first_ts, last_ts
-- Per second since the first packet: packets, and those sent again.
local seconds = {}

local function server_of(conn)
	local name = tostring(conn.server)
	local s = servers[name]
	if not s then
		s = { name = name, connections = 0, unanswered = 0, resets = 0, packets = 0, again = 0, bytes = 0, times = {},
			seen = 0, every = 1, stalls = 0, stalled = 0, silences = 0, silent = 0 }
		servers[name] = s
	end
	return s
end

local function add_time(s, value)
	s.seen = s.seen + 1
	if s.seen % s.every ~= 0 then
		return
	end
	local times = s.times
	times[#times + 1] = value
	if #times == MOST_TIMES then
		for i = 1, MOST_TIMES / 2 do
			times[i] = times[2 * i]
		end
		for i = MOST_TIMES / 2 + 1, MOST_TIMES do
			times[i] = nil
		end
		s.every = s.every * 2
	end
end

local function second_of(ts)
	first_ts = first_ts or ts
	last_ts = ts
	local i = math.max(math.floor(ts - first_ts), 0)
	local second = seconds[i]
	if not second then
		second = { packets = 0, again = 0 }
		seconds[i] = second
	end
	return second
end

mon:on("pkt_in", "snd", function(conn, side, pkt)
	local second = second_of(pkt.ts)
	second.packets = second.packets + 1
end)

mon:on("rexmit", "snd", function(conn, side, pkt)
	local second = second_of(pkt.ts)
	second.again = second.again + 1
end)

mon:on(rtt.handshake, function(conn, side, pkt, ev, h)
	if h.clean then
		add_time(server_of(conn), h.server)
	end
end)

mon:on(rtt.sample, function(conn, side, pkt, ev, sample)
	if side == "svr" then
		add_time(server_of(conn), sample.seconds)
	end
end)

mon:on(stall.window_opens, function(conn, side, pkt, ev, w)
	local s = server_of(conn)
	s.stalls, s.stalled = s.stalls + 1, s.stalled + w.seconds
end)

mon:on(stall.silence, function(conn, side, pkt, ev, quiet)
	if quiet.waited_for == "svr" then
		local s = server_of(conn)
		s.silences, s.silent = s.silences + 1, s.silent + quiet.seconds
	end
end)

mon:on("conn_end", "snd", function(conn, side)
	if side ~= "cli" then
		return
	end
	local s, client, server = server_of(conn), conn.client, conn.server
	s.connections = s.connections + 1
	s.unanswered = s.unanswered + (client.syn and not server.syn and not conn.midstream and 1 or 0)
	s.resets = s.resets + ((client.rst or server.rst) and 1 or 0)
	s.packets = s.packets + client.pkts + server.pkts
	s.again = s.again + client.rexmits + server.rexmits
	s.bytes = s.bytes + client.bytes + server.bytes
end)

local function quantile(sorted, share)
	return sorted[math.max(1, math.ceil(#sorted * share))]
end

local function finish(s)
	table.sort(s.times)
	s.loss = s.packets > 0 and s.again / s.packets or 0
	s.rtt_p10, s.rtt_median, s.rtt_p90 = quantile(s.times, 0.1), quantile(s.times, 0.5), quantile(s.times, 0.9)
end

local function ranked()
	local list = {}
	for _, s in pairs(servers) do
		finish(s)
		list[#list + 1] = s
	end
	table.sort(list, function(a, b)
		return a.packets > b.packets or (a.packets == b.packets and a.name < b.name)
	end)
	for i = options.top + 1, #list do
		list[i] = nil
	end
	return list
end

local function ms(value)
	return value and ("%.1f"):format(value * 1000) or "-"
end

local columns = {
	{ "server", function(s) return s.name end, "left" },
	{ "conns", function(s) return s.connections end }, { "no answer", function(s) return s.unanswered end },
	{ "resets", function(s) return s.resets end }, { "packets", function(s) return ("%.0f"):format(s.packets) end },
	{ "again %", function(s) return ("%.2f"):format(s.loss * 100) end },
	{ "rtt p10", function(s) return ms(s.rtt_p10) end }, { "median", function(s) return ms(s.rtt_median) end },
	{ "p90 ms", function(s) return ms(s.rtt_p90) end },
	{ "closed s", function(s) return ("%.1f"):format(s.stalled) end },
	{ "silent s", function(s) return ("%.1f"):format(s.silent) end },
}

local function as_table(list)
	local rows, widths = { {} }, {}
	for k, column in ipairs(columns) do
		rows[1][k] = column[1]
		for i, s in ipairs(list) do
			rows[i + 1] = rows[i + 1] or {}
			rows[i + 1][k] = tostring(column[2](s))
		end
	end
	for k in ipairs(columns) do
		widths[k] = 0
		for _, row in ipairs(rows) do
			widths[k] = math.max(widths[k], #row[k])
		end
	end
	local lines = {}
	for i, row in ipairs(rows) do
		local cells = {}
		for k, column in ipairs(columns) do
			local pad = (" "):rep(widths[k] - #row[k])
			cells[k] = column[3] and row[k] .. pad or pad .. row[k]
		end
		lines[i] = table.concat(cells, "  "):gsub("%s+$", "")
	end
	return table.concat(lines, "\n") .. "\n"
end

local function as_json(list)
	local lines = {}
	for i, s in ipairs(list) do
		lines[i] = json.object {
			{ "server", s.name }, { "connections", s.connections }, { "unanswered", s.unanswered }, { "resets", s.resets },
			{ "packets", s.packets }, { "bytes", s.bytes }, { "rexmits", s.again }, { "rexmit_share", s.loss },
			{ "rtt_samples", s.seen }, { "rtt_p10", s.rtt_p10 }, { "rtt_median", s.rtt_median }, { "rtt_p90", s.rtt_p90 },
			{ "zero_windows", s.stalls }, { "zero_window_seconds", s.stalled }, { "silences", s.silences },
			{ "silent_seconds", s.silent },
		}
	end
	return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

local function escape(text)
	return (text:gsub('[&<>"]', { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

-- A round number at or above value: the end of an axis.
local function ceiling(value)
	local unit = 10 ^ math.floor(math.log10(math.max(value, 1e-9)))
	for _, k in ipairs { 1, 2, 5, 10 } do
		if value <= k * unit * 1.0000001 then
			return k * unit
		end
	end
end

local ROW, LABEL, PLOT = 24, 250, 520

-- Rows with a label each, on an axis from 0 to most; draw(s, x) gives the SVG of one row, relative to its middle.
local function rows_plot(title, list, most, unit, draw)
	local height = #list * ROW + 56
	local out = { ('<h2>%s</h2><svg viewBox="0 0 %d %d" width="%d" height="%d">'):format(title, LABEL + PLOT + 80, height,
		LABEL + PLOT + 80, height) }
	local function x(value)
		return LABEL + value / most * PLOT
	end
	for i = 0, 4 do
		local value = most * i / 4
		out[#out + 1] = ('<line class="grid" x1="%.1f" y1="4" x2="%.1f" y2="%d"/>'):format(x(value), x(value), height - 44)
		out[#out + 1] = ('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%.4g%s</text>'):format(x(value),
			height - 26, value, i == 4 and " " .. unit or "")
	end
	for i, s in ipairs(list) do
		local middle = (i - 0.5) * ROW + 4
		out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>'):format(LABEL - 10, middle + 4, escape(s.name))
		out[#out + 1] = ('<g transform="translate(0 %.1f)">%s</g>'):format(middle, draw(s, x))
	end
	out[#out + 1] = "</svg>"
	return table.concat(out, "\n")
end

local function bar(class, from, to, half)
	if to <= from then
		return ""
	end
	return ('<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>'):format(class, from, -half,
		math.max(to - from, 0.5), 2 * half)
end

local function loss_plot(list)
	local most = 0
	for _, s in ipairs(list) do
		most = math.max(most, s.loss * 100)
	end
	return rows_plot("Packets sent again", list, ceiling(math.max(most, 0.1)), "%", function(s, x)
		return bar("loss", x(0), x(s.loss * 100), 7)
			.. ('<text x="%.1f" y="4">%.2f %%</text>'):format(x(s.loss * 100) + 6, s.loss * 100)
	end)
end

local function rtt_plot(list)
	local shown, most = {}, 0
	for _, s in ipairs(list) do
		if s.rtt_median then
			shown[#shown + 1] = s
			most = math.max(most, s.rtt_p90 * 1000)
		end
	end
	if #shown == 0 then
		return ""
	end
	return rows_plot("Round trip time to the server: 10th to 90th percentile, and median", shown,
		ceiling(math.max(most, 0.001)), "ms", function(s, x)
			local middle = x(s.rtt_median * 1000)
			return bar("rtt", x(s.rtt_p10 * 1000), x(s.rtt_p90 * 1000), 6)
				.. ('<line class="median" x1="%.1f" y1="-9" x2="%.1f" y2="9"/>'):format(middle, middle)
				.. ('<text x="%.1f" y="4">%s ms</text>'):format(x(s.rtt_p90 * 1000) + 6, ms(s.rtt_median))
		end)
end

-- Packets per second, and those sent again, in at most 200 columns.
local function time_plot()
	local span = last_ts and math.floor(last_ts - first_ts) + 1 or 0
	if span == 0 then
		return ""
	end
	local width = math.max(1, math.ceil(span / 200))
	local sums, most = {}, 0
	for i = 0, math.ceil(span / width) - 1 do
		sums[i] = { packets = 0, again = 0 }
	end
	for i, second in pairs(seconds) do
		local sum = sums[math.floor(i / width)]
		if sum then
			sum.packets, sum.again = sum.packets + second.packets, sum.again + second.again
			most = math.max(most, sum.packets / width)
		end
	end
	local top, height, columns_n = ceiling(math.max(most, 1)), 180, #sums + 1
	local step = (LABEL + PLOT - 60) / columns_n
	local out = { ('<h2>Packets per second, and those sent again</h2><svg viewBox="0 0 %d %d" width="%d" height="%d">')
		:format(LABEL + PLOT + 80, height + 50, LABEL + PLOT + 80, height + 50) }
	for i = 0, 4 do
		local y = height - height * i / 4 + 10
		out[#out + 1] = ('<line class="grid" x1="60" y1="%.1f" x2="%d" y2="%.1f"/>'):format(y, LABEL + PLOT, y)
		out[#out + 1] = ('<text class="tick" x="52" y="%.1f" text-anchor="end">%.4g</text>'):format(y + 4, top * i / 4)
	end
	for i = 0, #sums do
		for _, part in ipairs { { "packets", sums[i].packets }, { "loss", sums[i].again } } do
			local h = part[2] / width / top * height
			if h > 0 then
				out[#out + 1] = ('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>'):format(part[1],
					60 + i * step, height + 10 - h, math.max(step - 0.5, 0.5), h)
			end
		end
	end
	local every = ceiling(columns_n * width / 8)
	for second = 0, columns_n * width, every do
		out[#out + 1] = ('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%g s</text>'):format(
			60 + second / width * step, height + 28, second)
	end
	out[#out + 1] = "</svg>"
	return table.concat(out, "\n")
end

local page = [[
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>TCP health</title>
<style>
body { font: 14px sans-serif; color: #222; margin: 2em auto; max-width: 900px } h1 { font-size: 22px }
h2 { font-size: 16px; margin: 1.8em 0 .6em } table { border-collapse: collapse } svg { max-width: 100%% }
th, td { text-align: right; padding: 3px 9px; border-bottom: 1px solid #e0e0e0; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left } th { color: #555; font-weight: 600 }
svg text { font: 12px sans-serif; fill: #333 } svg .tick { fill: #777 } .grid { stroke: #e4e4e4 }
.loss { fill: #d62728 } .rtt { fill: #9ec1e8 } .median { stroke: #1f4e9c; stroke-width: 2 } .packets { fill: #9ec1e8 }
</style></head><body>
<h1>TCP health</h1>
<p>%s</p>
%s
</body></html>
]]

local function html_table(list)
	local out = { "<h2>Servers</h2><table><tr>" }
	for _, column in ipairs(columns) do
		out[#out + 1] = "<th>" .. escape(column[1]) .. "</th>"
	end
	out[#out + 1] = "</tr>"
	for _, s in ipairs(list) do
		out[#out + 1] = "<tr>"
		for _, column in ipairs(columns) do
			out[#out + 1] = "<td>" .. escape(tostring(column[2](s))) .. "</td>"
		end
		out[#out + 1] = "</tr>\n"
	end
	out[#out + 1] = "</table>"
	return table.concat(out)
end

local function as_html(list)
	local connections, packets = 0, 0
	for _, s in pairs(servers) do
		connections, packets = connections + s.connections, packets + s.packets
	end
	local intro = ("%d connections, %.0f packets in %.1f seconds; of the servers those with most packets."):format(
		connections, packets, last_ts and last_ts - first_ts or 0)
	return page:format(intro, table.concat({ html_table(list), loss_plot(list), rtt_plot(list), time_plot() }, "\n"))
end

local makers = { table = as_table, json = as_json, html = as_html }

mos.at_exit(function()
	local text = makers[options.format](ranked())
	if not options.output then
		io.write(text)
		return
	end
	local file = assert(io.open(options.output, "wb"))
	file:write(text)
	file:close()
end)
