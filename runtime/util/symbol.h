/* Names of functions. */
#ifndef MOS_UTIL_SYMBOL_H
#define MOS_UTIL_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * "on_packet (app.so)": the function at an address, static ones too where the object's file still has its symbol table;
 * else "app.so+0x12a0". Reads the file; not for the packet path.
 */
void symbol_name(const void *address, char *text, size_t size);

struct symbol {
	uintptr_t at;
	const char *name;
};

/* The functions of one loaded object, static ones too where its file has a symbol table; some may be there twice. */
struct symbols {
	struct symbol *v;
	size_t n;
	uintptr_t base;
	const void *file; /* names point into it */
	size_t size;
};

/* Those of the object that holds an address; none where its file cannot be read. False: memory is out. */
bool symbols_read(struct symbols *s, const void *inside);
void symbols_free(struct symbols *s);

#endif
