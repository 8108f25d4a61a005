/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I3: a retired page never comes back to life. Collections of an old state are put into the newest
 * one in every way there is, after that has let go of them or has changed a little of each. Then
 * what only the old state reached ends, and its pages are used again: what was put must be what it
 * was, and the check must find every page to be one thing. That pages which are still reachable are
 * shared is seen by what is written. One call of a transaction may also put what it removes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump_kit.h"
#include "prefix_kit.h"

enum { MANY = 1500, LONG = 9000, ROPE = 200000, N = 5 };

static const char *const names[N] = { "map", "list", "set", "rope", "small" };
static char text[LONG], bytes[ROPE];
static dur_value ints[400];
static dur_workspace *ws;
static dur_prefix *p;

static dur_value string(int i)
{
	return i % 300 == 7 ? DUR_STRN(text + i % 23, LONG - 50) : DUR_STRN(text + i % 97, 100);
}

static uint64_t written(dur_view *v)
{
	dur_view_cost cost;

	EXPECT(0, dur_cost(v, &cost));
	return cost.written_bytes / 4096;
}

static dur_coll enter(dur_view *v, const char *name)
{
	dur_coll c;

	EXPECT(0, dur_enter(dur_root(v), &DUR_STR(name), &c));
	return c;
}

/* One of each kind with a tree of its own, that holds large values and trees; and a small one. */
static uint64_t make(uint64_t *state)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_LIST, DUR_SET, DUR_ROPE, DUR_MAP };
	dur_coll c[N];
	uint64_t pages;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	for (int i = 0; i < N; i++)
		EXPECT(0, dur_make(dur_root(v), &DUR_STR(names[i]), kinds[i], &c[i]));
	for (int i = 0; i < MANY; i++) {
		dur_value value = i % 500 == 9 ? DUR_NEW(DUR_LIST, ints, 400) : string(i);
		EXPECT(0, dur_put(c[0], &DUR_INT(i), &value));
		EXPECT(0, dur_append(c[1], &value));
		EXPECT(0, dur_add(c[2], &DUR_INT(i)));
	}
	EXPECT(0, dur_append(c[3], &DUR_BYTES(bytes, ROPE)));
	EXPECT(0, dur_put(c[4], &DUR_STR("long"), &DUR_STRN(text, LONG)));
	EXPECT(0, dur_put(c[4], &DUR_STR("list"), &DUR_NEW(DUR_LIST, ints, 400)));
	EXPECT(0, dur_put(c[4], &DUR_STR("rope"), &DUR_NEW(DUR_ROPE, &DUR_STRN(text, LONG), 1)));
	EXPECT(0, dur_commit(v, NULL, state));
	pages = written(v);
	dur_close(v);
	return pages;
}

/* A little of each. */
static void change(dur_view *v)
{
	EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/map/~i77"), &DUR_INT(1)));
	EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/map/~i307"), &DUR_STRN(text + 40, LONG - 40)));
	EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/map/~i509/200"), &DUR_INT(-1)));
	EXPECT(0, dur_del(dur_root(v), &DUR_PATH("/list/100")));
	EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/list/606"), &DUR_INT(1)));
	EXPECT(0, dur_del(enter(v, "set"), &DUR_INT(100)));
	EXPECT(0, dur_write(enter(v, "rope"), ROPE / 2, "x", 1));
	EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/small/list/200"), &DUR_INT(-1)));
	EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/small/long"), &DUR_INT(1)));
}

static void let_go(bool all)
{
	dur_prefix_stat stat;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	if (all)
		EXPECT(0, dur_clear(dur_root(v), NULL, NULL));
	else
		change(v);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	do { /* what is removed goes bit by bit, and is reached until then */
		prefix_put(p, "else", 1, false);
		EXPECT(0, dur_stat(p, &stat));
	} while (stat.removing);
}

/* Whatever is free is written to. */
static void use_again(void)
{
	dur_prefix_stat stat;
	dur_view *v;
	uint64_t size;
	int n = 0;

	EXPECT(0, dur_stat(p, &stat));
	for (size = stat.file_bytes; stat.file_bytes == size || n < 4; n++) {
		HOLDS(n < 200, "the file does not grow");
		EXPECT(0, dur_begin(p, NULL, &v));
		for (int i = 0; i < 400; i++)
			EXPECT(0, dur_put(dur_root(v), &DUR_INT(n * 400 + i),
			                  &DUR_STRN(text, i % 40 ? 900 : LONG)));
		EXPECT(0, dur_commit(v, NULL, NULL));
		dur_close(v);
		EXPECT(0, dur_stat(p, &stat));
	}
}

/* ---- Ways to put it ---- */

enum way { RESTORE, PUT, PUT_MANY, SWAP, LITERAL, INSERT, GATHER, WAYS };

