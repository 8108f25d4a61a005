/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff, log and watch through nesting, against a plain comparison of the two states entry by entry: what
 * is told is the innermost thing that differs, with its path.
 */
#include "prefix_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 4, STATES = 12, NAMES = 60, PATH = 200 };

static dur_workspace *ws;
static dur_prefix *p;
static uint64_t seed;
static char long_text[1500];

static uint64_t below(uint64_t n)
{
	return kit_random(&seed) % n;
}

/* ---- Random states ---- */

/* A place of up to DEPTH steps: few names far up, so that collections are met again. */
static void random_path(char *path)
{
	unsigned depth = 1 + (unsigned)below(DEPTH);

	*path = '\0';
	for (unsigned i = 0; i < depth; i++)
		sprintf(path + strlen(path), i + 1 < depth ? "/c%u" : "/k%02u",
		        (unsigned)below(i + 1 < depth ? 3 : NAMES));
}

static dur_value random_value(void)
{
	static dur_value pairs[6];

	switch (below(8)) {
	case 0: /* makes trees of maps */
	case 2:
		return DUR_STRN(long_text, below(sizeof long_text));
	case 1:
		for (unsigned i = 0; i < 3; i++) {
			static const char *const names[] = { "x", "y", "z" };
			pairs[2 * i] = DUR_STR(names[i]);
			pairs[2 * i + 1] = DUR_INT((int64_t)below(3));
		}
		return DUR_NEW(DUR_MAP, pairs, 6);
	default:
		return DUR_INT((int64_t)below(50));
	}
}

static void change_one(dur_view *txn)
{
	char path[PATH];
	dur_value value;
	dur_coll made;

	random_path(path);
	if (below(4) == 0) {
		MUST(dur_del(dur_root(txn), &DUR_PATH(path)));
		return;
	}
	if (below(12) == 0) { /* a clone of whatever is there, somewhere else */
		char other[PATH];
		random_path(other);
		*strrchr(other, '/') = '\0';
		if (*other && dur_get(dur_root(txn), &DUR_PATH(other), &value) == 0 && value.type == DUR_MAP) {
			sprintf(path, "/c%u", (unsigned)below(3));
			MUST(dur_put(dur_root(txn), &DUR_PATH(path), &DUR_COLL(value.coll)));
			return;
		}
	}
	*strrchr(path, '/') = '\0';
	if (*path) {
		int rc = dur_make(dur_root(txn), &DUR_PATH(path), DUR_MAP, &made);
		HOLDS(rc == 0, "%s: %s", path, dur_message());
	}
	sprintf(path + strlen(path), "/k%02u", (unsigned)below(NAMES));
	value = random_value();
	MUST(dur_put(dur_root(txn), &DUR_PATH(path), &value));
}

static uint64_t commit_some(unsigned n)
{
	dur_view *txn;
	uint64_t state;

	EXPECT(0, dur_begin(p, NULL, &txn));
	while (n--)
		change_one(txn);
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, &state));
	dur_close(txn);
	return state;
}

/* ---- The plain comparison ---- */

struct row {
	char path[PATH];
	uint32_t kind;
};
struct rows {
	struct row *of;
	size_t n, cap;
};

static void add_row(struct rows *rows, const char *path, uint32_t kind)
{
	if (rows->n == rows->cap) {
		rows->cap = rows->cap ? 2 * rows->cap : 64;
		rows->of = realloc(rows->of, rows->cap * sizeof *rows->of);
		HOLDS(rows->of, "memory");
	}
	snprintf(rows->of[rows->n].path, PATH, "%s", path);
	rows->of[rows->n++].kind = kind;
}

static bool same_scalar(const dur_value *a, const dur_value *b)
{
	if (a->type != b->type)
		return false;
	return a->type == DUR_INT ? a->i == b->i : a->len == b->len && !memcmp(a->str, b->str, a->len);
}

static void compare_maps(struct rows *rows, const char *path, dur_coll a, dur_coll b);

