/*
 * Programs with a main() of their own: mtcp_init reads mos.conf, each mtcp_create_context hands out a worker of the crew,
 * and the run takes place inside mtcp_app_join, when no context can come or change any more.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/call.h"
#include "api/conf.h"
#include "api/process.h"
#include "control/stats.h"
#include "crew.h"
#include "io/dpdk.h"
#include "util/log.h"

#define SECOND 1000000000ull
/* An idle time that never comes. */
#define NEVER (1ull << 62)

enum phase { UNBORN, READY, CREATED, RUNNING, OVER };

/* One context: who made it, and whether its owner waits in mtcp_app_join. */
struct context {
	bool made, joined, destroyed;
	pthread_t maker;
};

/* There is one in a process. The lock guards all of it but `crew` while that runs. */
static struct process {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;
	struct conf conf;
	struct mtcp_conf public; /* what mtcp_getconf tells and mtcp_setconf sets */
	char *words;             /* behind public.app_argv */
	struct crew crew;
	struct context context[WORKERS_MAX];
} process = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* Signal handlers look at it, too. */
static void set_phase(struct process *g, enum phase phase)
{
	__atomic_store_n(&g->phase, phase, __ATOMIC_RELAXED);
}

static enum phase phase_of(const struct process *g)
{
	return __atomic_load_n(&g->phase, __ATOMIC_RELAXED);
}

/* mOS's words of an application's "run" line, split at spaces. */
static int public_apps(struct process *g)
{
	size_t room = 1;

	for (unsigned i = 0; i < g->conf.apps.n; i++)
		room += strlen(g->conf.apps.v[i].name) + 1;
	char *at = g->words = calloc(1, room);

	if (!at)
		return -ENOMEM;
	for (unsigned i = 0; i < g->conf.apps.n && i < MOS_APP; i++) {
		const struct conf_entry *app = &g->conf.apps.v[i];
		char *save, *word = strtok_r(strcpy(at, app->name), " \t", &save);

		for (; word && g->public.app_argc[i] < MOS_APP_ARGC; word = strtok_r(NULL, " \t", &save))
			g->public.app_argv[i][g->public.app_argc[i]++] = word;
		g->public.app_cpu_mask[i] = app->value ? strtoull(app->value, NULL, 0) : g->conf.cpu_mask;
		g->public.num_app++;
		at += strlen(app->name) + 1;
	}
	return 0;
}

static int public_conf(struct process *g)
{
	const struct conf *c = &g->conf;
	int cores = __builtin_popcountll(c->cpu_mask);

	g->public = (struct mtcp_conf){
		.num_cores = c->num_cores ? (int)c->num_cores
			     : cores      ? cores
					  : 1,
		.max_concurrency = (int)c->max_concurrency,
		.cpu_mask = c->cpu_mask ? c->cpu_mask : 1,
		.max_num_buffers = (int)c->max_concurrency,
		.rcvbuf_size = c->no_ring_buffers ? 0 : (int)c->rmem_size,
		.sndbuf_size = (int)c->wmem_size,
		.tcp_timewait = (int)c->tcp_tw_interval,
		.tcp_timeout = (int)c->tcp_timeout,
	};
	return public_apps(g);
}

int mtcp_init(const char *config_file)
{
	struct process *g = &process;
	char err[512];
	int rc = -EBUSY;

	if (!config_file)
		return call_fail(EFAULT);
	pthread_mutex_lock(&g->lock);
	if (g->phase == UNBORN) {
		log_set_name(program_invocation_short_name);
		conf_default(&g->conf);
		rc = conf_read(&g->conf, config_file, getenv("MOS_CONF_OVERRIDE"), err, sizeof(err));
		if (rc < 0)
			log_error("%s", err);
		else
			rc = public_conf(g);
		if (rc < 0)
			conf_free(&g->conf);
		else
			set_phase(g, READY);
	}
	pthread_mutex_unlock(&g->lock);
	return (int)call_return(rc);
}

int mtcp_getconf(struct mtcp_conf *conf)
{
	struct process *g = &process;
	int rc = 0;

	if (!conf)
		return call_fail(EINVAL);
	pthread_mutex_lock(&g->lock);
	if (g->phase == UNBORN)
		rc = -EPERM;
	else
		*conf = g->public;
	pthread_mutex_unlock(&g->lock);
	return (int)call_return(rc);
}

