#include "pkt/decode.h"

#include "pkt/bytes.h"
#include "pkt/decode_plain.h"
#include "pkt/layer.h"

enum { TCP_HLEN_MIN = 20 };

/* The canonical key: the end that compares lower, address then port, is end 0. */
static inline void key_set_ip4(struct mos_packet *p, const uint8_t *addrs, const uint8_t *ports)
{
	uint16_t sport = load_be16(ports), dport = load_be16(ports + 2);
	uint64_t src = (uint64_t)load_be32(addrs) << 16 | sport;
	uint64_t dst = (uint64_t)load_be32(addrs + 4) << 16 | dport;
	unsigned dir = src > dst;
	struct mos_key *k = &p->key;

	memset(k->addr_be, 0, sizeof(k->addr_be));
	memcpy(&k->addr_be[dir][0], addrs, 4);
	memcpy(&k->addr_be[!dir][0], addrs + 4, 4);
	k->port[dir] = sport;
	k->port[!dir] = dport;
	k->family = 4;
	p->dir = (uint8_t)dir;
}

/* The header at off is there, but for options that the capture may have cut. */
static inline void tcp_fill(struct mos_packet *p, uint32_t off, uint32_t hlen, uint32_t cap, uint32_t end)
{
	const uint8_t *h = p->data + off;
	uint32_t payload = off + hlen;

	p->seq = load_be32(h + 4);
	p->ack = load_be32(h + 8);
	p->tcp_flags = h[13];
	p->tcp_hlen = (uint8_t)hlen;
	p->window = load_be16(h + 14);
	p->urgent = load_be16(h + 18);
	p->payload = payload;
	p->payload_len = end > payload ? end - payload : 0;
	p->payload_caplen = cap > payload ? cap - payload : 0;
}

static enum layer tcp_decode(struct cursor *c)
{
	struct mos_packet *p = c->p;
	const uint8_t *h = cursor_at(c);

	if (c->claim - c->off < TCP_HLEN_MIN)
		return layer_stop(c, MOS_DECODE_BAD_IP_LEN);
	if (cursor_room(c) < TCP_HLEN_MIN)
		return layer_stop(c, MOS_DECODE_CUT_TCP);
	uint32_t hlen = (h[12] >> 4) * 4U;

	if (hlen < TCP_HLEN_MIN)
		return layer_stop(c, MOS_DECODE_BAD_TCP_HLEN);
	if (c->claim - c->off < hlen)
		return layer_stop(c, MOS_DECODE_BAD_IP_LEN);
	tcp_fill(p, c->off, hlen, c->cap, c->end);
	if (p->ip_version == 4)
		key_set_ip4(p, p->data + p->l3 + 12, h);
	else
		plain_key6(p, p->data + p->l3 + 8, h);
	return layer_stop(c, MOS_DECODED_TCP);
}

static void packet_clear(struct mos_packet *p)
{
	p->verdict = MOS_PASS;
	p->changed = 0;
	p->ip_version = p->ip_proto = 0;
	p->dir = p->tcp_flags = p->tcp_hlen = 0;
	p->l3 = p->l4 = 0;
	p->seq = p->ack = 0;
	p->window = p->urgent = 0;
	p->ip_len = p->ip_id = 0;
	p->payload = p->payload_len = p->payload_caplen = 0;
	memset(&p->key, 0, sizeof(p->key));
}

static inline uint32_t frame_len(const struct mos_packet *p)
{
	return p->len > p->caplen ? p->len : p->caplen;
}

static uint32_t decaps_off;

void packet_decap_off(uint32_t kinds)
{
	decaps_off = kinds;
}

bool decap_is_on(enum decap_kind kind)
{
	return !(decaps_off >> kind & 1);
}

