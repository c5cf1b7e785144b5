/* Workers on threads: who runs what, and reaching into a worker that has nothing to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "crew.h"

/* An input without packets, until it is told to end. */
struct silent {
	struct io io;
	atomic_bool end;
};

static int silent_rx(struct io *io, struct mos_packet *pkts, unsigned n)
{
	(void)pkts;
	(void)n;
	return atomic_load(&((struct silent *)io)->end) ? IO_END : 0;
}

static void silent_free(struct io *io)
{
	(void)io;
}

static void silent_wait(struct io *io, int timeout_ms)
{
	struct pollfd p = { .fd = io->wake_fd, .events = POLLIN };

	poll(&p, 1, timeout_ms);
}

static const struct io_ops silent_ops = {
	.name = "silent",
	.rx_burst = silent_rx,
	.free_burst = silent_free,
	.wait = silent_wait,
	.close = silent_free,
};

static struct crew crew;
static struct silent input[3];

static void set_up(unsigned workers, unsigned inputs)
{
	struct io *source[3];
	struct settings set;

	settings_default(&set);
	set.max_conns = 100;
	set.buffer_memory = 1 << 24;
	assert_int_equal(crew_init(&crew, workers, &set), 0);
	for (unsigned i = 0; i < inputs; i++) {
		input[i] = (struct silent){ .io = { .ops = &silent_ops, .wake_fd = -1 } };
		source[i] = &input[i].io;
	}
	assert_int_equal(crew_source(&crew, source, inputs), 0);
}

static void *run_crew(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)crew_run(&crew);
}

static void note(struct worker *w, void *arg)
{
	*(int *)arg = w->mctx.cpu;
}

/* Until the workers run, nobody can be called. */
static int call(unsigned i, int *answer)
{
	int rc;

	while ((rc = crew_call(&crew, i, note, answer)) == -ESRCH)
		poll(NULL, 0, 1);
	return rc;
}

static void check_calls(unsigned workers, unsigned inputs)
{
	pthread_t thread;
	void *end;
	int answer = -1;

	set_up(workers, inputs);
	assert_int_equal(crew_call(&crew, 0, note, &answer), -ESRCH);
	assert_int_equal(pthread_create(&thread, NULL, run_crew, NULL), 0);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < workers; i++) {
			assert_int_equal(call(i, &answer), 0);
			assert_int_equal(answer, i);
		}
	}
	for (unsigned i = 0; i < inputs; i++)
		atomic_store(&input[i].end, true);
	pthread_join(thread, &end);
	assert_int_equal((intptr_t)end, IO_END);
	answer = -1;
	assert_int_equal(crew_call(&crew, 0, note, &answer), -ESRCH);
	assert_int_equal(answer, -1);
	crew_fini(&crew);
}

static void an_idle_worker_runs_what_it_is_sent(void **state)
{
	(void)state;
	check_calls(1, 1);
}

static void idle_workers_behind_a_reader_run_what_they_are_sent(void **state)
{
	(void)state;
	check_calls(3, 1);
}

static void idle_workers_with_inputs_of_their_own_run_what_they_are_sent(void **state)
{
	(void)state;
	check_calls(3, 3);
}

static void stopping_ends_every_way_to_run(void **state)
{
	static const unsigned ways[][2] = { { 1, 1 }, { 3, 1 }, { 3, 3 } };
	pthread_t thread;
	void *end;
	int answer;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		set_up(ways[i][0], ways[i][1]);
		assert_int_equal(pthread_create(&thread, NULL, run_crew, NULL), 0);
		assert_int_equal(call(0, &answer), 0);
		crew_stop(&crew);
		pthread_join(thread, &end);
		assert_int_equal((intptr_t)end, IO_END);
		crew_fini(&crew);
	}
}

static void limits_are_divided_among_the_workers(void **state)
{
	struct settings set;

	(void)state;
	settings_default(&set);
	set.max_conns = 100;
	set.buffer_memory = 3 << 20;
	assert_int_equal(crew_init(&crew, 3, &set), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(crew_worker(&crew, i)->set.max_conns, 34);
		assert_int_equal(crew_worker(&crew, i)->set.buffer_memory, 1 << 20);
	}
	crew_fini(&crew);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_worker_runs_what_it_is_sent),
		cmocka_unit_test(idle_workers_behind_a_reader_run_what_they_are_sent),
		cmocka_unit_test(idle_workers_with_inputs_of_their_own_run_what_they_are_sent),
		cmocka_unit_test(stopping_ends_every_way_to_run),
		cmocka_unit_test(limits_are_divided_among_the_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
