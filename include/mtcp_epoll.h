/* Programs for mOS include this name; the monitoring interface needs nothing of its own here. */
#ifndef MTCP_EPOLL_H
#define MTCP_EPOLL_H

#include "mtcp_api.h"

#endif
