/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction: the states that are to stay are all there, in a file of their own; whoever else has
 * the prefix attached is in the way; who is killed leaves the old file or the new one.
 */
#include "backup_kit.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static dur_workspace *ws;
static dur_prefix *p;
static uint64_t seed;
static char root[PATH_MAX], path[PATH_MAX];

static void setup(void)
{
	snprintf(root, sizeof root, "%s", kit_path("root"));
	snprintf(path, sizeof path, "%s", kit_path("root/p.dur"));
	ws = prefix_workspace(root);
	p = prefix_attach(ws, "p", NULL);
	seed = kit_seed();
}

static void teardown(void)
{
	MUST(dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static void changes(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		backup_change(p, &seed, 1 + (unsigned)(kit_random(&seed) % 40),
		              i % 3 ? NULL : "third");
}

/* What is there now, under another name. */
static dur_prefix *set_aside(void)
{
	char aside[PATH_MAX];
	dur_prefix *old;

	snprintf(aside, sizeof aside, "%s", kit_path("root/aside.dur"));
	EXPECT(0, dur_detach(p));
	file_copy(path, aside);
	EXPECT(0, dur_attach(ws, "aside", 0, NULL, &old));
	EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
	return old;
}

START_TEST(all_states_stay)
{
	dur_prefix_stat before, after;
	dur_prefix *old;
	uint64_t state;
	unsigned files;

	changes(60);
	old = set_aside();
	files = backup_files(root);
	EXPECT(0, dur_stat(p, &before));
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL));
	EXPECT(0, dur_stat(p, &after));
	ck_assert_uint_eq(backup_same_states(old, p), 61);
	ck_assert_uint_eq(after.states, before.states);
	ck_assert_uint_eq(after.oldest, before.oldest);
	ck_assert_uint_le(after.newest, before.newest); /* maintenance has numbers of its own */
	ck_assert_uint_eq(after.commits, before.commits);
	ck_assert(memcmp(after.uuid, before.uuid, 16) == 0);
	ck_assert_str_eq(after.keep, before.keep);
	ck_assert_uint_eq(backup_files(root), files);
	state = backup_change(p, &seed, 5, NULL);
	ck_assert_uint_gt(state, before.newest);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
	EXPECT(0, dur_stat(p, &after));
	ck_assert_uint_eq(after.commits, before.commits + 1);
	ck_assert_uint_ge(after.newest, state);
	EXPECT(0, dur_detach(old));
}
END_TEST

START_TEST(the_newest_stays)
{
	dur_state_info info[4];
	dur_prefix *old;
	uint64_t newest;
	uint32_t n;

	for (int i = 0; i < 10; i++)
		changes(20);
	old = set_aside();
	newest = prefix_newest_state(p);
	EXPECT(0, dur_compact(p, 0, NULL));
	EXPECT(0, dur_states(p, 0, 0, info, 4, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(info[0].state, newest);
	backup_same_state(old, newest, p, DUR_LATEST);
	ck_assert_uint_lt(file_bytes(path), file_bytes(kit_path("root/aside.dur")));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	changes(3);
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL)); /* and again */
	EXPECT(0, dur_states(p, 0, 0, info, 4, &n));
	ck_assert_uint_eq(n, 4);
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_detach(old));
}
END_TEST

/* What only names and intervals keep is kept, and its names are still its own. */
START_TEST(kept_states_stay)
{
	dur_prefix *old;
	dur_view *snap;

	EXPECT(0, dur_name(p, "first", 1));
	EXPECT(0, dur_keep(p, "last:4"));
	for (int i = 0; i < 30; i++) {
		changes(1);
		if (i % 7 == 0) {
			char name[16];
			snprintf(name, sizeof name, "seven-%d", i);
			EXPECT(0, dur_name(p, name, prefix_newest_state(p)));
			EXPECT(0, dur_name(p, "newest-seven", prefix_newest_state(p)));
		}
	}
	old = set_aside();
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL));
	ck_assert_uint_eq(backup_same_states(old, p), backup_same_states(p, old));
	backup_same_names(old, p);
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_unname(p, "seven-7"));
	changes(2);
	EXPECT(0, dur_compact(p, 0, NULL));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	dur_close(snap);
	dur_state_name name;
	uint32_t n;
	EXPECT(0, dur_names(p, 0, &name, 1, &n)); /* those of states that are gone went along */
	ck_assert_uint_eq(n, 0);
	EXPECT(0, dur_detach(old));
}
END_TEST

START_TEST(empty_ones_too)
{
	EXPECT(0, dur_compact(p, 0, NULL));
	ck_assert_uint_eq(prefix_newest_state(p), 1);
	changes(1);
	EXPECT(0, dur_keep(p, "last:5"));
	EXPECT(0, dur_compact(p, 0, NULL)); /* the newest state is one of maintenance */
	prefix_check_sound(ws, "p", DUR_HISTORY);
	dur_prefix_stat stat;
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_str_eq(stat.keep, "last:5");
}
END_TEST

