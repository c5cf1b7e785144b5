-- mos.events.ssh, smtp and dns: what they raise, however the bytes are cut into segments.
local kit = require "kit"
local talk = require "talk"

-- Prints each event of a library with some of its fields; lists are joined by "+".
local prelude = [[
local mos = require "mos"
local mon = mos.monitor {}
local function show(ev, ...)
	local names = { ... }
	mon:on(ev, function(conn, side, pkt, e, fields)
		local out = {}
		for i, name in ipairs(names) do
			local value = fields and fields[name]
			value = type(value) == "table" and table.concat(value, "+") or tostring(value)
			out[i] = value ~= "" and value or "-"
		end
		print(side, e, unpack(out))
	end)
end
]]

local function run(script, capture)
	local code, out, err = kit.run { kit.script(prelude .. script), "-r", capture }
	assert.same({ 0, "" }, { code, err })
	return out
end

-- The server's bytes, then the client's: how they mix depends on the bursts.
local function by_side(out)
	local svr, cli = {}, {}
	for line in out:gmatch "[^\n]+" do
		table.insert(line:match "^svr" and svr or cli, line)
	end
	return table.concat(svr, "\n") .. "\n--\n" .. table.concat(cli, "\n") .. "\n"
end

local function be32(n)
	return string.char(math.floor(n / 2 ^ 24), math.floor(n / 2 ^ 16) % 256, math.floor(n / 256) % 256, n % 256)
end

local function be16(n)
	return string.char(math.floor(n / 256), n % 256)
end

