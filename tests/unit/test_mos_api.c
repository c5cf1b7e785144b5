/* The mtcp_* calls: mOS's numbers, what each call promises, and what it answers to wrong arguments. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Before mos_api.h, whose type `byte` it would shadow. */
#include "frames.h"

#include "fake_worker.h"
#include "mos_api.h"
#include "pkt/decode.h"
#include "pkt/edit.h"

#define IS(name, value) _Static_assert((name) == (value), #name)

IS(MOS_NULL, 1u << 29);
IS(MOS_HK_RCV, 1u << 30);
IS(MOS_HK_SND, 1u << 31);
_Static_assert(MOS_HK_SND > 0, "hooks are unsigned");
IS(MOS_NULL_EVENT, 0);
IS(MOS_ON_PKT_IN, 0x1);
IS(MOS_ON_PKT_OUT, 0x2);
IS(MOS_ON_CONN_START, 0x4);
IS(MOS_ON_CONN_SETUP, 0x8);
IS(MOS_ON_CONN_NEW_DATA, 0x10);
IS(MOS_ON_ERROR, 0x20);
IS(MOS_ON_TIMEOUT, 0x40);
IS(MOS_ON_TCP_STATE_CHANGE, 0x80);
IS(MOS_ON_ORPHAN, 0x100);
IS(MOS_ON_REXMIT, 0x200);
IS(MOS_ON_CONN_END, 0x400);
IS(MOS_ON_DEBUG_MESSAGE, 0x800);
IS(MOS_ETH_HDR, 0x1);
IS(MOS_IP_HDR, 0x2);
IS(MOS_TCP_HDR, 0x4);
IS(MOS_TCP_PAYLOAD, 0x8);
IS(MOS_UPDATE_IP_CHKSUM, 0x10);
IS(MOS_UPDATE_TCP_CHKSUM, 0x20);
IS(MOS_DROP, 0x40);
IS(MOS_OVERWRITE, 0x80);
IS(MOS_CHOMP, 0x100);
IS(MOS_INSERT, 0x200);
IS(SOL_MONSOCKET, 0xfffe);
IS(MOS_FRAGINFO_CLIBUF, 1);
IS(MOS_FRAGINFO_SVRBUF, 2);
IS(MOS_INFO_CLIBUF, 3);
IS(MOS_INFO_SVRBUF, 4);
IS(MOS_TCP_STATE_CLI, 5);
IS(MOS_TCP_STATE_SVR, 6);
IS(MOS_TIMESTAMP, 7);
IS(MOS_CLIBUF, 9);
IS(MOS_SVRBUF, 10);
IS(MOS_STOP_MON, 12);
IS(MOS_CLIOVERLAP, 15);
IS(MOS_SVROVERLAP, 16);
IS(MOS_SIDE_CLI, 0);
IS(MOS_SIDE_SVR, 1);
IS(MOS_SIDE_BOTH, 2);
IS(MOS_OVERLAP_POLICY_FIRST, 0);
IS(MOS_OVERLAP_POLICY_LAST, 1);
IS(MOS_OVERLAP_CNT, 2);
IS(MOS_SOCK_MONITOR_STREAM, 3);
IS(MOS_SOCK_STREAM, 4);
IS(MOS_SOCK_MONITOR_STREAM_ACTIVE, 6);
IS(MOS_SOCK_MONITOR_RAW, 7);
IS(TCP_CLOSED, 0);
IS(TCP_LISTEN, 1);
IS(TCP_SYN_SENT, 2);
IS(TCP_SYN_RCVD, 3);
IS(TCP_ESTABLISHED, 4);
IS(TCP_FIN_WAIT_1, 5);
IS(TCP_FIN_WAIT_2, 6);
IS(TCP_CLOSE_WAIT, 7);
IS(TCP_CLOSING, 8);
IS(TCP_LAST_ACK, 9);
IS(TCP_TIME_WAIT, 10);
IS(sizeof(event_t), 8);
IS(offsetof(struct pkt_info, in_ifidx), 4);
IS(offsetof(struct pkt_info, eth_len), 6);
IS(offsetof(struct pkt_info, ip_len), 8);
IS(offsetof(struct pkt_info, offset), 16);
IS(offsetof(struct pkt_info, payloadlen), 24);
IS(offsetof(struct pkt_info, seq), 28);
IS(offsetof(struct pkt_info, ack_seq), 32);
IS(offsetof(struct pkt_info, window), 36);
IS(PKT_INFO_LEN, 40);
IS(offsetof(struct pkt_info, payload), 64);
IS(sizeof(struct tcp_buf_info), 16);
IS(sizeof(struct tcp_ring_fragment), 16);
IS(sizeof(union monitor_filter), 16);
IS(offsetof(struct mtcp_context, cpu), 0);
IS(MOS_SEQ_REMAP, 11);
IS(MOS_FRAG_CLIBUF, 13);
IS(MOS_FRAG_SVRBUF, 14);
IS(MOS_SOCK_UNUSED, 0);
IS(MOS_SOCK_PIPE, 9);
IS(APP_NAME_LEN, 40);
IS(MOS_APP, 20);
IS(MOS_APP_ARGC, 20);
IS(offsetof(struct mtcp_conf, num_cores), 0);
IS(offsetof(struct mtcp_conf, max_concurrency), 4);
IS(offsetof(struct mtcp_conf, cpu_mask), 8);
IS(offsetof(struct mtcp_conf, max_num_buffers), 16);
IS(offsetof(struct mtcp_conf, rcvbuf_size), 20);
IS(offsetof(struct mtcp_conf, sndbuf_size), 24);
IS(offsetof(struct mtcp_conf, tcp_timewait), 28);
IS(offsetof(struct mtcp_conf, tcp_timeout), 32);
IS(offsetof(struct mtcp_conf, app_cpu_mask), 40);
IS(offsetof(struct mtcp_conf, app_argv), 200);
IS(offsetof(struct mtcp_conf, app_argc), 3400);
IS(offsetof(struct mtcp_conf, num_app), 3480);

