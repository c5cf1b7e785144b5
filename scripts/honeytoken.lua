-- Tokens that must not travel: keys, names of decoy accounts, marks in decoy documents, found in streams by Hyperscan.
local ffi = require "ffi"
local mos = require "mos"
local json = require "mos.json"

local options = require "mos.options" {
	name = "honeytoken",
	usage = [[
usage: mos-run scripts/honeytoken.lua -r CAPTURE [-- OPTION...]

One JSON object per token that passes, on standard output. Tokens are regular expressions, searched in both streams of
every connection by Hyperscan (a filter in C): over the borders of segments, at any rate that the line has. Each
pattern is reported once per stream.

  --patterns FILE   one per line, a name and a regular expression; # begins a comment
                    (default: honeytoken.patterns next to the script)
  --filter EXPR     pcap filter of the connections' first packets (default: all of them)
  --object FILE     the filter in C (default: build/scripts/honeytoken.so)
  --stop            stop looking at a connection once a token was found
  --reset           reset it
  --help]],
	options = { patterns = "string", filter = "string", object = "string", stop = "flag", reset = "flag" },
}

local folder = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or "."
local object = options.object or folder .. "/../build/scripts/honeytoken.so"

local app, reason = mos.load(object)
if not app then
	error("honeytoken: " .. reason .. " (it is built where libhyperscan-dev is installed)", 0)
end

ffi.cdef [[
struct honeytoken { uint32_t pattern; int32_t side; uint64_t end; };
int honeytoken_load(const char *path, char *err, size_t errlen);
const char *honeytoken_name(uint32_t pattern);
uint32_t honeytoken_found(const struct honeytoken **list);
]]

local lib = ffi.load(object)
local err = ffi.new "char[512]"
if lib.honeytoken_load(options.patterns or folder .. "/honeytoken.patterns", err, 512) < 0 then
	error("honeytoken: " .. ffi.string(err), 0)
end

local token = mos.event { name = "honeytoken", parent = "conn_new_data", filter = app.honeytoken_filter,
	meaning = "bytes complete a token that must not travel" }

local mon = mos.monitor { filter = options.filter }
local list = ffi.new "const struct honeytoken *[1]"

mon:on(token, function(conn, side)
	for i = 0, lib.honeytoken_found(list) - 1 do
		local found = list[0][i]
		io.write(json.object {
			{ "ts", conn.last_ts }, { "uid", conn.uid },
			{ "id.orig_h", conn.client.addr }, { "id.orig_p", conn.client.port },
			{ "id.resp_h", conn.server.addr }, { "id.resp_p", conn.server.port },
			{ "token", ffi.string(lib.honeytoken_name(found.pattern)) },
			{ "from", side == "svr" and "client" or "server" }, { "end", tonumber(found["end"]) },
		}, "\n")
	end
	if options.reset then
		conn:reset()
	end
	if options.stop then
		conn:stop()
	end
end)

mon:on("conn_end", "rcv", app.honeytoken_end)
