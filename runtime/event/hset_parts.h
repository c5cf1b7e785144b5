/* What the three files behind hset.h need of each other: the table of sets, the change of one, the compiler. */
#ifndef MOS_EVENT_HSET_PARTS_H
#define MOS_EVENT_HSET_PARTS_H

#include "event/hset.h"

/* Fill s->steps, programs, raised, mask and slots from s->regs. 0 or -ENOMEM, with nothing allocated. */
int hset_compile(struct hset *s);

/* An empty set with a number and no reference, or NULL when memory is out. */
struct hset *hsets_new(struct hsets *hs);

/* Make a set that hsets_new gave and that now has registrations and their hash known to hsets_chain. */
void hsets_publish(struct hsets *hs, struct hset *s);

/* Give a set back that is not published; frees what hangs on it. */
void hsets_discard(struct hsets *hs, struct hset *s);

/* First set whose hash may be this; the others follow through next, 0 ends. */
static inline uint32_t hsets_chain(const struct hsets *hs, uint64_t hash)
{
	return hs->chain[hash & hs->chain_mask];
}

#endif
