-- require "mos.events.entropy": how evenly the bytes that each end begins with are spread: text has 4 to 5 bits per
-- byte, what is compressed or encrypted nearly 8.
local ffi = require "ffi"
local mos = require "mos"

local entropy = {}

-- Bytes measured per direction; fewer than least are none; bits per byte from which on it is high.
entropy.limits = { most = 4096, least = 256, high = 7.5 }
local limits = entropy.limits

local counts = ffi.typeof "uint32_t[256]"

local function bits(histogram, n)
	local sum = 0
	for i = 0, 255 do
		if histogram[i] > 0 then
			local share = histogram[i] / n
			sum = sum - share * math.log(share) / math.log(2)
		end
	end
	return sum
end

local function tell(r)
	if r.n >= limits.least then
		r:raise(entropy.sample, { bits = bits(r.histogram, r.n), bytes = r.n,
			from = r.side == "svr" and "client" or "server" })
	end
	r:stop()
end

local function measure(r)
	local n = r:left()
	if n > limits.most - r.n then
		n = limits.most - r.n
	end
	local p, histogram = r:look(n), r.histogram
	for i = 0, n - 1 do
		histogram[p[i]] = histogram[p[i]] + 1
	end
	r:skip(n)
	r.n = r.n + n
	if r.n == limits.most then
		tell(r)
	end
	return false
end

local function start(r)
	r.n, r.histogram = 0, counts()
	r.step = measure
	return true
end

local parser = mos.parser { name = "entropy", start = start,
	gap = function(r)
		return r.n ~= nil
	end,
	finish = function(r)
		if r.n then
			tell(r)
		end
	end,
	meaning = "inside: bytes that are counted" }

entropy.over = parser.over

entropy.sample = parser:event { name = "entropy_sample", meaning = "the bytes that an end begins with are measured",
	fields = {
		{ "bits", "number", "of entropy per byte, from 0 to 8" }, { "bytes", "number", "measured" },
		{ "from", "string", "client or server" },
	} }

entropy.high = mos.event { name = "entropy_high", parent = entropy.sample,
	meaning = "they are compressed, encrypted or random",
	filter = function(conn, side, pkt, ev, sample) return sample.bits >= limits.high end }

return entropy
