/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists through the public header: random operations on several, beside plain arrays, with handles
 * to what is in them, commits, aborts and old states; edges of positions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"
#include "random_values.h"
#include "tally.h"

enum { LISTS = 4, MOST = 6000, OLD = 4, HANDLES = 12, TEXT = 3000 };

static uint64_t rng, seed;
static dur_workspace *ws;
static dur_prefix *p;
static char text[TEXT + 1];

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

/* ---- Plain lists of numbers; what the item is the number tells ---- */

struct plain {
	size_t n;
	uint32_t items[MOST];
};

static struct plain lists[LISTS], before[LISTS], old[OLD][LISTS];
static uint64_t old_states[OLD];
static uint32_t next_item;

static void plain_insert(struct plain *l, size_t at, const uint32_t *items, size_t n)
{
	uint32_t *copy = malloc((n + 1) * sizeof *copy);

	memcpy(copy, items, n * sizeof *copy); /* they may be the list's own */
	memmove(l->items + at + n, l->items + at, (l->n - at) * sizeof *copy);
	memcpy(l->items + at, copy, n * sizeof *copy);
	l->n += n;
	free(copy);
}

static void plain_cut(struct plain *l, size_t from, size_t to)
{
	memmove(l->items + from, l->items + to, (l->n - to) * sizeof *l->items);
	l->n -= to - from;
}

/* ---- Items ---- */

enum sort { A_NUMBER, A_TEXT, A_RUN, A_MAP };

static enum sort sort_of(uint32_t item)
{
	switch (item % 16) {
	case 3:
		return A_TEXT;
	case 7:
		return item % 5 == 0 ? A_RUN : A_TEXT;
	case 11:
		return A_MAP;
	default:
		return A_NUMBER;
	}
}

static dur_value value_of(uint32_t item, dur_value pair[2])
{
	pair[0] = DUR_STR("id");
	pair[1] = DUR_INT(item);
	switch (sort_of(item)) {
	case A_TEXT:
		return DUR_STRN(text + item % 100, 5 + item % 90);
	case A_RUN:
		return DUR_STRN(text + item % 100, 2500 + item % 300);
	case A_MAP:
		return DUR_NEW(DUR_MAP, pair, 2);
	default:
		return DUR_INT(item);
	}
}

static void same_item(const dur_value *v, uint32_t item)
{
	dur_value pair[2], want = value_of(item, pair), id;

	tally[TALLY_READS]++;
	switch (sort_of(item)) {
	case A_MAP:
		HOLDS(v->type == DUR_MAP && v->len == 1, "type %u", v->type);
		EXPECT(0, dur_get(v->coll, &DUR_STR("id"), &id));
		HOLDS(id.type == DUR_INT && id.i == item, "%lld", (long long)id.i);
		break;
	case A_NUMBER:
		HOLDS(v->type == DUR_INT && v->i == item, "type %u: %lld, not %u", v->type,
		      (long long)v->i, item);
		break;
	default:
		HOLDS(v->type == DUR_STR && v->len == want.len &&
		              memcmp(v->str, want.str, want.len) == 0,
		      "type %u, %llu bytes", v->type, (unsigned long long)v->len);
	}
}

/* ---- Views ---- */

static dur_coll open_list(dur_view *v, unsigned i)
{
	static const char *const paths[LISTS] = { "/a", "/in/a/map/b", "/c", "/nested/0/1" };
	dur_coll list;

	EXPECT(0, dur_enter(dur_root(v), &DUR_PATH(paths[i]), &list));
	HOLDS(list.kind == DUR_LIST, "kind %u", list.kind);
	return list;
}

static void make_lists(dur_view *txn)
{
	dur_coll c;
	dur_value none = DUR_NEW(DUR_LIST, NULL, 0);
	dur_value inner[] = { DUR_NULL(), none };
	dur_value outer[] = { DUR_NEW(DUR_LIST, inner, 2) };

	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("a"), DUR_LIST, NULL));
	EXPECT(0, dur_make(dur_root(txn), &DUR_PATH("/in/a/map/b"), DUR_LIST, &c));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("c"), &none));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("nested"), &DUR_NEW(DUR_LIST, outer, 1)));
}

