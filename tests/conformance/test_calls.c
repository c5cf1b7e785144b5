/* Every row of the table of calls that a program can rely on, by name: the contract, and that wrong arguments get an errno. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/replay.h"
#include "mos_api.h"
#include "path.h"
#include "pkt/bytes.h"
#include "pkt/edit.h"

static struct replay r;
static mctx_t m;

/* What the handler under test does, and how often it has been called. */
static void (*act)(int sock, int side);
static unsigned acted;

static void handler(mctx_t mctx, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)mctx;
	(void)event;
	(void)arg;
	acted++;
	act(sock, side);
}

/* From now on, do fn for event at hook, in place of the log. */
static void on(event_t event, unsigned hook, void (*fn)(int sock, int side))
{
	act = fn;
	acted = 0;
	assert_int_equal(mtcp_register_callback(m, r.sock, event, hook, handler), 0);
}

static void shake(void)
{
	replay_segment(&r, CLI, "S 0:0(0)");
	replay_segment(&r, SVR, "S. 0:0(0) ack 1");
	replay_segment(&r, CLI, ". 1:1(0) ack 1");
}

static int start(void **state)
{
	(void)state;
	replay_init(&r, NULL);
	r.quiet = true;
	m = &r.w->mctx;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	mtcp_register_callback(m, r.sock, MOS_ON_CONN_END, MOS_HK_SND, NULL);
	mtcp_register_callback(m, r.sock, MOS_ON_CONN_NEW_DATA, MOS_NULL, NULL);
	mtcp_close(m, r.sock);
	replay_fini(&r);
	return 0;
}

#define FAILS(call, error)                      \
	do {                                    \
		errno = 0;                      \
		assert_int_equal(call, -1);     \
		assert_int_equal(errno, error); \
	} while (0)

static void peek_act(int sock, int side)
{
	char buf[8];

	if (side != MOS_SIDE_SVR)
		return;
	assert_int_equal(mtcp_peek(m, sock, side, buf, 3), 3);
	assert_memory_equal(buf, "abc", 3);
	assert_int_equal(mtcp_peek(m, sock, side, buf, sizeof(buf)), 2);
	assert_memory_equal(buf, "de", 2);
	assert_int_equal(mtcp_peek(m, sock, side, buf, sizeof(buf)), 0);
	FAILS(mtcp_peek(m, sock, MOS_SIDE_BOTH, buf, 1), EINVAL);
	FAILS(mtcp_peek(m, r.sock, side, buf, 1), ENOTSOCK);
	FAILS(mtcp_peek(m, 1 << 20, side, buf, 1), EBADF);
	FAILS(mtcp_peek(NULL, sock, side, buf, 1), EACCES);
	FAILS(mtcp_peek(m, sock, side, NULL, 1), EFAULT);
}

