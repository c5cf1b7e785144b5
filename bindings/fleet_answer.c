/* The commands of the control socket. docs/control.md describes them. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/filter.h"
#include "fleet.h"
#include "lua_vm.h"
#include "native.h"
#include "pkt/decode.h"
#include "tcp/fsm.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/suggest.h"

/* A worker's state as it is between two bursts. */
struct look {
	struct lua_vm *vm;
	struct native *native;
	struct stats stats;
	struct vm_health health;
	uint32_t conns;
	bool following;
};

static void look_at(struct worker *w, void *arg)
{
	struct look *l = arg;

	l->stats = w->stats;
	l->stats.handler_calls = w->d.calls;
	if (w->d.engine.count)
		w->d.engine.count(w->d.engine.arg, &l->stats);
	l->conns = w->conns.used;
	l->following = w->takeover;
	if (l->vm)
		vm_health(l->vm, &l->health);
	else if (l->native)
		l->health.reloads = native_reloads(l->native);
}

static int look(const struct fleet *f, unsigned i, struct look *l)
{
	*l = (struct look){ .vm = f->vm[i], .native = f->native[i] };
	return crew_call(f->crew, i, look_at, l);
}

static void answer_status(struct fleet *f, const struct request *r, struct answer *a)
{
	uint64_t packets = 0, conns = 0;
	struct look l;

	(void)r;
	for (unsigned i = 0; i < f->crew->n; i++) {
		if (look(f, i, &l) < 0)
			continue;
		packets += l.stats.packets;
		conns += l.conns;
	}
	answer_string(a, "version", f->version);
	answer_number(a, "pid", (uint64_t)getpid());
	answer_string(a, "script", f->script ? f->script : "");
	answer_number(a, "workers", f->crew->n);
	answer_real(a, "uptime", (double)(clock_ns() - f->began_ns) / 1e9);
	answer_number(a, "packets", packets);
	answer_number(a, "connections", conns);
	if (fleet_reloads(f)) {
		answer_string(a, "reload_under_way", f->job.path ? f->job.path : f->script);
		answer_real(a, "reload_seconds", (double)(clock_ns() - f->job.began_ns) / 1e9);
	}
	answer_number(a, "reloads", f->reloads);
	answer_number(a, "refused_reloads", f->refused);
	if (f->native[0])
		answer_number(a, "old_copies", f->old_copies);
	if (f->fault[0])
		answer_string(a, "last_refused", f->fault);
}

/* A counter, or the nanoseconds of the handlers in Lua of one built-in event at one hook, on average, sampled. */
struct figure {
	char name[48];
	uint64_t n;
	bool there; /* it has a value */
};

#define X(field, meaning) +1
enum { COUNTERS = 0 STATS_LIST(X), FIGURES = COUNTERS + 1 + SLOT_COUNT };
#undef X

static void time_figure(struct figure *to, unsigned slot, const struct stats *s)
{
	const struct event *e = event_find(slot_event(slot));
	uint32_t hook = slot_hook(slot);
	const char *at = hook == MOS_HK_SND ? "_snd" : hook == MOS_HK_RCV ? "_rcv" : "";

	snprintf(to->name, sizeof(to->name), "ns_%s%s", e ? e->name : "?", at);
	to->there = s->sampled[slot];
	to->n = to->there ? s->sampled_ns[slot] / s->sampled[slot] : 0;
}

/* All that there are, in the same places whatever the worker. */
static void take_figures(struct figure to[FIGURES], const struct stats *s)
{
#define X(field, meaning) *to++ = (struct figure){ #field, s->field, true };
	STATS_LIST(X)
#undef X
	*to++ = (struct figure){ "gc_longest_us", s->gc_longest_us, true };
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		time_figure(to++, i, s);
}

static void answer_figures(struct answer *a, const struct figure *v)
{
	for (unsigned k = 0; k < FIGURES; k++)
		if (v[k].there)
			answer_number(a, v[k].name, v[k].n);
}

/* For people, several workers are columns beside their sum. */
static void answer_columns(struct answer *a, const struct figure *sum, const struct figure (*of)[FIGURES],
			   const unsigned *worker, unsigned n)
{
	answer_text(a, "%-22s %14s", "", "all");
	for (unsigned i = 0; i < n; i++)
		answer_text(a, "  %10s %3u", "worker", worker[i]);
	answer_text(a, "\n");
	for (unsigned k = 0; k < FIGURES; k++) {
		if (!sum[k].there)
			continue;
		answer_text(a, "%-22s %14" PRIu64, sum[k].name, sum[k].n);
		for (unsigned i = 0; i < n; i++)
			answer_text(a, "  %14" PRIu64, of[i][k].n);
		answer_text(a, "\n");
	}
}

