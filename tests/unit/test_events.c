/* The forest of events. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event/events.h"

static bool yes(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	return true;
}

static bool no(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	return false;
}

static int forget(void **state)
{
	(void)state;
	events_reset();
	return 0;
}

static event_t define(event_t parent)
{
	return event_define(parent, EVENT_C, yes, NULL, NULL, NULL);
}

static void the_built_in_events_are_the_roots(void **state)
{
	static const struct {
		event_t id;
		const char *name;
	} want[] = {
		{ 1 << 0, "pkt_in" }, { 1 << 2, "conn_start" },       { 1 << 4, "conn_new_data" },
		{ 1 << 5, "error" },  { 1 << 7, "tcp_state_change" }, { 1 << 8, "orphan" },
		{ 1 << 9, "rexmit" }, { 1 << 10, "conn_end" },
	};

	(void)state;
	assert_int_equal(events_count(), 8);
	for (uint32_t i = 0; i < 8; i++) {
		const struct event *e = event_at(i);

		assert_int_equal(e->id, want[i].id);
		assert_string_equal(e->name, want[i].name);
		assert_true(strlen(e->meaning) > 10);
		assert_int_equal(e->root, e->id);
		assert_int_equal(e->parent, 0);
		assert_int_equal(e->index, i);
		assert_int_equal(e->kind, EVENT_BUILTIN);
		assert_ptr_equal(event_find(e->id), e);
		assert_ptr_equal(event_find_name(e->name), e);
	}
}

static void what_was_never_defined_is_not_found(void **state)
{
	static const event_t ids[] = { 0, 3, MOS_ON_PKT_OUT, 1u << 31, 1ull << 33, EVENT_USER, EVENT_USER | 8, ~0ull };

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_null(event_find(ids[i]));
	assert_null(event_at(events_count()));
	assert_null(event_find_name("conn_star"));
	assert_null(event_find_name(""));
	assert_null(event_find_name(NULL));
}

static void definitions_nest_to_any_depth(void **state)
{
	event_t last = MOS_ON_REXMIT;

	(void)state;
	for (int depth = 1; depth <= 1000; depth++) {
		event_t id = define(last);
		const struct event *e = event_find(id);

		assert_non_null(e);
		assert_int_equal(e->parent, last);
		assert_int_equal(e->root, MOS_ON_REXMIT);
		assert_int_equal(e->depth, depth);
		assert_int_equal(e->index, events_count() - 1);
		last = id;
	}
	assert_true(event_descends(last, MOS_ON_REXMIT));
	assert_true(event_descends(last, last));
	assert_true(event_descends(last, event_find(last)->parent));
	assert_false(event_descends(event_find(last)->parent, last));
	assert_false(event_descends(last, MOS_ON_PKT_IN));
	assert_false(event_descends(0, MOS_ON_PKT_IN));
}

static void two_definitions_with_the_same_filter_are_two_events(void **state)
{
	(void)state;
	assert_int_not_equal(define(MOS_ON_PKT_IN), define(MOS_ON_PKT_IN));
}

static void what_handlers_receive_is_described_once(void **state)
{
	char text[] = "uri (string)";

	(void)state;
	event_t id = define(MOS_ON_PKT_IN);

	assert_string_equal(event_find(id)->fields, "");
	assert_int_equal(event_describe(id, text), 0);
	text[0] = 'x';
	assert_int_equal(event_describe(id, "something else"), 0);
	assert_string_equal(event_find(id)->fields, "uri (string)");
	assert_int_equal(event_describe(MOS_ON_PKT_IN, "a"), -EINVAL);
	assert_int_equal(event_describe(EVENT_USER | 77, "a"), -EINVAL);
	assert_string_equal(event_find(MOS_ON_PKT_IN)->fields, "");
}

static void a_wrong_definition_is_refused(void **state)
{
	char text;
	const struct filter_arg nowhere = { NULL, 4 }, here = { &text, 1 };

	static const struct {
		event_t parent;
		enum event_kind kind;
		filter_t filter;
		bool bad_arg;
	} wrong[] = {
		{ 0, EVENT_C, yes, false },
		{ MOS_ON_PKT_IN | MOS_ON_ORPHAN, EVENT_C, yes, false },
		{ MOS_ON_CONN_SETUP, EVENT_C, yes, false },
		{ EVENT_USER | 77, EVENT_C, yes, false },
		{ MOS_ON_PKT_IN, EVENT_C, NULL, false },
		{ MOS_ON_PKT_IN, EVENT_C, yes, true },
		{ MOS_ON_PKT_IN, EVENT_BUILTIN, NULL, false },
		{ MOS_ON_PKT_IN, EVENT_RAISED, yes, false },
		{ MOS_ON_PKT_IN, EVENT_LUA, yes, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		assert_int_equal(event_define(wrong[i].parent, wrong[i].kind, wrong[i].filter,
					      wrong[i].bad_arg ? &nowhere : &here, NULL, NULL),
				 0);
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(events_count(), 8);
}

static void a_name_that_is_defined_again_is_the_same_event_with_the_new_filter(void **state)
{
	event_t first = event_define(MOS_ON_PKT_IN, EVENT_C, yes, NULL, "mine", "what it is");
	event_t again = event_define(MOS_ON_PKT_IN, EVENT_C, no, NULL, "mine", NULL);

	(void)state;
	assert_int_equal(first, again);
	assert_ptr_equal(event_filter(event_find(first)), no);
	assert_string_equal(event_find_name("mine")->meaning, "what it is");
	assert_int_equal(events_count(), 9);
}

static void a_name_belongs_to_one_parent_and_kind(void **state)
{
	(void)state;
	event_define(MOS_ON_PKT_IN, EVENT_LUA, NULL, NULL, "mine", NULL);
	errno = 0;
	assert_int_equal(event_define(MOS_ON_ORPHAN, EVENT_LUA, NULL, NULL, "mine", NULL), 0);
	assert_int_equal(errno, EEXIST);
	errno = 0;
	assert_int_equal(event_define(MOS_ON_PKT_IN, EVENT_C, yes, NULL, "mine", NULL), 0);
	assert_int_equal(errno, EEXIST);
	errno = 0;
	assert_int_equal(event_define(MOS_ON_PKT_IN, EVENT_C, yes, NULL, "conn_end", NULL), 0);
	assert_int_equal(errno, EEXIST);
}

static void the_argument_is_copied_and_a_bare_pointer_handed_on(void **state)
{
	char text[] = "abc";
	const struct filter_arg copied = { text, sizeof(text) }, handed = { text, 0 };
	const struct event *a = event_find(event_define(MOS_ON_PKT_IN, EVENT_C, yes, &copied, NULL, NULL));
	const struct event *b = event_find(event_define(MOS_ON_PKT_IN, EVENT_C, yes, &handed, NULL, NULL));
	const struct event *c = event_find(define(MOS_ON_PKT_IN));

	(void)state;
	text[0] = 'x';
	assert_int_equal(a->arg.len, sizeof(text));
	assert_string_equal((char *)a->arg.arg, "abc");
	assert_ptr_equal(b->arg.arg, text);
	assert_int_equal(b->arg.len, 0);
	assert_null(c->arg.arg);
	assert_int_equal(c->arg.len, 0);
}

static void names_and_meanings_are_copied(void **state)
{
	char name[] = "mine", meaning[] = "words";
	const struct event *e = event_find(event_define(MOS_ON_PKT_IN, EVENT_C, yes, NULL, name, meaning));

	(void)state;
	name[0] = meaning[0] = 'X';
	assert_string_equal(e->name, "mine");
	assert_string_equal(e->meaning, "words");
	assert_string_equal(event_find(define(MOS_ON_PKT_IN))->name, "");
}

static void the_forest_is_full_after_65528_definitions(void **state)
{
	(void)state;
	for (int i = 8; i < EVENTS_MAX; i++)
		assert_int_not_equal(define(MOS_ON_PKT_IN), 0);
	errno = 0;
	assert_int_equal(define(MOS_ON_PKT_IN), 0);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(events_count(), EVENTS_MAX);
}

static void an_event_stands_at_the_hooks_that_its_table_lists(void **state)
{
	static const struct {
		event_t event;
		int snd, rcv, null;
	} want[] = {
		{ MOS_ON_PKT_IN, SLOT_PKT_IN_SND, SLOT_PKT_IN_RCV, SLOT_PKT_IN_NUL },
		{ MOS_ON_CONN_START, SLOT_CONN_START_SND, SLOT_CONN_START_RCV, -1 },
		{ MOS_ON_TCP_STATE_CHANGE, SLOT_TCP_STATE_CHANGE_SND, SLOT_TCP_STATE_CHANGE_RCV, -1 },
		{ MOS_ON_REXMIT, SLOT_REXMIT_SND, SLOT_REXMIT_RCV, -1 },
		{ MOS_ON_CONN_END, SLOT_CONN_END_SND, SLOT_CONN_END_RCV, -1 },
		{ MOS_ON_CONN_NEW_DATA, -1, SLOT_CONN_NEW_DATA_NUL, SLOT_CONN_NEW_DATA_NUL },
		{ MOS_ON_ERROR, -1, -1, SLOT_ERROR_NUL },
		{ MOS_ON_ORPHAN, -1, -1, SLOT_ORPHAN_NUL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(event_slot(want[i].event, MOS_HK_SND), want[i].snd);
		assert_int_equal(event_slot(want[i].event, MOS_HK_RCV), want[i].rcv);
		assert_int_equal(event_slot(want[i].event, MOS_NULL), want[i].null);
		assert_int_equal(event_slot(want[i].event, 0), -1);
		assert_int_equal(event_slot(want[i].event, MOS_HK_SND | MOS_HK_RCV), -1);
	}
	assert_int_equal(slot_hook(SLOT_CONN_END_SND), MOS_HK_SND);
	assert_int_equal(slot_hook(SLOT_PKT_IN_RCV), MOS_HK_RCV);
	assert_int_equal(slot_hook(SLOT_CONN_END_RCV), MOS_HK_RCV);
	assert_int_equal(slot_hook(SLOT_PKT_IN_NUL), MOS_NULL);
}

static pthread_barrier_t start;

/* Half of the names are defined by both threads. */
static void *define_many(void *arg)
{
	char name[32];

	pthread_barrier_wait(&start);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "%s%d", i % 2 ? (char *)arg : "both", i);
		if (!event_define(MOS_ON_PKT_IN, EVENT_LUA, NULL, NULL, name, NULL))
			return arg;
		uint32_t n = events_count();

		for (uint32_t k = n - 5; k < n; k++)
			if (event_at(k)->index != k || event_find(event_at(k)->id) != event_at(k))
				return arg;
	}
	return NULL;
}

