/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks and going back to them. An operation is made by its own seed and by what it finds, so a
 * transaction in another prefix that does only those that were not taken back, without marks and
 * without a limit of memory, must come to the same. What was there at a mark is kept as text.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "dump_kit.h"
#include "prefix_kit.h"
#include "random_values.h"

enum { TEXT = 20000, MARKS = 6, HANDLES = 12, OPERATIONS = 400, DEPTH = 5 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p, *plain;
static char text[TEXT];
static dur_value small[4];

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

/* ---- Operations ---- */

/* Somewhere in the tree; handles are left by the caller. */
static dur_coll somewhere(dur_view *v, uint64_t *seed, unsigned *depth)
{
	dur_coll c = dur_root(v), in;

	for (*depth = 0; *depth < DEPTH && random_below(seed, 4); ++*depth) {
		dur_value key, value;
		uint64_t n;
		EXPECT(0, dur_count(c, NULL, &n));
		if (c.kind == DUR_SET || n == 0)
			break;
		EXPECT(0, dur_nth(c, (int64_t)random_below(seed, n), &key, &value));
		if (value.type != DUR_MAP && value.type != DUR_LIST && value.type != DUR_SET)
			continue;
		EXPECT(0, dur_enter(c, &key, &in));
		dur_leave(c);
		c = in;
	}
	return c;
}

static dur_value value_for(uint64_t *seed, unsigned depth)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_LIST, DUR_SET };
	uint64_t what = random_below(seed, 10);

	if (what < 4)
		return DUR_INT((int64_t)random_below(seed, 1000));
	if (what < 7 || depth >= DEPTH)
		return DUR_STRN(text, random_below(seed, random_below(seed, 12) ? 300 : TEXT));
	return DUR_NEW(kinds[random_below(seed, 3)], small, 2 * random_below(seed, 3));
}

static void put(dur_coll c, uint64_t *seed, unsigned depth)
{
	dur_value key = DUR_INT((int64_t)random_below(seed, 80)), value = value_for(seed, depth);
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	if (c.kind == DUR_SET)
		MUST(dur_add(c, &key));
	else if (c.kind == DUR_MAP)
		EXPECT(0, dur_put(c, &key, &value));
	else
		EXPECT(0, dur_insert(c, (int64_t)random_below(seed, n + 1), &value, 1));
}

