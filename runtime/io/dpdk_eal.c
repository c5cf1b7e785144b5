/* Starting and ending DPDK's environment. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "io/dpdk_parts.h"
#include "util/log.h"

enum { ARGS_MAX = 64, LCORES_MAX = 5 * CPU_SETSIZE };

static bool eal_runs;

bool fail(const struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, why->size, fmt, ap);
	va_end(ap);
	return false;
}

/* Also where a run ends before its ports were opened. */
__attribute__((destructor)) void eal_end(void)
{
	if (eal_runs)
		rte_eal_cleanup();
	eal_runs = false;
}

/* Pages of any size that the system keeps for such programs. */
static bool have_hugepages(void)
{
	glob_t g;
	bool any = false;

	if (glob("/sys/kernel/mm/hugepages/*/nr_hugepages", 0, NULL, &g) != 0)
		return false;
	for (size_t i = 0; i < g.gl_pathc && !any; i++) {
		FILE *f = fopen(g.gl_pathv[i], "r");
		unsigned long n = 0;

		any = f && fscanf(f, "%lu", &n) == 1 && n > 0;
		if (f)
			fclose(f);
	}
	globfree(&g);
	return any;
}

/* The next word of a command line, in place; quotes hold words together. NULL at the end. */
static char *next_word(char **line)
{
	char *s = *line + strspn(*line, " \t\n"), *word = s, *to = s, quote = 0;

	if (!*s)
		return NULL;
	for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
		if (quote ? *s == quote : *s == '\'' || *s == '"')
			quote = quote ? 0 : *s;
		else
			*to++ = *s;
	}
	*line = *s ? s + 1 : s;
	*to = '\0';
	return word;
}

static bool has_arg(char *const *args, int n, const char *start)
{
	for (int i = 0; i < n; i++)
		if (strncmp(args[i], start, strlen(start)) == 0)
			return true;
	return false;
}

/*
 * No files are left behind, and several runs do not get into each other's way. net_tap says that it cannot talk to other
 * processes, as an error, where there can be none.
 */
static void share_nothing(char **args, int *n)
{
	static const char *const knows_better[] = { "--huge-dir", "--in-memory", "--file-prefix", "--proc-type" };
	bool no_huge = has_arg(args, *n, "--no-huge"), said = false;

	for (unsigned i = 0; i < RTE_DIM(knows_better); i++)
		said |= has_arg(args, *n, knows_better[i]);
	for (int i = 0; no_huge && i < *n; i++)
		said |= strstr(args[i], "net_tap") != NULL;
	if (!said)
		args[(*n)++] = no_huge ? "--no-shconf" : "--in-memory";
}

/* Without the page about its options that EAL prints when it does not like one. */
static int eal_init_quietly(int n, char **args)
{
	int out = has_arg(args, n, "--help") || has_arg(args, n, "-h") ? -1 : dup(STDOUT_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	fflush(stdout);
	if (out >= 0 && null >= 0)
		dup2(null, STDOUT_FILENO);
	int rc = rte_eal_init(n, args), error = rte_errno;

	fflush(stdout);
	if (out >= 0 && null >= 0)
		dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	rte_errno = error;
	return rc;
}

/* One thread, on the processors that are ours. */
static void lcores_write(char *text)
{
	cpu_set_t set;
	size_t at = (size_t)sprintf(text, "--lcores=0@(");
	const char *comma = "";

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		CPU_SET(0, &set);
	for (int i = 0; i < CPU_SETSIZE && at < LCORES_MAX - 8; i++) {
		if (CPU_ISSET(i, &set)) {
			at += (size_t)sprintf(text + at, "%s%d", comma, i);
			comma = ",";
		}
	}
	strcpy(text + at, ")");
}

/* One thread that EAL knows from its start, on any processor: the others are ours. */
bool eal_start(const char *eal, const struct why *why)
{
	static char lcores[LCORES_MAX], *line;
	char *args[ARGS_MAX + 10] = { "mos-run" }, *rest, *word;
	int n = 1;

	if (eal_runs)
		return true;
	/* EAL keeps pointers into its arguments. */
	rest = line = strdup(eal ? eal : "");
	while (line && n < ARGS_MAX && (word = next_word(&rest)))
		args[n++] = word;
	if (!has_arg(args, n, "-l") && !has_arg(args, n, "-c") && !has_arg(args, n, "--lcores")) {
		lcores_write(lcores);
		args[n++] = lcores;
	}
	if (!has_arg(args, n, "--log-level"))
		args[n++] = "--log-level=error";
	if (!has_arg(args, n, "--no-telemetry"))
		args[n++] = "--no-telemetry";
	/* Who names virtual devices does not mean the machine's cards. */
	if (has_arg(args, n, "--vdev") && !has_arg(args, n, "-a") && !has_arg(args, n, "--allow") &&
	    !has_arg(args, n, "--no-pci"))
		args[n++] = "--no-pci";
	if (!has_arg(args, n, "--no-huge") && !have_hugepages()) {
		log_warn("no hugepages: slower; as root: sysctl vm.nr_hugepages=512");
		args[n++] = "--no-huge";
		if (!has_arg(args, n, "-m"))
			args[n++] = "-m512";
	}
	share_nothing(args, &n);
	eal_runs = eal_init_quietly(n, args) >= 0;
	return eal_runs ||
	       fail(why, "DPDK: cannot start: %s (arguments: %s)", rte_strerror(rte_errno), eal ? eal : "none");
}
