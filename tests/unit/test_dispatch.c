/* Dispatch: bits in, calls out. Connections are made by hand; handlers and filters write down how they were called. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/dispatch.h"

enum { CONNS = 4 };

static struct mtcp_context context;
static struct dispatch d;
static struct mos_conn conns[CONNS];
static struct mos_packet packet;

/* What was called, as text: "1:pkt_in" is socket 1 of the connection, "a?" a filter's question. */
static char record[4096];

static struct {
	bool no;            /* a filter's answer */
	void (*also)(void); /* what a handler or filter does besides */
	const char *name;
} node[1024]; /* by event index */

static const char *event_text(event_t event)
{
	const struct event *e = event_find(event);

	return e ? node[e->index].name ? node[e->index].name : e->name : "none";
}

static void note(const char *suffix)
{
	size_t n = strlen(record);
	int sock = d.ctx->sock - (d.ctx->conn ? PASSIVE_MAX : 0);

	snprintf(record + n, sizeof(record) - n, "%s%d:%s%s", n ? " " : "", sock, event_text(d.ctx->event), suffix);
}

static void act(void)
{
	const struct event *e = event_find(d.ctx->event);

	assert_int_equal(d.ctx->in_handler, 1);
	if (node[e->index].also)
		node[e->index].also();
}

static void check_arguments(mctx_t m, int sock, int side, event_t event, const filter_arg_t *arg)
{
	assert_ptr_equal(m, &context);
	assert_int_equal(sock, d.ctx->sock);
	assert_int_equal(side, d.ctx->side);
	assert_int_equal(event, d.ctx->event);
	assert_ptr_equal(arg, &event_find(event)->arg);
}

static bool filter(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	check_arguments(m, sock, side, event, arg);
	note("?");
	act();
	return !node[event_find(event)->index].no;
}

static void handler(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	check_arguments(m, sock, side, event, arg);
	note("");
	act();
}

static const struct handler on = { handler, 0 }, off = { NULL, 0 };

static event_t define(event_t parent, const char *name)
{
	event_t id = event_define(parent, EVENT_C, filter, NULL, NULL, NULL);

	node[event_find(id)->index].name = name;
	return id;
}

static event_t alloc(event_t parent, const char *name)
{
	event_t id = event_define(parent, EVENT_RAISED, NULL, NULL, NULL, NULL);

	node[event_find(id)->index].name = name;
	return id;
}

static void also(event_t event, void (*what)(void))
{
	node[event_find(event)->index].also = what;
}

static void answer(event_t event, bool yes)
{
	node[event_find(event)->index].no = !yes;
}

static int setup(void **state)
{
	(void)state;
	events_reset();
	memset(node, 0, sizeof(node));
	memset(conns, 0, sizeof(conns));
	record[0] = '\0';
	assert_int_equal(dispatch_init(&d, &context, 1000), 0);
	d.ctx->conns = conns;
	for (uint32_t i = 0; i < PASSIVE_MAX; i++)
		hset_get(&d.sets, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dispatch_fini(&d);
	return 0;
}

/* A passive socket that listens to nothing yet. */
static int passive(int number)
{
	d.passive[number].used = true;
	dispatch_refresh_passive(&d);
	return number;
}

static void listen_at(int sock, event_t event, uint32_t hook)
{
	assert_int_equal(dispatch_register(&d, sock, event, hook, on), 0);
}

/* Connection i, with sockets of the first n passive ones. */
static struct mos_conn *open_conn(uint32_t i, uint32_t n)
{
	conns[i].flags = MOS_CONN_LIVE;
	for (uint32_t k = 0; k < n; k++)
		assert_true(dispatch_open(&d, &conns[i], i, k) > PASSIVE_MAX);
	return &conns[i];
}

/* What runs when bits are raised; the record starts anew. */
static const char *raise(struct mos_conn *c, uint32_t bits, int side)
{
	static char text[sizeof(record)];

	record[0] = '\0';
	dispatch_conn(&d, c, bits, side, &packet);
	assert_null(d.ctx->pkt);
	assert_null(d.ctx->conn);
	assert_int_equal(d.ctx->event, 0);
	assert_int_equal(d.ctx->sock, 0);
	assert_int_equal(d.ctx->side, 0);
	assert_int_equal(d.ctx->hook, 0);
	assert_int_equal(d.ctx->in_handler, 0);
	assert_int_equal(d.raised_n, 0);
	assert_null(d.pins);
	return strcpy(text, record);
}

static void sockets_are_served_in_order_of_creation_and_events_in_slot_order(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		listen_at(passive(i), MOS_ON_TCP_STATE_CHANGE, MOS_HK_RCV);
		listen_at(i, MOS_ON_PKT_IN, MOS_HK_RCV);
		if (i != 1)
			listen_at(i, MOS_ON_CONN_START, MOS_HK_RCV);
	}
	struct mos_conn *c = open_conn(1, 3);

	assert_string_equal(raise(c, BIT_TCP_STATE_CHANGE_RCV | BIT_PKT_IN_RCV | BIT_CONN_START_RCV, MOS_SIDE_SVR),
			    "1:pkt_in 1:conn_start 1:tcp_state_change 2:pkt_in 2:tcp_state_change "
			    "3:pkt_in 3:conn_start 3:tcp_state_change");
	assert_int_equal(d.calls, 8);
	assert_int_equal(d.counts[SLOT_PKT_IN_RCV], 1);
	assert_int_equal(d.counts[SLOT_CONN_START_RCV], 1);
	assert_int_equal(d.counts[SLOT_PKT_IN_SND], 0);
}

