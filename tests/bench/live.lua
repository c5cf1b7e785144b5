-- How much passes between two hosts through mos-run, compared with the kernel's bridge, in one run:
--
--   LUA_PATH="tests/kit/?.lua;bindings/?.lua;;" luajit tests/bench/live.lua [SECONDS]
--
-- Hosts are network namespaces (tests/kit/net.lua), the transfer is one TCP connection of iperf3, and a Lua handler
-- sees every packet. Prints a table for docs/start.md. Needs root, iperf3, and for ports of DPDK build/mos-dpdk.so.
local kit = require "kit"
local net = require "net"

local seconds = tonumber(arg[1] or "5")

local handler = kit.script [[
local mos = require "mos"
local n = 0
mos.monitor { clibuf = 0, svrbuf = 0 }:on("pkt_in", "snd", function(_, _, pkt) n = n + pkt.len end)]]

-- Megabits per second from the client to the server.
local function measure(lan)
	lan:start("s", { "iperf3", "-s", "-1" }, "ss -ltn | grep -q :5201")
	local code, out = lan:sh("c", ("iperf3 -c 10.7.0.2 -t %d -f m"):format(seconds))
	assert(code == 0, out)
	return tonumber(out:match "([%d.]+) Mbits/sec[^\n]*receiver")
end

local function bridge(lan)
	local code, _, err = lan:sh("r", "ip link add br0 type bridge && ip link set dev left master br0"
		.. " && ip link set dev right master br0 && ip link set dev br0 up")
	assert(code == 0, err)
	assert(lan:wait("c", "ping -c 1 -W 1 10.7.0.2"))
end

local function interfaces(j)
	return function(lan)
		lan:run { "-i", "left:right", "-j", j, handler }
	end
end

local function ports(j, device)
	return function(lan)
		local eal = ("--no-huge -m 128 --vdev=%s --vdev=%s"):format(device:format(0, "left"), device:format(1, "right"))
		lan:start("r", { kit.run_path, "-p", "0:1", "-j", j, "--eal", eal, handler }, "grep -q 'info: on' $LOG.err")
	end
end

local ways = {
	{ "the kernel's bridge", bridge },
	{ "`-i`", interfaces(1) },
	{ "`-i`, two workers", interfaces(2) },
	{ "`-p`, net_af_packet", ports(1, "net_af_packet%d,iface=%s") },
	{ "`-p`, net_af_xdp", ports(1, "net_af_xdp%d,iface=%s") },
	{ "`-p`, net_af_packet with two queues, two workers", ports(2, "net_af_packet%d,iface=%s,qpairs=2") },
}

local function row(way, offload, base)
	local lan = net.up { offload = offload }
	way[2](lan)
	local speed = measure(lan)
	lan:down()
	return speed, ("%.2f"):format(speed / (base or speed))
end

print "| between two hosts | offloads on | offloads off |"
print "|---|---|---|"
local base = {}
for i, way in ipairs(ways) do
	local cells = {}
	for k, offload in ipairs { true, false } do
		local dpdk = way[1]:match "^`%-p`"
		if dpdk and (offload or not io.open(kit.build .. "/mos-dpdk.so")) then
			cells[k] = "-" -- DPDK's device does not know of unfinished checksums
		else
			local speed, ratio = row(way, offload, base[k])
			base[k] = i == 1 and speed or base[k]
			cells[k] = ratio
		end
	end
	print(("| %s | %s | %s |"):format(way[1], cells[1], cells[2]))
end
