/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork() with everything open: in the child each call on a handle of the parent says so and does
 * nothing, closing is harmless, and the child attaches anew; the parent goes on as if nothing was.
 */
#include "prefix_kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *root;
static dur_workspace *ws;
static dur_prefix *p;

static void setup(void)
{
	root = kit_path("root");
	ws = prefix_workspace(root);
	p = prefix_attach(ws, "forked", "last:2");
	prefix_put(p, "n", 1, false);
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

#define DEAD(call) EXPECT(DUR_E_FORKED, call)

static void workspace_is_dead(void)
{
	dur_prefix_info info;
	dur_prefix *q;
	uint32_t n;

	DEAD(dur_prefixes(ws, 0, &info, 1, &n));
	DEAD(dur_attach(ws, "forked", 0, NULL, &q));
	DEAD(dur_attach(ws, "other", DUR_CREATE, NULL, &q));
	DEAD(dur_drop(ws, "forked"));
	DEAD(dur_check(ws, "forked", 0, NULL, NULL, NULL));
}

static void prefix_is_dead(void)
{
	dur_prefix_stat stat;
	dur_state_info info;
	dur_reader reader;
	uint64_t state = 0;
	uint32_t n;
	dur_view *v;
	int fd;

	DEAD(dur_snapshot(p, DUR_LATEST, NULL, &v));
	DEAD(dur_snapshot(p, 1, NULL, &v));
	DEAD(dur_snapshot(p, DUR_LATEST, &(dur_view_options){ .flags = DUR_ON_DISK }, &v));
	DEAD(dur_begin(p, NULL, &v));
	DEAD(dur_begin(p, &(dur_view_options){ .flags = DUR_NO_WAIT }, &v));
	DEAD(dur_wait(p, 0, 0, &state));
	DEAD(dur_wait_any(&p, &state, 1, 0));
	DEAD(dur_sync(p, DUR_LATEST, 0));
	DEAD(dur_poll_fd(p, &fd));
	DEAD(dur_resolve(p, "latest", &state));
	DEAD(dur_states(p, 0, 0, &info, 1, &n));
	DEAD(dur_keep(p, "all"));
	DEAD(dur_stat(p, &stat));
	DEAD(dur_readers(p, 0, &reader, 1, &n));
}

static void view_is_dead(dur_view *v, dur_coll coll, dur_iter *it)
{
	dur_value key = DUR_STR("n"), value, got;
	dur_iter *other;
	dur_view_cost cost;
	uint64_t n;

	value = DUR_INT(666);
	HOLDS(dur_state(v) == 0, "of a view of the parent");
	DEAD(dur_get(dur_root(v), &key, &got));
	DEAD(dur_commit(v, NULL, NULL));
	DEAD(dur_cost(v, &cost));
	DEAD(dur_get(coll, &key, &got));
	DEAD(dur_get_many(coll, &key, 1, &got));
	DEAD(dur_put(coll, &key, &value));
	DEAD(dur_put_many(coll, &key, &value, 1));
	DEAD(dur_swap(coll, &key, NULL, &value));
	DEAD(dur_del(coll, &key));
	DEAD(dur_clear(coll, NULL, NULL));
	DEAD(dur_scan(coll, NULL, &other));
	DEAD(dur_count(coll, NULL, &n));
	DEAD(dur_rank(coll, &key, &n));
	DEAD(dur_nth(coll, 0, NULL, &got));
	DEAD(dur_next(it, NULL, &got));
	DEAD(dur_seek(it, &key));
	DEAD(dur_left(it, &n));
}

/* What the child does of its own. expect: what it sees; free: nobody has the writer lock. */
static void child_lives(int64_t expect, bool free)
{
	dur_workspace *mine = prefix_workspace(root);
	dur_prefix *q;
	dur_view *txn;

	EXPECT(0, dur_attach(mine, "forked", 0, NULL, &q));
	HOLDS(prefix_int(q, DUR_LATEST, "n", -1) == expect, "in the child");
	if (free) {
		prefix_put(q, "child", expect, false);
	} else {
		EXPECT(DUR_E_LOCKED,
		       dur_begin(q, &(dur_view_options){ .flags = DUR_NO_WAIT }, &txn));
	}
	EXPECT(0, dur_detach(q));
	EXPECT(0, dur_workspace_close(mine));
}

static void child_ends_well(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x",
	              (unsigned)status);
}

