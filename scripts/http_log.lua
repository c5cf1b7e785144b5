-- One line per HTTP request and its response, with the names and meanings of Zeek's http.log.
local mos = require "mos"
local http = require "mos.events.http"
local json = require "mos.json"

local options = require "mos.options" {
	name = "http_log",
	usage = [[
usage: mos-run scripts/http_log.lua -r CAPTURE [-- OPTION...]

One JSON object per HTTP request with its response on standard output, on any port, with the names and meanings of
Zeek's http.log. A request without a response is written when its connection ends.

  --filter EXPR   pcap filter of the connections' first packets (default: all of them)
  --malformed     messages that are not HTTP as they should be, on standard error, too
  --help]],
	options = { filter = "string", malformed = "flag" },
}

local mon = mos.monitor { filter = options.filter }

-- What is known of the connection's exchanges, by depth: request, response, info (the last 1xx); request_len and
-- response_len when their ends were seen.
local function exchange(conn, depth)
	local data = conn.data
	data.http = data.http or {}
	data.http[depth] = data.http[depth] or {}
	return data.http[depth]
end

local function write(conn, x)
	local request, response, info = x.request, x.response, x.info
	local message = request or response
	local headers = request and request.headers or {}
	io.write(json.object {
		{ "ts", message.ts }, { "uid", conn.uid },
		{ "id.orig_h", conn.client.addr }, { "id.orig_p", conn.client.port },
		{ "id.resp_h", conn.server.addr }, { "id.resp_p", conn.server.port },
		{ "trans_depth", message.depth },
		{ "method", request and request.method }, { "host", request and request.host },
		{ "uri", request and request.uri }, { "referrer", headers.referer }, { "version", message.version },
		{ "user_agent", headers["user-agent"] }, { "origin", headers.origin },
		{ "request_body_len", x.request_len or 0 }, { "response_body_len", x.response_len or 0 },
		{ "status_code", response and response.status }, { "status_msg", response and response.reason },
		{ "info_code", info and info.status }, { "info_msg", info and info.reason },
		{ "resp_content_type", response and response.headers["content-type"] },
	}, "\n")
end

-- A response may come before the request's body is whole: a line is written when both are over.
local function done(conn, depth)
	local x = exchange(conn, depth)
	if x.response_len and (x.request_len or not x.request) then
		write(conn, x)
		conn.data.http[depth] = nil
	end
end

mon:on(http.request, function(conn, side, pkt, ev, request)
	exchange(conn, request.depth).request = request
end)

mon:on(http.response, function(conn, side, pkt, ev, response)
	exchange(conn, response.depth)[response.interim and "info" or "response"] = response
end)

mon:on(http.done, function(conn, side, pkt, ev, message)
	exchange(conn, message.depth)[message.status and "response_len" or "request_len"] = message.body_len
	done(conn, message.depth)
end)

mon:on(http.upgrade, function(conn, side, pkt, ev, upgrade)
	exchange(conn, upgrade.response.depth).response_len = 0
	done(conn, upgrade.response.depth)
end)

mon:on(http.malformed, function(conn, side, pkt, ev, fault)
	if options.malformed then
		mos.log.warn("%s: %s: %s", tostring(conn), fault.reason, json.string(fault.text))
	end
end)

mon:on(http.over, function(conn)
	local exchanges, depths = conn.data.http or {}, {}
	for depth in pairs(exchanges) do
		depths[#depths + 1] = depth
	end
	table.sort(depths)
	for _, depth in ipairs(depths) do
		write(conn, exchanges[depth])
	end
end)
