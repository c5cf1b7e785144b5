/* mos-bench: packets per second of the tracker, from memory. */
#include <stdio.h>

#include "report.h"
#include "run.h"
#include "save.h"
#include "wishes.h"
#include "workers.h"

static int measure(const struct wishes *o, const struct preset *ps, bool lockstep)
{
	static struct run_result r[WORK_CONTESTANTS];
	struct run_params p = wishes_params(o, ps, lockstep);
	char err[1024];

	if (run(&p, r, err, sizeof(err)) < 0) {
		fprintf(stderr, "mos-bench: trace %c, %s: %s\n", ps->name, lockstep ? "lockstep" : "random", err);
		return 1;
	}
	for (unsigned i = 0; i < p.what_n; i++) {
		if (o->json)
			report_json(&p, r, i, ps->name);
		else
			report_row(&p, r, i, ps->name);
	}
	return 0;
}

static int measure_workers(const struct wishes *o, const struct preset *ps, bool lockstep)
{
	struct run_params p = wishes_params(o, ps, lockstep);
	struct workers_result one, several;
	char err[512];

	if (workers_run(&p, 1, &one, err, sizeof(err)) < 0 ||
	    workers_run(&p, o->workers, &several, err, sizeof(err)) < 0) {
		fprintf(stderr, "mos-bench: trace %c, %u workers: %s\n", ps->name, o->workers, err);
		return 1;
	}
	report_workers(&p, &one, &several, ps->name, o->json);
	return 0;
}

static int measure_phase(const struct wishes *o, const struct preset *ps, bool lockstep)
{
	return o->workers ? measure_workers(o, ps, lockstep) : measure(o, ps, lockstep);
}

static int write_trace(const struct wishes *o)
{
	const struct preset *ps = preset_of(o->traces[0]);
	struct run_params p = wishes_params(o, ps, o->lockstep == 1);
	char err[512];

	if (save(&p.trace, o->write, err, sizeof(err)) == 0)
		return 0;
	fprintf(stderr, "mos-bench: %s\n", err);
	return 1;
}

static int measure_phases(const struct wishes *o, const struct preset *ps)
{
	int rc = 0;

	if (o->lockstep == 1 || (o->lockstep < 0 && ps->both))
		rc |= measure_phase(o, ps, true);
	if (o->lockstep != 1)
		rc |= measure_phase(o, ps, false);
	return rc;
}

int main(int argc, char **argv)
{
	struct wishes o;
	int rc = wishes_parse(&o, argc, argv);

	if (rc)
		return rc;
	if (o.help) {
		wishes_help();
		return 0;
	}
	if (o.write)
		return write_trace(&o);
	for (const char *c = o.traces; *c; c++)
		rc |= measure_phases(&o, preset_of(*c));
	if (o.json)
		report_json_end(rc);
	return rc;
}