static void mtcp_peek_reads_in_order_from_a_cursor_and_0_when_there_is_nothing(void **state)
{
	(void)state;
	on(MOS_ON_CONN_NEW_DATA, MOS_NULL, peek_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	assert_int_equal(acted, 1);
}

static void gap_act(int sock, int side)
{
	char buf[16];

	if (acted == 1)
		return; /* the first three bytes stay unread */
	assert_int_equal(mtcp_peek(m, sock, side, buf, sizeof(buf)), 3);
	FAILS(mtcp_peek(m, sock, side, buf, sizeof(buf)), ENODATA);
	assert_int_equal(mtcp_peek(m, sock, side, buf, sizeof(buf)), 2);
	assert_memory_equal(buf, "gh", 2);
}

static void mtcp_peek_says_ENODATA_once_at_a_gap_and_goes_on_behind_it(void **state)
{
	(void)state;
	on(MOS_ON_CONN_NEW_DATA, MOS_NULL, gap_act);
	shake();
	replay_segment(&r, CLI, "P. 1:4(3) ack 1");
	replay_segment(&r, CLI, "P. 7:9(2) ack 1");
	replay_segment(&r, SVR, ". 1:1(0) ack 9");
	r.now_ns += 1000000000;
	replay_segment(&r, SVR, ". 1:1(0) ack 9");
	assert_int_equal(acted, 2);
}

static void ppeek_act(int sock, int side)
{
	char buf[8];

	if (side != MOS_SIDE_SVR)
		return;
	assert_int_equal(mtcp_ppeek(m, sock, side, buf, 2, 1), 2);
	assert_memory_equal(buf, "bc", 2);
	assert_int_equal(mtcp_ppeek(m, sock, side, buf, sizeof(buf), 0), 3);
	assert_int_equal(mtcp_ppeek(m, sock, side, buf, sizeof(buf), 6), 2);
	assert_memory_equal(buf, "gh", 2);
	FAILS(mtcp_ppeek(m, sock, side, buf, 1, 4), ENODATA);
	FAILS(mtcp_ppeek(m, sock, side, buf, 1, UINT64_MAX), ENODATA);
	assert_int_equal(mtcp_peek(m, sock, side, buf, 1), 1);
}

static void mtcp_ppeek_reads_from_an_offset_early_bytes_too_and_moves_no_cursor(void **state)
{
	(void)state;
	on(MOS_ON_CONN_NEW_DATA, MOS_NULL, ppeek_act);
	shake();
	replay_burst(&r, (const struct said[]){ { CLI, "P. 1:4(3) ack 1" }, { CLI, "P. 7:9(2) ack 1" }, { -1, NULL } });
	assert_int_equal(acted, 1);
}

static void getlastpkt_act(int sock, int side)
{
	struct pkt_info info;

	assert_int_equal(mtcp_getlastpkt(m, sock, side, &info), 0);
	if (info.payloadlen != 5)
		return;
	assert_int_equal(info.seq, 1001);
	assert_int_equal(info.ack_seq, 5001);
	assert_int_equal(info.offset, 0);
	assert_memory_equal(info.payload, "abcde", 5);
	assert_true(info.tcph->psh && info.tcph->ack && ntohs(info.tcph->dest) == 80);
	assert_int_equal(info.iph->version, 4);
	info.payload[0] = '!'; /* a copy */
	assert_int_equal(mtcp_getlastpkt(m, sock, side, &info), 0);
	assert_int_equal(info.payload[0], 'a');
	FAILS(mtcp_getlastpkt(m, sock, side, NULL), EFAULT);
}

static void no_packet_act(int sock, int side)
{
	struct pkt_info info;

	FAILS(mtcp_getlastpkt(m, sock, side, &info), EACCES);
	FAILS(mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP), EACCES);
}

