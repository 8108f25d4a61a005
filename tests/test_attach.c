/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching: twice, many, from threads; prefixes in memory; dropping; files that are copied, moved
 * or replaced.
 */
#include "remote.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NAME[] = "org/app/data";
static const char *root;
static dur_workspace *ws;

static void setup(void)
{
	root = kit_path("root");
	ws = prefix_workspace(root);
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static const char *file_of(const char *dir, const char *name, const char *suffix)
{
	static char paths[4][PATH_MAX + 300];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s%s", dir, name, suffix);
	return path;
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static uint64_t remote_put(const struct peer *peer, int64_t n)
{
	EXPECT(0, (int)remote_do(peer, REMOTE_BEGIN, -1));
	EXPECT(0, (int)remote_do(peer, REMOTE_PUT, n));
	return (uint64_t)remote_do(peer, REMOTE_COMMIT, 0);
}

/* ---- Twice, many, threads ---- */

START_TEST(twice_in_a_process)
{
	dur_prefix *a = prefix_attach(ws, NAME, NULL), *b, *c;
	dur_workspace *again;
	dur_view *txn, *snap, *none;
	struct peer other;
	char link[PATH_MAX];

	snprintf(link, sizeof link, "%s", kit_path("link"));
	ck_assert_int_eq(symlink(root, link), 0);
	again = prefix_workspace(link);
	EXPECT(0, dur_attach(ws, NAME, DUR_READ_ONLY, NULL, &b));
	EXPECT(0, dur_attach(again, NAME, 0, NULL, &c));
	ck_assert(a != b && b != c);
	EXPECT(-EBUSY, dur_workspace_close(again));
	prefix_put(a, "n", 1, false);
	ck_assert_int_eq(prefix_int(b, DUR_LATEST, "n", -1), 1);
	prefix_put(c, "n", 2, false);
	EXPECT(DUR_E_READ_ONLY, dur_begin(b, NULL, &none));
	EXPECT(0, dur_snapshot(b, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_begin(a, NULL, &txn));
	EXPECT(-EDEADLK, dur_begin(c, NULL, &none));

	/* one that goes takes neither the locks nor the pins of the others with it */
	EXPECT(0, dur_detach(c));
	EXPECT(0, dur_workspace_close(again));
	remote_start(&other, root, NAME, 0);
	EXPECT(DUR_E_LOCKED, (int)remote_do(&other, REMOTE_BEGIN, 0));
	ck_assert_int_eq(remote_do(&other, REMOTE_SAID, getpid()), 1);
	EXPECT(-EBUSY, dur_detach(a));
	EXPECT(-EBUSY, dur_detach(b));
	dur_close(txn);
	EXPECT(0, dur_detach(a));
	ck_assert_uint_gt(remote_put(&other, 3), dur_state(snap));
	ck_assert_int_eq(view_int(snap, "n", -1), 2);
	dur_close(snap);
	ck_assert_int_eq(prefix_int(b, DUR_LATEST, "n", -1), 3);
	EXPECT(0, dur_detach(b));
	ck_assert_int_eq(peer_end(&other), 0);
}
END_TEST

START_TEST(by_path)
{
	char path[PATH_MAX];
	dur_prefix *p, *q;

	snprintf(path, sizeof path, "%s", kit_path("loose.dur"));
	EXPECT(-ENOENT, dur_attach(NULL, path, 0, NULL, &p));
	EXPECT(0, dur_attach(NULL, path, DUR_CREATE | DUR_EXCLUSIVE, NULL, &p));
	EXPECT(-EEXIST, dur_attach(NULL, path, DUR_CREATE | DUR_EXCLUSIVE, NULL, &q));
	prefix_put(p, "n", 1, false);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_attach(NULL, path, 0, NULL, &p));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_check(NULL, path, DUR_HISTORY, NULL, NULL, NULL));
}
END_TEST

/* The thread sanitizer leaves little address space, and each prefix takes a window of it. */
#ifdef __SANITIZE_THREAD__
enum { MANY = 20 };
#else
enum { MANY = 130 };
#endif

START_TEST(many_at_once)
{
	enum { N = MANY, AT_ONCE = N < 128 ? N : 128, A_PAGE = 40 };
	dur_prefix *p[N];
	dur_prefix_info info[A_PAGE];
	uint64_t seen[N];
	uint32_t n, found = 0;
	char name[64], last[256] = "";

	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof name, "part-%u/of/%03u", i % 7, i);
		p[i] = prefix_attach(ws, name, i % 2 ? "last:1" : NULL);
	}
	for (unsigned i = 0; i < N; i++)
		seen[i] = prefix_put(p[i], "n", i, i % 3 == 0);
	do {
		EXPECT(0, dur_prefixes(ws, found, info, A_PAGE, &n));
		for (uint32_t i = 0; i < n; i++) {
			ck_assert_str_gt(info[i].name, last);
			snprintf(last, sizeof last, "%s", info[i].name);
		}
		found += n;
	} while (n == A_PAGE);
	ck_assert_uint_eq(found, N);
	EXPECT(DUR_E_LIMIT, dur_wait_any(p, seen, 129, 0));
	EXPECT(DUR_NONE, dur_wait_any(p, seen, AT_ONCE, 1));
	seen[AT_ONCE - 7]--;
	EXPECT(0, dur_wait_any(p, seen, AT_ONCE, -1));
	for (unsigned i = 0; i < N; i++) {
		ck_assert_int_eq(prefix_int(p[i], DUR_LATEST, "n", -1), i);
		EXPECT(0, dur_detach(p[i]));
	}
	for (unsigned i = 0; i < N; i += 10) {
		snprintf(name, sizeof name, "part-%u/of/%03u", i % 7, i);
		prefix_check_sound(ws, name, DUR_HISTORY);
	}
}
END_TEST