static struct worker *w;
static mctx_t m;
static struct mos_conn *c;
static int passive, raw, sock;

static bool filter(mctx_t mctx, int s, int side, event_t event, filter_arg_t *arg)
{
	(void)mctx, (void)s, (void)side, (void)event, (void)arg;
	return true;
}

static void handler(mctx_t mctx, int s, int side, event_t event, filter_arg_t *arg)
{
	(void)mctx, (void)s, (void)side, (void)event, (void)arg;
}

static int setup(void **state)
{
	(void)state;
	events_reset();
	w = fake_worker_new();
	m = &w->mctx;
	passive = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);
	c = fake_conn(w, 1);
	sock = fake_sock(w, c, 0);
	raw = mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_RAW, 0);
	errno = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_worker_free(w);
	return 0;
}

#define FAILS(call, err)                      \
	do {                                  \
		errno = 0;                    \
		assert_true((call) == -1);    \
		assert_int_equal(errno, err); \
	} while (0)

static void without_a_context_every_call_fails_with_eacces(void **state)
{
	struct timeval tv = { 1, 0 };
	struct pkt_info info;
	socklen_t len = 0;
	char buf[4];

	(void)state;
	FAILS(mtcp_socket(NULL, AF_INET, MOS_SOCK_MONITOR_STREAM, 0), EACCES);
	FAILS(mtcp_close(NULL, sock), EACCES);
	FAILS(mtcp_bind_monitor_filter(NULL, passive, NULL), EACCES);
	FAILS(mtcp_register_callback(NULL, sock, MOS_ON_PKT_IN, MOS_HK_SND, handler), EACCES);
	FAILS(mtcp_raise_event(NULL, 1), EACCES);
	FAILS(mtcp_peek(NULL, sock, 0, buf, 4), EACCES);
	FAILS(mtcp_ppeek(NULL, sock, 0, buf, 4, 0), EACCES);
	FAILS(mtcp_getlastpkt(NULL, sock, 0, &info), EACCES);
	FAILS(mtcp_setlastpkt(NULL, sock, 0, 0, NULL, 0, MOS_DROP), EACCES);
	FAILS(mtcp_settimer(NULL, 1, &tv, handler), EACCES);
	FAILS(mtcp_getpeername(NULL, sock, NULL, &len, 0), EACCES);
	FAILS(mtcp_getsockopt(NULL, sock, SOL_MONSOCKET, MOS_TIMESTAMP, buf, &len), EACCES);
	FAILS(mtcp_setsockopt(NULL, sock, SOL_MONSOCKET, MOS_CLIBUF, buf, 4), EACCES);
	errno = 0;
	assert_null(mtcp_get_uctx(NULL, sock));
	assert_int_equal(errno, EACCES);
	errno = 0;
	assert_int_equal(mtcp_cb_get_ts(NULL), 0);
	assert_int_equal(errno, EACCES);
	mtcp_set_uctx(NULL, sock, buf);
}

static void a_number_that_is_no_socket_is_ebadf(void **state)
{
	static const int wrong[] = {
		-1, 2, PASSIVE_MAX - 1, PASSIVE_MAX, PASSIVE_MAX + 2, 0x7fffffff, -0x7fffffff - 1
	};
	struct pkt_info info;
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	monitor_filter_t ft = { 0 };
	int value = 0;
	char buf[4];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int s = wrong[i];

		FAILS(mtcp_close(m, s), EBADF);
		FAILS(mtcp_bind_monitor_filter(m, s, &ft), EBADF);
		FAILS(mtcp_register_callback(m, s, MOS_ON_PKT_IN, MOS_HK_SND, handler), EBADF);
		FAILS(mtcp_peek(m, s, 0, buf, 4), EBADF);
		FAILS(mtcp_ppeek(m, s, 0, buf, 4, 0), EBADF);
		FAILS(mtcp_getlastpkt(m, s, 0, &info), EBADF);
		FAILS(mtcp_setlastpkt(m, s, 0, 0, NULL, 0, MOS_DROP), EBADF);
		FAILS(mtcp_getpeername(m, s, (struct sockaddr *)&sa, &len, 0), EBADF);
		FAILS(mtcp_getsockopt(m, s, SOL_MONSOCKET, MOS_TIMESTAMP, &value, &len), EBADF);
		FAILS(mtcp_setsockopt(m, s, SOL_MONSOCKET, MOS_CLIBUF, &value, sizeof(value)), EBADF);
		errno = 0;
		assert_null(mtcp_get_uctx(m, s));
		assert_int_equal(errno, EBADF);
	}
}

static void what_needs_a_connection_is_enotsock_on_a_passive_socket(void **state)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int both = MOS_SIDE_BOTH;
	char buf[4];

	(void)state;
	FAILS(mtcp_peek(m, passive, 0, buf, 4), ENOTSOCK);
	FAILS(mtcp_ppeek(m, passive, 0, buf, 4, 0), ENOTSOCK);
	FAILS(mtcp_getpeername(m, passive, (struct sockaddr *)&sa, &len, 0), ENOTSOCK);
	FAILS(mtcp_getsockopt(m, passive, SOL_MONSOCKET, MOS_TCP_STATE_CLI, buf, &len), ENOTSOCK);
	FAILS(mtcp_setsockopt(m, passive, SOL_MONSOCKET, MOS_STOP_MON, &both, sizeof(both)), ENOTSOCK);
}

