-- Resets connections by the name of their server: SNI of a TLS hello, Host of an HTTP request.
local mos = require "mos"
local json = require "mos.json"
local http = require "mos.events.http"
local tls = require "mos.events.tls"

local options = require "mos.options" {
	name = "dpi_block",
	usage = [[
usage: mos-run scripts/dpi_block.lua -r CAPTURE -w CAPTURE -- --names NAMES [OPTION...]

Connections whose TLS hello (SNI) or HTTP request (Host) names one of the servers are reset in both directions. One
JSON object per connection on standard output. Inline between two ports nothing more passes; on a capture, the resets
are in what -w writes.

  --names NAMES   comma between; "*.example.org" means every name below example.org, and "example.org" itself
  --file FILE     the same, one per line; # begins a comment
  --dry-run       print only
  --help]],
	options = { names = "string", file = "string", ["dry-run"] = "flag" },
}

local exact, below = {}, {}

local function add(name)
	name = name:lower():gsub("%.$", "")
	local domain = name:match "^%*%.(.+)$"
	if domain then
		below[domain] = true
	end
	exact[domain or name] = true
end

for name in (options.names or ""):gmatch "[^,%s]+" do
	add(name)
end
if options.file then
	local file, why = io.open(options.file)
	if not file then
		error("dpi_block: " .. why, 0)
	end
	for line in file:lines() do
		local name = line:match "^%s*([^#%s]+)"
		if name then
			add(name)
		end
	end
	file:close()
end
if not next(exact) then
	error("dpi_block: nothing to block; name servers with --names or --file", 0)
end

-- The entry that a name is blocked by; nil if it is not.
local function match(name)
	name = name:lower():gsub(":%d+$", ""):gsub("%.$", "")
	if exact[name] then
		return name
	end
	local at = name:find(".", 1, true)
	while at do
		local domain = name:sub(at + 1)
		if below[domain] then
			return "*." .. domain
		end
		at = name:find(".", at + 1, true)
	end
end

local function blocked_by(what)
	return function(conn, side, pkt, ev, fields)
		local name = fields[what]
		local by = name and match(name)
		return by and { name = name, by = by, what = what }
	end
end

local event_fields = {
	{ "name", "string", "that the client asked for" }, { "by", "string", "the entry that blocks it" },
	{ "what", "string", "sni or host" },
}

local hello = mos.event { name = "blocked_hello", parent = tls.client_hello, filter = blocked_by "sni",
	fields = event_fields, meaning = "a client asks for a blocked server by TLS" }
local request = mos.event { name = "blocked_request", parent = http.request, filter = blocked_by "host",
	fields = event_fields, meaning = "a client asks for a blocked server by HTTP" }

local mon = mos.monitor { filter = "tcp" }

local function block(conn, side, pkt, ev, blocked)
	local reset, reason = false, nil
	if not options["dry-run"] then
		reset, reason = conn:reset()
	end
	io.write(json.object {
		{ "ts", conn.last_ts }, { "uid", conn.uid },
		{ "id.orig_h", conn.client.addr }, { "id.orig_p", conn.client.port },
		{ "id.resp_h", conn.server.addr }, { "id.resp_p", conn.server.port },
		{ "name", blocked.name }, { "by", blocked.by }, { "what", blocked.what == "sni" and "tls" or "http" },
		{ "reset", reset and true or false }, { "reason", reason },
	}, "\n")
	conn:stop()
end

mon:on(hello, block)
mon:on(request, block)
