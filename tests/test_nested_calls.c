/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in collections, one thing at a time: handles that stay and handles to what is gone,
 * depth, clones, changes in place. Random operations on all at once are in test_nested.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"
#include "random_values.h"

static dur_workspace *ws;
static dur_prefix *p;
static dur_view *txn;

static dur_coll begin(void)
{
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	return dur_root(txn);
}

static void commit(void)
{
	EXPECT(0, dur_commit(txn, NULL, NULL));
}

static int64_t int_at(dur_coll c, const char *path)
{
	dur_value v;

	EXPECT(0, dur_get(c, &DUR_PATH(path), &v));
	ck_assert_uint_eq(v.type, DUR_INT);
	return v.i;
}

START_TEST(handles_stay)
{
	dur_coll c = begin(), a, b, again, gone;
	dur_value v;
	uint64_t n;

	EXPECT(DUR_E_PARENT, dur_put(c, &DUR_PATH("/a/b"), &DUR_INT(1)));
	EXPECT(0, dur_make(c, &DUR_PATH("/a/b"), DUR_MAP, &b));
	EXPECT(0, dur_enter(c, &DUR_STR("a"), &a));
	EXPECT(0, dur_enter(c, &DUR_PATH("/a/b"), &again));
	EXPECT(DUR_E_TYPE, dur_make(c, &DUR_PATH("/a/b"), DUR_SET, &gone));
	ck_assert_ptr_null(gone.view);
	EXPECT(0, dur_put(b, &DUR_STR("x"), &DUR_INT(1)));
	for (int i = 0; i < 3000; i++) /* around it, and b grows out of its parent's page */
		EXPECT(0, dur_put(i % 2 ? a : again, &DUR_INT(i), &DUR_INT(i)));
	ck_assert_int_eq(int_at(b, "/~i2998"), 2998);
	ck_assert_int_eq(int_at(c, "/a/b/x"), 1);
	EXPECT(DUR_E_TYPE, dur_enter(b, &DUR_STR("x"), &gone));
	EXPECT(DUR_NONE, dur_enter(b, &DUR_STR("y"), &gone));
	EXPECT(DUR_E_TYPE, dur_get(c, &DUR_PATH("/a/b/x/y"), &v));
	EXPECT(DUR_NONE, dur_get(c, &DUR_PATH("/a/c/x/y"), &v));
	/* what came within a value is to be read, until the next write */
	EXPECT(0, dur_get(c, &DUR_PATH("/a/b"), &v));
	ck_assert_uint_eq(v.type, DUR_MAP);
	ck_assert_uint_eq(v.len, 1501);
	ck_assert_int_eq(int_at(v.coll, "/x"), 1);
	EXPECT(DUR_E_READ_ONLY, dur_put(v.coll, &DUR_STR("x"), &DUR_INT(2)));
	EXPECT(0, dur_put(a, &DUR_STR("z"), &DUR_INT(2)));
	EXPECT(DUR_E_STALE, dur_count(v.coll, NULL, &n));
	/* through commit */
	commit();
	ck_assert_int_eq(int_at(b, "/x"), 1);
	EXPECT(0, dur_count(a, NULL, &n));
	ck_assert_uint_eq(n, 1502);
	EXPECT(DUR_E_READ_ONLY, dur_put(b, &DUR_STR("x"), &DUR_INT(2)));
	dur_close(txn);
	EXPECT(DUR_E_STALE, dur_get(b, &DUR_STR("x"), &v));
}
END_TEST

