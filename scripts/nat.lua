-- Source NAT for TCP, UDP and pings over IPv4: what comes from inside leaves with one address, and a port for each end
-- inside.
local mos = require "mos"

local usage = [[
usage: mos-run scripts/nat.lua -i INSIDE:OUTSIDE -- --inside NET --address ADDRESS [OPTION...]

TCP, UDP and pings from NET leave from ADDRESS; what comes to ADDRESS goes back to whom its port (of a ping, its
identifier) was given. One port serves an end inside (address and port) for all servers it talks to, and is given to
another when it has been idle. Packets to ADDRESS must come this way: it belongs to the inside's router, or the inside
answers for it. Of anything else, nothing leaves NET; ICMP errors are not translated, nor are fragments.

  --inside NET      10.0.0.0/8
  --address IP      of the outside
  --ports A-B       ports to give (default 20000-60000)
  --timeout SECONDS a TCP port is free after this time without a packet (default 600); after a RST, or FINs of both
                    ends, 10
  --udp-timeout SECONDS  so is a UDP port (default 300), and a ping's identifier (60 at most)
  --help]]

local function fail(...)
	error("nat: " .. string.format(...), 0)
end

-- An IPv4 address as a number; nil if it is none.
local function number_of(text)
	local a, b, c, d = text:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
	a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
	if not d or math.max(a, b, c, d) > 255 then
		return nil
	end
	return ((a * 256 + b) * 256 + c) * 256 + d
end

local function text_of(n)
	return ("%d.%d.%d.%d"):format(n / 2 ^ 24, n / 65536 % 256, n / 256 % 256, n % 256)
end

local options = require "mos.options" {
	name = "nat",
	usage = usage,
	options = { inside = "string", address = "string", ports = "string", timeout = "number",
		["udp-timeout"] = "number" },
	defaults = { ports = "20000-60000", timeout = 600, ["udp-timeout"] = 300 },
}

local base, length = (options.inside or ""):match "^([%d.]+)/(%d+)$"
local net = number_of(base or "")
length = tonumber(length)
if not net or length > 32 then
	fail("--inside takes a net such as 10.0.0.0/8, not '%s'", tostring(options.inside))
end
local span = 2 ^ (32 - length)
local address = options.address or ""
if not number_of(address) then
	fail("--address takes an IPv4 address, not '%s'", address)
end
local low, high = options.ports:match "^(%d+)%-(%d+)$"
low, high = tonumber(low), tonumber(high)
if not high or low > high or low < 1 or high > 65535 then
	fail("--ports takes ports such as 20000-60000, not '%s'", options.ports)
end
local timeout = options.timeout
local udp_timeout = options["udp-timeout"]
if timeout <= 0 or udp_timeout <= 0 then
	fail("--timeout and --udp-timeout take seconds, not '%s'", math.min(timeout, udp_timeout))
end

-- The way back is another connection to the tracker, perhaps another worker's: what is known of ports is shared. A
-- port's name begins with its protocol's letter.
local count = high - low + 1
local port_of = mos.shared.table("nat: port of an end inside", { max = 3 * count })
local end_of = mos.shared.table("nat: end inside of a port", { max = 3 * count })
local until_ = mos.shared.table("nat: when a port is free", { max = 3 * count })
local closing = mos.shared.table("nat: who has closed", { max = count })
local translated, refused = mos.shared.counter "nat: translated", mos.shared.counter "nat: refused"

local function is_inside(n)
	return n - n % span == net - net % span
end

-- Of an end inside: its number has more digits than tostring gives.
local function key_of(letter, inside)
	return ("%s%.0f"):format(letter, inside)
end

-- A port for an end inside; nil when all are taken.
local function take_port(letter, key, inside)
	local first = inside * 31 % count
	for n = 0, count - 1 do
		local port = low + (first + n) % count
		local name = letter .. port
		if end_of:swap(name, nil, inside) then
			if port_of:swap(key, nil, port) then
				return port
			end
			end_of:delete(name) -- another worker was quicker
			return port_of:get(key)
		end
	end
end

-- After a RST, or when both ends have sent a FIN, the port need not wait long.
local function tcp_wait(name, pkt, direction)
	local closed = closing:get(name) or 0
	if pkt.rst then
		closed = 3
	elseif pkt.fin then
		closed = closed % (2 * direction) < direction and closed + direction or closed
	elseif pkt.syn and direction == 1 then
		closed = 0
	end
	if closed > 0 or closing:get(name) then
		closing:set(name, closed)
	end
	return closed == 3 and math.min(10, timeout) or timeout
end

local waits = {
	t = tcp_wait,
	u = function() return udp_timeout end,
	i = function() return math.min(60, udp_timeout) end,
}

-- Protocol, source and destination port of what can be translated: an echo has its identifier for either. May it begin
-- something?
local function ports(pkt)
	if pkt.src_port then
		return "t", pkt.src_port, pkt.dst_port, pkt.syn
	end
	local _, _, from, to = pkt:udp()
	if from then
		return "u", from, to, true
	end
	local kind, _, id = pkt:icmp()
	if kind == 8 or kind == 0 then
		return "i", id, id, kind == 8
	end
end

local function change(pkt, letter, which, addr, port)
	pkt:set { [which .. "_addr"] = addr, [letter == "i" and "echo_id" or which .. "_port"] = port }
	translated:add()
end

local function outward(pkt, from)
	local letter, source, _, begins = ports(pkt)
	local inside = from * 65536 + (source or 0)
	local key = letter and key_of(letter, inside)
	local port = letter and (port_of:get(key) or (begins and take_port(letter, key, inside)))
	if not port then
		refused:add()
		pkt:drop()
		return
	end
	local name = letter .. port
	until_:set(name, mos.now() + waits[letter](name, pkt, 1))
	change(pkt, letter, "src", address, port)
end

local function inward(pkt)
	local letter, _, port = ports(pkt)
	local name = (letter or "") .. (port or 0)
	local inside = end_of:get(name)
	if inside then
		until_:set(name, mos.now() + waits[letter](name, pkt, 2))
		change(pkt, letter, "dst", text_of(math.floor(inside / 65536)), inside % 65536)
	end
end

mos.monitor { raw = true, family = 4 }:on("pkt_in", function(_, _, pkt)
	local from, to = number_of(pkt.src_addr), number_of(pkt.dst_addr)
	if is_inside(from) and pkt.src_addr ~= address then
		if not is_inside(to) or pkt.dst_addr == address then
			outward(pkt, from)
		end
	elseif pkt.dst_addr == address then
		inward(pkt)
	end
end)

if mos.worker == 1 then
	mos.every(1, function()
		local now = mos.now()
		for name, time in until_:each() do
			local inside = time <= now and end_of:get(name)
			if inside then
				port_of:delete(key_of(name:sub(1, 1), inside))
				until_:delete(name)
				closing:delete(name)
				end_of:delete(name)
			end
		end
	end)
end

mos.at_exit(function()
	if mos.worker == mos.workers then
		print(("translated %.0f packets, refused %.0f, ports in use %d"):format(translated:sum(), refused:sum(),
			end_of:count()))
	end
end)
