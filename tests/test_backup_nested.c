/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nested collections in backups and compaction: an increment is as small as what changed in them,
 * at any depth; memory stays within its limit; the copy's history is the source's.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup_kit.h"

enum { USERS = 300, POSTS = 3000, LEVELS = 1500 };

static dur_workspace *ws;
static dur_prefix *source;
static uint64_t seed;
static char file[PATH_MAX];

static void setup(void)
{
	snprintf(file, sizeof file, "%s", kit_path("stream"));
	ws = prefix_workspace(kit_path("root"));
	source = prefix_attach(ws, "source", NULL);
	seed = kit_seed();
}

static void teardown(void)
{
	MUST(dur_detach(source));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static void check_copy(const char *name, unsigned states)
{
	dur_prefix *copy;

	EXPECT(0, dur_attach(ws, name, 0, NULL, &copy));
	ck_assert_uint_eq(backup_same_states(source, copy), states);
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, name, DUR_HISTORY);
}

static uint64_t commit(dur_view *txn)
{
	uint64_t state;

	EXPECT(0, dur_commit(txn, NULL, &state));
	dur_close(txn);
	return state;
}

static dur_view *begin(void)
{
	dur_view *txn;

	EXPECT(0, dur_begin(source, NULL, &txn));
	return txn;
}

/* What came since a state, into the copy; gives how long the stream is. */
static size_t increment(uint64_t since)
{
	backup_to(source, DUR_LATEST, since, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	return file_bytes(file);
}

/* users/<n>: embedded, and in one of them posts, many; large: a value in a run */
static uint64_t make_users(void)
{
	static char large[100000];
	dur_view *txn = begin();
	dur_coll users, user, posts;
	char text[64], key[16];

	memset(large, 'l', sizeof large);
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("users"), DUR_MAP, &users));
	for (int i = 0; i < USERS; i++) {
		snprintf(text, sizeof text, "%d", i);
		EXPECT(0, dur_make(users, &DUR_STR(text), DUR_MAP, &user));
		EXPECT(0, dur_put(user, &DUR_STR("name"), &DUR_STR("somebody")));
		if (i % 100)
			continue;
		EXPECT(0, dur_put(user, &DUR_STR("large"), &DUR_BYTES(large, sizeof large)));
		EXPECT(0, dur_make(user, &DUR_STR("posts"), i ? DUR_MAP : DUR_LIST, &posts));
		for (int k = 0; k < POSTS; k++) {
			dur_value post = DUR_STR(text);
			snprintf(text, sizeof text, "a post %llu", (unsigned long long)kit_random(&seed));
			post.len = strlen(text);
			snprintf(key, sizeof key, "%d", k);
			if (i)
				EXPECT(0, dur_put(posts, &DUR_STR(key), &post));
			else
				EXPECT(0, dur_append(posts, &post));
		}
		/* a tree that loses something is embedded again if it is small */
		EXPECT(0, dur_put(user, &DUR_STR("draft"), &DUR_INT(i)));
		EXPECT(0, dur_del(user, &DUR_STR("draft")));
	}
	return commit(txn);
}

/* One value far below: a stream of some hundred bytes, although it is in a cell that names much. */
START_TEST(increments_are_small)
{
	uint64_t state = make_users();
	dur_view *txn;
	dur_coll posts;
	char text[32];
	size_t n;

	ck_assert_uint_gt(increment(0), 20000);
	check_copy("copy", 1);

	txn = begin();
	EXPECT(0, dur_put(dur_root(txn), &DUR_PATH("/users/100/posts/77"), &DUR_STR("changed")));
	EXPECT(0, dur_del(dur_root(txn), &DUR_PATH("/users/200/posts/78")));
	EXPECT(0, dur_enter(dur_root(txn), &DUR_PATH("/users/0/posts"), &posts));
	EXPECT(0, dur_insert(posts, 1000, &DUR_STR("in between"), 1));
	EXPECT(0, dur_put(posts, &DUR_INT(2000), &DUR_STR("instead")));
	EXPECT(0, dur_del(posts, &DUR_INT(5)));
	commit(txn);
	n = increment(state);
	ck_assert_msg(n < 1000, "%zu bytes", n);
	check_copy("copy", 2);

	/* beside it: what did not change is kept */
	state = prefix_newest_state(source);
	txn = begin();
	EXPECT(0, dur_put(dur_root(txn), &DUR_PATH("/users/100/name"), &DUR_STR("else")));
	EXPECT(0, dur_put(dur_root(txn), &DUR_PATH("/users/0/name"), &DUR_STR("else")));
	commit(txn);
	n = increment(state);
	ck_assert_msg(n < 1000, "%zu bytes", n);
	check_copy("copy", 3);

	/* the embedded user becomes a tree: what it named is kept, too */
	state = prefix_newest_state(source);
	txn = begin();
	for (int i = 0; i < 60; i++) {
		snprintf(text, sizeof text, "/users/100/field %d", i);
		EXPECT(0, dur_put(dur_root(txn), &DUR_PATH(text), &DUR_STR("something more")));
	}
	EXPECT(0, dur_put(dur_root(txn), &DUR_PATH("/users/100/posts/5"), &DUR_STR("changed")));
	commit(txn);
	n = increment(state);
	ck_assert_msg(n < 3000, "%zu bytes", n);
	check_copy("copy", 4);

	/* and goes: the pages of all are given back, or wait for it, as check finds */
	state = prefix_newest_state(source);
	txn = begin();
	EXPECT(0, dur_del(dur_root(txn), &DUR_PATH("/users/100/posts")));
	EXPECT(0, dur_put(dur_root(txn), &DUR_PATH("/users/200"), &DUR_INT(1)));
	EXPECT(0, dur_del(dur_root(txn), &DUR_PATH("/users/0/large")));
	commit(txn);
	n = increment(state);
	ck_assert_msg(n < 2000, "%zu bytes", n);
	check_copy("copy", 5);
}
END_TEST

