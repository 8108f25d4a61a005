/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed states through the public header, larger than the memory that a view decodes into: all that is
 * read while pages come and go is what the state held, and the pages decoded for it are counted.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"

enum { KEYS = 45000, COMMITS = 300, VALUE = 100 };      /* some 1,400 leaves */

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p;
static uint64_t states[COMMITS + 1];
static uint32_t changed[COMMITS + 1];   /* the key of each commit */
static uint32_t version[KEYS];          /* as of the state under test */

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

static const uint8_t *value_of(uint32_t key, uint32_t commit)
{
	static uint8_t bytes[VALUE];
	uint64_t seed = (uint64_t)key << 32 | commit;

	for (unsigned i = 0; i < VALUE; i += 4) {
		uint32_t word = (uint32_t)kit_random(&seed);
		memcpy(bytes + i, &word, 4);
	}
	return bytes;
}

static void put(dur_view *v, uint32_t key, uint32_t commit)
{
	MUST(dur_put(dur_root(v), &DUR_INT(key), &DUR_BYTES(value_of(key, commit), VALUE)));
}

/* Every leaf dies between the first state and the last. */
static void setup(void)
{
	dur_view *v;

	rng = kit_seed();
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", "all");
	for (uint32_t c = 0; c <= COMMITS; c++) {
		const dur_commit_options async = { .flags = DUR_ASYNC };
		EXPECT(0, dur_begin(p, NULL, &v));
		changed[c] = (uint32_t)below(KEYS);
		for (uint32_t key = 0; key < KEYS && c == 0; key++)
			put(v, key, 0);
		for (uint32_t key = 0; key < KEYS && c == COMMITS; key += 20)
			put(v, key, c);
		if (c)
			put(v, changed[c], c);
		EXPECT(0, dur_commit(v, &async, &states[c]));
		dur_close(v);
	}
	EXPECT(DUR_NONE, dur_pack_history(p, -1));
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static dur_view *open_state(uint32_t commit)
{
	dur_view *v;

	memset(version, 0, sizeof version);
	for (uint32_t c = 1; c <= commit; c++)
		version[changed[c]] = c;
	EXPECT(0, dur_snapshot(p, states[commit], NULL, &v));
	return v;
}

static bool is_right(uint32_t key, const dur_value *value)
{
	return value->len == VALUE && memcmp(value->ptr, value_of(key, version[key]), VALUE) == 0;
}

START_TEST(scans_that_push_each_others_pages_out)
{
	const dur_range back = { .flags = DUR_REVERSE };
	dur_iter *up, *down;
	dur_value key, value;
	uint64_t left;

	for (uint32_t commit = 1; commit < COMMITS; commit += 137) {
		dur_view *v = open_state(commit);
		EXPECT(0, dur_scan(dur_root(v), NULL, &up));
		EXPECT(0, dur_scan(dur_root(v), &back, &down));
		for (uint32_t i = 0; i < KEYS; i++) {
			EXPECT(0, dur_next(up, &key, &value));
			HOLDS(key.i == i && is_right(i, &value), "entry %u upward", i);
			EXPECT(0, dur_next(down, &key, &value));
			HOLDS(key.i == KEYS - 1 - i && is_right(KEYS - 1 - i, &value), "entry %u back", i);
			if (i % 64 == 0) {
				uint32_t any = (uint32_t)below(KEYS);
				EXPECT(0, dur_get(dur_root(v), &DUR_INT(any), &value));
				HOLDS(is_right(any, &value), "key %u", any);
			}
		}
		EXPECT(DUR_NONE, dur_next(up, &key, &value));
		EXPECT(0, dur_left(down, &left));
		ck_assert_uint_eq(left, 0);
		dur_close(v);
	}
}
END_TEST

/*
 * Many maps of a root and some leaves each. What a walk goes round in becomes others' memory between walks, also
 * that of the root which the next one stands below.
 */
START_TEST(scans_between_gets)
{
	enum { MAPS = 100, ITEMS = 1500, LEAF = 25, ROUNDS = 1500 };
	dur_coll maps[MAPS];
	dur_value key, value;
	uint64_t state;
	dur_iter *it;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	for (uint32_t m = 0; m < MAPS; m++) {
		EXPECT(0, dur_make(dur_root(v), &DUR_INT(KEYS + m), DUR_MAP, &maps[m]));
		for (uint32_t i = 0; i < ITEMS; i++)
			MUST(dur_put(maps[m], &DUR_INT(i), &DUR_BYTES(value_of(i, m), VALUE)));
	}
	EXPECT(0, dur_commit(v, NULL, &state));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	for (uint32_t m = 0; m < MAPS; m++) {
		EXPECT(0, dur_enter(dur_root(v), &DUR_INT(KEYS + m), &maps[m]));
		for (uint32_t i = 0; i < ITEMS; i += LEAF)
			MUST(dur_put(maps[m], &DUR_INT(i), &DUR_NULL()));
	}
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	EXPECT(DUR_NONE, dur_pack_history(p, -1));

	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	for (uint32_t m = 0; m < MAPS; m++)
		EXPECT(0, dur_enter(dur_root(v), &DUR_INT(KEYS + m), &maps[m]));
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t m = (uint32_t)below(MAPS), at;
		for (uint64_t n = below(600); n > 0 && round % 4 == 0; n--) {
			m = (uint32_t)below(MAPS);
			at = (uint32_t)below(ITEMS);
			MUST(dur_get(maps[m], &DUR_INT(at), &value));
			HOLDS(memcmp(value.ptr, value_of(at, m), VALUE) == 0, "entry %u of map %u", at, m);
		}
		EXPECT(0, dur_scan(maps[m], NULL, &it));
		for (at = 0; at < ITEMS; at++) {
			MUST(dur_next(it, &key, &value));
			HOLDS(key.i == at && memcmp(value.ptr, value_of(at, m), VALUE) == 0,
			      "entry %u of map %u", at, m);
		}
		dur_iter_close(it);
	}
	dur_close(v);
}
END_TEST

