#include "util/overlap.h"

#include <errno.h>
#include <string.h>

#include "mos_ffi.h"

/* New bytes win ... */
enum rule {
	NEVER,
	ALWAYS,
	BEGINS_BEFORE,         /* if they begin before the old */
	BEGINS_NOT_AFTER,      /* or where the old begin */
	BEGINS_BEFORE_OR_LONG, /* if they begin before, or at the same place and end behind the old */
	BEGINS_BEFORE_OR_FULL, /* or at the same place and end not before the old */
	COVERS,                /* if they begin before the old, and end not before them */
	COVERS_AND_MORE,       /* if they begin before the old, and end behind them */
	ENDS_AFTER             /* if they end behind the old, or at the same place and begin not after them */
};

static const struct {
	const char *name;
	enum rule segment, fragment;
	const char *meaning;
} policies[MOS_OVERLAP_POLICIES] = {
	[MOS_OVERLAP_POLICY_FIRST] = { "first", NEVER, NEVER, "what came first" },
	[MOS_OVERLAP_POLICY_LAST] = { "last", ALWAYS, ALWAYS, "what came last; fragments: Cisco IOS" },
	[MOS_OVERLAP_POLICY_BSD] = { "bsd", BEGINS_BEFORE, BEGINS_BEFORE, "FreeBSD, NetBSD, OpenBSD, AIX" },
	[MOS_OVERLAP_POLICY_LINUX] = { "linux", BEGINS_BEFORE_OR_LONG, BEGINS_NOT_AFTER, "Linux from 2.4 on" },
	[MOS_OVERLAP_POLICY_OLD_LINUX] = { "old_linux", BEGINS_BEFORE_OR_FULL, BEGINS_NOT_AFTER, "Linux up to 2.2" },
	[MOS_OVERLAP_POLICY_WINDOWS] = { "windows", BEGINS_BEFORE, COVERS_AND_MORE, "Windows up to 2003" },
	[MOS_OVERLAP_POLICY_VISTA] = { "vista", NEVER, COVERS_AND_MORE, "Windows from Vista on" },
	[MOS_OVERLAP_POLICY_SOLARIS] = { "solaris", ENDS_AFTER, COVERS, "Solaris" },
	[MOS_OVERLAP_POLICY_HPUX] = { "hpux", ENDS_AFTER, NEVER, "HP-UX 11" },
	[MOS_OVERLAP_POLICY_MACOS] = { "macos", BEGINS_BEFORE, NEVER, "macOS" },
};

static bool wins(enum rule rule, uint64_t from, uint64_t to, uint64_t old_from, uint64_t old_to)
{
	switch (rule) {
	case NEVER:
		return false;
	case ALWAYS:
		return true;
	case BEGINS_BEFORE:
		return from < old_from;
	case BEGINS_NOT_AFTER:
		return from <= old_from;
	case BEGINS_BEFORE_OR_LONG:
		return from < old_from || (from == old_from && to > old_to);
	case BEGINS_BEFORE_OR_FULL:
		return from < old_from || (from == old_from && to >= old_to);
	case COVERS:
		return from < old_from && to >= old_to;
	case COVERS_AND_MORE:
		return from < old_from && to > old_to;
	case ENDS_AFTER:
		return to > old_to || (to == old_to && from <= old_from);
	}
	return false;
}

bool overlap_segment_wins(int policy, uint64_t from, uint64_t to, uint64_t old_from, uint64_t old_to)
{
	return wins(policies[policy].segment, from, to, old_from, old_to);
}

bool overlap_fragment_wins(int policy, uint64_t from, uint64_t to, uint64_t old_from, uint64_t old_to)
{
	return wins(policies[policy].fragment, from, to, old_from, old_to);
}

bool overlap_needs_bounds(int policy)
{
	return policies[policy].segment > ALWAYS;
}

const char *overlap_name(unsigned policy)
{
	return policy < MOS_OVERLAP_POLICIES ? policies[policy].name : NULL;
}

const char *overlap_meaning(unsigned policy)
{
	return policy < MOS_OVERLAP_POLICIES ? policies[policy].meaning : NULL;
}

int overlap_find(const char *name)
{
	for (int i = 0; i < MOS_OVERLAP_POLICIES; i++)
		if (strcmp(policies[i].name, name) == 0)
			return i;
	return -EINVAL;
}