enum { THREADS = 6, STEPS = 60 };

struct shared_handle {
	dur_prefix *p;
	unsigned me;
};

/* Each thread counts up a key of its own and one of all. */
static void *use_handle(void *arg)
{
	const struct shared_handle *h = arg;
	char mine[16];
	dur_view *v;

	snprintf(mine, sizeof mine, "mine%u", h->me);
	for (int64_t n = 1; n <= STEPS; n++) {
		EXPECT(0, dur_begin(h->p, NULL, &v));
		int64_t all = view_int(v, "all", 0);
		EXPECT(0, dur_put(dur_root(v), &DUR_STR(mine), &DUR_INT(n)));
		EXPECT(0, dur_put(dur_root(v), &DUR_STR("all"), &DUR_INT(all + 1)));
		EXPECT(0, dur_commit(v, &(dur_commit_options){ .flags = n % 4 ? 0 : DUR_ASYNC },
		                     NULL));
		HOLDS(view_int(v, mine, -1) == n, "a commit is a snapshot of what it made");
		dur_close(v);
		HOLDS(prefix_int(h->p, DUR_LATEST, mine, -1) == n, "its own commit is visible");
		EXPECT(0, dur_snapshot(h->p, DUR_LATEST, NULL, &v));
		int64_t sum = 0;
		for (unsigned i = 0; i < THREADS; i++) {
			char its[16];
			snprintf(its, sizeof its, "mine%u", i);
			sum += view_int(v, its, 0);
		}
		HOLDS(sum == view_int(v, "all", 0), "%" PRId64 " are not %" PRId64, sum,
		      view_int(v, "all", 0));
		dur_close(v);
	}
	return NULL;
}

