/* SPDX-License-Identifier: Apache-2.0 */
/* The public header alone, as a user includes it. */
#include <duramen.h>

#include <check.h>
#include <stdlib.h>

/* 40 bytes: bindings fill the struct themselves, and values travel by address. */
START_TEST(layout_is_public)
{
	ck_assert_uint_eq(sizeof(dur_value), 40);
	ck_assert_uint_eq(offsetof(dur_value, len), 8);
	ck_assert_uint_eq(offsetof(dur_value, i), 16);
	ck_assert_uint_eq(sizeof(dur_coll), 24);
}
END_TEST

START_TEST(constructors_fill_only_their_field)
{
	dur_value items[] = { DUR_INT(-7), DUR_STR("x") };
	dur_value tuple = DUR_TUPLE(items, 2), absent = { 0 };

	ck_assert_uint_eq(absent.type, DUR_ABSENT);
	ck_assert_int_eq(items[0].i, -7);
	ck_assert_uint_eq(items[1].len, DUR_CSTR);
	ck_assert_uint_eq(tuple.len, 2);
	ck_assert_ptr_eq(tuple.items, items);
	ck_assert_int_eq((&DUR_BOOL(5))->i, 1);
	ck_assert_uint_eq((&DUR_TIME(1, 2, DUR_NO_ZONE))->time.nsec, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("header");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, layout_is_public);
	tcase_add_test(tcase, constructors_fill_only_their_field);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
