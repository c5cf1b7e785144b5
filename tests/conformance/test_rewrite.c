/*
 * Two ends that talk through an editing box over a network that loses, repeats and reorders. They cut their streams into
 * other segments each time, and never repeat what a SACK said has arrived. Each must receive exactly the edited stream,
 * and be told nothing of bytes that it did not send.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "path.h"
#include "pkt/bytes.h"
#include "pkt/decode.h"
#include "pkt/edit.h"
#include "rewrite.h"
#include "worker.h"

enum { BYTES = 6000, ROOM = 1 << 16, MSS = 200, RAW_IP = 12 };

struct peer {
	uint32_t isn;
	uint8_t src[BYTES];
	bool arrived[BYTES + 1]; /* acknowledged, or in a SACK block */
	uint32_t una, nxt;       /* offsets; BYTES is the FIN */
	uint8_t got[ROOM];       /* what it has received */
	bool have[ROOM];
	uint32_t rcv_nxt, fin_at;
	bool fin;
};

static struct peer peer[2];
static struct worker *w;
static bool ipv6;
static uint32_t passed[2];

static uint32_t below(uint32_t n)
{
	return (uint32_t)rand() % n;
}

/* The rule of the box, on one byte: what stands for it. */
static size_t edited(uint8_t letter, uint8_t *out)
{
	switch (letter) {
	case 'x':
		memcpy(out, "<x>x", 4);
		return 4;
	case 'y':
		return 0;
	case 'z':
		memcpy(out, "ZZ", 2);
		return 2;
	case 'q':
		memcpy(out, "qQ", 2);
		return 2;
	case 'B':
		memset(out, 'b', 700);
		out[700] = 'B';
		return 701;
	default:
		*out = letter;
		return 1;
	}
}

static int edit_byte(mctx_t m, int sock, uint8_t letter, off_t at)
{
	static byte big[700];
	const int insert = MOS_INSERT | MOS_TCP_PAYLOAD, chomp = MOS_CHOMP | MOS_TCP_PAYLOAD;

	switch (letter) {
	case 'x':
		return mtcp_setlastpkt(m, sock, 0, at, (unsigned char *)"<x>", 3, insert);
	case 'y':
		return mtcp_setlastpkt(m, sock, 0, at, NULL, 1, chomp);
	case 'z':
		if (mtcp_setlastpkt(m, sock, 0, at, NULL, 1, chomp) < 0)
			return -1;
		return mtcp_setlastpkt(m, sock, 0, at, (unsigned char *)"ZZ", 2, insert);
	case 'q':
		return mtcp_setlastpkt(m, sock, 0, at + 1, (unsigned char *)"Q", 1, insert);
	case 'B':
		memset(big, 'b', sizeof(big));
		return mtcp_setlastpkt(m, sock, 0, at, big, sizeof(big), insert);
	default:
		return 0;
	}
}

/*
 * A segment or FIN beyond a hole is dropped, because the hole could not be edited any more. What stands behind a byte is
 * not put in again when the byte comes again with new ones behind it.
 */
static void on_packet(mctx_t m, int sock, int side, event_t event, filter_arg_t *arg)
{
	struct pkt_info info;

	(void)event;
	(void)arg;
	assert_int_equal(mtcp_getlastpkt(m, sock, side, &info), 0);
	if (!info.payloadlen && !info.tcph->fin)
		return;
	uint32_t off = (uint32_t)info.offset, end = off + info.payloadlen;

	if (off > passed[side]) {
		mtcp_setlastpkt(m, sock, side, 0, NULL, 0, MOS_DROP);
		return;
	}
	for (uint32_t i = 0; i < info.payloadlen; i++) {
		bool again = info.payload[i] == 'q' && off + i < passed[side];
		int rc = again ? 0 : edit_byte(m, sock, info.payload[i], i);

		assert_true(rc == 0 || (errno == EALREADY && off + i < passed[side]));
	}
	if (end > passed[side])
		passed[side] = end;
}

static uint32_t ip_bytes(void)
{
	return ipv6 ? 40 : 20;
}

