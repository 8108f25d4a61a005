/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of the command: what is taken and what is refused and where, in the manner of
 * JSONTestSuite; values that are written and read; texts cut anywhere by a buffer's end.
 */
#include "tests/random_values.h"
#include "tools/document.h"
#include "tools/json_value.h"
#include "tools/json_write.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t seed;

/* ---- Events as text: [ ] { } null false true #NUMBER "STRING" NAME: ---- */

static void add_event(FILE *f, struct json_reader *r, enum json_event event)
{
	static const char *const plain[] = { "", ".", "null ", "false ", "true ", "",
		                             "", "",  "[",     "]",      "{",     "}" };

	if (event == JSON_NUMBER)
		fprintf(f, "#%.*s ", (int)r->len, r->text);
	else if (event == JSON_STRING || event == JSON_NAME)
		fprintf(f, "\"%.*s\"%s", (int)r->len, r->text, event == JSON_NAME ? ":" : " ");
	else if (event == JSON_WRONG)
		fprintf(f, "!%llu:%llu@%llu %s", (unsigned long long)r->fault.at.line,
		        (unsigned long long)r->fault.at.column,
		        (unsigned long long)r->fault.at.byte, r->fault.text);
	else
		fputs(plain[event], f);
}

static char *all_events(struct json_reader *r)
{
	enum json_event event;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	do {
		event = json_next(r);
		add_event(f, r, event);
	} while (event != JSON_WRONG && event != JSON_END);
	ck_assert_int_eq(json_next(r), event);
	fclose(f);
	json_read_close(r);
	return text;
}

static int file_of(const void *text, size_t len)
{
	int fd = memfd_create("json", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* The events of a text, which are the same however it is cut into pieces. */
static char *events(const char *text, size_t len, enum json_mode mode)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 64 };
	struct json_reader r;
	char *whole, *cut;

	/* Of its own size, so that a sanitizer sees what is read behind it. */
	char *exact = malloc(len ? len : 1);
	memcpy(exact, text, len);
	json_read_text(&r, exact, len, mode);
	whole = all_events(&r);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		int fd = file_of(text, len);
		json_read_file(&r, fd, mode);
		r.buffer_cap = pieces[i];
		cut = all_events(&r);
		if (strcmp(whole, cut) != 0)
			ck_abort_msg("in pieces of %zu: %s\nat once: %s", pieces[i], cut, whole);
		free(cut);
		close(fd);
	}
	free(exact);
	return whole;
}

struct text_case {
	const char *text;
	size_t len;
	const char *expected; /* all events; or, after !, how they end */
};

#define CASE(text, expected)                     \
	{                                        \
		text, sizeof(text) - 1, expected \
	}

static void check_cases(const struct text_case *cases, size_t n, enum json_mode mode)
{
	for (size_t i = 0; i < n; i++) {
		const struct text_case *c = &cases[i];
		char *got = events(c->text, c->len, mode);
		const char *end = *c->expected == '!' ? strrchr(got, '!') : got;
		if (end == NULL ||
		    (*c->expected == '!' ? strncmp(end, c->expected, strlen(c->expected)) != 0
		                         : strcmp(end, c->expected) != 0))
			ck_abort_msg("%s\nexpected %s\n     got %s", c->text, c->expected, got);
		free(got);
	}
}

/* ---- What is JSON ---- */

static const struct text_case accepted[] = {
	CASE("[]", "[]."),
	CASE("{}", "{}."),
	CASE(" \t\r\n[ \t\r\n] \t\r\n", "[]."),
	CASE("[[]   ]", "[[]]."),
	CASE("[[[[[]]]],[{}]]", "[[[[[]]]][{}]]."),
	CASE("null", "null ."),
	CASE("true", "true ."),
	CASE("false\n", "false ."),
	CASE("[null,false,true]", "[null false true ]."),
	CASE("\"\"", "\"\" ."),
	CASE("{\"a\":1,\"b\":[2],\"\":{}}", "{\"a\":#1 \"b\":[#2 ]\"\":{}}."),
	CASE("{\"a\":{\"a\":null},\"a\":2}", "{\"a\":{\"a\":null }\"a\":#2 }."),
	CASE("0", "#0 ."),
	CASE("-0", "#-0 ."),
	CASE("-1", "#-1 ."),
	CASE("[1 ,2]", "[#1 #2 ]."),
	CASE("123e65", "#123e65 ."),
	CASE("0e+1", "#0e+1 ."),
	CASE("0E1", "#0E1 ."),
	CASE("1E-2", "#1E-2 ."),
	CASE("123.456e78", "#123.456e78 ."),
	CASE("-0.0000000000000000000000000000000000000000000000000000000000000000001",
	     "#-0.0000000000000000000000000000000000000000000000000000000000000000001 ."),
	CASE("100000000000000000000000000000000000000000000000000000000000000000000",
	     "#100000000000000000000000000000000000000000000000000000000000000000000 ."),
	CASE("1e999", "#1e999 ."),
	CASE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\"\\/\b\f\n\r\t\" ."),
	CASE("\"\\u0060\\u012a\\u12AB\"", "\"`\xc4\xaa\xe1\x8a\xab\" ."),
	CASE("\"\\uD801\\udc37\"", "\"\xf0\x90\x90\xb7\" ."),
	CASE("\"\\ud83d\\ude39\\ud83d\\udc8d\"", "\"\xf0\x9f\x98\xb9\xf0\x9f\x92\x8d\" ."),
	CASE("\"\\uDBFF\\uDFFF\"", "\"\xf4\x8f\xbf\xbf\" ."),
	CASE("\"\\\\u0000\"", "\"\\u0000\" ."),
	CASE("\"\\uFFFF\\uFDD0\"", "\"\xef\xbf\xbf\xef\xb7\x90\" ."),
	CASE("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\"",
	     "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\" ."),
	CASE("\"\xf4\x8f\xbf\xbf\"", "\"\xf4\x8f\xbf\xbf\" ."),
	CASE("\"a\x7f\xe2\x80\xa8\xef\xbb\xbf b\"", "\"a\x7f\xe2\x80\xa8\xef\xbb\xbf b\" ."),
	CASE("\"/*comment*/ //x\"", "\"/*comment*/ //x\" ."),
	CASE("\"a rather long text, so that whole words of it are looked at \\n at once\"",
	     "\"a rather long text, so that whole words of it are looked at \n at once\" ."),
	CASE("{\"\\u0061\\n\":\"\xc3\xa9\"}", "{\"a\n\":\"\xc3\xa9\" }."),
};

