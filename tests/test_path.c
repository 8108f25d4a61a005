/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: the examples of RFC 6901, typed steps by hand and at random, hostile text. */
#include "include/internal/error.h"
#include "model/path.h"
#include "tests/random_values.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define T(...)                                    \
	DUR_TUPLE(((dur_value[]){ __VA_ARGS__ }), \
	          sizeof((dur_value[]){ __VA_ARGS__ }) / sizeof(dur_value))
#define EMPTY DUR_TUPLE(NULL, 0)

static uint64_t seed;

/* The path has one step, this key, and the key has this text. */
static void assert_step(const char *text, dur_value key)
{
	struct key_arena arena = { 0 };
	struct path path;
	char buf[256], *exact;
	dur_value step;
	size_t len;

	ck_assert_int_eq(path_open(&path, &DUR_PATH(text)), 0);
	if (path_next(&path, &arena, &step) != 0)
		ck_abort_msg("%s: %s", text, error_text());
	if (!same_value(&step, &key))
		ck_abort_msg("%s: another key", text);
	ck_assert_int_eq(path_next(&path, &arena, &step), DUR_NONE);
	ck_assert_int_eq(path_format_key(&key, buf, sizeof buf, &len), 0);
	buf[len] = 0;
	ck_assert_str_eq(buf, text + 1);
	for (size_t cap = 0; cap < len; cap++) {
		size_t need = 0;
		exact = malloc(cap + 1);
		ck_assert_int_eq(path_format_key(&key, exact, cap, &need), -ENOSPC);
		ck_assert_uint_eq(need, len);
		free(exact);
	}
	key_arena_free(&arena);
}

START_TEST(table_of_forms)
{
	dur_value id = { .type = DUR_UUID,
		         .id = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45,
		                 0x67, 0x89, 0xab, 0xcd, 0xef } };
	uint64_t nan_bits = 0xfff8000000000001;
	dur_value nan_value = DUR_DOUBLE(0);

	memcpy(&nan_value.f, &nan_bits, 8);
	assert_step("/", DUR_STR(""));
	assert_step("/alice", DUR_STR("alice"));
	assert_step("/0", DUR_STR("0"));
	assert_step("/-", DUR_STR("-"));
	assert_step("/a,b c", DUR_STR("a,b c"));
	assert_step("/m~0n", DUR_STR("m~n"));
	assert_step("/a~1b", DUR_STR("a/b"));
	assert_step("/~01", DUR_STR("~1"));
	assert_step("/~0i42", DUR_STR("~i42"));
	assert_step("/~0", DUR_STR("~"));
	assert_step("/x~20ay~27f~200", DUR_STRN("x\ny\x7f\0", 5));
	assert_step("/\xc3\xa9", DUR_STR("\xc3\xa9"));
	assert_step("/~n", DUR_NULL());
	assert_step("/~btrue", DUR_BOOL(1));
	assert_step("/~bfalse", DUR_BOOL(0));
	assert_step("/~i0", DUR_INT(0));
	assert_step("/~i-42", DUR_INT(-42));
	assert_step("/~i-9223372036854775808", DUR_INT(INT64_MIN));
	assert_step("/~i9223372036854775808", DUR_BIGINT("9223372036854775808"));
	assert_step("/~d0.1", DUR_DOUBLE(0.1));
	assert_step("/~d5", DUR_DOUBLE(5));
	assert_step("/~d-0", DUR_DOUBLE(-0.0));
	assert_step("/~d1e+22", DUR_DOUBLE(1e22));
	assert_step("/~d1000", DUR_DOUBLE(1000));
	assert_step("/~d1e+18", DUR_DOUBLE(1e18));
	assert_step("/~d123456.75", DUR_DOUBLE(123456.75));
	assert_step("/~d0.0001", DUR_DOUBLE(0.0001));
	assert_step("/~d5e-324", DUR_DOUBLE(5e-324));
	assert_step("/~d1.7976931348623157e+308", DUR_DOUBLE(1.7976931348623157e308));
	assert_step("/~dinf", DUR_DOUBLE(INFINITY));
	assert_step("/~d-inf", DUR_DOUBLE(-INFINITY));
	assert_step("/~dnanfff8000000000001", nan_value);
	assert_step("/~m-12.50", DUR_DECIMAL("-12.50"));
	assert_step("/~x00ff", DUR_BYTES("\0\xff", 2));
	assert_step("/~x", DUR_BYTES("", 0));
	assert_step("/~t1970-01-01T00:00:00Z", DUR_TIME(0, 0, 0));
	assert_step("/~t2026-11-20T10:00:00.5+01:00", DUR_TIME(1795165200, 500000000, 60));
	assert_step("/~t1969-12-31T23:59:59", DUR_TIME(-1, 0, DUR_NO_ZONE));
	assert_step("/~t@253402300800Z", DUR_TIME(253402300800, 0, 0));
	assert_step("/~u01234567-89ab-cdef-0123-456789abcdef", id);
	id.type = DUR_REF;
	assert_step("/~r01234567-89ab-cdef-0123-456789abcdef", id);
	id.type = DUR_WEAK;
	assert_step("/~w01234567-89ab-cdef-0123-456789abcdef", id);
	assert_step("/~p", EMPTY);
	assert_step("/~pa,~i1,~p~q", T(DUR_STR("a"), DUR_INT(1), EMPTY));
	assert_step("/~p~p~q", T(EMPTY));
	assert_step("/~p~p~p~n~q,~e~q", T(T(T(DUR_NULL()), DUR_STR(""))));
	assert_step("/~p~e,~e", T(DUR_STR(""), DUR_STR("")));
	assert_step("/~pa~3b,~0q~1,~x", T(DUR_STR("a,b"), DUR_STR("~q/"), DUR_BYTES("", 0)));
	assert_step("/~p~0p,~p~0~0q,b~q,~n",
	            T(DUR_STR("~p"), T(DUR_STR("~~q"), DUR_STR("b")), DUR_NULL()));
}
END_TEST

