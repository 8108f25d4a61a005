/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff and restore through the public header: random states against full scans, rows that go back
 * in through their paths, what is read and what is refused.
 */
#include "prefix_kit.h"

#include "random_values.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { KEYS = 300, STATES = 16, ROWS = 4 * KEYS };

static dur_workspace *ws;
static dur_prefix *p;
static uint64_t seed;

/* Keys that come again and again; of a raw prefix those that are text or bytes. */
static dur_value keys[KEYS];
static struct key_arena keys_arena;

static void make_keys(bool raw)
{
	static char text[KEYS][24];

	for (unsigned i = 0; i < KEYS; i++) {
		if (!raw && i % 3) {
			keys[i] = random_key(&seed, &keys_arena, 2);
			continue;
		}
		size_t len = (size_t)sprintf(text[i], i % 2 ? "a/%u~" : "key %u\n", i);
		if (i % 5 == 0) /* no text */
			text[i][0] = (char)0xff;
		keys[i] = i % 5 ? DUR_STRN(text[i], len) : DUR_BYTES(text[i], len);
	}
}

static void setup(void)
{
	ws = prefix_workspace(kit_path("root"));
	seed = kit_seed();
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	key_arena_free(&keys_arena);
	kit_clean();
}

static void open_prefix(bool raw, const char *keep)
{
	EXPECT(0, dur_attach(ws, "p", DUR_CREATE | (raw ? DUR_RAW : 0),
	                     &(dur_attach_options){ .keep = keep }, &p));
}

static void close_prefix(void)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
}

static const dur_value *any_key(void)
{
	return &keys[kit_random(&seed) % KEYS];
}

static void write_some(dur_view *txn, unsigned n)
{
	static char big[40000];
	struct key_arena arena = { 0 };

	for (unsigned i = 0; i < n; i++) {
		uint64_t dice = kit_random(&seed) % 100;
		if (dice < 30) {
			MUST(dur_del(dur_root(txn), any_key()));
		} else if (dice < 35) { /* in a run; of few contents, so that some come again */
			memset(big, (int)(dice & 1), sizeof big);
			EXPECT(0, dur_put(dur_root(txn), any_key(),
			                  &DUR_BYTES(big, 5000 + dice % 3 * 15000)));
		} else if (dice < 45) {
			EXPECT(0, dur_put(dur_root(txn), any_key(), &DUR_INT((int64_t)dice % 3)));
		} else {
			dur_value v = random_scalar(&seed, &arena);
			v.tag = (uint16_t)(dice % 2);
			EXPECT(0, dur_put(dur_root(txn), any_key(), &v));
		}
	}
	key_arena_free(&arena);
}

/* Random states, the first of them the empty one. */
static void make_states(uint64_t states[STATES])
{
	dur_view *txn;

	EXPECT(0, dur_resolve(p, "latest", &states[0]));
	for (unsigned i = 1; i < STATES; i++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		write_some(txn, i % 5 == 1 ? KEYS : 1 + (unsigned)(kit_random(&seed) % 10));
		EXPECT(0, dur_put(dur_root(txn), &keys[1], &DUR_INT(i)));
		EXPECT(0, dur_commit(txn, NULL, &states[i]));
		dur_close(txn);
	}
}

/* ---- The model: two scans beside each other ---- */

/* A copy of an entry; bytes of values that are copied whole are in an arena of the test's. */
struct row {
	uint32_t kind;
	dur_value key, old, now;
};

static dur_value copy_of(struct key_arena *arena, const dur_value *v)
{
	dur_value copy = *v;

	if (v->type == DUR_TUPLE) {
		dur_value *items = key_arena_take(arena, v->len * sizeof *items + 1);
		for (uint64_t i = 0; i < v->len; i++)
			items[i] = copy_of(arena, &v->items[i]);
		copy.items = items;
	} else if (v->type == DUR_STR || v->type == DUR_BYTES || v->type == DUR_BIGINT ||
	           v->type == DUR_DECIMAL) {
		char *to = key_arena_take(arena, v->len + 1);
		if (v->len)
			memcpy(to, v->str, v->len);
		copy.str = to;
	}
	return copy;
}

