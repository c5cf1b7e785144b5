-- require "mos.events.smtp": SMTP (RFC 5321): commands, replies, and the mails that they send.
local mos = require "mos"

local smtp = {}

-- Line lengths (RFC 5321 4.5.3.1, with room), header lines kept per mail, recipients kept.
smtp.limits = { line = 4096, headers = 100, recipients = 1000 }
local limits = smtp.limits

local function malformed(r, reason, text)
	r:raise(smtp.malformed, { reason = reason, text = (text or ""):sub(1, 100) })
	r:stop()
	return false
end

local command, authentication, mail_line, mail_chunk

-- The client waits for the answer to what it said, and so do its bytes here: the answer tells what they are.
local function waiting()
	return false
end

local function new_mail(flow)
	flow.mail = { to = {}, headers = {}, lines = 0, size = 0, helo = flow.helo }
end

local function address(argument, keyword)
	local text = argument:match("^" .. keyword .. ":%s*(.*)$") or ""
	return text:match "^<([^>]*)>" or text:match "^%S+" or ""
end

local verbs = {}

function verbs.HELO(r, argument)
	r.flow.helo = argument
	new_mail(r.flow)
end
verbs.EHLO, verbs.LHLO = verbs.HELO, verbs.HELO

function verbs.MAIL(r, argument)
	new_mail(r.flow)
	r.flow.mail.from = address(argument, "[Ff][Rr][Oo][Mm]")
end

