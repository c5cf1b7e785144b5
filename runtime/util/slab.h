/*
 * Byte buffers in power-of-two sizes from per-worker free lists: stream buffers and range lists live here, so that
 * the packet path does not reach the kernel or malloc once it is warm.
 *
 * Buffers are cut from chunks of 2 MiB, each of one size at a time. A chunk whose last buffer came back serves any size
 * again, so that a wave of small buffers does not keep memory from a later wave of large ones.
 */
#ifndef MOS_UTIL_SLAB_H
#define MOS_UTIL_SLAB_H

#include <stddef.h>
#include <stdint.h>

enum { SLAB_MIN_SHIFT = 6, SLAB_MAX_SHIFT = 20, SLAB_CLASSES = SLAB_MAX_SHIFT - SLAB_MIN_SHIFT + 1 };

struct slab_chunk;

struct slab {
	struct slab_chunk *room[SLAB_CLASSES]; /* per size 64 B ... 1 MiB: the chunks with a free buffer */
	struct slab_chunk *empty;              /* chunks without a size */
	struct slab_chunk *chunks;             /* all of them */
	size_t used;                           /* bytes handed out, by size class (larger ones as asked) */
	size_t limit;                          /* used never exceeds it; 0: no limit */
};

void slab_init(struct slab *s, size_t limit);

/*
 * Free every chunk; buffers larger than 1 MiB must have been returned before. A zeroed or already finished slab is
 * fine.
 */
void slab_fini(struct slab *s);

/*
 * A buffer of at least *size bytes; *size becomes its true size. Larger than 1 MiB comes from malloc.
 * NULL when the limit or memory is reached, with *size as it was. Contents are undefined. Buffers of 4 KiB and more
 * start on a page, smaller ones on a multiple of their size.
 */
void *slab_get(struct slab *s, size_t *size);

/* Return a buffer; size is the true size that slab_get reported. NULL is a no-op. */
void slab_put(struct slab *s, void *buf, size_t size);

#endif