static void compare_values(struct rows *rows, const char *path, const dur_value *a,
                           const dur_value *b)
{
	if (a->type == DUR_ABSENT && b->type == DUR_ABSENT)
		return;
	if (a->type == DUR_ABSENT || b->type == DUR_ABSENT)
		add_row(rows, path, a->type == DUR_ABSENT ? DUR_ADDED : DUR_REMOVED);
	else if (a->type == DUR_MAP && b->type == DUR_MAP)
		compare_maps(rows, path, a->coll, b->coll);
	else if (a->type == DUR_MAP || b->type == DUR_MAP || !same_scalar(a, b))
		add_row(rows, path, DUR_CHANGED);
}

/* Both in order of keys, as strings here. */
static void compare_maps(struct rows *rows, const char *path, dur_coll a, dur_coll b)
{
	dur_iter *x, *y;
	dur_value xk, xv, yk, yv;

	EXPECT(0, dur_scan(a, NULL, &x));
	EXPECT(0, dur_scan(b, NULL, &y));
	int more_x = dur_next(x, &xk, &xv), more_y = dur_next(y, &yk, &yv);
	while (more_x == 0 || more_y == 0) {
		char step[PATH];
		int order = more_x ? 1 : more_y ? -1 : dur_compare(&xk, &yk);
		const dur_value *key = order <= 0 ? &xk : &yk;
		snprintf(step, sizeof step, "%s/%.*s", path, (int)key->len, key->str);
		compare_values(rows, step, order <= 0 ? &xv : &(dur_value){ 0 },
		               order >= 0 ? &yv : &(dur_value){ 0 });
		if (order <= 0)
			more_x = dur_next(x, &xk, &xv);
		if (order >= 0)
			more_y = dur_next(y, &yk, &yv);
	}
	dur_iter_close(x);
	dur_iter_close(y);
}

/* ---- What the rows say ---- */

static void is_value_at(const dur_value *told, dur_view *v, const char *path)
{
	dur_value there = { 0 };
	struct rows none = { 0 };

	MUST(dur_get(dur_root(v), &DUR_PATH(path), &there));
	HOLDS(there.type == told->type && (there.type == DUR_ABSENT || there.len == told->len ||
	                                   there.type == DUR_INT), "%s", path);
	compare_values(&none, path, told, &there);
	HOLDS(none.n == 0, "%s: %zu differences, %s", path, none.n, none.of ? none.of->path : "");
	free(none.of);
}

static void expect_rows(dur_iter *it, const struct rows *rows, dur_view *old, dur_view *now,
                        bool back)
{
	dur_change c;

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *row = &rows->of[back ? rows->n - 1 - i : i];
		EXPECT(0, dur_next_change(it, &c));
		HOLDS(c.path.len == strlen(row->path) && !memcmp(c.path.str, row->path, c.path.len),
		      "%.*s, not %s", (int)c.path.len, c.path.str, row->path);
		HOLDS(c.kind == row->kind, "%s: %u, not %u", row->path, c.kind, row->kind);
		is_value_at(&c.old, old, row->path);
		is_value_at(&c.now, now, row->path);
	}
}

static void setup(void)
{
	memset(long_text, 'x', sizeof long_text);
	seed = kit_seed();
	ws = prefix_workspace(kit_path("root"));
	EXPECT(0, dur_attach(ws, "p", DUR_CREATE, NULL, &p));
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

START_TEST(diffs_of_any_two_states)
{
	unsigned rounds = kit_rounds(30);
	uint64_t state[STATES];
	dur_iter *it;
	dur_change c;

	for (unsigned i = 0; i < STATES; i++)
		state[i] = commit_some(i % 3 == 0 ? 400 : 1 + (unsigned)below(10));
	for (unsigned i = 0; i < rounds; i++) {
		struct rows rows = { 0 };
		dur_view *old, *now;
		bool back = below(2);
		EXPECT(0, dur_snapshot(p, state[below(STATES)], NULL, &old));
		EXPECT(0, dur_snapshot(p, state[below(STATES)], NULL, &now));
		compare_maps(&rows, "", dur_root(old), dur_root(now));
		EXPECT(0, dur_diff(dur_root(old), dur_root(now),
		                   &(dur_range){ .flags = back ? DUR_REVERSE : 0 }, &it));
		expect_rows(it, &rows, old, now, back);
		EXPECT(DUR_NONE, dur_next_change(it, &c));
		dur_close(old);
		dur_close(now);
		free(rows.of);
	}
}
END_TEST

/* A diff that is under way while its transaction is written to goes on behind what it told. */
START_TEST(diffs_in_a_transaction)
{
	unsigned rounds = kit_rounds(20);

	commit_some(300);
	for (unsigned i = 0; i < rounds; i++) {
		char last[PATH] = "";
		dur_view *base, *txn;
		dur_change c;
		dur_iter *it;
		int rc;
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &base));
		EXPECT(0, dur_begin(p, NULL, &txn));
		for (unsigned n = 0; n < 30; n++)
			change_one(txn);
		EXPECT(0, dur_diff(dur_root(base), dur_root(txn), NULL, &it));
		while ((rc = dur_next_change(it, &c)) == 0) {
			/* what has been removed around the last one since is told, too */
			bool around = strncmp(c.path.str, last, c.path.len) == 0 &&
			              last[c.path.len] == '/';
			HOLDS(around || strcmp(c.path.str, last) > 0, "%s comes behind %s",
			      c.path.str, last);
			snprintf(last, sizeof last, "%s", c.path.str);
			is_value_at(&c.old, base, last);
			is_value_at(&c.now, txn, last);
			if (below(3) == 0)
				change_one(txn);
		}
		MUST(rc);
		dur_close(base);
		if (below(2))
			EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		dur_close(txn);
	}
}
END_TEST

