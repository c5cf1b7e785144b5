#include <string.h>

#include "api/process.h"
#include "mtcp_util.h"
#include "spread.h"

int GetRSSCPUCore(in_addr_t sip, in_addr_t dip, in_port_t sp, in_port_t dp, int num_queues)
{
	bool swap = ntohl(sip) > ntohl(dip) || (sip == dip && ntohs(sp) > ntohs(dp));
	struct mos_key k = { .family = 4 };

	if (num_queues <= 1)
		return 0;
	k.addr_be[swap][0] = sip;
	k.addr_be[!swap][0] = dip;
	k.port[swap] = ntohs(sp);
	k.port[!swap] = ntohs(dp);
	return (int)spread_choose(&k, process_seed(), (unsigned)num_queues);
}

int StrToArgs(char *str, int *argc, char **argv, int max_argc)
{
	char *save, *word = strtok_r(str, " \t\r\n", &save);

	for (*argc = 0; word && *argc < max_argc; word = strtok_r(NULL, " \t\r\n", &save))
		argv[(*argc)++] = word;
	return word ? -1 : 0;
}
