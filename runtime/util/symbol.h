/* Names of functions, for people. */
#ifndef MOS_UTIL_SYMBOL_H
#define MOS_UTIL_SYMBOL_H

#include <stddef.h>

/*
 * "on_packet (app.so)": the function at an address, static ones too where the object's file still has its symbol table;
 * else "app.so+0x12a0". Reads the file; not for the packet path.
 */
void symbol_name(const void *address, char *text, size_t size);

#endif
