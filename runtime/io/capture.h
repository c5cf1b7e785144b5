/*
 * One capture file being read, whatever its format. A format takes records from the front of the buffer, as far as they
 * are whole, and never waits: who asks for more bytes is capture.c. Internal to io/.
 */
#ifndef MOS_IO_CAPTURE_H
#define MOS_IO_CAPTURE_H

#include "io/input.h"
#include "mos_ffi.h"
#include "pkt/bytes.h"

enum take {
	TAKE_PACKET,
	TAKE_NOTHING, /* a record that holds no packet */
	TAKE_MORE,    /* the record is not whole yet: nothing taken */
	TAKE_DAMAGED  /* it never will be, and capture.fault says why: nothing taken */
};

struct capture;

struct capture_format {
	/* Do the first MAGIC_LEN bytes of a file belong to this format? */
	bool (*matches)(const uint8_t *magic);
	/* The file header: TAKE_NOTHING when it has been taken. */
	enum take (*begin)(struct capture *c);
	/* The next record. Of a packet: data, ts_ns, caplen, len, link, port. */
	enum take (*next)(struct capture *c, struct mos_packet *p);
};

enum { MAGIC_LEN = 8 };

extern const struct capture_format pcap_format, pcapng_format, snoop_format;

/* What a pcap file's header says. */
struct pcap_file {
	uint16_t link;
	uint16_t minor; /* of the version, 2.x */
	uint32_t header_len;
	uint32_t caplen_max;
	uint32_t tick_ns;
};

struct pcapng_interface {
	uint16_t link;
	bool binary; /* ticks of 2^-shift seconds; else of mult / div nanoseconds */
	uint8_t shift;
	uint32_t snaplen; /* 0: no limit */
	uint64_t mult, div;
	uint64_t offset_ns; /* added to each timestamp, modulo 2^64 */
};

/* What the current section of a pcapng file has said so far. */
struct pcapng_section {
	struct pcapng_interface *interfaces; /* by number; kept from section to section */
	uint32_t count, size;
};

struct capture {
	const struct capture_format *format; /* NULL: the file header is still to come */
	struct input in;
	uint64_t packets; /* taken from this file */
	char fault[100];
	bool big_endian;
	uint16_t snoop_link;
	struct pcap_file pcap;
	struct pcapng_section section;
};

static inline uint16_t capture_u16(const struct capture *c, const uint8_t *p)
{
	return c->big_endian ? load_be16(p) : load_le16(p);
}

static inline uint32_t capture_u32(const struct capture *c, const uint8_t *p)
{
	return c->big_endian ? load_be32(p) : load_le32(p);
}

/* TAKE_DAMAGED, with this text as the fault. */
enum take capture_damaged(struct capture *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
