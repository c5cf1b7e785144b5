/* Which worker a packet goes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "pkt/bytes.h"
#include "spread.h"
#include "unit/frames.h"

enum { WORKERS = 5, LOG = 64, L3 = 14 };

static struct given {
	unsigned worker;
	uint64_t number;
} given[LOG];
static unsigned count;

static void give(void *arg, unsigned worker, const struct mos_packet *p)
{
	(void)arg;
	assert_in_range(worker, 0, WORKERS - 1);
	assert_true(count < LOG);
	given[count++] = (struct given){ worker, p->number };
}

static int set_up(void **state)
{
	static struct spread s;
	struct defrag_limits limits;
	struct key_seed seed;

	defrag_limits_default(&limits);
	count = 0;
	*state = &s;
	key_seed_init(&seed);
	return spread_init(&s, WORKERS, &seed, &limits, give, NULL);
}

static int tear_down(void **state)
{
	spread_fini(*state);
	return 0;
}

static void play(struct spread *s, const char *hex, uint64_t number, uint64_t ts_ns)
{
	struct frame f = { .len = 0 };

	frame_hex(&f, hex);
	struct mos_packet p = frame_packet(&f, 1, f.len);

	p.number = number;
	p.ts_ns = ts_ns;
	spread_packet(s, &p);
	packet_release(&p);
}

static void play_tcp(struct spread *s, unsigned a, unsigned sport, unsigned b, unsigned dport)
{
	char hex[256];

	snprintf(hex, sizeof(hex),
		 ETH("0800") "4500 0028 1234 4000 40 06 0000 0a0000%02x 0a0000%02x "
			     "%04x %04x 000003e8 000007d0 50 10 2000 abcd 0000",
		 a, b, sport, dport);
	play(s, hex, 1, 0);
}

static void both_directions_go_to_one_worker(void **state)
{
	for (unsigned i = 0; i < 30; i++) {
		count = 0;
		play_tcp(*state, 1, 1000 + i, 2, 80);
		play_tcp(*state, 2, 80, 1, 1000 + i);
		assert_int_equal(count, 2);
		assert_int_equal(given[0].worker, given[1].worker);
	}
}

static void connections_of_two_hosts_are_spread(void **state)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < LOG; i++)
		play_tcp(*state, 1, 1000 + i, 2, 80);
	for (unsigned i = 0; i < LOG; i++)
		seen |= 1u << given[i].worker;
	assert_int_equal(seen, (1u << WORKERS) - 1);
}

/* 32 bytes of TCP: 24 in the first fragment, 8 in the second. Ports 0x3039 and 0x50. */
#define FIRST(id)                                                       \
	ETH("0800")                                                     \
	"4500 002c " id " 2000 40 06 0000 0a000001 0a000002 3039 0050 " \
	"000003e8 000007d0 50 10 2000 abcd 0000 61616161"
#define SECOND(id) ETH("0800") "4500 001c " id " 0003 40 06 0000 0a000001 0a000002 6262626262626262"

static void fragments_go_where_their_connection_goes_in_the_order_they_came(void **state)
{
	play_tcp(*state, 2, 80, 1, 0x3039);
	unsigned worker = given[0].worker;

	count = 0;
	play(*state, SECOND("0001"), 1, 0);
	play(*state, SECOND("0002"), 2, 0);
	assert_int_equal(count, 0);
	play(*state, FIRST("0001"), 3, 0);
	assert_int_equal(count, 2);
	play(*state, FIRST("0002"), 4, 0);
	assert_int_equal(count, 4);
	const uint64_t order[] = { 1, 3, 2, 4 };

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(given[i].number, order[i]);
		assert_int_equal(given[i].worker, worker);
	}
}

static void what_is_never_complete_goes_on_in_the_end(void **state)
{
	struct spread *s = *state;

	play(s, SECOND("0001"), 1, 0);
	play(s, SECOND("0002"), 2, 31000000000);
	assert_int_equal(count, 1);
	assert_int_equal(given[0].number, 1);
	spread_flush(s);
	assert_int_equal(count, 2);
	assert_int_equal(given[1].number, 2);
	assert_int_equal(given[0].worker, given[1].worker);
	assert_int_equal(s->bytes, 0);
}

static void fragments_of_another_protocol_are_not_held(void **state)
{
	play(*state, ETH("0800") "4500 001c 0001 2000 40 11 0000 0a000001 0a000002 6262626262626262", 1, 0);
	assert_int_equal(count, 1);
}

static void at_the_limit_the_oldest_go_on(void **state)
{
	struct spread *s = *state;

	s->defrag.limits.datagrams = 2;
	play(s, SECOND("0001"), 1, 0);
	play(s, SECOND("0002"), 2, 0);
	play(s, SECOND("0003"), 3, 0);
	assert_int_equal(count, 1);
	assert_int_equal(given[0].number, 1);
}

static void what_is_not_tcp_goes_by_its_addresses_either_way(void **state)
{
	play(*state, ETH("0800") "4500 0018 0001 0000 40 01 0000 0a000001 0a000002 08000000", 1, 0);
	play(*state, ETH("0800") "4500 0018 0001 0000 40 01 0000 0a000002 0a000001 00000000", 2, 0);
	play(*state, ETH("0806") "0001 0800 06 04 0001", 3, 0);
	assert_int_equal(count, 3);
	assert_int_equal(given[0].worker, given[1].worker);
	assert_int_equal(given[2].worker, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(both_directions_go_to_one_worker),
		TEST(connections_of_two_hosts_are_spread),
		TEST(fragments_go_where_their_connection_goes_in_the_order_they_came),
		TEST(what_is_never_complete_goes_on_in_the_end),
		TEST(fragments_of_another_protocol_are_not_held),
		TEST(at_the_limit_the_oldest_go_on),
		TEST(what_is_not_tcp_goes_by_its_addresses_either_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