static dur_value find(dur_view *v, const char *path)
{
	dur_value value = { 0 };
	int rc = dur_get(dur_root(v), &DUR_PATH(path), &value);

	HOLDS(rc >= 0 || rc == DUR_E_TYPE, "%s: %s", path, dur_message());
	return rc == 0 ? value : (dur_value){ 0 };
}

/* The log of any place is the comparison of each state with the one before it. */
START_TEST(logs_of_any_depth)
{
	unsigned rounds = kit_rounds(40), states = kit_rounds(40) < 300 ? kit_rounds(40) : 300;
	uint64_t *state = calloc(states, sizeof *state);
	dur_change c;
	dur_iter *it;

	for (unsigned i = 0; i < states; i++)
		state[i] = commit_some(i % 10 == 0 ? 200 : 1 + (unsigned)below(5));
	for (unsigned i = 0; i < rounds; i++) {
		char path[PATH] = "";
		random_path(path);
		if (below(2))
			*strrchr(path, '/') = '\0';
		EXPECT(0, dur_log(p, &DUR_PATH(path), NULL, 0, &it));
		for (unsigned s = states; s-- > 0;) {
			struct rows rows = { 0 };
			dur_view *old, *now;
			dur_value a, b;
			EXPECT(0, dur_snapshot(p, s ? state[s - 1] : state[0] - 1, NULL, &old));
			EXPECT(0, dur_snapshot(p, state[s], NULL, &now));
			a = *path ? find(old, path)
			          : (dur_value){ .type = DUR_MAP, .coll = dur_root(old) };
			b = *path ? find(now, path)
			          : (dur_value){ .type = DUR_MAP, .coll = dur_root(now) };
			compare_values(&rows, path, &a, &b);
			for (size_t n = 0; n < rows.n; n++) {
				EXPECT(0, dur_next_change(it, &c));
				HOLDS(strcmp(c.path.str, rows.of[n].path) == 0 &&
				      c.kind == rows.of[n].kind && c.state == state[s],
				      "%s of state %" PRIu64 ", not %s of %" PRIu64, c.path.str,
				      c.state, rows.of[n].path, state[s]);
				is_value_at(&c.old, old, rows.of[n].path);
				is_value_at(&c.now, now, rows.of[n].path);
			}
			free(rows.of);
			dur_close(old);
			dur_close(now);
		}
		EXPECT(DUR_NONE, dur_next_change(it, &c));
		dur_iter_close(it);
	}
	free(state);
}
END_TEST