static void fill(dur_coll c, uint64_t *seed)
{
	uint64_t from = random_below(seed, 1000), n = random_below(seed, 700);

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

static void del(dur_coll c, uint64_t *seed)
{
	dur_range r = { 0 };
	dur_value key;
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	if (n == 0)
		return;
	r.skip = random_below(seed, n);
	r.limit = 1 + random_below(seed, 200);
	if (random_below(seed, 4) == 0) {
		EXPECT(0, dur_clear(c, &r, NULL));
		return;
	}
	EXPECT(0, dur_nth(c, (int64_t)r.skip, &key, NULL));
	EXPECT(0, dur_del(c, &key));
}

/* A collection is put in a second place. */
static void clone(dur_view *v, dur_coll c, uint64_t *seed)
{
	unsigned depth;
	dur_coll from = somewhere(v, seed, &depth);
	dur_value key, value;
	uint64_t n;

	EXPECT(0, dur_count(from, NULL, &n));
	if (n && from.kind != DUR_SET && c.kind != DUR_SET) {
		EXPECT(0, dur_nth(from, (int64_t)random_below(seed, n), &key, &value));
		if (c.kind == DUR_LIST)
			EXPECT(0, dur_append(c, &value));
		else
			EXPECT(0, dur_put(c, &DUR_INT((int64_t)random_below(seed, 80)), &value));
	}
	dur_leave(from);
}

static size_t operate(dur_view *v, uint64_t seed)
{
	unsigned depth;
	dur_coll c = somewhere(v, &seed, &depth);
	size_t size = 0;

	switch (random_below(&seed, 12)) {
	case 0:
	case 1: del(c, &seed); break;
	case 2: fill(c, &seed); break;
	case 3:
	case 4:
		clone(v, c, &seed);
		struct dump d = dump_of(dur_root(v));
		size = d.n;
		free(d.at);
		break;
	default: put(c, &seed, depth);
	}
	dur_leave(c);
	if (size > 2000000)     /* clones of clones */
		EXPECT(0, dur_clear(dur_root(v), NULL, NULL));
	return size;
}

/* ---- Marks ---- */

struct handle {
	dur_coll coll;
	bool open;
};

struct moment {
	uint64_t mark;
	size_t operations;
	struct dump all, of[HANDLES];
	struct handle handle[HANDLES];
	bool good[HANDLES];
};

static struct handle handles[HANDLES];
static struct moment moments[MARKS];
static size_t n_moments;

static bool is_good(const struct handle *h)
{
	uint64_t n;

	return h->open && dur_count(h->coll, NULL, &n) == 0;
}

static void mark(dur_view *v, size_t operations)
{
	struct moment *m = &moments[n_moments++];

	*m = (struct moment){ .operations = operations };
	EXPECT(0, dur_mark(v, &m->mark));
	m->all = dump_of(dur_root(v));
	for (unsigned i = 0; i < HANDLES; i++) {
		m->handle[i] = handles[i];
		m->good[i] = is_good(&handles[i]);
		if (m->good[i])
			m->of[i] = dump_of(handles[i].coll);
	}
}

static void forget(struct moment *m)
{
	free(m->all.at);
	for (unsigned i = 0; i < HANDLES; i++)
		free(m->of[i].at);
}

/* Handles that were open then are as they were; the others are given up. */
static size_t rollback(dur_view *v)
{
	size_t to = below(n_moments);
	struct moment *m = &moments[to];

	if (to + 1 < n_moments && below(2)) { /* by the way of a newer one, which ends */
		EXPECT(0, dur_rollback(v, moments[n_moments - 1].mark));
		dump_same(dur_root(v), &moments[n_moments - 1].all, true);
	}
	EXPECT(0, dur_rollback(v, m->mark));
	if (to + 1 < n_moments)
		EXPECT(DUR_E_STALE, dur_rollback(v, moments[to + 1].mark));
	dump_same(dur_root(v), &m->all, true);
	for (unsigned i = 0; i < HANDLES; i++) {
		if (handles[i].open && !(m->handle[i].open && m->handle[i].coll.at == handles[i].coll.at))
			dur_leave(handles[i].coll);
		handles[i] = m->handle[i];
		HOLDS(is_good(&handles[i]) == m->good[i], "handle %u: %s", i, dur_message());
		if (m->good[i])
			dump_same(handles[i].coll, &m->of[i], true);
	}
	while (n_moments > to + 1)
		forget(&moments[--n_moments]);
	return m->operations;
}

/* One that is open at no mark; those are kept. */
static void handle_open(dur_view *v)
{
	uint64_t seed = random_u64(&rng);
	struct handle *h = &handles[below(HANDLES)];
	unsigned depth;

	if (h->open)
		return;
	h->coll = somewhere(v, &seed, &depth);
	h->open = true;
}

/* Through a handle; it is for the transaction alone, so it is taken back at once. */
static void handle_write(dur_view *v)
{
	const struct handle *h = &handles[below(HANDLES)];
	struct dump all;
	uint64_t here;

	if (!is_good(h))
		return;
	EXPECT(0, dur_mark(v, &here));
	all = dump_of(dur_root(v));
	fill(h->coll, &rng);
	del(h->coll, &rng);
	EXPECT(0, dur_rollback(v, here));
	dump_same(dur_root(v), &all, false);
}

static uint64_t free_and_live(void)
{
	dur_prefix_stat stat;

	EXPECT(0, dur_stat(p, &stat));
	return stat.free_bytes;
}

/* What is left of a transaction with marks, done without them. */
static void replay(const uint64_t *seeds, size_t n, struct dump *want)
{
	dur_view *v;

	EXPECT(0, dur_begin(plain, NULL, &v));
	for (size_t i = 0; i < n; i++)
		operate(v, seeds[i]);
	dump_same(dur_root(v), want, true);
	EXPECT(0, dur_commit(v, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
	dur_close(v);
}

static void transaction(void)
{
	static uint64_t seeds[OPERATIONS];
	size_t n = 0;
	struct dump all;
	dur_view *v;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = below(2) ? 0 : 64 << 10 }, &v));
	for (uint64_t left = 10 + below(80); left; left--) {
		if (below(8) == 0 && n_moments < MARKS)
			mark(v, n);
		else if (below(10) == 0 && n_moments)
			n = rollback(v);
		else if (below(6) == 0)
			handle_open(v);
		else if (below(16) == 0)
			handle_write(v);
		else
			operate(v, seeds[n++] = random_u64(&rng));
	}
	all = dump_of(dur_root(v));
	if (below(4)) {
		EXPECT(0, dur_commit(v, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		dump_same(dur_root(v), &all, true);
		replay(seeds, n, &all);
	}
	dur_close(v);
	free(all.at);
	while (n_moments)
		forget(&moments[--n_moments]);
	memset(handles, 0, sizeof handles);
}

START_TEST(random_marks)
{
	unsigned rounds = kit_rounds(60);

	for (unsigned i = 0; i < rounds; i++) {
		transaction();
		if (below(6) == 0 || i + 1 == rounds)
			prefix_check_sound(ws, "p", DUR_HISTORY);
	}
}
END_TEST

/* ---- One thing at a time ---- */

START_TEST(an_abort_leaves_no_trace)
{
	uint64_t before, id;
	dur_view *v;

	for (int round = 0; round < 3; round++) {
		EXPECT(0, dur_begin(p, NULL, &v)); /* the file grows to what it takes */
		before = free_and_live();
		for (unsigned i = 0; i < 40; i++) {
			EXPECT(0, dur_mark(v, &id));
			operate(v, i);
		}
		dur_close(v);
		if (round)
			ck_assert_uint_eq(free_and_live(), before);
		prefix_check_sound(ws, "p", DUR_HISTORY);
	}
}
END_TEST

START_TEST(nothing_is_a_commit_of_nothing)
{
	uint64_t newest = prefix_put(p, "k", 1, false), state, id;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_mark(v, &id));
	EXPECT(0, dur_put(dur_root(v), &DUR_STR("k"), &DUR_INT(2)));
	EXPECT(0, dur_rollback(v, id));
	EXPECT(0, dur_commit(v, NULL, &state));
	ck_assert_uint_eq(state, newest);
	dur_close(v);
	/* all was written by the mark, and nothing is changed behind it */
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_put(dur_root(v), &DUR_STR("k"), &DUR_INT(3)));
	EXPECT(0, dur_mark(v, &id));
	EXPECT(0, dur_commit(v, NULL, &state));
	ck_assert_uint_gt(state, newest);
	EXPECT(DUR_E_READ_ONLY, dur_rollback(v, id));
	dur_close(v);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "k", 0), 3);
}
END_TEST

