#include "tcp/fsm.h"

/* Tables hold the state plus one, so that an entry left out is 0: no such arrow. */
#define TO(state) ((state) + 1)

enum { STATES = TCP_TIME_WAIT + 1 };

const uint8_t fsm_sent_arrows[STATES][SENT_KINDS] = {
	[TCP_CLOSED] = {
		[SENT_SYN] = TO(TCP_SYN_SENT),           /* active open */
	},
	[TCP_LISTEN] = {
		[SENT_SYN] = TO(TCP_SYN_SENT),           /* SEND on a listening socket */
		[SENT_SYNACK] = TO(TCP_SYN_RCVD),        /* its peer's SYN was not captured */
		[SENT_OTHER] = TO(TCP_ESTABLISHED),      /* the whole handshake was not */
		[SENT_FIN] = TO(TCP_FIN_WAIT_1),
	},
	[TCP_SYN_SENT] = {
		[SENT_SYNACK] = TO(TCP_SYN_RCVD),        /* simultaneous open */
		[SENT_OTHER] = TO(TCP_ESTABLISHED),      /* the SYN-ACK it answers was not captured */
		[SENT_FIN] = TO(TCP_FIN_WAIT_1),
	},
	[TCP_SYN_RCVD] = {
		[SENT_FIN] = TO(TCP_FIN_WAIT_1),         /* close before the handshake is done */
	},
	[TCP_ESTABLISHED] = {
		[SENT_FIN] = TO(TCP_FIN_WAIT_1),         /* active close */
		[SENT_FIN_RCVD] = TO(TCP_CLOSE_WAIT),
	},
	[TCP_FIN_WAIT_1] = {
		[SENT_FIN_RCVD] = TO(TCP_CLOSING),
	},
	[TCP_FIN_WAIT_2] = {
		[SENT_FIN_RCVD] = TO(TCP_TIME_WAIT),
	},
	[TCP_CLOSE_WAIT] = {
		[SENT_FIN] = TO(TCP_LAST_ACK),           /* passive close */
	},
};

const uint8_t fsm_got_arrows[STATES][GOT_KINDS] = {
	[TCP_CLOSED] = {
		[GOT_SYNACK] = TO(TCP_ESTABLISHED),      /* its own SYN was not captured */
	},
	[TCP_LISTEN] = {
		[GOT_SYN] = TO(TCP_SYN_RCVD),            /* passive open */
	},
	[TCP_SYN_SENT] = {
		[GOT_SYN] = TO(TCP_SYN_RCVD),            /* simultaneous open */
		[GOT_SYNACK] = TO(TCP_ESTABLISHED),
	},
	[TCP_SYN_RCVD] = {
		[GOT_ACK] = TO(TCP_ESTABLISHED),         /* ACK of SYN */
		[GOT_SYNACK] = TO(TCP_ESTABLISHED),      /* simultaneous open: the SYN-ACKs cross */
		[GOT_FIN] = TO(TCP_CLOSE_WAIT),          /* ACK of SYN and FIN in one */
	},
	[TCP_ESTABLISHED] = {
		[GOT_FIN] = TO(TCP_CLOSE_WAIT),
		[GOT_FIN_ACKFIN] = TO(TCP_CLOSE_WAIT),
	},
	[TCP_FIN_WAIT_1] = {
		[GOT_FIN] = TO(TCP_CLOSING),             /* simultaneous close */
		[GOT_ACKFIN] = TO(TCP_FIN_WAIT_2),
		[GOT_FIN_ACKFIN] = TO(TCP_TIME_WAIT),
	},
	[TCP_FIN_WAIT_2] = {
		[GOT_FIN] = TO(TCP_TIME_WAIT),
		[GOT_FIN_ACKFIN] = TO(TCP_TIME_WAIT),
	},
	[TCP_CLOSING] = {
		[GOT_ACKFIN] = TO(TCP_TIME_WAIT),
		[GOT_FIN_ACKFIN] = TO(TCP_TIME_WAIT),    /* a repeated FIN that acknowledges ours */
	},
	[TCP_LAST_ACK] = {
		[GOT_ACKFIN] = TO(TCP_CLOSED),
		[GOT_FIN_ACKFIN] = TO(TCP_CLOSED),
	},
};

const char *fsm_name(uint8_t state)
{
	static const char *const names[STATES] = {
		[TCP_CLOSED] = "closed",         [TCP_LISTEN] = "listen",           [TCP_SYN_SENT] = "syn_sent",
		[TCP_SYN_RCVD] = "syn_rcvd",     [TCP_ESTABLISHED] = "established", [TCP_FIN_WAIT_1] = "fin_wait_1",
		[TCP_FIN_WAIT_2] = "fin_wait_2", [TCP_CLOSE_WAIT] = "close_wait",   [TCP_CLOSING] = "closing",
		[TCP_LAST_ACK] = "last_ack",     [TCP_TIME_WAIT] = "time_wait",
	};

	return state < STATES ? names[state] : "?";
}
