-- require "mos.events.http": HTTP/1.x (RFC 9112) in either direction of any TCP connection, on whatever port.
local mos = require "mos"

local http = {}

-- Longest line, and header fields per message: what is beyond is malformed. Requests that wait for their response.
-- Bytes of body per http_body. Bytes that are searched for a message behind a gap, or in a connection picked up
-- midstream.
http.limits = { line = 8192, fields = 128, pending = 256, body = 16384, search = 2 ^ 20 }
local limits = http.limits

local parser

local known_methods = {}
for word in ("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK "
	.. "REPORT SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE MERGE CHECKOUT MKACTIVITY PURGE"):gmatch "%u+" do
	known_methods[word] = true
end

local function malformed(r, reason, text)
	r:raise(http.malformed, { reason = reason, text = text and text:sub(1, 100) or "", request = r.kind == "request" })
end

-- The rest of this direction cannot be told from noise.
local function give_up(r, reason, text)
	malformed(r, reason, text)
	r:stop()
end

local request_line, status_line, header, body, chunk_size, chunk_end, trailer, until_close, resync

local function start_step(r)
	return r.kind == "request" and request_line or status_line
end

-- RFC 9110 7.8: the client waits for the answer to know what it speaks next, and so do its bytes here.
local function paused()
	return false
end

local function may_upgrade(m)
	return m.method == "CONNECT" or (m.method and m.headers.upgrade)
end

-- A message is over; the next one begins.
local function done(r, complete)
	local m = r.message
	r.message = nil
	r.step = may_upgrade(m) and not r.flow.lost and paused or start_step(r)
	if r:wants(http.done) then
		local all = { body_len = r.body_len, missed = r.missed, complete = complete }
		for name, value in pairs(m) do
			all[name] = value
		end
		r:raise(http.done, all)
	end
	return true
end

-- Both directions are something else from here on.
local function upgrade(r, response)
	local request = response.request
	r:raise(http.upgrade, { protocol = response.headers.upgrade or (request and request.method == "CONNECT" and "tunnel"),
		request = request, response = response })
	r:stop()
	r.peer:stop()
	return false
end

local function content_length(r, headers)
	local length
	for value in (headers["content-length"] or ""):gmatch "[^,]+" do
		local digits = value:match "^%s*(%d+)%s*$"
		if not digits or #digits > 15 or (length and length ~= tonumber(digits)) then
			malformed(r, "content-length", headers["content-length"])
			return nil
		end
		length = tonumber(digits)
	end
	return length
end

-- RFC 9112 6.3: how long the body is.
local function begin_body(r, m, none)
	local coding = m.headers["transfer-encoding"]
	local chunked = coding and coding:lower():match "chunked%s*$"
	local length = content_length(r, m.headers)
	if coding and length then
		malformed(r, "both transfer-encoding and content-length", coding)
	end
	if none then
		return done(r, true)
	elseif chunked then
		r.step = chunk_size
	elseif coding and m.method then
		give_up(r, "transfer-encoding", coding)
		return false
	elseif not coding and (length or m.method) then
		r.left_in_body, r.after = length or 0, nil
		r.step = body
	else
		r.step = until_close
	end
	return true
end

local function begin_request_body(r, m)
	local flow = r.flow
	flow.requests[m.depth] = m
	if m.depth > limits.pending then
		flow.requests[m.depth - limits.pending] = nil
	end
	r:raise(http.request, m)
	return begin_body(r, m, false)
end

local function begin_response_body(r, m)
	local flow = r.flow
	local status, request = m.status, not flow.lost and flow.requests[m.depth] or nil
	m.request = request
	m.interim = status >= 100 and status < 200 and status ~= 101
	if not m.interim then
		flow.requests[m.depth] = nil
		r.count = m.depth
		if r.peer.step == paused and r.peer.count == m.depth then
			r.peer.step = request_line
			flow.again = true
		end
	end
	r:raise(http.response, m)
	local tunnel = request and request.method == "CONNECT" and status >= 200 and status < 300
	if status == 101 or tunnel then
		return upgrade(r, m)
	elseif m.interim then
		r.message = nil
		r.step = status_line
		return true
	end
	local none = status == 204 or status == 304 or (request and request.method == "HEAD")
	return begin_body(r, m, none)
end

local function headers_done(r)
	local m = r.message
	m.host = m.headers.host
	if m.method then
		return begin_request_body(r, m)
	end
	return begin_response_body(r, m)
end

-- Another field of that name joins the first one, as RFC 9110 5.3 says.
local function add_field(r, m, name, value)
	m.fields = m.fields + 1
	if m.fields > limits.fields then
		give_up(r, "too many header fields", name)
		return false
	end
	local key = name:lower()
	local before = m.headers[key]
	m.headers[key] = before and before .. ", " .. value or value
	r.last = key
	return true