static bool equal(const dur_value *a, const dur_value *b)
{
	return a->tag == b->tag && same_value(a, b);
}

struct side {
	dur_iter *it;
	dur_value key, value;
	bool there;
};

static void side_next(struct side *s)
{
	s->there = s->it && MUST(dur_next(s->it, &s->key, &s->value)) == 0;
}

/* All that differs, in order, by looking at everything. NULL: an empty collection. */
static size_t expect(dur_view *old, dur_view *now, struct row *rows, struct key_arena *arena)
{
	struct side a = { 0 }, b = { 0 };
	size_t n = 0;

	if (old)
		EXPECT(0, dur_scan(dur_root(old), NULL, &a.it));
	if (now)
		EXPECT(0, dur_scan(dur_root(now), NULL, &b.it));
	side_next(&a);
	side_next(&b);
	while (a.there || b.there) {
		int c = !a.there ? 1 : !b.there ? -1 : dur_compare(&a.key, &b.key);
		struct row row = { .kind = c < 0 ? DUR_REMOVED : c > 0 ? DUR_ADDED : DUR_CHANGED };
		bool differ = c != 0 || !equal(&a.value, &b.value);
		if (differ) {
			row.key = copy_of(arena, c <= 0 ? &a.key : &b.key);
			if (c <= 0)
				row.old = copy_of(arena, &a.value);
			if (c >= 0)
				row.now = copy_of(arena, &b.value);
			rows[n++] = row;
		}
		if (c <= 0)
			side_next(&a);
		if (c >= 0)
			side_next(&b);
	}
	dur_iter_close(a.it);
	dur_iter_close(b.it);
	return n;
}

static void expect_same(dur_view *a, dur_view *b)
{
	static struct row rows[ROWS];
	struct key_arena arena = { 0 };

	ck_assert_uint_eq(expect(a, b, rows, &arena), 0);
	key_arena_free(&arena);
}

static dur_coll coll_of(dur_view *v)
{
	return v ? dur_root(v) : (dur_coll){ 0 };
}

static void check_row(dur_view *any, const dur_change *c, const struct row *row)
{
	ck_assert_uint_eq(c->kind, row->kind);
	ck_assert_uint_eq(c->state, 0);
	ck_assert_uint_eq(c->path.type, DUR_PATH);
	ck_assert(equal(&c->old, &row->old));
	ck_assert(equal(&c->now, &row->now));
	/* the path is that of the key: there is nothing else it leads to */
	dur_value key = row->key;
	uint64_t by_key, by_path;
	int rc = dur_rank(dur_root(any), &key, &by_key);
	ck_assert_int_eq(dur_rank(dur_root(any), &c->path, &by_path), rc);
	ck_assert_uint_eq(by_key, by_path);
}

/* ---- diff ---- */

/* Opens state number i of those there are; the last is an open transaction, -1 none at all. */
static dur_view *open_side(const uint64_t *states, dur_view *txn, uint64_t pick)
{
	dur_view *v = NULL;

	if (pick == STATES)
		return txn;
	if (pick < STATES)
		EXPECT(0, dur_snapshot(p, states[pick], NULL, &v));
	return v;
}

static void check_pair(dur_view *old, dur_view *now, bool back)
{
	static struct row rows[ROWS];
	struct key_arena arena = { 0 };
	size_t n = expect(old, now, rows, &arena);
	dur_change c;
	dur_iter *it;

	EXPECT(0, dur_diff(coll_of(old), coll_of(now),
	                   &(dur_range){ .flags = back ? DUR_REVERSE : 0 }, &it));
	for (size_t i = 0; i < n; i++) {
		const struct row *row = &rows[back ? n - 1 - i : i];
		EXPECT(0, dur_next_change(it, &c));
		check_row(row->kind == DUR_REMOVED ? old : now, &c, row);
	}
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	dur_iter_close(it);
	key_arena_free(&arena);
}

