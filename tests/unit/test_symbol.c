#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/symbol.h"

static void functions_have_names_static_ones_too(void **state)
{
	char text[256];

	(void)state;
	symbol_name((void *)functions_have_names_static_ones_too, text, sizeof(text));
	assert_string_equal(text, "functions_have_names_static_ones_too (unit_test_symbol)");
	symbol_name((void *)symbol_name, text, sizeof(text));
	assert_string_equal(text, "symbol_name (unit_test_symbol)");
	symbol_name((void *)getppid, text, sizeof(text)); /* which no sanitizer replaces */
	assert_non_null(strstr(text, "libc.so"));
}

static void what_is_no_function_is_an_address(void **state)
{
	char text[8];

	(void)state;
	symbol_name((void *)(uintptr_t)0x10, text, sizeof(text));
	assert_string_equal(text, "0x10");
	symbol_name((void *)symbol_name, text, sizeof(text));
	assert_string_equal(text, "symbol_");
}

static bool has(const struct symbols *s, const char *name, const void *address)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].name, name) == 0 && s->v[i].at == (uintptr_t)address)
			return true;
	return false;
}

static void an_object_has_all_its_functions(void **state)
{
	struct symbols s;

	(void)state;
	assert_true(symbols_read(&s, (void *)symbol_name));
	assert_true(has(&s, "symbol_name", (void *)symbol_name));
	assert_true(has(&s, "an_object_has_all_its_functions", (void *)an_object_has_all_its_functions));
	symbols_free(&s);
	assert_true(symbols_read(&s, (void *)(uintptr_t)0x10));
	assert_int_equal(s.n, 0);
	symbols_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_have_names_static_ones_too),
		cmocka_unit_test(what_is_no_function_is_an_address),
		cmocka_unit_test(an_object_has_all_its_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
