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

local function write(conn, request, response, info)
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
		{ "request_body_len", request and request.body_len or 0 },
		{ "response_body_len", response and response.body_len or 0 },
		{ "status_code", response and response.status }, { "status_msg", response and response.reason },
		{ "info_code", info and info.status }, { "info_msg", info and info.reason },
		{ "resp_content_type", response and response.headers["content-type"] },
	}, "\n")
end

-- By depth: requests that wait for their response, and the last 1xx that they got.
local function waiting(conn)
	local data = conn.data
	data.http = data.http or { requests = {}, info = {} }
	return data.http
end

mon:on(http.request, function(conn, side, pkt, ev, request)
	waiting(conn).requests[request.depth] = request
end)

mon:on(http.response, function(conn, side, pkt, ev, response)
	if response.interim then
		waiting(conn).info[response.depth] = response
	end
end)

local function close(conn, response)
	local w = waiting(conn)
	write(conn, response.request, response, w.info[response.depth])
	w.info[response.depth] = nil
	if response.request then
		w.requests[response.request.depth] = nil
	end
end

mon:on(http.done, function(conn, side, pkt, ev, message)
	if message.status then
		close(conn, message)
	end
end)

mon:on(http.upgrade, function(conn, side, pkt, ev, upgrade)
	close(conn, upgrade.response)
end)

mon:on(http.malformed, function(conn, side, pkt, ev, fault)
	if options.malformed then
		mos.log.warn("%s: %s: %s", tostring(conn), fault.reason, json.string(fault.text))
	end
end)

mon:on(http.over, function(conn)
	local requests = waiting(conn).requests
	local depths = {}
	for depth in pairs(requests) do
		depths[#depths + 1] = depth
	end
	table.sort(depths)
	for _, depth in ipairs(depths) do
		write(conn, requests[depth], nil, waiting(conn).info[depth])
	end
end)