START_TEST(random_pairs_differ_as_scans_do)
{
	uint64_t states[STATES];
	dur_view *txn;

	open_prefix(_i, NULL);
	make_keys(_i);
	make_states(states);
	EXPECT(0, dur_begin(p, NULL, &txn));
	write_some(txn, 20);
	for (unsigned i = 0; i < kit_rounds(100); i++) {
		uint64_t a = kit_random(&seed) % (STATES + 2), b = kit_random(&seed) % (STATES + 1);
		dur_view *old = open_side(states, txn, a), *now = open_side(states, txn, b);
		check_pair(old, now, i & 1);
		check_pair(now, old, i & 2);
		if (old != txn)
			dur_close(old);
		if (now != txn)
			dur_close(now);
	}
	dur_close(txn);
	close_prefix();
}
END_TEST

/* The rows of a diff, written through their paths, lead from the one to the other. */
START_TEST(rows_go_back_in_through_their_paths)
{
	uint64_t states[STATES];
	dur_view *old, *now, *txn;
	dur_change c;
	dur_iter *it;
	dur_prefix *q;
	int rc;

	open_prefix(_i, NULL);
	EXPECT(0, dur_attach(ws, "q", DUR_CREATE | (_i ? DUR_RAW : 0), NULL, &q));
	make_keys(_i);
	make_states(states);
	EXPECT(0, dur_begin(q, NULL, &txn));
	uint64_t at = 0;
	for (unsigned i = 0; i < kit_rounds(20); i++) {
		uint64_t next = kit_random(&seed) % STATES;
		EXPECT(0, dur_snapshot(p, states[at], NULL, &old));
		EXPECT(0, dur_snapshot(p, states[next], NULL, &now));
		EXPECT(0, dur_diff(dur_root(old), dur_root(now), NULL, &it));
		while ((rc = MUST(dur_next_change(it, &c))) == 0) {
			dur_value was = { 0 };
			EXPECT(c.kind == DUR_ADDED, dur_get(dur_root(txn), &c.path, &was));
			ck_assert(equal(&was, &c.old));
			if (c.kind == DUR_REMOVED)
				EXPECT(0, dur_del(dur_root(txn), &c.path));
			else
				EXPECT(0, dur_put(dur_root(txn), &c.path, &c.now));
		}
		expect_same(txn, now);
		dur_close(old);
		dur_close(now);
		at = next;
	}
	dur_close(txn);
	EXPECT(0, dur_detach(q));
	close_prefix();
}
END_TEST

/*
 * How many rows a diff of this range has; each is in it, for it has the rank that its place says.
 */
static size_t count_range(dur_view *old, dur_view *now, const dur_range *r, char paths[][64],
                          size_t at)
{
	dur_change c;
	dur_iter *it;
	int rc;

	EXPECT(0, dur_diff(coll_of(old), coll_of(now), r, &it));
	while ((rc = MUST(dur_next_change(it, &c))) == 0)
		snprintf(paths[at++], 64, "%.*s", (int)c.path.len, c.path.str);
	dur_iter_close(it);
	return at;
}

/*
 * Numbers 0 .. 99 that all differ: a range of a diff is then what a scan of the same range gives.
 */