/* Item by item into one that is there. */
static void gather(dur_coll from, dur_coll into)
{
	dur_iter *it;

	if (from.kind == DUR_LIST || from.kind == DUR_ROPE) {
		EXPECT(0, dur_splice(into, 0, from, NULL));
		return;
	}
	EXPECT(0, dur_scan(from, NULL, &it));
	EXPECT(0, dur_collect(it, into, NULL));
	dur_iter_close(it);
}

static bool in_list(enum way way)
{
	return way == LITERAL || way == INSERT;
}

/* Where the i-th of them is then. */
static dur_coll place(enum way way, dur_view *v, int i)
{
	dur_coll c;

	if (!in_list(way))
		return enter(v, names[i]);
	EXPECT(0, dur_enter(enter(v, "in"), &DUR_INT(i), &c));
	return c;
}

static void put_back(enum way way, dur_view *v, dur_view *snap)
{
	dur_value keys[N], values[N], all = DUR_NEW(DUR_LIST, values, N);
	dur_coll c;

	for (int i = 0; i < N; i++) {
		keys[i] = DUR_STR(names[i]);
		values[i] = DUR_COLL(enter(snap, names[i]));
	}
	switch (way) {
	case RESTORE: EXPECT(0, dur_restore(v, snap)); return;
	case PUT_MANY: EXPECT(0, dur_put_many(dur_root(v), keys, values, N)); return;
	case LITERAL: EXPECT(0, dur_put(dur_root(v), &DUR_STR("in"), &all)); return;
	case INSERT:
		EXPECT(0, dur_make(dur_root(v), &DUR_STR("in"), DUR_LIST, &c));
		EXPECT(0, dur_insert(c, 0, values, N));
		return;
	default: break;
	}
	for (int i = 0; i < N; i++) {
		if (way == PUT) {
			EXPECT(0, dur_put(dur_root(v), &keys[i], &values[i]));
		} else if (way == SWAP) {
			EXPECT(0, dur_swap(dur_root(v), &keys[i], NULL, &values[i]));
		} else {
			EXPECT(0, dur_make(dur_root(v), &keys[i], values[i].coll.kind, &c));
			gather(values[i].coll, c);
		}
	}
}

/* ---- What becomes of it ---- */

enum end { CHECKED, USED_AGAIN, PACKED, ENDS };

/* All that old states have goes from the file into packs, and the pages it had are free. */
static void pack(void)
{
	dur_prefix_stat stat;

	for (int i = 0; i < 700; i++)
		prefix_put(p, "of no interest", i, true);
	MUST(dur_pack_history(p, -1));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_gt(stat.packed_bytes, 0);
}

static void all_same(enum way way, dur_view *v, struct dump want[N])
{
	for (int i = 0; i < N; i++)
		dump_same(place(way, v, i), &want[i], true);
}

/* Returns how many pages were written for it; *pages: when it was made. */
static uint64_t come_back(enum way way, enum end end, bool all, uint64_t *pages)
{
	struct dump want[N];
	dur_view *v, *snap;
	uint64_t old, n;

	EXPECT(0, dur_keep(p, end == PACKED ? "all" : "last:1"));
	*pages = make(&old);
	if (end != PACKED)
		EXPECT(0, dur_snapshot(p, old, NULL, &snap));
	let_go(all);
	if (end == PACKED) {
		pack();
		EXPECT(0, dur_snapshot(p, old, NULL, &snap));
	}
	for (int i = 0; i < N; i++)
		want[i] = dump_of(enter(snap, names[i]));
	EXPECT(0, dur_begin(p, NULL, &v));
	put_back(way, v, snap);
	all_same(way, v, want);
	EXPECT(0, dur_commit(v, NULL, NULL));
	n = written(v);
	if (end == CHECKED)
		prefix_check_sound(ws, "p", DUR_HISTORY);
	dur_close(snap);
	use_again();
	all_same(way, v, want);
	dur_close(v);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	all_same(way, v, want);
	dur_close(v);
	for (int i = 0; i < N; i++)
		free(want[i].at);
	return n;
}

/* Nothing of it is left in the newest state: all of it is written anew. */
START_TEST(what_is_gone_is_written_anew)
{
	uint64_t pages;

	come_back((enum way)(_i / ENDS), (enum end)(_i % ENDS), true, &pages);
}
END_TEST

/* Nearly all of it is there: that is shared, and so are the large values that nobody changed. */
START_TEST(what_is_still_there_is_shared)
{
	uint64_t pages, n = come_back((enum way)(_i / ENDS), (enum end)(_i % ENDS), false, &pages);

	ck_assert_uint_ge(pages, 150);
	ck_assert_uint_le(n, 30);
}
END_TEST

