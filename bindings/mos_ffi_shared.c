/* Counters and tables that workers share, for bindings/mos. */
#include <stdlib.h>

#include "control/shared.h"

struct mos_counter *mos_ffi_counter(const char *name)
{
	return shared_counter(name);
}

struct shared_table *mos_ffi_table(const char *name, size_t max)
{
	return shared_table(name, max);
}

int mos_ffi_table_get(struct shared_table *t, const char *key, size_t len, double *value)
{
	return shared_get(t, key, len, value);
}

int mos_ffi_table_set(struct shared_table *t, const char *key, size_t len, double value)
{
	return shared_set(t, key, len, value);
}

int mos_ffi_table_add(struct shared_table *t, const char *key, size_t len, double by, double *value)
{
	return shared_add(t, key, len, by, value);
}

int mos_ffi_table_delete(struct shared_table *t, const char *key, size_t len)
{
	return shared_delete(t, key, len);
}

int mos_ffi_table_swap(struct shared_table *t, const char *key, size_t len, const double *expected, const double *next)
{
	return shared_swap(t, key, len, expected, next);
}

size_t mos_ffi_table_count(struct shared_table *t)
{
	return shared_count(t);
}

struct mos_shared_entry *mos_ffi_table_entries(struct shared_table *t, size_t *n)
{
	return shared_entries(t, n);
}

void mos_ffi_table_entries_free(struct mos_shared_entry *entries)
{
	free(entries);
}
