/* What a packet says about the end that receives it. */
#include "mos_api.h"
#include "tcp/end.h"
#include "tcp/fsm.h"
#include "tcp/plain.h"
#include "tcp/track.h"

/* Has everything that e sent before its FIN passed here, or been acknowledged? Then its peer has the FIN. */
static bool fin_in_order(const struct mos_end *e, const struct mos_end *peer)
{
	if ((peer->flags & MOS_END_ACK) && seq_geq(peer->ack, e->fin_seq))
		return true;
	return !e->seen && end_next(e) == e->fin_seq;
}

/* RFC 9293 3.10.7.3: an acceptable acknowledgement lies between our SYN and all that we sent. */
static bool acks_syn(const struct mos_end *r, uint32_t ack)
{
	return !(r->flags & MOS_END_BASE) || (seq_gt(ack, r->isn) && seq_leq(ack, end_max(r)));
}

/* The kind of segment that s is for the end r, sent by e. */
static enum fsm_got kind_of(struct mos_end *r, const struct mos_end *e, const struct segment *s)
{
	bool ackfin = (s->flags & MOS_TH_ACK) && (r->flags & MOS_END_FIN_ACKED);

	if (s->flags & MOS_TH_RST)
		return GOT_RST;
	if (s->flags & MOS_TH_SYN)
		return !(s->flags & MOS_TH_ACK) ? GOT_SYN : acks_syn(r, s->ack) ? GOT_SYNACK : GOT_OTHER;
	if ((e->flags & MOS_END_FIN) && !(r->flags & MOS_END_FIN_RCVD) && fin_in_order(e, r)) {
		r->flags |= MOS_END_FIN_RCVD;
		return ackfin ? GOT_FIN_ACKFIN : GOT_FIN;
	}
	if (ackfin)
		return GOT_ACKFIN;
	if (!(s->flags & MOS_TH_ACK))
		return GOT_OTHER;
	return acks_syn(r, s->ack) ? GOT_ACK : GOT_OTHER;
}

static bool is_over(uint8_t state)
{
	return state == TCP_CLOSED || state == TCP_TIME_WAIT;
}

/* Past the handshake, and neither end about to close: nothing that a segment like this brings changes the state. */
static bool is_settled(const struct mos_end *r, const struct mos_end *e, const struct segment *s)
{
	return !(s->flags & (MOS_TH_SYN | MOS_TH_RST)) && r->state != TCP_SYN_RCVD &&
	       !((e->flags | r->flags) & MOS_END_FIN);
}

bool track_receiver(struct mos_conn *c, const struct segment *s)
{
	struct mos_end *e = end_of(c, (unsigned)s->side), *r = end_of(c, (unsigned)s->side ^ 1);
	uint8_t old = r->state;

	if (s->ignored || (c->flags & MOS_CONN_CLOSED)) {
		plain_note(c);
		return false;
	}
	if (!is_settled(r, e, s))
		r->state = fsm_got(old, kind_of(r, e, s));
	if (s->flags & MOS_TH_RST) {
		c->flags |= MOS_CONN_CLOSED;
		c->end_reason = MOS_ENDED_RESET;
	} else if (is_over(e->state) && is_over(r->state)) {
		c->flags |= MOS_CONN_CLOSED;
		c->end_reason = MOS_ENDED_CLOSED;
	}
	plain_note(c);
	return r->state != old;
}
