#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "inject.h"
#include "pkt/edit.h"
#include "rewrite.h"

enum { LINK_ETHERNET = 1, ETHERNET_BYTES = 14, TCP_BYTES = 20, OPTIONS_MAX = 40 };

static uint16_t short_length(uint64_t n)
{
	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

/*
 * Room for the frame, and behind it for options that the capture cut off, so that its IP header is aligned for struct
 * iphdr; NULL when memory is out. It grows to the largest frame asked for and stays.
 */
static uint8_t *frame_room(struct dispatch *d, const struct mos_packet *p)
{
	size_t shift = -(size_t)p->l3 % 4, need = p->caplen + shift + OPTIONS_MAX;

	if (need > d->frame_cap || !d->frame) {
		uint8_t *frame = realloc(d->frame, need);

		if (!frame)
			return NULL;
		d->frame = frame;
		d->frame_cap = need;
	}
	return d->frame + shift;
}

/* The sender's stream offset of the payload: the sequence number, placed near the highest offset seen from it. */
static uint64_t payload_offset(const struct mos_conn *c, const struct mos_packet *p)
{
	const struct mos_end *e = &c->end[p->dir == c->cli ? MOS_SIDE_CLI : MOS_SIDE_SVR];
	uint32_t low = p->seq + !!(p->tcp_flags & MOS_TH_SYN) - (e->isn + 1);
	int64_t off = (int64_t)e->nxt_off + (int32_t)(low - (uint32_t)e->nxt_off);

	return off < 0 ? 0 : (uint64_t)off;
}

static void describe_tcp(struct pkt_info *info, const struct mos_packet *p, uint8_t *frame)
{
	if ((uint32_t)p->l4 + TCP_BYTES > p->caplen)
		return;
	info->tcph = (struct tcphdr *)(void *)(frame + p->l4);
	info->seq = p->seq;
	info->ack_seq = p->ack;
	info->window = p->window;
	info->payloadlen = short_length(p->payload_caplen);
	if (p->payload <= p->caplen)
		info->payload = frame + p->payload;
}

static void describe(struct pkt_info *info, const struct mos_packet *p, uint8_t *frame)
{
	*info = (struct pkt_info){
		.cur_ts = (uint32_t)(p->ts_ns / 1000000),
		.in_ifidx = (int8_t)p->port,
		.eth_len = short_length(p->caplen),
	};
	if (p->link == LINK_ETHERNET && p->caplen >= ETHERNET_BYTES)
		info->ethh = (struct ethhdr *)(void *)frame;
	if (!p->ip_version || p->l3 >= p->caplen)
		return;
	info->iph = (struct iphdr *)(void *)(frame + p->l3);
	info->ip_len = short_length(p->ip_len);
	if (p->decoded == MOS_DECODED_TCP)
		describe_tcp(info, p, frame);
}

int mtcp_getlastpkt(mctx_t m, int sock, int side, struct pkt_info *info)
{
	(void)side;
	if (!call_socket(m, sock))
		return -1;
	if (!info)
		return call_fail(EFAULT);
	struct dispatch *d = &worker_of(m)->d;
	const struct mos_packet *p = d->ctx->pkt;

	if (!p)
		return call_fail(EACCES);
	uint8_t *frame = frame_room(d, p);

	if (!frame)
		return call_fail(ENOMEM);
	memcpy(frame, p->data, p->caplen);
	memset(frame + p->caplen, 0, OPTIONS_MAX);
	describe(info, p, frame);
	if (info->tcph && d->ctx->conn)
		info->offset = payload_offset(d->ctx->conn, p);
	return 0;
}

static int overwrite(struct mos_packet *p, int option, off_t offset, const byte *data, uint16_t len)
{
	static const struct {
		int bit;
		enum edit_layer layer;
	} parts[] = {
		{ MOS_ETH_HDR, EDIT_ETH },
		{ MOS_IP_HDR, EDIT_IP },
		{ MOS_TCP_HDR, EDIT_TCP },
		{ MOS_TCP_PAYLOAD, EDIT_PAYLOAD },
	};
	const int part = option & (MOS_ETH_HDR | MOS_IP_HDR | MOS_TCP_HDR | MOS_TCP_PAYLOAD);

	if (offset < 0)
		return -EINVAL;
	if (len && !data)
		return -EFAULT;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].bit == part)
			return packet_overwrite(p, parts[i].layer, (size_t)offset, data, len);
	return -EINVAL;
}

/* An IPv6 packet has no header checksum, and what is not TCP no TCP checksum: nothing to do, nothing wrong. */
static int fix_checksums(struct mos_packet *p, int option)
{
	int rc = option & MOS_UPDATE_IP_CHKSUM ? packet_fix_ip_checksum(p) : 0;

	if ((!rc || rc == -EINVAL) && (option & MOS_UPDATE_TCP_CHKSUM))
		rc = packet_fix_tcp_checksum(p);
	return rc == -EINVAL ? 0 : rc;
}

/* Only payload: what is put into a header, or taken out, would have to be part of it. */
static int edit_payload(struct worker *w, int option, off_t offset, const byte *data, uint16_t len)
{
	bool insert = option & MOS_INSERT;

	if ((option & (MOS_ETH_HDR | MOS_IP_HDR | MOS_TCP_HDR | MOS_TCP_PAYLOAD)) != MOS_TCP_PAYLOAD || offset < 0)
		return -EINVAL;
	if (insert && len && !data)
		return -EFAULT;
	return rewrite_payload(w, (size_t)offset, insert ? 0 : len, data, insert ? len : 0);
}

int mtcp_setlastpkt(mctx_t m, int sock, int side, off_t offset, byte *data, uint16_t datalen, int option)
{
	(void)side;
	if (!call_socket(m, sock))
		return -1;
	struct worker *w = worker_of(m);
	struct mos_packet *p = w->d.ctx->pkt;

	if (!p)
		return call_fail(EACCES);
	switch (option & (MOS_DROP | MOS_OVERWRITE | MOS_CHOMP | MOS_INSERT)) {
	case MOS_DROP:
		p->verdict = MOS_DROPPED;
		return 0;
	case MOS_OVERWRITE: {
		int rc = overwrite(p, option, offset, data, datalen);

		return (int)call_return(rc ? rc : fix_checksums(p, option));
	}
	case MOS_CHOMP:
	case MOS_INSERT:
		return (int)call_return(edit_payload(w, option, offset, data, datalen));
	default:
		return call_fail(EINVAL);
	}
}

int mtcp_sendpkt(mctx_t m, int sock, const struct pkt_info *info)
{
	if (!call_socket(m, sock))
		return -1;
	if (!info)
		return call_fail(EFAULT);
	struct worker *w = worker_of(m);
	const struct mos_sock *s = call_active(m, sock);

	return (int)call_return(inject_packet(w, s ? worker_conn(w, s->conn) : NULL, info));
}

int mtcp_abort(mctx_t m, int sock)
{
	const struct mos_sock *s = call_active(m, sock);

	if (!s)
		return -1;
	return (int)call_return(inject_reset(worker_of(m), worker_conn(worker_of(m), s->conn)));
}
