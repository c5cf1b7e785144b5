/*
 * Conversations as text, played into a worker of the test's own, and what handlers saw, as text.
 *
 * A segment is written as packetdrill writes it, without the direction: "S 0:0(0) win 1000 <mss 1460>",
 * "P. 1:11(10) ack 1 \"payload\"". Sequence numbers are relative to the sender's first (CLI 1000, SVR 5000 unless set),
 * acknowledgements to the other's. Payload without text is a-z by stream offset. Options: mss N, wscale N, sackOK,
 * TS val N ecr N. "snap N": only N bytes of the payload were captured.
 */
#ifndef MOS_TESTS_KIT_REPLAY_H
#define MOS_TESTS_KIT_REPLAY_H

#include "worker.h"

enum { CLI = 0, SVR = 1 };

struct replay {
	struct worker *w;
	int sock; /* a passive socket that listens to every event at every hook, and logs */
	uint32_t isn[2];
	uint16_t port[2];
	bool ipv6;
	uint64_t now_ns;
	char log[16384];          /* what was raised since the last replay_segment */
	char hook[16], who[16];   /* of the event logged last */
	bool quiet;               /* do not log */
	struct mos_packet packet; /* the packet played last */
};

/* set: NULL for settings_default with no lingering. */
void replay_init(struct replay *r, const struct settings *set);
void replay_fini(struct replay *r);

/* Let r->sock call handler for every event at every hook, in place of what logs. */
void replay_listen(struct replay *r, callback_t handler);

/*
 * Play one segment as a burst of its own, 1 ms after the last. Returns the log:
 * "snd cli: pkt_in conn_start state(syn_sent); rcv svr: pkt_in conn_start state(syn_rcvd)".
 */
const char *replay_segment(struct replay *r, int side, const char *text);

/* The same for several segments in one burst, ending with { -1, NULL }. */
struct said {
	int side;
	const char *segment;
};
const char *replay_burst(struct replay *r, const struct said *said);

/* Let seconds pass, in packet time; what ended is in the log. */
const char *replay_wait(struct replay *r, double seconds);

/* End of input. */
const char *replay_end(struct replay *r);

#endif