static void an_event_that_nobody_listens_to_calls_nobody(void **state)
{
	(void)state;
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_RCV);
	struct mos_conn *c = open_conn(1, 1);

	assert_int_equal(c->mask, BIT_PKT_IN_RCV);
	assert_string_equal(raise(c, BIT_PKT_IN_SND | BIT_CONN_START_SND, MOS_SIDE_CLI), "");
	assert_int_equal(d.counts[SLOT_PKT_IN_SND], 0);
}

static void ctx_says_what_is_in_dispatch(void)
{
	assert_ptr_equal(d.ctx->pkt, &packet);
	assert_ptr_equal(d.ctx->conn, &conns[2]);
	assert_int_equal(d.ctx->event, MOS_ON_REXMIT);
	assert_int_equal(d.ctx->sock, PASSIVE_MAX + 1);
	assert_int_equal(d.ctx->side, MOS_SIDE_SVR);
	assert_int_equal(d.ctx->hook, MOS_HK_SND);
}

static void the_context_is_set_before_a_call_and_put_back_after(void **state)
{
	(void)state;
	listen_at(passive(0), MOS_ON_REXMIT, MOS_HK_SND);
	also(MOS_ON_REXMIT, ctx_says_what_is_in_dispatch);
	assert_string_equal(raise(open_conn(2, 1), BIT_REXMIT_SND, MOS_SIDE_SVR), "1:rexmit");
}

static void user_events_follow_their_base_and_a_false_filter_prunes_what_lies_below(void **state)
{
	event_t a = define(MOS_ON_PKT_IN, "a"), b = define(MOS_ON_PKT_IN, "b"), aa = define(a, "aa");
	event_t aaa = define(aa, "aaa"), ab = define(a, "ab");

	(void)state;
	listen_at(passive(0), aaa, MOS_HK_SND);
	listen_at(0, ab, MOS_HK_SND);
	listen_at(0, b, MOS_HK_SND);
	listen_at(0, a, MOS_HK_SND);
	listen_at(0, MOS_ON_PKT_IN, MOS_HK_SND);
	listen_at(0, MOS_ON_CONN_START, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);
	const uint32_t bits = BIT_PKT_IN_SND | BIT_CONN_START_SND;

	assert_string_equal(raise(c, bits, 0), "1:pkt_in 1:a? 1:a 1:aa? 1:aaa? 1:aaa 1:ab? 1:ab 1:b? 1:b 1:conn_start");
	answer(aa, false);
	assert_string_equal(raise(c, bits, 0), "1:pkt_in 1:a? 1:a 1:aa? 1:ab? 1:ab 1:b? 1:b 1:conn_start");
	answer(a, false);
	assert_string_equal(raise(c, bits, 0), "1:pkt_in 1:a? 1:b? 1:b 1:conn_start");
	answer(b, false);
	assert_string_equal(raise(c, bits, 0), "1:pkt_in 1:a? 1:b? 1:conn_start");
}

static void a_filter_that_nobody_listens_to_does_not_run(void **state)
{
	event_t a = define(MOS_ON_PKT_IN, "a"), aa = define(a, "aa");

	(void)state;
	define(MOS_ON_PKT_IN, "b");
	define(aa, "aaa");
	listen_at(passive(0), aa, MOS_HK_SND);
	listen_at(0, MOS_ON_PKT_IN, MOS_HK_RCV);
	struct mos_conn *c = open_conn(1, 1);

	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a? 1:aa? 1:aa");
	assert_string_equal(raise(c, BIT_PKT_IN_RCV, 1), "1:pkt_in");
}

static void the_argument_given_at_definition_reaches_filter_and_handler(void **state)
{
	char text[] = "abc";
	const struct filter_arg arg = { text, 4 };
	event_t a = event_define(MOS_ON_PKT_IN, EVENT_C, filter, &arg, NULL, NULL);

	(void)state;
	node[event_find(a)->index].name = "a";
	listen_at(passive(0), a, MOS_HK_SND);
	/* check_arguments compares its address with the event's own. */
	assert_string_equal(raise(open_conn(1, 1), BIT_PKT_IN_SND, 0), "1:a? 1:a");
}

static event_t changed;

static void registers_everywhere(void)
{
	assert_int_equal(dispatch_register(&d, PASSIVE_MAX + 1, MOS_ON_CONN_START, MOS_HK_SND, on), 0);
	assert_int_equal(dispatch_register(&d, PASSIVE_MAX + 2, changed, MOS_HK_SND, on), 0);
	assert_int_equal(dispatch_register(&d, PASSIVE_MAX + 1, MOS_ON_PKT_IN, MOS_HK_SND, off), 0);
}

static void a_change_inside_a_handler_takes_effect_from_the_next_hook(void **state)
{
	(void)state;
	changed = define(MOS_ON_PKT_IN, "a");
	for (int i = 0; i < 2; i++)
		listen_at(passive(i), MOS_ON_PKT_IN, MOS_HK_SND);
	listen_at(0, MOS_ON_CONN_END, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 2);
	const uint32_t bits = BIT_PKT_IN_SND | BIT_CONN_START_SND;

	also(MOS_ON_PKT_IN, registers_everywhere);
	assert_string_equal(raise(c, bits, 0), "1:pkt_in 2:pkt_in");
	also(MOS_ON_PKT_IN, NULL);
	assert_string_equal(raise(c, bits, 0), "1:conn_start 2:pkt_in 2:a? 2:a");
	assert_int_equal(c->mask, BIT_PKT_IN_SND | BIT_CONN_START_SND | BIT_CONN_END_SND);
}