const char *decap_name(unsigned kind)
{
	static const char *const names[DECAP_KINDS] = {
		[DECAP_VLAN] = "vlan",     [DECAP_MPLS] = "mpls",
		[DECAP_PPPOE] = "pppoe",   [DECAP_PBB] = "pbb",
		[DECAP_VNTAG] = "vntag",   [DECAP_IPIP] = "ipip",
		[DECAP_AH] = "ah",         [DECAP_GRE] = "gre",
		[DECAP_ERSPAN] = "erspan", [DECAP_VXLAN] = "vxlan",
		[DECAP_GENEVE] = "geneve", [DECAP_GTP] = "gtp",
		[DECAP_TEREDO] = "teredo", [DECAP_L2TP] = "l2tp",
		[DECAP_AYIYA] = "ayiya",   [DECAP_FABRICPATH] = "fabricpath",
	};

	return kind < DECAP_KINDS ? names[kind] : NULL;
}

/* What an IP packet carries is not a packet after all, or none that is decoded. */
static enum mos_decode outer_restore(struct cursor *c)
{
	struct mos_packet *p = c->p;

	p->ip_version = c->outer.ip_version;
	p->ip_proto = c->outer.ip_proto;
	p->l3 = c->outer.l3;
	p->l4 = c->outer.l4;
	p->ip_len = c->outer.ip_len;
	p->ip_id = c->outer.ip_id;
	return MOS_DECODED_IP;
}

/* Where the layers that a walk passes are noted: the first `room` of them. */
struct trail {
	struct packet_layer *v;
	unsigned n, room;
};

static void trail_add(struct trail *t, enum layer layer, uint32_t off)
{
	if (t->n < t->room && layer != LAYER_IP)
		t->v[t->n++] = (struct packet_layer){ off, layer };
}

static inline __attribute__((always_inline)) enum mos_decode walk(struct mos_packet *p, struct trail *trail)
{
	static enum layer (*const decoders[LAYER_COUNT])(struct cursor *) = {
		[LAYER_ETHERNET] = ethernet_decode,
		[LAYER_VLAN] = vlan_decode,
		[LAYER_LLC] = llc_decode,
		[LAYER_NULL] = null_decode,
		[LAYER_SLL] = sll_decode,
		[LAYER_SLL2] = sll2_decode,
		[LAYER_PPP] = ppp_decode,
		[LAYER_CISCO_HDLC] = cisco_hdlc_decode,
		[LAYER_FDDI] = fddi_decode,
		[LAYER_RADIOTAP] = radiotap_decode,
		[LAYER_PRISM] = prism_decode, /* and AVS */
		[LAYER_PPI] = ppi_decode,
		[LAYER_PKTAP] = pktap_decode,
		[LAYER_NFLOG] = nflog_decode,
		[LAYER_IPOIB] = ipoib_decode,
		[LAYER_WIFI] = wifi_decode,
		[LAYER_MPLS] = mpls_decode,
		[LAYER_PPPOE] = pppoe_decode,
		[LAYER_PBB] = pbb_decode,
		[LAYER_VNTAG] = vntag_decode,
		[LAYER_ETAG] = etag_decode,
		[LAYER_CMD] = cmd_decode,
		[LAYER_FABRICPATH] = fabricpath_decode,
		[LAYER_IP] = ip_decode,
		[LAYER_IP4] = ip4_decode,
		[LAYER_IP6] = ip6_decode,
		[LAYER_AH] = ah_decode,
		[LAYER_GRE] = gre_decode,
		[LAYER_UDP] = udp_decode,
		[LAYER_TCP] = tcp_decode,
	};
	struct cursor c = { .p = p, .cap = p->caplen, .end = frame_len(p), .result = MOS_DECODE_UNKNOWN_LINK };

	packet_clear(p);
	for (enum layer next = link_layer(p->link); next != LAYER_NONE; next = decoders[next](&c))
		if (trail)
			trail_add(trail, next, c.off);
	if (c.outer.l4 && (c.result == MOS_DECODED_OTHER || (c.guess && c.result >= MOS_DECODE_BAD)))
		c.result = outer_restore(&c);
	p->decoded = (uint8_t)c.result;
	return c.result;
}

__attribute__((noinline)) enum mos_decode packet_walk(struct mos_packet *p)
{
	return walk(p, NULL);
}

