/*
 * A worker: one core's share of the traffic and everything that belongs to it. Nothing here is shared with another
 * worker, so nothing here locks. An mctx_t is a pointer to one.
 */
#ifndef MOS_WORKER_H
#define MOS_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/stats.h"
#include "event/dispatch.h"
#include "event/timers.h"
#include "flow/key.h"
#include "flow/table.h"
#include "flow/wheel.h"
#include "io/io.h"
#include "io/outbox.h"
#include "mos_api.h"
#include "pkt/defrag.h"
#include "pkt/framing.h"
#include "tcp/track.h"

/* Packets that path_burst takes at once; IO_BURST of them are read at a time. */
enum { WORKER_BURST = 256 };

/* What decides a packet whose handler failed. */
enum on_error { ON_ERROR_PASS, ON_ERROR_DROP, ON_ERROR_STOP };

/* Which scripts are put into the sandbox (bindings/mos/sandbox.lua): those of other users, all, none. */
enum sandbox { SANDBOX_FOREIGN, SANDBOX_ALL, SANDBOX_NONE };

struct settings {
	uint32_t max_conns;
	bool conns_pass;       /* at that limit new connections pass untracked; else others end to make room */
	size_t buffer_memory;  /* bytes for stream buffers */
	bool memory_largest;   /* at that limit the largest buffers are given up; else bytes are lost as they come */
	uint64_t default_buf;  /* receive buffer limit of a passive socket that sets none */
	uint64_t linger_ns;    /* how long a closed connection's record stays */
	uint64_t half_open_ns; /* idle times after which a connection ends */
	uint64_t established_ns;
	uint64_t closing_ns;
	struct defrag_limits defrag;
	bool busy_poll;   /* live ports: never sleep */
	bool fail_closed; /* live ports: what no handler can be asked about is dropped, not passed */
	bool midstream;   /* pick up connections without a SYN */
	bool verify_checksums;
	enum on_error on_error;
	uint32_t max_errors;        /* of one handler in a second; 0: any number */
	uint64_t script_timeout_ns; /* of one call; 0: none */
	size_t script_memory;       /* bytes of one state; 0: any */
	enum sandbox sandbox;
	const char *data_dir; /* borrowed; where a script in the sandbox may write; NULL: nowhere */
};

/* The values of mos-run. */
void settings_default(struct settings *s);

struct worker {
	struct mtcp_context mctx; /* first: programs read mctx->cpu */
	struct dispatch d;
	struct settings set;
	struct stats stats;

	struct key_seed seed;
	struct table table;
	struct pool conns;
	struct wheel wheel;
	struct tracker tcp;
	struct timers timers;
	struct defrag defrag;
	struct mos_packet whole;           /* the datagram that defrag last put together */
	const struct mos_packet *fragment; /* the fragment that completed it */
	const struct segment *seg;         /* what the packet in dispatch means; NULL: data in order, or none */
	struct pool rewrites;              /* struct rewrite */
	size_t early_bytes;                /* frames that wait for others: see reorder.h */
	bool releases;                     /* some of them go their way now */
	struct outbox outbox;              /* packets made here */
	struct framings framings;          /* what stands before IP headers, for those */

	struct io *in;
	struct io_writer *out;     /* NULL: nobody wants what passes */
	pthread_mutex_t *out_lock; /* NULL: no other worker writes to out */
	struct mos_packet burst[WORKER_BURST];
	uint32_t at; /* the packet of burst in dispatch, or about to be; its length: those are done */
	struct stream_piece pieces[IO_BURST]; /* payloads of the burst, where a stream holds them */
	uint32_t cold;                        /* those that are still to be prefetched, a bit each */
	uint32_t warm;                        /* bytes of the others */
	bool walked;                          /* the burst had frames whose headers may be longer than a cache line */
	uint32_t headers_ahead;               /* where their second line is; 0: not asked for */
	bool looks_back;                      /* programs may ask for bytes that they have read before */
	uint64_t now_ns;
	uint64_t wake_ns; /* nothing is due before this time */

	uint32_t dirty[4 * WORKER_BURST]; /* index << 1 | side of who owes a CONN_NEW_DATA */
	uint32_t dirty_n;
	bool gave_up;   /* a hole was given up for the packet in dispatch */
	uint32_t probe; /* where the search for a connection to give up goes on */

	const int *stop; /* set by a signal or another thread; NULL: never */
	bool failed;     /* a handler failed and on_error says stop */
	bool unheard;    /* the program, or a handler or filter of it, is not run any more */
	bool halted;     /* failed, or the script engine has to be seen to: see worker_go_on */
	uint16_t live;   /* what mos_conn.flags & (LIVE | EPOCH) is of a connection that may be used as it is */
	struct takeover *takeover; /* a script takes over, connections follow; NULL: none does */
};

static inline struct worker *worker_of(mctx_t m)
{
	return (struct worker *)(void *)m;
}

/* 0 or -errno. */
int worker_init(struct worker *w, int cpu, const struct settings *set);
void worker_fini(struct worker *w);

/*
 * Read, handle and write packets until the input ends, *stop is set or the worker has failed; tick, if given, is called
 * after each burst. Returns IO_END, or IO_FAILED with the
 * text in w->in->error.
 */
int worker_run(struct worker *w, void (*tick)(void *arg), void *arg);

/* The worker is halted: what halted it is seen to. False if it must stop. */
bool worker_go_on(struct worker *w);

/* The calling thread runs handlers from now on, or no longer. worker_run and worker_finish see to it. */
void worker_thread(struct worker *w, bool begins);

/* What is to be done between two bursts. */
void worker_rest(struct worker *w);

/* End every connection (MOS_ENDED_INPUT). */
void worker_finish(struct worker *w);

/*
 * A TCP packet that was made here, or whose payload was, gets its checksums; TCP's from the port that it leaves by, where
 * ports do that and nobody else is given the packet.
 */
void worker_seal(const struct worker *w, struct mos_packet *p);

static inline struct mos_conn *worker_conn(const struct worker *w, uint32_t i)
{
	return (struct mos_conn *)(void *)w->conns.base + i;
}

static inline uint32_t worker_conn_index(const struct worker *w, const struct mos_conn *c)
{
	return (uint32_t)(c - (struct mos_conn *)(void *)w->conns.base);
}

/* Limit of the receive buffer of one connection's side, in bytes; 0 switches it off and drops what is there. */
void worker_set_buffer(struct worker *w, struct mos_conn *c, int side, uint64_t limit);

/* MOS_STOP_MON: no more events or work for side (MOS_SIDE_BOTH: the connection); packets still pass. */
void worker_stop(struct worker *w, struct mos_conn *c, int side);

/* Size in bytes of the per-connection script record; once, before the first packet. 0, -EBUSY or -ENOMEM. */
int worker_set_record(struct worker *w, uint32_t size);

/* A handler failed: what on_error says happens to the packet in dispatch and to the run. */
void worker_handler_failed(struct worker *w);

#endif
