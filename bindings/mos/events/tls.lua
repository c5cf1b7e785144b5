-- require "mos.events.tls": TLS 1.0 to 1.3 handshakes (RFC 2246 to RFC 8446) on any TCP port, with the fingerprints
-- JA3, JA3S (Salesforce), JA4 and JA4S (FoxIO).
local bit = require "bit"
local mos = require "mos"
local crypto = require "mos.crypto"
local names = require "mos.events.tls_names"

local tls = {}

-- Bytes of a handshake message; certificates of a chain.
tls.limits = { message = 131072, chain = 32 }
local limits = tls.limits

local CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
local CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE = 1, 2, 11, 12
-- RFC 8446 5.1, and 2048 that RFC 5246 6.2.3 grants to compression and encryption.
local LONGEST_RECORD = 16384 + 2048

-- RFC 8446 4.1.3: the random of a ServerHello that asks for another ClientHello.
local RETRY = "\207\33\173\116\229\154\97\17\190\29\140\2\30\101\184\145\194\162\17\22\122\187\140\94\7\158\9\226"
	.. "\200\168\51\156"

local function malformed(r, reason)
	r:raise(tls.malformed, { reason = reason })
	r:stop()
	return false
end

-- A cursor over a message's bytes. What reads beyond its end answers nil, and so does everything after that.
local Bytes = {}
Bytes.__index = Bytes

local function bytes_of(s)
	return setmetatable({ s = s, at = 1 }, Bytes)
end

function Bytes:number(size)
	local s, at, n = self.s, self.at, 0
	if at + size - 1 > #s then
		self.at = 2 ^ 40
		return nil
	end
	for i = at, at + size - 1 do
		n = n * 256 + s:byte(i)
	end
	self.at = at + size
	return n
end

function Bytes:take(n)
	local at = self.at
	if not n or at + n - 1 > #self.s then
		self.at = 2 ^ 40
		return nil
	end
	self.at = at + n
	return self.s:sub(at, at + n - 1)
end

-- Bytes behind their length, which is a number of size bytes.
function Bytes:vector(size)
	return self:take(self:number(size))
end

function Bytes:is_over()
	return self.at > #self.s
end

