// Connections and streams of a capture, as libtins has them.
#include <tins/packet_sender.h>
#include <tins/sniffer.h>
#include <tins/tcp_ip/stream_follower.h>

#include <cstdint>
#include <cstdio>
#include <unordered_map>

#include "bench/sum.h"

using Tins::TCPIP::Stream;

static uint64_t connections, ended, bytes, sum;

namespace
{

// How far each side of a stream was read.
struct Place {
	uint64_t at[2] = { 0, 0 };
};

std::unordered_map<const Stream *, Place> places;

void take(Stream &s, const Stream::payload_type &data, int side)
{
	uint64_t &at = places[&s].at[side];

	sum += sum_bytes(at, data.data(), data.size()) * sum_factor(s.client_port(), side);
	at += data.size();
	bytes += data.size();
}

void on_new(Stream &s)
{
	connections++;
	places[&s] = Place();
	// What the client sent is what the server received.
	s.client_data_callback([](Stream &t) { take(t, t.client_payload(), 1); });
	s.server_data_callback([](Stream &t) { take(t, t.server_payload(), 0); });
	s.stream_closed_callback([](Stream &t) {
		ended++;
		places.erase(&t);
	});
}

} // namespace

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	try {
		Tins::FileSniffer sniffer(argv[1]);
		Tins::TCPIP::StreamFollower follower;

		follower.new_stream_callback(on_new);
		follower.stream_termination_callback([](Stream &s, Tins::TCPIP::StreamFollower::TerminationReason) {
			ended++;
			places.erase(&s);
		});
		sniffer.sniff_loop([&](Tins::Packet &p) {
			follower.process_packet(p);
			return true;
		});
	} catch (const std::exception &e) {
		std::fprintf(stderr, "tins_stream: %s\n", e.what());
		return 1;
	}
	std::printf("connections=%ju ended=%ju bytes=%ju sum=%ju\n", uintmax_t(connections), uintmax_t(ended),
		    uintmax_t(bytes), uintmax_t(sum));
	return 0;
}
