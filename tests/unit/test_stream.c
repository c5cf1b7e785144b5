/*
 * The byte stream. Tables show what is kept as "base:bytes": '-' is a gap, '|' is cont, '.' a hole still awaited.
 * "2:cd-f|..ij" has cd at 2, a gap at 4, f at 5, cont at 6, and early bytes ij at 8.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mos_ffi.h"
#include "tcp/stream.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The lowest unread offset of a stream that nobody has read from, and of one that nobody reads. */
enum { UNREAD = 0 };
#define READ UINT64_MAX

static struct slab slab;

/* What is kept, as the tables write it. */
static void stream_text(const struct stream *s, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "%llu:", (unsigned long long)s->base);
	struct range runs[32];
	uint32_t count = stream_runs(s, runs, 32);

	assert_in_range(count, 0, 32);
	memset(out + n, '.', size - n);
	for (uint64_t off = s->base; off < s->cont; off++)
		out[n + (off - s->base)] = '-';
	out[n + (s->cont - s->base)] = '|';
	for (uint32_t i = 0; i < count; i++) {
		size_t at = n + (runs[i].from - s->base) + (runs[i].from > s->cont);
		size_t len = runs[i].to - runs[i].from;

		assert_int_equal(stream_ppeek(s, runs[i].from, out + at, len), len);
	}
	out[n + (s->max - s->base) + 1] = '\0';
}

/* What is to be found at off: by view and by ppeek alike. */
static void assert_reads(const struct stream *s, uint64_t off, const char *text, uint64_t gap)
{
	uint64_t skip;
	size_t len;
	const uint8_t *p = stream_view(s, off, &len, &skip);

	assert_int_equal(len, strlen(text));
	assert_int_equal(skip, gap);
	if (len)
		assert_memory_equal(p, text, len);
	else
		assert_null(p);
}

static void begin(struct stream *s, size_t limit, int policy)
{
	slab_init(&slab, 0);
	stream_init(s, limit, policy, 0);
}

static void end(struct stream *s)
{
	stream_fini(s, &slab);
	assert_int_equal(slab.used, 0);
	slab_fini(&slab);
}

enum op { WRITE, SKIP, RESIZE };

struct step {
	enum op op;
	uint64_t off;          /* WRITE: where; SKIP: up to where; RESIZE: the limit */
	const char *text;      /* WRITE */
	uint64_t keep;         /* WRITE */
	const char *kept;      /* afterwards */
	struct stream_write w; /* WRITE: what it reports; SKIP: .dropped is what was missing */
	size_t excess;         /* WRITE: unread bytes that go, as told beforehand */
};

static void run_step(struct stream *s, const struct step *t)
{
	char text[256];

	if (t->op == WRITE) {
		size_t len = strlen(t->text);

		assert_int_equal(stream_excess(s, t->off, len, t->keep), t->excess);

		struct stream_write w = stream_write(s, &slab, t->off, t->text, len, t->keep);

		assert_int_equal(w.grown, t->w.grown);
		assert_int_equal(w.added, t->w.added);
		assert_int_equal(w.dropped, t->w.dropped);
		assert_int_equal(w.conflict, t->w.conflict);
	} else if (t->op == SKIP) {
		assert_int_equal(stream_skip(s, &slab, t->off), t->w.dropped);
	} else {
		stream_resize(s, &slab, t->off);
	}
	stream_text(s, text, sizeof(text));
	assert_string_equal(text, t->kept);
}

static void run_steps(const struct step *steps, size_t n, size_t limit, int policy)
{
	struct stream s;

	begin(&s, limit, policy);
	for (size_t i = 0; i < n; i++)
		run_step(&s, &steps[i]);
	end(&s);
}

#define RUN(steps, limit, policy) run_steps(steps, ARRAY_LEN(steps), limit, policy)

/* ---- writes: grown, added, dropped, conflict */

