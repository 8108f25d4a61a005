/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes at one prefix: waking, the writer lock, forks, killed readers and writers. */
#include "remote.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char NAME[] = "a/b/shared";
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

/* The prefix is made and left by a process that is gone by the time anything else happens. */
static void make_prefix(const char *name, const char *keep)
{
	EXPECT(0, dur_detach(prefix_attach(ws, name, keep)));
}

static void remote_end(struct peer *peer)
{
	ck_assert_int_eq(peer_end(peer), 0);
}

static bool message_names(pid_t pid)
{
	char text[24];

	snprintf(text, sizeof text, " %d ", (int)pid);
	return strstr(dur_message(), text) != NULL;
}

/* ---- Waking ---- */

START_TEST(reader_before_any_writer)
{
	struct peer waiter, poller;
	dur_prefix *p;
	uint64_t state;

	make_prefix(NAME, NULL);
	remote_start(&waiter, root, NAME, DUR_READ_ONLY);
	remote_start(&poller, root, NAME, DUR_READ_ONLY);
	state = (uint64_t)remote_do(&waiter, REMOTE_SNAPSHOT, DUR_LATEST);
	ck_assert_int_eq(remote_do(&waiter, REMOTE_READ, 0), -1);
	remote_ask(&waiter, REMOTE_WAIT, (int64_t)state);
	remote_ask(&poller, REMOTE_POLL, (int64_t)state);
	kit_sleep_ms(30); /* they sleep by now, most likely */
	ck_assert(!remote_answered(&waiter) && !remote_answered(&poller));

	p = prefix_attach(ws, NAME, NULL);
	state = prefix_put(p, "n", 42, false);
	ck_assert_int_eq(remote_hear(&waiter), (int64_t)state);
	ck_assert_int_eq(remote_hear(&poller), (int64_t)state);
	ck_assert_int_eq(remote_do(&waiter, REMOTE_READ, 0), -1); /* the old snapshot */
	ck_assert_int_eq(remote_do(&waiter, REMOTE_SNAPSHOT, DUR_LATEST), (int64_t)state);
	ck_assert_int_eq(remote_do(&waiter, REMOTE_READ, 0), 42);
	EXPECT(0, dur_detach(p));
	remote_end(&waiter);
	remote_end(&poller);
}
END_TEST

START_TEST(woken_by_each_of_two_writers)
{
	struct peer waiter, writer;
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	uint64_t last = prefix_newest_state(p);

	remote_start(&waiter, root, NAME, 0);
	remote_start(&writer, root, NAME, 0);
	for (int64_t n = 0; n < 50; n++) {
		int64_t state;

		remote_ask(&waiter, n % 3 ? REMOTE_WAIT : REMOTE_POLL, (int64_t)last);
		if (n % 2) {
			state = (int64_t)prefix_put(p, "n", n, n % 8 == 1);
		} else {
			EXPECT(0, (int)remote_do(&writer, REMOTE_BEGIN, -1));
			EXPECT(0, (int)remote_do(&writer, REMOTE_PUT, n));
			state = remote_do(&writer, REMOTE_COMMIT, n % 8 == 2 ? DUR_ASYNC : 0);
		}
		ck_assert_int_gt(state, (int64_t)last);
		ck_assert_int_eq(remote_hear(&waiter), state);
		last = (uint64_t)state;
	}
	EXPECT(0, dur_detach(p));
	remote_end(&writer);
	remote_end(&waiter);
}
END_TEST

START_TEST(waiting_for_several_prefixes)
{
	enum { N = 5 };
	dur_prefix *p[N];
	uint64_t seen[N], state;
	struct peer writer;
	char name[16];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "many/%d", i);
		p[i] = prefix_attach(ws, name, NULL);
		seen[i] = prefix_newest_state(p[i]);
	}
	EXPECT(DUR_NONE, dur_wait_any(p, seen, N, 0));
	EXPECT(DUR_NONE, dur_wait_any(p, seen, N, 5));
	remote_start(&writer, root, "many/3", 0);
	for (int64_t n = 0; n < 20; n++) {
		EXPECT(0, (int)remote_do(&writer, REMOTE_BEGIN, -1));
		EXPECT(0, (int)remote_do(&writer, REMOTE_PUT, n));
		remote_ask(&writer, REMOTE_COMMIT, 0);
		EXPECT(0, dur_wait_any(p, seen, N, -1));
		state = (uint64_t)remote_hear(&writer);
		ck_assert_uint_eq(seen[3], state);
		EXPECT(DUR_NONE, dur_wait_any(p, seen, N, 0));
	}
	for (int i = 0; i < N; i++)
		EXPECT(0, dur_detach(p[i]));
	remote_end(&writer);
}
END_TEST

