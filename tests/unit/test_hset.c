/* Handler sets: interning, and the programs that registrations become. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/hset.h"

static bool yes(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
	return true;
}

static void on(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)side, (void)event, (void)arg;
}

static const struct handler c_handler = { on, 0 }, nothing = { NULL, 0 };
static struct hsets hs;

static struct handler lua(uint32_t ref)
{
	return (struct handler){ NULL, ref };
}

static event_t define(event_t parent)
{
	return event_define(parent, EVENT_C, yes, NULL, NULL, NULL);
}

static event_t alloc(event_t parent)
{
	return event_define(parent, EVENT_RAISED, NULL, NULL, NULL, NULL);
}

static int setup(void **state)
{
	(void)state;
	events_reset();
	return hsets_init(&hs);
}

static int teardown(void **state)
{
	(void)state;
	hsets_fini(&hs);
	return 0;
}

/* *set becomes "*set with that change"; the reference moves along. */
static int change(uint32_t *set, event_t event, uint32_t hook, struct handler h)
{
	int64_t with = hset_with(&hs, *set, event, hook, h);

	if (with < 0)
		return (int)with;
	hset_put(&hs, *set);
	*set = (uint32_t)with;
	return 0;
}

static uint32_t empty(void)
{
	hset_get(&hs, 0);
	return 0;
}

/* A slot's program as text: "event:handler/skip ...", events by index, handler "-", "c" or a Lua number. */
static const char *program_text(const struct hset *s, struct program p)
{
	static char text[1024];
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < p.count; i++) {
		const struct step *st = &s->steps[p.first + i];
		char handler[16] = "-";

		assert_int_equal(st->event, st->def->id);
		assert_int_equal(st->kind, st->def->kind);
		if (handler_is_set(st->handler))
			snprintf(handler, sizeof(handler), "%.0u%s", st->handler.ref, st->handler.fn ? "c" : "");
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u:%s/%u", i ? " " : "", st->def->index, handler,
				      st->skip);
	}
	return text;
}

static const char *slot_text(uint32_t set, enum event_slot slot)
{
	const struct hset *s = hset_at(&hs, set);

	assert_int_equal(s->programs[slot].count != 0, s->mask >> slot & 1);
	return program_text(s, s->programs[slot]);
}

static void a_handler_is_found_at_its_event_and_hook_alone(void **state)
{
	uint32_t set = empty();

	(void)state;
	assert_int_equal(change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, c_handler), 0);
	assert_int_equal(hset_at(&hs, set)->mask, BIT_PKT_IN_RCV);
	assert_string_equal(slot_text(set, SLOT_PKT_IN_RCV), "0:c/0");
	assert_int_equal(hset_at(&hs, 0)->mask, 0);
}

static void a_second_registration_replaces_the_first_and_none_removes_it(void **state)
{
	uint32_t set = empty();

	(void)state;
	change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, lua(1));
	change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, lua(2));
	assert_string_equal(slot_text(set, SLOT_PKT_IN_RCV), "0:2/0");
	change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, c_handler);
	assert_string_equal(slot_text(set, SLOT_PKT_IN_RCV), "0:c/0");
	change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, nothing);
	assert_int_equal(set, 0);
	assert_int_equal(change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, nothing), 0);
	assert_int_equal(set, 0);
}