static void threads_may_define_at_the_same_time(void **state)
{
	pthread_t other;
	void *failed;

	(void)state;
	pthread_barrier_init(&start, NULL, 2);
	assert_int_equal(pthread_create(&other, NULL, define_many, "other"), 0);
	assert_null(define_many("this"));
	pthread_join(other, &failed);
	pthread_barrier_destroy(&start);
	assert_null(failed);
	assert_int_equal(events_count(), 8 + 1000 * 3);
}

/* A load of a program that defines an event with a filter in Lua, one with a filter in C, and one below the first. */
static void load(struct event_notes *notes, event_t defined[3])
{
	events_note(notes);
	defined[0] = event_define(MOS_ON_PKT_IN, EVENT_LUA, NULL, NULL, NULL, NULL);
	defined[1] = event_define(MOS_ON_PKT_IN, EVENT_C, yes, NULL, NULL, NULL);
	defined[2] = event_define(defined[0], EVENT_RAISED, NULL, NULL, NULL, NULL);
	events_note(NULL);
}

static void programs_that_are_loaded_again_and_again_need_no_more_events(void **state)
{
	struct event_notes old = { .v = NULL }, now = { .v = NULL };
	event_t was[3], is[3];

	(void)state;
	load(&old, was);
	for (unsigned i = 0; i < 70000; i++) {
		load(&now, is);
		assert_int_equal(now.n, 3);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(event_heir(&old, &now, was[k]), is[k]);
		assert_int_equal(is[0], was[0]);
		assert_int_not_equal(is[1], was[1]);
		assert_true(is[1] < is[2]);
		events_forget(&old);
		old = now;
		now = (struct event_notes){ .v = NULL };
		memcpy(was, is, sizeof(was));
	}
	assert_int_equal(events_count(), 8 + 5);
	events_forget(&old);
}

