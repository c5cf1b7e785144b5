#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "flow/key.h"
#include "frames.h"
#include "pkt/decode.h"
#include "pkt/decode_plain.h"
#include "pkt/layer.h"

enum {
	ETHERNET = 1,
	PPP = 9,
	FDDI = 10,
	RAW = 12,
	PPP_SERIAL = 50,
	CISCO_HDLC = 104,
	WIFI = 105,
	LOOP = 108,
	SLL = 113,
	PRISM = 119,
	RADIOTAP = 127,
	AVS = 163,
	PPI = 192,
	IPV4 = 228,
	IPV6 = 229,
	NFLOG = 239,
	IPOIB = 242,
	PKTAP = 258,
	SLL2 = 276
};

struct row {
	const char *name;
	int link;
	const char *hex;
	struct {
		enum mos_decode decoded;
		uint8_t ip_version, ip_proto;
		uint16_t l3, l4;
		uint32_t ip_len, payload_len;
	} want;
};

#define IP4_TCP4    IP4("002c", "4000") TCP20 "61626364"
#define IP6_TCP4    IP6("0018", "06") TCP20 "61626364"
#define TCP4        TCP20 "61626364"
#define PAD         "000000000000000000000000"
#define DST_OPTS(n) n " 00 0104 00000000 "
#define SNAP4       "aaaa03 000000 0800 "
#define SNAP6       "aaaa03 000000 86dd "
#define FDDI_H(fc)  fc " 020000000002 020000000001 "
/* Frame control (first byte type and subtype, second byte flags), duration, three addresses, sequence control. */
#define WIFI_H(fc, seq)         fc " 0000 020000000001 020000000002 020000000003 " seq " "
#define RADIOTAP_H(len, fields) "00 00 " len " " fields " "
#define OUTER4(len, proto)      "4500 " len " 1234 0000 40 " proto " 0000 c0000201 c0000202 "
#define UDP(dport, len)         "c000 " dport " " len " 0000 "
#define VXLAN_H                 "0800000000000100 "
#define ZERO16                  "00000000000000000000000000000000 "
#define ZERO136                 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 "0000000000000000 "

