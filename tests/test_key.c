/* SPDX-License-Identifier: Apache-2.0 */
/* Typed and raw keys: published encodings, round trips, order, ranges, hostile bytes. */
#include "engine/key.h"
#include "engine/number.h"
#include "engine/utf8.h"
#include "tests/random_values.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* DUR_TUPLE of the arguments */
#define T(...)                                    \
	DUR_TUPLE(((dur_value[]){ __VA_ARGS__ }), \
	          sizeof((dur_value[]){ __VA_ARGS__ }) / sizeof(dur_value))
#define EMPTY DUR_TUPLE(NULL, 0)

static uint64_t seed;

static size_t hex(const char *text, uint8_t *bytes)
{
	size_t n = 0;
	for (; *text; text++)
		if (*text != ' ') {
			unsigned byte;
			ck_assert_int_eq(sscanf(text++, "%2x", &byte), 1);
			bytes[n++] = (uint8_t)byte;
		}
	return n;
}

static void assert_bytes(const uint8_t *got, size_t len, const char *expected)
{
	uint8_t bytes[2048];
	size_t n = hex(expected, bytes);

	if (n == len && memcmp(got, bytes, n) == 0)
		return;
	printf("expected %s\n     got ", expected);
	for (size_t i = 0; i < len; i++)
		printf("%02x ", got[i]);
	printf("\n");
	ck_abort_msg("another encoding");
}

static void assert_key(const dur_value *v, const char *expected)
{
	struct key_arena arena = { 0 };
	uint8_t buf[DUR_MAX_KEY];
	dur_value back;
	size_t len;

	ck_assert_int_eq(key_encode(v, buf, sizeof buf, &len), 0);
	assert_bytes(buf, len, expected);
	ck_assert_int_eq(key_decode(buf, len, &arena, &back), 0);
	ck_assert(same_value(v, &back));
	key_arena_free(&arena);
}

/* The test cases of FoundationDB's design/tuple.md, and those that its bindings test. */
START_TEST(published_vectors)
{
	static const uint8_t id[16] = { 0xba, 0xff, 0xff, 0xff, 0xff, 0x5e, 0xba, 0x11,
		                        0,    0,    0,    0,    0x5c, 0xa1, 0xab, 0x1e };
	dur_value uuid = { .type = DUR_UUID };

	memcpy(uuid.id, id, 16);
	assert_key(&DUR_BYTES("foo\0bar", 7), "01 66 6f 6f 00 ff 62 61 72 00");
	assert_key(&DUR_STRN("F\u00d4O\0bar", 8), "02 46 c3 94 4f 00 ff 62 61 72 00");
	assert_key(&T(T(DUR_BYTES("foo\0bar", 7), DUR_NULL(), EMPTY)),
	           "05 01 66 6f 6f 00 ff 62 61 72 00 00 ff 05 00 00");
	assert_key(&T(T(DUR_NULL())), "05 00 ff 00");
	assert_key(&T(EMPTY), "05 00");
	assert_key(&DUR_INT(-5551212), "11 ab 4b 93");
	assert_key(&DUR_INT(0), "14");
	assert_key(&DUR_INT(1), "15 01");
	assert_key(&DUR_INT(-1), "13 fe");
	assert_key(&DUR_INT(255), "15 ff");
	assert_key(&DUR_INT(-255), "13 00");
	assert_key(&DUR_INT(256), "16 01 00");
	assert_key(&DUR_INT(-256), "12 fe ff");
	assert_key(&DUR_INT(65536), "17 01 00 00");
	assert_key(&DUR_INT(-65536), "11 fe ff ff");
	assert_key(&DUR_INT(INT64_MAX), "1c 7f ff ff ff ff ff ff ff");
	assert_key(&DUR_INT(INT64_MIN), "0c 7f ff ff ff ff ff ff ff");
	assert_key(&DUR_INT(INT64_MIN + 1), "0c 80 00 00 00 00 00 00 00");
	assert_key(&DUR_BIGINT("9223372036854775808"), "1c 80 00 00 00 00 00 00 00");
	assert_key(&DUR_BIGINT("18446744073709551615"), "1c ff ff ff ff ff ff ff ff");
	assert_key(&DUR_BIGINT("-18446744073709551615"), "0c 00 00 00 00 00 00 00 00");
	assert_key(&DUR_BIGINT("-9223372036854775809"), "0c 7f ff ff ff ff ff ff fe");
	assert_key(&DUR_BIGINT("18446744073709551616"), "1d 09 01 00 00 00 00 00 00 00 00");
	assert_key(&DUR_BIGINT("-18446744073709551616"), "0b f6 fe ff ff ff ff ff ff ff ff");
	assert_key(&DUR_DOUBLE(3.14), "21 c0 09 1e b8 51 eb 85 1f");
	assert_key(&DUR_DOUBLE(-3.14), "21 3f f6 e1 47 ae 14 7a e0");
	assert_key(&DUR_DOUBLE(0.0), "21 80 00 00 00 00 00 00 00");
	assert_key(&DUR_DOUBLE(-0.0), "21 7f ff ff ff ff ff ff ff");
	assert_key(&DUR_DOUBLE(INFINITY), "21 ff f0 00 00 00 00 00 00");
	assert_key(&DUR_DOUBLE(-INFINITY), "21 00 0f ff ff ff ff ff ff");
	assert_key(&DUR_BYTES("", 0), "01 00");
	assert_key(&DUR_BYTES("\1\2\3", 3), "01 01 02 03 00");
	assert_key(&DUR_BYTES("\0\0\0\4", 4), "01 00 ff 00 ff 00 ff 04 00");
	assert_key(&DUR_STR(""), "02 00");
	assert_key(&DUR_STR("hello"), "02 68 65 6c 6c 6f 00");
	assert_key(&DUR_STR("\xe4\xb8\xad\xe6\x96\x87"), "02 e4 b8 ad e6 96 87 00");
	assert_key(&DUR_BOOL(0), "26");
	assert_key(&DUR_BOOL(1), "27");
	assert_key(&DUR_NULL(), "00");
	assert_key(&uuid, "30 ba ff ff ff ff 5e ba 11 00 00 00 00 5c a1 ab 1e");
	assert_key(&EMPTY, "");
	assert_key(&T(DUR_NULL(), DUR_NULL()), "00 00");
	assert_key(&T(T(DUR_STR("hello"), DUR_NULL(), DUR_STR("world"))),
	           "05 02 68 65 6c 6c 6f 00 00 ff 02 77 6f 72 6c 64 00 00");
}
END_TEST

