#include <setjmp.h>
#include <stdarg.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_have_names_static_ones_too),
		cmocka_unit_test(what_is_no_function_is_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