-- The numbers of size bytes in s, nil for s nil.
local function numbers(s, size)
	local list = {}
	local b = bytes_of(s or "")
	local n = b:number(size)
	while n do
		list[#list + 1] = n
		n = b:number(size)
	end
	return list
end

-- RFC 8701
local function is_grease(n)
	return bit.band(n, 0x0f0f) == 0x0a0a and bit.rshift(n, 8) == bit.band(n, 255)
end

local function without_grease(list)
	local out = {}
	for _, n in ipairs(list) do
		if not is_grease(n) then
			out[#out + 1] = n
		end
	end
	return out
end

local function joined(list, fmt, separator)
	local out = {}
	for i, n in ipairs(list) do
		out[i] = fmt:format(n)
	end
	return table.concat(out, separator)
end

local digits = {}
for i = 0, 255 do
	digits[string.char(i)] = ("%02x"):format(i)
end

local function hex(s)
	return (s:gsub(".", digits))
end

-- Extensions by number, and their numbers in order. nil: malformed.
local function read_extensions(b)
	local order, by_number = {}, {}
	if b:is_over() then
		return order, by_number
	end
	local all = b:vector(2)
	if not all then
		return nil
	end
	local e = bytes_of(all)
	while not e:is_over() do
		local number, body = e:number(2), e:vector(2)
		if not body then
			return nil
		end
		order[#order + 1] = number
		by_number[number] = by_number[number] or body
	end
	return order, by_number
end

-- RFC 6066 3: the first name of type host_name.
local function read_sni(body)
	local list = body and bytes_of(body):vector(2)
	local b = list and bytes_of(list)
	while b and not b:is_over() do
		local kind, name = b:number(1), b:vector(2)
		if not name then
			return nil
		elseif kind == 0 then
			return name
		end
	end
end

-- RFC 7301 3.1
local function read_alpn(body)
	local list, out = body and bytes_of(body):vector(2), {}
	local b = list and bytes_of(list)
	while b and not b:is_over() do
		local name = b:vector(1)
		if not name then
			break
		end
		out[#out + 1] = name
	end
	return out
end

local SNI, GROUPS, POINT_FORMATS, SIGNATURES, ALPN, EARLY_DATA, VERSIONS, KEY_SHARE = 0, 10, 11, 13, 16, 42, 43, 51

-- JA4: two characters of the first protocol.
local function ja4_alpn(alpn)
	local name = alpn[1]
	if not name or name == "" then
		return "00"
	end
	local first, last = name:sub(1, 1), name:sub(-1)
	if first:find "%w" and last:find "%w" then
		return first .. last
	end
	local text = hex(name)
	return text:sub(1, 1) .. text:sub(-1)
end

local ja4_version = {
	[0x0304] = "13", [0x0303] = "12", [0x0302] = "11", [0x0301] = "10", [0x0300] = "s3", [0x0002] = "s2",
}

local function ja4_hash(text)
	if text == "" then
		return "000000000000"
	end
	local sum = crypto.sha256(text)
	return sum and sum:sub(1, 12)
end

local function ja4_count(list)
	return ("%02d"):format(math.min(#list, 99))
end

local function highest(versions)
	local best
	for _, v in ipairs(versions) do
		if not is_grease(v) and (not best or v > best) then
			best = v
		end
	end
	return best
end

-- What a hello's fingerprints are made from, made when they are asked for.
local client_lazy, server_lazy = {}, {}

function client_lazy.ja3_full(h)
	return ("%d,%s,%s,%s,%s"):format(h.legacy_version, joined(without_grease(h.ciphers), "%d", "-"),
		joined(without_grease(h.extensions), "%d", "-"), joined(without_grease(h.groups), "%d", "-"),
		joined(h.point_formats, "%d", "-"))
end

function client_lazy.ja3(h)
	return crypto.md5(h.ja3_full)
end

local function ja4_lists(h)
	local ciphers, extensions = without_grease(h.ciphers), {}
	for _, n in ipairs(without_grease(h.extensions)) do
		if n ~= SNI and n ~= ALPN then
			extensions[#extensions + 1] = n
		end
	end
	table.sort(ciphers)
	table.sort(extensions)
	local text, signatures = joined(extensions, "%04x", ","), joined(without_grease(h.signature_algorithms), "%04x", ",")
	return joined(ciphers, "%04x", ","), signatures ~= "" and text .. "_" .. signatures or text
end

local function ja4_prefix(h)
	local version = highest(h.versions) or h.legacy_version
	return "t" .. (ja4_version[version] or "00") .. (h.has_sni and "d" or "i") .. ja4_count(without_grease(h.ciphers))
		.. ja4_count(without_grease(h.extensions)) .. ja4_alpn(h.alpn)
end

function client_lazy.ja4_r(h)
	local ciphers, extensions = ja4_lists(h)
	return ja4_prefix(h) .. "_" .. ciphers .. "_" .. extensions
end

function client_lazy.ja4(h)
	local ciphers, extensions = ja4_lists(h)
	local b, c = ja4_hash(ciphers), ja4_hash(extensions)
	return b and ja4_prefix(h) .. "_" .. b .. "_" .. c
end

function server_lazy.ja3s_full(h)
	return ("%d,%d,%s"):format(h.legacy_version, h.cipher, joined(h.extensions, "%d", "-"))
end

function server_lazy.ja3s(h)
	return crypto.md5(h.ja3s_full)
end

function server_lazy.ja4s_r(h)
	return ("t%s%s%s_%04x_%s"):format(ja4_version[h.version_number] or "00", ja4_count(h.extensions),
		ja4_alpn { h.alpn }, h.cipher, joined(h.extensions, "%04x", ","))
end

function server_lazy.ja4s(h)
	local hash = ja4_hash(joined(h.extensions, "%04x", ","))
	return hash and h.ja4s_r:match "^[^_]*_[^_]*_" .. hash
end

local function lazily(makers)
	return {
		__index = function(h, name)
			local make = makers[name]
			local value = make and make(h)
			if value then
				rawset(h, name, value)
			end
			return value
		end,
	}
end

local client_meta, server_meta = lazily(client_lazy), lazily(server_lazy)

local function version_name(number)
	return names.versions[number] or ("0x%04x"):format(number)
end

-- RFC 8446 4.1.2
local function client_hello(r, body)
	local b = bytes_of(body)
	local version, random, session, ciphers = b:number(2), b:take(32), b:vector(1), b:vector(2)
	local compression = ciphers and b:vector(1)
	local order, by_number
	if compression then
		order, by_number = read_extensions(b)
	end
	if not order then
		return malformed(r, "client hello")
	end
	local versions = by_number[VERSIONS] and numbers(bytes_of(by_number[VERSIONS]):vector(1), 2) or {}
	local groups = by_number[GROUPS] and bytes_of(by_number[GROUPS]):vector(2)
	local formats = by_number[POINT_FORMATS] and bytes_of(by_number[POINT_FORMATS]):vector(1)
	local signatures = by_number[SIGNATURES] and bytes_of(by_number[SIGNATURES]):vector(2)
	local hello = setmetatable({
		ts = r:time(), legacy_version = version, versions = versions,
		version = version_name(highest(versions) or version),
		random = hex(random), session_id = hex(session), ciphers = numbers(ciphers, 2), extensions = order,
		has_sni = by_number[SNI] ~= nil, sni = read_sni(by_number[SNI]), alpn = read_alpn(by_number[ALPN]),
		groups = numbers(groups, 2), point_formats = numbers(formats, 1), signature_algorithms = numbers(signatures, 2),
		early_data = by_number[EARLY_DATA] ~= nil,
	}, client_meta)
	r.flow.client_hello = hello
	r:raise(tls.client_hello, hello)
	return true
end

-- RFC 8446 4.1.3
local function server_hello(r, body)
	local b = bytes_of(body)
	local legacy, random, session, cipher, compression = b:number(2), b:take(32), b:vector(1), b:number(2), b:number(1)
	local order, by_number
	if compression then
		order, by_number = read_extensions(b)
	end
	if not order then
		return malformed(r, "server hello")
	end
	local flow = r.flow
	local version = by_number[VERSIONS] and bytes_of(by_number[VERSIONS]):number(2) or legacy
	local share = by_number[KEY_SHARE] and bytes_of(by_number[KEY_SHARE]):number(2)
	local asked = flow.client_hello
	local hello = setmetatable({
		ts = r:time(), legacy_version = legacy, version_number = version, version = version_name(version),
		random = hex(random), session_id = hex(session), cipher = cipher,
		cipher_name = names.ciphers[cipher] or ("0x%04x"):format(cipher), extensions = order,
		alpn = read_alpn(by_number[ALPN])[1], retry = random == RETRY,
		curve = share and (names.groups[share] or ("0x%04x"):format(share)), client_hello = asked,
	}, server_meta)
	hello.resumed = version < 0x0304 and asked ~= nil and session ~= "" and hello.session_id == asked.session_id
	flow.version = version
	flow.again = r.peer.waits
	r.peer.waits = false
	if not hello.retry then
		flow.server_hello = hello
	end
	r:raise(tls.server_hello, hello)
	return true
end

local certificate_meta = lazily(setmetatable({}, {
	__index = function(_, name)
		return function(c)
			if not rawget(c, "parsed") then
				rawset(c, "parsed", true)
				for key, value in pairs(crypto.certificate(c.der) or {}) do
					rawset(c, key, value)
				end
			end
			if name == "sha256" then
				return crypto.sha256(c.der)
			end
			return rawget(c, name)
		end
	end,
}))

-- RFC 5246 7.4.2
local function certificate(r, body)
	local list = bytes_of(body):vector(3)
	if not list then
		return malformed(r, "certificate")
	end
	local b, chain = bytes_of(list), {}
	while not b:is_over() and #chain < limits.chain do
		local der = b:vector(3)
		if not der then
			return malformed(r, "certificate")
		end
		chain[#chain + 1] = setmetatable({ der = der }, certificate_meta)
	end
	r:raise(tls.certificate, { chain = chain, from = r.side == "cli" and "server" or "client",
		client_hello = r.flow.client_hello, server_hello = r.flow.server_hello })
	return true
end

-- RFC 8422 5.4: a named curve.
local function server_key_exchange(r, body)
	local b = bytes_of(body)
	local group = b:number(1) == 3 and b:number(2)
	r.flow.curve = group and (names.groups[group] or ("0x%04x"):format(group)) or nil
	return true
end

local messages = {
	[CLIENT_HELLO] = { fn = client_hello, from = "client" },
	[SERVER_HELLO] = { fn = server_hello, from = "server" },
	[CERTIFICATE] = { fn = certificate },
	[SERVER_KEY_EXCHANGE] = { fn = server_key_exchange, from = "server" },
}

-- Who sends in this direction: told by the hello that it begins with, because roles may have been guessed.
local function sends(r, who)
	r.sender = r.sender or who
	return r.sender == who
end

-- A whole handshake message.
local function handshake(r, kind, body)
	local m = messages[kind]
	if not m then
		return true
	elseif m.from and not sends(r, m.from) then
		return malformed(r, "hello from both ends")
	end
	return m.fn(r, body)
end

-- Fragments of handshake messages, which records may cut anywhere (RFC 8446 5.1).
local function collect(r, fragment)
	local all = r.fragments and r.fragments .. fragment or fragment
	local at = 1
	while #all - at + 1 >= 4 do
		local kind, a, b, c = all:byte(at, at + 3)
		local len = a * 65536 + b * 256 + c
		if len > limits.message or (kind > 26 and kind ~= 67 and kind ~= 254) then
			return malformed(r, "handshake message")
		elseif #all - at + 1 < 4 + len then
			break
		end
		if not handshake(r, kind, all:sub(at + 4, at + 3 + len)) then
			return false
		end
		at = at + 4 + len
	end
	r.fragments = at <= #all and all:sub(at) or nil
	return true
end

local record, skip_record, handshake_record, alert_record

-- Both ends use keys now. What follows cannot be read.
local function check_established(flow)
	local hello = flow.server_hello
	if flow.established or not hello then
		return
	end
	local client, server = flow.protected_client or 0, flow.protected_server or 0
	-- Early data is the client's before it knows the keys (RFC 8446 2.3).
	local asked = flow.client_hello
	local needed = hello.version_number >= 0x0304 and asked and asked.early_data and 2 or 1
	if client >= needed and server >= 1 then
		flow.established = true
		flow.svr:raise(tls.established, { version = hello.version, cipher = hello.cipher,
			cipher_name = hello.cipher_name, curve = hello.curve or flow.curve, client_hello = asked, server_hello = hello })
		if not flow.svr:wants(tls.alert) then
			flow.svr:stop()
			flow.cli:stop()
		end
	end
end

local function protected(r)
	local name = r.sender == "server" and "protected_server" or "protected_client"
	r.flow[name] = (r.flow[name] or 0) + 1
	check_established(r.flow)
end

-- Is a handshake record readable? TLS 1.3 sends a meaningless ChangeCipherSpec (RFC 8446 D.4).
local function is_clear(r)
	return not r.changed or r.flow.version == 0x0304
end

local function begin_record(r, kind, len)
	r.record_left = len
	if kind == HANDSHAKE and is_clear(r) then
		r.step = handshake_record
	elseif kind == ALERT then
		r.step = alert_record
	else
		r.step = skip_record
		if kind == CHANGE_CIPHER_SPEC then
			r.changed = true
			r.fragments = nil
		elseif kind == HANDSHAKE or kind == APPLICATION_DATA then
			protected(r)
		end
	end
end

function record(r)
	local p = r:look(5)
	if p == nil then
		return false
	end
	local kind, major, len = p[0], p[1], p[3] * 256 + p[4]
	local fine = kind >= CHANGE_CIPHER_SPEC and kind <= HEARTBEAT and major == 3 and p[2] <= 4
		and len <= LONGEST_RECORD and (len > 0 or kind == APPLICATION_DATA)
	if not fine then
		return malformed(r, "record")
	end
	-- Encrypted, or another ClientHello that a HelloRetryRequest asked for? The server's answer tells.
	if kind == HANDSHAKE and r.changed and not r.flow.version and r.sender == "client" then
		r.waits = true
		return false
	end
	r:skip(5)
	begin_record(r, kind, len)
	return r.step ~= nil
end

function skip_record(r)
	local left = r.record_left - r:skip(r.record_left)
	r.record_left = left
	if left > 0 then
		return false
	end
	r.step = record
	return true
end

function handshake_record(r)
	local part = r:some(r.record_left)
	if not part then
		return false
	end
	r.record_left = r.record_left - #part
	if r.record_left == 0 then
		r.step = record
	end
	return collect(r, part)
end

-- Two bytes in the clear (RFC 8446 6); encrypted ones are longer.
function alert_record(r)
	local left = r.record_left
	if left ~= 2 then
		r:raise(tls.alert, { encrypted = true })
		r.step = skip_record
		return true
	end
	local p = r:look(2)
	if p == nil then
		return false
	end
	local level, code = p[0], p[1]
	r:raise(tls.alert, { level = level == 2 and "fatal" or "warning", code = code, encrypted = false,
		description = names.alerts[code] or tostring(code) })
	r:skip(2)
	r.step = record
	return true
end

-- RFC 5246 E.2: a hello as SSL 2.0 writes it, of a client that speaks TLS, too. It has no extensions, and JA3 says
-- nothing of it.
local function old_hello(r)
	local p = r:look(2)
	local len = (p[0] - 128) * 256 + p[1]
	if r:left() < 2 + len then
		return false
	end
	local b = bytes_of(r:take(2 + len))
	b:take(3)
	local version, specs_len, session_len, challenge_len = b:number(2), b:number(2), b:number(2), b:number(2)
	local specs, session, challenge = b:take(specs_len), b:take(session_len), b:take(challenge_len)
	if not challenge then
		return malformed(r, "client hello")
	end
	local ciphers = {}
	for _, n in ipairs(numbers(specs, 3)) do
		ciphers[#ciphers + 1] = n < 65536 and n or nil
	end
	local hello = { ts = r:time(), legacy_version = version, versions = {}, version = version_name(version),
		random = hex(challenge), session_id = hex(session), ciphers = ciphers, extensions = {}, has_sni = false,
		alpn = {}, groups = {}, point_formats = {}, signature_algorithms = {}, early_data = false }
	r.flow.client_hello = hello
	r:raise(tls.client_hello, hello)
	r.step = record
	return true
end

-- A length of two bytes with its highest bit set, type 1, and the version of TLS.
local function is_old_hello(p, n)
	return p[0] >= 128 and (n < 3 or p[2] == CLIENT_HELLO) and (n < 4 or p[3] == 3)
		and (n < 2 or (p[0] - 128) * 256 + p[1] <= 4096)
end

-- TLS begins with a handshake record that begins with a hello; what does not is something else.
local function first(r)
	local n = r:left()
	local p = r:look(n < 6 and n or 6)
	local kind = p[0]
	if is_old_hello(p, n) then
		if n < 4 then
			return false
		end
		sends(r, "client")
		r.step = old_hello
		return true
	end
	if (kind ~= HANDSHAKE and kind ~= ALERT) or (n > 1 and p[1] ~= 3)
		or (n > 5 and kind == HANDSHAKE and p[5] ~= CLIENT_HELLO and p[5] ~= SERVER_HELLO)
		or (n > 4 and (p[3] * 256 + p[4] > LONGEST_RECORD or p[3] * 256 + p[4] < 2)) then
		r:stop()
		return false
	elseif n < 6 then
		return false
	elseif kind == HANDSHAKE then
		sends(r, p[5] == CLIENT_HELLO and "client" or "server")
	end
	r.step = record
	return true
end

-- Lost bytes may be those of a record that nobody can read anyway.
local function gap(r, n)
	if r.step == skip_record and n <= r.record_left then
		r.record_left = r.record_left - n
		return true
	elseif (r.step ~= first or r.peer.sender) and not r.waits then
		malformed(r, "gap")
	end
	return false
end

local function finish(r)
	if r.step ~= first and (r.fragments or r.step == handshake_record) then
		malformed(r, "cut off")
	end
end

local parser = mos.parser { name = "tls", start = first, gap = gap, finish = finish,
	meaning = "inside: bytes for the TLS parser" }

tls.over = parser.over

tls.client_hello = parser:event { name = "tls_client_hello", meaning = "a client begins, or begins again",
	fields = {
		{ "sni", "string", "the server that it asks for, or nil" },
		{ "alpn", "list of strings", "protocols that it offers" },
		{ "version", "string", "the highest that it offers: TLSv13" },
		{ "versions", "list of numbers", "of supported_versions" },
		{ "legacy_version", "number" }, { "random", "string", "hexadecimal" }, { "session_id", "string", "hexadecimal" },
		{ "ciphers", "list of numbers" }, { "extensions", "list of numbers" }, { "groups", "list of numbers" },
		{ "point_formats", "list of numbers" }, { "signature_algorithms", "list of numbers" },
		{ "early_data", "boolean" }, { "has_sni", "boolean", "the extension is there" },
		{ "ja3", "string", "MD5" }, { "ja3_full", "string", "what it is made of" },
		{ "ja4", "string" }, { "ja4_r", "string", "not hashed" },
		{ "ts", "number", "seconds: of the packet that completes it" },
	} }

tls.server_hello = parser:event { name = "tls_server_hello", meaning = "the server's choice",
	fields = {
		{ "version", "string", "TLSv12" }, { "version_number", "number" }, { "legacy_version", "number" },
		{ "cipher", "number" }, { "cipher_name", "string", "as IANA names it, or 0xc02b" },
		{ "alpn", "string", "the protocol chosen; nil where it is encrypted or none is" },
		{ "curve", "string", "of the key exchange, in TLS 1.3" },
		{ "random", "string", "hexadecimal" }, { "session_id", "string", "hexadecimal" },
		{ "extensions", "list of numbers" }, { "retry", "boolean", "it asks for another client hello" },
		{ "resumed", "boolean", "up to TLS 1.2: the session goes on that the client named" },
		{ "ja3s", "string", "MD5" }, { "ja3s_full", "string" }, { "ja4s", "string" }, { "ja4s_r", "string" },
		{ "client_hello", "table", "what it answers, or nil" }, { "ts", "number" },
	} }

tls.certificate = parser:event { name = "tls_certificate", meaning = "a chain of certificates, up to TLS 1.2",
	fields = {
		{ "chain", "list of tables", "subject, issuer, serial, not_before, not_after (seconds since the epoch), "
			.. "names (DNS:...), sha256, der; what cannot be read is nil" },
		{ "from", "string", "server or client" }, { "client_hello", "table" }, { "server_hello", "table" },
	} }

tls.alert = parser:event { name = "tls_alert", meaning = "an end warns, or gives up",
	fields = {
		{ "encrypted", "boolean", "true: nothing else is known" }, { "level", "string", "warning or fatal" },
		{ "code", "number" }, { "description", "string", "handshake_failure" },
	} }

tls.established = parser:event { name = "tls_established", meaning = "both ends have keys; the handshake is done",
	fields = {
		{ "version", "string" }, { "cipher", "number" }, { "cipher_name", "string" },
		{ "curve", "string", "of the key exchange, or nil" },
		{ "client_hello", "table" }, { "server_hello", "table" },
	} }

tls.malformed = parser:event { name = "tls_malformed", meaning = "what cannot be TLS, where TLS was expected",
	fields = { { "reason", "string", "record, handshake message, client hello, server hello, certificate, "
		.. "hello from both ends, gap, cut off" } } }

return tls
