/* Copies of shared objects. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/object.h"

/* A library that is there anyway. */
static const char *library(void)
{
	Dl_info info;

	assert_true(dladdr(dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests"), &info));
	return info.dli_fname;
}

static void each_copy_is_its_own(void **state)
{
	char err[256];
	Dl_info info;

	(void)state;
	struct object *first = object_open(library(), err, sizeof(err));

	assert_non_null(first);
	struct object *again = object_again(first, library(), err, sizeof(err));

	assert_non_null(again);
	void *was = object_symbol(first, "_cmocka_run_group_tests"),
	     *is = object_symbol(again, "_cmocka_run_group_tests");

	assert_ptr_not_equal(was, dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests"));
	assert_ptr_not_equal(was, is);
	object_put(object_get(first));
	assert_true(dladdr(was, &info));
	object_put(first);
	assert_false(dladdr(was, &info));
	assert_true(dladdr(is, &info));
	object_put(again);
	assert_false(dladdr(is, &info));
}

static void an_object_says_what_it_may_call(void **state)
{
	char err[256];
	struct object *o = object_open(library(), err, sizeof(err));

	(void)state;
	assert_non_null(o);
	assert_true(object_may_call(o, "_cmocka_run_group_tests"));
	assert_false(object_may_call(o, "mtcp_ppeek"));
	assert_int_equal(object_start(o, NULL, "that.so", err, sizeof(err)), -1);
	assert_string_equal(err, "that.so: no function mos_app_init(mctx_t)");
	object_exit(o, NULL);
	object_put(o);
	object_put(NULL);
}

static void what_is_no_object_is_refused(void **state)
{
	char err[256];

	(void)state;
	assert_null(object_open("no-such.so", err, sizeof(err)));
	assert_string_equal(err, "no-such.so: cannot open shared object file: No such file or directory");
	assert_null(object_open("/proc/self/cmdline", err, sizeof(err)));
	assert_ptr_equal(strstr(err, "/proc/self/cmdline: "), err);
	assert_null(object_open("/", err, sizeof(err)));
	assert_string_equal(err, "/: Is a directory");
	assert_null(object_stay("/no-such.so", err, sizeof(err)));
	assert_string_equal(err, "/no-such.so: cannot open shared object file: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_copy_is_its_own),
		cmocka_unit_test(an_object_says_what_it_may_call),
		cmocka_unit_test(what_is_no_object_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