static void a_wrong_registration_is_refused(void **state)
{
	static const struct {
		event_t event;
		uint32_t hook;
	} wrong[] = {
		{ 0, MOS_NULL },
		{ EVENT_USER | 99, MOS_NULL },
		{ MOS_ON_PKT_IN | MOS_ON_REXMIT, MOS_HK_SND },
		{ MOS_ON_CONN_START, MOS_NULL },
		{ MOS_ON_CONN_NEW_DATA, MOS_HK_SND },
		{ MOS_ON_ERROR, MOS_HK_RCV },
		{ MOS_ON_PKT_IN, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(hset_with(&hs, 0, wrong[i].event, wrong[i].hook, c_handler), -EINVAL);
	assert_int_equal(hset_with(&hs, 0, define(MOS_ON_REXMIT), MOS_NULL, c_handler), -EINVAL);
	assert_int_equal(hs.used, 0);
}

static void new_data_at_rcv_is_new_data_at_null(void **state)
{
	uint32_t set = empty();

	(void)state;
	change(&set, MOS_ON_CONN_NEW_DATA, MOS_HK_RCV, lua(1));
	change(&set, MOS_ON_CONN_NEW_DATA, MOS_NULL, lua(2));
	assert_string_equal(slot_text(set, SLOT_CONN_NEW_DATA_NUL), "2:2/0");
}

static void children_come_in_order_of_definition_whatever_the_order_of_registration(void **state)
{
	event_t a = define(MOS_ON_PKT_IN); /* 8 */
	event_t b = define(MOS_ON_PKT_IN); /* 9 */
	event_t aa = define(a);            /* 10 */
	event_t bb = define(b);            /* 11 */
	event_t ab = define(a);            /* 12 */
	uint32_t set = empty();

	(void)state;
	change(&set, bb, MOS_HK_SND, lua(11));
	change(&set, ab, MOS_HK_SND, lua(12));
	change(&set, MOS_ON_PKT_IN, MOS_HK_SND, lua(5));
	change(&set, aa, MOS_HK_SND, lua(10));
	change(&set, b, MOS_HK_SND, lua(9));
	assert_string_equal(slot_text(set, SLOT_PKT_IN_SND), "0:5/5 8:-/2 10:10/0 12:12/0 9:9/1 11:11/0");
}

static void only_what_is_listened_to_and_what_leads_there_is_in_a_program(void **state)
{
	event_t a = define(MOS_ON_PKT_IN), deep = a;
	uint32_t set = empty();

	(void)state;
	for (int i = 0; i < 1000; i++)
		define(i % 2 ? a : MOS_ON_PKT_IN);
	deep = define(a); /* 1009 */
	change(&set, deep, MOS_HK_RCV, lua(1));
	assert_string_equal(slot_text(set, SLOT_PKT_IN_RCV), "0:-/2 8:-/1 1009:1/0");
	change(&set, deep, MOS_HK_RCV, nothing);
	assert_int_equal(hset_at(&hs, set)->mask, 0);
}

static void what_is_raised_by_hand_is_a_program_of_its_own(void **state)
{
	event_t a = define(MOS_ON_PKT_IN);   /* 8 */
	event_t raised = alloc(a);           /* 9 */
	event_t child = define(raised);      /* 10 */
	event_t deeper = alloc(child);       /* 11 */
	event_t plain = alloc(MOS_ON_ERROR); /* 12 */
	uint32_t set = empty();
	const struct hset *s;

	(void)state;
	change(&set, child, MOS_HK_SND, lua(10));
	change(&set, deeper, MOS_HK_SND, lua(11));
	change(&set, plain, MOS_NULL, lua(12));
	s = hset_at(&hs, set);
	/* a's filter runs, because it may be what raises; nothing leads to the others. */
	assert_int_equal(s->mask, BIT_PKT_IN_SND);
	assert_int_equal(s->slots, BIT_PKT_IN_SND | BIT_ERROR_NUL);
	assert_string_equal(slot_text(set, SLOT_PKT_IN_SND), "0:-/1 8:-/0");
	assert_string_equal(program_text(s, *hset_raised(s, raised, SLOT_PKT_IN_SND)), "9:-/1 10:10/0");
	assert_string_equal(program_text(s, *hset_raised(s, deeper, SLOT_PKT_IN_SND)), "11:11/0");
	assert_string_equal(program_text(s, *hset_raised(s, plain, SLOT_ERROR_NUL)), "12:12/0");
	assert_null(hset_raised(s, raised, SLOT_PKT_IN_RCV));
	assert_null(hset_raised(s, a, SLOT_PKT_IN_SND));
}

static void a_set_listens_to_an_event_through_its_descendants(void **state)
{
	event_t a = define(MOS_ON_CONN_NEW_DATA), aa = define(a), b = define(MOS_ON_CONN_NEW_DATA);
	uint32_t set = empty();

	(void)state;
	change(&set, aa, MOS_NULL, c_handler);
	assert_true(hset_listens(hset_at(&hs, set), MOS_ON_CONN_NEW_DATA));
	assert_true(hset_listens(hset_at(&hs, set), a));
	assert_true(hset_listens(hset_at(&hs, set), aa));
	assert_false(hset_listens(hset_at(&hs, set), b));
	assert_false(hset_listens(hset_at(&hs, set), MOS_ON_PKT_IN));
	assert_false(hset_listens(hset_at(&hs, 0), MOS_ON_CONN_NEW_DATA));
}

static void the_same_registrations_are_the_same_set_in_any_order(void **state)
{
	event_t a = define(MOS_ON_PKT_IN);
	uint32_t x = empty(), y = empty();

	(void)state;
	change(&x, MOS_ON_PKT_IN, MOS_HK_SND, lua(1));
	change(&x, a, MOS_HK_SND, lua(2));
	change(&x, MOS_ON_CONN_END, MOS_HK_RCV, c_handler);
	change(&y, MOS_ON_CONN_END, MOS_HK_RCV, lua(9));
	change(&y, a, MOS_HK_SND, lua(2));
	change(&y, MOS_ON_CONN_END, MOS_HK_RCV, c_handler);
	assert_int_not_equal(x, y);
	change(&y, MOS_ON_PKT_IN, MOS_HK_SND, lua(1));
	assert_int_equal(x, y);
	assert_int_equal(hset_at(&hs, x)->refs, 2);
}

static void a_definition_changes_no_set(void **state)
{
	uint32_t set = empty(), same = empty();

	(void)state;
	change(&set, MOS_ON_PKT_IN, MOS_HK_SND, lua(1));
	uint64_t compiled = hs.compiled;

	define(MOS_ON_PKT_IN);
	change(&same, MOS_ON_PKT_IN, MOS_HK_SND, lua(1));
	assert_int_equal(set, same);
	assert_int_equal(hs.compiled, compiled);
	assert_string_equal(slot_text(set, SLOT_PKT_IN_SND), "0:1/0");
}

static void many_connections_that_make_the_same_changes_share_what_the_first_one_made(void **state)
{
	event_t a = define(MOS_ON_CONN_NEW_DATA);
	uint32_t base = empty();
	uint64_t compiled = 0;

	(void)state;
	change(&base, MOS_ON_CONN_START, MOS_HK_SND, lua(1));
	for (int i = 0; i < 100000; i++) {
		uint32_t mine = base;

		hset_get(&hs, mine);
		change(&mine, a, MOS_NULL, lua(2));
		change(&mine, MOS_ON_CONN_END, MOS_HK_SND, lua(3));
		change(&mine, MOS_ON_CONN_START, MOS_HK_SND, nothing);
		assert_int_equal(hset_at(&hs, mine)->nregs, 2);
		/* Every other connection stays. */
		if (i % 2)
			hset_put(&hs, mine);
		if (!i)
			compiled = hs.compiled;
	}
	assert_int_equal(compiled, 4);
	assert_int_equal(hs.compiled, compiled);
	assert_true(hs.used <= 4);
}

static void sets_that_nobody_uses_go(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 10000; i++) {
		uint32_t set = empty();

		change(&set, MOS_ON_PKT_IN, MOS_HK_SND, lua(i));
		hset_put(&hs, set);
		assert_true(hs.used <= HSETS_KEPT);
	}
	assert_true(hs.n <= HSETS_KEPT + 2);
	hsets_trim(&hs);
	assert_int_equal(hs.used, 0);
}

static void a_set_in_use_outlives_its_place_among_the_kept(void **state)
{
	uint32_t set = empty(), again = empty();

	(void)state;
	change(&set, MOS_ON_PKT_IN, MOS_HK_SND, lua(7));
	hset_put(&hs, set);
	change(&again, MOS_ON_PKT_IN, MOS_HK_SND, lua(7));
	assert_int_equal(again, set);
	hsets_trim(&hs);
	assert_string_equal(slot_text(set, SLOT_PKT_IN_SND), "0:7/0");
	assert_int_equal(hs.used, 1);
	hset_put(&hs, set);
	hsets_trim(&hs);
	assert_int_equal(hs.used, 0);
}

static int held[8];

static void hold(void *arg, uint32_t ref, int by)
{
	assert_ptr_equal(arg, held);
	held[ref] += by;
	assert_true(held[ref] >= 0);
}

static void the_engine_learns_when_the_last_set_with_a_lua_handler_goes(void **state)
{
	uint32_t set = empty(), other = empty();

	(void)state;
	memset(held, 0, sizeof(held));
	hs.hold = hold;
	hs.hold_arg = held;
	change(&set, MOS_ON_PKT_IN, MOS_HK_SND, lua(1));
	change(&set, MOS_ON_PKT_IN, MOS_HK_RCV, lua(1));
	change(&other, MOS_ON_REXMIT, MOS_HK_RCV, lua(2));
	hsets_trim(&hs);
	assert_int_equal(held[1], 2);
	assert_int_equal(held[2], 1);
	change(&set, MOS_ON_PKT_IN, MOS_HK_SND, nothing);
	hsets_trim(&hs);
	assert_int_equal(held[1], 1);
	hset_put(&hs, set);
	hsets_trim(&hs);
	assert_int_equal(held[1], 0);
	hsets_fini(&hs);
	assert_int_equal(held[2], 0);
}

/*
 * Random forests and registrations against a walk of the forest. A subtree is in a program if somebody listens
 * in it, but for what lies below events that are raised by hand.
 */
enum { NODES = 40, SETS = 6 };

struct model {
	struct handler at[NODES + 8]; /* by event index; all at one slot */
};

static bool model_equal(const struct model *a, const struct model *b)
{
	for (int i = 0; i < NODES + 8; i++)
		if (a->at[i].ref != b->at[i].ref)
			return false;
	return true;
}

static bool model_leads(const struct model *m, const struct event *e)
{
	for (uint32_t i = 0; i < events_count(); i++)
		if (handler_is_set(m->at[i]) && event_descends(event_at(i)->id, e->id))
			return true;
	return false;
}

static uint32_t model_walk(const struct model *m, const struct event *e, struct step *out, uint32_t n)
{
	uint32_t at = n++;

	out[at] = (struct step){ .event = e->id, .def = e, .handler = m->at[e->index] };
	for (uint32_t i = 0; i < events_count(); i++) {
		const struct event *child = event_at(i);

		if (child->parent == e->id && child->kind != EVENT_RAISED && model_leads(m, child))
			n = model_walk(m, child, out, n);
	}
	out[at].skip = n - at - 1;
	return n;
}

static void check_program(const struct model *m, const struct hset *s, const struct event *top, const struct program *p)
{
	struct step want[NODES + 8];
	uint32_t n = model_leads(m, top) ? model_walk(m, top, want, 0) : 0;

	if (n == 1 && !handler_is_set(want[0].handler))
		n = 0;
	assert_int_equal(p ? p->count : 0, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct step *st = &s->steps[p->first + i];

		assert_int_equal(st->event, want[i].event);
		assert_int_equal(st->skip, want[i].skip);
		assert_int_equal(st->handler.ref, want[i].handler.ref);
	}
}

static void check_set(const struct model *m, uint32_t set)
{
	const struct hset *s = hset_at(&hs, set);

	check_program(m, s, event_find(MOS_ON_PKT_IN), &s->programs[SLOT_PKT_IN_SND]);
	for (uint32_t i = 8; i < events_count(); i++)
		if (event_at(i)->kind == EVENT_RAISED)
			check_program(m, s, event_at(i), hset_raised(s, event_at(i)->id, SLOT_PKT_IN_SND));
}

static void programs_agree_with_a_walk_of_the_forest(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct model m[SETS] = { 0 };
		uint32_t set[SETS];

		events_reset();
		for (int i = 0; i < NODES; i++) {
			uint32_t parent = (uint32_t)rand_r(&seed) % (events_count() - 7);
			event_t up = parent ? event_at(7 + parent)->id : MOS_ON_PKT_IN;

			if (rand_r(&seed) % 5)
				define(up);
			else
				alloc(up);
		}
		for (int i = 0; i < SETS; i++)
			set[i] = empty();
		for (int i = 0; i < 200; i++) {
			int k = rand_r(&seed) % SETS;
			uint32_t node = (uint32_t)rand_r(&seed) % (NODES + 1);
			uint32_t index = node ? 7 + node : 0;
			struct handler h = lua((uint32_t)rand_r(&seed) % 3);

			m[k].at[index] = h;
			change(&set[k], event_at(index)->id, MOS_HK_SND, h);
			check_set(&m[k], set[k]);
		}
		for (int a = 0; a < SETS; a++)
			for (int b = 0; b < SETS; b++)
				assert_int_equal(set[a] == set[b], model_equal(&m[a], &m[b]));
		for (int i = 0; i < SETS; i++)
			hset_put(&hs, set[i]);
		hsets_trim(&hs);
		assert_int_equal(hs.used, 0);
	}
}

