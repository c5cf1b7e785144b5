/*
 * The edits of one direction of a connection, and what they do to its numbers.
 *
 * A sender numbers the stream that it sent (offsets "in"), its receiver the one that leaves here (offsets "out"). An edit
 * puts bytes in place of some, of none, or of none any more; it is kept until the receiver has acknowledged what came of
 * it, so that every copy of a segment is edited the same, however the sender cuts it. What has been acknowledged stays
 * as one difference of numbers.
 *
 * Bytes that are put in belong to a byte of the sender's: to the one that they stand before or for, or, where back is
 * set, to the one that they follow. It counts as acknowledged when they are, so the sender repeats them when they are lost.
 */
#ifndef MOS_TCP_EDITS_H
#define MOS_TCP_EDITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/slab.h"

/* Edits of one direction that wait for an acknowledgement, at most. */
enum { EDITS_MAX = 4096 };

struct edit {
	uint64_t at;    /* in */
	int64_t shift;  /* out minus in, before it */
	uint8_t *bytes; /* what is put in */
	size_t room;
	uint32_t cut; /* bytes of the sender's that go */
	uint32_t put;
	bool back; /* belongs to the byte at - 1; cut is 0 */
	bool sent; /* it has left, and can neither be changed nor taken back */
};

/* Zeroed: no edits. */
struct edits {
	struct edit *v; /* in order, without overlap */
	size_t room;    /* bytes at v */
	uint32_t n;
	int64_t shift; /* out minus in, before the first */
	uint64_t base; /* in: what became of bytes below it was acknowledged, and is not known any more */
};

void edits_fini(struct edits *e, struct slab *slab);

/*
 * Put bytes in place of [at, at + cut); back: behind at - 1. Edits that have not left and overlap become one, in the order
 * of their places, then of the calls. -ENOBUFS: EDITS_MAX, or memory; nothing has changed.
 */
int edits_add(struct edits *e, struct slab *slab, uint64_t at, uint32_t cut, const void *bytes, uint32_t put,
	      bool back);

/* Has an edit of these bytes, or for cut 0 between these bytes, already left? */
bool edits_has_left(const struct edits *e, uint64_t at, uint32_t cut);

/* Have just these bytes left there, behind the byte at - 1? */
bool edits_has_appended(const struct edits *e, uint64_t at, const void *bytes, uint32_t put);

/* What was added since the last edits_pass has left; has not left and is forgotten. */
void edits_pass(struct edits *e);
void edits_undo(struct edits *e, struct slab *slab);

/* The receiver acknowledged up to pos (out): forget what it has. */
void edits_settle(struct edits *e, struct slab *slab, int64_t pos);

/*
 * Where what the sender's byte at off became begins (out). behind: where what was put in before that byte and has left
 * ends, which is what a segment without payload stands at.
 */
int64_t edits_out(const struct edits *e, int64_t off, bool behind);

/* The highest offset (in) below which all is covered by what lies below pos (out): of an acknowledgement, of a block's end. */
int64_t edits_in(const struct edits *e, int64_t pos);

/* The lowest offset (in) from which on all lies at pos (out) or behind it: of a block's beginning. */
int64_t edits_in_from(const struct edits *e, int64_t pos);

/*
 * Is anything of [off, off + len) not as its sender sent it? fin: a FIN stands behind them, and what was put in before it
 * belongs to it.
 */
bool edits_touch(const struct edits *e, int64_t off, uint32_t len, bool fin);

/* Bytes that become of [off, off + len), and of what was put in before the FIN. */
size_t edits_image_len(const struct edits *e, int64_t off, uint32_t len, bool fin);

/* Write them to out; src are the sender's. */
void edits_image(const struct edits *e, int64_t off, uint32_t len, bool fin, const uint8_t *src, uint8_t *out);

#endif