START_TEST(what_is_json)
{
	check_cases(accepted, sizeof accepted / sizeof *accepted, JSON_ONE);
}
END_TEST

/* A NUL would end the text of the events. */
START_TEST(nul_in_a_string)
{
	struct json_reader r;
	json_read_text(&r, "\"a\\u0000b\"", 10, JSON_ONE);
	ck_assert_int_eq(json_next(&r), JSON_STRING);
	ck_assert_uint_eq(r.len, 3);
	ck_assert_mem_eq(r.text, "a\0b", 3);
	ck_assert_int_eq(json_next(&r), JSON_END);
	json_read_close(&r);
}
END_TEST

/* ---- What is not, and where: !LINE:COLUMN@BYTE ---- */

static const struct text_case refused[] = {
	CASE("", "!1:1@1 there is nothing"),
	CASE("  \n ", "!2:2@5 there is nothing"),
	CASE("[", "!1:2@2 the document has no end"),
	CASE("{", "!1:2@2 the document has no end"),
	CASE("[1", "!1:3@3 the document has no end"),
	CASE("[1,", "!1:4@4 the document has no end"),
	CASE("{\"a\"", "!1:5@5 the document has no end"),
	CASE("{\"a\":", "!1:6@6 the document has no end"),
	CASE("{\"a\":1", "!1:7@7 the document has no end"),
	CASE("{\"a\":1,", "!1:8@8 the document has no end"),
	CASE("]", "!1:1@1 a value is expected"),
	CASE("}", "!1:1@1 a value is expected"),
	CASE("[}", "!1:2@2 a value is expected"),
	CASE("{]", "!1:2@2 a name in quotes is expected"),
	CASE("[1}", "!1:3@3 ',' or ']' is expected"),
	CASE("{\"a\":1]", "!1:7@7 ',' or '}' is expected"),
	CASE("[1,]", "!1:4@4 a value is expected"),
	CASE("[,1]", "!1:2@2 a value is expected"),
	CASE("[1,,2]", "!1:4@4 a value is expected"),
	CASE("[,]", "!1:2@2 a value is expected"),
	CASE("[1 2]", "!1:4@4 ',' or ']' is expected"),
	CASE("[1:2]", "!1:3@3 ',' or ']' is expected"),
	CASE("[\"a\"\n1]", "!2:1@6 ',' or ']' is expected"),
	CASE("[]]", "!1:3@3 something follows the value"),
	CASE("{}#", "!1:3@3 something follows the value"),
	CASE("1 2", "!1:3@3 something follows the value"),
	CASE("[1]x", "!1:4@4 something follows the value"),
	CASE("{\"a\":1,}", "!1:8@8 a name in quotes is expected"),
	CASE("{\"a\":1,,\"b\":2}", "!1:8@8 a name in quotes is expected"),
	CASE("{,\"a\":1}", "!1:2@2 a name in quotes is expected"),
	CASE("{a:1}", "!1:2@2 a name in quotes is expected"),
	CASE("{1:1}", "!1:2@2 a name in quotes is expected"),
	CASE("{'a':1}", "!1:2@2 a name in quotes is expected"),
	CASE("{[]:1}", "!1:2@2 a name in quotes is expected"),
	CASE("{\"a\" 1}", "!1:6@6 ':' is expected"),
	CASE("{\"a\",1}", "!1:5@5 ':' is expected"),
	CASE("{\"a\"}", "!1:5@5 ':' is expected"),
	CASE("{\"a\"::1}", "!1:6@6 a value is expected"),
	CASE("{\"a\":}", "!1:6@6 a value is expected"),
	CASE("{\"a\":1 \"b\":2}", "!1:8@8 ',' or '}' is expected"),
	CASE("nul", "!1:1@1 a value is expected"),
	CASE("nulll", "!1:1@1 a value is expected"),
	CASE("[true1]", "!1:2@2 a value is expected"),
	CASE("[True]", "!1:2@2 a value is expected"),
	CASE("[NaN]", "!1:2@2 a value is expected"),
	CASE("[Infinity]", "!1:2@2 a value is expected"),
	CASE("[-Infinity]", "!1:3@3 a digit is expected"),
	CASE("[undefined]", "!1:2@2 a value is expected"),
	CASE("['a']", "!1:2@2 a value is expected; a string stands in quotes"),
	CASE("[*]", "!1:2@2 a value is expected"),
	CASE("[//x\n1]", "!1:2@2 a value is expected"),
	CASE("[/**/1]", "!1:2@2 a value is expected"),
	CASE("[1/**/]", "!1:3@3 ',' or ']' is expected"),
	CASE("<.>", "!1:1@1 a value is expected"),
	CASE("\xe2\x81\xa0[]", "!1:1@1 a value is expected"),
	CASE("[\xc2\xa0 1]", "!1:2@2 a value is expected"),
	CASE("[\f]", "!1:2@2 a value is expected"),
	CASE("[\0]", "!1:2@2 a value is expected"),
	CASE("\xef\xbb\xbf[]", "!1:1@1 a value is expected; a byte order mark"),
	CASE("\xff\xfe[\0]\0", "!1:1@1 a value is expected"),
	CASE("[\0\"\0e\0", "!1:2@2 a value is expected"),
	/* numbers */
	CASE("[-]", "!1:3@3 a digit is expected"),
	CASE("[+1]", "!1:2@2 a value is expected"),
	CASE("[--1]", "!1:3@3 a digit is expected"),
	CASE("[- 1]", "!1:3@3 a digit is expected"),
	CASE("[01]", "!1:3@3 a number does not begin with 0"),
	CASE("[-012]", "!1:4@4 a number does not begin with 0"),
	CASE("[00]", "!1:3@3 a number does not begin with 0"),
	CASE("[.5]", "!1:2@2 a value is expected"),
	CASE("[1.]", "!1:4@4 a digit is expected"),
	CASE("[1.e3]", "!1:4@4 a digit is expected"),
	CASE("[1e]", "!1:4@4 a digit is expected"),
	CASE("[1e+]", "!1:5@5 a digit is expected"),
	CASE("[1eE2]", "!1:4@4 a digit is expected"),
	CASE("[1e1.5]", "!1:5@5 ',' or ']' is expected"),
	CASE("[0x1F]", "!1:3@3 ',' or ']' is expected"),
	CASE("[1_000]", "!1:3@3 ',' or ']' is expected"),
	CASE("[1 000]", "!1:4@4 ',' or ']' is expected"),
	CASE("[1.2a]", "!1:5@5 ',' or ']' is expected"),
	CASE("[\xef\xbc\x91]", "!1:2@2 a value is expected"),
	CASE("-", "!1:2@2 a digit is expected"),
	CASE("1.", "!1:3@3 a digit is expected"),
	/* strings */
	CASE("\"", "!1:2@2 the string has no end"),
	CASE("\"a", "!1:3@3 the string has no end"),
	CASE("\"a\\", "!1:4@4 the string has no end"),
	CASE("[\"\\a\"]", "!1:4@4 there is no escape like this"),
	CASE("[\"\\x00\"]", "!1:4@4 there is no escape like this"),
	CASE("[\"\\'\"]", "!1:4@4 there is no escape like this"),
	CASE("[\"\\\0\"]", "!1:4@4 there is no escape like this"),
	CASE("[\"\\\xf0\x9f\x8c\x80\"]", "!1:4@4 there is no escape like this"),
	CASE("[\"\\u\"]", "!1:5@5 \\u takes four"),
	CASE("[\"\\u00A\"]", "!1:8@8 \\u takes four"),
	CASE("[\"\\u00g0\"]", "!1:7@7 \\u takes four"),
	CASE("[\"\\u-001\"]", "!1:5@5 \\u takes four"),
	CASE("[\"\\ud800\"]", "!1:9@9 half a surrogate pair"),
	CASE("[\"\\udc00\"]", "!1:9@9 half a surrogate pair"),
	CASE("[\"\\ud800a\"]", "!1:9@9 half a surrogate pair"),
	CASE("[\"\\ud800\\n\"]", "!1:10@10 half a surrogate pair"),
	CASE("[\"\\ud800\\ud800\\udc00\"]", "!1:15@15 half a surrogate pair"),
	CASE("[\"\\ud800\\u0041\"]", "!1:15@15 half a surrogate pair"),
	CASE("[\"\\udc00\\ud800\"]", "!1:9@9 half a surrogate pair"),
	CASE("[\"\\ud800\\u\"]", "!1:11@11 \\u takes four"),
	CASE("[\"a\tb\"]", "!1:4@4 a control character"),
	CASE("[\"a\nb\"]", "!1:4@4 a control character"),
	CASE("[\"a\0b\"]", "!1:4@4 a control character"),
	CASE("[\"a\x1f\"]", "!1:4@4 a control character"),
	CASE("[\"eight or more of them before \x01\"]", "!1:32@32 a control character"),
	CASE("[\"\xff\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\x80\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xc3\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xc3", "!1:3@3 not UTF-8"),
	CASE("[\"\xc0\x80\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xc1\xbf\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xe0\x9f\xbf\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xed\xa0\x80\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xed\xbf\xbf\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xe2\x82\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xf0\x8f\xbf\xbf\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xf4\x90\x80\x80\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xf5\x80\x80\x80\"]", "!1:3@3 not UTF-8"),
	CASE("[\"\xfc\x80\x80\x80\x80\x80\"]", "!1:3@3 not UTF-8"),
	CASE("[\"eight or more of them before \xe9\"]", "!1:32@32 not UTF-8"),
	/* columns count characters */
	CASE("[\"\xc3\xa9\xf0\x9f\x98\x80\",x]", "!1:7@11 a value is expected"),
	CASE("[\n\"\xe2\x98\x83\"\n , \"b\" c]", "!3:8@16 ',' or ']' is expected"),
	CASE("{\"\xc3\xa9\":\r\n1,\n\n  2}", "!4:3@15 a name in quotes is expected"),
};