static void a_program_may_be_as_deep_as_the_forest(void **state)
{
	event_t last = MOS_ON_PKT_IN;
	uint32_t set = empty();

	(void)state;
	for (int i = 8; i < EVENTS_MAX; i++)
		last = define(last);
	change(&set, last, MOS_HK_SND, c_handler);
	assert_int_equal(hset_at(&hs, set)->programs[SLOT_PKT_IN_SND].count, EVENTS_MAX - 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_handler_is_found_at_its_event_and_hook_alone),
		TEST(a_second_registration_replaces_the_first_and_none_removes_it),
		TEST(a_wrong_registration_is_refused),
		TEST(new_data_at_rcv_is_new_data_at_null),
		TEST(children_come_in_order_of_definition_whatever_the_order_of_registration),
		TEST(only_what_is_listened_to_and_what_leads_there_is_in_a_program),
		TEST(what_is_raised_by_hand_is_a_program_of_its_own),
		TEST(a_set_listens_to_an_event_through_its_descendants),
		TEST(the_same_registrations_are_the_same_set_in_any_order),
		TEST(a_definition_changes_no_set),
		TEST(many_connections_that_make_the_same_changes_share_what_the_first_one_made),
		TEST(sets_that_nobody_uses_go),
		TEST(a_set_in_use_outlives_its_place_among_the_kept),
		TEST(the_engine_learns_when_the_last_set_with_a_lua_handler_goes),
		TEST(programs_agree_with_a_walk_of_the_forest),
		TEST(a_program_may_be_as_deep_as_the_forest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