/* Other spellings are read; the text that comes out is the one. */
START_TEST(lenient_spellings)
{
	static const char *const pairs[][2] = {
		{ "/~x0AfF", "~x0aff" },
		{ "/~d1.50", "~d1.5" },
		{ "/~d0005", "~d5" },
		{ "/~d1e3", "~d1000" },
		{ "/~u0123456789AB", NULL },
		{ "/~dnan7FF8000000000000", "~dnan7ff8000000000000" },
		{ "/~t1970-01-01t00:00:00.500z", "~t1970-01-01T00:00:00.5Z" },
		{ "/~t1970-01-01T01:00:00+00:00", "~t1970-01-01T01:00:00Z" },
		{ "/a\nb", "a~20ab" },
		{ "/a~3b", "a,b" },
		{ "/~20A", "~20a" },
		{ "/~pa", "a" },
		{ "/~p~i1", "~i1" },
		{ "/~p~e", "" },
		{ "/~u01234567-89AB-cdef-0123-456789abcdef",
		  "~u01234567-89ab-cdef-0123-456789abcdef" },
	};
	struct key_arena arena = { 0 };

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct path path;
		char buf[100];
		dur_value step;
		size_t len;
		ck_assert_int_eq(path_open(&path, &DUR_PATH(pairs[i][0])), 0);
		if (!pairs[i][1]) {
			ck_assert_int_eq(path_next(&path, &arena, &step), DUR_E_PATH);
			continue;
		}
		ck_assert_int_eq(path_next(&path, &arena, &step), 0);
		ck_assert_int_eq(path_format_key(&step, buf, sizeof buf, &len), 0);
		buf[len] = 0;
		ck_assert_str_eq(buf, pairs[i][1]);
	}
	key_arena_free(&arena);
}
END_TEST

START_TEST(pointers_of_rfc_6901)
{
	static const char *const steps[] = { "foo", "0",    "",     "a/b", "c%d", "e^f",
		                             "g|h", "i\\j", "k\"l", " ",   "m~n" };
	static const char text[] = "/foo/0//a~1b/c%d/e^f/g|h/i\\j/k\"l/ /m~0n";
	struct key_arena arena = { 0 };
	struct path path;
	dur_value step;

	ck_assert_int_eq(path_open(&path, &DUR_PATH("")), 0);
	ck_assert_int_eq(path_next(&path, &arena, &step), DUR_NONE);
	ck_assert_int_eq(path_open(&path, &(dur_value){ .type = DUR_PATH }), 0);
	ck_assert_int_eq(path_next(&path, &arena, &step), DUR_NONE);
	ck_assert_int_eq(path_open(&path, &DUR_PATH(text)), 0);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		ck_assert_int_eq(path_next(&path, &arena, &step), 0);
		ck_assert(same_value(&step, &DUR_STR(steps[i])));
	}
	ck_assert_int_eq(path_next(&path, &arena, &step), DUR_NONE);
	ck_assert_int_eq(path_next(&path, &arena, &step), DUR_NONE);
	key_arena_free(&arena);
}
END_TEST