static void a_null_where_an_address_is_needed_is_efault(void **state)
{
	struct timeval tv = { 1, 0 };
	socklen_t len = 16;
	int value;

	(void)state;
	w->d.ctx->pkt = &w->burst[0];
	FAILS(mtcp_peek(m, sock, 0, NULL, 4), EFAULT);
	FAILS(mtcp_ppeek(m, sock, 0, NULL, 4, 0), EFAULT);
	FAILS(mtcp_getlastpkt(m, sock, 0, NULL), EFAULT);
	FAILS(mtcp_setlastpkt(m, sock, 0, 0, NULL, 1, MOS_OVERWRITE | MOS_IP_HDR), EFAULT);
	FAILS(mtcp_settimer(m, 1, NULL, handler), EFAULT);
	FAILS(mtcp_settimer(m, 1, &tv, NULL), EFAULT);
	FAILS(mtcp_getpeername(m, sock, NULL, &len, 0), EFAULT);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)&value, NULL, 0), EFAULT);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_TCP_STATE_CLI, NULL, &len), EFAULT);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_TCP_STATE_CLI, &value, NULL), EFAULT);
	FAILS(mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_CLIBUF, NULL, 4), EFAULT);
}

static void a_socket_is_of_a_family_and_a_type(void **state)
{
	int s = mtcp_socket(m, AF_INET6, MOS_SOCK_MONITOR_STREAM, 0);
	int both = mtcp_socket(m, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 6);

	(void)state;
	assert_int_equal(w->d.passive[passive].family, 4);
	assert_false(w->d.passive[passive].raw);
	assert_true(w->d.passive[raw].raw);
	assert_int_equal(w->d.passive[s].family, 6);
	assert_int_equal(w->d.passive[both].family, 0);
	assert_int_equal(w->d.passive[s].buf[MOS_SIDE_SVR], 4096);
	FAILS(mtcp_socket(m, AF_UNIX, MOS_SOCK_MONITOR_STREAM, 0), EAFNOSUPPORT);
	FAILS(mtcp_socket(m, AF_INET, MOS_SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	FAILS(mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM_ACTIVE, 0), ESOCKTNOSUPPORT);
	FAILS(mtcp_socket(m, AF_INET, -1, 0), ESOCKTNOSUPPORT);
}

static void there_are_64_passive_sockets(void **state)
{
	(void)state;
	for (int i = 2; i < PASSIVE_MAX; i++)
		assert_int_equal(mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0), i);
	FAILS(mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0), EMFILE);
	assert_int_equal(mtcp_close(m, 40), 0);
	assert_int_equal(mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0), 40);
}

static void closing_a_passive_socket_leaves_its_connections(void **state)
{
	(void)state;
	mtcp_register_callback(m, sock, MOS_ON_CONN_END, MOS_HK_SND, handler);
	assert_int_equal(mtcp_close(m, passive), 0);
	FAILS(mtcp_close(m, passive), EBADF);
	assert_int_equal(c->mask, BIT_CONN_END_SND);
	assert_int_equal(mtcp_close(m, sock), 0);
	assert_int_equal(c->mask, 0);
	FAILS(mtcp_close(m, sock), EBADF);
	FAILS(mtcp_register_callback(m, sock, MOS_ON_CONN_END, MOS_HK_SND, handler), EBADF);
}

static void a_filter_is_replaced_or_kept_whole(void **state)
{
	monitor_filter_t ft = { 0 };
	union monitor_filter other;

	(void)state;
	ft.stream_syn_filter = "tcp port 80";
	ft.stream_orphan_filter = "not tcp";
	assert_int_equal(mtcp_bind_monitor_filter(m, passive, &ft), 0);
	const struct pkt_filter *syn = w->d.passive[passive].syn, *orphan = w->d.passive[passive].orphan;

	assert_true(syn && orphan);
	assert_int_equal(mtcp_bind_monitor_filter(m, passive, NULL), 0);
	ft.stream_syn_filter = "tcp port 81";
	ft.stream_orphan_filter = "no such thing";
	FAILS(mtcp_bind_monitor_filter(m, passive, &ft), EINVAL);
	assert_ptr_equal(w->d.passive[passive].syn, syn);
	assert_ptr_equal(w->d.passive[passive].orphan, orphan);
	ft.stream_syn_filter = ft.stream_orphan_filter = NULL;
	assert_int_equal(mtcp_bind_monitor_filter(m, passive, &ft), 0);
	assert_null(w->d.passive[passive].syn);

	other.stream_orphan_filter = "garbage that a raw socket does not read";
	other.raw_pkt_filter = "arp";
	assert_int_equal(mtcp_bind_monitor_filter(m, raw, &other), 0);
	assert_non_null(w->d.passive[raw].raw_filter);
	FAILS(mtcp_bind_monitor_filter(m, sock, &ft), ENOPROTOOPT);
}

static void an_event_is_defined_with_two_arguments_or_three(void **state)
{
	char text[] = "x";
	filter_arg_t arg = { text, sizeof(text) };
	event_t two = mtcp_define_event(MOS_ON_CONN_NEW_DATA, filter);
	event_t three = mtcp_define_event(two, filter, &arg);
	event_t none = mtcp_define_event(two, filter, NULL);
	event_t (*symbol)(event_t, filter_t, struct filter_arg *) = mtcp_define_event;

	(void)state;
	assert_true(two && three && none);
	assert_null(event_find(two)->arg.arg);
	assert_string_equal((char *)event_find(three)->arg.arg, "x");
	assert_int_equal(event_find(none)->parent, two);
	assert_int_not_equal(symbol(MOS_ON_PKT_IN, filter, NULL), 0);
	errno = 0;
	assert_int_equal(mtcp_define_event(MOS_ON_PKT_IN, NULL), 0);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(mtcp_alloc_event(12345), 0);
	assert_int_equal(event_find(mtcp_alloc_event(two))->kind, EVENT_RAISED);
	FAILS(mtcp_raise_event(m, mtcp_alloc_event(two)), EINVAL);
}

