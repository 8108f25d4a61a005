/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dur_readers() says is kept for a process alone: exactly what becomes free when that process
 * lets go. What dur_names() says is kept for a name: exactly the pages that its state reaches and
 * no other retained one does.
 */
#include "prefixes/prefix.h"
#include "remote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char NAME[] = "held";
static const char *root;
static dur_workspace *ws;
static dur_prefix *p;
static uint64_t rng;

enum { WIDE = 2000 };

static void setup(void)
{
	rng = kit_seed();
	root = kit_path("root");
	ws = prefix_workspace(root);
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, 0);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

/* A commit of `puts` values, some of them large, on disk when it returns. */
static void write_some(unsigned puts)
{
	static char text[20000];
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < puts; i++)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT((int64_t)(kit_random(&rng) % WIDE)),
		                  &DUR_BYTES(text, kit_random(&rng) % (i % 20 ? 200 : 20000))));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(1)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

static uint64_t held_by(pid_t pid)
{
	dur_reader list[8];
	uint32_t n;

	EXPECT(0, dur_readers(p, 0, list, 8, &n));
	for (uint32_t i = 0; i < n; i++)
		if (list[i].pid == (uint32_t)pid)
			return list[i].held_bytes;
	return 0;
}

/*
 * What is free once nothing waits but for pins: what a commit retires is free two commits later,
 * and from then on each of these frees what it takes, but for its record of one page, which stays
 * until the next fold.
 */
enum { SETTLING = 4 };

static uint64_t free_bytes(void)
{
	dur_prefix_stat stat;
	dur_view *txn;

	for (int i = 0; i < SETTLING; i++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(1)));
		EXPECT(0, dur_commit(txn, NULL, NULL));
		dur_close(txn);
	}
	EXPECT(0, dur_stat(p, &stat));
	return stat.free_bytes + (UINT64_C(1) << 40) - stat.file_bytes; /* it may grow meanwhile */
}

START_TEST(what_one_process_holds)
{
	struct peer other;
	uint64_t held, before, after;

	/* only who has the lock knows to the page what is free */
	EXPECT(0, dur_attach(ws, NAME, DUR_CREATE | DUR_HOLD_LOCK,
	                     &(dur_attach_options){ .keep = "last:1" }, &p));
	remote_start(&other, root, NAME, DUR_READ_ONLY);
	write_some(3000);
	for (int i = 0; i < 5; i++) {
		remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST);
		ck_assert_uint_eq(held_by(other.pid), 0); /* the newest: nothing is retired yet */
		for (int k = 0; k < 30 * i; k++)
			write_some(10);
		before = free_bytes();
		held = held_by(other.pid);
		ck_assert_uint_eq(held_by(getpid()), 0);
		HOLDS(i == 0 || held > (200 << 10), "%" PRIu64, held);
		remote_do(&other, REMOTE_CLOSE, 0);
		ck_assert_uint_eq(held_by(other.pid), 0);
		after = free_bytes();
		after += SETTLING * 4096;
		HOLDS(held + before == after, "%" PRIu64 " held, %" PRId64 " freed", held,
		      (int64_t)(after - before));
	}
	remote_do(&other, REMOTE_DETACH, 0);
	ck_assert_int_eq(peer_end(&other), 0);
}
END_TEST

