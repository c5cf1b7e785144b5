/*
 * What the programs here have in common: main() reads "-f FILE" (mos.conf unless said) and "-c CORES", makes a context
 * per core, hands it to app_context, and waits for the end of the run.
 */
#ifndef APP_H
#define APP_H

#include <mos_api.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CORES_MAX = 16 };

/* Each program's own: its further options ("r:" for -r), a context's sockets and handlers, what it says at the end. */
extern const char *const app_options;
int app_option(int option, const char *value);
int app_context(mctx_t mctx);
void app_end(int cores);

static mctx_t app_mctx[CORES_MAX];
static int app_cores;

static int app_usage(const char *name)
{
	fprintf(stderr, "usage: %s [-f mos.conf] [-c cores]\n", name);
	return 2;
}

static int app_parse(int argc, char **argv, const char **file, int *cores)
{
	char options[32];
	int option;

	snprintf(options, sizeof(options), "f:c:%s", app_options);
	while ((option = getopt(argc, argv, options)) != -1) {
		if (option == 'f')
			*file = optarg;
		else if (option == 'c')
			*cores = atoi(optarg);
		else if (option == '?' || app_option(option, optarg) < 0)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *file = "mos.conf";
	struct mtcp_conf conf;
	int cores = 0;

	if (app_parse(argc, argv, &file, &cores) < 0)
		return app_usage(argv[0]);
	if (mtcp_init(file) < 0 || mtcp_getconf(&conf) < 0)
		return 1;
	if (cores > 0 && cores <= CORES_MAX)
		conf.num_cores = cores;
	if (mtcp_setconf(&conf) < 0)
		return 1;
	app_cores = conf.num_cores;
	for (int i = 0; i < conf.num_cores; i++) {
		app_mctx[i] = mtcp_create_context(i);
		if (!app_mctx[i] || app_context(app_mctx[i]) < 0)
			return 1;
	}
	for (int i = 0; i < conf.num_cores; i++)
		mtcp_app_join(app_mctx[i]);
	app_end(app_cores);
	for (int i = 0; i < conf.num_cores; i++)
		mtcp_destroy_context(app_mctx[i]);
	return mtcp_destroy() < 0;
}

#endif