static void handlers_are_registered_replaced_and_removed(void **state)
{
	(void)state;
	assert_int_equal(mtcp_register_callback(m, sock, MOS_ON_PKT_IN, MOS_HK_SND, handler), 0);
	assert_int_equal(c->mask, BIT_PKT_IN_SND);
	assert_int_equal(mtcp_register_callback(m, sock, MOS_ON_PKT_IN, MOS_HK_SND, NULL), 0);
	assert_int_equal(c->mask, 0);
	int hook = (int)MOS_HK_SND; /* as programs for mOS keep it */
	assert_int_equal(mtcp_register_callback(m, passive, MOS_ON_PKT_IN, (unsigned)hook, handler), 0);
	FAILS(mtcp_register_callback(m, passive, MOS_ON_CONN_END, MOS_NULL, handler), EINVAL);
	FAILS(mtcp_register_callback(m, passive, MOS_ON_CONN_SETUP, MOS_HK_SND, handler), EINVAL);
	FAILS(mtcp_register_callback(m, raw, MOS_ON_PKT_IN, MOS_HK_SND, handler), EINVAL);
	assert_int_equal(mtcp_register_callback(m, raw, MOS_ON_PKT_IN, MOS_NULL, handler), 0);
}

static void each_socket_has_a_pointer_of_its_own(void **state)
{
	int a, b;

	(void)state;
	assert_null(mtcp_get_uctx(m, sock));
	assert_int_equal(errno, 0);
	mtcp_set_uctx(m, sock, &a);
	mtcp_set_uctx(m, passive, &b);
	mtcp_set_uctx(m, 55, &b);
	assert_int_equal(errno, EBADF);
	assert_ptr_equal(mtcp_get_uctx(m, sock), &a);
	assert_ptr_equal(mtcp_get_uctx(m, passive), &b);
}

static void peek_reads_what_came(void **state)
{
	char buf[16];

	(void)state;
	assert_int_equal(mtcp_peek(m, sock, MOS_SIDE_SVR, buf, 16), 0);
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	assert_int_equal(mtcp_peek(m, sock, MOS_SIDE_SVR, buf, 2), 2);
	assert_memory_equal(buf, "ab", 2);
	assert_int_equal(mtcp_ppeek(m, sock, MOS_SIDE_SVR, buf, 16, 0), 3);
	assert_int_equal(mtcp_peek(m, sock, MOS_SIDE_SVR, buf, 16), 1);
	FAILS(mtcp_ppeek(m, sock, MOS_SIDE_SVR, buf, 16, 3), ENODATA);
	FAILS(mtcp_peek(m, sock, MOS_SIDE_BOTH, buf, 16), EINVAL);
	fake_data(w, c, MOS_SIDE_SVR, 3, "0123456789abcdefghi");
	FAILS(mtcp_peek(m, sock, MOS_SIDE_SVR, buf, 16), ENODATA);
	assert_int_equal(mtcp_peek(m, sock, MOS_SIDE_SVR, buf, 16), 16);
	assert_memory_equal(buf, "3456789abcdefghi", 16);
}

static void options_answer_for_their_side(void **state)
{
	struct tcp_buf_info info;
	socklen_t len = sizeof(int);
	uint32_t stamp;
	uint64_t whole;
	int value;

	(void)state;
	c->end[MOS_SIDE_CLI].state = TCP_FIN_WAIT_1;
	c->end[MOS_SIDE_SVR].state = TCP_CLOSE_WAIT;
	c->end_reason = MOS_ENDED_TIMEOUT;
	c->err_reason = MOS_ERR_GAP;
	c->last_ns = (1ull << 32) * 1000 + 5999;

	const struct {
		int option, value;
	} ints[] = {
		{ MOS_TCP_STATE_CLI, TCP_FIN_WAIT_1 },
		{ MOS_TCP_STATE_SVR, TCP_CLOSE_WAIT },
		{ MOS_END_REASON, MOS_ENDED_TIMEOUT },
		{ MOS_ERROR_REASON, MOS_ERR_GAP },
	};
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		len = 100;
		assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, ints[i].option, &value, &len), 0);
		assert_int_equal(value, ints[i].value);
		assert_int_equal(len, sizeof(int));
		len = 3;
		FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, ints[i].option, &value, &len), EINVAL);
	}
	len = sizeof(stamp);
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_TIMESTAMP, &stamp, &len), 0);
	assert_int_equal(stamp, 5);
	len = sizeof(whole);
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_TIMESTAMP, &whole, &len), 0);
	assert_int_equal(whole, (1ull << 32) + 5);
	len = sizeof(info);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_INFO_CLIBUF, &info, &len), ENODATA);
	fake_data(w, c, MOS_SIDE_CLI, 0, "abcd");
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_INFO_CLIBUF, &info, &len), 0);
	assert_int_equal(info.tcpbi_init_seq, 2000);
	assert_int_equal(info.tcpbi_next_byte_expected, 2004);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_INFO_SVRBUF, &info, &len), ENODATA);
	FAILS(mtcp_getsockopt(m, sock, SOL_SOCKET, MOS_INFO_CLIBUF, &info, &len), ENOSYS);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_CLIBUF, &value, &len), ENOSYS);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, 0x7777, &value, &len), ENOSYS);
}