static void build_ip(uint8_t *f, int from, uint32_t len)
{
	memset(f, 0, ip_bytes());
	if (ipv6) {
		f[0] = 0x60;
		store_be16(f + 4, (uint16_t)len);
		f[6] = 6;
		f[7] = 64;
		f[23] = (uint8_t)(1 + from);
		f[39] = (uint8_t)(2 - from);
		return;
	}
	f[0] = 0x45;
	store_be16(f + 2, (uint16_t)(20 + len));
	f[8] = 64;
	f[9] = 6;
	f[15] = (uint8_t)(1 + from);
	f[19] = (uint8_t)(2 - from);
}

struct frame {
	uint8_t bytes[2048];
	struct mos_packet p;
};

/* A segment of peer `from`; seq is an offset, ack is relative to the other's first byte. sack: two offsets, or NULL. */
static void build(struct frame *fr, int from, uint8_t flags, uint32_t off, uint32_t len, const uint32_t *sack)
{
	struct peer *me = &peer[from], *other = &peer[!from];
	uint8_t *tcp = fr->bytes + ip_bytes();
	uint32_t options = flags & MOS_TH_SYN ? 4 : sack ? 12 : 0, hlen = 20 + options;

	build_ip(fr->bytes, from, hlen + len);
	memset(tcp, 0, hlen);
	store_be16(tcp, from ? 80 : 4000);
	store_be16(tcp + 2, from ? 4000 : 80);
	store_be32(tcp + 4, flags & MOS_TH_SYN ? me->isn : me->isn + 1 + off);
	if (flags & MOS_TH_ACK)
		store_be32(tcp + 8, other->isn + 1 + me->rcv_nxt + me->fin);
	tcp[12] = (uint8_t)(hlen / 4 << 4);
	tcp[13] = flags;
	store_be16(tcp + 14, 60000);
	if (flags & MOS_TH_SYN) {
		tcp[20] = 2;
		tcp[21] = 4;
		store_be16(tcp + 22, MSS);
	} else if (sack) {
		memcpy(tcp + 20, "\x01\x01\x05\x0a", 4);
		store_be32(tcp + 24, other->isn + 1 + sack[0]);
		store_be32(tcp + 28, other->isn + 1 + sack[1]);
	}
	if (len)
		memcpy(tcp + hlen, me->src + off, len);
	fr->p = (struct mos_packet){ .data = fr->bytes, .link = RAW_IP };
	fr->p.caplen = fr->p.len = ip_bytes() + hlen + len;
	assert_int_equal(packet_decode(&fr->p), MOS_DECODED_TCP);
	packet_fix_ip_checksum(&fr->p);
	packet_fix_tcp_checksum(&fr->p);
}

static void mark_arrived(struct peer *s, int64_t from, int64_t to)
{
	for (int64_t i = from; i < to && i <= BYTES; i++)
		s->arrived[i] = true;
}

/* s hears what the other end has. */
static void hear_ack(struct peer *s, const struct mos_packet *p)
{
	uint32_t ack = p->ack - s->isn - 1;
	struct tcp_options o;

	assert_true(ack <= s->nxt);
	mark_arrived(s, 0, ack);
	if (ack > s->una)
		s->una = ack;
	packet_options(p, &o);
	for (int i = 0; i < o.sack_blocks; i++) {
		uint32_t left = o.sack[i][0] - s->isn - 1, right = o.sack[i][1] - s->isn - 1;

		assert_true(left < right && right <= s->nxt);
		mark_arrived(s, left, right);
	}
}

/* r receives bytes at pos; those that it has must be the same. */
static void hear_bytes(struct peer *r, const struct mos_packet *p, int64_t pos)
{
	for (uint32_t i = 0; i < p->payload_len; i++) {
		int64_t at = pos + i;

		assert_true(at >= 0 && at < ROOM);
		if (r->have[at])
			assert_int_equal(r->got[at], p->data[p->payload + i]);
		r->got[at] = p->data[p->payload + i];
		r->have[at] = true;
	}
	if (p->tcp_flags & MOS_TH_FIN)
		r->fin_at = (uint32_t)(pos + p->payload_len);
	while (r->have[r->rcv_nxt])
		r->rcv_nxt++;
	r->fin = r->rcv_nxt == r->fin_at;
}