static void answer_each(struct answer *a, const struct figure (*of)[FIGURES], const unsigned *worker, unsigned n)
{
	answer_list(a, "workers");
	for (unsigned i = 0; i < n; i++) {
		answer_item(a);
		answer_number(a, "worker", worker[i]);
		answer_figures(a, of[i]);
		answer_item_end(a);
	}
	answer_list_end(a);
}

static void answer_stats(struct fleet *f, const struct request *r, struct answer *a)
{
	struct figure(*of)[FIGURES] = calloc(f->crew->n, sizeof(*of)), all[FIGURES];
	unsigned worker[WORKERS_MAX], n = 0;
	struct stats sum = { 0 };
	struct look l;

	(void)r;
	for (unsigned i = 0; of && i < f->crew->n; i++) {
		if (look(f, i, &l) < 0)
			continue;
		stats_add(&sum, &l.stats);
		take_figures(of[n], &l.stats);
		worker[n++] = i + 1;
	}
	take_figures(all, &sum);
	answer_quiet(a, n > 1);
	answer_figures(a, all);
	answer_quiet(a, true);
	answer_each(a, (const struct figure(*)[FIGURES])of, worker, n);
	answer_quiet(a, false);
	if (n > 1)
		answer_columns(a, all, (const struct figure(*)[FIGURES])of, worker, n);
	free(of);
}

static void answer_worker(const struct fleet *f, unsigned i, struct answer *a)
{
	struct look l;

	answer_item(a);
	answer_number(a, "worker", i + 1);
	if (look(f, i, &l) < 0) {
		answer_string(a, "state", "ended");
	} else {
		answer_string(a, "state", l.following ? "following" : "running");
		answer_number(a, "packets", l.stats.packets);
		answer_number(a, "connections", l.conns);
		answer_number(a, "errors", l.stats.handler_errors);
		answer_number(a, "reloads", l.health.reloads);
		answer_number(a, "fresh_states", l.stats.script_starts);
		answer_number(a, "script_memory", l.health.memory);
	}
	answer_item_end(a);
}

static void answer_workers(struct fleet *f, const struct request *r, struct answer *a)
{
	(void)r;
	answer_list(a, "list");
	for (unsigned i = 0; i < f->crew->n; i++)
		answer_worker(f, i, a);
	answer_list_end(a);
}

/* A number of a worker in a member, from 1: -1 without one, -2 where it is wrong. */
static int worker_of_request(const struct fleet *f, const struct request *r, struct answer *a)
{
	const struct member *m = request_member(r, "worker");
	char *end;

	if (!m || m->kind == MEMBER_NULL)
		return -1;
	unsigned long n = m->text ? strtoul(m->text, &end, 10) : 0;
	if (m->text && !*end && n >= 1 && n <= f->crew->n)
		return (int)n - 1;
	answer_error(a, "worker: there are workers 1 to %u", f->crew->n);
	return -2;
}

/* True if it is answered already: it has not begun. */
static bool begin_reload(struct fleet *f, const struct request *r, struct answer *a)
{
	int worker = worker_of_request(f, r, a);
	char err[1024];

	if (worker == -2)
		return true;
	if (fleet_reload(f, request_string(r, "script"), worker, by_request, err, sizeof(err)) == 0)
		return false;
	answer_error(a, "%s", err);
	return true;
}

bool fleet_answer_later(void *fleet, struct answer *a)
{
	struct fleet *f = fleet;
	struct reload_job *j = &f->job;

	if (!j->answers)
		return false;
	j->answers = false;
	if (j->rc < 0) {
		answer_error(a, "%s", j->err);
		return true;
	}
	answer_string(a, "script", f->script);
	answer_real(a, "pause_us", (double)j->pause_ns[0] / 1000);
	answer_real(a, "longest_pause_us", (double)j->pause_ns[1] / 1000);
	return true;
}

/* Connections are copied a few at a time, so that the packets do not wait. */
enum { CONNS_PER_CALL = 256, CONNS_MOST = 1000 };

struct conn_page {
	struct mos_conn conn[CONNS_PER_CALL];
	uint32_t n, next; /* next: where to go on; 0: nothing is left */
};

