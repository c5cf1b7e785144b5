#include "util/suggest.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 63, DISTANCE_MAX = 3 };

/* Lengths, and the distances between all prefixes of both words. */
struct grid {
	size_t rows, cols;
	uint8_t d[WORD_MAX + 1][WORD_MAX + 1];
};

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * The cost of ending both prefixes in a swap: a[i-1] is b[l-1], a[k-1] is b[j-1], with only insertions and
 * deletions between the two letters (Lowrance and Wagner 1975).
 */
static unsigned swap_cost(const struct grid *g, size_t i, size_t j, size_t k, size_t l)
{
	if (!k || !l)
		return UINT8_MAX;
	return (unsigned)(g->d[k - 1][l - 1] + (i - k - 1) + 1 + (j - l - 1));
}

static unsigned distance(const char *a, const char *b, struct grid *g)
{
	uint8_t row_of[256] = { 0 }; /* the last row whose letter this was, above the current one */

	for (size_t i = 0; i <= g->rows; i++)
		g->d[i][0] = (uint8_t)i;
	for (size_t j = 0; j <= g->cols; j++)
		g->d[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= g->rows; i++) {
		size_t match = 0; /* the last column whose letter is this row's */
		for (size_t j = 1; j <= g->cols; j++) {
			size_t k = row_of[(uint8_t)b[j - 1]], l = match;
			unsigned differ = a[i - 1] != b[j - 1];
			if (!differ)
				match = j;
			unsigned best = min(g->d[i - 1][j], g->d[i][j - 1]) + 1;
			best = min(best, g->d[i - 1][j - 1] + differ);
			g->d[i][j] = (uint8_t)min(best, swap_cost(g, i, j, k, l));
		}
		row_of[(uint8_t)a[i - 1]] = (uint8_t)i;
	}
	return g->d[g->rows][g->cols];
}

static size_t bound(size_t a, size_t b)
{
	size_t third = (a > b ? a : b) / 3;

	return third < DISTANCE_MAX ? third : DISTANCE_MAX;
}

const char *suggest_nearest(const char *word, const char *const *words, size_t n)
{
	const char *nearest = NULL;
	unsigned best = DISTANCE_MAX + 1;
	struct grid g;

	g.rows = strnlen(word, WORD_MAX + 1);
	if (g.rows > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		g.cols = strnlen(words[i], WORD_MAX + 1);
		size_t most = bound(g.rows, g.cols);
		size_t apart = g.rows > g.cols ? g.rows - g.cols : g.cols - g.rows;
		if (g.cols > WORD_MAX || apart > most)
			continue;
		unsigned d = distance(word, words[i], &g);
		if (d <= most && d < best) {
			best = d;
			nearest = words[i];
		}
	}
	return nearest;
}
