#include "native.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "takeover.h"
#include "util/clock.h"
#include "util/symbol.h"

/* One function of the old copy, and the one of that name in the new copy. */
struct successor {
	uintptr_t old, now;
};

/* One object that the worker runs, or has run. */
struct copy {
	struct object *object;
	struct worker *bench;    /* where it was set up; then what the copy before it left; NULL: it was the first */
	uint32_t load;           /* dispatch.load while it runs */
	uint32_t noted[2];       /* object->notes[from, to): what it defined for this worker */
	struct successor *heirs; /* of the copy before it, by address; while connections follow */
	size_t nheirs;
	const void *before;         /* an address in that copy */
	struct event_notes was, is; /* events of that copy, and of this one; owned */
	atomic_bool followed;       /* all connections have */
	uint32_t searched;          /* sockets below it refer to this copy no more */
	struct copy *older;
};

struct native {
	struct worker *w;
	struct copy *now; /* NULL: none is loaded */
	uint32_t loads;
	uint64_t reloads;
};

struct native *native_new(struct worker *w)
{
	struct native *p = calloc(1, sizeof(*p));

	if (p)
		p->w = w;
	return p;
}

struct object *native_object(const struct native *p)
{
	return p->now->object;
}

uint64_t native_reloads(const struct native *p)
{
	return p->reloads;
}

static struct worker *bench_new(const struct worker *w, uint32_t load)
{
	struct worker *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);

	if (!b || worker_init(b, w->mctx.cpu, &w->set) < 0) {
		free(b);
		return NULL;
	}
	b->d.load = load;
	/* As of scripts: numbers of timers stay good when they move. */
	b->timers.count = (uint64_t)load << 32;
	return b;
}

static void copy_free(struct copy *c)
{
	if (!c)
		return;
	if (c->bench) {
		worker_fini(c->bench);
		free(c->bench);
	}
	free(c->heirs);
	free(c->was.v);
	free(c->is.v);
	object_put(c->object);
	free(c);
}

/* NULL with one line in err. */
static struct copy *copy_new(struct native *p, struct object *o, struct worker *w, const char *path, char *err,
			     size_t errlen)
{
	struct copy *c = calloc(1, sizeof(*c));

	if (!c) {
		snprintf(err, errlen, "%s: out of memory", path);
		return NULL;
	}
	c->object = object_get(o);
	c->load = ++p->loads;
	c->searched = 1;
	c->bench = w ? NULL : bench_new(p->w, c->load);
	w = w ? w : c->bench;
	if (!w) {
		snprintf(err, errlen, "%s: out of memory", path);
		copy_free(c);
		return NULL;
	}
	w->d.load = c->load;
	w->looks_back = object_may_call(o, "mtcp_ppeek");
	c->noted[0] = o->notes.n;
	if (object_start(o, &w->mctx, path, err, errlen) < 0) {
		copy_free(c);
		return NULL;
	}
	c->noted[1] = o->notes.n;
	return c;
}