START_TEST(threads_share_a_handle)
{
	dur_prefix *p = prefix_attach(ws, NAME, _i ? "last:3" : NULL);
	struct shared_handle handles[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		handles[i] = (struct shared_handle){ p, i };
		EXPECT(0, pthread_create(&threads[i], NULL, use_handle, &handles[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "all", -1), THREADS * STEPS);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

/* Attached and detached over and over by threads while others use it. */
static void *come_and_go(void *arg)
{
	(void)arg;
	for (int n = 0; n < STEPS; n++) {
		dur_prefix *p = prefix_attach(ws, NAME, NULL);

		if (n % 4 == 0)
			prefix_put(p, "n", n, n % 8 == 0);
		HOLDS(prefix_newest_state(p) > 0, "a state");
		if (n % 16 == 5)
			prefix_check_sound(ws, NAME, 0);
		EXPECT(0, dur_detach(p));
	}
	return NULL;
}

START_TEST(threads_come_and_go)
{
	pthread_t threads[THREADS];

	EXPECT(0, dur_detach(prefix_attach(ws, NAME, "last:2")));
	for (unsigned i = 0; i < THREADS; i++)
		EXPECT(0, pthread_create(&threads[i], NULL, come_and_go, NULL));
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

/* Whoever makes it, all have the same one. */
START_TEST(created_by_several_at_once)
{
	enum { N = 4 };
	struct peer peers[N];

	for (int round = 0; round < 5; round++) {
		char name[32];

		snprintf(name, sizeof name, "race/%d", round);
		for (int i = 0; i < N; i++) {
			peer_start(&peers[i], REMOTE_ROLE, root, name, NULL);
			remote_ask(&peers[i], REMOTE_ATTACH, DUR_CREATE);
		}
		for (int i = 0; i < N; i++)
			EXPECT(0, (int)remote_hear(&peers[i]));
		for (int i = 0; i < N; i++) {
			remote_put(&peers[i], i);
			ck_assert_int_gt(remote_do(&peers[N - 1 - i], REMOTE_SNAPSHOT, DUR_LATEST),
			                 1);
			ck_assert_int_eq(remote_do(&peers[N - 1 - i], REMOTE_READ, 0), i);
		}
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(peer_end(&peers[i]), 0);
	}
}
END_TEST

/* ---- In memory ---- */

START_TEST(in_memory_by_name)
{
	dur_prefix_info info[4];
	struct peer other;
	dur_prefix *p, *q;
	uint64_t state;
	uint32_t n;
	char target[PATH_MAX] = "";

	EXPECT(0, dur_attach(ws, NAME, DUR_CREATE | DUR_MEMORY, NULL, &p));
	ck_assert_int_gt(readlink(file_of(root, NAME, ".dur"), target, sizeof target - 1), 0);
	ck_assert(is_there(target));
	prefix_put(p, "n", 1, false);
	remote_start(&other, root, NAME, 0);
	ck_assert_int_gt(remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST), 0);
	ck_assert_int_eq(remote_do(&other, REMOTE_READ, 0), 1);
	state = remote_put(&other, 2);
	EXPECT(0, dur_wait(p, state - 1, -1, &state));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 2);
	EXPECT(0, dur_prefixes(ws, 0, info, 4, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(info[0].name, NAME);
	ck_assert_uint_eq(info[0].flags, DUR_MEMORY);

	EXPECT(-EBUSY, dur_drop(ws, NAME));
	EXPECT(0, dur_detach(p));
	EXPECT(-EBUSY, dur_drop(ws, NAME));
	remote_put(&other, 3);
	peer_kill(&other);
	EXPECT(0, dur_attach(ws, NAME, 0, NULL, &p)); /* it outlives a killed writer */
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 3);
	prefix_put(p, "n", 4, false);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	EXPECT(0, dur_drop(ws, NAME));
	EXPECT(-ENOENT, dur_attach(ws, NAME, 0, NULL, &q));
	ck_assert(!is_there(target));
	ck_assert(!is_there(file_of(root, NAME, ".dur")));
	EXPECT(0, dur_prefixes(ws, 0, info, 4, &n));
	ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(in_memory_of_the_process)
{
	dur_prefix *p, *q;

	EXPECT(0, dur_attach(NULL, NULL, DUR_CREATE | DUR_MEMORY, NULL, &p));
	EXPECT(0, dur_attach(ws, NULL, DUR_CREATE | DUR_MEMORY, NULL, &q));
	prefix_put(p, "n", 1, false);
	prefix_put(q, "n", 2, true);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	ck_assert_int_eq(prefix_int(q, DUR_LATEST, "n", -1), 2);
	EXPECT(0, dur_detach(q));
	EXPECT(0, dur_detach(p));
}
END_TEST

/* ---- Dropping ---- */

START_TEST(drop)
{
	struct peer other;
	dur_prefix *p;
	dur_view *snap;

	EXPECT(-ENOENT, dur_drop(ws, NAME));
	p = prefix_attach(ws, NAME, NULL);
	prefix_put(p, "n", 1, false);
	EXPECT(-EBUSY, dur_drop(ws, NAME));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(-EBUSY, dur_detach(p));
	EXPECT(-EBUSY, dur_workspace_close(ws));
	ck_assert_int_eq(view_int(snap, "n", -1), 1);
	dur_close(snap);
	EXPECT(0, dur_detach(p));

	remote_start(&other, root, NAME, _i ? DUR_READ_ONLY : 0);
	EXPECT(-EBUSY, dur_drop(ws, NAME));
	ck_assert_int_gt(remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST), 0);
	EXPECT(-EBUSY, dur_drop(ws, NAME));
	ck_assert_int_eq(remote_do(&other, REMOTE_READ, 0), 1);
	if (_i) {
		peer_kill(&other);
	} else {
		EXPECT(0, (int)remote_do(&other, REMOTE_CLOSE, 0));
		EXPECT(-EBUSY, dur_drop(ws, NAME));
		EXPECT(0, (int)remote_do(&other, REMOTE_DETACH, 0));
	}
	EXPECT(0, dur_detach(prefix_attach(ws, "org/neighbour", NULL)));
	EXPECT(0, dur_drop(ws, NAME));
	ck_assert(!is_there(file_of(root, "org/app", "")));
	ck_assert(is_there(file_of(root, "org", ""))); /* the neighbour is in it */
	EXPECT(-ENOENT, dur_attach(ws, NAME, 0, NULL, &p));
	EXPECT(0, dur_drop(ws, "org/neighbour"));
	ck_assert(!is_there(file_of(root, "org", "")));
	p = prefix_attach(ws, NAME, NULL); /* a new one: nothing of the old is in it */
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), -1);
	EXPECT(0, dur_detach(p));
	if (!_i)
		ck_assert_int_eq(peer_end(&other), 0);
}
END_TEST

/* ---- Copied, moved, replaced ---- */

/* As cp -r: the coordination file too. */
static void copy_prefix(const char *from, const char *to)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof dir, "%s/org", to);
	ck_assert(mkdir(to, 0700) == 0 || errno == EEXIST);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	strcat(dir, "/app");
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	file_copy(file_of(from, NAME, ".dur"), file_of(to, NAME, ".dur"));
	file_copy(file_of(from, NAME, ".dur-coord"), file_of(to, NAME, ".dur-coord"));
}

