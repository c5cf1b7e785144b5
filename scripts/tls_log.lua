-- One line per TLS connection, with the names and meanings of Zeek's ssl.log, and JA3, JA3S, JA4 and JA4S.
local mos = require "mos"
local json = require "mos.json"
local tls = require "mos.events.tls"

local options = require "mos.options" {
	name = "tls_log",
	usage = [[
usage: mos-run scripts/tls_log.lua -r CAPTURE [-- OPTION...]

One JSON object per TLS connection on standard output, when the connection ends, on any port: the names and meanings of
Zeek's ssl.log, with the fingerprints ja3, ja3s, ja4 and ja4s, and of the server's certificate its validity and names.

  --filter EXPR   pcap filter of the connections' first packets (default: all of them)
  --help]],
	options = { filter = "string" },
}

local mon = mos.monitor { filter = options.filter }

local function note(conn)
	local data = conn.data
	data.tls = data.tls or {}
	return data.tls
end

-- The first of each counts: what follows belongs to a retry or a renegotiation.
mon:on(tls.client_hello, function(conn, side, pkt, ev, hello)
	local log = note(conn)
	log.client = log.client or hello
end)

mon:on(tls.server_hello, function(conn, side, pkt, ev, hello)
	local log = note(conn)
	if not hello.retry then
		log.server = log.server or hello
	end
end)

mon:on(tls.certificate, function(conn, side, pkt, ev, certificate)
	local log = note(conn)
	log[certificate.from .. "_chain"] = log[certificate.from .. "_chain"] or certificate.chain
end)

mon:on(tls.alert, function(conn, side, pkt, ev, alert)
	local log = note(conn)
	if not alert.encrypted then
		log.alert = log.alert or alert.description
	end
end)

mon:on(tls.established, function(conn, side, pkt, ev, established)
	local log = note(conn)
	log.established, log.curve = true, established.curve
end)

mon:on(tls.malformed, function(conn, side, pkt, ev, fault)
	local log = note(conn)
	log.malformed = log.malformed or fault.reason
end)

-- What names the certificate has for its host, without the addresses.
local function dns_names(certificate)
	local list = {}
	for _, name in ipairs(certificate.names or {}) do
		list[#list + 1] = name:match "^DNS:(.*)$"
	end
	return list
end

local function fingerprints(chain)
	local list = {}
	for i, certificate in ipairs(chain) do
		list[i] = certificate.sha256
	end
	return list
end

mon:on(tls.over, function(conn)
	local log = conn.data.tls
	if not log or not (log.client or log.server) then
		return
	end
	local client, server = log.client or {}, log.server or {}
	local chain = log.server_chain or {}
	local certificate, issued = chain[1] or {}, log.client_chain and log.client_chain[1] or {}
	io.write(json.object {
		{ "ts", client.ts or server.ts }, { "uid", conn.uid },
		{ "id.orig_h", conn.client.addr }, { "id.orig_p", conn.client.port },
		{ "id.resp_h", conn.server.addr }, { "id.resp_p", conn.server.port },
		{ "version", server.version }, { "cipher", server.cipher_name }, { "curve", log.curve or server.curve },
		{ "server_name", client.sni }, { "resumed", server.resumed or false }, { "last_alert", log.alert },
		{ "next_protocol", server.alpn }, { "established", log.established or false },
		{ "cert_chain_fps", log.server_chain and fingerprints(chain) },
		{ "subject", certificate.subject }, { "issuer", certificate.issuer },
		{ "client_subject", issued.subject }, { "client_issuer", issued.issuer },
		{ "not_valid_before", certificate.not_before }, { "not_valid_after", certificate.not_after },
		{ "san.dns", chain[1] and dns_names(certificate) },
		{ "client_alpn", client.alpn }, { "ja3", client.ja3 }, { "ja3s", server.ja3s }, { "ja4", client.ja4 },
		{ "ja4s", server.ja4s }, { "malformed", log.malformed },
	}, "\n")
end)