START_TEST(what_is_not)
{
	check_cases(refused, sizeof refused / sizeof *refused, JSON_ONE);
}
END_TEST

START_TEST(lines)
{
	static const struct text_case cases[] = {
		CASE("", "."),
		CASE("\n\n", "."),
		CASE("1", "#1 ."),
		CASE("1\n2\n", "#1 #2 ."),
		CASE("\r\n{\"a\":1}\r\n\n [2 , 3] \n", "{\"a\":#1 }[#2 #3 ]."),
		CASE("\"a\"\nnull\ntrue", "\"a\" null true ."),
		CASE("1 2", "!1:3@3 something follows on the line"),
		CASE("{}{}", "!1:3@3 something follows on the line"),
		CASE("{}\n[] {}", "!2:4@7 something follows on the line"),
		CASE("[1,\n2]", "!1:4@4 the line ends before the value does"),
		CASE("[1\n]", "!1:3@3 the line ends before the value does"),
		CASE("{}\n{\"a\":\n", "!2:6@9 the line ends before the value does"),
		CASE("{}\n{\n", "!2:2@5 the line ends before the value does"),
		CASE("{}\n{\"a", "!2:4@7 the string has no end"),
		CASE("{}\n[", "!2:2@5 the document has no end"),
	};
	check_cases(cases, sizeof cases / sizeof *cases, JSON_LINES);
}
END_TEST