/*
 * Copied while nobody has it, while somebody has it open at rest, after its writer was killed in a
 * transaction.
 */
START_TEST(copied_with_its_coordination_file)
{
	const char *copy = kit_path("copy");
	dur_workspace *there;
	struct peer writer, reader;
	dur_prefix *p, *q;
	dur_view *snap;
	uint64_t state;

	remote_start(&writer, root, NAME, DUR_CREATE);
	remote_put(&writer, 1);
	state = remote_put(&writer, 2);
	remote_start(&reader, root, NAME, DUR_READ_ONLY);
	if (_i == 0)
		EXPECT(0, (int)remote_do(&writer, REMOTE_DETACH, 0));
	if (_i == 2) {
		EXPECT(0, (int)remote_do(&writer, REMOTE_BEGIN, 0));
		EXPECT(0, (int)remote_do(&writer, REMOTE_PUT, 3));
		peer_kill(&writer);
	}
	copy_prefix(root, copy);
	there = prefix_workspace(copy);
	p = prefix_attach(ws, NAME, NULL);
	q = prefix_attach(there, NAME, NULL);
	ck_assert_int_eq(prefix_int(q, DUR_LATEST, "n", -1), 2);
	ck_assert_int_eq(prefix_int(q, state, "n", -1), 2);
	remote_ask(&reader, REMOTE_WAIT, (int64_t)state);
	for (int i = 0; i < 30; i++)
		ck_assert_uint_gt(prefix_put(q, "n", 100 + i, false), state);
	kit_sleep_ms(5);
	ck_assert(!remote_answered(&reader)); /* who waits for the original is not told */
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 2);
	EXPECT(0, dur_begin(q, NULL, &snap)); /* a lock of each one's own */
	state = prefix_put(p, "n", 4, false);
	dur_close(snap);
	ck_assert_int_eq(remote_hear(&reader), (int64_t)state);
	ck_assert_int_eq(prefix_int(q, DUR_LATEST, "n", -1), 129);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_detach(q));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	prefix_check_sound(there, NAME, DUR_HISTORY);
	EXPECT(0, dur_workspace_close(there));
	ck_assert_int_eq(peer_end(&reader), 0);
	if (_i != 2)
		ck_assert_int_eq(peer_end(&writer), 0);
}
END_TEST

