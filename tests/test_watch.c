/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches with changes: states in order, paths, retention that takes states away, and watchers
 * beside writers in other processes, killed and resumed.
 */
#include "prefix_kit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[512];
static dur_workspace *ws;
static dur_prefix *p;

static void open_prefix(const char *keep)
{
	snprintf(root, sizeof root, "%s", kit_path("root"));
	ws = prefix_workspace(root);
	p = prefix_attach(ws, "p", keep);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

/* The next change is this one. kind 0: there is none. */
static void next_is(dur_iter *it, uint64_t state, uint32_t kind, const char *path, int64_t now)
{
	dur_change c;

	EXPECT(kind ? 0 : DUR_NONE, dur_next_change(it, &c));
	if (!kind)
		return;
	ck_assert_uint_eq(c.state, state);
	ck_assert_uint_eq(c.kind, kind);
	ck_assert_uint_eq(c.path.type, DUR_PATH);
	ck_assert_uint_eq(c.path.len, strlen(path));
	ck_assert(!memcmp(c.path.str, path, c.path.len));
	ck_assert_int_eq(c.now.type == DUR_INT ? c.now.i : -1, now);
	ck_assert_int_eq(c.old.type != DUR_ABSENT, kind != DUR_ADDED);
	ck_assert_int_eq(c.now.type != DUR_ABSENT, kind != DUR_REMOVED);

	dur_state_info info;
	uint32_t n;
	EXPECT(0, dur_states(p, c.state, 0, &info, 1, &n));
	if (n == 1 &&
	    info.state == c.state) /* else it is gone already, and the watch has it open */
		ck_assert_int_eq(info.time_ns, c.time_ns);
}

static uint64_t remove_key(const char *key)
{
	dur_view *txn;
	uint64_t state;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_del(dur_root(txn), &DUR_STR(key)));
	EXPECT(0, dur_commit(txn, NULL, &state));
	dur_close(txn);
	return state;
}

START_TEST(state_by_state)
{
	dur_iter *all, *late, *one, *other;
	uint64_t a, b, c, d;

	open_prefix(NULL);
	a = prefix_put(p, "a", 1, false);
	b = prefix_put(p, "b", 2, false);
	EXPECT(0, dur_keep(p, "last:1000")); /* holds no change: no step */
	c = prefix_put(p, "a", 3, true);
	EXPECT(0, dur_watch(p, NULL, 1, 0, &all));
	EXPECT(0, dur_watch(p, &DUR_PATH(""), DUR_LATEST, 0, &late));
	EXPECT(0, dur_watch(p, &DUR_PATH("/a"), 1, 0, &one));
	EXPECT(0, dur_watch(p, &DUR_STEPS(&DUR_STR("b"), 1), b, 0, &other));
	EXPECT(-EBUSY, dur_detach(p));
	next_is(all, a, DUR_ADDED, "/a", 1);
	next_is(all, b, DUR_ADDED, "/b", 2);
	next_is(all, c, DUR_CHANGED, "/a", 3);
	next_is(all, 0, 0, NULL, 0);
	next_is(late, 0, 0, NULL, 0);
	d = remove_key("a");
	next_is(all, d, DUR_REMOVED, "/a", -1);
	next_is(late, d, DUR_REMOVED, "/a", -1);
	next_is(one, a, DUR_ADDED, "/a", 1);
	next_is(one, c, DUR_CHANGED, "/a", 3);
	next_is(one, d, DUR_REMOVED, "/a", -1);
	EXPECT(0, dur_keep(p, "last:999"));
	for (int i = 0; i < 2; i++) {
		next_is(all, 0, 0, NULL, 0);
		next_is(late, 0, 0, NULL, 0);
		next_is(one, 0, 0, NULL, 0);
		next_is(other, 0, 0, NULL, 0);
	}
	d = remove_key("b");
	next_is(other, d, DUR_REMOVED, "/b", -1);
	dur_iter_close(all);
	dur_iter_close(late);
	dur_iter_close(one);
	dur_iter_close(other);
}
END_TEST

