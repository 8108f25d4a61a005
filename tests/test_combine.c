/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Combining sets and maps: every combination of random ones, embedded and trees, of snapshots and of a
 * transaction, either way, in ranges and parts, against plain arrays of flags; collecting what comes out.
 */
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"
#include "random_values.h"

enum { SPAN = 6000, MOST = 5 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p;
static dur_view *txn;

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

/* A collection, and whether it has each of the numbers; of maps the value is the number times ten. */
static struct side {
	dur_coll coll;
	bool has[SPAN];
} sides[MOST];

static void fill(struct side *s, dur_coll into, unsigned no)
{
	static const uint32_t kinds[] = { DUR_SET, DUR_MAP };
	static const unsigned often[] = { 1, 20, 400, 3000 };
	uint32_t kind = kinds[below(2)];
	unsigned n = often[below(4)];
	uint64_t from = below(SPAN - 100), span = below(3) ? SPAN - from : 100;

	memset(s->has, 0, sizeof s->has);
	EXPECT(0, dur_make(into, &DUR_INT(no), kind, &s->coll));
	while (n--) {
		uint64_t i = from + below(span);
		s->has[i] = true;
		if (kind == DUR_SET)
			MUST(dur_add(s->coll, &DUR_INT((int64_t)i)));
		else
			EXPECT(0, dur_put(s->coll, &DUR_INT((int64_t)i), &DUR_INT(10 * (int64_t)i)));
	}
}

static bool expected(uint32_t how, unsigned n, unsigned i)
{
	unsigned many = 0;

	for (unsigned s = 0; s < n; s++)
		many += sides[s].has[i];
	switch (how) {
	case DUR_UNION: return many > 0;
	case DUR_INTERSECTION: return many == n;
	case DUR_DIFFERENCE: return sides[0].has[i] && many == 1;
	default: return many % 2;
	}
}

/* What should come out of a range, in order. */
static unsigned list(uint32_t how, unsigned n, const dur_range *r, unsigned *out)
{
	unsigned found = 0, skip = (unsigned)r->skip, limit = r->limit ? (unsigned)r->limit : SPAN;

	for (unsigned i = 0; i < SPAN; i++) {
		unsigned at = r->flags & DUR_REVERSE ? SPAN - 1 - i : i;
		if ((r->from && at < r->from->i) || (r->to && at >= r->to->i) ||
		    !expected(how, n, at))
			continue;
		if (skip)
			skip--;
		else if (found < limit)
			out[found++] = at;
	}
	return found;
}

static void expect_next(dur_iter *it, unsigned want, unsigned n)
{
	dur_value key, value;
	bool first = false;

	EXPECT(0, dur_next(it, &key, &value));
	HOLDS(key.type == DUR_INT && key.i == want, "%u is %lld", want, (long long)key.i);
	for (unsigned s = 0; s < n && !first; s++) {
		if (!sides[s].has[want])
			continue;
		first = true;
		HOLDS(value.i == (sides[s].coll.kind == DUR_SET ? want : 10 * want), "%u: %lld", want,
		      (long long)value.i);
	}
}

static void combine_once(unsigned n)
{
	static unsigned want[SPAN];
	dur_coll colls[MOST];
	dur_value from = DUR_INT((int64_t)below(SPAN)), to = DUR_INT((int64_t)below(SPAN));
	dur_range r = { .flags = below(2) ? DUR_REVERSE : 0, .skip = below(3) ? 0 : below(50),
		        .limit = below(3) ? 0 : below(500), .from = below(3) ? NULL : &from,
		        .to = below(3) ? NULL : &to };
	uint32_t how = 1 + (uint32_t)below(4);
	dur_iter *it;
	dur_value key;
	uint64_t left;

	for (unsigned s = 0; s < n; s++)
		colls[s] = sides[s].coll;
	unsigned found = list(how, n, &r, want), at = 0;
	EXPECT(0, dur_combine(how, colls, n, &r, &it));
	while (at < found) {
		if (below(200) == 0) {
			EXPECT(0, dur_left(it, &left));
			ck_assert_uint_eq(left, found - at);
		}
		expect_next(it, want[at++], n);
		if (below(100) == 0 && r.skip == 0 && r.limit == 0) { /* somewhere else */
			at = (unsigned)below(found);
			EXPECT(0, dur_seek(it, &DUR_INT((int64_t)want[at])));
		}
		if (below(100) == 0 && colls[0].view == txn) /* a write elsewhere in its transaction */
			EXPECT(0, dur_put(dur_root(txn), &DUR_STR("other"), &DUR_INT((int64_t)at)));
	}
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	EXPECT(0, dur_left(it, &left));
	ck_assert_uint_eq(left, 0);
	dur_iter_close(it);
}

/* The parts together give what the whole does; collected, they are a set or a map of it. */
static void collect_parts(unsigned n)
{
	static unsigned want[SPAN];
	dur_coll colls[MOST], into;
	dur_range r = { .parts = 1 + (uint32_t)below(5) };
	uint32_t how = 1 + (uint32_t)below(4), kind = below(2) ? DUR_SET : DUR_MAP;
	uint64_t total = 0, count;
	dur_iter *it;

	for (unsigned s = 0; s < n; s++)
		colls[s] = sides[s].coll;
	unsigned found = list(how, n, &(dur_range){ 0 }, want);
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("into"), DUR_MAP, &into));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("into"), &DUR_NEW(kind, NULL, 0)));
	EXPECT(0, dur_enter(dur_root(txn), &DUR_STR("into"), &into));
	for (; r.part < r.parts; r.part++) {
		EXPECT(0, dur_combine(how, colls, n, &r, &it));
		EXPECT(0, dur_collect(it, into, &count));
		EXPECT(DUR_NONE, dur_next(it, NULL, NULL));
		dur_iter_close(it);
		total += count;
	}
	HOLDS(total == found, "%llu of %u", (unsigned long long)total, found);
	EXPECT(0, dur_scan(into, NULL, &it));
	for (unsigned i = 0; i < found; i++) {
		dur_value key;
		EXPECT(0, dur_next(it, &key, NULL));
		HOLDS(key.i == want[i], "%u is %lld", want[i], (long long)key.i);
	}
	EXPECT(DUR_NONE, dur_next(it, NULL, NULL));
	dur_iter_close(it);
	EXPECT(0, dur_del(dur_root(txn), &DUR_STR("into")));
}

