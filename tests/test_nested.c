/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in collections, against plain ones in memory: random operations on randomly nested
 * maps, sets, lists and ropes (nested_steps.h) in transactions that are committed, aborted and
 * rolled back to marks, with clones within and across them, snapshots held open, old states read
 * again, and what retention and packing do to those. Each call's answer is compared, and often all
 * there is: in the transaction, after its end, and long after.
 *
 * A run is many stretches, each with a prefix and a seed of its own, the one said last: SEED=n of a
 * stretch that failed begins with it. NESTED_EACH=1 compares all after each operation, and says
 * what it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nested_steps.h"
#include "prefix_kit.h"
#include "random_values.h"
#include "tally.h"

enum { NUMBERS = 8, MARKS = 4 };

static dur_workspace *ws;
static dur_prefix *p;

static struct numbered {        /* a state that was committed */
	uint64_t state;
	struct plain *root;
} numbers[NUMBERS];

static struct mark {
	uint64_t mark;
	struct plain *root;
	struct handle handles[WORLD_HANDLES]; /* their nodes are those of root */
} marks[MARKS];
static unsigned n_marks;

/* ---- Marks ---- */

static void do_mark(void)
{
	struct mark *m = &marks[n_marks];

	if (n_marks == MARKS)
		return;
	n_marks++;
	world.marked = true;
	EXPECT(0, dur_mark(world.txn, &m->mark));
	m->root = plain_copy(world.root, NULL);
	for (unsigned i = 0; i < WORLD_HANDLES; i++) {
		struct plain *node = world.handles[i].node;
		m->handles[i].coll = world.handles[i].coll;
		m->handles[i].node = node && !node->dead ? node->twin : NULL;
	}
	tally[TALLY_MARKS]++;
}

/* Whether there is a collection of that kind and length. */
static bool one_like(const struct plain *in, uint32_t kind, uint64_t n)
{
	bool found = in->kind == kind && length_of(in) == n;

	for (size_t i = 0; i < in->n && !found; i++)
		found = in->entry[i].sub && one_like(in->entry[i].sub, kind, n);
	return found;
}

/* A handle opened since a mark that was gone back to: stale, or to something of that time. */
static void stale_or_there(const struct mark *m, dur_coll coll)
{
	uint64_t n;
	int rc = dur_count(coll, NULL, &n);

	tally[TALLY_READS]++;
	if (rc == DUR_E_STALE)
		return;
	EXPECT(0, rc);
	HOLDS(one_like(m->root, coll.kind, n), "nothing of kind %u with %llu was there", coll.kind,
	      (unsigned long long)n);
}

static void end_marks(unsigned from)
{
	while (n_marks > from)
		plain_free(marks[--n_marks].root);
	world.marked = n_marks > 0;
}

/* All is as it was at a mark: handles that were open then, too; those opened since are stale. */
static void do_rollback(void)
{
	unsigned to = (unsigned)below(n_marks);
	struct mark *m = &marks[to];

	EXPECT(0, dur_rollback(world.txn, m->mark));
	if (to + 1 < n_marks)
		EXPECT(DUR_E_STALE, dur_rollback(world.txn, marks[to + 1].mark));
	end_marks(to + 1);
	for (unsigned i = 0; i < WORLD_HANDLES; i++)
		if (world.handles[i].node)
			stale_or_there(m, world.handles[i].coll);
	handles_forget();
	plain_free(world.root);
	world.root = plain_copy(m->root, NULL);
	for (unsigned i = 0; i < WORLD_HANDLES; i++) {
		if (!m->handles[i].node)
			continue;
		world.handles[i].coll = m->handles[i].coll;
		world.handles[i].node = m->handles[i].node->twin;
		world.handles[i].node->handles++;
		if (below(3) == 0)
			compare(world.handles[i].coll, world.handles[i].node, &world.rng);
	}
	if (below(3) == 0)
		compare(dur_root(world.txn), world.root, &world.rng);
	tally[TALLY_ROLLBACKS]++;
}