/* I5: numbers that were handed out before, to nobody's use, are not handed out again. */
START_TEST(numbers_go_on)
{
	uint64_t burnt = 0;
	dur_view *txn;

	changes(2);
	for (int i = 0; i < 3000; i++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		burnt = dur_state(txn);
		dur_close(txn);
	}
	EXPECT(0, dur_compact(p, 0, NULL));
	EXPECT(0, dur_begin(p, NULL, &txn));
	ck_assert_uint_gt(dur_state(txn), burnt);
	dur_close(txn);
}
END_TEST

START_TEST(what_was_async_is_on_disk)
{
	dur_prefix_stat stat;

	for (int i = 0; i < 50; i++)
		prefix_put(p, "n", i, true);
	EXPECT(0, dur_compact(p, 0, NULL));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_ge(stat.durable, stat.newest);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 49);
}
END_TEST

START_TEST(a_copy_stays_a_copy)
{
	char stream[PATH_MAX];
	dur_prefix *copy;

	snprintf(stream, sizeof stream, "%s", kit_path("stream"));
	changes(4);
	backup_to(p, 3, 0, DUR_HISTORY, stream);
	EXPECT(0, backup_from(ws, "copy", stream));
	EXPECT(0, dur_attach(ws, "copy", 0, NULL, &copy));
	EXPECT(0, dur_compact(copy, DUR_HISTORY, NULL));
	EXPECT(0, dur_detach(copy));
	backup_to(p, DUR_LATEST, 3, DUR_HISTORY, stream);
	EXPECT(0, backup_from(ws, "copy", stream));
	EXPECT(0, dur_attach(ws, "copy", 0, NULL, &copy));
	ck_assert_uint_eq(backup_same_states(p, copy), 5);
	EXPECT(0, dur_detach(copy));
}
END_TEST

/* ROOT FLAGS: has it attached, and reads where told to. */
static int role_attach(int argc, char **argv)
{
	dur_workspace *mine = prefix_workspace(argv[0]);
	dur_view *snap;
	dur_prefix *q;

	(void)argc;
	EXPECT(0, dur_attach(mine, "p", DUR_READ_ONLY, NULL, &q));
	if (strcmp(argv[1], "reads") == 0)
		EXPECT(0, dur_snapshot(q, DUR_LATEST, NULL, &snap));
	test_say('!');
	test_hear();
	return 0;
}

START_TEST(others_are_in_the_way)
{
	static const char *const ways[] = { "reads", "rests" };
	struct peer peer;
	dur_prefix *again;
	struct stat st, now;
	dur_view *snap;
	char pid[16];

	changes(3);
	ck_assert_int_eq(stat(path, &st), 0);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(-EBUSY, dur_compact(p, 0, NULL));
	dur_close(snap);
	EXPECT(0, dur_attach(ws, "p", 0, NULL, &again));
	EXPECT(-EBUSY, dur_compact(p, 0, NULL));
	EXPECT(0, dur_detach(again));
	for (int i = 0; i < 2; i++) {
		peer_start(&peer, "attach", root, ways[i], NULL);
		ck_assert_int_eq(peer_hear(&peer), '!');
		EXPECT(-EBUSY, dur_compact(p, 0, NULL));
		snprintf(pid, sizeof pid, "%d", (int)peer.pid);
		ck_assert_msg(strstr(dur_message(), pid) != NULL, "%s", dur_message());
		peer_kill(&peer);
		peer_start(&peer, "attach", root, ways[i], NULL); /* the claim was let go */
		ck_assert_int_eq(peer_hear(&peer), '!');
		peer_kill(&peer);
	}
	ck_assert_int_eq(stat(path, &now), 0);
	ck_assert_uint_eq(st.st_ino, now.st_ino);
	EXPECT(0, dur_compact(p, 0, NULL));
	peer_start(&peer, "attach", root, "reads", NULL);
	ck_assert_int_eq(peer_hear(&peer), '!');
	peer_kill(&peer);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_attach(ws, "p", DUR_READ_ONLY, NULL, &p));
	EXPECT(DUR_E_READ_ONLY, dur_compact(p, 0, NULL));
}
END_TEST

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx, (void)done, (void)total;
	return 1;
}

START_TEST(canceled)
{
	const dur_progress never = { cancel, NULL };
	unsigned files;

	changes(30);
	files = backup_files(root);
	int rc = dur_compact(p, DUR_HISTORY, &never);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(backup_files(root), files);
	changes(1);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_attach(ws, "p", DUR_HOLD_LOCK, NULL, &p));
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL)); /* the lock is held on the new file too */
	dur_prefix_stat stat;
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_eq(stat.writer_pid, (uint32_t)getpid());
}
END_TEST

