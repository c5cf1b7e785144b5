-- A firewall: rules from a file, the first that matches a connection decides.
local mos = require "mos"
local ffi = require "ffi"
local bit = require "bit"

local usage = [[
usage: mos-run scripts/firewall.lua -i A:B -- RULES [OPTION...]

RULES is a file with a rule per line; the first that matches decides, and what none matches passes:

  ACTION [log] [PROTOCOL] [from ADDRESS] [port PORTS] [to ADDRESS] [port PORTS]

  ACTION    pass, drop, or reject (TCP gets a RST, what is not TCP is dropped)
  PROTOCOL  tcp, udp, icmp; unless said, any
  ADDRESS   192.0.2.1, 192.0.2.0/24, 2001:db8::/32, or any
  PORTS     80, or 8000-8080
  # begins a comment

Rules are asked once, when something starts: a TCP connection, where from is the client, to the server; datagrams of UDP
between two ports; pings. What has been let pass goes on both ways; UDP and pings until there was none for a minute.
Other packets are asked for one by one, as they are: ICMP errors need a rule. `log` prints a line.

  --default ACTION   what is done with what no rule matches (default pass)
  --help]]

local function fail(...)
	error("firewall: " .. string.format(...), 0)
end

ffi.cdef "int inet_pton(int family, const char *text, void *address);"

local INET, INET6 = 2, 10
local bytes = ffi.new "uint8_t[16]"

-- An address as family and a string of its bytes; nil if it is none.
local function parse_address(text)
	local family = text:find(":", 1, true) and 6 or 4
	if ffi.C.inet_pton(family == 6 and INET6 or INET, text, bytes) ~= 1 then
		return nil
	end
	return family, ffi.string(bytes, family == 6 and 16 or 4)
end