static void what_has_gone_is_no_parent_until_it_is_another_event(void **state)
{
	struct event_notes old = { .v = NULL }, now = { .v = NULL };
	const char text[] = "text";
	struct filter_arg arg = { (void *)text, sizeof(text) };

	(void)state;
	events_note(&old);
	event_t gone = event_define(MOS_ON_PKT_IN, EVENT_C, yes, &arg, NULL, NULL);

	events_note(NULL);
	events_forget(&old);
	assert_int_equal(define(gone), 0);
	assert_int_equal(errno, EINVAL);
	/* Who is not loaded again does not get it. */
	assert_int_not_equal(define(MOS_ON_PKT_IN), gone);
	events_note(&now);
	assert_int_equal(event_define(MOS_ON_CONN_START, EVENT_C, no, NULL, NULL, NULL), gone);
	events_note(NULL);
	assert_int_equal(event_find(gone)->parent, MOS_ON_CONN_START);
	assert_ptr_equal(event_filter(event_find(gone)), no);
	assert_null(event_find(gone)->arg.arg);
	events_forget(&now);
}

static void an_event_has_the_heir_in_its_place(void **state)
{
	struct event_notes old = { .v = NULL }, now = { .v = NULL }, none = { .v = NULL };
	event_t was[3], is[3], other = define(MOS_ON_PKT_IN);

	(void)state;
	load(&old, was);
	load(&now, is);
	assert_int_equal(event_heir(&old, &now, was[0]), was[0]);
	assert_int_equal(event_heir(&old, &now, was[1]), is[1]);
	assert_int_equal(event_heir(&old, &none, was[1]), MOS_NULL_EVENT);
	assert_int_equal(event_heir(&old, &now, other), other);
	assert_int_equal(event_heir(&old, &now, MOS_ON_PKT_IN), MOS_ON_PKT_IN);
	events_forget(&old);
	events_forget(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_built_in_events_are_the_roots, forget),
		cmocka_unit_test_setup(what_was_never_defined_is_not_found, forget),
		cmocka_unit_test_setup(definitions_nest_to_any_depth, forget),
		cmocka_unit_test_setup(two_definitions_with_the_same_filter_are_two_events, forget),
		cmocka_unit_test_setup(what_handlers_receive_is_described_once, forget),
		cmocka_unit_test_setup(a_wrong_definition_is_refused, forget),
		cmocka_unit_test_setup(a_name_that_is_defined_again_is_the_same_event_with_the_new_filter, forget),
		cmocka_unit_test_setup(a_name_belongs_to_one_parent_and_kind, forget),
		cmocka_unit_test_setup(the_argument_is_copied_and_a_bare_pointer_handed_on, forget),
		cmocka_unit_test_setup(names_and_meanings_are_copied, forget),
		cmocka_unit_test_setup(the_forest_is_full_after_65528_definitions, forget),
		cmocka_unit_test_setup(an_event_stands_at_the_hooks_that_its_table_lists, forget),
		cmocka_unit_test_setup(programs_that_are_loaded_again_and_again_need_no_more_events, forget),
		cmocka_unit_test_setup(what_has_gone_is_no_parent_until_it_is_another_event, forget),
		cmocka_unit_test_setup(an_event_has_the_heir_in_its_place, forget),
		cmocka_unit_test_setup_teardown(threads_may_define_at_the_same_time, forget, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
