/* What other calls ask about a program with a main() of its own (process.c). */
#ifndef MOS_API_PROCESS_H
#define MOS_API_PROCESS_H

#include "flow/key.h"

/* By which connections are spread over its contexts. */
const struct key_seed *process_seed(void);

#endif
