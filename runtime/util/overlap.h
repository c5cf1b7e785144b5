/*
 * Who wins where new bytes overlap old ones: the ways of operating systems, as tables. Segments: J. Novak and S.
 * Sturges, "Target-Based TCP Stream Reassembly" (2007). Fragments: U. Shankar and V. Paxson, "Active Mapping" (2003);
 * J. Novak, "Target-Based Fragmentation Reassembly" (2005).
 *
 * A policy is one of MOS_OVERLAP_POLICY_ (mos_ffi.h). Bytes old and new are runs [from, to) that have some in common; an old
 * run is what earlier overlaps have left of a segment or fragment.
 */
#ifndef MOS_UTIL_OVERLAP_H
#define MOS_UTIL_OVERLAP_H

#include <stdbool.h>
#include <stdint.h>

/* Does the new segment's, or fragment's, [from, to) replace what it has in common with the old one's? */
bool overlap_segment_wins(int policy, uint64_t from, uint64_t to, uint64_t old_from, uint64_t old_to);
bool overlap_fragment_wins(int policy, uint64_t from, uint64_t to, uint64_t old_from, uint64_t old_to);

/* Does it matter where segments begin and end, or are all old bytes treated alike? */
bool overlap_needs_bounds(int policy);

/* "linux" and what it stands for; NULL where there is no such policy. */
const char *overlap_name(unsigned policy);
const char *overlap_meaning(unsigned policy);

/* The policy of that name; -EINVAL if there is none. */
int overlap_find(const char *name);

#endif
