/* Opens mos-dpdk.so: next to the program, or where it is installed. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/dpdk.h"

#ifndef MOS_PLUGIN_DIR
#define MOS_PLUGIN_DIR "/usr/local/lib/mos"
#endif

#define PLUGIN "mos-dpdk.so"

/* NULL if it is not there, or what it needs is not: then dlerror says so. */
static void *plugin_open(void)
{
	char path[PATH_MAX + sizeof(PLUGIN)];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (slash) {
		strcpy(slash + 1, PLUGIN);
		if (access(path, F_OK) == 0)
			return dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	return dlopen(MOS_PLUGIN_DIR "/" PLUGIN, RTLD_NOW | RTLD_LOCAL);
}

unsigned io_dpdk_open(const struct io_dpdk *o, struct io **out, char *err, size_t errlen)
{
	unsigned (*open)(const struct io_dpdk *, struct io **, char *, size_t) = NULL;
	void *plugin = plugin_open();

	if (plugin)
		open = (unsigned (*)(const struct io_dpdk *, struct io **, char *, size_t))dlsym(plugin, "dpdk_open");
	if (open)
		return open(o, out, err, errlen);
	snprintf(err, errlen, "DPDK: %s (install libdpdk-dev and build again)", dlerror());
	return 0;
}
