#include "event/reasons.h"

#include <stddef.h>

#include "mos_ffi.h"

static const char *const end_reasons[MOS_ENDED_COUNT] = {
	[MOS_ENDED_OPEN] = "open",       [MOS_ENDED_CLOSED] = "closed", [MOS_ENDED_RESET] = "reset",
	[MOS_ENDED_TIMEOUT] = "timeout", [MOS_ENDED_REUSED] = "reused", [MOS_ENDED_LIMIT] = "limit",
	[MOS_ENDED_INPUT] = "input",
};

static const char *const error_reasons[MOS_ERR_COUNT] = {
	[MOS_ERR_NONE] = "none",
	[MOS_ERR_BUFFER_FULL] = "buffer_full",
	[MOS_ERR_OUT_OF_WINDOW] = "out_of_window",
	[MOS_ERR_CONFLICT] = "conflict",
	[MOS_ERR_CHECKSUM] = "checksum",
	[MOS_ERR_MALFORMED] = "malformed",
	[MOS_ERR_GAP] = "gap",
	[MOS_ERR_MEMORY] = "memory",
};

const char *end_reason_name(uint32_t reason)
{
	return reason < MOS_ENDED_COUNT ? end_reasons[reason] : NULL;
}

const char *error_reason_name(uint32_t reason)
{
	return reason < MOS_ERR_COUNT ? error_reasons[reason] : NULL;
}
