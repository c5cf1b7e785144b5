/* pcapng (draft-ietf-opsawg-pcapng): blocks, each with its length in front and behind, in sections. */
#include <errno.h>
#include <stdlib.h>

#include "io/capture.h"
#include "io/pcap_link.h"

enum {
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 2, /* obsolete */
	BLOCK_SIMPLE_PACKET = 3,
	BLOCK_ENHANCED_PACKET = 6,
	BLOCK_SECTION = 0x0a0d0d0a, /* the same in either byte order */
	SECTION_MAGIC = 0x1a2b3c4d
};

enum {
	BLOCK_MIN = 12,
	BLOCK_MAX = 16 << 20,
	INTERFACES_MAX = 1 << 16, /* a packet's port has 16 bits */
	OPTION_END = 0,
	OPTION_TSRESOL = 9,
	OPTION_TSOFFSET = 14
};

/* A block without the lengths around it. */
struct body {
	uint8_t *data;
	uint32_t len;
};

static bool pcapng_matches(const uint8_t *magic)
{
	return load_be32(magic) == BLOCK_SECTION;
}

static enum take block_short(struct capture *c)
{
	return capture_damaged(c, "a block is too short for what it holds");
}

/* A new section: its interfaces are described anew. */
static enum take section_take(struct capture *c, struct body b)
{
	if (b.len < 16)
		return block_short(c);
	if (capture_u16(c, b.data + 4) != 1)
		return capture_damaged(c, "pcapng version %u is not supported", capture_u16(c, b.data + 4));
	c->section.count = 0;
	return TAKE_NOTHING;
}

/* Ticks per second: 10^-v, or 2^-v where the first bit is set. False if that is too fine for 64 bits. */
static bool resolution_set(struct pcapng_interface *i, uint8_t v)
{
	i->binary = v & 0x80;
	i->shift = v & 0x7f;
	if (i->binary)
		return true;
	if (v > 19)
		return false;
	i->mult = i->div = 1;
	for (; v < 9; v++)
		i->mult *= 10;
	for (; v > 9; v--)
		i->div *= 10;
	return true;
}

static uint64_t load_64(const struct capture *c, const uint8_t *p)
{
	return c->big_endian ? load_be64(p) : load_le64(p);
}

static bool option_set(const struct capture *c, struct pcapng_interface *i, uint16_t code, struct body value)
{
	switch (code) {
	case OPTION_TSRESOL:
		return value.len == 1 && resolution_set(i, *value.data);
	case OPTION_TSOFFSET:
		if (value.len != 8)
			return false;
		i->offset_ns = load_64(c, value.data) * UINT64_C(1000000000);
		return true;
	default:
		return true;
	}
}

/* Options: code, length, value, padded to a multiple of 4. False if one is not as it must be. */
static bool options_take(const struct capture *c, struct pcapng_interface *i, struct body b)
{
	while (b.len >= 4) {
		uint16_t code = capture_u16(c, b.data), len = capture_u16(c, b.data + 2);
		uint32_t padded = (len + 3U) & ~3U;

		if (code == OPTION_END)
			return true;
		if (padded > b.len - 4 || !option_set(c, i, code, (struct body){ b.data + 4, len }))
			return false;
		b.data += 4 + padded;
		b.len -= 4 + padded;
	}
	return true;
}

static bool interfaces_grow(struct pcapng_section *s)
{
	uint32_t size = s->size ? 2 * s->size : 4;
	struct pcapng_interface *more = realloc(s->interfaces, size * sizeof(*more));

	if (!more)
		return false;
	s->interfaces = more;
	s->size = size;
	return true;
}

static enum take interface_take(struct capture *c, struct body b)
{
	struct pcapng_section *s = &c->section;
	struct pcapng_interface i = { .mult = 1000, .div = 1 }; /* microseconds, unless an option says otherwise */

	if (b.len < 8)
		return block_short(c);
	i.link = link_of_file(capture_u16(c, b.data));
	i.snaplen = capture_u32(c, b.data + 4);
	if (!options_take(c, &i, (struct body){ b.data + 8, b.len - 8 }))
		return capture_damaged(c, "an option of interface %u is malformed", s->count);
	if (s->count == INTERFACES_MAX)
		return capture_damaged(c, "more than %d interfaces", INTERFACES_MAX);
	if (s->count == s->size && !interfaces_grow(s))
		return capture_damaged(c, "no memory for its interfaces");
	s->interfaces[s->count++] = i;
	return TAKE_NOTHING;
}