static void fragments_come_as_elements_with_an_empty_one_at_the_end(void **state)
{
	struct tcp_ring_fragment frags[4];
	socklen_t n = 4;

	(void)state;
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_FRAGINFO_SVRBUF, frags, &n), ENODATA);
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	fake_data(w, c, MOS_SIDE_SVR, 5, "fg");
	memset(frags, 0xff, sizeof(frags));
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_FRAGINFO_SVRBUF, frags, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(frags[0].offset, 0);
	assert_int_equal(frags[0].len, 3);
	assert_int_equal(frags[1].offset, 5);
	assert_int_equal(frags[1].len, 2);
	assert_int_equal(frags[2].len, 0);
	n = 1;
	memset(frags, 0xff, sizeof(frags));
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_FRAGINFO_SVRBUF, frags, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(frags[1].len, UINT32_MAX);
	n = 0;
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_FRAGINFO_SVRBUF, frags, &n), EINVAL);
}

static int set(int s, int option, int value)
{
	return mtcp_setsockopt(m, s, SOL_MONSOCKET, option, &value, sizeof(value));
}

static void buffer_sizes_concern_later_connections_or_this_one(void **state)
{
	int64_t large = 1ll << 33;

	(void)state;
	assert_int_equal(set(passive, MOS_CLIBUF, 0), 0);
	assert_int_equal(set(passive, MOS_SVRBUF, 100), 0);
	assert_int_equal(w->d.passive[passive].buf[MOS_SIDE_CLI], 0);
	assert_int_equal(w->d.passive[passive].buf[MOS_SIDE_SVR], 100);
	assert_int_equal(mtcp_setsockopt(m, passive, SOL_MONSOCKET, MOS_CLIBUF, &large, sizeof(large)), 0);
	assert_int_equal(w->d.passive[passive].buf[MOS_SIDE_CLI], large);
	fake_data(w, c, MOS_SIDE_SVR, 0, "0123456789");
	assert_int_equal(set(sock, MOS_SVRBUF, 4), 0);
	assert_int_equal(track_stream(&w->tcp, c, MOS_SIDE_SVR)->base, 6);
	assert_int_equal(set(sock, MOS_SVRBUF, 0), 0);
	assert_null(track_stream(&w->tcp, c, MOS_SIDE_SVR));
	FAILS(set(sock, MOS_SVRBUF, -1), EINVAL);
	FAILS(mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_SVRBUF, &large, 2), EINVAL);
	FAILS(mtcp_setsockopt(m, sock, SOL_SOCKET, MOS_SVRBUF, &large, 8), ENOSYS);
	FAILS(set(sock, MOS_TCP_STATE_CLI, 1), ENOSYS);
	FAILS(set(sock, 0x1234, 1), ENOSYS);
}

static void the_overlap_policy_is_one_of_those_there_are(void **state)
{
	(void)state;
	assert_int_equal(set(passive, MOS_CLIOVERLAP, MOS_OVERLAP_POLICY_LAST), 0);
	assert_int_equal(w->d.passive[passive].overlap[MOS_SIDE_CLI], MOS_OVERLAP_POLICY_LAST);
	assert_int_equal(w->d.passive[passive].overlap[MOS_SIDE_SVR], MOS_OVERLAP_POLICY_FIRST);
	/* Before the first byte too. */
	assert_int_equal(set(sock, MOS_SVROVERLAP, MOS_OVERLAP_POLICY_LAST), 0);
	fake_data(w, c, MOS_SIDE_SVR, 0, "abc");
	assert_int_equal(track_stream(&w->tcp, c, MOS_SIDE_SVR)->policy, MOS_OVERLAP_POLICY_LAST);
	assert_int_equal(set(sock, MOS_SVROVERLAP, MOS_OVERLAP_POLICY_FIRST), 0);
	assert_int_equal(track_stream(&w->tcp, c, MOS_SIDE_SVR)->policy, MOS_OVERLAP_POLICY_FIRST);
	assert_int_equal(set(sock, MOS_SVROVERLAP, MOS_OVERLAP_POLICY_MACOS), 0);
	FAILS(set(sock, MOS_SVROVERLAP, MOS_OVERLAP_POLICIES), EINVAL);
	FAILS(set(passive, MOS_SVROVERLAP, -1), EINVAL);
}

static void a_stopped_side_costs_nothing_once_all_sockets_have_stopped_it(void **state)
{
	mtcp_socket(m, AF_INET, MOS_SOCK_MONITOR_STREAM, 0);
	struct mos_conn *two = fake_conn(w, 2);
	int one = fake_sock(w, two, 0), other = fake_sock(w, two, 1);

	(void)state;
	mtcp_register_callback(m, one, MOS_ON_PKT_IN, MOS_HK_SND, handler);
	mtcp_register_callback(m, other, MOS_ON_CONN_END, MOS_HK_SND, handler);
	fake_data(w, two, MOS_SIDE_CLI, 0, "abc");
	assert_int_equal(set(one, MOS_STOP_MON, MOS_SIDE_CLI), 0);
	assert_int_equal(two->end[MOS_SIDE_CLI].flags & MOS_END_STOPPED, 0);
	assert_int_equal(set(other, MOS_STOP_MON, MOS_SIDE_CLI), 0);
	assert_int_equal(two->end[MOS_SIDE_CLI].flags & MOS_END_STOPPED, MOS_END_STOPPED);
	assert_null(track_stream(&w->tcp, two, MOS_SIDE_CLI));
	assert_int_equal(two->flags & MOS_CONN_STOPPED, 0);
	assert_int_equal(set(one, MOS_STOP_MON, MOS_SIDE_BOTH), 0);
	assert_int_equal(two->mask, BIT_CONN_END_SND);
	assert_int_equal(mtcp_close(m, other), 0);
	assert_int_equal(two->flags & MOS_CONN_STOPPED, MOS_CONN_STOPPED);
	assert_int_equal(two->mask, 0);
	FAILS(set(one, MOS_STOP_MON, 3), EINVAL);
	FAILS(set(one, MOS_STOP_MON, -1), EINVAL);
}

