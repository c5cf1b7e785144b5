/*
 * Running handlers: event bits in, calls out. Knows sockets and sets, nothing of TCP.
 *
 * At a hook, the connection's sockets are served in the order of their creation; for each, the events in slot order,
 * user-defined ones right after their base. The sockets' sets are pinned for the hook, so a handler's change takes
 * effect from the next hook; a stop or a close takes effect at once. Handlers may define, register, stop, close, drop
 * and raise; what they raise runs when they return.
 */
#ifndef MOS_EVENT_DISPATCH_H
#define MOS_EVENT_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "event/hset.h"
#include "mos_ffi.h"
#include "util/pool.h"

enum { PASSIVE_MAX = MOS_SOCK_FIRST, RAISE_MAX = 16384, MONITOR_NAME = 32 };

struct stats;

/* ENGINE_CALLED: yes, and the handler has been called in the same go, unless the filter silenced the socket. */
enum engine_answer { ENGINE_NO, ENGINE_YES, ENGINE_CALLED };

/* How the script engine is called: the only way from here into Lua. ctx says what is in dispatch. */
struct engine {
	void (*handle)(void *arg, uint32_t ref);
	/* Of the event in dispatch; ref: the handler that is to be called where it says yes, 0: none of the engine's. */
	enum engine_answer (*filter)(void *arg, uint32_t event_index, uint32_t ref);
	/* The record of a connection goes, its last handler has returned. NULL: nothing is kept per connection. */
	void (*ended)(void *arg, uint32_t conn_index);
	/* Where a handler's source is, "file.lua:12", for people. */
	void (*place)(void *arg, uint32_t ref, char *text, size_t size);
	/* The calling thread runs handlers from now on, or no longer. */
	void (*thread)(void *arg, bool begins);
	/* Between two bursts, and before the next packet where the worker was halted: what could not be done before. */
	void (*rest)(void *arg);
	/* Add what the engine has counted. Any thread: it may be a little old. */
	void (*count)(void *arg, struct stats *sum);
	/* The fields of a user-defined event that is being raised, as a line; "" where it has none. */
	void (*fields)(void *arg, const char *event, char *text, size_t size);
	void *arg;
};

/*
 * What watches all that is raised and called: `mos-run --explain`, and tests of scripts. ctx says where it happens. It
 * looks on and changes nothing.
 */
struct watcher {
	/* Events are raised: bits of one hook, listened to or not; without a connection only those that are. */
	void (*raised)(void *arg, const struct mos_ctx *ctx, uint32_t bits);
	/* The filter of the user-defined event ctx->event has answered. One that nobody listens to is not asked. */
	void (*asked)(void *arg, const struct mos_ctx *ctx, const struct event *event, bool yes);
	/* A handler of ctx->event, or of a timer, is called next. */
	void (*called)(void *arg, const struct mos_ctx *ctx, struct handler handler);
	/* A burst of n packets begins; with 0: it is over, what it brought has been announced. NULL: not wanted. */
	void (*burst)(void *arg, unsigned n);
	void *arg;
};

/* A compiled packet filter; see api/filter.h. */
struct pkt_filter;

/* A passive monitoring socket. */
struct passive {
	bool used;
	bool raw;
	uint8_t family;          /* 4, 6; 0: both */
	char name[MONITOR_NAME]; /* "": nobody gave it one */
	uint32_t set;
	struct pkt_filter *syn; /* NULL: everything */
	struct pkt_filter *orphan;
	struct pkt_filter *raw_filter;
	uint64_t buf[2];    /* receive buffer limits, bytes, per side */
	uint8_t overlap[2]; /* MOS_OVERLAP_POLICY_ */
	void *uctx;
};

/* A socket served at the hook in dispatch, with the set that it had when the hook began. */
struct pin {
	int32_t sock;
	const uint16_t *flags; /* mos_sock.flags; NULL: a passive socket */
	struct hset *set;
};