static void unregisters_all(void)
{
	dispatch_register(&d, d.ctx->sock, MOS_ON_PKT_IN, MOS_HK_SND, off);
	dispatch_register(&d, d.ctx->sock, changed, MOS_HK_SND, off);
	hsets_trim(&d.sets);
}

static void a_handler_may_remove_all_handlers_of_its_own_socket(void **state)
{
	(void)state;
	changed = define(MOS_ON_PKT_IN, "a");
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_SND);
	listen_at(0, changed, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);

	/* The passive socket's set is not the one that keeps the connection's alive. */
	dispatch_register(&d, PASSIVE_MAX + 1, MOS_ON_CONN_END, MOS_HK_SND, on);
	dispatch_register(&d, PASSIVE_MAX + 1, MOS_ON_CONN_END, MOS_HK_SND, off);
	dispatch_register(&d, 0, changed, MOS_HK_SND, off);
	also(MOS_ON_PKT_IN, unregisters_all);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:pkt_in 1:a? 1:a");
	assert_int_equal(c->mask, 0);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "");
}

static void a_change_on_a_passive_socket_concerns_later_connections(void **state)
{
	(void)state;
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_SND);
	struct mos_conn *before = open_conn(1, 1);

	listen_at(0, MOS_ON_CONN_START, MOS_HK_SND);
	dispatch_register(&d, 0, MOS_ON_PKT_IN, MOS_HK_SND, off);
	struct mos_conn *after = open_conn(2, 1);

	assert_string_equal(raise(before, BIT_PKT_IN_SND | BIT_CONN_START_SND, 0), "1:pkt_in");
	assert_string_equal(raise(after, BIT_PKT_IN_SND | BIT_CONN_START_SND, 0), "2:conn_start");
}

static void a_change_on_an_active_socket_concerns_its_connection_alone(void **state)
{
	(void)state;
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_SND);
	struct mos_conn *one = open_conn(1, 1), *two = open_conn(2, 1);

	assert_int_equal(dispatch_register(&d, PASSIVE_MAX + 1, MOS_ON_CONN_START, MOS_HK_SND, on), 0);
	assert_string_equal(raise(one, BIT_PKT_IN_SND | BIT_CONN_START_SND, 0), "1:pkt_in 1:conn_start");
	assert_string_equal(raise(two, BIT_PKT_IN_SND | BIT_CONN_START_SND, 0), "2:pkt_in");
}