START_TEST(errors_name_the_byte)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{ "a", "byte 0: a path is empty or begins with /" },
		{ "~i1", "byte 0" },
		{ "/a\xff", "byte 2: not UTF-8" },
		{ "/a~", "byte 2: ~ in a string" },
		{ "/ab/x~9", "byte 5: ~ in a string" },
		{ "/a~2", "byte 2: ~" },
		{ "/a~241", "byte 2: ~" },
		{ "/a~220", "byte 2: ~" },
		{ "/a~i1", "byte 2: ~" },
		{ "/~z1", "byte 1: no type" },
		{ "/~I1", "byte 1: no type" },
		{ "/~e", "byte 1: no type" },
		{ "/~q", "byte 1: no type" },
		{ "/~nx", "byte 3: nothing follows" },
		{ "/~b1", "byte 3: ~b takes" },
		{ "/~b", "byte 3: ~b takes" },
		{ "/~bTRUE", "byte 3: ~b takes" },
		{ "/~i", "byte 3: ~i takes" },
		{ "/~i01", "byte 3: ~i takes" },
		{ "/~i-0", "byte 3: ~i takes" },
		{ "/~i1.5", "byte 3: ~i takes" },
		{ "/~d", "byte 3: ~d takes" },
		{ "/~d1e999", "byte 3: ~d takes" },
		{ "/~d0x10", "byte 3: ~d takes" },
		{ "/~dnan", "byte 3: ~d takes" },
		{ "/~dnan7ff000000000000x", "byte 21: ~d takes" },
		{ "/~dnan7ff0000000000000", "byte 3: these bits" },
		{ "/~d1,5", "byte 3: ~d takes" },
		{ "/~m1e5", "byte 3: ~m takes" },
		{ "/~m-0.0", "byte 3: ~m takes" },
		{ "/~x0", "byte 3: ~x takes" },
		{ "/~x000g", "byte 5: ~x takes" },
		{ "/~t2026-13-01T00:00:00Z", "byte 3: not a time: there is no month 13" },
		{ "/~tnow", "byte 3: not a time" },
		{ "/~u0123", "byte 7: an identity" },
		{ "/~r", "byte 3: an identity" },
		{ "/~w01234567-89ab-cdef-0123-456789abcdef0", "byte 39: an identity" },
		{ "/~pa,", "byte 5: an item is missing" },
		{ "/~p,a", "byte 3: an item is missing" },
		{ "/~pa,,b", "byte 5: an item is missing" },
		{ "/~p~pa", "byte 6: ~q is missing" },
		{ "/~pa~q", "byte 4: a comma" },
		{ "/~p~pa~qb", "byte 8: a comma" },
		{ "/~p~q", "byte 3" },
		{ "/~pa,~i", "byte 7: ~i takes" },
		{ "/~pa~pb", "byte 4: ~" },
	};
	struct key_arena arena = { 0 };
	char deep[200] = "/";

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct path path;
		dur_value step;
		int rc = path_open(&path, &DUR_PATH(cases[i].text));
		while (rc == 0)
			rc = path_next(&path, &arena, &step);
		if (rc != DUR_E_PATH || !strstr(error_text(), cases[i].says))
			ck_abort_msg("%s: %d, %s", cases[i].text, rc, error_text());
	}
	for (int n = 32; n <= 33; n++) {
		struct path path;
		dur_value step;
		strcpy(deep, "/~p");
		for (int i = 0; i < n; i++)
			strcat(deep, "~p");
		for (int i = 0; i < n; i++)
			strcat(deep, "~q");
		ck_assert_int_eq(path_open(&path, &DUR_PATH(deep)), 0);
		ck_assert_int_eq(path_next(&path, &arena, &step), n == 32 ? 0 : DUR_E_PATH);
	}
	ck_assert_int_eq(path_open(&(struct path){ 0 }, &DUR_STR("/a")), DUR_E_MISUSE);
	ck_assert_int_eq(path_open(&(struct path){ 0 }, &DUR_PATH(NULL)), DUR_E_MISUSE);
	ck_assert_int_eq(path_open(&(struct path){ 0 }, NULL), DUR_E_MISUSE);
	key_arena_free(&arena);
}
END_TEST

START_TEST(no_text_for_what_is_no_key)
{
	char buf[10];
	size_t len;

	ck_assert_int_eq(path_format_key(&(dur_value){ 0 }, buf, sizeof buf, &len), DUR_E_TYPE);
	ck_assert_int_eq(path_format_key(&DUR_PATH("/a"), buf, sizeof buf, &len), DUR_E_TYPE);
	ck_assert_int_eq(path_format_key(&DUR_STR("\xff"), buf, sizeof buf, &len), DUR_E_MISUSE);
	ck_assert_int_eq(path_format_key(&DUR_TUPLE(NULL, 1), buf, sizeof buf, &len), DUR_E_MISUSE);
	ck_assert_int_eq(path_format_key(NULL, buf, sizeof buf, &len), DUR_E_MISUSE);
}
END_TEST