static void in_order_bytes_are_appended_and_stay_after_being_read(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abc", UNREAD, "0:abc|", { 3, 3, 0, false }, 0 },
		{ WRITE, 3, "def", 3, "0:abcdef|", { 3, 3, 0, false }, 0 },
		{ WRITE, 6, "", 6, "0:abcdef|", { 0, 0, 0, false }, 0 },
		{ WRITE, 6, "g", 6, "0:abcdefg|", { 1, 1, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_FIRST);
}

static void early_bytes_wait_in_their_place_until_the_hole_is_filled(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 5, "fg", UNREAD, "0:|.....fg", { 0, 2, 0, false }, 0 },
		{ WRITE, 8, "i", UNREAD, "0:|.....fg.i", { 0, 1, 0, false }, 0 },
		{ WRITE, 0, "ab", UNREAD, "0:ab|...fg.i", { 2, 2, 0, false }, 0 },
		{ WRITE, 2, "cde", UNREAD, "0:abcdefg|.i", { 5, 3, 0, false }, 0 },
		{ WRITE, 7, "h", UNREAD, "0:abcdefghi|", { 2, 1, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_FIRST);
}

static void a_retransmission_with_the_same_bytes_adds_only_what_is_new(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcd", UNREAD, "0:abcd|", { 4, 4, 0, false }, 0 },
		{ WRITE, 0, "abcd", UNREAD, "0:abcd|", { 0, 0, 0, false }, 0 },
		{ WRITE, 2, "cdef", UNREAD, "0:abcdef|", { 2, 2, 0, false }, 0 },
		{ WRITE, 8, "ij", UNREAD, "0:abcdef|..ij", { 0, 2, 0, false }, 0 },
		{ WRITE, 9, "jk", UNREAD, "0:abcdef|..ijk", { 0, 1, 0, false }, 0 },
		{ WRITE, 4, "efghijklm", UNREAD, "0:abcdefghijklm|", { 7, 4, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_LAST);
}

static void where_bytes_differ_the_first_win(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcd", UNREAD, "0:abcd|", { 4, 4, 0, false }, 0 },
		{ WRITE, 2, "CDef", UNREAD, "0:abcdef|", { 2, 2, 0, true }, 0 },
		{ WRITE, 8, "ij", UNREAD, "0:abcdef|..ij", { 0, 2, 0, false }, 0 },
		{ WRITE, 7, "HIJK", UNREAD, "0:abcdef|.HijK", { 0, 2, 0, true }, 0 },
		{ WRITE, 6, "gHIJKL", UNREAD, "0:abcdefgHijKL|", { 6, 2, 0, true }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_FIRST);
}

static void where_bytes_differ_the_last_win_if_so_asked(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcd", UNREAD, "0:abcd|", { 4, 4, 0, false }, 0 },
		{ WRITE, 2, "CDef", UNREAD, "0:abCDef|", { 2, 2, 0, true }, 0 },
		{ WRITE, 8, "ij", UNREAD, "0:abCDef|..ij", { 0, 2, 0, false }, 0 },
		{ WRITE, 7, "HIJK", UNREAD, "0:abCDef|.HIJK", { 0, 2, 0, true }, 0 },
		{ WRITE, 6, "ghijkl", UNREAD, "0:abCDefghijkl|", { 6, 2, 0, true }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_LAST);
}

/* ---- the limit */

static void oldest_unread_bytes_go_for_in_order_ones_and_this_is_told_before(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcdefgh", UNREAD, "0:abcdefgh|", { 8, 8, 0, false }, 0 },
		{ WRITE, 8, "ij", UNREAD, "2:cdefghij|", { 2, 2, 0, false }, 2 },
		{ WRITE, 10, "kl", 3, "4:efghijkl|", { 2, 2, 0, false }, 1 },
		{ WRITE, 12, "mn", 6, "6:ghijklmn|", { 2, 2, 0, false }, 0 },
		{ WRITE, 12, "mnopqrstuvw", 6, "15:pqrstuvw|", { 9, 8, 1, false }, 8 },
	};

	(void)state;
	RUN(steps, 8, MOS_OVERLAP_POLICY_FIRST);
}

static void a_write_longer_than_the_limit_leaves_its_last_bytes(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcdefghij", UNREAD, "6:ghij|", { 10, 4, 6, false }, 0 },
		{ WRITE, 11, "lm", READ, "9:j|.lm", { 0, 2, 0, false }, 0 },
		{ WRITE, 10, "kLMnopq", READ, "13:nopq|", { 7, 4, 3, false }, 0 },
	};

	(void)state;
	RUN(steps, 4, MOS_OVERLAP_POLICY_FIRST);
}

static void early_bytes_under_a_long_write_still_win_if_they_came_first(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 2, "CD", UNREAD, "0:|..CD", { 0, 2, 0, false }, 0 },
		{ WRITE, 0, "abcdef", UNREAD, "2:CDef|", { 6, 2, 2, true }, 0 },
	};

	(void)state;
	RUN(steps, 4, MOS_OVERLAP_POLICY_FIRST);
}

static void early_bytes_displace_read_bytes_but_never_unread_ones(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcdef", UNREAD, "0:abcdef|", { 6, 6, 0, false }, 0 },
		{ WRITE, 7, "hij", UNREAD, "0:abcdef|.h", { 0, 1, 2, false }, 0 },
		{ WRITE, 9, "jk", UNREAD, "0:abcdef|.h", { 0, 0, 2, false }, 0 },
		{ WRITE, 7, "hij", 1, "1:bcdef|.hi", { 0, 1, 1, false }, 0 },
		{ WRITE, 9, "jkl", READ, "4:ef|.hijkl", { 0, 3, 0, false }, 0 },
		{ WRITE, 14, "o", READ, "6:|.hijkl", { 0, 0, 1, false }, 0 },
	};

	(void)state;
	RUN(steps, 8, MOS_OVERLAP_POLICY_FIRST);
}

static void one_byte_is_a_limit_too(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 1, "b", UNREAD, "0:|", { 0, 0, 1, false }, 0 },
		{ WRITE, 0, "a", UNREAD, "0:a|", { 1, 1, 0, false }, 0 },
		{ WRITE, 1, "b", UNREAD, "1:b|", { 1, 1, 0, false }, 1 },
		{ WRITE, 2, "cde", 2, "4:e|", { 3, 1, 2, false }, 0 },
		{ SKIP, 6, .kept = "6:|", .w = { .dropped = 1 } },
		{ WRITE, 6, "g", READ, "6:g|", { 1, 1, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 1, MOS_OVERLAP_POLICY_FIRST);
}

static void bytes_below_base_are_stale_and_not_lost(void **state)
{
	struct stream s;

	(void)state;
	begin(&s, 8, MOS_OVERLAP_POLICY_FIRST);
	stream_write(&s, &slab, 0, "abcdefgh", 8, UNREAD);
	stream_write(&s, &slab, 8, "ijkl", 4, READ);

	struct stream_write w = stream_write(&s, &slab, 0, "XXXXXX", 6, READ);

	assert_int_equal(s.base, 4);
	assert_int_equal(w.dropped, 4);
	assert_true(w.conflict);
	assert_int_equal(s.lost, 0);
	stream_write(&s, &slab, 12, "mnopqrstuvwx", 12, READ);
	assert_int_equal(s.lost, 4);
	end(&s);
}

