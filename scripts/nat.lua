-- Source NAT for TCP over IPv4: connections from inside leave with one address, and a port for each end inside.
local mos = require "mos"

local usage = [[
usage: mos-run scripts/nat.lua -i INSIDE:OUTSIDE -- --inside NET --address ADDRESS [OPTION...]

TCP packets from NET leave from ADDRESS; packets that come to ADDRESS go back to whom its port was given. One port
serves an end inside (address and port) for all servers it talks to, and is given to another when it has been idle.
Packets to ADDRESS must come this way: it belongs to the inside's router, or the inside answers for it.

  --inside NET      10.0.0.0/8
  --address IP      of the outside
  --ports A-B       ports to give (default 20000-60000)
  --timeout SECONDS a port is free after this time without a packet (default 600); after a RST, or FINs of both ends, 10
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
	options = { inside = "string", address = "string", ports = "string", timeout = "number" },
	defaults = { ports = "20000-60000", timeout = 600 },
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
if timeout <= 0 then
	fail("--timeout takes seconds, not '%s'", timeout)
end

-- The way back is another connection to the tracker, perhaps another worker's: what is known of ports is shared.
local count = high - low + 1
local port_of = mos.shared.table("nat: port of an end inside", { max = count })
local end_of = mos.shared.table("nat: end inside of a port", { max = count })
local until_ = mos.shared.table("nat: when a port is free", { max = count })
local closing = mos.shared.table("nat: who has closed", { max = count })
local translated, refused = mos.shared.counter "nat: translated", mos.shared.counter "nat: refused"

local function is_inside(n)
	return n - n % span == net - net % span
end

-- A port for an end inside; nil when all are taken.
local function take_port(key, inside)
	local first = inside * 31 % count
	for n = 0, count - 1 do
		local port = low + (first + n) % count
		local name = tostring(port)
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
local function touch(port, pkt, direction)
	local name, now = tostring(port), mos.now()
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
	until_:set(name, now + (closed == 3 and math.min(10, timeout) or timeout))
end

local function outward(pkt, inside)
	local key = tostring(inside)
	local port = port_of:get(key) or (pkt.syn and take_port(key, inside))
	if not port then
		refused:add()
		pkt:drop()
		return
	end
	touch(port, pkt, 1)
	pkt:set { src_addr = address, src_port = port }
	translated:add()
end

local function inward(pkt)
	local inside = end_of:get(tostring(pkt.dst_port))
	if not inside then
		return
	end
	touch(pkt.dst_port, pkt, 2)
	pkt:set { dst_addr = text_of(math.floor(inside / 65536)), dst_port = inside % 65536 }
	translated:add()
end

mos.monitor { raw = true, family = 4 }:on("pkt_in", function(_, _, pkt)
	if not pkt.src_port then
		return
	end
	local from = number_of(pkt.src_addr)
	if is_inside(from) and pkt.src_addr ~= address then
		if not is_inside(number_of(pkt.dst_addr)) or pkt.dst_addr == address then
			outward(pkt, from * 65536 + pkt.src_port)
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
				port_of:delete(tostring(inside))
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
