/*
 * The published cases of "Target-Based TCP Stream Reassembly" and what each policy makes of them. The first byte is
 * missing, so that everything waits, until all else has come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mos_ffi.h"
#include "tcp/stream.h"
#include "util/overlap.h"

enum { SPAN = 32 };

/* A letter repeated, at an offset. */
struct sent {
	uint8_t off;
	const char *bytes;
};

static const struct sent all[] = {
	{ 2, "AAA" }, { 6, "BB" }, { 8, "CCC" },  { 12, "D" },  { 15, "EE" },  { 17, "FFF" }, { 20, "GG" },
	{ 22, "HH" }, { 24, "I" }, { 3, "JJJJ" }, { 8, "KKK" }, { 11, "LLL" }, { 14, "MMM" }, { 18, "N" },
	{ 21, "O" },  { 22, "P" }, { 24, "QQ" },  { 1, "0" },   { 0, NULL },
};
static const struct sent before[] = {
	{ 3, "B" }, { 9, "D" }, { 12, "EE" }, { 2, "AA" }, { 1, "JJJJ" }, { 8, "LLL" }, { 11, "MMM" }, { 0, NULL },
};
static const struct sent same[] = {
	{ 1, "CCC" }, { 15, "HH" }, { 17, "II" }, { 1, "KKK" }, { 1, "LLLL" }, { 15, "P" }, { 15, "QQ" }, { 0, NULL },
};
static const struct sent after[] = {
	{ 1, "AA" }, { 16, "FFF" }, { 19, "GG" }, { 2, "JJ" }, { 20, "O" }, { 17, "N" }, { 0, NULL },
};
/* New segments that begin inside one and reach over the next, that leave a part of one, and then over that part. */
static const struct sent chains[] = {
	{ 2, "AAA" }, { 5, "BBB" }, { 4, "CCC" }, { 10, "DDDD" }, { 9, "EE" }, { 10, "FF" }, { 10, "GGG" }, { 0, NULL },
};

static const struct {
	int policy;
	const struct sent *sent;
	const char *bytes; /* from offset 1 on; '.' is a hole */
} cases[] = {
	{ MOS_OVERLAP_POLICY_FIRST, all, "0AAAJBBCCCLDLMEEFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_VISTA, all, "0AAAJBBCCCLDLMEEFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_LAST, all, "0AJJJJBKKKLLLMMMFNFGOPHQQ" },
	{ MOS_OVERLAP_POLICY_BSD, all, "0AAAJJBCCCLLLMMMFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_WINDOWS, all, "0AAAJJBCCCLLLMMMFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_MACOS, all, "0AAAJJBCCCLLLMMMFFFGGHHIQ" },
	{ MOS_OVERLAP_POLICY_LINUX, all, "0AAAJJBCCCLLLMMMFFFGGHHQQ" },
	{ MOS_OVERLAP_POLICY_OLD_LINUX, all, "0AAAJJBKKKLLLMMMFFFGGHHQQ" },
	{ MOS_OVERLAP_POLICY_SOLARIS, all, "0AJJJBBKKKLLLMMMFFFGGHHQQ" },
	{ MOS_OVERLAP_POLICY_HPUX, all, "0AJJJBBKKKLLLMMMFFFGGHHQQ" },

	{ MOS_OVERLAP_POLICY_FIRST, before, "JABJ...LDLMEE" },
	{ MOS_OVERLAP_POLICY_LAST, before, "JJJJ...LLLMMM" },
	{ MOS_OVERLAP_POLICY_BSD, before, "JJJJ...LLLMMM" },
	{ MOS_OVERLAP_POLICY_LINUX, before, "JJJJ...LLLMMM" },
	{ MOS_OVERLAP_POLICY_OLD_LINUX, before, "JJJJ...LLLMMM" },
	{ MOS_OVERLAP_POLICY_SOLARIS, before, "JJJJ...LLLMMM" },

	{ MOS_OVERLAP_POLICY_FIRST, same, "CCCL..........HHII" },
	{ MOS_OVERLAP_POLICY_LAST, same, "LLLL..........QQII" },
	{ MOS_OVERLAP_POLICY_BSD, same, "CCCL..........HHII" },
	{ MOS_OVERLAP_POLICY_LINUX, same, "LLLL..........HHII" },
	{ MOS_OVERLAP_POLICY_OLD_LINUX, same, "LLLL..........QQII" },
	{ MOS_OVERLAP_POLICY_SOLARIS, same, "LLLL..........QQII" },

	{ MOS_OVERLAP_POLICY_FIRST, after, "AAJ............FFFGG" },
	{ MOS_OVERLAP_POLICY_LAST, after, "AJJ............FNFGO" },
	{ MOS_OVERLAP_POLICY_BSD, after, "AAJ............FFFGG" },
	{ MOS_OVERLAP_POLICY_LINUX, after, "AAJ............FFFGG" },
	{ MOS_OVERLAP_POLICY_OLD_LINUX, after, "AAJ............FFFGG" },
	{ MOS_OVERLAP_POLICY_SOLARIS, after, "AJJ............FFFGG" },

	{ MOS_OVERLAP_POLICY_FIRST, chains, ".AAABBB.EDDDD" },
	{ MOS_OVERLAP_POLICY_BSD, chains, ".AAACCB.EEGGD" },
	{ MOS_OVERLAP_POLICY_LINUX, chains, ".AAACCB.EEGGD" },
	{ MOS_OVERLAP_POLICY_SOLARIS, chains, ".AACBBB.EDDDD" },
};