/* ---- Transactions ---- */

static void remember(uint64_t state)
{
	struct numbered *k = &numbers[below(NUMBERS)];

	if (k->root)
		plain_free(k->root);
	k->state = state;
	k->root = plain_copy(world.root, NULL);
}

static void commit(void)
{
	uint64_t state;

	EXPECT(0, dur_commit(world.txn, &(dur_commit_options){ .flags = below(20) ? DUR_ASYNC : 0 },
	                     &state));
	tally[TALLY_COMMITS]++;
	for (unsigned i = 0; i < WORLD_HANDLES; i++) /* they are good, and for reading now */
		if (world.handles[i].node && world.handles[i].node->dead)
			handle_must_be_stale(world.handles[i].coll);
		else if (world.handles[i].node && below(6) == 0)
			compare(world.handles[i].coll, world.handles[i].node, &world.rng);
	if (below(8) == 0)
		compare(dur_root(world.txn), world.root, &world.rng);
	if (below(4) == 0)
		remember(state);
}

static void transaction(void)
{
	uint64_t n = 1 + below(below(40) ? 60 : 1000);
	struct plain *before = plain_copy(world.root, NULL);
	bool marked = below(3) == 0;

	model_now++;
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT,
		.memory_bytes = below(3) ? 0 : 64 << 10 }, &world.txn));
	while (n--) {
		if (marked && below(15) == 0)
			do_mark();
		else if (n_marks && below(25) == 0)
			do_rollback();
		else if (below(200) == 0)
			random_restore();
		else
			random_operation();
		if (world.each)
			compare(dur_root(world.txn), world.root, &world.rng);
	}
	if (below(8) == 0)
		compare(dur_root(world.txn), world.root, &world.rng);
	if (below(5)) {
		commit();
		plain_free(before);
		before = NULL;
	} else {
		tally[TALLY_ABORTS]++;
	}
	end_marks(0);
	handles_forget();
	iterators_forget();
	if (before) {
		plain_free(world.root);
		world.root = before;
	}
	dur_close(world.txn);
}

static void clear_all(void)
{
	EXPECT(0, dur_begin(p, NULL, &world.txn));
	EXPECT(0, dur_clear(dur_root(world.txn), NULL, NULL));
	EXPECT(0, dur_commit(world.txn, NULL, NULL));
	dur_close(world.txn);
	plain_del(world.root, 0, world.root->n);
}

/* ---- Old states ---- */

static void old_close(struct old *old)
{
	if (!old->view)
		return;
	compare(dur_root(old->view), old->root, &world.rng);
	tally[TALLY_HELD]++;
	dur_close(old->view);
	plain_free(old->root);
	old->view = NULL;
}

/* A state by its number, if it is kept. */
static bool number_open(const struct numbered *k, dur_view **view)
{
	dur_prefix_stat stat;
	int rc;

	EXPECT(0, dur_stat(p, &stat));
	rc = dur_snapshot(p, k->state, NULL, view);
	HOLDS(rc == (k->state < stat.oldest ? DUR_E_GONE : 0),
	      "%d for state %llu, the oldest is %llu", rc, (unsigned long long)k->state,
	      (unsigned long long)stat.oldest);
	tally[TALLY_GONE] += rc == DUR_E_GONE;
	return rc == 0;
}

/* Holds a snapshot open from now on: of the newest state, by either name, or an older one. */
static void old_take(void)
{
	struct old *old = &world.olds[below(WORLD_SNAPSHOTS)];
	const struct numbered *k = &numbers[below(NUMBERS)];
	const struct plain *what = world.root;

	old_close(old);
	switch (below(3)) {
	case 0:
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &old->view));
		break;
	case 1:
		EXPECT(0, dur_snapshot(p, prefix_newest_state(p), NULL, &old->view));
		break;
	default:
		if (!k->root || !number_open(k, &old->view))
			return;
		what = k->root;
	}
	old->root = plain_copy((struct plain *)(uintptr_t)what, NULL);
}