/* What two hold is kept for neither alone. */
START_TEST(what_several_hold)
{
	struct peer a, b;
	uint64_t of_a, of_b, alone;
	dur_view *mine;

	p = prefix_attach(ws, NAME, "last:1");
	remote_start(&a, root, NAME, 0);
	remote_start(&b, root, NAME, DUR_READ_ONLY);
	write_some(3000);
	remote_do(&a, REMOTE_SNAPSHOT, DUR_LATEST);
	remote_do(&b, REMOTE_SNAPSHOT, DUR_LATEST);
	for (int k = 0; k < 40; k++)
		write_some(20);
	ck_assert_uint_eq(held_by(a.pid), 0);
	ck_assert_uint_eq(held_by(b.pid), 0);
	remote_do(&b, REMOTE_CLOSE, 0);
	alone = held_by(a.pid);
	ck_assert_uint_gt(alone, 200 << 10);
	remote_do(&b, REMOTE_SNAPSHOT, DUR_LATEST); /* a later one: other pages */
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &mine));
	for (int k = 0; k < 40; k++)
		write_some(20);
	of_a = held_by(a.pid);
	of_b = held_by(b.pid);
	HOLDS(of_a > 0 && of_a <= alone, "%" PRIu64 " of %" PRIu64, of_a, alone);
	ck_assert_uint_eq(of_b, 0); /* this process has that state too */
	dur_close(mine);
	of_b = held_by(b.pid);
	ck_assert_uint_gt(of_b, 200 << 10);
	remote_do(&a, REMOTE_CLOSE, 0);
	ck_assert_uint_ge(held_by(b.pid), of_b); /* with what the two shared */
	peer_kill(&b);
	ck_assert_uint_eq(held_by(b.pid), 0);
	ck_assert_int_eq(peer_end(&a), 0);
}
END_TEST

/* Retention keeps the data anyway; for the reader alone there are only records and system pages. */
START_TEST(what_retention_keeps_too)
{
	struct peer other;
	dur_prefix_stat stat;

	p = prefix_attach(ws, NAME, "last:4000"); /* of so few nothing is packed */
	remote_start(&other, root, NAME, DUR_READ_ONLY);
	write_some(3000);
	remote_do(&other, REMOTE_SNAPSHOT, DUR_LATEST);
	for (int k = 0; k < 400; k++)
		write_some(10);
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_gt(stat.retained_bytes, 4 << 20);
	ck_assert_uint_lt(held_by(other.pid), 4 << 20);
	EXPECT(0, dur_keep(p, "last:3"));
	for (int k = 0; k < 10; k++)
		write_some(1);
	ck_assert_uint_gt(held_by(other.pid), 200 << 10);
	ck_assert_int_eq(peer_end(&other), 0);
	ck_assert_uint_eq(held_by(other.pid), 0);
}
END_TEST

/* More snapshots than a process has cells: the overflow holds all that came since. */
START_TEST(what_very_many_snapshots_hold)
{
	dur_view *snaps[200];
	uint64_t held;

	p = prefix_attach(ws, NAME, "last:1");
	write_some(3000);
	for (int i = 0; i < 200; i++) {
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snaps[i]));
		write_some(5);
	}
	held = held_by(getpid());
	ck_assert_uint_gt(held, 4 << 20);
	for (int i = 199; i >= 0; i--)
		dur_close(snaps[i]);
	ck_assert_uint_eq(held_by(getpid()), 0);
}
END_TEST

/* ---- Names ---- */

/* How many retained states reach a page, and one that does. */
struct reached {
	uint64_t states, state;
};

struct survey {
	struct reached *pages;
	uint64_t n, state;
};

static int survey_page(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	struct survey *s = ctx;

	(void)level;
	for (uint64_t i = 0; i < n; i++) {
		HOLDS(ptr.no + i < s->n, "page %" PRIu64, ptr.no + i);
		s->pages[ptr.no + i].states++;
		s->pages[ptr.no + i].state = s->state;
	}
	return 0;
}

/* Bytes that a state reaches and no other retained one does, by looking at every page of all. */
static uint64_t reached_by_one(uint64_t state)
{
	static dur_state_info list[2000];
	struct survey s = { .n = file_bytes(kit_path("root/held.dur")) >> PAGE_SHIFT };
	const struct tree_visitor visitor = { .ctx = &s, .page = survey_page };
	uint64_t pages = 0;
	uint32_t n;
	dur_view *v;

	s.pages = calloc(s.n, sizeof *s.pages);
	HOLDS(s.pages, "memory");
	EXPECT(0, dur_states(p, 0, 0, list, 2000, &n));
	ck_assert_uint_lt(n, 2000);
	for (uint32_t i = 0; i < n; i++) {
		EXPECT(0, dur_snapshot(p, list[i].state, NULL, &v));
		s.state = list[i].state;
		EXPECT(0, tree_walk(&v->pager, v->catalog, &visitor));
		dur_close(v);
	}
	for (uint64_t i = 0; i < s.n; i++)
		pages += s.pages[i].states == 1 && s.pages[i].state == state;
	free(s.pages);
	return pages << PAGE_SHIFT;
}