static void mtcp_getlastpkt_describes_a_copy_of_the_packet_in_dispatch(void **state)
{
	(void)state;
	on(MOS_ON_PKT_IN, MOS_HK_SND, getlastpkt_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	assert_int_equal(acted, 4);
	stop(NULL);
	start(NULL);
	on(MOS_ON_CONN_END, MOS_HK_SND, no_packet_act);
	shake();
	replay_end(&r);
	assert_int_equal(acted, 2);
}

static int option;
static const char *data;
static off_t offset;
static uint16_t length;

static void setlastpkt_act(int sock, int side)
{
	const struct mos_packet *p = r.w->d.ctx->pkt;

	if (p->payload_len)
		assert_int_equal(mtcp_setlastpkt(m, sock, side, offset, (byte *)(uintptr_t)data, length, option), 0);
}

/* "abcde" with one change; what leaves of it. */
static const char *changed(int how, const char *bytes, off_t at, uint16_t n)
{
	static char out[64];
	const struct mos_packet *p = &r.w->burst[0];

	stop(NULL);
	start(NULL);
	option = how | MOS_UPDATE_IP_CHKSUM | MOS_UPDATE_TCP_CHKSUM;
	data = bytes;
	offset = at;
	length = n;
	on(MOS_ON_PKT_IN, MOS_HK_SND, setlastpkt_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	p = &r.w->burst[0];
	if (p->verdict == MOS_DROPPED)
		return "(dropped)";
	assert_true(packet_checksums_ok(p));
	snprintf(out, sizeof(out), "%.*s", (int)p->payload_len, (const char *)p->data + p->payload);
	return out;
}

static void mtcp_setlastpkt_drops_overwrites_chomps_and_inserts(void **state)
{
	(void)state;
	assert_string_equal(changed(MOS_DROP, NULL, 0, 0), "(dropped)");
	assert_string_equal(changed(MOS_OVERWRITE | MOS_TCP_PAYLOAD, "XY", 1, 2), "aXYde");
	assert_string_equal(changed(MOS_INSERT | MOS_TCP_PAYLOAD, "XY", 1, 2), "aXYbcde");
	assert_string_equal(changed(MOS_INSERT | MOS_TCP_PAYLOAD, "XY", 5, 2), "abcdeXY");
	assert_string_equal(changed(MOS_CHOMP | MOS_TCP_PAYLOAD, NULL, 1, 3), "ae");
	assert_string_equal(changed(MOS_OVERWRITE | MOS_IP_HDR, "\x07", 8, 1), "abcde");
	assert_int_equal(r.w->burst[0].data[r.w->burst[0].l3 + 8], 7);
	assert_string_equal(changed(MOS_OVERWRITE | MOS_TCP_HDR, "\x12\x34", 14, 2), "abcde");
	assert_int_equal(r.w->burst[0].window, 0x1234);
}

static void old_way_act(int sock, int side)
{
	const struct mos_packet *p = r.w->d.ctx->pkt;
	uint8_t len[2];

	if (!p->payload_len)
		return;
	store_be16(len, (uint16_t)(p->ip_len - 3));
	assert_int_equal(mtcp_setlastpkt(m, sock, side, 2, len, 2, MOS_IP_HDR | MOS_OVERWRITE), 0);
	assert_int_equal(mtcp_setlastpkt(m, sock, side, 2, NULL, 3, MOS_TCP_PAYLOAD | MOS_CHOMP), 0);
}

static void mtcp_setlastpkt_takes_the_IP_length_that_mOS_programs_set_first(void **state)
{
	(void)state;
	on(MOS_ON_PKT_IN, MOS_HK_SND, old_way_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	const struct mos_packet *p = &r.w->burst[0];

	assert_int_equal(p->payload_len, 2);
	assert_memory_equal(p->data + p->payload, "ab", 2);
	assert_int_equal(load_be16(p->data + p->l3 + 2), 42);
	assert_true(packet_checksums_ok(p));
}

static void sendpkt_act(int sock, int side)
{
	struct pkt_info info;

	assert_int_equal(mtcp_getlastpkt(m, sock, side, &info), 0);
	if (!info.payloadlen)
		return;
	info.tcph->fin = 1;
	info.payload = (uint8_t *)"hello world";
	info.payloadlen = 11;
	assert_int_equal(mtcp_sendpkt(m, sock, &info), 0);
	info.tcph = NULL;
	FAILS(mtcp_sendpkt(m, sock, &info), ENODATA);
	FAILS(mtcp_sendpkt(m, sock, NULL), EFAULT);
	FAILS(mtcp_sendpkt(m, 1 << 20, &info), EBADF);
}

static void mtcp_sendpkt_sends_headers_and_payload_flags_and_all(void **state)
{
	(void)state;
	on(MOS_ON_PKT_IN, MOS_HK_SND, sendpkt_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	assert_int_equal(r.w->outbox.n, 1);
	const struct mos_packet *p = &r.w->outbox.v[0].packet;

	assert_int_equal(p->payload_len, 11);
	assert_memory_equal(p->data + p->payload, "hello world", 11);
	assert_int_equal(p->data[p->l4 + 13], MOS_TH_FIN | MOS_TH_PSH | MOS_TH_ACK);
	assert_true(packet_checksums_ok(p));
}

static void mtcp_sendpkt_and_its_headers_may_be_anything(void **state)
{
	uint8_t ip[60] = { 0 }, tcp[60] = { 0 };
	struct pkt_info info = { .iph = (struct iphdr *)(void *)ip, .tcph = (struct tcphdr *)(void *)tcp };
	const struct mos_packet *p;

	(void)state;
	shake();
	FAILS(mtcp_sendpkt(m, r.sock, &info), EINVAL);
	ip[0] = 0x45;
	FAILS(mtcp_sendpkt(m, r.sock, &info), EINVAL);
	tcp[12] = 0x50;
	FAILS(mtcp_sendpkt(m, r.sock, &info), ENOTCONN);
	info.payloadlen = 1;
	FAILS(mtcp_sendpkt(m, r.sock, &info), EFAULT);
	info.payload = tcp;
	info.payloadlen = 65535;
	FAILS(mtcp_sendpkt(m, r.sock, &info), EMSGSIZE);
	info.payloadlen = 0;
	ip[0] = 0x6f;
	tcp[12] = 0xff;
	assert_int_equal(mtcp_sendpkt(m, PASSIVE_MAX + 1, &info), 0);
	p = &r.w->outbox.v[0].packet;
	assert_true(p->ip_version == 6 && p->tcp_hlen == 60 && packet_checksums_ok(p));
}

static void abort_act(int sock, int side)
{
	(void)side;
	if (r.w->d.ctx->pkt->payload_len) {
		assert_int_equal(mtcp_abort(m, sock), 0);
		FAILS(mtcp_abort(m, sock), EALREADY);
		FAILS(mtcp_abort(m, r.sock), ENOTSOCK);
	}
}

static void mtcp_abort_resets_both_ends(void **state)
{
	(void)state;
	on(MOS_ON_PKT_IN, MOS_HK_SND, abort_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	assert_int_equal(r.w->burst[0].verdict, MOS_DROPPED);
	assert_int_equal(r.w->outbox.n, 2);
}

static int timer_id;

static void on_timer(mctx_t mctx, int id, int side, event_t event, filter_arg_t *arg)
{
	assert_ptr_equal(mctx, m);
	assert_true(side == 0 && event == 0 && arg == NULL);
	timer_id = id;
	acted++;
}

static void mtcp_settimer_fires_once_and_gives_the_id_back(void **state)
{
	struct timeval half = { 0, 500000 }, wrong = { 0, 1000000 };

	(void)state;
	acted = 0;
	shake();
	assert_int_equal(mtcp_settimer(m, 42, &half, on_timer), 0);
	replay_wait(&r, 0.4);
	assert_int_equal(acted, 0);
	replay_wait(&r, 0.2);
	replay_wait(&r, 1);
	assert_int_equal(acted, 1);
	assert_int_equal(timer_id, 42);
	FAILS(mtcp_settimer(m, 1, &wrong, on_timer), EINVAL);
	FAILS(mtcp_settimer(m, 1, NULL, on_timer), EFAULT);
	FAILS(mtcp_settimer(m, 1, &half, NULL), EFAULT);
	FAILS(mtcp_settimer(NULL, 1, &half, on_timer), EACCES);
}

static void uctx_act(int sock, int side)
{
	(void)side;
	if (acted == 1)
		assert_null(mtcp_get_uctx(m, sock));
	else
		assert_ptr_equal(mtcp_get_uctx(m, sock), &r);
	mtcp_set_uctx(m, sock, &r);
}

static void mtcp_set_uctx_keeps_one_pointer_per_socket(void **state)
{
	(void)state;
	mtcp_set_uctx(m, r.sock, &m);
	on(MOS_ON_PKT_IN, MOS_HK_SND, uctx_act);
	shake();
	assert_ptr_equal(mtcp_get_uctx(m, r.sock), &m);
	errno = 0;
	assert_null(mtcp_get_uctx(m, 1 << 20));
	assert_int_equal(errno, EBADF);
}

static void peername_act(int sock, int side)
{
	struct sockaddr_in a[2];
	socklen_t len = sizeof(a);

	assert_int_equal(mtcp_getpeername(m, sock, (struct sockaddr *)a, &len, MOS_SIDE_BOTH), 0);
	assert_true(len == sizeof(a) && ntohs(a[0].sin_port) == 40000 && ntohs(a[1].sin_port) == 80);
	len = sizeof(a[0]);
	assert_int_equal(mtcp_getpeername(m, sock, (struct sockaddr *)a, &len, MOS_SIDE_SVR), 0);
	assert_int_equal(ntohs(a[0].sin_port), 80);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)a, &len, MOS_SIDE_BOTH), EINVAL);
	FAILS(mtcp_getpeername(m, sock, (struct sockaddr *)a, &len, 3), EINVAL);
	FAILS(mtcp_getpeername(m, r.sock, (struct sockaddr *)a, &len, side), ENOTSOCK);
}

static void mtcp_getpeername_names_client_and_server(void **state)
{
	(void)state;
	on(MOS_ON_CONN_START, MOS_HK_SND, peername_act);
	shake();
	assert_int_equal(acted, 1);
}

static void getsockopt_act(int sock, int side)
{
	struct tcp_ring_fragment frag[4];
	struct tcp_buf_info info;
	int state;
	socklen_t len = sizeof(state);

	(void)side;
	if (acted > 1)
		return; /* the hole is given up at the end */
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_TCP_STATE_SVR, &state, &len), 0);
	assert_int_equal(state, TCP_ESTABLISHED);
	len = sizeof(info);
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_INFO_SVRBUF, &info, &len), 0);
	assert_true(info.tcpbi_init_seq == 1001 && info.tcpbi_last_byte_read == 1001);
	assert_true(info.tcpbi_next_byte_expected == 1004 && info.tcpbi_last_byte_received == 1009);
	len = 4;
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_FRAGINFO_SVRBUF, frag, &len), 0);
	assert_true(len == 2 && frag[0].offset == 0 && frag[0].len == 3 && frag[1].offset == 6 && frag[1].len == 2);
	len = sizeof(state);
	assert_int_equal(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_END_REASON, &state, &len), 0);
	assert_int_equal(state, MOS_ENDED_OPEN);
	FAILS(mtcp_getsockopt(m, sock, SOL_MONSOCKET, MOS_SEQ_REMAP, &state, &len), ENOSYS);
	FAILS(mtcp_getsockopt(m, sock, SOL_SOCKET, MOS_TCP_STATE_CLI, &state, &len), ENOSYS);
}