static void take_page(struct worker *w, void *arg)
{
	struct conn_page *p = arg;
	uint32_t i = p->next;

	p->n = 0;
	for (unsigned looked = 0; i <= w->conns.top && looked < 4 * CONNS_PER_CALL && p->n < CONNS_PER_CALL;
	     i++, looked++)
		if (worker_conn(w, i)->flags & MOS_CONN_LIVE)
			p->conn[p->n++] = *worker_conn(w, i);
	p->next = i <= w->conns.top ? i : 0;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A segment from its client, for filters to look at. */
static void fill_segment(const struct mos_conn *c, struct mos_packet *p, uint8_t *frame)
{
	int v6 = c->key.family == 6, head = v6 ? 40 : 20, at = v6 ? 8 : 12, len = v6 ? 16 : 4;
	enum { DLT_RAW_IP = 12 };

	memset(frame, 0, 60);
	frame[0] = v6 ? 0x60 : 0x45;
	put16(frame + (v6 ? 4 : 2), v6 ? 20 : 40);
	frame[v6 ? 6 : 9] = IPPROTO_TCP;
	memcpy(frame + at, c->key.addr_be[c->cli], (size_t)len);
	memcpy(frame + at + len, c->key.addr_be[!c->cli], (size_t)len);
	put16(frame + head, c->key.port[c->cli]);
	put16(frame + head + 2, c->key.port[!c->cli]);
	frame[head + 12] = 0x50;
	frame[head + 13] = MOS_TH_SYN;
	*p = (struct mos_packet){
		.data = frame, .caplen = (uint32_t)head + 20, .len = (uint32_t)head + 20, .link = DLT_RAW_IP
	};
	packet_decode(p);
}

static void end_text(const struct mos_conn *c, int side, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN];
	int at = c->cli ^ side;

	inet_ntop(c->key.family == 6 ? AF_INET6 : AF_INET, c->key.addr_be[at], addr, sizeof(addr));
	snprintf(text, size, c->key.family == 6 ? "[%s]:%u" : "%s:%u", addr, c->key.port[at]);
}

static void answer_conn(unsigned worker, const struct mos_conn *c, struct answer *a)
{
	char text[64];

	answer_item(a);
	answer_number(a, "worker", worker + 1);
	end_text(c, MOS_SIDE_CLI, text, sizeof(text));
	answer_string(a, "client", text);
	end_text(c, MOS_SIDE_SVR, text, sizeof(text));
	answer_string(a, "server", text);
	answer_string(a, "client_state", fsm_name(c->end[MOS_SIDE_CLI].state));
	answer_string(a, "server_state", fsm_name(c->end[MOS_SIDE_SVR].state));
	answer_number(a, "packets", c->end[0].pkts + c->end[1].pkts);
	answer_real(a, "duration", (double)(c->last_ns - c->start_ns) / 1e9);
	answer_item_end(a);
}

static void answer_conns_of(const struct fleet *f, unsigned i, struct pkt_filter *filter, unsigned *shown,
			    struct answer *a)
{
	struct conn_page *page = malloc(sizeof(*page));
	struct mos_packet p;
	uint8_t frame[60];

	if (page)
		page->next = 1;
	while (page && page->next && *shown < CONNS_MOST && crew_call(f->crew, i, take_page, page) == 0) {
		for (uint32_t k = 0; k < page->n && *shown < CONNS_MOST; k++) {
			fill_segment(&page->conn[k], &p, frame);
			if (!filter_match(filter, &p))
				continue;
			answer_conn(i, &page->conn[k], a);
			++*shown;
		}
	}
	free(page);
}

static void answer_conns(struct fleet *f, const struct request *r, struct answer *a)
{
	const char *text = request_string(r, "filter");
	struct pkt_filter *filter = NULL;
	unsigned shown = 0;
	char err[512];

	if (text && !(filter = filter_compile(text, FILTER_INNER, err, sizeof(err)))) {
		answer_error(a, "%s", err);
		return;
	}
	answer_list(a, "list");
	for (unsigned i = 0; i < f->crew->n; i++)
		answer_conns_of(f, i, filter, &shown, a);
	answer_list_end(a);
	if (shown == CONNS_MOST)
		answer_string(a, "note", "there may be more: this is as many as one answer holds");
	filter_free(filter);
}

struct setting {
	const char *name, *values;
	bool (*parse)(const char *text, uint64_t *value);
	void (*apply)(struct worker *w, struct lua_vm *vm, uint64_t value);
};

static bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *value <= UINT32_MAX;
}

static bool parse_word(const char *const *words, unsigned n, const char *text, uint64_t *value)
{
	for (*value = 0; *value < n; ++*value)
		if (!strcmp(text, words[*value]))
			return true;
	return false;
}

static bool parse_on_error(const char *text, uint64_t *value)
{
	static const char *const words[] = {
		[ON_ERROR_PASS] = "pass", [ON_ERROR_DROP] = "drop", [ON_ERROR_STOP] = "stop"
	};

	return parse_word(words, 3, text, value);
}

static bool parse_log(const char *text, uint64_t *value)
{
	static const char *const words[] = { "quiet", "normal", "verbose" };

	return parse_word(words, 3, text, value);
}

static void apply_max_errors(struct worker *w, struct lua_vm *vm, uint64_t value)
{
	w->set.max_errors = (uint32_t)value;
	if (vm)
		vm_set_max_errors(vm, (uint32_t)value);
}

static void apply_on_error(struct worker *w, struct lua_vm *vm, uint64_t value)
{
	(void)vm;
	w->set.on_error = (enum on_error)value;
}

static void apply_linger(struct worker *w, struct lua_vm *vm, uint64_t value)
{
	(void)vm;
	w->set.linger_ns = value * 1000000000;
}

static void apply_log(struct worker *w, struct lua_vm *vm, uint64_t value)
{
	(void)w;
	(void)vm;
	log_set_level((enum log_level)(LOG_WARN + value));
}

static const struct setting settings[] = {
	{ "max-errors", "a number per second, 0 for any", parse_number, apply_max_errors },
	{ "on-error", "pass, drop or stop", parse_on_error, apply_on_error },
	{ "linger", "seconds", parse_number, apply_linger },
	{ "log", "quiet, normal or verbose", parse_log, apply_log },
};

enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

struct change {
	const struct setting *s;
	struct lua_vm *vm;
	uint64_t value;
};

static void apply(struct worker *w, void *arg)
{
	const struct change *c = arg;

	c->s->apply(w, c->vm, c->value);
}

static const struct setting *setting_of(const char *key, struct answer *a)
{
	const char *names[SETTINGS];

	for (unsigned i = 0; i < SETTINGS; i++) {
		names[i] = settings[i].name;
		if (!strcmp(names[i], key))
			return &settings[i];
	}
	const char *near = suggest_nearest(key, names, SETTINGS);

	if (near)
		answer_error(a, "unknown setting '%s'; did you mean '%s'?", key, near);
	else
		answer_error(a, "unknown setting '%s'; there is max-errors, on-error, linger, log", key);
	return NULL;
}

static void answer_set(struct fleet *f, const struct request *r, struct answer *a)
{
	const char *key = request_string(r, "key");
	const struct member *m = request_member(r, "value");
	struct change c;

	if (!key || !m || !m->text) {
		answer_error(a, "set needs a key and a value");
		return;
	}
	c.s = setting_of(key, a);
	if (!c.s)
		return;
	if (!c.s->parse(m->text, &c.value)) {
		answer_error(a, "%s takes %s, not '%s'", key, c.s->values, m->text);
		return;
	}
	for (unsigned i = 0; i < f->crew->n; i++) {
		c.vm = f->vm[i];
		crew_call(f->crew, i, apply, &c);
	}
	answer_string(a, key, m->text);
}

static void answer_stop(struct fleet *f, const struct request *r, struct answer *a)
{
	(void)r;
	crew_stop(f->crew);
	answer_string(a, "state", "ending");
}

static const struct {
	const char *name;
	void (*answer)(struct fleet *f, const struct request *r, struct answer *a);
} commands[] = {
	{ "status", answer_status }, { "stats", answer_stats }, { "workers", answer_workers },
	{ "conns", answer_conns },   { "set", answer_set },     { "stop", answer_stop },
};

bool fleet_answer(void *fleet, const struct request *r, struct answer *a)
{
	const char *command = request_string(r, "do");

	if (command && !strcmp(command, "reload"))
		return begin_reload(fleet, r, a);
	for (size_t i = 0; command && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(command, commands[i].name)) {
			commands[i].answer(fleet, r, a);
			return true;
		}
	}
	if (command)
		answer_error(a, "unknown command '%s'; there is status, stats, workers, conns, reload, set, stop",
			     command);
	else
		answer_error(a, "a request needs \"do\", its command");
	return true;
}
