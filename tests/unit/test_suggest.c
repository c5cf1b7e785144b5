#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/suggest.h"

static const char *const events[] = {
	"pkt_in", "conn_start", "tcp_state_change", "rexmit", "conn_new_data", "conn_end", "orphan", "error",
};

static const char *nearest_event(const char *word)
{
	return suggest_nearest(word, events, sizeof(events) / sizeof(*events));
}

static void misspelt_words_lead_to_the_one_meant(void **state)
{
	static const struct {
		const char *word, *meant;
	} cases[] = {
		{ "con_start", "conn_start" },   /* a letter missing */
		{ "conn_starts", "conn_start" }, /* one too many */
		{ "conn_stort", "conn_start" },  /* another one */
		{ "conn_satrt", "conn_start" },  /* two swapped */
		{ "rexmti", "rexmit" },
		{ "orhpan", "orphan" },
		{ "conn_end", "conn_end" }, /* right already */
		{ "con_new_dta", "conn_new_data" },
		{ "tcpstatechange", "tcp_state_change" },
		{ "conn_sratr", "conn_start" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(nearest_event(cases[i].word), cases[i].meant);
}

static void what_resembles_nothing_gets_no_suggestion(void **state)
{
	static const char *const cases[] = { "", "x", "eror!!", "start", "conn", "CONN_START", "completely_other" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_null(nearest_event(cases[i]));
	assert_null(suggest_nearest("word", NULL, 0));
}

static void a_third_of_the_longer_word_may_differ_but_no_more_than_three(void **state)
{
	static const struct {
		const char *word, *only;
		bool suggested;
	} cases[] = {
		{ "ab", "ax", false },
		{ "abc", "abx", true },
		{ "ab", "abx", true },
		{ "abcde", "abcxy", false },
		{ "abcdef", "abcdxy", true },
		{ "abcdefgh", "abcdexyz", false },
		{ "abcdefghi", "abcdefxyz", true },
		{ "abcdefghijklmnopqrst", "abcdefghijklmnopqxyz", true },
		{ "abcdefghijklmnopqrst", "abcdefghijklmnopwxyz", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *found = suggest_nearest(cases[i].word, &cases[i].only, 1);
		assert_ptr_equal(found, cases[i].suggested ? cases[i].only : NULL);
	}
}

static void the_nearest_wins_and_the_first_of_equals(void **state)
{
	static const char *const words[] = { "abcdxx", "abcdex", "abcdey" };

	(void)state;
	assert_ptr_equal(suggest_nearest("abcdef", words, 3), words[1]);
}

/* "ca" to "abc": swapped, then "b" put between. Where no letter may be touched twice it would take three edits. */
static void letters_may_be_put_between_swapped_ones(void **state)
{
	static const char *const words[] = { "xabcyy" };

	(void)state;
	assert_ptr_equal(suggest_nearest("xcayy", words, 1), words[0]);
}

static void words_of_63_letters_are_handled_and_longer_ones_are_not(void **state)
{
	char word[65], other[65];
	const char *const words[] = { other };

	(void)state;
	memset(word, 'a', sizeof(word));
	memset(other, 'a', sizeof(other));
	word[63] = other[63] = '\0';
	word[10] = 'b';
	assert_ptr_equal(suggest_nearest(word, words, 1), other);
	other[63] = 'a';
	other[64] = '\0';
	assert_null(suggest_nearest(word, words, 1));
	word[63] = 'a';
	word[64] = '\0';
	other[63] = '\0';
	assert_null(suggest_nearest(word, words, 1));
}

static void bytes_above_127_are_letters_too(void **state)
{
	static const char *const words[] = { "na\xc3\xafve" };

	(void)state;
	assert_ptr_equal(suggest_nearest("na\xaf\xc3v", words, 1), words[0]);
}

/* The definition, tried out: can at most `edits` single edits turn a into b? */
static bool reaches(const char *a, const char *b, int edits)
{
	size_t n = strlen(a);
	char c[32];

	if (!strcmp(a, b))
		return true;
	if (!edits)
		return false;
	for (size_t i = 0; i <= n; i++) {
		for (char letter = 'a'; letter <= 'c'; letter++) {
			memcpy(c, a, i);
			c[i] = letter;
			memcpy(c + i + 1, a + i, n + 1 - i);
			if (reaches(c, b, edits - 1))
				return true;
			if (i == n)
				continue;
			memcpy(c + i + 1, a + i + 1, n - i);
			if (reaches(c, b, edits - 1))
				return true;
		}
		if (i == n)
			continue;
		memcpy(c, a, i);
		memcpy(c + i, a + i + 1, n - i);
		if (reaches(c, b, edits - 1))
			return true;
		if (i + 1 == n)
			continue;
		memcpy(c, a, n + 1);
		c[i] = a[i + 1];
		c[i + 1] = a[i];
		if (reaches(c, b, edits - 1))
			return true;
	}
	return false;
}

static void random_words(char *a, char *b)
{
	size_t n = 3 + (size_t)rand() % 4;

	for (size_t i = 0; i < n; i++)
		a[i] = (char)('a' + rand() % 3);
	a[n] = '\0';
	strcpy(b, a);
	for (int edits = rand() % 4; edits; edits--) {
		size_t at = (size_t)rand() % strlen(b);
		switch (rand() % 3) {
		case 0:
			b[at] = (char)('a' + rand() % 3);
			break;
		case 1:
			memmove(b + at + 1, b + at, strlen(b + at) + 1);
			break;
		default:
			if (b[at + 1]) {
				char first = b[at];
				b[at] = b[at + 1];
				b[at + 1] = first;
			}
		}
	}
}

static void the_distance_is_the_smallest_number_of_edits(void **state)
{
	(void)state;
	srand(3);
	for (int i = 0; i < 3000; i++) {
		char a[32], b[32];
		random_words(a, b);
		size_t longer = strlen(a) > strlen(b) ? strlen(a) : strlen(b);
		const char *words[] = { b };
		int most = longer / 3 < 2 ? (int)(longer / 3) : 2;
		if (longer < 9)
			assert_int_equal(suggest_nearest(a, words, 1) != NULL, reaches(a, b, most));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misspelt_words_lead_to_the_one_meant),
		cmocka_unit_test(what_resembles_nothing_gets_no_suggestion),
		cmocka_unit_test(a_third_of_the_longer_word_may_differ_but_no_more_than_three),
		cmocka_unit_test(the_nearest_wins_and_the_first_of_equals),
		cmocka_unit_test(letters_may_be_put_between_swapped_ones),
		cmocka_unit_test(words_of_63_letters_are_handled_and_longer_ones_are_not),
		cmocka_unit_test(bytes_above_127_are_letters_too),
		cmocka_unit_test(the_distance_is_the_smallest_number_of_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