function verbs.RCPT(r, argument)
	local to = r.flow.mail.to
	if #to < limits.recipients then
		to[#to + 1] = address(argument, "[Tt][Oo]")
	end
end

function verbs.RSET(r)
	new_mail(r.flow)
end

-- RFC 3030
function verbs.BDAT(r, argument)
	local size, last = argument:match "^(%d+)%s*(%a*)"
	if not size or #size > 12 then
		return
	end
	r.left_in_chunk, r.last_chunk = tonumber(size), last:upper() == "LAST"
	r.step = mail_chunk
end

local function wait_for(what)
	return function(r)
		r.waits_for = what
		r.step = waiting
	end
end
verbs.DATA, verbs.STARTTLS, verbs.AUTH = wait_for "DATA", wait_for "STARTTLS", wait_for "AUTH"

-- One more that the server has to answer; by number.
local function asked(r, verb)
	local flow = r.flow
	flow.asked = flow.asked + 1
	flow.verbs[flow.asked] = verb
end

function command(r)
	local line = r:line(limits.line)
	if not line then
		return line == false and malformed(r, "command line")
	end
	local verb, argument = line:match "^(%a+) ?(.*)$"
	if not verb then
		return malformed(r, "command", line)
	end
	verb = verb:upper()
	asked(r, verb)
	r:raise(smtp.command, { verb = verb, argument = argument, ts = r:time() })
	if verbs[verb] then
		verbs[verb](r, argument)
	end
	return true
end

-- RFC 4954: what follows a reply of 334 is no command, and nobody's business.
function authentication(r)
	local line = r:line(limits.line)
	if not line then
		return line == false and malformed(r, "command line")
	end
	asked(r, "AUTH")
	verbs.AUTH(r)
	return true
end

local function mail_done(r)
	local flow = r.flow
	asked(r, "MAIL")
	r:raise(smtp.mail, flow.mail)
	new_mail(flow)
	r.step = command
end

local function header(mail, line)
	local name, value = line:match "^([^%s:]+):%s*(.-)%s*$"
	if name then
		mail.last = name:lower()
		if not mail.headers[mail.last] then
			mail.headers[mail.last] = value
		end
	elseif mail.last and line:find "^[ \t]" and #mail.headers[mail.last] < limits.line then
		mail.headers[mail.last] = mail.headers[mail.last] .. line
	end
end

-- RFC 5321 4.5.2: a line that is a dot ends the mail, one that begins with a dot has lost one.
function mail_line(r)
	local before = r:left()
	local line = r:line(limits.line)
	local mail = r.flow.mail
	if line == nil then
		return false
	elseif line == false then
		mail.size = mail.size + r:skip(limits.line)
		r.in_line = true
		return true
	elseif line == "." and not r.in_line then
		mail_done(r)
		return true
	end
	mail.size = mail.size + before - r:left()
	if not mail.in_body and not r.in_line then
		mail.lines = mail.lines + 1
		if line == "" or mail.lines > limits.headers then
			mail.in_body = true
		else
			header(mail, line:sub(1, 1) == "." and line:sub(2) or line)
		end
	end
	r.in_line = false
	return true
end

function mail_chunk(r)
	local got = r:skip(r.left_in_chunk)
	r.left_in_chunk = r.left_in_chunk - got
	r.flow.mail.size = r.flow.mail.size + got
	if r.left_in_chunk > 0 then
		return false
	end
	if r.last_chunk then
		r:raise(smtp.mail, r.flow.mail)
		new_mail(r.flow)
	end
	r.step = command
	return true
end

-- The answer that the client's bytes waited for.
local function answered(r, code)
	local flow, client = r.flow, r.peer
	local verb = flow.verbs[flow.replies]
	flow.verbs[flow.replies] = nil
	if client.step ~= waiting or flow.replies ~= flow.asked then
		return
	end
	if verb == "STARTTLS" and code == 220 then
		r:raise(smtp.starttls, {})
		client:stop()
		r:stop()
		return
	end
	client.step = verb == "DATA" and code == 354 and mail_line or verb == "AUTH" and code == 334 and authentication
		or command
	flow.again = true
end

local function reply(r)
	local flow = r.flow
	if flow.again then
		return false -- first what the client says behind that
	end
	local line = r:line(limits.line)
	if not line then
		return line == false and malformed(r, "reply line")
	end
	local code, more, text = line:match "^(%d%d%d)([ -]?)(.*)$"
	if not code then
		return malformed(r, "reply", line)
	end
	r.text = r.text or {}
	r.text[#r.text + 1] = #r.text < limits.headers and text or nil
	if more == "-" then
		return true
	end
	r:raise(smtp.reply, { code = tonumber(code), lines = r.text, verb = flow.verbs[flow.replies + 1] })
	r.text = nil
	flow.replies = flow.replies + 1
	answered(r, tonumber(code))
	return r.step ~= nil
end

-- SMTP is known by its server's greeting: 220, on a port of SMTP. The greeting is the answer to nothing.
smtp.ports = { [25] = true, [465] = false, [587] = true, [2525] = true, [1025] = true }

local function first(r)
	local flow = r.flow
	if not smtp.ports[flow.conn.server.port] or flow.conn.midstream then
		r:stop()
		return false
	end
	if not flow.verbs then
		flow.verbs, flow.asked, flow.replies = {}, 0, -1
		new_mail(flow)
	end
	r.step = r.side == "svr" and command or reply
	return true
end

local parser = mos.parser { name = "smtp", start = first,
	gap = function(r)
		return r.step ~= first and malformed(r, "gap")
	end,
	meaning = "inside: bytes for the SMTP parser" }

smtp.over = parser.over

smtp.command = parser:event { name = "smtp_command", meaning = "the client gives a command",
	fields = {
		{ "verb", "string", "in capital letters" }, { "argument", "string" },
		{ "ts", "number", "seconds: of the packet that completes it" },
	} }

smtp.reply = parser:event { name = "smtp_reply", meaning = "the server has answered",
	fields = {
		{ "code", "number", "250" }, { "lines", "list of strings", "the text of its lines" },
		{ "verb", "string", "the command that it answers; nil for the greeting; MAIL after a mail" },
	} }

smtp.mail = parser:event { name = "smtp_mail", meaning = "a mail was sent, to its last dot or chunk",
	fields = {
		{ "from", "string", "of MAIL FROM" }, { "to", "list of strings", "of RCPT TO" },
		{ "helo", "string" }, { "size", "number", "bytes" },
		{ "headers", "table", "by name in small letters, the first of each; none where it came in chunks" },
	} }

smtp.starttls = parser:event { name = "smtp_starttls", meaning = "the connection speaks TLS from here on" }

smtp.malformed = parser:event { name = "smtp_malformed", meaning = "what cannot be SMTP, where SMTP was expected",
	fields = {
		{ "reason", "string", "command, command line, reply, reply line, gap" }, { "text", "string", "the first 100 bytes" },
	} }

return smtp
