/*
 * Programs for mOS include this name. Its calls are for end hosts' sockets, which are not here; its constants and types are,
 * for programs that name them.
 */
#ifndef MTCP_EPOLL_H
#define MTCP_EPOLL_H

#include "mtcp_api.h"

enum mtcp_epoll_op { MOS_EPOLL_CTL_ADD = 1, MOS_EPOLL_CTL_DEL = 2, MOS_EPOLL_CTL_MOD = 3 };

enum epoll_event_type {
	MOS_EPOLLNONE = 1 << 0,
	MOS_EPOLLIN = 1 << 1,
	MOS_EPOLLPRI = 1 << 2,
	MOS_EPOLLOUT = 1 << 3,
	MOS_EPOLLRDNORM = 1 << 4,
	MOS_EPOLLRDBAND = 1 << 5,
	MOS_EPOLLWRNORM = 1 << 6,
	MOS_EPOLLWRBAND = 1 << 7,
	MOS_EPOLLMSG = 1 << 8,
	MOS_EPOLLERR = 1 << 9,
	MOS_EPOLLHUP = 1 << 10,
	MOS_EPOLLRDHUP = 1 << 11,
	MOS_EPOLLONESHOT = 1 << 30,
	MOS_EPOLLET = 1u << 31
};

typedef union mtcp_epoll_data {
	void *ptr;
	int sock;
	uint32_t u32;
	uint64_t u64;
} mtcp_epoll_data_t;

struct mtcp_epoll_event {
	uint64_t events;
	mtcp_epoll_data_t data;
};

#endif
