/* mos-run: a script or a shared object, once per worker, and the packets of one input. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/client.h"
#include "control/event_table.h"
#include "control/explain.h"
#include "crew.h"
#include "fleet.h"
#include "io/dpdk.h"
#include "lua_vm.h"
#include "native.h"
#include "new_monitor.h"
#include "options.h"
#include "pkt/decode.h"
#include "user.h"
#include "util/log.h"

#ifndef MOS_VERSION
#define MOS_VERSION "0.1.0"
#endif

/* Either a script or an object. */
struct app {
	struct lua_vm *vm;
	struct native *native;
};

/* What runs, for the signal handler too. */
static struct run {
	struct crew crew;
	struct app app[WORKERS_MAX];
	struct explain *explain;
	struct fleet fleet;
	double next_progress; /* seconds of the clock */
	unsigned bursts;
} run;

static void on_signal(int sig)
{
	crew_stop(&run.crew);
	signal(sig, SIG_DFL);
}

static void on_hangup(int sig)
{
	(void)sig;
	fleet_hangup(&run.fleet);
}

static int load_object(struct app *app, struct worker *w, struct object *object, const char *path)
{
	char err[512] = "out of memory";

	app->native = native_new(w);
	if (app->native && native_load(app->native, object, path, err, sizeof(err)) == 0)
		return EXIT_FINE;
	log_error("%s", err);
	return EXIT_SCRIPT;
}

static int load_script(struct app *app, struct worker *w, const struct options *o)
{
	char err[1024];

	app->vm = vm_new(w, err, sizeof(err));
	if (app->vm)
		vm_set_input(app->vm, o->ninputs, o->inputs);
	if (app->vm && vm_load(app->vm, o->script, o->nargs, o->args, err, sizeof(err)) == 0)
		return EXIT_FINE;
	log_error("%s", err);
	return EXIT_SCRIPT;
}

static void app_exit(struct app *app)
{
	if (app->vm)
		vm_exit(app->vm);
	if (app->native)
		native_exit(app->native);
}

static void app_free(struct app *app)
{
	vm_free(app->vm);
	native_free(app->native);
}

static double clock_s(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* How far a long run is, on a terminal, once a second. */
static void progress_tick(void *arg)
{
	const struct io *in = arg;

	if (++run.bursts % 1024)
		return;
	double now = clock_s(CLOCK_MONOTONIC);
	if (now < run.next_progress)
		return;
	double done = in->ops->progress ? in->ops->progress((struct io *)arg) : -1;
	if (done >= 0)
		log_progress("%s: %3.0f %%, %" PRIu64 " packets", in->path, done * 100, in->packets);
	else
		log_progress("%s: %" PRIu64 " packets", in->path, in->packets);
	run.next_progress = now + 1;
}

/* Longer than any connection stays without a packet, so that each replay begins as the first one did. */
static uint64_t longest_idle_ns(const struct settings *s)
{
	uint64_t most = s->linger_ns;

	most = s->half_open_ns > most ? s->half_open_ns : most;
	most = s->established_ns > most ? s->established_ns : most;
	most = s->closing_ns > most ? s->closing_ns : most;
	return most + 1000000000;
}

static struct io *open_captures(struct crew *e, const struct options *o, char *err, size_t errlen)
{
	struct io *in = io_pcap_open(o->inputs, o->ninputs, o->filter, err, errlen);

	if (in && o->repeat)
		in = io_preload(in, o->repeat, longest_idle_ns(&o->set), &e->stop, err, errlen);
	return in;
}

/* One source for all workers, or one for each. How many; 0 with the reason in err. */
static unsigned open_input(struct crew *e, const struct options *o, struct io **in, char *err, size_t errlen)
{
	const struct io_dpdk dpdk = { o->pairs, o->npairs, o->eal, o->mac, o->filter, e->n };

	if (o->dpdk)
		return io_dpdk_open(&dpdk, in, err, errlen);
	*in = o->npairs ? io_live_open(o->pairs, o->npairs, o->filter, e->n + 1, err, errlen)
			: open_captures(e, o, err, errlen);
	return *in != NULL;
}

static int open_files(struct crew *e, const struct options *o)
{
	char err[512];

	for (unsigned i = 0; o->output && i < o->ninputs; i++) {
		if (io_same_file(o->inputs[i], o->output)) {
			log_error("%s: is both input and output", o->output);
			return EXIT_USAGE;
		}
	}
	struct io *in[WORKERS_MAX];
	unsigned n = open_input(e, o, in, err, sizeof(err));

	if (!n) {
		log_error("%s", err);
		return EXIT_INPUT;
	}
	if (crew_source(e, in, n) < 0) {
		log_error("%s", strerror(ENOMEM));
		return EXIT_INPUT;
	}
	if (o->output && !(e->out = io_writer_open(o->output, err, sizeof(err)))) {
		log_error("%s", err);
		return EXIT_INPUT;
	}
	if (o->user && !user_become(o->user, err, sizeof(err))) {
		log_error("%s", err);
		return EXIT_USAGE;
	}
	return EXIT_FINE;
}

static int close_output(struct crew *e, const struct options *o)
{
	int rc = io_writer_close(e->out);

	e->out = NULL;
	if (rc < 0)
		log_error("%s: %s", o->output, strerror(-rc));
	return rc < 0 ? EXIT_INPUT : EXIT_FINE;
}

static bool any_failed(const struct crew *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		if (crew_worker(e, i)->failed)
			return true;
	}
	return false;
}