static void getsockopt_answers_states_buffers_and_fragments(void **state)
{
	(void)state;
	on(MOS_ON_CONN_NEW_DATA, MOS_NULL, getsockopt_act);
	shake();
	replay_burst(&r, (const struct said[]){ { CLI, "P. 1:4(3) ack 1" }, { CLI, "P. 7:9(2) ack 1" }, { -1, NULL } });
	assert_int_equal(acted, 1);
}

static void stop_act(int sock, int side)
{
	int both = MOS_SIDE_BOTH;

	(void)side;
	assert_int_equal(mtcp_setsockopt(m, sock, SOL_MONSOCKET, MOS_STOP_MON, &both, sizeof(both)), 0);
}

static void setsockopt_stops_both_sides_and_sizes_buffers(void **state)
{
	int size = 1 << 14, wrong = -1;

	(void)state;
	assert_int_equal(mtcp_setsockopt(m, r.sock, SOL_MONSOCKET, MOS_CLIBUF, &size, sizeof(size)), 0);
	FAILS(mtcp_setsockopt(m, r.sock, SOL_MONSOCKET, MOS_SVRBUF, &wrong, sizeof(wrong)), EINVAL);
	FAILS(mtcp_setsockopt(m, r.sock, SOL_MONSOCKET, MOS_STOP_MON, &size, sizeof(size)), ENOTSOCK);
	FAILS(mtcp_setsockopt(m, r.sock, SOL_MONSOCKET, MOS_CLIOVERLAP, &size, sizeof(size)), EINVAL);
	FAILS(mtcp_setsockopt(m, r.sock, SOL_MONSOCKET, 99, &size, sizeof(size)), ENOSYS);
	on(MOS_ON_PKT_IN, MOS_HK_SND, stop_act);
	shake();
	replay_segment(&r, CLI, "P. 1:6(5) ack 1");
	assert_int_equal(acted, 1);
	assert_int_equal(r.w->burst[0].verdict, MOS_PASS);
}

