-- Replaces a text in the stream that one end receives, by one that may be longer or shorter.
local mos = require "mos"

local usage = [[
usage: mos-run scripts/rewrite.lua -i A:B -- --from TEXT --to TEXT [OPTION...]

Replaces TEXT wherever the stream has it, however it is cut into packets. Lengths, checksums and the connection's
numbers follow; what the application says of lengths (HTTP's Content-Length) does not.

  --from TEXT       what is looked for
  --to TEXT         what stands there instead; it may be empty
  --receiver SIDE   who receives what is changed: cli or svr (default cli)
  --hold SECONDS    a beginning of TEXT at the end of a packet is kept back until more comes, but so long at most (0.5)
  --filter EXPR     pcap filter of the connections' first packets (default: all of them)
  --help]]

local function fail(...)
	error("rewrite: " .. string.format(...), 0)
end

local options = require "mos.options" {
	name = "rewrite",
	usage = usage,
	options = { from = "string", to = "string", receiver = "cli|svr", hold = "number", filter = "string" },
	defaults = { receiver = "cli", hold = 0.5 },
}
local from, to = options.from or "", options.to
if from == "" or not to then
	fail "--from and --to are needed; --help explains them"
end
local receiver, hold = options.receiver, options.hold
if hold <= 0 then
	fail("--hold takes seconds, not '%s'", hold)
end
local sender = mos.other[receiver]

local replaced, refused = mos.shared.counter "replaced", mos.shared.counter "refused"
local mon = mos.monitor { filter = options.filter, clibuf = 0, svrbuf = 0 }

-- The sequence number that comes next, once one is known. What is kept back stands in conn.data.held.
mos.record [[ uint32_t next; bool known; ]]

-- Lengths of beginnings of the text, longest first, by their last byte.
local beginnings = {}
for n = #from - 1, 1, -1 do
	local last = from:byte(n)
	beginnings[last] = beginnings[last] or {}
	table.insert(beginnings[last], n)
end

-- How many bytes at the end of this, from `first` on, may be the beginning of the text.
local function begun(bytes, first)
	for _, n in ipairs(beginnings[bytes:byte(-1)] or {}) do
		if n <= #bytes - first + 1 and bytes:sub(-n) == from:sub(1, n) then
			return n
		end
	end
	return 0
end

-- Where the text stands in these bytes, in order.
local function find_all(bytes)
	local list, at = {}, bytes:find(from, 1, true)
	while at do
		list[#list + 1] = at
		at = bytes:find(from, at + #from, true)
	end
	return list
end

-- Until the receiver has it.
local function send_again(conn, wait)
	mos.timer(wait, function()
		if not conn.ended and (conn:inject_again(sender) or 0) > 0 and wait < 30 then
			send_again(conn, 2 * wait)
		end
	end)
end

-- Nothing more came for a while: what was kept back goes on as it is.
local function release(conn)
	local data = conn.data
	if conn:inject { side = sender, payload = data.held } then
		data.held = nil
		send_again(conn, 0.2)
	end
end

local function look_later(conn, wait)
	local data = conn.data
	if data.looks then
		return
	end
	data.looks = true
	mos.timer(wait, function()
		if conn.ended then
			return
		end
		data.looks = false
		if data.held and mos.now() > data.due - 0.001 then
			release(conn)
		end
		if data.held then
			look_later(conn, math.max(data.due - mos.now(), 0.1))
		end
	end)
end

local function keep(conn, bytes)
	local data = conn.data
	data.held, data.due = bytes, mos.now() + hold
	look_later(conn, hold)
end

-- The payload from `off` on continues what is held. False if the packet must not pass, for its bytes cannot be changed.
local function change(conn, pkt, off, held)
	local new = pkt:payload_string():sub(off + 1)
	local bytes = held .. new
	local found = find_all(bytes)
	local done = #found > 0 and found[#found] + #from or 1
	local kept = pkt.fin and 0 or begun(bytes, done)
	local before = #held -- of bytes, what is not in the packet
	local cut = math.min(kept, #new)
	if cut > 0 and not pkt:chomp(off + #new - cut, cut) then
		kept = 0
	end
	if before > 0 then
		-- What was kept back goes in front, as far as it is not kept on.
		local first = found[1] and found[1] <= before and table.remove(found, 1)
		local front = first and held:sub(1, first - 1) .. to or held:sub(1, #bytes - kept)
		local gone = first and first - 1 + #from - before or 0
		if (front ~= "" or gone > 0) and not pkt:replace(off, gone, front) then
			return false
		end
		replaced:add(first and 1 or 0)
	end
	for _, at in ipairs(found) do
		local ok = pkt:replace(off + at - 1 - before, #from, to)
		if ok then
			replaced:add()
		else
			refused:add()
		end
	end
	if kept > 0 then
		keep(conn, bytes:sub(-kept))
	elseif held ~= "" then
		conn.data.held = nil
	end
	return true
end

local foreign -- the packet that its receiver will not accept
mon:on("error", function(conn, _, pkt)
	if pkt and conn.error_reason == "out_of_window" then
		foreign = pkt.number
	end
end)

-- What the receiver has without us, it has.
local function follow_ack(conn, rec, pkt)
	if rec.known and pkt.is_ack and (pkt.ack - rec.next - 1) % 2 ^ 32 < 2 ^ 31 then
		rec.next = pkt.ack
		conn.data.held = nil
	end
end

mon:on("conn_start", "snd", function(conn)
	conn:in_order(sender)
end)

mon:on("pkt_in", "rcv", function(conn, side, pkt)
	local rec, len = conn.rec, pkt.payload_len
	if pkt.number == foreign then
		return
	elseif side ~= receiver then
		follow_ack(conn, rec, pkt)
		return
	elseif pkt.syn then
		rec.next, rec.known = (pkt.seq + 1 + len) % 2 ^ 32, true
		return
	elseif len == 0 and not pkt.fin then
		return
	elseif not rec.known then
		rec.next, rec.known = pkt.seq, true
	end
	local off = (rec.next - pkt.seq) % 2 ^ 32 -- of what is new in it
	if off >= 2 ^ 31 then
		pkt:drop() -- there was no room for it to wait for what it follows
		return
	elseif off > len or (off == len and not pkt.fin) then
		return -- all of it has passed before, as it was then changed
	end
	local held = conn.data.held or ""
	if (len > off or held ~= "") and not change(conn, pkt, off, held) then
		pkt:drop()
		return
	end
	rec.next = (pkt.seq + len) % 2 ^ 32
end)

mon:on("conn_end", "snd", function(conn, side)
	if side == "cli" and conn.data.held then
		release(conn)
	end
end)

mos.at_exit(function()
	if mos.worker == mos.workers then
		print(("replaced %.0f, could not replace %.0f"):format(replaced:sum(), refused:sum()))
	end
end)