/* "x" is a key of the map that is there now, and can be nothing in the list that was there before. */
START_TEST(a_log_where_a_list_became_a_map)
{
	const dur_value item = DUR_INT(1), pair[] = { DUR_STR("x"), DUR_INT(2) };
	const dur_value kinds[] = { DUR_NEW(DUR_LIST, &item, 1), DUR_NEW(DUR_MAP, pair, 2) };
	dur_change c;
	dur_iter *it;

	for (unsigned i = 0; i < 2; i++) {
		dur_view *txn;
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_STR("a"), &kinds[i]));
		EXPECT(0, dur_commit(txn, NULL, NULL));
		dur_close(txn);
	}
	EXPECT(0, dur_log(p, &DUR_PATH("/a/x"), NULL, 0, &it));
	EXPECT(0, dur_next_change(it, &c));
	HOLDS(c.kind == DUR_ADDED && c.now.type == DUR_INT && c.now.i == 2, "%u", c.kind);
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	dur_iter_close(it);
	EXPECT(0, dur_log(p, &DUR_PATH("/a/0"), NULL, 0, &it));
	EXPECT(0, dur_next_change(it, &c));
	HOLDS(c.kind == DUR_REMOVED && c.old.type == DUR_INT && c.old.i == 1, "%u", c.kind);
	EXPECT(0, dur_next_change(it, &c));
	HOLDS(c.kind == DUR_ADDED, "%u", c.kind);
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	dur_iter_close(it);
}
END_TEST

START_TEST(watches_of_any_depth)
{
	unsigned rounds = kit_rounds(8);

	for (unsigned i = 0; i < rounds; i++) {
		char path[PATH] = "";
		dur_view *old, *now;
		dur_change c;
		dur_iter *it;
		if (i) {
			random_path(path);
			*strrchr(path, '/') = '\0';
		}
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &old));
		EXPECT(0, dur_watch(p, &DUR_PATH(path), dur_state(old), 0, &it));
		EXPECT(DUR_NONE, dur_next_change(it, &c));
		for (unsigned s = 0; s < 12; s++) {
			struct rows rows = { 0 };
			uint64_t state = commit_some(s % 4 ? 3 : 150);
			dur_value a, b;
			EXPECT(0, dur_snapshot(p, state, NULL, &now));
			a = find(old, path);
			b = find(now, path);
			compare_values(&rows, path, &a, &b);
			for (size_t n = 0; n < rows.n; n++) {
				EXPECT(0, dur_next_change(it, &c));
				HOLDS(strcmp(c.path.str, rows.of[n].path) == 0 &&
				      c.kind == rows.of[n].kind && c.state == state, "%s",
				      rows.of[n].path);
			}
			EXPECT(DUR_NONE, dur_next_change(it, &c));
			free(rows.of);
			dur_close(old);
			old = now;
		}
		dur_iter_close(it);
		dur_close(old);
	}
}
END_TEST

/* ---- Lists ---- */

enum { ITEMS = 3000 };

/* An item is a number, or a map {"x": number} where the number is odd. */
static void make_item(dur_value *item, dur_value pair[2], int64_t number)
{
	pair[0] = DUR_STR("x");
	pair[1] = DUR_INT(number);
	*item = number % 2 ? DUR_NEW(DUR_MAP, pair, 2) : DUR_INT(number);
}

static void change_list(dur_view *txn)
{
	dur_value item, pair[2];
	dur_coll list;
	uint64_t n;

	EXPECT(0, dur_make(dur_root(txn), &DUR_PATH("/l"), DUR_LIST, &list));
	EXPECT(0, dur_count(list, NULL, &n));
	make_item(&item, pair, (int64_t)below(1000));
	switch (n ? below(6) : 0) {
	case 0:
		EXPECT(0, dur_insert(list, (int64_t)below(n + 1), &item, 1));
		break;
	case 1:
		EXPECT(0, dur_del(list, &DUR_INT((int64_t)below(n))));
		break;
	case 2: { /* some go together */
		uint64_t at = below(n), many = 1 + below(5);
		EXPECT(0, dur_clear(list, &(dur_range){ .from = &DUR_INT((int64_t)at),
			                                .limit = many }, NULL));
		break;
	}
	case 3: { /* within an item, if it is a map */
		char path[PATH];
		dur_value there;
		uint64_t at = below(n);
		EXPECT(0, dur_get(list, &DUR_INT((int64_t)at), &there));
		snprintf(path, sizeof path, "/l/%" PRIu64 "/x", at);
		if (there.type == DUR_MAP)
			EXPECT(0, dur_put(dur_root(txn), &DUR_PATH(path),
			                  &DUR_INT(1 + 2 * (int64_t)below(500))));
		break;
	}
	default:
		EXPECT(0, dur_put(list, &DUR_INT((int64_t)below(n)), &item));
	}
}