/* A state that puts what is there already, or changes nothing below the path, gives nothing. */
START_TEST(states_without_changes_are_passed)
{
	dur_iter *it;
	dur_view *txn;
	uint64_t state;

	open_prefix(NULL);
	prefix_put(p, "a", 1, false);
	EXPECT(0, dur_watch(p, NULL, 0, 0, &it));
	prefix_put(p, "a", 1, false);
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .label = "only a label" }, &state));
	dur_close(txn);
	next_is(it, 0, 0, NULL, 0);
	state = prefix_put(p, "a", 2, false);
	next_is(it, state, DUR_CHANGED, "/a", 2);
	next_is(it, 0, 0, NULL, 0);
	dur_iter_close(it);
}
END_TEST

START_TEST(coalesced)
{
	dur_iter *it;
	uint64_t state;

	open_prefix("last:2");
	for (int i = 0; i < 5; i++)
		prefix_put(p, "a", i, false);
	EXPECT(0, dur_watch(p, NULL, DUR_LATEST, DUR_COALESCE, &it));
	prefix_put(p, "b", 1, false);
	for (int i = 5; i < 50; i++)
		state = prefix_put(p, "a", i, true);
	EXPECT(0,
	       dur_keep(p,
	                "last:3")); /* the newest state, but the change is the commit's before it */
	next_is(it, state, DUR_CHANGED, "/a", 49);
	for (int i = 50; i < 60; i++) /* of the look that has begun */
		prefix_put(p, "c", i, true);
	next_is(it, state, DUR_ADDED, "/b", 1);
	state = remove_key("b");
	next_is(it, state, DUR_REMOVED, "/b", -1);
	next_is(it, state, DUR_ADDED, "/c", 59);
	next_is(it, 0, 0, NULL, 0);
	EXPECT(0, dur_keep(p, "last:1"));
	next_is(it, 0, 0, NULL, 0);
	dur_iter_close(it);
}
END_TEST

/*
 * Nothing is left out in silence: what retention has taken is told, at once or when it comes to it.
 */
/* A name, a policy, packing make states that change nothing; snapshots of the newest may be of these. */
START_TEST(from_a_snapshot_on)
{
	dur_iter *it, *level;
	uint64_t state, seen;
	dur_view *snap;

	open_prefix("all");
	for (int i = 1; i <= 3; i++)
		state = prefix_put(p, "n", i, false);
	EXPECT(0, dur_name(p, "here", DUR_LATEST));
	EXPECT(0, dur_name(p, "here-too", DUR_LATEST));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	seen = dur_state(snap);
	ck_assert_uint_gt(seen, state);
	dur_close(snap);
	EXPECT(0, dur_watch(p, NULL, seen, 0, &level));
	next_is(level, 0, 0, NULL, 0);
	state = prefix_put(p, "n", 4, false);
	next_is(level, state, DUR_CHANGED, "/n", 4);
	EXPECT(0, dur_watch(p, NULL, seen, 0, &it));
	next_is(it, state, DUR_CHANGED, "/n", 4);
	next_is(it, 0, 0, NULL, 0);
	dur_iter_close(it);
	dur_iter_close(level);
	/* what stood before it is gone: nobody knows any more what has changed since */
	EXPECT(0, dur_unname(p, "here"));
	EXPECT(0, dur_unname(p, "here-too"));
	EXPECT(0, dur_keep(p, "last:1"));
	prefix_put(p, "n", 5, false);
	EXPECT(DUR_E_GONE, dur_watch(p, NULL, seen, 0, &it));
}
END_TEST

