/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Literals: random ones of every kind, around the sizes where lengths take two bytes and where a
 * collection gets a tree of its own, against the same collections made entry by entry; many puts at once
 * against single ones; what is refused leaves nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"
#include "random_values.h"

enum { ITEMS = 400, DEPTH = 4 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p;
static dur_view *txn;
static struct key_arena arena;

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

/* Some of it is not ASCII, some has a NUL: what a key cannot hold as it is. */
static dur_value text(size_t most)
{
	size_t n = below(most + 1);
	char *s = key_arena_take(&arena, n + 1);

	for (size_t i = 0; i < n; i++)
		s[i] = (char)('a' + below(8));
	if (n > 2 && below(3) == 0)
		memcpy(s + below(n - 1), below(2) ? "\xc3\xa4" : "\0", 2);
	return DUR_STRN(s, n);
}

static dur_value scalar(void)
{
	static const size_t sizes[] = { 6, 20, 126, 127, 130, 900, 2000 };

	if (below(3))
		return random_scalar(&rng, &arena);
	return text(below(4) ? sizes[below(2)] : sizes[below(7)]);
}

static dur_value key(bool raw)
{
	if (raw)
		return text(below(10) ? 5 : 130);
	if (below(3))
		return below(2) ? DUR_INT((int64_t)below(300)) : text(below(20) ? 4 : 140);
	return random_key(&rng, &arena, 2);
}

static dur_value random_literal(unsigned depth)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_MAP, DUR_LIST, DUR_SET, DUR_RAW_MAP,
		                          DUR_RAW_SET, DUR_ROPE };
	static const unsigned often[] = { 0, 1, 2, 3, 7, 20, 127, 128, 130, ITEMS };
	uint32_t kind = kinds[below(7)];
	bool raw = kind == DUR_RAW_MAP || kind == DUR_RAW_SET;
	bool map = kind == DUR_MAP || kind == DUR_RAW_MAP;
	bool set = kind == DUR_SET || kind == DUR_RAW_SET, small = below(4) > 0;
	unsigned n = often[below(depth == 0 && !below(10) ? 10 : 5)];
	dur_value *items = key_arena_take(&arena, (2 * n + 1) * sizeof *items);
	uint64_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		if (map || set)
			items[len++] = key(raw);
		if (set)
			continue;
		if (kind == DUR_ROPE)
			items[len++] = text(small ? 10 : 300);
		else if (depth < DEPTH && below(n > 10 ? 20 : 3) == 0)
			items[len++] = random_literal(depth + 1);
		else
			items[len++] = small ? DUR_INT((int64_t)below(70000)) : scalar();
	}
	return DUR_NEW(kind, items, len);
}

/* The same, entry by entry. */
static void make(dur_coll into, const dur_value *at, const dur_value *literal)
{
	uint32_t kind = literal->type & ~(uint32_t)DUR_LITERAL;
	bool map = kind == DUR_MAP || kind == DUR_RAW_MAP;
	dur_coll c;

	if (into.kind == DUR_LIST) {
		EXPECT(0, dur_append(into, &DUR_NEW(kind, NULL, 0)));
		EXPECT(0, dur_enter(into, &DUR_INT(-1), &c));
	} else {
		MUST(dur_del(into, at)); /* of equal keys the last one wins */
		EXPECT(0, dur_make(into, at, kind, &c));
	}
	for (uint64_t i = 0; i < literal->len; i += map ? 2 : 1) {
		const dur_value *item = &literal->items[i], *value = item + map;
		if (kind == DUR_SET || kind == DUR_RAW_SET)
			MUST(dur_add(c, item));
		else if (value->type & DUR_LITERAL)
			make(c, item, value);
		else if (map)
			EXPECT(0, dur_put(c, item, value));
		else
			EXPECT(0, dur_append(c, value));
	}
	dur_leave(c);
}

static void expect_same(dur_coll c, const dur_value *a, const dur_value *b)
{
	dur_value value;

	EXPECT(0, dur_get(c, b, &value));
	EXPECT(0, dur_swap(c, a, &value, &DUR_NULL()));
}

