/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going back below the catalog: restoring old states of nested maps, sets, lists and ropes, and putting
 * collections of old states, against what was kept of each of them; what that writes, in pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dump_kit.h"
#include "prefix_kit.h"
#include "random_values.h"

enum { TEXT = 9000, STATES = 10, DEPTH = 4, MANY = 60000 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p;
static char text[TEXT];
static dur_value small[4];

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

/* ---- Random writes ---- */

static bool is_coll(const dur_value *v)
{
	return v->type >= DUR_MAP && v->type <= DUR_ROPE;
}

/* Somewhere in the tree; handles are left by the caller. */
static dur_coll somewhere(dur_view *v, unsigned *depth)
{
	dur_coll c = dur_root(v), in;

	for (*depth = 0; *depth < DEPTH && below(5); ++*depth) {
		dur_value key, value;
		uint64_t n, at;
		EXPECT(0, dur_count(c, NULL, &n));
		if (c.kind == DUR_SET || c.kind == DUR_ROPE || n == 0)
			break;
		at = below(n);
		for (unsigned tries = 0; tries < 8; tries++, at = (at + 1) % n) {
			EXPECT(0, dur_nth(c, (int64_t)at, &key, &value));
			if (!is_coll(&value))
				continue;
			EXPECT(0, dur_enter(c, &key, &in));
			dur_leave(c);
			c = in;
			break;
		}
	}
	return c;
}

static dur_value value_for(unsigned depth)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_LIST, DUR_SET };
	uint64_t what = below(10);

	if (what < 4)
		return DUR_INT((int64_t)below(1000));
	if (what < 7 || depth >= DEPTH)
		return DUR_STRN(text + below(100), below(below(12) ? 200 : TEXT - 100));
	if (what == 7)
		return DUR_NEW(DUR_ROPE, small + 3, 1);
	return DUR_NEW(kinds[below(3)], small, 2 * below(2));
}

static void put(dur_coll c, unsigned depth)
{
	dur_value key = DUR_INT((int64_t)below(60)), value = value_for(depth);
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	if (c.kind == DUR_SET)
		MUST(dur_add(c, &key));
	else if (c.kind == DUR_MAP)
		EXPECT(0, dur_put(c, &key, &value));
	else if (c.kind == DUR_LIST)
		EXPECT(0, n && below(2) ? dur_put(c, &DUR_INT((int64_t)below(n)), &value)
		                        : dur_insert(c, (int64_t)below(n + 1), &value, 1));
	else
		EXPECT(0, below(2) ? dur_write(c, below(n + 1), text + below(50), below(300))
		                   : dur_insert(c, (int64_t)below(n + 1), &DUR_STRN(text, below(3000)), 1));
}

static void fill(dur_coll c)
{
	uint64_t from = below(1000), n = below(below(4) ? 60 : 900);

	for (uint64_t i = 0; i < n; i++) {
		dur_value key = DUR_INT((int64_t)(from + i)), value = DUR_STRN(text, i % 90);
		if (c.kind == DUR_SET)
			MUST(dur_add(c, &key));
		else if (c.kind == DUR_MAP)
			EXPECT(0, dur_put(c, &key, &value));
		else
			EXPECT(0, dur_append(c, &value));
	}
}

static void del(dur_coll c)
{
	dur_range r = { 0 };
	dur_value key;
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	if (n == 0)
		return;
	r.skip = below(n);
	r.limit = 1 + below(below(3) ? 20 : 400);
	if (c.kind == DUR_ROPE || below(3) == 0) {
		EXPECT(0, dur_clear(c, &r, NULL));
		return;
	}
	EXPECT(0, dur_nth(c, (int64_t)r.skip, &key, NULL));
	EXPECT(0, dur_del(c, &key));
}

/* A collection in a second place; from is a view of any state. */
static void clone(dur_view *from, dur_coll c)
{
	unsigned depth;
	dur_coll source = somewhere(from, &depth);
	dur_value value = DUR_COLL(source);
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	if (depth && c.kind == DUR_LIST)
		EXPECT(0, dur_insert(c, (int64_t)below(n + 1), &value, 1));
	else if (depth && c.kind == DUR_MAP)
		EXPECT(0, dur_put(c, &DUR_INT((int64_t)below(60)), &value));
	dur_leave(source);
}