static void same_list(dur_coll list, const struct plain *l)
{
	dur_value key, value;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_count(list, NULL, &n));
	HOLDS(n == l->n, "%llu items, not %zu", (unsigned long long)n, l->n);
	EXPECT(0, dur_scan(list, NULL, &it));
	for (size_t i = 0; i < l->n; i++) {
		EXPECT(0, dur_next(it, &key, &value));
		HOLDS(key.type == DUR_INT && key.i == (int64_t)i, "key %lld", (long long)key.i);
		same_item(&value, l->items[i]);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
	dur_iter_close(it);
	EXPECT(0, dur_scan(list, &(dur_range){ .flags = DUR_REVERSE }, &it));
	for (size_t i = l->n; i-- > 0;) {
		EXPECT(0, dur_next(it, &key, i % 7 ? NULL : &value));
		HOLDS(key.i == (int64_t)i, "key %lld", (long long)key.i);
	}
	dur_iter_close(it);
	for (unsigned k = 0; l->n && k < 10; k++) {
		size_t at = below(l->n);
		EXPECT(0, dur_get(list, &DUR_INT((int64_t)at), &value));
		same_item(&value, l->items[at]);
		EXPECT(0, dur_get(list, &DUR_INT((int64_t)at - (int64_t)l->n), &value));
		same_item(&value, l->items[at]);
		EXPECT(0, dur_nth(list, (int64_t)at, &key, &value));
		same_item(&value, l->items[at]);
	}
	EXPECT(DUR_NONE, dur_get(list, &DUR_INT((int64_t)l->n), NULL));
	EXPECT(DUR_NONE, dur_get(list, &DUR_INT(-1 - (int64_t)l->n), NULL));
}

static void same_lists(dur_view *v, const struct plain *all)
{
	for (unsigned i = 0; i < LISTS; i++)
		same_list(open_list(v, i), &all[i]);
}

/* ---- Handles to maps in lists ---- */

struct handle {
	dur_coll coll;
	unsigned list;
	uint32_t item;
	bool gone;              /* its item was removed or replaced */
};

static struct handle handles[HANDLES];
static unsigned n_handles;

/* How often the handle's item is in its list. */
static unsigned count_of(const struct handle *h)
{
	unsigned n = 0;

	for (size_t i = 0; i < lists[h->list].n; i++)
		n += lists[h->list].items[i] == h->item;
	return n;
}

/* Where there are copies, which one is removed next could not be told. */
static void forget_copied(unsigned list)
{
	for (unsigned i = 0; i < n_handles; i++)
		if (handles[i].list == list && !handles[i].gone && count_of(&handles[i]) > 1)
			handles[i--] = handles[--n_handles];
}

static void take_handle(dur_view *txn, unsigned i)
{
	const struct plain *l = &lists[i];
	size_t at = l->n ? below(l->n) : 0;

	if (n_handles == HANDLES || l->n == 0 || sort_of(l->items[at]) != A_MAP)
		return;
	for (size_t k = 0; k < l->n; k++)
		if (k != at && l->items[k] == l->items[at])
			return; /* copies: which one is gone could not be told */
	struct handle *h = &handles[n_handles++];
	EXPECT(0, dur_enter(open_list(txn, i), &DUR_INT((int64_t)at), &h->coll));
	h->list = i;
	h->item = l->items[at];
	h->gone = false;
}

static void check_handles(void)
{
	dur_value id;

	for (unsigned i = 0; i < n_handles; i++) {
		struct handle *h = &handles[i];
		h->gone = h->gone || count_of(h) == 0;
		if (h->gone) {
			EXPECT(DUR_E_STALE, dur_get(h->coll, &DUR_STR("id"), &id));
			continue;
		}
		EXPECT(0, dur_get(h->coll, &DUR_STR("id"), &id));
		HOLDS(id.i == h->item, "%lld, not %u", (long long)id.i, h->item);
		EXPECT(0, dur_put(h->coll, &DUR_STR("id"), &DUR_INT(h->item)));
	}
}

/* ---- At random ---- */

static void insert(dur_coll list, struct plain *l, size_t at, size_t n)
{
	dur_value values[64], pairs[64][2];
	uint32_t items[64];

	n = n < 64 ? n : 64;
	if (l->n + n > MOST)
		return;
	for (size_t i = 0; i < n; i++) {
		items[i] = next_item++;
		values[i] = value_of(items[i], pairs[i]);
	}
	if (n == 1 && at == l->n && below(2))
		EXPECT(0, dur_append(list, values));
	else if (n == 1 && at == l->n && below(2))
		EXPECT(0, dur_put(list, &DUR_PATH("/-"), values));
	else
		EXPECT(0, dur_insert(list, at < l->n && below(2) ? (int64_t)at - (int64_t)l->n
		                                                 : (int64_t)at, values, n));
	tally[TALLY_WRITES]++;
	plain_insert(l, at, items, n);
}

