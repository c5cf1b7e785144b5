-- Replaces a text in what one end receives, by one that may be longer or shorter.
local mos = require "mos"

local usage = [[
usage: mos-run scripts/rewrite.lua -i A:B -- --from TEXT --to TEXT [OPTION...]

Replaces TEXT wherever a packet carries it whole. Lengths, checksums and the connection's numbers follow; what the
application says of lengths (HTTP's Content-Length) does not.

  --from TEXT       what is looked for
  --to TEXT         what stands there instead; it may be empty
  --receiver SIDE   who receives what is changed: cli or svr (default cli)
  --filter EXPR     pcap filter of the connections' first packets (default: all of them)
  --help]]

local function fail(...)
	error("rewrite: " .. string.format(...), 0)
end

local options = require "mos.options" {
	name = "rewrite",
	usage = usage,
	options = { from = "string", to = "string", receiver = "cli|svr", filter = "string" },
	defaults = { receiver = "cli" },
}
local from, to = options.from or "", options.to
if from == "" or not to then
	fail "--from and --to are needed; --help explains them"
end
local receiver = options.receiver

local replaced, refused = mos.shared.counter "replaced", mos.shared.counter "refused"
local mon = mos.monitor { filter = options.filter, clibuf = 0, svrbuf = 0 }

mon:on("pkt_in", "rcv", function(_, side, pkt)
	if side ~= receiver or pkt.payload_len < #from then
		return
	end
	local payload = pkt:payload_string()
	local at = payload:find(from, 1, true)
	while at do
		if pkt:replace(at - 1, #from, to) then
			replaced:add()
		else
			refused:add()
		end
		at = payload:find(from, at + #from, true)
	end
end)

mos.at_exit(function()
	if mos.worker == mos.workers then
		print(("replaced %.0f, could not replace %.0f"):format(replaced:sum(), refused:sum()))
	end
end)
