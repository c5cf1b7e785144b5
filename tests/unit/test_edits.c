#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp/edits.h"

static struct slab slab;

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

static void add(struct edits *e, uint64_t at, uint32_t cut, const char *bytes, bool back)
{
	assert_int_equal(edits_add(e, &slab, at, cut, bytes, (uint32_t)strlen(bytes), back), 0);
}

/* What becomes of letters [off, off + len). */
static const char *image(const struct edits *e, int64_t off, uint32_t len)
{
	static char out[256];
	size_t n = edits_image_len(e, off, len, false);

	assert_true(n < sizeof(out));
	edits_image(e, off, len, false, (const uint8_t *)letters + off, (uint8_t *)out);
	out[n] = '\0';
	return out;
}

static void without_edits_numbers_are_the_same(void **state)
{
	struct edits e = { 0 };

	(void)state;
	assert_int_equal(edits_out(&e, 7, false), 7);
	assert_int_equal(edits_in(&e, 7), 7);
	assert_int_equal(edits_in_from(&e, 7), 7);
	assert_false(edits_touch(&e, 0, 100, false));
	assert_string_equal(image(&e, 2, 3), "cde");
}

static void inserted_bytes_are_acknowledged_before_the_byte_that_they_stand_before(void **state)
{
	struct edits e = { 0 };

	(void)state;
	add(&e, 3, 0, "XYZ", false);
	edits_pass(&e);
	assert_string_equal(image(&e, 0, 6), "abcXYZdef");
	assert_string_equal(image(&e, 3, 3), "XYZdef");
	assert_string_equal(image(&e, 0, 3), "abc");
	assert_string_equal(image(&e, 4, 2), "ef");
	assert_int_equal(edits_out(&e, 3, false), 3);
	assert_int_equal(edits_out(&e, 4, false), 7);
	for (int64_t pos = 3; pos <= 6; pos++)
		assert_int_equal(edits_in(&e, pos), 3);
	assert_int_equal(edits_in(&e, 7), 4);
	assert_int_equal(edits_in_from(&e, 3), 3);
	assert_int_equal(edits_in_from(&e, 4), 4);
	assert_int_equal(edits_in_from(&e, 6), 4);
	assert_int_equal(edits_in_from(&e, 7), 4);
	edits_fini(&e, &slab);
}

static void appended_bytes_are_acknowledged_with_the_byte_that_they_follow(void **state)
{
	struct edits e = { 0 };

	(void)state;
	add(&e, 3, 0, "XYZ", true);
	edits_pass(&e);
	assert_string_equal(image(&e, 0, 3), "abcXYZ");
	assert_string_equal(image(&e, 2, 1), "cXYZ");
	assert_string_equal(image(&e, 3, 3), "def");
	assert_int_equal(edits_out(&e, 3, false), 6);
	for (int64_t pos = 3; pos < 6; pos++)
		assert_int_equal(edits_in(&e, pos), 2);
	assert_int_equal(edits_in(&e, 6), 3);
	edits_fini(&e, &slab);
}

static void bytes_cut_out_are_acknowledged_with_those_before_them(void **state)
{
	struct edits e = { 0 };

	(void)state;
	add(&e, 3, 4, "", false);
	edits_pass(&e);
	assert_string_equal(image(&e, 0, 10), "abchij");
	assert_string_equal(image(&e, 4, 6), "hij");
	assert_string_equal(image(&e, 4, 2), "");
	assert_int_equal(edits_in(&e, 2), 2);
	assert_int_equal(edits_in(&e, 3), 7);
	assert_int_equal(edits_in(&e, 4), 8);
	assert_int_equal(edits_out(&e, 5, false), 3);
	edits_fini(&e, &slab);
}

static void edits_of_one_segment_that_overlap_become_one(void **state)
{
	struct edits e = { 0 };

	(void)state;
	add(&e, 4, 0, "1", false);
	add(&e, 2, 5, "2", false);
	add(&e, 4, 0, "3", false);
	add(&e, 6, 3, "4", false);
	add(&e, 10, 0, "5", true);
	add(&e, 10, 0, "6", true);
	add(&e, 10, 0, "7", false);
	assert_string_equal(image(&e, 0, 12), "ab2134j567kl");
	assert_int_equal(e.n, 3);
	edits_fini(&e, &slab);
}

static void what_has_left_is_neither_changed_nor_taken_back(void **state)
{
	struct edits e = { 0 };

	(void)state;
	add(&e, 2, 0, "1", false);
	edits_pass(&e);
	add(&e, 2, 0, "2", false);
	add(&e, 5, 1, "3", false);
	assert_string_equal(image(&e, 0, 8), "ab12cde3gh");
	assert_true(edits_has_left(&e, 2, 0));
	assert_false(edits_has_left(&e, 5, 1));
	edits_undo(&e, &slab);
	assert_string_equal(image(&e, 0, 8), "ab1cdefgh");
	edits_fini(&e, &slab);
}

static void what_was_acknowledged_is_one_difference(void **state)
{
	struct edits e = { 0 };

	(void)state;
	add(&e, 2, 0, "12", false);
	add(&e, 5, 3, "", false);
	add(&e, 9, 0, "34", true);
	edits_pass(&e);
	edits_settle(&e, &slab, 3);
	assert_int_equal(e.n, 3);
	edits_settle(&e, &slab, 5);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.shift, 2);
	edits_settle(&e, &slab, 100);
	assert_int_equal(e.n, 0);
	assert_int_equal(e.shift, 1);
	assert_string_equal(image(&e, 4, 4), "efgh");
	edits_fini(&e, &slab);
}