START_TEST(what_is_gone_is_told)
{
	dur_iter *it;
	dur_change c;
	uint64_t first, state;

	open_prefix("last:3");
	first = prefix_put(p, "n", 0, false);
	EXPECT(0, dur_watch(p, NULL, first, 0, &it));
	for (int i = 1; i <= 3; i++)
		state = prefix_put(p, "n", i, false);
	/* `first` is gone for others, this watch has it open; its three successors are there */
	dur_iter *late = (dur_iter *)&c;
	EXPECT(DUR_E_GONE, dur_watch(p, NULL, first, 0, &late));
	ck_assert_ptr_null(late);
	EXPECT(DUR_E_GONE, dur_watch(p, NULL, state + 1000, 0, &late));
	for (int i = 1; i <= 3; i++)
		next_is(it, state - 3 + (uint64_t)i, DUR_CHANGED, "/n", i);
	for (int i = 4; i <= 7; i++)
		state = prefix_put(p, "n", i, false);
	for (int i = 0; i < 2; i++) { /* one of four is gone, again if asked again */
		EXPECT(DUR_E_GONE, dur_next_change(it, &c));
		ck_assert_ptr_nonnull(strstr(dur_message(), "no longer retained"));
	}
	dur_iter_close(it);
	/* the same with a list that was looked up before */
	EXPECT(0, dur_watch(p, NULL, state - 2, 0, &it));
	next_is(it, state - 1, DUR_CHANGED, "/n", 6);
	for (int i = 8; i <= 11; i++)
		state = prefix_put(p, "n", i, false);
	EXPECT(DUR_E_GONE, dur_next_change(it, &c));
	dur_iter_close(it);
	/* the newest alone */
	EXPECT(0, dur_keep(p, "last:1"));
	EXPECT(0, dur_watch(p, NULL, DUR_LATEST, 0, &it));
	for (int i = 12; i <= 14; i++) {
		state = prefix_put(p, "n", i, false);
		next_is(it, state, DUR_CHANGED, "/n", i);
	}
	prefix_put(p, "n", 15, false);
	prefix_put(p, "n", 16, false);
	EXPECT(DUR_E_GONE, dur_next_change(it, &c));
	dur_iter_close(it);
}
END_TEST

/* A series leaves states out as it goes; those who keep step see all the same. */
START_TEST(thinned_states_are_told_too)
{
	dur_iter *it, *late, *all;
	dur_change c;
	uint64_t state;

	open_prefix("every:1h");
	prefix_put(p, "n", 0, false);
	EXPECT(0, dur_watch(p, NULL, DUR_LATEST, 0, &it));
	EXPECT(0, dur_watch(p, NULL, DUR_LATEST, 0, &late));
	EXPECT(0, dur_watch(p, NULL, DUR_LATEST, DUR_COALESCE, &all));
	for (int i = 1; i <= 10; i++) {
		state = prefix_put(p, "n", i, false);
		next_is(it, state, DUR_CHANGED, "/n", i);
		next_is(it, 0, 0, NULL, 0);
	}
	EXPECT(DUR_E_GONE, dur_next_change(late, &c));
	next_is(all, state, DUR_CHANGED, "/n", 10);
	next_is(all, 0, 0, NULL, 0);
	dur_iter_close(it);
	dur_iter_close(late);
	dur_iter_close(all);
}
END_TEST