/* A mos.conf and an output of this process. */
static const char *conf_file(const char *text)
{
	static char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/test_calls.%d.conf", getpid());
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "mos { netdev { pcap_in = tests/pcaps/http.pcap }\n%s }\n", text);
	fclose(f);
	return path;
}

static void mtcp_init_reads_mos_conf_and_mtcp_setconf_changes_it(void **state)
{
	const char *path = conf_file("max_concurrency = 77\n rmem_size = 4096");
	struct mtcp_conf conf;

	(void)state;
	FAILS(mtcp_init(NULL), EFAULT);
	FAILS(mtcp_getconf(&conf), EPERM);
	FAILS(mtcp_destroy(), EPERM);
	assert_int_equal(mtcp_init(path), 0);
	FAILS(mtcp_init(path), EBUSY);
	FAILS(mtcp_getconf(NULL), EINVAL);
	assert_int_equal(mtcp_getconf(&conf), 0);
	assert_true(conf.num_cores == 1 && conf.max_concurrency == 77 && conf.rcvbuf_size == 4096);
	assert_true(conf.tcp_timeout == 30 && conf.tcp_timewait == 0);
	conf.num_cores = 0;
	FAILS(mtcp_setconf(&conf), EINVAL);
	conf.num_cores = 2;
	assert_int_equal(mtcp_setconf(&conf), 0);
	assert_int_equal(mtcp_destroy(), 0);
	unlink(path);
}