/* A killed writer wakes nobody; who waits is woken by the next. */
START_TEST(waiting_through_a_killed_writer)
{
	struct peer waiter, writer;
	dur_prefix *p;
	uint64_t state;

	make_prefix(NAME, NULL);
	remote_start(&writer, root, NAME, 0);
	EXPECT(0, (int)remote_do(&writer, REMOTE_BEGIN, -1));
	EXPECT(0, (int)remote_do(&writer, REMOTE_PUT, 1));
	state = (uint64_t)remote_do(&writer, REMOTE_COMMIT, 0);
	remote_start(&waiter, root, NAME, DUR_READ_ONLY);
	remote_ask(&waiter, REMOTE_WAIT, (int64_t)state);
	EXPECT(0, (int)remote_do(&writer, REMOTE_BEGIN, -1));
	EXPECT(0, (int)remote_do(&writer, REMOTE_PUT, 2));
	peer_kill(&writer);
	kit_sleep_ms(10);
	ck_assert(!remote_answered(&waiter));
	p = prefix_attach(ws, NAME, NULL);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	state = prefix_put(p, "n", 3, false);
	ck_assert_int_eq(remote_hear(&waiter), (int64_t)state);
	EXPECT(0, dur_detach(p));
	remote_end(&waiter);
}
END_TEST

/* ---- The writer lock ---- */

START_TEST(second_writer)
{
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	dur_view *txn, *second;
	struct peer other;

	remote_start(&other, root, NAME, 0);
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(-EDEADLK, dur_begin(p, NULL, &second));
	ck_assert_ptr_null(second);
	EXPECT(DUR_E_LOCKED, (int)remote_do(&other, REMOTE_BEGIN, 0));
	ck_assert_int_eq(remote_do(&other, REMOTE_SAID, getpid()), 1);
	EXPECT(DUR_E_LOCKED, (int)remote_do(&other, REMOTE_BEGIN, 20));
	ck_assert_int_eq(remote_do(&other, REMOTE_SAID, getpid()), 1);
	remote_ask(&other, REMOTE_BEGIN, -1);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(7)));
	ck_assert(!remote_answered(&other));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	EXPECT(0, (int)remote_hear(
			  &other)); /* once committed, a transaction bars nobody */
	dur_close(txn);

	EXPECT(DUR_E_LOCKED, dur_begin(p, &(dur_view_options){ .flags = DUR_NO_WAIT }, &txn));
	ck_assert_ptr_null(txn);
	ck_assert_msg(message_names(other.pid), "%s", dur_message());
	EXPECT(DUR_E_LOCKED, dur_begin(p, &(dur_view_options){ .lock_ms = 20 }, &txn));
	ck_assert_msg(message_names(other.pid), "%s", dur_message());
	peer_kill(&other);
	EXPECT(0, dur_begin(p, NULL, &txn));
	ck_assert_int_eq(view_int(txn, "n", -1), 7);
	dur_close(txn);
	EXPECT(0, dur_detach(p));
}
END_TEST

START_TEST(lock_held_for_the_attachment)
{
	struct peer other;
	dur_prefix *p, *q;
	dur_view *txn;

	make_prefix(NAME, NULL);
	remote_start(&other, root, NAME, DUR_HOLD_LOCK);
	p = prefix_attach(ws, NAME, NULL);
	EXPECT(DUR_E_LOCKED, dur_begin(p, &(dur_view_options){ .flags = DUR_NO_WAIT }, &txn));
	ck_assert_msg(message_names(other.pid), "%s", dur_message());
	EXPECT(DUR_E_LOCKED,
	       dur_attach(ws, NAME, DUR_HOLD_LOCK, &(dur_attach_options){ .lock_ms = 20 }, &q));
	ck_assert_ptr_null(q);
	for (int n = 0; n < 3; n++) {
		EXPECT(0, (int)remote_do(&other, REMOTE_BEGIN, 0));
		EXPECT(0, (int)remote_do(&other, REMOTE_PUT, n));
		ck_assert_int_gt(remote_do(&other, REMOTE_COMMIT, 0), 0);
		EXPECT(DUR_E_LOCKED, dur_begin(p, &(dur_view_options){ .lock_ms = 10 }, &txn));
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), n);
	}
	EXPECT(0, (int)remote_do(&other, REMOTE_DETACH, 0));
	EXPECT(0, dur_begin(p, NULL, &txn));
	dur_close(txn);
	EXPECT(0, dur_detach(p));
	remote_end(&other);
}
END_TEST

