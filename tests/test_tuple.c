/* SPDX-License-Identifier: Apache-2.0 */
/* dur_pack(), dur_unpack() and dur_compare(): what a user of the public header sees of tuples. */
#include "tests/random_values.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T(...)                                    \
	DUR_TUPLE(((dur_value[]){ __VA_ARGS__ }), \
	          sizeof((dur_value[]){ __VA_ARGS__ }) / sizeof(dur_value))
#define EMPTY DUR_TUPLE(NULL, 0)

enum { TUPLES = 10000, BYTES = 1 << 16 };

static uint64_t seed;

static void assert_packs(const dur_value *items, uint32_t n, const void *expected, uint64_t len)
{
	dur_value back[64];
	uint8_t buf[512], scratch[2048];
	uint64_t got = 0;
	uint32_t m = 99;

	ck_assert_int_eq(dur_pack(items, n, buf, sizeof buf, &got), 0);
	ck_assert_uint_eq(got, len);
	ck_assert(len == 0 || memcmp(buf, expected, len) == 0);
	ck_assert_int_eq(dur_unpack(buf, len, back, 64, &m, scratch, sizeof scratch), 0);
	ck_assert_uint_eq(m, n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert(same_value(&items[i], &back[i]));
}

#define PACKS(bytes, ...)                                                             \
	assert_packs(((dur_value[]){ __VA_ARGS__ }),                                  \
	             sizeof((dur_value[]){ __VA_ARGS__ }) / sizeof(dur_value), bytes, \
	             sizeof(bytes) - 1)

/* Several items; test_key.c has the published encodings of single ones. */
START_TEST(tuples_pack)
{
	assert_packs(NULL, 0, "", 0);
	PACKS("\x00", DUR_NULL());
	PACKS("\x00\x14\x00", DUR_NULL(), DUR_INT(0), DUR_NULL());
	PACKS("\x02users\0\x15\x2a\x27", DUR_STR("users"), DUR_INT(42), DUR_BOOL(1));
	PACKS("\x05\0\xff\x05\0\xff\0\0\x00", T(DUR_NULL(), T(DUR_NULL())), DUR_NULL());
	PACKS("\x05\0\x05\0\x01\0\xff\0", EMPTY, EMPTY, DUR_BYTES("\0", 1));
	/* On both sides of 2^64, where integers get a length. */
	PACKS("\x1c\xff\xff\xff\xff\xff\xff\xff\xff\x1d\x09\x01\0\0\0\0\0\0\0\0",
	      DUR_BIGINT("18446744073709551615"), DUR_BIGINT("18446744073709551616"));
	PACKS("\x0b\xf6\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x0c\0\0\0\0\0\0\0\0",
	      DUR_BIGINT("-18446744073709551616"), DUR_BIGINT("-18446744073709551615"));
	PACKS("\x1d\x0a\x01\0\0\0\0\0\0\0\0\0\x0b\xf5\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	      DUR_BIGINT("4722366482869645213696"), DUR_BIGINT("-4722366482869645213696"));
}
END_TEST

START_TEST(pack_measures)
{
	dur_value items[] = { DUR_STR("abc"), DUR_INT(7) };
	uint8_t buf[7];
	uint64_t len = 0;

	ck_assert_int_eq(dur_pack(items, 2, NULL, 0, &len), -ENOSPC);
	ck_assert_uint_eq(len, 7);
	ck_assert_int_eq(dur_pack(items, 2, buf, 6, &len), -ENOSPC);
	ck_assert_uint_eq(len, 7);
	ck_assert_int_eq(dur_pack(items, 2, buf, 7, &len), 0);
	ck_assert_mem_eq(buf,
	                 "\x02"
	                 "abc\0\x15\x07",
	                 7);
	ck_assert_int_eq(dur_pack(NULL, 0, NULL, 0, &len), 0);
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(pack_refuses)
{
	dur_value deep[KEY_DEPTH + 2];
	struct {
		dur_value v;
		int rc;
	} cases[] = {
		{ { 0 }, DUR_E_TYPE },
		{ DUR_PATH("/a"), DUR_E_TYPE },
		{ { .type = DUR_MAP }, DUR_E_TYPE },
		{ DUR_STR("\xed\xa0\x80"), DUR_E_MISUSE },
		{ DUR_BIGINT("01"), DUR_E_MISUSE },
		{ DUR_DECIMAL("1."), DUR_E_MISUSE },
		{ DUR_TIME(0, 1000000000, 0), DUR_E_RANGE },
		{ T(T(DUR_BIGINT("x"))), DUR_E_MISUSE },
	};
	uint64_t len = 77;
	uint8_t buf[64];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_int_eq(dur_pack(&cases[i].v, 1, buf, sizeof buf, &len), cases[i].rc);
	deep[0] = EMPTY;
	for (int i = 1; i < KEY_DEPTH + 2; i++)
		deep[i] = DUR_TUPLE(&deep[i - 1], 1);
	ck_assert_int_eq(dur_pack(&deep[KEY_DEPTH], 1, buf, sizeof buf, &len), DUR_E_LIMIT);
	ck_assert_int_eq(dur_pack(NULL, 1, buf, sizeof buf, &len), DUR_E_MISUSE);
	ck_assert_int_eq(dur_pack(deep, 1, NULL, 1, &len), DUR_E_MISUSE);
	ck_assert_int_eq(dur_pack(deep, 1, buf, sizeof buf, NULL), DUR_E_MISUSE);
	ck_assert_uint_eq(len, 77);
	ck_assert_int_eq(dur_pack(&deep[KEY_DEPTH - 1], 1, buf, 64, &len), 0);
	ck_assert_uint_eq(len, 64);
}
END_TEST

/* Items stand level after level, and the room is counted to the last one. */
START_TEST(unpack_lays_out)
{
	dur_value in[] = { T(DUR_INT(1), T(DUR_STR("x"), EMPTY), DUR_INT(2)), DUR_BYTES("a\0b", 3),
		           T(DUR_BIGINT("18446744073709551616")), DUR_DECIMAL("1.50"),
		           DUR_STR("plain") };
	dur_value out[12];
	uint8_t buf[128], scratch[27];
	uint64_t len;
	uint32_t n = 0;

	ck_assert_int_eq(dur_pack(in, 5, buf, sizeof buf, &len), 0);
	ck_assert_int_eq(dur_unpack(buf, len, out, 11, &n, scratch, 27), 0);
	ck_assert_uint_eq(n, 5);
	for (int i = 0; i < 5; i++)
		ck_assert(same_value(&in[i], &out[i]));
	ck_assert_ptr_eq(out[0].items, out + 5);
	ck_assert_ptr_eq(out[2].items, out + 8);
	ck_assert_ptr_eq(out[6].items, out + 9);
	ck_assert_ptr_null(out[10].items);
	ck_assert(out[4].ptr >= (void *)buf && out[4].ptr < (void *)(buf + len));
	ck_assert_ptr_eq(out[1].ptr, scratch);
	/* One item, or one byte, less. */
	ck_assert_int_eq(dur_unpack(buf, len, out, 10, &n, scratch, 27), -ENOSPC);
	ck_assert_uint_eq(n, 11);
	ck_assert(strstr(dur_message(), "11 items") != NULL);
	n = 0;
	ck_assert_int_eq(dur_unpack(buf, len, out, 12, &n, scratch, 26), -ENOSPC);
	ck_assert_uint_eq(n, 11);
	ck_assert(strstr(dur_message(), "27 bytes") != NULL);
	ck_assert_int_eq(dur_unpack(buf, len, NULL, 0, &n, NULL, 0), -ENOSPC);
}
END_TEST

START_TEST(unpack_refuses)
{
	static const struct {
		const char *bytes, *says;
		uint64_t len;
	} cases[] = {
		{ "\x33\0\0\0\0\0\0\0\0\0\0\0\1", "versionstamp", 13 },
		{ "\x15\1\x32\0\0\0\0\0\0\0\0\0\1", "versionstamp", 13 },
		{ "\x05\x33\0\0\0\0\0\0\0\0\0\0\0\1\0", "versionstamp", 15 },
		{ "\x20\x3d\xd7\xff\xff", "4-byte float", 5 },
		{ "\x22\0\0\0\0\0\0\0\0\0\0", "long double", 11 },
		{ "\x23\0\0", "decimal", 3 },
		{ "\x25", "true", 1 },
		{ "\x31\0\0\0\0\0\0\0\0", "identifier", 9 },
		{ "\x03\x04", "nested tuple", 2 },
		{ "\x1e", "integer", 1 },
		{ "\x4f", "does not exist", 1 },
		{ "\xff", "does not exist", 1 },
		{ "\x02\x61", "no end", 2 },
		{ "\x05\0\xff", "no end", 3 },
		{ "\x16\0\x01", "not an integer", 3 },
		{ "\x1d\x08\xff\xff\xff\xff\xff\xff\xff\xff", "not an integer", 10 },
		{ "\x21\0", "ends within", 2 },
		{ "\x02\xc0\x80\0", "UTF-8", 4 },
	};
	uint8_t scratch[64];
	dur_value out[4];
	uint32_t n = 77;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(dur_unpack(cases[i].bytes, cases[i].len, out, 4, &n, scratch, 64),
		                 DUR_E_CORRUPT);
		if (strstr(dur_message(), cases[i].says) == NULL)
			ck_abort_msg("case %zu says \"%s\"", i, dur_message());
	}
	ck_assert_int_eq(dur_unpack(NULL, 1, out, 4, &n, scratch, 64), DUR_E_MISUSE);
	ck_assert_int_eq(dur_unpack("\0", 1, NULL, 4, &n, scratch, 64), DUR_E_MISUSE);
	ck_assert_int_eq(dur_unpack("\0", 1, out, 4, NULL, scratch, 64), DUR_E_MISUSE);
	ck_assert_int_eq(dur_unpack("\0", 1, out, 4, &n, NULL, 64), DUR_E_MISUSE);
	ck_assert_uint_eq(n, 77);
	ck_assert_int_eq(dur_unpack(NULL, 0, NULL, 0, &n, NULL, 0), 0);
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* Whatever the bytes are: an error, or items that pack to the same bytes. */
START_TEST(hostile_bytes)
{
	static const uint8_t likely_bytes[] = { 0, 0xff, 5,    5,    1,    2,    0x15, 0x14, 0x1d,
		                                9, 0x0b, 0xf6, 0x21, 0x26, 0x30, 0x40, 3,    0x33 };
	uint64_t state = seed + 9, len, packed;
	uint8_t bytes[40], again[40], scratch[40 * 2048];
	dur_value out[40];
	uint32_t n, good = 0;

	for (int round = 0; round < 200000; round++) {
		len = random_below(&state, sizeof bytes);
		for (uint64_t i = 0; i < len; i++)
			bytes[i] = random_below(&state, 5)
			                   ? likely_bytes[random_below(&state, sizeof likely_bytes)]
			                   : (uint8_t)random_u64(&state);
		int rc = dur_unpack(bytes, len, out, 40, &n, scratch, sizeof scratch);
		ck_assert(rc == 0 || rc == DUR_E_CORRUPT);
		if (rc != 0)
			continue;
		good++;
		ck_assert_int_eq(dur_pack(out, n, again, sizeof again, &packed), 0);
		ck_assert(packed == len && memcmp(again, bytes, len) == 0);
	}
	ck_assert_uint_gt(good, 1000);
}
END_TEST

/* ---- Order ---- */

static struct {
	dur_value value;
	uint8_t *bytes;
	uint64_t len;
} tuples[TUPLES];

static int order_of_bytes(uint64_t i, uint64_t j)
{
	uint64_t n = tuples[i].len, m = tuples[j].len;
	int order = memcmp(tuples[i].bytes, tuples[j].bytes, n < m ? n : m);
	return order ? (order > 0) - (order < 0) : (n > m) - (n < m);
}

static int by_bytes(const void *a, const void *b)
{
	return order_of_bytes(*(const uint32_t *)a, *(const uint32_t *)b);
}

/* memcmp sorts 10,000 tuples; dur_compare() agrees on neighbours and on pairs picked from all. */
START_TEST(order_of_random_tuples)
{
	static uint32_t sorted[TUPLES];
	struct key_arena made = { 0 };
	uint64_t state = seed, equal = 0;
	bool all = getenv("DURAMEN_SLOW") != NULL;

	for (uint32_t i = 0; i < TUPLES; i++) {
		dur_value *items = key_arena_take(&made, 6 * sizeof *items);
		uint32_t n = (uint32_t)random_below(&state, 6);
		for (uint32_t k = 0; k < n; k++)
			items[k] = random_key(&state, &made, 3);
		tuples[i].value = DUR_TUPLE(items, n);
		ck_assert_int_eq(dur_pack(items, n, NULL, 0, &tuples[i].len), n ? -ENOSPC : 0);
		tuples[i].bytes = malloc(tuples[i].len + 1);
		ck_assert_int_eq(dur_pack(items, n, tuples[i].bytes, tuples[i].len, &tuples[i].len),
		                 0);
		sorted[i] = i;
	}
	qsort(sorted, TUPLES, sizeof *sorted, by_bytes);
	for (uint32_t i = 0; i + 1 < TUPLES; i++) {
		int order = order_of_bytes(sorted[i], sorted[i + 1]);
		ck_assert_int_le(order, 0);
		equal += order == 0;
		ck_assert_int_eq(dur_compare(&tuples[sorted[i]].value,
		                             &tuples[sorted[i + 1]].value),
		                 order);
	}
	ck_assert_uint_gt(equal, 10);
	for (uint64_t k = 0; k < (all ? (uint64_t)TUPLES * TUPLES : 3000000); k++) {
		uint64_t pick = all ? k : random_below(&state, (uint64_t)TUPLES * TUPLES);
		uint64_t i = pick / TUPLES, j = pick % TUPLES;
		if (dur_compare(&tuples[i].value, &tuples[j].value) != order_of_bytes(i, j))
			ck_abort_msg("tuples %llu and %llu", (unsigned long long)i,
			             (unsigned long long)j);
	}
	for (uint32_t i = 0; i < TUPLES; i++)
		free(tuples[i].bytes);
	key_arena_free(&made);
}
END_TEST

START_TEST(random_tuples_come_back)
{
	static uint8_t bytes[BYTES], scratch[BYTES * 3];
	static dur_value out[4096];
	struct key_arena made = { 0 };
	uint64_t state = seed + 5, len;
	dur_value items[8];
	uint32_t n, m;

	for (int round = 0; round < 20000; round++) {
		n = (uint32_t)random_below(&state, 9);
		for (uint32_t k = 0; k < n; k++)
			items[k] = random_key(&state, &made, 4);
		ck_assert_int_eq(dur_pack(items, n, bytes, sizeof bytes, &len), 0);
		ck_assert_int_eq(dur_unpack(bytes, len, out, 4096, &m, scratch, sizeof scratch), 0);
		ck_assert_uint_eq(m, n);
		for (uint32_t k = 0; k < n; k++)
			ck_assert(same_value(&items[k], &out[k]));
		key_arena_reset(&made);
	}
	key_arena_free(&made);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tuple");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	seed = random_seed("test_tuple");
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, tuples_pack);
	tcase_add_test(tcase, pack_measures);
	tcase_add_test(tcase, pack_refuses);
	tcase_add_test(tcase, unpack_lays_out);
	tcase_add_test(tcase, unpack_refuses);
	tcase_add_test(tcase, hostile_bytes);
	tcase_add_test(tcase, order_of_random_tuples);
	tcase_add_test(tcase, random_tuples_come_back);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