static void a_wrong_registration_is_refused(void **state)
{
	(void)state;
	passive(0);
	passive(1);
	d.passive[1].raw = true;
	open_conn(1, 1);

	static const struct {
		int sock;
		event_t event;
		uint32_t hook;
		int err;
	} calls[] = {
		{ 2, MOS_ON_PKT_IN, MOS_HK_SND, -EBADF },
		{ -1, MOS_ON_PKT_IN, MOS_HK_SND, -EBADF },
		{ PASSIVE_MAX, MOS_ON_PKT_IN, MOS_HK_SND, -EBADF },
		{ PASSIVE_MAX + 2, MOS_ON_PKT_IN, MOS_HK_SND, -EBADF },
		{ 0x7fffffff, MOS_ON_PKT_IN, MOS_HK_SND, -EBADF },
		{ (int)0x80000000, MOS_ON_PKT_IN, MOS_HK_SND, -EBADF },
		{ 0, MOS_ON_CONN_START, MOS_NULL, -EINVAL },
		{ PASSIVE_MAX + 1, MOS_ON_ORPHAN, MOS_HK_RCV, -EINVAL },
		{ PASSIVE_MAX + 1, EVENT_USER | 8, MOS_HK_RCV, -EINVAL },
		{ 1, MOS_ON_PKT_IN, MOS_HK_SND, -EINVAL },
		{ 1, MOS_ON_PKT_IN, MOS_NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_int_equal(dispatch_register(&d, calls[i].sock, calls[i].event, calls[i].hook, on), calls[i].err);
}

static int stop_side;

/* These act in the first socket's handlers only. */
static struct mos_sock *first_socket(void)
{
	return d.ctx->sock == PASSIVE_MAX + 1 ? dispatch_sock(&d, d.ctx->sock) : NULL;
}

static void stops_a_side_of_its_connection(void)
{
	if (first_socket())
		d.ctx->conn->end[stop_side].flags |= MOS_END_STOPPED;
}

static void stops_its_connection(void)
{
	if (first_socket())
		d.ctx->conn->flags |= MOS_CONN_STOPPED;
}

static void stops_a_side_of_its_socket(void)
{
	if (first_socket())
		first_socket()->flags |= (uint16_t)(MOS_SOCK_STOPPED_CLI << stop_side);
}

static void closes_its_socket(void)
{
	if (first_socket())
		first_socket()->flags |= MOS_SOCK_CLOSED;
}

static void what_is_stopped_or_closed_hears_nothing_from_then_on(void **state)
{
	static const char all[] = "1:pkt_in 1:a? 1:a 1:conn_end 2:pkt_in 2:conn_end";
	static const char both[] = "1:conn_end 2:conn_end", second[] = "2:conn_end";
	static const struct {
		void (*what)(void);
		int side;
		const char *now, *later_cli, *later_svr;
	} cases[] = {
		{ stops_a_side_of_its_connection, MOS_SIDE_CLI, "1:pkt_in", "", both },
		{ stops_a_side_of_its_connection, MOS_SIDE_SVR, all, both, "" },
		{ stops_its_connection, 0, "1:pkt_in", "", "" },
		{ stops_a_side_of_its_socket, MOS_SIDE_CLI, "1:pkt_in 2:pkt_in 2:conn_end", second, both },
		{ stops_a_side_of_its_socket, MOS_SIDE_SVR, all, both, second },
		{ closes_its_socket, 0, "1:pkt_in 2:pkt_in 2:conn_end", second, second },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		teardown(state);
		setup(state);
		event_t a = define(MOS_ON_PKT_IN, "a");

		for (int k = 0; k < 2; k++) {
			listen_at(passive(k), MOS_ON_PKT_IN, MOS_HK_SND);
			listen_at(k, MOS_ON_CONN_END, MOS_HK_SND);
		}
		listen_at(0, a, MOS_HK_SND);
		struct mos_conn *c = open_conn(1, 2);

		stop_side = cases[i].side;
		also(MOS_ON_PKT_IN, cases[i].what);
		assert_string_equal(raise(c, BIT_PKT_IN_SND | BIT_CONN_END_SND, 0), cases[i].now);
		assert_string_equal(raise(c, BIT_CONN_END_SND, MOS_SIDE_CLI), cases[i].later_cli);
		assert_string_equal(raise(c, BIT_CONN_END_SND, MOS_SIDE_SVR), cases[i].later_svr);
	}
}

static void a_filter_that_stops_its_side_keeps_its_own_event_from_running(void **state)
{
	event_t a = define(MOS_ON_PKT_IN, "a");

	(void)state;
	listen_at(passive(0), a, MOS_HK_SND);
	also(a, stops_its_connection);
	assert_string_equal(raise(open_conn(1, 1), BIT_PKT_IN_SND, 0), "1:a?");
}

static void the_mask_says_what_the_sockets_that_are_left_listen_to(void **state)
{
	(void)state;
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_SND);
	listen_at(passive(1), MOS_ON_CONN_END, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 2);
	struct mos_sock *one = dispatch_sock(&d, PASSIVE_MAX + 1), *two = dispatch_sock(&d, PASSIVE_MAX + 2);

	assert_int_equal(c->mask, BIT_PKT_IN_SND | BIT_CONN_END_SND);
	one->flags |= MOS_SOCK_STOPPED_CLI;
	dispatch_refresh(&d, c);
	assert_int_equal(c->mask, BIT_PKT_IN_SND | BIT_CONN_END_SND);
	one->flags |= MOS_SOCK_STOPPED_SVR;
	dispatch_refresh(&d, c);
	assert_int_equal(c->mask, BIT_CONN_END_SND);
	two->flags |= MOS_SOCK_CLOSED;
	dispatch_refresh(&d, c);
	assert_int_equal(c->mask, 0);
	one->flags &= (uint16_t)~MOS_SOCK_STOPPED_SVR;
	c->flags |= MOS_CONN_STOPPED;
	dispatch_refresh(&d, c);
	assert_int_equal(c->mask, 0);
}

static event_t to_raise[4];
static int raise_result;

static void raises(void)
{
	for (int i = 0; i < 4 && to_raise[i]; i++)
		assert_int_equal(dispatch_raise(&d, to_raise[i], d.ctx->side), 0);
	note("!");
}

static void raises_on(event_t where, event_t first, event_t second)
{
	to_raise[0] = first;
	to_raise[1] = second;
	to_raise[2] = 0;
	also(where, raises);
}

static void what_a_handler_raises_runs_when_it_has_returned_on_all_sockets(void **state)
{
	event_t r = alloc(MOS_ON_PKT_IN, "r"), s = alloc(MOS_ON_CONN_START, "s"), a = define(r, "a");

	(void)state;
	listen_at(passive(0), MOS_ON_CONN_START, MOS_HK_SND);
	listen_at(0, a, MOS_HK_SND);
	listen_at(0, MOS_ON_CONN_END, MOS_HK_SND);
	listen_at(passive(1), r, MOS_HK_SND);
	listen_at(1, s, MOS_HK_SND);
	listen_at(1, r, MOS_HK_RCV);
	struct mos_conn *c = open_conn(1, 2);

	raises_on(MOS_ON_CONN_START, s, r);
	assert_string_equal(raise(c, BIT_CONN_START_SND | BIT_CONN_END_SND, 0),
			    "1:conn_start 1:conn_start! 2:s 1:a? 1:a 2:r 1:conn_end");
	answer(a, false);
	assert_string_equal(raise(c, BIT_CONN_START_SND, 0), "1:conn_start 1:conn_start! 2:s 1:a? 2:r");
}

static void what_a_filter_raises_runs_after_its_event_whatever_it_answers(void **state)
{
	event_t a = define(MOS_ON_PKT_IN, "a"), r = alloc(a, "r"), b = define(a, "b");

	(void)state;
	listen_at(passive(0), r, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);

	raises_on(a, r, 0);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a? 1:a! 1:r");
	listen_at(PASSIVE_MAX + 1, b, MOS_HK_SND);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a? 1:a! 1:r 1:b? 1:b");
	answer(a, false);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a? 1:a! 1:r");
}

static int heard_side, heard_place, asked;
static bool is_wanted[2];

static void hears(void)
{
	heard_side = d.ctx->side;
	heard_place = (int)d.ctx->ref;
}

static void raises_for_the_other_side(void)
{
	is_wanted[0] = dispatch_wanted(&d, to_raise[0]);
	is_wanted[1] = dispatch_wanted(&d, to_raise[1]);
	assert_int_equal(dispatch_raise(&d, to_raise[0], !d.ctx->side), 0);
	assert_int_equal(dispatch_raise(&d, to_raise[0], !d.ctx->side), 0);
}

static void what_is_raised_says_whose_it_is_and_its_place_in_the_queue(void **state)
{
	event_t r = alloc(MOS_ON_PKT_IN, "r"), unheard = alloc(MOS_ON_PKT_IN, "u");

	(void)state;
	listen_at(passive(0), r, MOS_HK_SND);
	listen_at(0, MOS_ON_PKT_IN, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);

	to_raise[0] = r;
	to_raise[1] = unheard;
	also(MOS_ON_PKT_IN, raises_for_the_other_side);
	also(r, hears);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, MOS_SIDE_CLI), "1:pkt_in 1:r 1:r");
	assert_int_equal(heard_side, MOS_SIDE_SVR);
	assert_int_equal(heard_place, 1);
	assert_true(is_wanted[0]);
	assert_false(is_wanted[1]);
}