static void splice(dur_view *txn, dur_view *snap, unsigned to, size_t at)
{
	unsigned from = (unsigned)below(LISTS);
	bool past = snap && below(4) == 0;
	const struct plain *src = past ? &before[from] : &lists[from];
	size_t low = below(src->n + 1), high = low + below(src->n - low + 1);
	dur_value lo = DUR_INT((int64_t)low), hi = DUR_INT((int64_t)high);
	dur_range range = { .from = &lo, .to = &hi };
	bool whole = below(4) == 0;

	if (whole)
		low = 0, high = src->n;
	if (lists[to].n + (high - low) > MOST)
		return;
	EXPECT(0, dur_splice(open_list(txn, to), (int64_t)at, open_list(past ? snap : txn, from),
	                     whole ? NULL : &range));
	tally[TALLY_WRITES]++;
	tally[past ? TALLY_SPLICES_PAST : TALLY_SPLICES]++;
	/* before it: what is gone by now is gone, whatever comes in */
	check_handles();
	plain_insert(&lists[to], at, src->items + low, high - low);
	forget_copied(to);
}

static void random_step(dur_view *txn, dur_view *snap)
{
	unsigned i = (unsigned)below(LISTS);
	struct plain *l = &lists[i];
	dur_coll list = open_list(txn, i);
	size_t at = below(l->n + 1), to;
	dur_value pair[2], v, lo, hi;
	uint64_t n;

	switch (below(12)) {
	case 0:
	case 1:
		insert(list, l, l->n, 1);
		break;
	case 2:
		insert(list, l, at, 1 + below(3));
		break;
	case 3:
		insert(list, l, at, 1 + below(60));
		break;
	case 4:
	case 5:
		EXPECT(at < l->n ? 0 : DUR_NONE, dur_del(list, &DUR_INT((int64_t)at)));
		tally[TALLY_WRITES]++;
		if (at < l->n)
			plain_cut(l, at, at + 1);
		break;
	case 6:
		to = at + below(below(5) ? 10 : l->n - at + 1);
		to = to < l->n ? to : l->n;
		lo = DUR_INT((int64_t)at);
		hi = DUR_INT((int64_t)to);
		EXPECT(0, dur_clear(list, &(dur_range){ .from = &lo, .to = &hi }, &n));
		HOLDS(n == to - at, "%llu", (unsigned long long)n);
		tally[TALLY_WRITES]++;
		plain_cut(l, at, to);
		break;
	case 7:
	case 8:
		if (at == l->n)
			break;
		v = value_of(next_item, pair);
		EXPECT(0, dur_put(list, &DUR_INT((int64_t)at), &v));
		tally[TALLY_WRITES]++;
		l->items[at] = next_item++;
		break;
	case 9:
		splice(txn, snap, i, at);
		break;
	default:
		take_handle(txn, i);
	}
	if (below(6) == 0)
		check_handles();
}

static void check_old(void)
{
	dur_view *snap;

	for (unsigned i = 0; i < OLD; i++) {
		if (!old_states[i])
			continue;
		EXPECT(0, dur_snapshot(p, old_states[i], NULL, &snap));
		same_lists(snap, old[i]);
		tally[TALLY_OLD]++;
		dur_close(snap);
	}
}

static void random_transaction(uint64_t round)
{
	bool first = round == 0;
	dur_view *txn, *snap;
	uint64_t state;

	EXPECT(0, dur_begin(p, NULL, &txn));
	if (first)
		make_lists(txn);
	memcpy(before, lists, sizeof before);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	n_handles = 0;
	for (uint64_t k = below(below(4) ? 40 : 300); k > 0; k--)
		random_step(txn, first ? NULL : snap);
	check_handles();
	same_lists(txn, lists);
	dur_close(snap);
	if (!first && below(6) == 0) {
		memcpy(lists, before, sizeof before);
		tally[TALLY_ABORTS]++;
	} else {
		EXPECT(0, dur_commit(txn, NULL, &state));
		tally[TALLY_COMMITS]++;
		if (round % 4 == 0)
			same_lists(txn, lists);
		unsigned i = (unsigned)below(OLD);
		old_states[i] = state;
		memcpy(old[i], lists, sizeof lists);
	}
	dur_close(txn);
}