unsigned packet_layers(const struct mos_packet *p, struct packet_layer *out, unsigned n)
{
	struct mos_packet copy = *p;
	struct trail t = { .v = out, .room = n };

	walk(&copy, &t);
	/* Behind the packet that was found there may be what only looked like one. */
	while (copy.ip_version && t.n && out[t.n - 1].off > copy.l4)
		t.n--;
	return t.n;
}

const char *packet_layer_name(unsigned kind)
{
	static const char *const names[LAYER_COUNT] = {
		[LAYER_ETHERNET] = "ethernet",
		[LAYER_VLAN] = "vlan",
		[LAYER_LLC] = "llc",
		[LAYER_NULL] = "null",
		[LAYER_SLL] = "sll",
		[LAYER_SLL2] = "sll2",
		[LAYER_PPP] = "ppp",
		[LAYER_CISCO_HDLC] = "hdlc",
		[LAYER_FDDI] = "fddi",
		[LAYER_RADIOTAP] = "radiotap",
		[LAYER_PRISM] = "prism",
		[LAYER_PPI] = "ppi",
		[LAYER_PKTAP] = "pktap",
		[LAYER_WIFI] = "wifi",
		[LAYER_MPLS] = "mpls",
		[LAYER_PPPOE] = "pppoe",
		[LAYER_PBB] = "pbb",
		[LAYER_VNTAG] = "vntag",
		[LAYER_IP4] = "ipv4",
		[LAYER_IP6] = "ipv6",
		[LAYER_AH] = "ah",
		[LAYER_GRE] = "gre",
		[LAYER_UDP] = "udp",
		[LAYER_TCP] = "tcp",
		[LAYER_CMD] = "cmd",
		[LAYER_IPOIB] = "ipoib",
		[LAYER_NFLOG] = "nflog",
		[LAYER_ETAG] = "etag",
		[LAYER_FABRICPATH] = "fabricpath",
	};

	return kind < LAYER_COUNT ? names[kind] : NULL;
}

enum mos_decode packet_decode(struct mos_packet *p)
{
	uint64_t end[2];

	if (__builtin_expect(packet_decode_plain(p, end), 1) || packet_decode_plain6(p))
		return MOS_DECODED_TCP;
	return packet_walk(p);
}

static const struct {
	const char *name, *meaning;
} results[MOS_DECODE_COUNT] = {
	[MOS_DECODED_TCP] = { "tcp", "TCP" },
	[MOS_DECODED_IP] = { "ip", "IP with another protocol than TCP" },
	[MOS_DECODED_FRAGMENT] = { "fragment", "IP fragment" },
	[MOS_DECODED_OTHER] = { "other", "not IP" },
	[MOS_DECODE_CUT_LINK] = { "cut_link", "frame ends inside its link-layer header" },
	[MOS_DECODE_CUT_VLAN] = { "cut_vlan", "frame ends inside a VLAN tag" },
	[MOS_DECODE_CUT_IP] = { "cut_ip", "frame ends inside the IP header" },
	[MOS_DECODE_BAD_IP_VERSION] = { "bad_ip_version", "IP version is not the one announced, or neither 4 nor 6" },
	[MOS_DECODE_BAD_IP_HLEN] = { "bad_ip_hlen", "IPv4 header length below 20" },
	[MOS_DECODE_BAD_IP_LEN] = { "bad_ip_len", "IP length too small for the headers" },
	[MOS_DECODE_CUT_IP6_EXT] = { "cut_ip6_ext", "frame ends inside an IPv6 extension header" },
	[MOS_DECODE_BAD_IP6_EXT] = { "bad_ip6_ext", "IPv6 extension headers too long, too many or out of place" },
	[MOS_DECODE_CUT_TCP] = { "cut_tcp", "frame ends inside the TCP header" },
	[MOS_DECODE_BAD_TCP_HLEN] = { "bad_tcp_hlen", "TCP header length below 20" },
	[MOS_DECODE_UNKNOWN_LINK] = { "unknown_link", "link type that is not decoded" },
};

const char *decode_name(enum mos_decode d)
{
	return d < MOS_DECODE_COUNT ? results[d].name : "unknown";
}

const char *decode_meaning(enum mos_decode d)
{
	return d < MOS_DECODE_COUNT ? results[d].meaning : "not a decode result";
}
