/*
 * Runs a target over inputs that are kept: each line of a corpus file is one, in hex; '#' begins a comment. What is
 * linked in place of libFuzzer where there is none, and the test that the corpora are.
 */
#include <ctype.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 17 };

static int nibble(int c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* The bytes of one line, in memory of exactly that size, so that the sanitizer sees a read beyond it. */
static uint8_t *line_bytes(const char *line, size_t *len)
{
	uint8_t *bytes;

	*len = 0;
	while (nibble(line[2 * *len]) >= 0 && nibble(line[2 * *len + 1]) >= 0)
		++*len;
	bytes = malloc(*len ? *len : 1);
	for (size_t i = 0; i < *len; i++)
		bytes[i] = (uint8_t)(nibble(line[2 * i]) << 4 | nibble(line[2 * i + 1]));
	return bytes;
}

static unsigned replay(FILE *f)
{
	static char line[2 * INPUT_MAX + 2];
	unsigned n = 0;

	while (fgets(line, sizeof(line), f)) {
		size_t len;

		if (line[0] == '#')
			continue;
		uint8_t *bytes = line_bytes(line, &len);

		LLVMFuzzerTestOneInput(bytes, len);
		free(bytes);
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		printf("%s: %u inputs\n", argv[i], replay(f));
		fclose(f);
	}
	return argc < 2;
}