START_TEST(what_a_watch_refuses)
{
	dur_iter *it;
	dur_change c;
	uint64_t n;

	open_prefix(NULL);
	prefix_put(p, "n", 0, false);
	EXPECT(DUR_E_MISUSE, dur_watch(NULL, NULL, 0, 0, &it));
	EXPECT(DUR_E_MISUSE, dur_watch(p, NULL, 0, 0, NULL));
	EXPECT(DUR_E_MISUSE, dur_watch(p, NULL, 0, DUR_REVERSE, &it));
	EXPECT(DUR_E_MISUSE, dur_watch(p, &DUR_STR("n"), 0, 0, &it));
	EXPECT(DUR_E_PATH, dur_watch(p, &DUR_PATH("n"), 0, 0, &it));
	ck_assert_ptr_null(it);
	EXPECT(0, dur_watch(p, NULL, 0, 0, &it));
	EXPECT(DUR_E_MISUSE, dur_next(it, NULL, NULL));
	EXPECT(DUR_E_MISUSE, dur_left(it, &n));
	EXPECT(DUR_E_MISUSE, dur_next_change(it, NULL));
	pid_t child = fork();
	if (child == 0) { /* its handles are dead; leaving them is fine in any order */
		bool good = dur_next_change(it, &c) == DUR_E_FORKED;
		if (good)
			dur_iter_close(it);
		good &= dur_detach(p) == 0 && dur_workspace_close(ws) == 0;
		_exit(good ? 0 : 1);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	uint64_t state = prefix_put(p, "n", 1, false);
	next_is(it, state, DUR_CHANGED, "/n", 1);
	child = fork();
	if (child == 0) /* with the iterator open, between two snapshots */
		_exit(dur_detach(p) == 0 && dur_workspace_close(ws) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	dur_iter_close(it);
}
END_TEST

/* ---- Beside writers, in processes of their own ---- */

/*
 * Every commit adds 1 to "n" and sets some of the keys "k0" .. "k19" to the new n. So a watcher
 * knows each commit by its number, and what must have changed.
 */
enum { NAMES = 20 };

static void write_one(dur_prefix *q, uint64_t *random)
{
	dur_view *txn;
	dur_value n;
	char key[8];

	EXPECT(0, dur_begin(q, NULL, &txn));
	if (MUST(dur_get(dur_root(txn), &DUR_STR("n"), &n)) == DUR_NONE)
		n = DUR_INT(0);
	int64_t next = n.i + 1;
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(next)));
	for (int64_t i = 0; i < 1 + next % 5; i++) {
		snprintf(key, sizeof key, "k%d", (int)((next * 7 + i) % NAMES));
		EXPECT(0, dur_put(dur_root(txn), &DUR_STR(key), &DUR_INT(next)));
	}
	EXPECT(0, dur_commit(txn, &(dur_commit_options){
		.flags = kit_random(random) % 4 ? DUR_ASYNC : 0 }, NULL));
	dur_close(txn);
}

static int role_writer(int argc, char **argv)
{
	dur_workspace *w = prefix_workspace(argv[0]);
	dur_prefix *q = prefix_attach(w, "p", NULL);
	uint64_t random = strtoull(argv[1], NULL, 10);

	(void)argc;
	for (long left = strtol(argv[2], NULL, 10); left > 0; left--)
		write_one(q, &random);
	EXPECT(0, dur_detach(q));
	EXPECT(0, dur_workspace_close(w));
	test_say('d');
	return 0;
}

/* What watchers tell each other: shared memory, so that a killed one has said it all the same. */
struct told {
	_Atomic uint64_t state; /* the last one all of whose changes were seen */
	_Atomic uint64_t states;
};

/* The rows of one state, as they come. */
struct gathered {
	uint64_t state;
	int64_t n;
	unsigned names;
};

/* All of a state was seen: exactly the next commit's changes. */
static void complete(struct told *told, struct gathered *g, int64_t *n)
{
	if (!g->state)
		return;
	HOLDS(g->n == *n + 1, "state %" PRIu64 " has n %" PRId64 " after %" PRId64, g->state, g->n,
	      *n);
	HOLDS(g->names == 1 + (unsigned)(g->n % 5), "state %" PRIu64 ": %u names", g->state,
	      g->names);
	*n = g->n;
	atomic_store(&told->state, g->state);
	atomic_fetch_add(&told->states, 1);
	g->state = 0;
}

static void gather(struct told *told, struct gathered *g, const dur_change *c, int64_t *n)
{
	if (c->state != g->state) {
		complete(told, g, n);
		*g = (struct gathered){ .state = c->state, .n = -1 };
	}
	HOLDS(c->now.type == DUR_INT, "a change without a number");
	if (c->path.len == 2 && c->path.str[1] == 'n')
		g->n = c->now.i;
	else
		g->names++;
}

