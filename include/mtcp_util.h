/* Helpers that programs for mOS use. */
#ifndef MTCP_UTIL_H
#define MTCP_UTIL_H

#include <netinet/in.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The context, 0 to num_queues - 1, whose connections those of these IPv4 addresses and ports are; either direction gives
 * the same. For programs that choose ports: a reply then comes to the same context. All in network order. It tells the
 * contexts of this process, so num_queues is to be their number.
 */
int GetRSSCPUCore(in_addr_t sip, in_addr_t dip, in_port_t sp, in_port_t dp, int num_queues);

/*
 * Split str at white space, writing into it: argv[0 ... *argc - 1] are the words, at most max_argc of them. 0, or -1 where
 * there are more.
 */
int StrToArgs(char *str, int *argc, char **argv, int max_argc);

#ifdef __cplusplus
}
#endif

#endif
