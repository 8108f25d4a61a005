/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that read many states, over a prefix whose past is packed: each gives what it gives over a
 * copy that was made before anything was packed, for a copy never packs.
 */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup_kit.h"

enum { COMMITS = 300 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p, *copy;
static uint64_t states[COMMITS];

static void backup_of(const char *name, uint64_t since, const char *file)
{
	backup_to(p, DUR_LATEST, since, DUR_HISTORY, kit_path(file));
	EXPECT(0, backup_from(ws, name, kit_path(file)));
}

/* So few states are not packed before the policy says that all are kept. */
static void setup(void)
{
	dur_prefix_stat stat;

	rng = kit_seed();
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", "last:4000");
	for (unsigned i = 0; i < COMMITS; i++)
		states[i] = backup_change(p, &rng, 1 + i % 9, NULL);
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_eq(stat.packed_bytes, 0);
	backup_of("copy", 0, "before");
	copy = prefix_attach(ws, "copy", NULL);
	EXPECT(0, dur_keep(p, "all"));
	backup_change(p, &rng, 1, NULL);
	EXPECT(DUR_NONE, dur_pack_history(p, -1));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_gt(stat.packed_bytes, 0);
	EXPECT(0, dur_stat(copy, &stat));
	ck_assert_uint_eq(stat.packed_bytes, 0);
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

/* ---- Changes ---- */

/* Whether a step of the path is a position: no key here has digits alone. */
static bool in_list(const dur_value *path)
{
	const char *at = path->str, *end = path->str + path->len;

	while (at < end) {
		const char *step = at + 1, *slash = memchr(step, '/', (size_t)(end - step));
		at = slash ? slash : end;
		if (at > step && strspn(step, "0123456789") == (size_t)(at - step))
			return true;
	}
	return false;
}

/*
 * The next change that is not of a list, up to a state. What a diff of lists says depends on what the two
 * share, and that on how they came to be.
 */
static int next_of(dur_iter *it, uint64_t until, dur_change *c)
{
	int rc;

	do
		rc = MUST(dur_next_change(it, c));
	while (rc == 0 && (c->state > until || in_list(&c->path)));
	return rc;
}

/* Both iterators give the same to their ends, which are closed. */
static unsigned same_changes(dur_iter *a, dur_iter *b, uint64_t until)
{
	dur_change x, y;
	unsigned n = 0;

	for (;; n++) {
		int rc = next_of(a, until, &x); /* the copy was made before it */
		ck_assert_int_eq(rc, next_of(b, UINT64_MAX, &y));
		if (rc != 0)
			break;
		HOLDS(x.state == y.state && x.kind == y.kind && x.path.len == y.path.len &&
		      memcmp(x.path.str, y.path.str, x.path.len) == 0,
		      "change %u, %s of state %" PRIu64 " and %s of %" PRIu64, n, x.path.str, x.state,
		      y.path.str, y.state);
		backup_same_value(&x.old, &y.old);
		backup_same_value(&x.now, &y.now);
	}
	dur_iter_close(a);
	dur_iter_close(b);
	return n;
}

START_TEST(differences)
{
	for (unsigned i = 0; i < 40; i++) {
		uint64_t from = states[kit_random(&rng) % COMMITS];
		uint64_t to = states[kit_random(&rng) % COMMITS];
		dur_view *v[4];
		dur_iter *a, *b;
		EXPECT(0, dur_snapshot(p, from, NULL, &v[0]));
		EXPECT(0, dur_snapshot(p, to, NULL, &v[1]));
		EXPECT(0, dur_snapshot(copy, from, NULL, &v[2]));
		EXPECT(0, dur_snapshot(copy, to, NULL, &v[3]));
		EXPECT(0, dur_diff(dur_root(v[0]), dur_root(v[1]), NULL, &a));
		EXPECT(0, dur_diff(dur_root(v[2]), dur_root(v[3]), NULL, &b));
		ck_assert_uint_eq(same_changes(a, b, UINT64_MAX) == 0, from == to);
		for (unsigned k = 0; k < 4; k++)
			dur_close(v[k]);
	}
}
END_TEST

/* Of all keys, and of some one by one. */
START_TEST(logs)
{
	dur_iter *a, *b;
	dur_value key, value;
	dur_iter *keys;
	dur_view *v;
	unsigned n;

	EXPECT(0, dur_log(p, NULL, NULL, DUR_LATEST, &a));
	EXPECT(0, dur_log(copy, NULL, NULL, DUR_LATEST, &b));
	ck_assert_uint_gt(same_changes(a, b, states[COMMITS - 1]), COMMITS / 2);
	EXPECT(0, dur_snapshot(copy, states[COMMITS / 2], NULL, &v));
	EXPECT(0, dur_scan(dur_root(v), NULL, &keys));
	for (n = 0; n < 50 && MUST(dur_next(keys, &key, &value)) == 0; n++) {
		EXPECT(0, dur_log(p, &DUR_STEPS(&key, 1), NULL, DUR_LATEST, &a));
		EXPECT(0, dur_log(copy, &DUR_STEPS(&key, 1), NULL, DUR_LATEST, &b));
		same_changes(a, b, states[COMMITS - 1]);
	}
	ck_assert_uint_gt(n, 10);
	dur_close(v);
}
END_TEST

/* ---- Copies ---- */

START_TEST(restored_states)
{
	for (unsigned i = 0; i < 20; i++) {
		uint64_t from = states[kit_random(&rng) % COMMITS], made;
		dur_view *txn, *snap;
		EXPECT(0, dur_snapshot(p, from, NULL, &snap));
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_restore(txn, snap));
		EXPECT(0, dur_commit(txn, NULL, &made));
		dur_close(txn);
		dur_close(snap);
		backup_same_state(p, made, copy, from);
		if (i % 5 == 0)
			MUST(dur_pack_history(p, -1));
	}
}
END_TEST

START_TEST(backups_of_packed_states)
{
	dur_prefix *again;

	ck_assert_uint_gt(backup_same_states(p, copy), COMMITS * 9 / 10);
	backup_of("again", 0, "after");
	again = prefix_attach(ws, "again", NULL);
	ck_assert_uint_gt(backup_same_states(p, again), COMMITS * 9 / 10);
	EXPECT(0, dur_detach(again));
	/* an increment whose base is packed */
	backup_of("copy", states[COMMITS - 1], "increment");
	backup_same_states(p, copy);
}
END_TEST

START_TEST(compaction_keeps_them)
{
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL));
	ck_assert_uint_gt(backup_same_states(p, copy), COMMITS * 9 / 10);
	backup_change(p, &rng, 1, NULL);
	EXPECT(DUR_NONE, dur_pack_history(p, -1));
	ck_assert_uint_gt(backup_same_states(p, copy), COMMITS * 9 / 10);
}
END_TEST

/* ---- Space ---- */

/* What the raw pages of large commits leave free in long runs is given back. */
START_TEST(packing_gives_space_back)
{
	dur_prefix_stat before, after;

	for (unsigned i = 0; i < 8; i++)
		backup_change(p, &rng, 3000, NULL);
	EXPECT(0, dur_stat(p, &before));
	EXPECT(DUR_NONE, dur_pack_history(p, -1));
	EXPECT(0, dur_stat(p, &after));
	ck_assert_uint_lt(after.disk_bytes, before.disk_bytes);
	ck_assert_uint_lt(after.disk_bytes, after.file_bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("packed_calls");
	TCase *c = tcase_create("calls");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, differences);
	tcase_add_test(c, logs);
	tcase_add_test(c, restored_states);
	tcase_add_test(c, backups_of_packed_states);
	tcase_add_test(c, compaction_keeps_them);
	tcase_add_test(c, packing_gives_space_back);
	tcase_set_timeout(c, 300);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