START_TEST(combinations)
{
	for (unsigned round = 0; round < kit_rounds(25); round++) {
		unsigned n = 1 + (unsigned)below(MOST);
		dur_view *snap = NULL;

		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
		for (unsigned s = 0; s < n; s++)
			fill(&sides[s], dur_root(txn), s);
		if (below(2)) {
			EXPECT(0, dur_commit(txn, NULL, NULL));
			dur_close(txn);
			EXPECT(0, dur_snapshot(p, below(2) ? DUR_LATEST : prefix_newest_state(p), NULL,
			                       &snap));
			EXPECT(0, dur_begin(p, NULL, &txn));
			for (unsigned s = 0; s < n; s++) /* of the one view or the other */
				EXPECT(0, dur_enter(dur_root(below(2) ? snap : txn), &DUR_INT(s),
				                    &sides[s].coll));
		}
		for (unsigned i = 0; i < 12; i++)
			combine_once(n);
		collect_parts(n);
		dur_close(txn);
		dur_close(snap);
	}
}
END_TEST

START_TEST(refused)
{
	dur_coll typed, raw, list_of[3];
	dur_value key;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("t"), DUR_SET, &typed));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("r"), DUR_RAW_SET, &raw));
	list_of[0] = typed;
	list_of[1] = raw;
	list_of[2] = (dur_coll){ 0 };
	EXPECT(DUR_E_TYPE, dur_combine(DUR_UNION, list_of, 2, NULL, &it));
	ck_assert_ptr_null(it);
	EXPECT(DUR_E_MISUSE, dur_combine(DUR_UNION, list_of, 0, NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_combine(0, list_of, 1, NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_combine(DUR_EITHER + 1, list_of, 1, NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_combine(DUR_UNION, list_of + 2, 1, NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_combine(DUR_UNION, list_of, 1, NULL, NULL));
	EXPECT(0, dur_combine(DUR_UNION, list_of, 1, NULL, &it));
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	dur_change change;
	EXPECT(DUR_E_MISUSE, dur_next_change(it, &change));
	EXPECT(DUR_E_MISUSE, dur_collect(NULL, typed, &n));
	EXPECT(0, dur_del(dur_root(txn), &DUR_STR("t")));
	EXPECT(DUR_E_STALE, dur_next(it, &key, NULL));
	EXPECT(DUR_E_STALE, dur_collect(it, raw, &n));
	dur_close(txn);
}
END_TEST

static void setup(void)
{
	rng = random_seed("combine");
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", "last:5");
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("combine");
	TCase *tc = tcase_create("combine");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, combinations);
	tcase_add_test(tc, refused);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
