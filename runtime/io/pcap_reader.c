/* The classic format of tcpdump: a header of 24 bytes, then records, each with a header of 16 or 24. */
#include "io/capture.h"
#include "io/pcap_link.h"

enum {
	MAGIC_MICROSECONDS = 0xa1b2c3d4,
	MAGIC_NANOSECONDS = 0xa1b23c4d,
	MAGIC_KUZNETZOV = 0xa1b2cd34, /* a patched libpcap of old: 8 more bytes per record */
	FILE_HEADER = 24,
	RECORD_HEADER = 16,
	KUZNETZOV_HEADER = 24
};

/* Record lengths above the file's snap length are believed up to CAPLEN; snap lengths up to SNAPLEN_MAX. */
enum { CAPLEN = 262144, SNAPLEN_MAX = 128 << 20 };

static bool is_magic(uint32_t v)
{
	return v == MAGIC_MICROSECONDS || v == MAGIC_NANOSECONDS || v == MAGIC_KUZNETZOV;
}

static bool pcap_matches(const uint8_t *magic)
{
	return is_magic(load_le32(magic)) || is_magic(load_be32(magic));
}

static enum take pcap_begin(struct capture *c)
{
	struct pcap_file *f = &c->pcap;
	const uint8_t *h = c->in.at;

	if (input_room(&c->in) < FILE_HEADER)
		return TAKE_MORE;
	c->big_endian = is_magic(load_be32(h));
	uint32_t magic = capture_u32(c, h), snaplen = capture_u32(c, h + 16);
	uint16_t major = capture_u16(c, h + 4);

	f->minor = capture_u16(c, h + 6);
	if (major != 2 || f->minor > 4)
		return capture_damaged(c, "pcap version %u.%u is not supported", major, f->minor);
	f->caplen_max = snaplen > CAPLEN && snaplen <= SNAPLEN_MAX ? snaplen : CAPLEN;
	f->link = link_of_file(capture_u32(c, h + 20) & 0xffff); /* above it: FCS length and reserved bits */
	f->header_len = magic == MAGIC_KUZNETZOV ? KUZNETZOV_HEADER : RECORD_HEADER;
	f->tick_ns = magic == MAGIC_NANOSECONDS ? 1 : 1000;
	c->in.at += FILE_HEADER;
	return TAKE_NOTHING;
}

static enum take pcap_next(struct capture *c, struct mos_packet *p)
{
	const struct pcap_file *f = &c->pcap;
	uint8_t *h = c->in.at;
	size_t room = input_room(&c->in);

	if (room < f->header_len)
		return TAKE_MORE;
	uint32_t seconds = load_le32(h), ticks = load_le32(h + 4), caplen = load_le32(h + 8), len = load_le32(h + 12);

	if (__builtin_expect(c->big_endian, 0)) {
		seconds = __builtin_bswap32(seconds);
		ticks = __builtin_bswap32(ticks);
		caplen = __builtin_bswap32(caplen);
		len = __builtin_bswap32(len);
	}
	/* Until 2.3 the two stood the other way round, and some say 2.3 who mean 2.2. */
	if (f->minor < 3 || (f->minor == 3 && caplen > len)) {
		uint32_t first = caplen;

		caplen = len;
		len = first;
	}
	if (caplen > f->caplen_max)
		return capture_damaged(c, "record length %u is not plausible", caplen);
	if (room - f->header_len < caplen)
		return TAKE_MORE;
	p->data = h + f->header_len;
	p->ts_ns = seconds * UINT64_C(1000000000) + (uint64_t)ticks * f->tick_ns;
	p->caplen = caplen;
	p->len = len;
	p->link = f->link;
	p->port = 0;
	c->in.at = p->data + caplen;
	return TAKE_PACKET;
}

const struct capture_format pcap_format = { .matches = pcap_matches, .begin = pcap_begin, .next = pcap_next };