end

-- RFC 9112 5.2: a line that begins with a blank goes on with the field before.
local function fold(r, m, line)
	local value = r.last and m.headers[r.last]
	if not value or #value + #line > limits.line then
		malformed(r, "header", line)
	else
		m.headers[r.last] = value .. " " .. line:match "^%s*(.-)%s*$"
	end
	return true
end

function header(r)
	local line = r:line(limits.line)
	if not line then
		if line == false then
			give_up(r, "header line too long")
		end
		return false
	end
	local m = r.message
	if line == "" then
		return headers_done(r)
	elseif line:find "^[ \t]" then
		return fold(r, m, line)
	end
	local name, value = line:match "^([^%s:]+)[ \t]*:[ \t]*(.-)[ \t]*$"
	if not name then
		malformed(r, "header", line)
		return true
	end
	return add_field(r, m, name, value)
end

local function begin_message(r, m)
	m.headers, m.fields, m.depth, m.ts = {}, 0, r.count + 1, r:time()
	r.message, r.body_len, r.missed, r.last = m, 0, 0, nil
	r.step = header
	return true
end

local function parse_request_line(line)
	local method, uri, version = line:match "^([%w!#$%%&'*+%-.^_`|~]+) +(%S.-) +HTTP/(%d%.%d)%s*$"
	return method and { method = method, uri = uri, version = version }
end

local function parse_status_line(line)
	local version, status, reason = line:match "^HTTP/(%d%.%d) +(%d%d%d) ?(.-)%s*$"
	return version and { version = version, status = tonumber(status), reason = reason }
end

-- The first line is what tells HTTP from everything else: of that, what is not HTTP is no fault.
local function not_http(r, line)
	local method = line and line:match "^(%u+) "
	if r.count > 0 or known_methods[method] or (r.kind == "response" and r.flow.svr.count > 0) then
		give_up(r, r.kind == "request" and "request line" or "status line", line)
	else
		r:stop()
	end
	return false
end

function request_line(r)
	local line = r:line(limits.line)
	if line == nil then
		return false
	elseif line == "" and r.count > 0 then
		return true -- RFC 9112 2.2
	end
	local m = line and parse_request_line(line)
	if not m then
		return not_http(r, line or nil)
	end
	begin_message(r, m)
	r.count = m.depth
	return true
end

function status_line(r)
	if r.flow.again then
		return false -- first the requests behind the one that waited
	end
	local line = r:line(limits.line)
	if line == nil then
		return false
	end
	local m = line and parse_status_line(line)
	if not m then
		return not_http(r, line or nil)
	end
	return begin_message(r, m)
end

-- A piece of body: at most n bytes. How many there were.
local function piece(r, n)
	local m = r.message
	local got
	if r:wants(http.body) then
		local data = r:some(n < limits.body and n or limits.body)
		got = data and #data or 0
		if data then
			r:raise(http.body, { message = m, data = data, offset = r.body_len + r.missed })
		end
	else
		got = r:skip(n)
	end
	r.body_len = r.body_len + got
	return got
end

-- What a body, or a chunk, has left is read; then comes r.after, or the next message.
function body(r)
	local left = r.left_in_body
	if left > 0 then
		local got = piece(r, left)
		r.left_in_body = left - got
		return got > 0
	elseif r.after then
		r.step = r.after
		return true
	end
	return done(r, true)
end

function until_close(r)
	return piece(r, 2 ^ 30) > 0
end

function chunk_size(r)
	local line = r:line(limits.line)
	if line == nil then
		return false
	end
	local digits = line and line:match "^(%x+)%s*%f[;%z\r]" or line and line:match "^(%x+)%s*$"
	if not digits or #digits > 12 then
		give_up(r, "chunk size", line or nil)
		return false
	end
	local size = tonumber(digits, 16)
	r.left_in_body, r.after = size, chunk_end
	r.step = size > 0 and body or trailer
	return true
end

function chunk_end(r)
	local line = r:line(2)
	if line == nil then
		return false
	elseif line ~= "" then
		give_up(r, "end of chunk", line or nil)
		return false
	end
	r.step = chunk_size
	return true
end

function trailer(r)
	local line = r:line(limits.line)
	if line == nil then
		return false
	elseif line == false then
		give_up(r, "trailer line too long")
		return false
	elseif line == "" then
		return done(r, true)
	end
	return true
end

