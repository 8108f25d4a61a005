/* SPDX-License-Identifier: Apache-2.0 */
/* Names of prefixes, and times as text. */
#include "include/duramen.h"
#include "include/internal/error.h"
#include "prefixes/name.h"
#include "prefixes/time.h"
#include "tests/random_values.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seed;

START_TEST(good_names)
{
	static const char *const names[] = { "a",
		                             "my-org/my-app/settings",
		                             "...",
		                             "a b",
		                             ".hidden",
		                             "dur",
		                             "x.durable",
		                             "x.dur-coords",
		                             "dur/x",
		                             "caf\xc3\xa9/\xe4\xb8\xad\xe6\x96\x87",
		                             "\xf0\x9f\x98\x80",
		                             "\xe2\x80\x8d",
		                             "a:b*c?\"<>|",
		                             "..a",
		                             "a../b",
		                             "~" };
	char longest[NAME_BYTES_MAX + 1];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (name_check(names[i]) != 0)
			ck_abort_msg("%s: %s", names[i], error_text());
	memset(longest, 'x', sizeof longest);
	longest[NAME_BYTES_MAX] = 0;
	longest[NAME_PART_MAX] = '/';
	ck_assert_int_eq(name_check(longest), 0);
}
END_TEST

START_TEST(bad_names)
{
	static const struct {
		const char *name, *says;
	} cases[] = {
		{ "", "is empty" },
		{ "/", "part 1 of a prefix name is empty" },
		{ "/a", "part 1 of a prefix name is empty" },
		{ "a/", "part 2 of a prefix name is empty" },
		{ "a//b", "part 2 of a prefix name is empty" },
		{ ".", "part 1 of a prefix name is \".\"" },
		{ "..", "part 1 of a prefix name is \"..\"" },
		{ "../x", "part 1 of a prefix name is \"..\"" },
		{ "a/../b", "part 2 of a prefix name is \"..\"" },
		{ "a/./b", "part 2 of a prefix name is \".\"" },
		{ "a\\b", "backslash at byte 1" },
		{ "ab\n", "U+000A at byte 2" },
		{ "\x1b[31m", "U+001B at byte 0" },
		{ "a\x7f", "U+007F at byte 1" },
		{ "a\xc2\x9b", "U+009B at byte 1" },
		{ "a\xe2\x80\xae"
		  "b",
		  "U+202E at byte 1" },
		{ "a\xe2\x80\xa8", "U+2028 at byte 1" },
		{ "\xef\xbb\xbf"
		  "a",
		  "U+FEFF at byte 0" },
		{ "a\xef\xbf\xbf", "U+FFFF at byte 1" },
		{ "a\xff", "not UTF-8 at byte 1" },
		{ "\xc0\xaf", "not UTF-8 at byte 0" },
		{ "a\xed\xa0\x80", "not UTF-8 at byte 1" },
		{ "x.dur", "part 1 of a prefix name ends in .dur" },
		{ "a/.dur/c", "part 2 of a prefix name ends in .dur" },
		{ "x.dur-coord", "part 1 of a prefix name ends in .dur" },
	};
	char text[400];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (name_check(cases[i].name) != DUR_E_NAME || !strstr(error_text(), cases[i].says))
			ck_abort_msg("case %zu: %s", i, error_text());
	memset(text, 'x', sizeof text);
	text[300] = 0;
	ck_assert_int_eq(name_check(text), DUR_E_NAME);
	ck_assert_ptr_nonnull(strstr(error_text(), "300 bytes long: at most 255"));
	text[NAME_PART_MAX + 1] = 0;
	ck_assert_int_eq(name_check(text), DUR_E_NAME);
	ck_assert_ptr_nonnull(strstr(error_text(), "241 bytes long: at most 240"));
	ck_assert_int_eq(name_check(NULL), DUR_E_MISUSE);
}
END_TEST

/* Whatever the bytes: an answer, and no message that carries them to a terminal. */
START_TEST(hostile_names)
{
	uint64_t state = seed;

	for (int round = 0; round < 100000; round++) {
		char *name = malloc(300);
		size_t n = random_below(&state, 299);
		for (size_t i = 0; i < n; i++)
			name[i] = (char)(random_below(&state, 4)
			                         ? "a./\\~ "[random_below(&state, 6)]
			                         : (char)(1 + random_below(&state, 255)));
		name[n] = 0;
		if (name_check(name) != 0) {
			ck_assert_int_eq(name_check(name), DUR_E_NAME);
			for (const char *p = error_text(); *p; p++)
				ck_assert(*p >= 0x20 && *p < 0x7f);
		}
		free(name);
	}
}
END_TEST

