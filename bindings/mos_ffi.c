/* Names, messages and objects, for bindings/mos. */
#include <string.h>

#include "api/object.h"
#include "ctx.h"
#include "tcp/fsm.h"
#include "util/log.h"
#include "util/overlap.h"
#include "util/suggest.h"

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
};

const char *mos_ffi_name(uint32_t kind, uint32_t value)
{
	switch (kind) {
	case MOS_NAME_STATE:
		return value <= TCP_TIME_WAIT ? fsm_name((uint8_t)value) : NULL;
	case MOS_NAME_END_REASON:
		return value < MOS_ENDED_COUNT ? end_reasons[value] : NULL;
	case MOS_NAME_ERROR_REASON:
		return value < MOS_ERR_COUNT ? error_reasons[value] : NULL;
	case MOS_NAME_OVERLAP:
		return overlap_name(value);
	default:
		return NULL;
	}
}

const char *mos_ffi_nearest(const char *word, const char *const *words, size_t n)
{
	return suggest_nearest(word, words, n);
}

void mos_ffi_log(uint32_t level, const char *text)
{
	log_line((enum log_level)level, "%s", text);
}

const char *mos_ffi_strerror(int error)
{
	return strerror(error);
}

void *mos_ffi_object_open(const char *path, char *err, size_t errlen)
{
	return object_open(path, err, errlen);
}

void *mos_ffi_object_symbol(void *object, const char *name)
{
	return object_symbol(object, name);
}

void mos_ffi_object_close(void *object)
{
	object_close(object);
}
