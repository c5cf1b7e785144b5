#include "lua_names.h"

#include <pthread.h>
#include <string.h>

enum { NAMES_MAX = 4096 };

static const char *names[NAMES_MAX + 1] = { "" };
static uint32_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint32_t find(const char *text)
{
	uint32_t i = count;

	while (i && strcmp(names[i], text) != 0)
		i--;
	return i;
}

uint32_t name_number(const char *text)
{
	if (!text || !*text)
		return 0;
	pthread_mutex_lock(&lock);
	uint32_t i = find(text);
	char *copy = !i && count < NAMES_MAX ? strdup(text) : NULL;

	if (copy) {
		i = count + 1;
		names[i] = copy;
		__atomic_store_n(&count, i, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return i;
}

const char *name_text(uint32_t number)
{
	return number <= __atomic_load_n(&count, __ATOMIC_ACQUIRE) ? names[number] : "";
}
