/* Names that handlers, timers and monitors keep while scripts come and go: numbers for texts, for the whole process. */
#ifndef MOS_BINDINGS_LUA_NAMES_H
#define MOS_BINDINGS_LUA_NAMES_H

#include <stdint.h>

/* The number of a name; the same text has the same. 0 for NULL and "", and when there is no room for another. */
uint32_t name_number(const char *text);

/* Its text; "" for 0. Valid for ever. */
const char *name_text(uint32_t number);

#endif