/* A folder that nobody has attached may be moved, and the coordination file may stay behind. */
START_TEST(moved_folder)
{
	char moved[PATH_MAX];
	dur_workspace *there;
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	uint64_t state = prefix_put(p, "n", 1, false);

	EXPECT(0, dur_detach(p));
	snprintf(moved, sizeof moved, "%s", kit_path("moved"));
	ck_assert_int_eq(rename(root, moved), 0);
	if (_i)
		ck_assert_int_eq(unlink(file_of(moved, NAME, ".dur-coord")), 0);
	there = prefix_workspace(moved);
	p = prefix_attach(there, NAME, NULL);
	ck_assert_int_eq(prefix_int(p, state, "n", -1), 1);
	ck_assert_uint_gt(prefix_put(p, "n", 2, false), state);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(there));
}
END_TEST

/* A copy made earlier is renamed over the page file that a writer has attached. */
START_TEST(replaced_under_a_writer)
{
	char path[PATH_MAX + 300], older[PATH_MAX], kept[PATH_MAX];
	dur_prefix *p = prefix_attach(ws, NAME, NULL), *again;
	dur_view *snap, *txn = NULL;
	struct peer reader, other;

	snprintf(path, sizeof path, "%s", file_of(root, NAME, ".dur"));
	snprintf(older, sizeof older, "%s", kit_path("older"));
	snprintf(kept, sizeof kept, "%s", kit_path("kept"));
	prefix_put(p, "n", 1, false);
	EXPECT(0, dur_detach(p));
	file_copy(path, older);
	file_copy(path, kept);
	p = prefix_attach(ws, NAME, NULL);
	prefix_put(p, "n", 2, false);
	remote_start(&reader, root, NAME, 0);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	if (_i) { /* the lock is this process's already */
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(3)));
	}
	ck_assert_int_eq(rename(older, path), 0);
	if (_i) {
		MUST(dur_commit(txn, NULL,
		                NULL)); /* into the old file */
		dur_close(txn);
	}

	EXPECT(-ESTALE, dur_begin(p, NULL, &txn));
	ck_assert_ptr_null(txn);
	EXPECT(-ESTALE, (int)remote_do(&reader, REMOTE_BEGIN, 0));
	ck_assert_int_eq(view_int(snap, "n", -1), 2);
	dur_close(snap);
	ck_assert_int_eq(remote_do(&reader, REMOTE_SNAPSHOT, DUR_LATEST) > 0, 1);
	ck_assert_int_eq(remote_do(&reader, REMOTE_READ, 0), _i ? 3 : 2);

	/* attached anew it is the new file, beside the old one that others still have */
	EXPECT(DUR_E_MISUSE, dur_attach(ws, NAME, 0, NULL, &again)); /* not while we have the old */
	remote_start(&other, root, NAME, 0);
	ck_assert_int_gt(remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST), 0);
	ck_assert_int_eq(remote_do(&other, REMOTE_READ, 0), 1);
	dur_detach(p); /* it may say -ESTALE; it is detached */
	EXPECT(0, dur_attach(ws, NAME, 0, NULL, &again));
	ck_assert_int_eq(prefix_int(again, DUR_LATEST, "n", -1), 1);
	remote_put(&other, 4);
	ck_assert_int_eq(prefix_int(again, DUR_LATEST, "n", -1), 4);
	EXPECT(0, dur_detach(again));
	ck_assert_int_eq(peer_end(&other), 0);
	ck_assert_int_eq(peer_end(&reader), 0);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	p = prefix_attach(ws, NAME, NULL);
	prefix_put(p, "n", 5, false);
	EXPECT(0, dur_detach(p));
}
END_TEST