static bool conf_is_sound(const struct mtcp_conf *c)
{
	return c->num_cores >= 1 && c->num_cores <= WORKERS_MAX && c->max_concurrency >= 1 && c->max_num_buffers >= 0 &&
	       c->rcvbuf_size >= 0 && c->tcp_timewait >= 0 && c->tcp_timeout >= -1;
}

int mtcp_setconf(const struct mtcp_conf *conf)
{
	struct process *g = &process;
	int rc = 0;

	if (!conf || !conf_is_sound(conf))
		return call_fail(EINVAL);
	pthread_mutex_lock(&g->lock);
	if (g->phase != READY)
		rc = g->phase == UNBORN ? -EPERM : -EBUSY;
	else
		g->public = *conf;
	pthread_mutex_unlock(&g->lock);
	return (int)call_return(rc);
}

int mtcp_core_affinitize(int cpu)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	if (cpu < 0)
		return call_fail(EINVAL);
	CPU_ZERO(&set);
	CPU_SET(online > 0 ? cpu % (int)online : cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static struct settings settings_of(const struct process *g)
{
	const struct mtcp_conf *c = &g->public;
	uint64_t idle = c->tcp_timeout < 0 ? NEVER : (uint64_t)c->tcp_timeout * SECOND;
	uint64_t conns = (uint64_t)c->max_concurrency * (uint64_t)c->num_cores;
	struct settings s;

	settings_default(&s);
	s.max_conns = conns < UINT32_MAX / 8 ? (uint32_t)conns : UINT32_MAX / 8;
	s.default_buf = (uint64_t)c->rcvbuf_size;
	s.linger_ns = (uint64_t)c->tcp_timewait * SECOND;
	s.half_open_ns = s.established_ns = s.closing_ns = idle;
	return s;
}

/* As at the end of the input; a second time, the process ends at once. */
static void on_stop(int sig)
{
	if (phase_of(&process) == RUNNING)
		crew_stop(&process.crew);
	signal(sig, SIG_DFL);
}

/* Unless the program does something about this signal itself. */
static void catch_stop(int sig)
{
	struct sigaction now;

	if (sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(sig, on_stop);
}

mtcp_sighandler_t mtcp_register_signal(int signum, mtcp_sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigemptyset(&act.sa_mask);
	return sigaction(signum, &act, NULL) < 0 ? SIG_ERR : handler;
}

/* The first context makes the crew. */
static int crew_ready(struct process *g)
{
	struct settings s = settings_of(g);

	if (g->phase == UNBORN || g->phase >= RUNNING)
		return -EPERM;
	if (g->phase == CREATED)
		return 0;
	int rc = crew_init(&g->crew, (unsigned)g->public.num_cores, &s);

	if (rc < 0) {
		crew_fini(&g->crew);
		return rc;
	}
	set_phase(g, CREATED);
	catch_stop(SIGINT);
	catch_stop(SIGTERM);
	return 0;
}

static int context_make(struct process *g, int cpu)
{
	int rc = crew_ready(g);

	if (rc < 0)
		return rc;
	if (cpu < 0 || (unsigned)cpu >= g->crew.n)
		return -EINVAL;
	if (g->context[cpu].made)
		return -EEXIST;
	g->context[cpu] = (struct context){ .made = true, .maker = pthread_self() };
	return 0;
}

mctx_t mtcp_create_context(int cpu)
{
	struct process *g = &process;

	pthread_mutex_lock(&g->lock);
	int rc = context_make(g, cpu);
	mctx_t m = rc < 0 ? NULL : &crew_worker(&g->crew, (unsigned)cpu)->mctx;

	pthread_mutex_unlock(&g->lock);
	if (rc < 0)
		errno = -rc;
	return m;
}

/* The context of mctx; NULL: it is none of this program's. */
static struct context *context_of(struct process *g, mctx_t m)
{
	if (!m || phase_of(g) < CREATED || m->cpu < 0 || (unsigned)m->cpu >= g->crew.n)
		return NULL;
	struct context *x = &g->context[m->cpu];

	return x->made && m == &crew_worker(&g->crew, (unsigned)m->cpu)->mctx ? x : NULL;
}

/* Is this thread alone? Then nobody makes the contexts that are still to come. */
static bool is_alone(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n == 3; /* with . and .. */
}

static bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

/* Is a context that was made also set up? Not while another thread may still be at it. */
static bool is_ready(const struct context *x)
{
	return x->joined || is_set(&x->destroyed) || pthread_equal(x->maker, pthread_self());
}

enum start { NOT_YET, SOON, NOW };

/* All contexts are to be there and set up. Of those that are missing it is not known that they will come. */
static enum start may_start(const struct process *g)
{
	bool all = true;

	for (unsigned i = 0; i < g->crew.n; i++) {
		const struct context *x = &g->context[i];

		all &= x->made;
		if (x->made && !is_ready(x))
			return NOT_YET;
	}
	return all || is_alone() ? NOW : SOON;
}

/* Wait until the run may start, or has started; where contexts are missing, for a second after the last that came. */
static void wait_start(struct process *g)
{
	enum start start;

	while (g->phase == CREATED && (start = may_start(g)) != NOW) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		if (start == NOT_YET)
			pthread_cond_wait(&g->changed, &g->lock);
		else if (pthread_cond_timedwait(&g->changed, &g->lock, &until) == ETIMEDOUT)
			break;
	}
}

static bool is_paired(const struct conf *c, const char *port)
{
	for (unsigned i = 0; i < c->pairs.n; i++)
		if (strcmp(c->pairs.v[i].name, port) == 0 || strcmp(c->pairs.v[i].value, port) == 0)
			return true;
	return false;
}

/*
 * The interfaces of netdev as ports: pairs by nic_forward_table, or, of two without one, each other; what is in no pair is
 * watched, as all are where nothing is to leave.
 */
static unsigned ports_of(const struct conf *c, struct io_pair *pairs)
{
	bool forward = c->forward && c->ip_forward;
	unsigned n = 0;

	if (forward && !c->pairs.n && c->netdev.n == 2) {
		pairs[0] = (struct io_pair){ c->netdev.v[0].name, c->netdev.v[1].name };
		return 1;
	}
	for (unsigned i = 0; forward && i < c->pairs.n; i++)
		pairs[n++] = (struct io_pair){ c->pairs.v[i].name, c->pairs.v[i].value };
	for (unsigned i = 0; i < c->netdev.n; i++)
		if (!forward || !is_paired(c, c->netdev.v[i].name))
			pairs[n++] = (struct io_pair){ c->netdev.v[i].name, NULL };
	return n;
}

/* The number in mOS's name of a port of DPDK, "dpdk0"; NULL: it is an interface of the kernel's. */
static const char *dpdk_port(const char *name)
{
	bool is = strncmp(name, "dpdk", 4) == 0 && name[4] && strspn(name + 4, "0123456789") == strlen(name + 4);

	return is ? name + 4 : NULL;
}

static unsigned open_dpdk(const struct process *g, struct io_pair *pairs, unsigned n, struct io **in, char *err,
			  size_t errlen)
{
	const struct io_dpdk dpdk = { pairs, n, g->conf.eal, NULL, NULL, g->crew.n };

	for (unsigned i = 0; i < n; i++) {
		const char *a = dpdk_port(pairs[i].a), *b = pairs[i].b ? dpdk_port(pairs[i].b) : NULL;

		if (!a || (pairs[i].b && !b)) {
			snprintf(err, errlen, "netdev: either interfaces or ports of DPDK, not '%s' beside others",
				 a ? pairs[i].b : pairs[i].a);
			return 0;
		}
		pairs[i] = (struct io_pair){ a, b };
	}
	return io_dpdk_open(&dpdk, in, err, errlen);
}

static unsigned open_ports(const struct process *g, struct io **in, char *err, size_t errlen)
{
	struct io_pair pairs[2 * CONF_LIST_MAX];
	unsigned n = ports_of(&g->conf, pairs);

	if (dpdk_port(g->conf.netdev.v[0].name))
		return open_dpdk(g, pairs, n, in, err, errlen);
	*in = io_live_open(pairs, n, NULL, g->crew.n + 1, err, errlen);
	return *in != NULL;
}

/* One source for all workers, or one for each. How many; 0 with the reason in err. */
static unsigned open_sources(struct process *g, struct io **in, char *err, size_t errlen)
{
	static const char *files[CONF_LIST_MAX];
	const struct conf *c = &g->conf;

	if (!c->pcap_in.n)
		return open_ports(g, in, err, errlen);
	for (unsigned i = 0; i < c->pcap_in.n; i++) {
		files[i] = c->pcap_in.v[i].name;
		if (c->pcap_out && io_same_file(files[i], c->pcap_out)) {
			snprintf(err, errlen, "%s: is both input and output", files[i]);
			return 0;
		}
	}
	*in = io_pcap_open(files, c->pcap_in.n, NULL, err, errlen);
	return *in != NULL;
}

static int open_input(struct process *g, char *err, size_t errlen)
{
	struct io *in[WORKERS_MAX];

	if (!g->conf.pcap_in.n && !g->conf.netdev.n) {
		snprintf(err, errlen, "no input: netdev names neither a capture (pcap_in = FILE) nor an interface");
		return -EINVAL;
	}
	unsigned n = open_sources(g, in, err, errlen);

	if (!n)
		return -EIO;
	if (crew_source(&g->crew, in, n) == 0)
		return 0;
	snprintf(err, errlen, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

static int open_output(struct process *g, char *err, size_t errlen)
{
	const struct conf *c = &g->conf;

	if (!c->pcap_out || !c->forward || !c->ip_forward)
		return 0;
	g->crew.out = io_writer_open(c->pcap_out, err, errlen);
	return g->crew.out ? 0 : -EIO;
}

static void report(struct process *g, int end)
{
	struct stats sum;

	if (end == IO_FAILED && g->crew.fault->damaged)
		log_warn("%s", g->crew.fault->error);
	else if (end == IO_FAILED)
		log_error("%s", g->crew.fault->error);
	if (!g->conf.stat_print)
		return;
	crew_stats(&g->crew, &sum);
	stats_print(&sum, stderr);
}

/* The run, on the thread of the last one to join. */
static void run(struct process *g)
{
	char err[512];

	if (open_input(g, err, sizeof(err)) < 0 || open_output(g, err, sizeof(err)) < 0) {
		log_error("%s", err);
		return;
	}
	for (unsigned i = 0; i < g->crew.n; i++)
		if (!g->context[i].made)
			log_warn("context %u was never created: nobody monitors its share of the connections", i);
	report(g, crew_run(&g->crew));
	int rc = io_writer_close(g->crew.out);

	g->crew.out = NULL;
	if (rc < 0)
		log_error("%s: %s", g->conf.pcap_out, strerror(-rc));
}

void mtcp_app_join(mctx_t m)
{
	struct process *g = &process;

	pthread_mutex_lock(&g->lock);
	struct context *x = context_of(g, m);

	if (!x || is_set(&x->destroyed)) {
		pthread_mutex_unlock(&g->lock);
		return;
	}
	x->joined = true;
	pthread_cond_broadcast(&g->changed);
	wait_start(g);
	if (g->phase == CREATED) {
		set_phase(g, RUNNING);
		pthread_mutex_unlock(&g->lock);
		run(g);
		pthread_mutex_lock(&g->lock);
		set_phase(g, OVER);
		pthread_cond_broadcast(&g->changed);
	}
	while (g->phase == RUNNING)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* No lock and nothing but loads and stores: programs do this from signal handlers. */
int mtcp_destroy_context(mctx_t m)
{
	struct process *g = &process;
	struct context *x = context_of(g, m);
	bool all = true;

	if (!x)
		return call_fail(EACCES);
	__atomic_store_n(&x->destroyed, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < g->crew.n; i++)
		all &= !g->context[i].made || is_set(&g->context[i].destroyed);
	if (all && phase_of(g) == RUNNING)
		crew_stop(&g->crew);
	return 0;
}

int mtcp_destroy(void)
{
	struct process *g = &process;
	int rc = 0;

	pthread_mutex_lock(&g->lock);
	if (g->phase == UNBORN || g->phase == RUNNING) {
		rc = g->phase == UNBORN ? -EPERM : -EBUSY;
	} else {
		if (g->phase >= CREATED)
			crew_fini(&g->crew);
		conf_free(&g->conf);
		free(g->words);
		g->words = NULL;
		memset(g->context, 0, sizeof(g->context));
		set_phase(g, UNBORN);
	}
	pthread_mutex_unlock(&g->lock);
	return (int)call_return(rc);
}

const struct key_seed *process_seed(void)
{
	return &process.crew.seed;
}

uint32_t mtcp_get_connection_cnt(mctx_t m)
{
	if (!m) {
		errno = EACCES;
		return 0;
	}
	return worker_of(m)->conns.used;
}