START_TEST(handles_come_back)
{
	dur_coll root, old, inner, fresh;
	uint64_t id, n;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	root = dur_root(v);
	EXPECT(0, dur_make(root, &DUR_STR("list"), DUR_LIST, &old));
	EXPECT(0, dur_append(old, &DUR_INT(1)));
	EXPECT(0, dur_append(old, &DUR_NEW(DUR_MAP, NULL, 0)));
	EXPECT(0, dur_enter(old, &DUR_INT(1), &inner));
	EXPECT(0, dur_put(inner, &DUR_STR("a"), &DUR_INT(7)));
	EXPECT(0, dur_mark(v, &id));
	for (int i = 0; i < 2; i++) {
		EXPECT(0, dur_insert(old, 0, &DUR_INT(5), 1)); /* inner's position changes */
		EXPECT(0, dur_put(inner, &DUR_STR("a"), &DUR_INT(8)));
		EXPECT(0, dur_del(root, &DUR_STR("list")));
		EXPECT(DUR_E_STALE, dur_count(inner, NULL, &n));
		EXPECT(0, dur_make(root, &DUR_STR("list"), DUR_LIST, &fresh));
		EXPECT(0, dur_rollback(v, id));
		EXPECT(DUR_E_STALE, dur_count(fresh, NULL, &n));
		EXPECT(0, dur_count(old, NULL, &n));
		ck_assert_uint_eq(n, 2);
		dur_value value;
		EXPECT(0, dur_get(inner, &DUR_STR("a"), &value));
		ck_assert_int_eq(value.i, 7);
	}
	dur_close(v);
}
END_TEST

/* Counts of parents come back: one of two places goes after the rollback, the other one stays whole. */
START_TEST(shared_collections_come_back)
{
	struct dump kept;
	dur_coll root, a;
	dur_value value;
	uint64_t id, n;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	root = dur_root(v);
	EXPECT(0, dur_make(root, &DUR_STR("a"), DUR_MAP, &a));
	for (int i = 0; i < 3000; i++)
		EXPECT(0, dur_put(a, &DUR_INT(i), &DUR_INT(i)));
	kept = dump_of(a);
	EXPECT(0, dur_get(root, &DUR_STR("a"), &value));
	EXPECT(0, dur_put(root, &DUR_STR("b"), &value));
	EXPECT(0, dur_mark(v, &id));
	EXPECT(0, dur_put(a, &DUR_INT(1), &DUR_INT(0)));
	EXPECT(0, dur_del(root, &DUR_STR("b")));
	EXPECT(0, dur_rollback(v, id));
	EXPECT(0, dur_del(root, &DUR_STR("a")));
	EXPECT(0, dur_count(root, NULL, &n));
	ck_assert_uint_eq(n, 1);
	EXPECT(0, dur_commit(v, NULL, NULL));
	EXPECT(0, dur_enter(root, &DUR_STR("b"), &a));
	dump_same(a, &kept, false);
	dur_close(v);
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

START_TEST(failed_writes_are_lifted)
{
	uint64_t id, later;
	dur_view *v;

	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_put(dur_root(v), &DUR_STR("k"), &DUR_INT(1)));
	EXPECT(0, dur_mark(v, &id));
	EXPECT(DUR_E_PARENT, dur_put(dur_root(v), &DUR_PATH("/no/b"), &DUR_INT(1)));
	EXPECT(0, dur_mark(v, &later));
	EXPECT(DUR_E_PARENT, dur_commit(v, NULL, NULL));
	EXPECT(0, dur_rollback(v, later));
	EXPECT(DUR_E_PARENT, dur_commit(v, NULL, NULL)); /* it failed before this one */
	EXPECT(0, dur_rollback(v, id));
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
}
END_TEST

