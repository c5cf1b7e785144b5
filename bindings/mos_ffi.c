/* Names, messages and objects, for bindings/mos. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/object.h"
#include "ctx.h"
#include "event/reasons.h"
#include "tcp/fsm.h"
#include "util/log.h"
#include "util/overlap.h"
#include "util/suggest.h"

const char *mos_ffi_name(uint32_t kind, uint32_t value)
{
	switch (kind) {
	case MOS_NAME_STATE:
		return value <= TCP_TIME_WAIT ? fsm_name((uint8_t)value) : NULL;
	case MOS_NAME_END_REASON:
		return end_reason_name(value);
	case MOS_NAME_ERROR_REASON:
		return error_reason_name(value);
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

/* The folder that path's last part is in, links followed; NULL if there is none, or that part is "..", "." or nothing. */
static char *folder_of(const char *path)
{
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL, *found = NULL;
	const char *name = slash ? slash + 1 : copy;

	if (name && *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
		if (slash)
			*slash = '\0';
		found = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	}
	free(copy);
	return found;
}

int mos_ffi_path_inside(const char *path, const char *folder)
{
	char *dir = folder_of(path), *root = realpath(folder, NULL);
	size_t n = root ? strlen(root) : 0;
	struct stat st;
	int yes = dir && root && !strncmp(dir, root, n) && (!dir[n] || dir[n] == '/' || !strcmp(root, "/"));

	/* A device or a pipe is no data, a link may lead anywhere. */
	if (yes && lstat(path, &st) == 0)
		yes = S_ISREG(st.st_mode) && st.st_nlink == 1;
	free(dir);
	free(root);
	return yes;
}

void *mos_ffi_object_open(const char *path, char *err, size_t errlen)
{
	return object_stay(path, err, errlen);
}

void *mos_ffi_object_symbol(void *object, const char *name)
{
	return dlsym(object, name);
}