static void check_byte(const struct stream *s, uint64_t off, char want, const char *name)
{
	uint8_t byte;
	bool there = stream_ppeek(s, off, &byte, 1) == 1;

	if (there != (want != '.') || (there && byte != want))
		fail_msg("%s: at %u is %c, not %c", name, (unsigned)off, there ? byte : '.', want);
}

static void run(size_t i, uint64_t start)
{
	struct slab slab;
	struct stream s;

	slab_init(&slab, 0);
	stream_init(&s, 4096, cases[i].policy, start);
	for (const struct sent *p = cases[i].sent; p->bytes; p++)
		stream_write(&s, &slab, start + p->off, p->bytes, strlen(p->bytes), UINT64_MAX);
	for (size_t off = 0; cases[i].bytes[off]; off++)
		check_byte(&s, start + 1 + off, cases[i].bytes[off], overlap_name((unsigned)cases[i].policy));
	stream_write(&s, &slab, start, "-", 1, UINT64_MAX);
	for (size_t off = 0; cases[i].bytes[off]; off++)
		check_byte(&s, start + 1 + off, cases[i].bytes[off], overlap_name((unsigned)cases[i].policy));
	stream_fini(&s, &slab);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

static void each_policy_decides_the_published_cases_as_published(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(i, 0);
		run(i, UINT32_MAX - 10);
	}
}

/* What is in order a receiver has taken: no system changes it any more. */
static void bytes_in_order_stay_but_for_last(void **state)
{
	(void)state;
	for (int policy = 0; policy < MOS_OVERLAP_POLICIES; policy++) {
		struct slab slab;
		struct stream s;
		char bytes[5] = { 0 };

		slab_init(&slab, 0);
		stream_init(&s, 4096, policy, 0);
		stream_write(&s, &slab, 0, "AAA", 3, 0);
		struct stream_write w = stream_write(&s, &slab, 0, "BBBB", 4, 0);

		assert_true(w.conflict);
		assert_int_equal(stream_ppeek(&s, 0, bytes, 4), 4);
		assert_string_equal(bytes, policy == MOS_OVERLAP_POLICY_LAST ? "BBBB" : "AAAB");
		stream_fini(&s, &slab);
		slab_fini(&slab);
	}
}

/* More segments than are remembered, each of one byte: their neighbours' bounds go, their bytes do not. */
static void segments_beyond_the_limit_are_kept_without_their_bounds(void **state)
{
	enum { MANY = STREAM_MAX_RUNS + 200 };
	struct slab slab;
	struct stream s;
	char bytes[MANY];

	(void)state;
	slab_init(&slab, 0);
	stream_init(&s, 1 << 16, MOS_OVERLAP_POLICY_BSD, 0);
	for (unsigned i = 1; i < MANY; i++)
		stream_write(&s, &slab, i, "x", 1, UINT64_MAX);
	assert_true(s.segs.n <= STREAM_MAX_RUNS);
	stream_write(&s, &slab, 0, "x", 1, UINT64_MAX);
	assert_int_equal(stream_ppeek(&s, 0, bytes, MANY), MANY);
	assert_int_equal(s.segs.n, 0);
	stream_fini(&s, &slab);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

static void policies_have_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MOS_OVERLAP_POLICIES; i++) {
		assert_int_equal(overlap_find(overlap_name(i)), i);
		assert_non_null(overlap_meaning(i));
	}
	assert_null(overlap_name(MOS_OVERLAP_POLICIES));
	assert_null(overlap_meaning(MOS_OVERLAP_POLICIES));
	assert_true(overlap_find("beos") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_decides_the_published_cases_as_published),
		cmocka_unit_test(bytes_in_order_stay_but_for_last),
		cmocka_unit_test(segments_beyond_the_limit_are_kept_without_their_bounds),
		cmocka_unit_test(policies_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
