-- One line per scan and per SYN flood, when it is noticed.
local mos = require "mos"
local json = require "mos.json"
local scan = require "mos.events.scan"
local synflood = require "mos.events.synflood"

local options = require "mos.options" {
	name = "scan_detect", one_worker = true,
	usage = [[
usage: mos-run scripts/scan_detect.lua -r CAPTURE [-- OPTION...]

One JSON object per event on standard output: horizontal_scan (one port of many addresses), vertical_scan (many ports
of one address), both by SYNs that no SYN answered, and syn_flood (many SYNs, few handshakes).

  --addresses NUMBER   addresses of a horizontal scan (default 25)
  --ports NUMBER       ports of a vertical scan (default 15)
  --seconds NUMBER     within which they are tried (default 300)
  --syns NUMBER        SYNs of a flood within 10 seconds (default 200)
  --help]],
	options = { addresses = "number", ports = "number", seconds = "number", syns = "number" },
}

for _, name in ipairs { "addresses", "ports", "seconds" } do
	scan.limits[name] = options[name] or scan.limits[name]
end
synflood.limits.syns = options.syns or synflood.limits.syns

local mon = mos.monitor { clibuf = 0, svrbuf = 0 }

local function found(note)
	return function(conn, side, pkt, ev, s)
		io.write(json.object {
			{ "ts", mos.now() }, { "note", note }, { "src", s.src }, { "dst", s.dst }, { "p", s.port }, { "n", s.count },
			{ "attempts", s.attempts }, { "refused", s.refused }, { "first_ts", s.first_ts }, { "targets", s.targets },
		}, "\n")
	end
end

mon:on(scan.horizontal, found "horizontal_scan")
mon:on(scan.vertical, found "vertical_scan")

mon:on(synflood.begins, function(conn, side, pkt, ev, f)
	io.write(json.object {
		{ "ts", pkt.ts }, { "note", "syn_flood" }, { "dst", f.addr }, { "p", f.port }, { "syns", f.syns },
		{ "completed", f.completed }, { "sources", f.sources }, { "seconds", f.seconds },
	}, "\n")
end)
