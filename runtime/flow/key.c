#include "flow/key.h"

#include <sys/auxv.h>
#include <sys/random.h>
#include <time.h>

/*
 * Without getrandom (a filter on system calls): the 16 random bytes that the kernel gave this process at its start, and
 * what else differs from run to run.
 */
static void seed_fallback(struct key_seed *seed)
{
	const void *given = (const void *)getauxval(AT_RANDOM);
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (given)
		memcpy(seed->s, given, 16);
	seed->s[2] = key_fold(seed->s[0] ^ (uint64_t)t.tv_nsec, seed->s[1] ^ 0x9e3779b97f4a7c15);
	seed->s[3] = key_fold(seed->s[1] ^ (uintptr_t)seed, seed->s[0] ^ 0xd1342543de82ef95);
}

void key_seed_init(struct key_seed *seed)
{
	memset(seed, 0, sizeof(*seed));
	if (getrandom(seed, sizeof(*seed), 0) != (ssize_t)sizeof(*seed))
		seed_fallback(seed);
}