/* A tree that is built, and all around it, leave memory before they hang anywhere. */
START_TEST(within_its_memory)
{
	const dur_attach_options little = { .memory_bytes = 64 << 10 };
	dur_prefix *p;

	for (int i = 0; i < 30; i++)
		backup_change(source, &seed, 60, NULL);
	make_users();
	for (int i = 0; i < 10; i++)
		backup_change(source, &seed, 60, NULL);
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	EXPECT(0, dur_attach(ws, "copy", 0, &little, &p));
	EXPECT(0, dur_compact(p, DUR_HISTORY, NULL));
	EXPECT(0, dur_detach(p));
	check_copy("copy", 42);
}
END_TEST

/* Nothing is as deep as the stack. */
START_TEST(deep)
{
	dur_view *txn = begin();
	dur_coll c = dur_root(txn), next;
	uint64_t state;

	for (int i = 0; i < LEVELS; i++) {
		EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_STR("something that takes its room")));
		EXPECT(0, dur_make(c, &DUR_STR("down"), i % 3 ? DUR_MAP : DUR_LIST, &next));
		c = next;
		if (c.kind == DUR_LIST) {
			EXPECT(0, dur_append(c, &DUR_NEW(DUR_MAP, NULL, 0)));
			EXPECT(0, dur_enter(c, &DUR_INT(0), &c));
		}
	}
	state = commit(txn);
	increment(0);
	check_copy("copy", 1);
	for (int round = 0; round < 2; round++) {
		txn = begin();
		c = dur_root(txn);
		while (dur_enter(c, &DUR_STR("down"), &next) == 0) {
			c = next;
			if (c.kind == DUR_LIST)
				EXPECT(0, dur_enter(c, &DUR_INT(0), &c));
		}
		EXPECT(0, dur_put(c, &DUR_STR("at the bottom"), &DUR_INT(round)));
		commit(txn);
	}
	increment(state);
	check_copy("copy", 2);
}
END_TEST

static void same_log(dur_prefix *p[2], const char *path)
{
	dur_change change[2];
	dur_iter *it[2];
	int rc[2];

	for (int k = 0; k < 2; k++)
		EXPECT(0, dur_log(p[k], &DUR_PATH(path), NULL, 0, &it[k]));
	do {
		for (int k = 0; k < 2; k++)
			rc[k] = MUST(dur_next_change(it[k], &change[k]));
		HOLDS(rc[0] == rc[1], "%s: %d and %d", path, rc[0], rc[1]);
		HOLDS(rc[0] || change[0].state == change[1].state, "%s: states %llu and %llu", path,
		      (unsigned long long)change[0].state, (unsigned long long)change[1].state);
	} while (rc[0] == 0);
	for (int k = 0; k < 2; k++)
		dur_iter_close(it[k]);
}

/* The copy's log is the source's. */
START_TEST(log_of_a_copy)
{
	static const char *const paths[] = { "/users/100/posts/7", "/users/200/large", "/users/100/name",
		                             "/users/101/name", "/users/200/posts/7" };
	dur_prefix *p[2] = { source };
	dur_view *txn;

	make_users();
	for (int i = 0; i < 40; i++) {
		txn = begin();
		EXPECT(0, dur_put(dur_root(txn), &DUR_PATH(paths[kit_random(&seed) % 5]),
		                  &DUR_INT((int64_t)kit_random(&seed) % 3)));
		MUST(dur_del(dur_root(txn), &DUR_PATH("/users/200/posts/8")));
		if (i == 20) {
			dur_value value;
			EXPECT(0, dur_get(dur_root(txn), &DUR_PATH("/users/101"), &value));
			EXPECT(0, dur_put(dur_root(txn), &DUR_PATH("/users/102"), &value));
		}
		commit(txn);
		if (kit_random(&seed) % 4 == 0)
			break;
	}
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	EXPECT(0, dur_attach(ws, "copy", 0, NULL, &p[1]));
	for (unsigned i = 0; i < 6; i++)
		same_log(p, i < 5 ? paths[i] : "/users");
	EXPECT(0, dur_detach(p[1]));
	check_copy("copy", backup_same_states(source, source));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("backup_nested");
	TCase *t = tcase_create("nested");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 600);
	tcase_add_test(t, increments_are_small);
	tcase_add_test(t, within_its_memory);
	tcase_add_test(t, deep);
	tcase_add_test(t, log_of_a_copy);
	suite_add_tcase(s, t);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