/* Gets of a list in order remember their leaf, until its memory is another page's. */
START_TEST(gets_of_a_list_in_order)
{
	enum { ITEMS = 20000 };
	uint64_t state;
	dur_value value;
	dur_coll list;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_make(dur_root(v), &DUR_STR("list"), DUR_LIST, &list));
	for (int i = 0; i < ITEMS; i++)
		MUST(dur_append(list, &DUR_INT(i)));
	EXPECT(0, dur_commit(v, NULL, &state));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_enter(dur_root(v), &DUR_STR("list"), &list));
	for (int i = 0; i < ITEMS; i += 50)
		MUST(dur_put(list, &DUR_INT(i), &DUR_INT(-1)));
	for (uint32_t key = 0; key < KEYS; key += 20)
		put(v, key, COMMITS + 1);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	EXPECT(DUR_NONE, dur_pack_history(p, -1));

	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	EXPECT(0, dur_enter(dur_root(v), &DUR_STR("list"), &list));
	for (int i = 0; i < 100; i++) {
		EXPECT(0, dur_get(list, &DUR_INT(i), &value));
		ck_assert_int_eq(value.i, i);
		for (uint32_t key = 0; i % 10 == 5 && key < KEYS; key += 32)
			MUST(dur_get(dur_root(v), &DUR_INT(key), &value));
	}
	dur_close(v);
}
END_TEST