static void wants_to_be_asked_again(void)
{
	if (++asked < 3) {
		assert_int_equal(dispatch_raise(&d, to_raise[0], d.ctx->side), 0);
		d.ask_again = true;
	}
}

static void a_filter_with_more_to_raise_is_asked_again_after_what_it_has_raised(void **state)
{
	event_t a = define(MOS_ON_PKT_IN, "a"), r = alloc(a, "r");

	(void)state;
	listen_at(passive(0), r, MOS_HK_SND);
	listen_at(0, a, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);

	to_raise[0] = r;
	asked = 0;
	answer(a, false);
	also(a, wants_to_be_asked_again);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a? 1:r 1:a? 1:r 1:a?");
}

static void tries_to_raise(void)
{
	raise_result = dispatch_raise(&d, to_raise[0], d.ctx->side);
}

static void an_event_that_tries_to_raise_ends_with_the_queue(void **state)
{
	event_t r = alloc(MOS_ON_PKT_IN, "r");

	(void)state;
	listen_at(passive(0), r, MOS_HK_SND);
	listen_at(0, MOS_ON_PKT_IN, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);

	to_raise[0] = r;
	also(MOS_ON_PKT_IN, tries_to_raise);
	also(r, tries_to_raise);
	raise(c, BIT_PKT_IN_SND, 0);
	assert_int_equal(raise_result, -ENOSPC);
	assert_int_equal(d.calls, 1 + RAISE_MAX);
}

static void only_events_made_to_be_raised_can_be_and_only_where_their_base_stands(void **state)
{
	event_t r = alloc(MOS_ON_PKT_IN, "r"), at_null = alloc(MOS_ON_CONN_NEW_DATA, "n");

	const struct {
		event_t event;
		int result;
	} cases[] = {
		{ r, 0 },
		{ alloc(r, "rr"), 0 },
		{ define(r, "ra"), -EINVAL },
		{ at_null, -EINVAL },
		{ MOS_ON_PKT_IN, -EINVAL },
		{ 0, -EINVAL },
		{ EVENT_USER | 500, -EINVAL },
	};

	(void)state;
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_SND);
	struct mos_conn *c = open_conn(1, 1);

	also(MOS_ON_PKT_IN, tries_to_raise);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		to_raise[0] = cases[i].event;
		raise(c, BIT_PKT_IN_SND, 0);
		assert_int_equal(raise_result, cases[i].result);
	}
	assert_int_equal(dispatch_raise(&d, r, d.ctx->side), -EINVAL);
}

static void raises_in_a_timer(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	tries_to_raise();
}

static void a_timer_has_nothing_to_raise_for(void **state)
{
	(void)state;
	to_raise[0] = alloc(MOS_ON_PKT_IN, "r");
	dispatch_timer(&d, (struct handler){ raises_in_a_timer, 0 }, 1, 1);
	assert_int_equal(raise_result, -EINVAL);
}

static void without_a_connection_the_passive_socket_hears(void **state)
{
	event_t r = alloc(MOS_ON_ORPHAN, "r");

	(void)state;
	listen_at(passive(0), MOS_ON_ORPHAN, MOS_NULL);
	listen_at(passive(3), MOS_ON_ORPHAN, MOS_NULL);
	listen_at(3, r, MOS_NULL);
	listen_at(3, MOS_ON_PKT_IN, MOS_NULL);
	listen_at(3, MOS_ON_PKT_IN, MOS_HK_SND);
	assert_int_equal(d.passives, 4);
	assert_int_equal(d.null_mask, BIT_ORPHAN_NUL | BIT_PKT_IN_NUL | BIT_PKT_IN_SND);
	raises_on(MOS_ON_ORPHAN, r, 0);
	dispatch_passive(&d, 3, BIT_PKT_IN_NUL, &packet);
	dispatch_passive(&d, 3, BIT_ORPHAN_NUL, &packet);
	dispatch_passive(&d, 0, BIT_PKT_IN_NUL, &packet);
	assert_string_equal(record, "3:pkt_in 3:orphan 3:orphan! 3:r");
	assert_int_equal(d.counts[SLOT_ORPHAN_NUL], 1);
	assert_null(d.ctx->pkt);
}