static void change(dur_view *v, unsigned n)
{
	while (n--) {
		unsigned depth;
		dur_coll c = somewhere(v, &depth);
		switch (below(10)) {
		case 0:
		case 1: del(c); break;
		case 2: fill(c); break;
		case 3: clone(v, c); break;
		default: put(c, depth);
		}
		dur_leave(c);
	}
	struct dump d = dump_of(dur_root(v));
	if (d.n > 1500000) /* clones of clones */
		EXPECT(0, dur_clear(dur_root(v), &(dur_range){ .skip = 2 }, NULL));
	free(d.at);
}

/* ---- Random states ---- */

static uint64_t states[STATES];
static struct dump kept[STATES];

/* pack: the older ones are read from packs. */
static void make_states(bool pack)
{
	dur_prefix_stat stat;
	dur_view *v;

	for (unsigned i = 0; i < STATES; i++) {
		EXPECT(0, dur_begin(p, NULL, &v));
		if (i == 0)
			for (int k = 0; k < 8; k++)
				EXPECT(0, dur_put(dur_root(v), &DUR_INT(k),
				                  &DUR_NEW(k % 2 ? DUR_MAP : DUR_LIST, NULL, 0)));
		change(v, i % 3 ? 15 : 120);
		EXPECT(0, dur_commit(v, NULL, &states[i]));
		kept[i] = dump_of(dur_root(v));
		dur_close(v);
	}
	if (!pack)
		return;
	for (int i = 0; i < 700; i++)
		prefix_put(p, "of no interest", i, true);
	MUST(dur_pack_history(p, -1));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_gt(stat.packed_bytes, 0);
}

static void end_states(void)
{
	dur_view *v;

	for (unsigned i = 0; i < STATES; i++) {
		EXPECT(0, dur_snapshot(p, states[i], NULL, &v));
		dump_same(dur_root(v), &kept[i], false);
		dur_close(v);
	}
}

START_TEST(restored_states_are_what_they_were)
{
	dur_view *txn, *snap;
	uint64_t state;

	make_states(_i == 1);
	for (unsigned i = 0; i < kit_rounds(30); i++) {
		unsigned to = (unsigned)below(STATES), depth;
		EXPECT(0, dur_snapshot(p, states[to], NULL, &snap));
		/* now and then with so little memory that it spills */
		EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = i % 3 ? 0 : 65536 }, &txn));
		dur_coll hold = { 0 };
		if (i % 2) {
			change(txn, 20); /* they give way */
			hold = somewhere(txn, &depth);
		}
		EXPECT(0, dur_restore(txn, snap));
		dump_same(dur_root(txn), &kept[to], true);
		dur_leave(hold);
		if (i % 4 == 0)
			EXPECT(0, dur_restore(txn, snap)); /* nothing is left to do */
		if (below(4)) {
			EXPECT(0, dur_commit(txn, NULL, &state));
			dump_same(dur_root(txn), &kept[to], true);
		}
		dur_close(txn);
		dur_close(snap);
		if (i % 5 == 0)
			prefix_check_sound(ws, "p", DUR_HISTORY);
	}
	end_states();
}
END_TEST

/* ---- Edits here and there ---- */

/* Some items or bytes from one place on: written over, put in front, removed, or all of that. */
static void edit(dur_coll c)
{
	uint64_t n, at, len = 1 + below(30);
	unsigned what = 1 + (unsigned)below(7);

	EXPECT(0, dur_count(c, NULL, &n));
	at = below(n - 100);
	for (uint64_t i = 0; what & 1 && i < len; i++) {
		dur_value value = below(20) ? DUR_STRN(text + i, 20 + below(3)) : DUR_NEW(DUR_LIST, small, 4);
		if (c.kind == DUR_ROPE)
			EXPECT(0, dur_write(c, at + i, text + below(TEXT), 1));
		else if (c.kind == DUR_SET)
			MUST(dur_add(c, &DUR_INT((int64_t)below(6000))));
		else
			EXPECT(0, dur_put(c, &DUR_INT((int64_t)(at + i)), &value));
	}
	for (uint64_t i = 0; what & 2 && i < len; i++) {
		if ((c.kind == DUR_LIST || c.kind == DUR_ROPE))
			EXPECT(0, dur_insert(c, (int64_t)(at + below(40)), &DUR_STRN(text, 2 + below(9)), 1));
		else
			MUST(dur_del(c, &DUR_INT((int64_t)(at + i))));
	}
	if (what & 4)
		EXPECT(0, dur_clear(c, &(dur_range){ .skip = at + below(40), .limit = len }, NULL));
}