START_TEST(random_lists)
{
	uint64_t most = tally_wanted(3000, 1000000);

	for (uint64_t round = 0; tally[TALLY_WRITES] < most; round++) {
		random_transaction(round);
		if (round % 10 == 9)
			check_old();
	}
	tally_say("list", seed);
}
END_TEST

/* ---- Edges ---- */

START_TEST(positions_beyond_the_end_are_refused)
{
	dur_value none = DUR_NEW(DUR_LIST, NULL, 0), v;
	dur_coll list, map;
	dur_view *txn;
	uint64_t n;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("l"), &none));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("l"), DUR_LIST, &list));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("m"), DUR_MAP, &map));
	EXPECT(DUR_NONE, dur_get(list, &DUR_INT(0), &v));
	EXPECT(DUR_NONE, dur_get(list, &DUR_INT(-1), &v));
	EXPECT(DUR_NONE, dur_del(list, &DUR_INT(0)));
	EXPECT(DUR_NONE, dur_nth(list, 0, &v, NULL));
	EXPECT(DUR_E_RANGE, dur_insert(list, 1, &DUR_NULL(), 1));
	EXPECT(DUR_E_RANGE, dur_insert(list, -1, &DUR_NULL(), 1));
	EXPECT(DUR_E_RANGE, dur_put(list, &DUR_INT(1), &DUR_NULL()));
	EXPECT(DUR_E_RANGE, dur_make(list, &DUR_INT(1), DUR_MAP, NULL));
	EXPECT(DUR_E_RANGE, dur_make(list, &DUR_INT(-1), DUR_MAP, NULL));
	EXPECT(DUR_E_RANGE, dur_make(list, &DUR_PATH("/1/x"), DUR_MAP, NULL));
	EXPECT(0, dur_count(list, NULL, &n));
	HOLDS(n == 0, "%llu", (unsigned long long)n);
	EXPECT(DUR_E_MISUSE, dur_insert(list, 0, NULL, 1));
	EXPECT(DUR_E_MISUSE, dur_append(list, NULL));
	EXPECT(0, dur_insert(list, 0, NULL, 0));
	EXPECT(DUR_E_TYPE, dur_append(map, &DUR_NULL()));
	EXPECT(DUR_E_TYPE, dur_insert(map, 0, &DUR_NULL(), 1));
	EXPECT(DUR_E_TYPE, dur_splice(list, 0, map, NULL));
	EXPECT(DUR_E_TYPE, dur_get(list, &DUR_BOOL(1), &v));
	EXPECT(DUR_E_PATH, dur_get(list, &DUR_PATH("/x"), &v));
	EXPECT(0, dur_append(list, &DUR_INT(5)));
	EXPECT(0, dur_get(list, &DUR_PATH("/0"), &v));
	EXPECT(0, dur_get(list, &DUR_INT(-1), &v));
	EXPECT(DUR_E_MISUSE, dur_splice(list, 0, list, &(dur_range){ .flags = DUR_REVERSE }));
	EXPECT(0, dur_del(list, &DUR_INT(-1)));
	EXPECT(0, dur_count(list, NULL, &n));
	HOLDS(n == 0, "%llu", (unsigned long long)n);
	EXPECT(0, dur_del(dur_root(txn), &DUR_STR("l")));
	EXPECT(DUR_E_STALE, dur_append(list, &DUR_INT(5)));
	dur_close(txn);
}
END_TEST