static int runs;

static void on_any(mctx_t mctx, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)sock;
	(void)side;
	(void)event;
	(void)arg;
	__atomic_add_fetch(&runs, 1, __ATOMIC_RELAXED);
	assert_int_equal(mctx->cpu, 0);
}

static void mtcp_create_context_join_and_destroy_run_the_packets_through(void **state)
{
	const char *path = conf_file("");

	(void)state;
	for (int round = 0; round < 2; round++) {
		runs = 0;
		assert_int_equal(mtcp_init(path), 0);
		mctx_t c = mtcp_create_context(0);

		assert_non_null(c);
		assert_null(mtcp_create_context(0));
		assert_int_equal(errno, EEXIST);
		assert_null(mtcp_create_context(1));
		assert_int_equal(errno, EINVAL);
		int sock = mtcp_socket(c, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 0);

		assert_int_equal(mtcp_register_callback(c, sock, MOS_ON_CONN_START, MOS_HK_SND, on_any), 0);
		mtcp_app_join(c);
		assert_int_equal(runs, 3);
		mtcp_app_join(c);
		assert_null(mtcp_create_context(0));
		assert_int_equal(errno, EPERM);
		assert_int_equal(mtcp_get_connection_cnt(c), 0);
		assert_int_equal(mtcp_destroy_context(c), 0);
		FAILS(mtcp_destroy_context(NULL), EACCES);
		assert_int_equal(mtcp_destroy(), 0);
	}
	unlink(path);
}

static void on_shared(mctx_t mctx, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)mctx;
	(void)sock;
	(void)side;
	(void)event;
	(void)arg;
	__atomic_add_fetch(&runs, 1, __ATOMIC_RELAXED);
}

/* A thread per core, as many programs have it: it makes its context, sets it up, and joins. */
static void *core_main(void *arg)
{
	mctx_t c = mtcp_create_context((int)(intptr_t)arg);
	int sock = c ? mtcp_socket(c, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 0) : -1;

	if (sock < 0 || mtcp_register_callback(c, sock, MOS_ON_CONN_START, MOS_HK_SND, on_shared) < 0)
		return (void *)1;
	mtcp_app_join(c);
	return (void *)(intptr_t)mtcp_destroy_context(c);
}

static void mtcp_app_join_waits_for_the_threads_that_set_up_their_own_contexts(void **state)
{
	const char *path = conf_file("num_cores = 3");
	pthread_t thread[3];
	void *failed;

	(void)state;
	for (int round = 0; round < 10; round++) {
		runs = 0;
		assert_int_equal(mtcp_init(path), 0);
		for (intptr_t i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, core_main, (void *)i), 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(pthread_join(thread[i], &failed), 0);
			assert_null(failed);
		}
		assert_int_equal(runs, 3);
		assert_int_equal(mtcp_destroy(), 0);
	}
	unlink(path);
}

static void on_stop(mctx_t mctx, int sock, int side, event_t event, filter_arg_t *arg)
{
	(void)sock;
	(void)side;
	(void)event;
	(void)arg;
	runs++;
	assert_int_equal(mtcp_destroy_context(mctx), 0);
}