START_TEST(ranges_are_those_of_scans)
{
	static char got[400][64];
	dur_view *old, *now, *txn;
	dur_value key;
	dur_iter *scan;
	uint64_t states[2];

	open_prefix(false, NULL);
	for (int v = 0; v < 2; v++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		for (int i = 0; i < 100; i++)
			EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_INT(v)));
		EXPECT(0, dur_commit(txn, NULL, &states[v]));
		dur_close(txn);
	}
	EXPECT(0, dur_snapshot(p, states[0], NULL, &old));
	EXPECT(0, dur_snapshot(p, states[1], NULL, &now));
	for (unsigned i = 0; i < kit_rounds(300); i++) {
		dur_value from = DUR_INT((int64_t)(kit_random(&seed) % 120) - 10);
		dur_value to = DUR_INT((int64_t)(kit_random(&seed) % 120) - 10);
		dur_range r = {
			.from = i % 3 ? &from : NULL, .to = i % 5 ? &to : NULL,
			.flags = (kit_random(&seed) & 1 ? DUR_REVERSE : 0) |
			         (i % 3 && kit_random(&seed) & 1 ? DUR_AFTER_FROM : 0) |
			         (i % 5 && kit_random(&seed) & 1 ? DUR_WITH_TO : 0),
			.parts = (uint32_t)(kit_random(&seed) % 5),
			.skip = kit_random(&seed) % 3 ? 0 : kit_random(&seed) % 9,
			.limit = kit_random(&seed) % 3 ? 0 : 1 + kit_random(&seed) % 9,
		};
		r.part = r.parts ? (uint32_t)(kit_random(&seed) % r.parts) : 0;
		size_t n = count_range(old, now, &r, got, 0), k = 0;
		EXPECT(0, dur_scan(dur_root(old), &r, &scan));
		while (MUST(dur_next(scan, &key, NULL)) == 0) {
			char path[64];
			snprintf(path, sizeof path, "/~i%lld", (long long)key.i);
			ck_assert_uint_lt(k, n);
			ck_assert_str_eq(got[k++], path);
		}
		ck_assert_uint_eq(k, n);
		dur_iter_close(scan);
	}
	/* an empty collection cannot be cut: the other one is, or the last piece has all */
	size_t all = 0;
	for (uint32_t part = 0; part < 7; part++)
		all = count_range(NULL, now, &(dur_range){ .part = part, .parts = 7 }, got, all);
	ck_assert_uint_eq(all, 100);
	dur_view *first;
	EXPECT(0, dur_snapshot(p, 1, NULL, &first));
	for (uint32_t part = 0; part < 7; part++)
		ck_assert_uint_eq(count_range(first, now, &(dur_range){ .part = part, .parts = 7 },
		                              got, 0),
		                  part == 6 ? 100 : 0);
	dur_close(first);
	dur_close(old);
	dur_close(now);
	close_prefix();
}
END_TEST

/* Pieces of a diff of random states together have every row once, in order. */
START_TEST(parts_make_up_the_whole)
{
	static struct row rows[ROWS];
	uint64_t states[STATES];
	dur_view *old, *now;
	dur_change c;
	dur_iter *it;

	open_prefix(false, NULL);
	make_keys(false);
	make_states(states);
	for (unsigned i = 0; i < kit_rounds(20); i++) {
		struct key_arena arena = { 0 };
		uint32_t parts = 1 + (uint32_t)(kit_random(&seed) % 9);
		EXPECT(0, dur_snapshot(p, states[kit_random(&seed) % STATES], NULL, &old));
		EXPECT(0, dur_snapshot(p, states[kit_random(&seed) % STATES], NULL, &now));
		size_t n = expect(old, now, rows, &arena), k = 0;
		for (uint32_t part = 0; part < parts; part++) {
			EXPECT(0, dur_diff(dur_root(old), dur_root(now),
			                   &(dur_range){ .part = part, .parts = parts }, &it));
			for (; MUST(dur_next_change(it, &c)) == 0; k++) {
				ck_assert_uint_lt(k, n);
				check_row(rows[k].kind == DUR_REMOVED ? old : now, &c, &rows[k]);
			}
			dur_iter_close(it);
		}
		ck_assert_uint_eq(k, n);
		key_arena_free(&arena);
		dur_close(old);
		dur_close(now);
	}
	close_prefix();
}
END_TEST

static void put_int(dur_view *txn, int64_t key, int64_t value)
{
	EXPECT(0, dur_put(dur_root(txn), &DUR_INT(key), &DUR_INT(value)));
}

