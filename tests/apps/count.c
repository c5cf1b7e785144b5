/* Functions for scripts: mos.load "count.so". */
#include <stdio.h>

#include <mos_api.h>

void on_event(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg);
bool is_from_client(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg);

/* Says that it was called, and for which side. */
void on_event(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)event, (void)arg;
	printf("C %d\n", side);
}

bool is_from_client(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)m, (void)sock, (void)event, (void)arg;
	return side == MOS_SIDE_CLI;
}
