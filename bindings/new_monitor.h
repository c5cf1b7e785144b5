/* mos-run --new-monitor: a script, its spec and a capture to begin with. */
#ifndef MOS_BINDINGS_NEW_MONITOR_H
#define MOS_BINDINGS_NEW_MONITOR_H

#include <stddef.h>

/*
 * Write the folder name into the working directory, with a monitor of that name, its spec and a capture, and .busted where
 * there is none; say so on standard output. 0, or -1 with one line in err.
 */
int new_monitor(const char *name, char *err, size_t errlen);

#endif
