/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that go well: one store, several in turn, async ones, large ones, threads in groups. */
#include <check.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/store_kit.h"

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

START_TEST(commits_one_after_the_other)
{
	struct machine m;
	struct process p;
	struct values v;
	struct state s;

	machine_make(&m, 1, "all");
	ok(process_attach(&m, &p));
	for (uint32_t i = 1; i <= 1000; i++) {
		ok(process_commit(&p, i % KIT_KEYS, i, false, &s));
		ck_assert_uint_eq(m.words.visible, s.number);
		ck_assert_uint_eq(m.words.durable, s.number);
	}
	ok(values_read(&p, m.words.visible, m.words.record, &v));
	for (unsigned k = 0; k < KIT_KEYS; k++)
		ck_assert_uint_eq(v.of[k] % KIT_KEYS, k);
	ok(process_check(&p));
	ok(process_detach(&p));
	ck_assert(m.words.clean);
	ok(process_attach(&m, &p));
	ok(values_read(&p, m.words.visible, m.words.record, &v));
	ck_assert_uint_eq(v.of[1000 % KIT_KEYS], 1000);
	ok(process_detach(&p));
	machine_power_cut(&m, FAULT_LOSE_ALL);
	ok(process_attach(&m, &p));
	ok(values_read(&p, m.words.visible, m.words.record, &v));
	ck_assert_uint_eq(v.of[1000 % KIT_KEYS], 1000);
	ok(process_check(&p));
	ok(process_detach(&p));
	machine_free(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("commit");
	TCase *t = tcase_create("commit");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, commits_one_after_the_other);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