static void names_are_given_for_one_end_or_both(void **state)
{
	struct sockaddr_in sa[2];
	socklen_t len = sizeof(sa);

	(void)state;
	c->cli = 1; /* the client is the key's second end */
	assert_int_equal(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, MOS_SIDE_BOTH), 0);
	assert_int_equal(len, sizeof(sa));
	assert_int_equal(sa[0].sin_family, AF_INET);
	assert_int_equal(ntohs(sa[0].sin_port), 80);
	assert_int_equal(ntohl(sa[0].sin_addr.s_addr), 0x0a000002);
	assert_int_equal(ntohs(sa[1].sin_port), 12345);
	len = sizeof(struct sockaddr);
	memset(sa, 0xff, sizeof(sa));
	assert_int_equal(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, MOS_SIDE_SVR), 0);
	assert_int_equal(len, sizeof(struct sockaddr_in));
	assert_int_equal(ntohs(sa[0].sin_port), 12345);
	assert_int_equal(sa[1].sin_port, 0xffff);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, MOS_SIDE_BOTH), EINVAL);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, 3), EINVAL);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, -1), EINVAL);
}

static void ipv6_names_are_sockaddr_in6(void **state)
{
	struct sockaddr_in6 sa[2];
	socklen_t len = sizeof(sa);
	char text[64];

	(void)state;
	c->key.family = 6;
	inet_pton(AF_INET6, "2001:db8::1", c->key.addr_be[0]);
	inet_pton(AF_INET6, "2001:db8::2", c->key.addr_be[1]);
	assert_int_equal(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, MOS_SIDE_BOTH), 0);
	assert_int_equal(len, sizeof(sa));
	assert_int_equal(sa[1].sin6_family, AF_INET6);
	assert_int_equal(ntohs(sa[1].sin6_port), 80);
	assert_string_equal(inet_ntop(AF_INET6, &sa[1].sin6_addr, text, sizeof(text)), "2001:db8::2");
	len = sizeof(struct sockaddr_in);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)sa, &len, MOS_SIDE_CLI), EINVAL);
}

static void a_timer_must_lie_in_the_future(void **state)
{
	static const struct timeval wrong[] = { { -1, 0 }, { 0, -1 }, { 0, 1000000 } };
	struct timeval tv = { 2, 500000 }, never = { INT64_MAX, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct timeval bad = wrong[i];

		FAILS(mtcp_settimer(m, 1, &bad, handler), EINVAL);
	}
	w->now_ns = 1000;
	w->wake_ns = UINT64_MAX;
	assert_int_equal(mtcp_settimer(m, 1, &tv, handler), 0);
	assert_int_equal(timers_next(&w->timers), 2500001000);
	/* The worker must not sleep past it. */
	assert_int_equal(w->wake_ns, 2500001000);
	assert_int_equal(mtcp_settimer(m, 1, &never, handler), 0);
	assert_int_equal(timers_next(&w->timers), 2500001000);
}

static void the_clock_is_in_microseconds(void **state)
{
	(void)state;
	w->now_ns = ((1ull << 32) + 77) * 1000 + 999;
	assert_int_equal(mtcp_cb_get_ts(m), 77);
}

/* The packet in dispatch; caplen 0: all of it. */
static struct mos_packet dispatched;

static void dispatch_frame(int link, const char *hex, size_t caplen)
{
	static struct frame f;

	f.len = 0;
	frame_hex(&f, hex);
	dispatched = frame_packet(&f, link, caplen ? caplen : f.len);
	dispatched.ts_ns = 5000000;
	dispatched.port = 2;
	packet_decode(&dispatched);
	w->d.ctx->pkt = &dispatched;
	w->d.ctx->conn = c;
}

static void release_frame(void)
{
	packet_release(&dispatched);
	w->d.ctx->pkt = NULL;
	w->d.ctx->conn = NULL;
}

#define TCP4_DATA ETH("0800") IP4("002c", "0000") TCP20 "61626364"
#define TCP6_DATA ETH("86dd") IP6("0018", "06") TCP20 "61626364"

static void the_packet_in_dispatch_is_copied_and_described(void **state)
{
	struct pkt_info p;

	(void)state;
	dispatch_frame(1, TCP4_DATA, 0);
	assert_int_equal(mtcp_getlastpkt(m, sock, MOS_SIDE_SVR, &p), 0);
	assert_int_equal(p.cur_ts, 5);
	assert_int_equal(p.in_ifidx, 2);
	assert_int_equal(p.eth_len, 58);
	assert_int_equal(p.ip_len, 44);
	assert_int_equal(p.payloadlen, 4);
	assert_int_equal(p.seq, 1000);
	assert_int_equal(p.ack_seq, 2000);
	assert_int_equal(p.window, 0x2000);
	assert_int_equal(ntohs(p.ethh->h_proto), 0x0800);
	assert_int_equal(p.iph->protocol, 6);
	assert_int_equal(ntohs(p.tcph->dest), 80);
	assert_memory_equal(p.payload, "abcd", 4);
	assert_int_equal((uintptr_t)p.iph % 4, 0);
	assert_true((uint8_t *)p.ethh != dispatched.data);
	p.payload[0] = 'X';
	assert_int_equal(dispatched.data[dispatched.payload], 'a');
	release_frame();
}

