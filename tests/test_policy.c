/* SPDX-License-Identifier: Apache-2.0 */
/* Retention as text. */
#include "include/duramen.h"
#include "include/internal/error.h"
#include "engine/policy.h"
#include "tests/random_values.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(good_policies)
{
	static const struct {
		const char *text, *canonical;
		struct policy p;
	} cases[] = {
		{ "all", "all", { .all = true } },
		{ "last:1", "last:1", { .last = 1 } },
		{ "last:999999999999999", "last:999999999999999", { .last = 999999999999999 } },
		{ "for:30d", "for:30d", { .for_seconds = 30 * 86400 } },
		{ "for:90m", "for:90m", { .for_seconds = 5400 } },
		{ "for:60m", "for:1h", { .for_seconds = 3600 } },
		{ "for:10s", "for:10s", { .for_seconds = 10 } },
		{ "for:48h", "for:2d", { .for_seconds = 172800 } },
		{ "every:1h", "every:1h", { .every_seconds = 3600 } },
		{ "every:14d", "every:2w", { .every_seconds = 14 * 86400 } },
		{ "every:1h,last:1000",
		  "last:1000,every:1h",
		  { .last = 1000, .every_seconds = 3600 } },
		{ "every:1w,for:30d,last:100",
		  "last:100,for:30d,every:1w",
		  { .last = 100, .for_seconds = 30 * 86400, .every_seconds = 604800 } },
		{ "last:5,all", "all", { .all = true, .last = 5 } },
		{ "last:999999999999999,for:9999999999s,every:9999999999s",
		  "last:999999999999999,for:9999999999s,every:9999999999s",
		  { .last = 999999999999999,
		    .for_seconds = 9999999999,
		    .every_seconds = 9999999999 } },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy p;
		char text[POLICY_TEXT];
		if (policy_parse(cases[i].text, &p) != 0)
			ck_abort_msg("%s: %s", cases[i].text, error_text());
		ck_assert(p.all == cases[i].p.all && p.last == cases[i].p.last &&
		          p.for_seconds == cases[i].p.for_seconds &&
		          p.every_seconds == cases[i].p.every_seconds);
		policy_format(&p, text);
		ck_assert_str_eq(text, cases[i].canonical);
	}
}
END_TEST

START_TEST(bad_policies)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "a part is empty" },
		{ ",", "a part is empty" },
		{ "all,", "a part is empty" },
		{ ",all", "a part is empty" },
		{ "all,,last:1", "a part is empty" },
		{ "ALL", "no such part" },
		{ "all ", "no such part" },
		{ " all", "no such part" },
		{ "allx", "no such part" },
		{ "last", "no such part" },
		{ "lasting:5", "no such part" },
		{ "last:", "a number of states" },
		{ "last:0", "a number of states" },
		{ "last:-1", "a number of states" },
		{ "last:+1", "a number of states" },
		{ "last:01", "a number of states" },
		{ "last:1x", "a number of states" },
		{ "last:1000000000000000", "a number of states" },
		{ "last:18446744073709551617", "a number of states" },
		{ "for:", "a span is" },
		{ "for:1", "a span is" },
		{ "for:d", "a span is" },
		{ "for:0d", "a span is" },
		{ "for:1y", "a span is" },
		{ "for:1dd", "a span is" },
		{ "for:1.5h", "a span is" },
		{ "for:10000000001s", "a span is" },
		{ "for:20000w", "a span is" },
		{ "for:99999999999999999999w", "a span is" },
		{ "every:1H", "a span is" },
		{ "every:-1h", "a span is" },
		{ "last:1,last:2", "twice" },
		{ "all,all", "twice" },
		{ "for:1d,for:1d", "twice" },
		{ "every:1d,last:1,every:2d", "twice" },
		{ "last:1;for:1d", "a number of states" },
	};
	struct policy p;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (policy_parse(cases[i].text, &p) != DUR_E_MISUSE ||
		    !strstr(error_text(), cases[i].says))
			ck_abort_msg("%s: %s", cases[i].text, error_text());
	ck_assert_int_eq(policy_parse(NULL, &p), DUR_E_MISUSE);
}
END_TEST

/* What parses has a canonical text that means the same. */
START_TEST(hostile_policies)
{
	static const char *const parts[] = { "all",    "last:",   "for:",     "every:",     ",",
		                             "1",      "0",       "9",        "5",          "s",
		                             "m",      "h",       "d",        "w",          " ",
		                             "last:3", "for:30d", "every:1h", "99999999999" };
	uint64_t state = random_seed("policy");
	size_t good = 0;

	for (int round = 0; round < 200000; round++) {
		char text[256] = "", canonical[POLICY_TEXT], again[POLICY_TEXT];
		struct policy p, q;
		for (size_t n = random_below(&state, 8); n > 0; n--)
			strcat(text, parts[random_below(&state, sizeof parts / sizeof *parts)]);
		if (policy_parse(text, &p) != 0)
			continue;
		good++;
		policy_format(&p, canonical);
		ck_assert_int_eq(policy_parse(canonical, &q), 0);
		policy_format(&q, again);
		ck_assert_str_eq(again, canonical);
		ck_assert(p.all == q.all);
		ck_assert(p.all || (p.last == q.last && p.for_seconds == q.for_seconds &&
		                    p.every_seconds == q.every_seconds));
	}
	ck_assert_uint_gt(good, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, good_policies);
	tcase_add_test(tcase, bad_policies);
	tcase_add_test(tcase, hostile_policies);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