static void mtcp_destroy_context_in_a_handler_ends_the_run(void **state)
{
	const char *path = conf_file("");

	(void)state;
	runs = 0;
	assert_int_equal(mtcp_init(path), 0);
	mctx_t c = mtcp_create_context(0);
	struct timeval soon = { 0, 1 };

	assert_int_equal(mtcp_settimer(c, 1, &soon, on_stop), 0);
	mtcp_app_join(c);
	assert_int_equal(runs, 1);
	FAILS(mtcp_settimer(NULL, 1, &soon, on_stop), EACCES);
	assert_int_equal(mtcp_destroy(), 0);
	unlink(path);
}

static void on_signal(int sig)
{
	runs += sig;
}

static void mtcp_register_signal_sets_a_handler(void **state)
{
	(void)state;
	runs = 0;
	assert_ptr_equal(mtcp_register_signal(SIGUSR1, on_signal), on_signal);
	raise(SIGUSR1);
	assert_int_equal(runs, SIGUSR1);
	assert_ptr_equal(mtcp_register_signal(SIGKILL, on_signal), SIG_ERR);
	signal(SIGUSR1, SIG_DFL);
}

static void mtcp_core_affinitize_takes_any_core(void **state)
{
	(void)state;
	FAILS(mtcp_core_affinitize(-1), EINVAL);
	assert_int_equal(mtcp_core_affinitize(1000), 0);
}

static void mtcp_cb_get_ts_is_the_time_of_the_packets(void **state)
{
	(void)state;
	shake();
	assert_int_equal(mtcp_cb_get_ts(m), (uint32_t)(r.w->now_ns / 1000));
	errno = 0;
	assert_int_equal(mtcp_cb_get_ts(NULL), 0);
	assert_int_equal(errno, EACCES);
}

static void close_act(int sock, int side)
{
	(void)side;
	assert_int_equal(mtcp_close(m, sock), 0);
	FAILS(mtcp_close(m, sock), EBADF);
}

static void mtcp_close_ends_one_socket(void **state)
{
	(void)state;
	on(MOS_ON_PKT_IN, MOS_HK_SND, close_act);
	shake();
	assert_int_equal(acted, 1);
	assert_int_equal(mtcp_close(m, r.sock), 0);
	FAILS(mtcp_close(m, r.sock), EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mtcp_peek_reads_in_order_from_a_cursor_and_0_when_there_is_nothing),
		TEST(mtcp_peek_says_ENODATA_once_at_a_gap_and_goes_on_behind_it),
		TEST(mtcp_ppeek_reads_from_an_offset_early_bytes_too_and_moves_no_cursor),
		TEST(mtcp_getlastpkt_describes_a_copy_of_the_packet_in_dispatch),
		TEST(mtcp_setlastpkt_drops_overwrites_chomps_and_inserts),
		TEST(mtcp_setlastpkt_takes_the_IP_length_that_mOS_programs_set_first),
		TEST(mtcp_sendpkt_sends_headers_and_payload_flags_and_all),
		TEST(mtcp_sendpkt_and_its_headers_may_be_anything),
		TEST(mtcp_abort_resets_both_ends),
		TEST(mtcp_settimer_fires_once_and_gives_the_id_back),
		TEST(mtcp_set_uctx_keeps_one_pointer_per_socket),
		TEST(mtcp_getpeername_names_client_and_server),
		TEST(getsockopt_answers_states_buffers_and_fragments),
		TEST(setsockopt_stops_both_sides_and_sizes_buffers),
		TEST(mtcp_init_reads_mos_conf_and_mtcp_setconf_changes_it),
		TEST(mtcp_create_context_join_and_destroy_run_the_packets_through),
		TEST(mtcp_app_join_waits_for_the_threads_that_set_up_their_own_contexts),
		TEST(mtcp_destroy_context_in_a_handler_ends_the_run),
		TEST(mtcp_register_signal_sets_a_handler),
		TEST(mtcp_core_affinitize_takes_any_core),
		TEST(mtcp_cb_get_ts_is_the_time_of_the_packets),
		TEST(mtcp_close_ends_one_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
