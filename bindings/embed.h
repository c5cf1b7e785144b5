/* Files that are part of the executable: the Lua modules, and include/mos_ffi.h for ffi.cdef. */
#ifndef MOS_BINDINGS_EMBED_H
#define MOS_BINDINGS_EMBED_H

#include <stddef.h>

struct embed {
	const char *name;          /* a module's as in require ("mos", "mos.events.http"); "mos_ffi.h" */
	const unsigned char *data; /* a NUL that len does not count follows the last byte */
	size_t len;
};

/* embed_count of them, in no order. */
extern const struct embed embed_files[];
extern const size_t embed_count;

#endif
