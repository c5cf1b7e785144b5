/* The nearest valid word to a misspelt one, for messages that end in "did you mean ...?". */
#ifndef MOS_UTIL_SUGGEST_H
#define MOS_UTIL_SUGGEST_H

#include <stddef.h>

/*
 * The word in words[0..n) with the smallest edit distance (insert, delete, replace, swap of neighbours) to word,
 * if that is at most a third of the longer length and not more than 3; else NULL. Borrowed from words.
 */
const char *suggest_nearest(const char *word, const char *const *words, size_t n);

#endif
