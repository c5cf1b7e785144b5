-- require "mos.events.ssh": SSH banners and key exchange offers (RFC 4253), with HASSH (Salesforce).
local ffi = require "ffi"
local mos = require "mos"
local crypto = require "mos.crypto"

local ssh = {}

-- RFC 4253 4.2 and 6.1; lines that a server may send before its banner.
local LINE, PACKET, LINES_BEFORE = 255, 35000, 64
local KEXINIT = 20

local function sender(r)
	return r.side == "svr" and "client" or "server"
end

local function malformed(r, reason)
	r:raise(ssh.malformed, { reason = reason, from = sender(r) })
	r:stop()
	return false
end

local lists = {
	"kex", "host_key", "encryption_c2s", "encryption_s2c", "mac_c2s", "mac_s2c", "compression_c2s", "compression_s2c",
	"languages_c2s", "languages_s2c",
}

-- RFC 4253 7.1: a cookie of 16 bytes, then ten lists of names. nil: malformed.
local function read_offer(s)
	local offer, at = {}, 18
	for _, name in ipairs(lists) do
		local a, b, c, d = s:byte(at, at + 3)
		local len = d and ((a * 256 + b) * 256 + c) * 256 + d
		if not len or at + 3 + len > #s then
			return nil
		end
		offer[name] = s:sub(at + 4, at + 3 + len)
		at = at + 4 + len
	end
	return offer
end

local function fingerprint(offer, from)
	local way = from == "client" and "c2s" or "s2c"
	offer.hassh_algorithms = table.concat({ offer.kex, offer["encryption_" .. way], offer["mac_" .. way],
		offer["compression_" .. way] }, ";")
	offer.hassh = crypto.md5(offer.hassh_algorithms)
end

-- The first packet behind the banner, still in the clear.
local function packet(r)
	local p = r:look(6)
	if p == nil then
		return false
	end
	local len, padding = ((p[0] * 256 + p[1]) * 256 + p[2]) * 256 + p[3], p[4]
	if len > PACKET or len < padding + 2 then
		return malformed(r, "packet")
	elseif p[5] ~= KEXINIT then
		r:skip(r:left())
		r:stop()
		return false
	elseif r:left() < 4 + len then
		return false
	end
	local offer = read_offer(ffi.string(r:look(4 + len) + 5, len - padding - 1))
	r:skip(4 + len)
	if not offer then
		return malformed(r, "key exchange")
	end
	offer.from, offer.banner = sender(r), r.banner
	fingerprint(offer, offer.from)
	r:raise(ssh.offer, offer)
	r:stop()
	return false
end

local function banner(r)
	local line = r:line(LINE)
	if line == nil then
		return false
	end
	local protocol, software, comments = (line or ""):match "^SSH%-([^-]+)%-(%S*) ?(.*)$"
	if protocol then
		r.banner = line
		r:raise(ssh.banner, { text = line, protocol = protocol, software = software, comments = comments,
			from = sender(r), ts = r:time() })
		r.step = packet
		return true
	end
	r.before = (r.before or 0) + 1
	if not line or r.side == "svr" or r.before > LINES_BEFORE then
		return malformed(r, "banner")
	end
	return true
end

-- Told from other protocols by its first bytes, or by its port where a server greets before its banner.
local function first(r)
	local n = math.min(r:left(), 4)
	local text = ffi.string(r:look(n), n)
	if text ~= ("SSH-"):sub(1, n) and r.flow.conn.server.port ~= 22 then
		r:stop()
		return false
	elseif n < 4 and text == ("SSH-"):sub(1, n) then
		return false
	end
	r.step = banner
	return true
end

local parser = mos.parser { name = "ssh", start = first,
	gap = function(r)
		return r.step ~= first and malformed(r, "gap")
	end,
	meaning = "inside: bytes for the SSH parser" }

ssh.over = parser.over

ssh.banner = parser:event { name = "ssh_banner", meaning = "the line that an end begins with",
	fields = {
		{ "from", "string", "client or server" }, { "text", "string", "SSH-2.0-OpenSSH_9.2p1 Debian-2" },
		{ "protocol", "string", "2.0" }, { "software", "string" }, { "comments", "string" },
		{ "ts", "number", "seconds: of the packet that completes it" },
	} }

ssh.offer = parser:event { name = "ssh_offer", meaning = "what an end offers for the key exchange",
	fields = {
		{ "from", "string", "client or server" }, { "banner", "string", "its banner" },
		{ "hassh", "string", "MD5 of hassh_algorithms; of a server it is what HASSH calls hasshServer" },
		{ "hassh_algorithms", "string" },
		{ table.concat(lists, ", "), "string", "names with commas between" },
	} }

ssh.malformed = parser:event { name = "ssh_malformed", meaning = "what cannot be SSH, where SSH was expected",
	fields = { { "reason", "string", "banner, packet, key exchange, gap" }, { "from", "string", "client or server" } } }

return ssh