START_TEST(as_if_made_one_by_one)
{
	unsigned rounds = getenv("DURAMEN_SLOW") ? 30000 : 1500;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < rounds; i++) {
		dur_value literal = random_literal(0);
		dur_coll root = dur_root(txn);
		EXPECT(0, dur_put(root, &DUR_STR("whole"), &literal));
		make(root, &DUR_STR("parts"), &literal);
		expect_same(root, &DUR_STR("whole"), &DUR_STR("parts"));
		/* and as an item, which has another room */
		EXPECT(0, dur_put(root, &DUR_STR("list"), &DUR_NEW(DUR_LIST, &literal, 1)));
		expect_same(root, &DUR_PATH("/list/0"), &DUR_STR("parts"));
		key_arena_reset(&arena);
		if (i % 200 == 199) {
			EXPECT(0, dur_put(root, &DUR_INT(i), &literal));
			EXPECT(0, dur_commit(txn, NULL, NULL));
			dur_close(txn);
			EXPECT(0, dur_begin(p, NULL, &txn));
		}
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

/* Literals and scalars, small and large, in any order, some twice: more than the check keeps. */
START_TEST(many_at_once)
{
	enum { MANY = 12000 };
	dur_value *keys = calloc(MANY, sizeof *keys), *values = calloc(MANY, sizeof *values);
	uint32_t *last = calloc(MANY, sizeof *last);

	ck_assert(keys && values && last);
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t k = (uint32_t)below(MANY);
		last[k] = i + 1;
		keys[i] = DUR_INT(k);
		values[i] = below(4) ? random_literal(2) : scalar();
	}
	EXPECT(0, dur_put_many(dur_root(txn), keys, values, MANY));
	for (uint32_t k = 0; k < MANY; k++)
		if (last[k])
			EXPECT(0, dur_swap(dur_root(txn), &DUR_INT(k), &values[last[k] - 1],
			                   &DUR_NULL()));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	free(keys);
	free(values);
	free(last);
}
END_TEST

START_TEST(all_or_none)
{
	dur_value bad = DUR_STRN("\xff", 1), odd[2] = { DUR_STR("a"), bad }, keys[3], values[3];
	dur_value deep = DUR_NEW(DUR_MAP, odd, 2);
	uint64_t n;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < 3; i++) {
		keys[i] = DUR_INT(i);
		values[i] = DUR_NEW(DUR_LIST, NULL, 0);
	}
	values[2] = DUR_NEW(DUR_LIST, &deep, 1);
	EXPECT(DUR_E_MISUSE, dur_put_many(dur_root(txn), keys, values, 3));
	ck_assert_ptr_nonnull(strstr(dur_message(), "UTF-8 at byte 0"));
	EXPECT(0, dur_count(dur_root(txn), NULL, &n));
	ck_assert_uint_eq(n, 0);
	EXPECT(DUR_E_MISUSE, dur_put(dur_root(txn), &keys[0], &values[2]));
	EXPECT(DUR_E_MISUSE, dur_put(dur_root(txn), &keys[0], &DUR_NEW(DUR_MAP, odd, 1)));
	EXPECT(DUR_E_TYPE, dur_put(dur_root(txn), &keys[0], &DUR_NEW(DUR_SET, &deep, 1)));
	EXPECT(DUR_E_TYPE, dur_put(dur_root(txn), &keys[0], &DUR_NEW(DUR_OBJECT, NULL, 0)));
	EXPECT(0, dur_count(dur_root(txn), NULL, &n));
	ck_assert_uint_eq(n, 0);
	dur_close(txn);
}
END_TEST

static void setup(void)
{
	rng = random_seed("literal");
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", "last:5");
}

static void teardown(void)
{
	key_arena_free(&arena);
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("literal");
	TCase *tc = tcase_create("literal");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, as_if_made_one_by_one);
	tcase_add_test(tc, many_at_once);
	tcase_add_test(tc, all_or_none);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