static void assert_time(const char *text, int64_t sec, uint32_t nsec, int16_t zone)
{
	struct time_stamp t;
	char again[TIME_TEXT];

	if (time_parse(text, strlen(text), &t) != 0)
		ck_abort_msg("%s: %s", text, error_text());
	ck_assert_int_eq(t.sec, sec);
	ck_assert_uint_eq(t.nsec, nsec);
	ck_assert_int_eq(t.zone_min, zone);
	ck_assert_uint_eq(time_format(&t, again), strlen(text));
	ck_assert_str_eq(again, text);
}

START_TEST(times_and_their_text)
{
	assert_time("1970-01-01T00:00:00Z", 0, 0, 0);
	assert_time("1970-01-01T00:00:00", 0, 0, DUR_NO_ZONE);
	assert_time("1969-12-31T23:59:59.999999999Z", -1, 999999999, 0);
	assert_time("1985-04-12T23:20:50.52Z", 482196050, 520000000, 0); /* RFC 3339, 5.8 */
	assert_time("1996-12-19T16:39:57-08:00", 851042397, 0, -480);
	assert_time("1937-01-01T12:00:27.87+00:20", -1041337173, 870000000, 20);
	assert_time("2000-02-29T00:00:00Z", 951782400, 0, 0);
	assert_time("2026-11-20T10:00:00Z", 1795168800, 0, 0);
	assert_time("0000-01-01T00:00:00Z", -62167219200, 0, 0);
	assert_time("9999-12-31T23:59:59.000000001Z", 253402300799, 1, 0);
	assert_time("0000-01-01T00:00:00+23:59", -62167219200 - 1439 * 60, 0, 1439);
	assert_time("9999-12-31T23:59:59-23:59", 253402300799 + 1439 * 60, 0, -1439);
	assert_time("@253402300800Z", 253402300800, 0, 0);
	assert_time("@-62167222801.5+01:00", -62167222801, 500000000, 60);
	assert_time("@9223372036854775807", INT64_MAX, 0, DUR_NO_ZONE);
	assert_time("@-9223372036854775808.000000001-00:01", INT64_MIN, 1, -1);
}
END_TEST

START_TEST(bad_times)
{
	static const struct {
		const char *text;
		int rc;
		const char *says;
	} cases[] = {
		{ "", DUR_E_MISUSE, "byte 0: expected a date" },
		{ "now", DUR_E_MISUSE, "byte 0: expected a date" },
		{ "2026-1-1T00:00:00Z", DUR_E_MISUSE, "expected a date" },
		{ "2026-01-01", DUR_E_MISUSE, "byte 10: expected T" },
		{ "2026-01-01X00:00:00Z", DUR_E_MISUSE, "byte 10: expected T" },
		{ "2026-01-01T00:00Z", DUR_E_MISUSE, "expected a time of day" },
		{ "2026-01-01T00:00:00.Z", DUR_E_MISUSE, "byte 20: expected a digit" },
		{ "2026-01-01T00:00:00X", DUR_E_MISUSE, "byte 19: expected a zone" },
		{ "2026-01-01T00:00:00+1:00", DUR_E_MISUSE, "expected a zone" },
		{ "2026-01-01T00:00:00Zx", DUR_E_MISUSE, "byte 20: expected the end" },
		{ "2026-01-01T00:00:00Z ", DUR_E_MISUSE, "byte 20: expected the end" },
		{ "2026-00-01T00:00:00Z", DUR_E_RANGE, "no month 0" },
		{ "2026-13-01T00:00:00Z", DUR_E_RANGE, "no month 13" },
		{ "2026-02-29T00:00:00Z", DUR_E_RANGE, "month 2 of 2026 has no day 29" },
		{ "1900-02-29T00:00:00Z", DUR_E_RANGE, "no day 29" },
		{ "2026-04-31T00:00:00Z", DUR_E_RANGE, "no day 31" },
		{ "2026-01-00T00:00:00Z", DUR_E_RANGE, "no day 0" },
		{ "2026-01-01T24:00:00Z", DUR_E_RANGE, "no day has 24" },
		{ "2026-01-01T00:60:00Z", DUR_E_RANGE, "no day has" },
		{ "2016-12-31T23:59:60Z", DUR_E_RANGE, "leap second" },
		{ "2026-01-01T00:00:61Z", DUR_E_RANGE, "no day has" },
		{ "2026-01-01T00:00:00.1234567890Z", DUR_E_RANGE, "nine digits" },
		{ "2026-01-01T00:00:00+24:00", DUR_E_RANGE, "no zone" },
		{ "2026-01-01T00:00:00+00:60", DUR_E_RANGE, "no zone" },
		{ "@", DUR_E_MISUSE, "a number of seconds" },
		{ "@-", DUR_E_MISUSE, "a number of seconds" },
		{ "@9223372036854775808", DUR_E_RANGE, "do not fit" },
		{ "@-9223372036854775809", DUR_E_RANGE, "do not fit" },
	};
	struct time_stamp t;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (time_parse(cases[i].text, strlen(cases[i].text), &t) != cases[i].rc ||
		    !strstr(error_text(), cases[i].says))
			ck_abort_msg("%s: %s", cases[i].text, error_text());
}
END_TEST

