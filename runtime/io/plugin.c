/* Opens mos-dpdk.so: next to the program, next to libmos where that is what runs, or where it is installed. */
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/dpdk.h"

#ifndef MOS_PLUGIN_DIR
#define MOS_PLUGIN_DIR "/usr/local/lib/mos"
#endif

#define PLUGIN "mos-dpdk.so"

/* The plugin's path, if it stands beside a file of this path: n bytes at path, which has room for PLUGIN behind them. */
static bool is_beside(char *path, ssize_t n)
{
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (slash)
		strcpy(slash + 1, PLUGIN);
	return slash && access(path, F_OK) == 0;
}

/* NULL if it is not there, or what it needs is not: then dlerror says so. */
static void *plugin_open(void)
{
	char path[PATH_MAX + sizeof(PLUGIN)];
	Dl_info here;

	if (is_beside(path, readlink("/proc/self/exe", path, PATH_MAX)))
		return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (dladdr((void *)io_dpdk_open, &here) && strlen(here.dli_fname) < PATH_MAX &&
	    is_beside(strcpy(path, here.dli_fname), (ssize_t)strlen(here.dli_fname)))
		return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return dlopen(MOS_PLUGIN_DIR "/" PLUGIN, RTLD_NOW | RTLD_LOCAL);
}

/* A function of the plugin; NULL with the reason in err. */
static void *plugin_function(const char *name, char *err, size_t errlen)
{
	void *plugin = plugin_open(), *function = plugin ? dlsym(plugin, name) : NULL;

	if (!function)
		snprintf(err, errlen, "DPDK: %s (install libdpdk-dev and build again)", dlerror());
	return function;
}

unsigned io_dpdk_queues(const struct io_dpdk *o, char *err, size_t errlen)
{
	unsigned (*queues)(const struct io_dpdk *, char *, size_t) = NULL;

	queues = (unsigned (*)(const struct io_dpdk *, char *, size_t))plugin_function("dpdk_queues", err, errlen);
	return queues ? queues(o, err, errlen) : 0;
}

unsigned io_dpdk_open(const struct io_dpdk *o, struct io **out, char *err, size_t errlen)
{
	unsigned (*open)(const struct io_dpdk *, struct io **, char *, size_t) = NULL;

	open = (unsigned (*)(const struct io_dpdk *, struct io **, char *, size_t))plugin_function("dpdk_open", err,
												   errlen);
	return open ? open(o, out, err, errlen) : 0;
}