-- Behind lost bytes, or where the beginning was never seen: the next line that can only be a message's first.
function resync(r)
	local from = r:offset()
	local line = r:line(limits.line)
	if line == nil then
		return false
	elseif line == false then
		r:skip(limits.line)
	end
	r.searched = (r.searched or 0) + r:offset() - from
	if r.searched > limits.search then
		r:stop()
	end
	if line == false then
		return r.step ~= nil
	end
	local m = parse_status_line(line)
	r.kind = m and "response" or "request"
	if not m then
		m = parse_request_line(line)
		m = m and known_methods[m.method] and m
	end
	if not m then
		return r.step ~= nil
	end
	r.searched = 0
	begin_message(r, m)
	if m.method then
		r.count = m.depth
	end
	return true
end

-- Which direction this is, told by its first bytes: roles may have been guessed.
local function first(r)
	local flow = r.flow
	if not flow.requests then
		flow.requests = {}
		flow.cli.count, flow.svr.count = 0, 0
	end
	if flow.conn.midstream then
		flow.lost = true
		r.step = resync
		return true
	end
	local n = r:left()
	local p = r:look(n < 5 and n or 5)
	local text = require("ffi").string(p, n < 5 and n or 5)
	if text == ("HTTP/"):sub(1, n) then
		if n < 5 then
			return false
		end
		r.kind = "response"
	elseif text:find "^[%w\r\n]" then
		r.kind = "request"
	else
		r:stop()
		return false
	end
	r.step = start_step(r)
	return true
end

local function gap(r, n)
	local flow, m = r.flow, r.message
	if not flow.requests then
		flow.requests = {}
		flow.cli.count, flow.svr.count = 0, 0
	end
	if m and r.step == body and n <= r.left_in_body then
		r.left_in_body = r.left_in_body - n
		r.missed = r.missed + n
		return true
	elseif m and r.step == until_close then
		r.missed = r.missed + n
		return true
	end
	if m then
		done(r, false)
	end
	flow.lost = true
	if r.kind then
		malformed(r, "gap")
	end
	r.step = resync
	return true
end

local function finish(r)
	if r.step == paused and r.peer:offset() == 0 then
		r.step = request_line
		while r.step and r.step(r) do end
	end
	local m = r.message
	if m then
		local whole = r.step == until_close and r.missed == 0
		if r.step == header then
			malformed(r, "cut off")
		elseif not whole and r.step ~= until_close then
			malformed(r, "body cut off")
		end
		done(r, whole)
	end
end

parser = mos.parser { name = "http", start = first, gap = gap, finish = finish,
	meaning = "inside: bytes for the HTTP parser" }

http.over = parser.over

local message_fields = {
	{ "version", "string", "1.1" },
	{ "headers", "table", "by name in small letters; fields of one name joined by commas" },
	{ "host", "string", "the header field, or nil" },
	{ "depth", "number", "1 for the connection's first request, and for its response" },
	{ "ts", "number", "seconds: of the packet that ends the first line" },
}

local function fields(own, common)
	local all = {}
	for _, list in ipairs { own, common } do
		for _, f in ipairs(list) do
			all[#all + 1] = f
		end
	end
	return all
end

-- The request's header is complete.
http.request = parser:event { name = "http_request", meaning = "a request's header is complete",
	fields = fields({ { "method", "string", "GET" }, { "uri", "string", "the request's target, as it stands" } },
		message_fields) }

http.response = parser:event { name = "http_response", meaning = "a response's header is complete",
	fields = fields({
		{ "status", "number", "200" }, { "reason", "string", "OK" },
		{ "interim", "boolean", "1xx: another response follows" },
		{ "request", "table", "the request that it answers; nil if that was not seen" },
	}, message_fields) }

http.body = parser:event { name = "http_body", meaning = "bytes of a body, transfer encoding undone",
	fields = {
		{ "message", "table", "the request or response that it belongs to" },
		{ "data", "string", "at most 16 KB" }, { "offset", "number", "of its first byte in the body" },
	} }

http.done = parser:event { name = "http_done", meaning = "a message is over: the fields of its request or response and",
	fields = {
		{ "body_len", "number", "bytes of the body that were seen, without chunk sizes" },
		{ "missed", "number", "bytes of it that were lost" },
		{ "complete", "boolean", "false: the connection ended, or bytes were lost, before its end" },
	} }

http.upgrade = parser:event { name = "http_upgrade", meaning = "the connection speaks another protocol from here on",
	fields = {
		{ "protocol", "string", "of the Upgrade field; tunnel after CONNECT" },
		{ "request", "table" }, { "response", "table" },
	} }

http.malformed = parser:event { name = "http_malformed", meaning = "what cannot be HTTP, where HTTP was expected",
	fields = {
		{ "reason", "string", "request line, status line, header, header line too long, too many header fields, "
			.. "content-length, transfer-encoding, both transfer-encoding and content-length, chunk size, end of chunk, "
			.. "trailer line too long, gap, cut off, body cut off" },
		{ "text", "string", "the first 100 bytes of the line" },
		{ "request", "boolean", "in a request" },
	} }

return http