int native_load(struct native *p, struct object *o, const char *path, char *err, size_t errlen)
{
	p->now = copy_new(p, o, p->w, path, err, errlen);
	return p->now ? 0 : -1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static int by_address(const void *a, const void *b)
{
	const struct successor *x = a, *y = b;

	return (x->old > y->old) - (x->old < y->old);
}

/* The one function of that name, 0 where there are several: static ones of different files may share one. */
static uintptr_t named(const struct symbols *s, const struct symbol *like)
{
	const struct symbol *found = s->n ? bsearch(like, s->v, s->n, sizeof(*s->v), by_name) : NULL;

	for (const struct symbol *i = found; i && i-- > s->v && !by_name(i, found);)
		if (i->at != found->at)
			return 0;
	for (const struct symbol *i = found; i && ++i < s->v + s->n && !by_name(i, found);)
		if (i->at != found->at)
			return 0;
	return found ? found->at : 0;
}

/* An address in the object, for its functions. */
static const void *inside(const struct object *o)
{
	return object_symbol(o, "mos_app_init");
}

static bool pair_functions(struct copy *c, const struct symbols *old, const struct symbols *now)
{
	c->heirs = calloc(old->n + 1, sizeof(*c->heirs));
	if (!c->heirs)
		return false;
	for (size_t i = 0; i < old->n; i++) {
		/* A name that the old copy had twice is nobody's either. */
		uintptr_t at = named(old, &old->v[i]) ? named(now, &old->v[i]) : 0;

		if (at)
			c->heirs[c->nheirs++] = (struct successor){ old->v[i].at, at };
	}
	qsort(c->heirs, c->nheirs, sizeof(*c->heirs), by_address);
	return true;
}

/* Who of c takes the place of old's functions. */
static bool find_heirs(struct copy *c, const struct copy *old)
{
	struct symbols was, is;
	bool fine = symbols_read(&was, inside(old->object));

	fine = symbols_read(&is, inside(c->object)) && fine;
	if (fine && was.n)
		qsort(was.v, was.n, sizeof(*was.v), by_name);
	if (fine && is.n)
		qsort(is.v, is.n, sizeof(*is.v), by_name);
	fine = fine && pair_functions(c, &was, &is);
	c->before = inside(old->object);
	symbols_free(&was);
	symbols_free(&is);
	return fine;
}

static bool is_of(const void *address, const void *other)
{
	Dl_info a, b;

	return dladdr(address, &a) && dladdr(other, &b) && a.dli_fbase == b.dli_fbase;
}

static callback_t heir_of(void *arg, callback_t old)
{
	const struct copy *c = arg;
	struct successor like = { (uintptr_t)old, 0 };
	const struct successor *s = c->nheirs ? bsearch(&like, c->heirs, c->nheirs, sizeof(like), by_address) : NULL;

	if (s)
		return (callback_t)s->now;
	return is_of((const void *)(uintptr_t)old, c->before) ? NULL : old;
}

static enum unbound rebind(void *arg, event_t event, struct handler *h)
{
	callback_t fn = heir_of(arg, h->fn);

	(void)event;
	if (!fn)
		return UNBOUND_GONE;
	h->fn = fn;
	return BOUND;
}

static event_t event_of(void *arg, event_t old)
{
	const struct copy *c = arg;

	return event_heir(&c->was, &c->is, old);
}

static void done(void *arg)
{
	struct copy *c = arg;

	atomic_store(&c->followed, true);
}

/* Between two bursts. */
struct swap {
	struct native *p;
	struct copy *c;
	int rc;
	bool busy;
	uint64_t pause_ns;
};

static void look(struct worker *w, void *arg)
{
	((struct swap *)arg)->busy = w->takeover != NULL;
}

static void swap(struct worker *w, void *arg)
{
	struct swap *s = arg;
	struct heir heir = { .rebind = rebind, .event = event_of, .timer = heir_of, .done = done, .arg = s->c };
	uint64_t began = clock_ns();

	s->rc = takeover_begin(w, s->c->bench, &heir);
	if (s->rc < 0)
		return;
	w->d.load = s->c->load;
	s->p->reloads++;
	s->pause_ns = clock_ns() - began;
}

/* Wait until the connections have followed the copy that is there. */
static int settle(struct swap *s, struct crew *e, unsigned i)
{
	int rc;

	while ((rc = crew_call(e, i, look, s)) == 0 && s->busy)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return rc;
}

/*
 * What a copy defined for this worker; where another worker's set-up did it for all, that. A list of its own: the worker
 * reads it while others are set up. False: memory is out.
 */
static bool notes_take(struct event_notes *to, const struct copy *c)
{
	const struct event_notes *all = &c->object->notes;
	bool own = c->noted[0] < c->noted[1];
	uint32_t from = own ? c->noted[0] : 0, n = own ? c->noted[1] - from : all->n;

	*to = (struct event_notes){ .v = calloc(n + 1, sizeof(*to->v)), .n = n };
	if (to->v && n)
		memcpy(to->v, all->v + from, n * sizeof(*to->v));
	return to->v;
}

static int take_over(struct native *p, struct crew *e, unsigned i, struct copy *c, uint64_t *pause_ns)
{
	struct swap s = { .p = p, .c = c, .rc = -ESRCH };

	if (!find_heirs(c, p->now) || !notes_take(&c->was, p->now) || !notes_take(&c->is, c))
		return -ENOMEM;
	if (settle(&s, e, i) < 0)
		return -ESRCH;
	if (crew_call(e, i, swap, &s) < 0 || s.rc < 0)
		return s.rc;
	*pause_ns = s.pause_ns;
	c->older = p->now;
	p->now = c;
	return 0;
}

int native_reload(struct native *p, struct crew *e, unsigned i, struct object *o, const char *path, uint64_t *pause_ns,
		  char *err, size_t errlen)
{
	struct copy *c = copy_new(p, o, NULL, path, err, errlen);
	int rc = c ? take_over(p, e, i, c, pause_ns) : -1;

	if (rc < 0 && c) {
		snprintf(err, errlen, rc == -ESRCH ? "the worker does not run" : "out of memory");
		object_exit(c->object, &c->bench->mctx);
		copy_free(c);
	}
	native_tend(p, e, i);
	return rc < 0 ? -1 : 0;
}

/* Is there a socket whose context was set while a copy ran? A few sockets at a time: packets do not wait for it. */
struct search {
	uint32_t load, next;
	bool over, found;
};

static void search_some(struct worker *w, void *arg)
{
	enum { AT_ONCE = 4096 };
	struct search *s = arg;
	uint32_t end = s->next + AT_ONCE;

	for (; s->next <= w->d.socks.top && s->next < end; s->next++) {
		const struct mos_sock *sock = pool_at(&w->d.socks, s->next);
		const struct mos_sock_more *more = sock->flags & MOS_SOCK_LIVE ? dispatch_more(&w->d, sock) : NULL;

		s->found = more && more->uctx && more->load == s->load;
		if (s->found)
			return;
	}
	s->over = s->next > w->d.socks.top;
}

/* No socket comes to refer to a copy that does not run: what was searched need not be searched again. */
static bool is_referred_to(struct copy *c, struct crew *e, unsigned i)
{
	struct search s = { .load = c->load, .next = c->searched };
	int rc = 0;

	while (!s.over && !s.found && (rc = crew_call(e, i, search_some, &s)) == 0)
		;
	c->searched = s.next;
	return s.found || rc < 0;
}

/*
 * The mctx that it was set up with; the worker's own is not for other threads, so the first copy has that of the next one,
 * where its sockets are.
 */
static void copy_exit(const struct copy *c, const struct worker *next)
{
	object_exit(c->object, c->bench ? &c->bench->mctx : (mctx_t)&next->mctx);
}

static void close_older(struct copy *c)
{
	struct copy *old = c->older;

	c->older = old->older;
	copy_exit(old, c->bench);
	copy_free(old);
}

unsigned native_tend(struct native *p, struct crew *e, unsigned i)
{
	unsigned left = 0;

	for (struct copy *c = p->now; c && c->older;) {
		if (atomic_load(&c->followed) && !is_referred_to(c->older, e, i)) {
			close_older(c);
		} else {
			left++;
			c = c->older;
		}
	}
	return left;
}

static void exit_older(const struct copy *c)
{
	if (!c->older)
		return;
	exit_older(c->older);
	copy_exit(c->older, c->bench);
}

void native_exit(struct native *p)
{
	if (!p->now)
		return;
	exit_older(p->now);
	object_exit(p->now->object, &p->w->mctx);
}

void native_free(struct native *p)
{
	if (!p)
		return;
	takeover_walk(p->w, UINT32_MAX);
	for (struct copy *c = p->now, *older; c; c = older) {
		older = c->older;
		copy_free(c);
	}
	free(p);
}