START_TEST(edits_are_undone)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_LIST, DUR_SET, DUR_ROPE };
	struct dump all;
	dur_view *v, *snap;
	uint64_t old;
	dur_coll c;

	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_make(dur_root(v), &DUR_STR("c"), kinds[_i], &c));
	for (int i = 0; i < 3000; i++)
		switch (kinds[_i]) {
		case DUR_MAP: EXPECT(0, dur_put(c, &DUR_INT(2 * i), &DUR_STRN(text + i % 50, 20))); break;
		case DUR_SET: EXPECT(0, dur_add(c, &DUR_INT(2 * i))); break;
		default: EXPECT(0, dur_append(c, &DUR_STRN(text + i % 50, 20)));
		}
	EXPECT(0, dur_commit(v, NULL, &old));
	dur_close(v);
	for (unsigned round = 0; round < kit_rounds(20); round++) {
		EXPECT(0, dur_snapshot(p, old, NULL, &snap));
		all = dump_of(dur_root(snap));
		EXPECT(0, dur_begin(p, NULL, &v));
		EXPECT(0, dur_enter(dur_root(v), &DUR_STR("c"), &c));
		for (uint64_t n = 1 + below(8); n; n--)
			edit(c);
		if (below(2)) {
			EXPECT(0, dur_commit(v, NULL, NULL));
			dur_close(v);
			EXPECT(0, dur_begin(p, NULL, &v));
			EXPECT(0, dur_enter(dur_root(v), &DUR_STR("c"), &c));
		}
		/* who has a handle sees it, too; and so it is never copied */
		EXPECT(0, dur_restore(v, snap));
		dump_same(dur_root(v), &all, true);
		EXPECT(0, dur_count(c, NULL, &old));
		EXPECT(0, dur_commit(v, NULL, &old));
		dump_same(dur_root(v), &all, false);
		dur_close(v);
		dur_close(snap);
	}
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

/* ---- Collections of old states, put somewhere ---- */

static dur_coll find_kind(dur_view *v, uint32_t kind)
{
	unsigned depth;

	for (unsigned tries = 0; tries < 40; tries++) {
		dur_coll c = somewhere(v, &depth);
		if (c.kind == kind)
			return c;
		dur_leave(c);
	}
	return dur_root(v);
}

/* Into a map, or between the items of a list: there it is what it was. */
static void put_old(dur_view *txn, dur_view *snap)
{
	unsigned depth;
	dur_coll source = somewhere(snap, &depth), c = find_kind(txn, below(2) ? DUR_MAP : DUR_LIST), in;
	struct dump want = dump_of(source), other = { 0 };
	dur_value key = DUR_INT((int64_t)below(60)), value = DUR_COLL(source);
	uint64_t n;

	if (want.n > 200000) {
		free(want.at);
		dur_leave(c);
		return;
	}
	EXPECT(0, dur_count(c, NULL, &n));
	if (c.kind == DUR_LIST) {
		key = DUR_INT((int64_t)below(n + 1));
		EXPECT(0, dur_insert(c, key.i, &value, 1));
	} else {
		EXPECT(0, dur_put(c, &key, &value));
	}
	EXPECT(0, dur_enter(c, &key, &in));
	dump_same(in, &want, true);
	/* the two places share pages, and see nothing of each other */
	if (below(2)) {
		dur_coll beside = somewhere(txn, &depth);
		if (depth && beside.kind != DUR_SET && beside.kind != DUR_ROPE)
			other = dump_of(dur_root(snap));
		dur_leave(beside);
	}
	if (in.kind == DUR_MAP || in.kind == DUR_LIST)
		put(in, DEPTH);
	if (other.n)
		dump_same(dur_root(snap), &other, false);
	dur_leave(in);
	dur_leave(c);
	free(want.at);
}