/* Cuts, doubles, changes: an error or not, the events are the same in pieces. */
START_TEST(mutated)
{
	static const char bytes[] =
		"[]{}:,\"\\u0d8c123.eE+-truefalsn \n\t\xc3\xa9\xf0\x9f\x98\x80\xff";
	uint64_t state = seed;
	char text[400];

	for (int round = 0; round < 4000; round++) {
		const struct text_case *c =
			&accepted[random_below(&state, sizeof accepted / sizeof *accepted)];
		size_t len = c->len;
		memcpy(text, c->text, len);
		for (uint64_t n = random_below(&state, 4); n > 0 && len > 0; n--) {
			size_t at = random_below(&state, len);
			switch (random_below(&state, 3)) {
			case 0: text[at] = bytes[random_below(&state, sizeof bytes - 1)]; break;
			case 1: len = at; break;
			default:
				memmove(text + at + 1, text + at, len - at);
				text[at] = bytes[random_below(&state, sizeof bytes - 1)];
				len++;
			}
		}
		free(events(text, len, random_below(&state, 3) ? JSON_ONE : JSON_LINES));
	}
}
END_TEST

/* ---- Depth ---- */

static void *build_deep(void *arg)
{
	const char *text = arg;
	struct json_builder b = { 0 };
	struct json_reader r;
	struct arena a = { 0 };
	dur_value v;
	uint64_t depth = 0;

	json_read_text(&r, text, strlen(text), JSON_ONE);
	ck_assert(json_build(&b, &r, json_next(&r), &a, &v));
	for (const dur_value *at = &v; at->len > 0; at = &at->items[at->len - 1])
		depth++;
	ck_assert_uint_eq(depth, JSON_DEPTH - 1);
	json_build_end(&b);
	json_read_close(&r);
	arena_free(&a);
	return NULL;
}