/* All items of an insert, or none: the last one cannot be stored. */
START_TEST(a_refused_item_leaves_nothing)
{
	dur_value items[] = { DUR_INT(1), DUR_STRN(text, 2500), DUR_STRN("\xff", 1) };
	dur_coll list;
	dur_view *txn;
	uint64_t n;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("l"), DUR_LIST, &list));
	for (unsigned i = 0; i < 1000; i++) {
		MUST(dur_insert(list, 0, items, 2));
		EXPECT(DUR_E_MISUSE, dur_insert(list, 1, items, 3));
		EXPECT(0, dur_count(list, NULL, &n));
		HOLDS(n == 2 * (i + 1), "%llu", (unsigned long long)n);
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

START_TEST(a_thousand_inserts_at_the_front)
{
	static uint64_t states[1000];
	dur_view *v;
	dur_value item;
	uint64_t n;

	for (unsigned i = 0; i < 1000; i++) {
		dur_coll list;
		EXPECT(0, dur_begin(p, NULL, &v));
		EXPECT(0, dur_make(dur_root(v), &DUR_STR("l"), DUR_LIST, &list));
		EXPECT(0, dur_insert(list, 0, &DUR_INT(i), 1));
		EXPECT(0, dur_commit(v, &(dur_commit_options){ .flags = DUR_ASYNC }, &states[i]));
		dur_close(v);
	}
	for (unsigned i = 0; i < 1000; i++) {
		dur_coll list;
		dur_iter *it;
		EXPECT(0, dur_snapshot(p, states[i], NULL, &v));
		EXPECT(0, dur_enter(dur_root(v), &DUR_STR("l"), &list));
		EXPECT(0, dur_count(list, NULL, &n));
		HOLDS(n == i + 1, "%llu items in state %u", (unsigned long long)n, i);
		EXPECT(0, dur_scan(list, NULL, &it));
		for (unsigned k = i + 1; k-- > 0;) {
			EXPECT(0, dur_next(it, NULL, &item));
			HOLDS(item.i == k, "%lld", (long long)item.i);
		}
		dur_close(v);
	}
}
END_TEST

/* Concatenated with itself 16 times; what it copies it copies once. */
START_TEST(a_list_behind_itself_16_times)
{
	dur_view *txn;
	dur_coll list;
	dur_value v;
	uint64_t n;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("l"), DUR_LIST, &list));
	for (unsigned i = 0; i < 5; i++)
		EXPECT(0, dur_append(list, &DUR_INT(i)));
	for (unsigned i = 0; i < 16; i++) {
		EXPECT(0, dur_count(list, NULL, &n));
		EXPECT(0, dur_splice(list, (int64_t)n, list, NULL));
	}
	EXPECT(0, dur_put(list, &DUR_INT(7), &DUR_STR("seven")));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	EXPECT(0, dur_count(list, NULL, &n));
	HOLDS(n == 5 << 16, "%llu", (unsigned long long)n);
	for (unsigned i = 0; i < 5 << 16; i += 1 + i % 50) {
		EXPECT(0, dur_get(list, &DUR_INT(i), &v));
		HOLDS(i == 7 ? v.type == DUR_STR : v.i == i % 5, "%u: %lld", i, (long long)v.i);
	}
	dur_close(txn);
}
END_TEST

/* Items that an insert takes from the very list that it changes. */
START_TEST(items_of_a_list_go_into_it_again)
{
	dur_value items[3];
	dur_view *txn;
	dur_coll list;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("l"), DUR_LIST, &list));
	for (unsigned i = 0; i < 300; i++)
		EXPECT(0, dur_append(list, &DUR_STRN(text + i % 7, 3 + i % 40)));
	for (unsigned round = 0; round < 400; round++) {
		for (unsigned i = 0; i < 3; i++)
			EXPECT(0, dur_get(list, &DUR_INT(i * 90 + round % 80), &items[i]));
		char want[3][64];
		for (unsigned i = 0; i < 3; i++)
			memcpy(want[i], items[i].str, items[i].len);
		EXPECT(0, dur_insert(list, round % 200, items, 3));
		for (unsigned i = 0; i < 3; i++) {
			dur_value v;
			EXPECT(0, dur_get(list, &DUR_INT(round % 200 + i), &v));
			HOLDS(memcmp(v.str, want[i], v.len) == 0, "round %u", round);
		}
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

static void setup(void)
{
	rng = seed = random_seed("test_list");
	for (unsigned i = 0; i < TEXT; i++)
		text[i] = (char)('a' + i % 26);
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("list");
	TCase *tc = tcase_create("edges");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, positions_beyond_the_end_are_refused);
	tcase_add_test(tc, a_refused_item_leaves_nothing);
	tcase_add_test(tc, a_thousand_inserts_at_the_front);
	tcase_add_test(tc, a_list_behind_itself_16_times);
	tcase_add_test(tc, items_of_a_list_go_into_it_again);
	suite_add_tcase(s, tc);
	tc = tcase_create("random");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, random_lists);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