/* The file cannot grow: a spill fails, which bars all writes; going back lifts that. */
START_TEST(failed_spills_are_lifted)
{
	struct rlimit all, now;
	dur_prefix_stat stat;
	struct dump kept;
	uint64_t id, other;
	int64_t i = 0;
	dur_view *v;
	int rc;

	signal(SIGXFSZ, SIG_IGN);
	EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = 64 << 10 }, &v));
	for (; i < 2000; i++)
		EXPECT(0, dur_put(dur_root(v), &DUR_INT(i), &DUR_STRN(text, 100)));
	EXPECT(0, dur_mark(v, &id));
	kept = dump_of(dur_root(v));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	now = all;
	now.rlim_cur = stat.file_bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
	do
		rc = dur_put(dur_root(v), &DUR_INT(i * 7919 % 1000003), &DUR_STRN(text, 1000));
	while (rc == 0 && i++ < 200000);
	ck_assert_int_lt(rc, 0);
	EXPECT(rc, dur_put(dur_root(v), &DUR_INT(1), &DUR_INT(1)));
	EXPECT(rc, dur_mark(v, &other));
	EXPECT(0, dur_rollback(v, id));
	dump_same(dur_root(v), &kept, true);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	EXPECT(0, dur_put(dur_root(v), &DUR_INT(1), &DUR_STRN(text, 100)));
	dump_same(dur_root(v), &kept, true);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dump_same(dur_root(v), &kept, false);
	dur_close(v);
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

START_TEST(misuse)
{
	dur_view *v, *snap;
	uint64_t id, id2, of_old;

	EXPECT(DUR_E_MISUSE, dur_mark(NULL, &id));
	EXPECT(DUR_E_MISUSE, dur_rollback(NULL, 1));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(DUR_E_READ_ONLY, dur_mark(snap, &id));
	EXPECT(DUR_E_READ_ONLY, dur_rollback(snap, 1));
	dur_close(snap);
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(DUR_E_MISUSE, dur_mark(v, NULL));
	EXPECT(DUR_E_MISUSE, dur_rollback(v, 0));
	EXPECT(DUR_E_STALE, dur_rollback(v, 1000000));
	EXPECT(0, dur_mark(v, &of_old));
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(DUR_E_STALE, dur_rollback(v, of_old));
	EXPECT(0, dur_mark(v, &id));
	EXPECT(0, dur_mark(v, &id2));
	ck_assert_uint_ne(id, id2);
	EXPECT(DUR_E_STALE, dur_rollback(v, of_old));
	EXPECT(0, dur_rollback(v, id2));
	EXPECT(0, dur_rollback(v, id));
	EXPECT(DUR_E_STALE, dur_rollback(v, id2));
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
}
END_TEST

static void setup(void)
{
	rng = random_seed("marks");
	memset(text, 't', sizeof text);
	for (int i = 0; i < 4; i++)
		small[i] = DUR_INT(i);
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
	plain = prefix_attach(ws, "plain", NULL);
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_detach(plain));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static Suite *suite(void)
{
	Suite *s = suite_create("marks");
	TCase *tc = tcase_create("random");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, random_marks);
	suite_add_tcase(s, tc);
	tc = tcase_create("calls");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, an_abort_leaves_no_trace);
	tcase_add_test(tc, nothing_is_a_commit_of_nothing);
	tcase_add_test(tc, handles_come_back);
	tcase_add_test(tc, shared_collections_come_back);
	tcase_add_test(tc, failed_writes_are_lifted);
	tcase_add_test(tc, failed_spills_are_lifted);
	tcase_add_test(tc, misuse);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