/* On a stack that would not bear a call for each level. */
START_TEST(deep)
{
	char *text = malloc((size_t)7 * JSON_DEPTH + 16), *p = text;
	struct json_reader r;
	pthread_attr_t attr;
	pthread_t thread;

	for (int i = 0; i < JSON_DEPTH; i++)
		p += sprintf(p, i % 2 ? "{\"a\":" : "[");
	p[-5] = '\0';
	p -= 5;
	for (int i = JSON_DEPTH; i-- > 0;)
		if (i < JSON_DEPTH - 1)
			*p++ = i % 2 ? '}' : ']';
	*p = '\0';
	/* The innermost one, an object, was taken away: an empty one in its place. */
	char *hole = strstr(text, "[]");
	ck_assert_ptr_nonnull(hole);
	memmove(hole + 3, hole + 1, strlen(hole + 1) + 1);
	memcpy(hole + 1, "{}", 2);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	ck_assert_int_eq(pthread_create(&thread, &attr, build_deep, text), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);

	memset(text, '[', JSON_DEPTH + 1);
	json_read_text(&r, text, JSON_DEPTH + 1, JSON_ONE);
	for (int i = 0; i < JSON_DEPTH; i++)
		ck_assert_int_eq(json_next(&r), JSON_ARRAY);
	ck_assert_uint_eq(r.depth, JSON_DEPTH);
	ck_assert_int_eq(json_next(&r), JSON_WRONG);
	ck_assert_uint_eq(r.fault.at.column, JSON_DEPTH + 1);
	ck_assert_ptr_nonnull(strstr(r.fault.text, "nested deeper"));
	json_read_close(&r);
	free(text);
}
END_TEST

/* ---- Values ---- */

static char *written(const dur_value *v)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	json_write_value(f, v);
	fclose(f);
	return text;
}

static void becomes(const char *text, const dur_value *expected)
{
	struct arena a = { 0 };
	struct json_fault f;
	dur_value v;

	if (!json_read_value(&a, text, strlen(text), &v, &f))
		ck_abort_msg("%s: %s", text, f.text);
	if (!same_value(&v, expected) || v.tag != expected->tag || v.type != expected->type)
		ck_abort_msg("%s is read as %s", text, written(&v));
	arena_free(&a);
}

START_TEST(numbers)
{
	becomes("0", &DUR_INT(0));
	becomes("-0", &DUR_INT(0));
	becomes("9007199254740993", &DUR_INT(9007199254740993));
	becomes("9223372036854775807", &DUR_INT(INT64_MAX));
	becomes("-9223372036854775808", &DUR_INT(INT64_MIN));
	becomes("9223372036854775808", &DUR_BIGINT("9223372036854775808"));
	becomes("-9223372036854775809", &DUR_BIGINT("-9223372036854775809"));
	becomes("9999999999999999999", &DUR_BIGINT("9999999999999999999"));
	becomes("18446744073709551616", &DUR_BIGINT("18446744073709551616"));
	becomes("100000000000000000000", &DUR_BIGINT("100000000000000000000"));
	becomes("1.0", &DUR_DOUBLE(1));
	becomes("-0.0", &DUR_DOUBLE(-0.0));
	becomes("-0e5", &DUR_DOUBLE(-0.0));
	becomes("0.1", &DUR_DOUBLE(0.1));
	becomes("1e2", &DUR_DOUBLE(100));
	becomes("9007199254740993.0", &DUR_DOUBLE(9007199254740992.0));
	becomes("1.7976931348623157e308", &DUR_DOUBLE(1.7976931348623157e308));
	becomes("5e-324", &DUR_DOUBLE(5e-324));
	becomes("2.4703282292062328e-324", &DUR_DOUBLE(5e-324));
	becomes("0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
	        &DUR_DOUBLE(1e-78));
}
END_TEST

static void refuses(const char *text, unsigned column, bool is_json, const char *says)
{
	struct arena a = { 0 };
	struct json_fault f = { .is_json = false };
	dur_value v;

	ck_assert_msg(!json_read_value(&a, text, strlen(text), &v, &f), "%s", text);
	if (f.at.column != column || f.is_json != is_json || strstr(f.text, says) == NULL)
		ck_abort_msg("%s: column %llu: %s", text, (unsigned long long)f.at.column, f.text);
	arena_free(&a);
}

START_TEST(values_refused)
{
	char many[4000], *p = many;

	refuses("[1,1e309]", 4, false, "beyond a double");
	refuses("-1e400", 1, false, "beyond a double");
	refuses("1e-400", 1, false, "beyond a double");
	refuses("{\"a\":1,\"b\":2,\"a\":3}", 14, false, "duplicate name \"a\"");
	refuses("{\"b\":1,\"a\":{\"b\":1},\"b\":3}", 20, false, "duplicate name \"b\"");
	refuses("{\"\\u0061\":1,\"a\":3}", 13, false, "duplicate name \"a\"");
	refuses("{\"\":1,\"\":3}", 7, false, "duplicate name \"\"");
	refuses("[{\"~q\":1}]", 3, true, "no form like this");
	refuses("[{\"~\":1}]", 3, true, "no form like this");
	refuses("[{\"~xx\":\"00\"}]", 3, true, "no form like this");
	refuses("{\"~x\":[]}", 2, true, "takes a string");
	refuses("{\"~p\":{\"a\":1}}", 2, true, "takes an array");
	refuses("{\"~p\":[[1]]}", 2, true, "scalars and tuples");
	refuses("{\"~g\":[7,[1]]}", 2, true, "a tag");
	refuses("{\"~g\":[7,{\"~g\":[8,1]}]}", 2, true, "one tag");
	/* More names than are compared one by one, in no order, the last one not the first time. */
	p += sprintf(p, "{\"z\":0");
	for (int i = 100; i > 0; i--)
		p += sprintf(p, ",\"%d\":%d", i * 7919 % 101, i);
	sprintf(p, ",\"50\":1}");
	refuses(many, (unsigned)strlen(many), false, "duplicate name \"50\"");
}
END_TEST