static void next_is(dur_iter *it, uint32_t kind, const char *path)
{
	dur_change c;

	EXPECT(0, dur_next_change(it, &c));
	ck_assert_uint_eq(c.kind, kind);
	ck_assert_uint_eq(c.path.len, strlen(path));
	ck_assert(!memcmp(c.path.str, path, c.path.len));
}

/* In a transaction a diff goes on behind the last key through writes, and through the commit. */
START_TEST(a_diff_goes_on_through_writes)
{
	dur_view *txn, *snap;
	dur_iter *it, *back;
	dur_change c;

	open_prefix(false, NULL);
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (int i = 0; i < 1000; i++)
		put_int(txn, i, 0);
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_begin(p, NULL, &txn));
	put_int(txn, 10, 1);
	put_int(txn, 500, 1);
	EXPECT(0, dur_diff(dur_root(snap), dur_root(txn), NULL, &it));
	EXPECT(0, dur_diff(dur_root(snap), dur_root(txn), &(dur_range){ .flags = DUR_REVERSE },
	                   &back));
	next_is(it, DUR_CHANGED, "/~i10");
	next_is(back, DUR_CHANGED, "/~i500");
	put_int(txn, 5, 1);   /* behind the one, ahead of the other */
	put_int(txn, 20, 1);
	put_int(txn, 2000, 1);
	EXPECT(0, dur_del(dur_root(txn), &DUR_INT(500)));
	next_is(it, DUR_CHANGED, "/~i20");
	next_is(back, DUR_CHANGED, "/~i20");
	EXPECT(0, dur_commit(txn, NULL, NULL));
	next_is(it, DUR_REMOVED, "/~i500");
	next_is(it, DUR_ADDED, "/~i2000");
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	next_is(back, DUR_CHANGED, "/~i10");
	next_is(back, DUR_CHANGED, "/~i5");
	EXPECT(DUR_NONE, dur_next_change(back, &c));
	dur_close(txn); /* ends its iterators */
	EXPECT(DUR_E_STALE, dur_next_change(it, &c));
	dur_close(snap);
	close_prefix();
}
END_TEST