START_TEST(stale_handles)
{
	dur_coll c = begin(), in[4];
	uint64_t n;

	for (int how = 0; how < 5; how++) {
		EXPECT(0, dur_make(c, &DUR_PATH("/a/b"), DUR_MAP, &in[0]));
		EXPECT(0, dur_make(in[0], &DUR_PATH("/c/d"), DUR_RAW_SET, &in[1]));
		EXPECT(0, dur_enter(in[0], &DUR_STR("c"), &in[2]));
		EXPECT(0, dur_enter(c, &DUR_PATH("/a/b/c/d"), &in[3]));
		switch (how) {
		case 0: EXPECT(0, dur_del(c, &DUR_STR("a"))); break;
		case 1: EXPECT(0, dur_put(c, &DUR_PATH("/a/b"), &DUR_INT(1))); break;
		case 2: EXPECT(0, dur_clear(c, NULL, NULL)); break;
		case 3: EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_NEW(DUR_MAP, NULL, 0))); break;
		default: /* the very same, put anew, is another one */
			EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_COLL(c))); break;
		}
		for (int i = 0; i < 4; i++)
			EXPECT(DUR_E_STALE, dur_count(in[i], NULL, &n));
		EXPECT(DUR_E_STALE, dur_add(in[1], &DUR_STR("x")));
		EXPECT(0, dur_clear(c, NULL, NULL));
		for (int i = 0; i < 4; i++)
			dur_leave(in[i]);
	}
	EXPECT(0, dur_make(c, &DUR_STR("a"), DUR_SET, &in[0]));
	EXPECT(0, dur_enter(c, &DUR_STR("a"), &in[1]));
	dur_leave(in[0]);
	EXPECT(0, dur_count(in[1], NULL, &n)); /* opened twice */
	dur_leave(in[1]);
	for (int i = 0; i < 200; i++) { /* its row is used for others */
		EXPECT(0, dur_make(c, &DUR_INT(i), DUR_SET, &in[2]));
		dur_leave(in[2]);
	}
	EXPECT(DUR_E_STALE, dur_count(in[1], NULL, &n));
	dur_leave(in[1]);
	dur_close(txn);
}
END_TEST

/* A document as deep as nobody writes one: no recursion, there and back. */
START_TEST(deep)
{
	enum { LEVELS = 20000 };
	dur_value *pair = calloc(LEVELS, 2 * sizeof *pair), *steps = calloc(LEVELS, sizeof *steps);
	dur_coll c = begin();
	dur_value v;

	for (int i = 0; i < LEVELS; i++) {
		steps[i] = DUR_STR("k");
		pair[2 * i] = DUR_STR("k");
		pair[2 * i + 1] = i + 1 < LEVELS ? DUR_NEW(DUR_MAP, &pair[2 * i + 2], 2) : DUR_INT(42);
	}
	EXPECT(0, dur_put(c, &DUR_STR("deep"), &DUR_NEW(DUR_MAP, pair, 2)));
	EXPECT(0, dur_put(c, &DUR_STR("copy"), &DUR_COLL(c)));
	EXPECT(0, dur_get(c, &DUR_STR("deep"), &v));
	EXPECT(0, dur_get(v.coll, &DUR_STEPS(steps, LEVELS), &v));
	ck_assert_int_eq(v.i, 42);
	EXPECT(0, dur_enter(c, &DUR_PATH("/copy/deep"), &c));
	EXPECT(0, dur_put(c, &DUR_STEPS(steps, LEVELS), &DUR_INT(43)));
	EXPECT(0, dur_get(c, &DUR_STEPS(steps, LEVELS), &v));
	ck_assert_int_eq(v.i, 43);
	commit();
	dur_close(txn);
	prefix_check_sound(ws, "p", 0);
	c = begin();
	EXPECT(0, dur_enter(c, &DUR_STR("deep"), &c));
	EXPECT(0, dur_get(c, &DUR_STEPS(steps, LEVELS), &v));
	ck_assert_int_eq(v.i, 42);
	EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
	commit();
	dur_close(txn);
	free(pair);
	free(steps);
}
END_TEST

/* A clone shares, whatever it is a clone of; neither sees what happens to the other. */
START_TEST(clones)
{
	dur_coll c = begin(), big, copy;
	dur_view *snap;
	dur_view_cost cost, before;
	dur_value v;

	EXPECT(0, dur_make(c, &DUR_STR("big"), DUR_MAP, &big));
	for (int i = 0; i < 20000; i++)
		EXPECT(0, dur_put(big, &DUR_INT(i), &DUR_INT(i)));
	EXPECT(0, dur_cost(txn, &before));
	EXPECT(0, dur_put(c, &DUR_STR("copy"), &DUR_COLL(big)));        /* in the same transaction */
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_eq(cost.written_bytes, before.written_bytes);    /* nothing is written for it, */
	ck_assert_uint_le(cost.memory_bytes, before.memory_bytes + 4096); /* and nothing copied */
	EXPECT(0, dur_put(big, &DUR_INT(7), &DUR_INT(-7)));
	ck_assert_int_eq(int_at(c, "/copy/~i7"), 7);
	EXPECT(0, dur_enter(c, &DUR_STR("copy"), &copy));
	EXPECT(0, dur_del(copy, &DUR_INT(8)));
	ck_assert_int_eq(int_at(big, "/~i8"), 8);
	commit();
	dur_close(txn);
	c = begin();
	EXPECT(0, dur_get(c, &DUR_STR("big"), &v));
	EXPECT(0, dur_put(c, &DUR_STR("again"), &v));                   /* by a value that was read */
	EXPECT(0, dur_put(c, &DUR_PATH("/again/~i9"), &DUR_INT(-9)));
	commit();
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_lt(cost.written_bytes, 100000);
	ck_assert_int_eq(int_at(dur_root(txn), "/big/~i9"), 9);
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	c = begin();
	EXPECT(0, dur_clear(c, NULL, NULL));
	EXPECT(0, dur_put(c, &DUR_STR("old"), &DUR_COLL(dur_root(snap)))); /* from another view */
	ck_assert_int_eq(int_at(c, "/old/big/~i7"), -7);
	ck_assert_int_eq(int_at(c, "/old/copy/~i7"), 7);
	commit();
	dur_close(txn);
	dur_close(snap);
}
END_TEST