START_TEST(documents)
{
	dur_value inner[] = { DUR_INT(1), DUR_DOUBLE(0.5), { .type = DUR_MAP | DUR_LITERAL } };
	dur_value pairs[] = { DUR_STR("b"), DUR_NEW(DUR_LIST, inner, 3), DUR_STR("~a"),
		              DUR_NULL() };
	struct arena a = { 0 };
	struct json_fault f;
	const char text[] = "{\"b\":[1,0.5,{}],\"~a\":null}";
	dur_value v;

	ck_assert(json_read_value(&a, text, strlen(text), &v, &f));
	ck_assert_uint_eq(v.type, DUR_MAP | DUR_LITERAL);
	ck_assert_uint_eq(v.len, 4);
	ck_assert(same_value(&v.items[0], &pairs[0]) && same_value(&v.items[2], &pairs[2]));
	ck_assert_uint_eq(v.items[1].type, DUR_LIST | DUR_LITERAL);
	ck_assert_uint_eq(v.items[1].len, 3);
	for (int i = 0; i < 2; i++)
		ck_assert(same_value(&v.items[1].items[i], &inner[i]));
	ck_assert_uint_eq(v.items[1].items[2].type, DUR_MAP | DUR_LITERAL);
	ck_assert_uint_eq(v.items[1].items[2].len, 0);
	ck_assert_uint_eq(v.items[3].type, DUR_NULL);
	arena_free(&a);
}
END_TEST

/* Any scalar or tuple comes back as what it was, tags too. */
START_TEST(round_trips)
{
	static uint8_t packed[1 << 16];
	struct key_arena made = { 0 };
	struct arena a = { 0 };
	uint64_t state = seed + 1;
	size_t len;

	for (int round = 0; round < 30000; round++) {
		/* Packed and unpacked: what is written has been read. */
		dur_value v = random_key(&state, &made, 4), back;
		if (key_pack(&v, 1, packed, sizeof packed, &len) != 0)
			continue;
		ck_assert_int_eq(key_unpack(packed, len, &made, &v), 0);
		v = v.items[0];
		struct json_fault f;
		if (random_below(&state, 4) == 0)
			v.tag = (uint16_t)(1 + random_below(&state, UINT16_MAX));
		char *text = written(&v);
		if (!json_read_value(&a, text, strlen(text), &back, &f))
			ck_abort_msg("%s: %s", text, f.text);
		if (!same_value(&v, &back) || v.tag != back.tag)
			ck_abort_msg("%s", text);
		free(text);
		arena_reset(&a);
		key_arena_reset(&made);
	}
	arena_free(&a);
	key_arena_free(&made);
}
END_TEST

START_TEST(forms_of_collections)
{
	struct {
		const char *text;
		uint32_t kind;
		uint64_t len;
	} cases[] = {
		{ "{\"~k\":[]}", DUR_MAP, 0 },
		{ "{\"~k\":[[1,2],[{\"~p\":[1,2]},[]],[null,{}]]}", DUR_MAP, 6 },
		{ "{\"~K\":[[\"a\",2],[{\"~x\":\"ff\"},2]]}", DUR_RAW_MAP, 4 },
		{ "{\"~s\":[3,1,\"a\",{\"~p\":[]}]}", DUR_SET, 4 },
		{ "{\"~S\":[{\"~x\":\"ff\"}]}", DUR_RAW_SET, 1 },
		{ "{\"~l\":[\"text\",{\"~x\":\"ff00\"}]}", DUR_ROPE, 2 },
		{ "{\"~s\":[1],\"b\":2}", DUR_MAP, 4 },
		{ "{\"b\":2,\"~s\":[1]}", DUR_MAP, 4 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena a = { 0 };
		struct json_fault f;
		dur_value v;
		if (!json_read_value(&a, cases[i].text, strlen(cases[i].text), &v, &f))
			ck_abort_msg("%s: %s", cases[i].text, f.text);
		ck_assert_uint_eq(v.type, cases[i].kind | DUR_LITERAL);
		ck_assert_uint_eq(v.len, cases[i].len);
		arena_free(&a);
	}
	refuses("{\"~k\":1}", 2, true, "takes an array");
	refuses("{\"~k\":{}}", 2, true, "takes an array");
	refuses("{\"~k\":[1]}", 2, true, "[[KEY,VALUE],...]");
	refuses("{\"~k\":[[1]]}", 2, true, "[[KEY,VALUE],...]");
	refuses("{\"~k\":[[[],1]]}", 2, true, "a key is a scalar");
	refuses("{\"~k\":[[{\"~g\":[1,2]},1]]}", 2, true, "no tag");
	refuses("{\"~k\":[[1,1],[2,1],[1,3]]}", 26, false, "two pairs of one key");
	refuses("{\"~s\":[[1]]}", 2, true, "a set holds scalars");
	refuses("{\"~s\":\"a\"}", 2, true, "takes an array");
	refuses("{\"~l\":[1]}", 2, true, "strings and bytes");
	refuses("{\"~g\":[1,{\"~s\":[]}]}", 2, true, "a tag");
	refuses("{\"~p\":[{\"~s\":[]}]}", 2, true, "a tuple holds scalars");
}
END_TEST

/* ---- Documents in a store ---- */

struct texts {
	char *given, *kept; /* members in any order; as they come back */
};

static struct texts random_document(uint64_t *state, unsigned depth);

/* Pieces between brackets: given shuffled, kept in order. */
static struct texts joined(uint64_t *state, const struct texts *parts, size_t n, const char *begin,
                           const char *end, bool shuffle)
{
	struct texts t;
	size_t len, order[40];
	FILE *f = open_memstream(&t.given, &len);

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; shuffle && i > 1; i--) {
		size_t k = random_below(state, i), swap = order[k];
		order[k] = order[i - 1];
		order[i - 1] = swap;
	}
	fputs(begin, f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i ? " ,\n" : "", parts[order[i]].given);
	fputs(end, f);
	fclose(f);
	f = open_memstream(&t.kept, &len);
	fputs(begin, f);
	for (size_t i = 0; i < n; i++) {
		fprintf(f, "%s%s", i ? "," : "", parts[i].kept);
		free(parts[i].given);
		free(parts[i].kept);
	}
	fputs(end, f);
	fclose(f);
	return t;
}

