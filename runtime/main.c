/* mos-run: one worker, one input, one script or shared object. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/object.h"
#include "control/event_table.h"
#include "lua_vm.h"
#include "options.h"
#include "util/log.h"
#include "worker.h"

#ifndef MOS_VERSION
#define MOS_VERSION "0.1.0"
#endif

static volatile int stop;

/* Either a script or an object. */
struct app {
	struct lua_vm *vm;
	struct object *object;
};

static void on_signal(int sig)
{
	stop = 1;
	signal(sig, SIG_DFL);
}

static int load_object(struct app *app, struct worker *w, const char *path)
{
	char err[512];

	app->object = object_open(path, err, sizeof(err));
	if (!app->object) {
		log_error("%s", err);
		return EXIT_SCRIPT;
	}
	void (*init)(mctx_t) = (void (*)(mctx_t))object_symbol(app->object, "mos_app_init");
	if (!init) {
		log_error("%s: no function mos_app_init(mctx_t)", path);
		return EXIT_SCRIPT;
	}
	init(&w->mctx);
	return EXIT_FINE;
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

static void app_exit(struct app *app, struct worker *w)
{
	void (*fini)(mctx_t) = NULL;

	if (app->vm)
		vm_exit(app->vm);
	if (app->object)
		fini = (void (*)(mctx_t))object_symbol(app->object, "mos_app_exit");
	if (fini)
		fini(&w->mctx);
}

static void app_free(struct app *app)
{
	vm_free(app->vm);
	object_close(app->object);
}

/* How far a long run is, on a terminal, once a second. */
struct progress {
	struct worker *w;
	double next; /* seconds of the clock */
	unsigned bursts;
	bool on;
};

static double clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void progress_tick(void *arg)
{
	struct progress *pg = arg;

	if (!pg->on || ++pg->bursts % 1024)
		return;
	double now = clock_s();
	if (now < pg->next)
		return;
	double done = pg->w->in->ops->progress(pg->w->in);
	if (done >= 0)
		log_progress("%s: %3.0f %%, %" PRIu64 " packets", pg->w->in->path, done * 100, pg->w->stats.packets);
	else
		log_progress("%s: %" PRIu64 " packets", pg->w->in->path, pg->w->stats.packets);
	pg->next = now + 1;
}

static int open_files(struct worker *w, const struct options *o)
{
	char err[512];

	for (unsigned i = 0; o->output && i < o->ninputs; i++) {
		if (io_same_file(o->inputs[i], o->output)) {
			log_error("%s: is both input and output", o->output);
			return EXIT_USAGE;
		}
	}
	w->in = io_pcap_open(o->inputs, o->ninputs, o->filter, err, sizeof(err));
	if (!w->in) {
		log_error("%s", err);
		return EXIT_INPUT;
	}
	if (o->output && !(w->out = io_writer_open(o->output, err, sizeof(err)))) {
		log_error("%s", err);
		return EXIT_INPUT;
	}
	return EXIT_FINE;
}

static int close_files(struct worker *w, const struct options *o)
{
	int rc = io_writer_close(w->out);

	if (w->in)
		w->in->ops->close(w->in);
	w->in = NULL;
	w->out = NULL;
	if (rc < 0)
		log_error("%s: %s", o->output, strerror(-rc));
	return rc < 0 ? EXIT_INPUT : EXIT_FINE;
}

/*
 * Packets from the input to its end. What was read before an input failed counts; a capture that is cut short (a tool was
 * stopped while it wrote) is a warning, not a failure.
 */
static int process(struct worker *w)
{
	struct progress pg = { .w = w, .on = isatty(STDERR_FILENO), .next = clock_s() + 1 };
	int rc = EXIT_FINE, end = worker_run(w, progress_tick, &pg);

	log_progress_end();
	if (end == IO_FAILED && w->in->damaged) {
		log_warn("%s", w->in->error);
	} else if (end == IO_FAILED) {
		log_error("%s", w->in->error);
		rc = EXIT_INPUT;
	}
	worker_finish(w);
	return w->failed ? EXIT_SCRIPT : rc;
}

/* What scripts printed must have arrived: a full disk is no success. */
static int flush_output(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_FINE;
	log_error("standard output: %s", errno ? strerror(errno) : "write error");
	return EXIT_INPUT;
}

static void print_stats(struct worker *w)
{
	w->stats.handler_calls = w->d.calls;
	memcpy(w->stats.events, w->d.counts, sizeof(w->stats.events));
	stats_print(&w->stats, stderr);
}

static int load_and_run(struct worker *w, struct app *app, const struct options *o)
{
	int rc = EXIT_FINE;

	if (o->script)
		rc = o->script_is_so ? load_object(app, w, o->script) : load_script(app, w, o);
	if (rc == EXIT_FINE && o->events)
		event_table_print(stdout, o->events == EVENTS_MARKDOWN);
	if (rc != EXIT_FINE || o->events || o->check)
		return rc;
	if (!o->ninputs) {
		log_error("no input; name a capture with -r FILE, or -r - for standard input");
		return EXIT_USAGE;
	}
	rc = open_files(w, o);
	if (rc == EXIT_FINE) {
		w->stop = &stop;
		rc = process(w);
	} else if (stop) {
		rc = EXIT_FINE;
	}
	bool ran = w->in;
	if (rc == EXIT_FINE || ran)
		app_exit(app, w);
	int closed = close_files(w, o), flushed = flush_output();
	if (o->stats && ran)
		print_stats(w);
	return rc != EXIT_FINE ? rc : closed != EXIT_FINE ? closed : flushed;
}

static int run(const struct options *o)
{
	struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) & ~63ul);
	struct app app = { 0 };
	int rc = w ? worker_init(w, 0, &o->set) : -ENOMEM;

	if (rc < 0) {
		log_error("cannot start: %s", strerror(-rc));
		free(w);
		return EXIT_SCRIPT;
	}
	rc = load_and_run(w, &app, o);
	app_free(&app);
	worker_fini(w);
	free(w);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o;
	char err[512];
	int rc = options_parse(&o, argc, argv, err, sizeof(err));

	if (rc) {
		fprintf(stderr, "mos-run: %s\n", err);
	} else if (o.help) {
		options_help(stdout);
	} else if (o.version) {
		printf("mos-run %s\n", MOS_VERSION);
	} else {
		log_set_level((enum log_level)(LOG_INFO + o.verbosity));
		signal(SIGINT, on_signal);
		signal(SIGTERM, on_signal);
		signal(SIGPIPE, SIG_IGN);
		rc = run(&o);
	}
	options_fini(&o);
	return rc;
}