static size_t read_list(dur_view *v, int64_t *numbers)
{
	dur_coll list;
	dur_value item;
	dur_iter *it;
	size_t n = 0;

	if (dur_enter(dur_root(v), &DUR_STR("l"), &list) != 0)
		return 0;
	EXPECT(0, dur_scan(list, NULL, &it));
	while (MUST(dur_next(it, NULL, &item)) == 0) {
		HOLDS(n < ITEMS, "more items than there were made");
		if (item.type == DUR_MAP)
			EXPECT(0, dur_get(item.coll, &DUR_STR("x"), &item));
		numbers[n++] = item.i;
	}
	dur_iter_close(it);
	return n;
}

/* What the rows say, done to the old list, makes the new one. */
static unsigned patch_list(dur_view *old, dur_view *now)
{
	static int64_t from[ITEMS], to[ITEMS], made[ITEMS];
	static bool gone[ITEMS], added[ITEMS], changed[ITEMS];
	size_t n_from = read_list(old, from), n_to = read_list(now, to), at = 0;
	unsigned rows = 0;
	dur_change c;
	dur_iter *it;

	memset(gone, 0, sizeof gone);
	memset(added, 0, sizeof added);
	memset(changed, 0, sizeof changed);
	EXPECT(0, dur_diff(dur_root(old), dur_root(now), NULL, &it));
	for (; MUST(dur_next_change(it, &c)) == 0; rows++) {
		char *end;
		if (strcmp(c.path.str, "/l") == 0) { /* all of it */
			ck_assert(n_from == 0 || n_to == 0);
			dur_iter_close(it);
			return 1;
		}
		size_t i = strtoul(c.path.str + strlen("/l/"), &end, 10);
		HOLDS(strncmp(c.path.str, "/l/", 3) == 0 && i < ITEMS, "%s", c.path.str);
		HOLDS(c.kind == DUR_CHANGED || *end == '\0', "%s, kind %u", c.path.str, c.kind);
		if (c.kind == DUR_REMOVED) {
			gone[i] = true;
			continue;
		}
		*(c.kind == DUR_ADDED ? &added[i] : &changed[i]) = true;
		if (c.now.type == DUR_MAP)
			EXPECT(0, dur_get(c.now.coll, &DUR_STR("x"), &c.now));
		made[i] = c.now.i;
	}
	dur_iter_close(it);
	for (size_t i = 0; i < n_to; i++) {
		if (added[i]) {
			ck_assert_int_eq(made[i], to[i]);
			continue;
		}
		while (at < n_from && gone[at])
			at++;
		HOLDS(at < n_from, "item %zu comes from nowhere", i);
		ck_assert_int_eq(changed[i] ? made[i] : from[at], to[i]);
		at++;
	}
	while (at < n_from && gone[at])
		at++;
	HOLDS(at == n_from, "%zu of %zu items went nowhere", n_from - at, n_from);
	return rows;
}

START_TEST(diffs_of_lists)
{
	unsigned rounds = kit_rounds(30);
	dur_view *txn, *old, *now;
	unsigned rows = 0;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < 600; i++)
		change_list(txn);
	for (unsigned i = 0; i < rounds; i++) {
		bool large = i % 3 == 2;
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		old = txn;
		EXPECT(0, dur_begin(p, NULL, &txn));
		for (unsigned n = large ? 300 : (unsigned)below(4); n; n--)
			change_list(txn);
		if (i % 10 == 9) /* small lists, too */
			EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
		rows += patch_list(old, txn) + patch_list(txn, old);
		dur_close(old);
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &now));
	EXPECT(0, patch_list(txn, now) ? 1 : 0);
	HOLDS(rows > rounds, "%u rows", rows);
	dur_close(now);
	dur_close(txn);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nested changes");
	TCase *tc = tcase_create("nested changes");

	tcase_set_timeout(tc, 600);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, diffs_of_any_two_states);
	tcase_add_test(tc, diffs_in_a_transaction);
	tcase_add_test(tc, logs_of_any_depth);
	tcase_add_test(tc, a_log_where_a_list_became_a_map);
	tcase_add_test(tc, watches_of_any_depth);
	tcase_add_test(tc, diffs_of_lists);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