/* Writers that always want it all come to their turns. */
START_TEST(writers_in_turn)
{
	enum { COMMITS = 100 };
	dur_prefix *p = prefix_attach(ws, NAME, "last:2");
	struct peer other;
	uint64_t last = 0;

	remote_start(&other, root, NAME, 0);
	for (int64_t n = 0; n < COMMITS; n++) {
		uint64_t mine;
		int64_t its;
		dur_view *txn;

		EXPECT(0, dur_begin(p, NULL, &txn));
		remote_ask(&other, REMOTE_BEGIN, -1);
		EXPECT(0, dur_put(dur_root(txn), &DUR_STR("mine"), &DUR_INT(n)));
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = n % 5 ? 0 : DUR_ASYNC },
		                     &mine));
		dur_close(txn);
		EXPECT(0, (int)remote_hear(&other));
		EXPECT(0, (int)remote_do(&other, REMOTE_PUT, n));
		its = remote_do(&other, REMOTE_COMMIT, n % 3 ? 0 : DUR_ASYNC);
		ck_assert_uint_gt(mine, last);
		ck_assert_int_gt(its, (int64_t)mine);
		last = (uint64_t)its;
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), n);
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "mine", -1), n);
	}
	EXPECT(0, dur_detach(p));
	remote_end(&other);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

/* What one process committed async, another one's dur_sync() waits for. */
START_TEST(sync_of_another_process)
{
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	struct peer other;
	dur_prefix_stat stat;
	int64_t state;

	remote_start(&other, root, NAME, 0);
	for (int n = 0; n < 5; n++) {
		EXPECT(0, (int)remote_do(&other, REMOTE_BEGIN, -1));
		EXPECT(0, (int)remote_do(&other, REMOTE_PUT, n));
		state = remote_do(&other, REMOTE_COMMIT, DUR_ASYNC);
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), n);
		EXPECT(0, dur_sync(p, (uint64_t)state, -1));
		EXPECT(0, dur_stat(p, &stat));
		ck_assert_uint_ge(stat.durable, (uint64_t)state);
		EXPECT(DUR_E_RANGE, dur_sync(p, (uint64_t)state + 1000000, -1));
	}
	EXPECT(0, dur_detach(p));
	remote_end(&other);
}
END_TEST

/* ---- Killed holders whose descriptors live on in a child ---- */

START_TEST(forked_child_outlives_killed_writer)
{
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	struct peer writer;
	dur_view *txn;
	pid_t child;

	prefix_put(p, "n", 1, false);
	remote_start(&writer, root, NAME, _i ? DUR_HOLD_LOCK : 0);
	EXPECT(0, (int)remote_do(&writer, REMOTE_BEGIN, -1));
	EXPECT(0, (int)remote_do(&writer, REMOTE_PUT, 2));
	child = (pid_t)remote_do(&writer, REMOTE_FORK, 0);
	ck_assert_int_gt(child, 0);
	EXPECT(DUR_E_LOCKED, dur_begin(p, &(dur_view_options){ .flags = DUR_NO_WAIT }, &txn));
	peer_kill(&writer);
	EXPECT(0, dur_begin(p, NULL, &txn));
	ck_assert_int_eq(kill(child, 0), 0);
	ck_assert_int_eq(view_int(txn, "n", -1), 1);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(3)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	kill(child, SIGKILL);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

static bool is_listed(dur_prefix *p, pid_t pid, dur_reader *out)
{
	dur_reader readers[16];
	uint32_t n;

	EXPECT(0, dur_readers(p, 0, readers, 16, &n));
	for (uint32_t i = 0; i < n; i++)
		if (readers[i].pid == (uint32_t)pid) {
			*out = readers[i];
			return true;
		}
	return false;
}

START_TEST(forked_child_outlives_killed_reader)
{
	dur_prefix *p = prefix_attach(ws, NAME, "last:1");
	struct peer other;
	dur_reader reader;
	pid_t child;

	remote_start(&other, root, NAME, DUR_READ_ONLY);
	ck_assert_int_gt(remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST), 0);
	child = (pid_t)remote_do(&other, REMOTE_FORK, 0);
	ck_assert(is_listed(p, other.pid, &reader));
	peer_kill(&other);
	ck_assert(!is_listed(p, other.pid, &reader));
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	EXPECT(0, dur_detach(p));
}
END_TEST

/* ---- Readers that live and that are dead ---- */