START_TEST(what_a_diff_refuses)
{
	dur_view *a, *b, *other;
	dur_prefix *q;
	dur_change c;
	dur_value v;
	dur_iter *it = (dur_iter *)&v;
	uint64_t n;

	open_prefix(false, NULL);
	EXPECT(0, dur_attach(ws, "q", DUR_CREATE | DUR_RAW, NULL, &q));
	prefix_put(p, "n", 1, false);
	EXPECT(0, dur_snapshot(p, 1, NULL, &a));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &b));
	EXPECT(0, dur_snapshot(q, DUR_LATEST, NULL, &other));
	EXPECT(DUR_E_MISUSE, dur_diff(dur_root(a), dur_root(other), NULL, &it));
	ck_assert_ptr_null(it);
	ck_assert_ptr_nonnull(strstr(dur_message(), "one prefix"));
	EXPECT(DUR_E_MISUSE, dur_diff((dur_coll){ 0 }, (dur_coll){ 0 }, NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_diff(dur_root(a), dur_root(b), NULL, NULL));
	EXPECT(DUR_E_MISUSE,
	       dur_diff(dur_root(a), dur_root(b), &(dur_range){ .flags = DUR_COALESCE }, &it));
	EXPECT(DUR_E_RANGE,
	       dur_diff(dur_root(a), dur_root(b), &(dur_range){ .part = 2, .parts = 2 }, &it));
	EXPECT(DUR_E_TYPE, dur_diff(dur_root(a), dur_root(b),
	                            &(dur_range){ .from = &(dur_value){ .type = DUR_LIST } }, &it));
	EXPECT(0, dur_diff(dur_root(a), dur_root(b), NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_next(it, NULL, &v));
	EXPECT(DUR_E_MISUSE, dur_seek(it, &DUR_STR("n")));
	EXPECT(DUR_E_MISUSE, dur_left(it, &n));
	EXPECT(DUR_E_MISUSE, dur_next_change(it, NULL));
	next_is(it, DUR_ADDED, "/n"); /* it stands where it stood */
	dur_coll gone = dur_root(a);
	dur_close(a);
	EXPECT(DUR_E_STALE, dur_next_change(it, &c));
	EXPECT(DUR_E_STALE, dur_diff(gone, dur_root(b), NULL, &it));
	dur_close(other);
	dur_close(b);
	EXPECT(0, dur_detach(q));
	close_prefix();
}
END_TEST

/* Ten changes among many entries: a hundred pages at most, told by dur_cost(). */
START_TEST(a_diff_costs_what_differs)
{
	enum { MANY = 100000 };
	dur_view *txn, *old, *now;
	dur_view_cost a, b;
	dur_change c;
	dur_iter *it;
	unsigned rows = 0;

	open_prefix(false, NULL);
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (int i = 0; i < MANY; i++)
		put_int(txn, i, i);
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &old));
	for (int i = 0; i < 10; i++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		put_int(txn, (int64_t)(kit_random(&seed) % (MANY / 10) * 10) + i, -1);
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		dur_close(txn);
	}
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &now));
	EXPECT(0, dur_cost(old, &a));
	ck_assert_uint_eq(a.pages_read, 0);
	EXPECT(0, dur_diff(dur_root(old), dur_root(now), NULL, &it));
	while (MUST(dur_next_change(it, &c)) == 0)
		rows++;
	ck_assert_uint_eq(rows, 10);
	EXPECT(0, dur_cost(old, &a));
	EXPECT(0, dur_cost(now, &b));
	ck_assert_uint_gt(a.pages_read, 0);
	ck_assert_uint_gt(b.pages_read, 0);
	ck_assert_uint_le(a.pages_read + b.pages_read, 100);
	dur_close(old);
	dur_close(now);
	close_prefix();
}
END_TEST

/* ---- restore ---- */

/* A number that follows from all that a state holds. */
static uint64_t digest(uint64_t state)
{
	struct side s = { 0 };
	dur_view *v;
	uint64_t sum = 0;

	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	EXPECT(0, dur_scan(dur_root(v), NULL, &s.it));
	for (side_next(&s); s.there; side_next(&s)) {
		uint64_t at = s.value.type + s.value.tag * 131u + s.value.len * 7;
		if (s.value.type == DUR_BYTES || s.value.type == DUR_STR)
			for (uint64_t i = 0; i < s.value.len; i++)
				at = at * 31 + (uint8_t)s.value.str[i];
		else if (s.value.type == DUR_INT)
			at += (uint64_t)s.value.i;
		sum = sum * 1099511628211u + at;
	}
	dur_close(v);
	return sum;
}

START_TEST(restored_states_are_equal_and_history_stays)
{
	uint64_t states[STATES], digests[STATES], state;
	dur_view *txn, *snap;

	open_prefix(_i & 1, NULL);
	make_keys(_i & 1);
	make_states(states);
	for (unsigned s = 0; s < STATES; s++)
		digests[s] = digest(states[s]);
	for (unsigned i = 0; i < kit_rounds(20); i++) {
		EXPECT(0, dur_snapshot(p, states[kit_random(&seed) % STATES], NULL, &snap));
		/* now and then with so little memory that it spills */
		EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = i % 3 ? 0 : 65536 },
		                    &txn));
		if (i % 2)
			write_some(txn, 30); /* they give way */
		EXPECT(0, dur_restore(txn, snap));
		expect_same(txn, snap);
		if (i % 4 == 0)
			EXPECT(0, dur_restore(txn, snap)); /* nothing is left to do */
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .label = "back" }, &state));
		expect_same(txn, snap);
		dur_close(txn);
		ck_assert_uint_gt(state, dur_state(snap));
		dur_close(snap);
	}
	for (unsigned s = 0; s < STATES; s++)
		ck_assert_uint_eq(digest(states[s]), digests[s]);
	close_prefix();
}
END_TEST