static void same_bytes(const char *a, const char *b)
{
	char command[3 * PATH_MAX];

	snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
	ck_assert_int_eq(system(command), 0);
}

/* Nothing at all is written to the file that has come in its place. */
START_TEST(replacement_is_not_touched)
{
	char path[PATH_MAX + 300], other[PATH_MAX], kept[PATH_MAX];
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	dur_view *txn;

	snprintf(path, sizeof path, "%s", file_of(root, NAME, ".dur"));
	snprintf(other, sizeof other, "%s", kit_path("other"));
	snprintf(kept, sizeof kept, "%s", kit_path("kept"));
	prefix_put(p, "n", 1, false);
	file_copy(path, other);
	file_copy(path, kept);
	prefix_put(p, "n", 2, true);
	ck_assert_int_eq(rename(other, path), 0);
	for (int i = 0; i < 3; i++)
		if (dur_begin(p, NULL, &txn) == 0) { /* the lock was kept for the async commit */
			MUST(dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(3)));
			MUST(dur_commit(txn, NULL, NULL));
			dur_close(txn);
		}
	dur_detach(p);
	same_bytes(path, kept);
}
END_TEST

/* Without the coordination file readers who come now are not seen: no writer may go on. */
START_TEST(coordination_file_removed)
{
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	dur_view *txn;

	prefix_put(p, "n", 1, false);
	ck_assert_int_eq(unlink(file_of(root, NAME, ".dur-coord")), 0);
	EXPECT(-ESTALE, dur_begin(p, NULL, &txn));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	dur_detach(p);
	p = prefix_attach(ws, NAME, NULL);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	prefix_put(p, "n", 2, false);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("attach");
	TCase *tc = tcase_create("attach");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, twice_in_a_process);
	tcase_add_test(tc, by_path);
	tcase_add_test(tc, many_at_once);
	tcase_add_loop_test(tc, threads_share_a_handle, 0, 2);
	tcase_add_test(tc, threads_come_and_go);
	tcase_add_test(tc, created_by_several_at_once);
	tcase_add_test(tc, in_memory_by_name);
	tcase_add_test(tc, in_memory_of_the_process);
	tcase_add_loop_test(tc, drop, 0, 2);
	tcase_add_loop_test(tc, copied_with_its_coordination_file, 0, 3);
	tcase_add_loop_test(tc, moved_folder, 0, 2);
	tcase_add_loop_test(tc, replaced_under_a_writer, 0, 2);
	tcase_add_test(tc, replacement_is_not_touched);
	tcase_add_test(tc, coordination_file_removed);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { REMOTE_ROLE, remote_role }, { 0 } };

	return kit_main(argc, argv, roles, suite());
}