START_TEST(seeks_and_ranks)
{
	dur_view *v = open_state(150);
	dur_iter *it;
	dur_value key, value;
	uint64_t n;

	EXPECT(0, dur_scan(dur_root(v), NULL, &it));
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t at = (uint32_t)below(KEYS);
		EXPECT(0, dur_seek(it, &DUR_INT(at)));
		for (uint32_t k = at; k < at + 3 && k < KEYS; k++) {
			EXPECT(0, dur_next(it, &key, &value));
			HOLDS(key.i == k && is_right(k, &value), "key %u", k);
		}
		EXPECT(0, dur_nth(dur_root(v), at, &key, &value));
		HOLDS(key.i == at && is_right(at, &value), "entry %u", at);
		EXPECT(0, dur_rank(dur_root(v), &DUR_INT(at), &n));
		ck_assert_uint_eq(n, at);
	}
	dur_close(v);
}
END_TEST

/* The two sides of a diff decode into memory of their own. */
START_TEST(differences_of_packed_states)
{
	dur_view *old, *now;
	dur_iter *it;
	dur_change change;
	uint32_t n = 0, want = 0;

	EXPECT(0, dur_snapshot(p, states[20], NULL, &old));
	now = open_state(250);
	for (uint32_t key = 0; key < KEYS; key++)
		want += version[key] > 20;
	EXPECT(0, dur_diff(dur_root(old), dur_root(now), NULL, &it));
	while (MUST(dur_next_change(it, &change)) == 0) {
		ck_assert_int_eq(change.kind, DUR_CHANGED);
		n++;
	}
	ck_assert_uint_eq(n, want);
	dur_iter_close(it);
	dur_close(old);
	dur_close(now);
}
END_TEST

static uint64_t unpacked(const dur_view *v)
{
	dur_view_cost cost;

	EXPECT(0, dur_cost(v, &cost));
	return cost.pages_unpacked;
}

/* Each page of a packed state is decoded once while it stays in memory, and counted then. */
START_TEST(pages_that_are_decoded_are_counted)
{
	dur_view *v = open_state(0);
	dur_value value;
	uint64_t path, leaves = 0;
	dur_iter *it;

	ck_assert_uint_eq(unpacked(v), 0); /* opening it reads none */
	EXPECT(0, dur_get(dur_root(v), &DUR_INT(7), &value));
	path = unpacked(v);
	HOLDS(path >= 2 && path <= 4, "%llu pages for one key", (unsigned long long)path);
	EXPECT(0, dur_get(dur_root(v), &DUR_INT(7), &value));
	ck_assert_uint_eq(unpacked(v), path);
	EXPECT(0, dur_get(dur_root(v), &DUR_INT(KEYS - 7), &value)); /* the root is shared */
	HOLDS(unpacked(v) > path && unpacked(v) < 2 * path, "%llu pages for two keys",
	      (unsigned long long)unpacked(v));
	EXPECT(0, dur_scan(dur_root(v), NULL, &it));
	while (MUST(dur_next(it, NULL, &value)) == 0)
		leaves++;
	leaves = leaves * VALUE / 4096; /* at least */
	HOLDS(unpacked(v) > leaves && unpacked(v) < 3 * leaves, "%llu pages for all, %llu leaves",
	      (unsigned long long)unpacked(v), (unsigned long long)leaves);
	dur_iter_close(it);
	dur_close(v);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v)); /* the same memory, a new life */
	EXPECT(0, dur_get(dur_root(v), &DUR_INT(7), &value));
	ck_assert_uint_eq(unpacked(v), 0);
	dur_close(v);
	v = open_state(0);
	ck_assert_uint_eq(unpacked(v), 0);
	dur_close(v);
}
END_TEST

static Suite *packed_views_suite(void)
{
	Suite *suite = suite_create("packed_views");
	TCase *c = tcase_create("views");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, scans_that_push_each_others_pages_out);
	tcase_add_test(c, scans_between_gets);
	tcase_add_test(c, gets_of_a_list_in_order);
	tcase_add_test(c, seeks_and_ranks);
	tcase_add_test(c, differences_of_packed_states);
	tcase_add_test(c, pages_that_are_decoded_are_counted);
	tcase_set_timeout(c, 300);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(packed_views_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