/* A key or name that stands behind all before it, and what it leads to. */
static struct texts random_member(uint64_t *state, unsigned depth, size_t i, bool pair)
{
	struct texts inner = random_document(state, depth), t;
	char key[64];

	if (pair)
		snprintf(key, sizeof key, "%llu",
		         (unsigned long long)(i * 1000 + random_below(state, 999)));
	else
		snprintf(key, sizeof key, "\"%s%03zu%llu\"",
		         i == 0 && random_below(state, 2) ? " ~" : "k", i,
		         (unsigned long long)random_below(state, 1000));
	ck_assert_int_ge(asprintf(&t.given, pair ? "[%s,%s]" : "%s : %s", key, inner.given), 0);
	ck_assert_int_ge(asprintf(&t.kept, pair ? "[%s,%s]" : "%s:%s", key, inner.kept), 0);
	free(inner.given);
	free(inner.kept);
	return t;
}

static struct texts random_scalar_text(uint64_t *state)
{
	static const char *const scalars[] = { "null",
		                               "true",
		                               "-5",
		                               "0.1",
		                               "\"\"",
		                               "1e300",
		                               "{\"~x\":\"00ff\"}",
		                               "{\"~m\":\"1.50\"}",
		                               "{\"~g\":[7,\"tagged\"]}",
		                               "{\"~p\":[1,\"a\"]}" };
	uint64_t which = random_below(state, 12);
	char text[600];

	if (which < 10)
		return (struct texts){ strdup(scalars[which]), strdup(scalars[which]) };
	size_t n = random_below(state, which == 10 ? 20 : 500);
	text[0] = '"';
	memset(text + 1, 'x', n);
	strcpy(text + 1 + n, "\"");
	return (struct texts){ strdup(text), strdup(text) };
}

static struct texts random_document(uint64_t *state, unsigned depth)
{
	struct texts parts[40];
	uint64_t shape = depth > 0 ? random_below(state, 6) : 0;
	size_t n = random_below(state, random_below(state, 4) ? 5 : 40);

	if (shape == 0)
		return random_scalar_text(state);
	if (shape == 1) { /* a set */
		for (size_t i = 0; i < n; i++) {
			char text[24];
			sprintf(text, "%zu", 5 * i);
			parts[i] = (struct texts){ strdup(text), strdup(text) };
		}
		return joined(state, parts, n, "{\"~s\":[", "]}", true);
	}
	if (shape == 2 && n > 0) {
		for (size_t i = 0; i < n; i++)
			parts[i] = random_member(state, depth - 1, i, true);
		return joined(state, parts, n, "{\"~k\":[", "]}", true);
	}
	if (shape == 3) {
		for (size_t i = 0; i < n; i++)
			parts[i] = random_document(state, depth - 1);
		return joined(state, parts, n, "[", "]", false);
	}
	for (size_t i = 0; i < n; i++)
		parts[i] = random_member(state, depth - 1, i, false);
	return joined(state, parts, n, "{", "}", true);
}

struct target {
	dur_prefix *prefix;
	dur_view *txn;
	dur_value key;
	bool begun;
};

static int begin_there(void *ctx, dur_coll *c, const dur_value **key)
{
	struct target *t = ctx;
	ck_assert(!t->begun);
	t->begun = true;
	*c = dur_root(t->txn);
	*key = &t->key;
	return 0;
}

/* What is stored at the key, as text. */
static char *stored(const struct target *t)
{
	dur_value v;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_int_eq(dur_get(dur_root(t->txn), &t->key, &v), 0);
	ck_assert_int_eq(document_write(&(struct json_writer){ .file = f }, &v), 0);
	fclose(f);
	return text;
}