static void a_stream_may_begin_late(void **state)
{
	struct stream s;
	char text[64];

	(void)state;
	slab_init(&slab, 0);
	stream_init(&s, 16, MOS_OVERLAP_POLICY_FIRST, 5000000000);
	assert_reads(&s, 0, "", 5000000000);

	struct stream_write w = stream_write(&s, &slab, 4999999999, "abc", 3, READ);

	assert_int_equal(w.dropped, 1);
	assert_int_equal(w.grown, 2);
	stream_text(&s, text, sizeof(text));
	assert_string_equal(text, "5000000000:bc|");
	end(&s);
}

static void a_limit_beyond_all_memory_is_no_trouble(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 12, "cd", UNREAD, "10:|..cd", { 0, 2, 0, false }, 0 },
		{ RESIZE, SIZE_MAX - 1, .kept = "10:|..cd" },
		{ WRITE, 10, "ab", UNREAD, "10:abcd|", { 4, 2, 0, false }, 0 },
		{ WRITE, 15, "f", UNREAD, "10:abcd|.f", { 0, 1, 0, false }, 0 },
	};
	struct stream s;

	(void)state;
	slab_init(&slab, 0);
	stream_init(&s, SIZE_MAX, MOS_OVERLAP_POLICY_FIRST, 10);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		run_step(&s, &steps[i]);
	end(&s);
}

/* ---- gaps */

static void a_skipped_hole_becomes_a_gap_and_the_stream_goes_on(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abc", UNREAD, "0:abc|", { 3, 3, 0, false }, 0 },
		{ SKIP, 3, .kept = "0:abc|" },
		{ SKIP, 2, .kept = "0:abc|" },
		{ SKIP, 5, .kept = "0:abc--|", .w = { .dropped = 2 } },
		{ WRITE, 5, "fg", UNREAD, "0:abc--fg|", { 2, 2, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_FIRST);
}

static void a_skip_keeps_early_bytes_and_ends_with_the_run_it_meets(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 2, "cd", UNREAD, "0:|..cd", { 0, 2, 0, false }, 0 },
		{ WRITE, 6, "gh", UNREAD, "0:|..cd..gh", { 0, 2, 0, false }, 0 },
		{ WRITE, 9, "j", UNREAD, "0:|..cd..gh.j", { 0, 1, 0, false }, 0 },
		{ SKIP, 1, .kept = "0:-|.cd..gh.j", .w = { .dropped = 1 } },
		{ SKIP, 2, .kept = "0:--cd|..gh.j", .w = { .dropped = 1 } },
		{ SKIP, 7, .kept = "0:--cd--gh|.j", .w = { .dropped = 2 } },
		{ SKIP, 12, .kept = "0:--cd--gh-j--|", .w = { .dropped = 3 } },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_FIRST);
}

static void late_bytes_fill_a_gap_that_is_still_in_the_window(void **state)
{
	static const struct step steps[] = {
		{ SKIP, 8, .kept = "0:--------|", .w = { .dropped = 8 } },
		{ WRITE, 2, "cd", READ, "0:--cd----|", { 0, 2, 0, false }, 0 },
		{ WRITE, 1, "bCde", READ, "0:-bcde---|", { 0, 2, 0, true }, 0 },
		{ WRITE, 5, "fghi", READ, "0:-bcdefghi|", { 1, 4, 0, false }, 0 },
		{ WRITE, 0, "a", READ, "0:abcdefghi|", { 0, 1, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 64, MOS_OVERLAP_POLICY_FIRST);
}

static void readers_stop_at_gaps_and_learn_their_length(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "ab", UNREAD, "0:ab|", { 2, 2, 0, false }, 0 },
		{ WRITE, 4, "ef", UNREAD, "0:ab|..ef", { 0, 2, 0, false }, 0 },
		{ SKIP, 4, .kept = "0:ab--ef|", .w = { .dropped = 2 } },
		{ WRITE, 8, "ij", UNREAD, "0:ab--ef|..ij", { 0, 2, 0, false }, 0 },
	};
	struct stream s;
	char buf[8];

	(void)state;
	begin(&s, 64, MOS_OVERLAP_POLICY_FIRST);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		run_step(&s, &steps[i]);
	assert_reads(&s, 0, "ab", 0);
	assert_reads(&s, 1, "b", 0);
	assert_reads(&s, 2, "", 2);
	assert_reads(&s, 3, "", 1);
	assert_reads(&s, 4, "ef", 0);
	assert_reads(&s, 6, "", 0); /* a hole: the bytes may still come */
	assert_reads(&s, 8, "", 0);

	assert_int_equal(stream_ppeek(&s, 0, buf, 8), 2);
	assert_int_equal(stream_ppeek(&s, 0, buf, 1), 1);
	assert_int_equal(stream_ppeek(&s, 0, buf, 0), 0);
	assert_int_equal(stream_ppeek(&s, 3, buf, 8), -ENODATA);
	assert_int_equal(stream_ppeek(&s, 6, buf, 8), -ENODATA);
	assert_int_equal(stream_ppeek(&s, 9, buf, 8), 1);
	assert_memory_equal(buf, "j", 1);
	assert_int_equal(stream_ppeek(&s, 10, buf, 8), 0);
	assert_int_equal(stream_ppeek(&s, 11, buf, 8), -ENODATA);

	stream_resize(&s, &slab, 9);
	assert_int_equal(s.base, 1);
	assert_int_equal(stream_ppeek(&s, 0, buf, 8), -ERANGE);
	assert_reads(&s, 0, "", 1);
	stream_resize(&s, &slab, 7);
	assert_int_equal(s.base, 4); /* 3 lies in the gap */
	assert_reads(&s, 0, "", 4);
	end(&s);
}