enum { FILL = 1 << 20, HELD = 12 };

static void put_fill(dur_prefix *p, char c)
{
	static char fill[FILL];
	dur_view *txn;

	memset(fill, c, sizeof fill);
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("fill"), &DUR_BYTES(fill, sizeof fill)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

static uint64_t free_bytes(dur_prefix *p)
{
	dur_prefix_stat stat;

	EXPECT(0, dur_stat(p, &stat));
	return stat.free_bytes;
}

/* A reader holds states of a prefix that keeps one. Killed, it stops counting within one commit. */
START_TEST(killed_reader_stops_counting)
{
	dur_prefix *p = prefix_attach(ws, NAME, "last:1");
	struct peer other;
	dur_reader reader;
	int64_t first = 0;
	uint64_t held;
	char path[4096];

	snprintf(path, sizeof path, "%s/%s.dur", root, NAME);
	remote_start(&other, root, NAME, DUR_READ_ONLY);
	for (int i = 0; i < HELD; i++) {
		put_fill(p, (char)('a' + i));
		int64_t state = remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST);
		first = first ? first : state;
	}
	put_fill(p, 'y');
	put_fill(p, 'z');
	kit_sleep_ms(2);
	ck_assert(is_listed(p, other.pid, &reader));
	ck_assert_uint_eq(reader.views, HELD);
	ck_assert_int_eq((int64_t)reader.oldest, first);
	ck_assert_uint_ge(reader.age_ms, 2);
	ck_assert_uint_ge(file_bytes(path), (uint64_t)HELD * FILL);
	held = free_bytes(p);

	peer_kill(&other);
	ck_assert(!is_listed(p, other.pid, &reader));
	put_fill(p, 'A');
	ck_assert_msg(free_bytes(p) >= held + (uint64_t)(HELD - 2) * FILL,
	              "%" PRIu64 " after %" PRIu64 " free bytes", free_bytes(p), held);
	held = file_bytes(path);
	for (int i = 0; i < 3 * HELD; i++)
		put_fill(p, 'B');
	ck_assert_uint_eq(file_bytes(path), held);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, 0);
}
END_TEST

/*
 * The snapshot of one that lives keeps its content, and no more: there is room for the state it
 * has, the newest and the next, with some waste.
 */
START_TEST(living_reader_keeps_its_state)
{
	enum { BOUND = 8 * FILL };
	dur_prefix *p = prefix_attach(ws, NAME, "last:1");
	struct peer other;
	uint64_t state;
	dur_reader reader;
	dur_value value;
	dur_view *mine;
	char path[4096];

	snprintf(path, sizeof path, "%s/%s.dur", root, NAME);
	remote_start(&other, root, NAME, 0);
	put_fill(p, 'm');
	state = prefix_put(p, "n", 5, false);
	EXPECT(0, dur_snapshot(p, state, NULL, &mine));
	ck_assert_int_eq(remote_do(&other, REMOTE_SNAPSHOT, (int64_t)state), (int64_t)state);
	for (int i = 0; i < 40; i++)
		put_fill(p, 'p');
	ck_assert_uint_le(file_bytes(path), BOUND);
	for (int i = 0; i < 3000; i++) { /* each needs four pages at least */
		uint64_t made = prefix_put(p, "n", i, true);

		if (i % 100 == 0) /* only what is on disk gives its predecessors' pages free */
			EXPECT(0, dur_sync(p, made, -1));
	}
	ck_assert_uint_le(file_bytes(path), BOUND);
	ck_assert_int_eq(remote_do(&other, REMOTE_READ, 0), 5);
	EXPECT(DUR_E_GONE, (int)remote_do(&other, REMOTE_SNAPSHOT, (int64_t)state));
	ck_assert(is_listed(p, getpid(), &reader));
	ck_assert_uint_eq(reader.oldest, state);
	ck_assert(is_listed(p, other.pid, &reader));
	ck_assert_uint_eq(reader.oldest, state);
	EXPECT(0, dur_get(dur_root(mine), &DUR_STR("fill"), &value));
	ck_assert_uint_eq(value.len, FILL);
	for (uint64_t i = 0; i < FILL; i++)
		HOLDS(value.str[i] == 'm', "byte %" PRIu64 " is %c", i, value.str[i]);
	dur_close(mine);
	ck_assert(!is_listed(p, getpid(), &reader));
	EXPECT(0, (int)remote_do(&other, REMOTE_CLOSE, 0));
	ck_assert(!is_listed(p, other.pid, &reader));
	EXPECT(0, dur_detach(p));
	remote_end(&other);
}
END_TEST