static const dur_state_name *named(const char *name)
{
	static dur_state_name list[16];
	uint32_t n;

	EXPECT(0, dur_names(p, 0, list, 16, &n));
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	HOLDS(false, "there is no name %s", name);
	return NULL;
}

static void name_holds(const char *name)
{
	const dur_state_name *one = named(name);
	uint64_t all = reached_by_one(one->state);

	HOLDS(one->held_bytes == all, "%s, state %" PRIu64 ": %" PRIu64 ", its own pages %" PRIu64,
	      name, one->state, one->held_bytes, all);
}

static void write_times(unsigned commits)
{
	while (commits-- > 0)
		write_some(1 + (unsigned)kit_random(&rng) % 20);
}

/* Before folds and after some; between two names, with a neighbour that goes. */
START_TEST(what_a_name_holds)
{
	dur_prefix_stat stat;
	dur_state_name one;
	char name[8] = "a";

	p = prefix_attach(ws, NAME, "last:3");
	write_some(3000);
	for (; *name < 'f'; ++*name) {
		EXPECT(0, dur_name(p, name, DUR_LATEST));
		ck_assert_uint_eq(named(name)->held_bytes, 0); /* last: keeps it too */
		write_times(3 + (unsigned)kit_random(&rng) % 90);
		name_holds(name);
		ck_assert_uint_gt(named(name)->held_bytes, 0);
	}
	write_times(300);
	for (*name = 'a'; *name < 'f'; ++*name)
		name_holds(name);
	EXPECT(0, dur_unname(p, "c")); /* what b or d shared with it alone is theirs */
	name_holds("b");
	name_holds("d");
	write_times(300);
	name_holds("b");
	name_holds("d");
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_ge(stat.kept_bytes, named("b")->held_bytes + named("d")->held_bytes);
	ck_assert_uint_le(stat.kept_bytes, stat.retained_bytes);
	one = *named("d");
	EXPECT(0, dur_name(p, "d-again", one.state)); /* neither alone */
	ck_assert_uint_eq(named("d")->held_bytes, 0);
	ck_assert_uint_eq(named("d-again")->held_bytes, 0);
	EXPECT(0, dur_unname(p, "d"));
	name_holds("d-again");
	EXPECT(0, dur_keep(p, "all")); /* keeps them from now on too */
	ck_assert_uint_eq(named("d-again")->held_bytes, 0);
}
END_TEST

/* A series that keeps the state anyway; a name of a state that it does not keep. */
START_TEST(what_a_name_holds_beside_a_series)
{
	p = prefix_attach(ws, NAME, "last:3,every:1w");
	write_some(2000);
	EXPECT(0, dur_name(p, "here", DUR_LATEST));
	write_times(40);
	name_holds("here");
	ck_assert_uint_gt(named("here")->held_bytes, 0);
	EXPECT(0, dur_keep(p, "last:3,every:1s"));
	EXPECT(0, dur_name(p, "series", DUR_LATEST));
	usleep(1100000); /* the next commit is in another second */
	write_times(40);
	ck_assert_uint_eq(named("series")->held_bytes, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("held");
	TCase *tc = tcase_create("held");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_one_process_holds);
	tcase_add_test(tc, what_several_hold);
	tcase_add_test(tc, what_retention_keeps_too);
	tcase_add_test(tc, what_very_many_snapshots_hold);
	tcase_add_test(tc, what_a_name_holds);
	tcase_add_test(tc, what_a_name_holds_beside_a_series);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { REMOTE_ROLE, remote_role }, { 0 } };

	return kit_main(argc, argv, roles, suite());
}