struct dispatch {
	struct mos_ctx *ctx; /* the event in dispatch: own, or the script state's, which knows its address */
	struct mos_ctx own;
	mctx_t mctx;   /* what C handlers receive */
	uint32_t load; /* which load of a program in C they are of; see native.h */
	struct engine engine;
	struct hsets sets;
	struct pool socks; /* struct mos_sock; the number is PASSIVE_MAX + index */
	struct pool more;  /* struct mos_sock_more */
	struct pin *pins;  /* of the hook in dispatch */
	unsigned pins_n;
	unsigned raised_n;
	event_t raised[RAISE_MAX]; /* waiting for the handler to return */
	uint8_t raised_side[RAISE_MAX];
	bool draining;                 /* they are being run */
	bool ask_again;                /* the filter had more to raise than fits: run it again after that */
	uint32_t watched;              /* what a watcher adds to the mask of every connection */
	const struct watcher *watcher; /* NULL: nobody watches */
	uint8_t *frame;                /* what mtcp_getlastpkt copied last */
	size_t frame_cap;
	uint64_t calls;                      /* handlers run */
	uint64_t counts[SLOT_COUNT];         /* events raised to at least one socket */
	uint32_t passives;                   /* highest number in use, plus 1 */
	uint32_t null_mask;                  /* OR of the masks of passive sockets: who listens without a connection */
	struct passive passive[PASSIVE_MAX]; /* number = socket */
};

/* 0 or -errno. ctx->conns and ctx->recs are the worker's to set. */
int dispatch_init(struct dispatch *d, mctx_t mctx, uint32_t max_socks);

/* Packet filters of passive sockets must have been freed before. */
void dispatch_fini(struct dispatch *d);

/* Raise the events of `bits` (all of one hook) on a connection. side is the events' side. */
void dispatch_conn_slow(struct dispatch *d, struct mos_conn *c, uint32_t bits, int side, struct mos_packet *p);

/* An event nobody listens to costs one test. */
static inline void dispatch_conn(struct dispatch *d, struct mos_conn *c, uint32_t bits, int side, struct mos_packet *p)
{
	if (__builtin_expect(bits & c->mask, 0))
		dispatch_conn_slow(d, c, bits & c->mask, side, p);
}

/* Raise one event (a bit of the NUL hook) on a passive socket, without a connection. */
void dispatch_passive(struct dispatch *d, uint32_t passive, uint32_t bit, struct mos_packet *p);

/* Run h as a timer: id comes back as sock, ref stands in ctx. */
void dispatch_timer(struct dispatch *d, struct handler h, int32_t id, uint32_t ref);

/*
 * Open an active socket on c for passive socket `passive`, behind those it has. Returns its number, or -1 when the
 * pool is empty.
 */
int dispatch_open(struct dispatch *d, struct mos_conn *c, uint32_t conn_index, uint32_t passive);

/* Release all sockets of c. Not inside a handler. */
void dispatch_close(struct dispatch *d, struct mos_conn *c);

/* Recompute c->mask from its sockets. */
void dispatch_refresh(struct dispatch *d, struct mos_conn *c);

/* Have everything watched from now on; before the first packet. */
void dispatch_watch(struct dispatch *d, const struct watcher *watcher);

/* Recompute passives and null_mask. */
void dispatch_refresh_passive(struct dispatch *d);

/*
 * Register at an active or passive socket. 0 or -EBADF, -EINVAL, -ENOMEM.
 */
int dispatch_register(struct dispatch *d, int sock, event_t event, uint32_t hook, struct handler h);

/*
 * Raise a user event of kind EVENT_RAISED for the connection in dispatch, or the passive socket where there is none,
 * when the running handler returns. side is what those who hear it are told. 0 or -EINVAL, -ENOSPC.
 */
int dispatch_raise(struct dispatch *d, event_t event, int side);

/* Would that reach a handler or filter? */
bool dispatch_wanted(const struct dispatch *d, event_t event);

/* The active socket of that number, or NULL. It may be closed. */
static inline struct mos_sock *dispatch_sock(const struct dispatch *d, int sock)
{
	uint32_t i = (uint32_t)sock - PASSIVE_MAX;

	if (sock <= PASSIVE_MAX || i > d->socks.top)
		return NULL;
	struct mos_sock *s = pool_at(&d->socks, i);
	return s->flags & MOS_SOCK_LIVE ? s : NULL;
}

/* What s has besides, NULL if nothing; dispatch_more_make: made if there is nothing yet, NULL when the pool is empty. */
static inline struct mos_sock_more *dispatch_more(const struct dispatch *d, const struct mos_sock *s)
{
	return s->more ? pool_at(&d->more, s->more) : NULL;
}

struct mos_sock_more *dispatch_more_make(struct dispatch *d, struct mos_sock *s);

/* The passive socket of that number, or NULL. */
static inline struct passive *dispatch_passive_at(struct dispatch *d, int sock)
{
	return sock >= 0 && sock < PASSIVE_MAX && d->passive[sock].used ? &d->passive[sock] : NULL;
}

static inline int dispatch_number(const struct dispatch *d, const struct mos_sock *s)
{
	return PASSIVE_MAX + (int)(((const uint8_t *)s - d->socks.base) / sizeof(*s));
}

#endif