static void send_frame(int from, struct frame *fr, bool may_lose);

/* An acknowledgement, at times with the run beyond the first hole. */
static void answer(int from)
{
	struct peer *r = &peer[from];
	uint32_t sack[2] = { r->rcv_nxt, 0 };
	struct frame fr;

	while (sack[0] < ROOM - 1 && !r->have[sack[0]])
		sack[0]++;
	sack[1] = sack[0];
	while (r->have[sack[1]])
		sack[1]++;
	if (sack[1] > sack[0] && below(4) == 0)
		sack[0] += below(sack[1] - sack[0]);
	build(&fr, from, MOS_TH_ACK, peer[from].nxt + (peer[from].nxt > BYTES), 0, sack[1] > sack[0] ? sack : NULL);
	send_frame(from, &fr, true);
}

static void deliver(int to, const struct mos_packet *p)
{
	struct mos_packet q = { .data = p->data, .caplen = p->caplen, .len = p->len, .link = p->link };
	struct peer *r = &peer[to], *s = &peer[!to];

	assert_int_equal(packet_decode(&q), MOS_DECODED_TCP);
	assert_true(packet_checksums_ok(&q));
	assert_true(q.payload_len <= MSS);
	if (q.tcp_flags & MOS_TH_SYN)
		return;
	int64_t pos = (int32_t)(q.seq - s->isn - 1);

	hear_ack(r, &q);
	if (!q.payload_len && !(q.tcp_flags & MOS_TH_FIN) && pos == (int64_t)r->rcv_nxt + r->fin)
		return;
	hear_bytes(r, &q, pos);
	answer(to);
}

/* A frame as packet i of the burst. */
static void take(unsigned i, uint8_t *data, uint32_t len)
{
	w->burst[i] = (struct mos_packet){ .data = data, .caplen = len, .len = len, .link = RAW_IP };
	w->burst[i].ts_ns = w->now_ns + 1000000;
}

/* In two fragments, as a burst of two. */
static unsigned take_fragments(struct frame *fr)
{
	static uint8_t part[2][2048];
	static uint16_t id;
	uint32_t len = fr->p.len - 20, cut = 8 * (1 + below(len / 8 - 1)), part_len[2] = { cut, len - cut };

	id++;
	for (unsigned i = 0; i < 2; i++) {
		struct mos_packet p = {
			.data = part[i], .caplen = 20 + part_len[i], .len = 20 + part_len[i], .link = RAW_IP
		};

		memcpy(part[i], fr->bytes, 20);
		memcpy(part[i] + 20, fr->bytes + 20 + (i ? cut : 0), part_len[i]);
		store_be16(part[i] + 2, (uint16_t)(20 + part_len[i]));
		store_be16(part[i] + 4, id);
		store_be16(part[i] + 6, (uint16_t)(i ? cut / 8 : 0x2000));
		packet_decode(&p);
		packet_fix_ip_checksum(&p);
		take(i, part[i], p.len);
	}
	return 2;
}

/* Through the box. Handlers of the box run for what it takes in; what it lets out may be lost behind it. */
static void send_frame(int from, struct frame *fr, bool may_lose)
{
	static unsigned depth;
	struct mos_packet out[32];
	uint8_t *copy[32];
	unsigned n = 0, in = 1;

	if (may_lose && below(8) == 0)
		return;
	/* Fragments of what is not edited yet pass as they are, and nobody here puts them together. */
	if (may_lose && !ipv6 && w->rewrites.used && below(6) == 0)
		in = take_fragments(fr);
	else
		take(0, fr->bytes, fr->p.len);
	assert_int_equal(path_burst(w, in), in);
	if (w->burst[in - 1].verdict == MOS_PASS)
		out[n++] = w->burst[in - 1];
	for (uint32_t i = 0; i < w->outbox.n; i++)
		out[n++] = w->outbox.v[i].packet;
	for (unsigned i = 0; i < n; i++) {
		copy[i] = malloc(out[i].caplen);
		memcpy(copy[i], out[i].data, out[i].caplen);
		out[i].data = copy[i];
	}
	outbox_reset(&w->outbox);
	w->at = 0;
	depth++;
	for (unsigned i = 0; i < n; i++) {
		if ((!may_lose || below(8)) && depth < 50)
			deliver(!from, &out[i]);
		free(copy[i]);
	}
	depth--;
}

