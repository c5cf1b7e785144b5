/* Packets from one thread to another: order, bytes, room, time, end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/ring.h"

static int set_up(void **state)
{
	static struct io source = { .path = "source" };
	struct ring *r = ring_new(&source);

	assert_non_null(r);
	r->io.wake_fd = eventfd(0, EFD_NONBLOCK);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct ring *r = *state;

	close(r->io.wake_fd);
	ring_free(r);
	return 0;
}

static uint8_t frame[600000];

/* A packet whose frame, time and number follow from n. */
static struct mos_packet packet(uint64_t n)
{
	struct mos_packet p = {
		.data = frame, .caplen = 1 + (uint32_t)(n % 1500), .ts_ns = 1000 + n, .link = 1, .port = 3, .number = n
	};

	p.len = p.caplen + 7;
	memset(frame, (int)(n & 0xff), p.caplen);
	return p;
}

static void check_packet(const struct mos_packet *p, uint64_t n)
{
	assert_int_equal(p->number, n);
	assert_int_equal(p->ts_ns, 1000 + n);
	assert_int_equal(p->caplen, 1 + n % 1500);
	assert_int_equal(p->len, p->caplen + 7);
	assert_int_equal(p->link, 1);
	assert_int_equal(p->port, 3);
	for (uint32_t i = 0; i < p->caplen; i++)
		assert_int_equal(p->data[i], n & 0xff);
}

static int receive(struct ring *r, struct mos_packet *pkts)
{
	return r->io.ops->rx_burst(&r->io, pkts, IO_BURST);
}

enum { MANY = 20000 };

static void *produce(void *arg)
{
	struct ring *r = arg;

	for (uint64_t n = 0; n < MANY; n++) {
		struct mos_packet p = packet(n);

		while (ring_put(r, &p, p.ts_ns) == -EAGAIN)
			ring_wait_room(r, 1000);
	}
	while (ring_end(r, 0) == -EAGAIN)
		ring_wait_room(r, 1000);
	return NULL;
}

static void packets_arrive_whole_and_in_order_across_threads(void **state)
{
	struct ring *r = *state;
	struct mos_packet pkts[IO_BURST];
	pthread_t thread;
	uint64_t next = 0;
	int n;

	assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
	while ((n = receive(r, pkts)) >= 0) {
		for (int i = 0; i < n; i++)
			check_packet(&pkts[i], next++);
		if (n)
			r->io.ops->free_burst(&r->io);
		else
			r->io.ops->wait(&r->io, 1000);
	}
	assert_int_equal(n, IO_END);
	assert_int_equal(next, MANY);
	assert_int_equal(r->io.packets, MANY);
	pthread_join(thread, NULL);
}

static void a_full_ring_takes_nothing(void **state)
{
	struct ring *r = *state;
	struct mos_packet pkts[IO_BURST], p = packet(1);
	unsigned put = 0;

	while (ring_put(r, &p, 0) == 0)
		put++;
	assert_int_equal(put, RING_BATCHES * IO_BURST);
	assert_int_equal(ring_end(r, 0), -EAGAIN);
	assert_int_equal(receive(r, pkts), IO_BURST);
	assert_int_equal(ring_put(r, &p, 0), -EAGAIN);
	r->io.ops->free_burst(&r->io);
	assert_int_equal(ring_put(r, &p, 0), 0);
}

static void a_frame_larger_than_a_batch_passes(void **state)
{
	struct ring *r = *state;
	struct mos_packet pkts[IO_BURST], small = packet(0), p = { .data = frame, .caplen = sizeof(frame) };

	assert_int_equal(ring_put(r, &small, 0), 0);
	memset(frame, 7, sizeof(frame));
	assert_int_equal(ring_put(r, &p, 0), 0);
	ring_flush(r);
	assert_int_equal(receive(r, pkts), 1);
	r->io.ops->free_burst(&r->io);
	assert_int_equal(receive(r, pkts), 1);
	assert_int_equal(pkts[0].caplen, sizeof(frame));
	assert_memory_equal(pkts[0].data, frame, sizeof(frame));
}

/* A consumer's time must not run behind that of a single worker. */
static void a_packet_of_the_past_comes_with_the_time_before_it(void **state)
{
	struct ring *r = *state;
	struct mos_packet pkts[IO_BURST], p = packet(0);

	p.ts_ns = 50;
	assert_int_equal(ring_put(r, &p, 0), 0);
	p.ts_ns = 60;
	assert_int_equal(ring_put(r, &p, 90), 0); /* another consumer's packet was of 90 */
	p.ts_ns = 70;
	assert_int_equal(ring_put(r, &p, 90), 0);
	ring_flush(r);
	assert_int_equal(receive(r, pkts), 1);
	assert_int_equal(r->io.now_ns, 0);
	r->io.ops->free_burst(&r->io);
	assert_int_equal(receive(r, pkts), 2);
	assert_int_equal(r->io.now_ns, 90);
}

static void time_is_told_without_packets(void **state)
{
	struct ring *r = *state;
	struct mos_packet pkts[IO_BURST];

	ring_tell(r, 500);
	ring_tell(r, 400);
	assert_int_equal(receive(r, pkts), 0);
	assert_int_equal(r->io.now_ns, 500);
	assert_int_equal(ring_end(r, 600), 0);
	assert_int_equal(receive(r, pkts), 0);
	assert_int_equal(r->io.now_ns, 600);
	assert_int_equal(receive(r, pkts), IO_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(packets_arrive_whole_and_in_order_across_threads),
		TEST(a_full_ring_takes_nothing),
		TEST(a_frame_larger_than_a_batch_passes),
		TEST(a_packet_of_the_past_comes_with_the_time_before_it),
		TEST(time_is_told_without_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
