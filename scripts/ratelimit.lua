-- Each connection may send so much per second in each direction; what is more is dropped, and TCP slows down.
local mos = require "mos"

local usage = [[
usage: mos-run scripts/ratelimit.lua -i A:B -- --rate SIZE [OPTION...]

Drops packets of a connection's direction that exceed the rate: bytes of IP packets per second, measured by a bucket
that holds --burst bytes.

  --rate SIZE       bytes per second; 500K, 2M
  --burst SIZE      bytes at once (default: a tenth of a second's, 15000 at least)
  --filter EXPR     pcap filter of the connections' first packets (default: all of them)
  --help]]

local function fail(...)
	error("ratelimit: " .. string.format(...), 0)
end

local unit = { [""] = 1, K = 1e3, M = 1e6, G = 1e9 }

local function size(name, text)
	local digits, suffix = text:match "^(%d+)([KMG]?)$"
	if not digits or tonumber(digits) == 0 then
		fail("--%s takes bytes such as 500K or 2M, not '%s'", name, text)
	end
	return tonumber(digits) * unit[suffix]
end

local options = require "mos.options" {
	name = "ratelimit",
	usage = usage,
	options = { rate = "string", burst = "string", filter = "string" },
}
local rate = size("rate", options.rate or fail "no --rate; --help explains it")
local burst = options.burst and size("burst", options.burst) or math.max(rate / 10, 15000)

mos.record [[
	double tokens[2], last[2];
]]

local number = { cli = 0, svr = 1 }
local passed, dropped = mos.shared.counter "passed", mos.shared.counter "dropped"
local mon = mos.monitor { filter = options.filter, clibuf = 0, svrbuf = 0 }

mon:on("pkt_in", "snd", function(conn, side, pkt)
	local rec, s, now = conn.rec, number[side], pkt.ts
	local tokens = burst
	if rec.last[s] > 0 then
		tokens = math.min(burst, rec.tokens[s] + (now - rec.last[s]) * rate)
	end
	rec.last[s] = now
	if tokens >= pkt.ip_len then
		tokens = tokens - pkt.ip_len
		passed:add(pkt.ip_len)
	else
		pkt:drop()
		dropped:add()
	end
	rec.tokens[s] = tokens
end)

mos.at_exit(function()
	if mos.worker == mos.workers then
		print(("passed %.0f bytes, dropped %.0f packets"):format(passed:sum(), dropped:sum()))
	end
end)
