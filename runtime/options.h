/*
 * The command line of mos-run. Parsing is pure: nothing is opened, printed or remembered between calls.
 */
#ifndef MOS_OPTIONS_H
#define MOS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "worker.h"

/* Exit codes of mos-run. */
enum { EXIT_FINE = 0, EXIT_SCRIPT = 1, EXIT_USAGE = 2, EXIT_INPUT = 3 };

/* --events: list the events instead of running. */
enum events_list { EVENTS_NONE, EVENTS_TEXT, EVENTS_MARKDOWN };

/* Strings are borrowed from argv, unless said. */
struct options {
	const char *script;  /* NULL only with help, version, events, explain or new_monitor */
	bool script_is_so;   /* its name ends in ".so" */
	char **args;         /* what came after "--" */
	int nargs;           /* strings at args */
	const char **inputs; /* capture files, "-" is standard input; owned */
	unsigned ninputs;
	struct io_pair *pairs; /* interfaces or ports, in the order given; owned, as are their names */
	unsigned npairs;
	bool dpdk;          /* they are ports of DPDK */
	const char *eal;    /* arguments for EAL; NULL: none */
	const char *mac;    /* see struct io_dpdk */
	const char *user;   /* whose rights are enough once the interfaces are open; NULL: keep ours */
	const char *filter; /* of the packets read; NULL: none */
	const char *output; /* capture file to write, "-" is standard output; NULL: none */

	const char *control; /* path of the control socket; NULL: none */
	bool watch;          /* reload the script when its files change */
	uint64_t canary_ns;  /* how long a new script runs on one worker first */

	bool on_error_said; /* set.on_error is as the command line says */
	unsigned workers;   /* 0: as many as the input suggests */
	unsigned repeat;    /* how often to give the packets, from memory; 0: once, from the files */
	uint32_t no_decap;  /* for packet_decap_off */

	bool check;   /* load the script, run nothing */
	bool explain; /* say what happens to each packet */
	bool stats;
	bool help;
	bool version;
	enum events_list events;
	const char *new_monitor; /* write one of that name; NULL: none */

	int verbosity; /* -1 after -q, 0, 1 after -v: the last of them counts */

	struct settings set; /* settings_default() and what the command line changes */
};

/*
 * Fill o from the command line; argv is left as it is. Returns 0, or 2 (EXIT_USAGE) with one line in err, without the
 * program's name and newline: print it as "mos-run: %s\n". Either way options_fini releases o.
 *
 * help and version win over everything that is missing, not over what is wrong.
 */
int options_parse(struct options *o, int argc, char **argv, char *err, size_t errlen);

/* Release what o owns. */
void options_fini(struct options *o);

/* What --help prints; fits 80x24. */
void options_help(FILE *f);

#endif