/* Built in however little memory, a document is stored as what it is. */
START_TEST(documents_in_a_store)
{
	int rounds = getenv("DURAMEN_SLOW") ? 3000 : 100, spilled = 0;
	struct target t = { .key = DUR_STR("doc") };
	uint64_t state = seed + 7;
	dur_workspace *ws;

	ck_assert_int_eq(dur_workspace_open(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", NULL,
	                                    &ws),
	                 0);
	ck_assert_int_eq(dur_attach(ws, NULL, DUR_MEMORY | DUR_CREATE, NULL, &t.prefix), 0);
	for (int round = 0; round < rounds; round++) {
		struct texts text = random_document(&state, 5);
		struct json_builder b = { .begin = begin_there, .ctx = &t };
		struct json_reader r;
		struct arena a = { 0 };
		dur_value v;

		b.memory = 1 + random_below(&state, random_below(&state, 2) ? 3000 : 100000);
		t.begun = false;
		ck_assert_int_eq(dur_begin(t.prefix, NULL, &t.txn), 0);
		json_read_text(&r, text.given, strlen(text.given), JSON_ONE);
		if (!json_build_all(&b, &r, &a, &v))
			ck_abort_msg("%s: %s %s", text.given, b.fault.text, dur_message());
		ck_assert_int_eq(v.type == DUR_ABSENT, t.begun);
		if (v.type != DUR_ABSENT)
			ck_assert_int_eq(dur_put(dur_root(t.txn), &t.key, &v), 0);
		ck_assert_int_eq(dur_commit(t.txn, NULL, NULL), 0);
		char *back = stored(&t);
		ck_assert_str_eq(back, text.kept);
		dur_close(t.txn);
		spilled += t.begun;
		json_build_end(&b);
		json_read_close(&r);
		arena_free(&a);
		free(back);
		free(text.given);
		free(text.kept);
	}
	ck_assert_int_gt(spilled, rounds / 10);
	dur_detach(t.prefix);
	dur_workspace_close(ws);
}
END_TEST

START_TEST(spilled_names_twice)
{
	static const char text[] =
		"{\"b\":{\"x\":\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"y\":1},\"c\":2,\"b\":3}";
	struct target t = { .key = DUR_STR("doc") };
	struct json_builder b = { .begin = begin_there, .ctx = &t, .memory = 1 };
	struct arena a = { 0 };
	struct json_reader r;
	dur_workspace *ws;
	dur_value v;

	ck_assert_int_eq(dur_workspace_open(getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", NULL,
	                                    &ws),
	                 0);
	ck_assert_int_eq(dur_attach(ws, NULL, DUR_MEMORY | DUR_CREATE, NULL, &t.prefix), 0);
	ck_assert_int_eq(dur_begin(t.prefix, NULL, &t.txn), 0);
	json_read_text(&r, text, sizeof text - 1, JSON_ONE);
	ck_assert(!json_build_all(&b, &r, &a, &v));
	ck_assert(t.begun);
	ck_assert_ptr_nonnull(strstr(b.fault.text, "duplicate name \"b\""));
	dur_close(t.txn);
	json_build_end(&b);
	json_read_close(&r);
	arena_free(&a);
	dur_detach(t.prefix);
	dur_workspace_close(ws);
}
END_TEST

START_TEST(writing)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct json_writer w = { .file = f };

	json_begin(&w, '{');
	json_member_text(&w, "a\n", "\"\\\b\f\r\t\x01\x1f\x7f/\xc3\xa9");
	json_name(&w, "list");
	json_begin(&w, '[');
	json_begin(&w, '[');
	json_end(&w, ']');
	json_begin(&w, '{');
	json_member_int(&w, "n", 5);
	json_member_bool(&w, "yes", true);
	json_end(&w, '}');
	json_value(&w, &DUR_NULL());
	json_value(&w, &DUR_DOUBLE(1e22));
	json_value(&w, &DUR_DOUBLE(-1.5e-7));
	json_value(&w, &DUR_DOUBLE(0.30000000000000004));
	json_value(&w, &DUR_DOUBLE(3));
	json_end(&w, ']');
	json_end(&w, '}');
	fclose(f);
	ck_assert_str_eq(text,
	                 "{\"a\\n\":\"\\\"\\\\\\b\\f\\r\\t\\u0001\\u001F\x7f/\xc3\xa9\",\"list\":"
	                 "[[],{\"n\":5,\"yes\":true},null,1e22,-1.5e-7,"
	                 "0.30000000000000004,3.0]}");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	seed = random_seed("test_json");
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, what_is_json);
	tcase_add_test(tcase, nul_in_a_string);
	tcase_add_test(tcase, what_is_not);
	tcase_add_test(tcase, lines);
	tcase_add_test(tcase, mutated);
	tcase_add_test(tcase, deep);
	tcase_add_test(tcase, numbers);
	tcase_add_test(tcase, values_refused);
	tcase_add_test(tcase, documents);
	tcase_add_test(tcase, round_trips);
	tcase_add_test(tcase, writing);
	tcase_add_test(tcase, forms_of_collections);
	tcase_add_test(tcase, documents_in_a_store);
	tcase_add_test(tcase, spilled_names_twice);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
