/* The command line of mos-bench: which traces, what work, and what of a trace's preset is changed. */
#ifndef MOS_BENCH_WISHES_H
#define MOS_BENCH_WISHES_H

#include "run.h"

struct preset {
	char name;
	uint32_t connections, concurrency, request, response;
	bool both;   /* phases, unless one is asked for */
	double harm; /* loss, reordering and retransmission, per cent */
	enum flood flood;
};

/* What was said; negative: nothing. */
struct wishes {
	const char *traces; /* letters */
	bool work[WORK_KINDS];
	bool lua;
	double connections, concurrency, request, response, loss, reorder, rexmit;
	int lockstep;
	bool json;
	bool help;
	unsigned workers;  /* of a crew; 0: none, but all work in turn */
	const char *write; /* a capture file to make; NULL: none */
	struct run_params run;
};

/* The preset of a letter; NULL if there is none. */
const struct preset *preset_of(char letter);

/* What to run of a preset, in that phase. */
struct run_params wishes_params(const struct wishes *o, const struct preset *ps, bool lockstep);

/* 0, or an exit code, with a message on standard error. */
int wishes_parse(struct wishes *o, int argc, char **argv);

void wishes_help(void);

#endif
