/*
 * require "mos.test" of an ordinary LuaJIT, such as the one that runs busted: this library is that module. It holds the
 * whole runtime and, as mos-run does, the Lua files of bindings/mos; what tests are written with is bindings/mos/test.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <string.h>

#include <lauxlib.h>

#include "lua_module.h"
#include "pkt/decode.h"
#include "session.h"

static const char session_type[] = "mos.test.session";

int luaopen_mos_test(lua_State *L);

static struct session *check_session(lua_State *L)
{
	struct session *s = luaL_checkudata(L, 1, session_type);

	if (!s->w)
		luaL_error(L, "this session is closed");
	return s;
}

/* start(options): a session, or nil and a line. */
static int start(lua_State *L)
{
	char err[1024] = "";

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	struct session *s = lua_newuserdata(L, sizeof(*s));
	memset(s, 0, sizeof(*s));
	luaL_getmetatable(L, session_type);
	lua_setmetatable(L, -2);
	if (session_open(s, L, 1, err, sizeof(err)) == 0)
		return 1;
	lua_pushnil(L);
	lua_pushstring(L, err);
	redirect_push(&s->out, L);
	redirect_push(&s->err, L);
	session_close(s);
	return 4;
}

/* session:play(packets, first, last, burst, events, results, left) */
static int play(lua_State *L)
{
	struct session *s = check_session(L);

	lua_settop(L, 8);
	luaL_checktype(L, 2, LUA_TTABLE);
	for (int i = 6; i <= 8; i++)
		luaL_checktype(L, i, LUA_TTABLE);
	s->events = 6;
	session_play(s, L, 2, (int)luaL_checkinteger(L, 3), (int)luaL_checkinteger(L, 4),
		     (unsigned)luaL_checkinteger(L, 5), 7, 8);
	return 0;
}

/* session:advance(seconds, events, left): the time since the epoch that it is now. Without seconds nothing happens. */
static int advance(lua_State *L)
{
	struct session *s = check_session(L);

	lua_settop(L, 4);
	s->events = 3;
	if (lua_isnumber(L, 2))
		session_advance(s, L, s->w->now_ns + (uint64_t)(lua_tonumber(L, 2) * 1e9 + 0.5), 4);
	lua_pushnumber(L, (double)s->w->now_ns / 1e9);
	return 1;
}

/* session:finish(events, left) */
static int finish(lua_State *L)
{
	struct session *s = check_session(L);

	lua_settop(L, 3);
	s->events = 2;
	session_finish(s, L, 3);
	return 0;
}

/* session:output(): what it wrote to standard output, and to standard error. */
static int output(lua_State *L)
{
	struct session *s = check_session(L);

	redirect_push(&s->out, L);
	redirect_push(&s->err, L);
	return 2;
}

/* session:errors(): how many handlers have failed, and whether that ended the run. */
static int errors(lua_State *L)
{
	struct session *s = check_session(L);

	lua_pushnumber(L, (double)s->w->stats.handler_errors);
	lua_pushboolean(L, s->w->failed);
	return 2;
}

static int close_session(lua_State *L)
{
	session_close(luaL_checkudata(L, 1, session_type));
	return 0;
}

static void set_number(lua_State *L, const char *name, double n)
{
	lua_pushnumber(L, n);
	lua_setfield(L, -2, name);
}

/* The sender's or the receiver's address as text. */
static void set_address(lua_State *L, const char *name, const struct mos_packet *p, int at)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(p->key.family == 6 ? AF_INET6 : AF_INET, p->key.addr_be[at], addr, sizeof(addr));
	lua_pushfstring(L, p->key.family == 6 ? "[%s]:%d" : "%s:%d", addr, p->key.port[at]);
	lua_setfield(L, -2, name);
}

