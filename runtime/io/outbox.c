#include "io/outbox.h"

#include <stdlib.h>

struct outgoing *outbox_add(struct outbox *o, uint32_t before)
{
	if (o->n == OUTBOX_MAX)
		return NULL;
	if (o->n == o->room) {
		uint32_t room = o->room ? 2 * o->room : 64;
		struct outgoing *v = realloc(o->v, room * sizeof(*v));

		if (!v)
			return NULL;
		o->v = v;
		o->room = room;
	}
	struct outgoing *out = &o->v[o->n++];

	*out = (struct outgoing){ .before = before };
	return out;
}

void outbox_reset(struct outbox *o)
{
	o->n = 0;
	arena_reset(&o->arena);
}

void outbox_fini(struct outbox *o)
{
	arena_fini(&o->arena);
	free(o->v);
	*o = (struct outbox){ 0 };
}
