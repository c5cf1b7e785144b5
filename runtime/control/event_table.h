/* `mos-run --events`: the events that a program can register for, for people or as docs/events.md. */
#ifndef MOS_CONTROL_EVENT_TABLE_H
#define MOS_CONTROL_EVENT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

void event_table_print(FILE *f, bool markdown);

#endif
