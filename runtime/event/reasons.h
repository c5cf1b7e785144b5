/* Words for why a connection ended and why ERROR was raised. */
#ifndef MOS_EVENT_REASONS_H
#define MOS_EVENT_REASONS_H

#include <stdint.h>

/* Of enum mos_end_reason, enum mos_error_reason: "closed", "gap". NULL past the last. */
const char *end_reason_name(uint32_t reason);
const char *error_reason_name(uint32_t reason);

#endif