START_TEST(readers_are_listed_in_pieces)
{
	enum { N = 5 };
	dur_prefix *p = prefix_attach(ws, NAME, NULL);
	struct peer others[N];
	uint32_t seen = 0, n;
	dur_reader reader;

	for (int i = 0; i < N; i++) {
		remote_start(&others[i], root, NAME, DUR_READ_ONLY);
		for (int k = 0; k <= i; k++)
			remote_do(&others[i], REMOTE_SNAPSHOT, DUR_LATEST);
	}
	for (uint64_t skip = 0; EXPECT(0, dur_readers(p, skip, &reader, 1, &n)) == 0 && n; skip++)
		for (unsigned i = 0; i < N; i++)
			if (reader.pid == (uint32_t)others[i].pid && reader.views == i + 1)
				seen |= 1u << i;
	ck_assert_uint_eq(seen, (1u << N) - 1);
	for (int i = 0; i < N; i++)
		remote_end(&others[i]);
	EXPECT(0, dur_readers(p, 0, &reader, 1, &n));
	ck_assert_uint_eq(n, 0);
	EXPECT(0, dur_detach(p));
}
END_TEST

/* ---- Looking at what is being written ---- */

/* ROOT: commits, until its input ends. */
static int role_churn(int argc, char **argv)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	dur_workspace *mine = prefix_workspace(argv[0]);
	dur_prefix *p = prefix_attach(mine, NAME, NULL);
	char key[16];

	(void)argc;
	for (int n = 0; poll(&input, 1, 0) == 0; n++) {
		snprintf(key, sizeof key, "key %d", n * 37 % 1000);
		prefix_put(p, key, n, n % 4 != 0);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(mine));
	return 0;
}

/* States that it does not keep any more are no damage. */
START_TEST(check_beside_a_writer)
{
	dur_prefix *p = prefix_attach(ws, NAME, _i ? "last:40" : "last:2");
	struct peer writer;
	uint64_t state = prefix_newest_state(p);

	peer_start(&writer, "churn", root, NULL);
	for (unsigned i = kit_rounds(60); i > 0; i--) {
		EXPECT(0, dur_wait(p, state, -1, &state));
		prefix_check_sound(ws, NAME, DUR_HISTORY);
	}
	remote_end(&writer);
	EXPECT(0, dur_detach(p));
}
END_TEST

static int commit_some(void *ctx, uint64_t done, uint64_t total)
{
	(void)done, (void)total;
	for (int n = 0; n < 8; n++) {
		prefix_put(ctx, "n", n, false);
		put_fill(ctx, (char)n); /* takes what pages there are */
	}
	return 0;
}

static int stop(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx;
	return done > 0 && done <= total;
}

/* The same, just where it hurts: between the newest state and the older ones. */
START_TEST(check_with_commits_in_the_middle)
{
	enum { BIG = 40 << 20 };
	dur_prefix *p = prefix_attach(ws, NAME, "last:3");
	char *big = calloc(1, BIG);
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("big"), &DUR_BYTES(big, BIG)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	free(big);
	commit_some(p, 0, 0);
	EXPECT(0, dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, &(dur_progress){ commit_some, p }));
	EXPECT(-ECANCELED, dur_check(ws, NAME, 0, NULL, NULL, &(dur_progress){ stop, NULL }));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	EXPECT(0, dur_detach(p));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("processes");
	TCase *tc = tcase_create("processes");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reader_before_any_writer);
	tcase_add_test(tc, woken_by_each_of_two_writers);
	tcase_add_test(tc, waiting_for_several_prefixes);
	tcase_add_test(tc, waiting_through_a_killed_writer);
	tcase_add_test(tc, second_writer);
	tcase_add_test(tc, lock_held_for_the_attachment);
	tcase_add_test(tc, writers_in_turn);
	tcase_add_test(tc, sync_of_another_process);
	tcase_add_loop_test(tc, forked_child_outlives_killed_writer, 0, 2);
	tcase_add_test(tc, forked_child_outlives_killed_reader);
	tcase_add_test(tc, killed_reader_stops_counting);
	tcase_add_test(tc, living_reader_keeps_its_state);
	tcase_add_test(tc, readers_are_listed_in_pieces);
	tcase_add_loop_test(tc, check_beside_a_writer, 0, 2);
	tcase_add_test(tc, check_with_commits_in_the_middle);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ REMOTE_ROLE, remote_role },
		{ "churn", role_churn },
		{ 0 },
	};

	return kit_main(argc, argv, roles, suite());
}