static void looks_around_without_a_connection(void)
{
	assert_null(d.ctx->conn);
	assert_int_equal(d.ctx->side, MOS_SIDE_BOTH);
	assert_int_equal(d.ctx->hook, MOS_NULL);
	d.passive[d.ctx->sock].used = false;
}

static void a_passive_socket_that_is_closed_hears_nothing_more(void **state)
{
	(void)state;
	listen_at(passive(2), MOS_ON_PKT_IN, MOS_NULL);
	listen_at(2, define(MOS_ON_PKT_IN, "a"), MOS_NULL);
	also(MOS_ON_PKT_IN, looks_around_without_a_connection);
	dispatch_passive(&d, 2, BIT_PKT_IN_NUL, &packet);
	assert_string_equal(record, "2:pkt_in");
}

static uint32_t engine_ref, engine_index;

static void engine_handle(void *arg, uint32_t ref)
{
	assert_ptr_equal(arg, &engine_ref);
	engine_ref = ref;
	note("(lua)");
}

static bool engine_calls;

static enum engine_answer engine_filter(void *arg, uint32_t index, uint32_t ref)
{
	assert_ptr_equal(arg, &engine_ref);
	engine_index = index;
	note("?(lua)");
	if (node[index].no)
		return ENGINE_NO;
	if (!engine_calls || !ref)
		return ENGINE_YES;
	engine_handle(arg, ref);
	return ENGINE_CALLED;
}

static void lua_handlers_and_filters_stand_in_the_same_forest(void **state)
{
	event_t a = event_define(MOS_ON_PKT_IN, EVENT_LUA, NULL, NULL, "a", NULL), b = define(a, "b");

	(void)state;
	d.engine = (struct engine){ .handle = engine_handle, .filter = engine_filter, .arg = &engine_ref };
	listen_at(passive(0), b, MOS_HK_SND);
	dispatch_register(&d, 0, a, MOS_HK_SND, (struct handler){ NULL, 77 });
	struct mos_conn *c = open_conn(1, 1);

	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a?(lua) 1:a(lua) 1:b? 1:b");
	assert_int_equal(engine_ref, 77);
	assert_int_equal(engine_index, event_find(a)->index);
	answer(a, false);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a?(lua)");
}

static void an_engine_may_call_the_handler_with_the_filter(void **state)
{
	event_t a = event_define(MOS_ON_PKT_IN, EVENT_LUA, NULL, NULL, "a", NULL), b = define(a, "b");
	uint64_t calls = d.calls;

	(void)state;
	d.engine = (struct engine){ .handle = engine_handle, .filter = engine_filter, .arg = &engine_ref };
	engine_calls = true;
	listen_at(passive(0), b, MOS_HK_SND);
	dispatch_register(&d, 0, a, MOS_HK_SND, (struct handler){ NULL, 78 });
	struct mos_conn *c = open_conn(1, 1);

	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a?(lua) 1:a(lua) 1:b? 1:b");
	assert_int_equal(engine_ref, 78);
	assert_int_equal(d.calls - calls, 2);
	answer(a, false);
	assert_string_equal(raise(c, BIT_PKT_IN_SND, 0), "1:a?(lua)");
	engine_calls = false;
}

static void without_an_engine_lua_is_silent(void **state)
{
	event_t a = event_define(MOS_ON_PKT_IN, EVENT_LUA, NULL, NULL, NULL, NULL);

	(void)state;
	listen_at(passive(0), a, MOS_HK_SND);
	dispatch_register(&d, 0, MOS_ON_PKT_IN, MOS_HK_SND, (struct handler){ NULL, 1 });
	assert_string_equal(raise(open_conn(1, 1), BIT_PKT_IN_SND, 0), "");
}

static uint32_t ended_conn;

static void engine_ended(void *arg, uint32_t conn_index)
{
	assert_ptr_equal(arg, &engine_ref);
	ended_conn = conn_index;
}

static void the_engine_learns_that_a_connection_has_gone(void **state)
{
	(void)state;
	passive(0);
	d.engine = (struct engine){ .ended = engine_ended, .arg = &engine_ref };
	dispatch_close(&d, open_conn(3, 1));
	assert_int_equal(ended_conn, 3);
}

static void listening_to_data_is_reading(void **state)
{
	const int reads = MOS_SOCK_READS_CLI | MOS_SOCK_READS_SVR;
	event_t a = define(MOS_ON_CONN_NEW_DATA, "a");

	(void)state;
	passive(0);
	listen_at(passive(1), a, MOS_NULL);
	open_conn(1, 2);
	struct mos_sock *one = dispatch_sock(&d, PASSIVE_MAX + 1), *two = dispatch_sock(&d, PASSIVE_MAX + 2);

	assert_int_equal(one->flags & reads, 0);
	assert_int_equal(two->flags & reads, reads);
	listen_at(PASSIVE_MAX + 1, MOS_ON_CONN_NEW_DATA, MOS_HK_RCV);
	assert_int_equal(one->flags & reads, reads);
	dispatch_register(&d, PASSIVE_MAX + 2, a, MOS_NULL, off);
	assert_int_equal(two->flags & reads, 0);
}