START_TEST(in_memory)
{
	char link[PATH_MAX];
	dur_prefix *m;
	struct stat st;

	snprintf(link, sizeof link, "%s", kit_path("root/m.dur"));
	EXPECT(0, dur_attach(ws, "m", DUR_CREATE | DUR_MEMORY, NULL, &m));
	prefix_put(m, "n", 7, false);
	EXPECT(0, dur_compact(m, 0, NULL));
	ck_assert_int_eq(prefix_int(m, DUR_LATEST, "n", 0), 7);
	ck_assert(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	EXPECT(0, dur_detach(m));
	EXPECT(0, dur_attach(ws, "m", 0, NULL, &m));
	ck_assert_int_eq(prefix_int(m, DUR_LATEST, "n", 0), 7);
	EXPECT(0, dur_detach(m));
	EXPECT(0, dur_drop(ws, "m"));
	EXPECT(0, dur_attach(ws, NULL, DUR_CREATE | DUR_MEMORY, NULL, &m));
	EXPECT(DUR_E_MISUSE, dur_compact(m, 0, NULL));
	EXPECT(0, dur_detach(m));
}
END_TEST

/* ROOT NUMBER: attaches, counts up its key, detaches, until told to end; says how far it came. */
static int role_come_and_go(int argc, char **argv)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	dur_workspace *mine = prefix_workspace(argv[0]);
	int64_t n = 0;

	(void)argc;
	test_say('!');
	while (poll(&input, 1, 0) == 0) {
		dur_prefix *q;
		EXPECT(0, dur_attach(mine, "p", 0, NULL, &q));
		HOLDS(prefix_int(q, DUR_LATEST, argv[1], 0) == n, "%s is not %d", argv[1], (int)n);
		prefix_put(q, argv[1], ++n, false);
		EXPECT(0, dur_detach(q));
		usleep((unsigned)n * 997 % 5000); /* somebody else's turn */
	}
	HOLDS(n > 0, "never attached");
	test_say(n > 5 ? '+' : '-');
	return 0;
}

/* Others attach at the very moment the file is replaced: nobody's commit is lost, nobody is left behind. */
START_TEST(while_others_come_and_go)
{
	static const char *const keys[] = { "one", "two" };
	unsigned done = 0, enough = kit_rounds(20);
	struct peer peers[2];

	changes(2);
	EXPECT(0, dur_detach(p));
	for (int i = 0; i < 2; i++) {
		peer_start(&peers[i], "come and go", root, keys[i], NULL);
		ck_assert_int_eq(peer_hear(&peers[i]), '!');
	}
	for (unsigned i = 0; done < enough; i++) {
		EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
		int rc = dur_compact(p, i % 2 ? DUR_HISTORY : 0, NULL);
		HOLDS(rc == 0 || rc == -EBUSY, "%d: %s", rc, dur_message());
		done += rc == 0;
		EXPECT(0, dur_detach(p));
		usleep((unsigned)(kit_random(&seed) % 2000));
	}
	for (int i = 0; i < 2; i++) {
		close(peers[i].in);
		peers[i].in = -1;
		char said = peer_hear(&peers[i]);
		ck_assert(said == '+' || said == '-');
		peer_kill(&peers[i]);
	}
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
}
END_TEST

/* ---- Killed ---- */

/* ROOT: compacts, over and over. */
static int role_compact(int argc, char **argv)
{
	dur_workspace *mine = prefix_workspace(argv[0]);
	dur_prefix *q;

	(void)argc;
	EXPECT(0, dur_attach(mine, "p", 0, NULL, &q));
	test_say('!');
	for (unsigned i = 0; i < 100000; i++)
		EXPECT(0, dur_compact(q, DUR_HISTORY, NULL));
	return 0;
}

START_TEST(killed_while_it_compacts)
{
	unsigned rounds = kit_rounds(20);
	dur_prefix *old;
	struct peer peer;

	changes(25);
	old = set_aside();
	EXPECT(0, dur_detach(p));
	p = NULL;
	for (unsigned i = 0; i < rounds; i++) {
		peer_start(&peer, "compact", root, NULL);
		ck_assert_int_eq(peer_hear(&peer), '!');
		usleep((unsigned)(kit_random(&seed) % 40000));
		peer_kill(&peer);
		prefix_check_sound(ws, "p", DUR_HISTORY);
		EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
		ck_assert_uint_eq(backup_same_states(old, p), 26);
		EXPECT(0, dur_detach(p));
		p = NULL;
	}
	EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL));
	/* page files and coordination files of two prefixes: what a killed one has left is gone */
	ck_assert_uint_eq(backup_files(root), 4);
	EXPECT(0, dur_detach(old));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("compact");
	TCase *tc = tcase_create("states"), *kill = tcase_create("killed");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(kill, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_set_timeout(kill, 600);
	tcase_add_test(tc, all_states_stay);
	tcase_add_test(tc, the_newest_stays);
	tcase_add_test(tc, kept_states_stay);
	tcase_add_test(tc, empty_ones_too);
	tcase_add_test(tc, numbers_go_on);
	tcase_add_test(tc, what_was_async_is_on_disk);
	tcase_add_test(tc, a_copy_stays_a_copy);
	tcase_add_test(tc, others_are_in_the_way);
	tcase_add_test(tc, canceled);
	tcase_add_test(tc, in_memory);
	tcase_add_test(kill, killed_while_it_compacts);
	tcase_add_test(kill, while_others_come_and_go);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, kill);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "attach", role_attach },
		                             { "compact", role_compact }, { "come and go", role_come_and_go },
		                             { 0 } };

	return kit_main(argc, argv, roles, suite());
}