/* Deep in small collections a commit costs about what it does at the top. */
START_TEST(depth_costs_little)
{
	dur_value v = DUR_INT(0), pair[10];
	uint64_t bytes[2] = { 0 };
	dur_coll c = begin();
	dur_view_cost cost;

	for (int i = 0; i < 5; i++) {
		pair[2 * i] = DUR_STR("m");
		pair[2 * i + 1] = i < 4 ? DUR_NEW(DUR_MAP, &pair[2 * i + 2], 2) : v;
	}
	for (int i = 0; i < 2000; i++)
		EXPECT(0, dur_put(c, &DUR_INT(i), &DUR_NEW(DUR_MAP, pair, 2)));
	for (int i = 0; i < 2000; i++)
		EXPECT(0, dur_put(c, &DUR_INT(10000 + i), &v));
	commit();
	dur_close(txn);
	for (int i = 0; i < 50; i++)
		for (int nested = 0; nested < 2; nested++) {
			char path[40];
			c = begin();
			snprintf(path, sizeof path, nested ? "/~i%d/m/m/m/m/m" : "/~i%d",
			         nested ? i * 31 : 10000 + i * 31);
			EXPECT(0, dur_put(c, &DUR_PATH(path), &DUR_INT(i)));
			commit();
			EXPECT(0, dur_cost(txn, &cost));
			bytes[nested] += cost.written_bytes;
			dur_close(txn);
		}
	HOLDS(bytes[1] * 10 <= bytes[0] * 13, "%llu bytes at the top, %llu deep below",
	      (unsigned long long)bytes[0], (unsigned long long)bytes[1]);
}
END_TEST

START_TEST(swaps_of_collections)
{
	dur_value pair[] = { DUR_STR("x"), DUR_INT(1), DUR_STR("y"), DUR_NEW(DUR_SET, NULL, 0) };
	dur_value turned[] = { pair[2], pair[3], pair[0], pair[1] };
	dur_value is = DUR_NEW(DUR_MAP, pair, 4), other = DUR_NEW(DUR_MAP, pair, 2);
	dur_coll c = begin();

	EXPECT(0, dur_swap(c, &DUR_STR("a"), NULL, &is));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), NULL, &is));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), &other, &other));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), &DUR_INT(1), &other));
	EXPECT(0, dur_put(c, &DUR_STR("b"), &DUR_NEW(DUR_MAP, turned, 4)));
	dur_coll b;
	EXPECT(0, dur_enter(c, &DUR_STR("b"), &b));
	EXPECT(0, dur_swap(c, &DUR_STR("a"), &DUR_COLL(b), &DUR_COLL(b)));
	EXPECT(0, dur_swap(c, &DUR_STR("a"), &is, &other));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), &DUR_COLL(b), &is));
	ck_assert_int_eq(int_at(c, "/a/x"), 1);
	dur_close(txn);
}
END_TEST

