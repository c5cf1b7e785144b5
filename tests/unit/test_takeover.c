/* One program in the place of another, while a worker goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fake_worker.h"
#include "takeover.h"

static void before(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
}

static void after(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
}

/* `before` has become `after`; nothing has become of anything else. */
static enum unbound rebind(void *arg, event_t event, struct handler *h)
{
	(void)arg, (void)event;
	if (h->fn != before)
		return h->fn ? UNBOUND_GONE : UNBOUND_UNNAMED;
	h->fn = after;
	return BOUND;
}

static void done(void *arg)
{
	++*(int *)arg;
}

static uint32_t mask_of(struct worker *w, const struct mos_conn *c)
{
	const struct mos_sock *s = pool_at(&w->d.socks, c->sock);

	return hset_at(&w->d.sets, s->set)->mask;
}

static const struct registration *only_one(struct worker *w, const struct mos_conn *c)
{
	const struct mos_sock *s = pool_at(&w->d.socks, c->sock);
	const struct hset *set = hset_at(&w->d.sets, s->set);

	assert_int_equal(set->nregs, 1);
	return &set->regs[0];
}

static void handlers_of_one_connection_go_on_or_are_counted(void **state)
{
	struct worker *w = fake_worker_new(), *bench = fake_worker_new();
	int over = 0;
	struct heir heir = { .rebind = rebind, .done = done, .arg = &over };

	(void)state;
	monitor_open(w, 0, false);
	monitor_open(bench, 0, false);
	struct mos_conn *bound = fake_conn(w, 1), *gone = fake_conn(w, 1), *unnamed = fake_conn(w, 1);
	int first = PASSIVE_MAX + 1;

	dispatch_register(&w->d, first, MOS_ON_PKT_IN, MOS_HK_SND, (struct handler){ .fn = before });
	dispatch_register(&w->d, first + 1, MOS_ON_PKT_IN, MOS_HK_SND, (struct handler){ .fn = after });
	dispatch_register(&w->d, first + 2, MOS_ON_PKT_IN, MOS_HK_SND, (struct handler){ .ref = 7 });
	assert_int_equal(takeover_begin(w, bench, &heir), 0);
	assert_int_equal(over, 0);
	assert_true(takeover_walk(w, UINT32_MAX));
	assert_int_equal(over, 1);
	assert_ptr_equal(only_one(w, bound)->handler.fn, after);
	assert_int_equal(mask_of(w, gone), 0);
	assert_int_equal(mask_of(w, unnamed), 0);
	assert_int_equal(w->stats.handlers_unbound, 1);
	assert_int_equal(w->stats.handlers_unnamed, 1);
	fake_worker_free(w);
	fake_worker_free(bench);
}

/* An input without packets, that ends when nobody has to follow any more. */
struct silent {
	struct io io;
	const struct worker *w;
	int longest_ms;
	unsigned waits;
};

static int silent_rx(struct io *io, struct mos_packet *pkts, unsigned n)
{
	(void)pkts, (void)n;
	return ((struct silent *)io)->w->takeover ? 0 : IO_END;
}

static void silent_wait(struct io *io, int timeout_ms)
{
	struct silent *s = (struct silent *)io;

	s->waits++;
	s->longest_ms = timeout_ms > s->longest_ms ? timeout_ms : s->longest_ms;
}

static void silent_free(struct io *io)
{
	(void)io;
}

static const struct io_ops silent_ops = {
	.name = "silent",
	.rx_burst = silent_rx,
	.free_burst = silent_free,
	.wait = silent_wait,
	.close = silent_free,
};

static void a_worker_does_not_sleep_while_connections_follow(void **state)
{
	struct worker *w = fake_worker_new(), *bench = fake_worker_new();
	struct silent in = { .io = { .ops = &silent_ops, .wake_fd = -1 }, .w = w };
	struct heir heir = { .record = NULL };

	(void)state;
	monitor_open(w, 0, false);
	monitor_open(bench, 0, false);
	for (unsigned i = 0; i < 90; i++)
		fake_conn(w, 1);
	assert_int_equal(takeover_begin(w, bench, &heir), 0);
	w->in = &in.io;
	assert_int_equal(worker_run(w, NULL, NULL), IO_END);
	assert_true(in.waits >= 2);
	assert_int_equal(in.longest_ms, 0);
	fake_worker_free(w);
	fake_worker_free(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_of_one_connection_go_on_or_are_counted),
		cmocka_unit_test(a_worker_does_not_sleep_while_connections_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