/*
 * Under a policy that gives pages back at once, with what is restored held by the snapshot alone.
 */
START_TEST(restored_pages_are_not_those_that_were_retired)
{
	uint64_t states[STATES];
	dur_view *txn, *snap, *now;

	open_prefix(false, "last:2");
	make_keys(false);
	for (unsigned i = 0; i < kit_rounds(5); i++) {
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
		make_states(states);
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_restore(txn, snap));
		EXPECT(0, dur_commit(txn, NULL, NULL));
		dur_close(txn);
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &now));
		expect_same(snap, now);
		prefix_check_sound(ws, "p", DUR_HISTORY);
		dur_close(snap); /* its pages go; those that were restored stay */
		prefix_put(p, "other", (int64_t)i, false);
		prefix_put(p, "other", -1, false);
		prefix_check_sound(ws, "p", DUR_HISTORY);
		dur_close(now);
	}
	close_prefix();
}
END_TEST

START_TEST(what_restore_refuses)
{
	dur_view *txn, *snap, *other;
	dur_prefix *q;

	open_prefix(false, NULL);
	q = prefix_attach(ws, "q", NULL);
	prefix_put(p, "n", 1, false);
	EXPECT(0, dur_snapshot(p, 1, NULL, &snap));
	EXPECT(0, dur_snapshot(q, DUR_LATEST, NULL, &other));
	EXPECT(DUR_E_READ_ONLY, dur_restore(snap, snap));
	EXPECT(DUR_E_MISUSE, dur_restore(NULL, snap));
	for (unsigned i = 0; i < 3; i++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(DUR_E_MISUSE, dur_restore(txn, i == 0 ? NULL : i == 1 ? other : txn));
		EXPECT(DUR_E_MISUSE,
		       dur_commit(txn, NULL, NULL)); /* barred, as by any failed write */
		dur_close(txn);
	}
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 1);
	dur_close(snap);
	dur_close(other);
	EXPECT(0, dur_detach(q));
	close_prefix();
}
END_TEST

/* A restore that stops half-way for want of space cannot be committed, even by who is lenient. */
START_TEST(half_a_restore_is_never_committed)
{
	static char big[1 << 20];
	struct rlimit limit, small;
	dur_view *txn, *snap;
	uint64_t full, empty;

	open_prefix(false, NULL);
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (int i = 0; i < 40; i++)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_BYTES(big, sizeof big)));
	EXPECT(0, dur_commit(txn, NULL, &full));
	dur_close(txn);
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
	EXPECT(0, dur_commit(txn, NULL, &empty));
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, full, NULL, &snap));
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = file_bytes(kit_path("root/p.dur")) + (10 << 20);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	int rc = dur_restore(txn, snap);
	ck_assert_int_lt(rc, 0);
	ck_assert_int_ne(rc, DUR_E_MISUSE);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_lt(dur_commit(txn, NULL, NULL), 0);
	dur_close(txn);
	dur_close(snap);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	ck_assert_uint_eq(dur_state(snap), empty);
	dur_close(snap);
	close_prefix();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("changes");
	TCase *tc = tcase_create("changes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, random_pairs_differ_as_scans_do, 0, 2);
	tcase_add_loop_test(tc, rows_go_back_in_through_their_paths, 0, 2);
	tcase_add_test(tc, ranges_are_those_of_scans);
	tcase_add_test(tc, parts_make_up_the_whole);
	tcase_add_test(tc, a_diff_goes_on_through_writes);
	tcase_add_test(tc, what_a_diff_refuses);
	tcase_add_test(tc, a_diff_costs_what_differs);
	tcase_add_loop_test(tc, restored_states_are_equal_and_history_stays, 0, 2);
	tcase_add_test(tc, restored_pages_are_not_those_that_were_retired);
	tcase_add_test(tc, what_restore_refuses);
	tcase_add_test(tc, half_a_restore_is_never_committed);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
