/* SPDX-License-Identifier: Apache-2.0 */
/* Cells: forms by hand, round trips of random values in cells and runs, hostile bytes. */
#include "engine/number.h"
#include "engine/value.h"
#include "tests/random_values.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed;

static void assert_cell(dur_value v, uint16_t tag, const char *expected)
{
	char text[256] = "";
	uint8_t cell[64];
	struct key_arena arena = { 0 };
	dur_value back;
	size_t len;

	v.tag = tag;
	ck_assert_int_eq(value_encode(&v, cell, sizeof cell, &len), 0);
	for (size_t i = 0; i < len; i++)
		sprintf(text + 3 * i, "%02x ", cell[i]);
	text[len ? 3 * len - 1 : 0] = 0;
	ck_assert_str_eq(text, expected);
	ck_assert_uint_le(len, value_cell_bound(&v));
	ck_assert_int_eq(value_decode(cell, len, &arena, &back), 0);
	ck_assert(same_value(&v, &back));
	ck_assert_uint_eq(back.tag, tag);
	ck_assert_int_eq(value_check(cell, len, NULL, &arena), 0);
	ck_assert_int_eq(value_encode(&v, cell, len - 1, &len), -ENOSPC);
	key_arena_free(&arena);
}

START_TEST(forms_of_cells)
{
	dur_value items[] = { DUR_NULL(), DUR_INT(1) }, uuid = { .type = DUR_UUID, .id = { 1, 2 } };

	assert_cell(DUR_NULL(), 0, "01");
	assert_cell(DUR_NULL(), 0x1234, "41 34 12");
	assert_cell(DUR_BOOL(0), 0, "02 00");
	assert_cell(DUR_BOOL(1), 0, "02 01");
	assert_cell(DUR_INT(0), 0, "03");
	assert_cell(DUR_INT(1), 0, "03 01");
	assert_cell(DUR_INT(-1), 0, "03 ff");
	assert_cell(DUR_INT(127), 0, "03 7f");
	assert_cell(DUR_INT(128), 0, "03 80 00");
	assert_cell(DUR_INT(-128), 0, "03 80");
	assert_cell(DUR_INT(-129), 7, "43 07 00 7f ff");
	assert_cell(DUR_INT(INT64_MAX), 0, "03 ff ff ff ff ff ff ff 7f");
	assert_cell(DUR_INT(INT64_MIN), 0, "03 00 00 00 00 00 00 00 80");
	assert_cell(DUR_BIGINT("300"), 0, "03 2c 01");
	assert_cell(DUR_BIGINT("9223372036854775808"), 0,
	            "04 39 32 32 33 33 37 32 30 33 36 38 35 34 37 37 35 38 30 38");
	assert_cell(DUR_DOUBLE(1), 0, "05 00 00 00 00 00 00 f0 3f");
	assert_cell(DUR_DECIMAL("-1.50"), 0, "06 2d 31 2e 35 30");
	assert_cell(DUR_STR(""), 0, "07");
	assert_cell(DUR_STR("h\xc3\xa9"), 0xff, "47 ff 00 68 c3 a9");
	assert_cell(DUR_BYTES("\0\xff", 2), 0, "08 00 ff");
	assert_cell(DUR_TIME(1, 0, 0), 0, "09 01 00 00 00 00 00 00 00");
	assert_cell(DUR_TIME(-1, 2, 0), 0, "09 ff ff ff ff ff ff ff ff 02 00 00 00");
	assert_cell(DUR_TIME(1, 0, 60), 0, "09 01 00 00 00 00 00 00 00 00 00 00 00 3c 00");
	assert_cell(uuid, 0, "0a 01 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	uuid.type = DUR_REF;
	assert_cell(uuid, 0, "0b 01 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	uuid.type = DUR_WEAK;
	assert_cell(uuid, 0, "0c 01 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	assert_cell(DUR_TUPLE(NULL, 0), 0, "0d");
	assert_cell(DUR_TUPLE(items, 2), 0, "0d 00 15 01");
	assert_cell(DUR_TUPLE(items + 1, 1), 5, "4d 05 00 15 01");
}
END_TEST

START_TEST(refused_on_the_way_in)
{
	dur_value wrong_bool = DUR_BOOL(1), items[] = { DUR_STR("\xff") };
	struct {
		dur_value v;
		int rc;
	} cases[] = {
		{ { 0 }, DUR_E_TYPE },
		{ { .type = DUR_MAP }, DUR_E_TYPE },
		{ DUR_PATH("/a"), DUR_E_TYPE },
		{ { .type = 200 }, DUR_E_TYPE },
		{ DUR_STR("ab\xc3"), DUR_E_MISUSE },
		{ DUR_STR(NULL), DUR_E_MISUSE },
		{ DUR_BYTES(NULL, 1), DUR_E_MISUSE },
		{ DUR_BIGINT("-0"), DUR_E_MISUSE },
		{ DUR_BIGINT("12a"), DUR_E_MISUSE },
		{ DUR_DECIMAL("1."), DUR_E_MISUSE },
		{ DUR_TIME(0, 1000000000, 0), DUR_E_RANGE },
		{ DUR_TIME(0, 0, -1440), DUR_E_RANGE },
		{ DUR_TUPLE(items, 1), DUR_E_MISUSE },
		{ DUR_STRN("x", VALUE_BYTES_MAX + 1), DUR_E_LIMIT },
	};
	struct key_arena arena = { 0 };
	uint8_t cell[64], head[VALUE_HEAD_MAX];
	const void *payload;
	uint64_t bytes;
	size_t len;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (value_encode(&cases[i].v, cell, sizeof cell, &len) != cases[i].rc)
			ck_abort_msg("case %zu", i);
		ck_assert_int_lt(value_head(&cases[i].v, &arena, head, &len, &payload, &bytes), 0);
		ck_assert_uint_ge(value_cell_bound(&cases[i].v), 1);
	}
	wrong_bool.i = 2;
	ck_assert_int_eq(value_encode(&wrong_bool, cell, sizeof cell, &len), DUR_E_MISUSE);
	ck_assert_int_eq(value_head(&DUR_INT(1), &arena, head, &len, &payload, &bytes), DUR_E_TYPE);
	ck_assert_int_eq(value_head(&DUR_BIGINT("1"), &arena, head, &len, &payload, &bytes),
	                 DUR_E_TYPE);
	key_arena_free(&arena);
}
END_TEST

/* Memory of exactly the cell's size, so that a sanitizer sees any look beyond. */
static uint8_t *exactly(const void *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (n > 0)
		memcpy(copy, bytes, n);
	return copy;
}

/* A value whose payload goes to a run: cell and payload give it back. */
static void round_trip_of_run(const dur_value *v)
{
	struct key_arena arena = { 0 }, scratch = { 0 };
	struct value_run run = { random_u64(&seed), random_u64(&seed) >> 16, 0 }, got;
	uint8_t cell[VALUE_HEAD_MAX + VALUE_RUN_CELL], *copy;
	const void *payload;
	dur_value back;
	size_t n;

	ck_assert_int_eq(value_head(v, &arena, cell, &n, &payload, &run.bytes), 0);
	n = value_put_run(cell, n, &run);
	copy = exactly(payload, run.bytes);
	ck_assert(value_is_run(cell, n));
	ck_assert_int_eq(value_run(cell, n, &got), 0);
	ck_assert_mem_eq(&got, &run, sizeof run);
	ck_assert_int_eq(value_decode(cell, n, &scratch, &back), DUR_E_CORRUPT);
	ck_assert_int_eq(value_decode_run(cell, n, copy, &scratch, &back), 0);
	ck_assert(same_value(v, &back));
	ck_assert_uint_eq(back.tag, v->tag);
	ck_assert_int_eq(value_check(cell, n, copy, &scratch), 0);
	for (size_t less = 0; less < n; less++)
		ck_assert_int_eq(value_run(cell, less, &got), DUR_E_CORRUPT);
	free(copy);
	key_arena_free(&arena);
	key_arena_free(&scratch);
}

START_TEST(round_trips)
{
	struct key_arena made = { 0 }, scratch = { 0 };
	uint64_t state = seed;

	for (int round = 0; round < 20000; round++) {
		dur_value v = random_key(&state, &made, 3), back;
		size_t bound, len, need;
		uint8_t *cell;
		int64_t i;
		v.tag = random_below(&state, 3) ? 0 : (uint16_t)random_u64(&state);
		bound = value_cell_bound(&v);
		cell = malloc(bound);
		ck_assert_int_eq(value_encode(&v, cell, bound, &len), 0);
		ck_assert_uint_le(len, bound);
		for (need = 0; need < len && len < 100; need++) {
			uint8_t *small = malloc(need + 1);
			size_t unused;
			ck_assert_int_eq(value_encode(&v, small, need, &unused), -ENOSPC);
			free(small);
		}
		ck_assert_int_eq(value_decode(cell, len, &scratch, &back), 0);
		ck_assert(same_value(&v, &back));
		ck_assert_uint_eq(back.tag, v.tag);
		ck_assert_uint_eq(value_type(cell, len), back.type);
		ck_assert_int_eq(value_check(cell, len, NULL, &scratch), 0);
		free(cell);
		if (v.type == DUR_STR || v.type == DUR_BYTES || v.type == DUR_TUPLE ||
		    v.type == DUR_DECIMAL ||
		    (v.type == DUR_BIGINT &&
		     !number_fits(v.str, v.len == DUR_CSTR ? strlen(v.str) : v.len, &i)))
			round_trip_of_run(&v);
		key_arena_reset(&made);
		key_arena_reset(&scratch);
	}
	key_arena_free(&made);
	key_arena_free(&scratch);
}
END_TEST

/*
 * Decoding gives a value or DUR_E_CORRUPT; what is checked besides encodes to the same cell again.
 */
static bool decode_exact(const uint8_t *bytes, size_t n, struct key_arena *arena)
{
	uint8_t *cell = exactly(bytes, n), again[4096];
	struct value_run run;
	dur_value v;
	size_t len;
	int rc, check = 0;

	key_arena_reset(arena);
	rc = value_decode(cell, n, arena, &v);
	ck_assert(rc == 0 || rc == DUR_E_CORRUPT);
	if (value_is_run(cell, n)) {
		ck_assert_int_eq(rc, DUR_E_CORRUPT);
		rc = value_run(cell, n, &run);
		ck_assert(rc == 0 || rc == DUR_E_CORRUPT);
	} else {
		check = value_check(cell, n, NULL, arena);
		ck_assert(check == 0 || check == DUR_E_CORRUPT);
		if (check == 0) {
			ck_assert_int_eq(rc, 0);
			ck_assert_int_eq(value_encode(&v, again, sizeof again, &len), 0);
			ck_assert_uint_eq(len, n);
			ck_assert_mem_eq(again, cell, n);
		}
	}
	free(cell);
	return rc == 0 && check == 0;
}

START_TEST(hostile_bytes)
{
	struct key_arena made = { 0 }, arena = { 0 };
	uint64_t state = seed + 1;
	uint8_t cell[4096];
	size_t len, decoded = 0;

	for (int round = 0; round < 200000; round++) {
		size_t n = random_below(&state, 30);
		for (size_t i = 0; i < n; i++)
			cell[i] = (uint8_t)(random_below(&state, 3) ? random_below(&state, 16)
			                                            : random_u64(&state));
		decoded += decode_exact(cell, n, &arena);
	}
	ck_assert_uint_gt(decoded, 1000);
	for (int round = 0; round < 2000; round++) {
		dur_value v = random_key(&state, &made, 2);
		if (value_encode(&v, cell, sizeof cell, &len) == 0)
			for (size_t n = 0; n < len; n++) {
				uint8_t was = cell[n];
				decode_exact(cell, n, &arena);
				cell[n] ^= (uint8_t)(1u << random_below(&state, 8));
				decode_exact(cell, len, &arena);
				cell[n] = was;
			}
		key_arena_reset(&made);
	}
	key_arena_free(&made);
	key_arena_free(&arena);
}
END_TEST

/* What decodes, and is not what value_encode() makes. */
START_TEST(check_finds_other_forms)
{
	static const struct {
		uint8_t cell[16];
		size_t n;
	} cells[] = {
		{ { 0x41, 0, 0 }, 3 },                     /* a tag of 0 */
		{ { 3, 0 }, 2 },                           /* 0 in a byte */
		{ { 3, 0x7f, 0 }, 3 },  { { 4, '5' }, 2 }, /* a big integer that is small */
		{ { 4, '0', '5' }, 3 }, { { 6, '1', '.' }, 3 },
		{ { 7, 0xff }, 2 },     { { 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 13 },
	};
	struct key_arena arena = { 0 };
	dur_value v;

	for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
		ck_assert_int_eq(value_decode(cells[i].cell, cells[i].n, &arena, &v), 0);
		ck_assert_int_eq(value_check(cells[i].cell, cells[i].n, NULL, &arena),
		                 DUR_E_CORRUPT);
	}
	key_arena_free(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("value");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	seed = random_seed("value");
	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, forms_of_cells);
	tcase_add_test(tcase, refused_on_the_way_in);
	tcase_add_test(tcase, round_trips);
	tcase_add_test(tcase, hostile_bytes);
	tcase_add_test(tcase, check_finds_other_forms);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