/* New bytes, or some that have not arrived; segments are cut anew each time. */
static void send_some(int from)
{
	struct peer *s = &peer[from];
	uint32_t off = below(3) && s->nxt < BYTES ? s->nxt : s->una, len = 0, most = 1 + below(MSS);
	struct frame fr;

	while (off < s->nxt && off < BYTES && s->arrived[off])
		off++;
	while (len < most && off + len < BYTES && !s->arrived[off + len])
		len++;
	bool fin = off + len == BYTES && !s->arrived[BYTES];

	if (!len && !fin)
		return;
	build(&fr, from, (uint8_t)(MOS_TH_ACK | MOS_TH_PSH | (fin ? MOS_TH_FIN : 0)), off, len, NULL);
	if (off + len + fin > s->nxt)
		s->nxt = off + len + fin;
	send_frame(from, &fr, true);
}

static void peer_init(struct peer *s, const char *letters)
{
	*s = (struct peer){ .isn = (uint32_t)rand() * 2u + below(2), .fin_at = UINT32_MAX };
	for (uint32_t i = 0; i < BYTES; i++)
		s->src[i] = (uint8_t)letters[below((uint32_t)strlen(letters))];
	if (below(2))
		s->isn = UINT32_MAX - below(3000);
}

static void check_stream(const struct peer *s, const struct peer *r)
{
	static uint8_t want[ROOM * 16];
	size_t n = 0;

	for (uint32_t i = 0; i < BYTES; i++)
		n += edited(s->src[i], want + n);
	assert_true(n < ROOM);
	assert_int_equal(r->fin_at, n);
	assert_memory_equal(r->got, want, n);
}

static void converse(const char *letters)
{
	struct settings set;
	struct frame fr;

	settings_default(&set);
	set.max_conns = 10;
	set.verify_checksums = true;
	w = aligned_alloc(64, (sizeof(*w) + 63) & ~63ul);
	assert_int_equal(worker_init(w, 0, &set), 0);
	int sock = mtcp_socket(&w->mctx, AF_UNSPEC, MOS_SOCK_MONITOR_STREAM, 0);

	assert_int_equal(mtcp_register_callback(&w->mctx, sock, MOS_ON_PKT_IN, MOS_HK_SND, on_packet), 0);
	passed[0] = passed[1] = 0;
	peer_init(&peer[0], letters);
	peer_init(&peer[1], letters);
	build(&fr, 0, MOS_TH_SYN, 0, 0, NULL);
	send_frame(0, &fr, false);
	build(&fr, 1, MOS_TH_SYN | MOS_TH_ACK, 0, 0, NULL);
	send_frame(1, &fr, false);
	for (int i = 0; i < 100000 && !(peer[0].fin && peer[1].fin && peer[0].una > BYTES && peer[1].una > BYTES); i++)
		send_some((int)below(2));
	check_stream(&peer[0], &peer[1]);
	check_stream(&peer[1], &peer[0]);
	assert_int_equal(w->stats.edit_failed, 0);
	worker_finish(w);
	assert_int_equal(w->stats.ended[MOS_ENDED_CLOSED], 1);
	assert_int_equal(w->rewrites.used, 0);
	worker_fini(w);
	free(w);
}

static void receivers_get_the_edited_stream_over_a_network_that_loses(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		srand(seed);
		ipv6 = seed & 1;
		converse("abcdexyzq");
	}
}

static void a_stream_of_which_little_is_left_is_acknowledged_whole(void **state)
{
	(void)state;
	srand(7);
	converse("yyyyyyyyyyyyyyyyyyyyyyyya");
}

static void a_stream_that_grows_beyond_its_segments_goes_on_in_others(void **state)
{
	(void)state;
	srand(11);
	ipv6 = false;
	converse(
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaB"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receivers_get_the_edited_stream_over_a_network_that_loses),
		cmocka_unit_test(a_stream_of_which_little_is_left_is_acknowledged_whole),
		cmocka_unit_test(a_stream_that_grows_beyond_its_segments_goes_on_in_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