/* The codes that are Duramen's own. */
START_TEST(own_vectors)
{
	dur_value ref = { .type = DUR_REF }, weak = { .type = DUR_WEAK };

	ref.id[0] = weak.id[15] = 7;
	assert_key(&DUR_DECIMAL("0"), "40 02 14");
	assert_key(&DUR_DECIMAL("0.00"), "40 02 15 02");
	assert_key(&DUR_DECIMAL("1"), "40 03 15 01 0b 00 14");
	assert_key(&DUR_DECIMAL("12.50"), "40 03 15 02 0d 33 00 15 02");
	assert_key(&DUR_DECIMAL("-12.50"), "40 01 ea fd f2 cc ff 15 02");
	assert_key(&DUR_DECIMAL("0.05"), "40 03 13 fe 33 00 15 02");
	assert_key(&DUR_DECIMAL("9900"), "40 03 15 04 64 00 14");
	assert_key(&DUR_TIME(0, 0, 0), "41 80 00 00 00 00 00 00 00 00 00 00 00 80 00");
	assert_key(&DUR_TIME(-1, 999999999, -60), "41 7f ff ff ff ff ff ff ff 3b 9a c9 ff 7f c4");
	assert_key(&DUR_TIME(1, 1, DUR_NO_ZONE), "41 80 00 00 00 00 00 00 01 00 00 00 01 00 00");
	assert_key(&ref, "42 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	assert_key(&weak, "43 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 07");
}
END_TEST

START_TEST(a_scalar_is_a_tuple_of_one)
{
	struct key_arena arena = { 0 };
	uint8_t buf[DUR_MAX_KEY];
	dur_value back;
	size_t len;

	ck_assert_int_eq(key_encode(&T(DUR_STR("a")), buf, sizeof buf, &len), 0);
	assert_bytes(buf, len, "02 61 00");
	ck_assert_int_eq(key_decode(buf, len, &arena, &back), 0);
	ck_assert_uint_eq(back.type, DUR_STR);
	ck_assert_uint_eq(back.len, 1);
	ck_assert_ptr_eq(back.str, buf + 1);
	ck_assert_int_eq(key_unpack(buf, len, &arena, &back), 0);
	ck_assert_uint_eq(back.type, DUR_TUPLE);
	ck_assert_uint_eq(back.len, 1);
	ck_assert_int_eq(dur_compare(&DUR_STR("a"), &T(DUR_STR("a"))), 0);
	ck_assert_int_eq(dur_compare(&DUR_STR("a"), &T(T(DUR_STR("a")))), -1);
	ck_assert_int_eq(dur_compare(&DUR_STR("a"), &T(DUR_STR("a"), DUR_NULL())), -1);
	ck_assert_int_eq(dur_compare(&DUR_BIGINT("5"), &DUR_INT(5)), 0);
	ck_assert_int_eq(key_encode(&DUR_BIGINT("5"), buf, sizeof buf, &len), 0);
	assert_bytes(buf, len, "15 05");
	key_arena_free(&arena);
}
END_TEST

START_TEST(what_cannot_be_a_key)
{
	static char long_text[DUR_MAX_KEY], digits[700];
	uint8_t buf[DUR_MAX_KEY];
	dur_value deep[KEY_DEPTH + 2], wrong = DUR_BOOL(1), path = DUR_PATH("/a");
	struct {
		dur_value v;
		int rc;
	} cases[] = {
		{ { 0 }, DUR_E_TYPE },
		{ { .type = DUR_MAP }, DUR_E_TYPE },
		{ path, DUR_E_TYPE },
		{ { .type = 99 }, DUR_E_TYPE },
		{ T(DUR_INT(1), { 0 }), DUR_E_TYPE },
		{ DUR_STR("a\xff"), DUR_E_MISUSE },
		{ DUR_STR("abcdefgh\xc0\x80"), DUR_E_MISUSE },
		{ DUR_STRN("\xed\xa0\x80", 3), DUR_E_MISUSE },
		{ DUR_STR(NULL), DUR_E_MISUSE },
		{ DUR_STRN(NULL, 3), DUR_E_MISUSE },
		{ { .type = DUR_BYTES, .len = DUR_CSTR, .str = "x" }, DUR_E_MISUSE },
		{ DUR_TUPLE(NULL, 2), DUR_E_MISUSE },
		{ DUR_BIGINT("-0"), DUR_E_MISUSE },
		{ DUR_BIGINT("01"), DUR_E_MISUSE },
		{ DUR_BIGINT("+1"), DUR_E_MISUSE },
		{ DUR_BIGINT(""), DUR_E_MISUSE },
		{ DUR_BIGINT("-"), DUR_E_MISUSE },
		{ DUR_BIGINT("1x"), DUR_E_MISUSE },
		{ DUR_DECIMAL(""), DUR_E_MISUSE },
		{ DUR_DECIMAL("."), DUR_E_MISUSE },
		{ DUR_DECIMAL("1."), DUR_E_MISUSE },
		{ DUR_DECIMAL(".5"), DUR_E_MISUSE },
		{ DUR_DECIMAL("-0.0"), DUR_E_MISUSE },
		{ DUR_DECIMAL("00.5"), DUR_E_MISUSE },
		{ DUR_DECIMAL("1e5"), DUR_E_MISUSE },
		{ DUR_DECIMAL("1.2.3"), DUR_E_MISUSE },
		{ DUR_TIME(0, 1000000000, 0), DUR_E_RANGE },
		{ DUR_TIME(0, 0, 1440), DUR_E_RANGE },
		{ DUR_STRN(long_text, DUR_MAX_KEY - 1), DUR_E_LIMIT },
		{ DUR_BIGINT(digits), DUR_E_LIMIT },
		{ T(DUR_INT(1), DUR_STRN(long_text, DUR_MAX_KEY - 3)), DUR_E_LIMIT },
	};
	size_t len;

	memset(long_text, 'x', sizeof long_text);
	memset(digits, '9', sizeof digits - 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (key_encode(&cases[i].v, buf, sizeof buf, &len) != cases[i].rc)
			ck_abort_msg("case %zu", i);
	wrong.i = 2;
	ck_assert_int_eq(key_encode(&wrong, buf, sizeof buf, &len), DUR_E_MISUSE);
	ck_assert_int_eq(key_encode(NULL, buf, sizeof buf, &len), DUR_E_MISUSE);
	ck_assert_int_eq(key_encode(&DUR_STRN(long_text, DUR_MAX_KEY - 2), buf, sizeof buf, &len),
	                 0);
	ck_assert_uint_eq(len, DUR_MAX_KEY);

	deep[0] = EMPTY; /* itself in the key's own tuple: one deep */
	for (int i = 1; i < KEY_DEPTH + 2; i++)
		deep[i] = DUR_TUPLE(&deep[i - 1], 1);
	ck_assert_int_eq(key_encode(&deep[KEY_DEPTH], buf, sizeof buf, &len), 0);
	ck_assert_int_eq(key_encode(&deep[KEY_DEPTH + 1], buf, sizeof buf, &len), DUR_E_LIMIT);
}
END_TEST

START_TEST(largest_numbers)
{
	/* 2^2040 - 1 has 255 bytes, the most that fit; one more does not. */
	static uint8_t most[257] = { 0x1d, 0xff };
	char text[NUMBER_INTEGER_TEXT + 1], decimal[NUMBER_DECIMAL_TEXT + 2];
	struct key_arena arena = { 0 };
	uint8_t buf[DUR_MAX_KEY];
	dur_value v;
	size_t len;

	memset(most + 2, 0xff, 255);
	ck_assert_int_eq(key_decode(most, sizeof most, &arena, &v), 0);
	ck_assert_uint_eq(v.type, DUR_BIGINT);
	ck_assert_uint_eq(v.len, 615);
	ck_assert_int_eq(key_encode(&v, buf, sizeof buf, &len), 0);
	ck_assert_uint_eq(len, sizeof most);
	ck_assert_mem_eq(buf, most, len);
	memcpy(text, v.str, 615);
	ck_assert_int_eq(text[614], '5');
	text[614] = '6';
	ck_assert_int_eq(key_encode(&DUR_STRN(text, 615), buf, sizeof buf, &len), 0);
	v = (dur_value){ .type = DUR_BIGINT, .str = text, .len = 615 };
	ck_assert_int_eq(key_encode(&v, buf, sizeof buf, &len), DUR_E_LIMIT);

	memset(decimal, '0', sizeof decimal);
	decimal[1] = '.';
	decimal[NUMBER_DECIMAL_TEXT - 1] = '1';
	v = (dur_value){ .type = DUR_DECIMAL, .str = decimal, .len = NUMBER_DECIMAL_TEXT };
	ck_assert_int_eq(key_encode(&v, buf, sizeof buf, &len), 0);
	ck_assert_int_eq(key_decode(buf, len, &arena, &v), 0);
	ck_assert_uint_eq(v.len, NUMBER_DECIMAL_TEXT);
	ck_assert_mem_eq(v.str, decimal, v.len);
	v = (dur_value){ .type = DUR_DECIMAL, .str = decimal, .len = NUMBER_DECIMAL_TEXT + 1 };
	ck_assert_int_eq(key_encode(&v, buf, sizeof buf, &len), DUR_E_LIMIT);
	key_arena_free(&arena);
}
END_TEST

/* A second form of a key, or none: none of these is what key_encode() makes. */
START_TEST(strict_decoding)
{
	static const char *const bad[] = {
		"01",
		"01 61",
		"01 61 00 ff",
		"02 ff 00",
		"02 c3 00",
		"05",
		"05 05 00",
		"05 01 61",
		"15",
		"15 00",
		"16 00 01",
		"13",
		"13 ff",
		"12 ff fe",
		"1c 00 ff ff ff ff ff ff ff",
		"1d",
		"1d 08 ff ff ff ff ff ff ff ff",
		"1d 09 00 ff ff ff ff ff ff ff ff",
		"0b f7 00 00 00 00 00 00 00 00",
		"0b f6 ff 00 00 00 00 00 00 00 00",
		"0b",
		"21",
		"21 00 00 00 00 00 00 00",
		"03",
		"04",
		"06",
		"0a",
		"1e",
		"20 00 00 00 00",
		"25",
		"28",
		"30 00",
		"31",
		"44",
		"4f",
		"50",
		"ff",
		"00 ff",
		"05 ff 00",
		"05 00 ff",
		"40",
		"40 00 14",
		"40 02",
		"40 04 14",
		"40 02 13 fe",
		"40 03 15 01 00 14",
		"40 03 15 01 01 00 14",       /* a pair 00 */
		"40 03 15 01 0a 00 14",       /* a first digit 0 */
		"40 03 15 01 0b 01 00 14",    /* a last pair 00 */
		"40 03 15 01 66 00 14",       /* a pair beyond 99 */
		"40 03 15 01 0d 00 14",       /* 1.2 with no digits behind the point */
		"40 03 17 01 00 00 0b 00 14", /* too large */
		"40 03 14 0b 00 16 08 01",    /* too many digits */
		"41 80 00 00 00 00 00 00 00 3b 9a ca 00 80 00",
		"41 80 00 00 00 00 00 00 00 00 00 00 00 85 a0",
		"41 80 00",
		"42 00",
		"43",
	};
	struct key_arena arena = { 0 };
	uint8_t bytes[64];
	dur_value v;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t n = hex(bad[i], bytes);
		if (key_decode(bytes, n, &arena, &v) != DUR_E_CORRUPT)
			ck_abort_msg("decoded: %s", bad[i]);
		if (key_unpack(bytes, n, &arena, &v) != DUR_E_CORRUPT)
			ck_abort_msg("unpacked: %s", bad[i]);
	}
	key_arena_free(&arena);
}
END_TEST

/* Bytes in memory of exactly their size, so that a sanitizer sees any look beyond. */
static int decode_exact(const uint8_t *bytes, size_t n, struct key_arena *arena)
{
	uint8_t *copy = malloc(n ? n : 1), again[DUR_MAX_KEY];
	size_t len;
	dur_value v;
	int rc;

	memcpy(copy, bytes, n);
	key_arena_reset(arena);
	rc = key_decode(copy, n, arena, &v);
	ck_assert(rc == 0 || rc == DUR_E_CORRUPT);
	if (rc == 0) { /* then it is the one encoding of that value */
		ck_assert_int_eq(key_encode(&v, again, sizeof again, &len), 0);
		ck_assert_uint_eq(len, n);
		ck_assert_mem_eq(again, copy, n);
	}
	free(copy);
	return rc;
}

START_TEST(hostile_bytes)
{
	static const uint8_t codes[] = { 0,    1,    2,    5,    0x0b, 0x0c, 0x13, 0x14,
		                         0x15, 0x1c, 0x1d, 0x21, 0x26, 0x27, 0x30, 0x40,
		                         0x41, 0x42, 0x43, 0xff, 3,    0x0a, 9 };
	struct key_arena arena = { 0 }, made = { 0 };
	uint64_t state = seed;
	uint8_t buf[DUR_MAX_KEY];
	size_t len, decoded = 0;

	for (int round = 0; round < 200000; round++) {
		size_t n = random_below(&state, 40);
		for (size_t i = 0; i < n; i++)
			buf[i] = random_below(&state, 3) ? codes[random_below(&state, sizeof codes)]
			                                 : (uint8_t)random_u64(&state);
		decoded += decode_exact(buf, n, &arena) == 0;
	}
	ck_assert_uint_gt(decoded, 1000);
	for (int round = 0; round < 2000; round++) {
		dur_value v = random_key(&state, &made, 3);
		if (key_encode(&v, buf, sizeof buf, &len) == 0) {
			for (size_t n = 0; n <= len; n++)
				decode_exact(buf, n, &arena);
			for (int flips = 0; flips < 10 && len > 0; flips++) {
				size_t at = random_below(&state, len);
				uint8_t was = buf[at];
				buf[at] ^= (uint8_t)(1u << random_below(&state, 8));
				decode_exact(buf, len, &arena);
				buf[at] = was;
			}
		}
		key_arena_reset(&made);
	}
	memset(buf, 5, sizeof buf);
	ck_assert_int_eq(decode_exact(buf, sizeof buf, &arena), DUR_E_CORRUPT);
	memset(buf, 0, sizeof buf);
	ck_assert_int_eq(decode_exact(buf, sizeof buf, &arena), 0);
	key_arena_free(&arena);
	key_arena_free(&made);
}
END_TEST

START_TEST(round_trips)
{
	struct key_arena made = { 0 }, scratch = { 0 };
	uint64_t state = seed + 1;
	uint8_t *packed = malloc(1 << 16), buf[DUR_MAX_KEY];
	size_t len, need;

	for (int round = 0; round < 20000; round++) {
		dur_value v = random_key(&state, &made, 4), back;
		int rc = key_encode(&v, buf, sizeof buf, &len);
		ck_assert(rc == 0 || rc == DUR_E_LIMIT);
		if (rc == 0) {
			ck_assert_int_eq(key_decode(buf, len, &scratch, &back), 0);
			if (v.type == DUR_TUPLE && back.type != DUR_TUPLE)
				ck_assert(v.len == 1 && same_value(v.items, &back));
			else
				ck_assert(same_value(&v, &back));
		}
		if (v.type == DUR_TUPLE) {
			rc = key_pack(v.items, v.len, NULL, 0, &need);
			ck_assert_int_eq(rc, need ? -ENOSPC : 0);
			ck_assert_int_eq(key_pack(v.items, v.len, packed, need, &len), 0);
			ck_assert_uint_eq(len, need);
			ck_assert_int_eq(key_unpack(packed, len, &scratch, &back), 0);
			ck_assert(same_value(&v, &back));
		}
		key_arena_reset(&made);
		key_arena_reset(&scratch);
	}
	key_arena_free(&made);
	key_arena_free(&scratch);
	free(packed);
}
END_TEST

static int order_of_bytes(const uint8_t *a, size_t n, const uint8_t *b, size_t m)
{
	int order = memcmp(a, b, n < m ? n : m);
	return order ? (order > 0) - (order < 0) : (n > m) - (n < m);
}

/* All pairs of many values: dur_compare() and memcmp agree. */
START_TEST(order_is_that_of_bytes)
{
	enum { VALUES = 3000 };
	static dur_value values[VALUES];
	static size_t at[VALUES + 1];
	uint8_t *bytes = malloc((size_t)VALUES * DUR_MAX_KEY);
	struct key_arena made = { 0 };
	uint64_t state = seed + 2;
	size_t equal = 0;

	for (size_t i = 0; i < VALUES;) {
		size_t len;
		values[i] = i % 3 ? random_key(&state, &made, 3) : random_scalar(&state, &made);
		if (key_encode(&values[i], bytes + at[i], DUR_MAX_KEY, &len) < 0)
			continue;
		at[i + 1] = at[i] + len;
		i++;
	}
	for (size_t i = 0; i < VALUES; i++)
		for (size_t j = 0; j < VALUES; j++) {
			int order = order_of_bytes(bytes + at[i], at[i + 1] - at[i], bytes + at[j],
			                           at[j + 1] - at[j]);
			if (dur_compare(&values[i], &values[j]) != order)
				ck_abort_msg("types %u and %u: bytes say %d", values[i].type,
				             values[j].type, order);
			equal += order == 0;
		}
	ck_assert_uint_gt(equal, VALUES);
	key_arena_free(&made);
	free(bytes);
}
END_TEST

START_TEST(order_by_hand)
{
	static const char *const decimals[] = {
		"-100",  "-12.5", "-12.50",   "-2",   "-1.01", "-1",
		"-1.0",  "-0.10", "-0.09",    "0",    "0.0",   "0.00",
		"0.001", "0.01",  "0.010",    "0.1",  "0.12",  "1",
		"1.0",   "1.00",  "1.000001", "1.01", "9.9",   "10",
		"12",    "12.5",  "99",       "100",  "100.0", "123456789012345678901234567890"
	};
	dur_value from_low_to_high[] = {
		{ .type = DUR_MAP },
		DUR_NULL(),
		DUR_BYTES("", 0),
		DUR_BYTES("\0", 1),
		DUR_BYTES("\xff", 1),
		DUR_STR(""),
		DUR_STR("a"),
		DUR_STRN("a\0", 2),
		DUR_STR("aa"),
		T(EMPTY),
		T(T(DUR_NULL())),
		T(T(DUR_NULL()), DUR_INT(1)),
		T(T(DUR_INT(0))),
		DUR_BIGINT("-99999999999999999999999"),
		DUR_BIGINT("-99999999999999999999"),
		DUR_INT(INT64_MIN),
		DUR_INT(-256),
		DUR_INT(-255),
		DUR_INT(-1),
		DUR_INT(0),
		DUR_INT(1),
		DUR_INT(256),
		DUR_INT(INT64_MAX),
		DUR_BIGINT("9223372036854775808"),
		DUR_BIGINT("18446744073709551616"),
		DUR_DOUBLE(-NAN),
		DUR_DOUBLE(-INFINITY),
		DUR_DOUBLE(-1),
		DUR_DOUBLE(-0.0),
		DUR_DOUBLE(0.0),
		DUR_DOUBLE(1e-300),
		DUR_DOUBLE(INFINITY),
		DUR_DOUBLE(NAN),
		DUR_BOOL(0),
		DUR_BOOL(1),
		{ .type = DUR_UUID },
		DUR_DECIMAL("-1"),
		DUR_DECIMAL("7"),
		DUR_TIME(-1, 5, 0),
		DUR_TIME(0, 0, DUR_NO_ZONE),
		DUR_TIME(0, 0, -60),
		DUR_TIME(0, 0, 60),
		DUR_TIME(0, 1, 0),
		{ .type = DUR_REF },
		{ .type = DUR_WEAK },
	};
	size_t n = sizeof decimals / sizeof *decimals;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			ck_assert_int_eq(dur_compare(&DUR_DECIMAL(decimals[i]),
			                             &DUR_DECIMAL(decimals[j])),
			                 (i > j) - (i < j));
	n = sizeof from_low_to_high / sizeof *from_low_to_high;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			ck_assert_int_eq(dur_compare(&from_low_to_high[i], &from_low_to_high[j]),
			                 (i > j) - (i < j));
	ck_assert_int_eq(dur_compare(NULL, &DUR_NULL()), -1);
	ck_assert_int_eq(dur_compare(&(dur_value){ 0 }, NULL), 0);
}
END_TEST

START_TEST(raw_keys)
{
	uint8_t buf[DUR_MAX_KEY];
	char big[DUR_MAX_KEY + 1] = { 0 };
	dur_value v;
	size_t len;

	ck_assert_int_eq(key_encode_raw(&DUR_STR("ab"), buf, sizeof buf, &len), 0);
	assert_bytes(buf, len, "61 62");
	ck_assert_int_eq(key_encode_raw(&DUR_BYTES("a\0\xff", 3), buf, sizeof buf, &len), 0);
	assert_bytes(buf, len, "61 00 ff");
	key_decode_raw(buf, len, &v);
	ck_assert(same_value(&v, &DUR_BYTES("a\0\xff", 3)));
	ck_assert_int_eq(key_encode_raw(&DUR_STR(""), buf, sizeof buf, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(key_encode_raw(&DUR_INT(1), buf, sizeof buf, &len), DUR_E_TYPE);
	ck_assert_int_eq(key_encode_raw(&DUR_BYTES(big, DUR_MAX_KEY), buf, sizeof buf, &len), 0);
	ck_assert_int_eq(key_encode_raw(&DUR_BYTES(big, DUR_MAX_KEY + 1), buf, sizeof buf, &len),
	                 DUR_E_LIMIT);
	ck_assert_int_eq(key_encode_raw(NULL, buf, sizeof buf, &len), DUR_E_MISUSE);
}
END_TEST

static bool within(const struct key_range *r, const uint8_t *key, size_t len)
{
	return order_of_bytes(key, len, r->lo, r->lo_len) >= 0 &&
	       (r->open || order_of_bytes(key, len, r->hi, r->hi_len) < 0);
}

static bool begins(const dur_value *v, const dur_value *first)
{
	struct {
		const dur_value *items;
		uint64_t n;
	} a = { v, 1 }, b = { first, 1 };

	if (v->type == DUR_TUPLE)
		a.items = v->items, a.n = v->len;
	if (first->type == DUR_TUPLE)
		b.items = first->items, b.n = first->len;
	for (uint64_t i = 0; i < b.n; i++)
		if (i >= a.n ||
		    dur_compare(&DUR_TUPLE(a.items + i, 1), &DUR_TUPLE(b.items + i, 1)) != 0)
			return false;
	return true;
}

static bool has_stem(const dur_value *v, const dur_value *stem)
{
	const uint8_t *text, *start;
	size_t n, m;

	if (v->type == DUR_TUPLE && v->len > 0)
		v = v->items;
	if (v->type != stem->type)
		return false;
	ck_assert_int_eq(key_text(v, &text, &n), 0);
	ck_assert_int_eq(key_text(stem, &start, &m), 0);
	return n >= m && (m == 0 || memcmp(text, start, m) == 0);
}

/* Ranges say of random keys what their definition says, item by item. */
START_TEST(ranges_of_typed_keys)
{
	struct key_arena made = { 0 };
	uint64_t state = seed + 3;
	uint8_t buf[DUR_MAX_KEY];
	size_t len, hits = 0;
	struct key_range r;

	for (int round = 0; round < 100000; round++) {
		dur_value from = random_key(&state, &made, 2), to = random_key(&state, &made, 2), v;
		uint32_t flags = random_below(&state, 2) ? DUR_AFTER_FROM : 0;
		bool low, high, stem = from.type == DUR_STR || from.type == DUR_BYTES;
		flags |= random_below(&state, 2) ? DUR_WITH_TO : 0;
		v = random_key(&state, &made, 2);
		if (random_below(&state, 2)) { /* one that starts with a bound */
			dur_value *items = key_arena_take(&made, 2 * sizeof *items);
			items[0] = random_below(&state, 2) ? from : to;
			items[1] = v;
			if (items[0].type != DUR_TUPLE)
				v = DUR_TUPLE(items, 2);
		}
		if (key_encode(&v, buf, sizeof buf, &len) == 0 &&
		    key_range(&from, &to, flags, false, &r) == 0) {
			low = begins(&v, &from) ? !(flags & DUR_AFTER_FROM)
			                        : dur_compare(&v, &from) > 0;
			high = begins(&v, &to) ? (flags & DUR_WITH_TO) != 0
			                       : dur_compare(&v, &to) < 0;
			ck_assert_int_eq(within(&r, buf, len), low && high);
			hits += low && high;
			ck_assert_int_eq(key_range(&from, NULL, DUR_STARTS, false, &r), 0);
			ck_assert_int_eq(within(&r, buf, len),
			                 stem ? has_stem(&v, &from) : begins(&v, &from));
			ck_assert_int_eq(key_range(NULL, NULL, 0, false, &r), 0);
			ck_assert(within(&r, buf, len));
		}
		key_arena_reset(&made);
	}
	ck_assert_uint_gt(hits, 1000);
	key_arena_free(&made);
}
END_TEST

START_TEST(ranges_of_raw_keys)
{
	struct key_range r;
	uint8_t stem[] = { 'a', 0xff, 0xff };

	ck_assert_int_eq(key_range(&DUR_BYTES(stem, 3), NULL, DUR_STARTS, true, &r), 0);
	assert_bytes(r.lo, r.lo_len, "61 ff ff");
	assert_bytes(r.hi, r.hi_len, "62");
	ck_assert(!r.open);
	ck_assert_int_eq(key_range(&DUR_BYTES(stem + 1, 2), NULL, DUR_STARTS, true, &r), 0);
	ck_assert(r.open);
	ck_assert_int_eq(key_range(&DUR_STR(""), NULL, DUR_STARTS, true, &r), 0);
	ck_assert(r.open && r.lo_len == 0);
	ck_assert_int_eq(key_range(&DUR_STR("a"), &DUR_STR("b"), DUR_AFTER_FROM | DUR_WITH_TO, true,
	                           &r),
	                 0);
	assert_bytes(r.lo, r.lo_len, "61 00");
	assert_bytes(r.hi, r.hi_len, "62 00");
	ck_assert_int_eq(key_range(&DUR_STR("a"), &DUR_STR("b"), 0, true, &r), 0);
	assert_bytes(r.lo, r.lo_len, "61");
	assert_bytes(r.hi, r.hi_len, "62");
	ck_assert_int_eq(key_range(NULL, NULL, DUR_STARTS, true, &r), DUR_E_MISUSE);
	ck_assert_int_eq(key_range(&DUR_STR("a"), &DUR_STR("b"), DUR_STARTS, true, &r),
	                 DUR_E_MISUSE);
	ck_assert_int_eq(key_range(&DUR_STR("a"), NULL, DUR_STARTS | DUR_AFTER_FROM, true, &r),
	                 DUR_E_MISUSE);
	ck_assert_int_eq(key_range(&DUR_INT(1), NULL, 0, true, &r), DUR_E_TYPE);
}
END_TEST

/*
 * Every sequence of up to three bytes, and four-byte ones at their borders, against a decoder by
 * the book.
 */
static size_t by_the_book(const uint8_t *p, size_t n)
{
	static const struct {
		uint32_t from;
		int more;
		uint8_t mask, mark;
	} forms[] = { { 0, 0, 0x80, 0x00 },
		      { 0x80, 1, 0xe0, 0xc0 },
		      { 0x800, 2, 0xf0, 0xe0 },
		      { 0x10000, 3, 0xf8, 0xf0 } };

	for (size_t f = 0; f < 4; f++)
		if ((p[0] & forms[f].mask) == forms[f].mark && n > (size_t)forms[f].more) {
			uint32_t c = p[0] & (uint8_t)~forms[f].mask;
			for (int i = 1; i <= forms[f].more; i++) {
				if ((p[i] & 0xc0) != 0x80)
					return 0;
				c = c << 6 | (p[i] & 0x3f);
			}
			return c >= forms[f].from && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff)
			               ? (size_t)forms[f].more + 1
			               : 0;
		}
	return 0;
}

START_TEST(utf8_by_the_book)
{
	uint8_t text[64];

	for (uint32_t a = 0; a < 256; a++)
		for (uint32_t b = 0; b < 256; b++)
			for (uint32_t c = 0x70; c < 0xd0; c += a < 0xe0 ? 0x60 : 7) {
				uint8_t p[4] = { (uint8_t)a, (uint8_t)b, (uint8_t)c, 0xbf };
				size_t n = 0, step;
				while (n < 4 && (step = by_the_book(p + n, 4 - n)) > 0)
					n += step;
				ck_assert_uint_eq(utf8_valid(p, 4), n);
			}
	for (size_t at = 0; at < sizeof text; at++) { /* wherever it is in words and blocks */
		memset(text, 'a', sizeof text);
		text[at] = 0x80;
		ck_assert_uint_eq(utf8_valid(text, sizeof text), at);
		ck_assert_uint_eq(utf8_valid(text, at), at);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("key");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	seed = random_seed("key");
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, published_vectors);
	tcase_add_test(tcase, own_vectors);
	tcase_add_test(tcase, a_scalar_is_a_tuple_of_one);
	tcase_add_test(tcase, what_cannot_be_a_key);
	tcase_add_test(tcase, largest_numbers);
	tcase_add_test(tcase, strict_decoding);
	tcase_add_test(tcase, hostile_bytes);
	tcase_add_test(tcase, round_trips);
	tcase_add_test(tcase, order_is_that_of_bytes);
	tcase_add_test(tcase, order_by_hand);
	tcase_add_test(tcase, raw_keys);
	tcase_add_test(tcase, ranges_of_typed_keys);
	tcase_add_test(tcase, ranges_of_raw_keys);
	tcase_add_test(tcase, utf8_by_the_book);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