static void the_offset_is_the_streams(void **state)
{
	static const struct {
		uint32_t isn;
		uint64_t nxt_off, want;
	} cases[] = {
		{ 999, 0, 0 },
		{ 899, 100, 100 },
		{ 899, 1ull << 32, (1ull << 32) + 100 },
		{ 899, (1ull << 32) + 200, (1ull << 32) + 100 },
		{ 1100, (1ull << 32), (1ull << 32) - 101 },
		{ 1100, 0, 0 }, /* before the stream begins */
	};
	struct pkt_info p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dispatch_frame(1, TCP4_DATA, 0);
		c->cli = dispatched.dir;
		c->end[MOS_SIDE_CLI].isn = cases[i].isn;
		c->end[MOS_SIDE_CLI].nxt_off = cases[i].nxt_off;
		assert_int_equal(mtcp_getlastpkt(m, sock, 0, &p), 0);
		assert_int_equal(p.offset, cases[i].want);
		release_frame();
	}
}

static void other_links_ipv6_and_what_is_not_tcp_are_described_as_far_as_they_go(void **state)
{
	struct pkt_info p;

	(void)state;
	dispatch_frame(1, TCP6_DATA, 0);
	assert_int_equal(mtcp_getlastpkt(m, passive, 0, &p), 0);
	assert_int_equal(p.iph->version, 6);
	assert_int_equal(p.ip_len, 64);
	assert_memory_equal(p.payload, "abcd", 4);
	release_frame();

	dispatch_frame(12, IP4("0028", "0000") TCP20, 0);
	assert_int_equal(mtcp_getlastpkt(m, raw, 0, &p), 0);
	assert_null(p.ethh);
	assert_int_equal(p.iph->version, 4);
	assert_int_equal(ntohs(p.tcph->source), 12345);
	assert_int_equal(p.payloadlen, 0);
	release_frame();

	dispatch_frame(1, ETH("0806") "0001 0800 06 04 0001", 0);
	assert_int_equal(mtcp_getlastpkt(m, raw, 0, &p), 0);
	assert_int_equal(p.eth_len, 22);
	assert_non_null(p.ethh);
	assert_null(p.iph);
	assert_null(p.tcph);
	assert_null(p.payload);
	release_frame();

	dispatch_frame(1, TCP4_DATA, 56);
	assert_int_equal(mtcp_getlastpkt(m, sock, 0, &p), 0);
	assert_int_equal(p.ip_len, 44);
	assert_int_equal(p.payloadlen, 2);
	release_frame();

	dispatch_frame(1, ETH("0800") IP4("0034", "0000") TCP("80", "18") "0101080a 00000001 00000002", 60);
	assert_int_equal(mtcp_getlastpkt(m, sock, 0, &p), 0);
	assert_non_null(p.tcph);
	assert_null(p.payload);
	release_frame();
}

static void every_capture_length_is_safe(void **state)
{
	struct pkt_info p;

	(void)state;
	for (size_t caplen = 1; caplen <= 58; caplen++) {
		dispatch_frame(1, TCP4_DATA, caplen);
		assert_int_equal(mtcp_getlastpkt(m, sock, 0, &p), 0);
		/* The sanitizer watches these reads. */
		if (p.tcph)
			assert_int_equal(ntohs(p.tcph->dest) + ntohs(p.tcph->urg_ptr), 80 + 7);
		for (unsigned i = 0; i < p.payloadlen; i++)
			assert_int_equal(p.payload[i], 'a' + (int)i);
		release_frame();
	}
}