/* How fast the packets of --preload went; where one thread did it all by CPU time, which other programs disturb less. */
static void print_speed(const struct crew *e, double wall_s, double cpu_s)
{
	double s = e->n == 1 ? cpu_s : wall_s, packets;
	struct stats sum;

	crew_stats(e, &sum);
	packets = (double)sum.packets;
	if (!sum.packets || s <= 0)
		return;
	log_info("%" PRIu64
		 " packets in %.3f s (%.3f s of CPU time): %.2f Mpps, %.1f ns each, %.2f Gbit/s, %.0f connections/s",
		 sum.packets, wall_s, cpu_s, packets / s / 1e6, s / packets * 1e9, (double)sum.bytes * 8 / s / 1e9,
		 (double)sum.connections / s);
}

static int run_timed(struct crew *e, bool show)
{
	double wall = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	int end = crew_run(e);

	wall = clock_s(CLOCK_MONOTONIC) - wall;
	cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	log_progress_end();
	if (show)
		print_speed(e, wall, cpu);
	return end;
}

/* What a live run has come to; --stats says more. */
static void print_totals(const struct crew *e)
{
	struct stats sum;

	crew_stats(e, &sum);
	log_info("%" PRIu64 " packets, %" PRIu64 " connections, %" PRIu64 " dropped by handlers, %" PRIu64 " lost",
		 sum.packets, sum.connections, sum.dropped, sum.port_lost + sum.queue_lost);
}

/*
 * Packets from the input to its end. What was read before an input failed counts; a capture that is cut short (a tool was
 * stopped while it wrote) is a warning, not a failure.
 */
static int process(struct crew *e, const struct options *o)
{
	if (e->source[0]->live && e->n > 1)
		log_info("on %s with %u workers, until Ctrl-C", e->source[0]->path, e->n);
	else if (e->source[0]->live)
		log_info("on %s, until Ctrl-C", e->source[0]->path);
	else if (isatty(STDERR_FILENO) && !run.explain) {
		e->tick = progress_tick;
		e->tick_arg = e->source[0];
		run.next_progress = clock_s(CLOCK_MONOTONIC) + 1;
	}
	int rc = EXIT_FINE, end = run_timed(e, o->repeat);

	if (e->source[0]->live)
		print_totals(e);
	if (end == IO_FAILED && e->fault->damaged) {
		log_warn("%s", e->fault->error);
	} else if (end == IO_FAILED) {
		log_error("%s", e->fault->error);
		rc = EXIT_INPUT;
	}
	return any_failed(e) ? EXIT_SCRIPT : rc;
}

/* What scripts printed must have arrived: a full disk is no success. */
static int flush_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_FINE;
	log_error("standard output: %s", errno ? strerror(errno) : "write error");
	return EXIT_INPUT;
}

static void print_stats(const struct crew *e)
{
	struct stats sum;

	crew_stats(e, &sum);
	stats_print(&sum, stderr);
}

/* One copy, which the workers share. */
static int load_objects(struct crew *e, const struct options *o)
{
	char err[512];
	struct object *object = object_open(o->script, err, sizeof(err));
	int rc = object ? EXIT_FINE : EXIT_SCRIPT;

	if (!object)
		log_error("%s", err);
	for (unsigned i = 0; i < e->n && rc == EXIT_FINE; i++)
		rc = load_object(&run.app[i], crew_worker(e, i), object, o->script);
	object_put(object);
	return rc;
}

/* One worker's, then the next one's: what it does when it is loaded is not done twice at once. */
static int load_apps(struct crew *e, const struct options *o)
{
	int rc = EXIT_FINE;

	if (o->script && o->script_is_so)
		return load_objects(e, o);
	for (unsigned i = 0; o->script && i < e->n && rc == EXIT_FINE; i++)
		rc = load_script(&run.app[i], crew_worker(e, i), o);
	return rc;
}