static void numbers_read(void)
{
	dur_view *view;

	for (unsigned i = 0; i < NUMBERS; i++) {
		if (!numbers[i].root || !number_open(&numbers[i], &view))
			continue;
		compare(dur_root(view), numbers[i].root, &world.rng);
		dur_close(view);
		tally[TALLY_OLD]++;
	}
}

/* ---- Stretches ---- */

static const char *random_policy(void)
{
	static const char *const policies[] = {
		"all", "all", "all", "last:1", "last:10", "last:300"
	};

	return policies[below(sizeof policies / sizeof *policies)];
}

static void begin_stretch(void)
{
	bool raw = below(5) == 0;

	world.heaviest = below(5) ? 3000 : 24000;
	EXPECT(0, dur_attach(ws, "p", DUR_CREATE | (raw ? DUR_RAW : 0),
	                     &(dur_attach_options){ .keep = random_policy() }, &p));
	world.root = plain_new(raw ? DUR_RAW_MAP : DUR_MAP, NULL);
}

static void check(uint32_t flags)
{
	prefix_check_sound(ws, "p", flags);
	tally[TALLY_CHECKS]++;
}

/* What a process knows of the prefix then comes from the file. */
static void attach_anew(void)
{
	for (unsigned i = 0; i < WORLD_SNAPSHOTS; i++)
		old_close(&world.olds[i]);
	EXPECT(0, dur_detach(p));
	check(DUR_HISTORY);
	EXPECT(0, dur_attach(ws, "p", 0, NULL, &p));
}

static void end_stretch(void)
{
	dur_view *now;

	numbers_read();
	for (unsigned i = 0; i < NUMBERS; i++) {
		if (numbers[i].root)
			plain_free(numbers[i].root);
		numbers[i].root = NULL;
	}
	for (unsigned i = 0; i < WORLD_SNAPSHOTS; i++)
		old_close(&world.olds[i]);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &now));
	compare(dur_root(now), world.root, &world.rng);
	dur_close(now);
	plain_free(world.root);
	check(DUR_HISTORY);
	EXPECT(0, dur_detach(p));
	check(DUR_HISTORY);
	EXPECT(0, dur_drop(ws, "p"));
}

static void stretch(uint64_t most)
{
	begin_stretch();
	for (uint64_t left = 100 + below(400); left && tally[TALLY_WRITES] < most; left--) {
		transaction();
		if (below(8) == 0)
			old_take();
		if (below(25) == 0)
			numbers_read();
		if (below(60) == 0)
			check(below(4) ? 0 : DUR_HISTORY);
		if (below(80) == 0)
			EXPECT(0, dur_keep(p, random_policy()));
		if (below(40) == 0) {
			MUST(dur_pack_history(p, -1));
			tally[TALLY_PACKINGS]++;
		}
		if (below(200) == 0)
			attach_anew();
		if (weight(world.root) > world.heaviest)
			clear_all();
	}
	end_stretch();
}

START_TEST(random_nesting)
{
	uint64_t seed = random_seed("nested"), most = tally_wanted(20000, 2000000);

	world.each = getenv("NESTED_EACH");
	for (uint64_t n = 0; tally[TALLY_WRITES] < most; n++) {
		world.rng = seed + n;
		if (n)
			fprintf(stderr, "nested: SEED=%llu\n", (unsigned long long)(seed + n));
		model_text_fill(&world.rng);
		stretch(most);
	}
	tally_say("nested", seed);
}
END_TEST

static void setup(void)
{
	ws = prefix_workspace(kit_path("root"));
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

int main(int argc, char **argv)
{
	Suite *s = suite_create("nested");
	TCase *tc = tcase_create("random");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, random_nesting);
	suite_add_tcase(s, tc);
	return kit_main(argc, argv, NULL, s);
}
