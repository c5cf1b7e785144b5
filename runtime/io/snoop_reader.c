/* RFC 1761: what Solaris writes. All numbers are big-endian. */
#include <string.h>

#include "io/capture.h"
#include "io/pcap_link.h"

enum { FILE_HEADER = 16, RECORD_HEADER = 24, RECORD_MAX = 262144 + 4096 };

static bool snoop_matches(const uint8_t *magic)
{
	return memcmp(magic, "snoop\0\0", MAGIC_LEN) == 0;
}

/* RFC 1761's numbers as those of pcap. */
static uint16_t link_of_snoop(uint32_t type)
{
	switch (type) {
	case 0: /* IEEE 802.3 */
	case 4: /* Ethernet */
		return 1;
	case 2: /* Token Ring */
		return 6;
	case 8: /* FDDI */
		return 10;
	default:
		return LINK_UNNAMED;
	}
}

static enum take snoop_begin(struct capture *c)
{
	const uint8_t *h = c->in.at;

	if (input_room(&c->in) < FILE_HEADER)
		return TAKE_MORE;
	if (load_be32(h + 8) != 2)
		return capture_damaged(c, "snoop version %u is not supported", load_be32(h + 8));
	c->snoop_link = link_of_snoop(load_be32(h + 12));
	c->in.at += FILE_HEADER;
	return TAKE_NOTHING;
}

static enum take snoop_next(struct capture *c, struct mos_packet *p)
{
	uint8_t *h = c->in.at;
	size_t room = input_room(&c->in);

	if (room < RECORD_HEADER)
		return TAKE_MORE;
	uint32_t len = load_be32(h), caplen = load_be32(h + 4), record = load_be32(h + 8);

	/* The record may be longer than header and frame: padding, which Shomiti's tools fill. */
	if (record < RECORD_HEADER || record - RECORD_HEADER < caplen || record > RECORD_MAX)
		return capture_damaged(c, "record length %u is not plausible", record);
	if (room < record)
		return TAKE_MORE;
	p->data = h + RECORD_HEADER;
	p->ts_ns = load_be32(h + 16) * UINT64_C(1000000000) + load_be32(h + 20) * UINT64_C(1000);
	p->caplen = caplen;
	p->len = len;
	p->link = c->snoop_link;
	p->port = 0;
	c->in.at += record;
	return TAKE_PACKET;
}

const struct capture_format snoop_format = { .matches = snoop_matches, .begin = snoop_begin, .next = snoop_next };
