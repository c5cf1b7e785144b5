#include "lua_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <lauxlib.h>

#include "util/log.h"

/* Ticks to a timeout; a call is ended between one timeout and one and a half. */
enum { TICKS = 2 };

static const uint64_t retry_ns = 1000000;

/* The thread's that are on, the newest first. */
static __thread struct lua_watch *mine;

/* A tick may come late, after the watch that it was for has stopped and is no more. */
static bool is_on(const struct lua_watch *w)
{
	const struct lua_watch *on = mine;

	while (on && on != w)
		on = on->older;
	return on;
}

static void forget(const struct lua_watch *w)
{
	struct lua_watch **on = &mine;

	while (*on && *on != w)
		on = &(*on)->older;
	if (*on)
		*on = w->older;
}

static void set_timer(const struct lua_watch *w, uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	timer_settime(w->timer, 0, &(struct itimerspec){ t, t }, NULL);
}

static void too_long(lua_State *L, lua_Debug *ar)
{
	lua_sethook(L, NULL, 0, 0);
	for (int level = 0; lua_getstack(L, level, ar); level++) {
		lua_getinfo(L, "Sl", ar);
		if (ar->currentline > 0 && strncmp(ar->short_src, "(mos", 4) != 0)
			break;
	}
	lua_pushfstring(L, "%s:%d: took longer than %d ms", ar->short_src, ar->currentline,
			(int)(mine->timeout_ns * (mine->most / TICKS) / 1000000));
	lua_error(L);
}

/* A line of /proc/self/maps: does it hold pc, and is it LuaJIT's code, or code without a file? -1, 0, 1 */
static int line_answer(const char *line, uintptr_t pc)
{
	char *end;
	uintptr_t from = strtoul(line, &end, 16), to = strtoul(end + 1, &end, 16);

	if (pc < from || pc >= to)
		return -1;
	bool has_file = strchr(end, '/') || strchr(end, '[');

	return end[3] == 'x' && (!has_file || strstr(end, "/libluajit"));
}

/* Safe in a signal handler: it only reads. */
static bool pc_is_lua(uintptr_t pc)
{
	char text[512];
	size_t n = 0;
	int answer = -1, fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && answer < 0) {
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		char *line = text, *lf;

		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = '\0';
		while (answer < 0 && (lf = strchr(line, '\n'))) {
			*lf = '\0';
			answer = line_answer(line, pc);
			line = lf + 1;
		}
		n = (size_t)(text + n - line);
		memmove(text, line, n);
		/* Longer than any line that matters. */
		if (n == sizeof(text) - 1)
			n = 0;
	}
	if (fd >= 0)
		close(fd);
	return answer > 0;
}

static uintptr_t interrupted_at(const void *context)
{
	const ucontext_t *c = context;

#if defined(__x86_64__)
	return (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)c->uc_mcontext.pc;
#else
#error "where does this processor keep its program counter?"
#endif
}

__attribute__((noreturn)) static void jump_back(struct lua_watch *w)
{
	w->in_call = 0;
	__builtin_longjmp(w->back, 1);
}

static void on_tick(int sig, siginfo_t *info, void *context)
{
	struct lua_watch *w = info->si_value.sival_ptr;
	int saved = errno;

	(void)sig;
	if (!is_on(w) || !w->in_call)
		return;
	if (w->calls != w->seen) {
		w->seen = w->calls;
		w->ticks = 0;
	}
	if (++w->ticks <= w->most)
		return;
	if (!w->stage) {
		w->stage = 1;
		lua_sethook(w->L, too_long, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
		set_timer(w, w->timeout_ns / 4);
	} else if (pc_is_lua(interrupted_at(context))) {
		jump_back(w);
	} else {
		set_timer(w, retry_ns);
	}
	errno = saved;
}

int watch_start(struct lua_watch *w, uint64_t timeout_ns)
{
	struct sigaction act = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };

	forget(w);
	*w = (struct lua_watch){ .timeout_ns = timeout_ns, .older = mine };
	mine = w;
	if (!timeout_ns)
		return 0;
	/* A worker's thread is made with all signals blocked. */
	sigset_t tick;

	sigemptyset(&tick);
	sigaddset(&tick, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &tick, NULL);
	ev.sigev_value.sival_ptr = w;
	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (sigaction(SIGRTMIN, &act, NULL) < 0 || timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &w->timer) < 0)
		return -errno;
	w->on = true;
	set_timer(w, timeout_ns / TICKS);
	return 0;
}

void watch_stop(struct lua_watch *w)
{
	if (w->on)
		timer_delete(w->timer);
	w->on = false;
	forget(w);
}

/* The hook was set, or the timer made to tick fast: as before the call. */
__attribute__((noinline, cold)) static void calm(struct lua_watch *w, bool lost)
{
	if (!lost)
		lua_sethook(w->L, NULL, 0, 0);
	w->stage = 0;
	w->ticks = 0;
	set_timer(w, w->timeout_ns / TICKS);
}

__attribute__((noinline)) int watch_call(struct lua_watch *w, lua_State *L, int on_error, unsigned allowed)
{
	w->L = L;
	w->most = allowed * TICKS;
	w->calls++;
	if (__builtin_setjmp(w->back)) {
		w = mine;
		calm(w, true);
		return WATCH_KILLED;
	}
	w->in_call = 1;
	int status = lua_pcall(L, 0, 0, on_error);
	w->in_call = 0;
	if (__builtin_expect(w->stage, 0))
		calm(w, false);
	return status;
}

__attribute__((noinline)) int watch_run(struct lua_watch *w, lua_State *L, lua_CFunction fn, void *ud, unsigned allowed)
{
	w->L = L;
	w->most = allowed * TICKS;
	w->calls++;
	if (__builtin_setjmp(w->back)) {
		calm(mine, true);
		return WATCH_KILLED;
	}
	w->in_call = 1;
	int status = lua_cpcall(L, fn, ud);
	w->in_call = 0;
	if (__builtin_expect(w->stage, 0))
		calm(w, false);
	if (status)
		lua_pop(L, 1);
	return status;
}

int watch_panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	log_error("Lua: %s", text ? text : "unknown error");
	if (mine && mine->in_call)
		jump_back(mine);
	return 0;
}