static void a_sockets_number_is_good_while_its_connection_lives(void **state)
{
	(void)state;
	passive(0);
	struct mos_conn *c = open_conn(1, 1);
	struct mos_sock *s = dispatch_sock(&d, PASSIVE_MAX + 1);

	assert_int_equal(s->conn, 1);
	assert_int_equal(dispatch_number(&d, s), PASSIVE_MAX + 1);
	assert_null(dispatch_sock(&d, PASSIVE_MAX));
	assert_null(dispatch_sock(&d, PASSIVE_MAX + 2));
	assert_null(dispatch_sock(&d, 0));
	assert_null(dispatch_sock(&d, -5));
	assert_ptr_equal(dispatch_passive_at(&d, 0), &d.passive[0]);
	assert_null(dispatch_passive_at(&d, 1));
	assert_null(dispatch_passive_at(&d, -1));
	assert_null(dispatch_passive_at(&d, PASSIVE_MAX));
	dispatch_close(&d, c);
	assert_null(dispatch_sock(&d, PASSIVE_MAX + 1));
	assert_int_equal(c->sock, 0);
	assert_int_equal(dispatch_register(&d, PASSIVE_MAX + 1, MOS_ON_PKT_IN, MOS_HK_SND, on), -EBADF);
	s->cursor[1] = 9;
	open_conn(2, 1);
	assert_int_equal(s->conn, 2);
	assert_null(dispatch_more(&d, s));
	assert_int_equal(s->cursor[1], 0);
}

static void when_the_pool_is_empty_no_socket_opens(void **state)
{
	(void)state;
	dispatch_fini(&d);
	assert_int_equal(dispatch_init(&d, &context, 2), 0);
	assert_int_equal(dispatch_open(&d, &conns[1], 1, 0), PASSIVE_MAX + 1);
	assert_int_equal(dispatch_open(&d, &conns[1], 1, 1), PASSIVE_MAX + 2);
	assert_int_equal(dispatch_open(&d, &conns[2], 2, 0), -1);
	dispatch_close(&d, &conns[1]);
	assert_true(dispatch_open(&d, &conns[2], 2, 0) > PASSIVE_MAX);
}

static void sets_are_given_back_when_connections_close(void **state)
{
	(void)state;
	listen_at(passive(0), MOS_ON_PKT_IN, MOS_HK_SND);
	uint32_t set = d.passive[0].set, refs = hset_at(&d.sets, set)->refs;
	struct mos_conn *c = open_conn(1, 1);

	raise(c, BIT_PKT_IN_SND, 0);
	assert_int_equal(hset_at(&d.sets, set)->refs, refs + 1);
	dispatch_close(&d, c);
	assert_int_equal(hset_at(&d.sets, set)->refs, refs);
}

/*
 * Random forests, listeners and answers, against a walk of the forest that knows no programs: base first, then the
 * children in order of definition, where somebody listens below.
 */
enum { NODES = 24, LISTENERS = 12 };

static bool listener[3][NODES + 8];

static bool wanted(int sock, const struct event *e)
{
	for (uint32_t i = 0; i < events_count(); i++)
		if (listener[sock][i] && event_descends(event_at(i)->id, e->id))
			return true;
	return false;
}

static void expect(int sock, const struct event *e, char *out, size_t size)
{
	size_t n = strlen(out);

	if (e->kind != EVENT_BUILTIN)
		snprintf(out + n, size - n, "%s%d:%s?", n ? " " : "", sock + 1, event_text(e->id));
	if (node[e->index].no)
		return;
	n = strlen(out);
	if (listener[sock][e->index])
		snprintf(out + n, size - n, "%s%d:%s", n ? " " : "", sock + 1, event_text(e->id));
	for (uint32_t i = 0; i < events_count(); i++)
		if (event_at(i)->parent == e->id && wanted(sock, event_at(i)))
			expect(sock, event_at(i), out, size);
}

static void calls_agree_with_a_walk_of_the_forest(void **state)
{
	static const char *const names[NODES] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
						  "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x" };
	static char want[sizeof(record)];
	unsigned seed = 7;

	for (int round = 0; round < 100; round++) {
		teardown(state);
		setup(state);
		memset(listener, 0, sizeof(listener));
		for (int i = 0; i < NODES; i++) {
			uint32_t up = (uint32_t)rand_r(&seed) % (events_count() - 7);

			define(up ? event_at(7 + up)->id : MOS_ON_REXMIT, names[i]);
		}
		for (int s = 0; s < 3; s++)
			for (int i = (passive(s), 0); i < LISTENERS; i++) {
				uint32_t at = (uint32_t)rand_r(&seed) % (NODES + 1);
				const struct event *e = at ? event_at(7 + at) : event_find(MOS_ON_REXMIT);

				listen_at(s, e->id, MOS_HK_RCV);
				listener[s][e->index] = true;
			}
		struct mos_conn *c = open_conn(1, 3);

		for (int i = 0; i < 10; i++) {
			for (uint32_t k = 8; k < events_count(); k++)
				node[k].no = rand_r(&seed) % 3 == 0;
			want[0] = '\0';
			for (int s = 0; s < 3; s++)
				expect(s, event_find(MOS_ON_REXMIT), want, sizeof(want));
			assert_string_equal(raise(c, BIT_REXMIT_RCV, 1), want);
		}
	}
}