/* Every one of these holds a TCP segment of 4 bytes. */
static const struct row good[] = {
	{ "plain", ETHERNET, ETH("0800") IP4_TCP4, { 0, 4, 6, 14, 34, 44, 4 } },
	{ "Ethernet padding is not payload", ETHERNET, ETH("0800") IP4_TCP4 PAD, { 0, 4, 6, 14, 34, 44, 4 } },
	{ "IPv4 options",
	  ETHERNET,
	  ETH("0800") "4600 0030 1234 4000 40 06 0000 0a000001 0a000002 94040000 " TCP4,
	  { 0, 4, 6, 14, 38, 48, 4 } },
	{ "IPv4 length 0: the frame's", ETHERNET, ETH("0800") IP4("0000", "4000") TCP4, { 0, 4, 6, 14, 34, 44, 4 } },
	{ "IPv4 length beyond the frame: the frame's",
	  ETHERNET,
	  ETH("0800") IP4("05dc", "4000") TCP4,
	  { 0, 4, 6, 14, 34, 44, 4 } },
	{ "TCP options",
	  ETHERNET,
	  ETH("0800") IP4("0038", "4000") TCP("80", "18") "0101080a0000000100000002 61626364",
	  { 0, 4, 6, 14, 34, 56, 4 } },
	{ "802.1Q", ETHERNET, ETH("8100") VLAN("2007", "0800") IP4_TCP4, { 0, 4, 6, 18, 38, 44, 4 } },
	{ "802.1ad over 802.1Q",
	  ETHERNET,
	  ETH("88a8") VLAN("0001", "8100") VLAN("0002", "0800") IP4_TCP4,
	  { 0, 4, 6, 22, 42, 44, 4 } },
	{ "QinQ of old", ETHERNET, ETH("9100") VLAN("0001", "86dd") IP6_TCP4, { 0, 6, 6, 18, 58, 64, 4 } },
	{ "802.3 with LLC and SNAP", ETHERNET, ETH("0034") "aaaa03 000000 0800 " IP4_TCP4, { 0, 4, 6, 22, 42, 44, 4 } },
	{ "802.3 of the greatest length",
	  ETHERNET,
	  ETH("05dc") "aaaa03 000000 0800 " IP4_TCP4,
	  { 0, 4, 6, 22, 42, 44, 4 } },
	{ "802.3 in a VLAN",
	  ETHERNET,
	  ETH("8100") VLAN("0001", "0034") "aaaa03 000000 86dd " IP6_TCP4,
	  { 0, 6, 6, 26, 66, 64, 4 } },
	{ "IPv6", ETHERNET, ETH("86dd") IP6_TCP4, { 0, 6, 6, 14, 54, 64, 4 } },
	{ "IPv6 with padding", ETHERNET, ETH("86dd") IP6_TCP4 PAD, { 0, 6, 6, 14, 54, 64, 4 } },
	{ "IPv6 length 0: the frame's", ETHERNET, ETH("86dd") IP6("0000", "06") TCP4, { 0, 6, 6, 14, 54, 64, 4 } },
	{ "IPv6 length beyond the frame: the frame's",
	  ETHERNET,
	  ETH("86dd") IP6("0100", "06") TCP4,
	  { 0, 6, 6, 14, 54, 64, 4 } },
	{ "hop-by-hop options",
	  ETHERNET,
	  ETH("86dd") IP6("0020", "00") "06 00 0104 00000000 " TCP4,
	  { 0, 6, 6, 14, 62, 72, 4 } },
	{ "hop-by-hop, then destination options of 16 bytes",
	  ETHERNET,
	  ETH("86dd") IP6("0030", "00") DST_OPTS("3c") "06 01 010c 000000000000000000000000 " TCP4,
	  { 0, 6, 6, 14, 78, 88, 4 } },
	{ "routing header",
	  ETHERNET,
	  ETH("86dd") IP6("0030", "2b") "06 02 02 00 00000000 " IP6_A TCP4,
	  { 0, 6, 6, 14, 78, 88, 4 } },
	{ "authentication header",
	  ETHERNET,
	  ETH("86dd") IP6("0030", "33") "06 04 0000 00000001 00000001 000102030405060708090a0b " TCP4,
	  { 0, 6, 6, 14, 78, 88, 4 } },
	{ "mobility, HIP and shim6 headers",
	  ETHERNET,
	  ETH("86dd") IP6("0030", "87") DST_OPTS("8b") DST_OPTS("8c") DST_OPTS("06") TCP4,
	  { 0, 6, 6, 14, 78, 88, 4 } },
	{ "an atomic fragment is whole",
	  ETHERNET,
	  ETH("86dd") IP6("0020", "2c") "06 00 0000 11223344 " TCP4,
	  { 0, 6, 6, 14, 62, 72, 4 } },
	{ "a jumbo option is for a length of 0 only",
	  ETHERNET,
	  ETH("86dd") IP6("0020", "00") "06 00 c204 00020000 " TCP4 PAD,
	  { 0, 6, 6, 14, 62, 72, 4 } },
	{ "a jumbo length below 65536 is none",
	  ETHERNET,
	  ETH("86dd") IP6("0000", "00") "06 00 c204 0000fff0 " TCP4,
	  { 0, 6, 6, 14, 62, 72, 4 } },
	{ "a jumbo length beyond the frame: the frame's",
	  ETHERNET,
	  ETH("86dd") IP6("0000", "00") "06 00 c204 ffffffff " TCP4,
	  { 0, 6, 6, 14, 62, 72, 4 } },
	{ "raw IPv4", RAW, IP4_TCP4, { 0, 4, 6, 0, 20, 44, 4 } },
	{ "raw IPv6", RAW, IP6_TCP4, { 0, 6, 6, 0, 40, 64, 4 } },
	{ "raw, OpenBSD's number", 14, IP4_TCP4, { 0, 4, 6, 0, 20, 44, 4 } },
	{ "raw, the number in files", 101, IP6_TCP4, { 0, 6, 6, 0, 40, 64, 4 } },
	{ "DLT_IPV4", IPV4, IP4_TCP4, { 0, 4, 6, 0, 20, 44, 4 } },
	{ "DLT_IPV6", IPV6, IP6_TCP4, { 0, 6, 6, 0, 40, 64, 4 } },
	{ "null, little-endian writer", 0, "02000000 " IP4_TCP4, { 0, 4, 6, 4, 24, 44, 4 } },
	{ "null, big-endian writer", 0, "00000002 " IP4_TCP4, { 0, 4, 6, 4, 24, 44, 4 } },
	{ "null, AF_INET6 of Linux", 0, "0a000000 " IP6_TCP4, { 0, 6, 6, 4, 44, 64, 4 } },
	{ "null, AF_INET6 of OpenBSD", 0, "18000000 " IP6_TCP4, { 0, 6, 6, 4, 44, 64, 4 } },
	{ "null, AF_INET6 of FreeBSD", 0, "0000001c " IP6_TCP4, { 0, 6, 6, 4, 44, 64, 4 } },
	{ "null, AF_INET6 of macOS", 0, "1e000000 " IP6_TCP4, { 0, 6, 6, 4, 44, 64, 4 } },
	{ "loopback", LOOP, "00000002 " IP4_TCP4, { 0, 4, 6, 4, 24, 44, 4 } },
	{ "Linux cooked", SLL, "0000 0001 0006 0200000000010000 0800 " IP4_TCP4, { 0, 4, 6, 16, 36, 44, 4 } },
	{ "Linux cooked, VLAN",
	  SLL,
	  "0000 0001 0006 0200000000010000 8100 " VLAN("0007", "86dd") IP6_TCP4,
	  { 0, 6, 6, 20, 60, 64, 4 } },
	{ "Linux cooked, LLC and SNAP",
	  SLL,
	  "0000 0001 0006 0200000000010000 0004 aaaa03 000000 0800 " IP4_TCP4,
	  { 0, 4, 6, 24, 44, 44, 4 } },
	{ "Linux cooked 2",
	  SLL2,
	  "86dd 0000 00000002 0001 00 06 0200000000010000 " IP6_TCP4,
	  { 0, 6, 6, 20, 60, 64, 4 } },
	{ "PPP", PPP, "0021 " IP4_TCP4, { 0, 4, 6, 2, 22, 44, 4 } },
	{ "PPP with address and control bytes", PPP, "ff03 0057 " IP6_TCP4, { 0, 6, 6, 4, 44, 64, 4 } },
	{ "PPP, protocol compressed", PPP, "21 " IP4_TCP4, { 0, 4, 6, 1, 21, 44, 4 } },
	{ "PPP with address and control bytes, protocol compressed",
	  PPP,
	  "ff03 57 " IP6_TCP4,
	  { 0, 6, 6, 3, 43, 64, 4 } },
	{ "PPP on a serial line", PPP_SERIAL, "ff03 0021 " IP4_TCP4, { 0, 4, 6, 4, 24, 44, 4 } },
	{ "Cisco HDLC on a serial line", PPP_SERIAL, "0f00 0800 " IP4_TCP4, { 0, 4, 6, 4, 24, 44, 4 } },
	{ "Cisco HDLC, unicast", CISCO_HDLC, "0f00 0800 " IP4_TCP4, { 0, 4, 6, 4, 24, 44, 4 } },
	{ "Cisco HDLC, multicast", CISCO_HDLC, "8f00 86dd " IP6_TCP4, { 0, 6, 6, 4, 44, 64, 4 } },
	{ "FDDI", FDDI, FDDI_H("50") SNAP4 IP4_TCP4, { 0, 4, 6, 21, 41, 44, 4 } },
	{ "FDDI, synchronous, with a priority", FDDI, FDDI_H("d7") SNAP6 IP6_TCP4, { 0, 6, 6, 21, 61, 64, 4 } },
	{ "802.11, from a station", WIFI, WIFI_H("0801", "0000") SNAP4 IP4_TCP4, { 0, 4, 6, 32, 52, 44, 4 } },
	{ "802.11, sent again, with data waiting",
	  WIFI,
	  WIFI_H("083a", "1000") SNAP6 IP6_TCP4,
	  { 0, 6, 6, 32, 72, 64, 4 } },
	{ "802.11 with four addresses",
	  WIFI,
	  WIFI_H("0803", "0000") "020000000004 " SNAP4 IP4_TCP4,
	  { 0, 4, 6, 38, 58, 44, 4 } },
	{ "802.11 QoS", WIFI, WIFI_H("8802", "0000") "0000 " SNAP4 IP4_TCP4, { 0, 4, 6, 34, 54, 44, 4 } },
	{ "802.11 QoS with HT control",
	  WIFI,
	  WIFI_H("8882", "0000") "0600 00000000 " SNAP4 IP4_TCP4,
	  { 0, 4, 6, 38, 58, 44, 4 } },
	{ "802.11 QoS with four addresses",
	  WIFI,
	  WIFI_H("8803", "0000") "020000000004 0000 " SNAP4 IP4_TCP4,
	  { 0, 4, 6, 40, 60, 44, 4 } },
	{ "802.11 data with an acknowledgement and a poll",
	  WIFI,
	  WIFI_H("3801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 32, 52, 44, 4 } },
	{ "radiotap without fields",
	  RADIOTAP,
	  RADIOTAP_H("0800", "00000000") WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 40, 60, 44, 4 } },
	{ "radiotap, length without a checksum",
	  RADIOTAP,
	  RADIOTAP_H("0900", "02000000 00") WIFI_H("0801", "0000") SNAP4 IP4("0000", "4000") TCP4,
	  { 0, 4, 6, 41, 61, 44, 4 } },
	{ "radiotap: the checksum behind the frame is not payload",
	  RADIOTAP,
	  RADIOTAP_H("0900", "02000000 10") WIFI_H("0801", "0000") SNAP4 IP4("0000", "4000") TCP4 "deadbeef",
	  { 0, 4, 6, 41, 61, 44, 4 } },
	{ "radiotap, flags behind an aligned time stamp",
	  RADIOTAP,
	  RADIOTAP_H("1900", "030000a0 00000020 00000000 0000000000000000 10") WIFI_H("0801", "0000")
		  SNAP4 IP4("0000", "4000") TCP4 "deadbeef",
	  { 0, 4, 6, 57, 77, 44, 4 } },
	{ "radiotap, 802.11 header padded",
	  RADIOTAP,
	  RADIOTAP_H("0900", "02000000 20") WIFI_H("8801", "0000") "0000 0000 " SNAP4 IP4_TCP4,
	  { 0, 4, 6, 45, 65, 44, 4 } },
	{ "radiotap: all of its words of present bits said to go on",
	  RADIOTAP,
	  RADIOTAP_H("0c00", "02000080 ffffffff") WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 44, 64, 44, 4 } },
	{ "Prism",
	  PRISM,
	  "44000000 90000000 " ZERO136 WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 176, 196, 44, 4 } },
	{ "AVS",
	  AVS,
	  "80211001 00000010 0000000000000000 " WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 48, 68, 44, 4 } },
	{ "AVS, announced as Prism",
	  PRISM,
	  "80211002 00000010 0000000000000000 " WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 48, 68, 44, 4 } },
	{ "PPI with 802.11",
	  PPI,
	  "00 00 0c00 69000000 00000000 " WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 44, 64, 44, 4 } },
	{ "PPI with Ethernet", PPI, "00 00 0800 01000000 " ETH("0800") IP4_TCP4, { 0, 4, 6, 22, 42, 44, 4 } },
	{ "PPI with radiotap",
	  PPI,
	  "00 00 0800 7f000000 " RADIOTAP_H("0800", "00000000") WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { 0, 4, 6, 48, 68, 44, 4 } },
	{ "802.11, the first of two payloads",
	  WIFI,
	  WIFI_H("8801", "0000") "8000 020000000001 020000000002 0034 " SNAP4 IP4_TCP4
				 "020000000001 020000000002 0034 " SNAP4 IP4_TCP4,
	  { 0, 4, 6, 48, 68, 44, 4 } },
	{ "802.11 with four addresses, one payload of several",
	  WIFI,
	  WIFI_H("8803", "0000") "020000000004 8000 020000000001 020000000002 0034 " SNAP4 IP4_TCP4 PAD,
	  { 0, 4, 6, 54, 74, 44, 4 } },
	{ "netfilter log",
	  NFLOG,
	  "02 00 0001 0800 0100 08000300 0500 0a00 00000000 3000 0900 " IP4_TCP4,
	  { 0, 4, 6, 24, 44, 44, 4 } },
	{ "netfilter log of a big-endian host",
	  NFLOG,
	  "0a 00 0001 0008 0001 08000300 0005 000a 00000000 0044 0009 " IP6_TCP4,
	  { 0, 6, 6, 24, 64, 64, 4 } },
	{ "PKTAP with Ethernet",
	  PKTAP,
	  "10000000 01000000 01000000 656e3000 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 30, 50, 44, 4 } },
	{ "MPLS, two labels", ETHERNET, ETH("8847") "00010040 00011140 " IP4_TCP4, { 0, 4, 6, 22, 42, 44, 4 } },
	{ "MPLS, labels assigned upstream", ETHERNET, ETH("8848") "00011140 " IP6_TCP4, { 0, 6, 6, 18, 58, 64, 4 } },
	{ "MPLS in PPP", PPP, "0281 00011140 " IP4_TCP4, { 0, 4, 6, 6, 26, 44, 4 } },
	{ "pseudowire with a control word",
	  ETHERNET,
	  ETH("8847") "00011140 00000000 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 36, 56, 44, 4 } },
	{ "pseudowire without one",
	  ETHERNET,
	  ETH("8847") "00011140 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 32, 52, 44, 4 } },
	{ "pseudowire to an address like IPv4",
	  ETHERNET,
	  ETH("8847") "00011140 460000000002 020000000001 0800 " IP4_TCP4,
	  { 0, 4, 6, 32, 52, 44, 4 } },
	{ "PPPoE", ETHERNET, ETH("8864") "1100 0001 002e 0021 " IP4_TCP4 PAD, { 0, 4, 6, 22, 42, 44, 4 } },
	{ "provider backbone bridging",
	  ETHERNET,
	  ETH("88e7") "00000001 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 32, 52, 44, 4 } },
	{ "E-Tag", ETHERNET, ETH("893f") "e000 0064 0000 0800 " IP4_TCP4, { 0, 4, 6, 22, 42, 44, 4 } },
	{ "Cisco metadata", ETHERNET, ETH("8909") "0101 0001 0002 0800 " IP4_TCP4, { 0, 4, 6, 22, 42, 44, 4 } },
	{ "IP over InfiniBand",
	  IPOIB,
	  "0000000000000000" ZERO16 ZERO16 "86dd 0000 " IP6_TCP4,
	  { 0, 6, 6, 44, 84, 64, 4 } },
	{ "WCCP in GRE", RAW, OUTER4("0048", "2f") "0000 883e 00010002 " IP4_TCP4, { 0, 4, 6, 28, 48, 44, 4 } },
	{ "WCCP in GRE, version 1", RAW, OUTER4("0044", "2f") "0000 883e " IP4_TCP4, { 0, 4, 6, 24, 44, 44, 4 } },
	{ "FabricPath", ETHERNET, ETH("8903") "0440 " ETH("0800") IP4_TCP4, { 0, 4, 6, 30, 50, 44, 4 } },
	{ "VN-Tag", ETHERNET, ETH("8926") "00000001 0800 " IP4_TCP4, { 0, 4, 6, 20, 40, 44, 4 } },
	{ "IPv4 in IPv4", RAW, OUTER4("0040", "04") IP4_TCP4, { 0, 4, 6, 20, 40, 44, 4 } },
	{ "IPv6 in IPv4", RAW, OUTER4("0054", "29") IP6_TCP4, { 0, 6, 6, 20, 60, 64, 4 } },
	{ "IPv4 in IPv6", RAW, IP6("002c", "04") IP4_TCP4, { 0, 4, 6, 40, 60, 44, 4 } },
	{ "IPv6 in IPv6", RAW, IP6("0040", "29") IP6_TCP4, { 0, 6, 6, 40, 80, 64, 4 } },
	{ "authentication header of IPv4",
	  RAW,
	  OUTER4("0044", "33") "06 04 0000 00000001 00000001 000102030405060708090a0b " TCP4,
	  { 0, 4, 6, 0, 44, 68, 4 } },
	{ "GRE", RAW, OUTER4("0044", "2f") "0000 0800 " IP4_TCP4, { 0, 4, 6, 24, 44, 44, 4 } },
	{ "GRE with checksum, key and sequence number",
	  RAW,
	  OUTER4("0064", "2f") "b000 86dd 00000000 00000001 00000002 " IP6_TCP4,
	  { 0, 6, 6, 36, 76, 64, 4 } },
	{ "NVGRE", RAW, OUTER4("0056", "2f") "2000 6558 00000100 " ETH("0800") IP4_TCP4, { 0, 4, 6, 42, 62, 44, 4 } },
	{ "ERSPAN I", RAW, OUTER4("0052", "2f") "0000 88be " ETH("0800") IP4_TCP4, { 0, 4, 6, 38, 58, 44, 4 } },
	{ "ERSPAN II",
	  RAW,
	  OUTER4("005e", "2f") "1000 88be 00000001 1000000000000000 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 50, 70, 44, 4 } },
	{ "ERSPAN III",
	  RAW,
	  OUTER4("0062", "2f") "1000 22eb 00000001 200000000000000000000000 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 54, 74, 44, 4 } },
	{ "ERSPAN III with its subheader",
	  RAW,
	  OUTER4("006a", "2f") "1000 22eb 00000001 200000000000000000000001 0000000000000000 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 62, 82, 44, 4 } },
	{ "PPTP",
	  RAW,
	  OUTER4("0054", "2f") "3081 880b 0030 0001 00000001 00000002 ff03 0021 " IP4_TCP4,
	  { 0, 4, 6, 40, 60, 44, 4 } },
	{ "802.11 in GRE",
	  RAW,
	  OUTER4("0066", "2f") "0000 8240 " WIFI_H("0802", "0000") "aaaa03 000000 0800 " IP4_TCP4,
	  { 0, 4, 6, 56, 76, 44, 4 } },
	{ "PPP in GRE", RAW, OUTER4("0046", "2f") "0000 880b 0021 " IP4_TCP4, { 0, 4, 6, 26, 46, 44, 4 } },
	{ "MPLS in GRE", RAW, OUTER4("0048", "2f") "0000 8847 00011140 " IP4_TCP4, { 0, 4, 6, 28, 48, 44, 4 } },
	{ "VXLAN",
	  RAW,
	  OUTER4("005e", "11") UDP("12b5", "004a") VXLAN_H ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 50, 70, 44, 4 } },
	{ "VXLAN, reserved bits set",
	  RAW,
	  OUTER4("005e", "11") UDP("12b5", "004a") "ffffffff 000001ff " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 50, 70, 44, 4 } },
	{ "VXLAN from the port that Linux had",
	  RAW,
	  OUTER4("005e", "11") "2118 c000 004a 0000 " VXLAN_H ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 50, 70, 44, 4 } },
	{ "VXLAN over IPv6",
	  RAW,
	  IP6("004a", "11") UDP("12b5", "004a") VXLAN_H ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 70, 90, 44, 4 } },
	{ "VXLAN GPE with IPv4",
	  RAW,
	  OUTER4("0050", "11") UDP("12b6", "003c") "0c000001 00000100 " IP4_TCP4,
	  { 0, 4, 6, 36, 56, 44, 4 } },
	{ "VXLAN GPE with Ethernet",
	  RAW,
	  OUTER4("005e", "11") UDP("12b6", "004a") "0c000003 00000100 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 50, 70, 44, 4 } },
	{ "Geneve with options",
	  RAW,
	  OUTER4("0066", "11") UDP("17c1", "0052") "0200 6558 00000100 0000000100000000 " ETH("0800") IP4_TCP4,
	  { 0, 4, 6, 58, 78, 44, 4 } },
	{ "GTP-U",
	  RAW,
	  OUTER4("0050", "11") UDP("0868", "003c") "30 ff 002c 00000001 " IP4_TCP4,
	  { 0, 4, 6, 36, 56, 44, 4 } },
	{ "GTP-U with a sequence number",
	  RAW,
	  OUTER4("0054", "11") UDP("0868", "0040") "32 ff 0030 00000001 0001 00 00 " IP4_TCP4,
	  { 0, 4, 6, 40, 60, 44, 4 } },
	{ "GTP-U with an extension header",
	  RAW,
	  OUTER4("0058", "11") UDP("0868", "0044") "34 ff 0034 00000001 0000 00 85 01000000 " IP4_TCP4,
	  { 0, 4, 6, 44, 64, 44, 4 } },
	{ "Teredo", RAW, OUTER4("005c", "11") UDP("0dd8", "0048") IP6_TCP4, { 0, 6, 6, 28, 68, 64, 4 } },
	{ "Teredo from and to other ports, by its address",
	  RAW,
	  OUTER4("005c", "11") UDP("1234", "0048") "60000000 0018 06 40 20010000000000000000000000000001 " IP6_A TCP4,
	  { 0, 6, 6, 28, 68, 64, 4 } },
	{ "GRE in UDP",
	  RAW,
	  OUTER4("004c", "11") UDP("1292", "0038") "0000 0800 " IP4_TCP4,
	  { 0, 4, 6, 32, 52, 44, 4 } },
	{ "MPLS in UDP",
	  RAW,
	  OUTER4("004c", "11") UDP("19eb", "0038") "00011140 " IP4_TCP4,
	  { 0, 4, 6, 32, 52, 44, 4 } },
	{ "L2TP",
	  RAW,
	  OUTER4("0052", "11") UDP("06a5", "003e") "0002 0001 0002 ff03 0021 " IP4_TCP4,
	  { 0, 4, 6, 38, 58, 44, 4 } },
	{ "L2TP with every field",
	  RAW,
	  OUTER4("005c", "11") UDP("06a5", "0048") "4a02 0040 0001 0002 0003 0004 0002 0000 0021 " IP4_TCP4,
	  { 0, 4, 6, 46, 66, 44, 4 } },
	{ "AYIYA",
	  RAW,
	  OUTER4("008c", "11") UDP("13d0", "0078") "41 52 11 29 00000001 " ZERO16
						   "0000000000000000000000000000000000000000 " IP6_TCP4,
	  { 0, 6, 6, 72, 112, 64, 4 } },
	{ "Teredo with authentication and origin",
	  RAW,
	  OUTER4("0071", "11") UDP("0dd8", "005d") "0001 0000 0000000000000000 00 0000 1234 0a0b0c0d " IP6_TCP4,
	  { 0, 6, 6, 49, 89, 64, 4 } },
};

#define ARP "0001080006040001020000000001 0a000001 000000000000 0a000002 "

static const struct row others[] = {
	{ "ARP", ETHERNET, ETH("0806") ARP, { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "spanning tree", ETHERNET, ETH("0026") "424203 0000000000", { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "SNAP of an organisation",
	  ETHERNET,
	  ETH("0026") "aaaa03 00000c 0800 " IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "neither length nor type",
	  ETHERNET,
	  ETH("05dd") "aaaa03 000000 0800 " IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "another protocol family", 0, "07000000 " IP4_TCP4, { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "cooked CAN", SLL, "0000 0118 0000 0000000000000000 000c 0800 ", { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "PPP link control", PPP, "ff03 c021 0101000a", { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "PPP, compressed TCP and IP", PPP, "2d " IP4_TCP4, { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "Cisco HDLC keepalive",
	  CISCO_HDLC,
	  "8f00 8035 00000002 00000001 00000001 ffff",
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "FDDI station management", FDDI, FDDI_H("41") SNAP4 IP4_TCP4, { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "FDDI with addresses of 2 bytes",
	  FDDI,
	  "10 0002 0001 " SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 beacon", WIFI, WIFI_H("8000", "0000") SNAP4 IP4_TCP4, { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 acknowledgement", WIFI, "d400 0000 020000000001", { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 data without data",
	  WIFI,
	  WIFI_H("4801", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 QoS without data",
	  WIFI,
	  WIFI_H("c801", "0000") "0000 " SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 of another version",
	  WIFI,
	  WIFI_H("0901", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11, encrypted", WIFI, WIFI_H("0841", "0000") SNAP4 IP4_TCP4, { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11, first fragment",
	  WIFI,
	  WIFI_H("0805", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "802.11, last fragment",
	  WIFI,
	  WIFI_H("0801", "0100") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap of another version",
	  RADIOTAP,
	  "01 00 0800 00000000 " WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap below its fixed part",
	  RADIOTAP,
	  "00 00 0400 " WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap of a length beyond all reason",
	  RADIOTAP,
	  RADIOTAP_H("0110", "00000000") WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap: the frame arrived broken",
	  RADIOTAP,
	  RADIOTAP_H("0900", "02000000 50") WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "AVS of a length beyond all reason",
	  AVS,
	  "80211001 ffffffff 0000000000000000 " WIFI_H("0801", "0000") SNAP4 IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "PPI of another version",
	  PPI,
	  "01 00 0800 01000000 " ETH("0800") IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "PPI in PPI",
	  PPI,
	  "00 00 0800 c0000000 00 00 0800 01000000 " ETH("0800") IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "PPI with an unknown link type",
	  PPI,
	  "00 00 0800 01000100 " ETH("0800") IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "UDP",
	  ETHERNET,
	  ETH("0800") "4500 001c 1234 0000 40 11 0000 0a000001 0a000002 0035 0035 0008 0000",
	  { MOS_DECODED_IP, 4, 17, 14, 34, 28, 0 } },
	{ "IPv6 no next header", ETHERNET, ETH("86dd") IP6("0000", "3b"), { MOS_DECODED_IP, 6, 59, 14, 54, 40, 0 } },
	{ "encrypted payload hides the rest",
	  ETHERNET,
	  ETH("86dd") IP6("0010", "00") DST_OPTS("32") "0000000100000001",
	  { MOS_DECODED_IP, 6, 50, 14, 62, 56, 0 } },
	{ "first fragment",
	  ETHERNET,
	  ETH("0800") IP4("002c", "2000") TCP4,
	  { MOS_DECODED_FRAGMENT, 4, 6, 14, 34, 44, 0 } },
	{ "last fragment",
	  ETHERNET,
	  ETH("0800") IP4("002c", "0001") TCP4,
	  { MOS_DECODED_FRAGMENT, 4, 6, 14, 34, 44, 0 } },
	{ "IPv6 first fragment",
	  ETHERNET,
	  ETH("86dd") IP6("0020", "2c") "06 00 0001 11223344 " TCP4,
	  { MOS_DECODED_FRAGMENT, 6, 6, 14, 62, 72, 0 } },
	{ "IPv6 last fragment",
	  ETHERNET,
	  ETH("86dd") IP6("0020", "2c") "3c 00 0008 11223344 " TCP4,
	  { MOS_DECODED_FRAGMENT, 6, 60, 14, 62, 72, 0 } },
	{ "quoted in an ICMP error",
	  RAW,
	  OUTER4("0048", "01") "0301 0000 00000000 " IP4_TCP4,
	  { MOS_DECODED_IP, 4, 1, 0, 20, 72, 0 } },
	{ "a tunnel's packet in fragments",
	  RAW,
	  "4500 0044 1234 2000 40 2f 0000 c0000201 c0000202 0000 0800 " IP4_TCP4,
	  { MOS_DECODED_FRAGMENT, 4, 47, 0, 20, 68, 0 } },
	{ "GRE keepalive", RAW, OUTER4("0018", "2f") "0000 0000 ", { MOS_DECODED_IP, 4, 47, 0, 20, 24, 0 } },
	{ "PPTP acknowledgement",
	  RAW,
	  OUTER4("0020", "2f") "2081 880b 0000 0001 00000002 ",
	  { MOS_DECODED_IP, 4, 47, 0, 20, 32, 0 } },
	{ "GRE with source routes",
	  RAW,
	  OUTER4("0044", "2f") "4000 0800 " IP4_TCP4,
	  { MOS_DECODED_IP, 4, 47, 0, 20, 68, 0 } },
	{ "UDP to another port",
	  RAW,
	  OUTER4("005e", "11") UDP("12b4", "004a") VXLAN_H ETH("0800") IP4_TCP4,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 94, 0 } },
	{ "VXLAN without its flag",
	  RAW,
	  OUTER4("005e", "11") UDP("12b5", "004a") "f700000000000100 " ETH("0800") IP4_TCP4,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 94, 0 } },
	{ "VXLAN with ARP",
	  RAW,
	  OUTER4("004e", "11") UDP("12b5", "003a") VXLAN_H ETH("0806") ARP,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 78, 0 } },
	{ "VXLAN with a packet longer than itself",
	  RAW,
	  OUTER4("005e", "11") UDP("12b5", "004a") VXLAN_H ETH("0800") IP4("002d", "4000") TCP4,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 94, 0 } },
	{ "VXLAN with a TCP header of 16 bytes",
	  RAW,
	  OUTER4("005e", "11") UDP("12b5", "004a") VXLAN_H ETH("0800") IP4("002c", "4000") TCP("40", "18") "61626364",
	  { MOS_DECODED_IP, 4, 17, 0, 20, 94, 0 } },
	{ "VXLAN with UDP",
	  RAW,
	  OUTER4("004e", "11") UDP("12b5", "003a") VXLAN_H ETH("0800") OUTER4("001c", "11") UDP("0035", "0008"),
	  { MOS_DECODED_IP, 4, 17, 50, 70, 28, 0 } },
	{ "Geneve control",
	  RAW,
	  OUTER4("0058", "11") UDP("17c1", "0044") "0080 0800 00000100 " IP4_TCP4,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 80, 0 } },
	{ "GTP-U echo",
	  RAW,
	  OUTER4("0028", "11") UDP("0868", "0014") "32 01 0004 00000000 00000000",
	  { MOS_DECODED_IP, 4, 17, 0, 20, 40, 0 } },
	{ "GTP-U extension header of no length",
	  RAW,
	  OUTER4("0058", "11") UDP("0868", "0044") "34 ff 0034 00000001 0000 00 85 00000000 " IP4_TCP4,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 88, 0 } },
	{ "an address of Teredo's in a packet shorter than its datagram",
	  RAW,
	  OUTER4("005d", "11") UDP("1234", "0049") "60000000 0018 06 40 20010000000000000000000000000001 " IP6_A TCP4
						   "00",
	  { MOS_DECODED_IP, 4, 17, 0, 20, 93, 0 } },
	{ "L2TP control",
	  RAW,
	  OUTER4("0028", "11") UDP("06a5", "0014") "c802 000c 0001 0000 0000 0000",
	  { MOS_DECODED_IP, 4, 17, 0, 20, 40, 0 } },
	{ "AYIYA heartbeat",
	  RAW,
	  OUTER4("0034", "11") UDP("13d0", "0020") "40 02 00 3b 00000001 " ZERO16,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 52, 0 } },
	{ "netfilter log without a packet", NFLOG, "02 00 0001 0400 0100 ", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "netfilter log with an attribute of no length",
	  NFLOG,
	  "02 00 0001 0000 0100 " IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "Teredo with IPv4",
	  RAW,
	  OUTER4("0048", "11") UDP("0dd8", "0034") IP4_TCP4,
	  { MOS_DECODED_IP, 4, 17, 0, 20, 72, 0 } },
	{ "pseudowire's associated channel",
	  ETHERNET,
	  ETH("8847") "00011140 10000007 " IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
	{ "PPPoE discovery's code",
	  ETHERNET,
	  ETH("8864") "1109 0001 002e 0021 " IP4_TCP4,
	  { MOS_DECODED_OTHER, 0, 0, 0, 0, 0, 0 } },
};

static const struct row malformed[] = {
	{ "nothing", ETHERNET, "", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "13 bytes of Ethernet", ETHERNET, "020000000002 020000000001 08", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "LLC of 2 bytes", ETHERNET, ETH("0034") "aaaa", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "SNAP of 7 bytes", ETHERNET, ETH("0034") "aaaa03 000000 08", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "PPP of 1 byte", PPP, "21", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "PPP of address and control bytes", PPP_SERIAL, "ff03", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "PPP protocol of 1 byte", PPP, "ff03 00", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "Cisco HDLC of 3 bytes", PPP_SERIAL, "0f00 08", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "FDDI of 12 bytes", FDDI, "50 020000000002 0200000000", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 of 1 byte", WIFI, "08", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 without its sequence control",
	  WIFI,
	  "0801 0000 020000000001 020000000002 020000000003 00",
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 without its fourth address",
	  WIFI,
	  WIFI_H("0803", "0000") "0200000000",
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "802.11 without its QoS control",
	  WIFI,
	  WIFI_H("8801", "0000") "00",
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap of 7 bytes", RADIOTAP, "00 00 0800 000000", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap longer than the frame",
	  RADIOTAP,
	  RADIOTAP_H("0900", "02000000"),
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "radiotap and a checksum of 3 bytes",
	  RADIOTAP,
	  RADIOTAP_H("0900", "02000000 10") "deadbe",
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "Prism of 143 bytes",
	  PRISM,
	  "44000000 90000000 " ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 "00000000000000",
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "PPI longer than the frame", PPI, "00 00 0900 01000000 ", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "tag of 3 bytes", ETHERNET, ETH("8100") "000108", { MOS_DECODE_CUT_VLAN, 0, 0, 0, 0, 0, 0 } },
	{ "raw nothing", RAW, "", { MOS_DECODE_CUT_IP, 0, 0, 0, 0, 0, 0 } },
	{ "raw version 5", RAW, "50", { MOS_DECODE_BAD_IP_VERSION, 0, 0, 0, 0, 0, 0 } },
	{ "IPv6 announced as IPv4", ETHERNET, ETH("0800") IP6_TCP4, { MOS_DECODE_BAD_IP_VERSION, 0, 0, 0, 0, 0, 0 } },
	{ "IPv4 announced as IPv6", ETHERNET, ETH("86dd") IP4_TCP4, { MOS_DECODE_BAD_IP_VERSION, 0, 0, 0, 0, 0, 0 } },
	{ "19 bytes of IPv4",
	  IPV4,
	  "4500 002c 1234 4000 40 06 0000 0a000001 0a0000",
	  { MOS_DECODE_CUT_IP, 0, 0, 0, 0, 0, 0 } },
	{ "39 bytes of IPv6",
	  IPV6,
	  "60000000 0018 06 40 " IP6_A "20010db80000000000000000000000",
	  { MOS_DECODE_CUT_IP, 0, 0, 0, 0, 0, 0 } },
	{ "IPv4 header length 16",
	  IPV4,
	  "4400 002c 1234 4000 40 06 0000 0a000001 0a000002 " TCP4,
	  { MOS_DECODE_BAD_IP_HLEN, 4, 6, 0, 0, 0, 0 } },
	{ "options cut",
	  IPV4,
	  "4600 0030 1234 4000 40 06 0000 0a000001 0a000002 9404",
	  { MOS_DECODE_CUT_IP, 4, 6, 0, 0, 0, 0 } },
	{ "IPv4 length below its header", IPV4, IP4("0013", "4000") TCP4, { MOS_DECODE_BAD_IP_LEN, 4, 6, 0, 0, 0, 0 } },
	{ "IPv4 length below the TCP header",
	  IPV4,
	  IP4("0027", "4000") TCP4,
	  { MOS_DECODE_BAD_IP_LEN, 4, 6, 0, 20, 39, 0 } },
	{ "IPv4 length below the TCP options",
	  IPV4,
	  IP4("002b", "4000") TCP("60", "18") "02040218",
	  { MOS_DECODE_BAD_IP_LEN, 4, 6, 0, 20, 43, 0 } },
	{ "IPv6 length below the TCP header",
	  IPV6,
	  IP6("0013", "06") TCP4,
	  { MOS_DECODE_BAD_IP_LEN, 6, 6, 0, 40, 59, 0 } },
	{ "a jumbo option does not mend a length",
	  IPV6,
	  IP6("0010", "00") "06 00 c204 00020000 " TCP4,
	  { MOS_DECODE_BAD_IP_LEN, 6, 6, 0, 48, 56, 0 } },
	{ "a jumbo option without its value",
	  IPV6,
	  IP6("0000", "00") "06 00 0102 0000 c204",
	  { MOS_DECODE_BAD_IP_LEN, 6, 6, 0, 48, 48, 0 } },
	{ "extension header of 7 bytes",
	  IPV6,
	  IP6("0020", "00") "06000104000000",
	  { MOS_DECODE_CUT_IP6_EXT, 6, 0, 0, 0, 47, 0 } },
	{ "extension header cut",
	  IPV6,
	  IP6("0028", "3c") "06 01 0104 00000000 0104",
	  { MOS_DECODE_CUT_IP6_EXT, 6, 60, 0, 0, 50, 0 } },
	{ "extension header past the packet's end",
	  IPV6,
	  IP6("0018", "3c") "06 03 0104 00000000 " TCP4,
	  { MOS_DECODE_BAD_IP6_EXT, 6, 60, 0, 0, 64, 0 } },
	{ "no room for an extension header",
	  IPV6,
	  IP6("0007", "3c") DST_OPTS("06") TCP4,
	  { MOS_DECODE_BAD_IP6_EXT, 6, 60, 0, 0, 47, 0 } },
	{ "hop-by-hop options out of place",
	  IPV6,
	  IP6("0028", "3c") DST_OPTS("00") DST_OPTS("06") TCP4,
	  { MOS_DECODE_BAD_IP6_EXT, 6, 60, 0, 0, 80, 0 } },
	{ "19 bytes of TCP",
	  IPV4,
	  IP4("002c", "4000") "3039 0050 000003e8 000007d0 50 18 2000 0000 00",
	  { MOS_DECODE_CUT_TCP, 4, 6, 0, 20, 39, 0 } },
	{ "TCP header length 16",
	  IPV4,
	  IP4("002c", "4000") TCP("40", "18") "61626364",
	  { MOS_DECODE_BAD_TCP_HLEN, 4, 6, 0, 20, 44, 0 } },
	{ "unknown link type", 147, IP4_TCP4, { MOS_DECODE_UNKNOWN_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "label stack without a bottom",
	  ETHERNET,
	  ETH("8847") "00010040 000100",
	  { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "PPPoE of 5 bytes", ETHERNET, ETH("8864") "1100 0001 00", { MOS_DECODE_CUT_LINK, 0, 0, 0, 0, 0, 0 } },
	{ "VN-Tag of 5 bytes", ETHERNET, ETH("8926") "00000001 08", { MOS_DECODE_CUT_VLAN, 0, 0, 0, 0, 0, 0 } },
	{ "GRE of 3 bytes", RAW, OUTER4("0017", "2f") "000008", { MOS_DECODE_CUT_LINK, 4, 47, 0, 20, 23, 0 } },
	{ "IPv6 where IPv4 in IPv4 should be",
	  RAW,
	  OUTER4("0054", "04") IP6_TCP4,
	  { MOS_DECODE_BAD_IP_VERSION, 4, 4, 0, 20, 84, 0 } },
	{ "IPv4 in IPv4, inner header length 16",
	  RAW,
	  OUTER4("0040", "04") "4400 002c 1234 4000 40 06 0000 0a000001 0a000002 " TCP4,
	  { MOS_DECODE_BAD_IP_HLEN, 4, 6, 20, 0, 0, 0 } },
	{ "authentication header of IPv4 of 8 bytes",
	  RAW,
	  OUTER4("0034", "33") "06 00 0000 00000001 " TCP4,
	  { MOS_DECODE_BAD_IP_LEN, 4, 51, 0, 20, 52, 0 } },
	{ "authentication header of IPv4 past the packet's end",
	  RAW,
	  OUTER4("0034", "33") "06 ff 0000 00000001 " TCP4,
	  { MOS_DECODE_BAD_IP_LEN, 4, 51, 0, 20, 52, 0 } },
};

static struct frame f, g;

static void frame_of(struct frame *to, const char *hex)
{
	to->len = 0;
	frame_hex(to, hex);
}

static void check_row(const struct row *r)
{
	frame_of(&f, r->hex);
	struct mos_packet p = frame_packet(&f, r->link, f.len);

	if (packet_decode(&p) != r->want.decoded || p.decoded != r->want.decoded)
		fail_msg("%s: decoded as %s", r->name, decode_name(p.decoded));
	if (p.ip_version != r->want.ip_version || p.ip_proto != r->want.ip_proto || p.ip_len != r->want.ip_len)
		fail_msg("%s: IPv%u, protocol %u, %u bytes", r->name, p.ip_version, p.ip_proto, p.ip_len);
	if (p.l3 != r->want.l3 || p.l4 != r->want.l4 || p.payload_len != r->want.payload_len)
		fail_msg("%s: l3 %u, l4 %u, payload %u", r->name, p.l3, p.l4, p.payload_len);
	packet_release(&p);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void every_way_to_carry_tcp_leads_to_its_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		check_row(&good[i]);
		struct mos_packet p = frame_packet(&f, good[i].link, f.len);

		packet_decode(&p);
		assert_memory_equal(p.data + p.payload, "abcd", 4);
		packet_release(&p);
	}
}

static void what_is_not_tcp_is_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(others); i++)
		check_row(&others[i]);
}

static void a_malformed_packet_is_named_by_the_header_that_is_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(malformed); i++)
		check_row(&malformed[i]);
}

static void every_field_of_the_tcp_header_is_read(void **state)
{
	(void)state;
	frame_of(&f, ETH("0800") IP4("0030", "4000") TCP("60", "d2") "02040218 61626364");
	struct mos_packet p = frame_packet(&f, ETHERNET, f.len);

	packet_decode(&p);
	assert_int_equal(p.seq, 1000);
	assert_int_equal(p.ack, 2000);
	assert_int_equal(p.tcp_hlen, 24);
	assert_int_equal(p.tcp_flags, MOS_TH_CWR | MOS_TH_ECE | MOS_TH_ACK | MOS_TH_SYN);
	assert_int_equal(p.window, 0x2000);
	assert_int_equal(p.urgent, 7);
	assert_int_equal(p.ip_id, 0x1234);
	assert_int_equal(p.payload, 58);
	assert_int_equal(p.payload_len, 4);
	assert_int_equal(p.payload_caplen, 4);
	assert_int_equal(p.key.port[p.dir], 12345);
	assert_int_equal(p.key.port[!p.dir], 80);
	packet_release(&p);
}

static void a_fragment_has_its_identification(void **state)
{
	(void)state;
	frame_of(&f, IP6("0020", "2c") "06 00 0001 11223344 " TCP4);
	struct mos_packet p = frame_packet(&f, RAW, f.len);

	packet_decode(&p);
	assert_int_equal(p.ip_id, 0x11223344);
	packet_release(&p);
}

static bool is_cut(enum mos_decode d)
{
	return d == MOS_DECODE_CUT_LINK || d == MOS_DECODE_CUT_VLAN || d == MOS_DECODE_CUT_IP ||
	       d == MOS_DECODE_CUT_IP6_EXT || d == MOS_DECODE_CUT_TCP;
}

/* A tunnel in UDP is one only as far as it can be seen: else it is the UDP datagram around it. */
static bool is_carrier(const struct mos_packet *p, const struct row *r)
{
	return p->decoded == MOS_DECODED_IP && p->ip_proto == 17 && p->l4 + 8U < r->want.l4;
}

/* With a snap length of 0 to the frame's, nothing but the captured part changes, until a header is cut. */
static void check_snap_lengths(const struct row *r)
{
	frame_of(&f, r->hex);
	for (size_t snap = 0; snap <= f.len; snap++) {
		struct mos_packet p = frame_packet(&f, r->link, snap);
		bool header_there = snap >= r->want.l4 + 20U;

		packet_decode(&p);
		if (header_there ? p.decoded != MOS_DECODED_TCP : !is_cut(p.decoded) && !is_carrier(&p, r))
			fail_msg("%s, cut to %zu: %s", r->name, snap, decode_name(p.decoded));
		if (header_there) {
			size_t captured = snap > p.payload ? snap - p.payload : 0;

			assert_int_equal(p.ip_len, r->want.ip_len);
			assert_int_equal(p.payload_len, r->want.payload_len);
			assert_int_equal(p.payload_caplen, captured < 4 ? captured : 4);
		}
		packet_release(&p);
	}
}

static void a_cut_capture_keeps_the_lengths_on_the_wire(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		check_snap_lengths(&good[i]);
}

/* The IPv4 total length against the frame's, by the plain reading of both. */
static void the_payload_ends_where_the_shorter_of_packet_and_frame_does(void **state)
{
	(void)state;
	for (uint32_t wire = 54; wire < 64; wire++) {
		for (uint32_t claim = 0; claim < 70; claim++) {
			f.len = 0;
			frame_hex(&f, ETH("0800") IP4("0000", "4000") TCP20);
			frame_fill(&f, 'x', wire - 54);
			f.bytes[17] = (uint8_t)claim;
			struct mos_packet p = frame_packet(&f, ETHERNET, f.len);
			bool bad = claim && claim < 40;
			uint32_t ip_len = claim == 0 || claim > wire - 14 ? wire - 14 : claim;

			assert_int_equal(packet_decode(&p), bad ? MOS_DECODE_BAD_IP_LEN : MOS_DECODED_TCP);
			if (!bad)
				assert_int_equal(p.payload_len, ip_len - 40);
			packet_release(&p);
		}
	}
}

static void offloaded_frames_may_exceed_64k(void **state)
{
	(void)state;
	f.len = 0;
	frame_hex(&f, ETH("0800") IP4("0000", "4000") TCP20);
	frame_fill(&f, 'x', 80000);
	struct mos_packet p = frame_packet(&f, ETHERNET, f.len);

	assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
	assert_int_equal(p.ip_len, 80040);
	assert_int_equal(p.payload_len, 80000);
	packet_release(&p);
}

static void a_jumbo_option_gives_the_length(void **state)
{
	(void)state;
	f.len = 0;
	frame_hex(&f, ETH("86dd") IP6("0000", "00") "06 01 00 0102 0000 c204 00013880 010100" TCP20);
	frame_fill(&f, 'x', 90000);
	struct mos_packet p = frame_packet(&f, ETHERNET, f.len);

	assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
	assert_int_equal(p.ip_len, 40 + 80000);
	assert_int_equal(p.payload_len, 80000 - 16 - 20);
	packet_release(&p);
}

static enum mos_decode decode_repeated(const char *head, const char *repeated, unsigned times, const char *tail)
{
	f.len = 0;
	frame_hex(&f, head);
	while (times--)
		frame_hex(&f, repeated);
	frame_hex(&f, tail);
	struct mos_packet p = frame_packet(&f, ETHERNET, f.len);
	enum mos_decode d = packet_decode(&p);

	packet_release(&p);
	return d;
}

static void eight_vlan_tags_are_enough(void **state)
{
	static const char head[] = ETH("8100"), tag[] = VLAN("0001", "8100"), tail[] = VLAN("0001", "0800") IP4_TCP4;

	(void)state;
	assert_int_equal(decode_repeated(head, tag, 7, tail), MOS_DECODED_TCP);
	assert_int_equal(decode_repeated(head, tag, 8, tail), MOS_DECODED_OTHER);
}

static void eight_headers_around_a_packet_are_enough(void **state)
{
	static const char ip[] = OUTER4("0000", "04"), labels[] = "00011140 " ETH("8847");

	(void)state;
	assert_int_equal(decode_repeated(ETH("0800"), ip, 8, IP4_TCP4), MOS_DECODED_TCP);
	assert_int_equal(decode_repeated(ETH("0800"), ip, 9, IP4_TCP4), MOS_DECODED_IP);
	assert_int_equal(decode_repeated(ETH("8847"), labels, 7, "00011140" IP4_TCP4), MOS_DECODED_TCP);
	assert_int_equal(decode_repeated(ETH("8847"), labels, 8, "00011140" IP4_TCP4), MOS_DECODED_OTHER);
}

static void a_label_stack_is_at_most_sixteen_high(void **state)
{
	(void)state;
	assert_int_equal(decode_repeated(ETH("8847"), "00010040", 15, "00011140" IP4_TCP4), MOS_DECODED_TCP);
	assert_int_equal(decode_repeated(ETH("8847"), "00010040", 16, "00011140" IP4_TCP4), MOS_DECODED_OTHER);
}

/* IPv6 in IPv6, each with 16 extension headers of 2,048 bytes: the third one's lies beyond 65,535. */
static void headers_beyond_the_reach_of_their_offsets_are_not_decoded(void **state)
{
	(void)state;
	f.len = 0;
	for (int ip = 0; ip < 3; ip++) {
		frame_hex(&f, IP6("0000", "3c"));
		for (int ext = 0; ext < 16; ext++) {
			frame_hex(&f, ext < 15 ? "3cff" : "29ff");
			frame_fill(&f, 0, 2046);
		}
	}
	frame_hex(&f, IP6_TCP4);
	struct mos_packet p = frame_packet(&f, RAW, f.len);

	assert_int_equal(packet_decode(&p), MOS_DECODED_IP);
	assert_int_equal(p.ip_proto, 41);
	assert_int_equal(p.l3, 0);
	assert_int_equal(p.l4, 40 + 16 * 2048);
	assert_int_equal(p.ip_len, f.len);
	packet_release(&p);
}

static void sixteen_extension_headers_are_enough(void **state)
{
	static const char head[] = ETH("86dd") IP6("0200", "3c"), tail[] = DST_OPTS("06") TCP4;

	(void)state;
	assert_int_equal(decode_repeated(head, DST_OPTS("3c"), 15, tail), MOS_DECODED_TCP);
	assert_int_equal(decode_repeated(head, DST_OPTS("3c"), 16, tail), MOS_DECODE_BAD_IP6_EXT);
}

struct end {
	uint8_t addr[16];
	uint16_t port;
};

static int end_compare(const struct end *a, const struct end *b)
{
	int c = memcmp(a->addr, b->addr, sizeof(a->addr));

	return c ? c : a->port - b->port;
}

static struct mos_packet packet_between(int version, const struct end *src, const struct end *dst)
{
	unsigned addr_len = version == 4 ? 4 : 16, addr_at = version == 4 ? 12 : 8;

	frame_of(&f, version == 4 ? IP4_TCP4 : IP6_TCP4);
	memcpy(f.bytes + addr_at, src->addr, addr_len);
	memcpy(f.bytes + addr_at + addr_len, dst->addr, addr_len);
	uint8_t *ports = f.bytes + addr_at + 2 * addr_len;

	ports[0] = (uint8_t)(src->port >> 8);
	ports[1] = (uint8_t)src->port;
	ports[2] = (uint8_t)(dst->port >> 8);
	ports[3] = (uint8_t)dst->port;
	struct mos_packet p = frame_packet(&f, RAW, f.len);

	assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
	packet_release(&p);
	return p;
}

/* Few values per byte, so that ends often differ in one place only, or not at all. */
static struct end end_random(int version)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct end e = { .port = (uint16_t)(values[rand() % 5] << 8 | values[rand() % 5]) };

	for (int i = 0; i < (version == 4 ? 4 : 16); i++)
		e.addr[i] = rand() % 8 ? 0x80 : values[rand() % 5];
	return e;
}

static void both_directions_have_one_key_and_the_lower_end_is_0(void **state)
{
	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		int version = i % 2 ? 4 : 6;
		struct end a = end_random(version), b = end_random(version);
		struct mos_packet there = packet_between(version, &a, &b), back = packet_between(version, &b, &a);
		int order = end_compare(&a, &b);

		assert_memory_equal(&there.key, &back.key, sizeof(there.key));
		assert_int_equal(there.dir, order > 0);
		assert_int_equal(back.dir, order < 0);
		assert_int_equal(there.key.family, version);
		assert_memory_equal(there.key.addr_be[there.dir], a.addr, 16);
		assert_memory_equal(there.key.addr_be[back.dir], order ? b.addr : a.addr, 16);
		assert_int_equal(there.key.port[there.dir], a.port);
	}
}

static void check_bounds(const struct mos_packet *p)
{
	assert_true(p->decoded < MOS_DECODE_COUNT);
	if (p->decoded > MOS_DECODED_FRAGMENT)
		return;
	assert_true(p->l3 < p->l4 && p->l4 <= p->caplen);
	assert_true(p->l3 + p->ip_len <= p->len);
	if (p->decoded != MOS_DECODED_TCP)
		return;
	const struct mos_key *k = &p->key;
	int order = memcmp(k->addr_be[0], k->addr_be[1], sizeof(k->addr_be[0]));

	assert_true(order < 0 || (order == 0 && k->port[0] <= k->port[1]));
	assert_memory_equal(k->addr_be[p->dir], p->data + p->l3 + (k->family == 4 ? 12 : 8), k->family == 4 ? 4 : 16);
	assert_true(p->tcp_hlen >= 20 && p->tcp_hlen <= 60 && p->payload == p->l4 + p->tcp_hlen);
	assert_true(p->l4 + 20U <= p->caplen && p->payload_caplen <= p->payload_len);
	assert_true(p->payload_caplen == 0 || p->payload + p->payload_caplen <= p->caplen);
	assert_true(p->payload_len == 0 || p->payload + p->payload_len <= p->l3 + p->ip_len);
}

/* The shortcut for plain frames must give field by field what the layers give. */
static void check_same_by_layers(const struct mos_packet *p)
{
	struct mos_packet q = *p;

	memset(&q.verdict, 0x5a, offsetof(struct mos_packet, number) - offsetof(struct mos_packet, verdict));
	memset(&q.key, 0x5a, sizeof(q.key));
	q.ip_id = 0x5a5a5a5a;
	packet_walk(&q);
	assert_int_equal(p->decoded, q.decoded);
	assert_true(p->ip_version == q.ip_version && p->ip_proto == q.ip_proto && p->l3 == q.l3 && p->l4 == q.l4);
	assert_true(p->ip_len == q.ip_len && p->ip_id == q.ip_id && p->dir == q.dir);
	assert_true(p->tcp_flags == q.tcp_flags && p->tcp_hlen == q.tcp_hlen && p->seq == q.seq && p->ack == q.ack);
	assert_true(p->window == q.window && p->urgent == q.urgent && p->payload == q.payload);
	assert_true(p->payload_len == q.payload_len && p->payload_caplen == q.payload_caplen);
	assert_true(p->verdict == q.verdict && p->changed == q.changed);
	assert_memory_equal(&p->key, &q.key, sizeof(q.key));
}

/* What the path hashes of a plain frame is what anybody hashes of its key. */
static void check_same_hash(const struct mos_packet *p)
{
	const struct key_seed seed = { { 0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
					 0x082efa98ec4e6c89 } };
	struct mos_packet q = *p;
	uint64_t end[2];

	if (packet_decode_plain(&q, end))
		assert_int_equal(key_hash_ip4(end[0], end[1], &seed), key_hash(&p->key, &seed));
}

static void mutate(struct frame *m)
{
	for (int n = rand() % 4; n > 0 && m->len; n--) {
		size_t at = (size_t)rand() % (m->len < 120 ? m->len : 120);

		m->bytes[at] = (uint8_t)(rand() % 2 ? rand() : m->bytes[at] ^ (1 << rand() % 8));
	}
	/* In plain IPv6: both ends have one address. */
	if (rand() % 8 == 0 && m->len >= 54)
		memcpy(m->bytes + 38, m->bytes + 22, 16);
}

static void any_bytes_are_decoded_within_their_bounds(void **state)
{
	(void)state;
	srand(2);
	for (size_t i = 0; i < COUNT(good); i++) {
		for (int n = 0; n < 3000; n++) {
			frame_of(&g, good[i].hex);
			mutate(&g);
			size_t caplen = rand() % 2 ? g.len : (size_t)rand() % (g.len + 1);
			struct mos_packet p = frame_packet(&g, good[i].link, caplen);

			packet_decode(&p);
			check_bounds(&p);
			check_same_by_layers(&p);
			check_same_hash(&p);
			struct tcp_options o;

			if (p.decoded == MOS_DECODED_TCP)
				packet_options(&p, &o);
			packet_release(&p);
		}
	}
}

static void a_wire_length_below_the_captured_one_is_not_believed(void **state)
{
	(void)state;
	frame_of(&f, ETH("0800") IP4_TCP4);
	struct mos_packet p = frame_packet(&f, ETHERNET, f.len);

	p.len = 20;
	assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
	assert_int_equal(p.payload_len, 4);
	packet_release(&p);
}

static void decoding_leaves_nothing_of_the_packet_before(void **state)
{
	static const char *const frames[] = { ETH("0806") ARP, ETH("0800") IP4_TCP4 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		frame_of(&f, frames[i]);
		struct mos_packet p = frame_packet(&f, ETHERNET, f.len);

		memset(&p.verdict, 0xff, offsetof(struct mos_packet, number) - offsetof(struct mos_packet, verdict));
		memset(&p.key, 0xff, sizeof(p.key));
		p.hash = 1;
		p.slot = 2;
		packet_decode(&p);
		check_same_by_layers(&p);
		assert_int_equal(p.verdict, MOS_PASS);
		assert_int_equal(p.changed, 0);
		assert_int_equal(p.key.addr_be[0][1], 0);
		assert_int_equal(p.key.family, i ? 4 : 0);
		assert_int_equal(p.hash, 1);
		assert_int_equal(p.slot, 2);
		packet_release(&p);
	}
}

/* A kind, a way of it to carry TCP, and what is left when it is off. */
static const struct {
	enum decap_kind kind;
	const char *row;
	enum mos_decode left;
} decaps[] = {
	{ DECAP_VLAN, "802.1Q", MOS_DECODED_OTHER },
	{ DECAP_VLAN, "QinQ of old", MOS_DECODED_OTHER },
	{ DECAP_MPLS, "MPLS, two labels", MOS_DECODED_OTHER },
	{ DECAP_MPLS, "MPLS in PPP", MOS_DECODED_OTHER },
	{ DECAP_MPLS, "MPLS in GRE", MOS_DECODED_IP },
	{ DECAP_PPPOE, "PPPoE", MOS_DECODED_OTHER },
	{ DECAP_PBB, "provider backbone bridging", MOS_DECODED_OTHER },
	{ DECAP_VNTAG, "VN-Tag", MOS_DECODED_OTHER },
	{ DECAP_VNTAG, "E-Tag", MOS_DECODED_OTHER },
	{ DECAP_VNTAG, "Cisco metadata", MOS_DECODED_OTHER },
	{ DECAP_GRE, "WCCP in GRE", MOS_DECODED_IP },
	{ DECAP_FABRICPATH, "FabricPath", MOS_DECODED_OTHER },
	{ DECAP_IPIP, "IPv4 in IPv4", MOS_DECODED_IP },
	{ DECAP_IPIP, "IPv6 in IPv4", MOS_DECODED_IP },
	{ DECAP_AH, "authentication header of IPv4", MOS_DECODED_IP },
	{ DECAP_AH, "authentication header", MOS_DECODED_IP },
	{ DECAP_GRE, "GRE", MOS_DECODED_IP },
	{ DECAP_GRE, "NVGRE", MOS_DECODED_IP },
	{ DECAP_GRE, "PPTP", MOS_DECODED_IP },
	{ DECAP_ERSPAN, "ERSPAN I", MOS_DECODED_IP },
	{ DECAP_ERSPAN, "ERSPAN III", MOS_DECODED_IP },
	{ DECAP_VXLAN, "VXLAN", MOS_DECODED_IP },
	{ DECAP_VXLAN, "VXLAN GPE with IPv4", MOS_DECODED_IP },
	{ DECAP_GENEVE, "Geneve with options", MOS_DECODED_IP },
	{ DECAP_GTP, "GTP-U", MOS_DECODED_IP },
	{ DECAP_GRE, "GRE in UDP", MOS_DECODED_IP },
	{ DECAP_MPLS, "MPLS in UDP", MOS_DECODED_IP },
	{ DECAP_TEREDO, "Teredo", MOS_DECODED_IP },
	{ DECAP_TEREDO, "Teredo from and to other ports, by its address", MOS_DECODED_IP },
	{ DECAP_L2TP, "L2TP", MOS_DECODED_IP },
	{ DECAP_AYIYA, "AYIYA", MOS_DECODED_IP },
};

static const struct row *good_row(const char *name)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (strcmp(good[i].name, name) == 0)
			return &good[i];
	fail_msg("no frame is called '%s'", name);
	return NULL;
}

static void a_kind_that_is_off_stays_wrapped_and_others_do_not(void **state)
{
	uint32_t tried = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(decaps) / sizeof(decaps[0]); i++) {
		const struct row *r = good_row(decaps[i].row);

		frame_of(&f, r->hex);
		struct mos_packet p = frame_packet(&f, r->link, f.len);

		packet_decap_off(1u << decaps[i].kind);
		assert_int_equal(packet_decode(&p), decaps[i].left);
		packet_decap_off(~(1u << decaps[i].kind | 1u << DECAP_GRE));
		assert_int_equal(packet_decode(&p), MOS_DECODED_TCP);
		packet_decap_off(0);
		packet_release(&p);
		tried |= 1u << decaps[i].kind;
	}
	assert_int_equal(tried, (1u << DECAP_KINDS) - 1);
	assert_null(decap_name(DECAP_KINDS));
}

static void every_result_has_a_name_and_a_meaning_of_its_own(void **state)
{
	(void)state;
	for (enum mos_decode d = 0; d < MOS_DECODE_COUNT; d++) {
		assert_non_null(decode_name(d));
		assert_non_null(decode_meaning(d));
		for (enum mos_decode e = 0; e < d; e++)
			assert_string_not_equal(decode_name(d), decode_name(e));
	}
	assert_string_equal(decode_name(MOS_DECODE_CUT_TCP), "cut_tcp");
	assert_string_equal(decode_name(MOS_DECODE_COUNT), "unknown");
}

static void link_types_are_known_exactly_where_frames_are_decoded(void **state)
{
	(void)state;
	frame_of(&f, "4500");
	for (int link = 0; link < 400; link++) {
		struct mos_packet p = frame_packet(&f, link, f.len);

		assert_int_equal(packet_link_known(link), packet_decode(&p) != MOS_DECODE_UNKNOWN_LINK);
		packet_release(&p);
	}
	assert_false(packet_link_known(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_to_carry_tcp_leads_to_its_header),
		cmocka_unit_test(what_is_not_tcp_is_told_apart),
		cmocka_unit_test(a_malformed_packet_is_named_by_the_header_that_is_wrong),
		cmocka_unit_test(every_field_of_the_tcp_header_is_read),
		cmocka_unit_test(a_fragment_has_its_identification),
		cmocka_unit_test(a_cut_capture_keeps_the_lengths_on_the_wire),
		cmocka_unit_test(the_payload_ends_where_the_shorter_of_packet_and_frame_does),
		cmocka_unit_test(offloaded_frames_may_exceed_64k),
		cmocka_unit_test(a_jumbo_option_gives_the_length),
		cmocka_unit_test(eight_vlan_tags_are_enough),
		cmocka_unit_test(eight_headers_around_a_packet_are_enough),
		cmocka_unit_test(a_label_stack_is_at_most_sixteen_high),
		cmocka_unit_test(headers_beyond_the_reach_of_their_offsets_are_not_decoded),
		cmocka_unit_test(sixteen_extension_headers_are_enough),
		cmocka_unit_test(both_directions_have_one_key_and_the_lower_end_is_0),
		cmocka_unit_test(any_bytes_are_decoded_within_their_bounds),
		cmocka_unit_test(a_wire_length_below_the_captured_one_is_not_believed),
		cmocka_unit_test(decoding_leaves_nothing_of_the_packet_before),
		cmocka_unit_test(a_kind_that_is_off_stays_wrapped_and_others_do_not),
		cmocka_unit_test(every_result_has_a_name_and_a_meaning_of_its_own),
		cmocka_unit_test(link_types_are_known_exactly_where_frames_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