-- A function of family and bytes that says whether an address is inside.
local function parse_net(text)
	if text == "any" then
		return nil
	end
	local base, length = text:match "^([^/]+)/?(%d*)$"
	local family, address = parse_address(base or "")
	local bits = family and (length == "" and #address * 8 or tonumber(length))
	if not family or bits > #address * 8 or (text:find "/" and length == "") then
		return nil, ("'%s' is no address"):format(text)
	end
	local whole, rest = math.floor(bits / 8), bits % 8
	local start = address:sub(1, whole)
	local mask = bit.band(0xff00 / 2 ^ rest, 0xff)
	local last = rest > 0 and bit.band(address:byte(whole + 1), mask)
	return function(of, other)
		return of == family and other:sub(1, whole) == start
			and (rest == 0 or bit.band(other:byte(whole + 1), mask) == last)
	end
end

local function parse_ports(text)
	local from, to = text:match "^(%d+)%-?(%d*)$"
	from, to = tonumber(from), tonumber(to ~= "" and to or from)
	if not from or not to or from > to or to > 65535 or text:find "%-$" then
		return nil, ("'%s' is no port"):format(text)
	end
	return { from, to }
end

local actions = { pass = true, drop = true, reject = true }
local protocols = { tcp = 6, udp = 17, icmp = true }

-- A line as a rule; nil for an empty one, nil and a reason for a wrong one.
local function parse_rule(line)
	local words = {}
	for word in line:gsub("#.*", ""):gmatch "%S+" do
		words[#words + 1] = word
	end
	if #words == 0 then
		return nil
	end
	if not actions[words[1]] then
		return nil, ("'%s' is no action; there is pass, drop, reject"):format(words[1])
	end
	local rule, at, target = { action = words[1] }, 2, nil
	while words[at] do
		local word, value, reason = words[at], words[at + 1], nil
		if word == "log" then
			rule.log = true
		elseif protocols[word] then
			rule.proto = word
		elseif word == "from" or word == "to" or word == "port" then
			if not value then
				return nil, ("'%s' needs its value"):format(word)
			elseif word == "port" then
				rule[(target or "to") .. "_ports"], reason = parse_ports(value)
			else
				target = word
				rule[word], reason = parse_net(value)
			end
			at = at + 1
		else
			return nil, ("'%s' is not understood"):format(word)
		end
		if reason then
			return nil, reason
		end
		at = at + 1
	end
	return rule
end

local function read_rules(path)
	local file, err = io.open(path)
	if not file then
		fail("%s", err)
	end
	local rules, n = {}, 0
	for line in file:lines() do
		n = n + 1
		local rule, reason = parse_rule(line)
		if reason then
			fail("%s:%d: %s", path, n, reason)
		elseif rule then
			rule.line = n
			rules[#rules + 1] = rule
		end
	end
	file:close()
	return rules
end

local path, default
local i = 1
while mos.args[i] do
	local word = mos.args[i]
	if word == "--help" then
		print(usage)
		os.exit(0)
	elseif word == "--default" then
		i = i + 1
		default = mos.args[i]
		if not actions[default or ""] then
			fail("--default takes pass, drop or reject")
		end
	elseif word:match "^%-" or path then
		fail("unknown option '%s'; --help lists them", word)
	else
		path = word
	end
	i = i + 1
end

local rules = read_rules(path or fail "no file with rules; --help tells what is in it")
local otherwise = { action = default or "pass", line = 0 }

local function ports_match(ports, port)
	return not ports or (port and port >= ports[1] and port <= ports[2])
end

local function decide(proto, from, from_port, to, to_port)
	local family, a = parse_address(from)
	local _, b = parse_address(to)
	for _, rule in ipairs(rules) do
		if (not rule.proto or rule.proto == proto) and ports_match(rule.from_ports, from_port)
			and ports_match(rule.to_ports, to_port) and (not rule.from or rule.from(family, a))
			and (not rule.to or rule.to(family, b)) then
			return rule
		end
	end
	return otherwise
end

local function log(rule, proto, from, to)
	if rule.log then
		io.write(("%s %s %s -> %s, line %d\n"):format(rule.action, proto, from, to, rule.line))
		io.flush()
	end
end

local done = mos.shared.counter "decisions"
local mon = mos.monitor { clibuf = 0, svrbuf = 0 }

local function drop(_, _, pkt)
	pkt:drop()
end

mon:on("conn_start", "snd", function(conn, _, pkt)
	local client, server = conn.client, conn.server
	local rule = decide("tcp", client.addr, client.port, server.addr, server.port)
	done:add()
	log(rule, "tcp", client, server)
	if rule.action == "pass" then
		conn:stop()
		return
	elseif rule.action == "reject" then
		conn:reset()
	end
	pkt:drop()
	conn:on("pkt_in", "snd", drop)
end)

local REMEMBERED_S, FLOWS_MAX = 60, 100000
local flows = require "mos.recent"(REMEMBERED_S, FLOWS_MAX, function() return { at = -math.huge } end)

-- What an answer has in common with what it answers; nil where packets are asked for one by one. May this begin a
-- flow?
local function flow_of(pkt, proto, from, from_port, to, to_port)
	if proto == "udp" and from_port then
		local a, b = from .. " " .. from_port, to .. " " .. to_port
		return a < b and a .. " " .. b or b .. " " .. a, true
	elseif proto == "icmp" then
		local kind, _, id = pkt:icmp()
		if kind == 8 or kind == 128 then
			return ("%s %s %d"):format(from, to, id), true
		elseif kind == 0 or kind == 129 then
			return ("%s %s %d"):format(to, from, id), false
		end
	end
end

local function goes_on(flow)
	local known, now = flow and flows:find(flow), mos.now()
	if not known or now - known.at > REMEMBERED_S then
		return false
	end
	flows:get(flow, now).at = now
	return true
end

-- What belongs to no connection: another protocol, or TCP whose beginning was not seen, which may go either way.
mon:on("orphan", function(_, _, pkt)
	local from, to = pkt.src_addr, pkt.dst_addr
	if not from then
		return
	end
	local proto, from_port, to_port = "other", pkt.src_port, pkt.dst_port
	if from_port then
		proto = "tcp"
	elseif pkt.ip_proto == 17 then
		proto = "udp"
		local _, _, a, b = pkt:udp()
		from_port, to_port = a, b
	elseif pkt.ip_proto == 1 or pkt.ip_proto == 58 then
		proto = "icmp"
	end
	local flow, begins = flow_of(pkt, proto, from, from_port, to, to_port)
	if goes_on(flow) then
		return
	end
	local rule = decide(proto, from, from_port, to, to_port)
	if rule.action == "pass" and proto == "tcp" then
		rule = decide(proto, to, to_port, from, from_port)
	end
	if rule.action ~= "pass" then
		pkt:drop()
	elseif flow and begins then
		flows:get(flow, mos.now()).at = mos.now()
	end
	if rule.action ~= "pass" or begins then
		log(rule, proto, from, to)
	end
end)