/* What the watcher was told, among the calls. */
static void see_raised(void *arg, const struct mos_ctx *ctx, uint32_t bits)
{
	size_t n = strlen(record);

	assert_ptr_equal(arg, &d);
	snprintf(record + n, sizeof(record) - n, "%s[%s %x]", n ? " " : "", ctx->conn ? "conn" : "none", bits);
}

static void see_asked(void *arg, const struct mos_ctx *ctx, const struct event *event, bool yes)
{
	assert_ptr_equal(arg, &d);
	assert_int_equal(event->id, ctx->event);
	note(yes ? "=yes" : "=no");
}

static void see_called(void *arg, const struct mos_ctx *ctx, struct handler h)
{
	(void)ctx;
	assert_ptr_equal(arg, &d);
	assert_true(h.fn == handler);
	note("!");
}

static void a_watcher_sees_what_is_raised_asked_and_called(void **state)
{
	(void)state;
	static const struct watcher watcher = { see_raised, see_asked, see_called, NULL, &d };
	event_t yes = define(MOS_ON_PKT_IN, "yes"), no = define(MOS_ON_PKT_IN, "no");

	dispatch_watch(&d, &watcher);
	listen_at(passive(0), yes, MOS_HK_SND);
	listen_at(0, no, MOS_HK_SND);
	listen_at(0, MOS_ON_ORPHAN, MOS_NULL);
	answer(no, false);
	struct mos_conn *c = open_conn(1, 1);

	assert_string_equal(raise(c, BIT_PKT_IN_SND | BIT_CONN_START_SND, MOS_SIDE_CLI),
			    "[conn 3] 1:yes? 1:yes=yes 1:yes! 1:yes 1:no? 1:no=no");
	assert_string_equal(raise(c, BIT_PKT_IN_RCV, MOS_SIDE_SVR), "[conn 20]");
	assert_int_equal(d.counts[SLOT_CONN_START_SND], 0);
	assert_int_equal(d.counts[SLOT_PKT_IN_RCV], 0);
	record[0] = '\0';
	dispatch_passive(&d, 0, BIT_PKT_IN_NUL, &packet);
	assert_string_equal(record, "");
	dispatch_passive(&d, 0, BIT_ORPHAN_NUL, &packet);
	assert_string_equal(record, "[none 2000] 0:orphan! 0:orphan");

	/* A change of handlers leaves the rest watched. */
	assert_int_equal(dispatch_register(&d, PASSIVE_MAX + 1, no, MOS_HK_SND, off), 0);
	assert_string_equal(raise(c, BIT_PKT_IN_RCV, MOS_SIDE_SVR), "[conn 20]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sockets_are_served_in_order_of_creation_and_events_in_slot_order),
		TEST(an_event_that_nobody_listens_to_calls_nobody),
		TEST(the_context_is_set_before_a_call_and_put_back_after),
		TEST(user_events_follow_their_base_and_a_false_filter_prunes_what_lies_below),
		TEST(a_filter_that_nobody_listens_to_does_not_run),
		TEST(the_argument_given_at_definition_reaches_filter_and_handler),
		TEST(a_change_inside_a_handler_takes_effect_from_the_next_hook),
		TEST(a_handler_may_remove_all_handlers_of_its_own_socket),
		TEST(a_change_on_a_passive_socket_concerns_later_connections),
		TEST(a_change_on_an_active_socket_concerns_its_connection_alone),
		TEST(a_wrong_registration_is_refused),
		TEST(what_is_stopped_or_closed_hears_nothing_from_then_on),
		TEST(a_filter_that_stops_its_side_keeps_its_own_event_from_running),
		TEST(the_mask_says_what_the_sockets_that_are_left_listen_to),
		TEST(what_a_handler_raises_runs_when_it_has_returned_on_all_sockets),
		TEST(what_a_filter_raises_runs_after_its_event_whatever_it_answers),
		TEST(what_is_raised_says_whose_it_is_and_its_place_in_the_queue),
		TEST(a_filter_with_more_to_raise_is_asked_again_after_what_it_has_raised),
		TEST(an_event_that_tries_to_raise_ends_with_the_queue),
		TEST(only_events_made_to_be_raised_can_be_and_only_where_their_base_stands),
		TEST(a_timer_has_nothing_to_raise_for),
		TEST(without_a_connection_the_passive_socket_hears),
		TEST(a_passive_socket_that_is_closed_hears_nothing_more),
		TEST(lua_handlers_and_filters_stand_in_the_same_forest),
		TEST(an_engine_may_call_the_handler_with_the_filter),
		TEST(without_an_engine_lua_is_silent),
		TEST(the_engine_learns_that_a_connection_has_gone),
		TEST(listening_to_data_is_reading),
		TEST(a_sockets_number_is_good_while_its_connection_lives),
		TEST(when_the_pool_is_empty_no_socket_opens),
		TEST(sets_are_given_back_when_connections_close),
		TEST(a_watcher_sees_what_is_raised_asked_and_called),
		TEST(calls_agree_with_a_walk_of_the_forest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