/* The same of the ways that promise nothing of what they share. */
START_TEST(what_is_still_there_may_be_copied)
{
	static const enum way ways[] = { LITERAL, INSERT };
	uint64_t pages;

	come_back(ways[_i / ENDS], (enum end)(_i % ENDS), false, &pages);
}
END_TEST

/* ---- What a transaction has removed itself ---- */

/* One call puts something else in a map's place, and then the map at another. */
static void move(dur_view *v, bool entered, bool path)
{
	dur_value keys[] = { path ? DUR_PATH("/map") : DUR_STR("map"), DUR_STR("copy") };
	dur_value values[2] = { DUR_INT(1) };

	if (entered)
		values[1] = DUR_COLL(enter(v, "map"));
	else
		EXPECT(0, dur_get(dur_root(v), keys, &values[1]));
	EXPECT(0, dur_put_many(dur_root(v), keys, values, 2));
}

/* Two at a time, and within literals; one gives way to what holds it. */
static void move_both(dur_view *v)
{
	dur_value keys[] = { DUR_STR("rope"), DUR_STR("in") }, both[2];
	dur_value values[] = { DUR_NEW(DUR_LIST, both, 1), DUR_NEW(DUR_LIST, both, 2) };

	EXPECT(0, dur_get(dur_root(v), &DUR_STR("rope"), &both[0]));
	EXPECT(0, dur_get(dur_root(v), &DUR_STR("map"), &both[1]));
	EXPECT(0, dur_put_many(dur_root(v), keys, values, 2));
}

/* _i: 0 .. 3: how it is moved; 4: two at a time. */
static void moved_same(dur_view *v, int i, struct dump want[2])
{
	dur_coll in;

	EXPECT(0, dur_enter(dur_root(v), i < 4 ? &DUR_STR("copy") : &DUR_PATH("/in/1"), &in));
	dump_same(in, &want[0], true);
	EXPECT(0, dur_enter(dur_root(v), i < 4 ? &DUR_STR("rope") : &DUR_PATH("/rope/0"), &in));
	dump_same(in, &want[1], true);
	if (i == 4)
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/in/0"), &in));
	dump_same(in, &want[1], true);
}

/* It is shared with what is about to go, while that is there. */
START_TEST(what_goes_in_the_same_call_is_shared)
{
	struct dump want[2];
	uint64_t old;
	dur_view *v;

	EXPECT(0, dur_keep(p, "last:1"));
	make(&old);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	want[0] = dump_of(enter(v, "map"));
	want[1] = dump_of(enter(v, "rope"));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	if (_i < 4)
		move(v, _i % 2, _i / 2);
	else
		move_both(v);
	moved_same(v, _i, want);
	EXPECT(0, dur_commit(v, NULL, NULL));
	ck_assert_uint_le(written(v), 10);
	dur_close(v);
	prefix_check_sound(ws, "p", DUR_HISTORY);
	use_again();
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	moved_same(v, _i, want);
	dur_close(v);
	free(want[0].at);
	free(want[1].at);
}
END_TEST

/*
 * A large value of the transaction's own is copied before its pages go to the next one. _i: by
 * keys, by paths, in a raw catalog.
 */
START_TEST(long_values_go_in_the_same_call)
{
	static const char *const paths[] = { "/a", "/b", "/c" };
	static char other[LONG];
	dur_value values[] = { DUR_BYTES("x", 1), DUR_BYTES(text, LONG), { 0 } }, keys[3], got;
	dur_prefix *in = p;
	dur_view *v;

	memset(other, 'o', sizeof other);
	for (int i = 0; i < 3; i++)
		keys[i] = _i == 1 ? DUR_PATH(paths[i]) : DUR_BYTES(paths[i], 2);
	if (_i == 2)
		EXPECT(0, dur_attach(ws, "raw", DUR_CREATE | DUR_RAW, NULL, &in));
	EXPECT(0, dur_begin(in, NULL, &v));
	EXPECT(0, dur_put(dur_root(v), &keys[0], &DUR_BYTES(other, LONG)));
	EXPECT(0, dur_get(dur_root(v), &keys[0], &values[2]));
	EXPECT(0, dur_put_many(dur_root(v), keys, values, 3));
	for (int i = 1; i < 3; i++) {
		EXPECT(0, dur_get(dur_root(v), &keys[i], &got));
		ck_assert_uint_eq(got.len, LONG);
		ck_assert_mem_eq(got.ptr, i == 1 ? text : other, LONG);
	}
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	if (_i == 2)
		EXPECT(0, dur_detach(in));
}
END_TEST

/*
 * Small ones lie in pages that the puts before them change. _i: in a raw catalog; 1, 3: more than
 * is encoded in advance.
 */
