/*
 * A socket that listens to every event at every hook, does now and then what handlers may do, and checks what every
 * handler may rely on: a connection begins and ends once, its bytes are announced before its end, nothing stays behind.
 */
#ifndef MOS_TESTS_FUZZ_WATCH_H
#define MOS_TESTS_FUZZ_WATCH_H

#include "worker.h"

enum { WATCH_CONNS = 8 };

struct watch {
	struct worker *w;
	int sock;
	uint32_t whims; /* what handlers do besides reading: a bit for each kind; 0: nothing */
	/* Called with bytes as they are read, in order; first is the sequence number of the first. NULL: nobody. */
	void (*bytes)(const struct mos_conn *c, int side, uint32_t first, const uint8_t *bytes, size_t len);
};

enum {
	WATCH_DROPS = 1,
	WATCH_STOPS = 2,
	WATCH_RESIZES = 4,
	WATCH_PEEKS = 8,
	WATCH_SLEEPS = 16, /* does not read until the end */
	WATCH_CLOSES = 32,
	WATCH_EDITS = 64, /* puts bytes into streams, and takes some out */
	WATCH_SENDS = 128 /* packets of its own, and resets */
};

/* set->max_conns is WATCH_CONNS at most. */
void watch_init(struct watch *t, const struct settings *set);
/* path_burst, and a look at what leaves. */
void watch_burst(struct watch *t, unsigned n);
/* Ends what is open, and checks that nothing is left. */
void watch_fini(struct watch *t);

#endif