/* Against the C library's calendar. */
START_TEST(calendar)
{
	uint64_t state = seed + 1;

	for (int round = 0; round < 50000; round++) {
		time_t sec = (time_t)(random_u64(&state) % 315569520000) - 62167219200;
		struct time_stamp t = { sec, 0, 0 }, back;
		char ours[TIME_TEXT], theirs[80];
		struct tm tm;
		size_t n = time_format(&t, ours);
		gmtime_r(&sec, &tm);
		snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
		         tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		ck_assert_str_eq(ours, theirs);
		ck_assert_int_eq(time_parse(ours, n, &back), 0);
		ck_assert_int_eq(back.sec, sec);
	}
}
END_TEST

START_TEST(nanoseconds)
{
	static const int64_t some[] = { 0,           1,          -1,
		                        999999999,   -999999999, 1000000000,
		                        -1000000000, INT64_MAX,  -9223372036000000000 };
	struct time_stamp t = { INT64_MAX / 1000000000 + 1, 0, 0 };
	int64_t ns;

	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		struct time_stamp s = time_from_ns(some[i]);
		ck_assert_uint_lt(s.nsec, 1000000000);
		ck_assert_int_eq(time_to_ns(&s, &ns), 0);
		ck_assert_int_eq(ns, some[i]);
	}
	ck_assert_int_eq(time_to_ns(&t, &ns), DUR_E_RANGE);
	t.sec = -t.sec - 1;
	ck_assert_int_eq(time_to_ns(&t, &ns), DUR_E_RANGE);
}
END_TEST

START_TEST(hostile_times)
{
	uint64_t state = seed + 2;
	struct time_stamp t, back;
	char again[TIME_TEXT];

	for (int round = 0; round < 200000; round++) {
		char text[] = "2026-11-20T10:00:00.123456789+01:00", *exact;
		size_t n = random_below(&state, sizeof text);
		for (uint64_t k = random_below(&state, 4); k > 0 && n > 0; k--)
			text[random_below(&state, n)] =
				"0123456789-+:.TZ@"[random_below(&state, 17)];
		exact = malloc(n ? n : 1);
		memcpy(exact, text, n);
		if (time_parse(exact, n, &t) == 0) {
			n = time_format(&t, again);
			ck_assert_int_eq(time_parse(again, n, &back), 0);
			ck_assert(back.sec == t.sec && back.nsec == t.nsec &&
			          back.zone_min == t.zone_min);
		}
		free(exact);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("name");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	seed = random_seed("name");
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, good_names);
	tcase_add_test(tcase, bad_names);
	tcase_add_test(tcase, hostile_names);
	tcase_add_test(tcase, times_and_their_text);
	tcase_add_test(tcase, bad_times);
	tcase_add_test(tcase, calendar);
	tcase_add_test(tcase, nanoseconds);
	tcase_add_test(tcase, hostile_times);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