START_TEST(lent_values_are_what_they_were)
{
	enum { PUTS = 3000, LENT = 699 };
	static dur_value keys[PUTS + 3], values[PUTS + 3];
	static char names_of[PUTS][8];
	uint32_t n = _i % 2 ? PUTS : 100;
	dur_prefix *in = p;
	dur_value got, pair[2];
	dur_view *v;

	if (_i >= 2)
		EXPECT(0, dur_attach(ws, "raw", DUR_CREATE | DUR_RAW, NULL, &in));
	EXPECT(0, dur_begin(in, NULL, &v));
	for (uint32_t i = 0; i < n; i++) {
		snprintf(names_of[i], sizeof names_of[i], "%u", i);
		keys[i] = DUR_BYTES(names_of[i], strlen(names_of[i]));
		values[i] = DUR_BYTES(text, 700);
	}
	EXPECT(0, dur_put(dur_root(v), &keys[50], &DUR_BYTES(bytes, LENT)));
	EXPECT(0, dur_get(dur_root(v), &keys[50], &values[n]));
	keys[n] = DUR_BYTES("a", 1);
	keys[n + 1] = values[n]; /* its bytes are a key, too */
	values[n + 1] = DUR_INT(7);
	if (_i >= 2)
		values[n + 1] = DUR_BYTES("7", 1);
	pair[0] = DUR_INT(1);
	pair[1] = values[n];
	keys[n + 2] = DUR_TUPLE(pair, 2);
	values[n + 2] = DUR_INT(8);
	EXPECT(0, dur_put_many(dur_root(v), keys, values, n + (_i >= 2 ? 2 : 3)));
	pair[1] = DUR_BYTES(bytes, LENT);
	EXPECT(0, dur_get(dur_root(v), &keys[n], &got));
	ck_assert_uint_eq(got.len, LENT);
	ck_assert_mem_eq(got.ptr, bytes, LENT);
	EXPECT(0, dur_get(dur_root(v), &DUR_BYTES(bytes, LENT), NULL));
	if (_i < 2)
		EXPECT(0, dur_get(dur_root(v), &DUR_TUPLE(pair, 2), NULL));
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	if (_i >= 2)
		EXPECT(0, dur_detach(in));
}
END_TEST

/* A tuple that is its own item is refused like one that is too deep. */
START_TEST(keys_without_an_end)
{
	dur_value round = DUR_TUPLE(&round, 1);
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	ck_assert_int_lt(dur_put_many(dur_root(v), &round, &DUR_INT(1), 1), 0);
	dur_close(v);
}
END_TEST

/* Once it is gone nothing leads to it any more. */
START_TEST(what_is_gone_in_the_transaction_is_refused)
{
	dur_value lent, value;
	uint64_t old;
	dur_view *v;

	make(&old);
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &v));
	value = DUR_COLL(enter(v, "map"));
	EXPECT(0, dur_get(dur_root(v), &DUR_STR("map"), &lent));
	EXPECT(0, dur_del(dur_root(v), &DUR_STR("map")));
	EXPECT(DUR_E_STALE, dur_put(dur_root(v), &DUR_STR("copy"), &value));
	EXPECT(DUR_E_STALE, dur_put(dur_root(v), &DUR_STR("copy"), &lent));
	EXPECT(DUR_E_STALE, dur_put_many(dur_root(v), &DUR_STR("copy"), &value, 1));
	EXPECT(DUR_E_STALE, dur_put(dur_root(v), &DUR_STR("copy"), &DUR_NEW(DUR_LIST, &lent, 1)));
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
}
END_TEST

static void setup(void)
{
	for (int i = 0; i < LONG; i++)
		text[i] = (char)('a' + i * i % 23);
	for (int i = 0; i < ROPE; i++)
		bytes[i] = (char)(i % 251 + i / 4096);
	for (int i = 0; i < 400; i++)
		ints[i] = DUR_INT(i * 1000);
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("still_reachable");
	TCase *tc = tcase_create("old states");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, what_is_gone_is_written_anew, 0, WAYS * ENDS);
	tcase_add_loop_test(tc, what_is_still_there_is_shared, 0, 3 * ENDS);
	tcase_add_loop_test(tc, what_is_still_there_may_be_copied, 0, 2 * ENDS);
	suite_add_tcase(s, tc);
	tc = tcase_create("one transaction");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, what_goes_in_the_same_call_is_shared, 0, 5);
	tcase_add_loop_test(tc, long_values_go_in_the_same_call, 0, 3);
	tcase_add_loop_test(tc, lent_values_are_what_they_were, 0, 4);
	tcase_add_test(tc, keys_without_an_end);
	tcase_add_test(tc, what_is_gone_in_the_transaction_is_refused);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role none = { 0 };

	return kit_main(argc, argv, &none, suite());
}
