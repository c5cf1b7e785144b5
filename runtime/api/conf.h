/*
 * mos.conf: mOS's syntax, every block and key, and what comes on top: under netdev, captures to read and to write.
 *
 *   application { type = monitor   run = nat -c 1   cpu_mask = 0x1   ip_forward = 1 }
 *   mos {
 *     forward = 1
 *     netdev { eth0 0x1   pcap_in = in.pcap   pcap_out = out.pcap }
 *     arp_table { 10.0.0.2/32 00:00:00:00:00:01 }   route_table { 10.0.0.0/24 eth0 }   nic_forward_table { eth0 eth1 }
 *     max_concurrency = 100000   rmem_size = 8192   tcp_tw_interval = 0   tcp_timeout = 30   ...
 *   }
 *
 * A statement ends with its line or before a brace; # begins a comment. Every block may be left out, or come again.
 */
#ifndef MOS_API_CONF_H
#define MOS_API_CONF_H

#include <stddef.h>
#include <stdint.h>

enum { CONF_LIST_MAX = 64 };

/* Up to CONF_LIST_MAX lines of a kind; two words each, the second may be NULL. */
struct conf_list {
	unsigned n;
	struct conf_entry {
		char *name, *value;
	} v[CONF_LIST_MAX];
};

struct conf {
	/* Numbers as the file has them: seconds, bytes, connections per core. */
	int64_t forward, max_concurrency, rmem_size, wmem_size, tcp_tw_interval, tcp_timeout, no_ring_buffers,
		nb_mem_channels, num_cores, ip_forward;
	char *stat_print, *mos_log, *port, *multiprocess, *pcap_out, *eal;
	uint64_t cpu_mask;        /* of all interfaces */
	struct conf_list netdev;  /* interface, mask of cores */
	struct conf_list pcap_in; /* capture files */
	struct conf_list arp, route, pairs;
	struct conf_list apps; /* what is to run; its mask of cores */
};

/* mOS's values where the file says nothing; num_cores 0: as many as cpu_mask has, else 1. */
void conf_default(struct conf *c);

void conf_free(struct conf *c);

/*
 * Read a file over what is in c, and after it "key=value,..." in override (NULL: nothing), where pcap_in replaces all
 * inputs. An unknown key or block is warned of on standard error, with its line. 0, or -errno with place and reason in err.
 */
int conf_read(struct conf *c, const char *path, const char *override, char *err, size_t errlen);

/* The same for text, of which messages say that it is name. */
int conf_parse(struct conf *c, const char *name, const char *text, char *err, size_t errlen);

#endif