START_TEST(old_collections_are_put_as_they_were)
{
	dur_view *txn, *snap;
	struct dump d;

	make_states(_i == 1);
	for (unsigned i = 0; i < kit_rounds(30); i++) {
		EXPECT(0, dur_snapshot(p, states[below(STATES)], NULL, &snap));
		EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = i % 3 ? 0 : 65536 }, &txn));
		if (i % 4 == 1)
			EXPECT(0, dur_restore(txn, snap));
		change(txn, (unsigned)below(10));
		for (uint64_t n = 1 + below(5); n; n--)
			put_old(txn, snap);
		d = dump_of(dur_root(txn));
		if (below(4)) {
			EXPECT(0, dur_commit(txn, NULL, NULL));
			dump_same(dur_root(txn), &d, true);
		}
		free(d.at);
		dur_close(txn);
		dur_close(snap);
		if (i % 5 == 0)
			prefix_check_sound(ws, "p", DUR_HISTORY);
	}
	end_states();
}
END_TEST

/* ---- What it costs ---- */

/* Large collections deep down, one of each kind. */
static uint64_t make_large(void)
{
	static char bytes[1000000];
	dur_coll map, list, set, rope;
	uint64_t state;
	dur_view *v;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i % 251 + i / 4096);
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_make(dur_root(v), &DUR_PATH("/a"), DUR_MAP, &map)); /* small, with trees in it */
	dur_leave(map);
	EXPECT(0, dur_make(dur_root(v), &DUR_PATH("/a/map"), DUR_MAP, &map));
	EXPECT(0, dur_make(dur_root(v), &DUR_PATH("/a/list"), DUR_LIST, &list));
	EXPECT(0, dur_make(dur_root(v), &DUR_PATH("/a/set"), DUR_SET, &set));
	EXPECT(0, dur_make(dur_root(v), &DUR_PATH("/a/rope"), DUR_ROPE, &rope));
	for (int i = 0; i < MANY; i++) {
		EXPECT(0, dur_put(map, &DUR_INT(i), i % 100 ? &DUR_STRN(text, 40)
		                                            : &DUR_NEW(DUR_LIST, small, 4)));
		EXPECT(0, dur_append(list, &DUR_INT(i)));
		MUST(dur_add(set, &DUR_INT(i)));
	}
	EXPECT(0, dur_append(rope, &DUR_BYTES(bytes, sizeof bytes)));
	EXPECT(0, dur_commit(v, NULL, &state));
	dur_close(v);
	return state;
}

/* What was changed below "/a" since the old state. */
static void change_large(dur_view *v, int what)
{
	dur_coll c;

	switch (what) {
	case 0: EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/a/map/~i77"), &DUR_INT(1))); break;
	case 1: EXPECT(0, dur_del(dur_root(v), &DUR_PATH("/a/map/~i78"))); break;
	case 2: EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/a/map/~i100/2"), &DUR_INT(-1))); break;
	case 3: EXPECT(0, dur_put(dur_root(v), &DUR_PATH("/a/list/5000"), &DUR_INT(-1))); break;
	case 4:
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/list"), &c));
		EXPECT(0, dur_insert(c, 10, &DUR_STR("new"), 1));
		EXPECT(0, dur_clear(c, &(dur_range){ .skip = 20000, .limit = 20 }, NULL));
		break;
	case 5:
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/set"), &c));
		EXPECT(0, dur_del(c, &DUR_INT(12345)));
		EXPECT(0, dur_add(c, &DUR_STR("new")));
		break;
	case 6:
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/rope"), &c));
		EXPECT(0, dur_write(c, 500000, "x", 1));
		EXPECT(0, dur_insert(c, 100, &DUR_STR("some more"), 1));
		break;
	case 7: /* much is removed, in one piece */
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/map"), &c));
		for (int i = 0; i < 2000; i++)
			EXPECT(0, dur_put(c, &DUR_INT(MANY + i), &DUR_INT(i)));
		break;
	}
}

enum { CHANGES = 8 };

static uint64_t written(dur_view *v)
{
	dur_view_cost cost;

	EXPECT(0, dur_cost(v, &cost));
	return cost.written_bytes / 4096;
}

