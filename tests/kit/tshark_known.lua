-- Captures beside the project on which tshark and the libraries of events differ, with the kinds; docs/accuracy.md says
-- why.
return {
	["exthdr__libpcap__AH-IPcomp-IPv6.pcap"] = "HTTP requests; HTTP responses",
	["frag__arkime__socks5-http-302-frag.pcap"] = "HTTP requests; HTTP responses",
	["frag__tcpreplay__test_fragroute.pcap"] = "HTTP responses",
	["gtp__zeek__gtp1_gn_normal_incl_fragmentation.pcap"] = "HTTP requests; HTTP responses",
	["lt_fddi__tcptrace__single_byte_rexmit.pcap"] = "HTTP requests; HTTP responses",
	["mixed__mercury__emix.pcap"] = "HTTP requests; HTTP responses",
	["mpls__zeek__mixed-vlan-mpls.pcap"] = "HTTP requests",
	["oneway__pcapplusplus__unidirectional_tcp_stream_with_missing_packet.pcap"] = "HTTP requests",
	["oneway__suricata-verify__http-async-srv-input.pcap"] = "HTTP responses",
	["realistic__ndpi__weibo.pcap"] = "HTTP responses",
	["realistic__otrf__empire_psremoting_stager_WORKSTATION6_2020-09-20170827.pcap"] = "HTTP responses",
	["tfo__suricata-verify__tcp-fastopen-10-syn-data-ignore-input.pcap"] = "TLS server hellos",
	["urg__suricata-verify__tcp-urgent1.pcap"] = "HTTP requests",
}