START_TEST(every_call_says_so)
{
	dur_view *txn, *snap;
	dur_iter *in_txn, *in_snap;
	dur_coll coll, snap_coll;
	dur_value key, value;
	uint64_t state;
	pid_t child;
	int fd;

	EXPECT(0, dur_poll_fd(p, &fd)); /* with its thread */
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	state = dur_state(snap);
	snap_coll = dur_root(snap);
	EXPECT(0, dur_scan(snap_coll, NULL, &in_snap));
	EXPECT(0, dur_begin(p, NULL, &txn));
	coll = dur_root(txn);
	EXPECT(0, dur_put(coll, &DUR_STR("n"), &DUR_INT(2)));
	EXPECT(0, dur_scan(coll, NULL, &in_txn));
	EXPECT(0, dur_next(in_txn, &key, &value));

	fflush(NULL);
	child = fork();
	if (child == 0) {
		workspace_is_dead();
		prefix_is_dead();
		view_is_dead(txn, coll, in_txn);
		view_is_dead(snap, snap_coll, in_snap);
		child_lives(1, false);
		if (_i) {
			dur_iter_close(in_txn);
			dur_iter_close(in_snap);
			dur_close(txn);
			dur_close(snap);
			EXPECT(0, dur_detach(p));
			EXPECT(0, dur_workspace_close(ws));
			child_lives(1, false);
		}
		_exit(0);
	}
	child_ends_well(child);

	EXPECT(0, dur_next(in_snap, &key, &value));
	ck_assert_int_eq(value.i, 1);
	EXPECT(DUR_NONE, dur_next(in_txn, &key, &value));
	EXPECT(0, dur_put(coll, &DUR_STR("m"), &DUR_INT(3)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	prefix_put(p, "n", 4, false);
	prefix_put(p, "n", 5, false);
	prefix_put(p, "n", 6, false);
	ck_assert_uint_eq(dur_state(snap), state); /* its pin was not the child's to drop */
	ck_assert_int_eq(view_int(snap, "n", -1), 1);
	ck_assert_int_eq(view_int(snap, "m", -1), -1);
	dur_close(snap);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "m", -1), 3);
}
END_TEST

/* The child writes while the parent's handles are there, idle. */
START_TEST(the_child_writes)
{
	uint64_t seen = prefix_newest_state(p), state;
	dur_prefix_stat before, after;
	pid_t child;

	EXPECT(0, dur_stat(p, &before));
	fflush(NULL);
	child = fork();
	if (child == 0) {
		EXPECT(0, dur_detach(p));
		child_lives(1, true);
		_exit(0);
	}
	child_ends_well(child);
	EXPECT(0, dur_wait(p, seen, -1, &state));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "child", -1), 1);
	ck_assert_uint_gt(prefix_put(p, "n", 2, false), state);
	EXPECT(0, dur_stat(p, &after));
	ck_assert_uint_eq(after.epoch, before.epoch); /* nobody had to take over */
}
END_TEST

/* ---- Forks in the middle of what other threads do ---- */

static _Atomic bool enough;

static void *commit_on(void *arg)
{
	for (int64_t n = 2; !atomic_load(&enough); n++)
		prefix_put(p, arg, n, n % 4 == 0);
	return NULL;
}

static void *read_on(void *arg)
{
	uint64_t last = 0;

	(void)arg;
	while (!atomic_load(&enough)) {
		uint64_t state = prefix_newest_state(p);

		HOLDS(state >= last, "went back");
		last = state;
	}
	return NULL;
}

START_TEST(forks_beside_busy_threads)
{
	unsigned rounds = kit_rounds(10);
	pthread_t threads[3];

	atomic_store(&enough, false);
	EXPECT(0, pthread_create(&threads[0], NULL, commit_on, (void *)(uintptr_t) "n"));
	EXPECT(0, pthread_create(&threads[1], NULL, commit_on, (void *)(uintptr_t) "m"));
	EXPECT(0, pthread_create(&threads[2], NULL, read_on, NULL));
	for (unsigned i = 0; i < rounds; i++) {
		pid_t child;

		fflush(NULL);
		child = fork();
		if (child == 0) {
			dur_workspace *mine;
			dur_prefix *q;

			prefix_is_dead();
			mine = prefix_workspace(root);
			EXPECT(0, dur_attach(mine, "forked", 0, NULL, &q));
			prefix_put(q, "child", i, false); /* in turn with the parent's threads */
			EXPECT(0, dur_detach(q));
			_exit(0);
		}
		child_ends_well(child);
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "child", -1), i);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	prefix_check_sound(ws, "forked", 0);
}
END_TEST

/*
 * What the sanitizers of gcc 12 bear in the child of a process with threads: the allocator of the
 * address sanitizer may have been locked by one of them, the thread sanitizer allows no new threads.
 */
#if defined(__SANITIZE_THREAD__)
enum { CHILD_HAS_THREADS = 0, BESIDE_BUSY_THREADS = 0 };
#elif defined(__SANITIZE_ADDRESS__)
enum { CHILD_HAS_THREADS = 1, BESIDE_BUSY_THREADS = 0 };
#else
enum { CHILD_HAS_THREADS = 1, BESIDE_BUSY_THREADS = 1 };
#endif

static Suite *suite(void)
{
	Suite *s = suite_create("fork");
	TCase *tc = tcase_create("fork");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, every_call_says_so, 0, 2);
	if (CHILD_HAS_THREADS)
		tcase_add_test(tc, the_child_writes);
	if (BESIDE_BUSY_THREADS)
		tcase_add_test(tc, forks_beside_busy_threads);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