static void any_frame_size_is_copied(void **state)
{
	struct pkt_info p;
	uint8_t *big = calloc(1, 300000);

	(void)state;
	memcpy(big, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\x06", 14);
	big[299999] = 7;
	dispatched = (struct mos_packet){ .data = big, .caplen = 300000, .len = 300000, .link = 1 };
	packet_decode(&dispatched);
	w->d.ctx->pkt = &dispatched;
	assert_int_equal(mtcp_getlastpkt(m, raw, 0, &p), 0);
	assert_int_equal(p.eth_len, 65535);
	assert_int_equal(((uint8_t *)p.ethh)[299999], 7);
	release_frame();
}

static void without_a_packet_in_dispatch_there_is_none_to_ask_for_or_change(void **state)
{
	struct pkt_info p;

	(void)state;
	FAILS(mtcp_getlastpkt(m, sock, 0, &p), EACCES);
	FAILS(mtcp_setlastpkt(m, sock, 0, 0, NULL, 0, MOS_DROP), EACCES);
}

static void a_dropped_packet_has_its_verdict(void **state)
{
	(void)state;
	dispatch_frame(1, TCP4_DATA, 0);
	assert_int_equal(mtcp_setlastpkt(m, sock, 0, 0, NULL, 0, MOS_DROP), 0);
	assert_int_equal(dispatched.verdict, MOS_DROPPED);
	release_frame();
}

static void overwriting_changes_a_part_and_its_checksums(void **state)
{
	byte port[] = { 0x1f, 0x90 }, text[] = "WXYZ";

	(void)state;
	dispatch_frame(1, TCP4_DATA, 0);
	assert_int_equal(mtcp_setlastpkt(m, sock, 0, 2, port, 2, MOS_OVERWRITE | MOS_TCP_HDR), 0);
	assert_false(packet_checksums_ok(&dispatched));
	assert_int_equal(
		mtcp_setlastpkt(m, sock, 0, 1, text, 3,
				MOS_OVERWRITE | MOS_TCP_PAYLOAD | MOS_UPDATE_IP_CHKSUM | MOS_UPDATE_TCP_CHKSUM),
		0);
	assert_true(packet_checksums_ok(&dispatched));
	assert_memory_equal(dispatched.data + dispatched.payload, "aWXY", 4);
	assert_memory_equal(dispatched.data + dispatched.l4 + 2, port, 2);
	assert_int_equal(dispatched.changed, 1);
	/* Checksums alone. */
	dispatched.data[dispatched.payload] ^= 1;
	assert_int_equal(
		mtcp_setlastpkt(m, sock, 0, 0, NULL, 0, MOS_OVERWRITE | MOS_TCP_PAYLOAD | MOS_UPDATE_TCP_CHKSUM), 0);
	assert_true(packet_checksums_ok(&dispatched));
	release_frame();
	dispatch_frame(1, TCP6_DATA, 0);
	assert_int_equal(
		mtcp_setlastpkt(m, sock, 0, 0, text, 4,
				MOS_OVERWRITE | MOS_TCP_PAYLOAD | MOS_UPDATE_IP_CHKSUM | MOS_UPDATE_TCP_CHKSUM),
		0);
	assert_true(packet_checksums_ok(&dispatched));
	/* Where there is no such checksum there is nothing to do. */
	assert_int_equal(
		mtcp_setlastpkt(m, sock, 0, 0, text, 4, MOS_OVERWRITE | MOS_TCP_PAYLOAD | MOS_UPDATE_IP_CHKSUM), 0);
	release_frame();
	dispatch_frame(1, ETH("0806") "0001 0800 06 04 0001", 0);
	assert_int_equal(mtcp_setlastpkt(m, raw, 0, 0, text, 4,
					 MOS_OVERWRITE | MOS_ETH_HDR | MOS_UPDATE_IP_CHKSUM | MOS_UPDATE_TCP_CHKSUM),
			 0);
	release_frame();
}

static void a_wrong_change_is_refused(void **state)
{
	byte data[200] = { 0 };
	const struct {
		off_t offset;
		uint16_t len;
		int option, err;
	} cases[] = {
		{ 0, 4, MOS_TCP_PAYLOAD, EINVAL },
		{ 0, 4, 0, EINVAL },
		{ 0, 4, MOS_OVERWRITE | MOS_DROP | MOS_TCP_PAYLOAD, EINVAL },
		{ 0, 4, MOS_OVERWRITE | MOS_CHOMP | MOS_TCP_PAYLOAD, EINVAL },
		{ 0, 4, MOS_OVERWRITE, EINVAL },
		{ 0, 4, MOS_OVERWRITE | MOS_TCP_PAYLOAD | MOS_TCP_HDR, EINVAL },
		{ -1, 4, MOS_OVERWRITE | MOS_TCP_PAYLOAD, EINVAL },
		{ 0, 5, MOS_OVERWRITE | MOS_TCP_PAYLOAD, ERANGE },
		{ 4, 1, MOS_OVERWRITE | MOS_TCP_PAYLOAD, ERANGE },
		{ INT64_MAX, 1, MOS_OVERWRITE | MOS_TCP_PAYLOAD, ERANGE },
		{ 0, 21, MOS_OVERWRITE | MOS_TCP_HDR, ERANGE },
		{ 18, 3, MOS_OVERWRITE | MOS_IP_HDR, ERANGE },
		{ 0, 15, MOS_OVERWRITE | MOS_ETH_HDR, ERANGE },
		{ 0, 1, MOS_CHOMP | MOS_TCP_HDR, EINVAL },
		{ 0, 1, MOS_INSERT | MOS_IP_HDR, EINVAL },
		{ 0, 2000, MOS_CHOMP | MOS_TCP_PAYLOAD, ERANGE },
	};

	(void)state;
	dispatch_frame(1, TCP4_DATA, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		FAILS(mtcp_setlastpkt(m, sock, 0, cases[i].offset, data, cases[i].len, cases[i].option), cases[i].err);
	assert_int_equal(dispatched.verdict, MOS_PASS);
	assert_int_equal(dispatched.changed, 0);
	release_frame();
	dispatch_frame(1, ETH("0806") "0001 0800 06 04 0001", 0);
	FAILS(mtcp_setlastpkt(m, sock, 0, 0, data, 1, MOS_OVERWRITE | MOS_TCP_HDR), EINVAL);
	release_frame();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_a_context_every_call_fails_with_eacces),
		TEST(a_number_that_is_no_socket_is_ebadf),
		TEST(what_needs_a_connection_is_enotsock_on_a_passive_socket),
		TEST(a_null_where_an_address_is_needed_is_efault),
		TEST(a_socket_is_of_a_family_and_a_type),
		TEST(there_are_64_passive_sockets),
		TEST(closing_a_passive_socket_leaves_its_connections),
		TEST(a_filter_is_replaced_or_kept_whole),
		TEST(an_event_is_defined_with_two_arguments_or_three),
		TEST(handlers_are_registered_replaced_and_removed),
		TEST(each_socket_has_a_pointer_of_its_own),
		TEST(peek_reads_what_came),
		TEST(options_answer_for_their_side),
		TEST(fragments_come_as_elements_with_an_empty_one_at_the_end),
		TEST(buffer_sizes_concern_later_connections_or_this_one),
		TEST(the_overlap_policy_is_one_of_those_there_are),
		TEST(a_stopped_side_costs_nothing_once_all_sockets_have_stopped_it),
		TEST(names_are_given_for_one_end_or_both),
		TEST(ipv6_names_are_sockaddr_in6),
		TEST(a_timer_must_lie_in_the_future),
		TEST(the_clock_is_in_microseconds),
		TEST(the_packet_in_dispatch_is_copied_and_described),
		TEST(the_offset_is_the_streams),
		TEST(other_links_ipv6_and_what_is_not_tcp_are_described_as_far_as_they_go),
		TEST(every_capture_length_is_safe),
		TEST(any_frame_size_is_copied),
		TEST(without_a_packet_in_dispatch_there_is_none_to_ask_for_or_change),
		TEST(a_dropped_packet_has_its_verdict),
		TEST(overwriting_changes_a_part_and_its_checksums),
		TEST(a_wrong_change_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