static void too_many_are_refused_and_nothing_changes(void **state)
{
	struct edits e = { 0 };

	(void)state;
	for (uint64_t i = 0; i < EDITS_MAX; i++)
		add(&e, 2 * i, 1, "", false);
	assert_true(edits_add(&e, &slab, 1 << 20, 1, "", 0, false) < 0);
	assert_int_equal(e.n, EDITS_MAX);
	edits_fini(&e, &slab);
	assert_int_equal(slab.used, 0);
}

/* A plain model: what became of each of the sender's bytes. */
enum { BYTES = 400 };
struct model {
	uint8_t src[BYTES];
	char *of[BYTES]; /* text that stands for the byte */
};

static void model_build(struct model *m, struct edits *e)
{
	for (int i = 0; i < BYTES; i++) {
		m->src[i] = (uint8_t)rand();
		m->of[i] = calloc(1, 64);
		m->of[i][0] = 1; /* length */
		m->of[i][1] = (char)m->src[i];
	}
	for (int i = 0; i + 20 < BYTES; i += 4 + rand() % 12) {
		char bytes[20];
		int cut = rand() % 4, put = rand() % 12, kind = rand() % 3;

		for (int k = 0; k < put; k++)
			bytes[k] = (char)rand();
		if (kind == 2) {
			if (!put || !i || m->of[i - 1][0] != 1)
				continue;
			assert_int_equal(edits_add(e, &slab, (uint64_t)i, 0, bytes, (uint32_t)put, true), 0);
			memcpy(m->of[i - 1] + 2, bytes, (size_t)put);
			m->of[i - 1][0] = (char)(1 + put);
		} else if (cut || put) {
			assert_int_equal(edits_add(e, &slab, (uint64_t)i, (uint32_t)cut, bytes, (uint32_t)put, false),
					 0);
			for (int k = 0; k < cut; k++)
				m->of[i + k][0] = 0;
			memcpy(m->of[i] + 1, bytes, (size_t)put);
			if (!cut)
				m->of[i][1 + put] = (char)m->src[i];
			m->of[i][0] = (char)(put + !cut);
		}
		edits_pass(e);
	}
}

static void model_free(struct model *m)
{
	for (int i = 0; i < BYTES; i++)
		free(m->of[i]);
}

/* Any cut of the stream into segments gives the same bytes at the same places. */
static void check_segments(const struct model *m, const struct edits *e, const uint8_t *whole)
{
	for (int round = 0; round < 200; round++) {
		uint32_t len = (uint32_t)rand() % 60 + 1, off = (uint32_t)rand() % (BYTES - len);
		size_t n = edits_image_len(e, off, len, false);
		uint8_t out[1024];

		edits_image(e, off, len, false, m->src + off, out);
		assert_memory_equal(out, whole + edits_out(e, off, false), n);
	}
}

/* An acknowledgement covers a byte when all that became of it, and of those before it, lies below. */
static void check_acknowledgements(const struct model *m, const struct edits *e, int64_t total)
{
	for (int64_t pos = 0; pos <= total; pos++) {
		int64_t covered = 0, end = 0;

		while (covered < BYTES && end + m->of[covered][0] <= pos)
			end += m->of[covered++][0];
		int64_t in = edits_in(e, pos);

		assert_true(in <= covered);
		assert_true(edits_out(e, in, false) <= pos);
	}
	assert_int_equal(edits_in(e, total), BYTES);
}

static void any_edits_agree_with_a_plain_model(void **state)
{
	(void)state;
	srand(5);
	for (int round = 0; round < 100; round++) {
		struct edits e = { 0 };
		struct model m;
		uint8_t whole[8192];
		size_t total = 0;

		model_build(&m, &e);
		for (int i = 0; i < BYTES; i++) {
			memcpy(whole + total, m.of[i] + 1, (size_t)m.of[i][0]);
			total += (size_t)m.of[i][0];
		}
		assert_int_equal(edits_image_len(&e, 0, BYTES, false), total);
		check_segments(&m, &e, whole);
		check_acknowledgements(&m, &e, (int64_t)total);
		edits_fini(&e, &slab);
		model_free(&m);
	}
	assert_int_equal(slab.used, 0);
}

static int open_slab(void **state)
{
	(void)state;
	slab_init(&slab, 0);
	return 0;
}

static int close_slab(void **state)
{
	(void)state;
	slab_fini(&slab);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_edits_numbers_are_the_same),
		cmocka_unit_test(inserted_bytes_are_acknowledged_before_the_byte_that_they_stand_before),
		cmocka_unit_test(appended_bytes_are_acknowledged_with_the_byte_that_they_follow),
		cmocka_unit_test(bytes_cut_out_are_acknowledged_with_those_before_them),
		cmocka_unit_test(edits_of_one_segment_that_overlap_become_one),
		cmocka_unit_test(what_has_left_is_neither_changed_nor_taken_back),
		cmocka_unit_test(what_was_acknowledged_is_one_difference),
		cmocka_unit_test(too_many_are_refused_and_nothing_changes),
		cmocka_unit_test(any_edits_agree_with_a_plain_model),
	};

	return cmocka_run_group_tests(tests, open_slab, close_slab);
}