/* decode(data, len, link): where the headers of a packet are and what they say; nil if it is not TCP. Offsets from 0. */
static int decode(lua_State *L)
{
	size_t caplen;
	const char *data = luaL_checklstring(L, 1, &caplen);
	struct mos_packet p = { .data = (uint8_t *)data, .caplen = (uint32_t)caplen };

	p.len = (uint32_t)luaL_checkinteger(L, 2);
	p.link = (uint16_t)luaL_checkinteger(L, 3);
	if (packet_decode(&p) != MOS_DECODED_TCP)
		return 0;
	lua_newtable(L);
	set_address(L, "src", &p, p.dir);
	set_address(L, "dst", &p, !p.dir);
	set_number(L, "ip_version", p.ip_version);
	set_number(L, "l3", p.l3);
	set_number(L, "l4", p.l4);
	set_number(L, "ip_len", p.ip_len);
	set_number(L, "tcp_hlen", p.tcp_hlen);
	set_number(L, "flags", p.tcp_flags);
	set_number(L, "seq", p.seq);
	set_number(L, "ack", p.ack);
	set_number(L, "window", p.window);
	set_number(L, "urgent", p.urgent);
	set_number(L, "payload", p.payload);
	set_number(L, "payload_len", p.payload_len);
	set_number(L, "payload_caplen", p.payload_caplen);
	return 1;
}

static void push_packet(lua_State *L, const struct mos_packet *p)
{
	lua_newtable(L);
	set_number(L, "sec", (double)(p->ts_ns / 1000000000));
	set_number(L, "nsec", (double)(p->ts_ns % 1000000000));
	set_number(L, "len", p->len);
	set_number(L, "link", p->link);
	lua_pushlstring(L, (const char *)p->data, p->caplen);
	lua_setfield(L, -2, "data");
}

/* Append what one read has brought; false at the end. */
static bool read_burst(lua_State *L, struct io *in)
{
	struct mos_packet burst[IO_BURST];
	int n = in->ops->rx_burst(in, burst, IO_BURST);

	for (int i = 0; i < n; i++) {
		push_packet(L, &burst[i]);
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	}
	in->ops->free_burst(in);
	return n >= 0;
}

/* read(path): the packets of a capture file; nil and a line if it cannot be read. */
static int read_capture(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char err[512];
	struct io *in = io_pcap_open(&path, 1, NULL, err, sizeof(err));

	if (!in) {
		lua_pushnil(L);
		lua_pushstring(L, err);
		return 2;
	}
	lua_newtable(L);
	while (read_burst(L, in))
		;
	lua_pushstring(L, in->error);
	in->ops->close(in);
	if (!lua_objlen(L, -1)) {
		lua_pop(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_replace(L, -3);
	return 2;
}

static const luaL_Reg methods[] = {
	{ "play", play },     { "advance", advance },     { "finish", finish }, { "output", output },
	{ "errors", errors }, { "close", close_session }, { NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "start", start }, { "decode", decode }, { "read", read_capture }, { NULL, NULL }
};

/* The script's state finds mos_ffi_* by name, as an object of mos.load finds mtcp_*: among the symbols of the process. */
static void make_global(lua_State *L)
{
	Dl_info info;

	if (!dladdr((void *)luaopen_mos_test, &info) || !dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD))
		luaL_error(L, "mos.test: cannot find its own library: %s", dlerror());
}

/* A module that is there already. */
static int loaded(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

static void load_file(lua_State *L, const struct embed *f)
{
	if (module_load(L, f))
		lua_error(L);
}

/*
 * package.preload[name] for what mos.test requires, so that the test's state finds it as the script's finds mos, also when
 * package.loaded has been emptied: busted does that between two files. Leaves mos.test itself, which is not among them.
 */
static void preload(lua_State *L, int core)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "preload");
	int table = lua_gettop(L);

	lua_pushvalue(L, core);
	lua_pushcclosure(L, loaded, 1);
	lua_setfield(L, table, "mos.test.core");
	for (size_t i = 0; i < embed_count; i++) {
		const struct embed *f = &embed_files[i];

		if (strncmp(f->name, "mos.test.", 9) == 0 || strcmp(f->name, "mos.check") == 0 ||
		    strcmp(f->name, "mos.text") == 0) {
			load_file(L, f);
			lua_setfield(L, table, f->name);
		} else if (strcmp(f->name, "mos.test") == 0) {
			load_file(L, f);
		}
	}
}

int luaopen_mos_test(lua_State *L)
{
	make_global(L);
	luaL_newmetatable(L, session_type);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, close_session);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);

	lua_newtable(L);
	luaL_register(L, NULL, functions);
	preload(L, lua_gettop(L));
	lua_call(L, 0, 1);
	return 1;
}