static void a_gap_of_five_gigabytes_costs_nothing(void **state)
{
	const uint64_t far = 5000000000;
	struct stream s;
	char text[64];

	(void)state;
	begin(&s, 1 << 20, MOS_OVERLAP_POLICY_FIRST);
	stream_write(&s, &slab, 0, "abc", 3, UNREAD);
	stream_write(&s, &slab, 5, "fg", 2, UNREAD);

	size_t used = slab.used;

	assert_int_equal(stream_excess(&s, 3, far - 3, UNREAD), 3);
	assert_int_equal(stream_skip(&s, &slab, far), far - 5);
	assert_int_equal(s.base, far);
	assert_int_equal(s.lost, 2);
	assert_reads(&s, 1, "", far - 1);
	stream_write(&s, &slab, far, "xyz", 3, UNREAD);
	stream_text(&s, text, sizeof(text));
	assert_string_equal(text, "5000000000:xyz|");
	assert_in_range(slab.used, used, used + 64);
	end(&s);
}

static void a_gap_takes_along_only_what_the_window_cannot_hold(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcd", UNREAD, "0:abcd|", { 4, 4, 0, false }, 0 },
		{ SKIP, 8, .kept = "0:abcd----|", .w = { .dropped = 4 } },
		{ WRITE, 8, "ij", UNREAD, "2:cd----ij|", { 2, 2, 0, false }, 2 },
		{ WRITE, 10, "kl", UNREAD, "8:ijkl|", { 2, 2, 0, false }, 2 },
		{ WRITE, 14, "o", UNREAD, "8:ijkl|..o", { 0, 1, 0, false }, 0 },
		{ SKIP, 18, .kept = "10:kl--o---|", .w = { .dropped = 5 } },
		{ WRITE, 12, "mn", UNREAD, "10:klmno---|", { 0, 2, 0, false }, 0 },
		{ SKIP, 24, .kept = "24:|", .w = { .dropped = 6 } },
	};

	(void)state;
	RUN(steps, 8, MOS_OVERLAP_POLICY_FIRST);
}

/* ---- another limit */

static void a_smaller_limit_takes_the_oldest_first_and_then_what_is_too_early(void **state)
{
	static const struct step steps[] = {
		{ WRITE, 0, "abcd", UNREAD, "0:abcd|", { 4, 4, 0, false }, 0 },
		{ WRITE, 6, "gh", UNREAD, "0:abcd|..gh", { 0, 2, 0, false }, 0 },
		{ WRITE, 9, "jk", UNREAD, "0:abcd|..gh.jk", { 0, 2, 0, false }, 0 },
		{ RESIZE, 11, .kept = "0:abcd|..gh.jk" },
		{ RESIZE, 9, .kept = "2:cd|..gh.jk" },
		{ RESIZE, 3, .kept = "4:|..g" },
		{ RESIZE, 6, .kept = "4:|..g" },
		{ WRITE, 4, "efghij", UNREAD, "4:efghij|", { 6, 5, 0, false }, 0 },
		{ RESIZE, 0, .kept = "10:|" },
		{ WRITE, 10, "k", UNREAD, "11:|", { 1, 0, 1, false }, 0 },
		{ RESIZE, 2, .kept = "11:|" },
		{ WRITE, 11, "lm", UNREAD, "11:lm|", { 2, 2, 0, false }, 0 },
	};

	(void)state;
	RUN(steps, 16, MOS_OVERLAP_POLICY_FIRST);
}

static void a_smaller_limit_gives_memory_back(void **state)
{
	struct stream s;
	static char data[65536];

	(void)state;
	begin(&s, 65536, MOS_OVERLAP_POLICY_FIRST);
	stream_write(&s, &slab, 0, data, sizeof(data), UNREAD);
	assert_int_equal(slab.used, 65536);
	stream_resize(&s, &slab, 4096);
	assert_int_equal(slab.used, 4096);
	stream_resize(&s, &slab, 0);
	assert_int_equal(slab.used, 0);
	end(&s);
}

/* ---- memory */

static void memory_is_taken_at_the_first_byte_and_doubles_up_to_the_limit(void **state)
{
	static const struct {
		size_t len, used;
	} steps[] = { { 1, 2048 }, { 2047, 2048 }, { 1, 4096 }, { 2048, 8192 }, { 4096, 8192 }, { 5000, 8192 } };
	static char data[8192];
	struct stream s;

	(void)state;
	begin(&s, 8192, MOS_OVERLAP_POLICY_FIRST);
	assert_int_equal(slab.used, 0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		stream_write(&s, &slab, s.cont, data, steps[i].len, READ);
		assert_int_equal(slab.used, steps[i].used);
	}
	end(&s);
	begin(&s, 8192, MOS_OVERLAP_POLICY_FIRST);
	stream_write(&s, &slab, 5000, data, 1, UNREAD);
	assert_int_equal(slab.used, 8192 + 64);
	end(&s);
}

