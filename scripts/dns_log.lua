-- One line per DNS query and its response, with the names and meanings of Zeek's dns.log.
local mos = require "mos"
local crypto = require "mos.crypto"
local dns = require "mos.events.dns"
local json = require "mos.json"

local options = require "mos.options" {
	name = "dns_log",
	usage = [[
usage: mos-run scripts/dns_log.lua -r CAPTURE [-- OPTION...]

One JSON object per DNS query with its response on standard output, over UDP and TCP, with the names and meanings of
Zeek's dns.log. A query without a response, and a response that nobody asked for, have a line of their own.

  --timeout SECONDS   how long a query waits for its response (default 10)
  --max NUMBER        queries that wait at a time; beyond that the oldest go (default 100000)
  --help]],
	options = { timeout = "number", max = "number" },
	defaults = { timeout = 10, max = 100000 },
}

local mon = mos.monitor {}

-- Queries that wait, by ends, id and name; and the order in which they came, as a list with a first and a last.
local waiting, order, first, last, count = {}, {}, 1, 0, 0

local function key_of(m)
	local from_addr, from_port, to_addr, to_port = m.src_addr, m.src_port, m.dst_addr, m.dst_port
	if m.response then
		from_addr, from_port, to_addr, to_port = to_addr, to_port, from_addr, from_port
	end
	return ("%s %s %d %s %d %d %s"):format(m.transport, from_addr, from_port, to_addr, to_port, m.id,
		(m.query or ""):lower())
end

-- Datagrams belong to no connection: their ends and the port of the client give them a number.
local function uid_of(m, conn)
	if conn then
		return conn.uid
	end
	local client, server = m.src_addr .. " " .. m.src_port, m.dst_addr .. " " .. m.dst_port
	if m.response then
		client, server = server, client
	end
	local sum = crypto.sha256("udp " .. client .. " " .. server)
	return sum and sum:sub(1, 16)
end

local function answers(m)
	local data, ttls = {}, {}
	for i, record in ipairs(m.answers) do
		data[i] = record.data or ("<%s, %d bytes>"):format(record.type_name, record.len)
		ttls[i] = record.ttl
	end
	return data, ttls
end

local function write(query, response, uid)
	local m = query or response
	local orig_h, orig_p, resp_h, resp_p = m.src_addr, m.src_port, m.dst_addr, m.dst_port
	if not query then
		orig_h, orig_p, resp_h, resp_p = resp_h, resp_p, orig_h, orig_p
	end
	local data, ttls
	if response then
		data, ttls = answers(response)
	end
	io.write(json.object {
		{ "ts", m.ts }, { "uid", uid }, { "id.orig_h", orig_h }, { "id.orig_p", orig_p }, { "id.resp_h", resp_h },
		{ "id.resp_p", resp_p }, { "proto", m.transport }, { "trans_id", m.id },
		{ "rtt", query and response and response.ts - query.ts }, { "query", m.query },
		{ "qclass", m.qclass }, { "qclass_name", m.qclass_name }, { "qtype", m.qtype }, { "qtype_name", m.qtype_name },
		{ "rcode", response and response.rcode }, { "rcode_name", response and response.rcode_name },
		{ "AA", response and response.aa or false }, { "TC", response and response.tc or false }, { "RD", m.rd },
		{ "RA", response and response.ra or false }, { "Z", m.z },
		{ "answers", data and data[1] and data }, { "TTLs", ttls and ttls[1] and ttls },
		{ "rejected", response and response.rcode ~= 0 and response.rcode ~= 3 or false },
	}, "\n")
end

local function drop(entry)
	if waiting[entry.key] == entry then
		waiting[entry.key] = nil
		count = count - 1
		write(entry.query, nil, entry.uid)
	end
end

-- The oldest that have waited too long, or are too many.
local function expire(now)
	while first <= last and (not order[first].query or now - order[first].query.ts > options.timeout
		or count > options.max) do
		local entry = order[first]
		order[first] = nil
		first = first + 1
		if entry.query then
			drop(entry)
		end
	end
end

dns.on(mon, "query", function(conn, side, pkt, ev, m)
	expire(m.ts)
	local key = key_of(m)
	if waiting[key] then
		return -- the same again, from an end that has waited too long
	end
	local entry = { key = key, query = m, uid = uid_of(m, conn) }
	waiting[key] = entry
	count, last = count + 1, last + 1
	order[last] = entry
end)

dns.on(mon, "response", function(conn, side, pkt, ev, m)
	expire(m.ts)
	local key = key_of(m)
	local entry = waiting[key]
	if not entry then
		write(nil, m, uid_of(m, conn))
		return
	end
	write(entry.query, m, entry.uid)
	waiting[key] = nil
	count = count - 1
	entry.query = nil
end)

mos.at_exit(function()
	expire(math.huge)
end)