/* Watches from where the last watcher came to; ends when n is so much. */
static int role_watcher(int argc, char **argv)
{
	dur_workspace *w = prefix_workspace(argv[0]);
	dur_prefix *q = prefix_attach(w, "p", NULL);
	struct told *told = shared_memory(argv[1], sizeof *told);
	int64_t end = strtoll(argv[2], NULL, 10), n;
	uint64_t seen = 0, after = atomic_load(&told->state);
	struct gathered g = { 0 };
	dur_change c;
	dur_iter *it;
	int rc;

	(void)argc;
	n = prefix_int(q, after, "n", 0);
	EXPECT(0, dur_watch(q, NULL, after, 0, &it));
	test_say('r');
	while (n < end) {
		MUST(dur_wait(q, seen, 1000, &seen));
		while ((rc = MUST(dur_next_change(it, &c))) == 0)
			gather(told, &g, &c, &n);
		complete(told, &g, &n); /* level: that was all of it */
	}
	dur_iter_close(it);
	EXPECT(0, dur_detach(q));
	EXPECT(0, dur_workspace_close(w));
	test_say('d');
	return 0;
}

/*
 * Two writers; a watcher that is killed again and again, and goes on from the last state it
 * completed.
 */
START_TEST(no_gap_and_no_repeat_through_kills)
{
	const unsigned commits = kit_rounds(300), writers = 2;
	char path[600], end[24], count[24], random[24];
	struct peer writer[2], watcher;
	uint64_t seed = kit_seed();
	struct told *told;

	open_prefix(NULL);
	snprintf(path, sizeof path, "%s", kit_path("told"));
	told = shared_memory(path, sizeof *told);
	atomic_store(&told->state, 1);
	snprintf(count, sizeof count, "%u", commits);
	snprintf(end, sizeof end, "%u", commits * writers);
	for (unsigned i = 0; i < writers; i++) {
		snprintf(random, sizeof random, "%" PRIu64, kit_random(&seed) | 1);
		peer_start(&writer[i], "writer", root, random, count, NULL);
	}
	for (unsigned kills = 0; kills < 6; kills++) {
		peer_start(&watcher, "watcher", root, path, end, NULL);
		ck_assert_int_eq(peer_hear(&watcher), 'r');
		kit_sleep_ms((unsigned)(kit_random(&seed) % 30));
		peer_kill(&watcher);
	}
	peer_start(&watcher, "watcher", root, path, end, NULL);
	ck_assert_int_eq(peer_hear(&watcher), 'r');
	for (unsigned i = 0; i < writers; i++) {
		ck_assert_int_eq(peer_hear(&writer[i]), 'd');
		ck_assert_int_eq(peer_end(&writer[i]), 0);
	}
	ck_assert_int_eq(peer_hear(&watcher), 'd');
	ck_assert_int_eq(peer_end(&watcher), 0);
	/* a watcher may be killed between completing a state and counting it */
	ck_assert_uint_le(atomic_load(&told->states), commits * writers);
	ck_assert_uint_ge(atomic_load(&told->states) + 6, commits * writers);
	/* packing may have made a state of its own since, which holds no changes */
	dur_state_info newest;
	uint32_t n;
	EXPECT(0, dur_states(p, 0, 0, &newest, 1, &n));
	ck_assert_uint_eq(atomic_load(&told->state), newest.state);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("watch");
	TCase *tc = tcase_create("watch");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, state_by_state);
	tcase_add_test(tc, states_without_changes_are_passed);
	tcase_add_test(tc, coalesced);
	tcase_add_test(tc, from_a_snapshot_on);
	tcase_add_test(tc, what_is_gone_is_told);
	tcase_add_test(tc, thinned_states_are_told_too);
	tcase_add_test(tc, what_a_watch_refuses);
	tcase_add_test(tc, no_gap_and_no_repeat_through_kills);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "writer", role_writer },
		{ "watcher", role_watcher },
		{ 0 },
	};

	return kit_main(argc, argv, roles, suite());
}
