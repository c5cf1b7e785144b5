-- Two hosts and a middlebox between them, as network namespaces joined by veth pairs:
--
--   c (client)  eth0 ------- left  r (mos-run)  right ------- eth0  s (server)
--
-- The client is 10.7.0.1 and fd00:7::1, the server 10.7.0.2 and fd00:7::2. Names have the process id in them, so tests
-- may run at the same time. A second pair (opts.pairs = 2) joins the same hosts: their eth1, left2 and right2, with
-- addresses that begin with 10.8.0 and fd00:8:.
local kit = require "kit"
local ffi = require "ffi"

ffi.cdef "int getpid(void);"

local net = {}
net.__index = net

local quiet = " >/dev/null 2>&1"

local function ok(command)
	return os.execute(command .. quiet) == 0
end

-- nil and a reason where namespaces cannot be made.
function net.available()
	for _, tool in ipairs { "ip", "ethtool", "curl", "busybox", "ping" } do
		if not ok("command -v " .. tool) then
			return nil, tool .. " is not installed"
		end
	end
	local name = "mos" .. ffi.C.getpid()
	if not ok("ip netns add " .. name) then
		return nil, "no right to make network namespaces"
	end
	local joined = ok(("ip link add name eth0 netns %s type veth peer name eth1 netns %s"):format(name, name))
	ok("ip netns del " .. name)
	return joined, not joined and "no veth pairs here" or nil
end

local count = 0

-- opts.offload: leave checksums and segmentation to the interfaces. opts.mtu, opts.pairs. The hosts are up when it
-- returns.
function net.up(opts)
	opts = opts or {}
	count = count + 1
	local self = setmetatable({ name = ("mos%d.%d"):format(ffi.C.getpid(), count), pids = {} }, net)
	local script = [[
set -e
for n in c r s; do ip netns add $1$n; ip -n $1$n link set dev lo up; done
join() {
	ip link add name $2 netns $1c type veth peer name left$3 netns $1r
	ip link add name $2 netns $1s type veth peer name right$3 netns $1r
	ip -n $1c addr add 10.$4.0.1/24 dev $2
	ip -n $1s addr add 10.$4.0.2/24 dev $2
	ip -n $1c addr add fd00:$4::1/64 dev $2 nodad
	ip -n $1s addr add fd00:$4::2/64 dev $2 nodad
	for n in left$3 right$3; do
		ip netns exec $1r sh -c "echo 1 > /proc/sys/net/ipv6/conf/$n/disable_ipv6"
		ip -n $1r link set dev $n mtu $mtu up
	done
	for n in c s; do
		ip -n $1$n link set dev $2 mtu $mtu up
		[ $offload = offload ] || ip netns exec $1$n ethtool -K $2 tx off tso off gso off gro off >/dev/null
	done
}
offload=$2 mtu=$3
join $1 eth0 "" 7
[ $4 = 1 ] || join $1 eth1 2 8]]
	local code, _, err = kit.command { "sh", "-c", script, "sh", self.name, opts.offload and "offload" or "none",
		opts.mtu or 1500, opts.pairs or 1 }
	assert(code == 0, err)
	return self
end

-- Run a shell command on a host ("c", "r", "s"); its exit code, output and errors.
function net:sh(host, command)
	return kit.command { "ip", "netns", "exec", self.name .. host, "sh", "-c", command }
end

-- Wait until a shell command succeeds on a host, for 20 s at most.
function net:wait(host, command)
	local code = kit.command { "ip", "netns", "exec", self.name .. host, "sh", "-c",
		("for i in $(seq 400); do ( %s ) >/dev/null 2>&1 && exit 0; sleep 0.05; done; exit 1"):format(command) }
	return code == 0
end