START_TEST(applied)
{
	static const struct {
		uint32_t op;
		dur_value was, operand, result;
		int rc;
	} list[] = {
		{ DUR_ADD, { .type = DUR_INT, .i = 2 }, { .type = DUR_INT, .i = -5 },
		  { .type = DUR_INT, .i = -3 }, 0 },
		{ DUR_ADD, { .type = DUR_INT, .i = INT64_MAX }, { .type = DUR_INT, .i = 1 },
		  { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" }, 0 },
		{ DUR_ADD, { .type = DUR_INT, .i = INT64_MIN }, { .type = DUR_INT, .i = -1 },
		  { .type = DUR_BIGINT, .len = 20, .str = "-9223372036854775809" }, 0 },
		{ DUR_ADD, { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" },
		  { .type = DUR_INT, .i = -1 }, { .type = DUR_INT, .i = INT64_MAX }, 0 },
		{ DUR_ADD, { .type = DUR_BIGINT, .len = 23, .str = "-1000000000000000000000" },
		  { .type = DUR_BIGINT, .len = 22, .str = "1000000000000000000000" },
		  { .type = DUR_INT, .i = 0 }, 0 },
		{ DUR_ADD, { .type = DUR_DOUBLE, .f = 0.5 }, { .type = DUR_INT, .i = 2 },
		  { .type = DUR_DOUBLE, .f = 2.5 }, 0 },
		{ DUR_ADD, { .type = DUR_STR, .len = 1, .str = "a" }, { .type = DUR_INT }, { 0 },
		  DUR_E_TYPE },
		{ DUR_MIN, { .type = DUR_INT, .i = 3 }, { .type = DUR_INT, .i = -3 },
		  { .type = DUR_INT, .i = -3 }, 0 },
		{ DUR_MAX, { .type = DUR_INT, .i = 3 },
		  { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" },
		  { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" }, 0 },
		{ DUR_MAX, { .type = DUR_STR, .len = 1, .str = "a" },
		  { .type = DUR_STR, .len = 1, .str = "b" },
		  { .type = DUR_STR, .len = 1, .str = "b" }, 0 },
		{ DUR_MAX, { .type = DUR_STR, .len = 1, .str = "a" }, { .type = DUR_INT }, { 0 },
		  DUR_E_TYPE },
		{ DUR_AND, { .type = DUR_INT, .i = 12 }, { .type = DUR_INT, .i = 10 },
		  { .type = DUR_INT, .i = 8 }, 0 },
		{ DUR_OR, { .type = DUR_INT, .i = 12 }, { .type = DUR_INT, .i = 10 },
		  { .type = DUR_INT, .i = 14 }, 0 },
		{ DUR_XOR, { .type = DUR_BOOL, .i = 1 }, { .type = DUR_BOOL, .i = 1 },
		  { .type = DUR_BOOL, .i = 0 }, 0 },
		{ DUR_XOR, { .type = DUR_DOUBLE, .f = 1 }, { .type = DUR_DOUBLE, .f = 1 }, { 0 },
		  DUR_E_TYPE },
		{ DUR_APPEND, { .type = DUR_STR, .len = 2, .str = "ab" },
		  { .type = DUR_STR, .len = 1, .str = "c" },
		  { .type = DUR_STR, .len = 3, .str = "abc" }, 0 },
		{ DUR_APPEND, { .type = DUR_BYTES, .len = 2, .ptr = "ab" },
		  { .type = DUR_STR, .len = 1, .str = "c" }, { 0 }, DUR_E_TYPE },
		{ 0, { .type = DUR_INT }, { .type = DUR_INT }, { 0 }, DUR_E_MISUSE },
		{ 8, { .type = DUR_INT }, { .type = DUR_INT }, { 0 }, DUR_E_MISUSE },
	};
	static const char *const paths[] = { "/x", "/m/n/x" };
	dur_coll c = begin();
	dur_value got, was;

	EXPECT(0, dur_make(c, &DUR_PATH("/m/n"), DUR_MAP, NULL));
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		for (int j = 0; j < 2; j++) {
			dur_value key = DUR_PATH(paths[j]), operand = list[i].operand;
			was = list[i].was;
			was.tag = 9;
			EXPECT(0, dur_put(c, &key, &was));
			HOLDS(dur_apply(c, &key, list[i].op, &operand, &got) == list[i].rc,
			      "%zu: %s", i, dur_message());
			if (list[i].rc == 0) {
				HOLDS(same_value(&got, &list[i].result), "%zu", i);
				ck_assert_uint_eq(got.tag, 9);
				EXPECT(0, dur_del(c, &key));
				EXPECT(0, dur_apply(c, &key, list[i].op, &operand, &got));
				HOLDS(same_value(&got, &operand), "%zu: absent", i);
			}
		}
	EXPECT(DUR_E_TYPE, dur_apply(c, &DUR_STR("m"), DUR_ADD, &DUR_INT(1), NULL));
	dur_close(txn);
}
END_TEST

static void setup(void)
{
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("nested_calls");
	TCase *tc = tcase_create("calls");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, handles_stay);
	tcase_add_test(tc, stale_handles);
	tcase_add_test(tc, deep);
	tcase_add_test(tc, clones);
	tcase_add_test(tc, depth_costs_little);
	tcase_add_test(tc, swaps_of_collections);
	tcase_add_test(tc, applied);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