/* Append 1 MiB in segments of 1460 with a reader that lags by so much; returns the bytes moved meanwhile. */
static uint64_t bytes_moved(size_t limit, uint64_t lag)
{
	static uint8_t data[1460];
	struct stream s;
	uint64_t moved = 0;

	begin(&s, limit, MOS_OVERLAP_POLICY_FIRST);
	while (s.cont < 1 << 20) {
		uint64_t keep = s.cont > lag ? s.cont - lag : 0, old_cont = s.cont;
		uint8_t *last = s.cont ? s.buf + (s.cont - 1 - s.base) : NULL;

		stream_write(&s, &slab, s.cont, data, sizeof(data), keep);
		assert_true(s.cont - s.base >= (s.cont < limit ? s.cont : limit / 2));
		if (last && old_cont > s.base && s.buf + (old_cont - 1 - s.base) != last)
			moved += old_cont - s.base;
	}
	end(&s);
	return moved;
}

static void moving_bytes_costs_a_byte_per_byte_whoever_lags(void **state)
{
	static const size_t limits[] = { 2048, 3000, 8192, 65536, 100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		for (uint64_t lag = 0; lag <= 2 * limits[i]; lag += limits[i] / 8)
			assert_in_range(bytes_moved(limits[i], lag), 0, 3 << 19);
}

static void in_order_bytes_without_memory_become_a_gap(void **state)
{
	static char data[3000];
	struct stream s;
	size_t len;
	uint64_t gap;

	(void)state;
	slab_init(&slab, 1000);
	stream_init(&s, 8192, MOS_OVERLAP_POLICY_FIRST, 0);

	struct stream_write w = stream_write(&s, &slab, 0, data, 100, UNREAD);

	assert_int_equal(w.grown, 100);
	assert_int_equal(w.added, 0);
	assert_int_equal(w.dropped, 100);
	assert_int_equal(s.lost, 100);
	assert_reads(&s, 0, "", 100);

	slab.limit = 2048 + 64;
	stream_write(&s, &slab, 100, data, 2000, UNREAD);
	w = stream_write(&s, &slab, 2100, data, 1000, 500);
	assert_int_equal(w.grown, 1000);
	assert_int_equal(w.added + w.dropped, 1000);
	assert_in_range(w.added, 1, 999);
	assert_int_equal(s.lost, 100 + w.dropped);
	assert_non_null(stream_view(&s, 500, &len, &gap));
	assert_int_equal(500 + len, 3100 - w.dropped);
	assert_null(stream_view(&s, 500 + len, &len, &gap));
	assert_int_equal(gap, w.dropped);

	w = stream_write(&s, &slab, 3100, data, 1000, 3100);
	assert_int_equal(w.added, 1000);
	assert_non_null(stream_view(&s, 3100, &len, &gap));
	assert_int_equal(len, 1000);
	end(&s);
}

static void early_bytes_without_memory_are_dropped(void **state)
{
	struct stream s;

	(void)state;
	slab_init(&slab, 2048);
	stream_init(&s, 8192, MOS_OVERLAP_POLICY_FIRST, 0);
	stream_write(&s, &slab, 0, "abc", 3, UNREAD);

	struct stream_write w = stream_write(&s, &slab, 5000, "x", 1, UNREAD);

	assert_int_equal(w.dropped, 1);
	w = stream_write(&s, &slab, 10, "x", 1, UNREAD); /* no memory for the list of runs */
	assert_int_equal(w.dropped, 1);
	assert_int_equal(s.max, 3);
	assert_int_equal(s.lost, 2);
	end(&s);
}

static void a_gap_that_cannot_be_remembered_takes_what_is_below_it(void **state)
{
	struct stream s;

	(void)state;
	slab_init(&slab, 2048);
	stream_init(&s, 8192, MOS_OVERLAP_POLICY_FIRST, 0);
	stream_write(&s, &slab, 0, "abc", 3, UNREAD);
	assert_int_equal(stream_skip(&s, &slab, 5), 2);
	assert_int_equal(s.base, 5);
	stream_write(&s, &slab, 5, "fg", 2, UNREAD);
	assert_reads(&s, 0, "", 5);
	assert_reads(&s, 5, "fg", 0);
	end(&s);
}

static void the_number_of_early_runs_and_of_gaps_is_bounded(void **state)
{
	struct stream s;
	struct stream_write w;

	(void)state;
	begin(&s, 65536, MOS_OVERLAP_POLICY_FIRST);
	for (uint64_t i = 0; i < STREAM_MAX_RUNS; i++)
		stream_write(&s, &slab, 2 * i + 1, "x", 1, UNREAD);
	assert_int_equal(stream_runs(&s, NULL, 0), STREAM_MAX_RUNS);
	w = stream_write(&s, &slab, 2 * STREAM_MAX_RUNS + 1, "x", 1, UNREAD);
	assert_int_equal(w.dropped, 1);
	assert_int_equal(s.lost, 1);
	w = stream_write(&s, &slab, 2 * STREAM_MAX_RUNS, "y", 1, UNREAD); /* touches the last run */
	assert_int_equal(w.added, 1);

	assert_int_equal(stream_skip(&s, &slab, 2 * STREAM_MAX_RUNS + 3), STREAM_MAX_RUNS + 2);
	assert_int_equal(s.holes.n, STREAM_MAX_RUNS);
	assert_int_equal(s.base, 1); /* the first gap, of one byte, was forgotten with what is below it */
	end(&s);
}

/* ---- a random life against the naive model: a byte and a flag for every offset */

enum { SPAN = 1 << 16 };

struct model {
	uint64_t start; /* offset of there[0] and bytes[0] */
	uint64_t base, cont, max, limit, lost;
	bool last_wins;
	bool there[SPAN];
	uint8_t bytes[SPAN];
};

struct segment {
	uint64_t off, end, keep;
	uint8_t bytes[SPAN];
};

static struct model model;
static struct segment seg;
static uint64_t rng_state;

static uint64_t rng(uint64_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state % below;
}

static bool chance(uint64_t of)
{
	return rng(of) == 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool *there(uint64_t off)
{
	assert_in_range(off - model.start, 0, SPAN - 1);
	return &model.there[off - model.start];
}

static uint8_t *byte(uint64_t off)
{
	return &model.bytes[off - model.start];
}

static uint64_t count_there(uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += *there(from);
	return n;
}

/* Where a base that rises to off comes to rest. */
static uint64_t beyond_gap(uint64_t off)
{
	while (off < model.cont && !*there(off))
		off++;
	return off;
}

/* One byte of a segment: compared where there was one. */
static void model_put(uint64_t off, struct stream_write *w)
{
	uint8_t b = seg.bytes[off - seg.off];

	if (*there(off))
		w->conflict |= *byte(off) != b;
	else
		w->added++;
	if (!*there(off) || model.last_wins)
		*byte(off) = b;
	*there(off) = true;
}

static void model_raise_cont(uint64_t to)
{
	model.cont = larger(model.cont, to);
	while (model.cont - model.start < SPAN && *there(model.cont))
		model.cont++;
	model.max = larger(model.max, model.cont);
}

/* Bytes below base are gone. */
static void model_raise_base(uint64_t to)
{
	for (; model.base < to; model.base++)
		*there(model.base) = false;
}

/*
 * The lowest base that a write allows, and the highest: where bytes move in memory, read ones may go, but never more
 * than leave half of it in use. exact: memory never was short.
 */
static void assert_base_follows_the_rules(const struct stream *s, uint64_t low, uint64_t read, bool exact)
{
	uint64_t high;

	low = low > model.base ? beyond_gap(low) : model.base;
	if (s->base == low)
		return;
	assert_true(s->base > low);
	if (!exact)
		return;
	high = smaller(read, smaller(larger(seg.end, s->cap / 2) - s->cap / 2, model.max));
	assert_true(s->base <= beyond_gap(larger(low, high)));
}

static uint64_t model_excess(void)
{
	if (seg.off > model.cont || seg.end <= model.cont || seg.end - model.base <= model.limit)
		return 0;
	return count_there(larger(seg.keep, model.base), smaller(seg.end - model.limit, model.cont));
}

/* The bytes from cont on, once it is known where base went. */
static void model_write_new(uint64_t from, struct stream_write *w, uint64_t base)
{
	uint64_t to = from > model.cont ? smaller(seg.end, base + model.limit) : seg.end;

	for (uint64_t off = from; off < to; off++) {
		if (off < base)
			w->dropped++;
		else
			model_put(off, w);
	}
	w->dropped += seg.end - larger(from, to);
	model.max = larger(model.max, to > from ? to : 0);
	if (from <= model.cont)
		model_raise_cont(seg.end);
	model_raise_base(base);
}

/* Bytes of the segment that memory was too short for. had: what was there before it. */
static uint64_t model_forget_missing(const struct stream *s, const bool *had)
{
	uint8_t b;
	uint64_t n = 0;

	for (uint64_t off = larger(seg.off, model.base); off < seg.end && off < model.max; off++) {
		if (!*there(off) || stream_ppeek(s, off, &b, 1) == 1)
			continue;
		assert_false(had[off - seg.off]);
		*there(off) = false;
		n++;
	}
	while (model.max > model.cont && !*there(model.max - 1))
		model.max--;
	return n;
}

static void random_write(struct stream *s, bool exact)
{
	static bool had[SPAN];
	struct stream_write want = { 0 }, got;
	uint64_t len = seg.end - seg.off, stale = smaller(len, larger(seg.off, model.base) - seg.off);
	uint64_t old_cont = model.cont, off = seg.off + stale, missing, low, read;

	for (uint64_t i = 0; i < len; i++)
		had[i] = seg.off + i >= model.base && *there(seg.off + i);
	assert_int_equal(stream_excess(s, seg.off, len, seg.keep), model_excess());
	got = stream_write(s, &slab, seg.off, seg.bytes, len, seg.keep);

	want.dropped = stale;
	for (; off < smaller(seg.end, old_cont); off++)
		model_put(off, &want);
	read = larger(model.base, smaller(seg.keep, model.cont));
	low = larger(seg.end, model.limit) - model.limit;
	if (off == seg.end)
		low = read = model.base;
	else if (off > model.cont)
		low = smaller(low, read);
	assert_base_follows_the_rules(s, low, read, exact);
	if (off < seg.end)
		model_write_new(off, &want, s->base);
	else
		model_raise_base(s->base);

	missing = model_forget_missing(s, had);
	if (exact)
		assert_int_equal(missing, 0);
	assert_int_equal(got.grown, model.cont - old_cont);
	assert_int_equal(got.added, want.added - missing);
	assert_int_equal(got.dropped, want.dropped + missing);
	assert_int_equal(got.conflict, want.conflict);
	model.lost += want.dropped - stale + missing;
}

static void random_skip(struct stream *s, bool exact)
{
	uint64_t to = model.cont + rng(model.limit * 2 + 2), old_cont = model.cont, low;

	to = smaller(to, model.start + SPAN - 1);

	uint64_t missing = to - old_cont - count_there(old_cont, to);

	assert_int_equal(stream_skip(s, &slab, to), missing);
	model_raise_cont(to);
	low = larger(model.cont, model.limit) - model.limit;
	model.lost += low > old_cont ? count_there(old_cont, low) : 0;
	if (exact)
		assert_int_equal(s->base, low > model.base ? beyond_gap(low) : model.base);
	else
		assert_true(s->base >= low);
	model_raise_base(s->base);
}

static void random_resize(struct stream *s)
{
	uint64_t limit = rng(4) ? rng(model.limit * 2 + 1) : rng(8192);

	model.limit = limit;
	if (model.max - model.base > limit)
		model_raise_base(beyond_gap(smaller(model.cont, model.max - limit)));
	while (model.max - model.base > limit || (model.max > model.cont && !*there(model.max - 1))) {
		model.max--;
		model.lost += *there(model.max);
		*there(model.max) = false;
	}
	stream_resize(s, &slab, limit);
	assert_int_equal(s->base, model.base);
}

static void assert_same_at(const struct stream *s, uint64_t off)
{
	static uint8_t buf[SPAN];
	uint64_t gap, want_gap = 0, n, end = off;
	size_t len;
	const uint8_t *p = stream_view(s, off, &len, &gap);
	ssize_t copied = stream_ppeek(s, off, buf, sizeof(buf));

	while (off + want_gap < model.cont && (off + want_gap < model.base || !*there(off + want_gap)))
		want_gap++;
	assert_int_equal(gap, want_gap);
	assert_true(len == 0 || gap == 0);
	while (end >= model.base && end < model.max && *there(end))
		end++;
	n = end - off;
	if (s->held && off < model.cont)
		assert_true(len <= n && (len > 0) == (n > 0)); /* as far as the piece reaches */
	else
		assert_int_equal(len, off < model.cont ? n : 0);
	assert_int_equal(copied, n ? (ssize_t)n : off < model.base ? -ERANGE : off == model.max ? 0 : -ENODATA);
	if (len)
		assert_memory_equal(p, byte(off), len);
	if (n)
		assert_memory_equal(buf, byte(off), n);
}

static void assert_same(const struct stream *s)
{
	static struct range runs[STREAM_MAX_RUNS * 2 + 1];
	uint32_t n = stream_runs(s, runs, ARRAY_LEN(runs));
	uint64_t off = model.base;

	assert_int_equal(s->base, model.base);
	assert_int_equal(s->cont, model.cont);
	assert_int_equal(s->max, model.max);
	assert_int_equal(s->lost, model.lost);
	assert_true(s->max - s->base <= s->limit);
	assert_true(s->cap < SPAN * 2);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(count_there(off, runs[i].from), 0);
		assert_int_equal(count_there(runs[i].from, runs[i].to), runs[i].to - runs[i].from);
		assert_same_at(s, runs[i].from);
		off = runs[i].to;
	}
	assert_int_equal(count_there(off, model.max), 0);
}

/* Where the next segment lies: in order, again, early, or anywhere. */
static void random_segment(uint64_t longest)
{
	uint64_t len = rng(longest) + !chance(20), off = model.cont;

	if (chance(3))
		off += rng(model.limit + longest);
	else if (chance(3))
		off -= smaller(off - model.start, rng(model.limit + longest));
	if (off - model.start > SPAN - 1)
		off = model.start + SPAN - 1;
	seg.off = off;
	seg.end = smaller(off + len, model.start + SPAN - 1);
	for (uint64_t i = 0; i < seg.end - seg.off; i++)
		seg.bytes[i] = (uint8_t)((off + i) * 7 + chance(50));
}

static void random_read(uint64_t *cursor)
{
	if (*cursor < model.cont && !chance(4))
		*cursor += rng(model.cont - *cursor + 1);
}

enum { PIECES = 4, PIECE_MAX = 700 };

/* Bytes in order, offered to be held. */
static void random_hold(struct stream *s, struct stream_piece *piece, uint8_t *bytes, uint64_t cursor)
{
	uint64_t len = smaller(1 + rng(PIECE_MAX), model.start + SPAN - 1 - model.cont), from = model.cont;
	bool fits = len + (s->held ? model.cont - model.base : 0) <= model.limit;
	bool all_read = cursor >= (s->held ? model.base : model.cont);

	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((from + i) * 7 + chance(50));
	*piece = (struct stream_piece){ .bytes = bytes, .len = len };
	if (!len)
		return;
	assert_int_equal(stream_hold(s, &slab, piece, cursor), fits && all_read && model.max == model.cont);
	if (s->cont == from)
		return;
	if (s->first == piece)
		model_raise_base(from);
	for (uint64_t i = 0; i < len; i++) {
		*byte(from + i) = bytes[i];
		*there(from + i) = true;
	}
	model_raise_cont(from + len);
}

static void random_burst(struct stream *s, uint64_t *cursor)
{
	static uint8_t bytes[PIECES][PIECE_MAX];
	struct stream_piece pieces[PIECES];

	for (unsigned i = 0; i < PIECES; i++) {
		random_hold(s, &pieces[i], bytes[i], *cursor);
		assert_same(s);
		random_read(cursor);
		if (chance(10))
			stream_unite(s, &slab);
		assert_same(s);
	}
	if (s->held)
		model_raise_base(smaller(larger(*cursor, model.base), model.cont));
	stream_settle(s, &slab, *cursor);
	memset(bytes, 0, sizeof(bytes));
}

static void random_op(struct stream *s, uint64_t *cursor, uint64_t longest, bool exact)
{
	random_read(cursor);
	if (exact && chance(10)) {
		if (chance(2))
			*cursor = model.cont;
		random_burst(s, cursor);
	} else if (chance(40)) {
		random_skip(s, exact);
	} else if (chance(200)) {
		random_resize(s);
	} else {
		random_segment(longest);
		seg.keep = chance(10) ? UINT64_MAX : *cursor;
		random_write(s, exact);
	}
	assert_same(s);
	assert_same_at(s, model.start + rng(model.max - model.start + 2));
}

/* One stream, until the model's offsets run out. Returns the operations done. */
static unsigned random_life(uint64_t limit, uint64_t longest, size_t memory)
{
	struct stream s;
	uint64_t cursor;
	unsigned ops = 0;

	memset(model.there, 0, sizeof(model.there));
	model.start = chance(2) ? 0 : rng(1ULL << 40);
	model.base = model.cont = model.max = cursor = model.start;
	model.limit = limit;
	model.lost = 0;
	model.last_wins = chance(2);
	slab_init(&slab, 0);
	stream_init(&s, limit, model.last_wins ? MOS_OVERLAP_POLICY_LAST : MOS_OVERLAP_POLICY_FIRST, model.start);
	for (; ops < 2000 && model.cont - model.start < SPAN / 2; ops++) {
		if (memory)
			slab.limit = slab.used + rng(memory) + 1;
		random_op(&s, &cursor, longest, memory == 0);
	}
	end(&s);
	return ops;
}

static void random_lives(size_t memory, unsigned want)
{
	static const uint64_t limits[] = { 1, 2, 7, 40, 300, 2048, 3000, 8192, 20000 };
	unsigned ops = 0;

	rng_state = 88172645463325252;
	while (ops < want) {
		uint64_t limit = limits[rng(ARRAY_LEN(limits))];

		ops += random_life(limit, 1 + rng(chance(3) ? limit * 2 : limit / 4 + 3), memory);
	}
}

static void a_random_life_agrees_with_a_byte_per_offset(void **state)
{
	(void)state;
	random_lives(0, 60000);
}

static void a_random_life_on_short_memory_drops_what_it_says_and_exposes_nothing_else(void **state)
{
	(void)state;
	random_lives(6000, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_bytes_are_appended_and_stay_after_being_read),
		cmocka_unit_test(early_bytes_wait_in_their_place_until_the_hole_is_filled),
		cmocka_unit_test(a_retransmission_with_the_same_bytes_adds_only_what_is_new),
		cmocka_unit_test(where_bytes_differ_the_first_win),
		cmocka_unit_test(where_bytes_differ_the_last_win_if_so_asked),
		cmocka_unit_test(oldest_unread_bytes_go_for_in_order_ones_and_this_is_told_before),
		cmocka_unit_test(a_write_longer_than_the_limit_leaves_its_last_bytes),
		cmocka_unit_test(early_bytes_under_a_long_write_still_win_if_they_came_first),
		cmocka_unit_test(early_bytes_displace_read_bytes_but_never_unread_ones),
		cmocka_unit_test(one_byte_is_a_limit_too),
		cmocka_unit_test(a_limit_beyond_all_memory_is_no_trouble),
		cmocka_unit_test(bytes_below_base_are_stale_and_not_lost),
		cmocka_unit_test(a_stream_may_begin_late),
		cmocka_unit_test(a_skipped_hole_becomes_a_gap_and_the_stream_goes_on),
		cmocka_unit_test(a_skip_keeps_early_bytes_and_ends_with_the_run_it_meets),
		cmocka_unit_test(late_bytes_fill_a_gap_that_is_still_in_the_window),
		cmocka_unit_test(readers_stop_at_gaps_and_learn_their_length),
		cmocka_unit_test(a_gap_of_five_gigabytes_costs_nothing),
		cmocka_unit_test(a_gap_takes_along_only_what_the_window_cannot_hold),
		cmocka_unit_test(a_smaller_limit_takes_the_oldest_first_and_then_what_is_too_early),
		cmocka_unit_test(a_smaller_limit_gives_memory_back),
		cmocka_unit_test(memory_is_taken_at_the_first_byte_and_doubles_up_to_the_limit),
		cmocka_unit_test(moving_bytes_costs_a_byte_per_byte_whoever_lags),
		cmocka_unit_test(in_order_bytes_without_memory_become_a_gap),
		cmocka_unit_test(early_bytes_without_memory_are_dropped),
		cmocka_unit_test(a_gap_that_cannot_be_remembered_takes_what_is_below_it),
		cmocka_unit_test(the_number_of_early_runs_and_of_gaps_is_bounded),
		cmocka_unit_test(a_random_life_agrees_with_a_byte_per_offset),
		cmocka_unit_test(a_random_life_on_short_memory_drops_what_it_says_and_exposes_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