-- A program that sends Ethernet frames from a file, each behind its length in digits and a blank.
local sender = [[
local ffi = require "ffi"
ffi.cdef "int socket(int, int, int); int bind(int, const void *, unsigned); long write(int, const void *, size_t);"
ffi.cdef "unsigned if_nametoindex(const char *);"
ffi.cdef "struct addr { uint16_t family, protocol; int32_t index; uint16_t type; uint8_t kind, len, addr[8]; };"
local fd = ffi.C.socket(17, 3, 0)
local addr = ffi.new("struct addr", { family = 17, index = ffi.C.if_nametoindex(arg[1]) })
assert(ffi.C.bind(fd, addr, ffi.sizeof(addr)) == 0)
local bytes, at = io.open(arg[2], "rb"):read "*a", 1
while at <= #bytes do
	local digits, from = bytes:match("^(%d+) ()", at)
	local len = tonumber(digits)
	assert(ffi.C.write(fd, bytes:sub(from, from + len - 1), len) == len)
	at = from + len
end]]

-- Send frames from a host's interface, as fast as they go.
function net:send(host, interface, ...)
	local parts = {}
	for i, frame in ipairs { ... } do
		parts[i] = ("%d %s"):format(#frame, frame)
	end
	local path = kit.write(kit.tmp ".frames", table.concat(parts))
	local code, _, err = self:sh(host, ("luajit %s %s %s"):format(kit.script(sender), interface, path))
	assert(code == 0, err)
end

-- Start a command on a host in the background, and wait until `ready` succeeds there. What it prints comes from
-- proc:out() and proc:err(); proc:stop(signal) ends it and returns its exit code.
local Process = {}
Process.__index = Process

function net:start(host, args, ready)
	local proc = setmetatable({ net = self, host = host, path = kit.tmp "" }, Process)
	local words = {}
	for i, word in ipairs(args) do
		words[i] = kit.quote(word)
	end
	for _, suffix in ipairs { ".pid", ".code", ".out", ".err" } do
		os.remove(proc.path .. suffix) -- of the run before
	end
	-- A background job of a shell ignores SIGINT unless its group is its own.
	-- Nor may it keep files of whoever runs the tests open (a lock, say).
	os.execute(("setsid sh -c %s >/dev/null 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &"):format(kit.quote(([[
		ip netns exec %s sh -c 'echo $$ > "$0.pid"; exec "$@"' %s %s >%s.out 2>%s.err
		echo $? > %s.code]]):format(self.name .. host, proc.path, table.concat(words, " "), proc.path, proc.path,
		proc.path))))
	self.pids[#self.pids + 1] = proc
	assert(self:wait(host, ("test -s %s.pid"):format(proc.path)), "the process did not start")
	proc.pid = kit.read(proc.path .. ".pid"):match "%d+"
	if ready and not self:wait(host, ready:gsub("%$LOG", proc.path)) then
		error(("%s: not ready\n%s%s"):format(table.concat(args, " "), proc:out(), proc:err()), 2)
	end
	return proc
end

function Process:out()
	return kit.read(self.path .. ".out")
end

function Process:err()
	return kit.read(self.path .. ".err")
end

-- The exit code of a process that ends by itself, within 20 s.
function Process:wait()
	assert(self.net:wait(self.host, ("test -s %s.code"):format(self.path)), "the process does not end")
	return tonumber(kit.read(self.path .. ".code"))
end

function Process:stop(signal)
	if not self.pid then
		return
	end
	os.execute(("kill -%s %s"):format(signal or "INT", self.pid) .. quiet)
	return self:wait()
end

-- mos-run between the two, or as args say. It is there when packets pass.
function net:run(args)
	return self:start("r", { kit.run_path, unpack(args) }, "grep -q 'mos-run: info: on ' $LOG.err")
end

-- An HTTP server for the files below dir, on both families.
function net:serve(dir)
	return self:start("s", { "busybox", "httpd", "-f", "-p", "[::]:80", "-h", dir },
		"busybox wget -q -O /dev/null http://10.7.0.2/ || curl -s -o /dev/null http://10.7.0.2/")
end

function net:down()
	for _, proc in ipairs(self.pids) do
		if proc.pid then
			ok(("kill -KILL %s"):format(proc.pid))
		end
	end
	for _, host in ipairs { "c", "r", "s" } do
		ok(("ip netns del %s%s"):format(self.name, host))
	end
end

return net