static uint64_t time_ns(const struct pcapng_interface *i, uint64_t ticks)
{
	if (i->binary)
		return (uint64_t)((unsigned __int128)ticks * 1000000000 >> i->shift) + i->offset_ns;
	return (i->div == 1 ? ticks * i->mult : ticks / i->div) + i->offset_ns;
}

static enum take frame_take(struct capture *c, struct mos_packet *p, uint32_t number, struct body frame,
			    uint32_t caplen)
{
	if (number >= c->section.count)
		return capture_damaged(c, "a packet of interface %u, which is not described", number);
	if (caplen > frame.len)
		return capture_damaged(c, "a packet of %u bytes in a block that holds %u", caplen, frame.len);
	p->data = frame.data;
	p->caplen = caplen;
	p->link = c->section.interfaces[number].link;
	p->port = (uint16_t)number;
	return TAKE_PACKET;
}

/* Both kinds of packet blocks that have a time; they differ in their first 4 bytes. */
static enum take packet_take(struct capture *c, struct mos_packet *p, struct body b, uint32_t interface)
{
	const uint8_t *h = b.data;
	uint32_t caplen = capture_u32(c, h + 12);

	if (frame_take(c, p, interface, (struct body){ b.data + 20, b.len - 20 }, caplen) != TAKE_PACKET)
		return TAKE_DAMAGED;
	p->ts_ns = time_ns(&c->section.interfaces[interface],
			   (uint64_t)capture_u32(c, h + 4) << 32 | capture_u32(c, h + 8));
	p->len = capture_u32(c, h + 16);
	return TAKE_PACKET;
}

/* A frame of the first interface, as long as its snap length and the block allow. There is no time: it is 0. */
static enum take simple_packet_take(struct capture *c, struct mos_packet *p, struct body b)
{
	if (b.len < 4)
		return block_short(c);
	struct body frame = { b.data + 4, b.len - 4 };
	uint32_t len = capture_u32(c, b.data), caplen = len < frame.len ? len : frame.len;
	uint32_t snaplen = c->section.count ? c->section.interfaces[0].snaplen : 0;

	if (snaplen && caplen > snaplen)
		caplen = snaplen;
	p->ts_ns = 0;
	p->len = len;
	return frame_take(c, p, 0, frame, caplen);
}

static enum take block_take(struct capture *c, struct mos_packet *p, uint32_t type, struct body b)
{
	switch (type) {
	case BLOCK_SECTION:
		return section_take(c, b);
	case BLOCK_INTERFACE:
		return interface_take(c, b);
	case BLOCK_ENHANCED_PACKET:
		return b.len < 20 ? block_short(c) : packet_take(c, p, b, capture_u32(c, b.data));
	case BLOCK_PACKET:
		return b.len < 20 ? block_short(c) : packet_take(c, p, b, capture_u16(c, b.data));
	case BLOCK_SIMPLE_PACKET:
		return simple_packet_take(c, p, b);
	default:
		return TAKE_NOTHING;
	}
}

/* A section header says in which byte order it and all up to the next one are written. */
static bool section_order(struct capture *c, const uint8_t *block)
{
	c->big_endian = load_be32(block + 8) == SECTION_MAGIC;
	return c->big_endian || load_le32(block + 8) == SECTION_MAGIC;
}

static enum take pcapng_next(struct capture *c, struct mos_packet *p)
{
	uint8_t *h = c->in.at;
	size_t room = input_room(&c->in);

	if (room < BLOCK_MIN)
		return TAKE_MORE;
	if (load_be32(h) == BLOCK_SECTION && !section_order(c, h))
		return capture_damaged(c, "a section in no known byte order");
	uint32_t len = capture_u32(c, h + 4);

	if (len < BLOCK_MIN || len % 4 || len > BLOCK_MAX)
		return capture_damaged(c, "record length %u is not plausible", len);
	if (room < len)
		return TAKE_MORE;
	if (capture_u32(c, h + len - 4) != len)
		return capture_damaged(c, "a block of %u bytes ends with the length %u", len,
				       capture_u32(c, h + len - 4));
	enum take taken = block_take(c, p, capture_u32(c, h), (struct body){ h + 8, len - BLOCK_MIN });

	if (taken != TAKE_DAMAGED)
		c->in.at += len;
	return taken;
}

/* The file header is the first section's. */
static enum take pcapng_begin(struct capture *c)
{
	return pcapng_next(c, NULL);
}

const struct capture_format pcapng_format = { .matches = pcapng_matches, .begin = pcapng_begin, .next = pcapng_next };
