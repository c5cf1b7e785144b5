/*
 * A frame of any link type, decoded at every length that it could have been captured with: nothing is read outside, the
 * shortcut and the walk agree, and what a shorter capture still shows is what the longer one shows.
 *
 * Input: link type, by place in `links`; bytes that were on the wire and not captured; the frame.
 */
#include <sanitizer/asan_interface.h>

#include "fuzz.h"
#include "pkt/decode.h"
#include "pkt/edit.h"
#include "pkt/layer.h"

enum { FRAME_MAX = 4096 };

static const uint16_t links[] = { 1,   0,   9,   10,  12,  14,  50,  101, 104,  105, 108, 113,
				  119, 127, 163, 192, 228, 229, 276, 258, 9999, 239, 242 };

static uint8_t memory[FRAME_MAX] __attribute__((aligned(16)));

/* A TCP packet's parts lie one behind the other, within the frame. */
static void check_tcp(const struct mos_packet *p)
{
	CLAIM(p->ip_version == 4 || p->ip_version == 6);
	CLAIM(p->key.family == p->ip_version);
	CLAIM(p->l4 >= p->l3 + (p->ip_version == 4 ? 20 : 40));
	CLAIM(p->l4 + 20u <= p->caplen);
	CLAIM(p->tcp_hlen >= 20 && p->tcp_hlen <= 60);
	CLAIM(p->payload == p->l4 + (uint32_t)p->tcp_hlen);
	CLAIM(p->payload_caplen <= p->payload_len);
	CLAIM(!p->payload_caplen || p->payload + p->payload_caplen <= p->caplen);
	CLAIM(!p->payload_len || (uint64_t)p->payload + p->payload_len <= p->len);
	CLAIM(!p->payload_len || p->l3 + (uint64_t)p->ip_len == (uint64_t)p->payload + p->payload_len);
}

static void check_result(const struct mos_packet *p)
{
	CLAIM(p->decoded < MOS_DECODE_COUNT);
	CLAIM(p->verdict == MOS_PASS && !p->changed);
	if (p->decoded == MOS_DECODED_TCP)
		check_tcp(p);
	if (p->decoded == MOS_DECODED_IP || p->decoded == MOS_DECODED_FRAGMENT)
		CLAIM(p->l4 > p->l3 && p->l4 <= p->caplen);
}

/* A capture that was cut short shows less, never something else. */
static void check_cut(const struct mos_packet *cut, const struct mos_packet *whole)
{
	if (cut->decoded != MOS_DECODED_TCP)
		return;
	CLAIM(whole->decoded == MOS_DECODED_TCP);
	CLAIM(memcmp(&cut->key, &whole->key, sizeof(cut->key)) == 0);
	CLAIM(cut->l3 == whole->l3 && cut->l4 == whole->l4 && cut->dir == whole->dir);
	CLAIM(cut->seq == whole->seq && cut->ack == whole->ack && cut->tcp_flags == whole->tcp_flags);
	CLAIM(cut->ip_len == whole->ip_len && cut->payload_len == whole->payload_len);
}

/* What a worker and a handler do with a decoded packet. */
static void use(struct mos_packet *p)
{
	struct tcp_options o;
	struct packet_layer layers[64];
	uint8_t bytes[64] = { 0 };
	unsigned n = packet_layers(p, layers, 64);

	for (unsigned i = 0; i < n; i++)
		CLAIM(packet_layer_name(layers[i].kind) && layers[i].off <= p->caplen);
	packet_checksums_ok(p);
	if (p->decoded != MOS_DECODED_TCP)
		return;
	packet_options(p, &o);
	CLAIM(o.sack_blocks <= 4 && o.wscale <= 14);
	if (packet_fix_tcp_checksum(p) == 0 && packet_fix_ip_checksum(p) != -1)
		CLAIM(packet_checksums_ok(p));
	for (int layer = EDIT_ETH; layer <= EDIT_PAYLOAD; layer++)
		for (size_t len = 0; len < sizeof(bytes); len += 7) {
			struct mos_packet changed = *p;
			uint8_t before[FRAME_MAX];

			memcpy(before, p->data, p->caplen);
			packet_overwrite(&changed, (enum edit_layer)layer, len, bytes, len);
			memcpy(p->data, before, p->caplen);
		}
}

static struct mos_packet decode_at(uint16_t link, uint32_t caplen, uint32_t len)
{
	struct mos_packet p = { .data = memory, .caplen = caplen, .len = len, .link = link }, walked = p;

	packet_decode(&p);
	packet_walk(&walked);
	CLAIM(memcmp(&p, &walked, sizeof(p)) == 0);
	check_result(&p);
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint16_t link = links[feed_u8(&f) % (sizeof(links) / sizeof(links[0]))];
	uint32_t more = feed_u8(&f) * 16u, caplen = f.left < FRAME_MAX ? (uint32_t)f.left : FRAME_MAX;

	ASAN_UNPOISON_MEMORY_REGION(memory, sizeof(memory));
	if (caplen)
		memcpy(memory, f.at, caplen);
	ASAN_POISON_MEMORY_REGION(memory + caplen, sizeof(memory) - caplen);
	struct mos_packet whole = decode_at(link, caplen, caplen + more);
	use(&whole);
	if (caplen)
		memcpy(memory, f.at, caplen);
	for (uint32_t cap = caplen; cap-- > 0;) {
		ASAN_POISON_MEMORY_REGION(memory + cap, sizeof(memory) - cap);
		struct mos_packet cut = decode_at(link, cap, caplen + more);

		check_cut(&cut, &whole);
	}
	ASAN_UNPOISON_MEMORY_REGION(memory, sizeof(memory));
	return 0;
}