/* Random paths of several steps. */
START_TEST(random_paths)
{
	enum { STEPS = 4, TEXT = 1 << 16 };
	uint64_t state = seed;
	struct key_arena made = { 0 }, arena = { 0 };
	char *text = malloc(TEXT), *exact;

	for (int round = 0; round < 10000; round++) {
		dur_value keys[STEPS], step;
		struct path path;
		size_t n = random_below(&state, STEPS + 1), len = 0, part;
		for (size_t i = 0; i < n; i++) {
			keys[i] = random_key(&state, &made, 3);
			text[len++] = '/';
			ck_assert_int_eq(path_format_key(&keys[i], text + len, TEXT - len, &part),
			                 0);
			for (size_t k = 0; k < part; k++)
				ck_assert((uint8_t)text[len + k] >= 0x20 && text[len + k] != '/');
			len += part;
		}
		exact = malloc(len + 1);
		memcpy(exact, text, len);
		ck_assert_int_eq(path_open(&path, &(dur_value){ .type = DUR_PATH,
		                                                .str = exact,
		                                                .len = len }),
		                 0);
		for (size_t i = 0; i < n; i++) {
			if (path_next(&path, &arena, &step) != 0)
				ck_abort_msg("%.*s: %s", (int)len, text, error_text());
			if (keys[i].type == DUR_TUPLE && keys[i].len == 1 && step.type != DUR_TUPLE)
				keys[i] = keys[i].items[0];
			if (!same_value(&keys[i], &step) || dur_compare(&keys[i], &step) != 0)
				ck_abort_msg("%.*s: step %zu is another", (int)len, text, i);
		}
		ck_assert_int_eq(path_next(&path, &arena, &step), DUR_NONE);
		free(exact);
		key_arena_reset(&made);
		key_arena_reset(&arena);
	}
	key_arena_free(&made);
	key_arena_free(&arena);
	free(text);
}
END_TEST

/*
 * Any text gives steps or DUR_E_PATH; a step that was read has a text that reads as the same step.
 */
START_TEST(hostile_text)
{
	static const char *const parts[] = { "/",    "~",   "~p", "~q", ",",  "~i1",      "~d",
		                             "1",    "-",   "a",  "~x", "00", "~n",       "~t",
		                             "~2",   "~0",  "~e", "~m", ".",  "\xc3\xa9", "~b",
		                             "true", "nan", "e",  "~3", "~u", "7ff8" };
	struct key_arena arena = { 0 };
	uint64_t state = seed + 9;
	size_t steps = 0;

	for (int round = 0; round < 200000; round++) {
		char text[256] = "/", again[2048], *exact;
		size_t n = random_below(&state, 12), len;
		struct path path;
		dur_value step, back;
		int rc;
		for (size_t i = 0; i < n; i++)
			strcat(text, parts[random_below(&state, sizeof parts / sizeof *parts)]);
		n = strlen(text);
		exact = malloc(n);
		memcpy(exact, text, n);
		ck_assert_int_eq(
			path_open(&path, &(dur_value){ .type = DUR_PATH, .str = exact, .len = n }),
			0);
		while ((rc = path_next(&path, &arena, &step)) == 0) {
			struct path second;
			steps++;
			again[0] = '/';
			ck_assert_int_eq(path_format_key(&step, again + 1, sizeof again - 1, &len),
			                 0);
			ck_assert_int_eq(path_open(&second, &(dur_value){ .type = DUR_PATH,
			                                                  .str = again,
			                                                  .len = len + 1 }),
			                 0);
			ck_assert_int_eq(path_next(&second, &arena, &back), 0);
			ck_assert_int_eq(dur_compare(&step, &back), 0);
		}
		ck_assert(rc == DUR_NONE || rc == DUR_E_PATH);
		free(exact);
		key_arena_reset(&arena);
	}
	ck_assert_uint_gt(steps, 1000);
	key_arena_free(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("path");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	seed = random_seed("path");
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, table_of_forms);
	tcase_add_test(tcase, lenient_spellings);
	tcase_add_test(tcase, pointers_of_rfc_6901);
	tcase_add_test(tcase, errors_name_the_byte);
	tcase_add_test(tcase, no_text_for_what_is_no_key);
	tcase_add_test(tcase, random_paths);
	tcase_add_test(tcase, hostile_text);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
