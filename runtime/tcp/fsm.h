/*
 * The TCP state machine of one end as seen from the middle, as data: what an end's state becomes when it sends and when
 * it receives a segment of a kind (RFC 9293 3.3.2 figure 5, 3.10.7). An end that sends is known to have received what its
 * segment acknowledges, even where the capture missed it.
 */
#ifndef MOS_TCP_FSM_H
#define MOS_TCP_FSM_H

#include <stdint.h>

#include "mos_ffi.h"

/* A segment, as its sender's state machine sees it. */
enum fsm_sent {
	SENT_OTHER, /* ACK, data */
	SENT_SYN,
	SENT_SYNACK,
	SENT_FIN,
	SENT_FIN_RCVD, /* acknowledges the peer's FIN, which it must have received */
	SENT_RST,
	SENT_KINDS
};

/* A segment, as its receiver's state machine sees it. */
enum fsm_got {
	GOT_OTHER,
	GOT_SYN,
	GOT_SYNACK,
	GOT_ACK,        /* acknowledges the receiver's SYN */
	GOT_FIN,        /* FIN, everything before it received */
	GOT_ACKFIN,     /* acknowledges the receiver's FIN */
	GOT_FIN_ACKFIN, /* both */
	GOT_RST,
	GOT_KINDS
};

/* By state and kind: the state after, plus one; 0: no such arrow. */
extern const uint8_t fsm_sent_arrows[TCP_TIME_WAIT + 1][SENT_KINDS], fsm_got_arrows[TCP_TIME_WAIT + 1][GOT_KINDS];

/*
 * The state after; the same state where there is no arrow. A reset ends every state (RFC 9293 3.10.7.4, second check);
 * whether it counts was decided before.
 */
static inline uint8_t fsm_sent(uint8_t state, enum fsm_sent kind)
{
	if (kind == SENT_RST)
		return TCP_CLOSED;
	uint8_t to = fsm_sent_arrows[state][kind];

	return to ? (uint8_t)(to - 1) : state;
}

static inline uint8_t fsm_got(uint8_t state, enum fsm_got kind)
{
	if (kind == GOT_RST)
		return TCP_CLOSED;
	uint8_t to = fsm_got_arrows[state][kind];

	return to ? (uint8_t)(to - 1) : state;
}

/* "established": the Lua name of a state, "?" for none. */
const char *fsm_name(uint8_t state);

#endif