-- RFC 4253 6 and 7.1
local function offer(...)
	local lists = ""
	for _, list in ipairs { ... } do
		lists = lists .. be32(#list) .. list
	end
	local payload = "\20" .. ("c"):rep(16) .. lists .. "\0\0\0\0\0"
	return be32(1 + #payload + 4) .. "\4" .. payload .. "\0\0\0\0"
end

local hello = offer("curve25519-sha256,kex-2", "ssh-ed25519", "aes128-ctr", "aes256-ctr", "hmac-1", "hmac-2", "none",
	"zlib", "", "")

local ssh = [[
local ssh = require "mos.events.ssh"
show(ssh.banner, "from", "protocol", "software", "comments")
show(ssh.offer, "from", "hassh_algorithms", "hassh", "host_key")
show(ssh.malformed, "from", "reason")
]]

local smtp = [[
local smtp = require "mos.events.smtp"
show(smtp.command, "verb", "argument")
show(smtp.reply, "code", "lines", "verb")
mon:on(smtp.mail, function(_, side, _, ev, m)
	print(side, ev, m.helo, m.from, table.concat(m.to, "+"), m.headers.subject, m.size)
end)
show(smtp.starttls)
show(smtp.malformed, "reason", "text")
]]

local message = "\0\29\0\7\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1"

local dns = [[
local dns = require "mos.events.dns"
dns.on(mon, "query", function(_, side, _, ev, m) print(side, ev, m.id, m.query, m.qtype_name, m.dst_port) end)
dns.on(mon, "response", function(_, side, _, ev, m) print(side, ev, m.id, m.query, m.rcode_name, #m.answers) end)
dns.on(mon, "malformed", function(_, side, _, ev, m) print(side, ev, m.reason) end)
]]

local cases = {
	{ "ssh: banners and offers", ssh, {
		{ "S", "Welcome\r\nSSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n" .. hello .. "encrypted" },
		{ "C", "SSH-2.0-Go\r\n" .. hello },
	}, [[
svr	ssh_banner	client	2.0	Go	-
svr	ssh_offer	client	curve25519-sha256,kex-2;aes128-ctr;hmac-1;none	3ec18d41513a9c983faf5c6fefc3a083	ssh-ed25519
--
cli	ssh_banner	server	2.0	OpenSSH_9.2p1	Debian-2+deb12u3
cli	ssh_offer	server	curve25519-sha256,kex-2;aes256-ctr;hmac-2;zlib	d5a1aa2f072bbb5c08c202d0b0ebbe4c	ssh-ed25519
]], 22 },
	{ "ssh: what is malformed", ssh, {
		{ "S", "SSH-2.0-x\r\n" .. "\0\1\0\0\4\20" }, { "C", "SSH-nonsense\r\n" },
	}, [[
svr	ssh_malformed	client	banner
--
cli	ssh_banner	server	2.0	x	-
cli	ssh_malformed	server	packet
]], 22 },
	{ "ssh: an offer whose lengths do not fit", ssh, {
		{ "C", "SSH-2.0-x\n" .. offer("kex", "key"):gsub("%z\3key", "\9\3key") },
	}, [[
svr	ssh_banner	client	2.0	x	-
svr	ssh_malformed	client	key exchange
--

]], 2222 },
	{ "smtp: a mail", smtp, {
		{ "S", "220-mail\r\n220 ready\r\n" }, { "C", "EHLO me.example\r\n" }, { "S", "250-mail\r\n250 PIPELINING\r\n" },
		{ "C", "MAIL FROM:<a@example.org> SIZE=9\r\nRCPT TO:<b@x>\r\nrcpt to: <c@x>\r\nDATA\r\n" },
		{ "S", "250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n" },
		{ "C", "Subject: hello\r\n there\r\n..To: x\r\n\r\nDATA\r\n..\r\n.\r\nQUIT\r\n" },
		{ "S", "250 queued\r\n221 bye\r\n" },
	}, [[
svr	smtp_command	EHLO	me.example
svr	smtp_command	MAIL	FROM:<a@example.org> SIZE=9
svr	smtp_command	RCPT	TO:<b@x>
svr	smtp_command	RCPT	to: <c@x>
svr	smtp_command	DATA	-
svr	smtp_mail	me.example	a@example.org	b@x+c@x	hello there	45
svr	smtp_command	QUIT	-
--
cli	smtp_reply	220	mail+ready	nil
cli	smtp_reply	250	mail+PIPELINING	EHLO
cli	smtp_reply	250	ok	MAIL
cli	smtp_reply	250	ok	RCPT
cli	smtp_reply	250	ok	RCPT
cli	smtp_reply	354	go on	DATA
cli	smtp_reply	250	queued	MAIL
cli	smtp_reply	221	bye	QUIT
]], 25 },
	{ "smtp: a mail in chunks, passwords, and data that is refused", smtp, {
		{ "S", "220 ready\r\n" }, { "C", "EHLO me\r\n" }, { "S", "250 mail\r\n" },
		{ "C", "AUTH LOGIN\r\n" }, { "S", "334 VXNlcg==\r\n" }, { "C", "bWU=\r\n" }, { "S", "334 UGFzcw==\r\n" },
		{ "C", "c2VjcmV0\r\n" }, { "S", "235 ok\r\n" },
		{ "C", "DATA\r\n" }, { "S", "503 no\r\n" }, { "C", "BDAT 5\r\nhelloBDAT 3 LAST\r\nQ\r\nRSET\r\n" },
		{ "S", "250 ok\r\n250 ok\r\n250 ok\r\n" },
	}, [[
svr	smtp_command	EHLO	me
svr	smtp_command	AUTH	LOGIN
svr	smtp_command	DATA	-
svr	smtp_command	BDAT	5
svr	smtp_command	BDAT	3 LAST
svr	smtp_mail	me	nil		nil	8
svr	smtp_command	RSET	-
--
cli	smtp_reply	220	ready	nil
cli	smtp_reply	250	mail	EHLO
cli	smtp_reply	334	VXNlcg==	AUTH
cli	smtp_reply	334	UGFzcw==	AUTH
cli	smtp_reply	235	ok	AUTH
cli	smtp_reply	503	no	DATA
cli	smtp_reply	250	ok	BDAT
cli	smtp_reply	250	ok	BDAT
cli	smtp_reply	250	ok	RSET
]], 587 },
	{ "smtp: TLS, behind which there is no SMTP", smtp, {
		{ "S", "220 ready\r\n" }, { "C", "STARTTLS\r\n" }, { "S", "220 go on\r\n" }, { "C", "\22\3\1\2\3" },
		{ "S", "\22\3\1\2\3" },
	}, [[
svr	smtp_command	STARTTLS	-
--
cli	smtp_reply	220	ready	nil
cli	smtp_reply	220	go on	STARTTLS
cli	smtp_starttls
]], 25 },
	{ "smtp: what is malformed", smtp, { { "S", "hello\r\n" }, { "C", "!\r\n" } }, [[
svr	smtp_malformed	command	!
--
cli	smtp_malformed	reply	hello
]], 25 },
	{ "smtp: nothing on other ports", smtp, { { "S", "220 ready\r\n" } }, "\n--\n\n", 21 },
	{ "dns: messages over TCP", dns, {
		{ "C", message .. message }, { "S", (message:gsub("\1%z", "\129\131", 1)) },
	}, [[
svr	dns_tcp_query	7	www.example	A	53
svr	dns_tcp_query	7	www.example	A	53
--
cli	dns_tcp_response	7	www.example	NXDOMAIN	0
]], 53 },
	{ "dns: what is malformed", dns, { { "C", "\0\5hello" }, { "S", "\0\12\0\1\128\0\0\1\0\0\0\0\0\0" } }, [[
svr	dns_tcp_malformed	length
--
cli	dns_tcp_malformed	question
]], 53 },
}

for _, case in ipairs(cases) do
	describe(case[1], function()
		for _, size in ipairs(talk.sizes) do
			it("in segments of " .. size, function()
				local text = talk.text(case[3], { size = size, server = "10.0.0.2:" .. case[5] })
				assert.equal(case[4], by_side(run(case[2], kit.pcap(text))))
			end)
		end
	end)
end

describe("dns over UDP", function()
	local function datagram(payload)
		local function hex(s)
			return (s:gsub(".", function(c)
				return ("%02x"):format(c:byte())
			end))
		end
		return ("+.1 raw 0200000000020200000000010800" .. "4500%s00010000401100000102030405060708%s%s%s0000%s\n"):format(
			hex(be16(28 + #payload)), hex(be16(40000)), hex(be16(53)), hex(be16(8 + #payload)), hex(payload))
	end

	it("reads names whatever they are", function()
		local header = "\0\1\1\0\0\1\0\0\0\0\0\0"
		local out = run(dns, kit.pcap(datagram(header .. "\3a.b\1\200\0\0\28\0\1") .. datagram(header .. "\0\0\2\0\1")))
		assert.equal("both\tdns_query\t1\ta\\046b.\\200\tAAAA\t53\nboth\tdns_query\t1\t\tNS\t53\n", out)
	end)

	local faults = {
		{ "a pointer to itself", "\0\1\1\0\0\1\0\0\0\0\0\0\192\12\0\1\0\1", "question" },
		{ "a pointer forward", "\0\1\1\0\0\1\0\0\0\0\0\0\192\20\0\1\0\1aaaaaaaaaa", "question" },
		{ "a label that is too long", "\0\1\1\0\0\1\0\0\0\0\0\0\63aaa", "question" },
		{ "half a header", "\0\1\1", "header" },
		{ "an answer that is not there", "\0\1\129\0\0\0\0\1\0\0\0\0", "answers" },
		{ "a record beyond the end", "\0\1\129\0\0\0\0\1\0\0\0\0\0\0\1\0\1\0\0\0\1\255\255aaaa", "answers" },
	}
	for _, fault in ipairs(faults) do
		it("calls malformed " .. fault[1], function()
			assert.equal("both\tdns_malformed\t" .. fault[3] .. "\n", run(dns, kit.pcap(datagram(fault[2]))))
		end)
	end

	it("survives every message of two wrong bytes", function()
		local good = "\0\1\129\128\0\1\0\2\0\0\0\0\3www\7example\0\0\1\0\1\192\12\0\1\0\1\0\0\0\9\0\4\1\2\3\4"
			.. "\192\16\0\15\0\1\0\0\0\9\0\6\0\1\2mx\192\16"
		local texts, seed = {}, 7
		for i = 1, 1500 do
			local bytes = { good:byte(1, -1) }
			for _ = 1, 2 do
				seed = (seed * 16807) % 2147483647
				bytes[seed % #bytes + 1] = math.floor(seed / 1000) % 256
			end
			texts[i] = datagram(string.char(unpack(bytes)))
		end
		assert.equal(1500, select(2, run(dns, kit.pcap(table.concat(texts))):gsub("\n", "")))
	end)
end)