/* The control thread, while there are packets. Without a program SIGHUP ends the run, as it does any. */
static int process_controlled(struct crew *e, const struct options *o)
{
	struct fleet *f = &run.fleet;
	char err[512];

	*f = (struct fleet){ .crew = e, .version = MOS_VERSION, .watch = o->watch, .canary_ns = o->canary_ns };
	f->script = o->script ? strdup(o->script) : NULL;
	for (unsigned i = 0; i < e->n; i++) {
		f->vm[i] = run.app[i].vm;
		f->native[i] = run.app[i].native;
	}
	if (fleet_start(f, o->control, err, sizeof(err)) < 0) {
		log_error("%s", err);
		fleet_stop(f);
		return EXIT_INPUT;
	}
	if (f->script)
		signal(SIGHUP, on_hangup);
	int rc = process(e, o);

	if (f->script)
		signal(SIGHUP, SIG_IGN);
	fleet_stop(f);
	return rc;
}

static int run_packets(struct crew *e, const struct options *o)
{
	int rc = open_files(e, o);

	if (rc == EXIT_FINE)
		rc = process_controlled(e, o);
	else if (e->stop)
		rc = EXIT_FINE;
	for (unsigned i = 0; (rc == EXIT_FINE || e->source[0]) && i < e->n; i++)
		app_exit(&run.app[i]);
	int closed = close_output(e, o), flushed = flush_output();
	if (o->stats && e->source[0])
		print_stats(e);
	return rc != EXIT_FINE ? rc : closed != EXIT_FINE ? closed : flushed;
}

/* NO_COLOR: https://no-color.org */
static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (!no || !*no);
}

static int load_and_run(struct crew *e, const struct options *o)
{
	int rc = load_apps(e, o);

	if (rc == EXIT_FINE && o->events)
		event_table_print(stdout, o->events == EVENTS_MARKDOWN);
	if (rc != EXIT_FINE || o->events || o->check)
		return rc;
	if (!o->ninputs && !o->npairs) {
		log_error("no input; name a capture with -r FILE, or -r - for standard input");
		return EXIT_USAGE;
	}
	if (o->explain) {
		run.explain = explain_new(crew_worker(e, 0), stdout, wants_colour(), !o->script);
		if (!run.explain) {
			log_error("cannot explain: %s", strerror(ENOMEM));
			return EXIT_SCRIPT;
		}
	}
	return run_packets(e, o);
}

/* As many as -j says, else one, and for ports of DPDK one for each queue. 0: the ports cannot be asked, which was said. */
static unsigned workers_of(const struct options *o)
{
	const struct io_dpdk dpdk = { o->pairs, o->npairs, o->eal, o->mac, o->filter, 0 };
	char err[512];

	if (o->check || o->events || o->explain)
		return 1;
	if (o->workers || !o->dpdk)
		return o->workers ? o->workers : 1;
	unsigned n = io_dpdk_queues(&dpdk, err, sizeof(err));

	if (!n)
		log_error("%s", err);
	return n;
}

static int run_all(const struct options *o)
{
	unsigned workers = workers_of(o);

	if (!workers)
		return EXIT_INPUT;
	int rc = crew_init(&run.crew, workers, &o->set);

	if (rc < 0) {
		log_error("cannot start: %s", strerror(-rc));
		rc = EXIT_SCRIPT;
	} else {
		signal(SIGINT, on_signal);
		signal(SIGTERM, on_signal);
		signal(SIGPIPE, SIG_IGN);
		rc = load_and_run(&run.crew, o);
	}
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		app_free(&run.app[i]);
	crew_fini(&run.crew);
	explain_free(run.explain);
	return rc;
}

static int make_monitor(const char *name)
{
	char err[1024];

	if (new_monitor(name, err, sizeof(err)) == 0)
		return EXIT_FINE;
	log_error("%s", err);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct options o;
	char err[512];

	if (argc > 1 && !strcmp(argv[1], "ctl"))
		return client_main(argc - 1, argv + 1);
	int rc = options_parse(&o, argc, argv, err, sizeof(err));

	if (rc) {
		fprintf(stderr, "mos-run: %s\n", err);
	} else if (o.help) {
		options_help(stdout);
	} else if (o.version) {
		printf("mos-run %s\n", MOS_VERSION);
	} else if (o.new_monitor) {
		rc = make_monitor(o.new_monitor);
	} else {
		log_set_level((enum log_level)(LOG_INFO + o.verbosity));
		packet_decap_off(o.no_decap);
		rc = run_all(&o);
	}
	options_fini(&o);
	return rc;
}