/* One change deep in something large is undone by writing some paths anew. */
START_TEST(a_restore_writes_what_differs)
{
	uint64_t old = make_large();
	struct dump all;
	dur_view *v, *snap;
	dur_coll hold = { 0 };

	EXPECT(0, dur_snapshot(p, old, NULL, &snap));
	all = dump_of(dur_root(snap));
	EXPECT(0, dur_begin(p, NULL, &v));
	change_large(v, _i);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	if (_i == 2)
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/map/~i100"), &hold));
	EXPECT(0, dur_restore(v, snap));
	dump_same(dur_root(v), &all, true);
	if (_i == 2) { /* what is in both is what it was, also to who has a handle to it */
		EXPECT(0, dur_append(hold, &DUR_INT(7)));
		EXPECT(0, dur_del(hold, &DUR_INT(-1)));
	}
	EXPECT(0, dur_commit(v, NULL, NULL));
	ck_assert_uint_le(written(v), 25);
	dump_same(dur_root(v), &all, false);
	dur_close(v);
	dur_close(snap);
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

/* So does putting it from the old state, at its old place or at another one. */
START_TEST(an_old_collection_is_put_at_the_cost_of_the_difference)
{
	static const char *const paths[] = { "/a", "/a/map", "/a/list", "/a/set", "/a/rope", "" };
	uint64_t old = make_large();
	const char *path = paths[_i / 2];
	struct dump all;
	dur_view *v, *snap;
	dur_value value;
	dur_coll source, c;

	EXPECT(0, dur_snapshot(p, old, NULL, &snap));
	EXPECT(0, dur_begin(p, NULL, &v));
	for (int i = 0; i < CHANGES - 1; i++)
		change_large(v, i);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	source = dur_root(snap);
	if (*path)
		EXPECT(0, dur_enter(source, &DUR_PATH(path), &source));
	all = dump_of(source);
	value = DUR_COLL(source);
	if (_i % 2 == 0) {
		EXPECT(0, dur_put(dur_root(v), &DUR_STR("other"), &value));
		EXPECT(0, dur_enter(dur_root(v), &DUR_STR("other"), &c));
	} else if (*path) {
		EXPECT(0, dur_put(dur_root(v), &DUR_PATH(path), &value));
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH(path), &c));
	} else {
		dur_coll list;
		EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/list"), &list));
		EXPECT(0, dur_insert(list, 77, &value, 1));
		EXPECT(0, dur_enter(list, &DUR_INT(77), &c));
	}
	dump_same(c, &all, true);
	EXPECT(0, dur_commit(v, NULL, NULL));
	ck_assert_uint_le(written(v), 60);
	dump_same(c, &all, false);
	dur_close(v);
	dur_close(snap);
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

/* What has become another one for the most part is copied: its old tree is let go of as a whole. */
START_TEST(what_is_all_different_is_copied)
{
	uint64_t old = make_large();
	struct dump all;
	dur_view *v, *snap;
	dur_coll map;

	EXPECT(0, dur_snapshot(p, old, NULL, &snap));
	all = dump_of(dur_root(snap));
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_enter(dur_root(v), &DUR_PATH("/a/map"), &map));
	for (int i = 0; i < MANY; i++)
		EXPECT(0, dur_put(map, &DUR_INT(i), &DUR_INT(-i)));
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_restore(v, snap));
	dump_same(dur_root(v), &all, true);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dump_same(dur_root(v), &all, false);
	dur_close(v);
	dur_close(snap);
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

static void setup(void)
{
	rng = random_seed("become");
	for (int i = 0; i < TEXT; i++)
		text[i] = (char)('a' + i * i % 23);
	for (int i = 0; i < 3; i++)
		small[i] = DUR_INT(i);
	small[3] = DUR_STRN(text, 200);
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static Suite *suite(void)
{
	Suite *s = suite_create("become");
	TCase *tc = tcase_create("random");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, restored_states_are_what_they_were, 0, 3);
	tcase_add_loop_test(tc, edits_are_undone, 0, 4);
	tcase_add_loop_test(tc, old_collections_are_put_as_they_were, 0, 3);
	suite_add_tcase(s, tc);
	tc = tcase_create("cost");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_restore_writes_what_differs, 0, CHANGES);
	tcase_add_loop_test(tc, an_old_collection_is_put_at_the_cost_of_the_difference, 0, 12);
	tcase_add_test(tc, what_is_all_different_is_copied);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role none = { 0 };

	return kit_main(argc, argv, &none, suite());
}
